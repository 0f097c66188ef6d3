//! A data set: one graph whose nodes carry features and a class.

use sha2::{Digest, Sha256};

use super::{DataError, Split, files::hex};

/// The label of a node whose class is unknown. Such a node is part of the graph, and of no split.
pub const UNKNOWN_CLASS: i32 = -1;

/// A sparse matrix in compressed sparse rows. Row `i` holds `values[k]` at column `columns[k]` for `k` in
/// `offsets[i]..offsets[i + 1]`; columns ascend within a row.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseMatrix {
    /// Number of rows.
    pub n_rows: usize,
    /// Number of columns.
    pub n_cols: usize,
    /// The start of each row, and the end of the last one: `n_rows + 1` positions.
    pub offsets: Vec<i32>,
    /// The column of each entry.
    pub columns: Vec<i32>,
    /// The value of each entry.
    pub values: Vec<f64>,
}

/// A sum of 2^31 numbers up to this size does not overflow.
const LARGE: f64 = 1e298;
/// Values cancel if their sum is a smaller share of the sum of their magnitudes.
const CANCELLED: f64 = 1e-6;

impl SparseMatrix {
    /// A matrix without rows.
    pub(super) fn empty(n_cols: usize) -> Self {
        Self { n_rows: 0, n_cols, offsets: vec![0], columns: Vec::new(), values: Vec::new() }
    }

    /// Appends a row, divided by its sum. Columns must ascend, and values be finite and not 0.
    ///
    /// # Errors
    /// If the values cancel, so that their sum is mostly rounding errors; then nothing is appended.
    pub(super) fn push_normalised(&mut self, row: &[(i32, f64)]) -> Result<(), String> {
        let largest = row.iter().fold(0.0, |largest: f64, &(_, value)| largest.max(value.abs()));
        // Sums of larger numbers may overflow.
        let scale = if largest > LARGE { largest } else { 1.0 };
        let sum: f64 = row.iter().map(|&(_, value)| value / scale).sum();
        let size: f64 = row.iter().map(|&(_, value)| value.abs() / scale).sum();
        if sum.abs() < CANCELLED * size {
            return Err(format!("its {} values cancel, and features are divided by the sum of their row", row.len()));
        }
        self.columns.extend(row.iter().map(|&(column, _)| column));
        self.values.extend(row.iter().map(|&(_, value)| value / scale / sum));
        self.n_rows += 1;
        self.offsets.push(self.columns.len() as i32);
        Ok(())
    }

    /// The number of stored entries.
    pub fn n_nonzero(&self) -> usize {
        self.columns.len()
    }

    /// The columns and the values of row `row`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> (&[i32], &[f64]) {
        let entries = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        (&self.columns[entries.clone()], &self.values[entries])
    }
}

/// A row of features for each node.
#[derive(Clone, Debug, PartialEq)]
pub enum Matrix {
    /// Entries that are not stored are 0.
    Sparse(SparseMatrix),
    /// Every entry is stored, row by row.
    Dense {
        /// Number of columns.
        n_cols: usize,
        /// The entries; in single precision, as there may be very many.
        values: Vec<f32>,
    },
}

impl Matrix {
    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        match self {
            Matrix::Sparse(matrix) => matrix.n_cols,
            Matrix::Dense { n_cols, .. } => *n_cols,
        }
    }

    /// The number of stored entries.
    pub fn n_stored(&self) -> usize {
        match self {
            Matrix::Sparse(matrix) => matrix.n_nonzero(),
            Matrix::Dense { values, .. } => values.len(),
        }
    }

    /// The sparse matrix, if it is one.
    pub fn as_sparse(&self) -> Option<&SparseMatrix> {
        match self {
            Matrix::Sparse(matrix) => Some(matrix),
            Matrix::Dense { .. } => None,
        }
    }
}

impl From<SparseMatrix> for Matrix {
    fn from(matrix: SparseMatrix) -> Self {
        Matrix::Sparse(matrix)
    }
}

/// One graph whose nodes carry features and a class.
///
/// Except for graphs from [`rmat`](super::rmat), the graph is undirected: an edge is stored as two messages, one each
/// way. Every node sends itself one message, so that a layer which sums over messages sees the node too. Messages are
/// distinct and sorted by (receiver, sender).
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// A short name, such as `cora`.
    pub name: String,
    /// The name of each node in the source.
    pub ids: Vec<String>,
    /// One row for each node. The entries of a sparse row sum to 1.
    pub features: Matrix,
    /// The node each message comes from.
    pub senders: Vec<i32>,
    /// The node each message goes to; ascending.
    pub receivers: Vec<i32>,
    /// The class of each node, an index into `classes`; [`UNKNOWN_CLASS`] for a node without a label.
    pub labels: Vec<i32>,
    /// The name of each class.
    pub classes: Vec<String>,
    /// The SHA-256, in hexadecimal, of the bytes that were read, or of the arrays that were generated.
    pub sha256: String,
    /// The split that comes with the data, if there is one.
    pub default_split: Option<Split>,
}

impl Dataset {
    /// Number of nodes.
    pub fn n_node(&self) -> usize {
        self.labels.len()
    }

    /// Number of messages, self loops among them.
    pub fn n_edge(&self) -> usize {
        self.senders.len()
    }

    /// Number of classes.
    pub fn n_class(&self) -> usize {
        self.classes.len()
    }

    /// Number of features of a node.
    pub fn n_feat(&self) -> usize {
        self.features.n_cols()
    }

    /// Whether the class of a node is known.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn is_labelled(&self, node: i32) -> bool {
        self.labels[node as usize] != UNKNOWN_CLASS
    }

    /// The same data set with its classes in this order.
    ///
    /// # Errors
    /// If these are not exactly the names of its classes.
    pub fn with_classes(mut self, wanted: &[String]) -> Result<Self, DataError> {
        let place = |name: &String| wanted.iter().position(|other| other == name).map(|place| place as i32);
        let places: Option<Vec<i32>> = self.classes.iter().map(place).collect();
        let mut sorted = places.clone().unwrap_or_default();
        sorted.sort_unstable();
        let (Some(places), true) = (places, sorted.into_iter().eq(0..wanted.len() as i32)) else {
            return Err(DataError::Classes { dataset: self.name, found: self.classes, wanted: wanted.to_vec() });
        };
        let known = self.labels.iter_mut().filter(|label| **label != UNKNOWN_CLASS);
        known.for_each(|label| *label = places[*label as usize]);
        self.classes = wanted.to_vec();
        Ok(self)
    }

    /// The classes without a node in `nodes`.
    pub fn classes_without(&self, nodes: &[i32]) -> Vec<&str> {
        let mut has = vec![false; self.n_class()];
        let labels = nodes.iter().map(|&node| self.labels[node as usize]);
        labels.filter(|label| *label != UNKNOWN_CLASS).for_each(|label| has[label as usize] = true);
        self.classes.iter().zip(has).filter(|(_, has)| !has).map(|(name, _)| name.as_str()).collect()
    }

    /// Among the edges between labelled nodes, without self loops, the share of those that join nodes of one class; NaN
    /// if there is no such edge.
    pub fn homophily(&self) -> f64 {
        let label = |node: i32| self.labels[node as usize];
        let ends = self.senders.iter().zip(&self.receivers).filter(|(sender, receiver)| sender != receiver);
        let ends = ends.filter(|(sender, receiver)| self.is_labelled(**sender) && self.is_labelled(**receiver));
        let (inside, all) = ends.fold((0u32, 0u32), |(inside, all), (&sender, &receiver)| {
            (inside + u32::from(label(sender) == label(receiver)), all + 1)
        });
        f64::from(inside) / f64::from(all)
    }
}

/// The messages of an undirected graph, as senders and receivers in the order that [`Dataset`] describes. Edges may
/// come in any order and direction, more than once, and may be self loops.
pub(super) fn messages(n_node: usize, edges: impl IntoIterator<Item = (i32, i32)>) -> (Vec<i32>, Vec<i32>) {
    let loops = (0..n_node as i32).map(|node| (node, node));
    let mut by_receiver: Vec<_> = edges.into_iter().flat_map(|(a, b)| [(a, b), (b, a)]).chain(loops).collect();
    by_receiver.sort_unstable();
    by_receiver.dedup();
    by_receiver.into_iter().map(|(receiver, sender)| (sender, receiver)).unzip()
}

/// The digest of the arrays of a data set, in the order features, messages, labels, as little-endian numbers.
pub(super) fn digest(dataset: &Dataset) -> String {
    let Dataset { features, senders, receivers, labels, .. } = dataset;
    let mut digest = Sha256::new();
    let mut indices = |lists: &[&Vec<i32>]| {
        lists.iter().copied().flatten().for_each(|index| digest.update(index.to_le_bytes()));
    };
    if let Matrix::Sparse(SparseMatrix { offsets, columns, .. }) = features {
        indices(&[offsets, columns]);
    }
    indices(&[senders, receivers, labels]);
    match features {
        Matrix::Sparse(matrix) => matrix.values.iter().for_each(|value| digest.update(value.to_le_bytes())),
        Matrix::Dense { values, .. } => values.iter().for_each(|value| digest.update(value.to_le_bytes())),
    }
    hex(digest)
}
