//! Files and folders that are gone unless they get a name, and what killed programs have left of such.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use tempfile::{Builder, NamedTempFile, TempDir};

const PREFIX: &str = ".gavotte-";

/// A file in `folder` that is gone unless it gets a name. It is locked while it is used.
pub(crate) fn file_in(folder: &Path) -> io::Result<NamedTempFile> {
    undisturbed(folder, || {
        let file = builder(0o666).tempfile_in(folder)?;
        hold(file.as_file());
        Ok(file)
    })
}

/// A folder in `folder` that is gone unless it gets a name. It is locked while it is used.
pub(crate) struct TempFolder {
    pub(crate) dir: TempDir,
    _held: Option<File>,
}

impl TempFolder {
    pub(crate) fn within(folder: &Path) -> io::Result<TempFolder> {
        undisturbed(folder, || {
            let dir = builder(0o777).tempdir_in(folder)?;
            let held = File::open(dir.path()).ok();
            held.iter().for_each(hold);
            Ok(TempFolder { dir, _held: held })
        })
    }
}

/// Whether something of this name is one of ours, in use or left behind.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Removes what programs that were killed have left in `folder`: nobody holds the lock of that any more. What cannot be
/// locked or removed stays.
pub(crate) fn clean(folder: &Path) {
    // Nobody makes something here before the end of this function.
    let Ok(whole) = File::open(folder) else { return };
    if whole.try_lock().is_err() {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_temporary(&entry.file_name().to_string_lossy()) {
            remove_leftover(&entry.path());
        }
    }
}

fn remove_leftover(path: &Path) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if !(metadata.is_dir() || metadata.is_file()) {
        return;
    }
    let Ok(held) = File::open(path) else { return };
    if held.try_lock().is_ok() {
        let _ = if metadata.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

/// Makes something in `folder` while nobody cleans it.
fn undisturbed<T>(folder: &Path, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    // Where folders cannot be locked, they are not cleaned either.
    let whole = File::open(folder).ok();
    whole.iter().for_each(|whole| drop(whole.lock_shared()));
    make()
}

/// Locks what was just made until it is closed, as it is when the program is killed. Others may lock it so, too: making
/// something in a folder does.
fn hold(made: &File) {
    // Without the lock it may count as left behind; better that than no file at all.
    let _ = made.try_lock_shared();
}

/// With what any program's files may be used for; the user's mask takes away from it.
fn builder(mode: u32) -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_uses_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let (file, folder) = (file_in(root.path()).unwrap(), TempFolder::within(root.path()).unwrap());
        fs::write(root.path().join(".gavotte-left"), "half").unwrap();
        fs::create_dir_all(root.path().join(".gavotte-left-folder/seed-0")).unwrap();
        fs::write(root.path().join("mine"), "").unwrap();
        clean(root.path());
        assert!(file.path().exists() && folder.dir.path().exists() && root.path().join("mine").exists());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3);
        drop((file, folder));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
