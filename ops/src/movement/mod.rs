//! The family `movement`: the same elements with another shape, joined, sliced and padded.

mod concatenate;
mod methods;
mod pad;
mod reshape;
mod slice;

pub(crate) use methods::{axis_of, reject};
pub use methods::{concatenate, stack};
pub(crate) use pad::{pad, pad_zeros, span};
pub(crate) use reshape::reshape;
pub(crate) use slice::{followed, put_back, slice};

use gavotte_core::aval::{Aval, DType, Dim, Literal};
use gavotte_core::error::TypeError;
use gavotte_core::ir::{Index, Lower, Primitive, Scalar, ScalarOp, Unsupported};

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] = &[reshape::RESHAPE, concatenate::CONCATENATE, slice::SLICE, pad::PAD];

/// The types of exactly `N` operands.
pub(crate) fn operands<'a, const N: usize>(ins: &[&'a Aval]) -> Result<[&'a Aval; N], TypeError> {
    ins.try_into().map_err(|_| TypeError::new(format!("takes {N} operands, not {}", ins.len())))
}

/// `at` clamped to an axis of `extent` elements, so that a kernel may read there and discard the value. If a symbolic
/// extent is 0 for a call there is no such position; such calls run a program compiled for their sizes, which does not
/// read empty arrays.
fn nearest(cx: &mut dyn Lower, at: Scalar, extent: &Dim) -> Scalar {
    let (first, last) = (cx.constant(Literal::I32(0)), cx.size(&(extent - 1), DType::I32));
    let below = cx.op(ScalarOp::Min, &[at, last]);
    cx.op(ScalarOp::Max, &[below, first])
}

/// Refuses an axis of a kernel's output whose positions exceed `i32`, in which kernels compute them; a longer one is
/// made without a kernel. For sizes that make an axis that long, a program is compiled for these numbers.
fn counted(extent: &Dim) -> Result<(), Unsupported> {
    match extent.as_number() {
        Some(n) if n > i64::from(i32::MAX) => Err(Unsupported(format!("positions along an axis of {n} exceed i32"))),
        _ => Ok(()),
    }
}

/// `index - start`, as an `i32` that may be negative.
fn distance(cx: &mut dyn Lower, index: &Index, start: &Dim) -> Scalar {
    let at = cx.affine(index, &1.into(), &(Dim::from(0) - start));
    cx.position(&at)
}
