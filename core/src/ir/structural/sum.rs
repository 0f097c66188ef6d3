//! `zeros` and `add_any`: what is left of a cotangent that nothing contributes to, and the sum of two.

use crate::aval::{Aval, DType, Literal};
use crate::device::{Data, HostArray};
use crate::error::TypeError;
use crate::ir::stablehlo::{Export, Operand};
use crate::ir::{
    Batch, Batched, Jvp, Kind, Linear, Lower, Params, Primitive, Rewrite, RewriteRule, Sample, Scalar, ScalarOp,
    Transpose, Unsupported, Value, bind1, require_extents,
};

/// All zeros of a type.
#[derive(Debug)]
struct Zeros;
/// The primitive `zeros {dtype, shape}`.
pub static ZEROS: &dyn Primitive = &Zeros;

/// All zeros of this type.
#[track_caller]
pub fn zeros(aval: &Aval) -> Value {
    bind1(ZEROS, &[], Params::new().with("dtype", aval.dtype).with("shape", &aval.shape))
}

impl Primitive for Zeros {
    fn name(&self) -> &'static str {
        "zeros"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["dtype", "shape"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        if !ins.is_empty() {
            return Err(TypeError::new("takes no operand"));
        }
        let out = Aval { dtype: params.try_dtype("dtype")?, shape: params.try_dims("shape")? };
        require_extents(&out.shape)?;
        Ok(vec![out])
    }
    fn eval(&self, _: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let shape = params.axes("shape");
        vec![HostArray::full(&shape, Literal::from_f64(params.dtype("dtype"), 0.0))]
    }
    fn jvp(&self, _: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![None]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        vec![(bind1(ZEROS, &[], cx.params.clone()), None)]
    }
    fn kind(&self) -> Kind {
        Kind::Generate
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let dtype = cx.output(0).dtype;
        Ok(vec![cx.constant(Literal::from_f64(dtype, 0.0))])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (shape, dtype) = (cx.params().axes("shape"), cx.params().dtype("dtype"));
        Ok(vec![cx.splat(Literal::from_f64(dtype, 0.0), &shape)])
    }
    fn samples(&self) -> Vec<Sample> {
        let of = |dtype: DType| Params::new().with("dtype", dtype).with("shape", vec![2usize, 3]);
        [DType::F32, DType::BF16, DType::I16, DType::U64]
            .map(|dtype| Sample::new(dtype.name(), vec![], of(dtype)))
            .to_vec()
    }
}

/// The sum of two cotangents.
#[derive(Debug)]
struct AddAny;
/// The primitive `add_any`.
pub static ADD_ANY: &dyn Primitive = &AddAny;

/// The sum of two cotangents of one type.
#[track_caller]
pub fn add_any(a: &Value, b: &Value) -> Value {
    bind1(ADD_ANY, &[a, b], Params::new())
}

impl Primitive for AddAny {
    fn name(&self) -> &'static str {
        "add_any"
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        match ins {
            [a, b] if a == b && a.dtype.is_float() => Ok(vec![(*a).clone()]),
            [_, _] => Err(TypeError::new("cotangents must have one floating type")),
            _ => Err(TypeError::new("takes two operands")),
        }
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        let data = match (ins[0].data(), ins[1].data()) {
            (Data::F32(a), Data::F32(b)) => Data::F32(a.iter().zip(b).map(|(a, b)| a + b).collect()),
            (Data::F64(a), Data::F64(b)) => Data::F64(a.iter().zip(b).map(|(a, b)| a + b).collect()),
            _ => unreachable!("abstract_eval admits equal floating types only"),
        };
        vec![HostArray::from_data(&ins[0].shape(), data)]
    }
    // d(a + b) = da + db
    fn computed_in(&self, dtype: DType) -> DType {
        dtype.computed()
    }
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![match (&cx.tangents[0], &cx.tangents[1]) {
            (Some(a), Some(b)) => Some(add_any(a, b)),
            (a, b) => a.clone().or(b.clone()),
        }]
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        cx.ins.iter().map(|operand| operand.is_unknown().then(|| cx.cotangent().clone())).collect()
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let axis = cx.ins.iter().find_map(|(_, axis)| *axis).expect("an operand is batched");
        let [a, b] = [0, 1].map(|i| super::movement::place_axis(&cx.ins[i], axis, cx.size));
        vec![(add_any(&a, &b), Some(axis))]
    }
    fn kind(&self) -> Kind {
        Kind::Map { cost: 1 }
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let index = cx.index();
        let (a, b) = (cx.read(0, &index)?, cx.read(1, &index)?);
        Ok(vec![cx.op(ScalarOp::Add, &[a, b])])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let ins = cx.operands();
        Ok(vec![cx.scalar(ScalarOp::Add, &ins)])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[RewriteRule {
            name: "add-any-minus-zero",
            law: "add_any(x, -0) = add_any(-0, x) = x; not for +0, as -0 + +0 = +0",
            apply: |cx| {
                let zero = |i| cx.uniform(i).is_some_and(|x| x == Literal::from_f64(x.dtype(), -0.0));
                [(0, 1), (1, 0)].into_iter().find(|(i, _)| zero(*i)).map(|(_, other)| Rewrite::Operand(other))
            },
        }]
    }
    fn samples(&self) -> Vec<Sample> {
        let array = |x: f32| HostArray::new(&[2, 2], vec![x, -x, 0.5, 2.0 * x]);
        vec![Sample::new("matrices", vec![array(1.5), array(-0.25)], Params::new())]
    }
}

/// Whether an operand of a linear equation is the unknown one (for rules with one linear operand).
pub(super) fn unknown(operand: &Linear) -> Option<Aval> {
    match operand {
        Linear::Unknown(aval) => Some(aval.clone()),
        Linear::Known(_) => None,
    }
}
