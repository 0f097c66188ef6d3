//! Activations.

use super::{functions, positive, real};
use crate::functions::Operand::{Between, Edges};
use gavotte::*;

functions! {
    smooth relu6(x) = nn::relu6(x), [Edges(&[12])], [Between(-9.0, 9.0, &[30])];
    smooth celu(x) = nn::celu(x, 1.5), [Edges(&[12])], [Between(-9.0, 9.0, &[30])];
    smooth selu(x) = nn::selu(x), [Edges(&[12])], [Between(-9.0, 9.0, &[30])];
    smooth silu(x) = nn::silu(x), [Edges(&[12])], [Between(-9.0, 9.0, &[30])], [Between(-900.0, 900.0, &[9])];
    smooth mish(x) = nn::mish(x), [Edges(&[12])], [Between(-9.0, 9.0, &[30])], [Between(-900.0, 900.0, &[9])];
    smooth hard_sigmoid(x) = nn::hard_sigmoid(x), [Edges(&[12])], [Between(-9.0, 9.0, &[30])];
    smooth hard_silu(x) = nn::hard_silu(x), [Edges(&[12])], [Between(-9.0, 9.0, &[30])];
    smooth hard_tanh(x) = nn::hard_tanh(x), [Edges(&[12])], [real(&[30])];
    smooth log_sigmoid(x) = nn::log_sigmoid(x), [Edges(&[12])], [Between(-9.0, 9.0, &[30])],
        [Between(-900.0, 900.0, &[9])];
    smooth soft_sign(x) = nn::soft_sign(x), [Edges(&[12])], [Between(-9.0, 9.0, &[30])];
    smooth sparse_plus(x) = nn::sparse_plus(x), [Edges(&[12])], [real(&[30])];
    smooth squareplus(x) = nn::squareplus(x, 4.0), [real(&[9])], [Between(-900.0, 900.0, &[9])];
    smooth log1mexp(x) = nn::log1mexp(x), [Edges(&[12])], [positive(&[20])], [Between(1e-9, 1e-7, &[9])],
        [Between(20.0, 40.0, &[9])];
    smooth glu(x) = nn::glu(x, -1), [real(&[3, 4])], [Edges(&[2, 12])], [real(&[2, 0])];
    smooth glu_0(x) = nn::glu(x, 0), [real(&[4, 3])];
    smooth logmeanexp(x) = nn::logmeanexp(x, 0), [real(&[4, 3])], [Between(-900.0, 900.0, &[9])];
    smooth standardize(x) = nn::standardize(x, -1, 1e-5), [real(&[3, 4])];
    smooth standardize_both(x) = nn::standardize(x, (), 0.1), [real(&[3, 4])];
}
