//! Reading named entries of a `.tgz` without unpacking it to disk.

use std::{
    fs::File,
    io::{self, BufReader, ErrorKind, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use tar::{Archive, Entry};

use super::{
    DataError,
    files::{LIMIT, hex},
};

const DAMAGED: &str = "the archive is incomplete or damaged: get it again from its source";
const NOT_GZIP: &str = "give a gzip-compressed tar archive such as cora.tgz, or the folder it unpacks to";

/// The bytes of the entries with the file names `names`, in that order and in any folder of the archive, and the
/// SHA-256 of the archive itself.
pub(super) fn read_entries<const N: usize>(path: &Path, names: [&str; N]) -> Result<([Vec<u8>; N], String), DataError> {
    let file = File::open(path).map_err(|error| DataError::io(path, "open it", error))?;
    let mut source = BufReader::new(Hashed { inner: file, digest: Sha256::new() });
    check_magic(path, &mut source)?;
    let mut archive = Archive::new(Limited { inner: MultiGzDecoder::new(source), left: LIMIT });
    let mut found = [const { None }; N];
    for entry in archive.entries().map_err(|error| read_error(path, error))? {
        take_entry(path, entry.map_err(|error| read_error(path, error))?, names, &mut found)?;
    }
    // `tar` stops at its end marker. Reading on checks the length and the checksum at the end of the gzip stream.
    let mut unpacked = archive.into_inner();
    io::copy(&mut unpacked, &mut io::sink()).map_err(|error| read_error(path, error))?;
    let mut source = unpacked.inner.into_inner().take(LIMIT);
    io::copy(&mut source, &mut io::sink()).map_err(|error| read_error(path, error))?;
    if let Some(at) = found.iter().position(Option::is_none) {
        return Err(DataError::layout(
            path,
            format!("the archive holds no entry `{}`", names[at]),
            "Cora's archive holds both cora/cora.content and cora/cora.cites: get it again from its source",
        ));
    }
    Ok((found.map(Option::unwrap_or_default), hex(source.into_inner().into_inner().digest)))
}

fn check_magic(path: &Path, source: &mut impl io::BufRead) -> Result<(), DataError> {
    match source.fill_buf().map_err(|error| DataError::io(path, "read it", error))? {
        [] => Err(DataError::layout(path, "the file is empty", NOT_GZIP)),
        [0x1f, 0x8b, ..] => Ok(()),
        _ => Err(DataError::layout(path, "not a gzip-compressed file", NOT_GZIP)),
    }
}

fn take_entry<const N: usize>(
    path: &Path,
    mut entry: Entry<'_, impl Read>,
    names: [&str; N],
    found: &mut [Option<Vec<u8>>; N],
) -> Result<(), DataError> {
    let entry_path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let place = || format!("{}: {entry_path}", path.display());
    if entry.size() > LIMIT {
        return Err(DataError::TooLarge { place: place(), size: Some(entry.size()), limit: LIMIT });
    }
    let file_name = entry_path.rsplit('/').next().unwrap_or_default();
    let Some(at) = names.iter().position(|&name| name == file_name && entry.header().entry_type().is_file()) else {
        return Ok(());
    };
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(|error| read_error(path, error))?;
    match found[at].replace(bytes) {
        None => Ok(()),
        Some(_) => Err(DataError::layout(path, format!("the archive holds `{file_name}` twice"), DAMAGED)),
    }
}

fn read_error(path: &Path, source: io::Error) -> DataError {
    let place = path.display().to_string();
    match source.kind() {
        ErrorKind::FileTooLarge => DataError::TooLarge { place, size: None, limit: LIMIT },
        // The message of the reader of archives may contain arbitrary bytes of the file, so it is not shown.
        ErrorKind::Other => DataError::layout(path, "what it unpacks to is not a tar archive", DAMAGED),
        _ => DataError::Io { place, action: "read the archive to its end", source, help: DAMAGED },
    }
}

/// A reader that hashes what passes through.
struct Hashed<R> {
    inner: R,
    digest: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.digest.update(&buffer[..n]);
        Ok(n)
    }
}

/// A reader with a limit on the number of bytes: a small archive can unpack to any size.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or(ErrorKind::FileTooLarge)?;
        Ok(n)
    }
}
