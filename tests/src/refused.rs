//! What is refused, and what the error says.

use gavotte::Error;
use gavotte_core::ir::quietly;

/// The error that `f` ends in, as a result or by a panic of the engine.
///
/// # Panics
/// Where there is none.
#[track_caller]
pub fn refused<T>(f: impl FnOnce() -> Result<T, Error>) -> String {
    match quietly(f).and_then(|result| result) {
        Ok(_) => panic!("it is believed"),
        Err(error) => error.to_string(),
    }
}

/// Demands that a text contains all of these.
///
/// # Panics
/// Where one is missing.
#[track_caller]
pub fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}
