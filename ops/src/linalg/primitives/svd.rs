//! `svd`: singular values and vectors.

use super::qr::tall;
use super::{batched, diagonal, divided, last_two, matrices, results, rounded, sample, shaped, wide, with_last};
use crate::Array;
use crate::linalg::host;
use crate::movement::operands;
use gavotte_core::aval::Aval;
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::{Batch, Batched, Jvp, Kind, Params, Primitive, Sample, Value};

/// The singular value decomposition.
#[derive(Debug)]
struct Svd;
/// The primitive `svd` of matrices with at least as many rows as columns: `U` of the same shape with orthonormal columns, the
/// singular values in descending order, and the orthogonal `Vᵀ`, with `U·diag(s)·Vᵀ = A`. In each column of `U`, the first of
/// the largest elements is positive. It computes in `f64`. All is NaN if an element is not finite.
pub(super) static SVD: &dyn Primitive = &Svd;

/// `U`, the singular values and `Vᵀ`.
#[track_caller]
pub(in crate::linalg) fn svd(x: &Array) -> [Array; 3] {
    results(SVD, x)
}

impl Primitive for Svd {
    fn name(&self) -> &'static str {
        "svd"
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        let [x] = operands(ins)?;
        tall(x)?;
        let [_, n] = matrices(x)?;
        Ok(vec![x.clone(), with_last(x, &[n]), with_last(x, &[n, n])])
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        let (x, [m, n]) = (ins[0], last_two(ins[0]));
        let [mut us, mut values, mut vts] = [(); 3].map(|()| vec![]);
        for a in wide(x).chunks_exact((m * n).max(1)) {
            let [u, s, vt] = host::jacobi::svd(a, [m, n]);
            us.extend(u);
            values.extend(s);
            vts.extend(vt);
        }
        let of = |last: &[usize], xs| rounded(&shaped(x, last), x.dtype(), xs);
        vec![of(&[m, n], us), of(&[n], values), of(&[n, n], vts)]
    }
    // With M = Uᵀ dA V and Fᵢⱼ = 1 / (sⱼ² - sᵢ²) besides the diagonal: ds is the diagonal of M, dV = V (F ∘ (S M + Mᵀ S)),
    // dU = U (F ∘ (M S + S Mᵀ)), and of what is outside the span of U, (I - U Uᵀ) dA V S⁻¹.
    // Source: Giles, *An extended collection of matrix derivative results for forward and reverse mode automatic
    // differentiation* (Oxford, 2008), 3.2; Townsend, *Differentiating the singular value decomposition* (2016).
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let [Some(t)] = cx.tangents else { return vec![None; 3] };
        let [u, s, vt] = [0, 1, 2].map(|i| Array(cx.outs[i].clone()));
        let turned = |x: &Array| x.swap_axes(-1, -2);
        let moved = Array(t.clone()).matmul(&turned(&vt));
        let m = turned(&u).matmul(&moved);
        let (row, column) = (s.expand_dims(-2), s.expand_dims(-1));
        let difference = (&row + &column) * (&row - &column);
        let (ms, sm) = (&m * &row, &m * &column);
        let du = u.matmul(&divided(&(&ms + turned(&ms)), &difference));
        let dv = divided(&(&sm + turned(&sm)), &difference);
        // Of a square matrix, nothing is outside.
        let du = du + (moved - u.matmul(&m)) * s.reciprocal().expand_dims(-2);
        vec![Some(du.0), Some(diagonal(&m).0), Some(turned(&dv).matmul(&vt).0)]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        batched(SVD, cx)
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn samples(&self) -> Vec<Sample> {
        let wide = HostArray::new(&[2, 2], vec![0.25f64, 2.0, 1.0, 0.5]);
        vec![
            Sample::new("one", vec![sample(&[3, 3], 1.5)], Params::new()),
            Sample::new("tall", vec![sample(&[4, 2], 1.5)], Params::new()),
            Sample::new("a batch", vec![sample(&[2, 4, 3], 1.5)], Params::new()),
            Sample::new("f64", vec![wide], Params::new()),
        ]
    }
}
