//! `eigh`: eigenvalues and eigenvectors of symmetric matrices.

use super::{
    batched, diagonal, divided, last_two, results, rounded, sample, shaped, square, symmetric_part, wide, with_last,
};
use crate::Array;
use crate::linalg::host;
use crate::movement::operands;
use gavotte_core::aval::Aval;
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::{Batch, Batched, Jvp, Kind, Params, Primitive, Sample, Value};

/// The symmetric eigenvalue problem.
#[derive(Debug)]
struct Eigh;
/// The primitive `eigh` of square matrices: the eigenvalues of `(A + Aᵀ)/2` in ascending order, and as columns the
/// eigenvectors, of length 1; of the elements of each, the first of the largest is positive. It computes in `f64`. All is NaN
/// if an element is not finite.
pub(super) static EIGH: &dyn Primitive = &Eigh;

/// Eigenvalues and eigenvectors.
#[track_caller]
pub(in crate::linalg) fn eigh(x: &Array) -> [Array; 2] {
    results(EIGH, x)
}

impl Primitive for Eigh {
    fn name(&self) -> &'static str {
        "eigh"
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        let [x] = operands(ins)?;
        Ok(vec![with_last(x, &[square(x)?]), x.clone()])
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        let (x, [n, _]) = (ins[0], last_two(ins[0]));
        let (mut values, mut vectors) = (vec![], vec![]);
        for a in wide(x).chunks_exact((n * n).max(1)) {
            let turned = host::transposed(a, [n, n]);
            let symmetric: Vec<f64> = a.iter().zip(&turned).map(|(x, y)| x * 0.5 + y * 0.5).collect();
            let [w, v] = host::symmetric::eigh(&symmetric, n);
            values.extend(w);
            vectors.extend(v);
        }
        vec![rounded(&shaped(x, &[n]), x.dtype(), values), rounded(&x.shape(), x.dtype(), vectors)]
    }
    // With M = Vᵀ dA V: dw is the diagonal of M, dV = V (F ∘ M), Fᵢⱼ = 1 / (wⱼ - wᵢ) besides the diagonal.
    // Source: Giles, *An extended collection of matrix derivative results for forward and reverse mode automatic
    // differentiation* (Oxford, 2008), 3.1.
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let [Some(t)] = cx.tangents else { return vec![None; 2] };
        let [w, v] = [0, 1].map(|i| Array(cx.outs[i].clone()));
        let m = v.swap_axes(-1, -2).matmul(&symmetric_part(&Array(t.clone())).matmul(&v));
        let turned = divided(&m, &(w.expand_dims(-2) - w.expand_dims(-1)));
        vec![Some(diagonal(&m).0), Some(v.matmul(&turned).0)]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        batched(EIGH, cx)
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn samples(&self) -> Vec<Sample> {
        let wide = HostArray::new(&[2, 2], vec![2.0f64, 0.5, 0.25, 1.0]);
        vec![
            Sample::new("one", vec![sample(&[3, 3], 1.5)], Params::new()),
            Sample::new("a batch", vec![sample(&[2, 3, 3], 1.5)], Params::new()),
            Sample::new("f64", vec![wide], Params::new()),
        ]
    }
}
