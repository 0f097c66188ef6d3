//! The gamma function, its logarithm, and the derivative of that.

use super::zeta::zeta;
use crate::array::Array;
use crate::array_functions::floating;
use crate::elementwise::Composed;
use crate::movement::reject;
use crate::operators::where_;
use crate::random::horner;
use std::f64::consts::PI;

/// From here on Stirling's series has the precision of `f64`.
pub(super) const FAR: f64 = 8.5;
/// From here on every number is whole.
const WHOLE: f64 = 4_503_599_627_370_496.0;

// Polynomials are interpolated at Chebyshev points with 60 digits, in `t = 2 (x - m)` around the middle `m`; highest power
// first.
/// `log Γ(x) / ((x - 1)(x - 2))` from 0.5 to 1.5.
#[rustfmt::skip]
const LOG_NEAR_ONE: [f64; 28] = [
    -8.553204336173262e-10, 1.6544325004494813e-09, 2.5689892189437e-09, -4.538307544091352e-09,
    -9.367349302545864e-09, 1.712120843519079e-08, -1.023691309221403e-09, 6.391299465832052e-09,
    -5.5375061826917735e-08, 1.1155329675635592e-07, -2.003042500535217e-07, 4.27269103643057e-07,
    -9.265615954617222e-07, 1.970394470423052e-06, -4.203673650909802e-06, 9.029628384667157e-06,
    -1.9503582836317498e-05, 4.239364373376804e-05, -9.285765407966629e-05, 0.00020529811719394522,
    -0.00045920266884685266, 0.001042683255643948, -0.0024161927665108177, 0.0057649380289753315,
    -0.014393317820482391, 0.03885856646598897, -0.12262568426129015, 0.5772156649015329,
];
/// `log Γ(x) / ((x - 1)(x - 2))` from 1.5 to 2.5.
#[rustfmt::skip]
const LOG_NEAR_TWO: [f64; 18] = [
    -1.927209520143327e-12, 7.992083559273627e-12, -2.50500703795846e-11, 1.0674693605190995e-10,
    -4.707445038570993e-10, 2.011113823139402e-09, -8.623138738014243e-09, 3.7272066709849786e-08,
    -1.6229545709362817e-07, 7.130970293621273e-07, -3.169588975938308e-06, 1.4302764256832122e-05,
    -6.587908856955386e-05, 0.0003124150728086002, -0.0015480240241709283, 0.00824125015528839,
    -0.050158650837176966, 0.42278433509846713,
];
/// `Γ(x)` from 1.5 to 2.5.
#[rustfmt::skip]
const GAMMA_NEAR_TWO: [f64; 19] = [
    1.00196653427131e-11, -3.943459918693452e-11, 1.1010217144121142e-10, -4.43011534811945e-10,
    1.866248609845415e-09, -7.4456789228599935e-09, 2.970008266297713e-08, -1.1763087066349559e-07,
    4.78897392487199e-07, -1.7960491375977525e-06, 8.218488958007345e-06, -2.228629396913575e-05,
    0.0001742819644470816, -8.343189838038706e-06, 0.0046405631720866656, 0.010197114905896617,
    0.10296008260661016, 0.2113921675492334, 1.0,
];
/// `ψ(x) / (x - r)` from 1 to 2, where `r` is the root of `ψ`.
#[rustfmt::skip]
const DIGAMMA_NEAR_ROOT: [f64; 23] = [
    2.918622732168261e-11, -8.50550766013261e-11, 8.734528429142953e-11, -2.7580994814377e-10,
    1.2469984616707403e-09, -3.7083753242807277e-09, 1.0527692435026686e-08, -3.162911147408454e-08,
    9.543298288278275e-08, -2.863161166883193e-07, 8.589060721930695e-07, -2.578093954045772e-06,
    7.741234508636364e-06, -2.3258242519113285e-05, 6.995018825112794e-05, -0.00021074841138175561,
    0.0006368880303865817, -0.0019350666648613071, 0.005936795278301761, -0.018550615381735008,
    0.06013562106019684, -0.2118137106407303, 0.9510558760318328,
];
/// The root of `ψ` in two parts.
const ROOT: [f64; 2] = [1.4616321449683622, 9.549995429965697e-17];

/// `Σ B₂ₖ / (2k (2k - 1) x²ᵏ⁻¹)`: what Stirling's formula leaves out of `log Γ(x)`.
///
/// Source: *Digital Library of Mathematical Functions*, 5.11.1.
#[track_caller]
pub(super) fn stirling_rest(x: &Array) -> Array {
    let inverse = 1.0 / x;
    let terms = [
        43867.0 / 244188.0,
        -3617.0 / 122400.0,
        1.0 / 156.0,
        -691.0 / 360360.0,
        1.0 / 1188.0,
        -1.0 / 1680.0,
        1.0 / 1260.0,
        -1.0 / 360.0,
        1.0 / 12.0,
    ];
    &inverse * horner(&inverse.square(), &terms)
}

/// `x`, lowered by whole numbers until it is at most `end`, where it was at most 8.5; with each step `then` gets the new
/// number, and where the step was one.
#[track_caller]
fn lowered(x: &Array, end: f64, mut then: impl FnMut(&Array, &Array)) -> Array {
    let steps = (FAR - end).ceil() as usize;
    (0..steps).fold(x.clone(), |x, _| {
        let is_above = x.gt(end);
        let x = where_(&is_above, &x - 1.0, &x);
        then(&x, &is_above);
        x
    })
}

/// The distance of `x ≥ 0` from the nearest whole number, with its sign; and whether that number is odd.
#[track_caller]
fn from_whole(x: &Array) -> [Array; 2] {
    let whole = x.round();
    let is_odd = (&whole - (&whole * 0.5).floor() * 2.0).eq(1.0);
    [x - &whole, is_odd]
}

/// `log |Γ(x)|` in `f64`.
// log Γ(x) = log Γ(x + 1) - log x; with z = -x, |Γ(x) Γ(z)| = π / (z |sin πz|)
#[track_caller]
pub(super) fn log_gamma(x: &Array) -> Array {
    let is_left = x.lt(-0.5);
    let x = where_(&is_left, -x, x);
    let is_small = x.lt(0.5);
    let above_one = where_(&is_small, &x, &x - 1.0);
    let one = &above_one * (&above_one - 1.0) * horner(&(&above_one * 2.0), &LOG_NEAR_ONE);
    let one = where_(&is_small, &one - x.abs().log(), &one);
    let mut product = where_(&is_small, 1.0, 1.0);
    let low = lowered(&x, 2.5, |x, is_step| product = where_(is_step, &product * x, &product));
    let above_two = &low - 2.0;
    let two = (&low - 1.0) * &above_two * horner(&(&above_two * 2.0), &LOG_NEAR_TWO) + product.log();
    let constant = 0.5 * (2.0 * PI).ln() - 0.5;
    let far = (&x - 0.5) * (x.log() - 1.0) + (stirling_rest(&x) + constant);
    let right = where_(&x.lt(1.5), one, where_(&x.lt(FAR), two, far));
    let [distance, _] = from_whole(&x);
    let reflected = (PI / (&x * (distance * PI).sin().abs())).log() - &right;
    where_(&is_left, where_(&x.ge(WHOLE), f64::INFINITY, reflected), right)
}

/// `Γ(x)` in `f64`.
// Γ(x) = Γ(x + 1) / x; with z = -x, Γ(x) = -π / (z sin πz Γ(z))
#[track_caller]
pub(super) fn gamma_function(x: &Array) -> Array {
    let is_left = x.lt(-0.5);
    let x = where_(&is_left, -x, x);
    let mut product = where_(&is_left, 1.0, 1.0);
    let low = lowered(&x, 2.5, |x, is_step| product = where_(is_step, &product * x, &product));
    let (is_small, is_near_one) = (x.lt(0.5), x.lt(1.5));
    let above_two = where_(&is_small, &x, where_(&is_near_one, &x - 1.0, &low - 2.0));
    let divisor = where_(&is_small, &x * (&x + 1.0), where_(&is_near_one, &x, 1.0));
    let near = horner(&(above_two * 2.0), &GAMMA_NEAR_TWO) * product / divisor;
    // Stirling's formula. The power alone would overflow, so it is two factors; from 200 on the result is infinite.
    let bounded = x.minimum(200.0);
    let root = bounded.pow(&bounded * 0.5 - 0.25);
    let part = &root * (-&bounded).exp() * (stirling_rest(&bounded).exp() * (2.0 * PI).sqrt());
    let is_far = x.ge(FAR);
    let right = where_(&is_far, &part * &root, &near);
    let [distance, is_odd] = from_whole(&x);
    let sine = (distance * PI).sin();
    let signed = where_(&is_odd, &sine, -&sine);
    let reflected = PI / (&x * signed) / where_(&is_far, &part, near) / where_(&is_far, root, 1.0);
    let reflected = where_(&(sine.eq(0.0) | x.ge(WHOLE)), f64::NAN, reflected);
    where_(&is_left, reflected, right)
}

/// `n!` in `f64`, 0 for negative numbers.
// n! = Γ(n + 1) = n Γ(n), where n + 1 would be rounded
#[track_caller]
fn factorial_function(n: &Array) -> Array {
    let is_small = n.lt(0.5);
    let found = gamma_function(&where_(&is_small, n + 1.0, n)) * where_(&is_small, 1.0, n);
    where_(&n.lt(0.0), 0.0, found)
}

/// The derivative of `log Γ` in `f64`.
// ψ(x) = ψ(x + 1) - 1 / x; with z = -x, ψ(x) = ψ(z) + 1 / z + π cot πz
#[track_caller]
pub(super) fn psi(x: &Array) -> Array {
    let is_left = x.lt(-0.5);
    let is_pole = x.le(0.0) & x.eq(x.floor());
    let x = where_(&is_left, -x, x);
    let mut sum = where_(&is_left, 0.0, 0.0);
    let low = lowered(&x, 2.0, |x, is_step| sum = where_(is_step, &sum + 1.0 / x, &sum));
    let (is_below_one, is_negative) = (x.lt(1.0), x.lt(0.0));
    let up = where_(&is_negative, &x + 1.0, &x);
    let sum = where_(&is_negative, -1.0 / &up, sum);
    let sum = where_(&is_below_one, &sum - 1.0 / &x, sum);
    let base = where_(&is_below_one, up + 1.0, low);
    let near = (&base - ROOT[0] - ROOT[1]) * horner(&((&base - 1.5) * 2.0), &DIGAMMA_NEAR_ROOT) + sum;
    // Source: *Digital Library of Mathematical Functions*, 5.11.2.
    let inverse = 1.0 / &x;
    let terms = [
        43867.0 / 14364.0,
        -3617.0 / 8160.0,
        1.0 / 12.0,
        -691.0 / 32760.0,
        1.0 / 132.0,
        -1.0 / 240.0,
        1.0 / 252.0,
        -1.0 / 120.0,
        1.0 / 12.0,
    ];
    let square = inverse.square();
    let far = x.log() - (&inverse * 0.5 + &square * horner(&square, &terms));
    let right = where_(&x.lt(FAR), near, far);
    let [distance, _] = from_whole(&x);
    let cotangent = ((0.5 - distance.abs()) * PI).sin() / (distance * PI).sin();
    let left = &right + &inverse + cotangent * PI;
    where_(&is_pole, f64::NAN, where_(&is_left, left, right))
}

/// The primitive `lgamma`.
pub(super) static LGAMMA: Composed = Composed {
    name: "lgamma",
    value: |ins| log_gamma(&ins[0]),
    slope: |_, ins, _| DIGAMMA.of([&ins[0]]),
    points: &[[0.625, 3.25, 11.5, -2.375]],
};
/// The primitive `digamma`.
pub(super) static DIGAMMA: Composed = Composed {
    name: "digamma",
    value: |ins| psi(&ins[0]),
    slope: |_, ins, _| zeta(2.0, &ins[0]),
    points: &[[0.625, 3.25, 11.5, -2.375]],
};
/// The primitive `gamma`.
pub(super) static GAMMA: Composed = Composed {
    name: "gamma",
    value: |ins| gamma_function(&ins[0]),
    slope: |_, ins, out| out * DIGAMMA.of([&ins[0]]),
    points: &[[0.625, 3.25, 11.5, -2.375]],
};
/// The primitive `factorial`.
pub(super) static FACTORIAL: Composed = Composed {
    name: "factorial",
    value: |ins| factorial_function(&ins[0]),
    slope: |_, ins, out| {
        let is_negative = ins[0].lt(0.0);
        where_(&is_negative, 0.0, out * DIGAMMA.of([&(where_(&is_negative, 0.0, &ins[0]) + 1.0)]))
    },
    points: &[[0.625, 3.25, 5.5, -0.25]],
};

/// Functions of the gamma family, element by element.
impl Array {
    /// `log |Γ(x)|`: [`gammaln`](crate::special::gammaln).
    ///
    /// # Panics
    /// If the elements are not floating.
    #[track_caller]
    pub fn lgamma(&self) -> Array {
        LGAMMA.of([self])
    }

    /// The derivative of `log |Γ(x)|`: [`digamma`].
    ///
    /// # Panics
    /// If the elements are not floating.
    #[track_caller]
    pub fn digamma(&self) -> Array {
        DIGAMMA.of([self])
    }
}

/// `log |Γ(x)|`, the logarithm of the gamma function, without its sign: infinite at 0, at negative whole numbers, and at
/// both infinities; NaN for NaN.
///
/// Within 4 units in the last place of `f64` for numbers above -0.5. Below, the error is up to 4 units of the larger one of
/// `log Γ(-x)` and the result, which has zeros there. In `f32` it is within 1 unit everywhere else than next to those zeros.
/// The derivative is [`digamma`], NaN at the poles.
///
/// ```
/// use gavotte::{Array, special::gammaln};
/// let y = gammaln(&Array::from([1.0, 4.0, -1.0])).to_vec::<f64>();
/// assert_eq!(y, [0.0, 6f64.ln(), f64::INFINITY]);
/// ```
///
/// # Panics
/// If the elements are not floating.
///
/// Source: *Digital Library of Mathematical Functions*, 5.5 and 5.11.
#[doc(alias = "lgamma")]
#[track_caller]
pub fn gammaln(x: &Array) -> Array {
    floating("gammaln", &[x]);
    LGAMMA.of([x])
}

/// The derivative of `log |Γ(x)|`: NaN at 0, at negative whole numbers, at `-∞` and for NaN; `∞` at `∞`.
///
/// Within 4 units in the last place for positive numbers, also next to the root at 1.46. For negative numbers the error
/// is up to 4 units of the largest one of `log x`, `π cot πx` and the result. Derivatives are those of [`polygamma`].
///
/// [`polygamma`]: crate::special::polygamma
///
/// ```
/// use gavotte::{Array, special::digamma};
/// let y = digamma(&Array::from([1.0, 0.0])).to_vec::<f64>();
/// assert!((y[0] + 0.5772156649015329).abs() < 1e-15 && y[1].is_nan());
/// ```
///
/// # Panics
/// If the elements are not floating.
///
/// Source: *Digital Library of Mathematical Functions*, 5.5 and 5.11.
#[doc(alias = "psi")]
#[track_caller]
pub fn digamma(x: &Array) -> Array {
    floating("digamma", &[x]);
    DIGAMMA.of([x])
}

/// The gamma function: infinite at 0, with the sign of the zero, and at `∞`; NaN at negative whole numbers, at `-∞` and for
/// NaN.
///
/// Within 4 units in the last place. The derivative is `Γ(x) ψ(x)`.
///
/// ```
/// use gavotte::{Array, special::gamma};
/// assert_eq!(gamma(&Array::from([1.0, 5.0, 0.0])).to_vec::<f64>(), [1.0, 24.0, f64::INFINITY]);
/// ```
///
/// # Panics
/// If the elements are not floating.
///
/// Source: *Digital Library of Mathematical Functions*, 5.5 and 5.11.
#[track_caller]
pub fn gamma(x: &Array) -> Array {
    floating("gamma", &[x]);
    GAMMA.of([x])
}

/// `n!`, also between whole numbers: `Γ(n + 1)`, and 0 for negative numbers, where the derivative is 0, too.
///
/// Within 4 units in the last place.
///
/// ```
/// use gavotte::{Array, special::factorial};
/// assert_eq!(factorial(&Array::from([0.0, 5.0, -1.0])).to_vec::<f64>(), [1.0, 120.0, 0.0]);
/// ```
///
/// # Panics
/// If the elements are not floating.
#[track_caller]
pub fn factorial(n: &Array) -> Array {
    floating("factorial", &[n]);
    FACTORIAL.of([n])
}

/// The logarithm of the multivariate gamma function of dimension `d`, `d (d - 1) / 4 · log π + Σ log Γ(a - i / 2)` for `i`
/// below `d`. It is defined for `a > (d - 1) / 2`.
///
/// The error is up to 4 units in the last place of the largest term.
///
/// ```
/// use gavotte::{Array, special::{gammaln, multigammaln}};
/// let a = Array::from([2.5, 7.0]);
/// assert_eq!(multigammaln(&a, 1).to_vec::<f64>(), gammaln(&a).to_vec::<f64>());
/// ```
///
/// # Panics
/// If the elements are not floating, or `d` is above 1,000: the sum has as many terms.
#[doc(alias = "mvlgamma")]
#[track_caller]
pub fn multigammaln(a: &Array, d: usize) -> Array {
    floating("multigammaln", &[a]);
    if d > 1000 {
        reject("multigammaln", format!("{d} dimensions are more than 1000, each of which is a term of a sum"), &[a]);
    }
    let constant = (d * d.saturating_sub(1)) as f64 / 4.0 * PI.ln();
    (0..d).fold(a * 0.0 + constant, |sum, i| sum + LGAMMA.of([&(a - i as f64 * 0.5)]))
}
