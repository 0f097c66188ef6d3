//! A position in a text, and the basic steps of parsing.

use super::lex::{Token, lex};
use super::{Literal, PtxError};

/// The deepest nesting of blocks and vectors: generated code stays below ten.
const MAX_DEPTH: u32 = 64;

pub(super) struct Parser<'a> {
    pub(super) source: &'a str,
    tokens: Vec<(Token<'a>, u32)>,
    at: usize,
    depth: u32,
}

impl<'a> Parser<'a> {
    /// At the first word of a text.
    pub(super) fn new(source: &'a str) -> Result<Parser<'a>, PtxError> {
        Ok(Parser { source, tokens: lex(source)?, at: 0, depth: 0 })
    }

    pub(super) fn peek(&self) -> Token<'a> {
        self.tokens[self.at].0
    }

    /// The token after the next.
    pub(super) fn peek_second(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at + 1).map(|token| token.0)
    }

    pub(super) fn line(&self) -> u32 {
        self.tokens[self.at].1
    }

    pub(super) fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    pub(super) fn error(&self, message: impl Into<String>) -> PtxError {
        PtxError::at(self.source, self.line(), message)
    }

    pub(super) fn is_mark(&self, mark: char) -> bool {
        self.peek() == Token::Mark(mark)
    }

    /// Takes a mark if it is next.
    pub(super) fn takes(&mut self, mark: char) -> bool {
        let is_next = self.is_mark(mark);
        if is_next {
            self.next();
        }
        is_next
    }

    /// Takes a word if it is next.
    pub(super) fn takes_word(&mut self, word: &str) -> bool {
        let is_next = self.peek() == Token::Word(word);
        if is_next {
            self.next();
        }
        is_next
    }

    pub(super) fn expect(&mut self, mark: char) -> Result<(), PtxError> {
        if self.takes(mark) { Ok(()) } else { Err(self.error(format!("`{mark}` expected"))) }
    }

    pub(super) fn word(&mut self) -> Result<&'a str, PtxError> {
        match self.peek() {
            Token::Word(word) => {
                self.next();
                Ok(word)
            }
            _ => Err(self.error("a name expected")),
        }
    }

    pub(super) fn literal(&mut self) -> Result<Literal, PtxError> {
        match self.peek() {
            Token::Number(literal) => {
                self.next();
                Ok(literal)
            }
            _ => Err(self.error("a number expected")),
        }
    }

    pub(super) fn count(&mut self) -> Result<u32, PtxError> {
        match self.literal()? {
            Literal::Int(value) => u32::try_from(value).map_err(|_| self.error(format!("{value} is too large"))),
            _ => Err(self.error("a whole number expected")),
        }
    }

    /// A signed whole number.
    pub(super) fn offset(&mut self) -> Result<i64, PtxError> {
        let is_negative = self.takes('-');
        match self.literal()? {
            Literal::Int(value) if is_negative => Ok((value as i64).wrapping_neg()),
            Literal::Int(value) => Ok(value as i64),
            _ => Err(self.error("a whole number expected")),
        }
    }

    /// `item, item`, as long as commas follow.
    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, PtxError>,
    ) -> Result<Vec<T>, PtxError> {
        let mut items = vec![item(self)?];
        while self.takes(',') {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Parses something one level deeper.
    pub(super) fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, PtxError>) -> Result<T, PtxError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }
}
