//! Code generators: from kernel IR to something that runs. They know only scalar operations.

pub mod cuda;
pub mod portable;
pub mod x86;
