//! What in a folder belongs to a run. Other programs use the same names, so the beginning of each file is read.

use crate::temporary;
use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The parameters of a run.
pub(crate) const PARAMS: &str = "params.safetensors";
/// The history of a run.
pub(crate) const METRICS: &str = "metrics.csv";
/// Settings and figures, of a run or of all runs of a command.
pub(crate) const SUMMARY: &str = "run.json";

/// How each file of a run begins: its name, the place, and what is there.
const BEGINNINGS: [(&str, usize, &str); 3] = [
    // The header follows its length.
    (PARAMS, 8, "{\"__metadata__\":{\"gavotte\":"),
    (METRICS, 0, "epoch,step_loss,"),
    (SUMMARY, 0, "{\n  \"versions\": {\n    \"gavotte\":"),
];

/// The folder of the run with this seed, where a command has several.
pub(crate) fn below(seed: u64) -> String {
    format!("{SEED}{seed}")
}

const SEED: &str = "seed-";
/// What [`free_name`] adds to a name.
const NEW: &str = ".new";
/// A run that could not replace the one in its folder, and that had no place next to it, stays within it: this is its
/// name, less [`NEW`].
const WITHIN: &str = "run";

/// A name like that of `path` that is not in use.
pub(crate) fn free_name(path: &Path) -> PathBuf {
    let name = |n: usize| {
        let mut name = path.file_name().unwrap_or(OsStr::new(WITHIN)).to_owned();
        name.push(if n == 1 { NEW.into() } else { format!("{NEW}-{n}") });
        path.with_file_name(name)
    };
    (1..).map(name).find(|path| fs::symlink_metadata(path).is_err()).expect("not every name is taken")
}

/// A name within `folder` for a run that cannot replace the one in it.
pub(crate) fn free_name_within(folder: &Path) -> PathBuf {
    free_name(&folder.join(WITHIN))
}

/// The folders that hold files of runs.
#[derive(Clone, Copy)]
enum Folder {
    /// The one that `--out` names.
    Out,
    /// One within it that a run left there under [`free_name_within`].
    Left,
    /// That of one seed.
    Seed,
}

impl Folder {
    /// The folder of this name within it, if a run makes such a folder.
    fn within(self, name: &str) -> Option<Folder> {
        match self {
            Folder::Out if is_left(name) => Some(Folder::Left),
            Folder::Out | Folder::Left if is_seed(name) => Some(Folder::Seed),
            _ => None,
        }
    }
}

fn is_seed(name: &str) -> bool {
    name.strip_prefix(SEED).is_some_and(|seed| seed.parse::<u64>().is_ok())
}

fn is_left(name: &str) -> bool {
    let end = name.strip_prefix(WITHIN).and_then(|end| end.strip_prefix(NEW));
    end.is_some_and(|end| end.is_empty() || end.strip_prefix('-').is_some_and(|n| n.parse::<usize>().is_ok()))
}

/// Something in a folder that keeps a run from replacing what is there.
#[derive(Debug)]
pub(crate) enum Foreign {
    /// No run has written it.
    Other(String),
    /// Nobody can say what it is.
    Unreadable(String, io::Error),
}

impl Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Foreign::Other(name) => write!(f, "`{name}` is something else; name another folder"),
            Foreign::Unreadable(name, error) => {
                write!(f, "`{name}` cannot be read: {error}; change its permissions, or name another folder")
            }
        }
    }
}

/// Refuses what is in the folder of `--out` if a part of it does not belong to a run.
pub(crate) fn check(folder: &Path) -> Result<(), Foreign> {
    check_within(Folder::Out, folder, "")
}

/// The same for a folder of a run that messages call `shown`.
fn check_within(kind: Folder, folder: &Path, shown: &str) -> Result<(), Foreign> {
    for name in names_in(folder).map_err(|error| Foreign::Unreadable(shown.into(), error))? {
        let path = folder.join(&name);
        let shown = if shown.is_empty() { name.clone() } else { format!("{shown}/{name}") };
        match (kind.within(&name), beginning(&name)) {
            (Some(kind), _) if path.is_dir() => check_within(kind, &path, &shown)?,
            (_, Some((at, text))) => match begins_with(&path, at, text) {
                Ok(true) => {}
                Ok(false) => return Err(Foreign::Other(shown)),
                Err(error) => return Err(Foreign::Unreadable(shown, error)),
            },
            _ => return Err(Foreign::Other(shown)),
        }
    }
    Ok(())
}

/// Whether this is a file with this text at this place.
fn begins_with(path: &Path, at: usize, text: &str) -> io::Result<bool> {
    // A pipe would wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut start = vec![];
    File::open(path)?.take((at + text.len()) as u64).read_to_end(&mut start)?;
    Ok(start.get(at..) == Some(text.as_bytes()))
}

fn beginning(name: &str) -> Option<(usize, &'static str)> {
    BEGINNINGS.iter().find(|(of, ..)| *of == name).map(|(_, at, text)| (*at, *text))
}

/// Whether this has a name that a run gives: it is such a file, or the folder of a seed that holds such files only.
pub(crate) fn has_name_of_a_run(folder: &Path, name: &str) -> bool {
    let holds_files = || names_in(&folder.join(name)).is_ok_and(|names| names.iter().all(|name| is_named(name)));
    let is_named = is_named(name);
    is_named || is_seed(name) && folder.join(name).is_dir() && holds_files()
}

fn is_named(name: &str) -> bool {
    beginning(name).is_some()
}

/// The names in a folder, sorted, without files that other programs are writing.
pub(crate) fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<String>>>()?;
    names.retain(|name| !temporary::is_temporary(name));
    names.sort();
    Ok(names)
}

/// A file of a run, for tests: its beginning, then `text`.
#[cfg(test)]
pub(crate) fn file(name: &str, text: &str) -> Vec<u8> {
    let (at, start) = beginning(name).expect("a run has such a file");
    [vec![b' '; at].as_slice(), start.as_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn what_runs_write_belongs_to_them() {
        let root = root();
        for (folder, name) in [
            ("", SUMMARY),
            ("seed-0", METRICS),
            ("run.new", PARAMS),
            ("run.new-2", METRICS),
            ("run.new/seed-3", SUMMARY),
        ] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join(name), file(name, "")).unwrap();
        }
        check(root.path()).unwrap();
        for name in ["run.new-x", "seed-x", "run.newer", "seed-0/seed-0", "run.new/run.new"] {
            fs::create_dir(root.path().join(name)).unwrap();
            let found = check(root.path()).unwrap_err().to_string();
            assert_eq!(found, format!("`{name}` is something else; name another folder"));
            fs::remove_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("run.new/notes.txt"), "mine").unwrap();
        assert!(check(root.path()).unwrap_err().to_string().contains("`run.new/notes.txt` is something else"));
    }

    #[cfg(unix)]
    #[test]
    fn what_cannot_be_read_is_said_to_be_so() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let assert_unreadable = |root: &Path, name: &str, why: &str| {
            let found = check(root).unwrap_err().to_string();
            let whole = [&*format!("`{name}` cannot be read: {why}"), "change its permissions, or name another folder"];
            assert!(whole.iter().all(|part| found.contains(part)), "{whole:?} is not in: {found}");
        };
        let links = root();
        fs::create_dir(links.path().join("seed-0")).unwrap();
        // The user who may read everything cannot read these either.
        symlink(METRICS, links.path().join("seed-0").join(METRICS)).unwrap();
        assert_unreadable(links.path(), "seed-0/metrics.csv", "Too many levels of symbolic links");
        if cfg!(target_os = "linux") {
            let memory = root();
            symlink("/proc/self/mem", memory.path().join(SUMMARY)).unwrap();
            assert_unreadable(memory.path(), SUMMARY, "Input/output error");
        }
        let modes = root();
        let (out, seed) = (modes.path().join(SUMMARY), modes.path().join("seed-1"));
        fs::write(&out, file(SUMMARY, "")).unwrap();
        fs::create_dir(&seed).unwrap();
        for (path, name) in [(&out, SUMMARY), (&seed, "seed-1")] {
            let before = fs::metadata(path).unwrap().permissions();
            fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
            if File::open(path).is_err() {
                assert_unreadable(modes.path(), name, "Permission denied");
            }
            fs::set_permissions(path, before).unwrap();
            check(modes.path()).unwrap();
        }
    }
}
