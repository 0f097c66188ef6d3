//! `simplify`: an equation is replaced by what its primitive knows to be equal and less work.
//!
//! Law: each rewrite rule of a primitive states its own, and a rewrite keeps the output's type: one that does not is
//! a bug of the rule. Equations are visited in program order and each is rewritten until no rule applies, so that a
//! rule sees operands in their simplest form.

use crate::aval::Aval;
use crate::ir::{Atom, Binder, Eqn, Program, Rewrite, RewriteRule, Simplify, Var, atom_aval, with_facts_of};
use crate::pass::change::{After, Change, Log};
use crate::pass::names::Names;
use std::cell::RefCell;

/// More rewrites of one equation than any chain of rules needs: two rules that undo each other.
const MAX_REWRITES: usize = 32;

/// Replaces equations by what their primitives know to be less work.
pub(super) fn run(program: Program, log: Log<'_>) -> Program {
    let Program { name, args, consts, facts, .. } = &program;
    let (name, args, consts, facts) = (name.clone(), args.clone(), consts.clone(), facts.clone());
    let head = Program { name, args, consts, eqns: vec![], outs: vec![], facts };
    with_facts_of(&head, || simplified(program, log))
}

fn simplified(mut program: Program, log: Log<'_>) -> Program {
    let mut names = Names::new(&program);
    let avals = program.avals();
    let mut eqns: Vec<Eqn> = Vec::with_capacity(program.eqns.len());
    let mut made_by: Vec<Option<usize>> = vec![None; program.n_var()];
    for eqn in std::mem::take(&mut program.eqns) {
        match simplest(names.read(eqn), &avals, &eqns, &made_by, log) {
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

fn simplest(mut eqn: Eqn, avals: &[Aval], eqns: &[Eqn], made_by: &[Option<usize>], log: Log<'_>) -> Simplest {
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
        let applied = eqn.prim.rewrites().iter().find_map(|rule| Some((rule, (rule.apply)(&cx)?)));
        let Some((rule, rewrite)) = applied else { return Simplest::Eqn(Box::new(eqn)) };
        let atom = match rewrite {
            Rewrite::Operand(i) => eqn.ins[i],
            Rewrite::Atom(atom) => atom,
            Rewrite::Eqn(prim, ins, params) => {
                let types: Vec<Aval> = ins.iter().map(|atom| atom_aval(*atom, avals)).collect();
                let found = prim.abstract_eval(&types.iter().collect::<Vec<_>>(), &params);
                assert!(
                    found.as_deref() == Ok(std::slice::from_ref(&out)),
                    "simplifying `{eqn}` to {} of {types:?} returns {found:?}: the rule must keep the type",
                    prim.name()
                );
                let change = log.is_on().then(|| change(rule, &cx));
                eqn = Eqn { prim, params, ins: ins.into_iter().collect(), ..eqn };
                if let Some(change) = change {
                    log.tell(|| Change { after: After::Eqn(Box::new(eqn.clone())), ..change });
                }
                continue;
            }
        };
        let found = atom_aval(atom, avals);
        assert!(found == out, "simplifying `{eqn}` to {atom}: {found}: the rule must keep the type");
        log.tell(|| Change { after: After::Atoms(vec![atom]), ..change(rule, &cx) });
        return Simplest::Atom(var, atom);
    }
    panic!("simplifying `{eqn}` does not come to an end: two rules undo each other")
}

/// What a rule sees, with the equations that it looks at beside the one that it rewrites.
fn change(rule: &'static RewriteRule, cx: &Simplify<'_>) -> Change {
    let read = RefCell::new(vec![]);
    let definition = |i: usize| {
        let found = (cx.definition)(i)?;
        read.borrow_mut().push(found);
        Some(found)
    };
    let _ = (rule.apply)(&Simplify { definition: &definition, ..*cx });
    let mut read: Vec<&Eqn> = read.into_inner();
    let place = |eqn: &&Eqn| eqn.outs.first().map(|binder| binder.var);
    read.sort_by_key(place);
    read.dedup_by_key(|eqn| place(eqn));
    let read = read.into_iter().cloned().collect();
    Change { rule: Some(rule), read, ..Change::new(cx.eqn, After::Nothing) }
}
