//! `bitcast_convert_type` and `stop_gradient`: the same bits with another type, and the same values cut off from
//! derivatives.

use super::row::of_dtype;
use super::{batch, read_all};
use gavotte_core::aval::{Aval, DType};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::convert_element_type;
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Linear, Lower, Params, Primitive, Rewrite, RewriteRule, Sample, Scalar, ScalarOp,
    Transpose, Unsupported, Value,
};

/// The primitive `bitcast_convert_type {dtype}`: between types of one width.
pub(crate) static BITCAST_CONVERT_TYPE: &dyn Primitive = &Bitcast;
/// The primitive `stop_gradient`: the same array, with derivative zero.
pub(crate) static STOP_GRADIENT: &dyn Primitive = &StopGradient;

/// The bits of `x` as elements of the type in the attribute `dtype`.
#[derive(Debug)]
struct Bitcast;

fn one<'a>(ins: &[&'a Aval]) -> Result<&'a Aval, TypeError> {
    match ins {
        [x] => Ok(x),
        _ => Err(TypeError::new("takes one operand")),
    }
}

impl Primitive for Bitcast {
    fn name(&self) -> &'static str {
        "bitcast_convert_type"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["dtype"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let (x, to) = (one(ins)?, params.try_dtype("dtype")?);
        let bools = [x.dtype, to].iter().filter(|dtype| **dtype == DType::Bool).count();
        if x.dtype.size() != to.size() || bools == 1 {
            return Err(TypeError::new(format!(
                "{} and {to} have different widths: `astype` converts numbers",
                x.dtype
            )));
        }
        Ok(vec![x.with_dtype(to)])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        vec![ins[0].bitcast(params.dtype("dtype"))]
    }
    // a change of type has no derivative
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let to = cx.params.dtype("dtype");
        let is_identity = to == cx.primals[0].dtype();
        vec![cx.tangents[0].clone().filter(|_| to.is_float() && is_identity)]
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        vec![match &cx.ins[0] {
            Linear::Unknown(aval) => Some(convert_element_type(cx.cotangent(), aval.dtype)),
            Linear::Known(_) => None,
        }]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        batch(self.name(), cx)
    }
    fn kind(&self) -> Kind {
        Kind::Map { cost: ScalarOp::Bitcast(DType::F32).cost() }
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let ins = read_all(cx)?;
        let to = cx.output(0).dtype;
        Ok(vec![if cx.operand(0).dtype == to { ins[0] } else { cx.op(ScalarOp::Bitcast(to), &ins) }])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (ins, to) = (cx.operands(), cx.output(0).dtype);
        Ok(vec![cx.scalar(ScalarOp::Bitcast(to), &ins)])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[RewriteRule {
            name: "bitcast-to-same-type",
            law: "bitcast_convert_type(x, t) = x where x has the type t",
            apply: |cx| (cx.ins[0].dtype == cx.params().dtype("dtype")).then_some(Rewrite::Operand(0)),
        }]
    }
    fn samples(&self) -> Vec<Sample> {
        use DType::{BF16, F16, F32, F64, I8, I32, I64, U8, U16, U32};
        let sample = |name, from, to: DType| {
            let x = of_dtype(from, &[2, 2], &[2.5, -1.75, 0.0, 100.0]);
            Sample::new(name, vec![x], Params::new().with("dtype", to))
        };
        vec![
            sample("f32 to u32", F32, U32),
            sample("u32 to f32", U32, F32),
            sample("i32 to u32", I32, U32),
            sample("f32 to f32", F32, F32),
            sample("f64 to i64", F64, I64),
            sample("f16 to u16", F16, U16),
            sample("u16 to bf16", U16, BF16),
            sample("i8 to u8", I8, U8),
        ]
    }
}

/// The identity with derivative zero.
#[derive(Debug)]
struct StopGradient;

impl Primitive for StopGradient {
    fn name(&self) -> &'static str {
        "stop_gradient"
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        Ok(vec![one(ins)?.clone()])
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        vec![ins[0].clone()]
    }
    // zero by definition
    fn jvp(&self, _: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![None]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        batch(self.name(), cx)
    }
    fn kind(&self) -> Kind {
        Kind::Map { cost: 0 }
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        Ok(read_all(cx)?.to_vec())
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        Ok(cx.operands())
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[RewriteRule {
            name: "stop-gradient",
            law: "stop_gradient(x) = x: derivatives are taken before any pass",
            apply: |_| Some(Rewrite::Operand(0)),
        }]
    }
    fn samples(&self) -> Vec<Sample> {
        vec![Sample::new("i32", vec![of_dtype(DType::I32, &[2, 2], &[1.0, -2.0, 3.0, 4.0])], Params::new())]
    }
}
