//! Factorisations on the host, on one thread: their order of operations depends on the sizes alone.
//!
//! Matrices are stored row after row. What grows with the cube of the size is a dense product, [`MatrixElement::multiply`];
//! the algorithms halve the matrix until what is left is small.

pub(super) mod cholesky;
pub(super) mod jacobi;
pub(super) mod lu;
pub(super) mod qr;
mod reflectors;
pub(super) mod symmetric;
pub(super) mod triangular;

use gavotte_core::runtime::{MatrixElement, Place};
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Sub, SubAssign};

/// `f32` or `f64`.
pub(super) trait Real:
    MatrixElement
    + Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
{
    const ZERO: Self;
    const ONE: Self;
    const NAN: Self;
    fn abs(self) -> Self;
    fn sqrt(self) -> Self;
}

macro_rules! real {
    ($type:ident) => {
        impl Real for $type {
            const ZERO: $type = 0.0;
            const ONE: $type = 1.0;
            const NAN: $type = $type::NAN;
            fn abs(self) -> $type {
                $type::abs(self)
            }
            fn sqrt(self) -> $type {
                $type::sqrt(self)
            }
        }
    };
}
real!(f32);
real!(f64);

/// Rows and columns of a matrix, row after row, in memory of their own.
fn copied<T: Real>(memory: &[T], place: Place, [rows, columns]: [usize; 2]) -> Vec<T> {
    let mut copy = Vec::with_capacity(rows * columns);
    for i in 0..rows {
        let first = place.at(i, 0);
        match place.across {
            1 => copy.extend_from_slice(&memory[first..first + columns]),
            _ => copy.extend((0..columns).map(|j| memory[place.at(i, j)])),
        }
    }
    copy
}

/// The transpose of a matrix of `rows` by `columns` elements.
pub(super) fn transposed<T: Real>(x: &[T], [rows, columns]: [usize; 2]) -> Vec<T> {
    /// Rows and columns that are moved together, so that both sides stay in the cache.
    const BLOCK: usize = 16;
    let mut out = vec![T::ZERO; x.len()];
    for top in (0..rows).step_by(BLOCK) {
        for left in (0..columns).step_by(BLOCK) {
            for i in top..rows.min(top + BLOCK) {
                for j in left..columns.min(left + BLOCK) {
                    out[j * rows + i] = x[i * columns + j];
                }
            }
        }
    }
    out
}

/// The two rows `i < j` of a matrix with rows of `n` elements.
fn two_rows<T>(x: &mut [T], n: usize, [i, j]: [usize; 2]) -> [&mut [T]; 2] {
    let (front, back) = x.split_at_mut(j * n);
    [&mut front[i * n..(i + 1) * n], &mut back[..n]]
}

/// `y -= f x`, element by element.
fn subtract<T: Real>(y: &mut [T], f: T, x: &[T]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y -= f * *x);
}

/// The sum of the products of the elements of two rows, in eight chains.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (xs, ys) = (x.chunks_exact(8), y.chunks_exact(8));
    let rest: f64 = xs.remainder().iter().zip(ys.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in xs.zip(ys) {
        (0..8).for_each(|i| sums[i] += x[i] * y[i]);
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + b) + (c + d)) + ((e + f) + (g + h)) + rest
}

/// The power of two by which a matrix is multiplied so that squares of its elements neither overflow nor vanish; `None` if
/// not all of them are finite.
fn scale(x: &[f64]) -> Option<f64> {
    let most = x.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let is_finite = x.iter().all(|x| x.is_finite());
    let one = if most > 0.0 { (-most.log2().floor()).clamp(-1000.0, 1000.0).exp2() } else { 1.0 };
    is_finite.then_some(one)
}

#[cfg(test)]
mod tests;
