//! Parts of arrays at places that are computed.

use crate::array::Array;
use crate::generate::{arange, dim_value};
use crate::movement::reject;
use crate::operators::where_;
use gavotte_core::aval::{DType, Dim, shape as to_shape};
use gavotte_core::ir::require_at_least;

/// The place of a part along an axis: from the end if it is negative, moved so that the part lies within the axis.
#[track_caller]
fn within(operation: &str, x: &Array, start: &Array, axis: usize, size: &Dim) -> Array {
    if start.dtype() != DType::I32 || start.ndim() != 0 {
        let why = format!("the start along axis {axis} must be a scalar i32: convert or reshape first");
        reject(operation, why, &[x, start]);
    }
    let n = x.dim(axis);
    if let Err(why) = require_at_least(&n, size, || format!("the part has extent {size} along axis {axis} of {n}")) {
        reject(operation, why.0, &[x]);
    }
    let from_end = start + dim_value(n.clone(), DType::I32);
    where_(&start.lt(0), from_end, start).maximum(0).minimum(dim_value(n - size, DType::I32))
}

#[track_caller]
fn check(operation: &str, x: &Array, starts: usize, sizes: usize) {
    if starts != x.ndim() || sizes != x.ndim() {
        reject(operation, format!("{starts} starts and {sizes} extents for {} axes", x.ndim()), &[x]);
    }
}

impl Array {
    /// The part of this shape that starts at computed places, one scalar `i32` for each axis; negative ones count
    /// from the end. A part that would reach beyond the array is moved to where it lies within.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([1, 2, 3, 4]);
    /// assert_eq!(x.dynamic_slice(&[1.into()], [2]).to_vec::<i32>(), [2, 3]);
    /// assert_eq!(x.dynamic_slice(&[9.into()], [2]).to_vec::<i32>(), [3, 4]);
    /// ```
    ///
    /// # Panics
    /// If the numbers of starts and of extents are not that of the axes, a start is no scalar `i32`, or an extent is
    /// larger than the array's.
    #[track_caller]
    pub fn dynamic_slice(&self, starts: &[Array], shape: impl IntoIterator<Item = impl Into<Dim>>) -> Array {
        let shape = to_shape(shape);
        check("dynamic_slice", self, starts.len(), shape.len());
        let mut part = self.clone();
        for (axis, (start, size)) in starts.iter().zip(&shape).enumerate() {
            let start = within("dynamic_slice", self, start, axis, size);
            if self.dim(axis) != *size {
                part = part.take(&(arange(size, DType::I32) + start), axis as isize);
            }
        }
        part
    }

    /// The array with a part replaced by `update`, which starts at computed places, one scalar `i32` for each axis;
    /// negative ones count from the end. A part that would reach beyond the array is moved to where it lies within.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([1, 2, 3, 4]);
    /// assert_eq!(x.dynamic_update_slice(&Array::from([8, 9]), &[1.into()]).to_vec::<i32>(), [1, 8, 9, 4]);
    /// ```
    ///
    /// # Panics
    /// If the update has another element type or number of axes, the number of starts is not that of the axes, a start is
    /// no scalar `i32`, or the update is larger than the array.
    #[track_caller]
    pub fn dynamic_update_slice(&self, update: &Array, starts: &[Array]) -> Array {
        check("dynamic_update_slice", self, starts.len(), update.ndim());
        if update.dtype() != self.dtype() {
            reject("dynamic_update_slice", "element types differ: convert with `astype` first", &[self, update]);
        }
        let mut places = vec![];
        for (axis, start) in starts.iter().enumerate() {
            places.push(within("dynamic_update_slice", self, start, axis, &update.dim(axis)));
        }
        if update.shape().iter().any(|size| *size == 0) {
            return self.clone();
        }
        // The update is read at every place of the array, and counts where it is.
        let (mut moved, mut is_inside) = (update.clone(), Array::from(true));
        for (axis, start) in places.into_iter().enumerate() {
            let (size, n) = (update.dim(axis), self.dim(axis));
            if n == size {
                continue;
            }
            let size = dim_value(size, DType::I32);
            let at = arange(&n, DType::I32) - start;
            moved = moved.take(&at.maximum(0).minimum(&size - 1), axis as isize);
            let mut shape = vec![Dim::from(1); self.ndim()];
            shape[axis] = n;
            is_inside &= (at.ge(0) & at.lt(&size)).reshape(shape);
        }
        where_(&is_inside, moved, self)
    }
}
