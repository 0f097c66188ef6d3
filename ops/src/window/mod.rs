//! The family `window`: convolutions, and reductions over windows that move along axes.

mod convolve;
mod functions;
mod padding;
mod reduce;
mod windows;

pub use functions::{ConvLayout, ConvOptions, conv, conv_transpose, conv_transpose_with, conv_with};
pub use padding::Padding;
pub use reduce::{WindowOptions, avg_pool, max_pool, min_pool, reduce_window, sum_pool};

use gavotte_core::ir::Primitive;

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] = &[windows::WINDOWS, convolve::CONV];
