//! Transformations: program in, equations out. They interpret a program and bind what its primitives' rules say, so
//! that outside a trace they compute and inside one they record.

mod jvp;
mod linearize;
mod transpose;
mod vmap;

pub use jvp::jvp;
pub use linearize::{LinearProgram, hoist, linearize};
pub use transpose::{Cotangents, transpose, vjp};
pub use vmap::vmap;
