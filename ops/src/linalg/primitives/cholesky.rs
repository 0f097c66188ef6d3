//! `cholesky`: the lower factor of positive definite matrices.

use super::{batched, last_two, sample, square, symmetric_part, triangular_solve};
use crate::linalg::host::{self, Real};
use crate::linalg::primitives::Side;
use crate::movement::operands;
use crate::{Array, tri};
use gavotte_core::aval::{Aval, DType, Literal};
use gavotte_core::device::{Data, HostArray};
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand, axes, number};
use gavotte_core::ir::{Batch, Batched, Jvp, Kind, Params, Primitive, Sample, ScalarOp, Unsupported, Value, bind1};

/// Cholesky's factorisation.
#[derive(Debug)]
struct Cholesky;
/// The primitive `cholesky`: `L` with `L·Lᵀ = (A + Aᵀ)/2` and zeros above the diagonal. If that is not positive definite, `L`
/// is NaN on and below the diagonal.
pub(super) static CHOLESKY: &dyn Primitive = &Cholesky;

/// The lower factor of the symmetric part of matrices.
#[track_caller]
pub(in crate::linalg) fn cholesky(x: &Array) -> Array {
    Array(bind1(CHOLESKY, &[&x.0], Params::new()))
}

fn factors<T: Real>(x: &HostArray) -> HostArray {
    let [n, _] = last_two(x);
    let matrices = x.as_slice::<T>().chunks_exact((n * n).max(1));
    HostArray::new(&x.shape(), matrices.flat_map(|a| host::cholesky::cholesky(a, n)).collect())
}

impl Primitive for Cholesky {
    fn name(&self) -> &'static str {
        "cholesky"
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        let [x] = operands(ins)?;
        square(x)?;
        Ok(vec![x.clone()])
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        vec![match ins[0].data() {
            Data::F32(_) => factors::<f32>(ins[0]),
            _ => factors::<f64>(ins[0]),
        }]
    }
    // dL = L Φ(L⁻¹ dA L⁻ᵀ), where Φ takes what is below the diagonal and half of the diagonal.
    // Source: Murray, *Differentiation of the Cholesky decomposition* (arXiv:1602.07527).
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let [Some(t)] = cx.tangents else { return vec![None] };
        let l = Array(cx.outs[0].clone());
        let moved = triangular_solve(&l, &symmetric_part(&Array(t.clone())), Side::right(true, true));
        let inner = triangular_solve(&l, &moved, Side::left(true, false));
        let n = l.dim(l.ndim() - 1);
        let weights = (tri(&n, &n, -1, l.dtype()) + 1.0) * 0.5;
        vec![Some(l.matmul(&(inner.tril(0) * weights)).0)]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        batched(CHOLESKY, cx)
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    /// StableHLO's reads one triangle only, and leaves the other one open.
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (x, out) = (cx.operand(0), cx.output(0));
        if x.shape().contains(&0) {
            return Ok(vec![x]);
        }
        let rank = x.rank();
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 2, rank - 1);
        let turned = cx.op("transpose", &[&x], &[("permutation", axes(&order))], out.clone());
        let sum = cx.scalar(ScalarOp::Add, &[x.clone(), turned]);
        let half = cx.splat(Literal::from_f64(out.dtype, 0.5), &x.shape());
        let symmetric = cx.scalar(ScalarOp::Mul, &[sum, half]);
        let l = cx.op("cholesky", &[&symmetric], &[("lower", "true".into())], out.clone());
        let counts = Aval::new(DType::I32, x.shape());
        let [row, column] =
            [rank - 2, rank - 1].map(|axis| cx.op("iota", &[], &[("iota_dimension", number(axis))], counts.clone()));
        let is_below = cx.scalar(ScalarOp::Ge, &[row, column]);
        let zero = cx.splat(Literal::from_f64(out.dtype, 0.0), &x.shape());
        Ok(vec![cx.op("select", &[&is_below, &l, &zero], &[], out)])
    }
    fn samples(&self) -> Vec<Sample> {
        let of = |x: HostArray| vec![x];
        let wide = HostArray::new(&[2, 2], vec![2.0f64, 0.5, 0.25, 1.0]);
        vec![
            Sample::new("one", of(sample(&[3, 3], 4.0)), Params::new()),
            Sample::new("a batch", of(sample(&[2, 3, 3], 4.0)), Params::new()),
            Sample::new("f64", of(wide), Params::new()),
        ]
    }
}
