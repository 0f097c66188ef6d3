//! Training: any layer on the nodes of a graph, any optimizer, any loss.
//!
//! A [`Trainer`] takes a layer from nodes to an output for each class, `f[n, classes]`; the largest output is the
//! predicted class. [`Trainer::gat`] is the paper's training of a graph attention network. Here is another model,
//! trained by gradient descent with momentum on the squared error of its probabilities:
//!
//! ```
//! use gavotte::optimizers::momentum;
//! use gavotte::random::Key;
//! use gavotte::stax::{Layer, Mode, dense, relu, serial, softmax};
//! use gavotte::{Array, DType, Shape, init, nn, shape};
//! use gavotte_gat::data::{Split, karate};
//! use gavotte_gat::experiment::{ArrayForm, Experiment};
//! use gavotte_gat::graph::{Adjacency, Nodes};
//! use gavotte_gat::loss::Loss;
//! use gavotte_gat::train::{TrainConfig, Trainer};
//! use std::ops::ControlFlow;
//!
//! /// The mean over the messages that a node receives, each a projection of the sender's features.
//! fn convolution(width: usize) -> Layer<Array, Nodes> {
//!     Layer::new(
//!         move |key: Key, of: Shape| {
//!             let w = init::glorot_uniform(key, [of[1].clone(), width.into()], DType::F32);
//!             (shape([of[0].clone(), width.into()]), w)
//!         },
//!         |w: &Array, nodes: &Nodes, _: Mode| match &nodes.adjacency {
//!             Adjacency::Edges { edges } => edges.receivers.mean(&edges.senders.gather(&nodes.x.dot(w))),
//!             Adjacency::Dense { dense } => {
//!                 let weights = dense.astype(DType::F32);
//!                 weights.dot(&nodes.x.dot(w)) / weights.sum(-1).expand_dims(-1)
//!             }
//!         },
//!     )
//! }
//!
//! /// The squared distance of probabilities from the true class, as a mean over the members of a mask.
//! fn squared_error(outputs: &Array, labels: &Array, mask: &Array) -> Array {
//!     let difference = outputs - nn::one_hot(labels, 4, DType::F32);
//!     (difference.square().sum(-1) * mask).sum(()) / mask.sum(())
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dataset = karate();
//! let experiment = Experiment::new(&dataset, &Split::public(&dataset)?, ArrayForm::default())?;
//! let layer = serial((convolution(16), relu(), dense(4), softmax()));
//! let loss = Loss::new(squared_error).with_weight_decay(1e-3);
//! let trainer = Trainer::new(layer, momentum(0.3, 0.9), loss, TrainConfig { epochs: 300, patience: None });
//! let outcome = trainer.fit(Key::new(0), &experiment, |_| ControlFlow::Continue(()))?;
//! assert!(outcome.accuracies().test > 0.7);
//! # Ok(())
//! # }
//! ```

mod functions;
mod gat;
mod patience;
#[cfg(test)]
mod tests;

pub use functions::{Evaluate, Step};
pub use gat::{GatTrainer, GatTraining};

use crate::Error;
use crate::experiment::{Experiment, Inputs, Splits};
use crate::graph::Nodes;
use crate::loss::Loss;
use crate::metrics::Confusion;
use functions::{Advance, Watch};
use gavotte::optimizers::Optimizer;
use gavotte::random::Key;
use gavotte::stax::Layer;
use gavotte::{Array, Tree, device_copy, device_put, shape};
use gavotte_core::device::DeviceRef;
use gavotte_core::ir::Program;
use gavotte_core::runtime::Options;
use patience::{Patience, Verdict};
use std::ops::ControlFlow;
use std::time::Instant;

/// When training ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainConfig {
    /// The most epochs; one epoch is one step on the whole graph.
    pub epochs: usize,
    /// Stop when the validation nodes have not improved for this many epochs.
    pub patience: Option<usize>,
}

impl Default for TrainConfig {
    /// At most 1000 epochs, patience 100.
    fn default() -> Self {
        TrainConfig { epochs: 1000, patience: Some(100) }
    }
}

/// The arguments of a step: its number from 0 (`i32`), the optimizer's state, the inputs, and the key of its dropout.
pub type StepArgs<S> = (Array, S, Inputs, Key);
/// What a layer computes for all nodes, without dropout.
#[derive(Tree, Clone)]
pub struct Evaluation {
    /// `f[n, classes]`.
    pub outputs: Array,
    /// The loss of each split, without penalties; that of a mask without members for an empty split.
    pub losses: Splits<Array>,
}

/// The figures of one epoch, after its step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// The loss of the training nodes before the step, with dropout and without penalties.
    pub step_loss: f64,
    /// The losses after the step, without dropout and penalties.
    pub losses: Splits<f64>,
    /// The shares of nodes predicted right after the step; NaN for an empty split.
    pub accuracies: Splits<f64>,
    /// The time of the step in milliseconds. On a GPU, which the host waits for once an epoch, it includes the
    /// evaluation. The first step includes compilation.
    pub step_ms: f64,
    /// Whether these are the best parameters so far.
    pub best: bool,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The last epoch has ended.
    Done,
    /// Validation has not improved for too long.
    Patience,
    /// A loss was NaN or infinite in this epoch.
    Diverged(usize),
    /// The observer ended it.
    Observer,
}

/// The result of training.
#[derive(Clone)]
pub struct Outcome<P> {
    /// The best parameters: of the epoch with the lowest validation loss. Without nodes for validation, of the last
    /// epoch whose losses are finite.
    pub params: P,
    /// The epoch of the best parameters; 0 if they are those of the start.
    pub best_epoch: usize,
    /// The number of epochs that were begun.
    pub epochs: usize,
    /// Why training ended.
    pub stop: Stop,
    /// The losses of the best parameters, without dropout and penalties.
    pub losses: Splits<f64>,
    /// The confusion matrices of the best parameters.
    pub confusion: Splits<Confusion>,
    /// The class that the best parameters predict for each node.
    pub predictions: Vec<i32>,
    /// The time from the first step to the last, including evaluations and compilation.
    pub seconds: f64,
    /// The figures of every epoch.
    pub history: Vec<Epoch>,
}

impl<P> Outcome<P> {
    /// The shares of nodes that the best parameters predict right; NaN for an empty split.
    pub fn accuracies(&self) -> Splits<f64> {
        self.confusion.as_ref().map(Confusion::accuracy)
    }

    /// The macro-averaged F1 of the best parameters.
    pub fn macro_f1(&self) -> Splits<f64> {
        self.confusion.as_ref().map(Confusion::macro_f1)
    }
}

/// A layer and how to train it, compiled once for every graph of its numbers of features and classes. See the
/// [module](self) for an example.
pub struct Trainer<P: Tree + 'static, S: Tree + 'static> {
    /// From nodes to an output for each class, `f[n, classes]`. Its parameters must not depend on the number of nodes.
    pub layer: Layer<P, Nodes>,
    /// Its state, `S`, holds the parameters.
    pub optimizer: Optimizer<P, S>,
    /// What the steps minimise.
    pub loss: Loss<P>,
    /// When training ends.
    pub config: TrainConfig,
    /// Forward, backward, and the optimizer's update.
    pub step: Step<S>,
    /// Forward.
    pub evaluate: Evaluate<P>,
    turn: Advance,
    watch: Watch<P>,
}

impl<P: Tree + Clone + 'static, S: Tree + 'static> Trainer<P, S> {
    /// A trainer whose functions the default options compile.
    pub fn new(layer: Layer<P, Nodes>, optimizer: Optimizer<P, S>, loss: Loss<P>, config: TrainConfig) -> Self {
        Trainer::with_options(layer, optimizer, loss, config, Options::default())
    }

    /// [`new`](Self::new) with options for the compiler and the runtime.
    pub fn with_options(
        layer: Layer<P, Nodes>,
        optimizer: Optimizer<P, S>,
        loss: Loss<P>,
        config: TrainConfig,
        options: Options,
    ) -> Self {
        let step = functions::step(functions::objective(&layer, &loss), &optimizer, options.clone());
        let turn = functions::turn(options.clone());
        let watch = functions::watch(&layer, &loss, options.clone());
        let evaluate = functions::evaluate(&layer, &loss, options);
        Trainer { layer, optimizer, loss, config, step, evaluate, turn, watch }
    }

    /// Fresh parameters for the experiment's number of features, on the device of its arrays.
    ///
    /// # Errors
    /// If the device fails.
    pub fn init(&self, key: Key, experiment: &Experiment) -> Result<P, Error> {
        // No parameter depends on the number of rows.
        let (_, params) = (self.layer.init_fun)(key, shape([1, experiment.n_feat]));
        put(params, experiment)
    }

    /// The arguments of step `i`, for [`Jit::lower`](gavotte::Jit::lower) and for benchmarks.
    ///
    /// # Errors
    /// If the device fails.
    pub fn step_args(&self, i: i32, state: S, experiment: &Experiment, key: Key) -> Result<StepArgs<S>, Error> {
        let (i, key) = put((Array::scalar(i), key), experiment)?;
        Ok((i, state, experiment.inputs.clone(), key))
    }

    /// The loss with penalties as a program of parameters, inputs and key.
    ///
    /// # Errors
    /// If the device fails.
    pub fn loss_program(&self, key: Key, experiment: &Experiment) -> Result<Program, Error> {
        let [init, step] = key.split();
        let args = (self.init(init, experiment)?, experiment.inputs.clone(), step);
        Ok(functions::loss(functions::objective(&self.layer, &self.loss), args))
    }

    /// The loss with penalties, the loss without, and the gradient of the first, as a program of parameters, inputs and
    /// key.
    ///
    /// # Errors
    /// If the device fails.
    pub fn grad_program(&self, key: Key, experiment: &Experiment) -> Result<Program, Error> {
        let [init, step] = key.split();
        let args = (self.init(init, experiment)?, experiment.inputs.clone(), step);
        Ok(functions::grad(functions::objective(&self.layer, &self.loss), args))
    }

    /// Trains from fresh parameters. `observe` is called after every epoch, and may end the training.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fit(
        &self,
        key: Key,
        experiment: &Experiment,
        observe: impl FnMut(&Epoch) -> ControlFlow<()>,
    ) -> Result<Outcome<P>, Error> {
        let [init, steps] = key.split();
        let params = self.init(init, experiment)?;
        self.fit_from(params, steps, experiment, observe)
    }

    /// Trains from these parameters. `observe` is called after every epoch, and may end the training.
    ///
    /// # Errors
    /// If the parameters do not fit, or the device fails.
    pub fn fit_from(
        &self,
        params: P,
        key: Key,
        experiment: &Experiment,
        mut observe: impl FnMut(&Epoch) -> ControlFlow<()>,
    ) -> Result<Outcome<P>, Error> {
        let start = Instant::now();
        // Numbers and keys of steps are made on the device of the arrays, so that nothing is copied after the start.
        let (mut i, words) = put((Array::scalar(0i32), key.into_array()), experiment)?;
        let mut patience = Patience::new(self.config.patience);
        // A copy, since the step updates its state in place: nothing else may hold the arrays of the state.
        let (mut best, mut best_epoch, mut stop) = (Some(device_copy(&params)?), 0, Stop::Done);
        let mut history: Vec<Epoch> = vec![];
        let mut state = put((self.optimizer.init_fun)(params), experiment)?;
        let is_on_host = experiment.inputs.labels.device().is_none_or(|device| device.name() == "cpu");
        let mut begun = 0;
        for epoch in 1..=self.config.epochs {
            begun = epoch;
            let before = Instant::now();
            let (following, key) = self.turn.try_call((i.clone(), words.clone()))?;
            let (next, step_loss) = self.step.try_call((i, state, experiment.inputs.clone(), key))?;
            (i, state) = (following, next);
            let called = before.elapsed();
            let params = (self.optimizer.get_params)(&state);
            let (Figures { step_loss, losses, accuracies }, _) = self.figures(params, step_loss, experiment)?;
            let step_ms = if is_on_host { called } else { before.elapsed() }.as_secs_f64() * 1e3;
            let watched = if experiment.splits.val.is_empty() { losses.train } else { losses.val };
            if !(step_loss.is_finite() && watched.is_finite()) {
                stop = Stop::Diverged(epoch);
                break;
            }
            let verdict = match experiment.splits.val.is_empty() {
                true => Verdict::Best,
                false => patience.judge(accuracies.val, losses.val),
            };
            if verdict == Verdict::Best {
                // The old parameters are freed first, so that the new ones take their memory.
                drop(best.take());
                (best, best_epoch) = (Some(device_copy(&(self.optimizer.get_params)(&state))?), epoch);
            }
            let row = Epoch { epoch, step_loss, losses, accuracies, step_ms, best: verdict == Verdict::Best };
            history.push(row);
            if observe(&row).is_break() {
                stop = Stop::Observer;
                break;
            }
            if verdict == Verdict::Stop {
                stop = Stop::Patience;
                break;
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let best = best.expect("there are parameters from the start on");
        let no_step = put(Array::scalar(0.0).astype(experiment.inputs.masks.train.dtype()), experiment)?;
        let (Figures { losses, .. }, outputs) = self.figures(best.clone(), no_step, experiment)?;
        Ok(Outcome {
            losses,
            confusion: experiment.score(&outputs)?,
            predictions: experiment.predict(&outputs)?,
            params: best,
            best_epoch,
            epochs: begun,
            stop,
            seconds,
            history,
        })
    }

    /// The figures of an epoch after its step, which are all that the host waits for; and the outputs.
    fn figures(&self, params: P, step_loss: Array, experiment: &Experiment) -> Result<(Figures, Array), Error> {
        let (told, outputs) = self.watch.try_call((params, experiment.inputs.clone(), step_loss))?;
        let read = told.to_host()?;
        let &[step_loss, train, val, test, ref hits @ ..] = read.as_slice::<f64>() else {
            unreachable!("there are seven figures")
        };
        let mut hits = hits.iter();
        let accuracies = experiment.splits.as_ref().map(|nodes| hits.next().unwrap_or(&0.0) / nodes.len() as f64);
        Ok((Figures { step_loss, losses: Splits { train, val, test }, accuracies }, outputs))
    }
}

/// The figures of an epoch: [`Epoch`] has the same fields.
struct Figures {
    step_loss: f64,
    losses: Splits<f64>,
    accuracies: Splits<f64>,
}

/// The tree on the device of the experiment's arrays.
fn put<T: Tree>(tree: T, experiment: &Experiment) -> Result<T, Error> {
    let device: Option<DeviceRef> = experiment.inputs.labels.device();
    match device {
        Some(device) => Ok(device_put(tree, &device)?),
        None => Ok(tree),
    }
}
