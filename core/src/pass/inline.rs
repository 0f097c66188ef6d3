//! `inline`: a call is its program, with the call's operands for the program's arguments.
//!
//! Law: `call {f} a…` = the equations of `f` with `a…` for its binders, and so for every primitive that holds one program
//! and has rules of its own. Equations without a location of their own get the call's.

use crate::ir::{Kind, Program};
use crate::pass::change::{After, Change, Log};

/// Puts nested programs in the place of their calls.
pub(super) fn run(program: Program, log: Log<'_>) -> Program {
    if log.is_on() {
        for eqn in program.eqns.iter().filter(|eqn| is_inlined(eqn.prim.kind())) {
            let inner = eqn.params.program("program").as_ref().clone().inlined_where(&is_inlined);
            log.tell(|| Change::new(eqn, After::Inlined(inner.eqns.len())));
        }
    }
    program.inlined_where(&is_inlined)
}

fn is_inlined(kind: Kind) -> bool {
    matches!(kind, Kind::Call | Kind::Custom)
}
