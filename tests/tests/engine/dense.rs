//! Attention over a masked matrix and over a list of edges is one function: the training curves are equal to rounding.

use gavotte::DType;
use gavotte::random::Key;
use gavotte_gat::Error;
use gavotte_gat::data::{Dataset, PlantedSpec, karate, planted};
use gavotte_gat::graph::Storage;
use gavotte_gat::model::{GatConfig, GatParams};
use gavotte_gat::train::{Epoch, GatTraining, Outcome, Trainer};
use std::ops::ControlFlow;

const N_EPOCH: usize = 30;

/// A training run without dropout, which the two forms would draw differently.
fn fit(dataset: &Dataset, dtype: DType, storage: Storage) -> Result<Outcome<GatParams>, Error> {
    let config = GatConfig { dropout: 0.0, dtype, storage, ..GatConfig::new(dataset.n_class()) };
    let train = GatTraining { epochs: N_EPOCH, patience: None, ..GatTraining::default() };
    let split = dataset.default_split.clone().unwrap_or_default();
    let experiment = config.experiment(dataset, &split)?;
    Trainer::gat(config, train)?.fit(Key::new(0), &experiment, |_| ControlFlow::Continue(()))
}

fn losses(epoch: &Epoch) -> [f64; 4] {
    let Epoch { step_loss, losses, .. } = *epoch;
    [step_loss, losses.train, losses.val, losses.test]
}

/// Checks every loss of every epoch within `tolerance`, relative.
#[track_caller]
fn assert_same_curves(dataset: &Dataset, dtype: DType, tolerance: f64) {
    let [edges, dense] = [Storage::Edges, Storage::Dense]
        .map(|form| fit(dataset, dtype, form).unwrap_or_else(|error| panic!("{error}")).history);
    assert_eq!((edges.len(), dense.len()), (N_EPOCH, N_EPOCH));
    let (first, last) = (&edges[0], &edges[N_EPOCH - 1]);
    assert!(last.step_loss < 0.95 * first.step_loss, "a curve that goes somewhere: {first:?} to {last:?}");
    let mut worst = 0f64;
    for (edges, dense) in edges.iter().zip(&dense) {
        for (a, b) in losses(edges).into_iter().zip(losses(dense)) {
            let difference = (a - b).abs() / a.abs();
            assert!(difference <= tolerance, "epoch {}: {a} over edges, {b} over a matrix", edges.epoch);
            worst = worst.max(difference);
        }
    }
    eprintln!("{} in {dtype}: {worst:.1e} of {tolerance:.1e}", dataset.name);
}

fn network() -> Dataset {
    let spec = PlantedSpec { n_word: 300, ..PlantedSpec::cora().scaled(150) };
    planted(&mut Key::new(3).rng(), &spec).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_karate_club_in_f32() {
    assert_same_curves(&karate(), DType::F32, 1e-5);
}

#[test]
fn the_karate_club_in_f64() {
    assert_same_curves(&karate(), DType::F64, 1e-12);
}

#[test]
fn a_generated_network_in_f32() {
    assert_same_curves(&network(), DType::F32, 1e-5);
}

#[test]
fn a_generated_network_in_f64() {
    assert_same_curves(&network(), DType::F64, 1e-12);
}
