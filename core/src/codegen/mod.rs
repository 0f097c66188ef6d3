//! Code generators: kernel IR to something that runs. Thin: they know scalar operations only.

pub mod cuda;
pub mod portable;
pub mod x86;
