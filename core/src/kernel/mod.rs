//! Kernels: loop nests over scalar work. One fusion group is one kernel; every target runs the same kernels.

mod cost;
mod dead;
mod ir;
mod lower;
mod parse;
mod print;
mod verify;

pub use cost::{Cost, bytes_at};
pub use ir::{Instr, Kernel, Loop, LoopKind};
pub use lower::{ControlStep, Lowered, Step, lower_program};
pub use parse::parse_kernel;
pub use verify::verify_kernel;
