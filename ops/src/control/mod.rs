//! The family `control`: loops and branches as operations with nested programs.
//!
//! A nested program has no constants: captured values are among the operation's operands. Every rule makes its nested
//! program by tracing the transformed one.

mod chosen;
mod functions;
mod groups;
mod nested;
mod samples;
mod scan;
mod switch;
mod transposed;
mod while_loop;

pub use functions::{ScanOptions, cond, fori_loop, scan, scan_with, switch, while_loop};

use gavotte_core::ir::Primitive;

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] = &[scan::SCAN, switch::SWITCH, while_loop::WHILE];
