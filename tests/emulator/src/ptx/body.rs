//! The contents of functions: declarations, labels, statements and their operands.

use super::cursor::Parser;
use super::lex::Token;
use super::{Base, Item, Literal, Operand, PtxError, Statement, Type};

impl Parser<'_> {
    /// `{ … }`.
    pub(super) fn block(&mut self) -> Result<Vec<Item>, PtxError> {
        self.expect('{')?;
        let mut items = vec![];
        while !self.takes('}') {
            self.deeper(|parser| parser.item(&mut items))?;
        }
        Ok(items)
    }

    fn item(&mut self, items: &mut Vec<Item>) -> Result<(), PtxError> {
        match self.peek() {
            Token::Mark('{') => items.push(Item::Scope(self.block()?)),
            Token::Word(".reg") => self.registers(items)?,
            Token::Word(".loc") => items.push(self.location()?),
            Token::Word(".pragma") => self.skip_pragma()?,
            Token::Word(".param" | ".local" | ".shared" | ".global" | ".const") => {
                items.extend(self.variables(false)?.into_iter().map(Item::Variable));
            }
            Token::Word(word) if word.starts_with('.') => return Err(self.error(format!("unknown directive `{word}`"))),
            Token::Word(name) if self.peek_second() == Some(Token::Mark(':')) => {
                let line = self.line();
                self.next();
                self.next();
                items.push(if self.takes_word(".branchtargets") {
                    let targets = self.list(|parser| parser.word().map(String::from))?;
                    self.expect(';')?;
                    Item::Targets(name.into(), targets, line)
                } else {
                    Item::Label(name.into(), line)
                });
            }
            Token::Word(_) | Token::Mark('@') => items.push(Item::Statement(self.statement()?)),
            _ => return Err(self.error("an instruction expected")),
        }
        Ok(())
    }

    fn registers(&mut self, items: &mut Vec<Item>) -> Result<(), PtxError> {
        self.next();
        let word = self.word()?;
        let ty = Type::named(word.trim_start_matches('.'));
        let ty = ty.ok_or_else(|| self.error(format!("unknown type `{word}` of a register")))?;
        let registers = self.list(|parser| {
            let name = parser.word()?.to_string();
            let count = if parser.takes('<') { Some(parser.count()?) } else { None };
            if count.is_some() {
                parser.expect('>')?;
            }
            Ok(Item::Registers(name, count, ty))
        })?;
        items.extend(registers);
        self.expect(';')
    }

    fn location(&mut self) -> Result<Item, PtxError> {
        self.next();
        let (file, line) = (self.count()?, self.count()?);
        self.count()?;
        // `, function_name $L__info_string0, inlined_at 1 20 3` may follow: the innermost place counts.
        while self.takes(',') {
            self.word()?;
            while matches!(self.peek(), Token::Number(_)) || self.is_label_reference() || self.is_mark('+') {
                self.next();
            }
        }
        Ok(Item::Location(file, line))
    }

    /// Whether the next name begins like a label of debug sections, and is not itself a label.
    fn is_label_reference(&self) -> bool {
        let is_label = matches!(self.peek(), Token::Word(word) if word.starts_with("$L__info"));
        is_label && self.peek_second() != Some(Token::Mark(':'))
    }

    fn statement(&mut self) -> Result<Statement, PtxError> {
        let guard = if self.takes('@') {
            let is_negated = self.takes('!');
            Some((self.word()?.to_string(), is_negated))
        } else {
            None
        };
        let line = self.line();
        let opcode = self.word()?.to_string();
        let operands = if self.is_mark(';') { vec![] } else { self.list(Self::operand)? };
        self.expect(';')?;
        Ok(Statement { line, guard, opcode, operands })
    }

    fn operand(&mut self) -> Result<Operand, PtxError> {
        match self.peek() {
            Token::Mark('{') => {
                self.next();
                let parts = self.deeper(|parser| parser.list(Self::operand))?;
                self.expect('}')?;
                Ok(Operand::Vector(parts))
            }
            Token::Mark('(') => {
                self.next();
                let parts = if self.is_mark(')') { vec![] } else { self.deeper(|parser| parser.list(Self::operand))? };
                self.expect(')')?;
                Ok(Operand::List(parts))
            }
            Token::Mark('!') => {
                self.next();
                Ok(Operand::Not(Box::new(self.deeper(Self::operand)?)))
            }
            Token::Mark('[') => self.address(),
            Token::Word(name) => {
                self.next();
                if self.takes('|') {
                    return Ok(Operand::Pair(name.into(), self.word()?.into()));
                }
                Ok(if self.takes('+') { Operand::Sum(name.into(), self.offset()?) } else { Operand::Name(name.into()) })
            }
            _ => self.number(),
        }
    }

    fn address(&mut self) -> Result<Operand, PtxError> {
        self.next();
        let address = match self.peek() {
            Token::Word(name) => {
                self.next();
                let offset = if self.takes('+') || self.is_mark('-') { self.offset()? } else { 0 };
                let address = Operand::Address(Base::Name(name.into()), offset);
                // A texture and coordinates: parsed, so that the error can name the instruction.
                if self.takes(',') {
                    let coordinates = self.deeper(|parser| parser.list(Self::operand))?;
                    Operand::List(std::iter::once(address).chain(coordinates).collect())
                } else {
                    address
                }
            }
            _ => Operand::Address(Base::Absolute, self.offset()?),
        };
        self.expect(']')?;
        Ok(address)
    }

    /// A signed number.
    pub(super) fn number(&mut self) -> Result<Operand, PtxError> {
        let is_negative = self.takes('-');
        let literal = self.literal()?;
        Ok(Operand::Number(match literal {
            Literal::Int(value) if is_negative => Literal::Int(value.wrapping_neg()),
            Literal::F32(bits) if is_negative => Literal::F32(bits ^ 1 << 31),
            Literal::F64(bits) if is_negative => Literal::F64(bits ^ 1 << 63),
            literal => literal,
        }))
    }
}
