//! Elementwise operations: each output element depends on the operands' elements at the same index.
//!
//! Operands have the same shape, or are scalars, which are broadcast. An operation is a row: [`Row`] holds the scalar
//! operation, the element types and the derivative, and one implementation of every rule serves all rows.

mod arithmetic;
mod composed;
mod convert;
mod eval;
pub(crate) mod functions;
mod logic;
mod row;
mod select;
mod threefry;
mod weigh;

pub(crate) use arithmetic::{ABS, ADD, ATAN2, CEIL, DIV, FLOOR, MAX, MIN, MUL, NEG, POW, REM, ROUND, SIGN, SUB, TRUNC};
pub(crate) use composed::Composed;
pub(crate) use convert::{BITCAST_CONVERT_TYPE, STOP_GRADIENT};
pub(crate) use gavotte_core::ir::structural::CONVERT_ELEMENT_TYPE;
pub(crate) use logic::{
    AND, CLZ, EQ, GE, GT, LE, LT, NE, NOT, OR, POPULATION_COUNT, SHIFT_LEFT, SHIFT_RIGHT_LOGICAL, XOR,
};
pub(crate) use select::{SELECT_N, select_n};
pub(crate) use threefry::{THREEFRY2X32, threefry2x32};
pub(crate) use weigh::{WEIGH, weigh};

use gavotte_core::aval::{Aval, DType, Dim, Literal, Shape};
use gavotte_core::error::TypeError;
use gavotte_core::ir::structural::{broadcast_in_dim, place_axis, reduce_sum};
use gavotte_core::ir::{Batch, Batched, Lower, Primitive, Scalar, Simplify, Unsupported, Value, bind, require_shape};
use smallvec::SmallVec;

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] = &[
    &ABS,
    &functions::ACOS,
    &functions::ACOSH,
    &ADD,
    &AND,
    &functions::ASIN,
    &functions::ASINH,
    &functions::ATAN,
    &ATAN2,
    &functions::ATANH,
    BITCAST_CONVERT_TYPE,
    &functions::CBRT,
    &CEIL,
    &CLZ,
    &functions::COS,
    &functions::COSH,
    &DIV,
    &EQ,
    &functions::ERF,
    &functions::ERFC,
    &functions::EXP,
    &functions::EXP2,
    &functions::EXPM1,
    &FLOOR,
    &GE,
    &GT,
    &LE,
    &functions::LOG,
    &functions::LOG10,
    &functions::LOG1P,
    &functions::LOG2,
    &functions::LOGISTIC,
    &LT,
    &MAX,
    &MIN,
    &MUL,
    &NE,
    &NEG,
    &NOT,
    &OR,
    &POPULATION_COUNT,
    &POW,
    &REM,
    &ROUND,
    SELECT_N,
    &SHIFT_LEFT,
    &SHIFT_RIGHT_LOGICAL,
    &SIGN,
    &functions::SIN,
    &functions::SINH,
    &functions::SQRT,
    STOP_GRADIENT,
    &SUB,
    &functions::TAN,
    &functions::TANH,
    THREEFRY2X32,
    &TRUNC,
    WEIGH,
    &XOR,
];

/// A scalar constant of an element type.
pub(crate) fn constant(dtype: DType, x: f64) -> Value {
    Literal::from_f64(dtype, x).into()
}

/// The common shape of the operands that are not scalars.
fn common_shape(ins: &[&Aval]) -> Result<Shape, TypeError> {
    let Some(first) = ins.iter().find(|aval| aval.rank() > 0) else { return Ok(Shape::new()) };
    match ins.iter().find(|aval| aval.rank() > 0 && aval.shape != first.shape) {
        Some(other) => {
            let (a, b) = (&first.shape, &other.shape);
            let why = || {
                format!(
                    "shapes {a:?} and {b:?} differ: use equal extents, an extent of 1, or a scalar (`broadcast_to`, \
                     `reshape`)"
                )
            };
            // Broadcastable shapes differ only in axes of extent 1; align them at the last axis.
            let shared = a.len().min(b.len());
            let stretches = |a: &Dim, b: &Dim| *a == 1 || *b == 1;
            let pairs = a[a.len() - shared..].iter().zip(&b[b.len() - shared..]).filter(|(a, b)| !stretches(a, b));
            let (left, right): (Vec<Dim>, Vec<Dim>) = pairs.map(|(a, b)| (a.clone(), b.clone())).unzip();
            require_shape(&left, &right, why)?;
            Err(TypeError::new(why()))
        }
        None => Ok(first.shape.clone()),
    }
}

/// The common element type of the operands.
fn common_dtype(ins: &[&Aval]) -> Result<DType, TypeError> {
    match ins.iter().find(|aval| aval.dtype != ins[0].dtype) {
        Some(other) => Err(TypeError::new(format!(
            "element types {} and {} differ: convert one with `astype`",
            ins[0].dtype, other.dtype
        ))),
        None => Ok(ins[0].dtype),
    }
}

/// A tangent in the output's shape: the tangent of a scalar operand is broadcast.
fn fit(t: Value, out: &Value) -> Value {
    match t.rank() < out.rank() {
        true => broadcast_in_dim(&t, out.shape(), &[]),
        false => t,
    }
}

/// A cotangent in the operand's shape: a scalar operand is broadcast, so it gets the sum over all elements.
fn fit_back(ct: Value, operand: &Aval) -> Value {
    match operand.rank() < ct.rank() {
        true => reduce_sum(&ct, &(0..ct.rank()).collect::<Vec<_>>()),
        false => ct,
    }
}

/// The rule `batch` of every elementwise primitive: the new axis goes where the first full operand has it, or after all
/// others if only scalars have it. A scalar without it stays a scalar; a scalar with it is broadcast to match larger
/// operands.
fn batch(name: &str, cx: &Batch<'_>) -> Batched {
    let prim = crate::registry().get(name).expect("a primitive whose rule runs is in the table");
    let rank = |(x, at): &(Value, Option<usize>)| x.rank() - usize::from(at.is_some());
    let full = cx.ins.iter().map(rank).max().unwrap_or(0);
    let axis = cx.ins.iter().filter(|operand| rank(operand) == full).find_map(|(_, at)| *at).unwrap_or(full);
    let mut shape: Shape = cx.ins.iter().find(|operand| rank(operand) == full).map_or(Shape::new(), |(x, at)| {
        let kept = x.shape().iter().enumerate().filter(|(i, _)| Some(*i) != *at);
        kept.map(|(_, extent)| extent.clone()).collect()
    });
    shape.insert(axis, cx.size.clone());
    let ins: SmallVec<[Value; 4]> = cx
        .ins
        .iter()
        .map(|operand| match (operand.1, rank(operand)) {
            (None, 0) => operand.0.clone(),
            (Some(_), 0) => broadcast_in_dim(&operand.0, &shape, &[axis]),
            _ => place_axis(operand, axis, cx.size),
        })
        .collect();
    let refs: SmallVec<[&Value; 4]> = ins.iter().collect();
    bind(prim, &refs, cx.params.clone()).into_iter().map(|value| (value, Some(axis))).collect()
}

/// The operands' elements at the wanted index.
fn read_all(cx: &mut dyn Lower) -> Result<SmallVec<[Scalar; 4]>, Unsupported> {
    let index = cx.index();
    (0..cx.arity())
        .map(|i| {
            let scalar = cx.operand(i).rank() == 0;
            cx.read(i, if scalar { &[] } else { &index })
        })
        .collect()
}

/// Whether an operand has the output's type, so that it can replace the output.
fn stands(cx: &Simplify<'_>, operand: usize) -> bool {
    cx.ins[operand] == cx.eqn.outs[0].aval
}

#[cfg(test)]
mod tests;
