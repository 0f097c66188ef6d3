//! Runs compiled programs: memory plans, the thread team, launches.

mod allocator;
mod check;
mod compiled;
mod cpu;
pub mod cuda;
mod executable;
mod identity;
mod loops;
mod options;
mod plan;
mod report;
mod segments;
mod threads;

pub use allocator::{Allocator, save_addresses};
pub use check::PlanFault;
pub use compiled::multiply::{MatrixElement, Place, Update};
pub use executable::Executable;
pub use options::{Options, Target};
pub use plan::Plan;
pub use plan::placed::Buffers;
pub use report::cost::{CostAnalysis, Donation, MemoryAnalysis, StepCost, StepKind};
pub use report::profile::{Event, Profile, ProfileRow, ProfileTable, Span};
pub use report::roofline::Machine;
