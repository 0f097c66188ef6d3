//! Reading pickles as data.
//!
//! A pickle is a program for a stack machine, and may call any function of the Python that loads it. This machine calls
//! nothing: it knows the few classes that arrays, sparse matrices and dictionaries need, keeps their arguments and
//! states as data, and refuses a pickle that names another class. It knows the opcodes of protocols 0 to 5 that such
//! pickles hold.
//!
//! Values live in one flat table and refer to each other by index, so that neither depth nor cycles exhaust the stack.

mod machine;
mod text;

use std::borrow::Cow;

use super::DataError;
use crate::memory::Shortage;
use machine::Machine;

/// An index into the table of values.
pub(super) type Id = usize;

/// A value of a pickle.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    #[expect(dead_code, reason = "kept for a reader of the table; no data set holds one outside of an array")]
    Float(f64),
    /// Bytes or text; a string of Python 2 may be either.
    Bytes(Cow<'a, [u8]>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Class(Class),
    /// An object: its class, its arguments, and the state that was set afterwards.
    Object {
        class: Class,
        args: Id,
        state: Option<Id>,
    },
}

/// The classes and functions that a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A sparse matrix, of either of SciPy's classes.
    Csr,
    /// An array that is built from its state.
    NdArray,
    /// An array that is built from its bytes, type, shape and order.
    FromBuffer,
    DType,
    Reconstruct,
    /// In protocols 0 and 1, builds an object from its class and its base class.
    Reconstructor,
    Object,
    DefaultDict,
    List,
    Encode,
}

impl Class {
    fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("scipy.sparse.csr" | "scipy.sparse._csr", "csr_matrix" | "csr_array") => Self::Csr,
            ("numpy", "ndarray") => Self::NdArray,
            ("numpy", "dtype") => Self::DType,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Self::Reconstruct,
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Self::FromBuffer,
            ("copy_reg" | "copyreg", "_reconstructor") => Self::Reconstructor,
            ("__builtin__" | "builtins", "object") => Self::Object,
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
    /// Reads a pickle, which errors call `place`.
    pub(super) fn read(place: &str, bytes: &'a [u8]) -> Result<Self, DataError> {
        let mut machine = Machine::new(bytes);
        loop {
            let offset = machine.at();
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => return Ok(Self { values: machine.into_values(), root }),
                Err(Fault::Wrong { what, help }) => {
                    return Err(DataError::Pickle { place: place.into(), offset, what, help });
                }
                Err(Fault::Memory(shortage)) => return Err(DataError::memory(place, "its objects", shortage)),
            }
        }
    }

    /// The value that the whole pickle stands for.
    pub(super) fn root(&self) -> Id {
        self.root
    }

    /// The value at an index.
    pub(super) fn get(&self, id: Id) -> &Value<'a> {
        &self.values[id]
    }

    /// The number of values in the table; a value may be referred to more than once.
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
enum Fault {
    Wrong { what: String, help: &'static str },
    Memory(Shortage),
}

fn damaged(what: impl Into<String>) -> Fault {
    Fault::Wrong { what: what.into(), help: "the pickle is incomplete or damaged: get it again from its source" }
}

fn foreign(what: String) -> Fault {
    Fault::Wrong { what, help: "nothing was run; only arrays, sparse matrices, lists and dictionaries are read" }
}
