//! Elementary layers.

use super::{Layer, Mode};
use crate::array::Array;
use crate::random::Key;
use crate::{DType, Dim, Shape, Tree, init, nn, where_};
use gavotte_core::aval::volume;
use gavotte_core::error::Error;
use gavotte_core::ir::{demand, refuse};

/// The parameters of [`dense`].
#[derive(Tree, Clone, Debug)]
pub struct Affine {
    /// `f[inputs, outputs]`.
    pub w: Array,
    /// `f[outputs]`.
    pub b: Array,
}

/// `x W + b` along the last axis, in `f32`: weights from [`init::glorot_normal`], biases 0.
///
/// # Panics
/// When initialised, if the input is a scalar, or the extent of its last axis is not a number.
#[track_caller]
pub fn dense(out: usize) -> Layer<Affine> {
    dense_with(out, init::glorot_normal, DType::F32)
}

/// [`dense`] with an initialiser for the weights, and an element type.
///
/// # Panics
/// As [`dense`].
#[track_caller]
pub fn dense_with(
    out: usize,
    initialiser: impl Fn(Key, Shape, DType) -> Array + Send + Sync + 'static,
    dtype: DType,
) -> Layer<Affine> {
    Layer::new(
        move |key, mut shape: Shape| {
            let Some(last) = shape.last_mut() else {
                refuse(Error::Type("dense: the input is a scalar, but needs an axis".into()))
            };
            let inputs = std::mem::replace(last, out.into());
            demand(inputs.as_usize().is_some(), || {
                format!("dense: the last axis has extent {inputs}, but needs a number")
            });
            let w = initialiser(key, [inputs, out.into()].into_iter().collect(), dtype);
            (shape, Affine { w, b: crate::zeros([out], dtype) })
        },
        |params: &Affine, x: &Array, _| x.dot(&params.w) + &params.b,
    )
}

/// An elementwise function as a layer: the shape stays.
#[track_caller]
pub fn elementwise(f: impl Fn(&Array) -> Array + Send + Sync + 'static) -> Layer<()> {
    Layer::new(|_, shape| (shape, ()), move |(), x: &Array, _| f(x))
}

macro_rules! activations {
    ($($name:ident $what:literal |$x:ident| $result:expr;)*) => { $(
        #[doc = concat!($what, ", as a layer.")]
        #[track_caller]
        pub fn $name() -> Layer<()> {
            elementwise(|$x| $result)
        }
    )* };
}
activations! {
    relu "[`nn::relu`]" |x| nn::relu(x);
    elu "[`nn::elu`] with `alpha` 1" |x| nn::elu(x, 1.0);
    gelu "[`nn::gelu`]" |x| nn::gelu(x);
    sigmoid "[`nn::sigmoid`]" |x| nn::sigmoid(x);
    softplus "[`nn::softplus`]" |x| nn::softplus(x);
    tanh "[`Array::tanh`]" |x| x.tanh();
    softmax "[`nn::softmax`] along the last axis" |x| nn::softmax(x, -1);
    log_softmax "[`nn::log_softmax`] along the last axis" |x| nn::log_softmax(x, -1);
}

/// [`nn::leaky_relu`] with this slope below 0, as a layer.
#[track_caller]
pub fn leaky_relu(slope: f64) -> Layer<()> {
    elementwise(move |x| nn::leaky_relu(x, slope))
}

/// The layer that does nothing.
#[track_caller]
pub fn identity() -> Layer<()> {
    elementwise(Array::clone)
}

/// Joins all axes but the first into one.
///
/// # Panics
/// When used, if the input is a scalar.
#[track_caller]
pub fn flatten() -> Layer<()> {
    fn flat(shape: &[Dim]) -> Shape {
        let Some((rows, rest)) = shape.split_first() else {
            refuse(Error::Type("flatten: the input is a scalar".into()))
        };
        [rows.clone(), volume(rest)].into_iter().collect()
    }
    Layer::new(|_, shape: Shape| (flat(&shape), ()), |(), x: &Array, _| x.reshape(flat(x.shape())))
}

/// [`dropout_of`] as a layer.
///
/// # Panics
/// If `rate` is not in `[0, 1)`.
#[track_caller]
pub fn dropout(rate: f64) -> Layer<()> {
    expect_rate(rate);
    Layer::new(|_, shape| (shape, ()), move |(), x: &Array, mode| dropout_of(x, rate, mode))
}

/// In training, each element is 0 with probability `rate`, and otherwise scaled by `1 / (1 - rate)`, so that the mean
/// stays (Srivastava et al., 2014). In evaluation, it is the identity.
///
/// # Panics
/// If `rate` is not in `[0, 1)`: it is the probability to drop.
#[track_caller]
pub fn dropout_of(x: &Array, rate: f64, mode: Mode) -> Array {
    expect_rate(rate);
    match mode {
        Mode::Train(key) if rate > 0.0 => {
            let kept = key.bernoulli_pairs((1.0 - rate) as f32, x.shape().clone());
            where_(&kept, x * (1.0 / (1.0 - rate)), 0.0)
        }
        _ => x.clone(),
    }
}

#[track_caller]
fn expect_rate(rate: f64) {
    demand((0.0..1.0).contains(&rate), || {
        format!("dropout: the rate is {rate}; it is the probability to drop, in [0, 1)")
    });
}
