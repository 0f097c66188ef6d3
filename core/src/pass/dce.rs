//! `dce`: an equation that no result needs is dropped.
//!
//! Law: what is not read is not missed, unless it has an effect of its own: such an equation stays. An
//! equation of several outputs stays whole as long as one is read. Arguments and constants stay: callers know them by
//! their places.

use crate::ir::Program;
use crate::pass::change::{After, Change, Log};

/// Drops equations that no result needs.
pub(super) fn run(program: Program, log: Log<'_>) -> Program {
    if log.is_on() {
        for (eqn, _) in program.eqns.iter().zip(program.needed()).filter(|(_, is_needed)| !is_needed) {
            log.tell(|| Change::new(eqn, After::Nothing));
        }
    }
    program.pruned()
}
