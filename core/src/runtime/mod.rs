//! Runs compiled programs: memory plans, the thread team, launches.

mod allocator;
mod analysis;
mod arena;
mod check;
mod composed;
mod control;
mod cpu;
pub mod cuda;
mod empty;
mod executable;
mod frame;
mod identity;
mod interpreted;
mod large_pages;
mod machine;
mod nans;
mod options;
mod perf_map;
mod plan;
mod product;
mod profile;
mod roofline;
mod rows;
mod shown;
mod sizes;
mod team;
mod totals;
mod worth;

pub use allocator::Allocator;
pub use analysis::{CostAnalysis, Donation, MemoryAnalysis, StepCost, StepKind};
pub use check::PlanFault;
pub use executable::Executable;
pub use options::{Options, Target};
pub use plan::{Buffers, Plan};
pub use profile::{Event, Profile, ProfileRow, ProfileTable, Span};
pub use roofline::Machine;
