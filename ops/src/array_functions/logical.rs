//! Truth values of arrays: logic, and questions about their elements.

use super::number;
use crate::array::Array;
use crate::generate::full;
use crate::operators::{Operand, pair};
use crate::reduce::{Axes, resolve};
use gavotte_core::aval::DType;

/// Whether each element is not 0; NaN counts as true.
#[track_caller]
fn truth(x: &Array) -> Array {
    if x.dtype() == DType::Bool { x.clone() } else { x.ne(number(x.dtype(), 0.0)) }
}

/// Whether both are true. Elements of any type count as true unless they are 0; the two broadcast.
///
/// ```
/// use gavotte::{Array, logical_and};
/// let (a, b) = (Array::from([0.5, 0.0, f64::NAN]), Array::from([true, true, true]));
/// assert_eq!(logical_and(&a, &b).to_vec::<bool>(), [true, false, true]);
/// ```
///
/// # Panics
/// If their shapes do not broadcast.
#[track_caller]
pub fn logical_and(a: &Array, b: &Array) -> Array {
    truth(a) & truth(b)
}

/// Whether at least one is true. Elements of any type count as true unless they are 0; the two broadcast.
///
/// ```
/// use gavotte::{Array, logical_or};
/// let (a, b) = (Array::from([0, 3, 0]), Array::from([false, false, true]));
/// assert_eq!(logical_or(&a, &b).to_vec::<bool>(), [false, true, true]);
/// ```
///
/// # Panics
/// If their shapes do not broadcast.
#[track_caller]
pub fn logical_or(a: &Array, b: &Array) -> Array {
    truth(a) | truth(b)
}

/// Whether exactly one is true. Elements of any type count as true unless they are 0; the two broadcast.
///
/// ```
/// use gavotte::{Array, logical_xor};
/// let (a, b) = (Array::from([0, 3, 2]), Array::from([1, 4, 0]));
/// assert_eq!(logical_xor(&a, &b).to_vec::<bool>(), [true, false, true]);
/// ```
///
/// # Panics
/// If their shapes do not broadcast.
#[track_caller]
pub fn logical_xor(a: &Array, b: &Array) -> Array {
    truth(a) ^ truth(b)
}

/// Whether each element of `a` is within `atol + rtol · |b|` of that of `b`. Infinities are close to themselves; NaN is
/// close to nothing. The rule is not symmetric: `b` is the reference. Integers are compared in `f64`. The two broadcast.
/// [`allclose`](crate::allclose) asks the same of whole arrays, on the host.
///
/// ```
/// use gavotte::{Array, isclose};
/// let (a, b) = (Array::from([1.0, 100.1]), Array::from([1.0, 100.0]));
/// assert_eq!(isclose(&a, &b, 1e-5, 1e-8).to_vec::<bool>(), [true, false]);
/// ```
///
/// # Panics
/// If the two differ in element type, or their shapes do not broadcast.
///
/// Source: NumPy, `numpy.isclose`, whose defaults are `rtol = 1e-5` and `atol = 1e-8`.
#[track_caller]
pub fn isclose(a: impl Operand, b: impl Operand, rtol: f64, atol: f64) -> Array {
    let [mut a, mut b] = pair(a, b);
    if !a.dtype().is_float() && a.dtype() == b.dtype() {
        [a, b] = [a.astype(DType::F64), b.astype(DType::F64)];
    }
    let within = (&a - &b).abs().le(b.abs() * rtol + atol);
    a.eq(&b) | (within & b.isfinite())
}

/// Whether each element of `x` occurs among the elements of `among`; NaN never does. It compares every element of one
/// with every element of the other.
///
/// ```
/// use gavotte::{Array, isin};
/// let x = Array::from([[1, 2], [3, 4]]);
/// assert_eq!(isin(&x, &Array::from([4, 1])).to_vec::<bool>(), [true, false, false, true]);
/// ```
///
/// # Panics
/// If the two differ in element type.
#[track_caller]
pub fn isin(x: &Array, among: &Array) -> Array {
    let equal = x.expand_dims(-1).eq(among.flatten());
    equal.astype(DType::I32).max(-1).gt(0)
}

/// Questions about elements, and how many elements they hold for.
impl Array {
    /// Whether an element is 0 (or `false`).
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([0.0, f64::NAN, 2.0]).logical_not().to_vec::<bool>(), [true, false, false]);
    /// ```
    #[track_caller]
    pub fn logical_not(&self) -> Array {
        !truth(self)
    }

    /// Whether an element is NaN, which no integer is.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1.0, f64::NAN]).isnan().to_vec::<bool>(), [false, true]);
    /// ```
    #[track_caller]
    pub fn isnan(&self) -> Array {
        if self.dtype().is_float() { self.ne(self) } else { full(self.shape().clone(), false) }
    }

    /// Whether an element is an infinity of either sign, which no integer is.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1.0, -f64::INFINITY]).isinf().to_vec::<bool>(), [false, true]);
    /// ```
    #[track_caller]
    pub fn isinf(&self) -> Array {
        if self.dtype().is_float() { self.abs().eq(f64::INFINITY) } else { full(self.shape().clone(), false) }
    }

    /// Whether an element is neither infinite nor NaN; every integer is finite.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1.0, f64::INFINITY, f64::NAN]).isfinite().to_vec::<bool>(), [true, false, false]);
    /// ```
    #[track_caller]
    pub fn isfinite(&self) -> Array {
        if self.dtype().is_float() { self.abs().lt(f64::INFINITY) } else { full(self.shape().clone(), true) }
    }

    /// How many elements over axes, which disappear, are not 0 (or `true`), as `i32`; NaN counts.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([[1, 0], [3, 4]]).count_nonzero(0).to_vec::<i32>(), [2, 1]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn count_nonzero(&self, axes: impl Axes) -> Array {
        let axes = resolve("count_nonzero", axes, self);
        truth(self).astype(DType::I32).sum(axes.as_slice())
    }
}
