//! The operations that the transformations themselves bind: zeros, sums of cotangents, moving and repeating axes,
//! and calls of nested programs. Every other operation lives outside the core.

mod call;
mod convert;
mod movement;
mod reduce;
mod sum;

pub use call::{CALL, call};
pub(crate) use convert::to;
pub use convert::{CONVERT_ELEMENT_TYPE, convert_element_type};
pub use movement::{BROADCAST_IN_DIM, TRANSPOSE, broadcast_in_dim, move_axis, place_axis, renamed, transpose};
pub use movement::{places, row_major, strided};
pub use reduce::{REDUCE_SUM, reduce_sum};
pub use reduce::{
    along_middle, cascaded, lower_reduction, reduced_aval, reduced_batch, reduced_places, reduces_nothing,
};
pub use sum::{ADD_ANY, ZEROS, add_any, zeros};

use crate::ir::Primitive;

/// The core's own primitives.
pub static PRIMITIVES: &[&dyn Primitive] =
    &[ADD_ANY, BROADCAST_IN_DIM, CALL, CONVERT_ELEMENT_TYPE, REDUCE_SUM, TRANSPOSE, ZEROS];
