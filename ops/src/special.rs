//! Special functions: the gamma function and its family, Bessel functions, exponential integrals, probabilities of the
//! normal distribution, entropies, logits, and functions that lose no precision where the obvious formula does.
//!
//! A result is within 4 units in the last place in `f32` and `f64`, also far out, unless a function says otherwise.

mod bessel;
mod beta;
mod exponential;
mod gamma;
mod normal;
mod zeta;

pub use crate::nn::{log_softmax, log1mexp, logsumexp, softmax};
pub use bessel::{i0, i0e, i1, i1e};
pub use beta::{beta, betaln};
pub use exponential::{erfcx, exp1, expi, spence};
pub use gamma::{digamma, factorial, gamma, gammaln, multigammaln};
pub use normal::{erfinv, log_ndtr, ndtr, ndtri};
pub use zeta::{polygamma, zeta};

use crate::array::Array;
use crate::array_functions::{long_floats, number};
use crate::custom_jvp;
use crate::operators::{Operand, pair, where_};
use gavotte_core::ir::Primitive;

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] = &[
    &bessel::I0,
    &bessel::I0E,
    &bessel::I1,
    &bessel::I1E,
    &beta::BETA,
    &beta::BETALN,
    &gamma::DIGAMMA,
    &exponential::ERFCX,
    &exponential::EXP1,
    &exponential::EXPI,
    &gamma::FACTORIAL,
    &gamma::GAMMA,
    &gamma::LGAMMA,
    &exponential::SPENCE,
    &zeta::ZETA,
];

/// The error function `2 / √π · ∫₀ˣ e^(-t²) dt`: [`Array::erf`].
///
/// # Panics
/// If the elements are not floating.
#[track_caller]
pub fn erf(x: &Array) -> Array {
    x.erf()
}

/// `1 - erf x`, precise where the difference is small: [`Array::erfc`].
///
/// # Panics
/// If the elements are not floating.
#[track_caller]
pub fn erfc(x: &Array) -> Array {
    x.erfc()
}

/// `1 / (1 + e⁻ˣ)`: [`Array::logistic`]. It is 0 where the true value is below the smallest normal number.
///
/// # Panics
/// If the elements are not floating.
#[doc(alias = "logistic")]
#[doc(alias = "sigmoid")]
#[track_caller]
pub fn expit(x: &Array) -> Array {
    x.logistic()
}

/// `log(p / (1 - p))`, the inverse of [`expit`]: infinite at 0 and 1, NaN beyond.
///
/// ```
/// use gavotte::{Array, special::logit};
/// assert_eq!(logit(&Array::from([0.5, 1.0])).to_vec::<f64>(), [0.0, f64::INFINITY]);
/// ```
///
/// # Panics
/// If the elements are not floating.
// Near ½ the quotient is near 1, and its logarithm is that of two numbers with opposite signs:
// log(p / (1 - p)) = log(1 + s) - log(1 - s) with s = 2p - 1
// d logit p = dp / (p (1 - p))
#[track_caller]
pub fn logit(p: &Array) -> Array {
    long_floats("logit", &[p]);
    let of = |p: Array| {
        let is_near = p.gt(0.3) & p.lt(0.65);
        let (near, far) = (where_(&is_near, &p, 0.5), where_(&is_near, 0.5, &p));
        let s = (near - 0.5) * 2.0;
        where_(&is_near, s.log1p() - (-s).log1p(), (&far / (1.0 - &far)).log())
    };
    let rule = move |(p,): (Array,), (dp,): (Array,)| (of(p.clone()), dp / (&p * (1.0 - &p)));
    custom_jvp(of, rule)(p.clone())
}

/// `-x log x`, which is 0 at 0 and `-∞` for negative numbers.
///
/// ```
/// use gavotte::{Array, special::entr};
/// assert_eq!(entr(&Array::from([0.0, 1.0, -1.0])).to_vec::<f64>(), [0.0, 0.0, f64::NEG_INFINITY]);
/// ```
///
/// # Panics
/// If the elements are not floating.
// d(-x log x) = -(log x + 1) dx
#[track_caller]
pub fn entr(x: &Array) -> Array {
    long_floats("entr", &[x]);
    let of = |x: Array| {
        let is_zero = x.eq(0.0);
        let product = &x * where_(&is_zero, 1.0, &x).log();
        where_(&x.lt(0.0), f64::NEG_INFINITY, where_(&is_zero, 0.0, -product))
    };
    let rule = move |(x,): (Array,), (dx,): (Array,)| {
        let is_negative = x.lt(0.0);
        let slope = where_(&is_negative, 0.0, -(where_(&is_negative, 1.0, &x).log() + 1.0));
        (of(x), slope * dx)
    };
    custom_jvp(of, rule)(x.clone())
}

/// `x log y`, which is 0 where `x` is 0, unless `y` is NaN. The two broadcast, and either may be a number.
///
/// Where `x` is 0 and `log y` infinite or undefined, both derivatives are 0 too: what counts for nothing does not poison
/// the others.
///
/// ```
/// use gavotte::{Array, special::xlogy};
/// assert_eq!(xlogy(Array::from([0.0, 2.0]), Array::from([0.0, 1.0])).to_vec::<f64>(), [0.0, 0.0]);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
#[track_caller]
pub fn xlogy(x: impl Operand, y: impl Operand) -> Array {
    let [x, y] = pair(x, y);
    long_floats("xlogy", &[&x, &y]);
    let is_unused = x.eq(0.0) & (y.le(0.0) | y.eq(f64::INFINITY));
    &x * where_(&is_unused, 1.0, &y).log()
}

/// `x log(1 + y)`, precise for small `y`, which is 0 where `x` is 0, unless `y` is NaN. The two broadcast, and either may
/// be a number. Its derivatives are those of [`xlogy`].
///
/// ```
/// use gavotte::{Array, special::xlog1py};
/// assert_eq!(xlog1py(Array::from([0.0, 2.0]), Array::from([-1.0, 0.0])).to_vec::<f64>(), [0.0, 0.0]);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
#[track_caller]
pub fn xlog1py(x: impl Operand, y: impl Operand) -> Array {
    let [x, y] = pair(x, y);
    long_floats("xlog1py", &[&x, &y]);
    let is_unused = x.eq(0.0) & (y.le(-1.0) | y.eq(f64::INFINITY));
    &x * where_(&is_unused, 0.0, &y).log1p()
}

/// `log(p / q)` of positive numbers.
// Near 1 the quotient's rounding would be most of its logarithm; far out it overflows.
// d log(p / q) = dp / p - dq / q
#[track_caller]
fn log_ratio(p: &Array, q: &Array) -> Array {
    let of = |p: Array, q: Array| {
        let ratio = &p / &q;
        let is_near = ratio.gt(0.5) & ratio.lt(2.0);
        let near = where_(&is_near, &p - &q, 0.0) / where_(&is_near, &q, 1.0);
        let least =
            if p.dtype() == gavotte_core::aval::DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
        let is_far = ratio.le(least) | ratio.eq(f64::INFINITY);
        let apart = where_(&is_far, &p, 1.0).log() - where_(&is_far, &q, 1.0).log();
        where_(&is_near, near.log1p(), where_(&is_far, apart, where_(&is_far, 1.0, &ratio).log()))
    };
    let rule = move |(p, q): (Array, Array), (dp, dq): (Array, Array)| (of(p.clone(), q.clone()), dp / p - dq / q);
    custom_jvp(of, rule)(p.clone(), q.clone())
}

/// `value` where `p` and `q` are positive, which takes numbers that are; otherwise `at_zero` where `p` is 0 and `q` is not
/// negative, NaN for NaN, and `∞`.
#[track_caller]
fn of_positive(p: &Array, q: &Array, value: impl Fn(&Array, &Array) -> Array, at_zero: impl Operand) -> Array {
    let is_positive = p.gt(0.0) & q.gt(0.0);
    let [safe_p, safe_q] = [p, q].map(|x| where_(&is_positive, x, 1.0));
    let edge = where_(&(p.eq(0.0) & q.ge(0.0)), at_zero, number(p.dtype(), f64::INFINITY));
    let edge = where_(&(p.isnan() | q.isnan()), p + q, edge);
    where_(&is_positive, value(&safe_p, &safe_q), edge)
}

/// `p log(p / q)`, whose sum is the relative entropy of two distributions: 0 where `p` is 0 and `q` is not negative; `∞`
/// where `p` is positive and `q` is not, and for negative numbers. The two broadcast, and either may be a number. Where one
/// of them is not positive, the derivatives are 0.
///
/// ```
/// use gavotte::{Array, special::rel_entr};
/// let (p, q) = (Array::from([0.0, 1.0, 1.0]), Array::from([0.0, 1.0, 0.0]));
/// assert_eq!(rel_entr(p, q).to_vec::<f64>(), [0.0, 0.0, f64::INFINITY]);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
// d(p log(p / q)) = (log(p / q) + 1) dp - p / q dq
#[track_caller]
pub fn rel_entr(p: impl Operand, q: impl Operand) -> Array {
    let [p, q] = pair(p, q);
    long_floats("rel_entr", &[&p, &q]);
    let of = |p: Array, q: Array| of_positive(&p, &q, |p, q| p * log_ratio(p, q), 0.0);
    let rule = move |(p, q): (Array, Array), (dp, dq): (Array, Array)| {
        let is_positive = p.gt(0.0) & q.gt(0.0);
        let [safe_p, safe_q] = [&p, &q].map(|x| where_(&is_positive, x, 1.0));
        let tangent = (log_ratio(&safe_p, &safe_q) + 1.0) * dp - safe_p / safe_q * dq;
        (of(p, q), where_(&is_positive, tangent, 0.0))
    };
    custom_jvp(of, rule)(p, q)
}

/// `p log(p / q) - p + q`, which is 0 only where the two are equal and positive elsewhere: `q` where `p` is 0 and `q` is not
/// negative, `∞` where `p` is positive and `q` is not, and for negative numbers. It keeps its precision where the two are
/// close: within 8 units in the last place. They broadcast, and either may be a number. Where `p` is not positive, the
/// derivative with respect to it is 0.
///
/// ```
/// use gavotte::{Array, special::kl_div};
/// assert_eq!(kl_div(Array::from([0.0, 1.0]), Array::from([2.0, 1.0])).to_vec::<f64>(), [2.0, 0.0]);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
// With s = (q - p) / (q + p), log(p / q) = -2 artanh s, so that
// p log(p / q) - p + q = (q - p) s - 2 p s³ (⅓ + s² / 5 + s⁴ / 7 + …)
// d(p log(p / q) - p + q) = log(p / q) dp + (q - p) / q dq
#[track_caller]
pub fn kl_div(p: impl Operand, q: impl Operand) -> Array {
    let [p, q] = pair(p, q);
    long_floats("kl_div", &[&p, &q]);
    let value = |p: &Array, q: &Array| {
        let apart = q - p;
        let s = &apart / (q + p);
        let is_near = s.abs().lt(1.0 / 3.0);
        let s = where_(&is_near, s, 0.0);
        let square = s.square();
        // The next term is below 1e-17.
        let last = number(p.dtype(), 1.0 / 33.0);
        let series = (0..15).rev().fold(last, |sum, k| sum * &square + 1.0 / f64::from(2 * k + 3));
        let near = where_(&is_near, &apart, 0.0) * &s - p * &s * &square * series * 2.0;
        where_(&is_near, near, p * log_ratio(p, q) + &apart)
    };
    let of = move |p: Array, q: Array| of_positive(&p, &q, value, &q);
    let rule = move |(p, q): (Array, Array), (dp, dq): (Array, Array)| {
        let is_positive = p.gt(0.0) & q.gt(0.0);
        let [safe_p, safe_q] = [&p, &q].map(|x| where_(&is_positive, x, 1.0));
        let tangent = log_ratio(&safe_p, &safe_q) * dp + (&safe_q - safe_p) / &safe_q * &dq;
        let edge = where_(&(p.eq(0.0) & q.ge(0.0)), dq, 0.0);
        (of(p, q), where_(&is_positive, tangent, edge))
    };
    custom_jvp(of, rule)(p, q)
}
