//! The same elements repeated, or in another order.

use crate::array::Array;
use crate::gather::gather_segments;
use crate::generate::arange;
use crate::movement::{axis_of, concatenate, reject};
use crate::reduce::{Axes, resolve};
use gavotte_core::aval::{DType, Dim, Shape, shape as to_shape};
use gavotte_core::ir::structural::broadcast_in_dim;

/// Repeated, shifted and reversed arrays.
impl Array {
    /// Each element along an axis `n` times in succession.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1, 2]).repeat(2, 0).to_vec::<i32>(), [1, 1, 2, 2]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn repeat(&self, n: impl Into<Dim>, axis: isize) -> Array {
        let axis = axis_of("repeat", axis, self.ndim(), self);
        let n = n.into();
        let (mut wide, mut shape) = (self.shape().clone(), self.shape().clone());
        wide.insert(axis + 1, n.clone());
        shape[axis] = &shape[axis] * n;
        let kept: Vec<usize> = (0..wide.len()).filter(|at| *at != axis + 1).collect();
        Array::from(broadcast_in_dim(self.value(), &wide, &kept)).reshape(shape)
    }

    /// Each element along an axis in succession as often as its count says.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([7, 8, 9]).repeat_by(&[2, 0, 1], 0).to_vec::<i32>(), [7, 7, 9]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or not one count for each of its elements.
    #[track_caller]
    pub fn repeat_by(&self, counts: &[usize], axis: isize) -> Array {
        let axis = axis_of("repeat_by", axis, self.ndim(), self);
        if self.dim(axis) != counts.len() {
            let why = format!("axis {axis} has {} elements, and there are {} counts", self.dim(axis), counts.len());
            reject("repeat_by", why, &[self]);
        }
        let total = counts.iter().try_fold(0usize, |sum, n| sum.checked_add(*n));
        if total.is_none_or(|total| i32::try_from(total).is_err()) {
            reject("repeat_by", "the counts add up to more than an i32 holds", &[self]);
        }
        let ids: Vec<i32> = counts.iter().enumerate().flat_map(|(i, n)| std::iter::repeat_n(i as i32, *n)).collect();
        let mut offsets = vec![0];
        for n in counts {
            offsets.push(offsets[offsets.len() - 1] + *n as i32);
        }
        let order: Vec<i32> = (0..ids.len() as i32).collect();
        let [ids, offsets, order] = [ids, offsets, order].map(Array::from);
        gather_segments(self.value(), [ids.value(), offsets.value(), order.value()], axis).into()
    }

    /// The whole array side by side, as often along each axis as these numbers say. They are aligned at the last axis; if
    /// there are more numbers than axes, the result has more axes.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1, 2]).tile([2]).to_vec::<i32>(), [1, 2, 1, 2]);
    /// ```
    #[track_caller]
    pub fn tile(&self, times: impl IntoIterator<Item = impl Into<Dim>>) -> Array {
        let times = to_shape(times);
        let rank = self.ndim().max(times.len());
        let full = |dims: &[Dim]| [&vec![Dim::from(1); rank - dims.len()], dims].concat();
        let (own, times) = (full(self.shape()), full(&times));
        let wide: Shape = times.iter().zip(&own).flat_map(|(n, extent)| [n.clone(), extent.clone()]).collect();
        let kept: Vec<usize> = (rank - self.ndim()..rank).map(|axis| 2 * axis + 1).collect();
        let shape: Shape = times.iter().zip(&own).map(|(n, extent)| n * extent).collect();
        Array::from(broadcast_in_dim(self.value(), &wide, &kept)).reshape(shape)
    }

    /// The elements moved along an axis by `shift` places; those that leave it at its end come in at its start.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1, 2, 3]).roll(1, 0).to_vec::<i32>(), [3, 1, 2]);
    /// assert_eq!(Array::from([1, 2, 3]).roll(-1, 0).to_vec::<i32>(), [2, 3, 1]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or its extent is a symbol and `shift` exceeds an `i32`.
    #[track_caller]
    pub fn roll(&self, shift: isize, axis: isize) -> Array {
        let at = axis_of("roll", axis, self.ndim(), self);
        let n = self.dim(at);
        if let Some(n) = n.as_usize() {
            let first = n - shift.rem_euclid(n.max(1) as isize) as usize;
            if first == n {
                return self.clone();
            }
            return concatenate(&[self.slice_axis(axis, first..), self.slice_axis(axis, ..first)], axis);
        }
        let Ok(shift) = i32::try_from(shift) else {
            reject("roll", format!("the shift {shift} exceeds an i32"), &[self]);
        };
        // The remainder twice, so that no sum overflows.
        let size = crate::generate::dim_value(&n, DType::I32);
        let modulo = |x: Array| super::remainder(x, &size);
        let places = arange(&n, DType::I32);
        let from = |shift: i32| modulo(&places - modulo(Array::scalar(shift)));
        permuted(self, &from(shift), &from(shift.wrapping_neg()), at)
    }

    /// The elements in reverse order along axes; with `()`, along all.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([[1, 2], [3, 4]]).flip(1).to_vec::<i32>(), [2, 1, 4, 3]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn flip(&self, axes: impl Axes) -> Array {
        let mut out = self.clone();
        for axis in resolve("flip", axes, self) {
            let n = self.dim(axis);
            let from = crate::generate::dim_value(&n - 1, DType::I32) - arange(&n, DType::I32);
            out = permuted(&out, &from, &from, axis);
        }
        out
    }

    /// The array turned by 90 degrees `k` times in the plane of two axes, from the first toward the second.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([[1, 2], [3, 4]]).rot90(1, 0, 1).to_vec::<i32>(), [2, 4, 1, 3]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or the two are the same.
    #[track_caller]
    pub fn rot90(&self, k: i32, from: isize, to: isize) -> Array {
        let (a, b) = (axis_of("rot90", from, self.ndim(), self), axis_of("rot90", to, self.ndim(), self));
        if a == b {
            reject("rot90", format!("axis {a} alone is no plane: name two axes"), &[self]);
        }
        match k.rem_euclid(4) {
            0 => self.clone(),
            1 => self.flip([b]).swap_axes(from, to),
            2 => self.flip([a, b]),
            _ => self.swap_axes(from, to).flip([b]),
        }
    }

    /// All elements along one axis: [`flatten`](Array::flatten).
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([[1, 2], [3, 4]]).ravel().to_vec::<i32>(), [1, 2, 3, 4]);
    /// ```
    #[track_caller]
    pub fn ravel(&self) -> Array {
        self.flatten()
    }
}

/// The elements of an axis in another order: `from[i]` is the place of the `i`-th element, `to` is the inverse of `from`.
/// With both maps, reading and its transpose have kernels.
#[track_caller]
fn permuted(x: &Array, from: &Array, to: &Array, axis: usize) -> Array {
    let offsets = arange(x.dim(axis) + 1, DType::I32);
    gather_segments(x.value(), [from.value(), offsets.value(), to.value()], axis).into()
}
