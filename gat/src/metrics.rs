//! The quality of predictions: accuracy, confusion matrix, macro-averaged F1. All are computed on the host, except the
//! hits that training counts in every epoch.

use crate::loss::n_class;
use gavotte::{Array, DType, arange};

/// The number of members of a mask whose label is their predicted class, as [`predictions`] finds it: `i32`.
///
/// | argument | shape |
/// | --- | --- |
/// | `outputs` | `f[n, classes]` |
/// | `labels` | `i32[n]` |
/// | `mask` | `f[n]`, 1 for members, 0 for others |
///
/// # Panics
/// If the shapes do not fit, or the number of classes is a symbol.
#[track_caller]
pub fn hits(outputs: &Array, labels: &Array, mask: &Array) -> Array {
    let (classes, labels) = (arange(n_class(outputs), DType::I32), labels.expand_dims(-1));
    let own = classes.eq(&labels).select(outputs, f64::NEG_INFINITY).max(-1);
    // A NaN is never the largest.
    let (is_number, own) = (own.eq(&own), own.expand_dims(-1));
    let beats = outputs.gt(&own) | (outputs.eq(&own) & classes.lt(&labels));
    let is_best = beats.astype(DType::I32).sum(-1).eq(0) & is_number;
    (is_best & mask.ne(0.0)).astype(DType::I32).sum(())
}

/// The prediction for a row without a largest entry.
pub const NO_CLASS: i32 = -1;

/// The place of the largest entry in each row of a row-major matrix; the first one among equals. A NaN is never the
/// largest: a row of nothing but NaN is predicted as [`NO_CLASS`].
///
/// # Panics
/// If the number of entries is no multiple of `n_class`, or `n_class` is 0.
#[track_caller]
pub fn predictions(rows: &[f64], n_class: usize) -> Vec<i32> {
    assert!(n_class > 0 && rows.len().is_multiple_of(n_class), "{} entries are not rows of {n_class}", rows.len());
    rows.chunks_exact(n_class)
        .map(|row| {
            let best = (1..n_class).fold(0, |best, i| if row[i] > row[best] || row[best].is_nan() { i } else { best });
            if row[best].is_nan() { NO_CLASS } else { best as i32 }
        })
        .collect()
}

/// How often a node of one class was taken for another: row is the true class, column the predicted one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    n_class: usize,
    counts: Vec<u64>,
    /// For each class, its nodes without a prediction.
    unpredicted: Vec<u64>,
}

impl Confusion {
    /// Counts over `nodes`, each a place in `labels` and `predicted`. A prediction of [`NO_CLASS`] is wrong for every
    /// class.
    ///
    /// # Panics
    /// If a node or a class is out of bounds.
    #[track_caller]
    pub fn new(labels: &[i32], predicted: &[i32], nodes: &[i32], n_class: usize) -> Self {
        let (mut counts, mut unpredicted) = (vec![0; n_class * n_class], vec![0; n_class]);
        for &node in nodes {
            let (truth, guess) = (labels[node as usize] as usize, predicted[node as usize] as usize);
            if truth < n_class && predicted[node as usize] == NO_CLASS {
                unpredicted[truth] += 1;
                continue;
            }
            assert!(
                truth < n_class && guess < n_class,
                "node {node}: there are {n_class} classes, not {truth}, {guess}"
            );
            counts[truth * n_class + guess] += 1;
        }
        Confusion { n_class, counts, unpredicted }
    }

    /// Number of classes.
    pub fn n_class(&self) -> usize {
        self.n_class
    }

    /// How many nodes of class `truth` were predicted as `guess`.
    ///
    /// # Panics
    /// If a class is out of bounds.
    pub fn count(&self, truth: usize, guess: usize) -> u64 {
        assert!(guess < self.n_class, "there are {} classes", self.n_class);
        self.counts[truth * self.n_class + guess]
    }

    /// How many nodes have no prediction.
    pub fn unpredicted(&self) -> u64 {
        self.unpredicted.iter().sum()
    }

    /// How many nodes were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.unpredicted()
    }

    /// The share predicted right; NaN where nothing was counted.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.n_class).map(|class| self.count(class, class)).sum();
        right as f64 / self.total() as f64
    }

    /// F1 of one class, `2 TP / (2 TP + FP + FN)`; `None` for a class that neither occurs nor is predicted.
    pub fn f1(&self, class: usize) -> Option<f64> {
        let right = self.count(class, class);
        let occurs = (0..self.n_class).map(|guess| self.count(class, guess)).sum::<u64>() + self.unpredicted[class];
        let predicted: u64 = (0..self.n_class).map(|truth| self.count(truth, class)).sum();
        (occurs + predicted > 0).then(|| 2.0 * right as f64 / (occurs + predicted) as f64)
    }

    /// The mean of [`f1`](Self::f1) over the classes that have one; NaN where none has.
    pub fn macro_f1(&self) -> f64 {
        let all: Vec<f64> = (0..self.n_class).filter_map(|class| self.f1(class)).collect();
        all.iter().sum::<f64>() / all.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gavotte::jit;

    #[test]
    fn counts_and_scores() {
        let predicted = predictions(&[0.1, 0.9, 0.0, 0.8, 0.1, 0.1, 0.2, 0.2, 0.2, 0.0, 0.0, 1.0], 3);
        assert_eq!(predicted, [1, 0, 0, 2]);
        let confusion = Confusion::new(&[1, 0, 1, 2], &predicted, &[0, 1, 2, 3], 3);
        assert_eq!((confusion.count(1, 1), confusion.count(1, 0), confusion.total()), (1, 1, 4));
        assert_eq!(confusion.accuracy(), 0.75);
        // Class 0: TP 1, FP 1; class 1: TP 1, FN 1; class 2: TP 1.
        assert_eq!(confusion.f1(0), Some(2.0 / 3.0));
        assert!((confusion.macro_f1() - (2.0 / 3.0 + 2.0 / 3.0 + 1.0) / 3.0).abs() < 1e-15);
    }

    #[test]
    fn only_the_nodes_given_count() {
        let confusion = Confusion::new(&[0, 1, 2], &[0, 0, 0], &[0], 3);
        assert_eq!((confusion.accuracy(), confusion.macro_f1(), confusion.f1(2)), (1.0, 1.0, None));
    }

    /// Rows of few different entries, so that many are equal, infinite or no number.
    #[test]
    fn hits_are_counted_as_on_the_host() {
        let entries = [f32::NEG_INFINITY, -1.0, -1.0, -0.0, 0.0, 2.0, f32::INFINITY, f32::NAN, f32::NAN];
        let (n, n_class) = (900, 3);
        let at = |i: usize| entries[(i * i + 7 * i / 3) % entries.len()];
        let rows: Vec<f32> = (0..n * n_class).map(|i| if i < 9 { f32::NAN } else { at(i) }).collect();
        let labels: Vec<i32> = (0..n).map(|i| (i % n_class) as i32).collect();
        let members: Vec<i32> = (0..n as i32).filter(|node| node % 4 != 3).collect();
        let mask = (0..n).map(|node| f32::from(node % 4 != 3)).collect();
        let predicted = predictions(&rows.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>(), n_class);
        let wanted = Confusion::new(&labels, &predicted, &members, n_class);
        let wanted: u64 = (0..n_class).map(|class| wanted.count(class, class)).sum();
        let arrays = (Array::new(&[n, n_class], rows), Array::new(&[n], labels), Array::new(&[n], mask));
        let count = |(rows, labels, mask): (Array, Array, Array)| hits(&rows, &labels, &mask);
        assert_eq!(count(arrays.clone()).item::<i32>() as u64, wanted);
        assert_eq!(jit(count)(arrays).item::<i32>() as u64, wanted);
        assert!((50..500).contains(&wanted), "{wanted}");
    }

    #[test]
    fn nan_is_never_the_largest() {
        assert_eq!(predictions(&[f64::NAN, f64::NAN, f64::NEG_INFINITY, -1.0, f64::NAN, -2.0], 3), [2, 0]);
        assert_eq!(predictions(&[f64::NAN, f64::NAN, 1.0, 2.0], 2), [NO_CLASS, 1]);
    }

    #[test]
    fn a_node_without_a_prediction_is_wrong() {
        let confusion = Confusion::new(&[0, 0, 1], &[0, NO_CLASS, NO_CLASS], &[0, 1, 2], 2);
        assert_eq!((confusion.total(), confusion.unpredicted(), confusion.accuracy()), (3, 2, 1.0 / 3.0));
        assert_eq!((confusion.f1(0), confusion.f1(1)), (Some(2.0 / 3.0), Some(0.0)));
    }
}
