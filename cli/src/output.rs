//! The folder that a run is written to, and files of their own. Every file is written whole or not at all.

use crate::failure::Failure;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A folder that is there and can be written to.
pub(crate) struct Folder {
    path: PathBuf,
    /// What was made for it, outermost first.
    made: Vec<PathBuf>,
}

impl Folder {
    /// Makes the folder where it is not there, and tries whether `files` can be written to it.
    pub(crate) fn prepare(path: &Path, files: &[&str]) -> Result<Folder, Failure> {
        let fail = |why: String| {
            Failure::input(format!(
                "--out {}: {why}; name a folder that you may write to, or one that can be made",
                path.display()
            ))
        };
        let missing: Vec<PathBuf> = path
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .map(PathBuf::from)
            .collect();
        let mut folder = Folder { path: path.into(), made: vec![] };
        for missing in missing.into_iter().rev() {
            fs::create_dir(&missing).map_err(|error| fail(format!("cannot make the folder: {error}")))?;
            folder.made.push(missing);
        }
        if !path.is_dir() {
            return Err(fail("it is no folder".into()));
        }
        if let Some(file) = files.iter().find(|file| path.join(file).is_dir()) {
            return Err(fail(format!("`{file}` in it is a folder, and a file of that name is to be written")));
        }
        temporary(path).map_err(|error| fail(format!("cannot write to it: {error}")))?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file; one that is there is replaced.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        write_whole(&self.path, &self.path.join(name), bytes)
    }
}

/// A file that can be written.
pub(crate) struct OutFile {
    path: PathBuf,
    folder: PathBuf,
}

impl OutFile {
    /// Tries whether the file that `option` names can be written, and leaves it as it is.
    pub(crate) fn prepare(option: &str, path: &Path) -> Result<OutFile, Failure> {
        let fail = |why: String| {
            Failure::input(format!("{option} {}: {why}; name a file in a folder that you may write to", path.display()))
        };
        if path.is_dir() {
            return Err(fail("it is a folder".into()));
        }
        let Some(folder) = path.file_name().and(path.parent()) else { return Err(fail("it has no name".into())) };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        temporary(folder).map_err(|error| fail(format!("cannot write to its folder: {error}")))?;
        Ok(OutFile { path: path.into(), folder: folder.into() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file; one that is there is replaced.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        write_whole(&self.folder, &self.path, bytes)
    }
}

fn write_whole(folder: &Path, target: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || {
        let mut file = temporary(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(target).map_err(|error| error.error)
    };
    match write() {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::Run(format!("cannot write {}: {error}", target.display()))),
    }
}

/// A file in the folder that is gone unless it gets a name.
fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gavotte-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What any program's files have; the user's mask takes away from it.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

impl Drop for Folder {
    /// A folder that was made for files that were never written goes again.
    fn drop(&mut self) {
        // Only empty folders can be removed so.
        self.made.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_files_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        drop(Folder::prepare(&root.path().join("a/b"), &[]).unwrap());
        assert!(!root.path().join("a").exists());
        let folder = Folder::prepare(&root.path().join("a/b"), &[]).unwrap();
        folder.write("x", b"1").unwrap();
        folder.write("x", b"2").unwrap();
        drop(folder);
        assert_eq!(fs::read(root.path().join("a/b/x")).unwrap(), b"2");
        assert_eq!(fs::read_dir(root.path().join("a/b")).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        fs::create_dir(root.path().join("run.json")).unwrap();
        for (path, files) in [("file", &[][..]), ("file/below", &[]), ("", &["run.json"])] {
            let path = root.path().join(path);
            let Err(Failure::Input(message)) = Folder::prepare(&path, files) else { panic!("{path:?} was accepted") };
            assert!(message.contains("--out"), "{message}");
        }
    }
}
