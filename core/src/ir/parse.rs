//! Programs from text: the inverse of `print`.
//!
//! ```text
//! text    = program*
//! program = "program" "@" name "(" binders [";" binders] ")" "->" "(" types ")"
//!           ["where" fact ("," fact)*] "{" eqn* "return" atoms "}"
//! fact    = dim (">=" | "<=" | "==" | ">" | "<") dim
//! eqn     = [binders "="] primitive atoms ["{" name "=" attr ("," name "=" attr)* "}"]
//! binder  = "%" number ":" type          type = dtype "[" dims "]"
//! atom    = "%" number | literal         attr = dim | literal | dtype | "\"" word "\"" | "[" attrs "]" | program
//! ```
//! `//` starts a comment that ends with the line. In a word `\"`, `\\` and `\n` are a quote, a backslash and the end of a
//! line; an equation without binders has no outputs and runs for its effect. Lists and programs stand at most 64 deep within
//! each other.

use crate::aval::{Aval, DType, Fact, Literal};
use crate::error::Error;
use crate::ir::cursor::{Cursor, is_literal_char};
use crate::ir::verify::beyond_tables;
use crate::ir::{Atom, Attr, Binder, Eqn, Location, Params, Program, Registry, Var, verify};
use smallvec::SmallVec;
use std::sync::Arc;

/// Reads one program and verifies it.
pub fn parse(text: &str, registry: &Registry) -> Result<Program, Error> {
    let mut c = Cursor::new(text);
    let program = program(&mut c, registry)?;
    if !c.is_at_end() {
        return Err(c.error("one program ends here; nothing may follow it"));
    }
    verify(&program)?;
    Ok(program.renumbered())
}

/// Reads programs that stand one after the other and verifies each.
pub fn parse_many(text: &str, registry: &Registry) -> Result<Vec<Program>, Error> {
    let mut c = Cursor::new(text);
    let mut programs = vec![];
    while !c.is_at_end() {
        let program = program(&mut c, registry)?;
        verify(&program)?;
        programs.push(program.renumbered());
    }
    Ok(programs)
}

/// A program with the numbers of its text: those that an error must show.
fn program(c: &mut Cursor<'_>, registry: &Registry) -> Result<Program, Error> {
    c.expect("program")?;
    c.expect("@")?;
    let name = c.name("the program's name")?.to_string();
    c.expect("(")?;
    let args = c.list(&[")", ";"], Cursor::binder)?;
    let consts = if c.eat(";") { c.list(&[")"], Cursor::binder)? } else { vec![] };
    c.expect(")")?;
    c.expect("->")?;
    c.expect("(")?;
    let types_at = c.place();
    let types = c.list(&[")"], Cursor::aval)?;
    c.expect(")")?;
    let facts = if c.eat("where ") { c.list(&["{"], fact)? } else { vec![] };
    c.expect("{")?;
    let mut eqns = vec![];
    while !c.eat("return") {
        eqns.push(eqn(c, registry)?);
    }
    let outs = c.list(&["}"], atom)?;
    c.expect("}")?;
    let program = Program { name, args, consts, eqns, outs, facts: facts.into_iter().collect() };
    if let Some(var) = unbound(&program).or_else(|| beyond_tables(&program)) {
        let why = format!("{var} is larger than the number of variables: number them from %0");
        return Err(c.error_at(types_at, why));
    }
    let found = program.out_avals();
    if found != types {
        let show = |avals: &[Aval]| avals.iter().map(|a| a.to_string()).collect::<Vec<_>>().join(", ");
        let why = format!("the program returns ({}), not ({})", show(&found), show(&types));
        return Err(c.error_at(types_at, why));
    }
    Ok(program)
}

/// The largest variable that is read, where it is larger than all that are bound.
fn unbound(program: &Program) -> Option<Var> {
    let n = program.n_var();
    let read = program.eqns.iter().flat_map(|eqn| &eqn.ins).chain(&program.outs).filter_map(|atom| atom.var());
    read.filter(|var| var.index() >= n).max()
}

fn fact(c: &mut Cursor<'_>) -> Result<Fact, Error> {
    let word = c.word("a fact", |x| x.is_ascii_alphanumeric() || "_+-*<>= ".contains(x))?;
    word.parse().map_err(|why: String| c.error(why))
}

fn atom(c: &mut Cursor<'_>) -> Result<Atom, Error> {
    if c.sees("%") { c.var().map(Atom::Var) } else { c.literal("an operand").map(Atom::Literal) }
}

fn eqn(c: &mut Cursor<'_>, registry: &Registry) -> Result<Eqn, Error> {
    let mut outs: SmallVec<[Binder; 1]> = SmallVec::new();
    if c.sees("%") || c.sees("=") {
        outs.extend(c.list(&["="], Cursor::binder)?);
        c.expect("=")?;
    }
    let name_at = c.place();
    let name = c.name(if outs.is_empty() { "an equation or `return`" } else { "a primitive" })?;
    let Some(prim) = registry.get(name) else {
        return Err(c.error_at(name_at, format!("`{name}` is no primitive")));
    };
    // Operands stand on the primitive's line; a brace, a binder or `return` on the next line ends them.
    let operands_follow = c.rest_of_line().starts_with(|x: char| x == '%' || is_literal_char(x));
    let ins = if operands_follow { c.list(&["{"], atom)? } else { vec![] };
    let mut params = Params::new();
    if c.rest_of_line().starts_with('{') {
        c.expect("{")?;
        for (name, attr) in c.list(&["}"], |c| {
            let name = c.name("an attribute's name")?.to_string();
            c.expect("=")?;
            Ok((name, attr(c, registry)?))
        })? {
            params = params.with(name, attr);
        }
        c.expect("}")?;
    }
    Ok(Eqn { prim, params, ins: ins.into_iter().collect(), outs, location: Location::default() })
}

fn attr(c: &mut Cursor<'_>, registry: &Registry) -> Result<Attr, Error> {
    if c.eat("[") {
        let attrs = c.within(|c| c.list(&["]"], |c| attr(c, registry)))?;
        c.expect("]")?;
        return Ok(Attr::List(attrs));
    }
    if c.sees("\"") {
        return Ok(Attr::Word(c.quoted()?.into()));
    }
    if c.sees("program ") {
        return Ok(Attr::Program(Arc::new(c.within(|c| program(c, registry))?.renumbered())));
    }
    let word = c.word("an attribute", |x| is_literal_char(x) || "_*".contains(x))?;
    if let Some(dtype) = DType::parse(word) {
        return Ok(Attr::DType(dtype));
    }
    if let Ok(literal) = word.parse::<Literal>() {
        return Ok(Attr::Literal(literal));
    }
    word.parse().map(Attr::Dim).map_err(|why: String| c.error(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_nested_too_deep_is_an_error_with_its_line() {
        let registry = Registry::new(&[]);
        let lists = |depth: usize| format!("shape = {}1{}", "[".repeat(depth), "]".repeat(depth));
        let programs = |depth: usize| {
            let head = "program @f() -> () { transpose { program = ".repeat(depth);
            format!("program = {head} program @g() -> () {{ return }} {}", "} return }".repeat(depth))
        };
        let error = |attr: String| {
            let text = format!(
                "program @f(%0: f32[1]) -> (f32[1]) {{\n  %1: f32[1] = transpose %0 {{{attr}}}\n  return %1\n}}"
            );
            parse(&text, &registry).map(|_| ()).map_err(|error| error.to_string())
        };
        for depth in [65, 20_000] {
            for attr in [lists(depth), programs(depth)] {
                let why = error(attr).expect_err("it is too deep");
                assert!(why.contains("line 2") && why.contains("64 deep"), "{why}");
            }
        }
        for attr in [lists(64), programs(63)] {
            assert!(error(attr).is_err_and(|why| !why.contains("deep")));
        }
    }
}
