//! The driver's interface, as programs find it in `libcuda.so.1`, over the interpreter.
//!
//! `unsafe` is in this module only: `pointers` reads and writes callers' pointers, and `library` calls the exports of
//! another copy of this crate. All work is done when it is submitted; the order that a program must ensure is checked
//! (`streams`).

mod code;
mod exports;
mod library;
mod pointers;
mod state;
mod streams;
mod work;

pub use code::Code;
pub use exports::*;
pub use library::{Emulator, Session, hide};
pub use pointers::{Host, Image, Name, Out, Params};

use state::Driver;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

static DRIVER: LazyLock<Mutex<Driver>> = LazyLock::new(|| Mutex::new(Driver::new(Default::default())));

thread_local! {
    /// The context of this thread: a device's number plus one, or none.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

fn driver() -> MutexGuard<'static, Driver> {
    DRIVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What must hold before a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// Nothing.
    Free,
    /// `cuInit` was called.
    Initialized,
    /// A context is current, and no kernel has failed in it.
    Context,
}

/// Runs a call and returns its code. A bug in the emulator also becomes an error of the call, not the end of the
/// process.
fn enter(function: &'static str, gate: Gate, call: impl FnOnce(&mut Driver) -> Result<(), Code>) -> i32 {
    let mut driver = driver();
    let result = catch_unwind(AssertUnwindSafe(|| {
        if let Some(code) = driver.injected(function) {
            return Err(code);
        }
        if gate == Gate::Context {
            driver.tell(function.contains("Synchronize"));
        }
        check(&driver, gate)?;
        call(&mut driver)
    }));
    match result {
        Ok(Ok(())) => 0,
        Ok(Err(code)) => code.0,
        Err(_) => {
            driver.report(&format!("{function}: the emulator itself has failed"));
            Code::UNKNOWN.0
        }
    }
}

fn check(driver: &Driver, gate: Gate) -> Result<(), Code> {
    if gate != Gate::Free && !driver.is_initialized {
        return Err(Code::NOT_INITIALIZED);
    }
    if gate == Gate::Context {
        if let Some(code) = driver.sticky {
            return Err(code);
        }
        if CURRENT.get() == 0 {
            return Err(Code::INVALID_CONTEXT);
        }
    }
    Ok(())
}
