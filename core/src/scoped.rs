//! Settings of a thread that hold for one call.

use std::cell::Cell;
use std::thread::LocalKey;

/// Runs `f` with `value` in the cell, and puts back what was there, also while a panic unwinds.
pub(crate) fn with_value<T: Copy, R>(cell: &'static LocalKey<Cell<T>>, value: T, f: impl FnOnce() -> R) -> R {
    struct Restore<T: Copy + 'static>(&'static LocalKey<Cell<T>>, T);
    impl<T: Copy> Drop for Restore<T> {
        fn drop(&mut self) {
            self.0.set(self.1);
        }
    }
    let _restore = Restore(cell, cell.replace(value));
    f()
}
