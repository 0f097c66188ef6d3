//! Reading files from untrusted sources: within limits, with a digest, and as text.

use std::{fs::File, io::Read, path::Path};

use sha2::{Digest, Sha256};

use super::DataError;

/// The most bytes that a file of a data set may hold. A file that claims more is a mistake or an attack.
pub(super) const LIMIT: u64 = 256 << 20;

/// Reads a whole file, if it is within [`LIMIT`].
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, DataError> {
    read_within(path, LIMIT)
}

/// Reads a whole file, if it has at most `limit` bytes.
pub(super) fn read_within(path: &Path, limit: u64) -> Result<Vec<u8>, DataError> {
    let file = File::open(path).map_err(|error| DataError::io(path, "open it", error))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| DataError::io(path, "read it", error))?;
    if bytes.len() as u64 > limit {
        return Err(DataError::TooLarge { place: path.display().to_string(), size: None, limit });
    }
    Ok(bytes)
}

/// The bytes as text, without a byte-order mark; or an error that names the first line that is not text.
pub(super) fn text<'a>(place: &str, bytes: &'a [u8]) -> Result<&'a str, DataError> {
    let text = str::from_utf8(bytes).map(|text| text.strip_prefix('\u{feff}').unwrap_or(text));
    text.map_err(|error| {
        // With the first byte that is wrong, whose line this is.
        let before = String::from_utf8_lossy(&bytes[..=error.valid_up_to()]);
        let line = all_lines(&before).count();
        DataError::line(place, line, "the bytes are not UTF-8 text", "get the file again from its source")
    })
}

/// The lines of a text that are not blank, each with its number.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    all_lines(text).enumerate().map(|(index, line)| (index + 1, line)).filter(|(_, line)| !line.trim().is_empty())
}

/// The lines of a text. A line ends with LF, with CR LF, or, as in files of old Macs, with CR.
fn all_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').flat_map(|line| {
        let end = ["\r\n", "\n"].into_iter().find(|end| line.ends_with(end)).unwrap_or_default();
        line[..line.len() - end.len()].split('\r')
    })
}

/// The fields of a line, separated by tabs, without the spaces around them.
pub(super) fn fields(line: &str) -> Vec<&str> {
    line.split('\t').map(str::trim).collect()
}

/// A digest in hexadecimal.
pub(super) fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
