//! The cost of tracing, differentiating and optimising: a multilayer perceptron by depth, and a training step on a
//! graph of Cora's size.
//!
//! ```sh
//! cargo bench -p gavotte-bench --bench tracing
//! ```

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use gavotte::random::Key;
use gavotte::{Array, Tree, make_program, value_and_grad};
use gavotte_core::pass::optimize;
use gavotte_gat::data::{PlantedSpec, planted};
use gavotte_gat::model::GatConfig;
use gavotte_gat::train::{GatTraining, Trainer};
use std::time::Instant;

/// Runs of each; the figures are medians.
const RUNS: usize = 9;
const DEPTHS: [usize; 4] = [125, 250, 500, 1000];
const WIDTH: usize = 16;

#[derive(Tree, Clone)]
struct Dense {
    w: Array,
    b: Array,
}

fn main() {
    println!("multilayer perceptron: one gradient descent step, milliseconds, median of {RUNS}");
    println!(
        "{:>7} {:>10} {:>12} {:>10} {:>8} {:>14}",
        "layers", "equations", "trace + grad", "optimise", "sum", "µs per layer"
    );
    for depth in DEPTHS {
        let (n_eqn, [trace, optimise]) = perceptron(depth);
        let sum = trace + optimise;
        println!("{depth:7} {n_eqn:10} {trace:12.2} {optimise:10.2} {sum:8.2} {:14.2}", 1e3 * sum / depth as f64);
    }
    let (n_eqn, [trace, optimise]) = graph_attention();
    println!("\ngraph attention network on a graph of Cora's size: one training step with Adam");
    println!(
        "{n_eqn} equations: trace + grad {trace:.2} ms, optimise {optimise:.2} ms, sum {:.2} ms",
        trace + optimise
    );
}

/// The number of equations of one step, and the milliseconds to trace it with its gradient and to optimise it.
fn perceptron(depth: usize) -> (usize, [f64; 2]) {
    let layers: Vec<Dense> = (0..depth)
        .map(|_| Dense {
            w: Array::new(&[WIDTH, WIDTH], vec![0.1f32; WIDTH * WIDTH]),
            b: gavotte::zeros([WIDTH], gavotte::DType::F32),
        })
        .collect();
    let loss = |layers: Vec<Dense>, x: Array| {
        let last = layers.iter().fold(x, |x, layer| (x.dot(&layer.w) + &layer.b).tanh());
        (&last * &last).mean(())
    };
    let step = move |layers: Vec<Dense>, x: Array| {
        let (value, grads) = value_and_grad(loss)(layers.clone(), x);
        (layers.zip_map(&grads, |w, g| (Array::from(w) - Array::from(g) * 0.1).into()), value)
    };
    let x = Array::new(&[8, WIDTH], vec![0.5f32; 8 * WIDTH]);
    measure(|| make_program(&step, (layers.clone(), x.clone())))
}

fn graph_attention() -> (usize, [f64; 2]) {
    let dataset = planted(&mut Key::new(0).rng(), &PlantedSpec::cora()).expect("the numbers are valid");
    let config = GatConfig::new(dataset.n_class());
    let split = dataset.default_split.clone().expect("it has one");
    let experiment = config.experiment(&dataset, &split).expect("it fits");
    measure(|| {
        let trainer = Trainer::gat(config, GatTraining::default()).expect("the numbers are valid");
        let params = trainer.init(Key::new(0), &experiment).expect("it fits");
        let state = (trainer.optimizer.init_fun)(params);
        let args = trainer.step_args(0, state, &experiment, Key::new(1)).expect("it fits");
        let start = Instant::now();
        // Within another function the compiled step is recorded as a call, whose own program counts.
        let step = &trainer.step;
        let program = make_program(&|i: Array, s, inputs, key| step(i, s, inputs, key), args);
        let inner = program.eqns[0].params.program("program");
        EARLY.with(|early| early.set(Some(start.elapsed())));
        std::sync::Arc::unwrap_or_clone(inner)
    })
}

thread_local! {
    /// The time that a function measured itself, without its preparations.
    static EARLY: std::cell::Cell<Option<std::time::Duration>> = const { std::cell::Cell::new(None) };
}

fn measure(trace: impl Fn() -> gavotte_core::ir::Program) -> (usize, [f64; 2]) {
    let mut times = [vec![], vec![]];
    let mut n_eqn = 0;
    for _ in 0..RUNS {
        let start = Instant::now();
        let program = trace();
        let traced = EARLY.take().unwrap_or_else(|| start.elapsed());
        let start = Instant::now();
        let optimised = optimize(&program);
        times[0].push(traced.as_secs_f64() * 1e3);
        times[1].push(start.elapsed().as_secs_f64() * 1e3);
        n_eqn = optimised.eqns.len();
    }
    let median = |mut list: Vec<f64>| {
        list.sort_by(f64::total_cmp);
        list[list.len() / 2]
    };
    (n_eqn, times.map(median))
}
