//! The paper's training of a graph attention network.

use super::{TrainConfig, Trainer};
use crate::Error;
use crate::error::check_range;
use crate::loss::{Loss, masked_nll};
use crate::model::{GatConfig, GatParams, gat};
use gavotte::optimizers::{Adam, adam};
use gavotte_core::runtime::Options;

/// How the paper trains a graph attention network: Adam on the negative log-likelihood with weight decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GatTraining {
    /// The most epochs; one epoch is one step on the whole graph.
    pub epochs: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Added to the gradient for each parameter, times the parameter.
    pub weight_decay: f64,
    /// Stop when the validation nodes have not improved for this many epochs.
    pub patience: Option<usize>,
}

impl Default for GatTraining {
    /// The paper's setting for Cora: learning rate 0.005, weight decay 5e-4, patience 100; at most 1000 epochs.
    fn default() -> Self {
        let TrainConfig { epochs, patience } = TrainConfig::default();
        GatTraining { epochs, learning_rate: 0.005, weight_decay: 5e-4, patience }
    }
}

impl GatTraining {
    fn check(&self) -> Result<(), Error> {
        let GatTraining { learning_rate: rate, weight_decay: decay, .. } = *self;
        check_range("the learning rate", rate, rate > 0.0 && rate.is_finite(), "positive")?;
        check_range("the weight decay", decay, decay >= 0.0 && decay.is_finite(), "at least 0")
    }
}

/// Trains a graph attention network; its state is the parameters, and Adam's two moments of each.
pub type GatTrainer = Trainer<GatParams, Adam<GatParams>>;

impl GatTrainer {
    /// Trains [`gat`] with Adam on [`masked_nll`] with weight decay. The default options compile its functions.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub fn gat(model: GatConfig, training: GatTraining) -> Result<Self, Error> {
        Trainer::gat_with_options(model, training, Options::default())
    }

    /// [`gat`](Self::gat) with options for the compiler and the runtime.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub fn gat_with_options(model: GatConfig, training: GatTraining, options: Options) -> Result<Self, Error> {
        model.check()?;
        training.check()?;
        let GatTraining { epochs, learning_rate, weight_decay, patience } = training;
        let loss = Loss::new(masked_nll).with_weight_decay(weight_decay);
        Ok(Trainer::with_options(gat(model), adam(learning_rate), loss, TrainConfig { epochs, patience }, options))
    }
}
