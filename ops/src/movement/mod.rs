//! The family `movement`: the same elements under another shape, joined, cut and bordered.

mod concatenate;
mod methods;
mod pad;
mod reshape;
mod slice;

pub(crate) use methods::{axis_of, reject};
pub use methods::{concatenate, stack};
pub(crate) use reshape::reshape;
pub(crate) use slice::slice;

use gavotte_core::aval::{Aval, DType, Dim, Literal};
use gavotte_core::error::TypeError;
use gavotte_core::ir::{Index, Lower, Primitive, Scalar, ScalarOp, Unsupported};

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] = &[reshape::RESHAPE, concatenate::CONCATENATE, slice::SLICE, pad::PAD];

/// The types of exactly `N` operands.
pub(crate) fn operands<'a, const N: usize>(ins: &[&'a Aval]) -> Result<[&'a Aval; N], TypeError> {
    ins.try_into().map_err(|_| TypeError::new(format!("takes {N} operands, not {}", ins.len())))
}

/// The place nearest to `at` within an axis of `extent` elements: what a kernel may read where it will not use what it
/// read. Where a symbolic extent turns out to be 0 there is no such place; such calls run a program compiled for their
/// numbers, which does not read what is empty.
fn nearest(cx: &mut dyn Lower, at: Scalar, extent: &Dim) -> Scalar {
    let (first, last) = (cx.constant(Literal::I32(0)), cx.size(&(extent - 1), DType::I32));
    let below = cx.op(ScalarOp::Min, &[at, last]);
    cx.op(ScalarOp::Max, &[below, first])
}

/// Whether positions along an axis of a kernel's output fit the `i32` that they are computed as; a longer one is made without
/// a kernel. For sizes that make an axis as long, a program is compiled for these numbers.
fn counted(extent: &Dim) -> Result<(), Unsupported> {
    match extent.as_number() {
        Some(n) if n > i64::from(i32::MAX) => Err(Unsupported(format!("positions along an axis of {n} are no i32"))),
        _ => Ok(()),
    }
}

/// How far `index` lies behind `start`, as an `i32` that may be negative.
fn behind(cx: &mut dyn Lower, index: &Index, start: &Dim) -> Scalar {
    let at = cx.affine(index, &1.into(), &(Dim::from(0) - start));
    cx.position(&at)
}
