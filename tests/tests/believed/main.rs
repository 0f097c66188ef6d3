//! Safe code may say what it likes: what generated code relies on is checked, in every build. What is not as it was said to
//! be ends in an error.

mod arrays;
mod primitives;
mod programs;
mod rules;
mod segments;
mod sizes;

use gavotte::Error;
use gavotte_core::ir::quietly;

/// The error that `f` ends in, as a result or by refusing.
#[track_caller]
fn refused<T>(f: impl FnOnce() -> Result<T, Error>) -> String {
    match quietly(f).and_then(|result| result) {
        Ok(_) => panic!("it is believed"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}
