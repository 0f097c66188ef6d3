//! What the tests across crates share: arrays, comparisons, transformed programs, file tests, random programs.

pub mod arrays;
pub mod cases;
pub mod compare;
pub mod exact;
pub mod file_test;
pub mod functions;
pub mod generate;
pub mod gpu;
pub mod kernels;
pub mod launch;
pub mod laws;
pub mod nvrtc;
pub mod oracle;
pub mod perceptron;
pub mod refused;
pub mod report;
pub mod rounding;
pub mod rustc;
pub mod segments;
pub mod shrink;
pub mod targets;
pub mod transformed;

use std::io::Write;
use std::path::{Path, PathBuf};

/// The folder `tests`.
pub fn tests_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The workspace.
pub fn workspace_dir() -> &'static Path {
    tests_dir().parent().expect("the tests are a folder of the workspace")
}

/// Every file below a folder with this ending, sorted, without build outputs and hidden folders.
///
/// # Panics
/// If the folder cannot be read.
pub fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                found.extend(files(&path, ending));
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Reports that this thread's test, or a part of it, does nothing, and why. The message bypasses the harness's capture,
/// so that it is read and `.ci/run` counts it.
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let _ = writeln!(std::io::stderr(), "skipped: {}: {why}", thread.name().unwrap_or("a test"));
}

/// The folder of the data sets: `GAVOTTE_TEST_DATA`, else `../shared/data` next to the workspace. A test that needs
/// them prints `skipped: …` if there are none.
pub fn data_dir() -> Option<PathBuf> {
    let dir = match std::env::var_os("GAVOTTE_TEST_DATA") {
        Some(dir) => PathBuf::from(dir),
        None => workspace_dir().parent()?.join("shared/data"),
    };
    dir.is_dir().then_some(dir)
}

/// The folder of the golden values: `golden`, next to [`data_dir`].
pub fn golden_dir() -> Option<PathBuf> {
    Some(data_dir()?.parent()?.join("golden")).filter(|dir| dir.is_dir())
}
