//! `inline`: a call is its program, with the call's operands for the program's arguments.
//!
//! Law: `call {f} a…` = the equations of `f` with `a…` for its binders, and so for every primitive that holds one program
//! and has rules of its own. Equations without a location of their own get the call's.

use crate::ir::{Kind, Program};

/// Puts nested programs in the place of their calls.
pub(super) fn run(program: Program) -> Program {
    program.inlined_where(&|kind| matches!(kind, Kind::Call | Kind::Custom))
}
