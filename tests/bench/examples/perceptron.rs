//! Times the training step of a multilayer perceptron, as `bench/perceptron.py` does for JAX and PyTorch.
//!
//! ```sh
//! cargo run --release -p gavotte-bench --example perceptron -- 2
//! ```

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use gavotte_bench::steps::multilayer_perceptron;
use std::time::Instant;

const STEPS: usize = 300;

fn main() {
    let threads: usize = std::env::args().nth(1).map_or(1, |text| text.parse().expect("a number of threads"));
    let mut step = multilayer_perceptron(threads);
    step();
    let mut times: Vec<f64> = (0..STEPS)
        .map(|_| {
            let start = Instant::now();
            step();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("gavotte, {threads} threads: min {:.3} ms, median {:.3} ms", times[0], times[STEPS / 2]);
}
