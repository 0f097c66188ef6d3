//! Singular values and vectors.

use super::qr::qr;
use super::symmetric::{eigh, rotate, signed};
use super::{dot, scale, subtract, transposed, two_rows};
use gavotte_core::runtime::{MatrixElement, Place, Update};

/// Passes over all pairs of rows after which the result is taken as it is. Two or three are needed.
const SWEEPS: usize = 40;

/// `U`, the singular values in descending order and `Vᵀ` with `U·diag(s)·Vᵀ = A`, for `m ≥ n`; all NaN if an element is not
/// finite.
///
/// `A = Q·R`, and rotations from the left make the rows of `R` orthogonal: `W = J·R`. The lengths of the rows of `W` are the
/// singular values, their directions the rows of `Vᵀ`, and `U = Q·Jᵀ`. The eigenvectors of `R·Rᵀ` are nearly the rotations
/// wanted, as far as squares of singular values have digits; Jacobi's rotations do the rest.
///
/// Source: Hestenes, *Inversion of matrices by biorthogonalization* (J. SIAM 6, 1958); Drmač, Veselić, *New fast and accurate
/// Jacobi SVD algorithm* (SIAM J. Matrix Anal. Appl. 29, 2008).
pub(in crate::linalg) fn svd(a: &[f64], [m, n]: [usize; 2]) -> [Vec<f64>; 3] {
    let Some(one) = scale(a) else { return [m * n, n, n * n].map(|len| vec![f64::NAN; len]) };
    let scaled: Vec<f64> = a.iter().map(|x| x * one).collect();
    let [q, r] = qr(&scaled, [m, n]);
    let place = Place::rows(n);
    let (mut squares, mut rows) = (vec![0.0; n * n], vec![0.0; n * n]);
    f64::multiply([n, n, n], (&mut squares, place), (&r, place), (&r, place.transposed()), Update::Write);
    let [_, vectors] = eigh(&squares, n);
    let mut turns = transposed(&vectors, [n, n]);
    f64::multiply([n, n, n], (&mut rows, place), (&turns, place), (&r, place), Update::Write);
    for _ in 0..SWEEPS {
        if !sweep(&mut rows, &mut turns, n) {
            break;
        }
    }
    let lengths: Vec<f64> = rows.chunks_exact(n.max(1)).map(|row| dot(row, row).sqrt()).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|i, j| lengths[*j].total_cmp(&lengths[*i]));
    let values = order.iter().map(|i| lengths[*i] / one).collect();
    let mut vt: Vec<f64> = vec![];
    for i in &order {
        let row = &rows[i * n..(i + 1) * n];
        match lengths[*i] > 0.0 {
            true => vt.extend(row.iter().map(|x| x / lengths[*i])),
            false => vt.extend(orthogonal(&vt, n)),
        }
    }
    let left: Vec<f64> = order.iter().flat_map(|i| &turns[i * n..(i + 1) * n]).copied().collect();
    // Rows of Uᵀ = J·Qᵀ.
    let mut ut = vec![0.0; n * m];
    let of_q = (&q[..], Place::rows(n).transposed());
    f64::multiply([n, m, n], (&mut ut, Place::rows(m)), (&left, Place::rows(n)), of_q, Update::Write);
    for (u, v) in ut.chunks_exact_mut(m.max(1)).zip(vt.chunks_exact_mut(n.max(1))) {
        let (sign, turned) = signed(u);
        u.copy_from_slice(&turned);
        v.iter_mut().for_each(|x| *x *= sign);
    }
    [transposed(&ut, [n, m]), values, vt]
}

/// Makes each pair of rows orthogonal, one after the other, and rotates the rows of `turns` along. Whether any was not.
fn sweep(rows: &mut [f64], turns: &mut [f64], n: usize) -> bool {
    let precision = f64::EPSILON * (n as f64).sqrt();
    let mut is_changed = false;
    for i in 0..n {
        for j in i + 1..n {
            let [x, y] = two_rows(rows, n, [i, j]);
            let (xx, yy, xy) = (dot(x, x), dot(y, y), dot(x, y));
            if xy.abs() <= precision * (xx.sqrt() * yy.sqrt()) {
                continue;
            }
            is_changed = true;
            let zeta = (yy - xx) / (2.0 * xy);
            let t = 1f64.copysign(zeta) / (zeta.abs() + zeta.hypot(1.0));
            let c = 1.0 / t.hypot(1.0);
            rotate(rows, n, [i, j], [c, c * t]);
            rotate(turns, n, [i, j], [c, c * t]);
        }
    }
    is_changed
}

/// A vector of length one that is orthogonal to these, which are fewer than it has elements: of the axes, what is left of
/// the one that has the largest part outside their span.
fn orthogonal(rows: &[f64], n: usize) -> Vec<f64> {
    let known = |i: usize| rows.chunks_exact(n).map(|row| row[i] * row[i]).sum::<f64>();
    let axis = (0..n).min_by(|i, j| known(*i).total_cmp(&known(*j))).expect("there is an axis");
    let mut x = vec![0.0; n];
    x[axis] = 1.0;
    // Twice is enough: Parlett, *The symmetric eigenvalue problem*, 6.9.
    for _ in 0..2 {
        for row in rows.chunks_exact(n) {
            let along = dot(row, &x);
            subtract(&mut x, along, row);
        }
        let length = dot(&x, &x).sqrt();
        x.iter_mut().for_each(|x| *x /= length);
    }
    x
}
