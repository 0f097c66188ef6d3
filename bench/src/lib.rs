//! What the benchmarks time: kernels, each as a compiled function and as a loop in Rust, and whole training steps.
//!
//! ```sh
//! RUSTFLAGS="-C target-cpu=native" cargo bench -p gavotte-bench
//! ```
//!
//! The flag lets rustc use this machine's vectors for the loops of [`native`]. What Gavotte compiles does not depend on it.

pub mod kernels;
pub mod native;
pub mod steps;
