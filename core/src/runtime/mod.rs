//! Runs compiled programs: memory plans, the thread team, launches.

mod control;
mod cpu;
mod empty;
mod executable;
mod interpreted;
mod plan;

pub use executable::{Executable, Options};
pub use plan::{Buffers, Plan};
