//! Activations, pooling, attention, and the last operations of classifiers.

mod attention;

pub use crate::window::{avg_pool, max_pool, min_pool, sum_pool};
pub use attention::{AttentionOptions, dot_product_attention};

use crate::array::Array;
use crate::array_functions::{floating, hypot};
use crate::custom_jvp;
use crate::generate::{dim_value, positions};
use crate::movement::{axis_of, reject};
use crate::operators::where_;
use crate::reduce::{Axes, resolve};
use gavotte_core::aval::{DType, Dim};
use gavotte_core::ir::structural::broadcast_in_dim;

/// `x` itself: where a function must be given, and none is wanted.
///
/// ```
/// use gavotte::{Array, nn};
/// assert_eq!(nn::identity(&Array::from([1.0, -2.0])).to_vec::<f64>(), [1.0, -2.0]);
/// ```
pub fn identity(x: &Array) -> Array {
    x.clone()
}

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

/// `x` between 0 and 6, clamped; with derivative 0 at both ends.
///
/// Source: Krizhevsky, *Convolutional deep belief networks on CIFAR-10* (2010).
#[track_caller]
pub fn relu6(x: &Array) -> Array {
    where_(&x.ge(6.0), 6.0, relu(x))
}

/// `x` if it is positive, else `alpha (e^(x / alpha) - 1)`: [`elu`] with a continuous derivative for every `alpha`.
///
/// Source: Barron, *Continuously differentiable exponential linear units* (2017).
#[track_caller]
pub fn celu(x: &Array, alpha: f64) -> Array {
    let positive = x.gt(0.0);
    let negative = (where_(&positive, 0.0, x) / alpha).expm1() * alpha;
    where_(&positive, x, negative)
}

/// [`elu`] scaled so that layers keep mean 0 and variance 1 of what flows through them.
///
/// Source: Klambauer, Unterthiner, Mayr, Hochreiter, *Self-normalizing neural networks* (NeurIPS 2017), equation 2.
#[track_caller]
pub fn selu(x: &Array) -> Array {
    const ALPHA: f64 = 1.673_263_242_354_377_2;
    const SCALE: f64 = 1.050_700_987_355_480_5;
    elu(x, ALPHA) * SCALE
}

/// A number `|x|` beyond which sigmoids are 0 or 1 in every floating type.
const FAR: f64 = 800.0;

/// `x / (1 + e⁻ˣ)`; 0 at `-∞`.
///
/// Source: Hendrycks and Gimpel, *Gaussian error linear units* (2016), section 2.
#[doc(alias = "swish")]
#[track_caller]
pub fn silu(x: &Array) -> Array {
    let is_far = x.abs().ge(FAR);
    let near = where_(&is_far, 0.0, x);
    where_(&is_far, relu(x), &near * near.logistic())
}

/// `x tanh(log(1 + eˣ))`; 0 at `-∞`.
///
/// Source: Misra, *Mish: a self regularized non-monotonic activation function* (BMVC 2020).
#[track_caller]
pub fn mish(x: &Array) -> Array {
    let is_far = x.abs().ge(FAR);
    let near = where_(&is_far, 0.0, x);
    where_(&is_far, relu(x), &near * softplus(&near).tanh())
}

/// 0 below -3, 1 above 3, a line between: [`relu6`] of `x + 3`, divided by 6.
#[track_caller]
pub fn hard_sigmoid(x: &Array) -> Array {
    relu6(&(x + 3.0)) / 6.0
}

/// `x` times [`hard_sigmoid`]; 0 at `-∞`.
///
/// Source: Howard et al., *Searching for MobileNetV3* (ICCV 2019), section 5.2.
#[doc(alias = "hard_swish")]
#[track_caller]
pub fn hard_silu(x: &Array) -> Array {
    let (is_upper, is_lower) = (x.ge(3.0), x.le(-3.0));
    let near = where_(&(&is_upper | &is_lower), 0.0, x);
    let middle = &near * ((&near + 3.0) / 6.0);
    where_(&is_upper, x, where_(&is_lower, 0.0, middle))
}

/// `x` between -1 and 1, clamped; with derivative 1 at both ends.
#[track_caller]
pub fn hard_tanh(x: &Array) -> Array {
    where_(&x.gt(1.0), 1.0, where_(&x.lt(-1.0), -1.0, x))
}

/// The logarithm of [`sigmoid`], computed without underflow.
#[track_caller]
pub fn log_sigmoid(x: &Array) -> Array {
    -softplus(&-x)
}

/// `x / (1 + |x|)`; 1 and -1 at infinities.
// d(x / (1 + |x|)) = dx / (1 + |x|)²
#[track_caller]
pub fn soft_sign(x: &Array) -> Array {
    floating("soft_sign", &[x]);
    let of = |x: Array| where_(&x.isinf(), x.sign(), &x / (x.abs() + 1.0));
    let rule = move |(x,): (Array,), (dx,): (Array,)| (of(x.clone()), (1.0 / (x.abs() + 1.0)).square() * dx);
    custom_jvp(of, rule)(x.clone())
}

/// 0 below -1, `x` above 1, `(x + 1)² / 4` between.
///
/// Source: JAX, `jax.nn.sparse_plus`.
#[track_caller]
pub fn sparse_plus(x: &Array) -> Array {
    let (is_upper, is_lower) = (x.ge(1.0), x.le(-1.0));
    let middle = (where_(&(&is_upper | &is_lower), 0.0, x) + 1.0).square() / 4.0;
    where_(&is_lower, 0.0, where_(&is_upper, x, middle))
}

/// `(x + √(x² + b)) / 2`, computed without overflow or cancellation; [`relu`] if `b` is 0, JAX's default is 4.
///
/// Source: Barron, *Squareplus: a softplus-like algebraic rectifier* (2021), equation 1.
///
/// # Panics
/// If `b` is negative, or the elements are not floating.
// Below 0 it is b / 2 / (√(x² + b) - x).
#[track_caller]
pub fn squareplus(x: &Array, b: f64) -> Array {
    floating("squareplus", &[x]);
    if b < 0.0 {
        reject("squareplus", format!("b must not be negative, and is {b}"), &[x]);
    }
    let root = hypot(x, b.sqrt());
    let is_negative = x.lt(0.0);
    let below = 0.5 * b / where_(&is_negative, &root - x, 1.0);
    where_(&is_negative, below, (where_(&is_negative, 0.0, x) + &root) * 0.5)
}

/// `log(1 - e⁻ˣ)` of positive numbers, precise near 0 and far out; `-∞` at 0, NaN below.
///
/// ```
/// use gavotte::{Array, nn::log1mexp};
/// assert_eq!(log1mexp(&Array::from([1e-20, 100.0])).to_vec::<f64>(), [1e-20f64.ln(), -(-100f64).exp()]);
/// ```
///
/// Source: Mächler, *Accurately computing log(1 - exp(-|a|))* (2012), equation 7.
///
/// # Panics
/// If the elements are not floating.
// d log(1 - e⁻ˣ) = e⁻ˣ / (1 - e⁻ˣ) dx
#[track_caller]
pub fn log1mexp(x: &Array) -> Array {
    floating("log1mexp", &[x]);
    let of = |x: Array| where_(&x.lt(2f64.ln()), (-(-&x).expm1()).log(), (-(-&x).exp()).log1p());
    let rule = move |(x,): (Array,), (dx,): (Array,)| (of(x.clone()), (-&x).exp() / -(-&x).expm1() * dx);
    custom_jvp(of, rule)(x.clone())
}

/// The first half along an axis times the [`sigmoid`] of the second.
///
/// Source: Dauphin, Fan, Auli, Grangier, *Language modeling with gated convolutional networks* (ICML 2017).
///
/// # Panics
/// If there is no such axis, its extent is odd, or the elements are not floating.
#[track_caller]
pub fn glu(x: &Array, axis: isize) -> Array {
    let at = floating_axis("glu", x, axis);
    if let Some(n) = x.dim(at).as_number().filter(|n| n % 2 != 0) {
        reject("glu", format!("axis {axis} has {n} elements, which are no two halves"), &[x]);
    }
    let halves = x.split(2, axis);
    &halves[0] * halves[1].logistic()
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
        reject(operation, "takes floats: convert with `astype` first", &[x]);
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

/// The logarithm of the mean of `eˣ` over `axis`, which disappears; computed without overflow. NaN if there are no
/// elements.
///
/// # Panics
/// As [`softmax`].
#[track_caller]
pub fn logmeanexp(x: &Array, axis: isize) -> Array {
    let at = floating_axis("logmeanexp", x, axis);
    logsumexp(x, axis) - dim_value(x.dim(at), x.dtype()).log()
}

/// `x` minus its mean over axes, divided by its standard deviation: `(x - mean) / √(variance + epsilon)`.
///
/// ```
/// use gavotte::{Array, nn::standardize};
/// assert_eq!(standardize(&Array::from([1.0, 3.0]), -1, 0.0).to_vec::<f64>(), [-1.0, 1.0]);
/// ```
///
/// # Panics
/// If there is no such axis, or the elements are not floating.
#[track_caller]
pub fn standardize(x: &Array, axes: impl Axes, epsilon: f64) -> Array {
    floating("standardize", &[x]);
    let axes = resolve("standardize", axes, x);
    let centred = x - x.mean_keepdims(axes.as_slice());
    let variance = centred.square().mean_keepdims(axes.as_slice());
    centred / (variance + epsilon).sqrt()
}

/// For each of `ids`, a row of `n` elements with a one at that index and zeros elsewhere; all zeros if it is out of
/// range.
///
/// # Panics
/// If `ids` are not integers.
#[track_caller]
pub fn one_hot(ids: &Array, n: impl Into<Dim>, dtype: DType) -> Array {
    if !ids.dtype().is_int() {
        reject("one_hot", "takes integers: convert with `astype` first", &[ids]);
    }
    let mut shape = ids.shape().clone();
    shape.push(n.into());
    let kept: Vec<usize> = (0..ids.ndim()).collect();
    // The type of short ids may not hold the positions.
    let ids = ids.astype(ids.dtype().computed());
    let ids: Array = broadcast_in_dim(ids.value(), &shape, &kept).into();
    ids.eq(positions("one_hot", shape, ids.ndim() - 1, ids.dtype())).astype(dtype)
}
