//! `convert_element_type`: the same numbers with another type.

use crate::aval::{Aval, DType};
use crate::device::HostArray;
use crate::error::TypeError;
use crate::ir::stablehlo::{Export, Operand};
use crate::ir::{
    Batch, Batched, Jvp, Kind, Linear, Lower, Params, Primitive, Rewrite, RewriteRule, Sample, Scalar, ScalarOp,
    Simplify, Transpose, Unsupported, Value, bind1,
};

/// The primitive `convert_element_type {dtype}`.
pub static CONVERT_ELEMENT_TYPE: &dyn Primitive = &Convert;

/// `x` with its elements converted: see [`Literal::convert`](crate::aval::Literal::convert).
pub fn convert_element_type(x: &Value, dtype: DType) -> Value {
    match x.dtype() == dtype {
        true => x.clone(),
        false => bind1(CONVERT_ELEMENT_TYPE, &[x], to(dtype)),
    }
}

/// Its attributes.
pub(crate) fn to(dtype: DType) -> Params {
    Params::new().with("dtype", dtype)
}

#[derive(Debug)]
struct Convert;

fn keeps_type(cx: &Simplify<'_>) -> Option<Rewrite> {
    (cx.ins[0].dtype == cx.params().dtype("dtype")).then_some(Rewrite::Operand(0))
}

impl Primitive for Convert {
    fn name(&self) -> &'static str {
        "convert_element_type"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["dtype"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let [x] = ins else { return Err(TypeError::new("takes one operand")) };
        Ok(vec![x.with_dtype(params.try_dtype("dtype")?)])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        vec![ins[0].convert(params.dtype("dtype"))]
    }
    // linear between floats, constant almost everywhere otherwise
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let dtype = cx.params.dtype("dtype");
        vec![cx.tangents[0].as_ref().filter(|_| dtype.is_float()).map(|t| convert_element_type(t, dtype))]
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        vec![match &cx.ins[0] {
            Linear::Unknown(aval) => Some(convert_element_type(cx.cotangent(), aval.dtype)),
            Linear::Known(_) => None,
        }]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let (x, at) = &cx.ins[0];
        vec![(bind1(CONVERT_ELEMENT_TYPE, &[x], cx.params.clone()), *at)]
    }
    fn kind(&self) -> Kind {
        Kind::Map { cost: ScalarOp::Convert(DType::F32).cost() }
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let (index, from, to) = (cx.index(), cx.operand(0).dtype, cx.output(0).dtype);
        let x = cx.read(0, &index)?;
        Ok(vec![ScalarOp::conversions(from, to).fold(x, |x, op| cx.op(op, &[x]))])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (ins, to) = (cx.operands(), cx.output(0).dtype);
        Ok(vec![cx.scalar(ScalarOp::Convert(to), &ins)])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[RewriteRule {
            name: "convert-to-same-type",
            law: "convert_element_type(x, t) = x where x has the type t",
            apply: keeps_type,
        }]
    }
    fn samples(&self) -> Vec<Sample> {
        use DType::{BF16, Bool, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
        let doubles = HostArray::new(&[2, 2], vec![2.5f64, -1.75, 0.0, 100.0]);
        let sample = |name, from, dtype: DType| Sample::new(name, vec![doubles.convert(from)], to(dtype));
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
            sample("f32 to f16", F32, F16),
            sample("f16 to f64", F16, F64),
            sample("f64 to bf16", F64, BF16),
            sample("bf16 to f16", BF16, F16),
            sample("i64 to f16", I64, F16),
            sample("u32 to bf16", U32, BF16),
            sample("f32 to i8", F32, I8),
            sample("i8 to i64", I8, I64),
            sample("i16 to u8", I16, U8),
            sample("u16 to bool", U16, Bool),
            sample("u64 to i16", U64, I16),
            sample("bool to u16", Bool, U16),
            sample("f64 to u64", F64, U64),
        ]
    }
}
