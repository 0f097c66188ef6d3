//! Whether primitives with an effect do what they do beside giving outputs.

use std::cell::Cell;

thread_local! {
    static OFF: Cell<bool> = const { Cell::new(false) };
}

/// Puts the old state back, also while a panic unwinds.
struct Restore(bool);

impl Drop for Restore {
    fn drop(&mut self) {
        OFF.set(self.0);
    }
}

/// Runs `f` without the effects of what it evaluates on this thread: for who computes again what has run.
pub fn without_effects<R>(f: impl FnOnce() -> R) -> R {
    let _restore = Restore(OFF.replace(true));
    f()
}

/// Whether effects take place on this thread: what an effectful primitive's `eval` asks first.
pub fn effects_take_place() -> bool {
    !OFF.get()
}
