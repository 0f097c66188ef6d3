//! Graphs as arrays, and arrays on their nodes.

use crate::Error;
use crate::features::Features;
use gavotte::segment::Segments;
use gavotte::stax::Signal;
use gavotte::{Array, Dim, Shape, Tree};

/// A directed graph: edge `i` carries a message from node `senders.ids[i]` to node `receivers.ids[i]`.
///
/// Edges are sorted by receiver. No edge is added: a node that should see itself needs an edge to itself.
#[derive(Tree, Clone)]
pub struct Graph {
    /// The node each message comes from.
    pub senders: Segments,
    /// The node each message goes to; ascending.
    pub receivers: Segments,
}

impl Graph {
    /// A graph of `n_node` nodes.
    ///
    /// # Errors
    /// If the two lists differ in length, a node is out of bounds, or the edges are not sorted by receiver.
    pub fn new(senders: &[i32], receivers: &[i32], n_node: usize) -> Result<Self, Error> {
        let (from, to) = (senders.len(), receivers.len());
        if from != to {
            return Err(Error::Graph(format!(
                "a graph has a sender and a receiver for each edge, not {from} and {to}"
            )));
        }
        if let Some(at) = receivers.windows(2).position(|pair| pair[0] > pair[1]) {
            return Err(Error::Graph(format!(
                "edges are not sorted by receiver: edge {at} enters node {} and edge {} node {}; sort them by \
                 (receiver, sender)",
                receivers[at],
                at + 1,
                receivers[at + 1]
            )));
        }
        Ok(Graph { senders: Segments::new(senders, n_node)?, receivers: Segments::sorted(receivers, n_node)? })
    }

    /// The same graph with symbols for sizes: compiled functions then serve every number of nodes and edges.
    #[must_use]
    pub fn with_symbols(self, n_node: &str, n_edge: &str) -> Self {
        Graph {
            senders: self.senders.with_symbols(n_node, n_edge),
            receivers: self.receivers.with_symbols(n_node, n_edge),
        }
    }

    /// Number of nodes; within `jit`, it may be a symbol.
    pub fn n_node(&self) -> Dim {
        self.receivers.n_segment()
    }

    /// Number of edges; within `jit`, it may be a symbol.
    pub fn n_edge(&self) -> Dim {
        self.receivers.n_member()
    }

    /// The adjacency matrix, `bool[n, n]`: row `i` marks the nodes that send to node `i`. Repeated edges count once.
    ///
    /// # Errors
    /// While the graph is being traced.
    pub fn to_mask(&self) -> Result<Array, Error> {
        let (senders, receivers) = (self.senders.ids.to_host()?, self.receivers.ids.to_host()?);
        let n = self.n_node().as_usize().expect("a computed array has numeric extents");
        let mut mask = vec![false; n * n];
        for (sender, receiver) in senders.as_slice::<i32>().iter().zip(receivers.as_slice::<i32>()) {
            mask[*receiver as usize * n + *sender as usize] = true;
        }
        Ok(Array::new(&[n, n], mask))
    }
}

/// How the edges of a graph are stored. The results of both forms are equal up to rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Storage {
    /// A list: work and memory grow with the number of edges.
    #[default]
    Edges,
    /// A masked matrix: work and memory grow with the square of the number of nodes.
    Dense,
}

/// Who sends to whom, in one of two forms. The results of both are equal up to rounding.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one a model, passed by reference; a box would show in every match"
)]
#[derive(Tree, Clone)]
pub enum Adjacency {
    /// A list of edges: work and memory grow with their number.
    Edges {
        /// The graph.
        edges: Graph,
    },
    /// A matrix: work and memory grow with `n * n`.
    Dense {
        /// `bool[n, n]`: row `i` marks the nodes that send to node `i`.
        dense: Array,
    },
}

impl From<Graph> for Adjacency {
    fn from(edges: Graph) -> Self {
        Adjacency::Edges { edges }
    }
}

/// The input of a graph layer: features of nodes, and who sends to whom.
#[derive(Tree, Clone)]
pub struct Nodes {
    /// One row for each node, `f[n, features]`.
    pub x: Features,
    /// Who sends to whom.
    pub adjacency: Adjacency,
}

impl Nodes {
    /// The same nodes with other features.
    #[must_use]
    pub fn with_features(&self, x: impl Into<Features>) -> Self {
        Nodes { x: x.into(), adjacency: self.adjacency.clone() }
    }
}

/// The shape of nodes is that of their features.
impl Signal for Nodes {
    type Shape = Shape;
    fn shape(&self) -> Shape {
        self.x.shape()
    }
}
