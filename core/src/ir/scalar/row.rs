//! The columns of the table of scalar operations.

use crate::aval::DType;
use crate::device::HostElement;
use half::{bf16, f16};

/// A scalar operation: everything about it except its derivative.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The name in kernel text.
    pub name: &'static str,
    /// Element types of its operands; for `select`, of the choices.
    pub takes: Types,
    /// Rough cost per element, in additions.
    pub cost: u32,
    /// How it is counted on floats.
    pub counts: Counts,
    /// Its kind and implementation.
    pub form: Form,
}

/// Element types that an operation takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Types {
    /// Floating types.
    Floats,
    /// Integers.
    Ints,
    /// Integers of 32 and 64 bits: for a shorter one, its length matters.
    LongInts,
    /// Floats and integers.
    Numbers,
    /// Integers and `bool`.
    Bits,
    /// `u32`.
    Words,
    /// All.
    Any,
}

impl Types {
    /// Whether a type is one of them.
    pub fn holds(self, dtype: DType) -> bool {
        match self {
            Types::Floats => dtype.is_float(),
            Types::Ints => dtype.is_int(),
            Types::LongInts => dtype.is_int() && !dtype.is_narrow(),
            Types::Numbers => dtype != DType::Bool,
            Types::Bits => !dtype.is_float(),
            Types::Words => dtype == DType::U32,
            Types::Any => true,
        }
    }

    /// The names of the types, for messages.
    pub fn names(self) -> &'static str {
        match self {
            Types::Floats => "floats",
            Types::Ints => "integers",
            Types::LongInts => "integers of 32 or 64 bits",
            Types::Numbers => "numbers",
            Types::Bits => "bool or integers",
            Types::Words => "u32",
            Types::Any => "any elements",
        }
    }
}

/// How an operation on floats is counted in costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counts {
    /// A floating-point operation.
    Flop,
    /// A function that takes many floating-point operations.
    Transcendental,
    /// Nothing: comparisons, choices, conversions, bits.
    Free,
}

/// The kind of an operation: a function of numbers of one type, or one of the few with other signatures.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Takes operands of one type, returns that type.
    Function(&'static Function),
    /// Takes two operands of one type, returns `bool`.
    Comparison(Comparison),
    /// `select(which, when_false, when_true)`.
    Select,
    /// Converts to this type.
    Convert(DType),
    /// Reinterprets the bits as this type.
    Bitcast(DType),
    /// This word, 0 or 1, of a block of `threefry2x32`.
    Threefry(usize),
}

/// A comparison; all but `Ne` are false if either operand is NaN, and `false` is less than `true`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "each is the operation of its name")]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparison {
    /// The comparison as a function of two elements.
    pub fn function<T: PartialOrd>(self) -> fn(&T, &T) -> bool {
        match self {
            Comparison::Eq => T::eq,
            Comparison::Ne => T::ne,
            Comparison::Lt => T::lt,
            Comparison::Le => T::le,
            Comparison::Gt => T::gt,
            Comparison::Ge => T::ge,
        }
    }

    /// Its operator in C.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Comparison::Eq => "==",
            Comparison::Ne => "!=",
            Comparison::Lt => "<",
            Comparison::Le => "<=",
            Comparison::Gt => ">",
            Comparison::Ge => ">=",
        }
    }

    /// Its direction in StableHLO.
    pub(crate) fn direction(self) -> &'static str {
        match self {
            Comparison::Eq => "EQ",
            Comparison::Ne => "NE",
            Comparison::Lt => "LT",
            Comparison::Le => "LE",
            Comparison::Gt => "GT",
            Comparison::Ge => "GE",
        }
    }
}

/// A function of numbers of one type.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Number of operands.
    pub operands: usize,
    /// The accuracy of its results.
    pub accuracy: Accuracy,
    /// Its form in StableHLO.
    pub stablehlo: StableHlo,
    /// Of `f32`.
    pub f32: Option<Column<f32, CodeOrCall<FloatCode>>>,
    /// Of `f64`.
    pub f64: Option<Column<f64, CodeOrCall<FloatCode>>>,
    /// Of `i32`.
    pub i32: Option<Column<i32, CodeOrCall<IntCode>>>,
    /// Of `u32`.
    pub u32: Option<Column<u32, CodeOrCall<IntCode>>>,
    /// Of `i64`.
    pub i64: Option<Column<i64, CodeOrCall<IntCode>>>,
    /// Of `u64`.
    pub u64: Option<Column<u64, CodeOrCall<IntCode>>>,
    /// Of `bool`.
    pub bool: Option<Column<bool, BoolCode>>,
}

impl Function {
    /// A function that no type has.
    pub(super) const NONE: Function = Function {
        operands: 0,
        accuracy: Accuracy::Rounded,
        stablehlo: StableHlo::Op(""),
        f32: None,
        f64: None,
        i32: None,
        u32: None,
        i64: None,
        u64: None,
        bool: None,
    };

    /// The expression in CUDA C; `None` if the type does not have the operation.
    pub fn cuda(&self, dtype: DType) -> Option<CudaText> {
        match dtype {
            DType::F32 => self.f32.map(|column| column.cuda),
            DType::F64 => self.f64.map(|column| column.cuda),
            DType::I32 => self.i32.map(|column| column.cuda),
            DType::U32 => self.u32.map(|column| column.cuda),
            DType::I64 => self.i64.map(|column| column.cuda),
            DType::U64 => self.u64.map(|column| column.cuda),
            DType::Bool => self.bool.map(|column| column.cuda),
            // They are computed as wider ones.
            DType::F16 | DType::BF16 | DType::I8 | DType::I16 | DType::U8 | DType::U16 => None,
        }
    }
}

/// A function of numbers of type `T`: its formula, and its form in the languages of code generators.
#[derive(Clone, Copy, Debug)]
pub struct Column<T, M> {
    /// The value that it computes.
    pub formula: Formula<T>,
    /// The expression in CUDA C.
    pub cuda: CudaText,
    /// The machine code for it.
    pub machine: M,
}

/// A function of one or two numbers.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Formula<T> {
    Unary(fn(T) -> T),
    Binary(fn(T, T) -> T),
}

/// Element types, as columns of the table; narrow ones have none.
pub trait ScalarElement: HostElement + PartialOrd {
    /// The formula of a function for this type; `None` if the type does not have the operation.
    fn formula(function: &Function) -> Option<Formula<Self>>;
}

macro_rules! scalar_elements {
    ($($t:ident)*) => { $(impl ScalarElement for $t {
        fn formula(function: &Function) -> Option<Formula<$t>> {
            function.$t.map(|column| column.formula)
        }
    })* };
}
scalar_elements!(f32 f64 i32 u32 i64 u64 bool);

macro_rules! narrow_elements {
    ($($t:ident)*) => { $(impl ScalarElement for $t {
        fn formula(_: &Function) -> Option<Formula<$t>> {
            None
        }
    })* };
}
narrow_elements!(f16 bf16 i8 i16 u8 u16);

/// The accuracy of results, on every target.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Accuracy {
    /// Exact, or correctly rounded.
    Rounded,
    /// Within this many units in the last place.
    Within(f64),
}

/// The form of a function in StableHLO.
#[derive(Clone, Copy, Debug)]
pub enum StableHlo {
    /// The operation of this name.
    Op(&'static str),
    /// The operation of this name; an integer divided by zero has all bits set, which StableHLO leaves undefined.
    Quotient(&'static str),
    /// The operation of this name; the remainder of an integer by zero is the integer, which StableHLO leaves
    /// undefined.
    Remainder(&'static str),
    /// The operation of this name; a shift by the width of the type or more is 0, which StableHLO leaves undefined.
    Shift(&'static str),
    /// The operation of this name in CHLO, the dialect of functions that XLA composes from those of StableHLO.
    Chlo(&'static str),
    /// The logarithm to this base, of which StableHLO has the natural one.
    Log(f64),
    /// The power of 2, which is a power like any other.
    PowerOfTwo,
    /// The whole number next to zero: the floor or the ceiling.
    Truncate,
    /// The operation of this name on the bits as `u32`: XLA folds that of a negative constant to a wrong number.
    OfWord(&'static str),
    /// `abs`, which StableHLO lacks for `u32`.
    Abs,
    /// `sign`, which StableHLO lacks for `u32`.
    Sign,
}

/// An expression in CUDA C.
#[derive(Clone, Copy, Debug)]
pub enum CudaText {
    /// An expression in which `{0}` and `{1}` are the operands.
    Text(&'static str),
    /// A call of a device function of the prelude.
    Helper(CudaHelper),
}

/// Functions of the CUDA prelude that define what C leaves undefined.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs, reason = "each is the operation of its name")]
pub enum CudaHelper {
    WrappingAdd,
    WrappingSub,
    WrappingMul,
    WrappingNeg,
    WrappingAbs,
    Divide,
    Remainder,
    ShiftLeft,
    ShiftRight,
    NanMax,
    NanMin,
    Sign,
    Logistic,
}

/// How machine code computes a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeOrCall<C> {
    /// Vector code, which the code generator has under this name.
    Code(C),
    /// A call of the portable target's loop.
    Call,
}

impl<C> CodeOrCall<C> {
    /// Whether there is vector code.
    pub(crate) const fn is_code(&self) -> bool {
        matches!(self, CodeOrCall::Code(_))
    }
}

/// Functions of floats with vector code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "each is the operation of its name")]
pub enum FloatCode {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
    Neg,
    Abs,
    Sign,
    Floor,
    Ceil,
    Nearest,
    Trunc,
    Sqrt,
    /// `f32` only, like those below.
    Exp,
    Expm1,
    Log,
    Log1p,
    Tanh,
    Logistic,
}

/// Functions of integers with vector code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "each is the operation of its name")]
pub enum IntCode {
    Add,
    Sub,
    Mul,
    Max,
    Min,
    Neg,
    Abs,
    Sign,
    And,
    Or,
    Xor,
    Not,
    Shl,
    Shr,
}

/// Functions of bools, all with vector code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "each is the operation of its name")]
pub enum BoolCode {
    And,
    Or,
    Xor,
    Not,
}
