//! Systems of equations, inverses, determinants.

use super::primitives::{self, Side, triangular_solve};
use super::{checked_right_sides, floating_square};
use crate::array::Array;
use crate::array_functions::floating;
use crate::custom_jvp;
use crate::gather::gather;
use crate::generate::{dim_value, eye, iota, ones_like, zeros_like};
use crate::movement::reject;
use crate::operators::where_;
use gavotte_core::aval::{DType, Dim, volume};
use gavotte_core::ir::{same, undecided};

/// `X` with `A·X = B`, for the square matrices in the last two axes of `a`, by elimination with partial pivoting.
///
/// A `b` of one axis is a vector, as is the solution. Otherwise its last two axes are matrices, whose columns are solved for.
/// Axes in front of them are batches, which both have with equal extents, or one of them lacks. If `A` is singular, `X` has
/// infinities or NaN.
///
/// # Panics
/// If the matrices are not square, extents differ, the element types do, or the elements are not floating.
#[track_caller]
pub fn solve(a: &Array, b: &Array) -> Array {
    let sides = checked_right_sides("solve", a, b);
    sides.restored(&primitives::solve(&sides.a, &sides.b))
}

/// The inverses of the square matrices in the last two axes. That of a singular matrix has infinities or NaN. To multiply
/// with it, [`solve`] is faster and more precise.
///
/// # Panics
/// If there are fewer than two axes, the matrices are not square, or the elements are not floating.
#[track_caller]
pub fn inv(x: &Array) -> Array {
    let n = floating_square("inv", x);
    primitives::solve(x, &eye(n, x.dtype()).broadcast_to(x.shape().iter().cloned()))
}

/// The diagonal of `U`, and 1 or -1 for an even or odd number of exchanged rows.
#[track_caller]
fn eliminated(x: &Array) -> (Array, Array, [Array; 3]) {
    let factors = primitives::lu(x);
    let [lu, pivots, _] = &factors;
    let places = iota(pivots.shape().iter().cloned(), pivots.ndim() - 1, DType::I32);
    let flips = where_(&pivots.ne(places), -1, 1).prod(-1).astype(x.dtype());
    (lu.diagonal(0, -2, -1), flips, factors)
}

/// The sign of the determinants of the square matrices in the last two axes, and the logarithms of their sizes: 0 and minus
/// infinity, if they are 0. A determinant of many rows is often too large or too small for a number, its logarithm is not.
///
/// # Panics
/// If there are fewer than two axes, the matrices are not square, or the elements are not floating.
// d log |det A| = tr(A⁻¹ dA).
// Source: Giles, *An extended collection of matrix derivative results for forward and reverse mode automatic
// differentiation* (Oxford, 2008), 2.2.4.
#[track_caller]
pub fn slogdet(x: &Array) -> (Array, Array) {
    floating_square("slogdet", x);
    let value = |x: &Array| {
        let (diagonal, flips, _) = eliminated(x);
        (diagonal.sign().prod(-1) * flips, diagonal.abs().log().sum(-1))
    };
    let rule = move |(x,): (Array,), (t,): (Array,)| {
        let (sign, log) = value(&x);
        let moved = primitives::solve(&x, &t).trace(0, -2, -1);
        ((sign.clone(), log), (zeros_like(&sign), moved))
    };
    custom_jvp(move |x: Array| value(&x), rule)(x.clone())
}

/// The determinants of the square matrices in the last two axes; 1 for matrices without rows.
///
/// # Panics
/// If there are fewer than two axes, the matrices are not square, or the elements are not floating.
#[track_caller]
pub fn det(x: &Array) -> Array {
    floating_square("det", x);
    let value = |x: Array| {
        let (diagonal, flips, _) = eliminated(&x);
        diagonal.prod(-1) * flips
    };
    let rule = |(x,): (Array,), (t,): (Array,)| {
        let (det, moved) = cofactors(&x, &t);
        (det, moved.trace(0, -2, -1))
    };
    custom_jvp(value, rule)(x.clone())
}

/// The determinant, and `adj(A)·B`, which is `det(A) A⁻¹ B` where `A` has an inverse; zeros if `A` lacks more than one rank.
///
/// The last pivot, which is 0 if `A` is singular, is in no denominator: the last row of `U` is divided by the product of the
/// other pivots, `d`, with 1 / d in its place, and all others are multiplied by the determinant.
///
/// Source: JAX, `jax.numpy.linalg.det`.
#[track_caller]
fn cofactors(a: &Array, b: &Array) -> (Array, Array) {
    let (diagonal, flips, [lu, _, order]) = eliminated(a);
    let leading = a.ndim() - 2;
    let n = a.dim(leading);
    let last = dim_value(n.clone(), DType::I32) - 1;
    let is_last = iota([n.clone()], 0, DType::I32).eq(&last);
    let others = where_(&is_last, 1.0, &diagonal).prod(-1) * &flips;
    let det = diagonal.prod(-1) * flips;
    let corner = is_last.expand_dims(-1) & is_last.expand_dims(-2);
    let lu = where_(&corner, others.reciprocal().expand_dims(-1).expand_dims(-1), lu);
    let ones = ones_like(&b.slice_axis(-1, 0..1));
    let trial = triangular_solve(&lu, &ones, Side::left(false, false));
    let lacks_rank = trial.isfinite().logical_not().any([-1, -2]).expand_dims(-1).expand_dims(-1);
    let zero = crate::array_functions::number(b.dtype(), 0.0);
    let b = Array(gather(&where_(&lacks_rank, &zero, b).0, &order.0, leading, leading));
    let y = triangular_solve(&lu, &b, Side { unit: true, ..Side::left(true, false) });
    let y = where_(&is_last.expand_dims(-1), &y, &y * det.expand_dims(-1).expand_dims(-1));
    let x = triangular_solve(&lu, &y, Side::left(false, false));
    (det, where_(&lacks_rank, zero, x))
}

/// The inverse of an array as a map from its last axes to its first `n`: `tensordot(tensorinv(a, n), b, k)` is
/// [`tensorsolve`]`(a, b)`, where `k` is the number of axes of `b`.
///
/// # Panics
/// If `n` is 0 or no axis is left, the extents on both sides have different products, or the elements are not floating.
#[track_caller]
pub fn tensorinv(x: &Array, n: usize) -> Array {
    floating("tensorinv", &[x]);
    if n == 0 || n >= x.ndim() {
        reject("tensorinv", format!("{n} of {} axes: there must be some on both sides", x.ndim()), &[x]);
    }
    let (front, back) = x.shape().split_at(n);
    let rows = equal_volumes("tensorinv", front, back, &[x]);
    let shape: Vec<Dim> = back.iter().chain(front).cloned().collect();
    inv(&x.reshape([&rows, &rows])).reshape(shape)
}

/// `X` with `tensordot(a, X, X.ndim()) = B`: `a` has the axes of `b`, then those of `X`.
///
/// # Panics
/// If `a` does not begin with the shape of `b`, the extents on both sides have different products, the element types differ,
/// or they are not floating.
#[track_caller]
pub fn tensorsolve(a: &Array, b: &Array) -> Array {
    floating("tensorsolve", &[a, b]);
    if a.dtype() != b.dtype() {
        reject("tensorsolve", "element types differ: convert with `astype` first", &[a, b]);
    }
    if a.ndim() < b.ndim() || a.shape()[..b.ndim()] != b.shape()[..] {
        reject("tensorsolve", "the first array does not begin with the shape of the second", &[a, b]);
    }
    let (front, back) = a.shape().split_at(b.ndim());
    let rows = equal_volumes("tensorsolve", front, back, &[a, b]);
    solve(&a.reshape([&rows, &rows]), &b.reshape([rows])).reshape(back.iter().cloned())
}

/// The product of the extents on both sides; refuses different ones.
#[track_caller]
fn equal_volumes(operation: &str, front: &[Dim], back: &[Dim], operands: &[&Array]) -> Dim {
    let (rows, columns) = (volume(front), volume(back));
    if !same(&rows, &columns) {
        let open = undecided(&rows.equal_to(&columns), &rows, &columns);
        reject(operation, format!("there are {rows} equations for {columns} unknowns{open}"), operands);
    }
    rows
}
