//! The functions that users call: functions of trees, and their transformations, which compose in any order.

mod argnums;
mod axes;
mod device_put;
mod function;
mod grad;
mod jit;
mod lowered;
mod miss;
mod saved;
mod sizes;
mod tensors;
mod vmap;

pub use argnums::{Arg, Argnums, Gradient};
pub use axes::MapAxes;
pub use device_put::{device_copy, device_get, device_put};
pub use function::{Args, ByRef, ByValue, Fun, Function, HasArg, Shareable, avals, trace_function};
pub use grad::{
    grad, grad_argnums, jvp, linear_transpose, linearize, value_and_grad, value_and_grad_argnums, value_and_grad_aux,
    vjp,
};
pub use jit::{Jit, disable_jit, eval_shape, jit, jit_with, make_program};
pub use lowered::{Compiled, Lowered, Stage};
pub use miss::{Change, ChangeKind, Miss};
pub use tensors::{elements_of, serialize_arrays, write_file};
pub use vmap::{vmap, vmap_axes, vmap_with};
