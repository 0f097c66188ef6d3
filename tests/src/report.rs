//! Checks over a table, all of them run before the test fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The message of a panic.
fn panic_message(payload: Box<dyn std::any::Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => match payload.downcast::<&str>() {
            Ok(text) => (*text).into(),
            Err(_) => "a panic without a message".into(),
        },
    }
}

/// Runs `check`; a panic is an error with its message.
pub fn caught<T>(check: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|payload| Err(panic_message(payload)))
}

/// Runs a check on every case and fails with the message of each that fails.
///
/// # Panics
/// If a check fails, or if there is no case.
#[track_caller]
pub fn check_all<T>(cases: impl IntoIterator<Item = (String, T)>, check: impl Fn(&T) -> Result<(), String>) {
    let mut count = 0;
    let mut failures = vec![];
    for (name, case) in cases {
        count += 1;
        if let Err(why) = caught(|| check(&case)) {
            failures.push(format!("{name}: {why}"));
        }
    }
    assert!(count > 0, "there is nothing to check");
    assert!(failures.is_empty(), "{} of {count} fail:\n\n{}", failures.len(), failures.join("\n\n"));
}
