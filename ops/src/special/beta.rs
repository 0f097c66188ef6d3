//! The beta function and its logarithm.

use super::gamma::{DIGAMMA, FAR, GAMMA, LGAMMA, stirling_rest};
use crate::array::Array;
use crate::array_functions::floating;
use crate::elementwise::Composed;
use crate::operators::{Operand, pair, where_};
use std::f64::consts::PI;

/// `log |B(a, b)|` in parts, where `a ≤ b`.
struct Parts {
    /// Whether `b` and `a + b` are in reach of Stirling's series.
    is_far: Array,
    /// Whether `a` is, too.
    is_both: Array,
    /// `log Γ(b) - log Γ(a + b)` if only `b` is far.
    quotient: Array,
    /// `log B(a, b)` if both are far.
    both: Array,
}

/// The smaller one, the larger one and their sum.
#[track_caller]
fn ordered(ins: &[Array]) -> [Array; 3] {
    let (a, b) = (ins[0].minimum(&ins[1]), ins[0].maximum(&ins[1]));
    let sum = &a + &b;
    [a, b, sum]
}

/// Of numbers that are not far, and of infinite ones, a part is finite and means nothing.
// With Δ the rest of Stirling's formula and h = a / b:
// log Γ(b) - log Γ(a + b) = Δ(b) - Δ(a + b) - (a + b - ½) log(1 + h) - a (log b - 1)
// log B(a, b) = ½ log(2π / b) + Δ(a) + Δ(b) - Δ(a + b) + (a - ½) log(a / (a + b)) - b log(1 + h)
#[track_caller]
fn parts(a: &Array, b: &Array, sum: &Array) -> Parts {
    let is_far = b.ge(FAR) & sum.ge(FAR) & b.lt(f64::INFINITY);
    let is_both = &is_far & a.ge(FAR);
    let near = where_(&is_far, a, 1.0);
    let (b, sum) = (where_(&is_far, b, FAR), where_(&is_far, sum, FAR + 1.0));
    let ratio = (&near / &b).log1p();
    let rest = stirling_rest(&b) - stirling_rest(&sum);
    let quotient = &rest - (&b + (&near - 0.5)) * &ratio - &near * (b.log() - 1.0);
    let far = where_(&is_both, a, FAR);
    let constant = 0.5 * (2.0 * PI).ln();
    let both =
        (&far - 0.5) * (&far / &sum).log() - &b * ratio + (stirling_rest(&far) + rest + constant) - b.log() * 0.5;
    Parts { is_far, is_both, quotient, both }
}

/// `log |B(a, b)|` in `f64`.
#[track_caller]
fn log_beta(ins: &[Array]) -> Array {
    let [a, b, sum] = ordered(ins);
    let Parts { is_far, is_both, quotient, both } = parts(&a, &b, &sum);
    let [log_a, log_b, log_sum] = [&a, &b, &sum].map(|x| LGAMMA.of([x]));
    let one = &log_a + where_(&is_far, quotient, log_b - log_sum);
    let found = where_(&is_both, both, one);
    let found = where_(&(a.eq(0.0) & b.eq(0.0)), f64::INFINITY, found);
    // Γ(∞) / Γ(a + ∞) is 0 for positive `a`.
    let is_endless = b.eq(f64::INFINITY);
    let endless = where_(&a.gt(0.0), f64::NEG_INFINITY, f64::NAN);
    where_(&(a.isnan() | b.isnan()), &sum, where_(&is_endless, endless, found))
}

/// `B(a, b)` in `f64`.
#[track_caller]
fn beta_function(ins: &[Array]) -> Array {
    let [a, b, sum] = ordered(ins);
    let Parts { is_far, is_both, quotient, both } = parts(&a, &b, &sum);
    // From about here on a factor may overflow.
    let is_near = a.gt(-160.0) & b.lt(160.0);
    let [of_a, of_b, of_sum] = [&a, &b, &sum].map(|x| GAMMA.of([&where_(&is_near, x, 1.5)]));
    // What the sum was rounded by counts `ψ(a + b)` times.
    let rounded = where_(&is_near, (&a - &sum) + &b, 0.0);
    let slope = where_(&sum.gt(1.0), (sum.maximum(1.0) - 0.5).log(), 0.0);
    // 1 / Γ is 0 at the poles of Γ.
    let is_pole = sum.le(0.0) & sum.eq(sum.floor());
    let is_own_pole = a.le(0.0) & a.eq(a.floor());
    let direct = &of_a / of_sum * of_b * (1.0 - rounded * slope);
    let sign = |x: &Array| {
        let half = x.floor() * 0.5;
        where_(&(x.lt(0.0) & half.ne(half.floor())), -1.0, 1.0)
    };
    let signs = sign(&a) * sign(&b) * sign(&sum);
    let one = where_(&is_near, &of_a, 1.0) * quotient.exp();
    let by_logarithm = signs * log_beta(ins).exp();
    let far = where_(&is_both, both.exp(), where_(&is_near, one, &by_logarithm));
    let found = where_(&is_far, far, where_(&is_near, direct, by_logarithm));
    let found = where_(&(is_pole & is_own_pole.logical_not()), 0.0, found);
    let found = where_(&(a.eq(0.0) & b.eq(0.0)), f64::INFINITY, found);
    where_(&(a.isnan() | b.isnan()), sum, where_(&(is_own_pole & a.lt(0.0)), f64::NAN, found))
}

/// `ψ(x) - ψ(a + b)`, the derivative of `log |B(a, b)|` with respect to the operand `x`.
#[track_caller]
fn log_slope(operand: usize, ins: &[Array]) -> Array {
    DIGAMMA.of([&ins[operand]]) - DIGAMMA.of([&(&ins[0] + &ins[1])])
}

/// The primitive `betaln`.
pub(super) static BETALN: Composed = Composed {
    name: "betaln",
    value: log_beta,
    slope: |operand, ins, _| log_slope(operand, ins),
    points: &[[0.625, 3.25, 11.5, 2.375], [2.5, 0.75, 9.5, 20.25]],
};
/// The primitive `beta`.
pub(super) static BETA: Composed = Composed {
    name: "beta",
    value: beta_function,
    slope: |operand, ins, out| out * log_slope(operand, ins),
    points: &[[0.625, 3.25, 11.5, 2.375], [2.5, 0.75, 9.5, 4.25]],
};

/// The beta function `Γ(a) Γ(b) / Γ(a + b)`. The two broadcast, and either may be a number.
///
/// It is infinite where `a` or `b` is 0, with the sign of that zero; 0 where only `a + b` is 0 or a negative whole number; and
/// NaN where `a` or `b` is a negative whole number, where 0 meets an infinity, or where one of them is NaN.
///
/// For positive numbers the error is up to 8 units in the last place, or twice the size of [`betaln`] if that is more; in
/// `f32` one unit. Derivatives are `B(a, b) (ψ(a) - ψ(a + b))` and the like, with the digits that the difference has: few where
/// the other operand is much smaller.
///
/// ```
/// use gavotte::special::beta;
/// assert!((beta(2.0, 3.0).item::<f64>() - 1.0 / 12.0).abs() < 1e-16);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
///
/// Source: *Digital Library of Mathematical Functions*, 5.12.1.
#[track_caller]
pub fn beta(a: impl Operand, b: impl Operand) -> Array {
    let [a, b] = pair(a, b);
    floating("beta", &[&a, &b]);
    BETA.of([&a, &b])
}

/// `log |B(a, b)|`, the logarithm of the [`beta`] function. The two broadcast, and either may be a number.
///
/// For positive numbers the error is up to 4 units in the last place of the largest one of `log Γ(a)`, `log Γ(b)` and the
/// result if both are below 8.5, otherwise of the logarithm for the smaller one and the result: the logarithm is 0 where
/// the beta function is 1. Derivatives are `ψ(a) - ψ(a + b)` and the like, with the digits that the difference has: few where
/// the other operand is much smaller.
///
/// ```
/// use gavotte::special::betaln;
/// assert!((betaln(2.0, 3.0).item::<f64>() + 12f64.ln()).abs() < 1e-15);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
///
/// Source: A. R. DiDonato and A. H. Morris, *Algorithm 708*, ACM Transactions on Mathematical Software 18 (1992).
#[track_caller]
pub fn betaln(a: impl Operand, b: impl Operand) -> Array {
    let [a, b] = pair(a, b);
    floating("betaln", &[&a, &b]);
    BETALN.of([&a, &b])
}
