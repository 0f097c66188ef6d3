//! A position in a text, and readers for the elements of all texts of the engine: names, numbers, variables, types,
//! literals, lists.

use crate::aval::{Aval, DType, Dim, Literal, Shape};
use crate::error::Error;
use crate::ir::{Binder, Var};

/// The nesting limit of lists and programs; every function that processes them recurses as deep.
const MAX_DEPTH: usize = 64;

/// Reads a text from front to back. White space and comments, from `//` to the end of the line, are ignored.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// A place and its line, where lines are counted.
    line: Option<(usize, usize)>,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Cursor { text, at: 0, depth: 0, line: None }
    }

    /// The same, counting lines.
    pub(crate) fn with_lines(text: &'a str) -> Self {
        Cursor { line: Some((0, 1)), ..Cursor::new(text) }
    }

    /// The line of the next word, where lines are counted.
    pub(crate) fn line(&mut self) -> Option<usize> {
        let here = self.place();
        let (from, line) = self.line.as_mut()?;
        *line += self.text[*from..here].matches('\n').count();
        *from = here;
        Some(*line)
    }

    /// An error at the cursor.
    pub(crate) fn error(&self, why: impl Into<String>) -> Error {
        self.error_at(self.at, why)
    }

    /// An error at a place that [`Cursor::place`] returned.
    pub(crate) fn error_at(&self, place: usize, why: impl Into<String>) -> Error {
        let (line, column) = self.position(place);
        Error::Parse { line, column, why: why.into() }
    }

    /// The line and the column of a place, counted from 1.
    pub(crate) fn position(&self, place: usize) -> (usize, usize) {
        let before = &self.text[..place];
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
        (line, column)
    }

    /// The start of the next word.
    pub(crate) fn place(&mut self) -> usize {
        self.space();
        self.at
    }

    /// Whether only space is left.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.place() == self.text.len()
    }

    /// Everything from the cursor on.
    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The rest of the cursor's line, without the space before it.
    pub(crate) fn rest_of_line(&self) -> &'a str {
        self.rest().split('\n').next().unwrap_or("").trim_start()
    }

    /// Whether `token` comes next; does not consume it.
    pub(crate) fn sees(&mut self, token: &str) -> bool {
        self.space();
        self.rest().starts_with(token)
    }

    /// Consumes `token` if it comes next.
    pub(crate) fn eat(&mut self, token: &str) -> bool {
        let found = self.sees(token);
        if found {
            self.at += token.len();
        }
        found
    }

    pub(crate) fn expect(&mut self, token: &str) -> Result<(), Error> {
        if self.eat(token) {
            return Ok(());
        }
        let found: String = self.rest().chars().take(12).take_while(|c| *c != '\n').collect();
        let found = if found.is_empty() { "the end".to_string() } else { format!("`{found}`") };
        Err(self.error(format!("expected `{token}`, found {found}")))
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

    /// The longest run of characters that `is` accepts.
    pub(crate) fn word(&mut self, what: &str, is: impl Fn(char) -> bool) -> Result<&'a str, Error> {
        self.space();
        let rest = self.rest();
        let end = rest.find(|c| !is(c)).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.error(format!("expected {what}")));
        }
        self.at += end;
        Ok(&rest[..end])
    }

    /// Letters, digits and `_`.
    pub(crate) fn name(&mut self, what: &str) -> Result<&'a str, Error> {
        self.word(what, |c| c.is_ascii_alphanumeric() || c == '_')
    }

    /// Everything up to the closing `"`, which must be on the same line. A backslash begins `\"`, `\\` or `\n`.
    pub(crate) fn quoted(&mut self) -> Result<String, Error> {
        self.expect("\"")?;
        let mut word = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(word);
                }
                '\n' => break,
                '\\' => match chars.next() {
                    Some((_, 'n')) => word.push('\n'),
                    Some((_, c @ ('"' | '\\'))) => word.push(c),
                    _ => return Err(self.error_at(self.at + at, "a backslash stands before `\"`, `\\` or `n`")),
                },
                c => word.push(c),
            }
        }
        Err(self.error("a word ends with `\"` on its line"))
    }

    /// A count; `what` names it in an error.
    pub(crate) fn number(&mut self, what: &str) -> Result<u32, Error> {
        let at = self.place();
        let number = self.word("a number", |c| c.is_ascii_digit())?;
        match number.parse::<u32>() {
            Ok(number) if number < u32::MAX / 2 => Ok(number),
            _ => Err(self.error_at(at, format!("{number} is too large for {what}"))),
        }
    }

    pub(crate) fn var(&mut self) -> Result<Var, Error> {
        self.expect("%")?;
        self.number("a variable").map(Var)
    }

    pub(crate) fn binder(&mut self) -> Result<Binder, Error> {
        let var = self.var()?;
        self.expect(":")?;
        Ok(Binder { var, aval: self.aval()? })
    }

    pub(crate) fn dtype(&mut self) -> Result<DType, Error> {
        let name = self.name("an element type")?;
        DType::parse(name).ok_or_else(|| {
            let all: Vec<&str> = DType::ALL.iter().map(|dtype| dtype.name()).collect();
            self.error(format!("there is no element type `{name}`; there are {}", all.join(", ")))
        })
    }

    pub(crate) fn aval(&mut self) -> Result<Aval, Error> {
        let dtype = self.dtype()?;
        self.expect("[")?;
        let shape: Shape = self.list(&["]"], Self::dim)?.into_iter().collect();
        self.expect("]")?;
        Ok(Aval { dtype, shape })
    }

    pub(crate) fn dim(&mut self) -> Result<Dim, Error> {
        self.refuse_bracket()?;
        let at = self.place();
        let word = self.word("a dimension", |c| c.is_ascii_alphanumeric() || "_+-*".contains(c))?;
        self.refuse_bracket()?;
        word.parse().map_err(|why: String| self.error_at(at, why))
    }

    /// Refuses a parenthesis within a size.
    pub(crate) fn refuse_bracket(&mut self) -> Result<(), Error> {
        if !self.sees("(") {
            return Ok(());
        }
        let how = "write a number or a sum of products such as `2*n+1`";
        Err(self.error(format!("a size has no parentheses: {how}, and `2*n+2` for twice n+1")))
    }

    pub(crate) fn literal(&mut self, what: &str) -> Result<Literal, Error> {
        let at = self.place();
        let word = self.word(what, is_literal_char)?;
        word.parse().map_err(|why: String| self.error_at(at, why))
    }

    /// Reads an item nested in another of its kind.
    pub(crate) fn within<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(format!("lists and programs stand at most {MAX_DEPTH} deep within each other")));
        }
        self.depth += 1;
        let found = read(self);
        self.depth -= 1;
        found
    }

    /// Items separated by commas, up to one of `close`, which is not consumed.
    pub(crate) fn list<T>(
        &mut self,
        close: &[&str],
        mut item: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut items = vec![];
        if close.iter().any(|token| self.sees(token)) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if !self.eat(",") {
                return Ok(items);
            }
        }
    }
}

/// Whether a literal may hold this character.
pub(crate) fn is_literal_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+-.".contains(c)
}
