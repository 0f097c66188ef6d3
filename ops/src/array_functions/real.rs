//! Functions of real numbers, element by element.

use super::{floating, long_floats, number, shift_right};
use crate::array::Array;
use crate::custom_jvp;
use crate::movement::reject;
use crate::operators::{Operand, pair, where_};
use gavotte_core::aval::DType;
use std::f64::consts::{LN_2, PI};

/// Functions of one real variable, composed of others.
impl Array {
    /// `1 / x`; an infinity for a zero.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([2.0, -4.0]).reciprocal().to_vec::<f64>(), [0.5, -0.25]);
    /// ```
    ///
    /// # Panics
    /// If the elements are not floating.
    #[track_caller]
    pub fn reciprocal(&self) -> Array {
        floating("reciprocal", &[self]);
        1.0 / self
    }

    /// `1 / √x`; an infinity for a zero, NaN for a negative number.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([4.0, 0.25]).rsqrt().to_vec::<f64>(), [0.5, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If the elements are not floating.
    #[track_caller]
    pub fn rsqrt(&self) -> Array {
        floating("rsqrt", &[self]);
        1.0 / self.sqrt()
    }

    /// Degrees in radians: `x π / 180`.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([180.0]).deg2rad().to_vec::<f64>(), [std::f64::consts::PI]);
    /// ```
    ///
    /// # Panics
    /// If the elements are not floating.
    #[track_caller]
    pub fn deg2rad(&self) -> Array {
        floating("deg2rad", &[self]);
        self * (PI / 180.0)
    }

    /// Radians in degrees: `180 x / π`.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([std::f64::consts::PI]).rad2deg().to_vec::<f64>(), [180.0]);
    /// ```
    ///
    /// # Panics
    /// If the elements are not floating.
    #[track_caller]
    pub fn rad2deg(&self) -> Array {
        floating("rad2deg", &[self]);
        self * (180.0 / PI)
    }

    /// `sin(πx) / (πx)`, which is 1 at 0; NaN at infinities. All its derivatives are right at 0 and near it.
    ///
    /// ```
    /// use gavotte::Array;
    /// let y = Array::from([0.0, 0.5]).sinc().to_vec::<f64>();
    /// assert_eq!(y, [1.0, 2.0 / std::f64::consts::PI]);
    /// ```
    ///
    /// # Panics
    /// If the elements are not floating.
    // Near 0 the derivatives of the quotient cancel, so there it is its series: Σ (-1)ᵏ (πx)²ᵏ / (2k + 1)!, whose next
    // term is below 1e-17 for |x| < ¼.
    #[track_caller]
    pub fn sinc(&self) -> Array {
        floating("sinc", &[self]);
        let is_near = self.abs().lt(0.25);
        let (near, far) = (where_(&is_near, self, 0.0) * PI, where_(&is_near, 1.0, self) * PI);
        let u = near.square();
        // Each term is the one before times this.
        let factor = |k: i32| -1.0 / f64::from(2 * k * (2 * k + 1));
        let mut series = &u * factor(9);
        for k in (1..9).rev() {
            series = (series + 1.0) * &u * factor(k);
        }
        where_(&is_near, series + 1.0, far.sin() / &far)
    }

    /// The fraction and the whole part, both with the sign of `x`: rounded toward zero, and what is left. The fraction of an
    /// infinity is NaN. The derivative of the whole part is 0.
    ///
    /// ```
    /// use gavotte::Array;
    /// let (fraction, whole) = Array::from([2.5, -2.5]).modf();
    /// assert_eq!(fraction.to_vec::<f64>(), [0.5, -0.5]);
    /// assert_eq!(whole.to_vec::<f64>(), [2.0, -2.0]);
    /// ```
    ///
    /// # Panics
    /// If the elements are not floating.
    #[track_caller]
    pub fn modf(&self) -> (Array, Array) {
        floating("modf", &[self]);
        let whole = where_(&self.ge(0.0), self.floor(), -(-self).floor());
        (self - &whole, whole)
    }

    /// Whether each element has a minus sign: also -0 and `-∞` have one, that of NaN counts as positive.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1.0, -0.0]).signbit().to_vec::<bool>(), [false, true]);
    /// ```
    ///
    /// # Panics
    /// If the elements are not floating.
    #[track_caller]
    pub fn signbit(&self) -> Array {
        long_floats("signbit", &[self]);
        let x = self.stop_gradient();
        x.lt(0.0) | (x.eq(0.0) & (1.0 / &x).lt(0.0))
    }

    /// The elements with zeros for NaN, and the largest finite numbers of their signs for infinities; integers as they
    /// are. Replaced elements have the derivative 0.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([1.0, f64::NAN, -f64::INFINITY]);
    /// assert_eq!(x.nan_to_num().to_vec::<f64>(), [1.0, 0.0, f64::MIN]);
    /// ```
    #[track_caller]
    pub fn nan_to_num(&self) -> Array {
        if !self.dtype().is_float() {
            return self.clone();
        }
        let most = self.dtype().largest();
        let largest = where_(&self.eq(f64::INFINITY), number(self.dtype(), most), self);
        let finite = where_(&self.eq(f64::NEG_INFINITY), number(self.dtype(), -most), largest);
        where_(&self.isnan(), 0.0, finite)
    }
}

/// 0 where `x` is negative, 1 where it is positive, `middle` where it is 0; NaN for NaN. The two broadcast.
///
/// ```
/// use gavotte::{Array, heaviside};
/// assert_eq!(heaviside(Array::from([-2.0, 0.0, 3.0]), 0.5).to_vec::<f64>(), [0.0, 0.5, 1.0]);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
#[track_caller]
pub fn heaviside(x: impl Operand, middle: impl Operand) -> Array {
    let [x, middle] = pair(x, middle);
    floating("heaviside", &[&x, &middle]);
    let at_zero = where_(&x.isnan(), &x, &middle);
    where_(&x.lt(0.0), 0.0, where_(&x.gt(0.0), 1.0, at_zero))
}

/// The larger one, or the other one if one is NaN; [`Array::maximum`] is NaN then. The two broadcast. The derivative is
/// that of the one chosen, which of equals is `y`.
///
/// ```
/// use gavotte::{Array, fmax};
/// assert_eq!(fmax(Array::from([1.0, f64::NAN]), 0.5).to_vec::<f64>(), [1.0, 0.5]);
/// ```
///
/// # Panics
/// If the two differ in element type or are `bool`, or their shapes do not broadcast.
#[track_caller]
pub fn fmax(x: impl Operand, y: impl Operand) -> Array {
    let [x, y] = pair(x, y);
    where_(&(x.gt(&y) | y.isnan()), &x, &y)
}

/// The smaller one, or the other one if one is NaN; [`Array::minimum`] is NaN then. The two broadcast. The derivative is
/// that of the one chosen, which of equals is `y`.
///
/// ```
/// use gavotte::{Array, fmin};
/// assert_eq!(fmin(Array::from([1.0, f64::NAN]), 0.5).to_vec::<f64>(), [0.5, 0.5]);
/// ```
///
/// # Panics
/// If the two differ in element type or are `bool`, or their shapes do not broadcast.
#[track_caller]
pub fn fmin(x: impl Operand, y: impl Operand) -> Array {
    let [x, y] = pair(x, y);
    where_(&(x.lt(&y) | y.isnan()), &x, &y)
}

/// `x` to the power `y`, both floating: [`Array::pow`] with a number on either side. The two broadcast.
///
/// ```
/// use gavotte::{Array, float_power};
/// assert_eq!(float_power(2.0, Array::from([3.0, -1.0])).to_vec::<f64>(), [8.0, 0.5]);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
#[track_caller]
pub fn float_power(x: impl Operand, y: impl Operand) -> Array {
    let [x, y] = pair(x, y);
    floating("float_power", &[&x, &y]);
    x.pow(y)
}

/// `x` with the sign of `y`; a zero has a sign, that of NaN counts as positive. The two broadcast.
///
/// ```
/// use gavotte::{Array, copysign};
/// assert_eq!(copysign(Array::from([1.0, -2.0]), -0.0).to_vec::<f64>(), [-1.0, -2.0]);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
#[track_caller]
pub fn copysign(x: impl Operand, y: impl Operand) -> Array {
    let [x, y] = pair(x, y);
    long_floats("copysign", &[&x, &y]);
    let size = x.abs();
    where_(&y.signbit(), -&size, &size)
}

/// The number next to `x` on the side of `y`, or `y` if the two are equal; NaN if one is. The two broadcast. The derivatives
/// are 0.
///
/// ```
/// use gavotte::{Array, nextafter};
/// let next = nextafter(Array::from([1.0, 0.0]), Array::from([2.0, -1.0])).to_vec::<f64>();
/// assert_eq!(next, [1.0 + f64::EPSILON, -5e-324]);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
///
/// Source for `f64`: Rump, Zimmermann, Boldo, Melquiond, *Computing predecessor and successor in rounding to nearest* (BIT
/// 2009), algorithm 2.
#[track_caller]
pub fn nextafter(x: impl Operand, y: impl Operand) -> Array {
    let [x, y] = pair(x, y);
    long_floats("nextafter", &[&x, &y]);
    let (x, y) = (x.stop_gradient(), y.stop_gradient());
    let is_up = y.gt(&x);
    let moved = if x.dtype() == DType::F32 {
        // Away from zero, the bits count up.
        let bits = x.bitcast(DType::I32);
        let is_outward = is_up.eq(x.gt(0.0));
        let counted = bits + is_outward.astype(DType::I32) * 2 - 1;
        let least = where_(&is_up, number(DType::I32, 1.0), number(DType::I32, i32::MIN.into()) + 1);
        where_(&x.eq(0.0), least, counted).bitcast(DType::F32)
    } else {
        // u is half the distance from 1 to the next number, η the least one.
        let (u, least) = (f64::EPSILON / 2.0, f64::from_bits(1));
        let is_tiny = x.abs().lt(least / u);
        let is_small = x.abs().lt(least / (u * u) / 2.0);
        let scaled = where_(&is_small, &x / u, &x);
        let distance = where_(&is_tiny, least, scaled.abs() * (u * (1.0 + 2.0 * u)));
        let from = where_(&is_tiny, &x, &scaled);
        let next = &from + where_(&is_up, &distance, -&distance);
        let next = where_(&(&is_small & !&is_tiny), &next * u, next);
        let next = where_(&next.eq(0.0), &x * 0.0, next);
        where_(&x.isinf(), x.sign() * f64::MAX, next)
    };
    where_(&x.eq(&y), &y, where_(&(x.isnan() | y.isnan()), &x + &y, moved))
}

/// The length of the vector `(x, y)`: `√(x² + y²)`, which does not overflow unless the length does. An infinity if either
/// is infinite, even next to NaN. The two broadcast.
///
/// The derivative is the direction of the vector, and 0 at the origin.
///
/// ```
/// use gavotte::{Array, hypot};
/// assert_eq!(hypot(Array::from([3.0, 1e200]), Array::from([4.0, 0.0])).to_vec::<f64>(), [5.0, 1e200]);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
// |(x, y)| = m √(1 + (l / m)²) with the larger m and the smaller l of |x| and |y|
// d|(x, y)| = (x dx + y dy) / |(x, y)|
#[track_caller]
pub fn hypot(x: impl Operand, y: impl Operand) -> Array {
    let [x, y] = pair(x, y);
    floating("hypot", &[&x, &y]);
    let length = |x: &Array, y: &Array| {
        let (x, y) = (x.abs(), y.abs());
        let is_infinite = x.eq(f64::INFINITY) | y.eq(f64::INFINITY);
        let (most, least) = (x.maximum(&y), x.minimum(&y));
        let is_zero = most.eq(0.0);
        let ratio = least / where_(&is_zero, 1.0, &most);
        where_(&is_infinite, f64::INFINITY, &most * (ratio.square() + 1.0).sqrt())
    };
    let rule = move |(x, y): (Array, Array), (dx, dy): (Array, Array)| {
        let out = length(&x, &y);
        let safe = where_(&out.eq(0.0), 1.0, &out);
        let share = |part: &Array| where_(&part.isinf(), part.sign(), part / &safe);
        let tangent = share(&x) * dx + share(&y) * dy;
        (out, tangent)
    };
    custom_jvp(move |x: Array, y: Array| length(&x, &y), rule)(x, y)
}

/// `log(eˣ + eʸ)`, computed without overflow. The two broadcast.
///
/// The derivative with respect to `x` is `1 / (1 + eʸ⁻ˣ)`; equal arguments share it, also if they are infinite.
///
/// ```
/// use gavotte::{Array, logaddexp};
/// let y = logaddexp(Array::from([1000.0, -1000.0]), 1000.0).to_vec::<f64>();
/// assert_eq!(y, [1000.0 + 2f64.ln(), 1000.0]);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
#[track_caller]
pub fn logaddexp(x: impl Operand, y: impl Operand) -> Array {
    let [x, y] = pair(x, y);
    floating("logaddexp", &[&x, &y]);
    log_of_sum(x, y, 1.0)
}

/// `log₂(2ˣ + 2ʸ)`, computed without overflow. The two broadcast. Its derivative is `1 / (1 + 2ʸ⁻ˣ)`, as in
/// [`logaddexp`].
///
/// ```
/// use gavotte::{Array, logaddexp2};
/// assert_eq!(logaddexp2(Array::from([1000.0, -1000.0]), 1000.0).to_vec::<f64>(), [1001.0, 1000.0]);
/// ```
///
/// # Panics
/// If the two do not have the same floating type, or their shapes do not broadcast.
#[track_caller]
pub fn logaddexp2(x: impl Operand, y: impl Operand) -> Array {
    let [x, y] = pair(x, y);
    floating("logaddexp2", &[&x, &y]);
    log_of_sum(x, y, LN_2)
}

/// The logarithm of `bˣ + bʸ` to the base `b`, whose natural logarithm is `scale`.
// log_b(bˣ + bʸ) = max(x, y) + log(1 + b^-|x - y|) / log b
#[track_caller]
fn log_of_sum(x: Array, y: Array, scale: f64) -> Array {
    let of = move |x: &Array, y: &Array| {
        let apart = x - y;
        // Two equal infinities: their distance is NaN. NaN plus anything is NaN.
        let is_undefined = apart.isnan();
        let safe = where_(&is_undefined, 0.0, &apart);
        let more = (safe.abs() * -scale).exp().log1p() / scale;
        where_(&is_undefined, x + y, x.maximum(y) + more)
    };
    let rule = move |(x, y): (Array, Array), (dx, dy): (Array, Array)| {
        let is_tie = x.eq(&y);
        let apart = where_(&is_tie, 0.0, &x - &y) * scale;
        let tangent = apart.logistic() * dx + (-&apart).logistic() * dy;
        (of(&x, &y), tangent)
    };
    custom_jvp(move |x: Array, y: Array| of(&x, &y), rule)(x, y)
}

/// `x · 2ⁿ` for whole numbers `n` of type `i32`. It overflows to infinity only if the result does. The two broadcast.
///
/// ```
/// use gavotte::{Array, ldexp};
/// assert_eq!(ldexp(&Array::from([0.5, 3.0]), &Array::from([3, -1])).to_vec::<f64>(), [4.0, 1.5]);
/// ```
///
/// # Panics
/// If `x` is not floating, `n` is not `i32`, or their shapes do not broadcast.
// A power of two that a float holds is made of bits. Of others three are multiplied: the whole range of the type is less.
#[track_caller]
pub fn ldexp(x: &Array, n: &Array) -> Array {
    long_floats("ldexp", &[x]);
    if n.dtype() != DType::I32 {
        reject("ldexp", "the exponent must be i32: convert with `astype` first", &[x, n]);
    }
    // 2ⁿ for n from -126 to 127.
    let power = |n: &Array| ((n + 127) << 23).bitcast(DType::F32);
    let (low, high) = if x.dtype() == DType::F32 { (-126, 127) } else { (-1008, 1023) };
    let (mut out, mut rest) = (x.clone(), n.clip(3 * low, 3 * high));
    for _ in 0..3 {
        let here = rest.clip(low, high);
        out = match x.dtype() {
            DType::F32 => out * power(&here),
            // 2ⁿ = (2^⌊n/8⌋)⁸ · 2^(n mod 8)
            dtype => {
                let parts = [shift_right(&here, 3), &here & 7].map(|part| power(&part).astype(dtype));
                out * (parts[0].powi(8) * &parts[1])
            }
        };
        rest -= here;
    }
    out
}
