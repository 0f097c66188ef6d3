//! Stored variables: those that fusion chooses, and those that kernels need in memory.

use crate::ir::{Atom, Binder, Eqn, Kind, Program, Var};
use crate::kernel::dense_product::operands_to_store;
use crate::kernel::fuse::{Fusion, Place, fuse};
use crate::kernel::rules::Trial;
use crate::kernel::segments;
use rustc_hash::FxHashMap;

/// Stored variables: those that fusion chooses, and the operands of large products. The program must be free of calls
/// and of dead equations.
pub fn choose_places(program: &Program) -> Fusion {
    choose_places_within(program, &|_| true, &mut FxHashMap::default())
}

/// The choice where `stored` is in memory, each variable for its reason; what else the program needs in memory is
/// added.
pub(super) fn choose_places_within(
    program: &Program,
    is_given: &dyn Fn(usize) -> bool,
    stored: &mut FxHashMap<Var, &'static str>,
) -> Fusion {
    loop {
        let mut fusion = fuse(program, &|var| stored.get(&var).copied());
        let mut more = operands_to_store(program, &fusion);
        more.extend(operands_to_check(program, &fusion));
        // A stored variable makes its readers cheaper, so another operand may now be computed where it is read.
        if more.keys().all(|var| stored.contains_key(var)) {
            let number = |(arg, binder): (usize, &Binder)| (binder.var, arg);
            let numbers: FxHashMap<Var, usize> = program.args.iter().enumerate().map(number).collect();
            fusion.restrict_given(&|var| numbers.get(&var).is_none_or(|arg| is_given(*arg)));
            let counted = segments::find(program, &fusion).into_iter().filter(|segments| segments.order.is_none());
            fusion.set_paired(counted.map(|segments| (segments.ids, segments.offsets)).collect());
            return fusion;
        }
        stored.extend(more);
    }
}

/// Arrays that are read at computed positions and whose elements would be computed there from a larger array: only an
/// array in memory is read at a position checked against its own extent.
fn operands_to_check(program: &Program, fusion: &Fusion) -> FxHashMap<Var, &'static str> {
    let is_inline = |atom: &Atom| atom.var().is_some_and(|var| fusion.place(var) == Place::Inline);
    // One of several operands may be the position at which another is read.
    let may_gather = |eqn: &Eqn| eqn.prim.kind() == Kind::View && eqn.ins.len() > 1 && eqn.ins.iter().any(is_inline);
    let gathers: Vec<usize> = (0..program.eqns.len()).filter(|i| may_gather(&program.eqns[*i])).collect();
    if gathers.is_empty() {
        return FxHashMap::default();
    }
    let trial = Trial::new(program);
    let unchecked = gathers.into_iter().flat_map(|i| trial.unchecked(fusion, i));
    unchecked.map(|var| (var, "read at positions that must be checked")).collect()
}
