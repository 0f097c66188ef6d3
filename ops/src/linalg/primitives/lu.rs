//! `lu`: triangular factors of matrices with exchanged rows.

use super::{batched, last_two, results, sample, shaped, square, triangular_solve, with_last};
use crate::gather::gather;
use crate::linalg::host::{self, Real};
use crate::linalg::primitives::Side;
use crate::movement::operands;
use crate::{Array, eye};
use gavotte_core::aval::{Aval, DType};
use gavotte_core::device::{Data, HostArray};
use gavotte_core::error::TypeError;
use gavotte_core::ir::{Batch, Batched, Jvp, Kind, Params, Primitive, Sample, Value};

/// Gauss's elimination with partial pivoting.
#[derive(Debug)]
struct Lu;
/// The primitive `lu` of square matrices: in one matrix `L` below the diagonal, whose own diagonal is ones, and `U` on and
/// above it; with which row each row was exchanged, one after the other; and the order of the rows after that, `p` with
/// `A[p] = L·U`. Both are of type `i32`.
pub(super) static LU: &dyn Primitive = &Lu;

/// The factors in one matrix, the exchanges and the order of the rows.
#[track_caller]
pub(in crate::linalg) fn lu(x: &Array) -> [Array; 3] {
    results(LU, x)
}

fn factors<T: Real>(x: &HostArray) -> Vec<HostArray> {
    let [n, _] = last_two(x);
    let mut lu = x.as_slice::<T>().to_vec();
    let (mut pivots, mut orders) = (vec![], vec![]);
    for a in lu.chunks_exact_mut((n * n).max(1)) {
        let exchanges = host::lu::factor(a, n);
        orders.extend(host::lu::permutation(&exchanges).into_iter().map(|i| i as i32));
        pivots.extend(exchanges.into_iter().map(|i| i as i32));
    }
    let shape = shaped(x, &[n]);
    vec![HostArray::new(&x.shape(), lu), HostArray::new(&shape, pivots), HostArray::new(&shape, orders)]
}

impl Primitive for Lu {
    fn name(&self) -> &'static str {
        "lu"
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        let [x] = operands(ins)?;
        let rows = Aval { dtype: DType::I32, ..with_last(x, &[square(x)?]) };
        Ok(vec![x.clone(), rows.clone(), rows])
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        match ins[0].data() {
            Data::F32(_) => factors::<f32>(ins[0]),
            _ => factors::<f64>(ins[0]),
        }
    }
    // With X = L⁻¹ dA U⁻¹: dL = L · (X below the diagonal), dU = (X on and above it) · U.
    // Source: de Hoog, Anderssen, Lukas, *Differentiation of matrix functionals using triangular factorization* (Math. Comp.
    // 80, 2011).
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let [Some(t)] = cx.tangents else { return vec![None; 3] };
        let lu = Array(cx.outs[0].clone());
        let leading = lu.ndim() - 2;
        let t = Array(gather(t, &cx.outs[2], leading, leading));
        let (l, u) = (lu.tril(-1) + eye(lu.dim(leading), lu.dtype()), lu.triu(0));
        let x = triangular_solve(&lu, &t, Side { unit: true, ..Side::left(true, false) });
        let x = triangular_solve(&lu, &x, Side::right(false, false));
        vec![Some((l.matmul(&x.tril(-1)) + x.triu(0).matmul(&u)).0), None, None]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        batched(LU, cx)
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn samples(&self) -> Vec<Sample> {
        let wide = HostArray::new(&[2, 2], vec![0.25f64, 2.0, 1.0, 0.5]);
        let singular = HostArray::new(&[2, 2], vec![1.0f32, 2.0, 2.0, 4.0]);
        vec![
            Sample::new("one", vec![sample(&[3, 3], 0.5)], Params::new()),
            Sample::new("a batch", vec![sample(&[2, 3, 3], 0.5)], Params::new()),
            Sample::new("f64", vec![wide], Params::new()),
            Sample::new("singular", vec![singular], Params::new()),
            Sample::new("nothing", vec![sample(&[0, 0], 0.0)], Params::new()),
        ]
    }
}
