//! Linearisation: the results at a point, and the linear program of the derivative there.

use crate::aval::Aval;
use crate::ir::{
    Atom, Binder, Derivative, Eqn, Linearize, Linearized, Program, Traced, Value, Var, adopt, bind,
    interpret_read as read, trace, with_location,
};
use crate::transform::jvp::{push_tangents, push_with};
use smallvec::SmallVec;

/// The derivative of a program at a point: linear in its arguments, with the values that it needs from the point as
/// constants.
#[derive(Clone, Debug)]
pub struct LinearProgram {
    /// One argument for each argument of the original that has a tangent.
    pub program: Program,
    /// The values of `program.consts`: the residuals.
    pub residuals: Vec<Value>,
    /// For each result of the original, which result of `program` is its tangent; `None` for zero.
    pub outs: Vec<Option<usize>>,
}

/// Results at `args`, and the derivative with respect to the arguments that `wrt` marks (only floating-point ones).
///
/// Source: Radul et al., *You Only Linearize Once* (POPL 2023): reverse mode is linearisation, then transposition.
pub fn linearize(program: &Program, consts: &[Value], args: &[Value], wrt: &[bool]) -> (Vec<Value>, LinearProgram) {
    adopt(&program.facts);
    linearize_with(&program.inlined(), consts, args, wrt, &[])
}

/// [`linearize`], with the values of some variables known: the equations that bind them are not rerun. The variables
/// are those of `program`, which contains no calls ([`Program::inlined`]).
pub fn linearize_with(
    program: &Program,
    consts: &[Value],
    args: &[Value],
    wrt: &[bool],
    known: &[(Var, Value)],
) -> (Vec<Value>, LinearProgram) {
    let wrt: Vec<bool> = args.iter().zip(wrt).map(|(arg, wrt)| *wrt && arg.dtype().is_float()).collect();
    let point = Point::new(program, consts, args, &wrt, known);
    let results = program.outs.iter().map(|atom| read(*atom, &point.values)).collect();
    (results, point.derivative(program, args, &wrt))
}

/// The result of the forward pass: the value of every variable, and the derivative of every equation that has a
/// `linearize` rule.
struct Point {
    values: Vec<Option<Value>>,
    derivatives: Vec<Option<Derivative>>,
}

impl Point {
    fn new(program: &Program, consts: &[Value], args: &[Value], wrt: &[bool], known: &[(Var, Value)]) -> Point {
        let mut values: Vec<Option<Value>> = vec![None; program.n_var()];
        for (var, value) in known {
            values[var.index()] = Some(value.clone());
        }
        let mut moves = vec![false; program.n_var()];
        for (binder, value) in program.args.iter().zip(args).chain(program.consts.iter().zip(consts)) {
            values[binder.var.index()] = Some(value.clone());
        }
        for (binder, wrt) in program.args.iter().zip(wrt) {
            moves[binder.var.index()] = *wrt;
        }
        let mut derivatives = Vec::with_capacity(program.eqns.len());
        for eqn in &program.eqns {
            let ins: SmallVec<[Value; 4]> = eqn.ins.iter().map(|atom| read(*atom, &values)).collect();
            let active: SmallVec<[bool; 4]> =
                eqn.ins.iter().map(|atom| atom.var().is_some_and(|var| moves[var.index()])).collect();
            let is_active = active.contains(&true);
            // An equation without outputs has an effect, which no known value replaces.
            if !eqn.outs.is_empty() && eqn.outs.iter().all(|binder| values[binder.var.index()].is_some()) {
                derivatives.push(None);
                mark_active(eqn, is_active, &mut moves);
                continue;
            }
            let (outs, derivative) = with_location(eqn.location, || {
                let cx = Linearize { primals: &ins, active: &active, params: &eqn.params };
                match is_active.then(|| eqn.prim.linearize(&cx)).flatten() {
                    Some(Linearized { outs, derivative }) => (outs, Some(derivative)),
                    None => (bind(eqn.prim, &ins.iter().collect::<SmallVec<[_; 4]>>(), eqn.params.clone()), None),
                }
            });
            derivatives.push(derivative);
            for (binder, value) in eqn.outs.iter().zip(outs) {
                values[binder.var.index()] = Some(value);
            }
            mark_active(eqn, is_active, &mut moves);
        }
        Point { values, derivatives }
    }

    fn derivative(&self, program: &Program, args: &[Value], wrt: &[bool]) -> LinearProgram {
        let active: Vec<usize> = (0..args.len()).filter(|i| wrt[*i]).collect();
        let avals: Vec<Aval> = active.iter().map(|i| args[*i].aval().clone()).collect();
        let mut outs = vec![];
        let name = format!("{}_linear", program.name);
        let Traced { program: tangent, consts: captured } = trace(&name, &avals, |tangents| {
            let mut moves: Vec<Option<Value>> = vec![None; program.n_var()];
            for (i, tangent) in active.iter().zip(tangents) {
                moves[program.args[*i].var.index()] = Some(tangent);
            }
            for (eqn, derivative) in program.eqns.iter().zip(&self.derivatives) {
                with_location(eqn.location, || self.push(eqn, derivative.as_ref(), &mut moves));
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
        let (program, residuals) = hoist(tangent, captured);
        LinearProgram { program, residuals, outs }
    }

    /// Computes the tangents of one equation's outputs from those of its operands.
    fn push(&self, eqn: &Eqn, derivative: Option<&Derivative>, moves: &mut [Option<Value>]) {
        let Some(derivative) = derivative else {
            let ins: SmallVec<[Value; 4]> = eqn.ins.iter().map(|atom| read(*atom, &self.values)).collect();
            let outs: SmallVec<[Value; 1]> =
                eqn.outs.iter().map(|binder| read(Atom::Var(binder.var), &self.values)).collect();
            return push_tangents(eqn, &ins, &outs, moves);
        };
        push_with(eqn, moves, |tangents| derivative(tangents));
    }
}

/// Floating-point outputs of an equation may have tangents if an operand may.
fn mark_active(eqn: &Eqn, is_active: bool, moves: &mut [bool]) {
    for binder in &eqn.outs {
        moves[binder.var.index()] = is_active && binder.aval.dtype.is_float();
    }
}

/// Evaluates now everything that does not depend on the arguments of a program with these values for its constants; its
/// results replace the constants.
pub fn hoist(program: Program, captured: Vec<Value>) -> (Program, Vec<Value>) {
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
    // The known values that the linear equations still read are the residuals.
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
