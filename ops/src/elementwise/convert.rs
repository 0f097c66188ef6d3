//! `convert_element_type`, `bitcast_convert_type` and `stop_gradient`: the same values with another type, or cut off
//! from derivatives.

use super::eval::eval;
use super::row::of_dtype;
use super::{batch, read_all};
use gavotte_core::aval::{Aval, DType};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Linear, Lower, Params, Primitive, Rewrite, RewriteRule, Sample, Scalar, ScalarOp,
    Simplify, Transpose, Unsupported, Value, bind1,
};

/// The primitive `convert_element_type {dtype}`.
pub(crate) static CONVERT_ELEMENT_TYPE: &dyn Primitive = &Convert {
    name: "convert_element_type",
    op: ScalarOp::Convert,
    rewrites: &[RewriteRule {
        name: "convert-to-same-type",
        law: "convert_element_type(x, t) = x where x has the type t",
        apply: keeps_type,
    }],
};
/// The primitive `bitcast_convert_type {dtype}`: between types of one width.
pub(crate) static BITCAST_CONVERT_TYPE: &dyn Primitive = &Convert {
    name: "bitcast_convert_type",
    op: ScalarOp::Bitcast,
    rewrites: &[RewriteRule {
        name: "bitcast-to-same-type",
        law: "bitcast_convert_type(x, t) = x where x has the type t",
        apply: keeps_type,
    }],
};
/// The primitive `stop_gradient`: the same array, with derivative zero.
pub(crate) static STOP_GRADIENT: &dyn Primitive = &StopGradient;

/// A conversion to the attribute `dtype`.
#[derive(Debug)]
struct Convert {
    name: &'static str,
    op: fn(DType) -> ScalarOp,
    rewrites: &'static [RewriteRule],
}

fn keeps_type(cx: &Simplify<'_>) -> Option<Rewrite> {
    (cx.ins[0].dtype == cx.params().dtype("dtype")).then_some(Rewrite::Operand(0))
}

impl Convert {
    fn keeps_bits(&self) -> bool {
        matches!((self.op)(DType::F32), ScalarOp::Bitcast(_))
    }
}

/// `x` with its elements converted.
fn convert(x: &Value, dtype: DType) -> Value {
    match x.dtype() == dtype {
        true => x.clone(),
        false => bind1(CONVERT_ELEMENT_TYPE, &[x], Params::new().with("dtype", dtype)),
    }
}

fn one<'a>(ins: &[&'a Aval]) -> Result<&'a Aval, TypeError> {
    match ins {
        [x] => Ok(x),
        _ => Err(TypeError::new("takes one operand")),
    }
}

impl Primitive for Convert {
    fn name(&self) -> &'static str {
        self.name
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["dtype"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let (x, to) = (one(ins)?, params.try_dtype("dtype")?);
        let bools = [x.dtype, to].iter().filter(|dtype| **dtype == DType::Bool).count();
        if self.keeps_bits() && (x.dtype.size() != to.size() || bools == 1) {
            return Err(TypeError::new(format!(
                "{} and {to} have different widths: `astype` converts numbers",
                x.dtype
            )));
        }
        Ok(vec![x.with_dtype(to)])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        vec![eval((self.op)(params.dtype("dtype")), ins)]
    }
    // linear between floats, constant almost everywhere otherwise
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let to = cx.params.dtype("dtype");
        let linear = to.is_float() && (!self.keeps_bits() || to == cx.primals[0].dtype());
        vec![cx.tangents[0].as_ref().filter(|_| linear).map(|t| convert(t, to))]
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        vec![match &cx.ins[0] {
            Linear::Unknown(aval) => Some(convert(cx.cotangent(), aval.dtype)),
            Linear::Known(_) => None,
        }]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        batch(self.name, cx)
    }
    fn kind(&self) -> Kind {
        Kind::Map { cost: (self.op)(DType::F32).cost() }
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let ins = read_all(cx)?;
        let to = cx.output(0).dtype;
        Ok(vec![if cx.operand(0).dtype == to { ins[0] } else { cx.op((self.op)(to), &ins) }])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (ins, to) = (cx.operands(), cx.output(0).dtype);
        Ok(vec![cx.scalar((self.op)(to), &ins)])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        self.rewrites
    }
    fn samples(&self) -> Vec<Sample> {
        use DType::{Bool, F32, F64, I32, U32};
        let points = [2.5, -1.75, 0.0, 100.0];
        let sample = |name, from, to: DType| {
            Sample::new(name, vec![of_dtype(from, &[2, 2], &points)], Params::new().with("dtype", to))
        };
        if self.keeps_bits() {
            return vec![
                sample("f32 to u32", F32, U32),
                sample("u32 to f32", U32, F32),
                sample("i32 to u32", I32, U32),
                sample("f32 to f32", F32, F32),
            ];
        }
        vec![
            sample("f32 to f64", F32, F64),
            sample("f64 to f32", F64, F32),
            sample("f32 to i32", F32, I32),
            sample("f32 to u32", F32, U32),
            sample("f64 to bool", F64, Bool),
            sample("i32 to f32", I32, F32),
            sample("i32 to u32", I32, U32),
            sample("u32 to f64", U32, F64),
            sample("bool to f32", Bool, F32),
            sample("f64 to f64", F64, F64),
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
