//! The interface between a primitive and a kernel: its scalar work, and which elements it reads. One description serves
//! every target.

use crate::aval::{Aval, DType, Dim, Literal};
use crate::ir::scalar::{Form, Formula, ScalarElement};
use crate::ir::{Params, ScalarOp, Unsupported};

/// How a reduction combines elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReduceOp {
    /// Sum; 0 if there are no elements.
    Sum,
    /// Product; 1 if there are no elements. Of `bool`: whether all are true.
    Prod,
    /// Maximum, NaN if there is one; the least value of the type if there are no elements.
    Max,
    /// Minimum, NaN if there is one; the largest value of the type if there are no elements.
    Min,
}

impl ReduceOp {
    /// Every operation.
    pub const ALL: [ReduceOp; 4] = [ReduceOp::Sum, ReduceOp::Prod, ReduceOp::Max, ReduceOp::Min];

    /// The name in kernel text.
    pub fn name(self) -> &'static str {
        match self {
            ReduceOp::Sum => "sum",
            ReduceOp::Prod => "prod",
            ReduceOp::Max => "max",
            ReduceOp::Min => "min",
        }
    }

    /// The operation on two elements.
    pub fn on_two(self) -> ScalarOp {
        match self {
            ReduceOp::Sum => ScalarOp::Add,
            ReduceOp::Prod => ScalarOp::Mul,
            ReduceOp::Max => ScalarOp::Max,
            ReduceOp::Min => ScalarOp::Min,
        }
    }

    /// The operation on two elements of type `T`; `None` if the type does not have it.
    pub fn formula<T: ScalarElement>(self) -> Option<fn(T, T) -> T> {
        let Form::Function(function) = self.on_two().form() else { return None };
        match T::formula(function) {
            Some(Formula::Binary(formula)) => Some(formula),
            _ => None,
        }
    }

    /// The result of reducing nothing.
    pub fn identity(self, dtype: DType) -> Literal {
        match self {
            ReduceOp::Sum => Literal::from_f64(dtype, 0.0),
            ReduceOp::Prod => Literal::from_f64(dtype, 1.0),
            // Infinities saturate to the ends of an integer type.
            ReduceOp::Max if dtype == DType::Bool => Literal::Bool(false),
            ReduceOp::Max => Literal::from_f64(dtype, f64::NEG_INFINITY),
            ReduceOp::Min => Literal::from_f64(dtype, f64::INFINITY),
        }
    }
}

/// A scalar inside a kernel: the number of the instruction that computes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Scalar(pub u32);

/// A position along one axis, inside a kernel.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Index {
    /// `constant + Σ stride · loop`: loops by number, strides may be symbolic.
    Affine {
        /// The part that does not depend on loops.
        constant: Dim,
        /// Loop number and stride; no stride is zero, and no loop occurs twice.
        terms: Vec<(u32, Dim)>,
    },
    /// An `i32` computed inside the kernel.
    Value(Scalar),
}

impl Index {
    /// The position that is always `at`.
    pub fn constant(at: impl Into<Dim>) -> Self {
        Index::Affine { constant: at.into(), terms: vec![] }
    }

    /// Whether it equals the counter of this loop.
    pub fn is_loop(&self, number: u32) -> bool {
        match self {
            Index::Affine { constant, terms } => {
                *constant == 0usize && terms.len() == 1 && terms[0].0 == number && terms[0].1 == 1usize
            }
            Index::Value(_) => false,
        }
    }
}

/// The context of a primitive's [`lower`](crate::ir::Primitive::lower) rule.
///
/// Lowering is on demand: the rule is asked for one element of its output, at [`Lower::index`], and asks its operands
/// for the elements it needs. It does not know whether an operand is read from memory or computed on the spot.
pub trait Lower {
    /// Attributes of the equation.
    fn params(&self) -> &Params;
    /// Type of an operand.
    fn operand(&self, i: usize) -> Aval;
    /// Number of operands.
    fn arity(&self) -> usize;
    /// Type of an output.
    fn output(&self, i: usize) -> Aval;
    /// The position of the wanted element in the output, one index per axis.
    fn index(&self) -> Vec<Index>;
    /// The operand's element at `index`.
    fn read(&mut self, operand: usize, index: &[Index]) -> Result<Scalar, Unsupported>;
    /// As [`read`](Lower::read), at positions that may be out of bounds: then the call is refused.
    fn read_checked(&mut self, operand: usize, index: &[Index]) -> Result<Scalar, Unsupported> {
        self.read(operand, index)
    }
    /// Applies a scalar operation.
    fn op(&mut self, op: ScalarOp, ins: &[Scalar]) -> Scalar;
    /// A constant.
    fn constant(&mut self, literal: Literal) -> Scalar;
    /// A size as a scalar of the given integer or float type.
    fn size(&mut self, dim: &Dim, dtype: DType) -> Scalar;
    /// A position as an `i32`.
    fn position(&mut self, index: &Index) -> Scalar;
    /// `scale · index + offset`.
    fn affine(&mut self, index: &Index, scale: &Dim, offset: &Dim) -> Index;
    /// The sum of two positions.
    fn add(&mut self, a: &Index, b: &Index) -> Index;
    /// Opens loops over these extents, innermost last, for a reduction. Only the rule at a kernel's root may.
    fn reduction_loops(&mut self, extents: &[Dim]) -> Result<Vec<Index>, Unsupported>;
    /// Opens a loop over the members of segment `segment`, which the operands `offsets` and `order` define. Returns the
    /// member's number. Only the rule at a kernel's root may.
    fn segment_loop(&mut self, segment: &Index, offsets: usize, order: usize) -> Result<Index, Unsupported>;
    /// Combines `value` over all opened loops.
    fn reduce(&mut self, op: ReduceOp, value: Scalar) -> Result<Scalar, Unsupported>;
}
