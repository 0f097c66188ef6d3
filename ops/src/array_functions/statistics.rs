//! Spread, averages with weights, and how variables vary together.

use super::{floating, number};
use crate::array::Array;
use crate::generate::dim_value;
use crate::movement::{axis_of, reject};
use crate::operators::where_;
use crate::reduce::{Axes, in_wide, resolve};
use gavotte_core::aval::{DType, Dim, volume};
use gavotte_core::ir::structural::broadcast_in_dim;
use gavotte_core::ir::{same, undecided};

/// `reduced` over axes, repeated along them in the shape of `x`.
#[track_caller]
pub(super) fn repeated(x: &Array, reduced: &Array, axes: &[usize]) -> Array {
    let kept: Vec<usize> = (0..x.ndim()).filter(|axis| !axes.contains(axis)).collect();
    broadcast_in_dim(reduced.value(), x.shape(), &kept).into()
}

/// The number of elements over axes, as a scalar of the array's type.
#[track_caller]
fn count(x: &Array, axes: &[usize]) -> Array {
    dim_value(volume(&axes.iter().map(|axis| x.dim(*axis)).collect::<Vec<Dim>>()), x.dtype())
}

/// The root of a variance. At 0, where it has a kink, its derivative is 0.
#[track_caller]
pub(super) fn root(variance: &Array) -> Array {
    let is_zero = variance.eq(0.0);
    where_(&is_zero, variance, where_(&is_zero, 1.0, variance).sqrt())
}

/// `sum / (n - ddof)`; NaN if that is not positive.
#[track_caller]
pub(super) fn per_degree_of_freedom(sum: &Array, n: &Array, ddof: usize) -> Array {
    let free = n - number(sum.dtype(), ddof as f64);
    let is_positive = free.gt(0.0);
    where_(&is_positive, sum / where_(&is_positive, &free, 1.0), f64::NAN)
}

/// The smallest element over axes. Inverting all bits of an integer reverses the order, without overflow.
#[track_caller]
fn least(x: &Array, axes: &[usize]) -> Array {
    if x.dtype().is_float() { x.min(axes) } else { !(!x).max(axes) }
}

impl Array {
    /// The standard deviation over axes, which disappear: the root of the [variance](Array::var). Where that is 0, the
    /// derivative is 0.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1.0, 3.0, 5.0, 7.0]).std(()).item::<f64>(), 5f64.sqrt());
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or the elements are not floating.
    #[track_caller]
    pub fn std(&self, axes: impl Axes) -> Array {
        let axes = resolve("std", axes, self);
        in_wide(self, |x| root(&x.var(axes.as_slice())))
    }

    /// The variance over axes, which disappear, with the sum of squares divided by `n - ddof` for `n` elements: 1 for
    /// samples of a population. NaN if that is not positive.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1.0, 2.0, 3.0]).var_with((), 1).item::<f64>(), 1.0);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or the elements are not floating.
    #[track_caller]
    pub fn var_with(&self, axes: impl Axes, ddof: usize) -> Array {
        floating("var_with", &[self]);
        let axes = resolve("var_with", axes, self);
        in_wide(self, |x| {
            let distance = x - repeated(x, &x.mean(axes.as_slice()), &axes);
            per_degree_of_freedom(&distance.square().sum(axes.as_slice()), &count(x, &axes), ddof)
        })
    }

    /// The root of [`var_with`](Array::var_with). Where that is 0, the derivative is 0.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([2.0, 4.0, 6.0]).std_with((), 1).item::<f64>(), 2.0);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or the elements are not floating.
    #[track_caller]
    pub fn std_with(&self, axes: impl Axes, ddof: usize) -> Array {
        floating("std_with", &[self]);
        let axes = resolve("std_with", axes, self);
        in_wide(self, |x| root(&x.var_with(axes.as_slice(), ddof)))
    }

    /// The largest element minus the smallest over axes, which disappear; NaN if there is one.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([[1, 5], [-2, 3]]).ptp(1).to_vec::<i32>(), [4, 5]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, there are no elements, or they are `bool`.
    #[track_caller]
    pub fn ptp(&self, axes: impl Axes) -> Array {
        let axes = resolve("ptp", axes, self);
        if axes.iter().any(|axis| self.dim(*axis) == 0) {
            reject("ptp", "there are no elements: no largest and no smallest", &[self]);
        }
        if self.dtype() == DType::Bool {
            reject("ptp", "cannot subtract bool: convert with `astype` first", &[self]);
        }
        self.max(axes.as_slice()) - least(self, &axes)
    }
}

/// The mean over axes, which disappear, of elements that count as often as their weights say: `Σ w x / Σ w`. NaN if the
/// weights add up to 0. They have the array's shape, or the extents of the axes, in the order in which these are given.
///
/// ```
/// use gavotte::{Array, average};
/// let x = Array::from([[1.0, 2.0], [3.0, 6.0]]);
/// assert_eq!(average(&x, &Array::from([3.0, 1.0]), 0).to_vec::<f64>(), [1.5, 3.0]);
/// ```
///
/// # Panics
/// If there is no such axis, the weights do not fit, or the two do not have the same floating type.
#[track_caller]
pub fn average(x: &Array, weights: &Array, axes: impl Axes) -> Array {
    floating("average", &[x, weights]);
    let given: Vec<usize> = match axes.list() {
        None => (0..x.ndim()).collect(),
        Some(list) => {
            let mut given = vec![];
            for axis in list {
                given.push(axis_of("average", axis, x.ndim(), x));
            }
            given
        }
    };
    let axes = resolve("average", axes, x);
    let fits = |own: &[usize]| {
        own.len() == weights.ndim() && own.iter().zip(weights.shape()).all(|(axis, n)| same(&x.shape()[*axis], n))
    };
    let all: Vec<usize> = (0..x.ndim()).collect();
    let Some(own) = [&all, &given].into_iter().find(|own| fits(own)) else {
        let open = given.iter().zip(weights.shape()).map(|(axis, n)| {
            let own = &x.shape()[*axis];
            undecided(&own.equal_to(n), own, n)
        });
        let open: String = open.take(usize::from(given.len() == weights.ndim())).collect();
        let why = format!("the weights have neither the array's shape nor the extents of axes {given:?}{open}");
        reject("average", why, &[x, weights]);
    };
    // The weights' axes in ascending order.
    let mut order: Vec<usize> = (0..own.len()).collect();
    order.sort_by_key(|at| own[*at]);
    let mut sorted = own.clone();
    sorted.sort_unstable();
    let weights: Array = broadcast_in_dim(weights.permute(&order).value(), x.shape(), &sorted).into();
    (x * &weights).sum(axes.as_slice()) / weights.sum(axes.as_slice())
}

/// The covariance of variables, each a row of a matrix, of which each column is a sample: a matrix, or a scalar for one
/// variable, which may be a vector. Sums over `n` samples are divided by `n - ddof`; NumPy's default is 1. NaN if there
/// are no samples, an infinity or NaN if there are `ddof` ones.
///
/// ```
/// use gavotte::{Array, cov};
/// let x = Array::from([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]);
/// assert_eq!(cov(&x, 1).to_vec::<f64>(), [1.0, -1.0, -1.0, 1.0]);
/// ```
///
/// # Panics
/// If it has neither one axis nor two, or the elements are not floating.
#[track_caller]
pub fn cov(x: &Array, ddof: usize) -> Array {
    floating("cov", &[x]);
    let rows = rows("cov", x);
    let centred = &rows - repeated(&rows, &rows.mean(1), &[1]);
    let n = count(&rows, &[1]);
    let product = centred.matmul(&centred.t()) / (&n - number(x.dtype(), ddof as f64));
    let product = where_(&n.eq(0.0), f64::NAN, product);
    if rows.dim(0) == 1 { product.squeeze([0, 1]) } else { product }
}

/// How variables correlate, each a row of a matrix, of which each column is a sample: [`cov`] divided by the standard
/// deviations of both, from -1 to 1. NaN for a variable that does not vary.
///
/// ```
/// use gavotte::{Array, corrcoef};
/// let x = Array::from([[1.0, 2.0, 3.0], [6.0, 4.0, 2.0]]);
/// assert_eq!(corrcoef(&x).to_vec::<f64>(), [1.0, -1.0, -1.0, 1.0]);
/// ```
///
/// # Panics
/// If it has neither one axis nor two, or the elements are not floating.
#[track_caller]
pub fn corrcoef(x: &Array) -> Array {
    floating("corrcoef", &[x]);
    let x = rows("corrcoef", x);
    let together = cov(&x, 1);
    if together.ndim() == 0 {
        return together.clone() / together;
    }
    let deviation = together.diagonal(0, 0, 1).sqrt();
    (&together / deviation.expand_dims(1) / deviation.expand_dims(0)).clip(-1.0, 1.0)
}

/// A matrix, or a vector as its only row.
#[track_caller]
fn rows(operation: &str, x: &Array) -> Array {
    match x.ndim() {
        1 => x.expand_dims(0),
        2 => x.clone(),
        n => reject(operation, format!("takes a vector or a matrix, not {n} axes"), &[x]),
    }
}
