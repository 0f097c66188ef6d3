//! Linear algebra: norms, products of several matrices, matrices with a structure.

pub use crate::array_functions::outer;

use crate::array::Array;
use crate::array_functions::{floating, number};
use crate::generate::{eye, zeros};
use crate::movement::{concatenate, reject};
use crate::operators::where_;
use crate::reduce::{Axes, resolve};
use gavotte_core::aval::{Dim, Shape};
use gavotte_core::ir::{same, undecided};

/// The square root of a sum that is not negative, with derivative 0 at 0.
#[track_caller]
fn root(sum: &Array) -> Array {
    let is_zero = sum.eq(0.0);
    where_(&is_zero, 0.0, where_(&is_zero, 1.0, sum).sqrt())
}

/// Refuses axes without elements, of which none is the largest.
#[track_caller]
fn some(operation: &str, x: &Array, axes: &[usize]) {
    if axes.iter().any(|axis| x.dim(*axis) == 0) {
        reject(operation, "there are no elements: no largest and no smallest", &[x]);
    }
}

/// `√Σx²` over axes, which disappear: the Euclidean norm of vectors, Frobenius' of matrices. Its derivative at the origin
/// is 0. [`vector_norm`] and [`matrix_norm`] are other norms.
///
/// ```
/// use gavotte::{Array, linalg::norm};
/// assert_eq!(norm(&Array::from([[3.0], [4.0]]), ()).item::<f64>(), 5.0);
/// ```
///
/// # Panics
/// If there is no such axis, or the elements are not floating.
#[track_caller]
pub fn norm(x: &Array, axes: impl Axes) -> Array {
    floating("norm", &[x]);
    let axes = resolve("norm", axes, x);
    root(&x.square().sum(axes.as_slice()))
}

/// `(Σ|x|ᵖ)^(1/p)` over axes, which disappear: for `p` of 2, [`norm`]; for infinities, the largest and the smallest `|x|`;
/// for 0, the number of elements that are not 0. The derivative at the origin is 0 if `p` is finite and at least
/// 1.
///
/// ```
/// use gavotte::{Array, linalg::vector_norm};
/// let x = Array::from([[1.0, -2.0], [0.0, 5.0]]);
/// assert_eq!(vector_norm(&x, 1.0, 1).to_vec::<f64>(), [3.0, 5.0]);
/// assert_eq!(vector_norm(&x, f64::INFINITY, ()).item::<f64>(), 5.0);
/// ```
///
/// # Panics
/// If there is no such axis, `p` is infinite and there are no elements, or the elements are not floating.
#[track_caller]
pub fn vector_norm(x: &Array, p: f64, axes: impl Axes) -> Array {
    floating("vector_norm", &[x]);
    let axes = resolve("vector_norm", axes, x);
    let along = axes.as_slice();
    if p.is_infinite() {
        some("vector_norm", x, along);
        return if p > 0.0 { x.abs().max(along) } else { x.abs().min(along) };
    }
    if p == 0.0 {
        return x.ne(0.0).astype(x.dtype()).sum(along);
    }
    if p == 1.0 {
        return x.abs().sum(along);
    }
    if p == 2.0 {
        return root(&x.square().sum(along));
    }
    let sum = x.abs().pow(p).sum(along);
    let is_zero = sum.eq(0.0);
    let power = where_(&is_zero, 1.0, &sum).pow(1.0 / p);
    // The sum is 0 without elements, for zeros, and for infinities to a negative power.
    where_(&is_zero, if p > 0.0 { 0.0 } else { f64::INFINITY }, power)
}

/// A norm of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatrixNorm {
    /// `√Σx²`.
    Frobenius,
    /// The largest sum of `|x|` over a column.
    One,
    /// The largest sum of `|x|` over a row.
    Infinity,
}

/// A norm of the matrices in the last two axes, which disappear.
///
/// ```
/// use gavotte::Array;
/// use gavotte::linalg::{MatrixNorm, matrix_norm};
/// let x = Array::from([[1.0, -2.0], [3.0, 4.0]]);
/// assert_eq!(matrix_norm(&x, MatrixNorm::One).item::<f64>(), 6.0);
/// assert_eq!(matrix_norm(&x, MatrixNorm::Infinity).item::<f64>(), 7.0);
/// ```
///
/// # Panics
/// If there are fewer than two axes, the elements are not floating, or, but for Frobenius' norm, there are none.
#[track_caller]
pub fn matrix_norm(x: &Array, kind: MatrixNorm) -> Array {
    floating("matrix_norm", &[x]);
    matrices("matrix_norm", x);
    let last = [x.ndim() - 2, x.ndim() - 1];
    if kind == MatrixNorm::Frobenius {
        return root(&x.square().sum(last));
    }
    some("matrix_norm", x, &last);
    x.abs().sum(if kind == MatrixNorm::One { -2 } else { -1 }).max(-1)
}

/// Refuses what has no last two axes.
#[track_caller]
fn matrices(operation: &str, x: &Array) {
    if x.ndim() < 2 {
        reject(operation, "takes a matrix, or axes in front of matrices", &[x]);
    }
}

/// The sums of the `k`-th diagonals of the matrices in the last two axes: [`Array::trace`].
///
/// ```
/// use gavotte::{Array, linalg::trace};
/// assert_eq!(trace(&Array::from([[1, 2], [3, 4]]), 0).item::<i32>(), 5);
/// ```
///
/// # Panics
/// If there are fewer than two axes. As [`Array::trace`].
#[track_caller]
pub fn trace(x: &Array, k: i32) -> Array {
    matrices("trace", x);
    x.trace(k, -2, -1)
}

/// The product of two or more matrices, two at a time in the order that needs the fewest products of numbers. The first
/// may be a vector, a row, and the last one too, a column. If an extent is a symbol, they are multiplied from left to right.
///
/// ```
/// use gavotte::{Array, linalg::multi_dot};
/// let (a, x) = (Array::from([[1, 2], [3, 4]]), Array::from([1, 10]));
/// assert_eq!(multi_dot(&[&x, &a, &x]).item::<i32>(), 451);
/// ```
///
/// # Panics
/// If there are fewer than two arrays, one of them has another number of axes, inner extents differ, or the element types
/// do.
#[track_caller]
pub fn multi_dot(arrays: &[&Array]) -> Array {
    if arrays.len() < 2 {
        reject("multi_dot", format!("takes two or more arrays, not {}", arrays.len()), arrays);
    }
    for (i, array) in arrays.iter().enumerate() {
        let may_be_vector = i == 0 || i == arrays.len() - 1;
        if array.ndim() != 2 && !(may_be_vector && array.ndim() == 1) {
            let what = if may_be_vector { "a vector or a matrix" } else { "a matrix" };
            reject("multi_dot", format!("array {i} must be {what}, and has {} axes", array.ndim()), arrays);
        }
    }
    // Extent i is that of the rows of array i, and the last that of the columns of the last array.
    let (first, last) = (arrays[0], arrays[arrays.len() - 1]);
    let mut extents = vec![if first.ndim() == 1 { Dim::from(1) } else { first.dim(0) }];
    extents.extend(arrays[1..].iter().map(|array| array.dim(0)));
    extents.push(if last.ndim() == 1 { Dim::from(1) } else { last.dim(1) });
    let splits = splits(&extents);
    chain(arrays, 0, &|i, j| splits.as_ref().map_or(j - 1, |splits| splits[i][j]))
}

/// For the arrays from `i` to below `j`, where to split them into two products; `None` if an extent is a symbol.
///
/// Source: Cormen, Leiserson, Rivest, Stein, *Introduction to algorithms*, 14.2.
// cost(i, j) = min over k of cost(i, k) + cost(k, j) + nᵢ nₖ nⱼ
fn splits(extents: &[Dim]) -> Option<Vec<Vec<usize>>> {
    let n: Vec<f64> = extents.iter().map(|n| n.as_number().map(|n| n as f64)).collect::<Option<_>>()?;
    let mut cost = vec![vec![0.0; n.len()]; n.len()];
    let mut splits = vec![vec![0; n.len()]; n.len()];
    for length in 2..n.len() {
        for i in 0..n.len() - length {
            let j = i + length;
            cost[i][j] = f64::INFINITY;
            for k in i + 1..j {
                let here = cost[i][k] + cost[k][j] + n[i] * n[k] * n[j];
                if here < cost[i][j] {
                    (cost[i][j], splits[i][j]) = (here, k);
                }
            }
        }
    }
    Some(splits)
}

/// The product of arrays of which the first has the number `start`.
#[track_caller]
fn chain(arrays: &[&Array], start: usize, split: &dyn Fn(usize, usize) -> usize) -> Array {
    if let [one] = arrays {
        return (*one).clone();
    }
    let at = split(start, start + arrays.len());
    let (left, right) = arrays.split_at(at - start);
    chain(left, start, split).matmul(&chain(right, at, split))
}

/// The `n`-th power of the square matrices in the last two axes, by repeated squaring: identity matrices for 0.
///
/// ```
/// use gavotte::{Array, linalg::matrix_power};
/// assert_eq!(matrix_power(&Array::from([[1, 1], [1, 0]]), 5).to_vec::<i32>(), [8, 5, 5, 3]);
/// ```
///
/// # Panics
/// If there are fewer than two axes, or the matrices are not square.
#[track_caller]
pub fn matrix_power(x: &Array, n: u32) -> Array {
    matrices("matrix_power", x);
    let [rows, columns] = [x.dim(x.ndim() - 2), x.dim(x.ndim() - 1)];
    if !same(&rows, &columns) {
        let open = undecided(&rows.equal_to(&columns), &rows, &columns);
        reject("matrix_power", format!("the matrices are not square: {rows} rows, {columns} columns{open}"), &[x]);
    }
    let (mut power, mut square, mut rest) = (None, x.clone(), n);
    while rest > 0 {
        if rest & 1 == 1 {
            power = Some(match power {
                Some(power) => square.matmul(&power),
                None => square.clone(),
            });
        }
        rest >>= 1;
        if rest > 0 {
            square = square.matmul(&square);
        }
    }
    match power {
        Some(power) => power,
        None => eye(rows, x.dtype()).broadcast_to(x.shape().iter().cloned()),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_splits_where_it_costs_least() {
        let last = |extents: [i64; 4]| splits(&extents.map(Dim::from)).expect("they are numbers")[0][3];
        // 10 · 100 · 5 + 10 · 5 · 50 = 7,500, against 75,000 with the last two first.
        assert_eq!(last([10, 100, 5, 50]), 2);
        assert_eq!(last([50, 5, 100, 10]), 1);
        assert!(splits(&[2.into(), Dim::symbol("n"), 3.into()]).is_none());
    }
}
