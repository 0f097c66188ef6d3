//! Typed errors. Every message says what was wrong, where, and what to do.

use crate::scoped::with_value;
use std::any::Any;
use std::cell::Cell;
use std::fmt;

/// Why a primitive refuses its operands, without the operands themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError(pub String);

impl TypeError {
    /// An error with this reason.
    pub fn new(why: impl Into<String>) -> Self {
        TypeError(why.into())
    }
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for TypeError {}

impl From<String> for TypeError {
    fn from(why: String) -> Self {
        TypeError(why)
    }
}

/// Everything that can go wrong in the engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Operands that a primitive refuses: operation, reason, operand types, the user's line.
    #[error("{0}")]
    Type(String),
    /// A traced value was used where it has no meaning.
    #[error("{0}")]
    Trace(String),
    /// A program's text could not be read.
    #[error("line {line}, column {column}: {why}")]
    Parse {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What was wrong and what was expected.
        why: String,
    },
    /// A program or a kernel is not well formed; holds the text with the message under the line.
    #[error("{0}")]
    Verify(String),
    /// Arguments that do not fit a compiled function.
    #[error("{0}")]
    Call(String),
    /// A size beyond what numbers count, or what memory there is: operation, sizes, the user's line.
    #[error("{0}")]
    TooLarge(String),
    /// A number that is not finite was made out of finite ones: equation, line, place, operands.
    #[error("{0}")]
    NotFinite(String),
    /// A file that cannot be read, written, or used here.
    #[error("{0}")]
    File(String),
    /// A device failed or does not exist.
    #[error("{0}")]
    Device(String),
    /// The system does not start as many threads as were asked for.
    #[error("cannot start {wanted} threads: {why}; ask for fewer with `Options::threads`")]
    Threads {
        /// How many were asked for.
        wanted: usize,
        /// What the system says.
        why: String,
    },
    /// A transformation or a target does not know an operation.
    #[error("{0}")]
    Unsupported(String),
}

impl Error {
    /// The error with a line more, unless its text has one that says where.
    pub(crate) fn at(self, place: impl fmt::Display) -> Error {
        let with = |text: String| if text.contains("\n  at ") { text } else { format!("{text}\n  at {place}") };
        match self {
            Error::Type(text) => Error::Type(with(text)),
            Error::Trace(text) => Error::Trace(with(text)),
            Error::Call(text) => Error::Call(with(text)),
            Error::TooLarge(text) => Error::TooLarge(with(text)),
            Error::Unsupported(text) => Error::Unsupported(with(text)),
            other => other,
        }
    }
}

thread_local! {
    /// Whether a refusal is taken as an error.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn is_quiet() -> bool {
    QUIET.get()
}

/// Runs `f`; what [`stop`] is given within it is the payload of a panic that prints nothing.
pub(crate) fn catch_quietly<R>(f: impl FnOnce() -> R) -> Result<R, Box<dyn Any + Send>> {
    with_value(&QUIET, true, || std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)))
}

/// Stops with an error: a panic, or, within [`catch_quietly`], an unwinding that prints nothing.
#[track_caller]
pub(crate) fn stop(error: Error) -> ! {
    if is_quiet() {
        std::panic::resume_unwind(Box::new(error));
    }
    panic!("{error}")
}
