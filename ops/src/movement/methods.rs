//! Shapes, axes, slices and joins, as users call them.

use super::{concatenate::concatenate as join, pad::pad, reshape, slice};
use crate::Array;
use crate::reduce::{Axes, resolve};
use gavotte_core::aval::{Dim, Literal, shape as to_shape, volume};
use gavotte_core::error::Error;
use gavotte_core::ir::structural::{move_axis, renamed, transpose};
use gavotte_core::ir::{Location, Value, refuse, same, undecided};
use std::ops::{Bound, RangeBounds};

/// Refuses the operands of a method at the user's line.
#[track_caller]
pub(crate) fn reject(operation: &str, why: impl std::fmt::Display, operands: &[&Array]) -> ! {
    let types: Vec<String> = operands.iter().map(|array| array.0.aval().to_string()).collect();
    let types = if types.is_empty() { String::new() } else { format!("\n  operands: {}", types.join(", ")) };
    refuse(Error::Type(format!("{operation}: {why}{types}\n  at {}", Location::caller())))
}

/// An axis of an array of `rank` axes; negative numbers count from the end.
#[track_caller]
pub(crate) fn axis_of(operation: &str, axis: isize, rank: usize, operand: &Array) -> usize {
    let at = if axis < 0 { axis + rank as isize } else { axis };
    match usize::try_from(at) {
        Ok(at) if at < rank => at,
        _ => reject(operation, format!("there is no axis {axis}: it must lie in -{rank}..{rank}"), &[operand]),
    }
}

impl Array {
    /// The same elements in the same order with another shape. One extent may be -1: it is inferred.
    ///
    /// ```
    /// # use gavotte::Array;
    /// let x = Array::new(&[2, 3], vec![0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0]);
    /// assert_eq!(x.reshape([3, -1]).dim(1), 2);
    /// ```
    ///
    /// # Panics
    /// If the number of elements differs, or -1 occurs twice.
    #[track_caller]
    pub fn reshape(&self, shape: impl IntoIterator<Item = impl Into<Dim>>) -> Array {
        let mut shape = to_shape(shape);
        let open: Vec<usize> = (0..shape.len()).filter(|axis| shape[*axis].as_number() == Some(-1)).collect();
        match open[..] {
            [] => {}
            [axis] => {
                shape[axis] = 1.into();
                let known = volume(&shape);
                match self.0.aval().volume().div_exact(&known) {
                    Some(rest) if known != 0 => shape[axis] = rest,
                    _ => {
                        let all = self.0.aval().volume();
                        let why = format!(
                            "the {all} elements do not divide into {known} parts for -1: for symbols, write the extent out"
                        );
                        reject("reshape", why, &[self])
                    }
                }
            }
            _ => reject("reshape", "-1 may occur once", &[self]),
        }
        Array(reshape(&self.0, &shape))
    }

    /// All elements along one axis.
    #[track_caller]
    pub fn flatten(&self) -> Array {
        Array(reshape(&self.0, &[self.0.aval().volume()]))
    }

    /// The axes in reverse order.
    #[track_caller]
    pub fn transpose(&self) -> Array {
        self.permute(&(0..self.ndim()).rev().collect::<Vec<_>>())
    }

    /// The last two axes swapped: the transpose of a matrix, or of each matrix of a batch.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn t(&self) -> Array {
        self.swap_axes(-2, -1)
    }

    /// The axes in this order: axis `i` of the result is axis `axes[i]`.
    ///
    /// # Panics
    /// If `axes` does not contain every axis once.
    #[doc(alias = "permute_dims")]
    #[track_caller]
    pub fn permute(&self, axes: &[usize]) -> Array {
        Array(transpose(&self.0, axes))
    }

    /// Two axes swapped.
    ///
    /// # Panics
    /// If there is no such axis.
    #[doc(alias = "swapaxes")]
    #[track_caller]
    pub fn swap_axes(&self, a: isize, b: isize) -> Array {
        let mut axes: Vec<usize> = (0..self.ndim()).collect();
        axes.swap(axis_of("swap_axes", a, self.ndim(), self), axis_of("swap_axes", b, self.ndim(), self));
        self.permute(&axes)
    }

    /// Moves axis `from` to position `to`; the others keep their order.
    ///
    /// # Panics
    /// If there is no such axis.
    #[doc(alias = "moveaxis")]
    #[track_caller]
    pub fn move_axis(&self, from: isize, to: isize) -> Array {
        let from = axis_of("move_axis", from, self.ndim(), self);
        let to = axis_of("move_axis", to, self.ndim(), self);
        Array(move_axis(&self.0, from, to))
    }

    /// Adds an axis of extent 1 at this position of the result.
    ///
    /// # Panics
    /// If the result has no such axis.
    #[track_caller]
    pub fn expand_dims(&self, axis: isize) -> Array {
        let mut shape = self.shape().clone();
        shape.insert(axis_of("expand_dims", axis, self.ndim() + 1, self), 1.into());
        Array(reshape(&self.0, &shape))
    }

    /// Removes these axes, whose extents are 1; with `()`, every such axis.
    ///
    /// # Panics
    /// If an extent is not 1, or there is no such axis.
    #[track_caller]
    pub fn squeeze(&self, axes: impl Axes) -> Array {
        let unit = |axis: &usize| same(&self.shape()[*axis], &1.into());
        let gone: Vec<usize> = match axes.list() {
            None => (0..self.ndim()).filter(unit).collect(),
            Some(_) => resolve("squeeze", axes, self),
        };
        if let Some(axis) = gone.iter().find(|axis| !unit(axis)) {
            let (extent, one) = (self.dim(*axis), Dim::from(1));
            let open = undecided(&extent.equal_to(&one), &extent, &one);
            reject("squeeze", format!("the extent of axis {axis} is not 1{open}"), &[self]);
        }
        let kept = (0..self.ndim()).filter(|axis| !gone.contains(axis));
        Array(reshape(&self.0, &kept.map(|axis| self.dim(axis)).collect::<Vec<_>>()))
    }

    /// The elements within a range for each of the first axes; the other axes stay whole. Bounds may be symbolic.
    ///
    /// ```
    /// # use gavotte::Array;
    /// let x = Array::new(&[2, 3], vec![0, 1, 2, 3, 4, 5]);
    /// assert_eq!(x.slice(&[1..2, 0..2]).to_vec::<i32>(), [3, 4]);
    /// assert_eq!(x.slice(&[1..]).to_vec::<i32>(), [3, 4, 5]);
    /// ```
    ///
    /// # Panics
    /// If a range is not within its axis, or there are more ranges than axes.
    #[track_caller]
    pub fn slice<D: Into<Dim> + Clone>(&self, ranges: &[impl RangeBounds<D>]) -> Array {
        if ranges.len() > self.ndim() {
            reject("slice", format!("{} ranges for {} axes", ranges.len(), self.ndim()), &[self]);
        }
        let (mut start, mut limit) = (vec![Dim::from(0); self.ndim()], self.shape().to_vec());
        for (axis, range) in ranges.iter().enumerate() {
            bounds(range, &mut start[axis], &mut limit[axis]);
        }
        Array(slice(&self.0, &start, &limit, &vec![1; self.ndim()]))
    }

    /// The elements within a range of one axis.
    ///
    /// # Panics
    /// If the range is not within the axis, or there is no such axis.
    #[track_caller]
    pub fn slice_axis<D: Into<Dim> + Clone>(&self, axis: isize, range: impl RangeBounds<D>) -> Array {
        let axis = axis_of("slice_axis", axis, self.ndim(), self);
        let (mut start, mut limit) = (vec![Dim::from(0); self.ndim()], self.shape().to_vec());
        bounds(&range, &mut start[axis], &mut limit[axis]);
        Array(slice(&self.0, &start, &limit, &vec![1; self.ndim()]))
    }

    /// Element `i` of the first axis, which disappears.
    ///
    /// # Panics
    /// If there is no such element.
    #[track_caller]
    pub fn index(&self, i: impl Into<Dim>) -> Array {
        let i = i.into();
        self.slice_axis(0, i.clone()..i + 1).squeeze(0)
    }

    /// Splits the array into `parts` arrays of equal extent along an axis.
    ///
    /// # Panics
    /// If the extent is not a multiple of `parts`, or there is no such axis.
    #[track_caller]
    pub fn split(&self, parts: usize, axis: isize) -> Vec<Array> {
        let at = axis_of("split", axis, self.ndim(), self);
        let Some(step) = (parts > 0).then(|| self.dim(at).div_exact(&parts.into())).flatten() else {
            let hint = "for a symbol, declare the axis as a multiple of it";
            let why = format!("extent {} of axis {axis} is not a multiple of {parts}: {hint}", self.dim(at));
            reject("split", why, &[self]);
        };
        let mut found = vec![];
        for i in 0..parts {
            found.push(self.slice_axis(axis, &step * i..&step * (i + 1)));
        }
        found
    }

    /// Surrounds the array with `value`: for each axis, how many in front and how many after.
    ///
    /// # Panics
    /// If there is not one pair for each axis, or the element types differ.
    #[track_caller]
    pub fn pad(&self, value: impl Into<Literal>, widths: &[(usize, usize)]) -> Array {
        let (low, high): (Vec<Dim>, Vec<Dim>) =
            widths.iter().map(|(low, high)| ((*low).into(), (*high).into())).unzip();
        Array(pad(&self.0, &value.into().into(), &low, &high, &vec![0; widths.len()]))
    }
}

fn bounds<D: Into<Dim> + Clone>(range: &impl RangeBounds<D>, start: &mut Dim, limit: &mut Dim) {
    match range.start_bound().cloned() {
        Bound::Included(at) => *start = at.into(),
        Bound::Excluded(at) => *start = at.into() + 1,
        Bound::Unbounded => {}
    }
    match range.end_bound().cloned() {
        Bound::Included(at) => *limit = at.into() + 1,
        Bound::Excluded(at) => *limit = at.into(),
        Bound::Unbounded => {}
    }
}

/// Joins arrays in order along an axis.
///
/// # Panics
/// If there are none, there is no such axis, or the arrays differ in more than their extent along it.
#[track_caller]
pub fn concatenate(arrays: &[Array], axis: isize) -> Array {
    let Some(first) = arrays.first() else { reject("concatenate", "there is no array to join", &[]) };
    let axis = axis_of("concatenate", axis, first.ndim(), first);
    let mut parts = vec![];
    for array in arrays {
        // Extents that facts say are equal get one name; the operation refuses arrays that do not fit.
        let mut shape = first.shape().clone();
        shape[axis] = array.shape().get(axis).cloned().unwrap_or(0.into());
        let fits = array.ndim() == shape.len() && array.shape().iter().zip(&shape).all(|(a, b)| same(a, b));
        parts.push(if fits { renamed(&array.0, &shape) } else { array.0.clone() });
    }
    Array(join(&parts.iter().collect::<Vec<&Value>>(), axis))
}

/// Joins arrays of the same type along a new axis at this position of the result.
///
/// # Panics
/// If there are no arrays, the result has no such axis, or the types differ.
#[track_caller]
pub fn stack(arrays: &[Array], axis: isize) -> Array {
    let mut parts = vec![];
    for array in arrays {
        parts.push(array.expand_dims(axis));
    }
    concatenate(&parts, axis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Array {
        Array::new(&[2, 3], vec![0i32, 1, 2, 3, 4, 5])
    }

    fn dims(array: &Array) -> String {
        array.0.aval().to_string()
    }

    #[test]
    fn shapes_change_as_in_numpy() {
        assert_eq!(dims(&grid().reshape([-1])), "i32[6]");
        assert_eq!(dims(&grid().reshape([3, -1, 1])), "i32[3,2,1]");
        assert_eq!(dims(&grid().flatten()), "i32[6]");
        assert_eq!(dims(&grid().expand_dims(-1)), "i32[2,3,1]");
        assert_eq!(dims(&grid().expand_dims(0).squeeze(0)), "i32[2,3]");
        assert_eq!(dims(&grid().reshape([1, 2, 1, 3]).squeeze(())), "i32[2,3]");
        assert_eq!(grid().t().to_vec::<i32>(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(grid().transpose().to_vec::<i32>(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(dims(&grid().expand_dims(0).permute(&[2, 0, 1])), "i32[3,1,2]");
        assert_eq!(dims(&grid().expand_dims(0).swap_axes(0, -1)), "i32[3,2,1]");
        assert_eq!(dims(&grid().expand_dims(0).move_axis(0, -1)), "i32[2,3,1]");
    }

    #[test]
    fn parts_are_cut_and_joined() {
        assert_eq!(grid().slice(&[0..2, 1..2]).to_vec::<i32>(), [1, 4]);
        assert_eq!(grid().slice(&[..1]).to_vec::<i32>(), [0, 1, 2]);
        assert_eq!(grid().slice_axis(-1, 1..=2).to_vec::<i32>(), [1, 2, 4, 5]);
        assert_eq!(grid().index(1).to_vec::<i32>(), [3, 4, 5]);
        let columns = grid().split(3, 1);
        assert_eq!(columns[2].to_vec::<i32>(), [2, 5]);
        assert_eq!(concatenate(&columns, 1).to_vec::<i32>(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(stack(&[grid(), grid()], -1).to_vec::<i32>(), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
        assert_eq!(grid().pad(9, &[(0, 0), (1, 0)]).to_vec::<i32>(), [9, 0, 1, 2, 9, 3, 4, 5]);
    }

    #[test]
    fn kernels_cut_and_pad_along_symbols() {
        // f = Σ xᵢ xᵢ₊₁, so ∂f/∂xᵢ = xᵢ₋₁ + xᵢ₊₁; one compiled program for every length.
        let neighbours = crate::jit(crate::grad(|x: Array| {
            let n = x.dim(0) - 1;
            Array(crate::elementwise::MUL.of([&x.slice_axis(0, ..n).0, &x.slice_axis(0, 1..).0])).sum(())
        }));
        for (xs, expected) in [(vec![1.0f32, 2.0, 4.0], vec![2.0f32, 5.0, 2.0]), (vec![3.0, 5.0], vec![5.0, 3.0])] {
            let x = Array::new(&[xs.len()], xs).declare([Dim::symbol("n") + 1]);
            assert_eq!(neighbours(x).to_vec::<f32>(), expected);
        }
        assert_eq!(neighbours.n_entry(), 1);
    }

    #[test]
    fn mistakes_say_what_to_do() {
        let why = |f: &dyn Fn() -> Array| match gavotte_core::ir::quietly(f) {
            Ok(array) => panic!("accepted: {array:?}"),
            Err(error) => error.to_string(),
        };
        assert!(why(&|| grid().reshape([4, 2])).contains("6 elements"));
        assert!(why(&|| grid().reshape([4, -1])).contains("4 parts"));
        assert!(why(&|| grid().expand_dims(4)).contains("no axis 4"));
        assert!(why(&|| grid().squeeze(0)).contains("axis 0 is not 1"));
        let error = why(&|| grid().slice(&[0..3, 0..1]));
        assert!(error.contains("0..3 must lie within 0..2") && error.contains("methods.rs"), "{error}");
        assert!(why(&|| concatenate(&[], 0)).contains("no array"));
        assert!(why(&|| concatenate(&[grid(), grid().flatten()], 0)).contains("differ"));
    }
}
