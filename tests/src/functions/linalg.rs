//! Linear algebra.

use super::{functions, real};
use crate::functions::Operand::{Edges, Ints};
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
}
