//! Nested programs under `vmap` that run for some batch elements and not for others.
//!
//! Law: operands of an element that does not run a program are neither read, checked nor differentiated. The program
//! runs once for all elements, so elements that do not run it get the operands of one that does: reads are in bounds,
//! loops end, derivatives are finite. If no element runs it, it does not run. Results are selected afterwards, and
//! operands are selected beforehand: no derivative passes either selection for an element that does not run the
//! program, not even 0 times an infinity.

use super::nested::*;
use super::switch::bind_switch;
use crate::elementwise::{CONVERT_ELEMENT_TYPE, STOP_GRADIENT, constant, select_n};
use crate::gather::gather;
use crate::generate::arange;
use crate::reduce::reduce_max;
use gavotte_core::aval::{DType, Dim, Literal};
use gavotte_core::ir::structural::{broadcast_in_dim, place_axis};
use gavotte_core::ir::{Atom, Batched, Control, Eqn, Kind, Params, Program, Value, bind1};
use std::sync::Arc;

/// A value with the position of the new axis, if it has one.
type Placed = (Value, Option<usize>);

/// The results of a program over one more axis, all with that axis, for the elements that `which` marks (`bool[size]`);
/// results for other elements are arbitrary.
pub(super) fn batched_where(program: &Arc<Program>, args: &[Placed], which: &Value, size: &Dim) -> Batched {
    if is_elementwise(program) {
        let args: Vec<Placed> = args.iter().map(|arg| gated(arg, which, size)).collect();
        return in_place(&batched(program, &args, size), size);
    }
    let at: Vec<Option<usize>> = args.iter().map(|(_, at)| *at).collect();
    let places: Vec<usize> = batched_outs(program, &at, size).into_iter().map(|at| at.unwrap_or(0)).collect();
    let types = [vec![which.aval().clone()], batched_avals(&arg_avals(program), &at, size)].concat();
    let runs = retrace(program, "chosen", &types, |values| {
        let args: Vec<Placed> = values[1..].iter().cloned().zip(at.iter().copied()).collect();
        let outs = batched(program, &stood_in(&args, &values[0], size), size);
        in_place(&outs, size).into_iter().map(|(out, _)| out).collect()
    });
    let outs = runs.out_avals();
    let rests = retrace(program, "rest", &types, |_| outs.iter().map(|aval| or_zeros(None, aval)).collect());
    let operands: Vec<Value> = std::iter::once(which).chain(args.iter().map(|(value, _)| value)).cloned().collect();
    let found = bind_switch(vec![rests, runs], &any(which), &operands);
    found.into_iter().zip(places.into_iter().map(Some)).collect()
}

/// The operands of a program that may fail or not end for elements that do not run it: those not marked in `which` get
/// the operands of the last marked one. There must be one.
pub(super) fn stood_in(args: &[Placed], which: &Value, size: &Dim) -> Vec<Placed> {
    let numbers = arange(size.clone(), DType::I32).into();
    let last = reduce_max(&select_n(which, &Literal::I32(0).into(), &numbers), &[0]);
    let stand_in = |(x, at): &Placed| {
        let Some(axis) = *at else { return (x.clone(), None) };
        let one = bind1(STOP_GRADIENT, &[&gather(x, &last, axis, 0)], Params::new());
        (chosen(which, &place_axis(&(one, None), axis, size), x, axis), *at)
    };
    args.iter().map(stand_in).collect()
}

/// Whether a program is defined everywhere, and repeats no work if its operands are repeated for each element: such a
/// program runs for all elements as one kernel would.
pub(super) fn is_elementwise(program: &Program) -> bool {
    let avals = program.avals();
    let is_float = |atom: &Atom| match atom {
        Atom::Var(var) => avals[var.index()].dtype.is_float(),
        Atom::Literal(literal) => literal.dtype().is_float(),
    };
    let is_simple = |eqn: &Eqn| match eqn.prim.kind() {
        Kind::Map { .. } | Kind::Reshape | Kind::Generate | Kind::Barrier => true,
        // Computed positions are integers.
        Kind::View => eqn.ins.len() == 1 || eqn.ins.iter().all(is_float),
        Kind::Call | Kind::Custom => eqn.params.programs_within().all(|program| is_elementwise(program)),
        Kind::Control => match eqn.prim.control(&eqn.params) {
            Some(Control::Switch { branches }) => branches.iter().all(|branch| is_elementwise(branch)),
            _ => false,
        },
        Kind::Reduce | Kind::Contract | Kind::Opaque => false,
    };
    program.eqns.iter().all(is_simple)
}

/// An operand from which the elements marked in `which` are taken: only they have a derivative.
fn gated(arg: &Placed, which: &Value, size: &Dim) -> Placed {
    if !arg.0.dtype().is_float() {
        return arg.clone();
    }
    let axis = arg.1.unwrap_or(0);
    let x = place_axis(arg, axis, size);
    (chosen(which, &constant(x.dtype(), 0.0), &x, axis), Some(axis))
}

/// All results with the new axis: in front if they had none.
fn in_place(outs: &[Placed], size: &Dim) -> Batched {
    let place = |out: &Placed| (place_axis(out, out.1.unwrap_or(0), size), Some(out.1.unwrap_or(0)));
    outs.iter().map(place).collect()
}

/// Elements of `new` where `which` holds along `axis`, else those of `old`, which may be a scalar.
pub(super) fn chosen(which: &Value, old: &Value, new: &Value, axis: usize) -> Value {
    select_n(&broadcast_in_dim(which, new.shape(), &[axis]), old, new)
}

/// 1 if any element holds, else 0.
pub(super) fn any(which: &Value) -> Value {
    let counts = bind1(CONVERT_ELEMENT_TYPE, &[which], Params::new().with("dtype", DType::I32));
    reduce_max(&counts, &(0..which.rank()).collect::<Vec<_>>())
}
