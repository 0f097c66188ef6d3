//! Linear algebra.

use super::{functions, real};
use crate::functions::Operand::{Between, Edges, Ints};
use gavotte::*;

functions! {
    smooth norm(x) = linalg::norm(x, ()), [real(&[3, 4])], [Edges(&[12])];
    exact norm_none(x) = linalg::norm(x, 0), [real(&[0, 2])];
    smooth norm_0(x) = linalg::norm(x, 0), [real(&[3, 4])];
    smooth vector_norm_3(x) = linalg::vector_norm(x, 3.0, 1), [real(&[3, 4])];
    exact vector_norm_3_none(x) = linalg::vector_norm(x, 3.0, 1), [real(&[2, 0])];
    smooth vector_norm_2(x) = linalg::vector_norm(x, 2.0, -1), [real(&[3, 4])];
    smooth vector_norm_1(x) = linalg::vector_norm(x, 1.0, ()), [real(&[3, 4])], [Edges(&[12])];
    exact vector_norm_0(x) = linalg::vector_norm(x, 0.0, 0), [Edges(&[12])], [real(&[3, 4])];
    smooth vector_norm_max(x) = linalg::vector_norm(x, f64::INFINITY, 1), [real(&[3, 4])], [Edges(&[2, 12])];
    smooth vector_norm_min(x) = linalg::vector_norm(x, f64::NEG_INFINITY, ()), [real(&[3, 4])];
    smooth matrix_norm(x) = linalg::matrix_norm(x, linalg::MatrixNorm::Frobenius), [real(&[2, 3, 4])];
    exact matrix_norm_none(x) = linalg::matrix_norm(x, linalg::MatrixNorm::Frobenius), [real(&[2, 0])];
    smooth matrix_norm_one(x) = linalg::matrix_norm(x, linalg::MatrixNorm::One), [real(&[2, 3, 4])];
    smooth matrix_norm_infinity(x) = linalg::matrix_norm(x, linalg::MatrixNorm::Infinity), [real(&[2, 3, 4])];
    smooth linalg_trace(x) = linalg::trace(x, 1), [real(&[2, 3, 4])];
    smooth multi_dot(a, b, c, d) = linalg::multi_dot(&[a, b, c, d]),
        [real(&[5, 4]), real(&[4, 3]), real(&[3, 2]), real(&[2, 6])],
        [real(&[3]), real(&[3, 4]), real(&[4, 2]), real(&[2])],
        [real(&[2, 0]), real(&[0, 3]), real(&[3, 2]), real(&[2, 2])];
    smooth multi_dot_two(a, b) = linalg::multi_dot(&[a, b]), [real(&[2, 3]), real(&[3, 4])],
        [Ints(-9, 9, &[3]), Ints(-9, 9, &[3, 2])];
    smooth matrix_power(x) = linalg::matrix_power(x, 5), [real(&[3, 3])], [real(&[2, 2, 2])], [Ints(-3, 3, &[2, 2])];
    exact matrix_power_none(x) = linalg::matrix_power(x, 0), [real(&[2, 3, 3])], [Ints(-3, 3, &[2, 2])];
    smooth block_diag(a, b, c) = linalg::block_diag(&[a.clone(), b.clone(), c.clone()]),
        [real(&[2, 3]), real(&[2]), real(&[])],
        [real(&[1, 0]), real(&[3, 1]), real(&[2, 2])],
        [Ints(-9, 9, &[1, 2]), Ints(-9, 9, &[2, 2]), Ints(-9, 9, &[3])];
    smooth toeplitz(c, r) = linalg::toeplitz(c, r), [real(&[3]), real(&[4])], [real(&[4]), real(&[2])],
        [real(&[1]), real(&[3])], [real(&[3]), real(&[1])], [Ints(-9, 9, &[3]), Ints(-9, 9, &[3])];
    smooth hilbert(x) = x * linalg::hilbert(3, x.dtype()), [real(&[3, 3])];
    smooth cholesky(x) = linalg::cholesky(&definite(x)), [real(&[3, 3])], [real(&[2, 3, 3])], [real(&[0, 0])],
        [real(&[40, 40])];
    exact cholesky_itself(x) = linalg::cholesky(x), [Edges(&[2, 2])], [Between(-1.0, 0.0, &[3, 3])];
    smooth cho_solve(x, b) = linalg::cho_solve(&well(x), b), [real(&[3, 3]), real(&[3, 2])],
        [real(&[3, 3]), real(&[3])], [real(&[2, 3, 3]), real(&[2, 3, 1])], [real(&[3, 3]), real(&[2, 2, 3, 1])],
        [real(&[2, 3, 3]), real(&[3, 2])];
    smooth solve_lower(x, b) = linalg::solve_triangular(&well(x), b, linalg::Triangle::LOWER),
        [real(&[3, 3]), real(&[3, 2])], [real(&[3, 3]), real(&[2, 3, 1])], [real(&[40, 40]), real(&[40, 20])];
    smooth solve_upper_unit(x, b) = linalg::solve_triangular(&(well(x)), b, linalg::Triangle::UPPER.unit()),
        [real(&[3, 3]), real(&[3])], [real(&[2, 3, 3]), real(&[2, 3, 2])];
    smooth solve_lower_transposed(x, b) =
        linalg::solve_triangular(&well(x), b, linalg::Triangle::LOWER.transposed()), [real(&[3, 3]), real(&[3])];
    smooth lu(x) = linalg::lu(&well(x)), [real(&[3, 3])], [real(&[2, 3, 3])], [real(&[40, 40])];
    smooth solve(x, b) = linalg::solve(&well(x), b), [real(&[3, 3]), real(&[3, 2])],
        [real(&[3, 3]), real(&[3])], [real(&[2, 3, 3]), real(&[2, 3, 1])], [real(&[3, 3]), real(&[2, 2, 3, 1])],
        [real(&[2, 3, 3]), real(&[3, 2])], [real(&[0, 0]), real(&[0, 2])], [real(&[3, 3]), real(&[3, 0])];
    smooth inv(x) = linalg::inv(&well(x)), [real(&[3, 3])], [real(&[2, 2, 2])], [real(&[0, 0])];
    exact inv_singular(x) = linalg::inv(x), [Between(0.0, 0.0, &[2, 2])];
    smooth det(x) = linalg::det(x), [real(&[1, 1])], [real(&[2, 2])], [real(&[4, 4])], [real(&[2, 4, 4])];
    smooth det_of_rank(x, y) = linalg::det(&x.matmul(y)), [real(&[3, 2]), real(&[2, 3])];
    smooth slogdet(x) = linalg::slogdet(&well(x)), [real(&[3, 3])], [real(&[2, 4, 4])];
    exact slogdet_itself(x) = linalg::slogdet(x), [Between(0.0, 0.0, &[2, 2])], [real(&[0, 0])], [real(&[5, 5])];
    smooth qr(x) = linalg::qr(x), [real(&[3, 3])], [real(&[4, 2])], [real(&[2, 3, 2])], [real(&[50, 40])];
    exact qr_wide(x) = linalg::qr(x), [real(&[2, 4])];
    smooth eigvalsh(x) = linalg::eigvalsh(&symmetric(x)), [real(&[3, 3])], [real(&[2, 3, 3])], [real(&[0, 0])];
    smooth eigh_function(x) = eigh_function(x), [real(&[3, 3])], [real(&[2, 3, 3])];
    smooth svdvals(x) = linalg::svdvals(x), [real(&[3, 3])], [real(&[2, 2, 4])], [real(&[4, 2])];
    smooth svd_function(x) = svd_function(x), [real(&[3, 3])], [real(&[2, 2, 3])], [real(&[4, 2])];
    exact matrix_rank(x, y) = linalg::matrix_rank(&x.matmul(y)), [real(&[4, 2]), real(&[2, 3])],
        [real(&[2, 3, 1]), real(&[2, 1, 3])];
    exact matrix_rank_itself(x) = linalg::matrix_rank(x), [real(&[3, 3])], [Between(0.0, 0.0, &[2, 3])];
    smooth cond_number(x) = linalg::cond_number(x), [real(&[3, 3])], [real(&[2, 2, 3])];
    smooth pinv(x) = linalg::pinv(x), [real(&[3, 2])], [real(&[2, 3])], [real(&[2, 3, 2])], [real(&[0, 2])];
    exact pinv_of_rank(x, y) = linalg::pinv(&x.matmul(y)), [real(&[4, 2]), real(&[2, 3])];
    smooth lstsq(a, b) = least_squares(a, b), [real(&[4, 2]), real(&[4, 3])], [real(&[4, 2]), real(&[4])];
    exact lstsq_rank(a, b) = least_squares_all(a, b), [real(&[4, 2]), real(&[4, 1])], [real(&[2, 4]), real(&[2])];
    smooth polar(x) = linalg::polar(x), [real(&[3, 3])], [real(&[4, 2])];
    smooth expm(x) = linalg::expm(x), [real(&[3, 3])], [real(&[2, 2, 2])], [real(&[1, 1])];
    smooth expm_scaled(x) = linalg::expm(&(x * 4.0)), [real(&[3, 3])];
    smooth tensorinv(x) = linalg::tensorinv(x, 1), [real(&[4, 2, 2])];
    smooth tensorsolve(a, b) = linalg::tensorsolve(a, b), [real(&[4, 2, 2]), real(&[4])],
        [real(&[2, 2, 4]), real(&[2, 2])];
}

/// As in Python.
fn symmetric(x: &Array) -> Array {
    let n = x.dim(x.ndim() - 1);
    x + x.swap_axes(-1, -2) + (arange(n, x.dtype()) * 2.0).diag(0)
}

fn definite(x: &Array) -> Array {
    x.matmul(&x.swap_axes(-1, -2)) + eye(x.dim(x.ndim() - 1), x.dtype())
}

fn well(x: &Array) -> Array {
    x + eye(x.dim(x.ndim() - 1), x.dtype()) * 6.0
}

fn eigh_function(x: &Array) -> Array {
    let (w, v) = linalg::eigh(&symmetric(x));
    (&v * w.sin().expand_dims(-2)).matmul(&v.swap_axes(-1, -2))
}

fn svd_function(x: &Array) -> Array {
    let (u, s, vt) = linalg::svd(x);
    (u * s.sin().expand_dims(-2)).matmul(&vt)
}

fn least_squares(a: &Array, b: &Array) -> (Array, Array) {
    let (x, rest, _, _) = linalg::lstsq(a, b);
    (x, rest)
}

fn least_squares_all(a: &Array, b: &Array) -> Vec<Array> {
    let (x, rest, rank, s) = linalg::lstsq(a, b);
    vec![x, rest, rank, s]
}
