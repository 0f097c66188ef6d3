//! Temporary files and folders, which are removed unless they get a name: a program that a signal ends removes its own,
//! and the next program removes what a killed one has left.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tempfile::{Builder, NamedTempFile, TempDir};

const PREFIX: &str = ".gavotte-";
/// Names within a folder whose contents are being replaced: those that arrive, those that leave, and those that all have
/// left. No run takes them for leftovers: the next one finishes the replacement.
pub(crate) const STEPS: [&str; 3] = [".gavotte-arriving", ".gavotte-leaving", ".gavotte-left"];

/// What this process has made, in order, and removes if a signal ends it.
static MADE: Mutex<Vec<Entry>> = Mutex::new(vec![]);
/// Held during several steps that belong together: no signal ends the program between them.
static TOGETHER: Mutex<()> = Mutex::new(());

/// A file or folder that this process has made.
#[derive(PartialEq)]
pub(crate) struct Entry {
    path: PathBuf,
    /// Whether a folder is removed with its contents; otherwise it is removed only if it is empty.
    whole: bool,
}

/// Something that is removed if a signal ends the program, until this is dropped.
pub(crate) struct Made(PathBuf);

impl Made {
    /// Makes a folder, which is removed if it is empty.
    pub(crate) fn folder(path: PathBuf) -> io::Result<Made> {
        let mut made = made();
        fs::create_dir(&path)?;
        Ok(enter(&mut made, path, false))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let mut made = made();
        if let Some(at) = made.iter().rposition(|entry| entry.path == self.0) {
            made.remove(at);
        }
    }
}

/// Registers what was just made: a file, a folder that is removed as a `whole`, or one that is removed if it is empty.
pub(crate) fn enter(made: &mut Vec<Entry>, path: PathBuf, whole: bool) -> Made {
    made.push(Entry { path: path.clone(), whole });
    Made(path)
}

fn made() -> MutexGuard<'static, Vec<Entry>> {
    MADE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Steps that belong together: until the guard is dropped, no signal ends the program.
pub(crate) fn together() -> MutexGuard<'static, ()> {
    TOGETHER.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Removes what this process has made, the last first. Nothing is made while the guards are held.
pub(crate) fn remove_all() -> impl Sized {
    let together = together();
    let mut made = made();
    remove(&mut made);
    (together, made)
}

/// [`remove_all`] for a thread that may itself hold a lock: if the locks are not free within this time, everything
/// stays.
pub(crate) fn try_remove_all(patience: Duration) -> Option<impl Sized> {
    let start = Instant::now();
    loop {
        if let (Ok(together), Ok(mut made)) = (TOGETHER.try_lock(), MADE.try_lock()) {
            remove(&mut made);
            return Some((together, made));
        }
        if start.elapsed() > patience {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn remove(made: &mut Vec<Entry>) {
    while let Some(Entry { path, whole }) = made.pop() {
        let is_folder = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
        // What cannot be removed stays.
        let _ = match (is_folder, whole) {
            (true, true) => fs::remove_dir_all(&path),
            (true, false) => fs::remove_dir(&path),
            _ => fs::remove_file(&path),
        };
    }
}

/// A file that is removed unless it gets a name. It is locked while it is in use.
pub(crate) struct TempFile {
    file: NamedTempFile,
    _made: Made,
}

impl TempFile {
    /// Makes one in `folder`.
    pub(crate) fn within(folder: &Path) -> io::Result<TempFile> {
        undisturbed(folder, |made| {
            let file = builder(0o666).tempfile_in(folder)?;
            hold(file.as_file());
            Ok(TempFile { _made: enter(made, file.path().into(), true), file })
        })
    }

    /// Writes its contents.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Through the file itself: errors of its wrapper name a file that the user does not know.
        self.file.as_file_mut().write_all(bytes)?;
        self.file.as_file().sync_all()
    }

    /// Gives it a name; an existing file of that name is replaced.
    pub(crate) fn replace(self, path: &Path) -> io::Result<()> {
        self.file.persist(path).map(drop::<File>).map_err(|error| error.error)
    }

    /// Gives it a name that is not in use.
    pub(crate) fn name(self, path: &Path) -> io::Result<()> {
        self.file.persist_noclobber(path).map(drop::<File>).map_err(|error| error.error)
    }
}

/// A folder that is removed unless it gets a name. It is locked while it is in use.
pub(crate) struct TempFolder {
    dir: TempDir,
    _held: Option<File>,
    _made: Made,
}

impl TempFolder {
    /// Makes one in `folder`.
    pub(crate) fn within(folder: &Path) -> io::Result<TempFolder> {
        undisturbed(folder, |made| {
            let dir = builder(0o777).tempdir_in(folder)?;
            let held = File::open(dir.path()).ok();
            held.iter().for_each(hold);
            Ok(TempFolder { _made: enter(made, dir.path().into(), true), dir, _held: held })
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Gives it the first of these names that is free, keeps it, and returns its name.
    pub(crate) fn name(self, choices: &[PathBuf]) -> PathBuf {
        let own = self.dir.keep();
        let name = choices.iter().find(|path| fs::rename(&own, path).is_ok());
        name.cloned().unwrap_or(own)
    }
}

/// Whether this is the name of a temporary file of this program, in use or left over.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Removes the leftovers of killed programs in `folder`, whose locks nobody holds. What cannot be locked or removed
/// stays.
pub(crate) fn clean(folder: &Path) {
    // Nobody makes a temporary file here before the end of this function.
    let Ok(whole) = File::open(folder) else { return };
    if whole.try_lock().is_err() {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if is_temporary(&name.to_string_lossy()) && !STEPS.contains(&&*name.to_string_lossy()) {
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

/// Makes something in `folder` while nobody cleans it and no signal ends the program.
pub(crate) fn undisturbed<T>(folder: &Path, make: impl FnOnce(&mut Vec<Entry>) -> io::Result<T>) -> io::Result<T> {
    // Where folders cannot be locked, they are not cleaned either.
    let whole = File::open(folder).ok();
    whole.iter().for_each(|whole| drop(whole.lock_shared()));
    make(&mut made()).map_err(without_path)
}

/// The system's error alone, without the name of a file that the user does not know: `tempfile` adds it to the text.
fn without_path(error: io::Error) -> io::Error {
    match error.to_string().split_once(" at path \"") {
        Some((why, _)) => io::Error::new(error.kind(), why),
        None => error,
    }
}

/// Locks what was just made until it is closed, which also happens when the program is killed. The lock is shared:
/// making something in a folder takes it, too.
fn hold(made: &File) {
    // Without the lock it may be taken for a leftover, which is better than no file at all.
    let _ = made.try_lock_shared();
}

/// With the default permissions of files, less the user's mask.
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
    fn errors_name_no_file_of_ours() {
        let root = tempfile::tempdir().unwrap();
        let nowhere = root.path().join("nowhere");
        for error in [TempFile::within(&nowhere).err(), TempFolder::within(&nowhere).err()] {
            let error = error.unwrap();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            assert!(!error.to_string().contains("nowhere"), "{error}");
        }
    }

    #[test]
    fn only_what_nobody_uses_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let (file, folder) = (TempFile::within(root.path()).unwrap(), TempFolder::within(root.path()).unwrap());
        fs::write(root.path().join(".gavotte-half"), "half").unwrap();
        fs::create_dir_all(root.path().join(".gavotte-half-folder/seed-0")).unwrap();
        fs::write(root.path().join("mine"), "").unwrap();
        clean(root.path());
        assert!(file.file.path().exists() && folder.path().exists() && root.path().join("mine").exists());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3);
        drop((file, folder));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
