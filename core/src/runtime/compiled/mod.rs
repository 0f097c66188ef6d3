//! What kernels are compiled to: machine code, or the crates of `gemm` for large products.

mod copied;
pub(super) mod fill;
pub(super) mod gemm;
pub(super) mod machine_code;
pub(super) mod multiply;
mod perf_map;
pub(super) mod totals;
