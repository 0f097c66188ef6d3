//! Machine code belongs to the form of a kernel: a step traced again for other numbers reuses the functions already
//! generated, and computes what the portable target computes.

use gavotte::random::Key;
use gavotte::{Array, DType, Error, Jit, Options, Target, Tree, jit_with, value_and_grad};
use gavotte_core::ir::Value;
use gavotte_gat::data::{PlantedSpec, Split, planted};
use gavotte_gat::experiment::{Experiment, Inputs};
use gavotte_gat::model::GatConfig;
use gavotte_gat::train::{GatTraining, Trainer};

fn has_machine_code() -> bool {
    let is_native = Target::native() != Target::Portable;
    if !is_native {
        gavotte_tests::skip("this machine runs no machine code");
    }
    is_native
}

/// Pseudo-random numbers between -1 and 1.
fn numbers(shape: &[usize], seed: usize) -> Array {
    let n: usize = shape.iter().product();
    Array::new(shape, (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0).collect())
}

/// Checks that every leaf is near the other's, relative to its largest number.
#[track_caller]
fn assert_near<T: Tree>(found: &T, wanted: &T) {
    let numbers = |leaf: Value| -> Vec<f64> { Array::from(leaf).astype(DType::F64).to_vec() };
    for ((path, found), (_, wanted)) in found.leaves_with_paths().into_iter().zip(wanted.leaves_with_paths()) {
        let (found, wanted) = (numbers(found), numbers(wanted));
        let scale = wanted.iter().fold(0f64, |most, x| most.max(x.abs()));
        let worst = found.iter().zip(&wanted).fold(0f64, |most, (a, b)| most.max((a - b).abs()));
        assert!(found.len() == wanted.len() && worst <= 1e-5 * scale, "{path}: {worst} apart, of {scale}");
    }
}

#[derive(Tree, Clone)]
struct Perceptron {
    w: [Array; 2],
    b: [Array; 2],
}

type PerceptronStep = Jit<'static, (Perceptron, Array, Array), (Array, Perceptron)>;

/// One gradient step on the mean square over a batch.
fn perceptron_step(target: Target) -> PerceptronStep {
    let step = |model: Perceptron, x: Array, y: Array| {
        let loss = |model: Perceptron, x: Array, y: Array| {
            let hidden = (x.matmul(&model.w[0]) + &model.b[0]).tanh();
            let miss = hidden.matmul(&model.w[1]) + &model.b[1] - y;
            (&miss * &miss).mean(())
        };
        let (value, grads) = value_and_grad(loss)(model.clone(), x, y);
        let down = |p: &Array, g: &Array| p - g * 0.03f32;
        let [w0, w1] = [0, 1].map(|i| down(&model.w[i], &grads.w[i]));
        let [b0, b1] = [0, 1].map(|i| down(&model.b[i], &grads.b[i]));
        (value, Perceptron { w: [w0, w1], b: [b0, b1] })
    };
    jit_with(step, Options { target, ..Options::default() })
}

#[test]
fn another_batch_generates_no_code() -> Result<(), Error> {
    if !has_machine_code() {
        return Ok(());
    }
    let w = [numbers(&[20, 24], 1), numbers(&[24, 3], 2)];
    let model = Perceptron { w, b: [numbers(&[24], 3), numbers(&[3], 4)] };
    let step = perceptron_step(Target::native());
    let slow = perceptron_step(Target::Portable);
    for (i, n) in [100, 260, 77].into_iter().enumerate() {
        let args = || (model.clone(), numbers(&[n, 20], 5 + n), numbers(&[n, 3], 6 + n));
        let lowered = step.lower(args())?;
        let generated = lowered.executable().n_generated();
        assert_eq!(generated > 0, i == 0, "{n} rows: {generated} functions");
        assert_near(&step.try_call(args())?, &slow.try_call(args())?);
    }
    assert_eq!(step.n_entry(), 3, "every batch is traced by itself");
    // Another number of features needs other code.
    let w = [numbers(&[20, 40], 1), numbers(&[40, 3], 2)];
    let wide = Perceptron { w, b: [numbers(&[40], 3), numbers(&[3], 4)] };
    let lowered = step.lower((wide, numbers(&[100, 20], 5), numbers(&[100, 3], 6)))?;
    assert!(lowered.executable().n_generated() > 0);
    Ok(())
}

/// A generated graph whose arrays have numbers as sizes.
fn graph(n_node: usize) -> (Experiment, Inputs) {
    let spec = PlantedSpec { n_word: 100, ..PlantedSpec::cora().scaled(n_node) };
    let dataset = planted(&mut Key::new(n_node as u64).rng(), &spec).unwrap_or_else(|error| panic!("{error}"));
    let (train, rest): (Vec<i32>, Vec<i32>) = (0..dataset.n_node() as i32).partition(|node| node % 20 == 0);
    let (val, test) = rest.into_iter().partition(|node| node % 4 == 1);
    let experiment = GatConfig::new(7).experiment(&dataset, &Split { train, val, test });
    let experiment = experiment.unwrap_or_else(|error| panic!("{error}"));
    let inputs = experiment.inputs.map(|leaf| Value::from(leaf.to_host().expect("it is computed")));
    (experiment, inputs)
}

#[test]
fn another_graph_of_fixed_sizes_generates_no_code() -> Result<(), Error> {
    if !has_machine_code() {
        return Ok(());
    }
    let trainer = Trainer::gat(GatConfig::new(7), GatTraining::default()).unwrap_or_else(|error| panic!("{error}"));
    for (i, n_node) in [500, 933].into_iter().enumerate() {
        let (experiment, inputs) = graph(n_node);
        let params = trainer.init(Key::new(1), &experiment).unwrap_or_else(|error| panic!("{error}"));
        let args = || (Array::scalar(0), (trainer.optimizer.init_fun)(params.clone()), inputs.clone(), Key::new(2));
        let lowered = trainer.step.lower(args())?;
        assert!(lowered.sizes().is_empty(), "its sizes are numbers");
        let generated = lowered.executable().n_generated();
        assert_eq!(generated > 0, i == 0, "{n_node} nodes: {generated} functions");
        let (_, loss) = trainer.step.try_call(args())?;
        // The step for all sizes.
        let (_, wanted) = trainer.step.try_call((args().0, args().1, experiment.inputs.clone(), args().3))?;
        assert_near(&loss, &wanted);
    }
    Ok(())
}
