//! Quotients and remainders of whole numbers of times, and shifts.

use super::number;
use crate::array::Array;
use crate::elementwise::{DIV, REM, SHIFT_LEFT, SHIFT_RIGHT_LOGICAL};
use crate::operators::{Operand, binary, pair, where_};

/// An integer divisor with ones for its zeros, of which every integer is a multiple; floats as they are.
#[track_caller]
fn divisor(b: &Array) -> Array {
    if b.dtype().is_int() { where_(&b.eq(0), 1, b) } else { b.clone() }
}

/// `b`'s sign is not that of the remainder `rest`, which is not 0.
#[track_caller]
fn disagrees(rest: &Array, b: &Array) -> Array {
    let zero = number(rest.dtype(), 0.0);
    rest.ne(&zero) & rest.lt(&zero).ne(b.lt(&zero))
}

/// The largest whole number that is not greater than `a / b`. The two broadcast.
///
/// Floats: NaN if either is NaN or `a` is infinite, an infinity or NaN if `b` is 0. Integers: what `/` returns if `b` is
/// 0. The derivative is 0.
///
/// ```
/// use gavotte::{Array, floor_divide};
/// assert_eq!(floor_divide(Array::from([7, -7]), 2).to_vec::<i32>(), [3, -4]);
/// assert_eq!(floor_divide(Array::from([7.5, -7.5]), 2.0).to_vec::<f64>(), [3.0, -4.0]);
/// ```
///
/// # Panics
/// If the two differ in element type or are `bool`, or their shapes do not broadcast.
// As in CPython's `float_divmod`: (a - a rem b) / b is a whole number up to rounding, which floor or one more restores.
#[track_caller]
pub fn floor_divide(a: impl Operand, b: impl Operand) -> Array {
    let [a, b] = pair(a, b);
    let rest = binary(&REM, &a, &b);
    let low = disagrees(&rest, &b);
    if !a.dtype().is_float() {
        let (zero, one) = (number(a.dtype(), 0.0), number(a.dtype(), 1.0));
        let quotient = binary(&DIV, &a, &b);
        return where_(&(low & b.ne(zero)), &quotient - one, &quotient);
    }
    let quotient = where_(&b.eq(0.0), &a, &a - &rest) / &b;
    let quotient = where_(&low, &quotient - 1.0, &quotient);
    let whole = quotient.floor();
    where_(&(&quotient - &whole).gt(0.5), &whole + 1.0, &whole)
}

/// What is left of `a` after taking `b` from it a whole number of times: the remainder with the sign of `b`, as in
/// Python. `%` and [`fmod`] have that of `a`. The two broadcast.
///
/// Floats: NaN if either is NaN, `a` is infinite or `b` is 0. Integers: 0 if `b` is 0. The derivative is that of
/// `a - b floor(a / b)`, with the floor as a constant.
///
/// ```
/// use gavotte::{Array, remainder};
/// assert_eq!(remainder(Array::from([7, -7]), 3).to_vec::<i32>(), [1, 2]);
/// assert_eq!(remainder(Array::from([7, -7]), -3).to_vec::<i32>(), [-2, -1]);
/// ```
///
/// # Panics
/// If the two differ in element type or are `bool`, or their shapes do not broadcast.
#[track_caller]
pub fn remainder(a: impl Operand, b: impl Operand) -> Array {
    let [a, b] = pair(a, b);
    let b = divisor(&b);
    let rest = binary(&REM, &a, &b);
    where_(&disagrees(&rest, &b), &rest + &b, &rest)
}

/// The remainder with the sign of `a`, as in C; [`remainder`] has that of `b`. The two broadcast.
///
/// Floats: NaN if either is NaN, `a` is infinite or `b` is 0. Integers: 0 if `b` is 0, unlike `%`.
///
/// ```
/// use gavotte::{Array, fmod};
/// assert_eq!(fmod(Array::from([7, -7]), 3).to_vec::<i32>(), [1, -1]);
/// ```
///
/// # Panics
/// If the two differ in element type or are `bool`, or their shapes do not broadcast.
#[track_caller]
pub fn fmod(a: impl Operand, b: impl Operand) -> Array {
    let [a, b] = pair(a, b);
    binary(&REM, &a, divisor(&b))
}

/// Integers times a power of two: `a << b`, with zeros from below. 0 if `b` is negative or at least the width.
///
/// ```
/// use gavotte::{Array, shift_left};
/// assert_eq!(shift_left(1, Array::from([0, 3, 40])).to_vec::<i32>(), [1, 8, 0]);
/// ```
///
/// # Panics
/// If the two are not integers of one type, or their shapes do not broadcast.
#[doc(alias = "left_shift")]
#[track_caller]
pub fn shift_left(a: impl Operand, b: impl Operand) -> Array {
    binary(&SHIFT_LEFT, a, b)
}

/// Integers with their bits moved down by `b`: `floor(a / 2ᵇ)`. This is what `>>` returns: copies of the sign
/// come from above, which for unsigned types are zeros. If `b` is negative or at least the width, only the sign is left: 0 or -1.
///
/// ```
/// use gavotte::{Array, shift_right};
/// assert_eq!(shift_right(Array::from([9, -9]), 1).to_vec::<i32>(), [4, -5]);
/// ```
///
/// # Panics
/// If the two are not integers of one type, or their shapes do not broadcast.
// For a negative `a`, whose inverse is not negative: !a >> b has zeros from above, and their inverses are ones.
#[doc(alias = "right_shift")]
#[track_caller]
pub fn shift_right(a: impl Operand, b: impl Operand) -> Array {
    let [a, b] = pair(a, b);
    let (own, wide) = (a.dtype(), a.dtype().computed());
    if own.is_int() && own != wide && own == b.dtype() {
        // The bits from above are those of the wider integer.
        return shift_right(a.astype(wide), b.astype(wide)).astype(own);
    }
    if !own.is_signed() {
        return binary(&SHIFT_RIGHT_LOGICAL, &a, &b);
    }
    let is_negative = a.lt(0);
    let moved = binary(&SHIFT_RIGHT_LOGICAL, where_(&is_negative, !&a, &a), &b);
    where_(&is_negative, !&moved, &moved)
}
