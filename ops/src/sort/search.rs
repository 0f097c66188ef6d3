//! Places within sorted arrays, and counts of what lies between.

use crate::elementwise::constant;
use crate::gather::scatter_add;
use crate::generate::{dim_value, size};
use crate::movement::{concatenate, reject};
use crate::{Array, DType, full, linspace, ones, where_, zeros};
use gavotte_core::aval::Dim;
use gavotte_core::ir::require_at_least;

/// On which side of equal elements a place is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Side {
    /// Before the first of them.
    #[default]
    Left,
    /// After the last of them.
    Right,
}

/// Whether `a` comes before `b` in sorted order, where NaN is last.
#[track_caller]
fn before(a: &Array, b: &Array) -> Array {
    let less = a.lt(b);
    if a.dtype().is_float() { less | (a.eq(a) & b.isnan()) } else { less }
}

impl Array {
    /// The place of each of `values` in this sorted array of one axis, as `i32`: the number of elements before it, with
    /// equal ones on the given side. NaN comes last. Found by bisection.
    ///
    /// ```
    /// # use gavotte::{Array, Side};
    /// let sorted = Array::new(&[4], vec![1.0f32, 2.0, 2.0, 5.0]);
    /// let values = Array::new(&[3], vec![0.0f32, 2.0, 9.0]);
    /// assert_eq!(sorted.searchsorted(&values, Side::Left).to_vec::<i32>(), [0, 1, 4]);
    /// assert_eq!(sorted.searchsorted(&values, Side::Right).to_vec::<i32>(), [0, 3, 4]);
    /// ```
    ///
    /// # Panics
    /// If this array has not one axis, or the element types differ or are `bool`.
    #[track_caller]
    pub fn searchsorted(&self, values: &Array, side: Side) -> Array {
        if self.ndim() != 1 || self.dtype() != values.dtype() {
            let why = "takes a sorted array of one axis, and values of its type: reshape or convert first";
            reject("searchsorted", why, &[self, values]);
        }
        if self.dtype() == DType::Bool {
            reject("searchsorted", "takes numbers: convert with `astype` first", &[self, values]);
        }
        let n = self.dim(0);
        let none = zeros(values.shape().clone(), DType::I32);
        let bits = match n.as_number() {
            Some(0) => return none,
            Some(n) => n.ilog2() + 1,
            None => i32::BITS - 1,
        };
        // An element after the last can be read, and is never counted.
        let one: Array = constant(self.dtype(), 0.0).into();
        let elements = concatenate(&[self.clone(), one.reshape([1])], 0);
        let n = dim_value(n, DType::I32);
        let mut place = none;
        for bit in (0..bits).rev() {
            let next = &place + (1 << bit);
            let element = elements.take(&(&next - 1).minimum(&n), 0);
            let is_before = match side {
                Side::Left => before(&element, values),
                Side::Right => before(values, &element).logical_not(),
            };
            place = where_(&(next.le(&n) & is_before), &next, &place);
        }
        place
    }

    /// How often each number from 0 to below `n` occurs, as `i32`. Other numbers are not counted.
    ///
    /// ```
    /// # use gavotte::Array;
    /// let x = Array::new(&[5], vec![1, 0, 3, 1, -2]);
    /// assert_eq!(x.bincount(3).to_vec::<i32>(), [1, 2, 0]);
    /// ```
    ///
    /// # Panics
    /// If the elements are not `i32`, or `n` is negative.
    #[track_caller]
    pub fn bincount(&self, n: impl Into<Dim>) -> Array {
        let n = n.into();
        if self.dtype() != DType::I32 {
            reject("bincount", "counts i32: convert with `astype` first", &[self]);
        }
        if let Err(why) = require_at_least(&n, &0.into(), || format!("counts the numbers from 0 to below {n}")) {
            reject("bincount", why.0, &[self]);
        }
        let ids = self.flatten();
        let beyond = size("bincount", &n, DType::I32);
        let is_counted = ids.ge(0) & ids.lt(&beyond);
        let ids = where_(&is_counted, &ids, &beyond);
        let counts =
            scatter_add(&zeros([&n + 1], DType::I32).0, &ids.0, &ones(ids.shape().clone(), DType::I32).0, 0, 0);
        Array(counts).slice_axis(0, ..n)
    }

    /// The number of elements in each of `bins` bins of equal width between the bounds, as `i32`, and the borders of the
    /// bins. A bin includes its lower border, the last one its upper border, too. Without bounds, they are the smallest
    /// and the largest element, or half a unit to each side if those are equal. Elements beyond the bounds are not
    /// counted.
    ///
    /// # Panics
    /// If the elements are not floats, there is no bin, no element where there are no bounds, or the bounds are not finite,
    /// or equal in the element type.
    #[track_caller]
    pub fn histogram(&self, bins: usize, bounds: Option<(f64, f64)>) -> (Array, Array) {
        if !self.dtype().is_float() || bins == 0 {
            reject("histogram", "counts floats in at least one bin: convert with `astype` first", &[self]);
        }
        if i32::try_from(bins).is_err() {
            reject("histogram", format!("{bins} bins are too many: the numbers of bins are i32"), &[self]);
        }
        let scalar = |x: f64| Array(constant(self.dtype(), x));
        let (low, high) = match bounds {
            Some((low, high)) => {
                let rounded =
                    if self.dtype() == DType::F32 { low < high && (low as f32) < high as f32 } else { low < high };
                if !rounded || !(high - low).is_finite() {
                    let why = format!("the bounds {low} and {high} do not divide into bins of {}", self.dtype());
                    reject("histogram", why, &[self]);
                }
                (scalar(low), scalar(high))
            }
            None => {
                let why = || "there may be no element, and so no bounds: give them".to_string();
                if let Err(why) = require_at_least(&self.value().aval().volume(), &1.into(), why) {
                    reject("histogram", why.0, &[self]);
                }
                let (low, high) = (self.min(()), self.max(()));
                let half = where_(&low.eq(&high), scalar(0.5), scalar(0.0));
                (low - &half, high + half)
            }
        };
        let borders = linspace(&low, &high, bins + 1);
        let x = self.flatten();
        let bin = borders.searchsorted(&x, Side::Right) - 1;
        let bin = where_(&x.eq(&high), full(x.shape().clone(), bins as i32 - 1), bin);
        (bin.bincount(bins), borders)
    }
}
