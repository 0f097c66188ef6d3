//! Kernels: loop nests over scalar work, and the groups in which they run. Every target runs the same kernels.

mod barrier;
mod bounds;
mod compose;
mod cost;
mod dead;
pub mod fuse;
mod group;
mod guard;
mod ir;
mod lower;
mod lowered;
mod merge;
mod pipeline;
mod places;
mod product;
mod rules;
mod segments;
mod text;
mod verify;

pub use barrier::drop_barriers;
pub use cost::{Cost, bytes_at};
pub use group::{Why, group};
pub use guard::{Guarded, guarded};
pub use ir::{Instr, Kernel, Loop, LoopKind};
pub use lowered::{Composed, ControlStep, Group, Lowered, Members, Part, Segmented, Space, Step};
pub use pipeline::lower_program;
pub use places::choose_places;
pub use product::{Axis, Product};
pub use text::parse_kernel;
pub use verify::verify_kernel;
