//! Windows: weights that fall off toward both ends of a range of samples.

use super::{floating, number};
use crate::array::Array;
use crate::generate::{positions, size};
use crate::operators::where_;
use gavotte_core::aval::{DType, Dim};
use std::f64::consts::TAU;

/// `n` values of a function of the place in the window, from 0 to 1; 1 if there is only one.
#[track_caller]
fn window(operation: &str, n: Dim, dtype: DType, of: impl Fn(Array) -> Array) -> Array {
    floating(operation, &[&number(dtype, 0.0)]);
    let last = size(operation, &(&n - 1), dtype);
    let values = of(positions(operation, [n].into_iter().collect(), 0, dtype) / last.maximum(number(dtype, 1.0)));
    where_(&last.gt(0.0), values, 1.0)
}

/// The window of `n` weights that rise and fall in straight lines, from 0 to 0.
///
/// ```
/// use gavotte::{DType, bartlett};
/// assert_eq!(bartlett(5, DType::F64).to_vec::<f64>(), [0.0, 0.5, 1.0, 0.5, 0.0]);
/// ```
///
/// # Panics
/// If the type is not floating.
///
/// Source: NumPy, `numpy.bartlett`.
// w = 1 - |2t - 1| for t from 0 to 1
#[track_caller]
pub fn bartlett(n: impl Into<Dim>, dtype: DType) -> Array {
    window("bartlett", n.into(), dtype, |t| 1.0 - (t * 2.0 - 1.0).abs())
}

/// The window of `n` weights in the shape of a raised cosine, from 0 to 0.
///
/// ```
/// use gavotte::{DType, hanning};
/// assert_eq!(hanning(3, DType::F64).to_vec::<f64>(), [0.0, 1.0, 0.0]);
/// ```
///
/// # Panics
/// If the type is not floating.
///
/// Source: NumPy, `numpy.hanning`.
// w = (1 - cos 2πt) / 2 for t from 0 to 1
#[track_caller]
pub fn hanning(n: impl Into<Dim>, dtype: DType) -> Array {
    window("hanning", n.into(), dtype, |t| 0.5 - (t * TAU).cos() * 0.5)
}

/// The window of `n` weights in the shape of a cosine on a pedestal, from 0.08 to 0.08.
///
/// ```
/// use gavotte::{DType, hamming};
/// assert_eq!(hamming(3, DType::F64).to_vec::<f64>()[1], 1.0);
/// ```
///
/// # Panics
/// If the type is not floating.
///
/// Source: NumPy, `numpy.hamming`.
// w = 0.54 - 0.46 cos 2πt for t from 0 to 1
#[track_caller]
pub fn hamming(n: impl Into<Dim>, dtype: DType) -> Array {
    window("hamming", n.into(), dtype, |t| 0.54 - (t * TAU).cos() * 0.46)
}

/// The window of `n` weights that two cosines make, from 0 to 0.
///
/// ```
/// use gavotte::{DType, blackman};
/// assert!((blackman(3, DType::F64).to_vec::<f64>()[1] - 1.0).abs() < 1e-15);
/// ```
///
/// # Panics
/// If the type is not floating.
///
/// Source: NumPy, `numpy.blackman`.
// w = 0.42 - 0.5 cos 2πt + 0.08 cos 4πt for t from 0 to 1
#[track_caller]
pub fn blackman(n: impl Into<Dim>, dtype: DType) -> Array {
    window("blackman", n.into(), dtype, |t| 0.42 - (&t * TAU).cos() * 0.5 + (t * (2.0 * TAU)).cos() * 0.08)
}
