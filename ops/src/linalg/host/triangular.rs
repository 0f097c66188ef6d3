//! Triangular systems.

use super::{Real, copied};
use gavotte_core::runtime::{Place, Update};

/// Unknowns that are substituted one by one.
const BASE: usize = 16;
/// Columns that are solved together.
const WIDTH: usize = 16;

/// A triangular matrix: its elements, where they are, and whether its diagonal counts as ones.
#[derive(Clone, Copy)]
pub(in crate::linalg) struct Triangle<'a, T> {
    pub(in crate::linalg) memory: &'a [T],
    pub(in crate::linalg) place: Place,
    pub(in crate::linalg) n: usize,
    pub(in crate::linalg) is_unit: bool,
}

/// Solves `A·X = B` for a triangular matrix, in the memory of `B`, which has `m` columns.
pub(in crate::linalg) fn solve<T: Real>(a: Triangle<'_, T>, is_lower: bool, b: &mut [T], at: Place, m: usize) {
    if is_lower || a.n == 0 {
        return solve_lower(a, b, at, m);
    }
    // With unknowns and equations in reverse, an upper triangle is a lower one.
    let last = a.n - 1;
    let (corner, bottom) = (a.place.part(last, last), at.part(last, 0));
    let place = Place { down: -corner.down, across: -corner.across, ..corner };
    solve_lower(Triangle { place, ..a }, b, Place { down: -bottom.down, ..bottom }, m);
}

/// `L₁₁ X₁ = B₁`, then `L₂₂ X₂ = B₂ - L₂₁ X₁`.
pub(super) fn solve_lower<T: Real>(l: Triangle<'_, T>, b: &mut [T], at: Place, m: usize) {
    if l.n <= BASE {
        return substitute(l, b, at, m);
    }
    let half = (l.n / 2).next_multiple_of(BASE);
    solve_lower(Triangle { n: half, ..l }, b, at, m);
    let x = copied(b, at, [half, m]);
    let (below, rest) = (l.place.part(half, 0), l.n - half);
    T::multiply([rest, m, half], (b, at.part(half, 0)), (l.memory, below), (&x, Place::rows(m)), Update::Subtract);
    let corner = Triangle { place: l.place.part(half, half), n: rest, ..l };
    solve_lower(corner, b, at.part(half, 0), m);
}

/// Forward substitution, some columns at a time.
fn substitute<T: Real>(l: Triangle<'_, T>, b: &mut [T], at: Place, m: usize) {
    let mut triangle = [[T::ZERO; BASE]; BASE];
    for (i, row) in triangle.iter_mut().enumerate().take(l.n) {
        (0..=i).for_each(|j| row[j] = l.memory[l.place.at(i, j)]);
    }
    let mut tile = [[T::ZERO; WIDTH]; BASE];
    for left in (0..m).step_by(WIDTH) {
        let width = WIDTH.min(m - left);
        for (i, row) in tile.iter_mut().enumerate().take(l.n) {
            let first = at.at(i, left);
            match at.across {
                1 => row[..width].copy_from_slice(&b[first..first + width]),
                _ => (0..width).for_each(|j| row[j] = b[at.at(i, left + j)]),
            }
        }
        for i in 0..l.n {
            let mut row = tile[i];
            for k in 0..i {
                let f = triangle[i][k];
                (0..WIDTH).for_each(|j| row[j] -= f * tile[k][j]);
            }
            if !l.is_unit {
                let diagonal = triangle[i][i];
                row.iter_mut().for_each(|x| *x /= diagonal);
            }
            tile[i] = row;
        }
        for (i, row) in tile.iter().enumerate().take(l.n) {
            let first = at.at(i, left);
            match at.across {
                1 => b[first..first + width].copy_from_slice(&row[..width]),
                _ => (0..width).for_each(|j| b[at.at(i, left + j)] = row[j]),
            }
        }
    }
}
