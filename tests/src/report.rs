//! Checks over a table, all of which run before the test fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

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

/// Runs `check`; a panic becomes an error with its message.
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

/// The same on several threads, for slow checks: each thread takes the next in order.
///
/// # Panics
/// As [`check_all`].
#[track_caller]
pub fn check_all_in_parallel<T: Send>(cases: Vec<(String, T)>, check: impl Fn(&T) -> Result<(), String> + Sync) {
    let count = cases.len();
    let next = Mutex::new(cases.into_iter());
    let failures = Mutex::new(vec![]);
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some((name, case)) = take() {
            if let Err(why) = caught(|| check(&case)) {
                failures.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{name}: {why}"));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get()) {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(count > 0, "there is nothing to check");
    assert!(failures.is_empty(), "{} of {count} fail:\n\n{}", failures.len(), failures.join("\n\n"));
}
