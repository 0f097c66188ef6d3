//! Diagonals, triangles and matrices of powers.

use super::number;
use crate::array::Array;
use crate::generate::{iota, ones_like, zeros};
use crate::movement::{axis_of, reject, slice};
use crate::movement::{concatenate, stack};
use crate::operators::where_;
use gavotte_core::aval::{DType, Dim, Literal, Verdict};
use gavotte_core::ir::{decide, undecided};

/// A matrix of `rows` and `columns` with ones on the `k`-th diagonal and below, zeros elsewhere. The main diagonal has the
/// number 0, those above it positive ones.
///
/// ```
/// use gavotte::{DType, tri};
/// assert_eq!(tri(2, 3, 0, DType::I32).to_vec::<i32>(), [1, 0, 0, 1, 1, 0]);
/// ```
///
/// # Panics
/// If an extent is negative or exceeds `i32`.
#[track_caller]
pub fn tri(rows: impl Into<Dim>, columns: impl Into<Dim>, k: i32, dtype: DType) -> Array {
    is_below(&[rows.into(), columns.into()], k).astype(dtype)
}

/// Whether each place of the last two axes of a shape is on the `k`-th diagonal or below.
#[track_caller]
fn is_below(shape: &[Dim], k: i32) -> Array {
    let last = &shape[shape.len() - 2..];
    let (row, column) = (iota(last, 0, DType::I32), iota(last, 1, DType::I32));
    column.le(row + k)
}

/// Refuses what has no last two axes.
#[track_caller]
fn matrices(operation: &str, x: &Array) {
    if x.ndim() < 2 {
        reject(operation, "takes a matrix, or axes in front of matrices", &[x]);
    }
}

/// The smaller of two extents.
#[track_caller]
fn smaller(x: &Array, a: Dim, b: Dim) -> Dim {
    match (decide(&a.at_most(&b)), decide(&b.at_most(&a))) {
        (Verdict::Holds, _) => a,
        (_, Verdict::Holds) => b,
        _ => {
            let open = undecided(&a.at_most(&b), &a, &b);
            reject("diagonal", format!("its length is the smaller one of {a} and {b}{open}"), &[x])
        }
    }
}

/// Diagonals, triangles and powers.
impl Array {
    /// The elements on the `k`-th diagonal and below of the matrices in the last two axes, with zeros for the others. The
    /// main diagonal has the number 0, those above it positive ones.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([[1, 2], [3, 4]]).tril(0).to_vec::<i32>(), [1, 0, 3, 4]);
    /// ```
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn tril(&self, k: i32) -> Array {
        matrices("tril", self);
        where_(&is_below(self.shape(), k), self, number(self.dtype(), 0.0))
    }

    /// The elements on the `k`-th diagonal and above of the matrices in the last two axes, with zeros for the others. The
    /// main diagonal has the number 0, those above it positive ones.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([[1, 2], [3, 4]]).triu(0).to_vec::<i32>(), [1, 2, 0, 4]);
    /// ```
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn triu(&self, k: i32) -> Array {
        matrices("triu", self);
        where_(&is_below(self.shape(), k.saturating_sub(1)), number(self.dtype(), 0.0), self)
    }

    /// A matrix with this vector on its `k`-th diagonal and zeros elsewhere, or the `k`-th diagonal of this matrix. The
    /// main diagonal has the number 0, those above it positive ones.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([1, 2]).diag(0);
    /// assert_eq!(x.to_vec::<i32>(), [1, 0, 0, 2]);
    /// assert_eq!(x.diag(0).to_vec::<i32>(), [1, 2]);
    /// ```
    ///
    /// # Panics
    /// If there are neither one axis nor two. As [`diagonal`](Array::diagonal).
    #[track_caller]
    pub fn diag(&self, k: i32) -> Array {
        match self.ndim() {
            1 => {
                // Element (i, i + k) is x[i], and element (i + |k|, i) if k is negative.
                let width = k.unsigned_abs() as usize;
                let zero = Literal::from_f64(self.dtype(), 0.0);
                let along = self.pad(zero, &[(0, width)]).expand_dims(if k < 0 { 0 } else { 1 });
                let n = self.dim(0) + width;
                let (row, column) = (iota([&n, &n], 0, DType::I32), iota([&n, &n], 1, DType::I32));
                where_(&column.eq(row + k), along, Array::scalar(zero))
            }
            2 => self.diagonal(k, 0, 1),
            n => reject("diag", format!("takes a vector or a matrix, not {n} axes: take the `diagonal`"), &[self]),
        }
    }

    /// The `k`-th diagonals of the matrices in two axes, the rows and the columns, as one new last axis. The main
    /// diagonal has the number 0, those above it positive ones.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([[1, 2, 3], [4, 5, 6]]);
    /// assert_eq!(x.diagonal(0, 0, 1).to_vec::<i32>(), [1, 5]);
    /// assert_eq!(x.diagonal(1, 0, 1).to_vec::<i32>(), [2, 6]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, the two are the same, or facts do not say how long the diagonal is: for symbols, the
    /// matrices must be square.
    // The diagonal's elements are c + 1 apart in rows of c: with that many per row, they are the first column.
    #[track_caller]
    pub fn diagonal(&self, k: i32, rows: isize, columns: isize) -> Array {
        let row = axis_of("diagonal", rows, self.ndim(), self);
        let column = axis_of("diagonal", columns, self.ndim(), self);
        if row == column {
            reject("diagonal", format!("axis {row} cannot be both rows and columns"), &[self]);
        }
        let mut order: Vec<usize> = (0..self.ndim()).filter(|axis| *axis != row && *axis != column).collect();
        let leading = order.len();
        order.extend([row, column]);
        let (r, c) = (self.dim(row), self.dim(column));
        let away = Dim::from(i64::from(k.unsigned_abs()));
        let (start, across, down) =
            if k < 0 { (&away * &c, c.clone(), &r - &away) } else { (away.clone(), &c - &away, r.clone()) };
        let is_empty = |extent: &Dim| extent.as_number().is_some_and(|n| n <= 0);
        let n = if is_empty(&across) || is_empty(&down) { Dim::from(0) } else { smaller(self, across, down) };
        let front = self.shape().iter().enumerate().filter(|(axis, _)| *axis != row && *axis != column);
        let front: Vec<Dim> = front.map(|(_, extent)| extent.clone()).collect();
        let shape = |last: &[Dim]| [&front[..], last].concat();
        if n == 0 {
            return zeros(shape(&[n]), self.dtype());
        }
        let step = &c + 1;
        let flat = self.permute(&order).reshape(shape(&[&r * &c]));
        let (start_of, all) = (vec![Dim::from(0); leading], front.clone());
        let wide = concatenate(&[flat, zeros(shape(std::slice::from_ref(&step)), self.dtype())], -1);
        let end = &start + &n * &step;
        let cut = slice(
            wide.value(),
            &[&start_of[..], &[start]].concat(),
            &[&all[..], &[end]].concat(),
            &vec![1; leading + 1],
        );
        let table = Array::from(cut).reshape(shape(&[n.clone(), step]));
        table.slice_axis(-1, 0..1).reshape(shape(&[n]))
    }

    /// The sums of the `k`-th diagonals of the matrices in two axes, the rows and the columns, which disappear.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([[1, 2], [3, 4]]).trace(0, 0, 1).item::<i32>(), 5);
    /// ```
    ///
    /// # Panics
    /// If the elements are `bool`. As [`diagonal`](Array::diagonal).
    #[track_caller]
    pub fn trace(&self, k: i32, rows: isize, columns: isize) -> Array {
        self.diagonal(k, rows, columns).sum(-1)
    }

    /// The powers of each element from `n - 1` down to 0, along a new last axis: the rows of Vandermonde's matrix. `flip`
    /// it for ascending powers.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([2, 3]).vander(3).to_vec::<i32>(), [4, 2, 1, 9, 3, 1]);
    /// ```
    ///
    /// # Panics
    /// If `n` is 0, or the elements are `bool`.
    #[track_caller]
    pub fn vander(&self, n: usize) -> Array {
        if n == 0 {
            reject("vander", "there must be at least one power", &[self]);
        }
        let mut powers = vec![ones_like(self)];
        for i in 1..n {
            powers.push(if i == 1 { self.clone() } else { &powers[i - 1] * self });
        }
        powers.reverse();
        stack(&powers, -1)
    }
}
