//! Arrays of numbers at even distances, constants, and grids.

use super::{floating, number};
use crate::array::Array;
use crate::elementwise::POW;
use crate::generate::{full, positions, size};
use crate::movement::reject;
use crate::operators::{Operand, binary, pair, where_};
use gavotte_core::aval::{DType, Dim, Literal, Shape};
use gavotte_core::ir::structural::broadcast_in_dim;

/// `n` numbers from 0 to 1 at even distances along a new first axis of `rank` others; 0 if there is only one.
#[track_caller]
fn unit(operation: &str, n: &Dim, rank: usize, dtype: DType) -> Array {
    let steps = size(operation, &(n - 1), dtype).maximum(number(dtype, 1.0));
    let shape: Shape = [n.clone()].into_iter().chain((0..rank).map(|_| 1.into())).collect();
    positions(operation, shape, 0, dtype) / steps
}

/// `n` numbers from `start` to `stop`, both included, at even distances; only `start` if `n` is 1. The two are numbers
/// or arrays of one floating type, which broadcast; the new axis is the first.
///
/// ```
/// use gavotte::linspace;
/// assert_eq!(linspace(0.0, 1.0, 5).to_vec::<f64>(), [0.0, 0.25, 0.5, 0.75, 1.0]);
/// assert_eq!(linspace(0f32, 1f32, 2).to_vec::<f32>(), [0.0, 1.0]);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
#[track_caller]
pub fn linspace(start: impl Operand, stop: impl Operand, n: impl Into<Dim>) -> Array {
    let [start, stop] = pair(start, stop);
    floating("linspace", &[&start, &stop]);
    between("linspace", &start, &stop, &n.into())
}

/// [`linspace`] of arrays that broadcast.
#[track_caller]
fn between(operation: &str, start: &Array, stop: &Array, n: &Dim) -> Array {
    let rank = start.ndim().max(stop.ndim());
    let at = unit(operation, n, rank, start.dtype());
    start * (1.0 - &at) + stop * at
}

/// `n` numbers from `baseˢᵗᵃʳᵗ` to `baseˢᵗᵒᵖ`, both included, at even distances of their logarithms. The three are
/// numbers or arrays of one floating type, which broadcast; the new axis is the first.
///
/// ```
/// use gavotte::logspace;
/// assert_eq!(logspace(0.0, 3.0, 4, 2.0).to_vec::<f64>(), [1.0, 2.0, 4.0, 8.0]);
/// ```
///
/// # Panics
/// If the three do not have the same floating type, or their shapes do not broadcast.
#[track_caller]
pub fn logspace(start: impl Operand, stop: impl Operand, n: impl Into<Dim>, base: impl Operand) -> Array {
    let [start, stop] = pair(start, stop);
    floating("logspace", &[&start, &stop]);
    let base = base.beside(Some(start.dtype()));
    binary(&POW, &base, between("logspace", &start, &stop, &n.into()))
}

/// `n` numbers from `start` to `stop`, both included, each the same multiple of the one before. The two are numbers or
/// arrays of one floating type, which broadcast; the new axis is the first. NaN between numbers of different signs.
///
/// ```
/// use gavotte::geomspace;
/// assert_eq!(geomspace(1.0, 16.0, 3).to_vec::<f64>(), [1.0, 4.0, 16.0]);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
// start^(1 - t) stop^t: a quotient of the two could overflow.
#[track_caller]
pub fn geomspace(start: impl Operand, stop: impl Operand, n: impl Into<Dim>) -> Array {
    let [start, stop] = pair(start, stop);
    floating("geomspace", &[&start, &stop]);
    let at = unit("geomspace", &n.into(), start.ndim().max(stop.ndim()), start.dtype());
    let is_negative = start.lt(0.0) & stop.lt(0.0);
    let sign = where_(&is_negative, number(start.dtype(), -1.0), number(start.dtype(), 1.0));
    let size = (&sign * &start).pow(1.0 - &at) * (&sign * &stop).pow(&at);
    sign * size
}

/// An array of this one's shape and type, whose elements are all this number.
///
/// ```
/// use gavotte::{Array, full_like};
/// assert_eq!(full_like(&Array::from([1f32, 2.0]), 3).to_vec::<f32>(), [3.0, 3.0]);
/// ```
///
/// # Panics
/// If the array's type does not hold the number: a float rounds it, but an integer type must have it, and `bool` takes
/// 0 and 1.
#[track_caller]
pub fn full_like(x: &Array, value: impl Into<Literal>) -> Array {
    let (value, dtype) = (value.into(), x.dtype());
    let held = value.convert(dtype);
    // Both are compared as the number given and as floats, where a sign cannot be lost.
    let is_same = held.convert(value.dtype()) == value && held.as_f64() == value.as_f64();
    let is_zero = value.as_f64() == 0.0;
    let overflows = dtype.is_float() && value.as_f64().is_finite() && !held.as_f64().is_finite();
    if overflows || !(dtype.is_float() || is_same || is_zero) {
        reject("full_like", format!("{value} does not fit {dtype}: give a number of that type"), &[x]);
    }
    full(x.shape().clone(), held)
}

/// Which axis of a grid an array of coordinates runs along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexing {
    /// The first runs along columns, the second along rows, as the axes `x` and `y` of a plot do.
    Xy,
    /// Each runs along the axis of its number.
    Ij,
}

/// The coordinates of a grid's points: for each array of coordinates along one axis, an array of all axes.
///
/// ```
/// use gavotte::{Array, Indexing, meshgrid};
/// let grid = meshgrid(&[Array::from([1, 2]), Array::from([5, 6, 7])], Indexing::Ij);
/// assert_eq!(grid[0].to_vec::<i32>(), [1, 1, 1, 2, 2, 2]);
/// assert_eq!(grid[1].to_vec::<i32>(), [5, 6, 7, 5, 6, 7]);
/// ```
///
/// # Panics
/// If an array is not a vector.
#[track_caller]
pub fn meshgrid(arrays: &[Array], indexing: Indexing) -> Vec<Array> {
    if let Some(other) = arrays.iter().find(|array| array.ndim() != 1) {
        reject("meshgrid", "takes vectors: `flatten` first", &[other]);
    }
    let mut axes: Vec<usize> = (0..arrays.len()).collect();
    if indexing == Indexing::Xy && axes.len() > 1 {
        axes.swap(0, 1);
    }
    let mut shape: Shape = arrays.iter().map(|array| array.dim(0)).collect();
    axes.iter().zip(arrays).for_each(|(axis, array)| shape[*axis] = array.dim(0));
    let mut grids = vec![];
    for (axis, array) in axes.iter().zip(arrays) {
        grids.push(broadcast_in_dim(array.value(), &shape, &[*axis]).into());
    }
    grids
}
