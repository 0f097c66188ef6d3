//! A generated network with the numbers of a real one, which needs no file.
//!
//! Classes are planted: most edges join nodes of one class, and part of a node's words are its class's topic. Random
//! words are only used to choose between whole numbers, so that the network is the same on every machine.

use std::collections::HashSet;

use rand::{Rng, RngExt, distr::weighted::WeightedIndex, seq::SliceRandom};
use rand_distr::{Distribution, Normal, Pareto, Zipf};

use super::{
    DataError, Dataset, SparseMatrix, Split,
    dataset::{digest, messages},
};

/// The most words of a node, which is the most words of a paper of Cora.
const MAX_WORDS: usize = 30;
/// The share of words drawn from the topic of the class; the others are drawn from the whole vocabulary. It is chosen,
/// together with the share of stray nodes, so that graph attention predicts about as many classes right as on Cora: 83
/// %.
const TOPIC_SHARE: f64 = 0.4;
/// The share of stray nodes: their words, and most edges that leave their class, are those of another class. Without
/// them the network would be easier than Cora, whose errors are not independent either.
const STRAY_SHARE: f64 = 0.37;
/// The exponent of word frequencies: Cora's most frequent word is in 40 % of its papers.
const ZIPF_EXPONENT: f64 = 0.75;
/// The shape of the distribution of degrees: a finite mean, and the tail of Cora's.
const PARETO_SHAPE: f64 = 2.0;
/// The standard deviation of the number of words of a node, relative to the mean, as in Cora.
const LENGTH_SPREAD: f64 = 0.32;
/// The number of draws that may hit something taken before the next free place is taken instead.
const N_TRY: usize = 100;

/// The numbers of a planted network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlantedSpec {
    /// The name and the number of nodes of each class.
    pub class_sizes: Vec<(String, usize)>,
    /// Number of undirected edges, self loops left out.
    pub n_edge: usize,
    /// How many of these edges join two nodes of one class.
    pub n_edge_inside: usize,
    /// Number of features of a node.
    pub n_word: usize,
    /// Number of words over all nodes; each node has between 1 and 30.
    pub n_nonzero: usize,
}

impl PlantedSpec {
    /// The numbers of Cora.
    pub fn cora() -> Self {
        let class_sizes = [
            ("Case_Based", 298),
            ("Genetic_Algorithms", 418),
            ("Neural_Networks", 818),
            ("Probabilistic_Methods", 426),
            ("Reinforcement_Learning", 217),
            ("Rule_Learning", 180),
            ("Theory", 351),
        ];
        Self {
            class_sizes: class_sizes.map(|(name, size)| (name.into(), size)).to_vec(),
            n_edge: 5278,
            n_edge_inside: 4275,
            n_word: 1433,
            n_nonzero: 49216,
        }
    }

    /// The same network in another size: nodes, edges and non-zeros in proportion, words and classes unchanged. Every
    /// class keeps at least one node, and edges beyond the number of pairs are left out.
    pub fn scaled(&self, n_node: usize) -> Self {
        let old = self.n_node().max(1);
        let in_proportion = |n: usize| ((n as u128 * n_node as u128 + old as u128 / 2) / old as u128) as usize;
        let sizes = scaled_sizes(&self.class_sizes, old, n_node);
        let mut scaled = Self {
            class_sizes: self.class_sizes.iter().zip(sizes).map(|((name, _), size)| (name.clone(), size)).collect(),
            n_edge: 0,
            n_edge_inside: 0,
            ..self.clone()
        };
        let (inside, outside) = scaled.most_edges();
        scaled.n_edge_inside = in_proportion(self.n_edge_inside).min(inside);
        scaled.n_edge =
            scaled.n_edge_inside + in_proportion(self.n_edge.saturating_sub(self.n_edge_inside)).min(outside);
        let n_node = scaled.n_node();
        scaled.n_nonzero = in_proportion(self.n_nonzero).clamp(n_node, n_node * MAX_WORDS.min(self.n_word.max(1)));
        scaled
    }

    fn n_node(&self) -> usize {
        self.class_sizes.iter().map(|(_, size)| size).sum()
    }

    /// The most edges within classes, and between them.
    fn most_edges(&self) -> (usize, usize) {
        let pairs = |n: usize| n.saturating_mul(n.saturating_sub(1)) / 2;
        let inside = self.class_sizes.iter().map(|&(_, size)| pairs(size)).sum();
        (inside, pairs(self.n_node()) - inside)
    }

    fn check(&self) -> Result<(), DataError> {
        let n_node = self.class_sizes.iter().try_fold(0usize, |sum, &(_, size)| sum.checked_add(size));
        let max = i32::MAX as usize;
        let fail = |what: String| Err(DataError::Spec { what });
        let Some(n_node) = n_node.filter(|&n| n <= max && self.n_word <= max && self.n_nonzero <= max) else {
            return fail(format!("nodes, words and non-zeros are limited to {max}"));
        };
        if let Some((name, _)) = self.class_sizes.iter().find(|(_, size)| *size == 0) {
            return fail(format!("class `{name}` has no node"));
        }
        if n_node == 0 {
            return fail("there is no class".into());
        }
        let most = n_node * MAX_WORDS.min(self.n_word);
        if !(n_node..=most).contains(&self.n_nonzero) {
            return fail(format!("{n_node} nodes have between {n_node} and {most} words, not {}", self.n_nonzero));
        }
        let (inside, outside) = self.most_edges();
        let Some(n_outside) = self.n_edge.checked_sub(self.n_edge_inside) else {
            return fail(format!("{} edges within classes are more than {} in all", self.n_edge_inside, self.n_edge));
        };
        if self.n_edge_inside > inside || n_outside > outside {
            return fail(format!(
                "at most {inside} edges fit within classes and {outside} between them, not {} and {n_outside}",
                self.n_edge_inside
            ));
        }
        if self.n_edge > (max - n_node) / 2 {
            return fail(format!("{} edges are more than {max} messages", self.n_edge));
        }
        Ok(())
    }
}

/// Sizes in proportion that sum to `n_node`, or to the number of classes if that is more.
fn scaled_sizes(classes: &[(String, usize)], old: usize, n_node: usize) -> Vec<usize> {
    // Rounding the running sum, not each size, keeps the total right.
    let mut before = 0;
    let mut sum = 0u128;
    let mut sizes: Vec<_> = classes
        .iter()
        .map(|&(_, size)| {
            sum += size as u128;
            let end = ((sum * n_node as u128 + old as u128 / 2) / old as u128) as usize;
            (end - std::mem::replace(&mut before, end)).max(1)
        })
        .collect();
    let mut excess = sizes.iter().sum::<usize>().saturating_sub(n_node.max(classes.len()));
    while excess > 0 {
        let Some(largest) = sizes.iter_mut().max() else { break };
        *largest -= 1;
        excess -= 1;
    }
    sizes
}

/// Generates a network with exactly the numbers of `spec`, its nodes in random order.
///
/// Degrees are heavy-tailed. Each class has topic words, and a node draws its words partly from them, partly from the
/// whole vocabulary. The split takes 20 nodes of each class for training, then 500 for validation and 1000 for testing;
/// a network smaller than Cora takes them in proportion.
///
/// # Errors
/// If no network has these numbers.
pub fn planted<R: Rng + ?Sized>(rng: &mut R, spec: &PlantedSpec) -> Result<Dataset, DataError> {
    spec.check()?;
    let classes: Vec<_> = spec.class_sizes.iter().map(|(name, _)| name.clone()).collect();
    let mut labels: Vec<_> =
        spec.class_sizes.iter().zip(0..).flat_map(|(&(_, size), class)| std::iter::repeat_n(class, size)).collect();
    labels.shuffle(rng);
    let leanings = draw_leanings(rng, &labels, spec.class_sizes.len());
    let features = draw_features(rng, spec, &leanings);
    let (senders, receivers) = messages(labels.len(), Edges::draw(rng, spec, &labels, &leanings));
    let default_split = Some(draw_split(rng, spec, &labels));
    let mut dataset = Dataset {
        name: "planted".into(),
        ids: (0..labels.len()).map(|node| node.to_string()).collect(),
        features: features.into(),
        senders,
        receivers,
        labels,
        classes,
        sha256: String::new(),
        default_split,
    };
    dataset.sha256 = digest(&dataset);
    Ok(dataset)
}

/// The class that each node looks like: its own, or, for a stray node, another.
fn draw_leanings<R: Rng + ?Sized>(rng: &mut R, labels: &[i32], n_class: usize) -> Vec<i32> {
    let leaning = |&label: &i32| match n_class > 1 && rng.random_bool(STRAY_SHARE) {
        true => (label + rng.random_range(1..n_class as i32)) % n_class as i32,
        false => label,
    };
    labels.iter().map(leaning).collect()
}

fn draw_split<R: Rng + ?Sized>(rng: &mut R, spec: &PlantedSpec, labels: &[i32]) -> Split {
    let in_proportion = |n: usize| (n * labels.len().min(2708)).div_ceil(2708);
    let per_class: Vec<_> = spec.class_sizes.iter().map(|&(_, size)| in_proportion(20).min(size)).collect();
    Split::draw(labels, &per_class, in_proportion(500), in_proportion(1000), rng)
}

/// Nodes to draw from, each with a chance proportional to its weight.
struct Nodes {
    nodes: Vec<usize>,
    chances: WeightedIndex<f64>,
}

impl Nodes {
    /// The nodes for which `has` holds; `None` if there are none.
    fn new(weights: &[f64], has: impl Fn(usize) -> bool) -> Option<Self> {
        let nodes: Vec<_> = (0..weights.len()).filter(|&node| has(node)).collect();
        let chances = WeightedIndex::new(nodes.iter().map(|&node| weights[node])).ok()?;
        Some(Self { nodes, chances })
    }
}

impl Distribution<usize> for Nodes {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> usize {
        self.nodes[self.chances.sample(rng)]
    }
}

/// The state of drawing edges.
struct Edges<'a> {
    labels: &'a [i32],
    leanings: &'a [i32],
    any: Nodes,
    /// The stray nodes, if there are any.
    strays: Option<Nodes>,
    /// The nodes of each class.
    members: Vec<Nodes>,
    taken: HashSet<(usize, usize)>,
    edges: Vec<(i32, i32)>,
}

impl<'a> Edges<'a> {
    fn draw<R: Rng + ?Sized>(
        rng: &mut R,
        spec: &PlantedSpec,
        labels: &'a [i32],
        leanings: &'a [i32],
    ) -> Vec<(i32, i32)> {
        let pareto = Pareto::new(1.0, PARETO_SHAPE).expect("scale and shape are positive");
        // The cap keeps hubs from being full.
        let cap = (labels.len() as f64).sqrt();
        let weights: Vec<f64> = labels.iter().map(|_| pareto.sample(rng).min(cap)).collect();
        let class = |class| Nodes::new(&weights, |node| labels[node] == class).expect("no class is empty");
        let mut edges = Self {
            labels,
            leanings,
            any: Nodes::new(&weights, |_| true).expect("there is a class, and it is not empty"),
            strays: Nodes::new(&weights, |node| labels[node] != leanings[node]),
            members: (0..spec.class_sizes.len() as i32).map(class).collect(),
            taken: HashSet::with_capacity(spec.n_edge),
            edges: Vec::with_capacity(spec.n_edge),
        };
        edges.draw_all(rng, spec);
        edges.edges
    }

    /// Draws all edges: first one for each node that has none, then edges between nodes drawn by weight.
    fn draw_all<R: Rng + ?Sized>(&mut self, rng: &mut R, spec: &PlantedSpec) {
        let mut lonely: Vec<_> = (0..self.labels.len()).collect();
        lonely.shuffle(rng);
        let mut has_edge = vec![false; self.labels.len()];
        let mut inside = spec.n_edge_inside;
        for left in (1..=spec.n_edge).rev() {
            let is_inside = rng.random_range(0..left) < inside;
            inside -= usize::from(is_inside);
            while lonely.last().is_some_and(|&node| has_edge[node]) {
                lonely.pop();
            }
            let (a, b) = self.draw_pair(rng, lonely.pop(), is_inside);
            self.taken.insert((a, b));
            self.edges.push((a as i32, b as i32));
            [has_edge[a], has_edge[b]] = [true; 2];
        }
    }

    fn draw_pair<R: Rng + ?Sized>(&self, rng: &mut R, from: Option<usize>, is_inside: bool) -> (usize, usize) {
        for _ in 0..N_TRY {
            let a = from.unwrap_or_else(|| self.draw_first(rng, is_inside));
            let b = if is_inside || self.leanings[a] != self.labels[a] {
                let class = if is_inside { self.labels[a] } else { self.leanings[a] } as usize;
                self.members[class].sample(rng)
            } else {
                self.any.sample(rng)
            };
            if self.is_free(a, b, is_inside) {
                return (a.min(b), a.max(b));
            }
        }
        let n = self.labels.len();
        let start = rng.random_range(0..n * n);
        let mut pairs = (start..n * n).chain(0..start).map(|pair| (pair / n, pair % n));
        // `PlantedSpec::check` ensures that there is one.
        pairs.find(|&(a, b)| a < b && self.is_free(a, b, is_inside)).unwrap_or_default()
    }

    /// Half of the edges between classes start at a stray node.
    fn draw_first<R: Rng + ?Sized>(&self, rng: &mut R, is_inside: bool) -> usize {
        match &self.strays {
            Some(strays) if !is_inside && rng.random_bool(0.5) => strays.sample(rng),
            _ => self.any.sample(rng),
        }
    }

    fn is_free(&self, a: usize, b: usize, is_inside: bool) -> bool {
        a != b && (self.labels[a] == self.labels[b]) == is_inside && !self.taken.contains(&(a.min(b), a.max(b)))
    }
}

/// Words to draw from by Zipf's law, frequent ones first.
struct Words {
    words: Vec<i32>,
    law: Zipf<f64>,
}

impl Words {
    /// `words` must not be empty.
    fn new(words: Vec<i32>) -> Self {
        let law = Zipf::new(words.len() as f64, ZIPF_EXPONENT).expect("there is a word, and the exponent is positive");
        Self { words, law }
    }
}

impl Distribution<i32> for Words {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> i32 {
        let rank = self.law.sample(rng) as usize;
        // Rounding may put a rank after the last one.
        self.words[rank.min(self.words.len()) - 1]
    }
}

fn draw_features<R: Rng + ?Sized>(rng: &mut R, spec: &PlantedSpec, leanings: &[i32]) -> SparseMatrix {
    let (n_word, n_class) = (spec.n_word, spec.class_sizes.len());
    let shuffled = |rng: &mut R| {
        let mut words: Vec<_> = (0..n_word as i32).collect();
        words.shuffle(rng);
        words
    };
    let common = Words::new(shuffled(rng));
    // Topics are slices of one permutation of the vocabulary, and make up half of it.
    let order = shuffled(rng);
    let n_topic = (n_word / (2 * n_class)).max(1);
    let topic = |class| Words::new(order.iter().copied().cycle().skip(class * n_topic).take(n_topic).collect());
    let topics: Vec<_> = (0..n_class).map(topic).collect();
    let mut features = SparseMatrix::empty(n_word);
    for (&leaning, n) in leanings.iter().zip(draw_lengths(rng, leanings.len(), n_word.min(MAX_WORDS), spec.n_nonzero)) {
        let draw_word = |rng: &mut R| match rng.random_bool(TOPIC_SHARE) {
            true => topics[leaning as usize].sample(rng),
            false => common.sample(rng),
        };
        let mut row = Vec::with_capacity(n);
        while row.len() < n {
            let drawn = (0..N_TRY).map(|_| draw_word(rng)).find(|word| !row.contains(word));
            row.extend(drawn.or_else(|| (0..n_word as i32).find(|word| !row.contains(word))));
        }
        row.sort_unstable();
        let row: Vec<_> = row.into_iter().map(|word| (word, 1.0)).collect();
        features.push_normalised(&row).expect("ones do not cancel");
    }
    features
}

/// The number of words of each node: about normal, between 1 and `most`, with the given sum.
fn draw_lengths<R: Rng + ?Sized>(rng: &mut R, n: usize, most: usize, sum: usize) -> Vec<usize> {
    let mean = sum as f64 / n as f64;
    let normal = Normal::new(mean, LENGTH_SPREAD * mean).expect("the spread is finite");
    let mut lengths: Vec<_> =
        normal.sample_iter(&mut *rng).take(n).map(|x| (x.round() as usize).clamp(1, most)).collect();
    let mut total: usize = lengths.iter().sum();
    while total != sum {
        let length = &mut lengths[rng.random_range(0..n)];
        if total < sum && *length < most {
            *length += 1;
            total += 1;
        } else if total > sum && *length > 1 {
            *length -= 1;
            total -= 1;
        }
    }
    lengths
}
