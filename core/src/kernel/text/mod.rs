//! Kernels as text: printed, and read again.

mod parse;
mod print;

pub use parse::parse_kernel;
