//! Names for machine code: a file that the profiler `perf` reads, with a line for each function.
//!
//! `perf` reads `/tmp/perf-PID.map` when it finds code that belongs to no file. Each line is an address and a size in
//! hexadecimal, then a name. The file is written if the environment variable `GAVOTTE_PERF_MAP` is set.

use crate::sync::locked;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, Once};

/// A function: its start, its number of bytes, and its name.
pub(in crate::runtime) type Named = (usize, usize, String);

/// The file, once this process has created it.
static FILE: Mutex<Option<File>> = Mutex::new(None);

/// Whether the user wants names: `GAVOTTE_PERF_MAP` is set, and not to 0.
pub(in crate::runtime) fn is_wanted() -> bool {
    std::env::var_os("GAVOTTE_PERF_MAP").is_some_and(|value| !value.is_empty() && value != "0")
}

fn path() -> PathBuf {
    format!("/tmp/perf-{}.map", std::process::id()).into()
}

/// Adds functions to the process's file. If that cannot be written, warns once, and continues without: nothing depends
/// on it.
pub(in crate::runtime) fn write(functions: impl Iterator<Item = Named>) {
    static WARNED: Once = Once::new();
    let mut text = String::new();
    for (start, size, name) in functions {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{start:x} {size:x} {name}");
    }
    if let Err(error) = append(&text) {
        WARNED.call_once(|| {
            eprintln!(
                "warning: GAVOTTE_PERF_MAP: {}: {error}; `perf` will not know the names of kernels",
                path().display()
            );
        });
    }
}

fn append(text: &str) -> io::Result<()> {
    let mut file = locked(&FILE);
    let file = match &mut *file {
        Some(file) => file,
        none => none.insert(begin()?),
    };
    file.write_all(text.as_bytes())
}

/// A new file: one of an earlier process with the same number names other functions, and anyone else's file is not
/// overwritten.
fn begin() -> io::Result<File> {
    match fs::remove_file(path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().append(true).create_new(true).open(path())
}
