//! `widen`: operations on halves and short integers are those on the type in which they are computed.
//!
//! Law: `f(x…)` on a narrow type is by definition `f(x…)` on a wider one, rounded once: its operands are converted, which
//! is exact, and its outputs converted back. So no kernel computes in a narrow type.

use crate::aval::{Aval, DType};
use crate::ir::structural::{CONVERT_ELEMENT_TYPE, to};
use crate::ir::{Atom, Binder, Eqn, Program, Var};
use crate::pass::change::{After, Change, Log};
use smallvec::smallvec;

/// Puts conversions around each equation that is computed in another type than its operands have.
pub(super) fn run(program: Program, log: Log<'_>) -> Program {
    let avals = program.avals();
    let dtype_of = |atom: &Atom| match atom {
        Atom::Var(var) => avals[var.index()].dtype,
        Atom::Literal(literal) => literal.dtype(),
    };
    let widens = |eqn: &Eqn| eqn.ins.iter().map(dtype_of).any(|dtype| eqn.prim.computed_in(dtype) != dtype);
    if !program.eqns.iter().any(widens) {
        return program;
    }
    let mut next = (avals.len() as u32..).map(Var);
    let mut fresh = |aval: &Aval, dtype: DType| Binder {
        var: next.next().expect("there is always a next"),
        aval: aval.with_dtype(dtype),
    };
    let mut eqns = vec![];
    for mut eqn in program.eqns {
        if !widens(&eqn) {
            eqns.push(eqn);
            continue;
        }
        log.tell(|| {
            let computed = eqn.ins.iter().map(dtype_of).find(|dtype| eqn.prim.computed_in(*dtype) != *dtype);
            let computed = computed.map(|dtype| eqn.prim.computed_in(dtype)).expect("an operand is widened");
            Change::new(&eqn, After::Widened(computed))
        });
        let convert = |from: Atom, into: Binder| Eqn {
            prim: CONVERT_ELEMENT_TYPE,
            params: to(into.aval.dtype),
            ins: smallvec![from],
            outs: smallvec![into],
            location: eqn.location,
        };
        let mut after = vec![];
        for atom in &mut eqn.ins {
            let computed = eqn.prim.computed_in(dtype_of(atom));
            match *atom {
                Atom::Literal(literal) => *atom = Atom::Literal(literal.convert(computed)),
                Atom::Var(var) if computed != avals[var.index()].dtype => {
                    let wide = fresh(&avals[var.index()], computed);
                    *atom = Atom::Var(wide.var);
                    eqns.push(convert(Atom::Var(var), wide));
                }
                Atom::Var(_) => {}
            }
        }
        for binder in &mut eqn.outs {
            let computed = eqn.prim.computed_in(binder.aval.dtype);
            if computed != binder.aval.dtype {
                let wide = fresh(&binder.aval, computed);
                after.push(convert(Atom::Var(wide.var), std::mem::replace(binder, wide)));
            }
        }
        eqns.push(eqn);
        eqns.append(&mut after);
    }
    Program { eqns, ..program }.renumbered()
}
