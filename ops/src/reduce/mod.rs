//! The family `reduce`: many elements into one.

mod argmax;
mod extrema;
mod methods;
mod reduce_prod;

pub(crate) use extrema::{combined, reduce_max, shares};
pub use methods::Axes;
pub(crate) use methods::{in_wide, resolve};

use gavotte_core::ir::Primitive;

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] =
    &[extrema::REDUCE_MAX, extrema::REDUCE_MIN, reduce_prod::REDUCE_PROD, argmax::ARGMAX, argmax::ARGMIN];
