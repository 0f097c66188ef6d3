//! `weigh`: a product that ignores elements whose weight is 0.

use super::eval::eval;
use super::row::of_dtype;
use super::{ADD, MUL, batch, common_dtype, common_shape, fit, fit_back, read_all};
use gavotte_core::aval::{Aval, DType, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Linear, Lower, Params, Primitive, Sample, Scalar, ScalarOp, Transpose, Unsupported,
    Value, bind1,
};

/// A product with weights, many of which a mask has set to 0.
#[derive(Debug)]
struct Weigh;
/// The primitive `weigh w, x`: `w · x`, where `x` counts as 0 wherever `w` is 0. So a sum of weighted rows need not
/// read the rows that a mask dropped, and no derivative with respect to `x` passes there.
pub(crate) static WEIGH: &dyn Primitive = &Weigh;

pub(crate) fn weigh(w: &Value, x: &Value) -> Value {
    bind1(WEIGH, &[w, x], Params::new())
}

impl Primitive for Weigh {
    fn name(&self) -> &'static str {
        "weigh"
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        let [_, _] = ins else { return Err(TypeError::new("takes weights and weighted elements")) };
        let dtype = common_dtype(ins)?;
        if !dtype.is_float() {
            return Err(TypeError::new(format!("takes floats, not {dtype}: convert with `astype` first")));
        }
        Ok(vec![Aval { dtype, shape: common_shape(ins)? }])
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        let zero = HostArray::scalar(Literal::from_f64(ins[0].dtype(), 0.0));
        let counts = eval(ScalarOp::Ne, &[ins[0], &zero]);
        let kept = eval(ScalarOp::Select, &[&counts, &zero, ins[1]]);
        vec![eval(ScalarOp::Mul, &[ins[0], &kept])]
    }
    fn computed_in(&self, dtype: DType) -> DType {
        dtype.computed()
    }
    // d(w x) = w dx if w is not 0, + dw x: a weight that happens to be 0 has its derivative
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let (w, x) = (&cx.primals[0], &cx.primals[1]);
        let parts = [cx.tangents[0].as_ref().map(|t| MUL.of([t, x])), cx.tangents[1].as_ref().map(|t| weigh(w, t))];
        let sum = parts.into_iter().flatten().reduce(|a, b| ADD.of([&a, &b]));
        vec![sum.map(|t| fit(t, &cx.outs[0]))]
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let ct = cx.cotangent();
        vec![
            match (&cx.ins[0], cx.ins[1].known()) {
                (Linear::Unknown(aval), Some(x)) => Some(fit_back(MUL.of([ct, x]), aval)),
                _ => None,
            },
            match (cx.ins[0].known(), &cx.ins[1]) {
                (Some(w), Linear::Unknown(aval)) => Some(fit_back(weigh(w, ct), aval)),
                _ => None,
            },
        ]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        batch(self.name(), cx)
    }
    fn kind(&self) -> Kind {
        Kind::Map { cost: ScalarOp::Mul.cost() }
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let ins = read_all(cx)?;
        let zero = cx.constant(Literal::from_f64(cx.output(0).dtype, 0.0));
        let counts = cx.op(ScalarOp::Ne, &[ins[0], zero]);
        let kept = cx.op(ScalarOp::Select, &[counts, zero, ins[1]]);
        Ok(vec![cx.op(ScalarOp::Mul, &[ins[0], kept])])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (ins, out) = (cx.fitted(), cx.output(0));
        let zero = cx.splat(Literal::from_f64(out.dtype, 0.0), &ins[0].shape());
        let counts = cx.scalar(ScalarOp::Ne, &[ins[0].clone(), zero.clone()]);
        let kept = cx.scalar(ScalarOp::Select, &[counts, zero, ins[1].clone()]);
        Ok(vec![cx.scalar(ScalarOp::Mul, &[ins[0].clone(), kept])])
    }
    fn samples(&self) -> Vec<Sample> {
        let (w, x) = ([0.5, -1.5, 2.0, -0.25], [3.0, 0.25, -4.0, 1.0]);
        let all = |dtype| vec![of_dtype(dtype, &[2, 2], &w), of_dtype(dtype, &[2, 2], &x)];
        let scalar = |x: f32| HostArray::scalar(Literal::F32(x));
        vec![
            Sample::new("f32", all(DType::F32), Params::new()),
            Sample::new("f64", all(DType::F64), Params::new()),
            Sample::new("one weight", vec![scalar(0.5), all(DType::F32).swap_remove(1)], Params::new()),
            Sample::new("one number", vec![all(DType::F32).swap_remove(0), scalar(-2.0)], Params::new()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use crate::Array;
    use gavotte_core::api::{grad, jvp};

    #[test]
    fn what_a_mask_drops_counts_for_nothing() {
        let w = || Array::new(&[4], vec![0.0f32, -0.0, 2.0, 0.0]);
        let x = || Array::new(&[4], vec![f32::NAN, f32::INFINITY, 3.0, 5.0]);
        assert_eq!(w().weigh(&x()).to_vec::<f32>(), [0.0, 0.0, 6.0, 0.0]);
        let back = grad(|x: Array, w: Array| (w.weigh(&x).log() * 0.0).sum(()))(x(), w()).to_vec::<f32>();
        assert!(back.iter().enumerate().all(|(i, ct)| *ct == 0.0 || i == 2), "{back:?}");
        // The derivative in a weight is the weighted element, also where the weight is 0.
        let slope = grad(|w: Array, x: Array| w.weigh(&x).sum(()))(w(), x()).to_vec::<f32>();
        assert!(slope[0].is_nan() && slope[1..] == [f32::INFINITY, 3.0, 5.0], "{slope:?}");
        let ones = Array::new(&[4], vec![1f32; 4]);
        let pushed = jvp(&|x: Array| w().weigh(&x), (x(),), (ones,)).1.to_vec::<f32>();
        assert_eq!(pushed, [0.0, 0.0, 2.0, 0.0]);
    }
}
