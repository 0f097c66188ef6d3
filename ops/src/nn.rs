//! Activations, and the last operations of classifiers.

use crate::array::Array;
use crate::custom_jvp;
use crate::generate::iota;
use crate::movement::{axis_of, reject};
use crate::operators::where_;
use gavotte_core::aval::{DType, Dim};
use gavotte_core::ir::structural::broadcast_in_dim;

/// `max(x, 0)`, with derivative 0 at 0; NaN for NaN.
#[track_caller]
pub fn relu(x: &Array) -> Array {
    where_(&x.le(0.0), 0.0, x)
}

/// `x` if it is positive, else `alpha (eˣ - 1)`.
///
/// Source: Clevert, Unterthiner, Hochreiter, *Fast and accurate deep network learning by exponential linear units*
/// (ICLR 2016), equation 15.
#[track_caller]
pub fn elu(x: &Array, alpha: f64) -> Array {
    let positive = x.gt(0.0);
    // Where its branch is not taken, the exponential gets zeros: an infinity there times a zero cotangent would be NaN.
    let negative = where_(&positive, 0.0, x).expm1();
    // alpha = 1 is the common case.
    where_(&positive, x, if alpha == 1.0 { negative } else { negative * alpha })
}

/// `x` if it is not negative, else `slope x`.
///
/// Source: Maas, Hannun, Ng, *Rectifier nonlinearities improve neural network acoustic models* (ICML 2013).
#[track_caller]
pub fn leaky_relu(x: &Array, slope: f64) -> Array {
    where_(&x.ge(0.0), x, x * slope)
}

/// `1 / (1 + e⁻ˣ)`.
#[track_caller]
pub fn sigmoid(x: &Array) -> Array {
    x.logistic()
}

/// The hyperbolic tangent.
#[track_caller]
pub fn tanh(x: &Array) -> Array {
    x.tanh()
}

/// `log(1 + eˣ)`, computed without overflow.
// log(1 + eˣ) = max(x, 0) + log(1 + e^-|x|), whose parts have kinks at 0 that cancel: the derivative is 1 / (1 + e⁻ˣ)
#[track_caller]
pub fn softplus(x: &Array) -> Array {
    let of = |x: Array| x.maximum(0.0) + (-x.abs()).exp().log1p();
    let rule = move |(x,): (Array,), (dx,): (Array,)| (of(x.clone()), x.logistic() * dx);
    custom_jvp(of, rule)(x.clone())
}

/// `x Φ(x)`, with the normal distribution function Φ approximated by `tanh`.
///
/// Source: Hendrycks and Gimpel, *Gaussian error linear units* (2016), section 2.
#[track_caller]
pub fn gelu(x: &Array) -> Array {
    let scale = (2.0 / std::f64::consts::PI).sqrt();
    // For large `|x|`, `tanh` is exactly 1 or -1, and its argument overflows.
    let is_far = x.abs().ge(16.0);
    let near = where_(&is_far, 0.0, x);
    let inner = (&near + near.powi(3) * 0.044715) * scale;
    where_(&is_far, relu(x), &near * (inner.tanh() + 1.0) * 0.5)
}

/// `x` reduced over `axis`, repeated along it.
#[track_caller]
fn along(x: &Array, reduced: &Array, axis: usize) -> Array {
    let kept: Vec<usize> = (0..x.ndim()).filter(|i| *i != axis).collect();
    broadcast_in_dim(reduced.value(), x.shape(), &kept).into()
}

/// The axis of an operation on floats, counted from the front.
#[track_caller]
fn floating_axis(operation: &str, x: &Array, axis: isize) -> usize {
    if !x.dtype().is_float() {
        reject(operation, "takes f32 or f64: convert with `astype` first", &[x]);
    }
    axis_of(operation, axis, x.ndim(), x)
}

/// `x` shifted along an axis so that no element is positive: it has the same softmax, without overflow.
fn shifted(x: &Array, axis: usize) -> Array {
    // The shift cancels, so it needs no derivative.
    let top = x.stop_gradient().max(axis);
    x - along(x, &top, axis)
}

/// `eˣ` divided by its sum over `axis`; a negative axis counts from the end.
///
/// # Panics
/// If there is no such axis, or the elements are not floating.
#[track_caller]
pub fn softmax(x: &Array, axis: isize) -> Array {
    let axis = floating_axis("softmax", x, axis);
    let of = move |x: Array| quotient(&x, axis);
    // The default derivative differentiates the quotient; this rule needs only the result of the forward pass.
    let rule = move |(x,): (Array,), (dx,): (Array,)| {
        let y = quotient(&x, axis);
        let dy = &y * dx;
        let dy = &dy - &y * along(&x, &dy.sum(axis), axis);
        (y, dy)
    };
    custom_jvp(of, rule)(x.clone())
}

/// [`softmax`] as a formula.
fn quotient(x: &Array, axis: usize) -> Array {
    let weights = shifted(x, axis).exp();
    &weights / along(x, &weights.sum(axis), axis)
}

/// The logarithm of [`softmax`], computed without underflow.
///
/// # Panics
/// As [`softmax`].
#[track_caller]
pub fn log_softmax(x: &Array, axis: isize) -> Array {
    let axis = floating_axis("log_softmax", x, axis);
    let shifted = shifted(x, axis);
    let total = shifted.exp().sum(axis).log();
    &shifted - along(x, &total, axis)
}

/// `log Σ eˣ` over `axis`, which disappears; computed without overflow.
///
/// # Panics
/// As [`softmax`].
#[track_caller]
pub fn logsumexp(x: &Array, axis: isize) -> Array {
    let axis = floating_axis("logsumexp", x, axis);
    // An infinite maximum would make the shift ∞ - ∞.
    let top = x.stop_gradient().max(axis);
    let top = where_(&top.abs().lt(f64::INFINITY), &top, 0.0);
    (x - along(x, &top, axis)).exp().sum(axis).log() + top
}

/// For each of `ids`, a row of `n` elements with a one at that index and zeros elsewhere; all zeros if it is out of
/// range.
///
/// # Panics
/// If `ids` are not integers.
#[track_caller]
pub fn one_hot(ids: &Array, n: impl Into<Dim>, dtype: DType) -> Array {
    if !ids.dtype().is_int() {
        reject("one_hot", "takes i32 or u32: convert with `astype` first", &[ids]);
    }
    let mut shape = ids.shape().clone();
    shape.push(n.into());
    let kept: Vec<usize> = (0..ids.ndim()).collect();
    let ids: Array = broadcast_in_dim(ids.value(), &shape, &kept).into();
    ids.eq(iota(shape, ids.ndim() - 1, ids.dtype())).astype(dtype)
}
