//! Refusals, and what their errors say.

use gavotte::Error;
use gavotte_core::ir::quietly;

/// The error of `f`, returned or as a panic of the engine.
///
/// # Panics
/// If there is none.
#[track_caller]
pub fn refused<T>(f: impl FnOnce() -> Result<T, Error>) -> String {
    match quietly(f).and_then(|result| result) {
        Ok(_) => panic!("nothing is refused"),
        Err(error) => error.to_string(),
    }
}

/// Checks that a text contains all of these.
///
/// # Panics
/// If one is missing.
#[track_caller]
pub fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}
