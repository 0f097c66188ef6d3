//! `cse`: equal equations are computed once.
//!
//! Law: a primitive is a function of its operands and attributes, so where these are equal the outputs are. The first
//! equation of its kind stays, with its location. An equation with an effect runs as often as it stands there.

use crate::ir::{Atom, Eqn, Program};
use crate::pass::change::{After, Change, Log};
use crate::pass::names::Names;
use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Computes equal equations once.
pub(super) fn run(mut program: Program, log: Log<'_>) -> Program {
    let mut names = Names::new(&program);
    let mut eqns: Vec<Eqn> = Vec::with_capacity(program.eqns.len());
    // The hash finds the candidates; equality decides.
    let mut seen: FxHashMap<u64, SmallVec<[usize; 1]>> =
        FxHashMap::with_capacity_and_hasher(program.eqns.len(), FxBuildHasher);
    for eqn in std::mem::take(&mut program.eqns) {
        let eqn = names.read(eqn);
        if eqn.has_effect() {
            eqns.push(eqn);
            continue;
        }
        let places = seen.entry(key(&eqn)).or_default();
        match places.iter().map(|at| &eqns[*at]).find(|other| is_same(other, &eqn)) {
            Some(same) => {
                let kept = || same.outs.iter().map(|binder| Atom::Var(binder.var)).collect();
                log.tell(|| Change::new(&eqn, After::Atoms(kept())));
                for (binder, kept) in eqn.outs.iter().zip(&same.outs) {
                    names.replace(binder.var, Atom::Var(kept.var));
                }
            }
            None => {
                places.push(eqns.len());
                eqns.push(eqn);
            }
        }
    }
    names.finish(program, eqns)
}

/// A hash of everything but what an equation binds.
fn key(eqn: &Eqn) -> u64 {
    let mut hasher = DefaultHasher::new();
    eqn.prim.name().hash(&mut hasher);
    eqn.ins.hash(&mut hasher);
    eqn.params.hash(&mut hasher);
    hasher.finish()
}

fn is_same(a: &Eqn, b: &Eqn) -> bool {
    a.prim.name() == b.prim.name() && a.ins == b.ins && a.params == b.params
}
