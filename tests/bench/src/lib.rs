//! What the benchmarks time: kernels, each as a compiled function and as a loop in Rust, whole training steps, and the
//! first call of deep programs.
//!
//! ```sh
//! RUSTFLAGS="-C target-cpu=native" cargo bench -p gavotte-bench
//! ```
//!
//! The flag lets rustc use this machine's vectors for the loops of [`native`]. It does not affect what Gavotte
//! compiles.

pub mod growth;
pub mod kernels;
pub mod native;
pub mod steps;
