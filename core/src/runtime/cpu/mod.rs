//! Plans on the processor.

mod control;
pub(super) mod eval;
mod members;
pub(super) mod memory;
pub(super) mod recorder;
mod rows;
pub(super) mod run;
pub(super) mod worker;
