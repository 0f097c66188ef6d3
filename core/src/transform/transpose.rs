//! Transposition of linear programs, and reverse mode as linearisation followed by transposition.

use crate::aval::Aval;
use crate::ir::Program;
use crate::ir::interpret_read as read;
use crate::ir::structural::{add_any, broadcast_in_dim, zeros};
use crate::ir::{Atom, Linear, Transpose, Value, adopt, with_location};
use crate::transform::linearize::hoist;
use crate::transform::{LinearProgram, linearize};
use smallvec::SmallVec;

/// Cotangents of the linear program's arguments, `None` for zero, for cotangents of its results.
///
/// `<J t, c> = <t, Jᵀ c>`: equations are visited in reverse, each sends its outputs' cotangents to its operands.
pub fn transpose(linear: &LinearProgram, cotangents: &[Option<Value>]) -> Vec<Option<Value>> {
    let program = &linear.program;
    adopt(&program.facts);
    let n = program.n_var();
    let mut known: Vec<Option<Value>> = vec![None; n];
    for (binder, value) in program.consts.iter().zip(&linear.residuals) {
        known[binder.var.index()] = Some(value.clone());
    }
    let avals = program.avals();
    let mut sums: Vec<Option<Value>> = vec![None; n];
    for (out, cotangent) in linear.outs.iter().zip(cotangents) {
        if let (Some(out), Some(cotangent)) = (out, cotangent) {
            accumulate(program.outs[*out], cotangent.clone(), &mut sums);
        }
    }
    for eqn in program.eqns.iter().rev() {
        let cotangents: SmallVec<[Option<Value>; 1]> =
            eqn.outs.iter().map(|binder| sums[binder.var.index()].take()).collect();
        if cotangents.iter().all(Option::is_none) {
            continue;
        }
        let ins: SmallVec<[Linear; 4]> = eqn
            .ins
            .iter()
            .map(|atom| match atom {
                Atom::Var(var) if known[var.index()].is_none() => Linear::Unknown(avals[var.index()].clone()),
                atom => Linear::Known(read(*atom, &known)),
            })
            .collect();
        with_location(eqn.location, || {
            let cx = Transpose { cotangents: &cotangents, ins: &ins, params: &eqn.params };
            for (atom, cotangent) in eqn.ins.iter().zip(eqn.prim.transpose(&cx)) {
                if let Some(cotangent) = cotangent {
                    accumulate(*atom, cotangent, &mut sums);
                }
            }
        });
    }
    program.args.iter().map(|binder| sums[binder.var.index()].take()).collect()
}

/// The rule `transpose` of a primitive that runs `program` on its operands (its constants, then its arguments) and is
/// linear in the unknown ones: what depends only on known operands is computed, the rest is transposed. One entry for
/// each operand, `None` for zero and for a known operand.
pub fn transpose_call(program: &Program, ins: &[Linear], cotangents: &[Option<Value>]) -> Vec<Option<Value>> {
    let program = program.inlined();
    let (mut args, mut consts, mut values) = (vec![], vec![], vec![]);
    for (binder, operand) in program.consts.iter().chain(&program.args).zip(ins) {
        match operand {
            Linear::Unknown(_) => args.push(binder.clone()),
            Linear::Known(value) => {
                consts.push(binder.clone());
                values.push(value.clone());
            }
        }
    }
    let (program, residuals) = hoist(Program { args, consts, ..program }, values);
    let outs = (0..program.outs.len()).map(Some).collect();
    let mut found = transpose(&LinearProgram { program, residuals, outs }, cotangents).into_iter();
    ins.iter().map(|operand| if operand.is_unknown() { found.next().flatten() } else { None }).collect()
}

/// A tangent or cotangent of this type, with zeros if there is none.
#[track_caller]
pub fn instantiate(found: Option<Value>, aval: &Aval) -> Value {
    match found {
        Some(value) if value.shape() == &aval.shape => value,
        // A rule may return a scalar as the cotangent if every element is the same.
        Some(value) => broadcast_in_dim(&value, &aval.shape, &[]),
        None => zeros(aval),
    }
}

#[track_caller]
fn accumulate(atom: Atom, cotangent: Value, sums: &mut [Option<Value>]) {
    if let Atom::Var(var) = atom {
        let sum = &mut sums[var.index()];
        *sum = Some(match sum.take() {
            Some(old) => add_any(&old, &cotangent),
            None => cotangent,
        });
    }
}

/// Cotangents of arguments, or of results; `None` for zero.
pub type Cotangents = Vec<Option<Value>>;

/// Results at `args`, and the function that maps cotangents of the results (`None` for zero) to those of the arguments
/// that `wrt` marks: one entry per argument, `None` for zero, for an unmarked one, and for one that is not
/// floating-point.
pub fn vjp(
    program: &Program,
    consts: &[Value],
    args: &[Value],
    wrt: &[bool],
) -> (Vec<Value>, impl Fn(&[Option<Value>]) -> Cotangents + use<>) {
    let (outs, linear) = linearize(program, consts, args, wrt);
    let active: Vec<bool> = args.iter().zip(wrt).map(|(arg, wrt)| *wrt && arg.dtype().is_float()).collect();
    (outs, move |cotangents: &[Option<Value>]| {
        let mut found = transpose(&linear, cotangents).into_iter();
        active.iter().map(|active| if *active { found.next().flatten() } else { None }).collect()
    })
}
