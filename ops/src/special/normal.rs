//! The normal distribution function, its logarithm and its inverse, and the inverse of the error function.

use super::long_floats;
use crate::array::Array;
use crate::custom_jvp;
use crate::operators::where_;
use crate::random::{horner, inverse_by_log};
use gavotte_core::aval::DType;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

/// `f` in double precision, rounded to the type of `x` at the end.
#[track_caller]
fn in_double(x: &Array, f: impl Fn(&Array) -> Array) -> Array {
    f(&x.astype(DType::F64)).astype(x.dtype())
}

/// The number whose error function is `x`: infinite at 1 and -1, NaN beyond.
///
/// ```
/// use gavotte::{Array, special::erfinv};
/// assert_eq!(erfinv(&Array::from([0.0, 1.0])).to_vec::<f64>(), [0.0, f64::INFINITY]);
/// ```
///
/// # Panics
/// If the elements are not floating.
#[doc(alias = "erf_inv")]
#[track_caller]
pub fn erfinv(x: &Array) -> Array {
    long_floats("erfinv", &[x]);
    // In `1 - x²`, the rounding of `x²` would be most of what is left near the ends.
    let of = |x: &Array| {
        let is_near = x.abs().lt(0.5);
        let (near, far) = (where_(&is_near, x, 0.0), where_(&is_near, 0.0, x));
        let log = where_(&is_near, (-near.square()).log1p(), ((1.0 - &far) * (1.0 + &far)).log());
        inverse_by_log(x, &-log)
    };
    // y = erf⁻¹ x: dy = √π / 2 · e^(y²) dx
    inverse(x, move |x| in_double(x, of), |y| y.square().exp() * (PI.sqrt() / 2.0))
}

/// A function whose derivative is a function of its result. The first two derivatives are as precise as that; higher ones
/// differentiate the function as it is computed.
#[track_caller]
fn inverse(
    x: &Array,
    of: impl Fn(&Array) -> Array + Copy + Send + Sync + 'static,
    slope: fn(&Array) -> Array,
) -> Array {
    let once = move |x: Array| {
        let rule = move |(x,): (Array,), (dx,): (Array,)| {
            let y = of(&x);
            let tangent = slope(&y) * dx;
            (y, tangent)
        };
        custom_jvp(move |x: Array| of(&x), rule)(x)
    };
    let rule = move |(x,): (Array,), (dx,): (Array,)| {
        let y = once(x);
        let tangent = slope(&y) * dx;
        (y, tangent)
    };
    custom_jvp(move |x: Array| of(&x), rule)(x.clone())
}

/// The density of the normal distribution.
#[track_caller]
fn density(x: &Array) -> Array {
    (x.square() * -0.5).exp() / (2.0 * PI).sqrt()
}

/// The probability that a standard normal variable is below `x`.
///
/// ```
/// use gavotte::{Array, special::ndtr};
/// assert_eq!(ndtr(&Array::from([0.0, f64::INFINITY])).to_vec::<f64>(), [0.5, 1.0]);
/// ```
///
/// # Panics
/// If the elements are not floating.
// ndtr x = ½ erfc(-x / √2)
// d ndtr x = e^(-x²/2) / √(2π) dx
#[track_caller]
pub fn ndtr(x: &Array) -> Array {
    long_floats("ndtr", &[x]);
    let of = |x: Array| in_double(&x, half_erfc);
    let rule = move |(x,): (Array,), (dx,): (Array,)| (of(x.clone()), density(&x) * dx);
    custom_jvp(of, rule)(x.clone())
}

/// `½ erfc(-x / √2)` in `f64`.
// Far below 0 the rounding of z = x / √2 changes erfc(-z) in proportion to z². So the product is computed in two parts:
// x = a + b and 1/√2 = c + d, where a and c have 24 bits each and a c is exact. What z lacks is δ = (a c - z) + a d + b / √2,
// and erfc(-z - δ) = erfc(-z) + 2 / √π e^(-z²) δ + …
#[track_caller]
fn half_erfc(x: &Array) -> Array {
    const HIGH: f64 = 0.707_106_769_084_930_4;
    const LOW: f64 = 1.210_161_710_447_897e-8;
    // Beyond, the result is 0 or 1.
    let x = x.clip(-40.0, 40.0);
    let z = &x * FRAC_1_SQRT_2;
    let a = x.astype(DType::F32).astype(DType::F64);
    let lacking = (&a * HIGH - &z) + &a * LOW + (&x - &a) * FRAC_1_SQRT_2;
    let correction = (-z.square()).exp() * lacking * FRAC_2_SQRT_PI;
    ((-z).erfc() + correction) * 0.5
}

/// Where the asymptotic series takes over.
fn far_below(dtype: DType) -> f64 {
    if dtype == DType::F32 { -10.0 } else { -20.0 }
}

/// `Σ (-1)ⁿ (2n - 1)!! / x²ⁿ`, by which `e^(-x²/2) / √(2π) / -x` is multiplied for the distribution function far below 0.
///
/// Source: *Digital Library of Mathematical Functions*, 7.12.1.
// 1 - 1/x² (1 - 3/x² (1 - 5/x² (…))): the first term left out is below 1e-15 for x < -20.
#[track_caller]
fn series(x: &Array) -> Array {
    let u = (1.0 / x).square();
    (0..9).rev().fold(1.0 - &u * 19.0, |rest, n| 1.0 - &u * f64::from(2 * n + 1) * rest)
}

/// The logarithm of [`ndtr`], also where that is near 0 or 1.
///
/// ```
/// use gavotte::{Array, special::log_ndtr};
/// let y = log_ndtr(&Array::from([0.0, -1e10])).to_vec::<f64>();
/// assert_eq!(y, [-(2f64.ln()), -5e19]);
/// ```
///
/// # Panics
/// If the elements are not floating.
// d log(ndtr x) = e^(-x²/2) / √(2π) / ndtr x dx, which far below 0 is -x / series x
#[track_caller]
pub fn log_ndtr(x: &Array) -> Array {
    long_floats("log_ndtr", &[x]);
    let of = |x: Array| {
        let end = far_below(x.dtype());
        let (is_far, is_upper) = (x.lt(end), x.gt(0.0));
        let (far, near) = (where_(&is_far, &x, end), where_(&is_far, 0.0, -x.abs()));
        // The smaller of the two tails.
        let tail = ndtr(&near);
        let far = far.square() * -0.5 - (-&far).log() - 0.5 * (2.0 * PI).ln() + series(&far).log();
        let near = where_(&is_upper, (-&tail).log1p(), tail.log());
        where_(&is_far, far, near)
    };
    let rule = move |(x,): (Array,), (dx,): (Array,)| {
        let end = far_below(x.dtype());
        let is_far = x.lt(end);
        let (far, near) = (where_(&is_far, &x, end), where_(&is_far, 0.0, &x));
        let slope = where_(&is_far, -&far / series(&far), density(&near) / ndtr(&near));
        (of(x), slope * dx)
    };
    custom_jvp(of, rule)(x.clone())
}

/// Coefficients of the quotients of polynomials in [`ndtri`], highest power first.
///
/// Source: S. L. Moshier, *Cephes*, `ndtri`.
#[allow(clippy::excessive_precision, reason = "the digits are those of the source")]
mod cephes {
    pub(super) const CENTRE: [&[f64]; 2] = [
        &[
            -5.99633501014107895267e1,
            9.80010754185999661536e1,
            -5.66762857469070293439e1,
            1.39312609387279679503e1,
            -1.23916583867381258016e0,
        ],
        &[
            1.0,
            1.95448858338141759834e0,
            4.67627912898881538453e0,
            8.63602421390890590575e1,
            -2.25462687854119370527e2,
            2.00260212380060660359e2,
            -8.20372256168333339912e1,
            1.59056225126211695515e1,
            -1.18331621121330003142e0,
        ],
    ];
    pub(super) const MIDDLE: [&[f64]; 2] = [
        &[
            4.05544892305962419923e0,
            3.15251094599893866154e1,
            5.71628192246421288162e1,
            4.40805073893200834700e1,
            1.46849561928858024014e1,
            2.18663306850790267539e0,
            -1.40256079171354495875e-1,
            -3.50424626827848203418e-2,
            -8.57456785154685413611e-4,
        ],
        &[
            1.0,
            1.57799883256466749731e1,
            4.53907635128879210584e1,
            4.13172038254672030440e1,
            1.50425385692907503408e1,
            2.50464946208309415979e0,
            -1.42182922854787788574e-1,
            -3.80806407691578277194e-2,
            -9.33259480895457427372e-4,
        ],
    ];
    pub(super) const TAIL: [&[f64]; 2] = [
        &[
            3.23774891776946035970e0,
            6.91522889068984211695e0,
            3.93881025292474443415e0,
            1.33303460815807542389e0,
            2.01485389549179081538e-1,
            1.23716634817820021358e-2,
            3.01581553508235416007e-4,
            2.65806974686737550832e-6,
            6.23974539184983293730e-9,
        ],
        &[
            1.0,
            6.02427039364742014255e0,
            3.67983563856160859403e0,
            1.37702099489081330271e0,
            2.16236993594496635890e-1,
            1.34204006088543189037e-2,
            3.28014464682127739104e-4,
            2.89247864745380683936e-6,
            6.79019408009981274425e-9,
        ],
    ];
}

#[track_caller]
fn quotient(x: &Array, [top, bottom]: [&[f64]; 2]) -> Array {
    horner(x, top) / horner(x, bottom)
}

/// The number below which a standard normal variable lies with probability `p`, the inverse of [`ndtr`]: infinite at 0 and
/// 1, NaN beyond.
///
/// ```
/// use gavotte::{Array, special::ndtri};
/// assert_eq!(ndtri(&Array::from([0.5, 1.0])).to_vec::<f64>(), [0.0, f64::INFINITY]);
/// ```
///
/// # Panics
/// If the elements are not floating.
#[track_caller]
pub fn ndtri(p: &Array) -> Array {
    long_floats("ndtri", &[p]);
    let of = |p: &Array| {
        let edge = (-2f64).exp();
        let is_upper = p.gt(1.0 - edge);
        let tail = where_(&is_upper, 1.0 - p, p);
        let is_central = tail.gt(edge);
        let w = where_(&is_central, &tail, 0.5) - 0.5;
        let square = w.square();
        let central = (&w + &w * &square * quotient(&square, cephes::CENTRE)) * (2.0 * PI).sqrt();
        let is_zero = tail.eq(0.0);
        let z = (where_(&(&is_central | &is_zero), edge, &tail).log() * -2.0).sqrt();
        let inverse = 1.0 / &z;
        let is_far = z.ge(8.0);
        let [middle, far] = [cephes::MIDDLE, cephes::TAIL].map(|parts| quotient(&inverse, parts));
        let lower = &inverse * where_(&is_far, far, middle) - (&z - z.log() / &z);
        let lower = where_(&is_zero, f64::NEG_INFINITY, lower);
        where_(&is_central, central, where_(&is_upper, -&lower, &lower))
    };
    // x = ndtri p: dx = √(2π) e^(x²/2) dp
    inverse(p, move |p| in_double(p, of), |x| (x.square() * 0.5).exp() * (2.0 * PI).sqrt())
}
