//! The engine of Gavotte: programs, tracing, transformations, passes, kernels, code generators and runtimes.
//!
//! Each module uses only those above it in this list; a test holds that.
//! Users import the crate `gavotte`, which builds arrays and operations on this one.

extern crate self as gavotte_core;

pub mod error;

mod scoped;
mod sync;

pub mod aval;

pub mod device;

pub mod ir;

pub mod tree;

pub mod transform;

pub mod pass;

pub mod kernel;

pub mod codegen;

pub mod runtime;

pub mod api;
