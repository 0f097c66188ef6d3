//! The results of training runs: one document for `--json` and `run.json`, and the figures of the table.

use crate::args::{SplitChoice, TrainArgs, name_of};
use crate::failure::Failure;
use crate::layout::{number, readable};
use gavotte_gat::data::{Dataset, Split};
use gavotte_gat::plural::counted;
use gavotte_gat::statistics::{mean, standard_deviation};
use gavotte_gat::train::{Outcome, Stop};
use serde::Serialize;
use std::path::Path;

/// The settings of a training.
#[derive(Serialize, Clone)]
pub(crate) struct Settings {
    pub(crate) attention: String,
    pub(crate) heads: usize,
    pub(crate) hidden: usize,
    pub(crate) dropout: f64,
    pub(crate) lr: f64,
    pub(crate) weight_decay: f64,
    pub(crate) epochs: usize,
    pub(crate) patience: usize,
    pub(crate) seed: u64,
    pub(crate) seeds: usize,
    pub(crate) threads: usize,
    pub(crate) dtype: String,
    pub(crate) device: String,
}

impl Settings {
    pub(crate) fn new(args: &TrainArgs) -> Settings {
        let TrainArgs { model, step, engine, .. } = args;
        Settings {
            attention: name_of(&model.attention),
            heads: model.heads,
            hidden: model.hidden,
            dropout: model.dropout,
            lr: step.lr,
            weight_decay: step.weight_decay,
            epochs: args.epochs,
            patience: args.patience,
            seed: step.seed,
            seeds: args.seeds.unwrap_or(1),
            threads: engine.threads().get(),
            dtype: step.dtype.name().into(),
            device: engine.device.to_string(),
        }
    }

    /// The model, in one line.
    pub(crate) fn model(&self) -> String {
        let Settings { attention, heads, hidden, dropout, dtype, .. } = self;
        let (heads, dropout) = (counted(*heads, "head"), number(*dropout));
        format!("{heads} of {hidden} ({attention}), dropout {dropout}, {dtype}")
    }

    /// How it is trained, in one line.
    pub(crate) fn training(&self) -> String {
        let Settings { lr, weight_decay, epochs, patience, threads, device, .. } = self;
        let (lr, weight_decay) = (number(*lr), number(*weight_decay));
        let (epochs, threads) = (counted(*epochs, "epoch"), counted(*threads, "thread"));
        format!("Adam {lr}, weight decay {weight_decay}, at most {epochs}, patience {patience}; {threads} on {device}")
    }
}

/// The data of a training.
#[derive(Serialize, Clone)]
pub(crate) struct DataSummary {
    pub(crate) name: String,
    pub(crate) path: Option<String>,
    pub(crate) sha256: String,
    pub(crate) nodes: usize,
    pub(crate) edges: usize,
    pub(crate) features: usize,
    pub(crate) classes: Vec<String>,
    pub(crate) split: String,
    pub(crate) train_nodes: usize,
    pub(crate) val_nodes: usize,
    pub(crate) test_nodes: usize,
}

impl DataSummary {
    pub(crate) fn new(dataset: &Dataset, path: Option<&Path>, choice: &SplitChoice, split: &Split) -> DataSummary {
        DataSummary {
            name: dataset.name.clone(),
            path: path.map(|path| path.display().to_string()),
            sha256: dataset.sha256.clone(),
            nodes: dataset.n_node(),
            edges: dataset.n_edge(),
            features: dataset.n_feat(),
            classes: dataset.classes.clone(),
            split: choice.to_string(),
            train_nodes: split.train.len(),
            val_nodes: split.val.len(),
            test_nodes: split.test.len(),
        }
    }

    /// The data, in one line.
    pub(crate) fn line(&self) -> String {
        readable(&format!(
            "{}: {}, {} with loops, {}, {}; split {}: {} train, {} val, {} test",
            self.name,
            counted(self.nodes, "node"),
            counted(self.edges, "edge"),
            counted(self.features, "feature"),
            counted(self.classes.len(), "class"),
            self.split,
            self.train_nodes,
            self.val_nodes,
            self.test_nodes
        ))
    }
}

#[derive(Serialize, Clone)]
struct Versions {
    gavotte: &'static str,
    os: &'static str,
    arch: &'static str,
}

/// The figures of one run.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) train_loss: f64,
    pub(crate) val_loss: f64,
    pub(crate) test_loss: f64,
    pub(crate) train_acc: f64,
    pub(crate) val_acc: f64,
    pub(crate) test_acc: f64,
    pub(crate) test_macro_f1: f64,
    pub(crate) epochs: usize,
    pub(crate) best_epoch: usize,
    pub(crate) seconds: f64,
    pub(crate) diverged_at: Option<usize>,
    /// The epoch after which a signal ended it.
    pub(crate) stopped_at: Option<usize>,
    /// The confusion matrix of the test nodes: rows are the true classes, columns the predicted ones.
    pub(crate) confusion: Vec<Vec<u64>>,
}

impl Run {
    pub(crate) fn new<P>(seed: u64, outcome: &Outcome<P>) -> Run {
        let (losses, accuracies) = (outcome.losses, outcome.accuracies());
        let test = &outcome.confusion.test;
        let row = |truth| (0..test.n_class()).map(|guess| test.count(truth, guess)).collect();
        Run {
            seed,
            train_loss: losses.train,
            val_loss: losses.val,
            test_loss: losses.test,
            train_acc: accuracies.train,
            val_acc: accuracies.val,
            test_acc: accuracies.test,
            test_macro_f1: outcome.macro_f1().test,
            epochs: outcome.epochs,
            best_epoch: outcome.best_epoch,
            seconds: outcome.seconds,
            diverged_at: match outcome.stop {
                Stop::Diverged(epoch) => Some(epoch),
                _ => None,
            },
            stopped_at: match outcome.stop {
                Stop::Observer => Some(outcome.epochs),
                _ => None,
            },
            confusion: (0..test.n_class()).map(row).collect(),
        }
    }

    /// The columns of the table from the training loss on.
    pub(crate) fn columns(&self) -> [f64; 6] {
        [self.train_loss, self.val_loss, self.val_acc, self.test_acc, self.test_macro_f1, self.seconds]
    }

    /// Whether neither a signal nor divergence ended it.
    pub(crate) fn has_ended(&self) -> bool {
        self.diverged_at.is_none() && self.stopped_at.is_none()
    }
}

/// One figure of all runs. Mean and sample standard deviation are those of the finished runs; if there are too few of
/// them, they are NaN, which JSON writes as null.
#[derive(Serialize)]
pub(crate) struct Figure {
    pub(crate) mean: f64,
    pub(crate) std: f64,
    pub(crate) per_seed: Vec<f64>,
}

/// All results of a training command.
#[derive(Serialize)]
pub(crate) struct Report {
    versions: Versions,
    settings: Settings,
    data: DataSummary,
    seeds: Vec<u64>,
    pub(crate) test_acc: Figure,
    val_acc: Figure,
    train_acc: Figure,
    test_macro_f1: Figure,
    train_loss: Figure,
    val_loss: Figure,
    test_loss: Figure,
    pub(crate) epochs: Figure,
    pub(crate) best_epoch: Figure,
    seconds: Figure,
    diverged_at: Vec<Option<usize>>,
    stopped_at: Vec<Option<usize>>,
    test_confusion: Vec<Vec<Vec<u64>>>,
    /// The number of runs that were asked for.
    #[serde(skip)]
    pub(crate) n_asked: usize,
    /// The number of finished runs, over which means are taken.
    #[serde(skip)]
    pub(crate) n_ended: usize,
    /// For each run, whether its parameters differ from the initial ones.
    #[serde(skip)]
    pub(crate) is_trained: Vec<bool>,
}

impl Report {
    pub(crate) fn new(settings: Settings, data: DataSummary, runs: &[Run]) -> Report {
        let figure = |of: fn(&Run) -> f64| {
            let sound: Vec<f64> = runs.iter().filter(|run| run.has_ended()).map(of).collect();
            Figure { mean: mean(&sound), std: standard_deviation(&sound), per_seed: runs.iter().map(of).collect() }
        };
        Report {
            versions: Versions {
                gavotte: env!("CARGO_PKG_VERSION"),
                os: std::env::consts::OS,
                arch: std::env::consts::ARCH,
            },
            n_asked: settings.seeds,
            n_ended: runs.iter().filter(|run| run.has_ended()).count(),
            is_trained: runs.iter().map(|run| run.best_epoch > 0).collect(),
            settings,
            data,
            seeds: runs.iter().map(|run| run.seed).collect(),
            test_acc: figure(|run| run.test_acc),
            val_acc: figure(|run| run.val_acc),
            train_acc: figure(|run| run.train_acc),
            test_macro_f1: figure(|run| run.test_macro_f1),
            train_loss: figure(|run| run.train_loss),
            val_loss: figure(|run| run.val_loss),
            test_loss: figure(|run| run.test_loss),
            epochs: figure(|run| run.epochs as f64),
            best_epoch: figure(|run| run.best_epoch as f64),
            seconds: figure(|run| run.seconds),
            diverged_at: runs.iter().map(|run| run.diverged_at).collect(),
            stopped_at: runs.iter().map(|run| run.stopped_at).collect(),
            test_confusion: runs.iter().map(|run| run.confusion.clone()).collect(),
        }
    }

    /// The columns of the table from the training loss on.
    pub(crate) fn columns(&self) -> [&Figure; 6] {
        [&self.train_loss, &self.val_loss, &self.val_acc, &self.test_acc, &self.test_macro_f1, &self.seconds]
    }
}

/// A document as JSON text that ends with a line break.
pub(crate) fn to_json(document: &impl Serialize) -> Result<String, Failure> {
    match serde_json::to_string_pretty(document) {
        Ok(text) => Ok(text + "\n"),
        Err(error) => Err(Failure::Run(format!("cannot write JSON: {error}\n{}", crate::REPORT))),
    }
}

/// The history of a run: one line an epoch.
pub(crate) fn metrics_csv<P>(outcome: &Outcome<P>) -> String {
    let mut text =
        String::from("epoch,step_loss,train_loss,val_loss,test_loss,train_acc,val_acc,test_acc,step_ms,best\n");
    for epoch in &outcome.history {
        let (losses, accuracies) = (epoch.losses, epoch.accuracies);
        text += &format!(
            "{},{},{},{},{},{},{},{},{:.4},{}\n",
            epoch.epoch,
            epoch.step_loss,
            losses.train,
            losses.val,
            losses.test,
            accuracies.train,
            accuracies.val,
            accuracies.test,
            epoch.step_ms,
            u8::from(epoch.best),
        );
    }
    text
}
