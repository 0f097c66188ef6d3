//! Elementwise functions that are compositions of others, but have a name and a derivative of their own.

use super::row::{Push, common_aval, float_samples, pushed};
use super::{MUL, batch};
use crate::array::{Array, apply};
use crate::custom::evaluated;
use crate::full_like;
use gavotte_core::aval::{Aval, DType};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::scalar::Types;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::{Batch, Batched, Jvp, Kind, Params, Primitive, Program, Sample, Unsupported, Value, trace};
use gavotte_core::transform::jvp;
use std::fmt;

/// A function of floats, element by element. Programs have it as one equation until derivatives are taken; then its
/// composition is put in its place, so that every target runs the same operations.
///
/// It is computed in double precision and rounded at the end: in `f32` a result is the number nearest to the true value,
/// or the next.
pub(crate) struct Composed {
    /// The name in programs.
    pub(crate) name: &'static str,
    /// The function of operands that are `f64` and may be scalars next to arrays.
    pub(crate) value: fn(&[Array]) -> Array,
    /// The derivative with respect to one operand, by its number, given operands and output.
    pub(crate) slope: fn(usize, &[Array], &Array) -> Array,
    /// For each operand four floats where the function is smooth.
    pub(crate) points: &'static [[f64; 4]],
}

impl fmt::Debug for Composed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Composed {
    /// Applies the function.
    #[track_caller]
    pub(crate) fn of<const N: usize>(&'static self, ins: [&Array; N]) -> Array {
        apply(self, &ins, Params::new())
    }

    /// The derivative with respect to one operand, by the derivatives of what it is composed of.
    #[track_caller]
    pub(crate) fn slope_of_composition(&self, operand: usize, ins: &[Array]) -> Array {
        let avals: Vec<Aval> = ins.iter().map(|x| x.0.aval().clone()).collect();
        let primals: Vec<Value> = ins.iter().map(|x| x.0.clone()).collect();
        let one = |(i, x): (usize, &Array)| (i == operand).then(|| full_like(x, 1.0).0);
        let tangents: Vec<Option<Value>> = ins.iter().enumerate().map(one).collect();
        let (outs, slopes) = jvp(&self.program(&avals), &[], &primals, &tangents);
        Array(slopes[0].clone().unwrap_or_else(|| full_like(&Array(outs[0].clone()), 0.0).0))
    }

    /// Its composition, for operands of these types.
    fn program(&self, ins: &[Aval]) -> Program {
        let traced = trace(self.name, ins, |args| {
            let dtype = args[0].dtype();
            let wide: Vec<Array> = args.into_iter().map(|x| Array(x).astype(DType::F64)).collect();
            vec![(self.value)(&wide).astype(dtype).0]
        });
        assert!(traced.consts.is_empty(), "{}: a composition has no constants but literals", self.name);
        traced.program.pruned()
    }
}

impl Primitive for Composed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        Ok(vec![common_aval(ins, self.points.len(), Types::Floats)?])
    }

    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        let avals: Vec<Aval> = ins.iter().map(|x| Aval::new(x.dtype(), x.shape())).collect();
        evaluated(&self.program(&avals), ins)
    }

    fn computed_in(&self, dtype: DType) -> DType {
        dtype.computed()
    }

    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let ins: Vec<Array> = cx.primals.iter().cloned().map(Array).collect();
        let out = Array(cx.outs[0].clone());
        vec![pushed(cx, |p: &Push<'_>| MUL.of([p.t, &(self.slope)(p.i, &ins, &out).0]))]
    }

    fn batch(&self, cx: &Batch<'_>) -> Batched {
        batch(self.name, cx)
    }

    fn kind(&self) -> Kind {
        Kind::Opaque
    }

    fn composition(&self, ins: &[Aval], _: &Params) -> Option<Program> {
        Some(self.program(ins))
    }

    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let ins = cx.operands();
        let avals: Vec<Aval> = ins.iter().map(|x| x.aval().clone()).collect();
        cx.program(&self.program(&avals), &ins)
    }

    fn samples(&self) -> Vec<Sample> {
        float_samples(self.points)
    }
}
