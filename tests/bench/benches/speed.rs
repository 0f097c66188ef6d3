//! Kernels compared with the same loops in Rust, and whole training steps. The crate's documentation says how to run
//! it.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use criterion::{Criterion, Throughput};
use gavotte_bench::kernels::{Kernel, kernels};
use gavotte_bench::steps::{graph_attention, multilayer_perceptron};
use std::time::{Duration, Instant};

/// How often both forms of a kernel run, in alternation: other work on the machine affects both.
const ROUNDS: usize = 51;
/// About how long each form runs in a round.
const WINDOW: Duration = Duration::from_millis(4);
/// A kernel must reach at least this fraction of rustc's speed.
const MARK: f64 = 0.9;

fn main() {
    if cfg!(not(target_feature = "fma")) {
        println!(
            "note: the loops in Rust are built without this machine's vectors: RUSTFLAGS=\"-C target-cpu=native\""
        );
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut kernels = kernels();
    for kernel in &mut kernels {
        let mut group = criterion.benchmark_group(kernel.name);
        group.throughput(Throughput::Elements(kernel.elements));
        group.bench_function("compiled", |bencher| bencher.iter(&mut kernel.compiled));
        group.bench_function("rustc", |bencher| bencher.iter(&mut kernel.native));
        group.finish();
    }
    for threads in [1, 2] {
        let mut group = criterion.benchmark_group(format!("steps on {threads} threads"));
        group.bench_function("graph attention, Cora's size", |bencher| bencher.iter(graph_attention(threads)));
        group.bench_function("perceptron", |bencher| bencher.iter(multilayer_perceptron(threads)));
        group.finish();
    }
    criterion.final_summary();
    println!("{:20} {:>12} {:>12}   {:>14}", "alternating", "compiled", "rustc", "rustc/compiled");
    for kernel in &mut kernels {
        let Medians { compiled, native, ratio } = alternating(kernel);
        let verdict = if ratio < MARK { format!(", below {MARK}") } else { String::new() };
        println!("{:20} {compiled:>9.1} µs {native:>9.1} µs   {ratio:>14.2}{verdict}", kernel.name);
    }
}

/// Medians of one call, in microseconds, and of the ratio of each round.
struct Medians {
    compiled: f64,
    native: f64,
    ratio: f64,
}

fn alternating(kernel: &mut Kernel) -> Medians {
    let calls = |run: &mut dyn FnMut(), n: u32| {
        let start = Instant::now();
        (0..n).for_each(|_| run());
        start.elapsed().as_secs_f64() * 1e6 / f64::from(n)
    };
    let [compiled, native] = [&mut kernel.compiled, &mut kernel.native];
    let n = |once: f64| (WINDOW.as_secs_f64() * 1e6 / once).max(1.0) as u32;
    let (n_compiled, n_native) = (n(calls(compiled, 3)), n(calls(native, 3)));
    let rounds: Vec<[f64; 2]> = (0..ROUNDS).map(|_| [calls(compiled, n_compiled), calls(native, n_native)]).collect();
    let median = |of: &dyn Fn(&[f64; 2]) -> f64| {
        let mut list: Vec<f64> = rounds.iter().map(of).collect();
        list.sort_by(f64::total_cmp);
        list[list.len() / 2]
    };
    Medians { compiled: median(&|round| round[0]), native: median(&|round| round[1]), ratio: median(&|[a, b]| b / a) }
}
