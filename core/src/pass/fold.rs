//! `fold`: a scalar whose operands are all literals is a literal.
//!
//! Law: `f(literals) = eval f (literals)`, by the interpreter that is the oracle of every target. Sizes that are
//! symbols are known only when a program runs, so an equation that names one stays; so do calls and opaque
//! primitives, whose work is not bounded. A NaN, and an infinity made of finite literals, stay equations: what looks for
//! mistakes in numbers finds them there.

use crate::aval::Literal;
use crate::device::HostArray;
use crate::ir::{Atom, Attr, Eqn, Kind, Program, eval_checked};
use crate::pass::change::{After, Change, Log};
use crate::pass::names::Names;
use smallvec::SmallVec;

/// Computes scalars whose operands are all literals.
pub(super) fn run(mut program: Program, log: Log<'_>) -> Program {
    let mut names = Names::new(&program);
    let mut eqns = Vec::with_capacity(program.eqns.len());
    for eqn in std::mem::take(&mut program.eqns) {
        let eqn = names.read(eqn);
        match literals(&eqn) {
            Some(literals) => {
                log.tell(|| Change::new(&eqn, After::Atoms(literals.iter().copied().map(Atom::Literal).collect())));
                for (binder, literal) in eqn.outs.iter().zip(literals) {
                    names.replace(binder.var, Atom::Literal(literal));
                }
            }
            None => eqns.push(eqn),
        }
    }
    names.finish(program, eqns)
}

/// The outputs of an equation that can be computed now.
fn literals(eqn: &Eqn) -> Option<SmallVec<[Literal; 1]>> {
    let known = !matches!(eqn.prim.kind(), Kind::Call | Kind::Custom | Kind::Control | Kind::Barrier | Kind::Opaque)
        && eqn.outs.iter().all(|binder| binder.aval.rank() == 0)
        && eqn.params.iter().all(|(_, attr)| is_numeric(attr));
    if !known {
        return None;
    }
    let ins: Option<SmallVec<[HostArray; 4]>> = eqn
        .ins
        .iter()
        .map(|atom| match atom {
            Atom::Literal(literal) => Some(HostArray::scalar(*literal)),
            Atom::Var(_) => None,
        })
        .collect();
    let ins = ins?;
    let refs: SmallVec<[&HostArray; 4]> = ins.iter().collect();
    let avals = eqn.outs.iter().map(|binder| &binder.aval);
    let outs = eval_checked(eqn.prim, &refs, &eqn.params, avals, eqn.location).ok()?;
    let outs: SmallVec<[Literal; 1]> = outs.iter().map(|array| array.get(0)).collect();
    let explained = ins.iter().any(|array| array.get(0).as_f64().is_infinite());
    let is_plain = |x: f64| x.is_finite() || (x.is_infinite() && explained);
    outs.iter().all(|literal| is_plain(literal.as_f64())).then_some(outs)
}

/// Whether no size in it is a symbol.
fn is_numeric(attr: &Attr) -> bool {
    match attr {
        Attr::Dim(dim) => dim.as_number().is_some(),
        Attr::List(attrs) => attrs.iter().all(is_numeric),
        Attr::Program(_) | Attr::Host(_) => false,
        Attr::Literal(_) | Attr::DType(_) | Attr::Word(_) => true,
    }
}
