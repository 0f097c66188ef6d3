//! The folder that a training is written to. Its files belong together: they are all of one command.

use crate::failure::Failure;
use crate::layout::listed;
use crate::output::{cannot_write, write_whole};
use crate::temporary::{self, TempFolder};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The files of a run.
pub(crate) const PARAMS: &str = "params.safetensors";
/// The history of a run.
pub(crate) const METRICS: &str = "metrics.csv";
/// Settings and figures, of a run or of all runs of a command.
pub(crate) const SUMMARY: &str = "run.json";

/// The folder of the run with this seed, where a command has several.
pub(crate) fn below(seed: u64) -> String {
    format!("{SEED}{seed}")
}

const SEED: &str = "seed-";

/// A folder that is there and can be written to.
pub(crate) struct RunFolder {
    path: PathBuf,
    /// What was made for it, outermost first.
    made: Vec<PathBuf>,
    /// Where files are until they take the place of the run that is there.
    stage: Option<TempFolder>,
}

impl RunFolder {
    /// Makes the folder where it is not there, and tries whether files can be written to it. One that holds a run is
    /// refused, or, with `overwrite`, replaced by [`publish`](Self::publish).
    pub(crate) fn prepare(path: &Path, overwrite: bool) -> Result<RunFolder, Failure> {
        let fail = |why: String| {
            Failure::input(format!(
                "--out {}: {why}; name a folder that you may write to, or one that can be made",
                path.display()
            ))
        };
        let mut folder = RunFolder { path: path.into(), made: vec![], stage: None };
        let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        for missing in missing.map(PathBuf::from).collect::<Vec<_>>().into_iter().rev() {
            match fs::create_dir(&missing) {
                Ok(()) => folder.made.push(missing),
                // Another program was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(fail(format!("cannot make the folder: {error}"))),
            }
        }
        if !path.is_dir() {
            return Err(fail("it is no folder".into()));
        }
        temporary::clean(path);
        let names = names_in(path).map_err(|error| fail(format!("cannot look into it: {error}")))?;
        if names.is_empty() {
            temporary::file_in(path).map_err(|error| fail(format!("cannot write to it: {error}")))?;
            return Ok(folder);
        }
        let refuse = |why: String| Failure::input(format!("--out {}: {why}", path.display()));
        if !overwrite {
            let names = listed(names.iter().map(|name| format!("`{name}`")), 3);
            return Err(refuse(format!(
                "there is something in it: {names}; name another folder, or say --overwrite to replace the run in it"
            )));
        }
        if let Some(name) = names.iter().find(|name| !is_of_a_run(path, name)) {
            return Err(refuse(format!(
                "--overwrite replaces a run with all its files, and `{name}` is none of them; name another folder"
            )));
        }
        folder.path = fs::canonicalize(path).map_err(|error| fail(format!("cannot find it: {error}")))?;
        let beside = folder.path.parent().ok_or_else(|| refuse("it cannot be replaced".into()))?;
        temporary::clean(beside);
        let stage = TempFolder::within(beside)
            .map_err(|error| refuse(format!("cannot make the folder that is to replace it beside it: {error}")))?;
        folder.stage = Some(stage);
        Ok(folder)
    }

    /// Writes files to the folder `below` in it, or, where that is empty, to itself: all of them, or none.
    pub(crate) fn write(&self, below: &str, files: &[(&str, &[u8])]) -> Result<(), Failure> {
        let root = self.stage.as_ref().map_or(self.path.as_path(), |stage| stage.dir.path());
        let folder = if below.is_empty() { root.to_path_buf() } else { root.join(below) };
        let shown = |name: &str| self.path.join(below).join(name);
        fs::create_dir_all(&folder).map_err(|error| cannot_write(&shown(""), &error))?;
        for (i, (name, bytes)) in files.iter().enumerate() {
            if let Err(error) = write_whole(&folder, &folder.join(name), bytes) {
                files[..i].iter().for_each(|(name, _)| drop(fs::remove_file(folder.join(name))));
                let _ = if below.is_empty() { Ok(()) } else { fs::remove_dir(&folder) };
                return Err(cannot_write(&shown(name), &error));
            }
        }
        Ok(())
    }

    /// Puts what was written in the place of the run that was there.
    pub(crate) fn publish(mut self) -> Result<(), Failure> {
        let Some(stage) = self.stage.take() else { return Ok(()) };
        if names_in(stage.dir.path()).is_ok_and(|names| names.is_empty()) {
            return Ok(());
        }
        match exchange(stage.dir.path(), &self.path) {
            // The old run is in the temporary folder now, and goes with it.
            Ok(()) => Ok(()),
            Err(error) => {
                let new = stage.dir.keep();
                Err(Failure::Run(format!(
                    "cannot replace {}: {error}; the new run is in {}",
                    self.path.display(),
                    new.display()
                )))
            }
        }
    }
}

impl Drop for RunFolder {
    /// A folder that was made for files that were never written goes again.
    fn drop(&mut self) {
        // Only empty folders can be removed so.
        self.made.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

/// Gives each of two folders the other's name, in one step where the system can.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        if renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).is_ok() {
            return Ok(());
        }
    }
    let aside = other.with_extension(format!("replaced-{}", std::process::id()));
    fs::rename(other, &aside)?;
    if let Err(error) = fs::rename(one, other) {
        fs::rename(&aside, other)?;
        return Err(error);
    }
    fs::rename(&aside, one)
}

/// The names of what is in a folder, in order; without what other programs are writing.
fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<String>>>()?;
    names.retain(|name| !temporary::is_temporary(name));
    names.sort();
    Ok(names)
}

/// Whether this is a file that a training writes, or a folder of nothing else.
fn is_of_a_run(folder: &Path, name: &str) -> bool {
    let path = folder.join(name);
    let is_file = |path: &Path, name: &str| [PARAMS, METRICS, SUMMARY].contains(&name) && path.is_file();
    let is_seed = name.strip_prefix(SEED).is_some_and(|seed| seed.parse::<u64>().is_ok());
    let holds_files = || names_in(&path).is_ok_and(|names| names.iter().all(|name| is_file(&path.join(name), name)));
    is_file(&path, name) || is_seed && path.is_dir() && holds_files()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_refused(path: &Path, overwrite: bool, parts: &[&str]) {
        let Err(Failure::Input(message)) = RunFolder::prepare(path, overwrite) else {
            panic!("{path:?} was accepted");
        };
        for part in parts.iter().chain(&["--out"]) {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }

    #[test]
    fn a_folder_without_files_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        drop(RunFolder::prepare(&root.path().join("a/b"), false).unwrap());
        assert!(!root.path().join("a").exists());
        let folder = RunFolder::prepare(&root.path().join("a/b"), false).unwrap();
        folder.write("", &[(SUMMARY, b"1")]).unwrap();
        folder.publish().unwrap();
        assert_eq!(fs::read(root.path().join("a/b").join(SUMMARY)).unwrap(), b"1");
        assert_eq!(fs::read_dir(root.path().join("a/b")).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        assert_refused(&root.path().join("file"), false, &["no folder"]);
        assert_refused(&root.path().join("file/below"), false, &["cannot make the folder"]);
        assert_refused(root.path(), false, &["`file`", "--overwrite"]);
        assert_refused(root.path(), true, &["`file` is none of them"]);
        fs::create_dir_all(root.path().join("run/seed-1/deeper")).unwrap();
        assert_refused(&root.path().join("run"), true, &["`seed-1` is none of them"]);
    }

    #[test]
    fn a_run_is_replaced_as_a_whole() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        let old = RunFolder::prepare(&out, false).unwrap();
        old.write("seed-0", &[(PARAMS, b"old"), (METRICS, b"old")]).unwrap();
        old.write("", &[(SUMMARY, b"old")]).unwrap();
        old.publish().unwrap();
        let new = RunFolder::prepare(&out, true).unwrap();
        new.write("", &[(PARAMS, b"new")]).unwrap();
        // Until the end the old run is what it was.
        assert_eq!(names_in(&out).unwrap(), [SUMMARY, "seed-0"]);
        new.publish().unwrap();
        assert_eq!(names_in(&out).unwrap(), [PARAMS]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
        // A run of which nothing was written replaces nothing.
        RunFolder::prepare(&out, true).unwrap().publish().unwrap();
        drop(RunFolder::prepare(&out, true).unwrap());
        assert_eq!(names_in(&out).unwrap(), [PARAMS]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_files_that_belong_together_none_stays_alone() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        let folder = RunFolder::prepare(&out, false).unwrap();
        fs::create_dir(out.join(METRICS)).unwrap();
        assert!(folder.write("", &[(PARAMS, b"1"), (METRICS, b"2")]).is_err());
        assert_eq!(names_in(&out).unwrap(), [METRICS]);
    }

    #[test]
    fn folders_made_by_several_at_once_are_no_error() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("a/b/c");
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| RunFolder::prepare(&out, false).expect("it can be made"))).collect();
            // None is dropped, and so none removed, before all are there.
            let folders: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert!(folders.iter().all(|folder| folder.write("", &[(SUMMARY, b"1")]).is_ok()));
        });
    }
}
