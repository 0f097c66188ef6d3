//! Eigenvalues and eigenvectors of symmetric matrices.

use super::reflectors::{Reflectors, reflector};
use super::{dot, scale, subtract, transposed, two_rows};
use gavotte_core::runtime::Place;

/// Reflections that are applied together.
const BLOCK: usize = 32;
/// Iterations for each eigenvalue, on the average, after which an iteration counts as failed. It takes two.
const ITERATIONS: usize = 30;

/// The eigenvalues of a symmetric matrix in ascending order, and the eigenvectors as columns; all NaN if an element is not
/// finite.
pub(in crate::linalg) fn eigh(a: &[f64], n: usize) -> [Vec<f64>; 2] {
    let nan = || [vec![f64::NAN; n], vec![f64::NAN; n * n]];
    let Some(one) = scale(a) else { return nan() };
    let mut work: Vec<f64> = a.iter().map(|x| x * one).collect();
    let (mut d, mut e, mut rows) = tridiagonal(&mut work, n);
    if !diagonal(&mut d, &mut e, &mut rows) {
        return nan();
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|i, j| d[*i].total_cmp(&d[*j]));
    let values = order.iter().map(|i| d[*i] / one).collect();
    let sorted: Vec<f64> = order.iter().flat_map(|i| signed(&rows[i * n..(i + 1) * n]).1).collect();
    [values, transposed(&sorted, [n, n])]
}

/// A vector or its opposite, and the sign: of its elements, the first of the largest ones is positive.
pub(super) fn signed(x: &[f64]) -> (f64, Vec<f64>) {
    let largest = x.iter().fold(0.0f64, |most, x| if x.abs() > most.abs() { *x } else { most });
    let sign = 1f64.copysign(largest);
    (sign, x.iter().map(|x| sign * x).collect())
}

/// The diagonal and the elements beside it of `Qᵀ A Q`, and `Qᵀ`. The matrix is overwritten.
///
/// Source: Golub, Van Loan, *Matrix computations*, 8.3.1.
fn tridiagonal(a: &mut [f64], n: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (mut e, mut taus) = (vec![0.0; n], vec![]);
    for k in 0..n.saturating_sub(1) {
        let (above, below) = a.split_at_mut((k + 1) * n);
        let v = &mut above[k * n + k + 1..];
        let [tau, beta] = reflector(v);
        taus.push(tau);
        e[k] = beta;
        // A - v wᵀ - w vᵀ with w = p - τ/2 (pᵀv) v, p = τ A v.
        let mut w: Vec<f64> = below.chunks_exact(n).map(|row| tau * dot(&row[k + 1..], v)).collect();
        let along = tau / 2.0 * dot(&w, v);
        subtract(&mut w, along, v);
        for (i, row) in below.chunks_exact_mut(n).enumerate() {
            let (vi, wi) = (v[i], w[i]);
            row[k + 1..].iter_mut().zip(&*v).zip(&w).for_each(|((x, v), w)| *x -= vi * w + wi * v);
        }
    }
    let d = (0..n).map(|i| a[i * n + i]).collect();
    let mut q = vec![0.0; n * n];
    (0..n).for_each(|i| q[i * n + i] = 1.0);
    // The vector of reflection k is in row k, from column k + 1 on.
    let starts: Vec<usize> = (0..taus.len()).step_by(BLOCK).collect();
    for first in starts.into_iter().rev() {
        let (width, rows) = (BLOCK.min(taus.len() - first), n - first - 1);
        let mut v = vec![0.0; rows * width];
        for k in 0..width {
            (k..rows).for_each(|i| v[i * width + k] = a[(first + k) * n + first + 1 + i]);
        }
        let reflectors = Reflectors::new(v, &taus[first..first + width]);
        reflectors.apply(false, &mut q, Place::rows(n).part(first + 1, first + 1), rows);
    }
    (d, e, transposed(&q, [n, n]))
}

/// Makes a tridiagonal matrix diagonal by the implicit QL algorithm, and rotates rows along with it. Whether it converges.
///
/// Source: Bowdler, Martin, Reinsch, Wilkinson, *The QR and QL algorithms for symmetric matrices* (Numer. Math. 11, 1968).
fn diagonal(d: &mut [f64], e: &mut [f64], rows: &mut [f64]) -> bool {
    let n = d.len();
    let mut left = ITERATIONS * n;
    for l in 0..n {
        loop {
            let is_small = |m: &usize| *m + 1 == n || e[*m].abs() <= f64::EPSILON * (d[*m].abs() + d[m + 1].abs());
            let m = (l..n).find(is_small).expect("the last one has nothing beside it");
            if m == l {
                break;
            }
            if left == 0 {
                return false;
            }
            left -= 1;
            let g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let mut g = d[m] - d[l] + e[l] / (g + g.hypot(1.0).copysign(g));
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut is_split = false;
            for i in (l..m).rev() {
                let (f, b) = (s * e[i], c * e[i]);
                let r = f.hypot(g);
                e[i + 1] = r;
                if r == 0.0 {
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    is_split = true;
                    break;
                }
                (s, c) = (f / r, g / r);
                g = d[i + 1] - p;
                let r = (d[i] - g) * s + 2.0 * c * b;
                p = s * r;
                d[i + 1] = g + p;
                g = c * r - b;
                rotate(rows, n, [i, i + 1], [c, s]);
            }
            if !is_split {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
    true
}

/// Rows `x` and `y` become `c x - s y` and `s x + c y`.
pub(super) fn rotate(rows: &mut [f64], n: usize, pair: [usize; 2], [c, s]: [f64; 2]) {
    let [xs, ys] = two_rows(rows, n, pair);
    for (x, y) in xs.iter_mut().zip(ys) {
        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    }
}
