//! Programs from text: the inverse of `print`.
//!
//! ```text
//! text    = program*
//! program = "program" "@" name "(" binders [";" binders] ")" "->" "(" types ")"
//!           ["where" fact ("," fact)*] "{" eqn* "return" atoms "}"
//! fact    = dim (">=" | "<=" | "==" | ">" | "<") dim
//! eqn     = [binders "="] primitive atoms ["{" name "=" attr ("," name "=" attr)* "}"] ["@" "\"" scope "\""]
//! binder  = "%" number ":" type          type = dtype "[" dims "]"
//! atom    = "%" number | literal         attr = dim | literal | dtype | "\"" word "\"" | "[" attrs "]" | program
//! ```
//! `//` starts a comment that ends with the line. In a word `\"`, `\\` and `\n` are a quote, a backslash and the end of
//! a line; an equation without binders has no outputs and runs for its effect; a scope is a name (`named_scope`). Lists and
//! programs nest at most 64 deep.

use crate::aval::{Aval, DType, Fact, Facts, Literal, Verdict};
use crate::error::Error;
use crate::ir::cursor::{Cursor, is_literal_char};
use crate::ir::verify::{Fault, beyond_tables, verify_with_place};
use crate::ir::{Atom, Attr, Binder, Eqn, Location, NameScope, Params, Program, Registry, Var};
use rustc_hash::FxHashSet;
use smallvec::SmallVec;
use std::sync::Arc;

/// Reads one program and verifies it.
pub fn parse(text: &str, registry: &Registry) -> Result<Program, Error> {
    let (mut c, mut source) = (Cursor::new(text), Source::new(registry));
    let program = Written::read(&mut c, &mut source)?;
    if !c.is_at_end() {
        return Err(c.error("one program ends here; nothing may follow it"));
    }
    program.verified(&c, &source)
}

/// Reads consecutive programs and verifies each. Their equations know their lines in the text.
pub fn parse_many(text: &str, registry: &Registry) -> Result<Vec<Program>, Error> {
    let mut c = Cursor::with_lines(text);
    let mut programs = vec![];
    while !c.is_at_end() {
        let mut source = Source::new(registry);
        programs.push(Written::read(&mut c, &mut source)?.verified(&c, &source)?);
    }
    Ok(programs)
}

/// A program with the variable numbers of its text, which errors must show.
struct Written {
    program: Program,
    mapped: Mapped,
}

/// What a text is read with, and the programs within that are read so far.
struct Source<'a> {
    registry: &'a Registry,
    /// Each after those within itself.
    nested: Vec<(Arc<Program>, Mapped)>,
}

impl<'a> Source<'a> {
    fn new(registry: &'a Registry) -> Self {
        Source { registry, nested: vec![] }
    }

    /// The number of a nested program; that of the outermost follows all others.
    fn number(&self, program: *const Program) -> usize {
        let n = self.nested.len();
        self.nested.iter().position(|(known, _)| Arc::as_ptr(known) == program).unwrap_or(n)
    }
}

/// The places of a program's parts in the text.
struct Mapped {
    /// The types of the results according to its head.
    types: Vec<Aval>,
    types_at: usize,
    /// Places of the head, of each equation, and of the results.
    places: Vec<usize>,
}

impl Mapped {
    /// Requires that the results have the types in the head.
    fn check(&self, program: &Program, c: &Cursor<'_>) -> Result<(), Error> {
        let found = program.out_avals();
        if found == self.types {
            return Ok(());
        }
        let show = |avals: &[Aval]| avals.iter().map(|a| a.to_string()).collect::<Vec<_>>().join(", ");
        let why = format!("the program returns ({}), not ({})", show(&found), show(&self.types));
        Err(c.error_at(self.types_at, why))
    }
}

/// Variables, each with the place where it is written.
type Vars = Vec<(Var, usize)>;

impl Written {
    fn read(c: &mut Cursor<'_>, source: &mut Source<'_>) -> Result<Written, Error> {
        let mut vars = vec![];
        let mut places = vec![c.place()];
        c.expect("program")?;
        c.expect("@")?;
        let name = c.name("the program's name")?.to_string();
        c.expect("(")?;
        let args = c.list(&[")", ";"], |c| binder(c, &mut vars))?;
        let consts = if c.eat(";") { c.list(&[")"], |c| binder(c, &mut vars))? } else { vec![] };
        c.expect(")")?;
        c.expect("->")?;
        c.expect("(")?;
        let types_at = c.place();
        let types = c.list(&[")"], Cursor::aval)?;
        c.expect(")")?;
        let facts = if c.eat("where ") { c.list(&["{"], |c| Ok((c.place(), fact(c)?)))? } else { vec![] };
        let mut known = Facts::new();
        for (at, fact) in &facts {
            if fact.as_bool().is_none() && known.decide(fact) == Verdict::Fails {
                return Err(c.error_at(*at, format!("the fact `{fact}` contradicts `{known}`")));
            }
            known.push(fact.clone());
        }
        c.expect("{")?;
        let mut eqns = vec![];
        while !c.sees("return") {
            places.push(c.place());
            eqns.push(eqn(c, source, &mut vars)?);
        }
        places.push(c.place());
        c.expect("return")?;
        let outs = c.list(&["}"], |c| atom(c, &mut vars))?;
        c.expect("}")?;
        let program =
            Program { name, args, consts, eqns, outs, facts: facts.into_iter().map(|(_, fact)| fact).collect() };
        let at = |var: Var| vars.iter().find(|(other, _)| *other == var).map_or(types_at, |(_, at)| *at);
        if let Some(var) = unbound(&program) {
            return Err(c.error_at(at(var), format!("{var} is read here, and nothing binds it before")));
        }
        if let Some(var) = beyond_tables(&program) {
            let why = format!("{var} is larger than the number of variables: number them from %0");
            return Err(c.error_at(at(var), why));
        }
        Ok(Written { program, mapped: Mapped { types, types_at, places } })
    }

    /// The program, if it is well formed. Errors in equations come before errors in the results of their program, and
    /// those of a nested program before what they cause around it.
    fn verified(self, c: &Cursor<'_>, source: &Source<'_>) -> Result<Program, Error> {
        let nested = &source.nested;
        let mistyped = nested.iter().map(|(program, mapped)| mapped.check(program, c)).enumerate();
        let mistyped = mistyped.filter_map(|(i, checked)| Some((i, checked.err()?))).next();
        if let Err(Fault { program, part, error }) = verify_with_place(&self.program) {
            let number = source.number(program);
            if let Some((i, error)) = mistyped
                && i < number
            {
                return Err(error);
            }
            let mapped = nested.get(number).map_or(&self.mapped, |(_, mapped)| mapped);
            let (line, column) = c.position(mapped.places.get(part).copied().unwrap_or(mapped.types_at));
            return Err(Error::Verify(format!("line {line}, column {column}: {error}")));
        }
        mistyped.map_or(Ok(()), |(_, error)| Err(error))?;
        self.mapped.check(&self.program, c)?;
        Ok(self.program.renumbered())
    }
}

/// The first variable that is read before it is bound.
fn unbound(program: &Program) -> Option<Var> {
    let mut bound: FxHashSet<Var> = program.args.iter().chain(&program.consts).map(|binder| binder.var).collect();
    for eqn in &program.eqns {
        let read = eqn.ins.iter().filter_map(|atom| atom.var()).find(|var| !bound.contains(var));
        if read.is_some() {
            return read;
        }
        bound.extend(eqn.outs.iter().map(|binder| binder.var));
    }
    program.outs.iter().filter_map(|atom| atom.var()).find(|var| !bound.contains(var))
}

fn binder(c: &mut Cursor<'_>, vars: &mut Vars) -> Result<Binder, Error> {
    let at = c.place();
    let binder = c.binder()?;
    vars.push((binder.var, at));
    Ok(binder)
}

fn fact(c: &mut Cursor<'_>) -> Result<Fact, Error> {
    let at = c.place();
    c.refuse_bracket()?;
    let word = c.word("a fact", |x| x.is_ascii_alphanumeric() || "_+-*<>= ".contains(x))?;
    c.refuse_bracket()?;
    word.parse().map_err(|why: String| c.error_at(at, why))
}

fn atom(c: &mut Cursor<'_>, vars: &mut Vars) -> Result<Atom, Error> {
    if !c.sees("%") {
        return c.literal("an operand").map(Atom::Literal);
    }
    let at = c.place();
    let var = c.var()?;
    vars.push((var, at));
    Ok(Atom::Var(var))
}

fn eqn(c: &mut Cursor<'_>, source: &mut Source<'_>, vars: &mut Vars) -> Result<Eqn, Error> {
    let location = c.line().map_or(Location::default(), Location::in_text);
    let mut outs: SmallVec<[Binder; 1]> = SmallVec::new();
    if c.sees("%") || c.sees("=") {
        outs.extend(c.list(&["="], |c| binder(c, vars))?);
        c.expect("=")?;
    }
    let name_at = c.place();
    let name = c.name(if outs.is_empty() { "an equation or `return`" } else { "a primitive" })?;
    let Some(prim) = source.registry.get(name) else {
        let advice = nearest(name, source.registry.iter().map(|prim| prim.name()))
            .unwrap_or_else(|| "the names are those in printed programs".into());
        return Err(c.error_at(name_at, format!("there is no primitive `{name}`: {advice}")));
    };
    // Operands are on the primitive's line; a brace, a binder or `return` on the next line ends them.
    let operands_follow = c.rest_of_line().starts_with(|x: char| x == '%' || is_literal_char(x));
    let ins = if operands_follow { c.list(&["{"], |c| atom(c, vars))? } else { vec![] };
    let mut params = Params::new();
    if c.rest_of_line().starts_with('{') {
        c.expect("{")?;
        let mut names: Vec<&str> = vec![];
        for (name, attr) in c.list(&["}"], |c| {
            let at = c.place();
            let name = c.name("an attribute's name")?;
            if names.contains(&name) {
                return Err(c.error_at(at, format!("the attribute `{name}` is given twice: keep one")));
            }
            let known = prim.attributes();
            if !known.contains(&name) {
                let all =
                    || if known.is_empty() { "it has none".into() } else { format!("it has {}", known.join(", ")) };
                let advice = nearest(name, known.iter().copied()).unwrap_or_else(all);
                return Err(c.error_at(at, format!("{} has no attribute `{name}`: {advice}", prim.name())));
            }
            names.push(name);
            let name = name.to_string();
            c.expect("=")?;
            Ok((name, attr(c, source)?))
        })? {
            params = params.with(name, attr);
        }
        c.expect("}")?;
    }
    let location = if c.rest_of_line().starts_with("@\"") { location.in_scope(scope(c)?) } else { location };
    Ok(Eqn { prim, params, ins: ins.into_iter().collect(), outs, location })
}

/// The named part of the program.
fn scope(c: &mut Cursor<'_>) -> Result<NameScope, Error> {
    c.expect("@")?;
    let at = c.place();
    let name = c.quoted()?;
    if name.is_empty() {
        return Err(c.error_at(at, "a scope has a name: leave out `@` where there is none"));
    }
    Ok(NameScope::new(&name))
}

/// A question about the name that is nearest to `name`, if one is near.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let near = known.min_by_key(|known| edits(known, name))?;
    (edits(near, name) <= 1 + name.len() / 4).then(|| format!("did you mean `{near}`?"))
}

/// How many letters must be added, removed or replaced to turn one word into the other.
///
/// Source: Wagner, Fischer, *The string-to-string correction problem* (J. ACM, 1974).
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

fn attr(c: &mut Cursor<'_>, source: &mut Source<'_>) -> Result<Attr, Error> {
    if c.eat("[") {
        let attrs = c.within(|c| c.list(&["]"], |c| attr(c, source)))?;
        c.expect("]")?;
        return Ok(Attr::List(attrs));
    }
    if c.sees("\"") {
        return Ok(Attr::Word(c.quoted()?.into()));
    }
    if c.sees("program ") {
        let Written { program, mapped } = c.within(|c| Written::read(c, source))?;
        let program = Arc::new(program.renumbered());
        source.nested.push((program.clone(), mapped));
        return Ok(Attr::Program(program));
    }
    c.refuse_bracket()?;
    let at = c.place();
    let word = c.word("an attribute", |x| is_literal_char(x) || "_*".contains(x))?;
    c.refuse_bracket()?;
    if let Some(dtype) = DType::parse(word) {
        return Ok(Attr::DType(dtype));
    }
    if let Ok(literal) = word.parse::<Literal>() {
        return Ok(Attr::Literal(literal));
    }
    word.parse().map(Attr::Dim).map_err(|why: String| c.error_at(at, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_of_the_line_where_it_stands() {
        let registry = Registry::new(&[]);
        for (body, says) in [
            ("  %1: f32[3] = add_any %0, %9\n  return %1", "line 4, column 28: %9 is read here"),
            ("  %1: f32[3] = add_any %0, %0\n  return %7", "line 5, column 10: %7 is read here"),
            ("  %90000: f32[3] = add_any %0, %0\n  return %0", "line 4, column 3: %90000 is larger than"),
            (
                "  %1: f32[3] = add_eny %0, %0\n  return %1",
                "line 4, column 16: there is no primitive `add_eny`: did you",
            ),
            ("  %1: f32[3] = neg %0\n  return %1", "line 4, column 16: there is no primitive `neg`: the names are"),
            (
                "  %1: f32[3] = transpose %0 {axes=[0], axes=[0]}\n  return %1",
                "line 4, column 40: the attribute `axes` is given twice",
            ),
            (
                "  %1: f32[3] = transpose %0 {axis=[0]}\n  return %1",
                "line 4, column 30: transpose has no attribute `axis`: did you mean `axes`?",
            ),
            (
                "  %1: f32[3] = transpose %0 {axes=[0], permutation=[0]}\n  return %1",
                "line 4, column 40: transpose has no attribute `permutation`: it has axes",
            ),
            (
                "  %1: f32[3] = add_any %0, %0 {a=1}\n  return %1",
                "line 4, column 32: add_any has no attribute `a`: it has none",
            ),
            ("  %1: f32[3] = add_any %0, 1e99f32\n  return %1", "line 4, column 28: `1e99f32` does not fit into f32"),
            ("  %1: f32[3] = add_any %0, 9999999999i32", "line 4, column 28: `9999999999i32` does not fit into i32"),
            // An error in an equation comes before the errors that it causes in the results.
            ("  %1: f32[4] = add_any %0, %0\n  return %1", "line 4, column 3: the program is not well formed"),
            ("  %1: f32[3] = add_any %0, %2\n\n  %2: f32[3] = add_any %0, %0\n  return %2", "line 4, column 28: %2 is"),
            ("\n  return %0, %0", "line 3, column 28: the program returns"),
        ] {
            let text = format!("// A remark.\n\nprogram @f(%0: f32[3]) -> (f32[3]) {{\n{body}\n}}\n");
            let why = parse(&text, &registry).expect_err(body).to_string();
            assert!(why.starts_with(says), "{body}: {why}");
        }
        let why = parse("program @f(%0: f32[3]) -> (f32[3])", &registry).expect_err("it ends").to_string();
        assert!(why.contains("expected `{`, found the end"), "{why}");
        let head = "program @f(%0: f32[n]) -> (f32[n]) where n >= 3, n <= 2 {\n  return %0\n}\n";
        let why = parse(head, &registry).expect_err("no size is both").to_string();
        assert_eq!(why, "line 1, column 50: the fact `n <= 2` contradicts `n >= 3`");
    }

    #[test]
    fn a_size_in_parentheses_is_told_how_it_is_written() {
        let registry = Registry::new(&[]);
        for (text, column) in [
            ("program @f(%0: f32[(n)]) -> (f32[n]) {", 20),
            ("program @f(%0: f32[2, (2*n+1)]) -> (f32[n]) {", 23),
            ("program @f(%0: f32[2*(n+1)]) -> (f32[n]) {", 22),
            ("program @f(%0: f32[n]) -> (f32[n]) where (n) >= 1 {", 42),
            ("program @f(%0: f32[n]) -> (f32[n]) where n >= (1) {", 47),
            ("program @f(%0: f32[n]) -> (f32[n]) {  %1: f32[n] = transpose %0 {axes=[(0)]}", 72),
        ] {
            let why = parse(text, &registry).expect_err(text).to_string();
            let says =
                format!("line 1, column {column}: a size has no parentheses: write a number or a sum of products");
            assert!(why.starts_with(&says), "{text}: {why}");
        }
    }

    /// In linear time: looking at pairs of them would take minutes.
    #[test]
    fn many_symbols_are_read() {
        let names: Vec<String> = (0..20_000).map(|i| format!("s{i}")).collect();
        let ty = format!("f32[{}]", names.join("+"));
        let text = format!("program @f(%0: {ty}) -> ({ty}) {{\n  %1: {ty} = add_any %0, %0\n  return %1\n}}\n");
        let program = parse(&text, &Registry::new(&[])).expect("it is well formed");
        assert_eq!(program.symbols().len(), 20_000);
    }

    /// What is wrong within a nested program is said once, of the line there.
    #[test]
    fn mistakes_in_nested_programs_are_said_of_their_lines() {
        let registry = Registry::new(&[]);
        for (body, head, says) in [
            ("      %1: f32[4] = add_any %0, %0\n      return %1", "f32[4]", "line 4, column 7: the program is not"),
            ("      %1: f32[4] = add_any %0, %0\n      return %1", "f32[3]", "line 4, column 7: the program is not"),
            ("      return %0", "f32[4]", "line 3, column 33: the program returns (f32[3]), not (f32[4])"),
            ("      %1: f32[3] = add_any %0, %0\n      return %0, %1", "f32[3]", "line 3, column 33: the program ret"),
        ] {
            let inner = format!("program @g(%0: f32[3]) -> ({head}) {{\n{body}\n    }}");
            let outer = format!(
                "program @h(%0: f32[3]) -> (f32[3]) {{\n  %1: f32[3] = call %0 {{program={inner}}}\n  return %1\n}}"
            );
            let text = format!(
                "program @f(%0: f32[3]) -> (f32[3]) {{\n%1: f32[3] = call %0 {{program=\n{outer}}}\nreturn %1\n}}\n"
            );
            // The innermost program begins on the line of the equation that holds it.
            let text = text.replacen(
                "  %1: f32[3] = call %0 {program=program @g",
                "  %1: f32[3] = call %0 {program=\nprogram @g",
                1,
            );
            let lines: Vec<&str> = text.lines().collect();
            let at = lines.iter().position(|line| line.starts_with("program @g")).unwrap_or_default();
            let why = parse(&text, &registry).expect_err(body).to_string();
            let says =
                says.replace("line 4", &format!("line {}", at + 2)).replace("line 3", &format!("line {}", at + 1));
            let says = says.replace("column 33", "column 28");
            assert!(why.starts_with(&says), "{why}\n{text}");
            assert!(why.matches("is not well formed").count() <= 1, "{why}");
            if why.contains("not well formed") {
                assert!(why.contains("@g(") && why.contains("^ add_any returns [f32[3]], not [f32[4]]"), "{why}");
                assert!(why.ends_with("}\n  in `call` of @h\n  in `call` of @f"), "{why}");
            }
        }
    }

    #[test]
    fn text_that_is_nested_too_deep_is_an_error_with_its_line() {
        let registry = Registry::new(&[]);
        let lists = |depth: usize| format!("program = {}1{}", "[".repeat(depth), "]".repeat(depth));
        let programs = |depth: usize| {
            let head = "program @f() -> () { call { program = ".repeat(depth);
            format!("program = {head} program @g() -> () {{ return }} {}", "} return }".repeat(depth))
        };
        let error = |attr: String| {
            let text =
                format!("program @f(%0: f32[1]) -> (f32[1]) {{\n  %1: f32[1] = call %0 {{{attr}}}\n  return %1\n}}");
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
