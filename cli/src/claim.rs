//! Locks on folders: one run at a time writes to a folder.

use crate::temporary::{self, Made};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The run that writes to the folder holds this file's lock. A file without a lock is left over from a killed program.
const LOCK: &str = ".gavotte-lock";

/// A folder that no other run may claim before this is dropped.
pub(crate) struct Claim {
    path: PathBuf,
    held: File,
    _made: Made,
}

impl Claim {
    /// Claims the folder; returns `None` if another run has claimed it.
    pub(crate) fn of(folder: &Path) -> io::Result<Option<Claim>> {
        let path = folder.join(LOCK);
        // Until the file is locked, nobody may take it for a leftover, and no signal may leave it behind.
        temporary::undisturbed(folder, |made| {
            loop {
                let held = opened(&path)?;
                match held.try_lock() {
                    Err(TryLockError::WouldBlock) => return Ok(None),
                    // Where files cannot be locked, runs are not protected from each other.
                    Ok(()) | Err(TryLockError::Error(_)) => {}
                }
                // The previous holder of the lock may have removed the file before this run locked it.
                if is_at(&held, &path) {
                    let _made = temporary::enter(made, path.clone(), true);
                    return Ok(Some(Claim { held, path, _made }));
                }
            }
        })
    }
}

impl Drop for Claim {
    /// Removes the file, unless it is another run's: the folder may have been replaced.
    fn drop(&mut self) {
        if is_at(&self.held, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens the file to lock, and creates it if it does not exist. Neither follows a link nor blocks on a pipe.
fn opened(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    }
    options.open(path)
}

/// Whether `path` names this very file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (held, there) = (file.metadata().map(identity), fs::symlink_metadata(path).map(identity));
    matches!((held, there), (Ok(held), Ok(there)) if held == there)
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_claims_a_folder_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        // The leftover of a killed program.
        fs::write(root.path().join(LOCK), "").unwrap();
        let first = Claim::of(root.path()).unwrap().expect("nobody holds it");
        temporary::clean(root.path());
        assert!(Claim::of(root.path()).unwrap().is_none());
        drop(first);
        assert!(!root.path().join(LOCK).exists());
        assert!(Claim::of(root.path()).unwrap().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("mine"), "kept").unwrap();
        std::os::unix::fs::symlink("mine", root.path().join(LOCK)).unwrap();
        assert!(Claim::of(root.path()).is_err());
        assert_eq!(fs::read(root.path().join("mine")).unwrap(), b"kept");
        fs::remove_file(root.path().join(LOCK)).unwrap();
        fs::create_dir(root.path().join(LOCK)).unwrap();
        assert!(Claim::of(root.path()).is_err());
    }

    /// Of any number of runs that ask at once, one gets the folder, also while another releases it.
    #[test]
    fn of_many_at_once_one_has_it() {
        let root = tempfile::tempdir().unwrap();
        let holders = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Some(claim) = Claim::of(root.path()).unwrap() else { continue };
                        assert_eq!(holders.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        holders.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(claim);
                    }
                });
            }
        });
    }
}
