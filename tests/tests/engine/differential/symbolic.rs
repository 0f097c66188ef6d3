//! Programs with symbols, compiled once, against XLA on the text exported for the sizes of a call: a training step of
//! the graph attention network, and the primitives that turn sizes into numbers.

use gavotte::random::Key;
use gavotte::segment::Segments;
use gavotte::{Array, DType, Jit, Tree, jit, value_and_grad};
use gavotte_core::api::Args;
use gavotte_core::device::HostArray;
use gavotte_core::ir::Value;
use gavotte_gat::data::karate;
use gavotte_gat::model::GatConfig;
use gavotte_gat::train::{GatTraining, Trainer};
use gavotte_tests::arrays::numbers;
use gavotte_tests::oracle::{ask_xla, with_worker, workers};
use std::sync::Arc;

/// Relative to an array's largest element: how much two orders of `f64` sums may differ, through all layers.
const TOLERANCE: f64 = 1e-11;

fn host(leaf: &Value) -> HostArray {
    Arc::unwrap_or_clone(leaf.to_host().expect("it is computed"))
}

/// Calls a compiled function, and compares it with XLA on the program of its trace at the sizes of the call.
fn check<A: Args + Clone, O: Tree>(f: &Jit<'_, A, O>, args: A) {
    let lowered = f.lower(args.clone()).unwrap_or_else(|error| panic!("{error}"));
    assert!(!lowered.program().symbols().is_empty(), "there is no symbol in\n{}", lowered.program());
    let program = lowered.program().at(lowered.sizes());
    let inputs: Vec<HostArray> = args.flatten().1.iter().map(host).collect();
    let found = f.try_call(args).unwrap_or_else(|error| panic!("{error}")).flatten().1;
    let wanted = with_worker(|worker| ask_xla(worker, &[(&program, &inputs[..])]).swap_remove(0));
    let wanted = wanted.unwrap_or_else(|why| panic!("XLA: {why}"));
    assert_eq!(found.len(), wanted.len());
    for (i, (found, wanted)) in found.iter().map(host).zip(&wanted).enumerate() {
        let (a, b) = (numbers(&found), numbers(wanted));
        let largest = b.iter().fold(0f64, |most, x| most.max(x.abs()));
        let allowed = if wanted.dtype().is_float() { TOLERANCE * largest } else { 0.0 };
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() <= allowed, "{}, result {i}: {a}, by XLA {b}", program.name);
        }
    }
}

#[test]
fn a_training_step() {
    if workers() == 0 {
        return;
    }
    let dataset = karate();
    let config = GatConfig { dtype: DType::F64, ..GatConfig::new(dataset.n_class()) };
    let split = dataset.default_split.clone().expect("the karate club has one");
    let experiment = config.experiment(&dataset, &split).expect("it fits");
    let trainer = Trainer::gat(config, GatTraining::default()).expect("the numbers are valid");
    // A step from a later state: moments and bias corrections are in play.
    let params = trainer.init(Key::new(1), &experiment).expect("it fits");
    let start = trainer.step_args(0, (trainer.optimizer.init_fun)(params), &experiment, Key::new(2)).expect("it fits");
    let (state, _) = trainer.step.try_call(start).unwrap_or_else(|error| panic!("{error}"));
    let (i, state, inputs, key) = trainer.step_args(1, state, &experiment, Key::new(3)).expect("it fits");
    let key = key.into_array();
    let step = &trainer.step;
    let wrapped = jit(move |i: Array, state, inputs, key: Array| step(i, state, inputs, Key::from_array(key)));
    check(&wrapped, (i, state, inputs, key));
}

#[test]
fn sizes_as_numbers() {
    if workers() == 0 {
        return;
    }
    let spread = jit(|x: Array, segments: Segments| {
        let loss = |x: Array| {
            let centred = &x - x.mean(());
            let n = gavotte::dim_value(x.dim(0), DType::F64);
            (segments.softmax(&centred) * &x).sum(()) / n + gavotte::iota([x.dim(0)], 0, DType::F64).dot(&x)
        };
        value_and_grad(loss)(x)
    });
    for ids in [&[0, 1, 0, 2, 2][..], &[1, 1][..], &[0][..]] {
        let x: Vec<f64> = (0..ids.len()).map(|i| (i as f64 * 0.9).cos()).collect();
        let segments = Segments::new(ids, 3).expect("they are valid").with_symbols("s", "e");
        check(&spread, (Array::new(&[ids.len()], x).declare(["e"]), segments));
    }
    assert_eq!(spread.n_entry(), 1);
}
