//! `Q` and `R`.

use super::copied;
use super::reflectors::{Reflectors, reflector};
use gavotte_core::runtime::Place;

/// Columns that are eliminated one by one.
const BLOCK: usize = 32;

/// `Q` with orthonormal columns and the upper triangle `R` with `Q·R = A`, for `m ≥ n`. The diagonal of `R` has the signs that
/// LAPACK's has.
pub(in crate::linalg) fn qr(a: &[f64], [m, n]: [usize; 2]) -> [Vec<f64>; 2] {
    let mut work = a.to_vec();
    let (place, mut blocks) = (Place::rows(n), vec![]);
    for left in (0..n).step_by(BLOCK) {
        let (right, rows) = (n.min(left + BLOCK), m - left);
        let (v, taus) = panel(&mut work, place.part(left, left), [rows, right - left]);
        let reflectors = Reflectors::new(v, &taus);
        if right < n {
            reflectors.apply(true, &mut work, place.part(left, right), n - right);
        }
        blocks.push((left, reflectors));
    }
    let mut q = vec![0.0; m * n];
    (0..n).for_each(|i| q[i * n + i] = 1.0);
    for (left, reflectors) in blocks.iter().rev() {
        reflectors.apply(false, &mut q, place.part(*left, *left), n - left);
    }
    work.truncate(n * n);
    (0..n).for_each(|i| work[i * n..i * n + i].fill(0.0));
    [q, work]
}

/// Eliminates below the diagonal of a few columns; returns the reflections' vectors, as columns, and factors.
fn panel(a: &mut [f64], at: Place, [rows, width]: [usize; 2]) -> (Vec<f64>, Vec<f64>) {
    let mut x = copied(a, at, [rows, width]);
    let (mut v, mut taus) = (vec![0.0; rows * width], vec![]);
    for k in 0..width {
        let mut column: Vec<f64> = (k..rows).map(|i| x[i * width + k]).collect();
        let [tau, beta] = reflector(&mut column);
        taus.push(tau);
        let mut sums = vec![0.0; width - k - 1];
        for (row, v) in x[k * width..].chunks_exact(width).zip(&column) {
            sums.iter_mut().zip(&row[k + 1..]).for_each(|(sum, x)| *sum += v * x);
        }
        sums.iter_mut().for_each(|sum| *sum *= tau);
        for (row, v) in x[k * width..].chunks_exact_mut(width).zip(&column) {
            super::subtract(&mut row[k + 1..], *v, &sums);
        }
        x[k * width + k] = beta;
        column.iter().enumerate().for_each(|(i, x)| v[(k + i) * width + k] = *x);
    }
    for i in 0..width {
        let first = at.at(i, i);
        a[first..first + width - i].copy_from_slice(&x[i * width + i..(i + 1) * width]);
    }
    (v, taus)
}
