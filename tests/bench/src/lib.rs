//! What the benchmarks time: kernels, each as a compiled function and as a loop in Rust, whole training steps, and what the
//! first call of deep programs takes.
//!
//! ```sh
//! RUSTFLAGS="-C target-cpu=native" cargo bench -p gavotte-bench
//! ```
//!
//! The flag lets rustc use this machine's vectors for the loops of [`native`]. What Gavotte compiles does not depend on it.

pub mod growth;
pub mod kernels;
pub mod native;
pub mod steps;
