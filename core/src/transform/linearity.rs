//! Whether a program is linear, as its primitives' derivatives tell.

use crate::aval::Aval;
use crate::ir::{Atom, Eqn, Jvp, Kind, Location, Program, Traced, Value, ValueAndJvp, interpret_read as read, trace};
use crate::transform::LinearProgram;

/// Where and why a program is not linear in its arguments: the first equation whose derivative is not the equation
/// itself, because the derivative depends on where it is taken, or because something constant is added. `None` if none
/// is found.
///
/// A constant counts if it is an array that is computed; one that is being traced may be zero. Loops and branches are
/// not examined: their transposition examines what they run.
pub fn nonlinearity(linear: &LinearProgram) -> Option<(Location, String)> {
    let program = linear.program.clone().inlined_where(&|kind| matches!(kind, Kind::Call | Kind::Custom)).pruned();
    let avals = program.avals();
    let mut moves = vec![false; program.n_var()];
    let mut known: Vec<Option<Value>> = vec![None; program.n_var()];
    program.args.iter().for_each(|binder| moves[binder.var.index()] = true);
    for (binder, value) in program.consts.iter().zip(&linear.residuals) {
        known[binder.var.index()] = Some(value.clone());
    }
    let is_added = |atom: &Atom| match atom.var() {
        Some(var) => known[var.index()].as_ref().is_some_and(is_not_zero),
        None => is_not_zero(&read(*atom, &[])),
    };
    for eqn in &program.eqns {
        let unknown: Vec<bool> = eqn.ins.iter().map(|atom| atom.var().is_some_and(|var| moves[var.index()])).collect();
        if eqn.prim.kind() == Kind::Barrier {
            eqn.outs.iter().zip(&unknown).for_each(|(binder, unknown)| moves[binder.var.index()] = *unknown);
            continue;
        }
        let any = unknown.contains(&true);
        eqn.outs.iter().for_each(|binder| moves[binder.var.index()] = any);
        let why = if any && !eqn.outs.is_empty() { why_not(eqn, &unknown, &avals, &is_added) } else { None };
        if let Some(why) = why {
            return Some((eqn.location, format!("{} {why}", eqn.prim.name())));
        }
    }
    let constant = |atom: &&Atom| !atom.var().is_some_and(|var| moves[var.index()]) && is_added(atom);
    program.outs.iter().find(constant).map(|_| (Location::default(), "a result is a constant that is not zero".into()))
}

/// Why an equation is not linear in its unknown operands.
fn why_not(eqn: &Eqn, unknown: &[bool], avals: &[Aval], is_added: &dyn Fn(&Atom) -> bool) -> Option<String> {
    if let Some(binder) = eqn.outs.iter().find(|binder| !binder.aval.dtype.is_float()) {
        return Some(format!("makes {} of them, which has no derivative", binder.aval));
    }
    if eqn.prim.kind() == Kind::Control {
        return None;
    }
    let n = eqn.ins.len();
    let of = |atom: &Atom| crate::ir::atom_aval(*atom, avals);
    let primals = eqn.ins.iter().map(of);
    let tangents = eqn.ins.iter().zip(unknown).filter(|(_, unknown)| **unknown).map(|(atom, _)| of(atom));
    let outs = eqn.outs.iter().map(|binder| binder.aval.clone());
    let all: Vec<Aval> = primals.chain(outs).chain(tangents).collect();
    let mut is_flat = false;
    let Traced { program, .. } = trace("derivative", &all, |values| {
        let (primals, rest) = values.split_at(n);
        let (outs, tangents) = rest.split_at(eqn.outs.len());
        let mut tangents = tangents.iter().cloned();
        let tangents: Vec<Option<Value>> =
            unknown.iter().map(|unknown| unknown.then(|| tangents.next()).flatten()).collect();
        let params = &eqn.without_effects().params;
        let pushed = eqn.prim.value_and_jvp(&ValueAndJvp { primals, tangents: &tangents, params });
        let found = match pushed {
            Some((_, found)) => found,
            None => eqn.prim.jvp(&Jvp { primals, tangents: &tangents, outs, params }),
        };
        is_flat = found.iter().any(Option::is_none);
        found.into_iter().flatten().collect()
    });
    if is_flat {
        return Some("has the derivative zero, and is not zero".into());
    }
    let reads = reads(&program.pruned(), n + eqn.outs.len());
    let at_point = |i: usize| if i < n { unknown[i] } else { true };
    if (0..reads.len()).any(|i| at_point(i) && reads[i]) {
        return Some("has a derivative that depends on them".into());
    }
    let added = |i: &usize| !unknown[*i] && !reads[*i] && of(&eqn.ins[*i]).dtype.is_float() && is_added(&eqn.ins[*i]);
    (0..n).find(added).map(|i| format!("adds a constant that is not zero, its operand {i}"))
}

/// Which of the first `n` arguments a program reads.
fn reads(program: &Program, n: usize) -> Vec<bool> {
    let mut read = vec![false; program.n_var()];
    let atoms = program.eqns.iter().flat_map(|eqn| &eqn.ins).chain(&program.outs);
    atoms.filter_map(|atom| atom.var()).for_each(|var| read[var.index()] = true);
    program.args[..n].iter().map(|binder| read[binder.var.index()]).collect()
}

/// Whether an array is computed and has an element that is not zero.
fn is_not_zero(value: &Value) -> bool {
    let Some(array) = (!value.is_traced()).then(|| value.to_host().ok()).flatten() else { return false };
    (0..array.len()).any(|i| array.get(i).as_f64() != 0.0)
}
