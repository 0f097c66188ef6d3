//! Training steps under load: quiet, then with one busy process for each core.
//!
//! ```sh
//! cargo bench -p gavotte-bench --bench load
//! ```
//!
//! The two ratios that matter are printed last: how much longer a step takes with the busy processes than without, and
//! how much longer with two threads than with one. Nothing else should run; the machine's load before is printed first.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use gavotte_bench::steps::{graph_attention, karate_club, multilayer_perceptron};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// With this argument the program keeps a core busy.
const BUSY: &str = "--busy";
/// How often every step is timed with each number of threads, in alternation: other work on the machine affects all
/// alike.
const ROUNDS: usize = 15;
/// How long a step is repeated in a round: when all is quiet, and with the busy processes. Those have a core for some
/// milliseconds at a time, so a round must be much longer.
const QUIET: Duration = Duration::from_millis(60);
const LOADED: Duration = Duration::from_millis(400);
/// The most times as long that a step may take with one busy process for each core.
const MOST: f64 = 2.5;
/// The most times as long that it may take on two threads as on one.
const MOST_OF_ONE: f64 = 1.15;

/// A process that computes until it is dropped.
struct Busy(Child);

impl Busy {
    fn start() -> Busy {
        let program = std::env::current_exe().expect("this program has a file");
        Busy(Command::new(program).arg(BUSY).stdout(Stdio::null()).spawn().expect("it starts again"))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // It has nothing to lose.
        self.0.kill().and_then(|()| self.0.wait()).expect("it is ours");
    }
}

/// A step on this many threads, and its time in each round, in microseconds.
struct Timed {
    threads: usize,
    step: Box<dyn FnMut()>,
    quiet: Vec<f64>,
    loaded: Vec<f64>,
}

impl Timed {
    fn new(threads: usize, mut step: Box<dyn FnMut()>) -> Timed {
        (0..3).for_each(|_| step());
        Timed { threads, step, quiet: vec![], loaded: vec![] }
    }

    fn mean(&mut self, long: Duration) -> f64 {
        let (start, mut n) = (Instant::now(), 0);
        while start.elapsed() < long {
            (self.step)();
            n += 1;
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(n)
    }
}

fn median(list: &[f64]) -> f64 {
    let mut list = list.to_vec();
    list.sort_by(f64::total_cmp);
    list[list.len() / 2]
}

/// Makes a step for this many threads.
type Make = fn(usize) -> Box<dyn FnMut()>;

fn main() {
    if std::env::args().any(|arg| arg == BUSY) {
        loop {
            std::hint::spin_loop();
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{cores} cores, load before: {}", load.split(' ').next().unwrap_or("not known"));
    let all: [(&str, Make); 3] = [
        ("graph attention, Cora's size", |threads| Box::new(graph_attention(threads))),
        ("graph attention, karate club", |threads| Box::new(karate_club(threads))),
        ("perceptron", |threads| Box::new(multilayer_perceptron(threads))),
    ];
    println!("{:30} {:>7} {:>12} {:>12} {:>12} {:>7}", "step", "threads", "quiet, least", "quiet", "loaded", "ratio");
    for (name, step) in all {
        let mut timed: Vec<Timed> = [1, 2].map(|threads| Timed::new(threads, step(threads))).into();
        for _ in 0..ROUNDS {
            timed.iter_mut().for_each(|timed| {
                let mean = timed.mean(QUIET);
                timed.quiet.push(mean);
            });
        }
        let busy: Vec<Busy> = (0..cores).map(|_| Busy::start()).collect();
        for _ in 0..ROUNDS {
            timed.iter_mut().for_each(|timed| {
                let mean = timed.mean(LOADED);
                timed.loaded.push(mean);
            });
        }
        drop(busy);
        for Timed { threads, quiet, loaded, .. } in &timed {
            let least = quiet.iter().copied().fold(f64::INFINITY, f64::min);
            let (quiet, loaded) = (median(quiet), median(loaded));
            let ratio = loaded / quiet;
            let verdict = if ratio > MOST { format!(", above {MOST}") } else { String::new() };
            println!("{name:30} {threads:>7} {least:>9.1} µs {quiet:>9.1} µs {loaded:>9.1} µs {ratio:>7.2}{verdict}");
        }
        let of = |of: fn(&Timed) -> f64| of(&timed[1]) / of(&timed[0]);
        let (quiet, loaded) = (of(|timed| median(&timed.quiet)), of(|timed| median(&timed.loaded)));
        let verdict = if loaded > MOST_OF_ONE { format!(", above {MOST_OF_ONE}") } else { String::new() };
        println!("{name:30} two threads of one: quiet {quiet:.2}, loaded {loaded:.2}{verdict}");
    }
}
