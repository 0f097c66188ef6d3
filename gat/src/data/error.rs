//! Errors of data sets.

use std::{io, path::Path};

use crate::memory::Shortage;

/// A data set cannot be read, found, split or generated. The text says what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The operating system, or a decompressor, refused.
    #[error("{place}: cannot {action}: {source}; {help}")]
    Io {
        /// The file, or the entry of an archive.
        place: String,
        /// The attempted action, as a verb phrase.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
        /// What to do.
        help: &'static str,
    },
    /// A file or folder is not of the kind that was expected, or lacks a part.
    #[error("{place}: {what}; {help}")]
    Layout {
        /// The file or folder.
        place: String,
        /// What is wrong.
        what: String,
        /// What to do.
        help: &'static str,
    },
    /// A line of a text file is wrong.
    #[error("{place}, line {line}: {what}; {help}")]
    Line {
        /// The file, or the entry of an archive.
        place: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
        /// What to do.
        help: &'static str,
    },
    /// A file is, or claims to be, larger than any data set that this crate reads.
    #[error(
        "{place}: {}larger than the limit of {limit} bytes; nothing of it is used: name another file, or get this one again \
         from its source",
        size.map_or_else(String::new, |size| format!("claims {size} bytes, which is "))
    )]
    TooLarge {
        /// The file, or the entry of an archive.
        place: String,
        /// The size that it claims, if it claims one.
        size: Option<u64>,
        /// The limit, in bytes.
        limit: u64,
    },
    /// More memory is needed than is available.
    #[error("{place}: {what}: {shortage}; ask for less, or give the program more memory")]
    Memory {
        /// The file, or the name of the data set.
        place: String,
        /// What needs it.
        what: String,
        /// How much is needed, and how much is available.
        shortage: Shortage,
    },
    /// Two data sets, or a data set and parameters, have different classes.
    #[error(
        "data set `{dataset}` has the classes {}, and those wanted are {}; they must have the same names, in any order",
        listed(found),
        listed(wanted)
    )]
    Classes {
        /// The name of the data set.
        dataset: String,
        /// Its classes.
        found: Vec<String>,
        /// The classes that it must have.
        wanted: Vec<String>,
    },
    /// A pickle is damaged, or holds something that no data set needs.
    #[error("{place}, byte {offset}: {what}; {help}")]
    Pickle {
        /// The file.
        place: String,
        /// The offset of the offending instruction in the file.
        offset: usize,
        /// What is wrong.
        what: String,
        /// What to do.
        help: &'static str,
    },
    /// The parts of a data set do not fit together.
    #[error("{place}: {what}; {help}")]
    Content {
        /// The file.
        place: String,
        /// What is wrong.
        what: String,
        /// What to do.
        help: &'static str,
    },
    /// A data set has no such split.
    #[error("data set `{dataset}`: {what}; {help}")]
    Split {
        /// The name of the data set.
        dataset: String,
        /// What is wrong.
        what: String,
        /// What to do.
        help: &'static str,
    },
    /// These numbers do not describe a planted network.
    #[error("planted network: {what}; change the `PlantedSpec`")]
    Spec {
        /// What is wrong.
        what: String,
    },
    /// These numbers do not describe an RMAT graph, or a text does not name them.
    #[error("{what}; write {}, such as rmat:10000:100000:64:16", super::RmatSpec::FORM)]
    Rmat {
        /// What is wrong.
        what: String,
    },
    /// Cora is not on this machine, and cannot be downloaded.
    #[error(
        "cannot find the Cora data set: {what}\nwhat you can do:\n  \
         --data PATH        read cora.tgz, or a folder with its files, from PATH\n  \
         GAVOTTE_DATA=PATH  the same, as an environment variable\n  \
         --dataset planted  train on an embedded network with Cora's numbers; it needs no file"
    )]
    Locate {
        /// What was tried, and why it failed.
        what: String,
    },
}

/// Names of classes, of very many only the first.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 50;
    let more = names.len().saturating_sub(SHOWN);
    let first = names[..names.len() - more].join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

impl DataError {
    pub(super) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        let help = match source.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "check who may use it",
            io::ErrorKind::IsADirectory => "name a file in this folder",
            io::ErrorKind::OutOfMemory => "give the program more memory, or a smaller file",
            _ => "check the disk, then try again",
        };
        Self::Io { place: path.display().to_string(), action, source, help }
    }

    pub(super) fn memory(place: &str, what: impl Into<String>, shortage: Shortage) -> Self {
        Self::Memory { place: place.into(), what: what.into(), shortage }
    }

    pub(super) fn layout(path: &Path, what: impl Into<String>, help: &'static str) -> Self {
        Self::Layout { place: path.display().to_string(), what: what.into(), help }
    }

    pub(super) fn line(place: &str, line: usize, what: impl Into<String>, help: &'static str) -> Self {
        Self::Line { place: place.into(), line, what: what.into(), help }
    }

    pub(super) fn content(place: &str, what: impl Into<String>) -> Self {
        let help = "the file is damaged, or belongs to another data set: get all of its files again";
        Self::Content { place: place.into(), what: what.into(), help }
    }
}
