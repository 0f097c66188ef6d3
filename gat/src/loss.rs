//! What training minimises.

use gavotte::{Array, DType, Dim, Tree, nn};
use std::sync::Arc;

/// What training minimises: a mean loss of the outputs over the nodes of a split, plus any number of penalties on the
/// parameters `P`.
///
/// ```
/// use gavotte::Array;
/// use gavotte_gat::loss::{Loss, masked_nll, sum_of_squares};
///
/// // What the paper trains with.
/// let loss = Loss::<Array>::new(masked_nll).with_weight_decay(5e-4);
/// // The same, spelled out.
/// let same = Loss::new(masked_nll).plus(|params: &Array| sum_of_squares(params) * 2.5e-4);
/// # let [a, b] = [loss, same].map(|loss| loss.penalized(&Array::scalar(1f32), &Array::scalar(2f32)).item::<f32>());
/// # assert_eq!((a, b), (1.001, 1.001));
/// ```
///
/// Cloning copies handles.
pub struct Loss<P> {
    data: Arc<DataLoss>,
    penalties: Vec<Arc<Penalty<P>>>,
}

/// `(outputs, labels, mask)` to the mean loss over the members of the mask.
pub type DataLoss = dyn Fn(&Array, &Array, &Array) -> Array + Send + Sync;
/// Parameters to what is added to the loss.
pub type Penalty<P> = dyn Fn(&P) -> Array + Send + Sync;

impl<P> Loss<P> {
    /// A loss without penalties. `data(outputs, labels, mask)` returns a floating scalar:
    ///
    /// | argument | shape |
    /// | --- | --- |
    /// | `outputs` | `f[n, classes]`, what the layer returns |
    /// | `labels` | `i32[n]` |
    /// | `mask` | `f[n]`, 1 for members, 0 for others |
    pub fn new(data: impl Fn(&Array, &Array, &Array) -> Array + Send + Sync + 'static) -> Self {
        Loss { data: Arc::new(data), penalties: vec![] }
    }

    /// This loss, with a floating scalar of the parameters added.
    #[must_use]
    pub fn plus(mut self, penalty: impl Fn(&P) -> Array + Send + Sync + 'static) -> Self {
        self.penalties.push(Arc::new(penalty));
        self
    }

    /// This loss, with [`weight_decay`] added.
    #[must_use]
    pub fn with_weight_decay(self, decay: f64) -> Self
    where
        P: Tree,
    {
        self.plus(move |params| weight_decay(params, decay))
    }

    /// The mean loss over the members of a mask, without penalties.
    #[track_caller]
    pub fn of(&self, outputs: &Array, labels: &Array, mask: &Array) -> Array {
        (self.data)(outputs, labels, mask)
    }

    /// `loss` with all penalties added.
    #[track_caller]
    pub fn penalized(&self, loss: &Array, params: &P) -> Array {
        self.penalties.iter().fold(loss.clone(), |sum, penalty| sum + penalty(params))
    }
}

// By hand: a derived one would ask that `P` be `Clone`.
impl<P> Clone for Loss<P> {
    fn clone(&self) -> Self {
        Loss { data: self.data.clone(), penalties: self.penalties.clone() }
    }
}

/// The mean negative log-likelihood of the true classes over the members of a mask:
/// `-sum_i mask_i log_probs[i, labels_i] / sum_i mask_i`.
///
/// | argument | shape |
/// | --- | --- |
/// | `log_probs` | `f[n, classes]` |
/// | `labels` | `i32[n]` |
/// | `mask` | `f[n]`, 1 for members, 0 for others |
///
/// NaN for a mask without members. Other nodes and other classes do not count, even where they are infinite. The true
/// class is picked by a masked sum over each row, so that the derivative needs no scatter.
///
/// # Panics
/// If the shapes do not fit, or the number of classes is a symbol.
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
