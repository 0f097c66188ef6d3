//! `cse`: equal equations are computed once.
//!
//! Law: a primitive is a function of its operands and attributes, so where these are equal the outputs are. The first
//! equation of its kind stays, with its location. An equation with an effect runs as often as it stands there.

use crate::ir::{Atom, Eqn, Program};
use crate::pass::names::Names;
use std::collections::HashMap;

/// Computes equal equations once.
pub(super) fn run(program: &Program) -> Program {
    let mut names = Names::new(program);
    let mut eqns: Vec<Eqn> = Vec::with_capacity(program.eqns.len());
    // The text finds the candidate; equality decides, as text does not tell one NaN from another.
    let mut first: HashMap<String, usize> = HashMap::with_capacity(program.eqns.len());
    for eqn in &program.eqns {
        let eqn = names.read(eqn);
        if eqn.has_effect() {
            eqns.push(eqn);
            continue;
        }
        let at = *first.entry(key(&eqn)).or_insert(eqns.len());
        match eqns.get(at) {
            Some(same) if same.ins == eqn.ins && same.params == eqn.params => {
                for (binder, kept) in eqn.outs.iter().zip(&same.outs) {
                    names.replace(binder.var, Atom::Var(kept.var));
                }
            }
            _ => eqns.push(eqn),
        }
    }
    names.finish(program, eqns)
}

/// The text of an equation without what it binds.
fn key(eqn: &Eqn) -> String {
    let Eqn { prim, params, ins, location, .. } = eqn.clone();
    Eqn { prim, params, ins, location, outs: Default::default() }.to_string()
}
