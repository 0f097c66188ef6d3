//! Runs compiled programs: memory plans, the thread team, launches.

mod cpu;
mod executable;
mod plan;

pub use executable::{Executable, Options};
pub use plan::{Buffers, Plan};
