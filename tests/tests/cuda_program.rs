//! Compiled programs on a GPU, which the emulator is, against the processor.
#![cfg(target_os = "linux")]

use gavotte::device::{DeviceRef, cpu, cuda};
use gavotte::random::Key;
use gavotte::{Array, DType, Tree, device_put, jit, value_and_grad};
use gavotte_emulator::control::Counts;
use gavotte_emulator::driver::Session;
use gavotte_gat::data::{Dataset, PlantedSpec, Split, karate, planted};
use gavotte_gat::experiment::Experiment;
use gavotte_gat::model::GatConfig;
use gavotte_gat::train::{Outcome, TrainConfig, Trainer};
use gavotte_tests::gpu::machine;
use std::ops::ControlFlow;

#[test]
fn a_gradient_is_the_processors() {
    let Some(machine) = machine("") else { return };
    {
        let device = cuda(0).expect("the emulator is a GPU");
        let loss = |w: Array, x: Array| (x.dot(&w).tanh() * 2.0f32).exp().sum(());
        let step = jit(value_and_grad(loss));
        let (a, b) = (Key::new(1), Key::new(2));
        let (w, x) = (a.normal([16, 8], DType::F32), b.normal([32, 16], DType::F32));
        let wanted = step(w.clone(), x.clone());
        let there = device_put((w, x), &device).unwrap();
        let found = step(there.0, there.1);
        assert_eq!(found.0.device().unwrap().name(), "cuda:0");
        let numbers = |array: &Array| array.to_vec::<f32>();
        for (a, b) in [(&found.0, &wanted.0), (&found.1, &wanted.1)] {
            for (a, b) in numbers(a).into_iter().zip(numbers(b)) {
                assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} and {b}");
            }
        }
    }
    assert_eq!(machine.report(), "");
    assert_eq!(machine.counts().live_allocations, 0);
}

/// Trains with dropout on both devices.
fn train(dataset: &Dataset, epochs: usize) {
    let Some(machine) = machine("memory=256M") else { return };
    {
        let config = GatConfig::new(dataset.n_class());
        let train = TrainConfig { epochs, patience: None, ..TrainConfig::default() };
        let split = Split { val: vec![], ..dataset.default_split.clone().unwrap_or_default() };
        let fit = |device: &DeviceRef| {
            let trainer = Trainer::new(config, train).unwrap_or_else(|error| panic!("{error}"));
            let experiment = Experiment::new(dataset, &split, &config).and_then(|experiment| experiment.on(device));
            let outcome = experiment.and_then(|x| trainer.fit(Key::new(3), &x, |_| ControlFlow::Continue(())));
            outcome.unwrap_or_else(|error| panic!("{error}\n{}", machine.report()))
        };
        let (found, wanted) = (fit(&cuda(0).expect("the emulator is a GPU")), fit(&cpu()));
        let losses = |outcome: &Outcome| outcome.history.iter().map(|epoch| epoch.step_loss).collect::<Vec<f64>>();
        for (epoch, (a, b)) in losses(&found).into_iter().zip(losses(&wanted)).enumerate() {
            assert!((a - b).abs() <= 1e-5 * b.abs(), "epoch {epoch}: {a} and {b}");
        }
        assert_eq!(found.predictions, wanted.predictions);
    }
    assert_eq!(machine.report(), "");
    assert_eq!(machine.counts().live_allocations, 0);
}

#[test]
fn the_karate_club_is_learnt() {
    train(&karate(), 20);
}

#[test]
fn a_generated_network_is_learnt() {
    let network = planted(&mut Key::new(4).rng(), &PlantedSpec::cora().scaled(300));
    train(&network.unwrap_or_else(|error| panic!("{error}")), 3);
}

/// The counts of a training of so many epochs on the karate club, and its parameters' bits.
fn counted(machine: &Session<'_>, epochs: usize) -> (Counts, Vec<u32>) {
    let config = GatConfig::new(4);
    let train = TrainConfig { epochs, patience: None, ..TrainConfig::default() };
    let dataset = karate();
    let split = Split { val: vec![], ..dataset.default_split.clone().unwrap_or_default() };
    let device = cuda(0).expect("the emulator is a GPU");
    let trainer = Trainer::new(config, train).unwrap_or_else(|error| panic!("{error}"));
    let experiment = Experiment::new(&dataset, &split, &config).and_then(|experiment| experiment.on(&device));
    let outcome = experiment.and_then(|x| trainer.fit(Key::new(3), &x, |_| ControlFlow::Continue(())));
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}\n{}", machine.report()));
    let bits = outcome.params.leaves_with_paths().into_iter().flat_map(|(_, leaf)| Array::from(leaf).to_vec::<f32>());
    (machine.counts(), bits.map(f32::to_bits).collect())
}

#[test]
fn nothing_is_copied_step_by_step_but_metrics() {
    let Some(first) = machine("") else { return };
    let (few, _) = counted(&first, 10);
    drop(first);
    let second = machine("").expect("as before");
    let (many, bits) = counted(&second, 30);
    drop(second);
    assert_eq!(many.copies_to_device, few.copies_to_device, "parameters and data go up once");
    assert_eq!(many.bytes_to_device, few.bytes_to_device);
    // Five metrics an epoch: loss of the step, losses of three parts, log-probabilities for the accuracies; with each
    // comes the record of what kernels found wrong.
    assert_eq!(many.copies_to_host - few.copies_to_host, 20 * 2 * 5);
    assert_eq!(many.allocations, few.allocations, "memory is taken once");
    // Steps are recorded and replayed.
    assert!(many.graph_launches - few.graph_launches >= 20, "{} and {}", many.graph_launches, few.graph_launches);
    let third = machine("seed=7").expect("as before");
    assert_eq!(counted(&third, 30).1, bits, "two runs, blocks in another order, the same bits");
}
