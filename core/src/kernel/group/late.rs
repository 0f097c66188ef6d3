//! From equations that should run late to steps that should.

use crate::ir::{Program, Var};
use crate::kernel::fuse::{Fusion, Place};

/// For each step the steps after which it should run. `makers` says which step makes a variable's memory, and `after`
/// for each equation the equations after which it should run.
pub(super) fn waits(
    program: &Program,
    fusion: &Fusion,
    makers: &[Option<usize>],
    after: &[Vec<usize>],
    n_step: usize,
) -> Vec<Vec<usize>> {
    let mut waits = vec![vec![]; n_step];
    if after.iter().all(Vec::is_empty) {
        return waits;
    }
    // For what is computed where it is read: the steps that it reads, and those that its reader waits for.
    let mut sources: Vec<Vec<usize>> = vec![vec![]; program.n_var()];
    let mut late: Vec<Vec<usize>> = vec![vec![]; program.n_var()];
    let steps_of = |sources: &[Vec<usize>], var: Var| match fusion.place(var) {
        Place::Inline => sources[var.index()].clone(),
        Place::Stored | Place::Alias(_) => makers[fusion.memory(var).index()].into_iter().collect(),
    };
    for (eqn, others) in program.eqns.iter().zip(after) {
        let ins = || eqn.ins.iter().filter_map(|atom| atom.var());
        let read = sorted(ins().flat_map(|var| steps_of(&sources, var)).collect());
        let made = others.iter().flat_map(|other| &program.eqns[*other].outs);
        let own = made.flat_map(|binder| steps_of(&sources, binder.var));
        let passed = ins().filter(|var| fusion.place(*var) != Place::Stored).flat_map(|var| late[var.index()].clone());
        let own = sorted(own.chain(passed).collect());
        for binder in &eqn.outs {
            let at = binder.var.index();
            match makers[at].filter(|_| fusion.place(binder.var) == Place::Stored) {
                Some(step) => waits[step].extend(own.iter().filter(|other| **other != step)),
                None => {
                    sources[at] = read.clone();
                    late[at] = own.clone();
                }
            }
        }
    }
    waits
}

fn sorted(mut steps: Vec<usize>) -> Vec<usize> {
    steps.sort_unstable();
    steps.dedup();
    steps
}
