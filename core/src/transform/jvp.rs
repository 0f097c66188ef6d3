//! Forward mode: `(x, t) ↦ (f(x), ∂f(x)·t)`.

use crate::ir::{Eqn, Jvp, Program, Value, ValueAndJvp, adopt, bind, interpret_read as read, with_location};
use smallvec::SmallVec;

/// Results and their tangents, `None` for zero, for these arguments and tangents.
///
/// Source: Baydin et al., *Automatic differentiation in machine learning: a survey*, section 3.1.
pub fn jvp(
    program: &Program,
    consts: &[Value],
    primals: &[Value],
    tangents: &[Option<Value>],
) -> (Vec<Value>, Vec<Option<Value>>) {
    adopt(&program.facts);
    let program = program.inlined();
    let mut values: Vec<Option<Value>> = vec![None; program.n_var()];
    let mut moves: Vec<Option<Value>> = vec![None; program.n_var()];
    for (binder, value) in program.args.iter().zip(primals).chain(program.consts.iter().zip(consts)) {
        values[binder.var.index()] = Some(value.clone());
    }
    for (binder, tangent) in program.args.iter().zip(tangents) {
        moves[binder.var.index()] = tangent.clone().filter(|_| binder.aval.dtype.is_float());
    }
    for eqn in &program.eqns {
        with_location(eqn.location, || {
            let ins: SmallVec<[Value; 4]> = eqn.ins.iter().map(|atom| read(*atom, &values)).collect();
            let mut together = None;
            push_with(eqn, &mut moves, |tangents| {
                let cx = ValueAndJvp { primals: &ins, tangents, params: &eqn.params };
                let (outs, tangents) = eqn.prim.value_and_jvp(&cx).unwrap_or_else(|| {
                    let outs = bind(eqn.prim, &ins.iter().collect::<SmallVec<[_; 4]>>(), eqn.params.clone());
                    let params = eqn.without_effects().params;
                    let tangents = eqn.prim.jvp(&Jvp { primals: &ins, tangents, outs: &outs, params: &params });
                    (outs, tangents)
                });
                together = Some(outs);
                tangents
            });
            let outs = together
                .unwrap_or_else(|| bind(eqn.prim, &ins.iter().collect::<SmallVec<[_; 4]>>(), eqn.params.clone()));
            for (binder, value) in eqn.outs.iter().zip(outs) {
                values[binder.var.index()] = Some(value);
            }
        });
    }
    let outs = program.outs.iter().map(|atom| read(*atom, &values)).collect();
    let tangents = program.outs.iter().map(|atom| moves[atom.var()?.index()].clone()).collect();
    (outs, tangents)
}

/// Computes the tangents of one equation's outputs from those of its operands, by its primitive's `jvp` rule.
pub(super) fn push_tangents(eqn: &Eqn, primals: &[Value], outs: &[Value], moves: &mut [Option<Value>]) {
    // A rule that reruns the primal along with its tangent does so only for the numbers.
    let params = eqn.without_effects().params;
    push_with(eqn, moves, |tangents| eqn.prim.jvp(&Jvp { primals, tangents, outs, params: &params }));
}

/// Computes by `f` the tangents of one equation's outputs from those of its operands, if there are any.
pub(super) fn push_with(
    eqn: &Eqn,
    moves: &mut [Option<Value>],
    f: impl FnOnce(&[Option<Value>]) -> Vec<Option<Value>>,
) {
    let tangents: SmallVec<[Option<Value>; 4]> =
        eqn.ins.iter().map(|atom| moves[atom.var()?.index()].clone()).collect();
    if tangents.iter().all(Option::is_none) {
        return;
    }
    for (binder, tangent) in eqn.outs.iter().zip(f(&tangents)) {
        moves[binder.var.index()] = tangent.filter(|_| binder.aval.dtype.is_float());
    }
}
