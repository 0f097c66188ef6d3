//! Transformations: program in, equations out. They interpret a program and bind what its primitives' rules say, so
//! that outside a trace they compute and inside one they record.

mod jvp;
mod linearize;
mod transpose;
mod vmap;

pub use jvp::jvp;
pub use linearize::{LinearProgram, hoist, linearize, linearize_with};
pub use transpose::{Cotangents, instantiate, transpose, transpose_call, vjp};
pub use vmap::vmap;
