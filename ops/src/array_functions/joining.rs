//! Arrays joined and split in NumPy's other ways, and the shape that arrays broadcast to.

use crate::array::Array;
use crate::movement::{axis_of, concatenate, reject};
use crate::operators::broadcast_shape;
use gavotte_core::aval::{Dim, Shape};

/// Arrays side by side: joined along the second axis, or the only one.
///
/// ```
/// use gavotte::{Array, hstack};
/// let x = hstack(&[Array::from([[1], [2]]), Array::from([[3, 4], [5, 6]])]);
/// assert_eq!(x.to_vec::<i32>(), [1, 3, 4, 2, 5, 6]);
/// ```
///
/// # Panics
/// If there are none, or they differ in more than their extent along that axis.
#[track_caller]
pub fn hstack(arrays: &[Array]) -> Array {
    let mut parts = vec![];
    for array in arrays {
        parts.push(if array.ndim() == 0 { array.expand_dims(0) } else { array.clone() });
    }
    let axis = isize::from(parts.first().is_some_and(|first| first.ndim() > 1));
    concatenate(&parts, axis)
}

/// Arrays on top of each other: joined along the first axis, where a vector is one row.
///
/// ```
/// use gavotte::{Array, vstack};
/// let x = vstack(&[Array::from([1, 2]), Array::from([3, 4])]);
/// assert_eq!(x.value().aval().to_string(), "i32[2,2]");
/// ```
///
/// # Panics
/// If there are none, or they differ in more than their extent along that axis.
#[track_caller]
pub fn vstack(arrays: &[Array]) -> Array {
    let mut parts = vec![];
    for array in arrays {
        parts.push(row_at_least(array));
    }
    concatenate(&parts, 0)
}

/// Vectors as the columns of a matrix; matrices among them side by side.
///
/// ```
/// use gavotte::{Array, column_stack};
/// let x = column_stack(&[Array::from([1, 2]), Array::from([3, 4])]);
/// assert_eq!(x.to_vec::<i32>(), [1, 3, 2, 4]);
/// ```
///
/// # Panics
/// If there are none, or they differ in their number of rows or their type.
#[track_caller]
pub fn column_stack(arrays: &[Array]) -> Array {
    let mut parts = vec![];
    for array in arrays {
        parts.push(match array.ndim() {
            0 => array.reshape([1, 1]),
            1 => array.expand_dims(1),
            _ => array.clone(),
        });
    }
    concatenate(&parts, 1)
}

/// A matrix of its blocks, which are given row by row: each row is joined along the last axis, then the rows along the one
/// before it. A scalar or vector is one row.
///
/// ```
/// use gavotte::{Array, block};
/// let x = block(&[vec![Array::from([[1]]), Array::from([[2, 3]])], vec![Array::from([[4, 5, 6]])]]);
/// assert_eq!(x.to_vec::<i32>(), [1, 2, 3, 4, 5, 6]);
/// ```
///
/// # Panics
/// If there are none, or they do not fit together.
#[track_caller]
pub fn block(rows: &[Vec<Array>]) -> Array {
    let mut joined = vec![];
    for row in rows {
        let mut parts = vec![];
        for array in row {
            parts.push(row_at_least(array));
        }
        joined.push(concatenate(&parts, -1));
    }
    concatenate(&joined, -2)
}

/// An array of at least two axes: a scalar or vector is one row.
#[track_caller]
fn row_at_least(array: &Array) -> Array {
    match array.ndim() {
        0 => array.reshape([1, 1]),
        1 => array.expand_dims(0),
        _ => array.clone(),
    }
}

/// The shape that arrays of these shapes broadcast to: they are aligned at the last axis, and an extent of 1 stretches.
///
/// ```
/// use gavotte::{broadcast_shapes, shape};
/// assert_eq!(broadcast_shapes(&[&shape([2, 1]), &shape([3])]), shape([2, 3]));
/// ```
///
/// # Panics
/// If two extents differ and neither is 1.
#[track_caller]
pub fn broadcast_shapes(shapes: &[&Shape]) -> Shape {
    match broadcast_shape(shapes) {
        Some(shape) => shape,
        None => {
            let why = format!("{shapes:?} do not fit: extents, aligned at the last, must be equal or 1");
            reject("broadcast_shapes", why, &[])
        }
    }
}

impl Array {
    /// Splits the array into `parts` arrays along an axis. If its extent `n` is no multiple of `parts`, the first
    /// `n mod parts` have one element more than the others.
    ///
    /// ```
    /// use gavotte::Array;
    /// let parts = Array::from([1, 2, 3, 4, 5]).array_split(2, 0);
    /// assert_eq!(parts[0].to_vec::<i32>(), [1, 2, 3]);
    /// assert_eq!(parts[1].to_vec::<i32>(), [4, 5]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or `parts` is 0; if the extent is a symbol, as [`split`](Array::split).
    #[track_caller]
    pub fn array_split(&self, parts: usize, axis: isize) -> Vec<Array> {
        let at = axis_of("array_split", axis, self.ndim(), self);
        let Some(n) = self.dim(at).as_usize() else { return self.split(parts, axis) };
        if parts == 0 {
            reject("array_split", "there must be at least one part", &[self]);
        }
        if parts > n.max(1 << 20) {
            reject("array_split", format!("{parts} parts are too many for {n} elements"), &[self]);
        }
        let (mut found, mut start) = (vec![], 0);
        for i in 0..parts {
            let end = start + n / parts + usize::from(i < n % parts);
            found.push(self.slice_axis(axis, Dim::from(start)..Dim::from(end)));
            start = end;
        }
        found
    }

    /// The array without the element at a place of an axis.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1, 2, 3]).delete(1, 0).to_vec::<i32>(), [1, 3]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or it may have no such element.
    #[track_caller]
    pub fn delete(&self, at: usize, axis: isize) -> Array {
        concatenate(&[self.slice_axis(axis, ..at), self.slice_axis(axis, at + 1..)], axis)
    }

    /// The array with other elements in front of a place of an axis, as many as `values` has along it.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1, 2]).insert(1, &Array::from([7, 8]), 0).to_vec::<i32>(), [1, 7, 8, 2]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, it may be shorter, or the two differ in more than their extent along it.
    #[track_caller]
    pub fn insert(&self, at: usize, values: &Array, axis: isize) -> Array {
        concatenate(&[self.slice_axis(axis, ..at), values.clone(), self.slice_axis(axis, at..)], axis)
    }
}
