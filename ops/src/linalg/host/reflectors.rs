//! Products of Householder's reflections, which are applied as products of matrices.

use super::copied;
use gavotte_core::runtime::{MatrixElement, Place, Update};

/// Replaces a vector `x` by `v`, with `v₀ = 1`, so that `(I - τ v vᵀ) x = (β, 0, …)`; returns `τ` and `β`. As in LAPACK, `β`
/// has the opposite sign of `x₀`, and without anything to eliminate `τ` is 0.
///
/// Source: Golub, Van Loan, *Matrix computations*, 5.1; LAPACK, `dlarfg`.
pub(super) fn reflector(x: &mut [f64]) -> [f64; 2] {
    let Some((first, rest)) = x.split_first_mut() else { return [0.0; 2] };
    let square: f64 = rest.iter().map(|x| x * x).sum();
    let alpha = std::mem::replace(first, 1.0);
    if square == 0.0 {
        return [0.0, alpha];
    }
    let beta = -(alpha * alpha + square).sqrt().copysign(alpha);
    rest.iter_mut().for_each(|x| *x /= alpha - beta);
    [(beta - alpha) / beta, beta]
}

/// `H₁ ⋯ Hₖ = I - V T Vᵀ` with the vectors of the reflections as the columns of `V`.
///
/// Source: Schreiber, Van Loan, *A storage-efficient WY representation* (SIAM J. Sci. Stat. Comput. 10, 1989).
pub(super) struct Reflectors {
    v: Vec<f64>,
    t: Vec<f64>,
    /// Rows and columns of `V`.
    size: [usize; 2],
}

impl Reflectors {
    /// Of these vectors and their factors.
    pub(super) fn new(v: Vec<f64>, taus: &[f64]) -> Reflectors {
        let k = taus.len();
        let rows = v.len() / k.max(1);
        let mut products = vec![0.0; k * k];
        let place = Place::rows(k);
        let (by_column, by_row) = ((&v[..], place.transposed()), (&v[..], place));
        f64::multiply([k, k, rows], (&mut products, place), by_column, by_row, Update::Write);
        let mut t = vec![0.0; k * k];
        for j in 0..k {
            t[j * k + j] = taus[j];
            for i in 0..j {
                // Column j of T is -τ T VᵀV.
                let sum: f64 = (i..j).map(|l| t[i * k + l] * products[l * k + j]).sum();
                t[i * k + j] = -taus[j] * sum;
            }
        }
        Reflectors { v, t, size: [rows, k] }
    }

    /// Replaces a matrix with this number of columns by its product with the reflections, or with their transpose, from
    /// the left.
    pub(super) fn apply(&self, is_transposed: bool, c: &mut [f64], at: Place, columns: usize) {
        let [rows, k] = self.size;
        let (place, wide) = (Place::rows(k), Place::rows(columns));
        let below = copied(c, at, [rows, columns]);
        let (mut sums, mut turned) = (vec![0.0; k * columns], vec![0.0; k * columns]);
        let by_column = (&self.v[..], place.transposed());
        f64::multiply([k, columns, rows], (&mut sums, wide), by_column, (&below, wide), Update::Write);
        let t = (&self.t[..], if is_transposed { place.transposed() } else { place });
        f64::multiply([k, columns, k], (&mut turned, wide), t, (&sums, wide), Update::Write);
        f64::multiply([rows, columns, k], (c, at), (&self.v, place), (&turned, wide), Update::Subtract);
    }
}
