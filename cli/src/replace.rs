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
    replace_inside(old, new)
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

/// Replaces the contents of a folder that stays where it is; `new` is within it. Names say how far it came, so that
/// [`finish`] ends what a killed program has begun.
fn replace_inside(old: &Path, new: &Path) -> io::Result<()> {
    let [arriving, leaving, left] = STEPS.map(|name| old.join(name));
    fs::rename(new, &arriving)?;
    let undo = |error| {
        // What cannot be undone is finished by the next run.
        let undone = match left.exists() {
            true => move_all(old, &arriving).and_then(|()| fs::rename(&left, &leaving)),
            false => Ok(()),
        };
        let undone = undone.and_then(|()| if leaving.exists() { move_all(&leaving, old) } else { Ok(()) });
        let _ = undone.and_then(|()| fs::remove_dir(&leaving)).and_then(|()| fs::rename(&arriving, new));
        error
    };
    finish(old).map(drop).map_err(undo)
}

/// Finishes a replacement of a folder's contents, if one was begun; returns whether there was one.
pub(crate) fn finish(folder: &Path) -> io::Result<bool> {
    let [arriving, leaving, left] = STEPS.map(|name| folder.join(name));
    if !arriving.exists() && !left.exists() {
        return Ok(false);
    }
    if arriving.exists() {
        if !left.exists() {
            fs::create_dir(&leaving).or_else(|error| if leaving.is_dir() { Ok(()) } else { Err(error) })?;
            move_all(folder, &leaving)?;
            fs::rename(&leaving, &left)?;
        }
        move_all(&arriving, folder)?;
        fs::remove_dir(&arriving)?;
    }
    // Under a name that anybody may remove.
    let gone = TempFolder::within(folder)?;
    fs::rename(&left, gone.path().join("left"))?;
    Ok(true)
}

/// Moves everything but temporary files from one folder to another; on failure, nothing.
fn move_all(from: &Path, to: &Path) -> io::Result<()> {
    let names = crate::run_folder::names_in(from)?;
    for (i, name) in names.iter().enumerate() {
        if let Err(error) = fs::rename(from.join(name), to.join(name)) {
            names[..i].iter().for_each(|name| drop(fs::rename(to.join(name), from.join(name))));
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(crate::run_folder::names_in(&old).unwrap(), ["run.json"]);
        }
    }

    #[test]
    fn where_it_cannot_be_replaced_it_is_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| root.path().join(name));
        fs::create_dir_all(old.join("seed-0")).unwrap();
        assert!(replace(&old, &new, true).is_err() && replace(&old, &new, false).is_err());
        assert_eq!(crate::run_folder::names_in(&old).unwrap(), ["seed-0"]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    /// Wherever a program is killed, the next run has the new contents, whole.
    #[test]
    fn what_was_begun_is_finished() {
        for killed in 0..8 {
            let root = tempfile::tempdir().unwrap();
            let [arriving, leaving, left] = STEPS.map(|name| root.path().join(name));
            let file = |folder: &Path, name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
            let moved = |from: &Path, to: &Path, name: &str| fs::rename(from.join(name), to.join(name)).unwrap();
            fs::create_dir(&arriving).unwrap();
            ["a", "b"].iter().for_each(|name| file(root.path(), name, "old"));
            ["b", "c"].iter().for_each(|name| file(&arriving, name, "new"));
            let steps: [&dyn Fn(); 7] = [
                &|| fs::create_dir(&leaving).unwrap(),
                &|| moved(root.path(), &leaving, "a"),
                &|| moved(root.path(), &leaving, "b"),
                &|| fs::rename(&leaving, &left).unwrap(),
                &|| moved(&arriving, root.path(), "b"),
                &|| moved(&arriving, root.path(), "c"),
                &|| fs::remove_dir(&arriving).unwrap(),
            ];
            steps[..killed].iter().for_each(|step| step());
            crate::temporary::clean(root.path());
            assert!(finish(root.path()).unwrap(), "{killed}");
            let names: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names.len(), 2, "{killed}: {names:?}");
            for name in ["b", "c"] {
                assert_eq!(fs::read(root.path().join(name)).unwrap(), b"new", "{killed}");
            }
            assert!(!finish(root.path()).unwrap());
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
