//! Switches side effects of primitives on and off.

use crate::scoped::with_value;
use std::cell::Cell;

thread_local! {
    static OFF: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with effects off on this thread: for recomputing something that has already run.
pub fn without_effects<R>(f: impl FnOnce() -> R) -> R {
    with_value(&OFF, true, f)
}

/// Whether effects are on on this thread; an effectful primitive's `eval` checks it first.
pub fn effects_take_place() -> bool {
    !OFF.get()
}
