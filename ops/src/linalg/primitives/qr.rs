//! `qr`: orthonormal columns and a triangle.

use super::{batched, last_two, matrices, results, rounded, sample, shaped, triangular_solve, wide, with_last};
use crate::Array;
use crate::linalg::host;
use crate::linalg::primitives::Side;
use crate::movement::operands;
use gavotte_core::aval::Aval;
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::{Batch, Batched, Jvp, Kind, Params, Primitive, Sample, Value, require_at_least};

/// Householder's factorisation.
#[derive(Debug)]
struct Qr;
/// The primitive `qr` of matrices with at least as many rows as columns: `Q` of the same shape with orthonormal columns, and
/// the upper triangle `R`, with `Q·R = A`. Signs are LAPACK's. It computes in `f64`.
pub(super) static QR: &dyn Primitive = &Qr;

/// `Q` and `R`.
#[track_caller]
pub(in crate::linalg) fn qr(x: &Array) -> [Array; 2] {
    results(QR, x)
}

/// Requires at least as many rows as columns.
pub(super) fn tall(x: &Aval) -> Result<(), TypeError> {
    let [m, n] = matrices(x)?;
    require_at_least(m, n, || format!("the matrices of {x} have fewer rows than columns: transpose them"))
}

impl Primitive for Qr {
    fn name(&self) -> &'static str {
        "qr"
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        let [x] = operands(ins)?;
        tall(x)?;
        let [_, n] = matrices(x)?;
        Ok(vec![x.clone(), with_last(x, &[n, n])])
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        let (x, [m, n]) = (ins[0], last_two(ins[0]));
        let (mut qs, mut rs) = (vec![], vec![]);
        for a in wide(x).chunks_exact((m * n).max(1)) {
            let [q, r] = host::qr::qr(a, [m, n]);
            qs.extend(q);
            rs.extend(r);
        }
        vec![rounded(&x.shape(), x.dtype(), qs), rounded(&shaped(x, &[n, n]), x.dtype(), rs)]
    }
    // With X = dA R⁻¹, M = Qᵀ X and the skew-symmetric Ω of what is below the diagonal of M: dQ = Q (Ω - M) + X,
    // dR = (M - Ω) R.
    // Source: Walter, Lehmann, *Algorithmic differentiation of linear algebra functions* (arXiv:1001.1654); JAX.
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let [Some(t)] = cx.tangents else { return vec![None; 2] };
        let [q, r] = [0, 1].map(|i| Array(cx.outs[i].clone()));
        let x = triangular_solve(&r, &Array(t.clone()), Side::right(false, false));
        let m = q.swap_axes(-1, -2).matmul(&x);
        let below = m.tril(-1);
        let rest = &m - (&below - below.swap_axes(-1, -2));
        vec![Some((x - q.matmul(&rest)).0), Some(rest.matmul(&r).0)]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        batched(QR, cx)
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
