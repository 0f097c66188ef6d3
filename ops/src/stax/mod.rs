//! Layers: pairs of functions, after `jax.example_libraries.stax`.
//!
//! A [`Layer`] is a pair. `init_fun(key, shape)` draws parameters for inputs of this shape, and says what shape comes
//! out; `apply_fun(&params, &input, mode)` computes. Combinators make layers of layers: [`serial`] chains them,
//! [`fan_out`], [`parallel`] and [`fan_in_sum`] branch and join. The parameters of a combination are the tuple of its
//! parts' parameters, so they are a tree, and optimizers and transformations take them as they are.
//!
//! ```
//! use gavotte::random::Key;
//! use gavotte::stax::{Layer, Mode, dense, relu, serial};
//! use gavotte::{Array, shape};
//!
//! let Layer { init_fun, apply_fun } = serial((dense(16), relu(), dense(3)));
//! let (out_shape, params) = init_fun(Key::new(0), shape([32, 8]));
//! assert_eq!(out_shape, shape([32, 3]));
//! let y = apply_fun(&params, &Array::new(&[32, 8], vec![1f32; 256]), Mode::Eval);
//! assert_eq!(*y.shape(), out_shape);
//! ```

mod combine;
mod layers;

pub use combine::{Parallel, Serial, fan_in_concat, fan_in_sum, fan_out, parallel, serial, shape_dependent};
pub use layers::{
    Affine, dense, dense_with, dropout, dropout_of, elementwise, elu, flatten, gelu, identity, leaky_relu, log_softmax,
    relu, sigmoid, softmax, softplus, tanh,
};

use crate::random::Key;
use crate::{Array, Shape, Tree};
use std::sync::Arc;

/// Whether parameters are being learned. Training takes a key, which dropout and its like draw from; evaluation is
/// deterministic. So training without a key cannot be written.
pub enum Mode {
    /// Learning; the key is used up.
    Train(Key),
    /// Predicting.
    Eval,
}

impl Mode {
    /// As many modes as a layer has parts: in training, each with its own key.
    #[track_caller]
    pub fn split<const N: usize>(self) -> [Mode; N] {
        match self {
            Mode::Train(key) => key.split::<N>().map(Mode::Train),
            Mode::Eval => std::array::from_fn(|_| Mode::Eval),
        }
    }

    /// The key, in training.
    pub fn key(self) -> Option<Key> {
        match self {
            Mode::Train(key) => Some(key),
            Mode::Eval => None,
        }
    }
}

/// What flows between layers: arrays, lists of them where branches run side by side, and what users define, such as
/// the nodes of a graph.
pub trait Signal {
    /// What `init_fun` is told about it.
    type Shape: Clone;
    /// The shape of this one.
    fn shape(&self) -> Self::Shape;
}

impl Signal for Array {
    type Shape = Shape;
    fn shape(&self) -> Shape {
        Array::shape(self).clone()
    }
}

impl<X: Signal> Signal for Vec<X> {
    type Shape = Vec<X::Shape>;
    fn shape(&self) -> Self::Shape {
        self.iter().map(Signal::shape).collect()
    }
}

/// Draws a layer's parameters; says what shape comes out.
pub type InitFun<P, X, Y> = dyn Fn(Key, <X as Signal>::Shape) -> (<Y as Signal>::Shape, P) + Send + Sync;
/// Computes a layer's output.
pub type ApplyFun<P, X, Y> = dyn Fn(&P, &X, Mode) -> Y + Send + Sync;

/// A layer with parameters `P`, from `X` to `Y`.
///
/// Cloning copies two handles: both copies are the same functions, and neither holds parameters.
pub struct Layer<P: Tree, X: Signal = Array, Y: Signal = Array> {
    /// `init_fun(key, shape)` gives the shape of the output and fresh parameters.
    pub init_fun: Arc<InitFun<P, X, Y>>,
    /// `apply_fun(&params, &x, mode)` gives the output.
    pub apply_fun: Arc<ApplyFun<P, X, Y>>,
}

impl<P: Tree, X: Signal, Y: Signal> Layer<P, X, Y> {
    /// A layer of two functions.
    pub fn new(
        init_fun: impl Fn(Key, X::Shape) -> (Y::Shape, P) + Send + Sync + 'static,
        apply_fun: impl Fn(&P, &X, Mode) -> Y + Send + Sync + 'static,
    ) -> Self {
        Layer { init_fun: Arc::new(init_fun), apply_fun: Arc::new(apply_fun) }
    }
}

// By hand: a derived one would ask that `P`, `X` and `Y` be `Clone`.
impl<P: Tree, X: Signal, Y: Signal> Clone for Layer<P, X, Y> {
    fn clone(&self) -> Self {
        Layer { init_fun: self.init_fun.clone(), apply_fun: self.apply_fun.clone() }
    }
}

#[cfg(test)]
mod tests;
