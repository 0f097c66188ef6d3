//! Batching: the program over an additional axis.

use crate::aval::Dim;
use crate::ir::{Atom, Batch, Batched, Program, Value, adopt, bind, interpret_read as read, with_location};
use smallvec::SmallVec;

/// Results with the position of the new axis (`None`: the same for every element) for arguments with the positions of
/// theirs. `size` is the extent of the new axis.
pub fn vmap(program: &Program, consts: &[Value], args: &[(Value, Option<usize>)], size: &Dim) -> Batched {
    adopt(&program.facts);
    let program = program.inlined();
    let mut values: Vec<Option<Value>> = vec![None; program.n_var()];
    let mut axes: Vec<Option<usize>> = vec![None; program.n_var()];
    for (binder, value) in program.consts.iter().zip(consts) {
        values[binder.var.index()] = Some(value.clone());
    }
    for (binder, (value, axis)) in program.args.iter().zip(args) {
        values[binder.var.index()] = Some(value.clone());
        axes[binder.var.index()] = *axis;
    }
    let axis_of = |atom: Atom, axes: &[Option<usize>]| axes[atom.var()?.index()];
    for eqn in &program.eqns {
        with_location(eqn.location, || {
            let ins: SmallVec<[(Value, Option<usize>); 4]> =
                eqn.ins.iter().map(|atom| (read(*atom, &values), axis_of(*atom, &axes))).collect();
            let outs: Batched = if ins.iter().any(|(_, axis)| axis.is_some()) {
                eqn.prim.batch(&Batch { ins: &ins, size, params: &eqn.params })
            } else {
                let refs: SmallVec<[&Value; 4]> = ins.iter().map(|(value, _)| value).collect();
                bind(eqn.prim, &refs, eqn.params.clone()).into_iter().map(|value| (value, None)).collect()
            };
            for (binder, (value, axis)) in eqn.outs.iter().zip(outs) {
                values[binder.var.index()] = Some(value);
                axes[binder.var.index()] = axis;
            }
        });
    }
    program.outs.iter().map(|atom| (read(*atom, &values), axis_of(*atom, &axes))).collect()
}
