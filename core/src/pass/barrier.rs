//! `barrier`: what a barrier kept apart has been kept apart; its outputs are its operands.
//!
//! Law: a barrier is the identity. It goes after the last pass that shares, so that what was to be computed again is, and
//! before anything is lowered, so that it costs nothing.

use crate::ir::{Kind, Program};
use crate::pass::names::Names;

/// Drops barriers.
pub(super) fn run(mut program: Program) -> Program {
    let mut names = Names::new(&program);
    let mut eqns = Vec::with_capacity(program.eqns.len());
    for eqn in std::mem::take(&mut program.eqns) {
        let eqn = names.read(eqn);
        if eqn.prim.kind() != Kind::Barrier {
            eqns.push(eqn);
            continue;
        }
        for (binder, atom) in eqn.outs.iter().zip(&eqn.ins) {
            names.replace(binder.var, *atom);
        }
    }
    names.finish(program, eqns)
}
