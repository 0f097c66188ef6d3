//! What kernels are compiled to: machine code, or the crate `gemm` for large products.

pub(super) mod fill;
pub(super) mod gemm;
pub(super) mod machine_code;
mod perf_map;
pub(super) mod totals;
