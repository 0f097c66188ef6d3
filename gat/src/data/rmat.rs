//! A generated graph of any size for measurements, whose degrees follow a power law.

use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt, seq::SliceRandom};
use rand_distr::{Distribution, StandardNormal};

use super::{DataError, Dataset, Matrix, Split, dataset::digest};
use crate::memory;
use crate::plural::counted;

/// The cumulative probabilities of the quadrants of the adjacency matrix: 0.57, 0.19, 0.19 and 0.05.
const QUADRANTS: [f64; 3] = [0.57, 0.76, 0.95];

/// The numbers of an RMAT graph. Its text is `rmat:NODES:EDGES:FEATS:CLASSES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RmatSpec {
    /// Number of nodes.
    pub n_node: usize,
    /// Number of directed edges, self loops left out; all are distinct.
    pub n_edge: usize,
    /// Number of features of a node.
    pub n_feat: usize,
    /// Number of classes.
    pub n_class: usize,
}

impl RmatSpec {
    /// The format of its text.
    pub const FORM: &str = "rmat:NODES:EDGES:FEATS:CLASSES";

    /// The peak memory of drawing it, in bytes.
    fn needed(&self) -> u64 {
        let Self { n_node, n_edge, n_feat, n_class } = *self;
        // For an edge: the pairs, with those drawn in excess and the buffer of the sort, then the two ends. For a node:
        // its features, number and name. For a class: its name.
        let of = [(n_edge, 40), (n_node.saturating_mul(n_feat), 4), (n_node, 64), (n_class, 32)];
        of.iter().fold(0, |sum, &(n, bytes)| sum.saturating_add((n as u64).saturating_mul(bytes)))
    }

    fn check(&self) -> Result<(), DataError> {
        let Self { n_node, n_edge, n_feat, n_class } = *self;
        let max = i32::MAX as usize;
        let fail = |what: String| Err(DataError::Rmat { what });
        let named = [("NODES", n_node), ("EDGES", n_edge), ("FEATS", n_feat), ("CLASSES", n_class)];
        if let Some((name, n)) = named.into_iter().find(|(_, n)| *n > max) {
            return fail(format!("{name} is {n}, and must be at most {max}"));
        }
        if n_node < 3 {
            let nodes = counted(n_node, "node");
            return fail(format!("a graph of {nodes} cannot be split into three parts: give at least 3"));
        }
        if n_feat == 0 || n_class == 0 {
            return fail("a node has at least one feature and one class".into());
        }
        // Unlikely places fill up slowly: beyond half of all pairs the draws would hardly end.
        let room = n_node.saturating_mul(n_node - 1) / 2;
        if n_edge > room {
            return fail(format!(
                "{n_node} nodes have room for {}, half of all pairs, not for {n_edge}",
                counted(room, "edge")
            ));
        }
        let (messages, features) = (n_edge.saturating_add(n_node), n_node.saturating_mul(n_feat));
        if messages > max {
            return fail(format!("EDGES and a loop for each of NODES are {messages}, and must be at most {max}"));
        }
        if features > max {
            return fail(format!("NODES times FEATS is {features}, and must be at most {max}"));
        }
        Ok(())
    }
}

impl FromStr for RmatSpec {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let fail = |what: String| DataError::Rmat { what };
        let fields: Vec<&str> = text.split(':').collect();
        let ["rmat", numbers @ ..] = &fields[..] else {
            return Err(fail(format!("`{text}` does not begin with `rmat:`")));
        };
        let &[nodes, edges, feats, classes] = numbers else {
            return Err(fail(format!("`{text}` has {}, not four", counted(numbers.len(), "number"))));
        };
        let number = |name: &str, text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            match (digits, text.parse()) {
                (true, Ok(number)) => Ok(number),
                // Digits alone that do not parse are too large a number.
                (true, Err(_)) => Err(fail(format!("{name} is `{text}`, which is too large"))),
                (false, _) => Err(fail(format!("{name} is `{text}`, not a whole number"))),
            }
        };
        let spec = Self {
            n_node: number("NODES", nodes)?,
            n_edge: number("EDGES", edges)?,
            n_feat: number("FEATS", feats)?,
            n_class: number("CLASSES", classes)?,
        };
        spec.check()?;
        Ok(spec)
    }
}

impl fmt::Display for RmatSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n_node, n_edge, n_feat, n_class } = self;
        write!(f, "rmat:{n_node}:{n_edge}:{n_feat}:{n_class}")
    }
}

/// Generates a directed graph with exactly the numbers of `spec`, and a loop for each node.
///
/// The place of an edge is drawn by halving the adjacency matrix repeatedly, with probabilities 0.57, 0.19, 0.19 and
/// 0.05 for the quadrants. Edges outside the matrix, loops and repetitions are drawn again; then nodes are numbered at
/// random. Features are standard normal and not normalised. Classes are uniform: the graph is for measuring time, and
/// there is nothing to learn. 60 % of the nodes are for training, 20 % for validation, 20 % for testing.
///
/// Source: Chakrabarti, Zhan and Faloutsos, *R-MAT: A Recursive Model for Graph Mining* (SDM 2004).
///
/// # Errors
/// If no graph has these numbers.
pub fn rmat<R: Rng + ?Sized>(rng: &mut R, spec: &RmatSpec) -> Result<Dataset, DataError> {
    spec.check()?;
    memory::check(spec.needed()).map_err(|why| DataError::memory(&spec.to_string(), "edges and features", why))?;
    let (senders, receivers) = draw_messages(rng, spec);
    let RmatSpec { n_node, n_feat, n_class, .. } = *spec;
    let values = StandardNormal.sample_iter(&mut *rng).take(n_node * n_feat).collect();
    let labels = (0..n_node).map(|_| rng.random_range(0..n_class as i32)).collect();
    let default_split = Some(draw_split(rng, n_node));
    let mut dataset = Dataset {
        name: spec.to_string(),
        ids: (0..n_node).map(|node| node.to_string()).collect(),
        features: Matrix::Dense { n_cols: n_feat, values },
        senders,
        receivers,
        labels,
        classes: (0..n_class).map(|class| class.to_string()).collect(),
        sha256: String::new(),
        default_split,
    };
    dataset.sha256 = digest(&dataset);
    Ok(dataset)
}

fn draw_split<R: Rng + ?Sized>(rng: &mut R, n_node: usize) -> Split {
    let mut nodes: Vec<i32> = (0..n_node as i32).collect();
    nodes.shuffle(rng);
    let (train, rest) = nodes.split_at(n_node * 3 / 5);
    let (val, test) = rest.split_at(n_node * 4 / 5 - train.len());
    Split { train: train.to_vec(), val: val.to_vec(), test: test.to_vec() }.sorted()
}

/// Senders and receivers, loops among them, sorted by (receiver, sender). A pair of nodes is one number while it is
/// drawn: sorting numbers takes less time and memory than a set of pairs.
fn draw_messages<R: Rng + ?Sized>(rng: &mut R, spec: &RmatSpec) -> (Vec<i32>, Vec<i32>) {
    let RmatSpec { n_node, n_edge, .. } = *spec;
    let mut pairs = draw_pairs(rng, n_node as u64, n_edge);
    let mut number: Vec<u32> = (0..n_node as u32).collect();
    number.shuffle(rng);
    for pair in &mut pairs {
        let (receiver, sender) = ends(*pair);
        *pair = pair_of(number[receiver as usize].into(), number[sender as usize].into());
    }
    pairs.extend((0..n_node as u64).map(|node| pair_of(node, node)));
    pairs.sort_unstable();
    let senders = pairs.iter().map(|pair| ends(*pair).1 as i32).collect();
    (senders, pairs.iter().map(|pair| ends(*pair).0 as i32).collect())
}

fn pair_of(receiver: u64, sender: u64) -> u64 {
    receiver << 32 | sender
}

fn ends(pair: u64) -> (u64, u64) {
    (pair >> 32, pair & u64::from(u32::MAX))
}

/// Distinct pairs of different nodes, before nodes are numbered.
fn draw_pairs<R: Rng + ?Sized>(rng: &mut R, n_node: u64, n_edge: usize) -> Vec<u64> {
    let n_level = u64::BITS - (n_node - 1).leading_zeros();
    let mut pairs: Vec<u64> = vec![];
    while pairs.len() < n_edge {
        let missing = n_edge - pairs.len();
        // A few more than are missing, as some are taken already, but enough that the end does not take many rounds.
        let n_draw = (missing + missing / 4).max(1024);
        pairs.reserve(n_draw);
        for _ in 0..n_draw {
            let (receiver, sender) = ends(draw_pair(rng, n_level));
            if receiver != sender && receiver < n_node && sender < n_node {
                pairs.push(pair_of(receiver, sender));
            }
        }
        // The earlier pairs are a sorted run, which this sort only merges.
        pairs.sort();
        pairs.dedup();
    }
    // The surplus is removed at random, since the order of the pairs depends on the hubs.
    let (mut wanted, mut left) = (n_edge, pairs.len());
    pairs.retain(|_| {
        let stays = rng.random_range(0..left) < wanted;
        left -= 1;
        wanted -= usize::from(stays);
        stays
    });
    pairs
}

/// Draws a quadrant for each bit of a node's number. A random word serves four levels, so that probabilities are exact
/// to one in 65,536.
fn draw_pair<R: Rng + ?Sized>(rng: &mut R, n_level: u32) -> u64 {
    let bounds = QUADRANTS.map(|odds| (odds * 65536.0).round() as u16);
    let mut pair = 0;
    let mut word = 0u64;
    for level in 0..n_level {
        word = if level % 4 == 0 { rng.next_u64() } else { word >> 16 };
        let quadrant = bounds.iter().filter(|bound| word as u16 >= **bound).count() as u64;
        pair = pair << 1 | (quadrant >> 1) << 32 | quadrant & 1;
    }
    pair
}
