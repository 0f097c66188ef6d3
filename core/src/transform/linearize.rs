//! Linearisation: the results at a point, and the linear program of the derivative there.

use crate::aval::Aval;
use crate::ir::{
    Atom, Binder, Program, Traced, Value, bind, interpret_all, interpret_read as read, trace, with_location,
};
use crate::transform::jvp::push_tangents;
use smallvec::SmallVec;

/// The derivative of a program at a point: linear in its arguments, with what it needs of the point as constants.
#[derive(Clone, Debug)]
pub struct LinearProgram {
    /// One argument for each argument of the original that has a tangent.
    pub program: Program,
    /// The values of `program.consts`: the residuals.
    pub residuals: Vec<Value>,
    /// For each result of the original, which result of `program` is its tangent; `None` for zero.
    pub outs: Vec<Option<usize>>,
}

/// Results at `args`, and the derivative with respect to the arguments that `wrt` marks (floating ones only).
///
/// Source: Radul et al., *You Only Linearize Once* (POPL 2023): reverse mode is linearisation, then transposition.
pub fn linearize(program: &Program, consts: &[Value], args: &[Value], wrt: &[bool]) -> (Vec<Value>, LinearProgram) {
    let program = program.inlined();
    let values = interpret_all(&program, consts, args);
    let active: Vec<usize> = (0..args.len()).filter(|i| wrt[*i] && program.args[*i].aval.dtype.is_float()).collect();
    let avals: Vec<Aval> = active.iter().map(|i| args[*i].aval().clone()).collect();
    let mut outs = vec![];
    let Traced { program: tangent, consts: captured } =
        trace(&format!("{}_linear", program.name), &avals, |tangents| {
            let mut moves: Vec<Option<Value>> = vec![None; program.n_var()];
            for (i, tangent) in active.iter().zip(tangents) {
                moves[program.args[*i].var.index()] = Some(tangent);
            }
            for eqn in &program.eqns {
                with_location(eqn.location, || {
                    let ins: SmallVec<[Value; 4]> = eqn.ins.iter().map(|atom| read(*atom, &values)).collect();
                    let results: SmallVec<[Value; 1]> =
                        eqn.outs.iter().map(|binder| read(Atom::Var(binder.var), &values)).collect();
                    push_tangents(eqn, &ins, &results, &mut moves);
                });
            }
            let mut found = vec![];
            for atom in &program.outs {
                let tangent = atom.var().and_then(|var| moves[var.index()].clone());
                outs.push(tangent.map(|tangent| {
                    found.push(tangent);
                    found.len() - 1
                }));
            }
            found
        });
    let (program_linear, residuals) = hoist(tangent, captured);
    let results = program.outs.iter().map(|atom| read(*atom, &values)).collect();
    (results, LinearProgram { program: program_linear, residuals, outs })
}

/// Computes now what does not depend on the arguments; its results become residuals.
fn hoist(program: Program, captured: Vec<Value>) -> (Program, Vec<Value>) {
    let mut linear = vec![false; program.n_var()];
    for binder in &program.args {
        linear[binder.var.index()] = true;
    }
    let mut known: Vec<Option<Value>> = vec![None; program.n_var()];
    for (binder, value) in program.consts.iter().zip(&captured) {
        known[binder.var.index()] = Some(value.clone());
    }
    let mut eqns = vec![];
    for eqn in program.eqns {
        if eqn.ins.iter().any(|atom| atom.var().is_some_and(|var| linear[var.index()])) {
            eqn.outs.iter().for_each(|binder| linear[binder.var.index()] = true);
            eqns.push(eqn);
            continue;
        }
        let ins: SmallVec<[Value; 4]> = eqn.ins.iter().map(|atom| read(*atom, &known)).collect();
        let refs: SmallVec<[&Value; 4]> = ins.iter().collect();
        let outs = with_location(eqn.location, || bind(eqn.prim, &refs, eqn.params.clone()));
        for (binder, value) in eqn.outs.iter().zip(outs) {
            known[binder.var.index()] = Some(value);
        }
    }
    // What the linear equations still read of the known values are the residuals.
    let mut consts = vec![];
    let mut residuals = vec![];
    let mut seen = vec![false; known.len()];
    let reads = eqns.iter().flat_map(|eqn| &eqn.ins).chain(&program.outs).filter_map(|atom| atom.var());
    for var in reads {
        if let Some(value) = &known[var.index()]
            && !std::mem::replace(&mut seen[var.index()], true)
        {
            consts.push(Binder { var, aval: value.aval().clone() });
            residuals.push(value.clone());
        }
    }
    (Program { eqns, consts, ..program }.renumbered(), residuals)
}
