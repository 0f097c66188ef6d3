#![doc = include_str!("../README.md")]

pub mod arith;
pub mod control;
pub mod decode;
pub mod driver;
pub mod exec;
pub mod memory;
pub mod module;
pub mod ptx;
