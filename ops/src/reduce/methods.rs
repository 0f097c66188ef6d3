//! Sums, means and extrema over axes, as users call them.

use super::argmax::{ARGMAX, ARGMIN, place};
use super::extrema::{reduce_max, reduce_min};
use super::reduce_prod::reduce_prod;
use crate::Array;
use crate::elementwise::{DIV, MUL, NE, SUB, constant};
use crate::generate::dim_value;
use crate::movement::{axis_of, reject, reshape};
use gavotte_core::aval::{DType, Dim, volume};
use gavotte_core::ir::structural::{broadcast_in_dim, reduce_sum};
use gavotte_core::ir::{Value, for_caller};

/// Axes to reduce over: one number, several, or `()` for all. Negative numbers count from the end.
///
/// ```
/// # use gavotte::Array;
/// let x = Array::new(&[2, 3], vec![1, 2, 3, 4, 5, 6]);
/// assert_eq!(x.sum(()).item::<i32>(), 21);
/// assert_eq!(x.sum(0).to_vec::<i32>(), [5, 7, 9]);
/// assert_eq!(x.sum(-1).to_vec::<i32>(), [6, 15]);
/// assert_eq!(x.sum([0, 1]).item::<i32>(), 21);
/// ```
pub trait Axes {
    /// The axes, or `None` for all.
    fn list(&self) -> Option<Vec<isize>>;
}

impl Axes for () {
    fn list(&self) -> Option<Vec<isize>> {
        None
    }
}

macro_rules! axes {
    ($($t:ty)*) => { $(
        impl Axes for $t {
            fn list(&self) -> Option<Vec<isize>> {
                Some(vec![*self as isize])
            }
        }
        impl<const N: usize> Axes for [$t; N] {
            fn list(&self) -> Option<Vec<isize>> {
                self.as_slice().list()
            }
        }
        impl Axes for &[$t] {
            fn list(&self) -> Option<Vec<isize>> {
                Some(self.iter().map(|axis| *axis as isize).collect())
            }
        }
    )* };
}
// `i32` makes a bare number such as `-1` fit.
axes!(i32 isize usize);

/// The axes in ascending order.
#[track_caller]
pub(crate) fn resolve(operation: &str, axes: impl Axes, x: &Array) -> Vec<usize> {
    let Some(list) = axes.list() else { return (0..x.ndim()).collect() };
    let mut found = vec![];
    for axis in list {
        found.push(axis_of(operation, axis, x.ndim(), x));
    }
    found.sort_unstable();
    if let Some(twice) = found.windows(2).find(|pair| pair[0] == pair[1]) {
        reject(operation, format!("axis {} is given twice", twice[0]), &[x]);
    }
    found
}

/// The number of elements over these axes.
fn count(x: &Array, axes: &[usize]) -> Dim {
    volume(&axes.iter().map(|axis| x.dim(*axis)).collect::<Vec<Dim>>())
}

/// `reduced` with `axes` restored, with extent 1.
#[track_caller]
fn kept(x: &Array, reduced: Value, axes: &[usize]) -> Array {
    let shape: Vec<Dim> = (0..x.ndim()).map(|axis| if axes.contains(&axis) { 1.into() } else { x.dim(axis) }).collect();
    Array(reshape(&reduced, &shape))
}

#[track_caller]
fn mean(operation: &str, x: &Array, axes: &[usize]) -> Value {
    if !x.dtype().is_float() {
        reject(operation, "takes floats: convert with `astype` first", &[x]);
    }
    let of = |x: &Array| {
        let n = dim_value(count(x, axes), x.dtype()).0;
        Array(DIV.of([&reduce_sum(&x.0, axes), &n]))
    };
    in_wide(x, of).0
}

/// A statistic of `x`; that of a half type is computed in `f32` and rounded once. Its sums need not fit a half.
#[track_caller]
pub(crate) fn in_wide(x: &Array, f: impl Fn(&Array) -> Array) -> Array {
    let (dtype, wide) = (x.dtype(), x.dtype().computed());
    for_caller(|| if wide == dtype || !dtype.is_float() { f(x) } else { f(&x.astype(wide)).astype(dtype) })
}

/// Whether each element is true.
#[track_caller]
fn truth(x: &Array) -> Value {
    if x.dtype() == DType::Bool { x.0.clone() } else { NE.of([&x.0, &constant(x.dtype(), 0.0)]) }
}

impl Array {
    /// The sum over axes, which disappear. `x.sum(())` is over all.
    ///
    /// # Panics
    /// If there is no such axis, or the elements are `bool`.
    #[track_caller]
    pub fn sum(&self, axes: impl Axes) -> Array {
        Array(reduce_sum(&self.0, &resolve("sum", axes, self)))
    }

    /// The sum over axes, which stay with extent 1.
    ///
    /// # Panics
    /// If there is no such axis, or the elements are `bool`.
    #[track_caller]
    pub fn sum_keepdims(&self, axes: impl Axes) -> Array {
        let axes = resolve("sum_keepdims", axes, self);
        kept(self, reduce_sum(&self.0, &axes), &axes)
    }

    /// The product over axes, which disappear; 1 if there are no elements.
    ///
    /// # Panics
    /// If there is no such axis, or the elements are `bool`.
    #[track_caller]
    pub fn prod(&self, axes: impl Axes) -> Array {
        Array(reduce_prod(&self.0, &resolve("prod", axes, self)))
    }

    /// The product over axes, which stay with extent 1.
    ///
    /// # Panics
    /// If there is no such axis, or the elements are `bool`.
    #[track_caller]
    pub fn prod_keepdims(&self, axes: impl Axes) -> Array {
        let axes = resolve("prod_keepdims", axes, self);
        kept(self, reduce_prod(&self.0, &axes), &axes)
    }

    /// The mean over axes, which disappear; NaN if there are no elements.
    ///
    /// # Panics
    /// If there is no such axis, or the elements are not floating.
    #[track_caller]
    pub fn mean(&self, axes: impl Axes) -> Array {
        Array(mean("mean", self, &resolve("mean", axes, self)))
    }

    /// The mean over axes, which stay with extent 1.
    ///
    /// # Panics
    /// If there is no such axis, or the elements are not floating.
    #[track_caller]
    pub fn mean_keepdims(&self, axes: impl Axes) -> Array {
        let axes = resolve("mean_keepdims", axes, self);
        kept(self, mean("mean_keepdims", self, &axes), &axes)
    }

    /// The variance over axes, which disappear: the mean squared distance from the mean.
    ///
    /// # Panics
    /// If there is no such axis, or the elements are not floating.
    #[track_caller]
    pub fn var(&self, axes: impl Axes) -> Array {
        let axes = resolve("var", axes, self);
        let kept: Vec<usize> = (0..self.ndim()).filter(|axis| !axes.contains(axis)).collect();
        in_wide(self, |x| {
            let center = broadcast_in_dim(&mean("var", x, &axes), x.shape(), &kept);
            let distance = SUB.of([&x.0, &center]);
            Array(mean("var", &Array(MUL.of([&distance, &distance])), &axes))
        })
    }

    /// The largest element over axes, which disappear: NaN if there is one, the least value of the type if there are no
    /// elements. Elements that tie for the largest share the derivative.
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn max(&self, axes: impl Axes) -> Array {
        Array(reduce_max(&self.0, &resolve("max", axes, self)))
    }

    /// The largest element over axes, which stay with extent 1.
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn max_keepdims(&self, axes: impl Axes) -> Array {
        let axes = resolve("max_keepdims", axes, self);
        kept(self, reduce_max(&self.0, &axes), &axes)
    }

    /// The smallest element over axes, which disappear: NaN if there is one, the largest value of the type if there are
    /// no elements. Elements that tie for the smallest share the derivative.
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn min(&self, axes: impl Axes) -> Array {
        Array(reduce_min(&self.0, &resolve("min", axes, self)))
    }

    /// The smallest element over axes, which stay with extent 1.
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn min_keepdims(&self, axes: impl Axes) -> Array {
        let axes = resolve("min_keepdims", axes, self);
        kept(self, reduce_min(&self.0, &axes), &axes)
    }

    /// Whether an element over axes, which disappear, is true; numbers are unless they are 0. `false` if there are no
    /// elements.
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn any(&self, axes: impl Axes) -> Array {
        Array(reduce_max(&truth(self), &resolve("any", axes, self)))
    }

    /// Whether an element over axes, which stay with extent 1, is true.
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn any_keepdims(&self, axes: impl Axes) -> Array {
        let axes = resolve("any_keepdims", axes, self);
        kept(self, reduce_max(&truth(self), &axes), &axes)
    }

    /// Whether all elements over axes, which disappear, are true; numbers are unless they are 0. `true` if there are no
    /// elements.
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn all(&self, axes: impl Axes) -> Array {
        Array(reduce_min(&truth(self), &resolve("all", axes, self)))
    }

    /// Whether all elements over axes, which stay with extent 1, are true.
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn all_keepdims(&self, axes: impl Axes) -> Array {
        let axes = resolve("all_keepdims", axes, self);
        kept(self, reduce_min(&truth(self), &axes), &axes)
    }

    /// The position of the largest element along an axis, which disappears, as `i32`: of equal ones the first.
    ///
    /// # Panics
    /// If there is no such axis, or it has no elements.
    #[track_caller]
    pub fn argmax(&self, axis: isize) -> Array {
        Array(place(ARGMAX, &self.0, axis_of("argmax", axis, self.ndim(), self)))
    }

    /// The position of the smallest element along an axis, which disappears, as `i32`: of equal ones the first.
    ///
    /// # Panics
    /// If there is no such axis, or it has no elements.
    #[track_caller]
    pub fn argmin(&self, axis: isize) -> Array {
        Array(place(ARGMIN, &self.0, axis_of("argmin", axis, self.ndim(), self)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Array {
        Array::new(&[2, 3], vec![1.0f32, 5.0, 3.0, -4.0, 0.0, 7.0])
    }

    #[test]
    fn reductions_are_numpys() {
        assert_eq!(grid().sum(()).item::<f32>(), 12.0);
        assert_eq!(grid().sum(-1).to_vec::<f32>(), [9.0, 3.0]);
        assert_eq!(grid().mean(0).to_vec::<f32>(), [-1.5, 2.5, 5.0]);
        assert_eq!(grid().max(1).to_vec::<f32>(), [5.0, 7.0]);
        assert_eq!(grid().min(()).item::<f32>(), -4.0);
        assert_eq!(grid().prod(0).to_vec::<f32>(), [-4.0, 0.0, 21.0]);
        assert!(grid().any(()).item::<bool>());
        assert_eq!(grid().all(-1).to_vec::<bool>(), [true, false]);
        assert_eq!(grid().argmax(-1).to_vec::<i32>(), [1, 2]);
        assert_eq!(grid().argmin(0).to_vec::<i32>(), [1, 1, 0]);
        assert_eq!(grid().var(0).to_vec::<f32>(), [6.25, 6.25, 4.0]);
        assert_eq!(grid().sum([0, -1]).item::<f32>(), 12.0);
        assert_eq!(grid().sum([].as_slice() as &[usize]).to_vec::<f32>(), grid().to_vec::<f32>());
        for array in
            [grid().sum_keepdims(1), grid().mean_keepdims(-1), grid().max_keepdims([1]), grid().min_keepdims(1)]
        {
            assert_eq!(array.0.aval().to_string(), "f32[2,1]");
        }
        assert_eq!(grid().prod_keepdims(0).0.aval().to_string(), "f32[1,3]");
        for array in [grid().any_keepdims(-1), grid().all_keepdims(-1)] {
            assert_eq!(array.0.aval().to_string(), "bool[2,1]");
        }
    }

    #[test]
    fn a_mean_over_a_symbol_divides_by_its_size() {
        use gavotte_core::aval::{Aval, DType, Sizes, Symbol};
        let x = Aval::new(DType::F32, [Dim::symbol("n"), 3.into()]);
        let program = gavotte_core::ir::trace("f", &[x], |args| vec![Array(args[0].clone()).mean(0).0]).program;
        let mut sizes = Sizes::new();
        assert_eq!(sizes.set(Symbol::new("n"), 2), Ok(()));
        let outs = gavotte_core::ir::evaluate(&program, &[grid().to_host().unwrap()], &[], &sizes);
        assert_eq!(outs[0].as_slice::<f32>(), [-1.5, 2.5, 5.0]);
    }

    #[test]
    fn mistakes_name_the_axis() {
        let why = |f: &dyn Fn() -> Array| gavotte_core::ir::quietly(f).map(drop).unwrap_err().to_string();
        assert!(why(&|| grid().sum(2)).contains("sum: there is no axis 2"));
        assert!(why(&|| grid().max([0, -2])).contains("axis 0 is given twice"));
        assert!(why(&|| Array::new(&[1], vec![1i32]).mean(())).contains("astype"));
    }
}
