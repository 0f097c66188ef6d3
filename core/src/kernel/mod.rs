//! Kernels: loop nests over scalar work, and the groups in which they run. Every target runs the same kernels.

mod barrier;
mod bounds;
mod compose;
mod cost;
mod dead;
mod dense_product;
pub mod fuse;
mod group;
mod guard;
mod ir;
mod lower;
mod merge;
mod pipeline;
mod places;
mod program;
mod rules;
mod segments;
mod text;
mod verify;

pub use barrier::drop_barriers;
pub use cost::{Cost, bytes_at};
pub use dense_product::{Axis, Product, Windows};
pub use group::{Why, group};
pub use guard::{Guarded, guarded};
pub use ir::{Instr, Kernel, Loop, LoopKind};
pub use pipeline::lower_program;
pub use places::choose_places;
pub use program::{Composed, ControlStep, Group, KernelProgram, Members, Part, Segmented, Space, Step};
pub use text::parse_kernel;
pub use verify::verify_kernel;
