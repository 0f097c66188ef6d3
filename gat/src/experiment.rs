//! A data set and a split as arrays.

use crate::Error;
use crate::data::{Dataset, Matrix, Split, UNKNOWN_CLASS};
use crate::features::{Features, SparseFeatures};
use crate::graph::{Adjacency, Graph, Nodes, Storage};
use crate::memory::{self, Need};
use crate::metrics::{Confusion, predictions};
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

/// The inputs of a training step, which it does not change.
#[derive(Tree, Clone)]
pub struct Inputs {
    /// Features, and who sends to whom.
    pub nodes: Nodes,
    /// The class of each node, `i32[n]`.
    pub labels: Array,
    /// 1 for members of a split and 0 for others, `f[n]`.
    pub masks: Splits<Array>,
}

/// A data set and a split, on the host and as arrays. The sizes of the arrays are the symbols `n` (nodes), `e` (edges)
/// and `z` (stored features), so that one compiled step serves graphs of every size; the numbers of features and
/// classes are fixed.
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

/// How the arrays of an experiment are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArrayForm {
    /// Who sends to whom.
    pub storage: Storage,
    /// The type of features and masks: `f32` or `f64`.
    pub dtype: DType,
}

impl Default for ArrayForm {
    /// A list of edges, `f32`.
    fn default() -> Self {
        ArrayForm { storage: Storage::Edges, dtype: DType::F32 }
    }
}

/// Features of which a smaller share than this is stored are sparse arrays, others dense ones: a stored entry costs
/// three indices, and its row of weights is not read in order.
const SPARSE_BELOW: f64 = 0.25;

impl Experiment {
    /// The arrays of a data set and a split. A model may need more of its data: see
    /// [`GatConfig::experiment`](crate::model::GatConfig::experiment).
    ///
    /// # Errors
    /// If the data set is no graph, the split names no node to train on, or a node that does not exist or whose class
    /// is unknown, or there is not enough memory for the arrays.
    pub fn new(dataset: &Dataset, split: &Split, form: ArrayForm) -> Result<Self, Error> {
        let ArrayForm { storage, dtype } = form;
        let (n_node, n_class) = (dataset.n_node(), dataset.n_class());
        if split.train.is_empty() {
            return Err(Error::Config(format!("the split of {} names no node to train on", dataset.name)));
        }
        memory::check_all(&dataset.name, &Experiment::needs(dataset, form))?;
        let graph = Graph::new(&dataset.senders, &dataset.receivers, n_node)?;
        let adjacency = match storage {
            Storage::Edges => graph.with_symbols("n", "e").into(),
            Storage::Dense => Adjacency::Dense { dense: graph.to_mask()?.declare(["n", "n"]) },
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

    /// The memory that is taken in any case, without parameters. What a compiled step takes beside that is in its plan.
    pub fn needs(dataset: &Dataset, form: ArrayForm) -> Vec<Need> {
        let times = |a: u64, b: u64| a.saturating_mul(b);
        let (n_node, n_feat, n_class) = (dataset.n_node() as u64, dataset.n_feat() as u64, dataset.n_class() as u64);
        let width = form.dtype.size() as u64;
        let features = match &dataset.features {
            Matrix::Dense { .. } => times(times(n_node, n_feat), 4 + width),
            // Four indices and a value for each entry; where each row and each column begins.
            Matrix::Sparse(matrix) => times(matrix.n_nonzero() as u64, 16 + width) + times(n_node + n_feat, 4),
        };
        let (graph, advice) = match form.storage {
            Storage::Edges => (times(dataset.n_edge() as u64, 12), "take a smaller data set"),
            Storage::Dense => (
                times(times(n_node, n_node), 2),
                "compute attention over the edges (--attention edges), or take a smaller data set",
            ),
        };
        vec![
            Need {
                bytes: features,
                what: format!("features, {n_node} nodes by {n_feat}"),
                advice: "take a smaller data set",
            },
            Need { bytes: graph, what: format!("the graph of {} edges", dataset.n_edge()), advice },
            Need {
                // One for each split.
                bytes: times(times(n_class, n_class), 3 * 8),
                what: format!("confusion matrices of {n_class} classes"),
                advice: "take a data set of fewer classes",
            },
        ]
    }

    /// The same experiment with its arrays on `device`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn on(self, device: &DeviceRef) -> Result<Self, Error> {
        Ok(Experiment { inputs: device_put(self.inputs, device)?, ..self })
    }

    /// What the predictions in `outputs`, `f[n, classes]`, get right and wrong in each split.
    ///
    /// # Errors
    /// While the array is being traced.
    pub fn score(&self, outputs: &Array) -> Result<Splits<Confusion>, Error> {
        let predicted = self.predict(outputs)?;
        let count = |nodes: &Vec<i32>| Confusion::new(&self.labels, &predicted, nodes, self.n_class);
        Ok(self.splits.as_ref().map(count))
    }

    /// The most likely class of each node; [`NO_CLASS`](crate::metrics::NO_CLASS) where all its numbers are NaN.
    ///
    /// # Errors
    /// While the array is being traced.
    pub fn predict(&self, outputs: &Array) -> Result<Vec<i32>, Error> {
        let host = outputs.to_host()?;
        let rows: Vec<f64> = (0..host.len()).map(|i| host.get(i).as_f64()).collect();
        Ok(predictions(&rows, self.n_class))
    }
}

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
