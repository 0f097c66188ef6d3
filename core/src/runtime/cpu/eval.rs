//! Equations without a kernel: they run through their primitive's `eval`, on one thread.

use crate::aval::Literal;
use crate::device::HostArray;
use crate::error::Error;
use crate::ir::{Atom, Eqn, eval_checked};
use crate::runtime::plan::Plan;
use crate::runtime::plan::frame::Frame;
use crate::with_data;

/// Runs an equation.
///
/// # Safety
/// `frame` must hold valid memory for what the equation reads and writes, of the plan's sizes.
pub(in crate::runtime) unsafe fn run(eqn: &Eqn, plan: &Plan, frame: &Frame) -> Result<(), Error> {
    // SAFETY: by this function's contract.
    let ins = eqn.ins.iter().map(|atom| unsafe { load(*atom, plan, frame) }).collect::<Result<Vec<_>, _>>()?;
    for (binder, out) in eqn.outs.iter().zip(evaluate(eqn, &ins, plan)?) {
        let into = frame.pointers[binder.var.index()];
        with_data!(out.data(), xs => {
            // SAFETY: the plan allocated memory for the elements of the variable's type, and this array has that type.
            unsafe { std::ptr::copy_nonoverlapping(xs.as_ptr(), into.cast(), xs.len()) }
        });
    }
    Ok(())
}

/// The results of an equation, with the types that the plan has for its outputs.
///
/// # Errors
/// If its primitive rejects its operands, or returns something of another type.
pub(in crate::runtime) fn evaluate(eqn: &Eqn, ins: &[HostArray], plan: &Plan) -> Result<Vec<HostArray>, Error> {
    let refs: Vec<&HostArray> = ins.iter().collect();
    let outs = eqn.outs.iter().map(|binder| &plan.avals[binder.var.index()]);
    let run = || eval_checked(eqn.prim, &refs, &eqn.params.at(&plan.sizes), outs, eqn.location);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|payload| Err(failed(eqn, &*payload)))
}

/// # Safety
/// As [`run`].
unsafe fn load(atom: Atom, plan: &Plan, frame: &Frame) -> Result<HostArray, Error> {
    let var = match atom {
        Atom::Literal(literal) => return Ok(HostArray::scalar(literal)),
        Atom::Var(var) => var,
    };
    let aval = &plan.avals[var.index()];
    let shape: Vec<usize> = aval.shape.iter().filter_map(|dim| dim.as_usize()).collect();
    let mut array = HostArray::try_full(&shape, Literal::from_f64(aval.dtype, 0.0))?;
    let from = frame.pointers[var.index()];
    with_data!(mut array.data_mut(), xs => {
        // SAFETY: the variable's memory holds its elements, written by an earlier step.
        unsafe { std::ptr::copy_nonoverlapping(from.cast_const().cast(), xs.as_mut_ptr(), xs.len()) }
    });
    Ok(array)
}

fn failed(eqn: &Eqn, payload: &(dyn std::any::Any + Send)) -> Error {
    let why = payload.downcast_ref::<Error>().map(Error::to_string);
    let why = why.or_else(|| payload.downcast_ref::<String>().cloned());
    let why = why.or_else(|| payload.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default();
    Error::Call(format!("{}: {why}\n  at {}", eqn.prim.name(), eqn.location))
}
