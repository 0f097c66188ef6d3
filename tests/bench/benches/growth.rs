//! Times the first call of a program, for sizes that double: trace, differentiate, lower, generate, run.
//!
//! ```sh
//! cargo bench -p gavotte-bench --bench growth            # all
//! cargo bench -p gavotte-bench --bench growth -- gpt     # one
//! cargo bench -p gavotte-bench --bench growth -- gpt 96  # at a custom size
//! ```

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use gavotte_bench::growth::PROGRAMS;
use std::time::Instant;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let (sizes, wanted): (Vec<&String>, Vec<&String>) = wanted.iter().partition(|arg| arg.parse::<usize>().is_ok());
    let sizes: Vec<usize> = sizes.iter().filter_map(|size| size.parse().ok()).collect();
    println!("{:>10} {:>8} {:>12} {:>8}", "program", "size", "first call", "ratio");
    for program in PROGRAMS.iter().filter(|p| wanted.is_empty() || wanted.iter().any(|name| *name == p.name)) {
        let mut before: Option<f64> = None;
        for n in if sizes.is_empty() { program.sizes } else { &sizes } {
            let start = Instant::now();
            assert!((program.first_call)(*n).is_finite(), "{} {n}", program.name);
            let took = start.elapsed().as_secs_f64();
            let ratio = before.map_or(String::new(), |before| format!("{:.2}", took / before));
            println!("{:>10} {n:>8} {:9.1} ms {ratio:>8}", program.name, 1e3 * took);
            before = Some(took);
        }
    }
}
