//! Factors `L` and `U` with partial pivoting.

use super::triangular::{Triangle, solve_lower};
use super::{Real, copied, subtract, two_rows};
use gavotte_core::runtime::{Place, Update};

/// Columns that are eliminated one by one.
const BASE: usize = 16;

/// Replaces a matrix by `L` below the diagonal, whose own diagonal is ones, and `U` on and above it. Row `i` was exchanged
/// with row `pivots[i]`, one after the other.
pub(in crate::linalg) fn factor<T: Real>(a: &mut [T], n: usize) -> Vec<usize> {
    let mut pivots = vec![];
    columns(a, n, [0, n], &mut pivots);
    pivots
}

/// The order of the rows after these exchanges.
pub(in crate::linalg) fn permutation(pivots: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pivots.len()).collect();
    pivots.iter().enumerate().for_each(|(i, pivot)| order.swap(i, *pivot));
    order
}

/// The columns from one number to below another, of the rows from the first number on; the left half first.
///
/// Source: Toledo, *Locality of reference in LU decomposition with partial pivoting* (SIAM J. Matrix Anal. Appl. 18, 1997).
fn columns<T: Real>(a: &mut [T], n: usize, [from, to]: [usize; 2], pivots: &mut Vec<usize>) {
    if to - from <= BASE {
        return eliminate(a, n, [from, to], pivots);
    }
    let (middle, place) = (from + (to - from) / 2, Place::rows(n));
    columns(a, n, [from, middle], pivots);
    exchange(a, n, [middle, to], from, &pivots[from..middle]);
    let (known, width, below) = (middle - from, to - middle, n - middle);
    // U₁₂ = L₁₁⁻¹ A₁₂, then A₂₂ - L₂₁ U₁₂.
    let l = copied(a, place.part(from, from), [n - from, known]);
    let triangle = Triangle { memory: &l, place: Place::rows(known), n: known, is_unit: true };
    let beside = place.part(from, middle);
    solve_lower(triangle, a, beside, width);
    let u = copied(a, beside, [known, width]);
    let (l, u) = ((&l[..], Place::rows(known).part(known, 0)), (&u[..], Place::rows(width)));
    T::multiply([below, width, known], (a, place.part(middle, middle)), l, u, Update::Subtract);
    columns(a, n, [middle, to], pivots);
    exchange(a, n, [from, middle], middle, &pivots[middle..to]);
}

/// Exchanges rows from `first` on, in these columns.
fn exchange<T: Real>(a: &mut [T], n: usize, [from, to]: [usize; 2], first: usize, pivots: &[usize]) {
    for (i, pivot) in (first..).zip(pivots) {
        if i != *pivot {
            let [upper, lower] = two_rows(a, n, [i, *pivot]);
            upper[from..to].swap_with_slice(&mut lower[from..to]);
        }
    }
}

fn eliminate<T: Real>(a: &mut [T], n: usize, [from, to]: [usize; 2], pivots: &mut Vec<usize>) {
    for k in from..to {
        let mut pivot = k;
        for i in k + 1..n {
            if a[i * n + k].abs() > a[pivot * n + k].abs() {
                pivot = i;
            }
        }
        pivots.push(pivot);
        exchange(a, n, [from, to], k, &[pivot]);
        let (above, below) = a.split_at_mut((k + 1) * n);
        let row = &above[k * n + k..k * n + to];
        let Some((diagonal, row)) = row.split_first() else { continue };
        if *diagonal == T::ZERO {
            continue;
        }
        for other in below.chunks_exact_mut(n) {
            let factor = other[k] / *diagonal;
            other[k] = factor;
            subtract(&mut other[k + 1..to], factor, row);
        }
    }
}
