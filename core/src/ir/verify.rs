//! The definition of a well-formed program.
//!
//! 1. Every variable is bound once, by an argument, a constant or an equation.
//! 2. An equation reads only variables that are bound before it; so do the results.
//! 3. The types that an equation binds are those its primitive's `abstract_eval` returns for its operands.
//! 4. Every symbol in an equation's types and attributes occurs in the type of an argument or a constant.
//! 5. A nested program is well formed; its symbols may be those of the enclosing program. It takes the operands of its
//!    equation and returns its results, as the primitive's kind prescribes.
//! 6. Every symbol in a program's facts occurs in its types or those of the enclosing program. A fact of a nested
//!    program follows from the facts around it: a call that satisfies those satisfies this one.
//! 7. No type and no attribute is [too large](crate::aval::Dim::is_too_large), and no extent is negative.
//!
//! Every program is checked before it is compiled, in every build: generated code relies on these rules, and the fields
//! of a program are public. The time is linear in the size of the program, a small part of compile time.

use crate::aval::{Aval, Dim, Symbol, Verdict};
use crate::error::Error;
use crate::ir::assume::{decide, with_facts_of, within_facts_of};
use crate::ir::program::{Atom, atom_aval};
use crate::ir::{Eqn, Program, Var, check_nested};

/// Checks a program. The error shows the program with a message under the offending line.
pub fn verify(program: &Program) -> Result<(), Error> {
    verify_with_place(program).map_err(|fault| fault.error)
}

/// What is wrong with a program, and where.
pub(super) struct Fault {
    /// The offending program: the one that was verified, or one within.
    pub(super) program: *const Program,
    /// The number of its offending part: 0 is the head, then come the equations, then the results.
    pub(super) part: usize,
    /// The program with a message under the part.
    pub(super) error: Error,
}

impl Fault {
    fn new(program: &Program, part: usize, error: Error) -> Self {
        Fault { program, part, error }
    }

    /// The same fault, of a program that an equation holds.
    fn within(self, outer: &Program, eqn: &Eqn) -> Self {
        let made = if is_in_source(eqn) { format!(", made at {}", eqn.location) } else { String::new() };
        let error = Error::Verify(format!("{}\n  in `{}` of @{}{made}", self.error, eqn.prim.name(), outer.name));
        Fault { error, ..self }
    }
}

/// [`verify`]; an error comes with its place.
pub(super) fn verify_with_place(program: &Program) -> Result<(), Fault> {
    with_facts_of(program, || verify_within(program, &[]))
}

fn verify_within(program: &Program, outer: &[Symbol]) -> Result<(), Fault> {
    if let Some(var) = beyond_tables(program) {
        // Its text cannot even be printed.
        let why = format!(
            "the program is not well formed\n@{}: {var} is larger than the number of variables: number them from %0",
            program.name
        );
        return Err(Fault::new(program, 0, Error::Verify(why)));
    }
    let mut symbols = program.symbols();
    symbols.extend_from_slice(outer);
    // Sorted, to be searched.
    symbols.sort();
    for fact in program.facts.iter() {
        if fact.as_bool() == Some(false) {
            return Err(show(program, 0, &format!("the fact `{fact}` does not hold")));
        }
        if let Some(symbol) = fact.symbols().into_iter().find(|symbol| symbols.binary_search(symbol).is_err()) {
            return Err(show(program, 0, &format!("the fact `{fact}` is about `{symbol}`, the size of no argument")));
        }
    }
    let mut bound = vec![false; program.n_var()];
    let avals = program.avals();
    for (i, binder) in program.args.iter().chain(&program.consts).enumerate() {
        if std::mem::replace(&mut bound[binder.var.index()], true) {
            return Err(show(program, 0, &format!("{} is bound twice (binder {i})", binder.var)));
        }
        if let Some(why) = binder.aval.impossible() {
            return Err(show(program, 0, &format!("{}: {why}", binder.var)));
        }
    }
    for (i, eqn) in program.eqns.iter().enumerate() {
        let here = |why: String| show(program, i + 1, &why);
        check_bound(eqn, &mut bound).map_err(here)?;
        // Primitives are asked only about well-formed programs.
        for inner in eqn.params.programs_within() {
            if let Some(fact) = inner.facts.iter().find(|fact| decide(fact) != Verdict::Holds) {
                let why = format!("`{fact}`, a fact of @{}, does not follow from the facts around it", inner.name);
                return Err(here(why));
            }
            within_facts_of(inner, || verify_within(inner, &symbols)).map_err(|fault| fault.within(program, eqn))?;
        }
        check_types(eqn, &avals, &symbols).map_err(here)?;
    }
    let last = program.eqns.len() + 1;
    check_reads(&program.outs, &bound).map_err(|why| show(program, last, &why))
}

fn check_reads(atoms: &[Atom], bound: &[bool]) -> Result<(), String> {
    for var in atoms.iter().filter_map(|atom| atom.var()) {
        if !bound.get(var.index()).copied().unwrap_or(false) {
            return Err(format!("{var} is not bound before it is read"));
        }
    }
    Ok(())
}

fn check_bound(eqn: &Eqn, bound: &mut [bool]) -> Result<(), String> {
    check_reads(&eqn.ins, bound)?;
    // Before types are compared: a variable that is bound twice has two.
    for binder in &eqn.outs {
        if std::mem::replace(&mut bound[binder.var.index()], true) {
            return Err(format!("{} is bound twice", binder.var));
        }
    }
    Ok(())
}

/// Checks an equation whose nested programs are well formed.
fn check_types(eqn: &Eqn, avals: &[Aval], symbols: &[Symbol]) -> Result<(), String> {
    let ins: Vec<Aval> = eqn.ins.iter().map(|atom| atom_aval(*atom, avals)).collect();
    let refs: Vec<&Aval> = ins.iter().collect();
    let expected = eqn.prim.abstract_eval(&refs, &eqn.params).map_err(|why| format!("{}: {why}", eqn.prim.name()))?;
    let found: Vec<Aval> = eqn.outs.iter().map(|binder| binder.aval.clone()).collect();
    if expected != found {
        return Err(format!("{} returns {expected:?}, not {found:?}", eqn.prim.name()));
    }
    if let Some(why) = eqn.params.too_large().or_else(|| found.iter().find_map(Aval::impossible)) {
        return Err(format!("{}: {why}", eqn.prim.name()));
    }
    let unknown = |dim: &Dim| match dim.as_number() {
        Some(_) => None,
        None => dim.symbols().into_iter().find(|symbol| symbols.binary_search(symbol).is_err()),
    };
    let of_types = || found.iter().flat_map(|aval| &aval.shape).find_map(unknown);
    if let Some(symbol) = eqn.params.find_dim(|_, dim| unknown(dim)).or_else(of_types) {
        return Err(format!("the size `{symbol}` is that of no argument"));
    }
    check_nested(eqn, &ins).map_err(|why| format!("{}: {why}", eqn.prim.name()))
}

/// A bound variable whose number exceeds every table indexed by variables, if there is one.
pub(super) fn beyond_tables(program: &Program) -> Option<Var> {
    let (n, limit) = (program.n_var(), 4 * (program.binders().count() + 64));
    (n > limit).then(|| Var((n - 1) as u32))
}

/// The program with `why` under part `line` (0 is the head; nested programs make an equation span several lines).
fn show(program: &Program, line: usize, why: &str) -> Fault {
    let mut text = String::from("the program is not well formed\n");
    let head = program.to_string();
    let mut lines = vec![head.lines().next().unwrap_or("").to_string()];
    lines.extend(program.eqns.iter().map(|eqn| format!("  {eqn}")));
    let outs: Vec<String> = program.outs.iter().map(|atom| atom.to_string()).collect();
    lines.push(format!("  return {}", outs.join(", ")));
    for (i, shown) in lines.iter().enumerate() {
        text.push_str(shown);
        text.push('\n');
        if i == line {
            text.push_str(&format!("  ^ {why}\n"));
            let eqn = line.checked_sub(1).and_then(|i| program.eqns.get(i));
            if let Some(eqn) = eqn.filter(|eqn| is_in_source(eqn)) {
                text.push_str(&format!("    made at {}\n", eqn.location));
            }
        }
    }
    text.push('}');
    Fault::new(program, line, Error::Verify(text))
}

/// Whether an equation has a line that the text of its program does not show.
fn is_in_source(eqn: &Eqn) -> bool {
    eqn.location.is_known() && eqn.location.line().is_none()
}
