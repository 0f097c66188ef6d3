//! The same key yields the same bits: from run to run, for every number of threads, and on every instruction set.

use gavotte::random::Key;
use gavotte::{Array, Tree};
use gavotte_core::codegen::x86::Isa;
use gavotte_core::runtime::{Options, Target};
use gavotte_gat::Error;
use gavotte_gat::data::{Dataset, PlantedSpec, Split, karate, planted};
use gavotte_gat::model::{GatConfig, GatParams};
use gavotte_gat::train::{GatTraining, Outcome, Trainer};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

/// A training run with dropout.
fn fit(
    dataset: &Dataset,
    epochs: usize,
    target: Target,
    threads: usize,
    key: Key,
) -> Result<Outcome<GatParams>, Error> {
    let config = GatConfig::new(dataset.n_class());
    let train = GatTraining { epochs, patience: None, ..GatTraining::default() };
    let threads = NonZeroUsize::new(threads).expect("at least one thread");
    let options = Options { threads, target, shares_all: true, ..Options::default() };
    // Without validation the parameters are those of the last epoch.
    let split = Split { val: vec![], ..dataset.default_split.clone().unwrap_or_default() };
    let experiment = config.experiment(dataset, &split)?;
    Trainer::gat_with_options(config, train, options)?.fit(key, &experiment, |_| ControlFlow::Continue(()))
}

/// The bits of the parameters, by path, then of all losses.
fn bits(outcome: &Outcome<GatParams>) -> Vec<(String, Vec<u64>)> {
    let losses = outcome.history.iter().flat_map(|e| [e.step_loss, e.losses.train, e.losses.test]);
    let losses = losses.map(f64::to_bits).collect();
    let bits = |leaf: Array| leaf.to_vec::<f32>().into_iter().map(|x| x.to_bits().into()).collect();
    let params = outcome.params.leaves_with_paths().into_iter().map(|(path, leaf)| (path, bits(leaf.into())));
    params.chain([("losses".into(), losses)]).collect()
}

#[track_caller]
fn assert_same_bits(dataset: &Dataset, epochs: usize) {
    let run = |target, threads, seed| {
        let outcome = fit(dataset, epochs, target, threads, Key::new(seed)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(outcome.history.len(), epochs);
        bits(&outcome)
    };
    let machine = [(Isa::Avx2, Target::Avx2), (Isa::Avx512, Target::Avx512)];
    let machine = machine.into_iter().filter(|(isa, _)| isa.is_available()).map(|(_, target)| target).collect();
    for targets in [vec![Target::Portable], machine] {
        let Some(first) = targets.first().map(|target| run(*target, 1, 0)) else { continue };
        for (target, threads) in targets.iter().flat_map(|target| [1, 2, 3, 7].map(|threads| (*target, threads))) {
            let now = run(target, threads, 0);
            let differ: Vec<_> = now.into_iter().zip(&first).filter(|(a, b)| a != *b).map(|(a, _)| a.0).collect();
            assert!(differ.is_empty(), "{}, {target:?}, {threads} threads: other bits in {differ:?}", dataset.name);
        }
        assert_ne!(run(targets[0], 1, 1), first, "another key, other bits");
    }
}

#[test]
fn the_karate_club() {
    assert_same_bits(&karate(), 20);
}

#[test]
fn a_generated_network() {
    let network = planted(&mut Key::new(4).rng(), &PlantedSpec::cora().scaled(300));
    assert_same_bits(&network.unwrap_or_else(|error| panic!("{error}")), 5);
}
