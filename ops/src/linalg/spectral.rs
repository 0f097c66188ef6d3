//! Eigenvalues, singular values, and what follows from them.

use super::factors::is_tall;
use super::{floating_square, primitives};
use crate::array::Array;
use crate::array_functions::floating;
use crate::custom_jvp;
use crate::generate::{dim_value, eye, zeros};
use crate::movement::reject;
use crate::operators::where_;
use gavotte_core::aval::DType;
use gavotte_core::ir::{same, structural::renamed, undecided};

/// The eigenvalues in ascending order of the symmetric matrices in the last two axes, and the eigenvectors as columns, of
/// length 1: of `(A + Aᵀ)/2`, if they are not symmetric. Of the elements of each vector, the first of the largest is positive.
///
/// All is NaN if an element is not finite. Where two eigenvalues are equal, their vectors have no derivative: it is infinite
/// or NaN.
///
/// # Panics
/// If there are fewer than two axes, the matrices are not square, or the elements are not floating.
#[track_caller]
pub fn eigh(x: &Array) -> (Array, Array) {
    floating_square("eigh", x);
    let [values, vectors] = primitives::eigh(x);
    (values, vectors)
}

/// The eigenvalues in ascending order of the symmetric matrices in the last two axes: [`eigh`] without the vectors.
///
/// # Panics
/// As [`eigh`].
#[track_caller]
pub fn eigvalsh(x: &Array) -> Array {
    floating_square("eigvalsh", x);
    primitives::eigh(x)[0].clone()
}

/// `U`, `s` and `Vᵀ` of matrices of any shape.
#[track_caller]
pub(super) fn decomposed(operation: &str, x: &Array) -> (Array, Array, Array) {
    if is_tall(operation, x) {
        let [u, s, vt] = primitives::svd(x);
        return (u, s, vt);
    }
    let [v, s, ut] = primitives::svd(&x.swap_axes(-1, -2));
    (ut.swap_axes(-1, -2), s, v.swap_axes(-1, -2))
}

/// `U` with orthonormal columns, the singular values `s` in descending order and `Vᵀ` with orthonormal rows, with
/// `U·diag(s)·Vᵀ = A`, of the matrices in the last two axes: of `m` by `n` elements, `U` has `m` by `k` and `Vᵀ` has `k` by `n`,
/// where `k` is the smaller extent. Of the elements of each column of `U` (of each row of `Vᵀ`, if there are more columns), the
/// first of the largest is positive.
///
/// All is NaN if an element is not finite. Where two singular values are equal, or one is 0, their vectors have no
/// derivative: it is infinite or NaN.
///
/// # Panics
/// If there are fewer than two axes, the elements are not floating, or facts do not say which extent is the smaller one.
#[track_caller]
pub fn svd(x: &Array) -> (Array, Array, Array) {
    decomposed("svd", x)
}

/// The singular values in descending order of the matrices in the last two axes: [`svd`] without the vectors.
///
/// # Panics
/// As [`svd`].
#[track_caller]
pub fn svdvals(x: &Array) -> Array {
    decomposed("svdvals", x).1
}

/// What is at most this times the largest singular value counts as 0: the larger extent times the precision of a number.
#[track_caller]
fn precision(x: &Array, is_tall: bool) -> Array {
    let larger = x.dim(x.ndim() - if is_tall { 2 } else { 1 });
    let epsilon = if x.dtype() == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    dim_value(larger, x.dtype()) * epsilon
}

/// Whether there is no smaller extent than 0.
fn is_empty(x: &Array) -> bool {
    x.shape()[x.ndim() - 2..].iter().any(|extent| *extent == 0)
}

/// Whether each singular value is more than `factor` times the largest one.
#[track_caller]
fn counting(s: &Array, factor: &Array) -> Array {
    s.gt(s.slice_axis(-1, 0..1) * factor)
}

/// How many rows of the matrices in the last two axes are independent, of type `i32`: the number of singular values above the
/// largest times the larger extent times the precision of a number.
///
/// # Panics
/// As [`svd`].
#[track_caller]
pub fn matrix_rank(x: &Array) -> Array {
    let tall = is_tall("matrix_rank", x);
    if is_empty(x) {
        return zeros(x.shape()[..x.ndim() - 2].iter().cloned(), DType::I32);
    }
    let s = decomposed("matrix_rank", x).1;
    counting(&s, &precision(x, tall)).astype(DType::I32).sum(-1)
}

/// The quotients of the largest and the smallest singular value of the matrices in the last two axes: by how much errors of
/// a right side may grow in [`solve`](super::solve()). It is infinite for singular matrices.
///
/// # Panics
/// If there are no elements. As [`svd`].
#[doc(alias = "cond")]
#[track_caller]
pub fn cond_number(x: &Array) -> Array {
    is_tall("cond_number", x);
    if is_empty(x) {
        reject("cond_number", "there are no singular values", &[x]);
    }
    let s = decomposed("cond_number", x).1;
    let last = s.dim(s.ndim() - 1) - 1;
    let quotient = (s.slice_axis(-1, 0..1) / s.slice_axis(-1, last..)).squeeze(-1);
    // Zeros have no quotient.
    let is_zero = quotient.isnan() & x.isnan().any([-1, -2]).logical_not();
    where_(&is_zero, f64::INFINITY, quotient)
}

/// The pseudoinverses of Moore and Penrose of the matrices in the last two axes. Singular values of at most ten times the
/// larger extent times the precision of a number, in relation to the largest, count as 0.
///
/// # Panics
/// As [`svd`].
#[track_caller]
pub fn pinv(x: &Array) -> Array {
    let factor = precision(x, is_tall("pinv", x)) * 10.0;
    pseudoinverse(x, &factor, DERIVATIVES)
}

/// The derivatives of a pseudoinverse that are those of its definition; higher ones are those of the singular value
/// decomposition, which has none where singular values are equal.
const DERIVATIVES: usize = 3;

/// Source of the derivative: Golub, Pereyra, *The differentiation of pseudo-inverses and nonlinear least squares problems
/// whose variables separate* (SIAM J. Numer. Anal. 10, 1973).
// dP = -P dA P + P Pᵀ dAᵀ (I - A P) + (I - P A) dAᵀ Pᵀ P
#[track_caller]
fn pseudoinverse(x: &Array, factor: &Array, derivatives: usize) -> Array {
    if derivatives == 0 || is_empty(x) {
        return inverted(x, factor);
    }
    let rule = move |(a, factor): (Array, Array), (t, _): (Array, Array)| {
        let p = pseudoinverse(&a, &factor, derivatives - 1);
        let turned = |x: &Array| x.swap_axes(-1, -2);
        let [m, n] = [a.dim(a.ndim() - 2), a.dim(a.ndim() - 1)];
        let (tt, pt) = (turned(&t), turned(&p));
        let outside = eye(m, a.dtype()) - a.matmul(&p);
        let without = eye(n, a.dtype()) - p.matmul(&a);
        let moved = p.matmul(&pt).matmul(&tt).matmul(&outside) + without.matmul(&tt).matmul(&pt).matmul(&p);
        let moved = moved - p.matmul(&t).matmul(&p);
        (p, moved)
    };
    custom_jvp(|x: Array, factor: Array| inverted(&x, &factor), rule)(x.clone(), factor.clone())
}

/// The pseudoinverse by singular values.
#[track_caller]
fn inverted(x: &Array, factor: &Array) -> Array {
    if is_empty(x) {
        return x.swap_axes(-1, -2);
    }
    let (u, s, vt) = decomposed("pinv", x);
    let inverse = where_(&counting(&s, factor), s, f64::INFINITY).reciprocal();
    (vt.swap_axes(-1, -2) * inverse.expand_dims(-2)).matmul(&u.swap_axes(-1, -2))
}

/// The least squares solution of `A·X ≈ B`, of the smallest length if there are several: `X`; the sums of the squares of
/// `B - A·X` over its rows; the rank of `A`, of type `i32`; and its singular values. Singular values of at most the larger
/// extent times the precision of a number, in relation to the largest, count as 0.
///
/// `A` is the last two axes of `a`. A `b` of one axis is a vector. Axes in front of `A` are batches, which `b` must have, too.
///
/// # Panics
/// If the numbers of rows or the batches differ, the element types do, or the elements are not floating. As [`svd`].
#[track_caller]
pub fn lstsq(a: &Array, b: &Array) -> (Array, Array, Array, Array) {
    floating("lstsq", &[a, b]);
    let tall = is_tall("lstsq", a);
    if a.dtype() != b.dtype() {
        reject("lstsq", "element types differ: convert with `astype` first", &[a, b]);
    }
    let is_vector = b.ndim() == 1;
    let columns = if is_vector { b.expand_dims(-1) } else { b.clone() };
    if columns.ndim() != a.ndim() {
        reject("lstsq", "takes a vector, or as many axes as the matrices have", &[a, b]);
    }
    let last = a.ndim() - 1;
    let mut shape = columns.shape().clone();
    for axis in 0..last {
        let (m, n) = (a.dim(axis), columns.dim(axis));
        if !same(&m, &n) {
            let open = undecided(&m.equal_to(&n), &m, &n);
            reject("lstsq", format!("the matrices have {m} along axis {axis}, the right sides {n}{open}"), &[a, b]);
        }
        shape[axis] = m;
    }
    let columns = Array(renamed(&columns.0, &shape));
    let factor = precision(a, tall);
    let x = pseudoinverse(a, &factor, DERIVATIVES).matmul(&columns);
    let rest = (columns - a.matmul(&x)).square().sum(-2);
    let s = decomposed("lstsq", a).1;
    let rank = if is_empty(a) { matrix_rank(a) } else { counting(&s, &factor).astype(DType::I32).sum(-1) };
    if is_vector { (x.squeeze(-1), rest.squeeze(-1), rank, s) } else { (x, rest, rank, s) }
}
