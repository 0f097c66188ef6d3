//! Elements at indices that differ along the other axes, and indices of several axes.

use super::{floor_divide, remainder};
use crate::array::Array;
use crate::gather::gather;
use crate::generate::{check_held, size, zeros_like};
use crate::movement::{axis_of, reject};
use crate::operators::{broadcast_shape, where_};
use gavotte_core::aval::{DType, Dim, Shape, shape as to_shape, volume};
use gavotte_core::error::TypeError;
use gavotte_core::ir::for_caller;

impl Array {
    /// The elements at the indices `ids` along an axis: each position along the other axes has its own indices. These
    /// axes broadcast. Of [`argmax`](Array::argmax), for instance, it returns the largest elements.
    ///
    /// The indices must lie within the axis: they are checked when they are read, and never clamped. Negative ones do not
    /// count from the end.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([[1, 2, 3], [4, 5, 6]]);
    /// assert_eq!(x.take_along_axis(&Array::from([[2], [0]]), 1).to_vec::<i32>(), [3, 4]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, the two differ in their number of axes, the other axes do not broadcast, or `ids` is
    /// not of type `i32`.
    #[track_caller]
    pub fn take_along_axis(&self, ids: &Array, axis: isize) -> Array {
        for_caller(|| {
            let at = axis_of("take_along_axis", axis, self.ndim(), self);
            if ids.dtype() != DType::I32 {
                reject("take_along_axis", "numbers must be i32: convert with `astype` first", &[self, ids]);
            }
            if ids.ndim() != self.ndim() {
                reject("take_along_axis", "array and numbers must have the same number of axes", &[self, ids]);
            }
            let [x, ids] = [self, ids].map(|array| array.move_axis(axis, -1));
            let rank = x.ndim() - 1;
            let [own, wanted] = [&x, &ids].map(|array| array.shape()[..rank].iter().cloned().collect::<Shape>());
            let Some(front) = broadcast_shape(&[&own, &wanted]) else {
                let why = format!("{own:?} and {wanted:?}, the axes besides the indexed one, do not broadcast");
                reject("take_along_axis", why, &[self, &ids]);
            };
            let full = |array: &Array| array.broadcast_to(front.iter().chain([&array.dim(rank)]).cloned());
            let out: Array = gather(full(&x).value(), full(&ids).value(), rank, rank).into();
            out.move_axis(-1, at as isize)
        })
    }
}

/// The indices along each axis of an array of this shape of its elements with these numbers, row-major. Numbers beyond
/// the array count as the nearest; negative ones count from the end.
///
/// ```
/// use gavotte::{Array, unravel_index};
/// let found = unravel_index(&Array::from([0, 5, -1]), [2, 3]);
/// assert_eq!(found[0].to_vec::<i32>(), [0, 1, 1]);
/// assert_eq!(found[1].to_vec::<i32>(), [0, 2, 2]);
/// ```
///
/// # Panics
/// If `ids` are not integers, or an extent is 0.
#[track_caller]
pub fn unravel_index(ids: &Array, shape: impl IntoIterator<Item = impl Into<Dim>>) -> Vec<Array> {
    if !ids.dtype().is_int() {
        reject("unravel_index", "takes integers: convert with `astype` first", &[ids]);
    }
    let shape = to_shape(shape);
    if shape.iter().any(|extent| *extent == 0) {
        reject("unravel_index", format!("an array of shape {shape:?} has no elements"), &[ids]);
    }
    let (mut rest, mut found) = (ids.clone(), vec![]);
    for extent in shape.iter().rev() {
        let size = size("unravel_index", extent, ids.dtype());
        found.push((remainder(&rest, &size), &size - 1));
        rest = floor_divide(&rest, &size);
    }
    found.reverse();
    let is_beyond = rest.gt(0);
    let is_before = if ids.dtype() == DType::I32 { Some(rest.lt(-1)) } else { None };
    let mut clamped = vec![];
    for (at, last) in found {
        let at = is_before.as_ref().map_or(at.clone(), |is_before| where_(is_before, 0, &at));
        clamped.push(where_(&is_beyond, last, at));
    }
    clamped
}

/// The numbers, row-major, of the elements of an array of this shape at these indices, an array for each axis; these
/// broadcast. An index beyond its axis counts as the nearest.
///
/// ```
/// use gavotte::{Array, ravel_multi_index};
/// let ids = ravel_multi_index(&[Array::from([0, 1]), Array::from([2, 0])], [2, 3]);
/// assert_eq!(ids.to_vec::<i32>(), [2, 3]);
/// ```
///
/// # Panics
/// If there is not one array of indices for each axis, they are not integers of one type, or an extent is 0.
#[track_caller]
pub fn ravel_multi_index(indices: &[Array], shape: impl IntoIterator<Item = impl Into<Dim>>) -> Array {
    let shape = to_shape(shape);
    let all: Vec<&Array> = indices.iter().collect();
    if indices.len() != shape.len() || indices.is_empty() {
        reject("ravel_multi_index", format!("{} indices for {} axes", indices.len(), shape.len()), &all);
    }
    if let Some(other) = indices.iter().find(|array| !array.dtype().is_int()) {
        reject("ravel_multi_index", "takes integers: convert with `astype` first", &[other]);
    }
    if shape.iter().any(|extent| *extent == 0) {
        reject("ravel_multi_index", format!("an array of shape {shape:?} has no elements"), &all);
    }
    if let Err(TypeError(why)) = check_held(&(volume(&shape) - 1), "the largest number ", indices[0].dtype()) {
        reject("ravel_multi_index", why, &all);
    }
    let mut number = zeros_like(&indices[0]);
    for (at, extent) in indices.iter().zip(&shape) {
        let size = size("ravel_multi_index", extent, at.dtype());
        number = number * &size + at.maximum(0).minimum(size - 1);
    }
    number
}
