//! Words of bits: reduced bit by bit, multiplied in full, and floats with fewer bits.

use super::long_floats;
use crate::array::Array;
use crate::custom::custom_jvp;
use crate::generate::iota;
use crate::movement::reject;
use crate::operators::where_;
use crate::reduce::{Axes, resolve};
use gavotte_core::aval::DType;

/// The number of bits of an integer type.
fn width(dtype: DType) -> usize {
    8 * dtype.size()
}

/// A reduction over axes of each bit for itself: `of` has the bits as zeros and ones, and returns an odd number for a bit
/// that is set.
#[track_caller]
fn by_bits(name: &str, x: &Array, axes: impl Axes, of: fn(&Array, &[usize]) -> Array) -> Array {
    let axes = resolve(name, axes, x);
    if x.dtype() == DType::Bool {
        return (of(&x.astype(DType::I32), &axes) & 1).astype(DType::Bool);
    }
    if !x.dtype().is_int() {
        reject(name, "takes integers or bool: convert with `astype` first", &[x]);
    }
    let places = iota([width(x.dtype())], 0, x.dtype());
    let one = Array::scalar(1i32).astype(x.dtype());
    let bits = (x.expand_dims(-1) >> &places) & &one;
    ((of(&bits, &axes) & one) << places).sum(-1)
}

/// Integers combined over axes by `&`, bit by bit: every bit that all elements have. All bits are set if there are no
/// elements. Of `bool`: whether all are true.
///
/// ```
/// use gavotte::{Array, reduce_and};
/// assert_eq!(reduce_and(&Array::from([[6, 12], [-2, 4]]), 1).to_vec::<i32>(), [4, 4]);
/// ```
///
/// # Panics
/// If the elements are floats, or there is no such axis.
///
/// Source: JAX, `jax.lax.reduce_and`.
#[track_caller]
pub fn reduce_and(x: &Array, axes: impl Axes) -> Array {
    by_bits("reduce_and", x, axes, |bits, axes| bits.min(axes))
}

/// Integers combined over axes by `|`, bit by bit: every bit that some element has. 0 if there are no elements. Of `bool`:
/// whether some is true.
///
/// ```
/// use gavotte::{Array, reduce_or};
/// assert_eq!(reduce_or(&Array::from([[6, 12], [-2, 1]]), 1).to_vec::<i32>(), [14, -1]);
/// ```
///
/// # Panics
/// If the elements are floats, or there is no such axis.
///
/// Source: JAX, `jax.lax.reduce_or`.
#[track_caller]
pub fn reduce_or(x: &Array, axes: impl Axes) -> Array {
    by_bits("reduce_or", x, axes, |bits, axes| bits.max(axes))
}

/// Integers combined over axes by `^`, bit by bit: every bit that an odd number of elements has. 0 if there are no
/// elements. Of `bool`: whether an odd number is true.
///
/// ```
/// use gavotte::{Array, reduce_xor};
/// assert_eq!(reduce_xor(&Array::from([[6, 12], [-2, 1]]), 1).to_vec::<i32>(), [10, -1]);
/// ```
///
/// # Panics
/// If the elements are floats, or there is no such axis.
///
/// Source: JAX, `jax.lax.reduce_xor`.
#[track_caller]
pub fn reduce_xor(x: &Array, axes: impl Axes) -> Array {
    by_bits("reduce_xor", x, axes, |bits, axes| bits.sum(axes))
}

/// The product over axes: lax's name of [`Array::prod`].
///
/// ```
/// use gavotte::{Array, reduce_prod};
/// assert_eq!(reduce_prod(&Array::from([[6, 12], [-2, 1]]), 1).to_vec::<i32>(), [72, -2]);
/// ```
///
/// # Panics
/// If the elements are `bool`, or there is no such axis.
///
/// Source: JAX, `jax.lax.reduce_prod`.
#[track_caller]
pub fn reduce_prod(x: &Array, axes: impl Axes) -> Array {
    x.prod(axes)
}

/// The upper half of the bits of the product of two integers: `floor(a · b / 2ʷ)` for integers of `w` bits.
///
/// ```
/// use gavotte::{Array, mulhi};
/// assert_eq!(mulhi(&Array::from([1 << 20, -3]), &Array::from([1 << 20, 5])).to_vec::<i32>(), [256, -1]);
/// ```
///
/// # Panics
/// If the two are not integers of one type, or their shapes do not broadcast.
///
/// Source: JAX, `jax.lax.mulhi`; of 64 bits Warren, *Hacker's Delight*, section 8-2.
#[track_caller]
pub fn mulhi(a: &Array, b: &Array) -> Array {
    let dtype = a.dtype();
    if !dtype.is_int() || b.dtype() != dtype {
        reject("mulhi", "takes integers of one type: convert with `astype` first", &[a, b]);
    }
    let half = width(dtype);
    if half <= 32 {
        // The sign goes into the upper half with the conversion, so bits from below are the same with any shift.
        let [a, b] = [a, b].map(|x| x.astype(DType::I64));
        let product =
            if dtype == DType::U32 { a.astype(DType::U64) * b.astype(DType::U64) } else { (a * b).astype(DType::U64) };
        return (product >> Array::scalar(half as u64)).astype(dtype);
    }
    let is_signed = dtype == DType::I64;
    let [x, y] = [a, b].map(|x| x.astype(DType::U64));
    let half = Array::scalar(32u64);
    let low = |x: &Array| x & Array::scalar(u64::from(u32::MAX));
    let [(x0, x1), (y0, y1)] = [&x, &y].map(|x| (low(x), x >> &half));
    let middle = &x1 * &y0 + ((&x0 * &y0) >> &half);
    let other = low(&middle) + x0 * &y1;
    let high = x1 * y1 + (middle >> &half) + (other >> half);
    // -2⁶⁴ of a factor counts the other one.
    let of_sign =
        |negative: &Array, other: &Array| where_(&negative.lt(Array::scalar(0i64)), other, Array::scalar(0u64));
    if is_signed { (high - of_sign(a, &y) - of_sign(b, &x)).astype(dtype) } else { high }
}

/// Floats rounded to the nearest that has these numbers of bits for exponent and mantissa, of two the even one; infinite
/// beyond its range, and 0 below the least normal one if the exponent has fewer bits than before. NaN stays NaN. The
/// element type stays.
///
/// The derivative is that of the identity.
///
/// ```
/// use gavotte::{Array, reduce_precision};
/// // As bf16: 8 bits and 7.
/// assert_eq!(reduce_precision(&Array::from([1.01f32, -3.0]), 8, 7).to_vec::<f32>(), [1.0078125, -3.0]);
/// ```
///
/// # Panics
/// If the elements are not `f32` or `f64`, or the type has fewer bits than asked for, or the exponent has no bit.
///
/// Source: JAX, `jax.lax.reduce_precision`; XLA, `EmitReducePrecisionIR`. JAX rounds tangents, too.
#[track_caller]
pub fn reduce_precision(x: &Array, exponent_bits: usize, mantissa_bits: usize) -> Array {
    long_floats("reduce_precision", &[x]);
    let (word, exponent, mantissa) = if x.dtype() == DType::F64 { (DType::U64, 11, 52) } else { (DType::U32, 8, 23) };
    if exponent_bits == 0 || exponent_bits > exponent || mantissa_bits > mantissa {
        let why = format!(
            "{exponent_bits} bits of exponent must be in 1..={exponent}, {mantissa_bits} of mantissa in 0..={mantissa}"
        );
        reject("reduce_precision", why, &[x]);
    }
    // All bits but the sign.
    let magnitude = (1u64 << (exponent + mantissa)) - 1;
    let round = move |x: &Array| {
        let number = |n: u64| Array::scalar(n).astype(word);
        let bits = x.bitcast(word);
        let sign = &bits & number(1 << (exponent + mantissa));
        let mut size = &bits & number(magnitude);
        let dropped = mantissa - mantissa_bits;
        if dropped > 0 {
            // A half less one, and one more where the last bit that stays is set.
            let odd = (&size >> number(dropped as u64)) & number(1);
            size = (size + number((1 << (dropped - 1)) - 1) + odd) & number(magnitude - ((1 << dropped) - 1));
        }
        if exponent_bits < exponent {
            let (bias, narrow) = ((1u64 << (exponent - 1)) - 1, (1u64 << (exponent_bits - 1)) - 1);
            // Fields beyond those of the largest and the least normal number.
            let field = &size >> number(mantissa as u64);
            let infinite = number(((1 << exponent) - 1) << mantissa);
            size = where_(&field.gt(number(bias + narrow)), infinite, size);
            size = where_(&field.le(number(bias - narrow)), number(0), size);
        }
        where_(&x.isnan(), x, (sign | size).bitcast(x.dtype()))
    };
    custom_jvp(move |x: Array| round(&x), move |(x,): (Array,), (t,): (Array,)| (round(&x), t))
        .try_call((x.clone(),))
        .unwrap_or_else(|why| gavotte_core::ir::refuse(why))
}
