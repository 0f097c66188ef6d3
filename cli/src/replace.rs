//! Replacing a folder by another.

use crate::temporary::{STEPS, TempFolder};
use std::fs;
use std::io;
use std::path::Path;

/// Replaces the contents of `old` by those of `new`; the old contents are then in `new`, or removed. On failure both
/// stay as they are. The folder keeps its mode and its group.
pub(crate) fn replace(old: &Path, new: &Path, by_name: bool) -> io::Result<()> {
    if by_name {
        inherit(old, new);
        if exchange(new, old).is_ok() {
            return Ok(());
        }
    }
    replace_inside(old, new, &mut |from, to| fs::rename(from, to))
}

/// Whether the folder can be renamed: a mount point cannot, and the working directory should not be.
pub(crate) fn can_be_renamed(folder: &Path) -> bool {
    let is_stood_in = fs::canonicalize(".").is_ok_and(|here| here.starts_with(folder));
    folder.parent().is_some_and(|parent| !is_stood_in && !is_mounted(folder, parent))
}

#[cfg(unix)]
fn is_mounted(folder: &Path, parent: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
    device(folder) != device(parent) || is_root_of_mount(folder)
}

#[cfg(not(unix))]
fn is_mounted(_: &Path, _: &Path) -> bool {
    false
}

/// Whether the folder is a mount point; it may be mounted on a folder of the same device.
#[cfg(target_os = "linux")]
fn is_root_of_mount(folder: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    statx(CWD, folder, AtFlags::empty(), StatxFlags::empty())
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(all(unix, not(target_os = "linux")))]
fn is_root_of_mount(_: &Path) -> bool {
    false
}

/// Gives `new` the mode and the group of `old`, as far as this user may.
fn inherit(old: &Path, new: &Path) {
    let Ok(metadata) = fs::metadata(old) else { return };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let _ = std::os::unix::fs::chown(new, None, Some(metadata.gid()));
    }
    let _ = fs::set_permissions(new, metadata.permissions());
}

/// Swaps the names of two folders, in one step if the system can.
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

/// Gives a file or folder another name; the tests have one that stops working, as a killed program does.
type Rename<'a> = &'a mut dyn FnMut(&Path, &Path) -> io::Result<()>;

/// Replaces the contents of a folder that stays where it is; `new` is within it. Names say how far it came, so that
/// [`finish`] ends what a killed program has begun.
fn replace_inside(old: &Path, new: &Path, rename: Rename<'_>) -> io::Result<()> {
    let [arriving, leaving, left] = STEPS.map(|name| old.join(name));
    rename(new, &arriving)?;
    let Err(error) = finish_by(old, rename) else { return Ok(()) };
    // What cannot be undone is finished by the next run.
    let mut undo = || {
        if left.exists() {
            move_all(old, &arriving, rename)?;
            rename(&left, &leaving)?;
        }
        if leaving.exists() {
            move_all(&leaving, old, rename)?;
            fs::remove_dir(&leaving)?;
        }
        rename(&arriving, new)
    };
    let _ = undo();
    Err(error)
}

/// Finishes a replacement of a folder's contents, if one was begun; returns whether there was one.
pub(crate) fn finish(folder: &Path) -> io::Result<bool> {
    finish_by(folder, &mut |from, to| fs::rename(from, to))
}

fn finish_by(folder: &Path, rename: Rename<'_>) -> io::Result<bool> {
    let [arriving, leaving, left] = STEPS.map(|name| folder.join(name));
    if !arriving.exists() && !left.exists() {
        return Ok(false);
    }
    if arriving.exists() {
        if !left.exists() {
            fs::create_dir(&leaving).or_else(|error| if leaving.is_dir() { Ok(()) } else { Err(error) })?;
            move_all(folder, &leaving, rename)?;
            rename(&leaving, &left)?;
        }
        move_all(&arriving, folder, rename)?;
        fs::remove_dir(&arriving)?;
    }
    // Under a name that anybody may remove.
    let gone = TempFolder::within(folder)?;
    rename(&left, &gone.path().join("left"))?;
    Ok(true)
}

/// Moves everything but temporary files from one folder to another; on failure, nothing.
fn move_all(from: &Path, to: &Path, rename: Rename<'_>) -> io::Result<()> {
    let names = crate::run_contents::names_in(from)?;
    for (i, name) in names.iter().enumerate() {
        if let Err(error) = rename(&from.join(name), &to.join(name)) {
            names[..i].iter().for_each(|name| drop(rename(&to.join(name), &from.join(name))));
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_folder_is_replaced_by_name_and_inside() {
        for by_name in [true, false] {
            let root = tempfile::tempdir().unwrap();
            let old = root.path().join("old");
            let new = if by_name { root.path().join("new") } else { old.join(".gavotte-new") };
            fs::create_dir_all(old.join("seed-0")).unwrap();
            fs::create_dir(&new).unwrap();
            fs::write(new.join("run.json"), "new").unwrap();
            replace(&old, &new, by_name).unwrap();
            assert_eq!(crate::run_contents::names_in(&old).unwrap(), ["run.json"]);
        }
    }

    #[test]
    fn where_it_cannot_be_replaced_it_is_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| root.path().join(name));
        fs::create_dir_all(old.join("seed-0")).unwrap();
        assert!(replace(&old, &new, true).is_err() && replace(&old, &new, false).is_err());
        assert_eq!(crate::run_contents::names_in(&old).unwrap(), ["seed-0"]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    /// A folder with the files `a` and `b`, in which `b` and `c` are to replace them; and where these are.
    fn begun(root: &Path) -> PathBuf {
        let new = root.join(".gavotte-new");
        fs::create_dir(&new).unwrap();
        ["a", "b"].iter().for_each(|name| fs::write(root.join(name), "old").unwrap());
        ["b", "c"].iter().for_each(|name| fs::write(new.join(name), "new").unwrap());
        new
    }

    /// The names in a folder, and what is in all of them.
    fn found(root: &Path) -> (Vec<String>, String) {
        let mut names: Vec<String> =
            fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let mut texts: Vec<String> = names.iter().map(|name| fs::read_to_string(root.join(name)).unwrap()).collect();
        texts.dedup();
        (names, texts.concat())
    }

    /// Wherever a program is killed, the next run finds the old contents or the new ones, whole.
    #[test]
    fn what_was_begun_is_finished() {
        let (mut outcomes, mut most) = (vec![], 0);
        for allowed in 0.. {
            let root = tempfile::tempdir().unwrap();
            let new = begun(root.path());
            let mut done = 0;
            let mut until_killed = |from: &Path, to: &Path| {
                done += 1;
                if done > allowed { Err(io::Error::other("killed")) } else { fs::rename(from, to) }
            };
            let is_killed = replace_inside(root.path(), &new, &mut until_killed).is_err();
            crate::temporary::clean(root.path());
            finish(root.path()).unwrap();
            let (names, text) = found(root.path());
            let is_whole = [(vec!["a", "b"], "old"), (vec!["b", "c"], "new")]
                .contains(&(names.iter().map(|name| &**name).collect(), &*text));
            assert!(is_whole, "killed after {allowed} renames: {names:?}: {text}");
            assert!(!finish(root.path()).unwrap());
            outcomes.push(text);
            most = allowed;
            if !is_killed {
                break;
            }
        }
        assert!(most > 5 && outcomes[0] == "old" && outcomes[1] == "new", "{outcomes:?}");
    }

    /// One step that fails is undone.
    #[test]
    fn what_fails_changes_nothing() {
        for failing in 0..6 {
            let root = tempfile::tempdir().unwrap();
            let new = begun(root.path());
            let mut done = 0;
            let mut rename = |from: &Path, to: &Path| {
                done += 1;
                if done == failing + 1 { Err(io::Error::other("no")) } else { fs::rename(from, to) }
            };
            assert!(replace_inside(root.path(), &new, &mut rename).is_err(), "{failing}");
            assert_eq!(found(&new), (vec!["b".into(), "c".into()], "new".into()), "{failing}");
            fs::remove_dir_all(&new).unwrap();
            assert_eq!(found(root.path()), (vec!["a".into(), "b".into()], "old".into()), "{failing}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_mode_is_kept() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| root.path().join(name));
        [&old, &new].iter().for_each(|folder| fs::create_dir(folder).unwrap());
        for mode in [0o700, 0o2775, 0o1777] {
            fs::set_permissions(&old, fs::Permissions::from_mode(mode)).unwrap();
            replace(&old, &new, true).unwrap();
            assert_eq!(fs::metadata(&old).unwrap().permissions().mode() & 0o7777, mode);
        }
    }

    #[test]
    fn where_one_stands_the_name_stays() {
        let here = fs::canonicalize(".").unwrap();
        assert!(!can_be_renamed(&here) && !can_be_renamed(Path::new("/")));
        #[cfg(target_os = "linux")]
        assert!(!can_be_renamed(Path::new("/proc")));
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("out")).unwrap();
        assert!(can_be_renamed(&root.path().join("out")));
    }
}
