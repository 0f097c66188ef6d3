//! The exponential of a matrix.

use super::{floating_square, primitives};
use crate::array::Array;
use crate::control::{cond, fori_loop};
use crate::generate::eye;
use crate::operators::where_;
use gavotte_core::aval::DType;

/// A quotient of polynomials that approximates the exponential function: its coefficients, and up to which size of a matrix,
/// by the sums of its columns, it is exact in the numbers of a type.
///
/// Source: Higham, *The scaling and squaring method for the matrix exponential revisited* (SIAM J. Matrix Anal. Appl. 26,
/// 2005), table 2.3.
struct Approximant {
    coefficients: &'static [f64],
    size: f64,
}

const SINGLE: Approximant = Approximant {
    coefficients: &[17297280.0, 8648640.0, 1995840.0, 277200.0, 25200.0, 1512.0, 56.0, 1.0],
    size: 3.925_724_783_138_66,
};
const DOUBLE: Approximant = Approximant {
    coefficients: &[
        64764752532480000.0,
        32382376266240000.0,
        7771770303897600.0,
        1187353796428800.0,
        129060195264000.0,
        10559470521600.0,
        670442572800.0,
        33522128640.0,
        1323241920.0,
        40840800.0,
        960960.0,
        16380.0,
        182.0,
        1.0,
    ],
    size: 5.371920351148152,
};

/// The most squarings.
const SQUARINGS: i32 = 16;

/// The exponentials `I + A + A²/2 + …` of the square matrices in the last two axes, by scaling and squaring. Where a sum of `|A|`
/// over a column exceeds some 250 thousand, all is NaN.
///
/// # Panics
/// If there are fewer than two axes, the matrices are not square, or the elements are not floating.
///
/// Source: Higham, *The scaling and squaring method for the matrix exponential revisited* (SIAM J. Matrix Anal. Appl. 26,
/// 2005).
#[track_caller]
pub fn expm(x: &Array) -> Array {
    let n = floating_square("expm", x);
    if n == 0 {
        return x.clone();
    }
    let approximant = if x.dtype() == DType::F32 { SINGLE } else { DOUBLE };
    let size = x.stop_gradient().abs().sum(-2).max(-1);
    let times = (size / approximant.size).log2().ceil();
    let times = where_(&times.lt(0.0), 0.0, times);
    let times = times.expand_dims(-1).expand_dims(-1);
    let scaled = x * (-&times).exp2();
    let one = eye(n, x.dtype());
    let square = scaled.matmul(&scaled);
    // Even powers with their coefficients, and odd ones without one factor A.
    let coefficients = approximant.coefficients;
    let mut power = square.clone();
    let mut even = &one * coefficients[0] + &power * coefficients[2];
    let mut odd = &one * coefficients[1] + &power * coefficients[3];
    for i in (4..coefficients.len()).step_by(2) {
        power = power.matmul(&square);
        even += &power * coefficients[i];
        odd += &power * coefficients[i + 1];
    }
    let odd = scaled.matmul(&odd);
    let first = primitives::solve(&(&even - &odd), &(even + odd));
    let squared = |i: Array, x: Array| {
        let goes_on = times.gt(i.astype(times.dtype()));
        let which = goes_on.any(());
        let times_itself = |(x, goes_on): (Array, Array)| where_(&goes_on, x.matmul(&x), &x);
        cond(which, times_itself, |(x, _): (Array, Array)| x, (x, goes_on))
    };
    let result = fori_loop(0, SQUARINGS, squared, first);
    where_(&times.le(f64::from(SQUARINGS)), result, f64::NAN)
}
