//! Training of a graph attention network, as the authors of the paper do it.

mod functions;
mod patience;

pub use functions::{Evaluate, Step};

use crate::Error;
use crate::experiment::{Experiment, Inputs, Splits};
use crate::graph::Nodes;
use crate::metrics::Confusion;
use crate::model::{GatConfig, GatParams, gat};
use functions::{Objective, Turn, Watch};
use gavotte::optimizers::{Adam, Optimizer, adam};
use gavotte::random::Key;
use gavotte::stax::Layer;
use gavotte::{Array, Tree, device_copy, device_put, shape};
use gavotte_core::device::DeviceRef;
use gavotte_core::ir::Program;
use gavotte_core::runtime::Options;
use patience::{Patience, Verdict};
use std::ops::ControlFlow;
use std::time::Instant;

/// How to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainConfig {
    /// The most epochs; one epoch is one step on the whole graph.
    pub epochs: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Added to the gradient for each parameter, times the parameter.
    pub weight_decay: f64,
    /// Stop when the nodes set apart for validation have not improved for this many epochs.
    pub patience: Option<usize>,
}

impl Default for TrainConfig {
    /// The paper's setting for Cora: learning rate 0.005, weight decay 5e-4, patience 100; at most 1000 epochs.
    fn default() -> Self {
        TrainConfig { epochs: 1000, learning_rate: 0.005, weight_decay: 5e-4, patience: Some(100) }
    }
}

/// Parameters, and Adam's two moments of each.
pub type State = Adam<GatParams>;
/// The arguments of a step: its number from 0 (`i32`), the state, the inputs, and the key of its dropout.
pub type StepArgs = (Array, State, Inputs, Key);
/// What a model says of all nodes.
#[derive(Tree, Clone)]
pub struct Evaluation {
    /// `f[n, classes]`.
    pub log_probs: Array,
    /// The mean negative log-likelihood of each split; NaN of an empty one.
    pub losses: Splits<Array>,
}

/// One epoch, after its step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// The loss that the step made smaller: with dropout, before the step, without weight decay.
    pub step_loss: f64,
    /// The losses after the step, without dropout.
    pub losses: Splits<f64>,
    /// The shares of nodes predicted right after the step; NaN of an empty split.
    pub accuracies: Splits<f64>,
    /// What the step took, in milliseconds; on a GPU, whose work is waited for once an epoch, with the evaluation after it.
    /// The first one is compiled, too.
    pub step_ms: f64,
    /// Whether these are the best parameters so far.
    pub best: bool,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// All epochs are done.
    Done,
    /// Validation got no better for long enough.
    Patience,
    /// A loss was NaN or infinite in this epoch.
    Diverged(usize),
    /// The observer said so.
    Observer,
}

/// What training gave.
#[derive(Clone)]
pub struct Outcome {
    /// The best parameters: of the epoch with the lowest validation loss. Without nodes for validation, of the last epoch
    /// whose losses are finite.
    pub params: GatParams,
    /// The epoch of the best parameters; 0 if they are those of the start.
    pub best_epoch: usize,
    /// How many epochs were begun.
    pub epochs: usize,
    /// Why training ended.
    pub stop: Stop,
    /// Losses of the best parameters, without dropout.
    pub losses: Splits<f64>,
    /// What the best parameters get right and wrong.
    pub confusion: Splits<Confusion>,
    /// The class that the best parameters predict for each node.
    pub predictions: Vec<i32>,
    /// From the first step to the last, evaluations and compilation included.
    pub seconds: f64,
    /// Every epoch.
    pub history: Vec<Epoch>,
}

impl Outcome {
    /// The shares of nodes that the best parameters get right; NaN of an empty split.
    pub fn accuracies(&self) -> Splits<f64> {
        self.confusion.as_ref().map(Confusion::accuracy)
    }

    /// The macro-averaged F1 of the best parameters.
    pub fn macro_f1(&self) -> Splits<f64> {
        self.confusion.as_ref().map(Confusion::macro_f1)
    }
}

/// A model and how to train it, compiled once for every graph of its numbers of features and classes.
pub struct Trainer {
    /// The numbers of the model.
    pub model: GatConfig,
    /// How to train.
    pub config: TrainConfig,
    /// The network.
    pub layer: Layer<GatParams, Nodes>,
    /// Adam.
    pub optimizer: Optimizer<GatParams, State>,
    /// Forward, backward, Adam.
    pub step: Step,
    /// Forward.
    pub evaluate: Evaluate,
    objective: Objective,
    turn: Turn,
    watch: Watch,
}

impl Trainer {
    /// A trainer whose functions the default options compile.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub fn new(model: GatConfig, config: TrainConfig) -> Result<Self, Error> {
        Trainer::with_options(model, config, Options::default())
    }

    /// [`new`](Self::new) with options for the compiler and the runtime.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub fn with_options(model: GatConfig, config: TrainConfig, options: Options) -> Result<Self, Error> {
        check(&model, &config)?;
        let layer = gat(model);
        let optimizer = adam::<GatParams>(config.learning_rate);
        let objective = functions::objective(&layer, config.weight_decay);
        let step = functions::step(objective.clone(), &optimizer, options.clone());
        let turn = functions::turn(options.clone());
        let watch = functions::watch(&layer, options.clone());
        let evaluate = functions::evaluate(&layer, options);
        Ok(Trainer { model, config, layer, optimizer, step, evaluate, objective, turn, watch })
    }

    /// Fresh parameters for the experiment's number of features, where its arrays are.
    ///
    /// # Errors
    /// If the device fails.
    pub fn init(&self, key: Key, experiment: &Experiment) -> Result<GatParams, Error> {
        // The number of rows does not matter: no parameter depends on it.
        let (_, params) = (self.layer.init_fun)(key, shape([1, experiment.n_feat]));
        put(params, experiment)
    }

    /// The arguments of step `i`, for [`Jit::lower`](gavotte::Jit::lower) and for benchmarks.
    ///
    /// # Errors
    /// If the device fails.
    pub fn step_args(&self, i: i32, state: State, experiment: &Experiment, key: Key) -> Result<StepArgs, Error> {
        let (i, key) = put((Array::scalar(i), key), experiment)?;
        Ok((i, state, experiment.inputs.clone(), key))
    }

    /// The loss as a program of parameters, inputs and key.
    ///
    /// # Errors
    /// If the device fails.
    pub fn loss_program(&self, key: Key, experiment: &Experiment) -> Result<Program, Error> {
        let [init, step] = key.split();
        let args = (self.init(init, experiment)?, experiment.inputs.clone(), step);
        Ok(functions::loss(self.objective.clone(), args))
    }

    /// The loss and its gradient as a program of parameters, inputs and key.
    ///
    /// # Errors
    /// If the device fails.
    pub fn grad_program(&self, key: Key, experiment: &Experiment) -> Result<Program, Error> {
        let [init, step] = key.split();
        let args = (self.init(init, experiment)?, experiment.inputs.clone(), step);
        Ok(functions::grad(self.objective.clone(), args))
    }

    /// Trains from fresh parameters. `observe` sees every epoch, and may end the training.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fit(
        &self,
        key: Key,
        experiment: &Experiment,
        observe: impl FnMut(&Epoch) -> ControlFlow<()>,
    ) -> Result<Outcome, Error> {
        let [init, steps] = key.split();
        let params = self.init(init, experiment)?;
        self.fit_from(params, steps, experiment, observe)
    }

    /// Trains from these parameters. `observe` sees every epoch, and may end the training.
    ///
    /// # Errors
    /// If the parameters do not fit, or the device fails.
    pub fn fit_from(
        &self,
        params: GatParams,
        key: Key,
        experiment: &Experiment,
        mut observe: impl FnMut(&Epoch) -> ControlFlow<()>,
    ) -> Result<Outcome, Error> {
        let start = Instant::now();
        // Numbers and keys of steps are made where the arrays are: nothing is copied there but at the start.
        let (mut i, words) = put((Array::scalar(0i32), key.into_array()), experiment)?;
        let mut patience = Patience::new(self.config.patience);
        // A copy, as the step writes its state in place: the handles of the state are the step's alone.
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
                // The old ones go first: the new ones then lie where they lay, and so does all that comes later.
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
        let no_step = put(Array::scalar(0.0).astype(self.model.dtype), experiment)?;
        let (Figures { losses, .. }, log_probs) = self.figures(best.clone(), no_step, experiment)?;
        Ok(Outcome {
            losses,
            confusion: experiment.score(&log_probs)?,
            predictions: experiment.predict(&log_probs)?,
            params: best,
            best_epoch,
            epochs: begun,
            stop,
            seconds,
            history,
        })
    }

    /// What an epoch tells, after its step, which is all that the host waits for; and the log-probabilities.
    fn figures(&self, params: GatParams, step_loss: Array, experiment: &Experiment) -> Result<(Figures, Array), Error> {
        let (told, log_probs) = self.watch.try_call((params, experiment.inputs.clone(), step_loss))?;
        let read = told.to_host()?;
        let &[step_loss, train, val, test, ref hits @ ..] = read.as_slice::<f64>() else {
            unreachable!("there are seven figures")
        };
        let mut hits = hits.iter();
        let accuracies = experiment.splits.as_ref().map(|nodes| hits.next().unwrap_or(&0.0) / nodes.len() as f64);
        Ok((Figures { step_loss, losses: Splits { train, val, test }, accuracies }, log_probs))
    }
}

/// What an epoch tells: [`Epoch`] has the same fields.
struct Figures {
    step_loss: f64,
    losses: Splits<f64>,
    accuracies: Splits<f64>,
}

fn check(model: &GatConfig, config: &TrainConfig) -> Result<(), Error> {
    let range = |name: &str, x: f64, fits: bool, range: &str| match fits {
        true => Ok(()),
        false => Err(Error::Config(format!("{name} is {x}, and must be {range}"))),
    };
    let rate = model.dropout;
    range("dropout, the probability to drop,", rate, (0.0..1.0).contains(&rate), "at least 0 and less than 1")?;
    let GatConfig { classes, heads, hidden, slope, .. } = *model;
    for (name, n) in
        [("the number of classes", classes), ("the number of heads", heads), ("the width of a head", hidden)]
    {
        range(name, n as f64, n > 0, "at least 1")?;
    }
    range("the slope", slope, slope.is_finite(), "finite")?;
    let TrainConfig { learning_rate, weight_decay, .. } = *config;
    range("the learning rate", learning_rate, learning_rate > 0.0 && learning_rate.is_finite(), "positive")?;
    range("the weight decay", weight_decay, weight_decay >= 0.0 && weight_decay.is_finite(), "at least 0")
}

/// The tree where the experiment's arrays are.
fn put<T: Tree>(tree: T, experiment: &Experiment) -> Result<T, Error> {
    let device: Option<DeviceRef> = experiment.inputs.labels.device();
    match device {
        Some(device) => Ok(device_put(tree, &device)?),
        None => Ok(tree),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused() {
        let refused = |model: GatConfig, config: TrainConfig| Trainer::new(model, config).err().map(|e| e.to_string());
        let (model, config) = (GatConfig::new(7), TrainConfig::default());
        assert_eq!(refused(model, config), None);
        let text = refused(GatConfig { dropout: 1.0, ..model }, config);
        assert!(text.is_some_and(|text| text.contains("dropout") && text.contains("less than 1")));
        assert!(refused(GatConfig { heads: 0, ..model }, config).is_some());
        assert!(refused(model, TrainConfig { learning_rate: f64::NAN, ..config }).is_some());
    }
}
