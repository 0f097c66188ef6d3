//! The cost of a training step per edge, from 100 thousand edges to 10 million, and how much of its growth is due to
//! memory: the step is compared with plain loops over the same graph that only read and write as its kernels do. One
//! thread, and processor time where the system reports it, so that other programs disturb little.
//!
//! ```sh
//! cargo bench -p gavotte-bench --bench edges
//! cargo bench -p gavotte-bench --bench edges -- 1000000      # this many edges only
//! ```

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use gavotte::random::Key;
use gavotte_core::aval::{Dim, Sizes};
use gavotte_core::ir::{Index, Var};
use gavotte_core::kernel::{Instr, Kernel, Step, bytes_at};
use gavotte_gat::data::{Dataset, RmatSpec, rmat};
use gavotte_gat::model::GatConfig;
use gavotte_gat::train::{GatTraining, Trainer};
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

const EDGES: [usize; 3] = [100_000, 1_000_000, 10_000_000];
const EDGES_PER_NODE: usize = 10;
const FEATURES: usize = 64;
const CLASSES: usize = 16;
/// Rows read at computed places have about this many floats: one or two cache lines, or a few.
const NARROW: usize = 8;
const WIDE: usize = 64;
/// Each figure is the mean of at least this many rounds, over at least this many seconds.
const ROUNDS: usize = 5;
const SECONDS: f64 = 2.0;

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let edges = if asked.is_empty() { EDGES.to_vec() } else { asked };
    println!("graph attention network, {FEATURES} features, {CLASSES} classes, one thread; ns and bytes per edge");
    println!(
        "{:>9} {:>9} {:>11} {:>10} {:>9} {:>9} {:>9} {:>9} {:>10}",
        "edges", "step, ms", "step, ns", "plan, B", "wide, ns", "narrow", "GB/s", "moves, ns", "step/moves"
    );
    for n_edge in edges {
        row(n_edge);
    }
}

fn row(n_edge: usize) {
    let spec = RmatSpec { n_node: n_edge / EDGES_PER_NODE, n_edge, n_feat: FEATURES, n_class: CLASSES };
    let dataset = rmat(&mut Key::new(0).rng(), &spec).expect("a graph has these numbers");
    let (moved, step_s, planned) = step(&dataset);
    let paths = Paths::new(&dataset);
    let e = dataset.n_edge() as f64;
    let wide_s = mean(|| paths.gather::<WIDE>(&paths.receivers, &paths.senders));
    let narrow_s = mean(|| paths.gather::<NARROW>(&paths.by_sender, &paths.order));
    // As much memory as the step uses.
    let n = planned / (2 * size_of::<f32>());
    let mut streamed = [vec![1.0; n], vec![0.0; n]];
    let stream_s = mean(|| stream(&mut streamed)) / (2 * size_of::<f32>() * n) as f64;
    let moves_s = moved.wide * wide_s + moved.narrow * narrow_s + moved.bytes * e * stream_s;
    println!(
        "{:9} {:9.2} {:11.1} {:10.1} {:9.2} {:9.2} {:9.2} {:9.1} {:10.2}",
        spec.n_edge,
        step_s * 1e3,
        step_s * 1e9 / e,
        planned as f64 / e,
        wide_s * 1e9 / e,
        narrow_s * 1e9 / e,
        1e-9 / stream_s,
        moves_s * 1e9 / e,
        step_s / moves_s
    );
}

/// The memory traffic of a step's kernels.
struct Moved {
    /// Rows at computed places per edge, in rows of [`WIDE`] and of [`NARROW`] floats.
    wide: f64,
    narrow: f64,
    /// Bytes per edge that are read or written in order.
    bytes: f64,
}

/// What a step moves, how long it takes, and the bytes planned for it.
fn step(dataset: &Dataset) -> (Moved, f64, usize) {
    let config = GatConfig::new(CLASSES);
    let split = dataset.default_split.clone().expect("a generated graph has a split");
    let trainer = Trainer::gat(config, GatTraining::default()).expect("the settings are sound");
    let experiment = config.experiment(dataset, &split).expect("the data are sound");
    let params = trainer.init(Key::new(0), &experiment).expect("the device works");
    let mut state = Some((trainer.optimizer.init_fun)(params));
    let args = |i, state| trainer.step_args(i, state, &experiment, Key::new(1)).expect("the device works");
    let lowered = trainer.step.lower(args(0, state.clone().expect("it is there"))).expect("it compiles");
    let mut i = 0;
    let step_s = mean(|| {
        let state_now = state.take().expect("a step returns the next state");
        let (next, loss) = trainer.step.try_call(args(i, state_now)).expect("it runs");
        black_box(loss.to_vec::<f32>());
        state = Some(next);
        i += 1;
    });
    let (executable, sizes) = (lowered.executable(), lowered.sizes());
    let plan = executable.plan_text(sizes, None).expect("there is a plan");
    let is_local = |var: &Var| {
        let head = format!("  {var}: ");
        plan.lines().any(|line| line.starts_with(&head) && line.ends_with("a chunk of rows at a time"))
    };
    let mut moved = Moved { wide: 0.0, narrow: 0.0, bytes: 0.0 };
    for step in executable.steps() {
        if let Step::Kernel(kernel, _) = step {
            moved.add(kernel, sizes, dataset.n_edge() as f64, &is_local);
        }
    }
    (moved, step_s, executable.plan(sizes).expect("there is a plan").bytes())
}

impl Moved {
    fn add(&mut self, kernel: &Kernel, sizes: &Sizes, n_edge: f64, is_local: &dyn Fn(&Var) -> bool) {
        let goes_by_edge = kernel.loops.iter().any(|l| l.extent == Dim::symbol("e"));
        for (i, (var, aval)) in kernel.inputs.iter().enumerate() {
            let is_computed = |instr: &Instr| matches!(instr, Instr::Load(input, index) if *input as usize == i && matches!(index.first(), Some(Index::Value(_))));
            if goes_by_edge && kernel.body.iter().any(is_computed) {
                let row: usize = aval.shape[1..].iter().filter_map(Dim::as_usize).product();
                if row * 2 > WIDE { self.wide += row as f64 / WIDE as f64 } else { self.narrow += 1.0 }
            } else if !is_local(var) {
                self.bytes += bytes_at(aval, sizes) as f64 / n_edge;
            }
        }
        let outputs = kernel.outputs.iter().filter(|(var, _)| !is_local(var));
        self.bytes += outputs.map(|(_, aval)| bytes_at(aval, sizes) as f64).sum::<f64>() / n_edge;
    }
}

/// The mean time of a round, in seconds.
fn mean(mut work: impl FnMut()) -> f64 {
    // The first one warms up.
    work();
    let (start, start_s) = (Instant::now(), seconds());
    let mut rounds = 0;
    while rounds < ROUNDS || start.elapsed().as_secs_f64() < SECONDS {
        work();
        rounds += 1;
    }
    (seconds() - start_s) / rounds as f64
}

/// A graph's edges, by receiver and by sender.
struct Paths {
    n_node: usize,
    senders: Vec<i32>,
    /// Where each receiver's edges begin, and where the last one's end.
    receivers: Vec<usize>,
    /// Edges by sender, and where each sender's begin.
    order: Vec<i32>,
    by_sender: Vec<usize>,
    /// The most floats that rows of either kind need.
    rows: Vec<f32>,
}

impl Paths {
    fn new(dataset: &Dataset) -> Paths {
        let (n_node, n_edge) = (dataset.n_node(), dataset.n_edge());
        let offsets = |ids: &[i32]| {
            let mut offsets = vec![0; n_node + 1];
            ids.iter().for_each(|id| offsets[*id as usize + 1] += 1);
            (0..n_node).for_each(|i| offsets[i + 1] += offsets[i]);
            offsets
        };
        let mut order: Vec<i32> = (0..n_edge as i32).collect();
        order.sort_by_key(|edge| dataset.senders[*edge as usize]);
        Paths {
            n_node,
            senders: dataset.senders.clone(),
            receivers: offsets(&dataset.receivers),
            order,
            by_sender: offsets(&dataset.senders),
            rows: vec![0.5; (n_node * WIDE).max(n_edge * NARROW)],
        }
    }

    /// For each node, the sum of the rows of `N` floats at the places of its members.
    fn gather<const N: usize>(&self, offsets: &[usize], places: &[i32]) {
        for node in 0..self.n_node {
            let mut sum = [0f32; N];
            for place in &places[offsets[node]..offsets[node + 1]] {
                let row = &self.rows[*place as usize * N..][..N];
                sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
            black_box(sum);
        }
    }
}

/// Reads floats in order, and writes the same number.
fn stream([from, to]: &mut [Vec<f32>; 2]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from * 1.5);
    black_box(to);
}

/// This thread's processor time in seconds; the elapsed time where the system does not report it.
fn seconds() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = text.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanos.map_or_else(|| START.elapsed().as_secs_f64(), |nanos| nanos * 1e-9)
}
