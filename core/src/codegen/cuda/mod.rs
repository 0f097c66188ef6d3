//! CUDA C: kernels as text for NVRTC, and how to launch them. Nothing here needs a device or a driver.
//!
//! Each kernel becomes one or two functions ([`Source`]); those of several kernels share a module, a translation unit
//! ([`Module`]). `shape` decides how the threads of a warp share a reduction; `map`, `reduce` (with `long` for long
//! segments) and `product` write one kind of kernel each: the threads' places among the loops (`nest`), and the scalar
//! work (`body`, with `scalar` for its operations and `positions` for what loads read) as lines of a `draft`. `prelude`
//! has the device functions that these call, `launch` the parameters of a function and how many blocks it needs for
//! given sizes.
//!
//! No order of additions depends on a launch: there are no atomics except for the record of a position out of bounds,
//! and the tree of every sum is fixed by its kernel and the sizes, so that no bit depends on the size of blocks.
//!
//! Each operation rounds by itself, as on the CPU, except for a product that only a sum reads: for this, compile with
//! [`COMPILER_OPTIONS`]. Integers wrap, conversions saturate and the maximum of NaN is NaN, as in the interpreter.
//! Computed positions, and the offsets of segments, are checked: an element out of bounds is not read, and the first
//! such position is recorded.

mod accumulate;
mod body;
mod draft;
mod function;
mod launch;
mod long;
mod map;
mod module;
mod nest;
mod positions;
mod prelude;
mod product;
mod reduce;
mod reduction;
mod scalar;
mod shape;
mod source;
mod text;

pub use function::Function;
pub use launch::{Argument, BLOCK, Launch, Param, RECORD_BYTES, Width};
pub use module::Module;
pub use source::{Source, has_kernels};

/// The options to compile the text with, besides the architecture: C++17, and no product is fused with a sum unless the
/// text says so. Division and square root round correctly, and subnormal numbers are kept: these are the defaults. A
/// program's constant may be divided by zero, or compared with what it always exceeds: the compiler need not warn of
/// that.
pub const COMPILER_OPTIONS: [&str; 3] = ["--std=c++17", "--fmad=false", "--diag-suppress=39,186"];
