//! `dce`: an equation that no result needs is dropped.
//!
//! Law: what is not read is not missed, unless it has an effect of its own: such an equation stays. An equation of several outputs stays whole as
//! long as one is read. Arguments and constants stay: callers know them by their places.

use crate::ir::{Atom, Eqn, Program};

/// Drops equations that no result needs.
pub(super) fn run(program: &Program) -> Program {
    let mut live = vec![false; program.n_var()];
    let mark = |atoms: &[Atom], live: &mut [bool]| {
        atoms.iter().filter_map(|atom| atom.var()).for_each(|var| live[var.index()] = true);
    };
    mark(&program.outs, &mut live);
    let mut eqns: Vec<Eqn> = vec![];
    for eqn in program.eqns.iter().rev() {
        if eqn.outs.iter().any(|binder| live[binder.var.index()]) || eqn.has_effect() {
            mark(&eqn.ins, &mut live);
            eqns.push(eqn.clone());
        }
    }
    eqns.reverse();
    let Program { name, args, consts, outs, facts, .. } = program.clone();
    Program { name, args, consts, eqns, outs, facts }.renumbered()
}
