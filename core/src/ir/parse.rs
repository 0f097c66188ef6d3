//! Programs from text: the inverse of `print`.
//!
//! ```text
//! text    = program*
//! program = "program" "@" name "(" binders [";" binders] ")" "->" "(" types ")" "{" eqn* "return" atoms "}"
//! eqn     = binders "=" primitive atoms ["{" name "=" attr ("," name "=" attr)* "}"]
//! binder  = "%" number ":" type          type = dtype "[" dims "]"
//! atom    = "%" number | literal         attr = dim | literal | dtype | "\"" word "\"" | "[" attrs "]" | program
//! ```
//! `//` starts a comment that ends with the line.

use crate::aval::{Aval, DType, Dim, Literal, Shape};
use crate::error::Error;
use crate::ir::{Atom, Attr, Binder, Eqn, Location, Params, Program, Registry, Var, verify};
use smallvec::SmallVec;
use std::sync::Arc;

/// Reads one program and verifies it.
pub fn parse(text: &str, registry: &Registry) -> Result<Program, Error> {
    let mut parser = Parser { text, at: 0, registry };
    let program = parser.program()?;
    parser.space();
    if parser.at < text.len() {
        return Err(parser.error("one program ends here; nothing may follow it"));
    }
    verify(&program)?;
    Ok(program.renumbered())
}

/// Reads programs that stand one after the other and verifies each.
pub fn parse_many(text: &str, registry: &Registry) -> Result<Vec<Program>, Error> {
    let mut parser = Parser { text, at: 0, registry };
    let mut programs = vec![];
    loop {
        parser.space();
        if parser.at == text.len() {
            return Ok(programs);
        }
        let program = parser.program()?;
        verify(&program)?;
        programs.push(program.renumbered());
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    registry: &'a Registry,
}

impl<'a> Parser<'a> {
    fn error(&self, why: impl Into<String>) -> Error {
        let before = &self.text[..self.at];
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
        Error::Parse { line, column, why: why.into() }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        loop {
            let trimmed = self.rest().trim_start();
            self.at = self.text.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), Error> {
        if self.eat(token) {
            return Ok(());
        }
        let found: String = self.rest().chars().take(12).take_while(|c| *c != '\n').collect();
        Err(self.error(format!("expected `{token}`, found `{found}`")))
    }

    /// The longest run of characters that `is` accepts.
    fn word(&mut self, what: &str, is: impl Fn(char) -> bool) -> Result<&'a str, Error> {
        self.space();
        let rest = self.rest();
        let end = rest.find(|c| !is(c)).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.error(format!("expected {what}")));
        }
        self.at += end;
        Ok(&rest[..end])
    }

    fn name(&mut self, what: &str) -> Result<&'a str, Error> {
        self.word(what, |c| c.is_ascii_alphanumeric() || c == '_')
    }

    /// Items between commas until `close`, which is left.
    fn list<T>(
        &mut self,
        close: &[&str],
        mut item: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut items = vec![];
        self.space();
        if close.iter().any(|token| self.rest().starts_with(token)) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if !self.eat(",") {
                return Ok(items);
            }
        }
    }

    /// A program with the numbers of its text: those that an error must show.
    fn program(&mut self) -> Result<Program, Error> {
        self.expect("program")?;
        self.expect("@")?;
        let name = self.name("the program's name")?.to_string();
        self.expect("(")?;
        let args = self.list(&[")", ";"], Self::binder)?;
        let consts = if self.eat(";") { self.list(&[")"], Self::binder)? } else { vec![] };
        self.expect(")")?;
        self.expect("->")?;
        self.expect("(")?;
        let types_at = self.at;
        let types = self.list(&[")"], Self::aval)?;
        self.expect(")")?;
        self.expect("{")?;
        let mut eqns = vec![];
        while !self.eat("return") {
            eqns.push(self.eqn()?);
        }
        let outs = self.list(&["}"], Self::atom)?;
        self.expect("}")?;
        let program = Program { name, args, consts, eqns, outs };
        self.at = match self.check_numbers(&program) {
            Some(var) => {
                self.at = types_at;
                return Err(self.error(format!("{var} is larger than the number of variables: number them from %0")));
            }
            None => self.at,
        };
        let found = program.out_avals();
        if found != types {
            self.at = types_at;
            let show = |avals: &[Aval]| avals.iter().map(|a| a.to_string()).collect::<Vec<_>>().join(", ");
            return Err(self.error(format!("the program returns ({}), not ({})", show(&found), show(&types))));
        }
        Ok(program)
    }

    /// A variable that no table indexed by variables would hold.
    fn check_numbers(&self, program: &Program) -> Option<Var> {
        let n = program.n_var();
        let limit = 4 * (program.binders().count() + 64);
        let read = program.eqns.iter().flat_map(|eqn| &eqn.ins).chain(&program.outs).filter_map(|atom| atom.var());
        let unbound = read.filter(|var| var.index() >= n).max();
        unbound.or_else(|| (n > limit).then(|| Var(n as u32 - 1)))
    }

    fn binder(&mut self) -> Result<Binder, Error> {
        let var = self.var()?;
        self.expect(":")?;
        Ok(Binder { var, aval: self.aval()? })
    }

    fn var(&mut self) -> Result<Var, Error> {
        self.expect("%")?;
        let number = self.word("a number", |c| c.is_ascii_digit())?;
        match number.parse::<u32>() {
            Ok(number) if number < u32::MAX / 2 => Ok(Var(number)),
            _ => Err(self.error(format!("%{number} is too large for a variable"))),
        }
    }

    fn aval(&mut self) -> Result<Aval, Error> {
        let name = self.name("an element type")?;
        let dtype = DType::parse(name)
            .ok_or_else(|| self.error(format!("`{name}` is no element type: f32, f64, i32, u32 or bool")))?;
        self.expect("[")?;
        let shape: Shape = self.list(&["]"], Self::dim)?.into_iter().collect();
        self.expect("]")?;
        Ok(Aval { dtype, shape })
    }

    fn dim(&mut self) -> Result<Dim, Error> {
        let word = self.word("a dimension", |c| c.is_ascii_alphanumeric() || "_+-*".contains(c))?;
        word.parse().map_err(|why: String| self.error(why))
    }

    fn atom(&mut self) -> Result<Atom, Error> {
        self.space();
        if self.rest().starts_with('%') {
            return self.var().map(Atom::Var);
        }
        let word = self.word("an operand", is_literal_char)?;
        word.parse().map(Atom::Literal).map_err(|why: String| self.error(why))
    }

    fn eqn(&mut self) -> Result<Eqn, Error> {
        let outs: SmallVec<[Binder; 1]> = self.list(&["="], Self::binder)?.into_iter().collect();
        self.expect("=")?;
        let name_at = self.at;
        let name = self.name("a primitive")?;
        let Some(prim) = self.registry.get(name) else {
            self.at = name_at;
            self.space();
            return Err(self.error(format!("`{name}` is no primitive")));
        };
        // Operands stand on the primitive's line; a brace, a binder or `return` on the next line ends them.
        let ins = if self.operands_follow() { self.list(&["{"], Self::atom)? } else { vec![] };
        let mut params = Params::new();
        if self.same_line_brace() {
            self.expect("{")?;
            for (name, attr) in self.list(&["}"], |p| {
                let name = p.name("an attribute's name")?.to_string();
                p.expect("=")?;
                Ok((name, p.attr()?))
            })? {
                params = params.with(name, attr);
            }
            self.expect("}")?;
        }
        Ok(Eqn { prim, params, ins: ins.into_iter().collect(), outs, location: Location::default() })
    }

    fn operands_follow(&self) -> bool {
        let line = self.rest().split('\n').next().unwrap_or("").trim_start();
        line.starts_with(|c: char| c == '%' || is_literal_char(c))
    }

    fn same_line_brace(&self) -> bool {
        self.rest().split('\n').next().unwrap_or("").trim_start().starts_with('{')
    }

    fn attr(&mut self) -> Result<Attr, Error> {
        self.space();
        if self.eat("[") {
            let attrs = self.list(&["]"], Self::attr)?;
            self.expect("]")?;
            return Ok(Attr::List(attrs));
        }
        if self.eat("\"") {
            let rest = self.rest();
            let end = rest.find(['"', '\n']).filter(|end| rest[*end..].starts_with('"'));
            let end = end.ok_or_else(|| self.error("a word ends with `\"` on its line"))?;
            self.at += end + 1;
            return Ok(Attr::Word(rest[..end].to_string().into()));
        }
        if self.rest().starts_with("program ") {
            return Ok(Attr::Program(Arc::new(self.program()?.renumbered())));
        }
        let word = self.word("an attribute", |c| is_literal_char(c) || "_*".contains(c))?;
        if let Some(dtype) = DType::parse(word) {
            return Ok(Attr::DType(dtype));
        }
        if let Ok(literal) = word.parse::<Literal>() {
            return Ok(Attr::Literal(literal));
        }
        word.parse().map(Attr::Dim).map_err(|why: String| self.error(why))
    }
}

fn is_literal_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+-.".contains(c)
}
