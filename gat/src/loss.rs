//! What training makes small.

use gavotte::{Array, DType, Dim, Tree, nn};

/// The mean negative log-likelihood of the true classes over the members of a mask:
/// `-sum_i mask_i log_probs[i, labels_i] / sum_i mask_i`.
///
/// | argument | shape |
/// | --- | --- |
/// | `log_probs` | `f[n, classes]` |
/// | `labels` | `i32[n]` |
/// | `mask` | `f[n]`, 1 for members, 0 for others |
///
/// NaN for a mask without members. What stands at other nodes and other classes counts for nothing, be it infinite. The
/// true class is picked by a sum over a row of which the others are left out: no scatter appears.
///
/// # Panics
/// If the shapes do not fit, or the number of classes is no number.
#[track_caller]
pub fn masked_nll(log_probs: &Array, labels: &Array, mask: &Array) -> Array {
    let is_label = nn::one_hot(labels, n_class(log_probs), DType::Bool);
    let picked = is_label.select(log_probs, 0.0).sum(-1);
    -mask.ne(0.0).select(picked * mask, 0.0).sum(()) / mask.sum(())
}

#[track_caller]
pub(crate) fn n_class(log_probs: &Array) -> usize {
    let classes: Dim = log_probs.dim(log_probs.ndim() - 1);
    classes.as_usize().expect("the number of classes is a number, not a symbol")
}

/// The sum of the squares of all elements of all leaves.
///
/// # Panics
/// If there is no leaf, or the leaves differ in type.
#[track_caller]
pub fn sum_of_squares<T: Tree>(tree: &T) -> Array {
    let squares = |leaf| {
        let x = Array::from(leaf);
        (&x * &x).sum(())
    };
    let sums = tree.flatten().1.into_iter().map(squares);
    sums.reduce(|sum, x| sum + x).expect("a tree without leaves has no squares")
}

/// The L2 penalty `decay / 2 * sum of squares`: its gradient is `decay * p`, so that plain Adam on the sum of loss and
/// penalty is Adam with weight decay added to the gradient, as PyTorch does it.
///
/// # Panics
/// As [`sum_of_squares`].
#[track_caller]
pub fn weight_decay<T: Tree>(params: &T, decay: f64) -> Array {
    sum_of_squares(params) * (0.5 * decay)
}
