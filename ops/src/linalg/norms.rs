//! Norms of vectors and matrices, and traces.

use super::matrices;
use crate::array::Array;
use crate::array_functions::floating;
use crate::movement::reject;
use crate::operators::where_;
use crate::reduce::{Axes, resolve};

/// The square root of a sum that is not negative, with derivative 0 at 0.
#[track_caller]
fn root(sum: &Array) -> Array {
    let is_zero = sum.eq(0.0);
    where_(&is_zero, 0.0, where_(&is_zero, 1.0, sum).sqrt())
}

/// Refuses axes without elements, of which none is the largest.
#[track_caller]
fn some(operation: &str, x: &Array, axes: &[usize]) {
    if axes.iter().any(|axis| x.dim(*axis) == 0) {
        reject(operation, "there are no elements: no largest and no smallest", &[x]);
    }
}

/// `√Σx²` over axes, which disappear: the Euclidean norm of vectors, Frobenius' of matrices. Its derivative at the origin
/// is 0. [`vector_norm`] and [`matrix_norm`] are other norms.
///
/// ```
/// use gavotte::{Array, linalg::norm};
/// assert_eq!(norm(&Array::from([[3.0], [4.0]]), ()).item::<f64>(), 5.0);
/// ```
///
/// # Panics
/// If there is no such axis, or the elements are not floating.
#[track_caller]
pub fn norm(x: &Array, axes: impl Axes) -> Array {
    floating("norm", &[x]);
    let axes = resolve("norm", axes, x);
    root(&x.square().sum(axes.as_slice()))
}

/// `(Σ|x|ᵖ)^(1/p)` over axes, which disappear: for `p` of 2, [`norm`]; for infinities, the largest and the smallest `|x|`;
/// for 0, the number of elements that are not 0. The derivative at the origin is 0 if `p` is finite and at least
/// 1.
///
/// ```
/// use gavotte::{Array, linalg::vector_norm};
/// let x = Array::from([[1.0, -2.0], [0.0, 5.0]]);
/// assert_eq!(vector_norm(&x, 1.0, 1).to_vec::<f64>(), [3.0, 5.0]);
/// assert_eq!(vector_norm(&x, f64::INFINITY, ()).item::<f64>(), 5.0);
/// ```
///
/// # Panics
/// If there is no such axis, `p` is infinite and there are no elements, or the elements are not floating.
#[track_caller]
pub fn vector_norm(x: &Array, p: f64, axes: impl Axes) -> Array {
    floating("vector_norm", &[x]);
    let axes = resolve("vector_norm", axes, x);
    let along = axes.as_slice();
    if p.is_infinite() {
        some("vector_norm", x, along);
        return if p > 0.0 { x.abs().max(along) } else { x.abs().min(along) };
    }
    if p == 0.0 {
        return x.ne(0.0).astype(x.dtype()).sum(along);
    }
    if p == 1.0 {
        return x.abs().sum(along);
    }
    if p == 2.0 {
        return root(&x.square().sum(along));
    }
    let sum = x.abs().pow(p).sum(along);
    let is_zero = sum.eq(0.0);
    let power = where_(&is_zero, 1.0, &sum).pow(1.0 / p);
    // The sum is 0 without elements, for zeros, and for infinities to a negative power.
    where_(&is_zero, if p > 0.0 { 0.0 } else { f64::INFINITY }, power)
}

/// A norm of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatrixNorm {
    /// `√Σx²`.
    Frobenius,
    /// The largest sum of `|x|` over a column.
    One,
    /// The largest sum of `|x|` over a row.
    Infinity,
}

/// A norm of the matrices in the last two axes, which disappear.
///
/// ```
/// use gavotte::Array;
/// use gavotte::linalg::{MatrixNorm, matrix_norm};
/// let x = Array::from([[1.0, -2.0], [3.0, 4.0]]);
/// assert_eq!(matrix_norm(&x, MatrixNorm::One).item::<f64>(), 6.0);
/// assert_eq!(matrix_norm(&x, MatrixNorm::Infinity).item::<f64>(), 7.0);
/// ```
///
/// # Panics
/// If there are fewer than two axes, the elements are not floating, or, but for Frobenius' norm, there are none.
#[track_caller]
pub fn matrix_norm(x: &Array, kind: MatrixNorm) -> Array {
    floating("matrix_norm", &[x]);
    matrices("matrix_norm", x);
    let last = [x.ndim() - 2, x.ndim() - 1];
    if kind == MatrixNorm::Frobenius {
        return root(&x.square().sum(last));
    }
    some("matrix_norm", x, &last);
    x.abs().sum(if kind == MatrixNorm::One { -2 } else { -1 }).max(-1)
}

/// The sums of the `k`-th diagonals of the matrices in the last two axes: [`Array::trace`].
///
/// ```
/// use gavotte::{Array, linalg::trace};
/// assert_eq!(trace(&Array::from([[1, 2], [3, 4]]), 0).item::<i32>(), 5);
/// ```
///
/// # Panics
/// If there are fewer than two axes. As [`Array::trace`].
#[track_caller]
pub fn trace(x: &Array, k: i32) -> Array {
    matrices("trace", x);
    x.trace(k, -2, -1)
}
