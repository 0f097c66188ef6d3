//! The zeta function of Hurwitz, and the derivatives of `log Γ` that it gives.

use super::gamma::{digamma, factorial};
use crate::array::Array;
use crate::array_functions::floating;
use crate::elementwise::Composed;
use crate::operators::{Operand, pair, where_};

/// How many terms are added one by one.
const TERMS: u32 = 9;
/// `B₂ₖ / (2k)!` of the Bernoulli numbers, the last one first.
const BERNOULLI: [f64; 12] = [
    -1.0 / 7.166_165_256_175_667e18,
    1.0 / 1.815_210_540_194_354_7e17,
    -1.0 / 4.597_978_722_407_473e15,
    1.0 / 1.164_678_281_435_006_7e14,
    -1.0 / 2_950_130_727_918.164,
    1.0 / 74_724_249_600.0,
    -691.0 / 1_307_674_368_000.0,
    1.0 / 47_900_160.0,
    -1.0 / 1_209_600.0,
    1.0 / 30_240.0,
    -1.0 / 720.0,
    1.0 / 12.0,
];

/// `Σ (q + k)⁻ˢ` in `f64`, for `s > 1` and `q > 0`: Euler and Maclaurin's formula.
///
/// Source: *Digital Library of Mathematical Functions*, 25.11.28.
#[track_caller]
fn hurwitz(s: &Array, q: &Array) -> Array {
    let is_short = q.lt(9.0e15);
    // What rounding takes away from `q + k` is much in a high power.
    let place = |k: u32| {
        let k = f64::from(k);
        let at = q + k;
        let added = &at - q;
        let lacking = (q - (&at - &added)) + (k - added);
        let lacking = where_(&is_short, lacking / &at, 0.0);
        (at, lacking)
    };
    // An infinite power stays infinite: what is lacking may be nothing.
    let less = |power: Array, lacking: Array| where_(&power.eq(f64::INFINITY), &power, &power - &power * lacking);
    let power = |at: &Array, lacking: &Array| less(at.pow(-s), s * lacking);
    let (end, lacking) = place(TERMS);
    let last = power(&end, &lacking);
    let below = s - 1.0;
    let integral = less(end.pow(-&below), &below * lacking) / below;
    let square = (1.0 / &end).square();
    let start = &square * 0.0 + BERNOULLI[0];
    let series = BERNOULLI[1..].iter().zip((0..11).rev()).fold(start, |rest, (term, j)| {
        let j = f64::from(2 * j);
        (s + (j + 1.0)) * (s + (j + 2.0)) * &square * rest + *term
    });
    let rest = integral + (&last * 0.5 + last * (s / end) * series);
    (0..TERMS).rev().map(place).fold(rest, |sum, (at, lacking)| sum + power(&at, &lacking))
}

/// Hurwitz's zeta function in `f64`.
// Of the terms of a negative q, n = -⌊q⌋ have a negative base. With f = q + n and whole s,
// ζ(s, q) = ζ(s, f) + (-1)ˢ (ζ(s, 1 - f) - ζ(s, 1 - q))
#[track_caller]
fn zeta_function(s: &Array, q: &Array) -> Array {
    let (exponent, is_right) = (s.minimum(1e12), q.gt(0.0));
    let first = hurwitz(&exponent, &where_(&is_right, q, q - q.floor()));
    let turned = [q.ceil() - q, 1.0 - q].map(|q| hurwitz(&exponent, &where_(&is_right, 1.0, q)));
    let turned = &turned[0] - &turned[1];
    let half = s * 0.5;
    let left = &first + where_(&half.eq(half.floor()), &turned, -&turned);
    let left = where_(&q.eq(q.floor()), f64::INFINITY, where_(&s.eq(s.floor()), left, f64::NAN));
    let found = where_(&q.le(0.0), left, first);
    let found = where_(&s.eq(1.0), f64::INFINITY, where_(&s.lt(1.0), f64::NAN, found));
    where_(&(s.ne(s) | q.ne(q)), s + q, found)
}

/// The primitive `zeta`.
// ∂ζ(s, q) / ∂q = -s ζ(s + 1, q); with respect to s, Euler and Maclaurin's formula is differentiated
pub(super) static ZETA: Composed = Composed {
    name: "zeta",
    value: |ins| zeta_function(&ins[0], &ins[1]),
    slope: |operand, ins, _| match operand {
        0 => ZETA.slope_of_composition(0, ins),
        _ => -&ins[0] * zeta(&ins[0] + 1.0, &ins[1]),
    },
    points: &[[2.5, 3.25, 1.75, 7.5], [0.75, 2.5, 12.5, 1.5]],
};

/// The zeta function of Hurwitz, `Σ (q + k)⁻ˢ` over all whole `k` from 0 on. The two broadcast, and either may be a number.
///
/// It is NaN for `s < 1` and infinite for `s = 1`. At `q = 0` and at negative whole numbers it is infinite; for other
/// negative `q` it is NaN unless `s` is whole. NaN for NaN.
///
/// Within 4 units in the last place for positive `q`; for negative `q` within 4 units of the largest term. The derivative
/// with respect to `q` is `-s ζ(s + 1, q)`, and that with respect to `s` is for `q > 0`.
///
/// ```
/// use gavotte::special::zeta;
/// let y = zeta(2.0, 1.0).item::<f64>();
/// assert!((y - std::f64::consts::PI.powi(2) / 6.0).abs() < 1e-15);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
///
/// Source: *Digital Library of Mathematical Functions*, 25.11.
#[doc(alias = "hurwitz")]
#[track_caller]
pub fn zeta(s: impl Operand, q: impl Operand) -> Array {
    let [s, q] = pair(s, q);
    floating("zeta", &[&s, &q]);
    ZETA.of([&s, &q])
}

/// The derivative of order `n` of [`digamma`](crate::special::digamma), which is that of order 0. The two broadcast, and
/// either may be a number.
///
/// It is NaN unless `n` is a whole number from 0 to 169. At `x = 0` and at negative whole numbers it is infinite, positive
/// for odd `n` and negative for even ones, but NaN for 0. NaN for NaN.
///
/// Within 6 units in the last place for positive `x`; for negative `x` within 6 units of the largest term of
/// [`zeta`]; in `f32` within 8 units. The derivative with respect to `x` is that of order `n + 1`. The order counts as a
/// constant, as it is whole.
///
/// ```
/// use gavotte::special::polygamma;
/// let y = polygamma(1.0, 1.0).item::<f64>();
/// assert!((y - std::f64::consts::PI.powi(2) / 6.0).abs() < 1e-15);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
///
/// Source: *Digital Library of Mathematical Functions*, 5.15 and 25.11.12.
#[track_caller]
pub fn polygamma(n: impl Operand, x: impl Operand) -> Array {
    let [n, x] = pair(n, x);
    floating("polygamma", &[&n, &x]);
    // ψ⁽ⁿ⁾(x) = (-1)ⁿ⁺¹ n! ζ(n + 1, x)
    let n = n.stop_gradient();
    let is_digamma = n.eq(0.0);
    let is_order = n.ge(0.0) & n.eq(n.floor());
    // Of order 0 the other branch would be a pole.
    let order = where_(&(&is_digamma | is_order.logical_not()), 1.0, &n);
    let half = &order * 0.5;
    let size = factorial(&order) * zeta(&order + 1.0, &x);
    let higher = where_(&half.eq(half.floor()), -&size, size);
    where_(&is_order, where_(&is_digamma, digamma(&x), higher), f64::NAN)
}
