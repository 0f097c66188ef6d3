//! Factorisations.

use super::primitives;
use super::{checked_right_sides, floating_square, matrices};
use crate::array::Array;
use crate::array_functions::floating;
use crate::linalg::primitives::{Side, triangular_solve};
use crate::movement::{concatenate, reject};
use gavotte_core::aval::Verdict;
use gavotte_core::ir::{decide, undecided};

/// The lower triangle `L` with `L·Lᵀ = A`, of the symmetric positive definite matrices `A` in the last two axes: of
/// `(A + Aᵀ)/2`, if they are not symmetric.
///
/// If a matrix is not positive definite, its factor is NaN on and below the diagonal.
///
/// # Panics
/// If there are fewer than two axes, the matrices are not square, or the elements are not floating.
#[track_caller]
pub fn cholesky(x: &Array) -> Array {
    floating_square("cholesky", x);
    primitives::cholesky(x)
}

/// `X` with `A·X = B`, from the lower triangle `L` with `L·Lᵀ = A` ([`cholesky`]). What is above the diagonal of `L` is not
/// read. Shapes are those of [`solve`](super::solve()).
///
/// # Panics
/// As [`solve`](super::solve()).
#[track_caller]
pub fn cho_solve(l: &Array, b: &Array) -> Array {
    let sides = checked_right_sides("cho_solve", l, b);
    let y = triangular_solve(&sides.a, &sides.b, Side::left(true, false));
    sides.restored(&triangular_solve(&sides.a, &y, Side::left(true, true)))
}

/// Which triangle of a matrix [`solve_triangular`] reads, and how: `Triangle::LOWER.transposed()`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Triangle {
    is_lower: bool,
    is_transposed: bool,
    is_unit: bool,
}

impl Triangle {
    /// What is on and below the diagonal.
    pub const LOWER: Triangle = Triangle { is_lower: true, is_transposed: false, is_unit: false };
    /// What is on and above the diagonal.
    pub const UPPER: Triangle = Triangle { is_lower: false, is_transposed: false, is_unit: false };

    /// The same elements, transposed.
    pub const fn transposed(self) -> Triangle {
        Triangle { is_transposed: !self.is_transposed, ..self }
    }

    /// The same with ones on the diagonal, which is not read.
    pub const fn unit(self) -> Triangle {
        Triangle { is_unit: true, ..self }
    }
}

/// `X` with `T·X = B`, where `T` is a triangle of the matrices in the last two axes of `a`, whose other elements are not read.
/// Shapes are those of [`solve`](super::solve()). If the diagonal has a zero, `X` has infinities or NaN.
///
/// # Panics
/// As [`solve`](super::solve()).
#[track_caller]
pub fn solve_triangular(a: &Array, b: &Array, triangle: Triangle) -> Array {
    let sides = checked_right_sides("solve_triangular", a, b);
    let Triangle { is_lower, is_transposed, is_unit } = triangle;
    let side = Side { unit: is_unit, ..Side::left(is_lower, is_transposed) };
    sides.restored(&triangular_solve(&sides.a, &sides.b, side))
}

/// The order `p` of the rows, of type `i32`, the lower triangle `L` with ones on its diagonal, and the upper triangle `U` with
/// `A[p] = L·U`, of the square matrices in the last two axes, by partial pivoting.
///
/// # Panics
/// If there are fewer than two axes, the matrices are not square, or the elements are not floating.
#[track_caller]
pub fn lu(x: &Array) -> (Array, Array, Array) {
    let n = floating_square("lu", x);
    let [lu, _, order] = primitives::lu(x);
    (order, lu.tril(-1) + crate::eye(n, x.dtype()), lu.triu(0))
}

/// Whether matrices have at least as many rows as columns. Refuses what is undecided.
#[track_caller]
pub(super) fn is_tall(operation: &str, x: &Array) -> bool {
    floating(operation, &[x]);
    matrices(operation, x);
    let [m, n] = [x.dim(x.ndim() - 2), x.dim(x.ndim() - 1)];
    match (decide(&m.at_least(&n)), decide(&n.at_least(&m))) {
        (Verdict::Holds, _) => true,
        (_, Verdict::Holds) => false,
        _ => {
            let open = undecided(&m.at_least(&n), &m, &n);
            reject(operation, format!("results are as large as the smaller one of {m} and {n}{open}"), &[x])
        }
    }
}

/// `Q` with orthonormal columns and the upper triangle `R` with `Q·R = A`, of the matrices in the last two axes: of `m` by `n`
/// elements, `Q` has `m` by `k` and `R` has `k` by `n`, where `k` is the smaller extent. The signs are LAPACK's.
///
/// If the columns of `A` are not independent, the derivative is infinite or NaN.
///
/// # Panics
/// If there are fewer than two axes, the elements are not floating, or facts do not say which extent is the smaller one.
// Of a wide matrix, Q is that of the first columns, and the rest of R is Qᵀ times the rest of the columns.
#[track_caller]
pub fn qr(x: &Array) -> (Array, Array) {
    if is_tall("qr", x) {
        let [q, r] = primitives::qr(x);
        return (q, r);
    }
    let m = x.dim(x.ndim() - 2);
    let [q, r] = primitives::qr(&x.slice_axis(-1, ..m.clone()));
    let rest = q.swap_axes(-1, -2).matmul(&x.slice_axis(-1, m..));
    (q, concatenate(&[r, rest], -1))
}

/// `U` and the symmetric positive semidefinite `P` with `U·P = A`, of the matrices in the last two axes. `U` has orthonormal
/// columns, or rows if there are fewer.
///
/// # Panics
/// As [`svd`](super::svd).
#[track_caller]
pub fn polar(x: &Array) -> (Array, Array) {
    let (u, s, vt) = super::spectral::decomposed("polar", x);
    let scaled = &vt * s.expand_dims(-1);
    (u.matmul(&vt), vt.swap_axes(-1, -2).matmul(&scaled))
}
