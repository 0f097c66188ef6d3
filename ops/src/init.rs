//! Parameter initialisers, as in `jax.nn.initializers`.
//!
//! The last axis of a weight is its outputs, the axis before it its inputs; further axes in front are windows, which
//! belong to both.

use crate::array::Array;
use crate::generate;
use crate::movement::reject;
use crate::random::Key;
use gavotte_core::aval::{DType, Dim, Shape, shape as to_shape};

/// The fan-in and the fan-out: how many terms an output element sums, and how many output elements an input element
/// contributes to.
#[track_caller]
fn fans(shape: &[Dim]) -> (f64, f64) {
    let extents: Option<Vec<usize>> = shape.iter().map(Dim::as_usize).collect();
    match extents.as_deref() {
        Some([windows @ .., fan_in, fan_out]) => {
            let window: usize = windows.iter().product();
            ((fan_in * window) as f64, (fan_out * window) as f64)
        }
        Some(_) => {
            reject("init", format!("a fan needs at least two axes, not {shape:?}: use `normal` or `zeros`"), &[])
        }
        None => reject("init", format!("a fan needs numbers, not {shape:?}: give parameters numeric extents"), &[]),
    }
}

/// `scale / fan` rounded to `dtype`, as JAX computes it.
fn rounded(dtype: DType, x: f64) -> f64 {
    gavotte_core::aval::Literal::from_f64(dtype, x).as_f64()
}

#[track_caller]
fn scaled_uniform(key: Key, shape: Shape, variance: f64, dtype: DType) -> Array {
    let width = rounded(dtype, rounded(dtype, 3.0 * rounded(dtype, variance)).sqrt());
    key.uniform_range(shape, -1.0, 1.0, dtype) * width
}

#[track_caller]
fn scaled_normal(key: Key, shape: Shape, variance: f64, dtype: DType) -> Array {
    // The standard deviation of a standard normal variable truncated at ±2.
    const CUT: f64 = 0.879_625_661_034_239_8;
    let deviation = rounded(dtype, rounded(dtype, variance).sqrt()) / rounded(dtype, CUT);
    key.truncated_normal(shape, -2.0, 2.0, dtype) * rounded(dtype, deviation)
}

macro_rules! initialisers {
    ($($(#[$doc:meta])* $name:ident: $draw:ident |$fan_in:ident, $fan_out:ident| $variance:expr;)*) => { $(
        $(#[$doc])*
        ///
        /// # Panics
        /// If the shape has fewer than two axes or a symbolic extent, or `dtype` is not floating.
        #[track_caller]
        pub fn $name(key: Key, shape: impl IntoIterator<Item = impl Into<Dim>>, dtype: DType) -> Array {
            let shape = to_shape(shape);
            let ($fan_in, $fan_out) = fans(&shape);
            $draw(key, shape, $variance, dtype)
        }
    )* };
}
initialisers! {
    /// Uniform with variance `2 / (fan_in + fan_out)`.
    ///
    /// Source: Glorot and Bengio, *Understanding the difficulty of training deep feedforward neural networks*
    /// (AISTATS 2010), equation 16.
    glorot_uniform: scaled_uniform |fan_in, fan_out| 2.0 / (fan_in + fan_out);
    /// Normal with variance `2 / (fan_in + fan_out)`, truncated at two standard deviations.
    ///
    /// Source: as [`glorot_uniform`], equation 12.
    glorot_normal: scaled_normal |fan_in, fan_out| 2.0 / (fan_in + fan_out);
    /// Uniform with variance `2 / fan_in`.
    ///
    /// Source: He et al., *Delving deep into rectifiers* (ICCV 2015), equation 10.
    he_uniform: scaled_uniform |fan_in, _fan_out| 2.0 / fan_in;
    /// Normal with variance `2 / fan_in`, truncated at two standard deviations.
    ///
    /// Source: as [`he_uniform`].
    he_normal: scaled_normal |fan_in, _fan_out| 2.0 / fan_in;
}

/// All zeros. The key is not used.
#[track_caller]
pub fn zeros(_: Key, shape: impl IntoIterator<Item = impl Into<Dim>>, dtype: DType) -> Array {
    generate::zeros(shape, dtype)
}

/// All ones. The key is not used.
#[track_caller]
pub fn ones(_: Key, shape: impl IntoIterator<Item = impl Into<Dim>>, dtype: DType) -> Array {
    generate::ones(shape, dtype)
}

/// Normal with mean 0 and this standard deviation.
pub fn normal(deviation: f64) -> impl Fn(Key, Shape, DType) -> Array + Clone {
    move |key, shape, dtype| key.normal(shape, dtype) * deviation
}
