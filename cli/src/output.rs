//! Output files: each is written whole or not at all.

use crate::failure::Failure;
use crate::temporary::{self, TempFile};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What an option writes.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// The option's name.
    pub(crate) option: &'static str,
    /// The command that writes such files, for messages.
    pub(crate) writer: &'static str,
    /// Whether a file is one of these, which may be replaced.
    pub(crate) is_one: fn(&Path) -> io::Result<bool>,
}

/// An output file that has been found writable.
pub(crate) struct OutFile {
    /// Its path as the user gave it.
    path: PathBuf,
    kind: Kind,
    target: Target,
}

enum Target {
    /// A file, which may not exist yet: it is replaced as a whole. If the path is a link, this is its target.
    File { folder: PathBuf, path: PathBuf },
    /// A device, a pipe or a socket, which cannot be replaced: it is written to.
    Special,
}

impl OutFile {
    /// Checks that the file can be written, and leaves it as it is. A file that is there must be of the same kind, or
    /// empty.
    pub(crate) fn prepare(kind: Kind, path: &Path) -> Result<OutFile, Failure> {
        let refuse = |why: String| Failure::input(format!("{} {}: {why}", kind.option, path.display()));
        let fail = |why: String| refuse(format!("{why}; name a file in a folder that you may write to"));
        let path_of = |target| OutFile { path: path.into(), kind, target };
        let found = match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(fail("it is a folder".into())),
            Ok(found) if !found.is_file() => return Ok(path_of(Target::Special)),
            Ok(_) => {
                kind.check(path).map_err(refuse)?;
                fs::canonicalize(path).map_err(|error| fail(format!("cannot find it: {error}")))?
            }
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

    /// Writes the file; an existing one is replaced, unless something else has appeared there since.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        if let Target::File { path, .. } = &self.target
            && path.exists()
        {
            let fail = |why| Failure::Run(format!("cannot write {}: {why}", self.path.display()));
            self.kind.check(path).map_err(fail)?;
        }
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

impl Kind {
    /// Refuses an existing file that is not of this kind. An empty one holds nothing that would be lost.
    fn check(self, path: &Path) -> Result<(), String> {
        let is_empty = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == 0);
        match (self.is_one)(path) {
            _ if is_empty => Ok(()),
            Ok(true) => Ok(()),
            Ok(false) => Err(format!(
                "only what `{}` wrote is replaced, and this file is something else; name another file",
                self.writer
            )),
            Err(error) => {
                Err(format!("what is there cannot be read: {error}; change its permissions, or name another file"))
            }
        }
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
        let is_old = |path: &Path| Ok(fs::read(path)? == b"old");
        let kind = Kind { option: "--file", writer: "this test", is_one: is_old };
        let out = OutFile::prepare(kind, &link).unwrap();
        out.write(b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        // Now it is another's file.
        let Err(Failure::Run(why)) = out.write(b"newer") else { panic!("it was replaced") };
        assert!(why.contains("link: only what `this test` wrote is replaced"), "{why}");
        let Err(Failure::Input(why)) = OutFile::prepare(kind, &link).map(drop) else { panic!("it was accepted") };
        assert!(why.contains("--file ") && why.contains("this file is something else; name another file"), "{why}");
        assert_eq!(fs::read(&file).unwrap(), b"new");
        fs::write(&file, "").unwrap();
        OutFile::prepare(kind, &link).unwrap();
        let unreadable = Kind { is_one: |_| Err(io::ErrorKind::PermissionDenied.into()), ..kind };
        fs::write(&file, "newer").unwrap();
        let Err(Failure::Input(why)) = OutFile::prepare(unreadable, &link).map(drop) else { panic!("it was accepted") };
        assert!(why.contains("cannot be read: permission denied; change its permissions"), "{why}");
    }
}
