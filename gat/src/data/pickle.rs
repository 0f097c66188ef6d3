//! Reading pickles as data.
//!
//! A pickle is a program for a stack machine, and may name any function of the Python that loads it. This machine runs
//! nothing: it knows the few classes that arrays, sparse matrices and dictionaries need, keeps what is said of them as
//! data, and refuses a pickle that names another. It knows the opcodes of protocols 2 to 5 that such pickles hold.
//!
//! Values live in one flat table and refer to each other by place, so neither depth nor cycles can exhaust the stack.

use std::{borrow::Cow, collections::HashMap};

use super::DataError;

/// A place in the table of values.
pub(super) type Id = usize;

/// What a pickle says.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    #[expect(dead_code, reason = "kept for a reader of the table; no data set holds one outside of an array")]
    Float(f64),
    /// Bytes, or text; text of Python 2 may be either.
    Bytes(Cow<'a, [u8]>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Class(Class),
    /// An object: its class, what it was made from, and the state it was then given.
    Object {
        class: Class,
        args: Id,
        state: Option<Id>,
    },
}

/// The classes and functions that a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    CsrMatrix,
    NdArray,
    DType,
    Reconstruct,
    DefaultDict,
    List,
    Encode,
}

impl Class {
    fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("scipy.sparse.csr" | "scipy.sparse._csr", "csr_matrix") => Self::CsrMatrix,
            ("numpy", "ndarray") => Self::NdArray,
            ("numpy", "dtype") => Self::DType,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Self::Reconstruct,
            ("collections", "defaultdict") => Self::DefaultDict,
            ("__builtin__" | "builtins", "list") => Self::List,
            ("_codecs", "encode") => Self::Encode,
            _ => return None,
        })
    }
}

/// A pickle that has been read.
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle; `place` is what an error calls it.
    pub(super) fn read(place: &str, bytes: &'a [u8]) -> Result<Self, DataError> {
        let mut machine = Machine { bytes, ..Machine::default() };
        loop {
            let offset = machine.at;
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => return Ok(Self { values: machine.values, root }),
                Err(Fault { what, help }) => return Err(DataError::Pickle { place: place.into(), offset, what, help }),
            }
        }
    }

    /// The place of the value that the whole pickle stands for.
    pub(super) fn root(&self) -> Id {
        self.root
    }

    /// The value at a place.
    pub(super) fn get(&self, id: Id) -> &Value<'a> {
        &self.values[id]
    }

    /// How many values were spelled out; a value may be referred to more than once.
    pub(super) fn n_values(&self) -> usize {
        self.values.len()
    }

    /// The value under a text key of a dictionary.
    pub(super) fn item(&self, dict: Id, key: &str) -> Option<Id> {
        let Value::Dict(items) = self.get(dict) else { return None };
        let is_key = |id| matches!(self.get(id), Value::Bytes(bytes) if **bytes == *key.as_bytes());
        items.iter().rev().find(|&&(id, _)| is_key(id)).map(|&(_, value)| value)
    }
}

/// Why a step failed.
struct Fault {
    what: String,
    help: &'static str,
}

fn damaged(what: impl Into<String>) -> Fault {
    Fault { what: what.into(), help: "the pickle is incomplete or damaged: get it again from its source" }
}

fn foreign(what: String) -> Fault {
    Fault { what, help: "nothing was run; only arrays, sparse matrices, lists and dictionaries are read" }
}

/// The stack machine.
#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// How high the stack was at each open mark.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// How many bytes were made from text.
    n_encoded: usize,
}

impl<'a> Machine<'a> {
    /// Runs one instruction; the last one yields the result.
    fn step(&mut self) -> Result<Option<Id>, Fault> {
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
            b'U' | b'C' | 0x8c => self.string(1)?,
            b'T' | b'B' | b'X' => self.string(4)?,
            0x8d | 0x8e => self.string(8)?,
            b')' => self.push(Value::Tuple(Vec::new())),
            code @ 0x85..=0x87 => self.short_tuple(usize::from(code - 0x84))?,
            b't' => {
                let items = self.pop_to_mark()?;
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
            b'}' => self.push(Value::Dict(Vec::new())),
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            b'q' => self.put(1)?,
            b'r' => self.put(4)?,
            0x94 => self.memoize(self.memo.len() as u64)?,
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
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

    /// The rest of a line.
    fn line(&mut self) -> Result<&'a str, Fault> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        let line = self.take(end + 1)?;
        str::from_utf8(&line[..end]).map_err(|_| damaged("a name is not text"))
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
            2..=5 => Ok(()),
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
        self.push(Value::Tuple(items));
        Ok(())
    }

    fn append(&mut self, mut items: Vec<Id>) -> Result<(), Fault> {
        match self.top()? {
            Value::List(list) => list.append(&mut items),
            _ => return Err(damaged("items are appended to what is no list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), Fault> {
        let (pairs, odd) = items.as_chunks();
        match self.top()? {
            Value::Dict(dict) if odd.is_empty() => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            _ => return Err(damaged("items are set in what is no dictionary")),
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

    fn recall(&mut self, width: usize) -> Result<(), Fault> {
        let slot = self.number(width)?;
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

    /// Keeps what calling a class would make: an object of it, or an empty container.
    fn make(&mut self) -> Result<(), Fault> {
        let (args_id, class) = (self.pop()?, self.pop()?);
        let (&Value::Class(class), Value::Tuple(args)) = (&self.values[class], &self.values[args_id]) else {
            return Err(damaged("what is called is no class, or its arguments are no tuple"));
        };
        let made = match class {
            Class::DefaultDict => Value::Dict(Vec::new()),
            Class::List => Value::List(Vec::new()),
            Class::Encode => {
                let bytes = self.latin1(args)?;
                self.n_encoded += bytes.len();
                Value::Bytes(Cow::Owned(bytes))
            }
            Class::Reconstruct => Value::Object { class: Class::NdArray, args: args_id, state: None },
            class => Value::Object { class, args: args_id, state: None },
        };
        // Text that is encoded again and again would fill the memory.
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
            _ => return Err(damaged("state is given to what is no object")),
        }
        Ok(())
    }
}
