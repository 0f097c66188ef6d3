//! The transpose of a scan that is linear in some of its operands.

use super::groups::Groups;
use super::nested::*;
use super::scan::{Spec, added, zero_sums};
use gavotte_core::aval::Aval;
use gavotte_core::ir::{Atom, Linear, Program, Transpose, Value};
use gavotte_core::transform::{self, LinearProgram};
use std::sync::Arc;

/// Which arguments and results of an iteration depend on an unknown operand. A carry does as soon as one iteration
/// makes it.
struct Split {
    args: Groups<bool>,
    outs: Vec<bool>,
}

impl Split {
    fn of(spec: &Spec, unknown: &[bool]) -> Split {
        let mut args = spec.groups(unknown);
        loop {
            let outs = dependent(&spec.body, &args.all());
            if !args.mark_carries(&spec.out_groups(&outs)) {
                return Split { args, outs };
            }
        }
    }

    /// The operands by number: the known ones, and those in which an iteration is linear.
    fn operands(&self, spec: &Spec) -> [Groups<usize>; 2] {
        let numbers: Vec<usize> = (0..spec.body.args.len()).collect();
        let all = spec.groups(&numbers);
        [false, true].map(|linear| all.marked(&self.args.map(|arg| *arg == linear)))
    }
}

/// Which results depend on these arguments.
pub(super) fn dependent(program: &Program, args: &[bool]) -> Vec<bool> {
    let mut depends = vec![false; program.n_var()];
    let reads = |atom: &Atom, depends: &[bool]| atom.var().is_some_and(|var| depends[var.index()]);
    for (binder, marked) in program.args.iter().zip(args) {
        depends[binder.var.index()] = *marked;
    }
    for eqn in &program.eqns {
        let marked = eqn.ins.iter().any(|atom| reads(atom, &depends));
        eqn.outs.iter().for_each(|binder| depends[binder.var.index()] = marked);
    }
    program.outs.iter().map(|atom| reads(atom, &depends)).collect()
}

/// The known carries at the start of each iteration, as rows: the forward values that the backward iterations need.
fn known_carries(spec: &Spec, split: &Split, ins: &[Linear]) -> Vec<Value> {
    let [known, _] = split.operands(spec);
    let (Groups { consts, carries, .. }, known) = (&known, known.all());
    if carries.is_empty() {
        return vec![];
    }
    let types = arg_avals(&spec.body);
    let avals: Vec<Aval> = known.iter().map(|i| types[*i].clone()).collect();
    let body = retrace(&spec.body, "known", &avals, |values| {
        let mut args: Vec<Option<Value>> = vec![None; types.len()];
        known.iter().zip(values).for_each(|(i, value)| args[*i] = Some(value.clone()));
        // Unknown operands do not reach a known carry: zeros replace them, and are dropped together with their uses.
        let args: Vec<Value> = args.into_iter().zip(&types).map(|(arg, aval)| or_zeros(arg, aval)).collect();
        let outs = gavotte_core::ir::interpret(&spec.body, &[], &args);
        let next = carries.iter().map(|i| outs[*i - spec.n_const].clone());
        next.chain(carries.iter().map(|i| args[*i].clone())).collect()
    });
    let ins: Vec<Value> = known.iter().filter_map(|i| ins[*i].known().cloned()).collect();
    let outs = Spec { body, n_const: consts.len(), n_carry: carries.len(), ..spec.clone() }.bind(&ins);
    outs[carries.len()..].to_vec()
}

/// Cotangents of the operands that are unknown.
pub(super) fn transpose(spec: &Spec, cx: &Transpose<'_>) -> Vec<Option<Value>> {
    let unknown: Vec<bool> = cx.ins.iter().map(Linear::is_unknown).collect();
    let split = Split::of(spec, &unknown);
    let types = arg_avals(&spec.body);
    let [known, linear] = split.operands(spec);
    let Groups { consts, carries, rows } = &linear;
    let results: Vec<usize> =
        (spec.n_carry..cx.cotangents.len()).filter(|k| split.outs[*k] && cx.cotangents[*k].is_some()).collect();
    let out_types = spec.body.out_avals();
    let of = |list: &[usize]| list.iter().map(|i| types[*i].clone()).collect::<Vec<Aval>>();
    // A backward iteration: known constants; sums for the constants and cotangents of the carries; known rows, the
    // known carries of the iteration, and the cotangents of its results.
    let parts = [
        of(&known.consts),
        of(consts),
        of(carries),
        of(&known.rows),
        of(&known.carries),
        results.iter().map(|k| out_types[*k].clone()).collect(),
    ];
    let lengths = parts.each_ref().map(Vec::len);
    let body = retrace(&spec.body, "transpose", &parts.concat(), |values| {
        let mut rest = values;
        let [v_consts, sums, v_carries, v_rows, v_known, v_results] = lengths.map(|n| {
            let (part, others) = rest.split_at(n);
            rest = others;
            part
        });
        let residuals = [v_consts, v_known, v_rows].concat();
        let iteration = linear_body(&spec.body, &linear.all(), &known.all(), residuals, &split.outs);
        let mut cotangents: Vec<Option<Value>> = vec![None; out_types.len()];
        carries.iter().zip(v_carries).for_each(|(i, ct)| cotangents[i - spec.n_const] = Some(ct.clone()));
        results.iter().zip(v_results).for_each(|(k, ct)| cotangents[*k] = Some(ct.clone()));
        let mut found = transform::transpose(&iteration, &cotangents).into_iter();
        let mut next = || found.next().flatten();
        let mut outs: Vec<Value> = sums.iter().map(|sum| added(sum, next())).collect();
        outs.extend(carries.iter().chain(rows).map(|i| or_zeros(next(), &types[*i])));
        outs
    });
    let operand = |i: &usize| cx.ins[*i].known().expect("it is known").clone();
    let mut ins: Vec<Value> = known.consts.iter().map(operand).collect();
    ins.extend(zero_sums(&of(consts)));
    ins.extend(carries.iter().map(|i| or_zeros(cx.cotangents[i - spec.n_const].clone(), &types[*i])));
    ins.extend(known.rows.iter().map(operand));
    ins.extend(known_carries(spec, &split, cx.ins));
    ins.extend(results.iter().filter_map(|k| cx.cotangents[*k].clone()));
    let back = Spec {
        body,
        n_const: known.consts.len(),
        n_carry: consts.len() + carries.len(),
        reverse: !spec.reverse,
        ..spec.clone()
    };
    let mut found: Vec<Option<Value>> = vec![None; cx.ins.len()];
    for (i, value) in linear.all().into_iter().zip(back.bind(&ins)) {
        // A carry whose initial value is known started with zeros: it takes no cotangent.
        found[i] = Some(value).filter(|_| unknown[i]);
    }
    found
}

/// An iteration as a linear program of the arguments `order`, with these values for the others.
pub(super) fn linear_body(
    body: &Arc<Program>,
    order: &[usize],
    known: &[usize],
    residuals: Vec<Value>,
    outs: &[bool],
) -> LinearProgram {
    let binders = |list: &[usize]| list.iter().map(|i| body.args[*i].clone()).collect();
    let program = Program { args: binders(order), consts: binders(known), ..Program::clone(body) };
    let (program, residuals) = transform::hoist(program.inlined(), residuals);
    let outs = outs.iter().enumerate().map(|(k, linear)| linear.then_some(k)).collect();
    LinearProgram { program, residuals, outs }
}
