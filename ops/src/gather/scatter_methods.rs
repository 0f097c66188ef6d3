//! Writing by index, as methods.

use super::batched::Numbered;
use super::scatter::scatter;
use crate::movement::{axis_of, reject};
use crate::{Array, DType};
use gavotte_core::ir::ReduceOp;

/// `x` with the updates combined into it, after checks of what users give.
#[track_caller]
fn combined(name: &str, op: Option<ReduceOp>, [x, ids, updates]: [&Array; 3], axis: isize) -> Array {
    let axis = axis_of(name, axis, x.ndim(), x);
    if ids.dtype() != DType::I32 {
        reject(name, "numbers must be i32: convert with `astype` first", &[x, ids, updates]);
    }
    if updates.dtype() != x.dtype() {
        reject(
            name,
            "array and updates must have the same element type: convert with `astype` first",
            &[x, ids, updates],
        );
    }
    if x.dtype() == DType::Bool && op.is_some() {
        reject(name, "takes numbers, not bool: convert with `astype` first", &[x, ids, updates]);
    }
    let read = x.shape()[..axis].iter().chain(ids.shape()).chain(&x.shape()[axis + 1..]);
    let updates = updates.broadcast_to(read.cloned());
    Array(scatter(op, [&x.0, &ids.0, &updates.0], Numbered { axis, shared: 0 }))
}

impl Array {
    /// The array with `updates` in the place of the elements that [`take`](Array::take) reads at the indices `ids` along an
    /// axis. The updates have the shape of what is read, or broadcast to it. Of updates with equal indices the last one
    /// stays: that is the order of `ids`, row-major.
    ///
    /// The indices must lie within the axis: they are checked, and never clamped. Negative ones do not count from the end.
    /// The derivative of an update that another one replaced is zero.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([1, 2, 3]);
    /// assert_eq!(x.scatter(&Array::from([2, 0, 2]), &Array::from([10, 20, 30]), 0).to_vec::<i32>(), [20, 2, 30]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, `ids` is not of type `i32`, the updates have another element type than the array, or do
    /// not broadcast.
    ///
    /// Source: JAX, `jax.lax.scatter` and `x.at[ids].set(updates)`, where the order of equal indices is left open.
    #[track_caller]
    pub fn scatter(&self, ids: &Array, updates: &Array, axis: isize) -> Array {
        combined("scatter", None, [self, ids, updates], axis)
    }

    /// As [`scatter`](Array::scatter), but the updates are added. Those with equal indices are summed in the order of all
    /// sums, whatever the number of threads; their sum is added to the array.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([1, 2, 3]);
    /// assert_eq!(x.scatter_add(&Array::from([2, 0, 2]), &Array::from([10, 20, 30]), 0).to_vec::<i32>(), [21, 2, 43]);
    /// ```
    ///
    /// # Panics
    /// As [`scatter`](Array::scatter), and if the array is of type `bool`.
    ///
    /// Source: JAX, `jax.lax.scatter_add` and `x.at[ids].add(updates)`.
    #[track_caller]
    pub fn scatter_add(&self, ids: &Array, updates: &Array, axis: isize) -> Array {
        combined("scatter_add", Some(ReduceOp::Sum), [self, ids, updates], axis)
    }

    /// As [`scatter_add`](Array::scatter_add), with products. Its derivatives are right for any number of zeros.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([1, 2, 3]);
    /// assert_eq!(x.scatter_mul(&Array::from([2, 0, 2]), &Array::from([10, 20, 30]), 0).to_vec::<i32>(), [20, 2, 900]);
    /// ```
    ///
    /// # Panics
    /// As [`scatter_add`](Array::scatter_add).
    ///
    /// Source: JAX, `jax.lax.scatter_mul` and `x.at[ids].multiply(updates)`, which has derivatives for different indices
    /// only.
    #[track_caller]
    pub fn scatter_mul(&self, ids: &Array, updates: &Array, axis: isize) -> Array {
        combined("scatter_mul", Some(ReduceOp::Prod), [self, ids, updates], axis)
    }

    /// As [`scatter_add`](Array::scatter_add), with the larger one; NaN where there is one. In a derivative, those that are
    /// equal to the result share its tangent equally.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([1, 2, 35]);
    /// assert_eq!(x.scatter_max(&Array::from([2, 0, 2]), &Array::from([10, 20, 30]), 0).to_vec::<i32>(), [20, 2, 35]);
    /// ```
    ///
    /// # Panics
    /// As [`scatter_add`](Array::scatter_add).
    ///
    /// Source: JAX, `jax.lax.scatter_max` and `x.at[ids].max(updates)`.
    #[track_caller]
    pub fn scatter_max(&self, ids: &Array, updates: &Array, axis: isize) -> Array {
        combined("scatter_max", Some(ReduceOp::Max), [self, ids, updates], axis)
    }

    /// As [`scatter_max`](Array::scatter_max), with the smaller one.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([1, 2, 35]);
    /// assert_eq!(x.scatter_min(&Array::from([2, 0, 2]), &Array::from([10, 20, 30]), 0).to_vec::<i32>(), [1, 2, 10]);
    /// ```
    ///
    /// # Panics
    /// As [`scatter_add`](Array::scatter_add).
    ///
    /// Source: JAX, `jax.lax.scatter_min` and `x.at[ids].min(updates)`.
    #[track_caller]
    pub fn scatter_min(&self, ids: &Array, updates: &Array, axis: isize) -> Array {
        combined("scatter_min", Some(ReduceOp::Min), [self, ids, updates], axis)
    }

    /// The array with `values` in the place of the elements that [`take_along_axis`](Array::take_along_axis) reads: each
    /// position along the other axes has its own indices. The indices broadcast to the array along these axes, and the
    /// values to the indices. Of values with equal indices the last one stays.
    ///
    /// The indices must lie within the axis: they are checked, and never clamped. Negative ones do not count from the end.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([[1, 2, 3], [4, 5, 6]]);
    /// let largest = x.argmax(1).reshape([2, 1]);
    /// assert_eq!(x.put_along_axis(&largest, &Array::scalar(0), 1).to_vec::<i32>(), [1, 2, 0, 4, 5, 0]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, array and indices differ in their number of axes, `ids` is not of type `i32`, the values
    /// have another element type than the array, or something does not broadcast.
    ///
    /// Source: NumPy, `numpy.put_along_axis`; JAX, `jax.numpy.put_along_axis`.
    #[track_caller]
    pub fn put_along_axis(&self, ids: &Array, values: &Array, axis: isize) -> Array {
        const NAME: &str = "put_along_axis";
        let at = axis_of(NAME, axis, self.ndim(), self);
        if ids.dtype() != DType::I32 {
            reject(NAME, "numbers must be i32: convert with `astype` first", &[self, ids, values]);
        }
        if ids.ndim() != self.ndim() {
            reject(NAME, "array and numbers must have the same number of axes", &[self, ids, values]);
        }
        if values.dtype() != self.dtype() {
            reject(
                NAME,
                "array and values must have the same element type: convert with `astype` first",
                &[self, ids, values],
            );
        }
        let mut wanted = self.shape().clone();
        wanted[at] = ids.dim(at);
        let [ids, values] = [ids, values].map(|array| array.broadcast_to(wanted.clone()).move_axis(at as isize, -1));
        let (x, last) = (self.move_axis(at as isize, -1), self.ndim() - 1);
        let numbered = Numbered { axis: last, shared: last };
        Array(scatter(None, [&x.0, &ids.0, &values.0], numbered)).move_axis(-1, at as isize)
    }
}
