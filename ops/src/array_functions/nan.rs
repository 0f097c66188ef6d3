//! Reductions that ignore NaN.

use super::number;
use super::statistics::{per_degree_of_freedom, repeated, root};
use crate::array::Array;
use crate::movement::{axis_of, reject};
use crate::operators::where_;
use crate::reduce::{Axes, in_wide, resolve};
use gavotte_core::aval::DType;

/// The array with `value` for its NaN, and how many other elements it has over axes.
#[track_caller]
fn without(x: &Array, value: f64, axes: &[usize]) -> (Array, Array) {
    let is_nan = x.isnan();
    let n = (!&is_nan).astype(DType::I32).sum(axes);
    (where_(&is_nan, value, x), n)
}

#[track_caller]
fn floating(operation: &str, x: &Array) {
    if !x.dtype().is_float() {
        reject(operation, "takes floats, as nothing else is NaN: convert with `astype` first", &[x]);
    }
}

/// Reductions that ignore NaN.
impl Array {
    /// The sum over axes, which disappear, of all elements but NaN: 0 if there are no others.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1.0, f64::NAN, 2.0]).nansum(()).item::<f64>(), 3.0);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or the elements are `bool`.
    #[track_caller]
    pub fn nansum(&self, axes: impl Axes) -> Array {
        let axes = resolve("nansum", axes, self);
        if !self.dtype().is_float() {
            return self.sum(axes.as_slice());
        }
        where_(&self.isnan(), 0.0, self).sum(axes.as_slice())
    }

    /// The mean over axes, which disappear, of all elements but NaN: NaN if there are no others.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1.0, f64::NAN, 2.0]).nanmean(()).item::<f64>(), 1.5);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or the elements are not floating.
    #[track_caller]
    pub fn nanmean(&self, axes: impl Axes) -> Array {
        floating("nanmean", self);
        let axes = resolve("nanmean", axes, self);
        in_wide(self, |x| {
            let (x, n) = without(x, 0.0, &axes);
            x.sum(axes.as_slice()) / n.astype(x.dtype())
        })
    }

    /// The variance over axes, which disappear, of all elements but NaN, with the sum of squares divided by `n - ddof`
    /// for `n` of them: NaN if that is not positive.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1.0, f64::NAN, 3.0]).nanvar((), 0).item::<f64>(), 1.0);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or the elements are not floating.
    #[track_caller]
    pub fn nanvar(&self, axes: impl Axes, ddof: usize) -> Array {
        floating("nanvar", self);
        let axes = resolve("nanvar", axes, self);
        in_wide(self, |all| {
            let (x, n) = without(all, 0.0, &axes);
            let n = n.astype(x.dtype());
            let mean = x.sum(axes.as_slice()) / n.maximum(1.0);
            let distance = where_(&all.isnan(), 0.0, &x - repeated(all, &mean, &axes));
            per_degree_of_freedom(&distance.square().sum(axes.as_slice()), &n, ddof)
        })
    }

    /// The root of [`nanvar`](Array::nanvar). Where that is 0, the derivative is 0.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1.0, f64::NAN, 5.0]).nanstd((), 0).item::<f64>(), 2.0);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or the elements are not floating.
    #[track_caller]
    pub fn nanstd(&self, axes: impl Axes, ddof: usize) -> Array {
        floating("nanstd", self);
        let axes = resolve("nanstd", axes, self);
        in_wide(self, |x| root(&x.nanvar(axes.as_slice(), ddof)))
    }

    /// The largest element over axes, which disappear, that is not NaN: NaN if there is none. Elements that tie for it
    /// share the derivative.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1.0, f64::NAN, 2.0]).nanmax(()).item::<f64>(), 2.0);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or the elements are `bool`.
    #[track_caller]
    pub fn nanmax(&self, axes: impl Axes) -> Array {
        let axes = resolve("nanmax", axes, self);
        if !self.dtype().is_float() {
            return self.max(axes.as_slice());
        }
        let (x, n) = without(self, f64::NEG_INFINITY, &axes);
        where_(&n.eq(0), number(self.dtype(), f64::NAN), x.max(axes.as_slice()))
    }

    /// The smallest element over axes, which disappear, that is not NaN: NaN if there is none. Elements that tie for it
    /// share the derivative.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1.0, f64::NAN, 2.0]).nanmin(()).item::<f64>(), 1.0);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or the elements are not floating.
    #[track_caller]
    pub fn nanmin(&self, axes: impl Axes) -> Array {
        floating("nanmin", self);
        let axes = resolve("nanmin", axes, self);
        let (x, n) = without(self, f64::INFINITY, &axes);
        where_(&n.eq(0), number(self.dtype(), f64::NAN), x.min(axes.as_slice()))
    }

    /// The position of the largest element along an axis, which disappears, as `i32`: of equal ones the first. NaN counts as
    /// -∞; -1 if there is nothing else.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1.0, f64::NAN, 2.0]).nanargmax(0).item::<i32>(), 2);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or it has no elements.
    #[track_caller]
    pub fn nanargmax(&self, axis: isize) -> Array {
        let at = axis_of("nanargmax", axis, self.ndim(), self);
        if !self.dtype().is_float() {
            return self.argmax(axis);
        }
        let (x, n) = without(self, f64::NEG_INFINITY, &[at]);
        where_(&n.eq(0), -1, x.argmax(axis))
    }

    /// The position of the smallest element along an axis, which disappears, as `i32`: of equal ones the first. NaN counts
    /// as ∞; -1 if there is nothing else.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([f64::NAN, 1.0, 2.0]).nanargmin(0).item::<i32>(), 1);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, it has no elements, or they are not floating.
    #[track_caller]
    pub fn nanargmin(&self, axis: isize) -> Array {
        floating("nanargmin", self);
        let at = axis_of("nanargmin", axis, self.ndim(), self);
        let (x, n) = without(self, f64::INFINITY, &[at]);
        where_(&n.eq(0), -1, (-x).argmax(axis))
    }
}
