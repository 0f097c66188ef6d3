//! Declarations and statements.

use super::cursor::Parser;
use super::lex::Token;
use super::{Function, Initial, Module, Operand, PtxError, Space, Type, Variable};

/// Parses a PTX text.
pub fn parse(source: &str) -> Result<Module, PtxError> {
    let mut parser = Parser::new(source)?;
    let mut module = Module::default();
    while parser.peek() != Token::End {
        parser.declaration(&mut module)?;
    }
    Ok(module)
}

impl<'a> Parser<'a> {
    fn declaration(&mut self, module: &mut Module) -> Result<(), PtxError> {
        let mut is_extern = false;
        while let Token::Word(word @ (".visible" | ".extern" | ".weak" | ".common")) = self.peek() {
            is_extern |= word == ".extern";
            self.next();
        }
        match self.peek() {
            Token::Word(".version") => module.version = self.version()?,
            Token::Word(".target") => module.target = self.target()?,
            Token::Word(".address_size") => {
                self.next();
                if self.count()? != 64 {
                    return Err(self.error("addresses of 64 bits expected"));
                }
            }
            Token::Word(".file") => module.files.push(self.file()?),
            Token::Word(".section") => self.skip_section()?,
            Token::Word(".pragma") => self.skip_pragma()?,
            Token::Word(".entry" | ".func") => module.functions.push(self.function()?),
            Token::Word(".global" | ".const" | ".shared") => {
                let variables = self.variables(is_extern)?;
                module.variables.extend(variables);
            }
            Token::Word(word) => return Err(self.error(format!("unknown directive `{word}`"))),
            _ => return Err(self.error("a directive expected")),
        }
        Ok(())
    }

    /// `.version 9.5`: the number is read as text, since 7.10 is not 7.1.
    fn version(&mut self) -> Result<(u32, u32), PtxError> {
        self.next();
        let line = self.source.lines().nth(self.line() as usize - 1).unwrap_or("");
        let text = line.trim().trim_start_matches(".version").trim();
        let parts = text.split('/').next().and_then(|text| text.trim().split_once('.'));
        let version = parts.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        self.literal()?;
        version.ok_or_else(|| self.error(format!("`{text}` is no version")))
    }

    fn target(&mut self) -> Result<u32, PtxError> {
        self.next();
        let words = self.list(Self::word)?;
        let number = words[0].strip_prefix("sm_").map(|rest| rest.trim_end_matches(|c: char| c.is_ascii_alphabetic()));
        number.and_then(|number| number.parse().ok()).ok_or_else(|| self.error(format!("`{}` is no target", words[0])))
    }

    fn file(&mut self) -> Result<(u32, String), PtxError> {
        self.next();
        let number = self.count()?;
        let Token::Text(name) = self.next() else { return Err(self.error("the name of a file expected")) };
        // Time and size may follow.
        while self.takes(',') {
            self.count()?;
        }
        Ok((number, name.into()))
    }

    fn skip_section(&mut self) -> Result<(), PtxError> {
        self.next();
        self.word()?;
        self.expect('{')?;
        while !self.takes('}') {
            if self.next() == Token::End {
                return Err(self.error("a section that does not end"));
            }
        }
        Ok(())
    }

    pub(super) fn skip_pragma(&mut self) -> Result<(), PtxError> {
        self.next();
        self.list(|parser| match parser.next() {
            Token::Text(_) => Ok(()),
            _ => Err(parser.error("a text expected")),
        })?;
        self.expect(';')
    }

    fn function(&mut self) -> Result<Function, PtxError> {
        let is_entry = self.word()? == ".entry";
        let results = if self.is_mark('(') { self.params()? } else { vec![] };
        let line = self.line();
        let name = self.word()?.to_string();
        let params = if self.is_mark('(') { self.params()? } else { vec![] };
        let mut function = Function { name, is_entry, results, params, body: None, max_threads: None, line };
        loop {
            match self.peek() {
                Token::Word(".maxntid" | ".reqntid") => {
                    self.next();
                    let extents = self.list(Self::count)?;
                    function.max_threads =
                        extents.iter().try_fold(1u32, |product, &extent| product.checked_mul(extent));
                }
                Token::Word(".minnctapersm" | ".maxnreg") => {
                    self.next();
                    self.count()?;
                }
                Token::Word(".noreturn") => {
                    self.next();
                }
                Token::Word(".pragma") => self.skip_pragma()?,
                Token::Mark('{') => {
                    function.body = Some(self.block()?);
                    return Ok(function);
                }
                Token::Mark(';') => {
                    self.next();
                    return Ok(function);
                }
                Token::Word(word) => return Err(self.error(format!("unknown directive `{word}` of a function"))),
                _ => return Err(self.error("the body of a function expected")),
            }
        }
    }

    fn params(&mut self) -> Result<Vec<Variable>, PtxError> {
        self.expect('(')?;
        if self.takes(')') {
            return Ok(vec![]);
        }
        let params = self.list(|parser| parser.variable_head(false).and_then(|head| parser.variable(head)))?;
        self.expect(')')?;
        Ok(params)
    }

    /// Variables of one declaration, with its semicolon.
    pub(super) fn variables(&mut self, is_extern: bool) -> Result<Vec<Variable>, PtxError> {
        let head = self.variable_head(is_extern)?;
        let variables = self.list(|parser| parser.variable(head.clone()))?;
        self.expect(';')?;
        Ok(variables)
    }

    /// Space, alignment and type, up to the name.
    fn variable_head(&mut self, is_extern: bool) -> Result<Variable, PtxError> {
        let word = self.word()?;
        let space = Space::named(word.trim_start_matches('.'));
        let space = space.ok_or_else(|| self.error(format!("`{word}` is no state space")))?;
        let mut align = None;
        loop {
            let word = self.word()?;
            if let Some(ty) = Type::named(word.trim_start_matches('.')) {
                self.skip_pointer()?;
                let align = align.unwrap_or(ty.bytes());
                let line = self.line();
                return Ok(Variable {
                    name: String::new(),
                    space,
                    align,
                    ty,
                    bytes: None,
                    init: vec![],
                    is_extern,
                    line,
                });
            }
            match word {
                ".align" => align = Some(self.count()?.max(1)),
                ".attribute" => {
                    while !self.takes(')') {
                        if self.next() == Token::End {
                            return Err(self.error("an attribute that does not end"));
                        }
                    }
                }
                _ => return Err(self.error(format!("unknown type `{word}`"))),
            }
        }
    }

    /// `.ptr .global .align 4` says what a parameter points to.
    fn skip_pointer(&mut self) -> Result<(), PtxError> {
        if !self.takes_word(".ptr") {
            return Ok(());
        }
        while let Token::Word(word) = self.peek() {
            if word == ".align" {
                self.next();
                self.count()?;
            } else if word.starts_with('.') {
                self.next();
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Name, extents and initialiser.
    fn variable(&mut self, head: Variable) -> Result<Variable, PtxError> {
        let line = self.line();
        let name = self.word()?.to_string();
        let mut bytes = Some(head.ty.bytes() as usize);
        while self.takes('[') {
            if !self.is_mark(']') {
                let extent = self.count()? as usize;
                bytes = bytes.and_then(|bytes| bytes.checked_mul(extent));
            } else {
                bytes = None;
            }
            self.expect(']')?;
        }
        let init = if self.takes('=') { self.deeper(Self::initial)? } else { vec![] };
        if bytes.is_none() && !init.is_empty() {
            bytes = Some(init.len() * head.ty.bytes() as usize);
        }
        Ok(Variable { name, bytes, init, line, ..head })
    }

    fn initial(&mut self) -> Result<Vec<Initial>, PtxError> {
        if self.takes('{') {
            let parts = self.list(|parser| parser.deeper(Self::initial))?;
            self.expect('}')?;
            return Ok(parts.concat());
        }
        let is_generic = self.takes_word("generic");
        if is_generic {
            self.expect('(')?;
        }
        let initial = match self.peek() {
            Token::Word(name) => {
                self.next();
                Initial::Address(name.into())
            }
            _ => match self.number()? {
                Operand::Number(literal) => Initial::Number(literal),
                _ => return Err(self.error("a number expected")),
            },
        };
        if is_generic {
            self.expect(')')?;
        }
        Ok(vec![initial])
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::ptx::{Base, Initial, Item, Literal, Operand, Space, Type};

    const HEAD: &str = ".version 9.5\n.target sm_90a\n.address_size 64\n";

    fn body(text: &str) -> Vec<Item> {
        let module = parse(&format!("{HEAD}.visible .entry k()\n{{\n{text}\n}}")).unwrap();
        module.functions[0].body.clone().unwrap()
    }

    #[test]
    fn heads_of_modules() {
        let module = parse(&format!("{HEAD}.file 1 \"k.cu\"\n.section .debug_str {{ $L__info: .b8 95 }}")).unwrap();
        assert_eq!((module.version, module.target), ((9, 5), 90));
        assert_eq!(module.files, [(1, "k.cu".into())]);
        assert_eq!(parse(".version 7.10\n").unwrap().version, (7, 10));
    }

    #[test]
    fn variables_have_sizes_and_contents() {
        let text = ".global .align 8 .u64 p[2] = {generic(q), -1};\n.extern .shared .align 16 .b8 s[];\n.const .f32 one = 0f3F800000;";
        let module = parse(&format!("{HEAD}{text}")).unwrap();
        let [p, s, one] = &module.variables[..] else { panic!("three variables") };
        assert_eq!((p.align, p.bytes, p.line), (8, Some(16), 4));
        assert_eq!(p.init, [Initial::Address("q".into()), Initial::Number(Literal::Int(u64::MAX))]);
        assert_eq!((s.bytes, s.is_extern, s.align), (None, true, 16));
        assert_eq!((one.space, one.align), (Space::Const, 4));
    }

    #[test]
    fn functions_have_parameters_and_bounds() {
        let text = ".func (.param .b32 r) f(.param .u64 .ptr .global .align 4 x, .param .align 8 .b8 y[12])\n;\n\
                    .visible .entry k(.param .u32 n)\n.maxntid 16, 8, 1\n.pragma \"a\";\n{ ret; }";
        let module = parse(&format!("{HEAD}{text}")).unwrap();
        let [f, k] = &module.functions[..] else { panic!("two functions") };
        assert_eq!((f.results.len(), f.params.len(), f.params[1].bytes), (1, 2, Some(12)));
        assert!(f.body.is_none());
        assert_eq!((k.max_threads, k.is_entry), (Some(128), true));
    }

    #[test]
    fn statements_have_guards_and_operands() {
        let items =
            body("@!%p1 shfl.sync.down.b32 %r1|%p2, %r2, 1, -31, _;\nmov.b64 {%r1, %r2}, %rd1;\nld.f32 %f1, [a+-4];");
        let [Item::Statement(shfl), Item::Statement(mov), Item::Statement(ld)] = &items[..] else { panic!("three") };
        assert_eq!(shfl.guard, Some(("%p1".into(), true)));
        assert_eq!(shfl.operands[0], Operand::Pair("%r1".into(), "%p2".into()));
        assert_eq!(shfl.operands[3], Operand::Number(Literal::Int(31u64.wrapping_neg())));
        assert!(matches!(&mov.operands[0], Operand::Vector(parts) if parts.len() == 2));
        assert_eq!(ld.operands[1], Operand::Address(Base::Name("a".into()), -4));
        assert_eq!(ld.line, 8);
    }

    #[test]
    fn bodies_have_scopes_labels_and_places() {
        let items = body(
            "{ .param .b32 p; call.uni (r), f, (p); }\n$L:\nt: .branchtargets $L, $L;\n.loc 1 4 2, function_name $L__info_string0, inlined_at 1 9 1\n.reg .b32 %r<3>, x;",
        );
        assert!(matches!(&items[0], Item::Scope(inner) if inner.len() == 2));
        assert_eq!(items[1], Item::Label("$L".into(), 7));
        assert!(matches!(&items[2], Item::Targets(_, targets, _) if targets.len() == 2));
        assert_eq!(items[3], Item::Location(1, 4));
        assert_eq!(items[5], Item::Registers("x".into(), None, Type::B32));
    }

    #[test]
    fn errors_say_line_and_text() {
        let error = parse(&format!("{HEAD}.visible .entry k()\n{{\n  add.s32 %r1 %r2;\n}}")).unwrap_err();
        assert_eq!(error.to_string(), "`;` expected\n  line 6: add.s32 %r1 %r2;");
        for text in [".texref t;", ".version x", ".entry k() {", ".global .q a;", ".entry k() { { ", "k", ".target a"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{HEAD}.entry k() {}", "{".repeat(100_000));
        assert!(parse(&deep).unwrap_err().message.contains("too deeply"));
    }
}
