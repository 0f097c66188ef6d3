//! The family `contract`: sums of products over shared axes.

mod dot_general;
mod einsum;
mod methods;
mod subscripts;

pub(crate) use dot_general::{Roles, dot_general};
pub use einsum::einsum;

use gavotte_core::ir::Primitive;

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] = &[dot_general::DOT_GENERAL];
