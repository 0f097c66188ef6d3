//! Kernels: loop nests over scalar work, and the groups in which they run. Every target runs the same kernels.

mod barrier;
mod bounds;
mod compose;
mod cost;
mod dead;
mod group;
mod guard;
mod ir;
mod lower;
mod merge;
mod parse;
mod places;
mod print;
mod product;
mod rules;
mod segments;
mod verify;

pub use barrier::drop_barriers;
pub use compose::Composed;
pub use cost::{Cost, bytes_at};
pub use group::{Group, Members, Part, Space, Why, group};
pub use guard::{Guarded, guarded};
pub use ir::{Instr, Kernel, Loop, LoopKind};
pub use lower::{ControlStep, Lowered, Step, lower_program};
pub use parse::parse_kernel;
pub use places::choose_places;
pub use product::{Axis, Product};
pub use segments::Segmented;
pub use verify::verify_kernel;
