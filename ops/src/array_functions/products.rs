//! Products of vectors, matrices and arrays.

use crate::array::Array;
use crate::contract::{Roles, dot_general};
use crate::movement::{axis_of, reject, stack};
use gavotte_core::aval::{Dim, Shape};
use gavotte_core::ir::structural::renamed;
use gavotte_core::ir::{for_caller, same, undecided};

/// Every element of one times every element of the other: a matrix of `a[i] b[j]`. Both are flattened.
///
/// ```
/// use gavotte::{Array, outer};
/// assert_eq!(outer(&Array::from([1, 2]), &Array::from([3, 4])).to_vec::<i32>(), [3, 4, 6, 8]);
/// ```
///
/// # Panics
/// If the two differ in element type, or are `bool`.
#[track_caller]
pub fn outer(a: &Array, b: &Array) -> Array {
    a.flatten().expand_dims(1) * b.flatten().expand_dims(0)
}

/// The sums of products over the last axes of both: the other axes of `a`, then those of `b`. A scalar multiplies.
///
/// ```
/// use gavotte::{Array, inner};
/// assert_eq!(inner(&Array::from([[1, 2], [3, 4]]), &Array::from([1, 10])).to_vec::<i32>(), [21, 43]);
/// ```
///
/// # Panics
/// If the last extents differ, or the element types do.
#[track_caller]
pub fn inner(a: &Array, b: &Array) -> Array {
    if a.ndim() == 0 || b.ndim() == 0 {
        return a * b;
    }
    contracted("inner", a, b, [vec![a.ndim() - 1], vec![b.ndim() - 1]])
}

/// The sum of products of all elements, both flattened.
///
/// ```
/// use gavotte::{Array, vdot};
/// assert_eq!(vdot(&Array::from([[1, 2], [3, 4]]), &Array::from([1, 0, 0, 2])).item::<i32>(), 9);
/// ```
///
/// # Panics
/// If their numbers of elements differ, or the element types do.
#[track_caller]
pub fn vdot(a: &Array, b: &Array) -> Array {
    contracted("vdot", &a.flatten(), &b.flatten(), [vec![0], vec![0]])
}

/// The sums of products of elements along one axis of both, which disappears; the two broadcast.
///
/// ```
/// use gavotte::{Array, vecdot};
/// assert_eq!(vecdot(&Array::from([[1, 2], [3, 4]]), &Array::from([1, 10]), -1).to_vec::<i32>(), [21, 43]);
/// ```
///
/// # Panics
/// If one of them has no such axis, its extents differ, or the element types do.
#[track_caller]
pub fn vecdot(a: &Array, b: &Array, axis: isize) -> Array {
    let (i, j) = (axis_of("vecdot", axis, a.ndim(), a), axis_of("vecdot", axis, b.ndim(), b));
    let (m, n) = (a.dim(i), b.dim(j));
    if !same(&m, &n) {
        let open = undecided(&m.equal_to(&n), &m, &n);
        reject("vecdot", format!("the extents of axis {axis} differ: {m} and {n}{open}"), &[a, b]);
    }
    (a.move_axis(axis, -1) * b.move_axis(axis, -1)).sum(-1)
}

/// Every element of `a` times the whole of `b`, in blocks: Kronecker's product. The array with fewer axes gets axes of
/// extent 1 in front.
///
/// ```
/// use gavotte::{Array, kron};
/// assert_eq!(kron(&Array::from([1, 10]), &Array::from([1, 2])).to_vec::<i32>(), [1, 2, 10, 20]);
/// ```
///
/// # Panics
/// If the two differ in element type, or are `bool`.
#[track_caller]
pub fn kron(a: &Array, b: &Array) -> Array {
    let rank = a.ndim().max(b.ndim());
    let [outer, inner] = [a, b].map(|array| [&vec![Dim::from(1); rank - array.ndim()], &array.shape()[..]].concat());
    let one = Dim::from(1);
    let wide: Shape = outer.iter().flat_map(|extent| [extent, &one]).cloned().collect();
    let near: Shape = inner.iter().flat_map(|extent| [&one, extent]).cloned().collect();
    let shape: Shape = outer.iter().zip(&inner).map(|(m, n)| m * n).collect();
    (a.reshape(wide) * b.reshape(near)).reshape(shape)
}

/// The vector that is perpendicular to two vectors along an axis of extent 3 of both; the two broadcast.
///
/// ```
/// use gavotte::{Array, cross};
/// assert_eq!(cross(&Array::from([1, 0, 0]), &Array::from([0, 1, 0]), -1).to_vec::<i32>(), [0, 0, 1]);
/// ```
///
/// # Panics
/// If one of them has no such axis, its extent is not 3, or the element types differ.
// (a × b)ᵢ = aⱼ bₖ - aₖ bⱼ for (i, j, k) = (1, 2, 3), (2, 3, 1), (3, 1, 2)
#[track_caller]
pub fn cross(a: &Array, b: &Array, axis: isize) -> Array {
    for_caller(|| {
        for array in [a, b] {
            let at = axis_of("cross", axis, array.ndim(), array);
            if array.dim(at) != 3 {
                reject("cross", format!("axis {axis} must have 3 elements, not {}", array.dim(at)), &[a, b]);
            }
        }
        let [a, b] = [a, b].map(|array| array.move_axis(axis, 0));
        let rank = a.ndim().max(b.ndim()) - 1;
        let part = |array: &Array, i: usize| {
            let part = array.index(i);
            let ones = vec![Dim::from(1); rank - part.ndim()];
            part.reshape([&ones[..], part.shape()].concat())
        };
        let mut parts = vec![];
        for i in 0..3 {
            let (j, k) = ((i + 1) % 3, (i + 2) % 3);
            parts.push(part(&a, j) * part(&b, k) - part(&a, k) * part(&b, j));
        }
        stack(&parts, 0).move_axis(0, axis)
    })
}

/// The axes over which [`tensordot`] sums: a number `n`, the last `n` of the first array with the first `n` of the
/// second; or the axes of both, pair by pair.
pub trait Contracted {
    /// The axes of both arrays, which have these numbers of axes; `None` if there are fewer.
    fn axes(&self, ranks: [usize; 2]) -> Option<[Vec<isize>; 2]>;
}

macro_rules! numbers {
    ($($t:ty)*) => { $(
        impl Contracted for $t {
            fn axes(&self, ranks: [usize; 2]) -> Option<[Vec<isize>; 2]> {
                let n = usize::try_from(*self).ok().filter(|n| ranks.iter().all(|rank| n <= rank))?;
                let (rank, n) = (ranks[0] as isize, n as isize);
                Some([(rank - n..rank).collect(), (0..n).collect()])
            }
        }
    )* };
}
// `i32` makes a bare number fit.
numbers!(i32 usize);

impl<const N: usize> Contracted for ([isize; N], [isize; N]) {
    fn axes(&self, _: [usize; 2]) -> Option<[Vec<isize>; 2]> {
        Some([self.0.to_vec(), self.1.to_vec()])
    }
}

/// The sums of products over axes of both: the other axes of `a`, then those of `b`.
///
/// ```
/// use gavotte::{Array, tensordot};
/// let (a, b) = (Array::from([[1, 2], [3, 4]]), Array::from([[1, 0], [0, 10]]));
/// assert_eq!(tensordot(&a, &b, 1).to_vec::<i32>(), [1, 20, 3, 40]);
/// assert_eq!(tensordot(&a, &b, ([0], [1])).to_vec::<i32>(), [1, 30, 2, 40]);
/// ```
///
/// # Panics
/// If there is no such axis, one is named twice, their extents differ, or the element types do.
#[track_caller]
pub fn tensordot(a: &Array, b: &Array, axes: impl Contracted) -> Array {
    let Some(named) = axes.axes([a.ndim(), b.ndim()]) else {
        reject("tensordot", "one of them has fewer axes than are to be summed over", &[a, b]);
    };
    let mut found = [vec![], vec![]];
    for ((found, named), array) in found.iter_mut().zip(named).zip([a, b]) {
        for axis in named {
            let axis = axis_of("tensordot", axis, array.ndim(), array);
            if found.contains(&axis) {
                reject("tensordot", format!("axis {axis} is named twice"), &[a, b]);
            }
            found.push(axis);
        }
    }
    contracted("tensordot", a, b, found)
}

/// The sums of products over pairs of axes.
#[track_caller]
fn contracted(operation: &str, a: &Array, b: &Array, axes: [Vec<usize>; 2]) -> Array {
    let mut shape = b.shape().clone();
    for (i, j) in axes[0].iter().zip(&axes[1]) {
        let (m, n) = (a.dim(*i), b.dim(*j));
        if !same(&m, &n) {
            let open = undecided(&m.equal_to(&n), &m, &n);
            reject(operation, format!("the extents of axes {i} and {j} differ: {m} and {n}{open}"), &[a, b]);
        }
        // Extents that facts say are equal get one name.
        shape[*j] = m;
    }
    let b = renamed(b.value(), &shape);
    dot_general(a.value(), &b, &Roles { batch: [vec![], vec![]], contract: axes }).into()
}
