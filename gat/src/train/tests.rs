//! Training of other models, with other optimizers and losses.

use super::{GatTraining, TrainConfig, Trainer};
use crate::data::{PlantedSpec, Split, planted};
use crate::experiment::{ArrayForm, Experiment};
use crate::graph::Nodes;
use crate::loss::{Loss, sum_of_squares};
use crate::model::GatConfig;
use gavotte::optimizers::{Momentum, Optimizer, momentum};
use gavotte::random::Key;
use gavotte::stax::{Affine, Layer, Mode};
use gavotte::{Array, DType, Shape, Tree, init, nn, shape, value_and_grad, zeros};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::ops::ControlFlow;

const N_CLASS: usize = 7;
const HIDDEN: usize = 16;
const DECAY: f64 = 1e-3;

/// A perceptron of one hidden layer, which sees the features of a node and no other node.
#[derive(Tree, Clone)]
struct Perceptron {
    hidden: Affine,
    out: Affine,
}

fn perceptron() -> Layer<Perceptron, Nodes> {
    let affine = |key, from: usize, to: usize| Affine {
        w: init::glorot_uniform(key, [from, to], DType::F64),
        b: zeros([to], DType::F64),
    };
    Layer::new(
        move |key: Key, of: Shape| {
            let [hidden, out] = key.split();
            let n_feat = of[1].as_usize().expect("a number of features");
            let params = Perceptron { hidden: affine(hidden, n_feat, HIDDEN), out: affine(out, HIDDEN, N_CLASS) };
            (shape([of[0].clone(), N_CLASS.into()]), params)
        },
        |Perceptron { hidden, out }: &Perceptron, nodes: &Nodes, _: Mode| {
            let h = nn::tanh(&(nodes.x.dot(&hidden.w) + &hidden.b));
            nn::softmax(&(h.dot(&out.w) + &out.b), -1)
        },
    )
}

/// The squared distance of probabilities from the true class (Brier 1950), as a mean over the members of a mask.
fn squared_error(outputs: &Array, labels: &Array, mask: &Array) -> Array {
    let difference = outputs - nn::one_hot(labels, N_CLASS, outputs.dtype());
    (difference.square().sum(-1) * mask).sum(()) / mask.sum(())
}

fn optimizer() -> Optimizer<Perceptron, Momentum<Perceptron>> {
    momentum(0.5, 0.9)
}

fn trainer(epochs: usize) -> Trainer<Perceptron, Momentum<Perceptron>> {
    let loss = Loss::new(squared_error).with_weight_decay(DECAY);
    Trainer::new(perceptron(), optimizer(), loss, TrainConfig { epochs, patience: None })
}

fn experiment() -> Experiment {
    let spec = PlantedSpec { n_word: 60, ..PlantedSpec::cora().scaled(400) };
    let dataset = planted(&mut SmallRng::seed_from_u64(0), &spec).unwrap_or_else(|error| panic!("{error}"));
    let nodes: Vec<i32> = (0..dataset.n_node() as i32).collect();
    let split = Split { train: nodes[..200].to_vec(), val: nodes[200..300].to_vec(), test: nodes[300..].to_vec() };
    let form = ArrayForm { dtype: DType::F64, ..ArrayForm::default() };
    Experiment::new(&dataset, &split, form).unwrap_or_else(|error| panic!("{error}"))
}

/// The losses of steps are those of a loop that calls layer, loss and optimizer one after the other.
#[test]
fn another_model_takes_the_steps_of_its_optimizer_on_its_loss() {
    const N_STEP: usize = 5;
    let experiment = experiment();
    let (trainer, key) = (trainer(N_STEP), || Key::new(1));
    let params = trainer.init(key(), &experiment).unwrap_or_else(|error| panic!("{error}"));
    let outcome = trainer
        .fit_from(params.clone(), key(), &experiment, |_| ControlFlow::Continue(()))
        .unwrap_or_else(|error| panic!("{error}"));

    let Optimizer { init_fun, update_fun, get_params } = optimizer();
    let (apply, inputs) = (perceptron().apply_fun, experiment.inputs.clone());
    let data = move |params: &Perceptron, mask: &Array| {
        squared_error(&apply(params, &inputs.nodes, Mode::Eval), &inputs.labels, mask)
    };
    let masks = &experiment.inputs.masks;
    let objective =
        value_and_grad(|params: Perceptron| data(&params, &masks.train) + sum_of_squares(&params) * (0.5 * DECAY));
    let mut state = init_fun(params);
    for (i, epoch) in outcome.history.iter().enumerate() {
        let step_loss = data(&get_params(&state), &masks.train);
        let (_, grads) = objective(get_params(&state));
        state = update_fun(&Array::scalar(i as i32), grads, state);
        let wanted = [step_loss, data(&get_params(&state), &masks.val)].map(|loss| loss.item::<f64>());
        for (found, wanted) in [epoch.step_loss, epoch.losses.val].into_iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-12, "step {i}: {found} and {wanted}");
        }
    }
    assert_eq!(outcome.history.len(), N_STEP);
}

#[test]
fn another_model_learns() {
    let outcome = trainer(200)
        .fit(Key::new(0), &experiment(), |_| ControlFlow::Continue(()))
        .unwrap_or_else(|error| panic!("{error}"));
    let (first, trained) = (outcome.history[0].step_loss, outcome.losses.train);
    assert!(trained < 0.75 * first, "from {first} to {trained}");
    // Three nodes in ten are of the largest class.
    let accuracy = outcome.accuracies().train;
    assert!(accuracy > 0.5, "training accuracy {accuracy}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let refused = |model: GatConfig, training: GatTraining| Trainer::gat(model, training).err().map(|e| e.to_string());
    let (model, training) = (GatConfig::new(7), GatTraining::default());
    assert_eq!(refused(model, training), None);
    let text = refused(GatConfig { dropout: 1.0, ..model }, training);
    assert!(text.is_some_and(|text| text.contains("dropout") && text.contains("less than 1")));
    assert!(refused(GatConfig { heads: 0, ..model }, training).is_some());
    assert!(refused(model, GatTraining { learning_rate: f64::NAN, ..training }).is_some());
}
