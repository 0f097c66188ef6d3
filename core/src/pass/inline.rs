//! `inline`: a call is its program, with the call's operands for the program's arguments.
//!
//! Law: `call {f} a…` = the equations of `f` with `a…` for its binders, and so for every primitive that holds one program
//! and has rules of its own, or that is a composition of others. Equations without a location of their own get the
//! call's.

use crate::aval::Aval;
use crate::ir::structural::CALL;
use crate::ir::{Kind, Location, Params, Program, atom_aval, with_facts_of};
use crate::pass::change::{After, Change, Log};
use std::sync::Arc;

/// Puts nested programs in the place of their calls, and compositions in the place of what they compose.
pub(super) fn run(program: Program, log: Log<'_>) -> Program {
    if log.is_on() {
        for eqn in program.eqns.iter().filter(|eqn| is_inlined(eqn.prim.kind())) {
            let inner = eqn.params.program("program").as_ref().clone().inlined_where(&is_inlined);
            log.tell(|| Change::new(eqn, After::Inlined(inner.eqns.len())));
        }
    }
    composed(program.inlined_where(&is_inlined), log)
}

/// The same program with each composition in the place of its equation.
fn composed(mut program: Program, log: Log<'_>) -> Program {
    // What else there is has kernels.
    if program.eqns.iter().all(|eqn| eqn.prim.kind() != Kind::Opaque) {
        return program;
    }
    let head = Program { eqns: vec![], outs: vec![], ..program.clone() };
    let avals = program.avals();
    let mut has_composition = false;
    with_facts_of(&head, || {
        for eqn in &mut program.eqns {
            let ins: Vec<Aval> = eqn.ins.iter().map(|atom| atom_aval(*atom, &avals)).collect();
            let Some(mut inner) = eqn.prim.composition(&ins, &eqn.params) else { continue };
            log.tell(|| Change::new(eqn, After::Inlined(inner.eqns.len())));
            // They are made where the equation is.
            inner.eqns.iter_mut().for_each(|eqn| eqn.location = Location::default());
            (eqn.prim, eqn.params) = (CALL, Params::new().with("program", Arc::new(inner)));
            has_composition = true;
        }
    });
    if has_composition { program.inlined_where(&|kind| kind == Kind::Call) } else { program }
}

fn is_inlined(kind: Kind) -> bool {
    matches!(kind, Kind::Call | Kind::Custom)
}
