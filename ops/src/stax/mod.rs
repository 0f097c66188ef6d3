//! Layers: pairs of functions, after `jax.example_libraries.stax`.
//!
//! A [`Layer`] is a pair. `init_fun(key, shape)` draws parameters for inputs of this shape, and returns the shape of
//! the output; `apply_fun(&params, &input, mode)` computes it. Combinators make layers of layers: [`serial`] chains
//! them, [`fan_out`], [`parallel`] and [`fan_in_sum`] branch and join. The parameters of a combination are the tuple of
//! its layers' parameters, so they are a tree, which optimizers and transformations accept.
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
use gavotte_core::ir::{Location, with_maker};
use std::sync::Arc;

/// Whether parameters are being trained. Training takes a key, which dropout and similar layers draw from; evaluation
/// is deterministic. So training without a key does not compile.
pub enum Mode {
    /// Training; consumes the key.
    Train(Key),
    /// Prediction.
    Eval,
}

impl Mode {
    /// Splits the mode among `N` layers: in training, each gets its own key.
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

/// Values between layers: arrays, lists of them for parallel branches, and types that users define, such as the nodes
/// of a graph.
pub trait Signal {
    /// The shape that `init_fun` takes.
    type Shape: Clone;
    /// The shape of this value.
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

/// Draws a layer's parameters; also returns the shape of the output.
pub type InitFun<P, X, Y> = dyn Fn(Key, <X as Signal>::Shape) -> (<Y as Signal>::Shape, P) + Send + Sync;
/// Computes a layer's output.
pub type ApplyFun<P, X, Y> = dyn Fn(&P, &X, Mode) -> Y + Send + Sync;

/// A layer with parameters `P`, from `X` to `Y`.
///
/// Cloning copies two handles: both copies have the same functions, and neither holds parameters.
pub struct Layer<P: Tree, X: Signal = Array, Y: Signal = Array> {
    /// `init_fun(key, shape)` returns the shape of the output and fresh parameters.
    pub init_fun: Arc<InitFun<P, X, Y>>,
    /// `apply_fun(&params, &x, mode)` returns the output.
    pub apply_fun: Arc<ApplyFun<P, X, Y>>,
}

impl<P: Tree, X: Signal, Y: Signal> Layer<P, X, Y> {
    /// A layer from its two functions. They have no line of a caller, so errors that arise in the library name the line
    /// where the layer was made.
    #[track_caller]
    pub fn new(
        init_fun: impl Fn(Key, X::Shape) -> (Y::Shape, P) + Send + Sync + 'static,
        apply_fun: impl Fn(&P, &X, Mode) -> Y + Send + Sync + 'static,
    ) -> Self {
        let made_at = Location::caller();
        Layer {
            init_fun: Arc::new(move |key, shape| with_maker(made_at, || init_fun(key, shape))),
            apply_fun: Arc::new(move |params, x, mode| with_maker(made_at, || apply_fun(params, x, mode))),
        }
    }
}

// By hand: a derived one would require `P`, `X` and `Y` to be `Clone`.
impl<P: Tree, X: Signal, Y: Signal> Clone for Layer<P, X, Y> {
    fn clone(&self) -> Self {
        Layer { init_fun: self.init_fun.clone(), apply_fun: self.apply_fun.clone() }
    }
}

#[cfg(test)]
mod tests;
