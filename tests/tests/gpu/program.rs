//! Compiled programs on the emulated GPU, against the processor.

use gavotte::device::{DeviceRef, cpu, cuda};
use gavotte::random::Key;
use gavotte::{Array, DType, Tree, device_put, jit, value_and_grad};
use gavotte_emulator::control::Counts;
use gavotte_emulator::driver::Session;
use gavotte_gat::data::{Dataset, PlantedSpec, Split, karate, planted};
use gavotte_gat::experiment::Splits;
use gavotte_gat::model::{GatConfig, GatParams};
use gavotte_gat::train::{Epoch, GatTraining, Outcome, Trainer};
use gavotte_tests::gpu::machine;
use gavotte_tests::perceptron;
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

/// Five steps of Adam: the products of its layers are tiled through shared memory.
#[test]
fn a_perceptron_learns_as_on_the_processor() {
    let Some(machine) = machine("unwritten=refuse") else { return };
    {
        const WIDTHS: [usize; 4] = [70, 64, 48, 10];
        let step = jit(perceptron::step(WIDTHS));
        let run = |device: &DeviceRef| {
            let (mut state, x, y) = device_put(perceptron::start(WIDTHS, 96), device).unwrap();
            let losses = (0..5).map(|i| {
                let (next, loss) = step(Array::scalar(i), state.clone(), x.clone(), y.clone());
                state = next;
                loss.to_vec::<f32>()[0]
            });
            let losses: Vec<f32> = losses.collect();
            let leaves = state.leaves_with_paths().into_iter().map(|(_, leaf)| Array::from(leaf).to_vec::<f32>());
            losses.into_iter().chain(leaves.flatten()).collect::<Vec<f32>>()
        };
        let (found, wanted) = (run(&cuda(0).expect("the emulator is a GPU")), run(&cpu()));
        assert_eq!(found.len(), wanted.len());
        for (a, b) in found.into_iter().zip(wanted) {
            assert!((a - b).abs() <= 1e-5 * b.abs().max(0.1), "{a} and {b}");
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
        let train = GatTraining { epochs, patience: None, ..GatTraining::default() };
        let split = Split { val: vec![], ..dataset.default_split.clone().unwrap_or_default() };
        let fit = |device: &DeviceRef| {
            let trainer = Trainer::gat(config, train).unwrap_or_else(|error| panic!("{error}"));
            let experiment = config.experiment(dataset, &split).and_then(|experiment| experiment.on(device));
            let outcome = experiment.and_then(|x| trainer.fit(Key::new(3), &x, |_| ControlFlow::Continue(())));
            outcome.unwrap_or_else(|error| panic!("{error}\n{}", machine.report()))
        };
        let (found, wanted) = (fit(&cuda(0).expect("the emulator is a GPU")), fit(&cpu()));
        let losses =
            |outcome: &Outcome<GatParams>| outcome.history.iter().map(|epoch| epoch.step_loss).collect::<Vec<f64>>();
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

/// Trains for this many epochs on the karate club; `observe` sees each one. Without validation nodes every epoch is the
/// best; with them the steps are so large that some are not.
fn train_karate(
    machine: &Session<'_>,
    epochs: usize,
    validates: bool,
    mut observe: impl FnMut(&Epoch),
) -> Outcome<GatParams> {
    let config = GatConfig::new(4);
    let learning_rate = if validates { 0.05 } else { 0.005 };
    let train = GatTraining { epochs, learning_rate, patience: None, ..GatTraining::default() };
    let dataset = karate();
    let mut split = dataset.default_split.clone().unwrap_or_default();
    if !validates {
        split.val = vec![];
    }
    let device = cuda(0).expect("the emulator is a GPU");
    let trainer = Trainer::gat(config, train).unwrap_or_else(|error| panic!("{error}"));
    let experiment = config.experiment(&dataset, &split).and_then(|experiment| experiment.on(&device));
    let outcome = experiment.and_then(|x| {
        trainer.fit(Key::new(3), &x, |epoch| {
            observe(epoch);
            ControlFlow::Continue(())
        })
    });
    outcome.unwrap_or_else(|error| panic!("{error}\n{}", machine.report()))
}

/// The counts of a training run, and its parameters' bits.
fn counted(machine: &Session<'_>, epochs: usize) -> (Counts, Vec<u32>) {
    let outcome = train_karate(machine, epochs, false, |_| {});
    let bits = outcome.params.leaves_with_paths().into_iter().flat_map(|(_, leaf)| Array::from(leaf).to_vec::<f32>());
    (machine.counts(), bits.map(f32::to_bits).collect())
}

/// What an epoch adds to the counts: steps, evaluations and keeping the best parameters.
#[test]
fn epochs_are_replayed_and_waited_for_once() {
    for (epochs, validates) in [(40, false), (100, true)] {
        let Some(machine) = machine("") else { return };
        let (mut before, mut one_by_one, mut best) = (machine.counts(), vec![], 0);
        let outcome = train_karate(&machine, epochs, validates, |epoch| {
            let now = machine.counts();
            if now.launches - before.launches > now.graph_kernels - before.graph_kernels {
                one_by_one.push(epoch.epoch);
            } else {
                // The number and the key of the step, the step, and its report.
                assert_eq!(now.graph_launches - before.graph_launches, 3, "{epoch:?}");
            }
            // The first downloads wait until their pinned memory, which holds parameters and data, has been sent.
            if epoch.epoch > 2 {
                assert_eq!(now.synchronizations - before.synchronizations, 1, "{epoch:?}");
                // Seven numbers, and the record of errors that kernels found: a number, a position and an extent.
                assert_eq!(now.copies_to_host - before.copies_to_host, 2, "{epoch:?}");
                assert_eq!(now.bytes_to_host - before.bytes_to_host, 7 * 8 + 16, "{epoch:?}");
                assert_eq!(now.copies_to_device, before.copies_to_device, "{epoch:?}");
            }
            (before, best) = (now, best + usize::from(epoch.best));
        });
        // Until every array has settled in its place.
        assert!(one_by_one.len() <= 10, "epochs {one_by_one:?}, of which {best} were the best");
        assert!(best > 4 && (best < epochs) == validates, "{best} epochs were the best");
        // The host's counts equal the device's.
        let last = &outcome.history[outcome.best_epoch - 1];
        let same = |a: Splits<f64>, b: Splits<f64>| {
            [a.train, a.val, a.test].map(f64::to_bits) == [b.train, b.val, b.test].map(f64::to_bits)
        };
        assert!(same(last.losses, outcome.losses) && same(last.accuracies, outcome.accuracies()), "{last:?}");
    }
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
    assert_eq!(many.allocations, few.allocations, "memory is taken once");
    let third = machine("seed=7").expect("as before");
    assert_eq!(counted(&third, 30).1, bits, "two runs, blocks in another order, the same bits");
}

/// Unlike one chain of additions, a long sum within a product has an error that does not grow with its terms.
#[test]
fn long_sums_of_products_go_in_rounds() {
    const TERMS: usize = 10_000;
    let Some(machine) = machine("unwritten=refuse") else { return };
    {
        let device = cuda(0).expect("the emulator is a GPU");
        let x = gavotte::full([16usize, 9, TERMS], 0.1f32);
        let y = gavotte::full([16usize, TERMS, 9], 0.1f32);
        let product = jit(|x: Array, y: Array| x.matmul(&y));
        let there = device_put((x, y), &device).unwrap();
        let found = product(there.0, there.1).to_vec::<f32>();
        let term = f64::from(0.1f32) * f64::from(0.1f32);
        let error = |found: f32, terms: usize| (f64::from(found) / (term * terms as f64) - 1.0).abs();
        // With this many blocks, each has a part of the terms at least as long as this chain.
        let chain = (0..576).fold(0.0f32, |sum, _| 0.1f32.mul_add(0.1, sum));
        assert!(error(chain, 576) > 4e-6, "{}", error(chain, 576));
        assert!(found.len() == 16 * 81 && found.iter().all(|x| error(*x, TERMS) < 1e-6), "{}", error(found[0], TERMS));
    }
    assert_eq!(machine.report(), "");
}
