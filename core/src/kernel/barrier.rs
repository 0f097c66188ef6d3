//! Barriers, on the way to kernels: they compute nothing, but what depends on one should run late.
//!
//! A barrier says that its outputs must not be available before all of its operands are: what a checkpoint recomputes,
//! for instance, not before the cotangent that it is for.

use crate::ir::{Atom, Eqn, Kind, Program, Var};
use rustc_hash::FxHashMap;

/// A program without barriers; and for each equation the equations, by number, after which it should run.
///
/// An equation that no result needs is dropped. Each output of a barrier needs only its own operand.
pub fn drop_barriers(mut program: Program) -> (Program, Vec<Vec<usize>>) {
    let mut live = vec![false; program.n_var()];
    let mark = |atom: &Atom, live: &mut [bool]| atom.var().into_iter().for_each(|var| live[var.index()] = true);
    program.outs.iter().for_each(|atom| mark(atom, &mut live));
    for eqn in program.eqns.iter().rev() {
        let is_live = |k: usize| live[eqn.outs[k].var.index()];
        let needed: Vec<usize> = match eqn.prim.kind() {
            Kind::Barrier => (0..eqn.ins.len()).filter(|k| is_live(*k)).collect(),
            _ if eqn.has_effect() || (0..eqn.outs.len()).any(is_live) => (0..eqn.ins.len()).collect(),
            _ => continue,
        };
        needed.into_iter().for_each(|k| mark(&eqn.ins[k], &mut live));
    }
    // What each output of a barrier stands for, and the equations that make the barrier's operands.
    let mut outputs: FxHashMap<Var, (Atom, Vec<usize>)> = FxHashMap::default();
    let mut makers: Vec<Option<usize>> = vec![None; program.n_var()];
    let (mut eqns, mut after): (Vec<Eqn>, Vec<Vec<usize>>) = (vec![], vec![]);
    for mut eqn in std::mem::take(&mut program.eqns) {
        let is_live = eqn.outs.iter().any(|binder| live[binder.var.index()]);
        let mut late: Vec<usize> = vec![];
        for atom in &mut eqn.ins {
            let Some((operand, makers)) = atom.var().and_then(|var| outputs.get(&var)) else { continue };
            late.extend(makers);
            *atom = *operand;
        }
        if eqn.prim.kind() == Kind::Barrier {
            let own = eqn.ins.iter().filter_map(|atom| atom.var()).filter_map(|var| makers[var.index()]);
            late.extend(own);
            late.sort_unstable();
            late.dedup();
            for (binder, atom) in eqn.outs.iter().zip(&eqn.ins) {
                outputs.insert(binder.var, (*atom, late.clone()));
            }
        } else if is_live || eqn.has_effect() {
            eqn.outs.iter().for_each(|binder| makers[binder.var.index()] = Some(eqns.len()));
            eqns.push(eqn);
            after.push(late);
        }
    }
    for atom in &mut program.outs {
        if let Some((operand, _)) = atom.var().and_then(|var| outputs.get(&var)) {
            *atom = *operand;
        }
    }
    program.eqns = eqns;
    (program.renumbered(), after)
}
