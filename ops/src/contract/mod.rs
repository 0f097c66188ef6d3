//! The family `contract`: sums of products over shared axes.

mod dot_general;
mod methods;

pub(crate) use dot_general::{Roles, dot_general};

use gavotte_core::ir::Primitive;

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] = &[dot_general::DOT_GENERAL];
