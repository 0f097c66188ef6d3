//! The family `reduce`: many elements into one.

mod argmax;
mod methods;
mod reduce_max;

pub use methods::Axes;
pub(crate) use methods::resolve;
pub(crate) use reduce_max::{larger, least, reduce_max, shares};

use gavotte_core::ir::Primitive;

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] = &[reduce_max::REDUCE_MAX, argmax::ARGMAX];
