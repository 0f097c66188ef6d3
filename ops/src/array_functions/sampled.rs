//! Functions that are given by their values at points: interpolation, differences, integrals, convolutions.

use super::{floating, remainder};
use crate::array::Array;
use crate::generate::{dim_value, zeros, zeros_like};
use crate::movement::{axis_of, concatenate, reject};
use crate::operators::{Operand, where_};
use crate::sort::Side;
use gavotte_core::aval::{DType, Verdict};
use gavotte_core::ir::{decide, same, undecided};

/// The values at `x` of the function that has the values `values` at `points` and is linear between them; outside, that
/// of the nearest point. The points ascend. At a point, the derivative is that to its right. NaN for NaN.
///
/// Every point is compared with every element of `x`.
///
/// ```
/// use gavotte::{Array, interp};
/// let (points, values) = (Array::from([0.0, 1.0, 3.0]), Array::from([10.0, 20.0, 0.0]));
/// assert_eq!(interp(&Array::from([0.5, 2.0, 9.0]), &points, &values).to_vec::<f64>(), [15.0, 10.0, 0.0]);
/// ```
///
/// # Panics
/// If points and values are not vectors of the same extent, there are none, or the types are not one floating type.
#[track_caller]
pub fn interp(x: &Array, points: &Array, values: &Array) -> Array {
    let all = [x, points, values];
    floating("interp", &all);
    if points.ndim() != 1 || values.ndim() != 1 || !same(&points.dim(0), &values.dim(0)) {
        reject("interp", "points and values must be vectors of the same extent", &all);
    }
    let n = points.dim(0);
    if n == 0 {
        reject("interp", "there are no points", &all);
    }
    let last = dim_value(&n - 1, DType::I32);
    let passed = x.expand_dims(-1).ge(points).astype(DType::I32).sum(-1);
    // With one point, the intervals are empty.
    let right = passed.maximum(1).minimum(&last);
    let left = (&right - 1).maximum(0);
    let [x0, x1] = [&left, &right].map(|at| points.take(at, 0));
    let [y0, y1] = [&left, &right].map(|at| values.take(at, 0));
    let width = &x1 - &x0;
    let is_empty = width.eq(0.0);
    let slope = (&y1 - &y0) / where_(&is_empty, 1.0, &width);
    let inside = where_(&is_empty, &y0, &y0 + (x - &x0) * slope);
    // Only outside of all points is `x` outside of its interval.
    where_(&x.lt(&x0), &y0, where_(&x.gt(&x1), &y1, inside))
}

/// Refuses an axis that is known to have too few elements.
#[track_caller]
fn at_least(operation: &str, n: usize, x: &Array, axis: usize) {
    if x.dim(axis).as_usize().is_some_and(|extent| extent < n) {
        reject(operation, format!("axis {axis} must have at least {n} elements"), &[x]);
    }
}

/// Differences and integrals along an axis.
impl Array {
    /// The differences of neighbours along an axis, taken `n` times; its extent shrinks by as much. Of `bool`, whether
    /// neighbours differ.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1, 4, 9, 16]).diff(1, 0).to_vec::<i32>(), [3, 5, 7]);
    /// assert_eq!(Array::from([1, 4, 9, 16]).diff(2, 0).to_vec::<i32>(), [2, 2]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or its extent is a symbol that may be less than `n`.
    #[track_caller]
    pub fn diff(&self, n: usize, axis: isize) -> Array {
        let at = axis_of("diff", axis, self.ndim(), self);
        let mut out = self.clone();
        for _ in 0..n {
            let extent = out.dim(at);
            if extent == 0 {
                return out;
            }
            let (right, left) = (out.slice_axis(axis, 1..), out.slice_axis(axis, ..extent - 1));
            out = if out.dtype() == DType::Bool { right.ne(left) } else { right - left };
        }
        out
    }

    /// The differences of all neighbours, row-major.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([[1, 4], [9, 16]]).ediff1d().to_vec::<i32>(), [3, 5, 7]);
    /// ```
    ///
    /// # Panics
    /// As [`diff`](Array::diff).
    #[track_caller]
    pub fn ediff1d(&self) -> Array {
        self.flatten().diff(1, 0)
    }

    /// Angles whose neighbours along an axis differ by at most half a turn: elements after a larger step are moved by whole
    /// turns. NaN, and what follows it, is NaN.
    ///
    /// ```
    /// use gavotte::Array;
    /// let angles = Array::from([3.0, -3.0, 3.0, 9.0]);
    /// let turn = 2.0 * std::f64::consts::PI;
    /// assert_eq!(angles.unwrap(0).to_vec::<f64>(), [3.0, turn - 3.0, 3.0, 9.0 - turn]);
    /// ```
    ///
    /// # Panics
    /// If the elements are not floats, or there is no such axis.
    ///
    /// Source: NumPy, `numpy.unwrap`.
    #[track_caller]
    pub fn unwrap(&self, axis: isize) -> Array {
        floating("unwrap", &[self]);
        let at = axis_of("unwrap", axis, self.ndim(), self);
        if self.dim(at).as_usize().is_some_and(|n| n < 2) {
            return self.clone();
        }
        let half = std::f64::consts::PI;
        let steps = self.diff(1, axis);
        let within = remainder(&steps + half, 2.0 * half) - half;
        // Half a turn up stays one.
        let within = where_(&(within.eq(-half) & steps.gt(0.0)), half, within);
        let correction = where_(&steps.abs().lt(half), 0.0, within - &steps);
        let [first, rest] = [self.slice_axis(axis, ..1), self.slice_axis(axis, 1..)];
        concatenate(&[first, rest + correction.cumsum(axis)], axis)
    }

    /// The derivative along an axis of a function whose values at points `spacing` apart these are: half the difference
    /// of both neighbours, or at the ends the difference from the only one, each divided by `spacing`.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1.0, 2.0, 4.0, 8.0]).gradient(1.0, 0).to_vec::<f64>(), [1.0, 1.5, 3.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, it may have fewer than 2 elements, or `spacing` is not a scalar of the array's floating
    /// type.
    #[track_caller]
    pub fn gradient(&self, spacing: impl Operand, axis: isize) -> Array {
        let at = axis_of("gradient", axis, self.ndim(), self);
        let spacing = spacing.beside(Some(self.dtype()));
        floating("gradient", &[self, &spacing]);
        if spacing.ndim() != 0 {
            reject("gradient", "the spacing must be a scalar", &[self, &spacing]);
        }
        at_least("gradient", 2, self, at);
        let n = self.dim(at);
        let first = self.slice_axis(axis, 1..2) - self.slice_axis(axis, 0..1);
        let inner = (self.slice_axis(axis, 2..) - self.slice_axis(axis, ..&n - 2)) * 0.5;
        let last = self.slice_axis(axis, &n - 1..) - self.slice_axis(axis, &n - 2..&n - 1);
        concatenate(&[first, inner, last], axis) / spacing
    }

    /// The integral along an axis, which disappears, of a function whose values at points `spacing` apart these are, by
    /// the trapezoidal rule. 0 for one point.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1.0, 2.0, 3.0]).trapezoid(2.0, 0).item::<f64>(), 8.0);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, it may be empty, or `spacing` is not a scalar of the array's floating type.
    #[track_caller]
    pub fn trapezoid(&self, spacing: impl Operand, axis: isize) -> Array {
        let spacing = spacing.beside(Some(self.dtype()));
        floating("trapezoid", &[self, &spacing]);
        if spacing.ndim() != 0 {
            let why = "the spacing must be a scalar: `trapezoid_at` takes points";
            reject("trapezoid", why, &[self, &spacing]);
        }
        self.pairs("trapezoid", axis).sum(-1) * (spacing * 0.5)
    }

    /// The integral along an axis, which disappears, of a function whose values at these points these are, by the
    /// trapezoidal rule. The points are a vector, or have the array's shape. 0 for one point.
    ///
    /// ```
    /// use gavotte::Array;
    /// let (y, x) = (Array::from([1.0, 2.0, 3.0]), Array::from([0.0, 1.0, 3.0]));
    /// assert_eq!(y.trapezoid_at(&x, 0).item::<f64>(), 6.5);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, it may be empty, the points do not fit, or the types are not one floating type.
    #[track_caller]
    pub fn trapezoid_at(&self, points: &Array, axis: isize) -> Array {
        floating("trapezoid_at", &[self, points]);
        if points.ndim() != 1 && points.ndim() != self.ndim() {
            reject("trapezoid_at", "the points must be a vector, or have the array's shape", &[self, points]);
        }
        let sums = self.pairs("trapezoid_at", axis);
        let width = match points.ndim() {
            1 => points.diff(1, 0),
            _ => points.diff(1, axis).move_axis(axis, -1),
        };
        (sums * width * 0.5).sum(-1)
    }

    /// The sums of neighbours along an axis, which becomes the last.
    #[track_caller]
    fn pairs(&self, operation: &str, axis: isize) -> Array {
        let at = axis_of(operation, axis, self.ndim(), self);
        at_least(operation, 1, self, at);
        let x = self.move_axis(axis, -1);
        let n = self.dim(at);
        x.slice_axis(-1, 1..) + x.slice_axis(-1, ..n - 1)
    }
}

/// Which sums a convolution returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Wherever the two overlap: `n + m - 1` sums.
    Full,
    /// As many as the longer one has elements: the middle of all.
    Same,
    /// Where they overlap completely.
    Valid,
}

/// The sums of products of two vectors, one of them reversed and moved along the other: `Σ_j a[i - j] b[j]` for each `i`.
///
/// ```
/// use gavotte::{Array, Overlap, convolve};
/// let (a, b) = (Array::from([1, 2, 3]), Array::from([1, 10]));
/// assert_eq!(convolve(&a, &b, Overlap::Full).to_vec::<i32>(), [1, 12, 23, 30]);
/// assert_eq!(convolve(&a, &b, Overlap::Same).to_vec::<i32>(), [1, 12, 23]);
/// assert_eq!(convolve(&a, &b, Overlap::Valid).to_vec::<i32>(), [12, 23]);
/// ```
///
/// # Panics
/// If they are not vectors of one type of numbers, or one is empty. If an extent is a symbol: if facts do not say that it
/// is the longer one, or both are.
// A window of `a` for each sum, times the reversed `b`. All windows are one array: a copy of `a`, L long, for each j, read
// in rows of L + 1, which begins one element later in each row.
#[track_caller]
pub fn convolve(a: &Array, b: &Array, overlap: Overlap) -> Array {
    if a.ndim() != 1 || b.ndim() != 1 {
        reject("convolve", "takes vectors", &[a, b]);
    }
    if a.dim(0) == 0 || b.dim(0) == 0 {
        reject("convolve", "there are no elements", &[a, b]);
    }
    let (n, m) = (a.dim(0), b.dim(0));
    let (long, short) = match (decide(&n.at_least(&m)), decide(&m.at_least(&n))) {
        (Verdict::Holds, _) => (a, b),
        (_, Verdict::Holds) => (b, a),
        _ => {
            let open = undecided(&n.at_least(&m), &n, &m);
            reject("convolve", format!("the longer of {n} and {m} is moved along the other{open}"), &[a, b])
        }
    };
    let Some(m) = short.dim(0).as_usize() else {
        let why =
            format!("the extent of the shorter one, {}, must be a number: declare only the longer one", short.dim(0));
        reject("convolve", why, &[a, b]);
    };
    let low = match overlap {
        Overlap::Full => m - 1,
        Overlap::Same => m / 2,
        Overlap::Valid => 0,
    };
    let high = if overlap == Overlap::Same { m - 1 - low } else { low };
    let padded = concatenate(&[zeros([low], long.dtype()), long.clone(), zeros([high], long.dtype())], 0);
    let length = padded.dim(0);
    let copies = padded.tile([m + 1]).slice_axis(0, ..(&length + 1) * m);
    let windows = copies.reshape([m.into(), &length + 1]).slice_axis(1, ..&length - m + 1);
    short.flip(0).matmul(&windows)
}

/// The sums of products of two vectors, one of them moved along the other: `Σ_j a[i + j] b[j]` for each `i`.
///
/// ```
/// use gavotte::{Array, Overlap, correlate};
/// let (a, b) = (Array::from([1, 2, 3]), Array::from([1, 10]));
/// assert_eq!(correlate(&a, &b, Overlap::Valid).to_vec::<i32>(), [21, 32]);
/// assert_eq!(correlate(&a, &b, Overlap::Full).to_vec::<i32>(), [10, 21, 32, 3]);
/// ```
///
/// # Panics
/// As [`convolve`].
#[track_caller]
pub fn correlate(a: &Array, b: &Array, overlap: Overlap) -> Array {
    if a.ndim() != 1 || b.ndim() != 1 {
        reject("correlate", "takes vectors", &[a, b]);
    }
    // The middle of the sums is that of a longer `b` moved along `a`, read backwards.
    match decide(&a.dim(0).at_least(b.dim(0))) {
        Verdict::Fails => convolve(b, &a.flip(0), overlap).flip(0),
        _ => convolve(a, &b.flip(0), overlap),
    }
}

/// The polynomial with these coefficients, highest power first, at each element of `x`: 0 if there are none.
///
/// ```
/// use gavotte::{Array, polyval};
/// assert_eq!(polyval(&Array::from([2, 0, 1]), &Array::from([1, 3])).to_vec::<i32>(), [3, 19]);
/// ```
///
/// # Panics
/// If the coefficients are not a vector whose extent is a number, or the element types differ.
// Horner's rule
#[track_caller]
pub fn polyval(coefficients: &Array, x: &Array) -> Array {
    let n = match coefficients.shape().as_slice() {
        [n] => n.as_usize(),
        _ => None,
    };
    let Some(n) = n else {
        reject("polyval", "the coefficients must be a vector whose extent is a number", &[coefficients, x]);
    };
    let mut value = zeros_like(x);
    for i in 0..n {
        value = value * x + coefficients.index(i);
    }
    value
}

/// For each element of `x`, the number of the bin in which it lies, as `i32`. `edges` ascend or descend; bin 0 is before the
/// first edge, the last one after the last. An element that equals an edge lies in the bin after it; `before` puts it in
/// the one before. NaN counts as larger than all edges.
///
/// ```
/// use gavotte::{Array, digitize};
/// let (x, edges) = (Array::from([0.5, 1.0, 9.0]), Array::from([0.0, 1.0, 2.0]));
/// assert_eq!(digitize(&x, &edges, false).to_vec::<i32>(), [1, 2, 3]);
/// assert_eq!(digitize(&x, &edges, true).to_vec::<i32>(), [1, 1, 3]);
/// ```
///
/// # Panics
/// If the edges are no vector, they and `x` differ in element type or are `bool`, or facts do not say whether there are
/// edges: for a symbol, at least one.
#[track_caller]
pub fn digitize(x: &Array, edges: &Array, before: bool) -> Array {
    if edges.ndim() != 1 {
        reject("digitize", format!("the edges must be a vector, and have {} axes", edges.ndim()), &[x, edges]);
    }
    if edges.dtype() != x.dtype() {
        reject("digitize", "element types differ: convert with `astype` first", &[x, edges]);
    }
    if x.dtype() == DType::Bool {
        reject("digitize", "takes numbers: convert with `astype` first", &[x, edges]);
    }
    if edges.dim(0) == 0 {
        return zeros(x.shape().iter().cloned(), DType::I32);
    }
    let last = edges.dim(0) - 1;
    let is_descending = edges.index(0).gt(edges.index(last));
    let side = if before { Side::Left } else { Side::Right };
    let ascending = edges.searchsorted(x, side);
    let descending = dim_value(edges.dim(0), DType::I32) - edges.flip(0).searchsorted(x, side);
    where_(&is_descending, descending, ascending)
}
