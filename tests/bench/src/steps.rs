//! Whole training steps: forward, backward and update, until the loss is available.

use crate::kernels::options;
use gavotte::random::Key;
use gavotte::{Array, jit_with};
use gavotte_gat::data::{Dataset, PlantedSpec, karate, planted};
use gavotte_gat::model::GatConfig;
use gavotte_gat::train::{GatTraining, Trainer};
use gavotte_tests::perceptron;

/// Inputs, hidden layers, classes.
pub const WIDTHS: [usize; 4] = [784, 512, 512, 10];
/// Examples per step.
pub const BATCH: usize = 128;

/// A graph attention network with Adam on a generated graph of Cora's size.
pub fn graph_attention(threads: usize) -> impl FnMut() {
    train_on(&planted(&mut Key::new(0).rng(), &PlantedSpec::cora()).expect("the numbers are valid"), threads)
}

/// The same on the karate club's 34 members.
pub fn karate_club(threads: usize) -> impl FnMut() {
    train_on(&karate(), threads)
}

/// # Panics
/// If the graph does not fit the model, which would be a bug in either.
fn train_on(dataset: &Dataset, threads: usize) -> impl FnMut() + use<> {
    let config = GatConfig::new(dataset.n_class());
    let split = dataset.default_split.clone().expect("it has one");
    let experiment = config.experiment(dataset, &split).expect("it fits");
    let trainer =
        Trainer::gat_with_options(config, GatTraining::default(), options(threads)).expect("the numbers are valid");
    let params = trainer.init(Key::new(0), &experiment).expect("it fits");
    let mut state = Some((trainer.optimizer.init_fun)(params));
    let mut i = 0;
    move || {
        let now = state.take().expect("it is there");
        let args = trainer.step_args(i, now, &experiment, Key::new(1).fold_in(i as u32)).expect("it fits");
        let (next, loss) = trainer.step.try_call(args).expect("it runs");
        assert!(loss.item::<f32>().is_finite(), "step {i} diverged");
        state = Some(next);
        i += 1;
    }
}

/// A multilayer perceptron with Adam on one batch.
///
/// # Panics
/// If the loss is not finite.
pub fn multilayer_perceptron(threads: usize) -> impl FnMut() {
    let (state, x, y) = perceptron::start(WIDTHS, BATCH);
    let step = jit_with(perceptron::step(WIDTHS), options(threads));
    let (mut state, mut i) = (Some(state), 0);
    move || {
        let now = state.take().expect("it is there");
        let (next, loss) = step(Array::scalar(i), now, x.clone(), y.clone());
        assert!(loss.item::<f32>().is_finite(), "step {i} diverged");
        state = Some(next);
        i += 1;
    }
}
