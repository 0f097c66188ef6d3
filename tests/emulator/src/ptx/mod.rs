//! PTX text becomes a tree: declarations, and statements whose operands are still names.
//!
//! Nothing here knows what an opcode means; that is the job of `decode`.

mod body;
mod cursor;
mod lex;
mod parse;

pub use parse::parse;

use std::fmt;

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PtxError {
    /// The line, counted from 1.
    pub line: u32,
    /// What is wrong.
    pub message: String,
    /// The line's text.
    pub text: String,
}

impl PtxError {
    /// An error at a line of `source`.
    pub fn at(source: &str, line: u32, message: impl Into<String>) -> PtxError {
        let text = source.lines().nth((line as usize).saturating_sub(1)).unwrap_or("").trim();
        PtxError { line, message: message.into(), text: text.into() }
    }
}

impl fmt::Display for PtxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  line {}: {}", self.message, self.line, self.text)
    }
}

impl std::error::Error for PtxError {}

/// A fundamental type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are PTX's own")]
pub enum Type {
    B8,
    B16,
    B32,
    B64,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F32,
    F64,
    Pred,
}

impl Type {
    /// The type of a name such as `f32`.
    pub fn named(name: &str) -> Option<Type> {
        Some(match name {
            "b8" => Type::B8,
            "b16" => Type::B16,
            "b32" => Type::B32,
            "b64" => Type::B64,
            "u8" => Type::U8,
            "u16" => Type::U16,
            "u32" => Type::U32,
            "u64" => Type::U64,
            "s8" => Type::S8,
            "s16" => Type::S16,
            "s32" => Type::S32,
            "s64" => Type::S64,
            "f32" => Type::F32,
            "f64" => Type::F64,
            "pred" => Type::Pred,
            _ => return None,
        })
    }

    /// Bytes in memory. A predicate is never in memory; it counts as one byte.
    pub fn bytes(self) -> u32 {
        match self {
            Type::B8 | Type::U8 | Type::S8 | Type::Pred => 1,
            Type::B16 | Type::U16 | Type::S16 => 2,
            Type::B32 | Type::U32 | Type::S32 | Type::F32 => 4,
            Type::B64 | Type::U64 | Type::S64 | Type::F64 => 8,
        }
    }

    /// Whether the top bit is a sign.
    pub fn is_signed(self) -> bool {
        matches!(self, Type::S8 | Type::S16 | Type::S32 | Type::S64)
    }

    /// Whether it is a floating-point type.
    pub fn is_float(self) -> bool {
        matches!(self, Type::F32 | Type::F64)
    }
}

/// A state space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Parameters of a launch or, between functions, of a call.
    Param,
    /// Device memory.
    Global,
    /// Device memory that no kernel writes.
    Const,
    /// A block's memory.
    Shared,
    /// A thread's memory.
    Local,
    /// Any of them, distinguished by the address.
    Generic,
}

impl Space {
    /// The space of a name such as `global`.
    pub fn named(name: &str) -> Option<Space> {
        Some(match name {
            "param" | "param::entry" | "param::func" => Space::Param,
            "global" => Space::Global,
            "const" => Space::Const,
            "shared" | "shared::cta" => Space::Shared,
            "local" => Space::Local,
            _ => return None,
        })
    }
}

/// A number as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Literal {
    /// A whole number, in two's complement.
    Int(u64),
    /// `0f` and the bits.
    F32(u32),
    /// `0d` and the bits, or a decimal fraction.
    F64(u64),
}

/// An element of an initialiser.
#[derive(Clone, Debug, PartialEq)]
pub enum Initial {
    /// A number.
    Number(Literal),
    /// The address of a variable.
    Address(String),
}

/// A variable in memory, or a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its state space.
    pub space: Space,
    /// The alignment in bytes.
    pub align: u32,
    /// The type of an element.
    pub ty: Type,
    /// The number of bytes; none for an array without an extent.
    pub bytes: Option<usize>,
    /// The first elements; the rest is zero.
    pub init: Vec<Initial>,
    /// Whether it is defined elsewhere: `.extern`.
    pub is_extern: bool,
    /// The line of its declaration.
    pub line: u32,
}

/// What an address is relative to.
#[derive(Clone, Debug, PartialEq)]
pub enum Base {
    /// A register or a variable.
    Name(String),
    /// Nothing: the offset is the address.
    Absolute,
}

/// An operand.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A register, a variable, a label, a function, or `_`.
    Name(String),
    /// The address of a variable and an offset.
    Sum(String, i64),
    /// A number.
    Number(Literal),
    /// `[base + offset]`.
    Address(Base, i64),
    /// `{a, b}`.
    Vector(Vec<Operand>),
    /// `(a, b)` of a call.
    List(Vec<Operand>),
    /// `d|p`.
    Pair(String, String),
    /// `!p`.
    Not(Box<Operand>),
}

/// An instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The line.
    pub line: u32,
    /// The predicate it runs under; true where that is negated.
    pub guard: Option<(String, bool)>,
    /// The opcode with its modifiers and types.
    pub opcode: String,
    /// Operands, destinations first.
    pub operands: Vec<Operand>,
}

/// An item of a function's body.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `.reg .b32 %r<5>;` declares `%r0` to `%r4`; without a number the name itself.
    Registers(String, Option<u32>, Type),
    /// A variable of the function or of the block.
    Variable(Variable),
    /// A branch target.
    Label(String, u32),
    /// `name: .branchtargets a, b;`
    Targets(String, Vec<String>, u32),
    /// An instruction.
    Statement(Statement),
    /// `{ … }`: a scope of the names declared in it.
    Scope(Vec<Item>),
    /// `.loc`: the following instructions come from this line of this file.
    Location(u32, u32),
}

/// A kernel or a device function.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Whether it can be launched.
    pub is_entry: bool,
    /// Its results.
    pub results: Vec<Variable>,
    /// Its parameters.
    pub params: Vec<Variable>,
    /// Its body; none for a declaration.
    pub body: Option<Vec<Item>>,
    /// The most threads of a block: `.maxntid`, `.reqntid`.
    pub max_threads: Option<u32>,
    /// The line of its name.
    pub line: u32,
}

/// A PTX text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Module {
    /// `.version`.
    pub version: (u32, u32),
    /// `.target` without `sm_`, such as 80.
    pub target: u32,
    /// Variables outside functions.
    pub variables: Vec<Variable>,
    /// Functions.
    pub functions: Vec<Function>,
    /// Source files by number.
    pub files: Vec<(u32, String)>,
}
