//! NumPy's everyday functions, composed of the operations that there are.
//!
//! A function of one array is a method of [`Array`], like the elementwise and reducing ones. A function of several arrays,
//! or of numbers that may stand on either side, is free.

mod division;
mod dynamic;
mod indexing;
mod joining;
mod logical;
mod matrices;
mod names;
mod nan;
mod products;
mod ranges;
mod real;
mod rearranging;
mod sampled;
mod statistics;
mod windows;
mod words;

pub use division::{floor_divide, fmod, remainder, shift_left, shift_right};
pub use indexing::{ravel_multi_index, unravel_index};
pub use joining::{block, broadcast_shapes, column_stack, hstack, vstack};
pub use logical::{isclose, isin, logical_and, logical_or, logical_xor};
pub use matrices::tri;
pub use names::{
    add, bitwise_and, bitwise_or, bitwise_xor, divide, equal, greater, greater_equal, less, less_equal, multiply,
    not_equal, subtract,
};
pub use products::{Contracted, cross, inner, kron, outer, tensordot, vdot, vecdot};
pub use ranges::{Indexing, full_like, geomspace, linspace, logspace, meshgrid};
pub use real::{copysign, float_power, fmax, fmin, heaviside, hypot, ldexp, logaddexp, logaddexp2, nextafter};
pub use sampled::{Overlap, convolve, correlate, digitize, interp, polyval};
pub use statistics::{average, corrcoef, cov};
pub use windows::{bartlett, blackman, hamming, hanning};
pub use words::{mulhi, reduce_and, reduce_or, reduce_precision, reduce_prod, reduce_xor};

use crate::array::Array;
use crate::movement::reject;
use gavotte_core::aval::{DType, Literal};

/// A scalar of an element type.
pub(crate) fn number(dtype: DType, x: f64) -> Array {
    Array::scalar(Literal::from_f64(dtype, x))
}

/// Refuses operands that are not floating.
#[track_caller]
pub(crate) fn floating(operation: &str, operands: &[&Array]) {
    if operands.iter().any(|array| !array.dtype().is_float()) {
        reject(operation, "takes floats: convert with `astype` first", operands);
    }
}

/// Requires `f32` or `f64`, for whose digits and range a function is made.
#[track_caller]
pub(crate) fn long_floats(operation: &str, operands: &[&Array]) {
    if operands.iter().any(|array| !array.dtype().is_float() || array.dtype().is_narrow()) {
        reject(operation, "takes floats of 32 or 64 bits: convert with `astype` first", operands);
    }
}
