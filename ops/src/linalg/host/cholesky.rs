//! Cholesky's factor.

use super::triangular::{Triangle, solve_lower};
use super::{Real, copied, subtract};
use gavotte_core::runtime::{Place, Update};

/// Rows that are eliminated one by one.
const BASE: usize = 32;
/// Rows of a symmetric matrix that are updated together, up to the diagonal.
const ROWS: usize = 96;

/// `L` with `L·Lᵀ = (A + Aᵀ)/2`, zeros above the diagonal. If that matrix is not positive definite, `L` is NaN on and below
/// the diagonal.
pub(in crate::linalg) fn cholesky<T: Real>(a: &[T], n: usize) -> Vec<T> {
    let mut l = symmetrised(a, n);
    let is_definite = factor(&mut l, Place::rows(n), n);
    for i in 0..n {
        let (lower, upper) = l[i * n..(i + 1) * n].split_at_mut(i + 1);
        upper.fill(T::ZERO);
        if !is_definite {
            lower.fill(T::NAN);
        }
    }
    l
}

/// The symmetric part of a matrix, on and below the diagonal.
fn symmetrised<T: Real>(a: &[T], n: usize) -> Vec<T> {
    /// As in `transposed`.
    const BLOCK: usize = 16;
    let half = T::ONE / (T::ONE + T::ONE);
    let mut out = vec![T::ZERO; n * n];
    for top in (0..n).step_by(BLOCK) {
        for left in (0..=top).step_by(BLOCK) {
            for i in top..n.min(top + BLOCK) {
                for j in left..(i + 1).min(left + BLOCK) {
                    out[i * n + j] = (a[i * n + j] + a[j * n + i]) * half;
                }
            }
        }
    }
    out
}

/// `L₁₁ L₁₁ᵀ = A₁₁`, `L₂₁ = A₂₁ L₁₁⁻ᵀ`, then `L₂₂ L₂₂ᵀ = A₂₂ - L₂₁ L₂₁ᵀ`, of what is on and below the diagonal. Whether the
/// matrix is positive definite.
fn factor<T: Real>(a: &mut [T], at: Place, n: usize) -> bool {
    if n <= BASE {
        return eliminate(a, at, n);
    }
    let half = (n / 2).next_multiple_of(BASE);
    if !factor(a, at, half) {
        return false;
    }
    let (below, rest) = (at.part(half, 0), n - half);
    let (top, bottom) = a.split_at_mut(below.start);
    let triangle = Triangle { memory: top, place: at, n: half, is_unit: false };
    solve_lower(triangle, bottom, Place { start: 0, ..below }.transposed(), rest);
    let l = copied(a, below, [rest, half]);
    let of = Place::rows(half);
    for row in (0..rest).step_by(ROWS) {
        let end = rest.min(row + ROWS);
        let out = at.part(half + row, half);
        T::multiply([end - row, end, half], (a, out), (&l, of.part(row, 0)), (&l, of.transposed()), Update::Subtract);
    }
    factor(a, at.part(half, half), rest)
}

/// Row by row of the upper factor `Lᵀ`.
fn eliminate<T: Real>(a: &mut [T], at: Place, n: usize) -> bool {
    let mut u = [[T::ZERO; BASE]; BASE];
    for (j, row) in u.iter_mut().enumerate().take(n) {
        (j..n).for_each(|i| row[i] = a[at.at(i, j)]);
    }
    for k in 0..n {
        let (done, rest) = u.split_at_mut(k + 1);
        let row = &mut done[k];
        // NaN is not greater.
        if !matches!(row[k].partial_cmp(&T::ZERO), Some(std::cmp::Ordering::Greater)) {
            return false;
        }
        let root = row[k].sqrt();
        row[k..n].iter_mut().for_each(|x| *x /= root);
        row[k] = root;
        for (i, other) in rest.iter_mut().enumerate().take(n - k - 1) {
            let first = k + 1 + i;
            subtract(&mut other[first..n], row[first], &row[first..n]);
        }
    }
    for (j, row) in u.iter().enumerate().take(n) {
        (j..n).for_each(|i| a[at.at(i, j)] = row[i]);
    }
    true
}
