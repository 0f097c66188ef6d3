//! A data set and a split as arrays.

use crate::Error;
use crate::data::{Dataset, Matrix, Split, UNKNOWN_CLASS};
use crate::features::{Features, SparseFeatures};
use crate::graph::{Adjacency, Graph, Nodes};
use crate::memory;
use crate::metrics::{Confusion, predictions};
use crate::model::{Attention, GatConfig};
use crate::plural::counted;
use gavotte::{Array, DType, Dim, Tree, device_put};
use gavotte_core::device::DeviceRef;

/// One value for each split of the nodes.
#[derive(Tree, Clone, Copy, Debug, Default, PartialEq)]
pub struct Splits<T> {
    /// For the nodes that training learns from.
    pub train: T,
    /// For the nodes that decide when training stops.
    pub val: T,
    /// For the nodes that judge the trained model.
    pub test: T,
}

impl<T> Splits<T> {
    /// References to the three values.
    pub fn as_ref(&self) -> Splits<&T> {
        Splits { train: &self.train, val: &self.val, test: &self.test }
    }

    /// The three values, each through `f`.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> Splits<U> {
        Splits { train: f(self.train), val: f(self.val), test: f(self.test) }
    }
}

/// What a training step reads and does not change.
#[derive(Tree, Clone)]
pub struct Inputs {
    /// Features, and who sends to whom.
    pub nodes: Nodes,
    /// The class of each node, `i32[n]`.
    pub labels: Array,
    /// 1 for members of a split and 0 for others, `f[n]`.
    pub masks: Splits<Array>,
}

/// A data set and a split, on the host and as arrays. The sizes of the arrays carry the symbols `n` (nodes), `e` (edges)
/// and `z` (stored features), so one compiled step serves graphs of every size; the numbers of features and of classes
/// are numbers.
#[derive(Clone)]
pub struct Experiment {
    /// The arrays.
    pub inputs: Inputs,
    /// The class of each node.
    pub labels: Vec<i32>,
    /// The nodes of each split.
    pub splits: Splits<Vec<i32>>,
    /// Number of classes.
    pub n_class: usize,
    /// Number of features.
    pub n_feat: usize,
}

/// Features of which a smaller share is stored than this are sparse arrays, others dense ones: a stored entry is met by
/// three indices, and its row of weights is not read in order.
const SPARSE_BELOW: f64 = 0.25;

impl Experiment {
    /// The arrays of a data set for a model: `config` says how the graph is stored, and the type of numbers.
    ///
    /// # Errors
    /// If the data set is no graph, the split names no node to train on, or a node that does not exist or whose class is
    /// unknown, the number of classes is not the model's, or there is not enough memory to train the model on it.
    pub fn new(dataset: &Dataset, split: &Split, config: &GatConfig) -> Result<Self, Error> {
        let (n_node, n_class, dtype) = (dataset.n_node(), dataset.n_class(), config.dtype);
        if config.classes != n_class {
            return Err(Error::Config(format!(
                "the model has {}, and {} has {n_class}",
                counted(config.classes, "class"),
                dataset.name
            )));
        }
        if split.train.is_empty() {
            return Err(Error::Config(format!("the split of {} names no node to train on", dataset.name)));
        }
        Experiment::check_memory(dataset, config)?;
        let graph = Graph::new(&dataset.senders, &dataset.receivers, n_node)?;
        let adjacency = match config.attention {
            Attention::Edges => graph.with_symbols("n", "e").into(),
            Attention::Dense => Adjacency::Dense { dense: graph.to_mask()?.declare(["n", "n"]) },
        };
        let dense = |x: Array| Features::from(x.declare([Dim::symbol("n"), dataset.n_feat().into()]));
        let x = match &dataset.features {
            Matrix::Dense { n_cols, values } => dense(Array::new(&[n_node, *n_cols], values.clone()).astype(dtype)),
            Matrix::Sparse(matrix) => {
                let sparse = SparseFeatures::new(matrix, dtype)?;
                let share = matrix.n_nonzero() as f64 / (n_node * matrix.n_cols).max(1) as f64;
                match share < SPARSE_BELOW {
                    true => sparse.with_symbols("n", "z").into(),
                    false => dense(sparse.to_dense()?),
                }
            }
        };
        let splits = Splits { train: split.train.clone(), val: split.val.clone(), test: split.test.clone() };
        let mask = |nodes: &Vec<i32>| mask(nodes, &dataset.labels, dtype);
        let Splits { train, val, test } = splits.as_ref().map(mask);
        let inputs = Inputs {
            nodes: Nodes { x, adjacency },
            labels: Array::new(&[n_node], dataset.labels.clone()).declare(["n"]),
            masks: Splits { train: train?, val: val?, test: test? },
        };
        Ok(Experiment { inputs, labels: dataset.labels.clone(), splits, n_class, n_feat: dataset.n_feat() })
    }

    /// Refuses to train a model on what does not fit the memory with it, by what is stored in any case; what a compiled step
    /// takes beside that is in its plan.
    ///
    /// # Errors
    /// If more memory is needed than there is; the text says what needs most.
    pub fn check_memory(dataset: &Dataset, config: &GatConfig) -> Result<(), Error> {
        let times = |a: u64, b: u64| a.saturating_mul(b);
        let (n_node, n_feat, n_class) = (dataset.n_node() as u64, dataset.n_feat() as u64, dataset.n_class() as u64);
        let width = config.dtype.size() as u64;
        let n_parameter = config.n_parameter(dataset.n_feat());
        let features = match &dataset.features {
            Matrix::Dense { .. } => times(times(n_node, n_feat), 4 + width),
            // Four indices and a value for each entry; where each row and each column begins.
            Matrix::Sparse(matrix) => times(matrix.n_nonzero() as u64, 16 + width) + times(n_node + n_feat, 4),
        };
        let graph = match config.attention {
            Attention::Edges => times(dataset.n_edge() as u64, 12),
            Attention::Dense => times(times(n_node, n_node), 2),
        };
        let needs = [
            (
                times(times(n_parameter, width), COPIES),
                format!("{n_parameter} parameters, in training"),
                "take fewer heads or fewer features of each (--heads, --hidden), or a data set of fewer features",
            ),
            (features, format!("features, {n_node} nodes by {n_feat}"), "take a smaller data set"),
            (
                graph,
                format!("the graph of {} edges", dataset.n_edge()),
                match config.attention {
                    Attention::Edges => "take a smaller data set",
                    Attention::Dense => {
                        "compute attention over the edges (--attention edges), or take a smaller data set"
                    }
                },
            ),
            // One for each split.
            (
                times(times(n_class, n_class), 3 * 8),
                format!("confusion matrices of {n_class} classes"),
                "take a data set of fewer classes",
            ),
        ];
        let needed = needs.iter().fold(0u64, |sum, (bytes, ..)| sum.saturating_add(*bytes));
        memory::check(needed).map_err(|shortage| {
            let largest = needs.iter().max_by_key(|(bytes, ..)| *bytes);
            let largest = largest.map_or_else(String::new, |(bytes, what, advice)| {
                format!("; {} of it are for {what}: {advice}", memory::shown(*bytes))
            });
            Error::Memory(format!("training on {}: {shortage}{largest}", dataset.name))
        })
    }

    /// The same experiment with its arrays on `device`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn on(self, device: &DeviceRef) -> Result<Self, Error> {
        Ok(Experiment { inputs: device_put(self.inputs, device)?, ..self })
    }

    /// What the predictions in `log_probs`, `f[n, classes]`, get right and wrong in each split.
    ///
    /// # Errors
    /// While the array is being traced.
    pub fn score(&self, log_probs: &Array) -> Result<Splits<Confusion>, Error> {
        let predicted = self.predict(log_probs)?;
        let count = |nodes: &Vec<i32>| Confusion::new(&self.labels, &predicted, nodes, self.n_class);
        Ok(self.splits.as_ref().map(count))
    }

    /// The most likely class of each node; [`NO_CLASS`](crate::metrics::NO_CLASS) where all its numbers are NaN.
    ///
    /// # Errors
    /// While the array is being traced.
    pub fn predict(&self, log_probs: &Array) -> Result<Vec<i32>, Error> {
        let host = log_probs.to_host()?;
        let rows: Vec<f64> = (0..host.len()).map(|i| host.get(i).as_f64()).collect();
        Ok(predictions(&rows, self.n_class))
    }
}

/// Of each parameter: itself, its two moments, its gradient, what it becomes, and the best so far.
const COPIES: u64 = 6;

fn mask(nodes: &[i32], labels: &[i32], dtype: DType) -> Result<Array, Error> {
    let n_node = labels.len();
    let mut mask = vec![0f32; n_node];
    for node in nodes {
        let Some(place) = usize::try_from(*node).ok().filter(|place| *place < n_node) else {
            return Err(Error::Config(format!("the split names node {node}, and there are {n_node} nodes")));
        };
        if labels[place] == UNKNOWN_CLASS {
            return Err(Error::Config(format!("the split names node {node}, whose class is unknown")));
        }
        mask[place] = 1.0;
    }
    Ok(Array::new(&[n_node], mask).astype(dtype).declare(["n"]))
}
