//! Matrices with a structure.

use crate::array::Array;
use crate::array_functions::number;
use crate::generate::{iota, zeros};
use crate::movement::{concatenate, reject};
use gavotte_core::aval::{DType, Dim, Shape};

/// Matrices along the diagonal of a matrix, with zeros elsewhere. A vector is one row.
///
/// ```
/// use gavotte::{Array, linalg::block_diag};
/// assert_eq!(block_diag(&[Array::from([[1]]), Array::from([[2, 3]])]).to_vec::<i32>(), [1, 0, 0, 0, 2, 3]);
/// ```
///
/// # Panics
/// If there are none, one has more than two axes, or the element types differ.
#[track_caller]
pub fn block_diag(arrays: &[Array]) -> Array {
    if arrays.is_empty() {
        reject("block_diag", "there is no matrix", &[]);
    }
    let mut blocks = vec![];
    for array in arrays {
        blocks.push(match array.ndim() {
            0 => array.reshape([1, 1]),
            1 => array.expand_dims(0),
            2 => array.clone(),
            n => reject("block_diag", format!("takes matrices, not {n} axes"), &[array]),
        });
    }
    let width = |blocks: &[Array]| blocks.iter().fold(Dim::from(0), |sum, block| sum + block.dim(1));
    let mut rows = vec![];
    for (i, block) in blocks.iter().enumerate() {
        let blank = |width: Dim| zeros([block.dim(0), width], block.dtype());
        rows.push(concatenate(&[blank(width(&blocks[..i])), block.clone(), blank(width(&blocks[i + 1..]))], 1));
    }
    concatenate(&rows, 0)
}

/// The matrix with this first column and this first row whose diagonals are constant. The first element of the row is not
/// read: the column's is the corner. A symmetric one is `toeplitz(&c, &c)`.
///
/// ```
/// use gavotte::{Array, linalg::toeplitz};
/// let x = toeplitz(&Array::from([1, 2, 3]), &Array::from([1, 5]));
/// assert_eq!(x.to_vec::<i32>(), [1, 5, 2, 1, 3, 2]);
/// ```
///
/// # Panics
/// If they are no vectors, have no elements, or differ in their element type.
// With v = r₀ … rₙ₋₁ 0 cₘ₋₁ … c₁, element (i, j) is v[j - i], counted around. Rows of v, one after the other, read with a
// width that is one less, move by one from row to row.
#[track_caller]
pub fn toeplitz(column: &Array, row: &Array) -> Array {
    for array in [column, row] {
        if array.ndim() != 1 {
            reject("toeplitz", format!("takes vectors, not {} axes", array.ndim()), &[column, row]);
        }
        if array.dim(0) == 0 {
            reject("toeplitz", "there are no elements", &[column, row]);
        }
    }
    let (m, n) = (column.dim(0), row.dim(0));
    let corner = column.slice_axis(0, 0..1);
    let gap = number(column.dtype(), 0.0).reshape([1]);
    let (rest, under) = (row.slice_axis(0, Dim::from(1)..n.clone()), column.slice_axis(0, Dim::from(1)..m.clone()));
    let cycle = concatenate(&[corner, rest, gap, under.flip(0)], 0);
    let length = cycle.dim(0);
    let width = &length - 1;
    let shape: Shape = [m.clone(), length.clone()].into_iter().collect();
    let flat = cycle.broadcast_to(shape).reshape([&m * &length]);
    flat.slice_axis(0, Dim::from(0)..&m * &width).reshape([m, width]).slice_axis(1, Dim::from(0)..n)
}

/// Hilbert's matrix of `n` by `n` elements, `1 / (i + j + 1)`: a standard example of a badly conditioned one.
///
/// # Panics
/// If `n` is negative or exceeds `i32`, or the elements are not floating.
#[track_caller]
pub fn hilbert(n: impl Into<Dim>, dtype: DType) -> Array {
    let n = n.into();
    if !dtype.is_float() {
        reject("hilbert", format!("its elements are floats, not {dtype}"), &[]);
    }
    let sum = iota([&n, &n], 0, DType::I32) + iota([&n, &n], 1, DType::I32);
    (sum.astype(dtype) + 1.0).reciprocal()
}
