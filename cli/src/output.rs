//! Output files: each is written whole or not at all.

use crate::failure::Failure;
use crate::temporary::{self, TempFile};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// An output file that has been found writable.
pub(crate) struct OutFile {
    /// Its path as the user gave it.
    path: PathBuf,
    target: Target,
}

enum Target {
    /// A file, which may not exist yet: it is replaced as a whole. If the path is a link, this is its target.
    File { folder: PathBuf, path: PathBuf },
    /// A device, a pipe or a socket, which cannot be replaced: it is written to.
    Special,
}

impl OutFile {
    /// Checks that the file that `option` names can be written, and leaves it as it is.
    pub(crate) fn prepare(option: &str, path: &Path) -> Result<OutFile, Failure> {
        let fail = |why: String| {
            Failure::input(format!("{option} {}: {why}; name a file in a folder that you may write to", path.display()))
        };
        let path_of = |target| OutFile { path: path.into(), target };
        let found = match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(fail("it is a folder".into())),
            Ok(found) if !found.is_file() => return Ok(path_of(Target::Special)),
            Ok(_) => fs::canonicalize(path).map_err(|error| fail(format!("cannot find it: {error}")))?,
            Err(_) => path.into(),
        };
        let Some(folder) = found.file_name().and(found.parent()) else { return Err(fail("it has no name".into())) };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        TempFile::within(folder).map_err(|error| fail(format!("cannot write to its folder: {error}")))?;
        temporary::clean(folder);
        Ok(path_of(Target::File { folder: folder.into(), path: found }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file; an existing one is replaced.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match &self.target {
            Target::File { folder, path } => TempFile::within(folder).and_then(|mut file| {
                file.write(bytes)?;
                file.replace(path)
            }),
            Target::Special => OpenOptions::new().write(true).open(&self.path).and_then(|mut file| {
                file.write_all(bytes)?;
                file.flush()
            }),
        };
        written.map_err(|error| cannot_write(&self.path, &error))
    }
}

pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::Run(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_link_still_leads_to_the_file() {
        let root = tempfile::tempdir().unwrap();
        let (file, link) = (root.path().join("file"), root.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        OutFile::prepare("--profile", &link).unwrap().write(b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
