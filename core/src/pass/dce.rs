//! `dce`: an equation that no result needs is dropped.
//!
//! Law: primitives have no effects, so what is not read is not missed. An equation of several outputs stays whole as
//! long as one is read. Arguments and constants stay: callers know them by their places.

use crate::ir::Program;

/// Drops equations that no result needs.
pub(super) fn run(program: &Program) -> Program {
    program.pruned()
}
