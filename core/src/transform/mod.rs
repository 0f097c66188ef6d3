//! Transformations: program in, equations out. They interpret a program and bind what its primitives' rules return, so
//! they compute outside a trace and record inside one.

mod jvp;
mod linearity;
mod linearize;
mod transpose;
mod vmap;

pub use jvp::jvp;
pub use linearity::nonlinearity;
pub use linearize::{LinearProgram, hoist, linearize, linearize_with};
pub use transpose::{Cotangents, instantiate, transpose, transpose_call, vjp};
pub use vmap::vmap;
