//! Switches side effects of primitives on and off.

use std::cell::Cell;

thread_local! {
    static OFF: Cell<bool> = const { Cell::new(false) };
}

/// Restores the old state, also while a panic unwinds.
struct Restore(bool);

impl Drop for Restore {
    fn drop(&mut self) {
        OFF.set(self.0);
    }
}

/// Runs `f` with effects off on this thread: for recomputing something that has already run.
pub fn without_effects<R>(f: impl FnOnce() -> R) -> R {
    let _restore = Restore(OFF.replace(true));
    f()
}

/// Whether effects are on on this thread; an effectful primitive's `eval` checks it first.
pub fn effects_take_place() -> bool {
    !OFF.get()
}
