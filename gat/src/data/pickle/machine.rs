//! The stack machine that runs a pickle.

use std::{borrow::Cow, collections::HashMap};

use super::{Class, Fault, Id, Value, damaged, foreign, text};
use crate::memory;

/// The number of instructions between two checks of the memory.
const LOOK: usize = 1 << 16;
/// The most memory that the objects of a data set may take.
const LIMIT: u64 = 1 << 30;

/// The stack machine.
#[derive(Default)]
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// The height of the stack at each open mark.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// The number of bytes that were made from text.
    n_encoded: usize,
    /// The number of bytes of text that are not borrowed from the file.
    n_text: usize,
    n_step: usize,
    /// The number of references that tuples, lists and dictionaries hold.
    n_item: usize,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// The offset of the next instruction.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn into_values(self) -> Vec<Value<'a>> {
        self.values
    }

    /// Runs one instruction; the last one returns the result.
    pub(super) fn step(&mut self) -> Result<Option<Id>, Fault> {
        self.n_step += 1;
        if self.n_step.is_multiple_of(LOOK) {
            self.check_memory()?;
        }
        match self.byte()? {
            b'.' => return self.pop().map(Some),
            0x80 => self.protocol()?,
            0x95 => drop(self.take(8)?), // FRAME: a hint for buffering.
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => self.unsigned(1)?,
            b'M' => self.unsigned(2)?,
            b'J' => self.int32()?,
            0x8a => self.long()?,
            b'G' => self.float()?,
            b'I' => self.text_int()?,
            b'L' => self.text_long()?,
            b'F' => self.text_float()?,
            b'S' => self.text_string(text::quoted)?,
            b'V' => self.text_string(text::escaped)?,
            b'U' | b'C' | 0x8c => self.string(1)?,
            b'T' | b'B' | b'X' => self.string(4)?,
            0x8d | 0x8e | 0x96 => self.string(8)?,
            0x97 | 0x98 => return Err(foreign("some of its data are in another file".into())),
            b')' => self.push(Value::Tuple(Vec::new())),
            code @ 0x85..=0x87 => self.short_tuple(usize::from(code - 0x84))?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.n_item += items.len();
                self.push(Value::Tuple(items));
            }
            b']' => self.push(Value::List(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b'l' => {
                let items = self.pop_to_mark()?;
                self.n_item += items.len();
                self.push(Value::List(items));
            }
            b'}' => self.push(Value::Dict(Vec::new())),
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(Vec::new()));
                self.set_items(&items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            b'p' => {
                let slot = self.decimal()?;
                self.memoize(slot)?;
            }
            b'g' => {
                let slot = self.decimal()?;
                self.recall(slot)?;
            }
            b'q' => self.put(1)?,
            b'r' => self.put(4)?,
            0x94 => self.memoize(self.memo.len() as u64)?,
            b'h' => {
                let slot = self.number(1)?;
                self.recall(slot)?;
            }
            b'j' => {
                let slot = self.number(4)?;
                self.recall(slot)?;
            }
            b'c' => self.global()?,
            0x93 => self.stack_global()?,
            b'R' | 0x81 => self.make()?,
            b'b' => self.build()?,
            code => return Err(foreign(format!("opcode 0x{code:02x} is not one that a data set needs"))),
        }
        Ok(None)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..n).ok_or_else(|| damaged("the file ends in the middle of the pickle"))?;
        self.at += n;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.take(1)?[0])
    }

    /// A little-endian number of up to eight bytes.
    fn number(&mut self, width: usize) -> Result<u64, Fault> {
        Ok(self.take(width)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// The bytes of the rest of a line.
    fn rest(&mut self) -> Result<&'a [u8], Fault> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        Ok(&self.take(end + 1)?[..end])
    }

    /// The rest of a line.
    fn line(&mut self) -> Result<&'a str, Fault> {
        str::from_utf8(self.rest()?).map_err(|_| damaged("a name is not text"))
    }

    /// A number that is the rest of a line.
    fn decimal<T: std::str::FromStr>(&mut self) -> Result<T, Fault> {
        let line = self.line()?;
        line.trim().parse().map_err(|_| damaged(format!("`{line}` is not a number")))
    }

    /// Refuses objects that take more than those of any data set, or that do not fit the memory: vectors double, and
    /// the old one exists while the new one is filled.
    fn check_memory(&self) -> Result<(), Fault> {
        let bytes = self.values.capacity() * size_of::<Value<'_>>()
            + (self.stack.capacity() + self.marks.capacity()) * size_of::<Id>()
            // With the one control byte of each slot of a hash table.
            + self.memo.capacity() * (size_of::<(u64, Id)>() + 1)
            // The capacity of a list exceeds its length.
            + self.n_item * 4 * size_of::<Id>()
            + self.n_text + self.n_encoded;
        let needed = 3 * bytes as u64;
        if needed > LIMIT {
            let [needed, limit] = [needed, LIMIT].map(memory::shown);
            let what = format!("the objects up to here take {needed} of memory, and {limit} are the limit");
            return Err(damaged(what));
        }
        memory::check(needed).map_err(Fault::Memory)
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id, Fault> {
        self.stack.pop().ok_or_else(|| damaged("an instruction finds the stack empty"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Fault> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => Err(damaged("an instruction finds no mark")),
        }
    }

    fn top(&mut self) -> Result<&mut Value<'a>, Fault> {
        match self.stack.last() {
            Some(&id) => Ok(&mut self.values[id]),
            None => Err(damaged("an instruction finds the stack empty")),
        }
    }

    fn protocol(&mut self) -> Result<(), Fault> {
        match self.byte()? {
            0..=5 => Ok(()),
            version => Err(foreign(format!("protocol {version} is not known"))),
        }
    }

    fn unsigned(&mut self, width: usize) -> Result<(), Fault> {
        let number = self.number(width)?;
        self.push(Value::Int(number as i64));
        Ok(())
    }

    fn int32(&mut self) -> Result<(), Fault> {
        let number = self.number(4)? as u32 as i32;
        self.push(Value::Int(number.into()));
        Ok(())
    }

    fn long(&mut self) -> Result<(), Fault> {
        let width = usize::from(self.byte()?);
        if width > 8 {
            return Err(foreign(format!("a whole number of {width} bytes")));
        }
        // Shift the sign bit to the top and back, to fill in the missing bytes.
        let missing = 64 - 8 * width as u32;
        let number = (self.number(width)? as i64).checked_shl(missing).unwrap_or(0) >> missing.min(63);
        self.push(Value::Int(number));
        Ok(())
    }

    /// Old protocols write true as `I01` and false as `I00`.
    fn text_int(&mut self) -> Result<(), Fault> {
        let value = match self.bytes[self.at..] {
            [b'0', bit @ (b'0' | b'1'), b'\n', ..] => {
                self.at += 3;
                Value::Bool(bit == b'1')
            }
            _ => Value::Int(self.decimal()?),
        };
        self.push(value);
        Ok(())
    }

    fn text_long(&mut self) -> Result<(), Fault> {
        let line = self.line()?;
        let number = line.trim_end_matches('L').parse();
        let number = number.map_err(|_| damaged(format!("`{line}` is not a whole number of 64 bits")))?;
        self.push(Value::Int(number));
        Ok(())
    }

    fn text_float(&mut self) -> Result<(), Fault> {
        let number = self.decimal()?;
        self.push(Value::Float(number));
        Ok(())
    }

    fn text_string(&mut self, decode: fn(&[u8]) -> Option<Vec<u8>>) -> Result<(), Fault> {
        let bytes = decode(self.rest()?).ok_or_else(|| damaged("a text is not written as Python writes it"))?;
        self.n_text += bytes.len();
        self.push(Value::Bytes(Cow::Owned(bytes)));
        Ok(())
    }

    fn float(&mut self) -> Result<(), Fault> {
        let bits = self.number(8)?.swap_bytes();
        self.push(Value::Float(f64::from_bits(bits)));
        Ok(())
    }

    fn string(&mut self, width: usize) -> Result<(), Fault> {
        let length = usize::try_from(self.number(width)?).unwrap_or(usize::MAX);
        let bytes = self.take(length)?;
        self.push(Value::Bytes(Cow::Borrowed(bytes)));
        Ok(())
    }

    fn short_tuple(&mut self, n: usize) -> Result<(), Fault> {
        let start = self.stack.len().checked_sub(n).ok_or_else(|| damaged("an instruction finds the stack empty"))?;
        let items = self.stack.split_off(start);
        self.n_item += items.len();
        self.push(Value::Tuple(items));
        Ok(())
    }

    fn append(&mut self, mut items: Vec<Id>) -> Result<(), Fault> {
        self.n_item += items.len();
        match self.top()? {
            Value::List(list) => list.append(&mut items),
            _ => return Err(damaged("items are appended to something that is not a list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), Fault> {
        let (pairs, odd) = items.as_chunks();
        self.n_item += items.len();
        match self.top()? {
            Value::Dict(dict) if odd.is_empty() => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            _ => return Err(damaged("items are set in something that is not a dictionary")),
        }
        Ok(())
    }

    fn put(&mut self, width: usize) -> Result<(), Fault> {
        let slot = self.number(width)?;
        self.memoize(slot)
    }

    fn memoize(&mut self, slot: u64) -> Result<(), Fault> {
        let id = *self.stack.last().ok_or_else(|| damaged("an instruction finds the stack empty"))?;
        self.memo.insert(slot, id);
        Ok(())
    }

    fn recall(&mut self, slot: u64) -> Result<(), Fault> {
        let id = *self.memo.get(&slot).ok_or_else(|| damaged(format!("memo {slot} is empty")))?;
        self.stack.push(id);
        Ok(())
    }

    fn global(&mut self) -> Result<(), Fault> {
        let (module, name) = (self.line()?, self.line()?);
        self.push_class(module, name)
    }

    fn stack_global(&mut self) -> Result<(), Fault> {
        let (name, module) = (self.pop()?, self.pop()?);
        let text = |id: Id| match &self.values[id] {
            Value::Bytes(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            _ => Err(damaged("a name is not text")),
        };
        let (module, name) = (text(module)?, text(name)?);
        self.push_class(&module, &name)
    }

    fn push_class(&mut self, module: &str, name: &str) -> Result<(), Fault> {
        let class = Class::named(module, name)
            .ok_or_else(|| foreign(format!("the pickle names `{module}.{name}`, which no data set needs")))?;
        self.push(Value::Class(class));
        Ok(())
    }

    /// Keeps the result of calling a class: an object of it, or an empty container.
    fn make(&mut self) -> Result<(), Fault> {
        let (args_id, class) = (self.pop()?, self.pop()?);
        let (&Value::Class(class), Value::Tuple(args)) = (&self.values[class], &self.values[args_id]) else {
            return Err(damaged("what is called is not a class, or its arguments are not a tuple"));
        };
        let made = match class {
            Class::DefaultDict => Value::Dict(Vec::new()),
            Class::List => Value::List(Vec::new()),
            Class::Encode => {
                let bytes = self.latin1(args)?;
                self.n_encoded += bytes.len();
                Value::Bytes(Cow::Owned(bytes))
            }
            // Its arguments are a class, the base class, and the argument of the base class.
            Class::Reconstructor => match args.first().map(|&id| &self.values[id]) {
                Some(&Value::Class(class)) => Value::Object { class, args: args_id, state: None },
                _ => return Err(damaged("an object is made from something that is not a class")),
            },
            Class::Reconstruct => Value::Object { class: Class::NdArray, args: args_id, state: None },
            class => Value::Object { class, args: args_id, state: None },
        };
        // Text that is encoded repeatedly would fill the memory.
        if self.n_encoded > self.bytes.len() {
            return Err(damaged("the same bytes are spelled out many times"));
        }
        self.push(made);
        Ok(())
    }

    /// Protocol 2 of Python 3 writes bytes as text of the same code points.
    fn latin1(&self, args: &[Id]) -> Result<Vec<u8>, Fault> {
        let text = match args.first().map(|&id| &self.values[id]) {
            Some(Value::Bytes(bytes)) => str::from_utf8(bytes).ok(),
            _ => None,
        };
        let bytes = text.and_then(|text| text.chars().map(|c| u8::try_from(c).ok()).collect());
        bytes.ok_or_else(|| damaged("bytes are not written as Latin-1 text"))
    }

    fn build(&mut self) -> Result<(), Fault> {
        let given = self.pop()?;
        match self.top()? {
            Value::Object { state, .. } => *state = Some(given),
            _ => return Err(damaged("state is set on something that is not an object")),
        }
        Ok(())
    }
}
