//! Initialisers of parameters, as `jax.nn.initializers`.
//!
//! The last axis of a weight counts what it gives, the one before what it takes; further axes in front are windows that
//! belong to both.

use crate::array::Array;
use crate::generate;
use crate::movement::reject;
use crate::random::Key;
use gavotte_core::aval::{DType, Dim, Shape};

/// The numbers of terms that an output element sums, and that an input element goes into.
#[track_caller]
fn fans(shape: &[Dim]) -> (f64, f64) {
    let extents: Option<Vec<usize>> = shape.iter().map(Dim::as_usize).collect();
    match extents.as_deref() {
        Some([windows @ .., takes, gives]) => {
            let window: usize = windows.iter().product();
            ((takes * window) as f64, (gives * window) as f64)
        }
        Some(_) => {
            reject("init", format!("a fan needs two axes at least, not {shape:?}: use `normal` or `zeros`"), &[])
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
    // The standard deviation of a normal variable cut off at two.
    const CUT: f64 = 0.879_625_661_034_239_8;
    let deviation = rounded(dtype, rounded(dtype, variance).sqrt()) / rounded(dtype, CUT);
    key.truncated_normal(shape, -2.0, 2.0, dtype) * rounded(dtype, deviation)
}

macro_rules! initialisers {
    ($($(#[$doc:meta])* $name:ident: $draw:ident |$takes:ident, $gives:ident| $variance:expr;)*) => { $(
        $(#[$doc])*
        ///
        /// # Panics
        /// If the shape has fewer than two axes or a symbolic extent, or `dtype` is not floating.
        #[track_caller]
        pub fn $name(key: Key, shape: impl IntoIterator<Item = impl Into<Dim>>, dtype: DType) -> Array {
            let shape: Shape = shape.into_iter().map(Into::into).collect();
            let ($takes, $gives) = fans(&shape);
            $draw(key, shape, $variance, dtype)
        }
    )* };
}
initialisers! {
    /// Uniform of variance `2 / (takes + gives)`.
    ///
    /// Source: Glorot and Bengio, *Understanding the difficulty of training deep feedforward neural networks*
    /// (AISTATS 2010), equation 16.
    glorot_uniform: scaled_uniform |takes, gives| 2.0 / (takes + gives);
    /// Normal of variance `2 / (takes + gives)`, cut off at two standard deviations.
    ///
    /// Source: as [`glorot_uniform`], equation 12.
    glorot_normal: scaled_normal |takes, gives| 2.0 / (takes + gives);
    /// Uniform of variance `2 / takes`.
    ///
    /// Source: He et al., *Delving deep into rectifiers* (ICCV 2015), equation 10.
    he_uniform: scaled_uniform |takes, _gives| 2.0 / takes;
    /// Normal of variance `2 / takes`, cut off at two standard deviations.
    ///
    /// Source: as [`he_uniform`].
    he_normal: scaled_normal |takes, _gives| 2.0 / takes;
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
