//! The same key gives the same bits: from one run to the next, and for every number of threads.

use gavotte::random::Key;
use gavotte::{Array, Tree};
use gavotte_core::runtime::Options;
use gavotte_gat::Error;
use gavotte_gat::data::{Dataset, PlantedSpec, Split, karate, planted};
use gavotte_gat::experiment::Experiment;
use gavotte_gat::model::GatConfig;
use gavotte_gat::train::{Outcome, TrainConfig, Trainer};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

/// A training with dropout.
fn fit(dataset: &Dataset, epochs: usize, threads: usize, key: Key) -> Result<Outcome, Error> {
    let config = GatConfig::new(dataset.n_class());
    let train = TrainConfig { epochs, patience: None, ..TrainConfig::default() };
    let options = Options { threads: NonZeroUsize::new(threads).expect("at least one thread"), ..Options::default() };
    // Without validation the parameters are those of the last epoch.
    let split = Split { val: vec![], ..dataset.default_split.clone().unwrap_or_default() };
    let experiment = Experiment::new(dataset, &split, &config)?;
    Trainer::with_options(config, train, options)?.fit(key, &experiment, |_| ControlFlow::Continue(()))
}

/// The bits of the parameters, by path, then of all losses.
fn bits(outcome: &Outcome) -> Vec<(String, Vec<u64>)> {
    let losses = outcome.history.iter().flat_map(|e| [e.step_loss, e.losses.train, e.losses.test]);
    let losses = losses.map(f64::to_bits).collect();
    let bits = |leaf: Array| leaf.to_vec::<f32>().into_iter().map(|x| x.to_bits().into()).collect();
    let params = outcome.params.leaves_with_paths().into_iter().map(|(path, leaf)| (path, bits(leaf.into())));
    params.chain([("losses".into(), losses)]).collect()
}

#[track_caller]
fn assert_same_bits(dataset: &Dataset, epochs: usize) {
    let run = |threads, seed| {
        let outcome = fit(dataset, epochs, threads, Key::new(seed)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(outcome.history.len(), epochs);
        bits(&outcome)
    };
    let first = run(1, 0);
    for threads in [1, 2, 3] {
        let differ: Vec<_> =
            run(threads, 0).into_iter().zip(&first).filter(|(a, b)| a != *b).map(|(a, _)| a.0).collect();
        assert!(differ.is_empty(), "{}: other bits with {threads} threads: {differ:?}", dataset.name);
    }
    assert_ne!(run(1, 1), first, "another key, other bits");
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
