//! Sorting, and what follows from it: order statistics, and places within sorted arrays.

mod order;
mod primitive;
mod quantiles;
mod search;
mod unique;

pub use search::Side;

use crate::Array;
use crate::movement::{axis_of, reject};
use gavotte_core::ir::structural::move_axis;
use gavotte_core::ir::{Primitive, Value, for_caller};
use primitive::{positions, sort};

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] = &[primitive::SORT, primitive::SORT_DESCENDING];

/// The arrays of one shape, sorted along an axis by the first `keys` of them.
#[track_caller]
fn sorted(arrays: &[&Array], axis: usize, keys: usize, is_descending: bool) -> Vec<Array> {
    let last = arrays[0].ndim() - 1;
    for_caller(|| {
        let moved: Vec<Value> = arrays.iter().map(|x| move_axis(&x.0, axis, last)).collect();
        let sorted = sort(&moved.iter().collect::<Vec<_>>(), keys, is_descending);
        sorted.iter().map(|x| Array(move_axis(x, last, axis))).collect()
    })
}

/// The positions along an axis in sorted order.
#[track_caller]
fn order(x: &Array, axis: usize, is_descending: bool) -> Array {
    let last = x.ndim() - 1;
    let moved = move_axis(&x.0, axis, last);
    let numbers = positions(moved.shape());
    Array(move_axis(&sort(&[&moved, &numbers], 1, is_descending)[1], last, axis))
}

impl Array {
    /// The elements in ascending order along an axis. NaN comes last; zeros of both signs are equal and keep their
    /// order.
    ///
    /// ```
    /// # use gavotte::Array;
    /// let x = Array::new(&[4], vec![3.0f32, 1.0, 4.0, 1.5]);
    /// assert_eq!(x.sort(0).to_vec::<f32>(), [1.0, 1.5, 3.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn sort(&self, axis: isize) -> Array {
        let axis = axis_of("sort", axis, self.ndim(), self);
        sorted(&[self], axis, 1, false).remove(0)
    }

    /// The elements in descending order along an axis: NaN comes first.
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn sort_descending(&self, axis: isize) -> Array {
        let axis = axis_of("sort_descending", axis, self.ndim(), self);
        sorted(&[self], axis, 1, true).remove(0)
    }

    /// The positions, of type `i32`, of the elements in ascending order along an axis. Of equal elements the first comes
    /// first.
    ///
    /// ```
    /// # use gavotte::Array;
    /// let x = Array::new(&[4], vec![3.0f32, 1.0, 4.0, 1.0]);
    /// assert_eq!(x.argsort(0).to_vec::<i32>(), [1, 3, 0, 2]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn argsort(&self, axis: isize) -> Array {
        order(self, axis_of("argsort", axis, self.ndim(), self), false)
    }

    /// The positions, of type `i32`, of the elements in descending order along an axis. Of equal elements the first
    /// comes first.
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn argsort_descending(&self, axis: isize) -> Array {
        order(self, axis_of("argsort_descending", axis, self.ndim(), self), true)
    }

    /// The `k` largest elements along the last axis in descending order, and their positions as `i32`. Of equal elements
    /// the first comes first; NaN counts as largest.
    ///
    /// ```
    /// # use gavotte::Array;
    /// let (values, places) = Array::new(&[4], vec![3.0f32, 1.0, 4.0, 1.5]).top_k(2);
    /// assert_eq!(values.to_vec::<f32>(), [4.0, 3.0]);
    /// assert_eq!(places.to_vec::<i32>(), [2, 0]);
    /// ```
    ///
    /// # Panics
    /// If there is no axis, or it has fewer than `k` elements.
    #[track_caller]
    pub fn top_k(&self, k: usize) -> (Array, Array) {
        let axis = axis_of("top_k", -1, self.ndim(), self);
        if self.dim(axis).as_number().is_some_and(|n| n < k as i64) {
            reject("top_k", format!("there are {} elements along the last axis, not {k}", self.dim(axis)), &[self]);
        }
        let numbers = Array(positions(self.shape()));
        let sorted = sorted(&[self, &numbers], axis, 1, true);
        (sorted[0].slice_axis(-1, ..k), sorted[1].slice_axis(-1, ..k))
    }
}

/// Keys in ascending order along an axis, and the values in the order of their keys. Equal keys keep their order.
///
/// ```
/// # use gavotte::{Array, sort_key_val};
/// let keys = Array::new(&[3], vec![3, 1, 2]);
/// let (keys, values) = sort_key_val(&keys, &Array::new(&[3], vec![0.3f32, 0.1, 0.2]), 0);
/// assert_eq!(keys.to_vec::<i32>(), [1, 2, 3]);
/// assert_eq!(values.to_vec::<f32>(), [0.1, 0.2, 0.3]);
/// ```
///
/// # Panics
/// If there is no such axis, or the shapes differ.
#[track_caller]
pub fn sort_key_val(keys: &Array, values: &Array, axis: isize) -> (Array, Array) {
    let mut sorted = sort_by(&[keys, values], 1, axis);
    let values = sorted.pop().expect("two arrays are sorted");
    (sorted.remove(0), values)
}

/// Arrays of one shape in the ascending order of the first `keys` of them along an axis: the first key decides, among
/// equals the next. What is equal keeps its order.
///
/// # Panics
/// If there is no such axis, the shapes differ, or there are not as many keys.
#[track_caller]
#[doc(alias = "lexsort")]
pub fn sort_by(arrays: &[&Array], keys: usize, axis: isize) -> Vec<Array> {
    let Some(first) = arrays.first() else { reject("sort_by", "there is no array to sort", &[]) };
    let axis = axis_of("sort_by", axis, first.ndim(), first);
    if let Some(other) = arrays.iter().find(|x| x.ndim() != first.ndim()) {
        reject("sort_by", "the arrays must have one shape", &[first, other]);
    }
    if keys == 0 || keys > arrays.len() {
        reject("sort_by", format!("sorts by at least one array and at most all {}, not {keys}", arrays.len()), arrays);
    }
    sorted(arrays, axis, keys, false)
}
