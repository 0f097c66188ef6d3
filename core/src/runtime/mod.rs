//! Runs compiled programs: memory plans, the thread team, launches.

mod analysis;
mod cpu;
mod executable;
mod nans;
mod plan;

pub use analysis::{CostAnalysis, Donation, MemoryAnalysis, StepCost};
pub use executable::{Executable, Options};
pub use plan::{Buffers, Plan};
