//! A stand-in for the CUDA driver.

pub mod arith;
pub mod decode;
pub mod exec;
pub mod memory;
pub mod module;
pub mod ptx;
