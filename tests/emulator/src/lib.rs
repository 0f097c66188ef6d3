//! A stand-in for the CUDA driver.

pub mod arith;
pub mod memory;
pub mod ptx;
