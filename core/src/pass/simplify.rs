//! `simplify`: an equation is replaced by what its primitive knows to be equal and less work.
//!
//! Law: each rewrite rule of a primitive states its own, and a rewrite keeps the output's type: one that does not is
//! a bug of the rule. Equations are visited in program order and each is rewritten until no rule applies, so that a
//! rule sees operands in their simplest form.

use crate::aval::{Aval, Literal};
use crate::ir::structural::ZEROS;
use crate::ir::{Atom, Binder, Eqn, Params, Program, Rewrite, Simplify, Var, atom_aval, with_facts_of};
use crate::pass::names::Names;

/// More rewrites of one equation than any chain of rules needs: two rules that undo each other.
const MAX_REWRITES: usize = 32;

/// Replaces equations by what their primitives know to be less work.
pub(super) fn run(program: Program) -> Program {
    let Program { name, args, consts, facts, .. } = &program;
    let (name, args, consts, facts) = (name.clone(), args.clone(), consts.clone(), facts.clone());
    let head = Program { name, args, consts, eqns: vec![], outs: vec![], facts };
    with_facts_of(&head, || simplified(program))
}

fn simplified(mut program: Program) -> Program {
    let mut names = Names::new(&program);
    let avals = program.avals();
    let mut eqns: Vec<Eqn> = Vec::with_capacity(program.eqns.len());
    let mut made_by: Vec<Option<usize>> = vec![None; program.n_var()];
    for eqn in std::mem::take(&mut program.eqns) {
        match simplest(names.read(eqn), &avals, &eqns, &made_by) {
            Simplest::Atom(var, atom) => names.replace(var, atom),
            Simplest::Eqn(eqn) => {
                eqn.outs.iter().for_each(|binder| made_by[binder.var.index()] = Some(eqns.len()));
                eqns.push(*eqn);
            }
        }
    }
    names.finish(program, eqns)
}

/// What an equation comes to.
enum Simplest {
    /// For its one output stands this atom.
    Atom(Var, Atom),
    /// An equation that binds the same variables.
    Eqn(Box<Eqn>),
}

fn simplest(mut eqn: Eqn, avals: &[Aval], eqns: &[Eqn], made_by: &[Option<usize>]) -> Simplest {
    // A rewrite stands for one output.
    let [Binder { var, aval: out }] = &eqn.outs[..] else { return Simplest::Eqn(Box::new(eqn)) };
    if eqn.prim.rewrites().is_empty() {
        return Simplest::Eqn(Box::new(eqn));
    }
    let (var, out) = (*var, out.clone());
    for _ in 0..MAX_REWRITES {
        let ins: Vec<Aval> = eqn.ins.iter().map(|atom| atom_aval(*atom, avals)).collect();
        let definition = |i: usize| eqns.get(made_by[eqn.ins.get(i)?.var()?.index()]?);
        let cx = Simplify { eqn: &eqn, ins: &ins, definition: &definition };
        let atom = match eqn.prim.rewrites().iter().find_map(|rule| (rule.apply)(&cx)) {
            None => return Simplest::Eqn(Box::new(eqn)),
            Some(Rewrite::Operand(i)) => eqn.ins[i],
            Some(Rewrite::Atom(atom)) => atom,
            Some(Rewrite::Zeros) if out.rank() == 0 => Atom::Literal(Literal::from_f64(out.dtype, 0.0)),
            Some(Rewrite::Zeros) => {
                let params = Params::new().with("dtype", out.dtype).with("shape", &out.shape);
                return Simplest::Eqn(Box::new(Eqn { prim: ZEROS, params, ins: Default::default(), ..eqn }));
            }
            Some(Rewrite::Eqn(prim, ins, params)) => {
                let types: Vec<Aval> = ins.iter().map(|atom| atom_aval(*atom, avals)).collect();
                let found = prim.abstract_eval(&types.iter().collect::<Vec<_>>(), &params);
                assert!(
                    found.as_deref() == Ok(std::slice::from_ref(&out)),
                    "simplifying `{eqn}` to {} of {types:?} gives {found:?}: the rule must keep the type",
                    prim.name()
                );
                eqn = Eqn { prim, params, ins: ins.into_iter().collect(), ..eqn };
                continue;
            }
        };
        let found = atom_aval(atom, avals);
        assert!(found == out, "simplifying `{eqn}` to {atom}: {found}: the rule must keep the type");
        return Simplest::Atom(var, atom);
    }
    panic!("simplifying `{eqn}` does not come to an end: two rules undo each other")
}
