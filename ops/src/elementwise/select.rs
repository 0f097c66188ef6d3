//! `select_n`: one of two cases, by a predicate.

use super::eval::eval;
use super::row::of_dtype;
use super::{batch, common_dtype, common_shape, constant, fit, fit_back, read_all, stands};
use gavotte_core::aval::{Aval, DType, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Linear, Lower, Params, Primitive, Rewrite, RewriteRule, Sample, Scalar, ScalarOp,
    Transpose, Unsupported, Value, bind1,
};

/// One of two cases, by a predicate.
#[derive(Debug)]
struct SelectN;
/// The primitive `select_n which, when_false, when_true`.
pub(crate) static SELECT_N: &dyn Primitive = &SelectN;

/// `when_true` if `which` holds, else `when_false`.
#[track_caller]
pub(crate) fn select_n(which: &Value, when_false: &Value, when_true: &Value) -> Value {
    bind1(SELECT_N, &[which, when_false, when_true], Params::new())
}

impl Primitive for SelectN {
    fn name(&self) -> &'static str {
        "select_n"
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        let [which, cases @ ..] = ins else { return Err(TypeError::new("takes a predicate and two cases")) };
        if cases.len() != 2 {
            return Err(TypeError::new("takes a predicate and two cases"));
        }
        if which.dtype != DType::Bool {
            return Err(TypeError::new(format!("the predicate must be bool, not {}: compare first", which.dtype)));
        }
        Ok(vec![Aval { dtype: common_dtype(cases)?, shape: common_shape(ins)? }])
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        vec![eval(ScalarOp::Select, ins)]
    }
    // d select(w, a, b) = select(w, da, db)
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let case = |i: usize| cx.tangents[i].clone().unwrap_or_else(|| constant(cx.outs[0].dtype(), 0.0));
        vec![Some(fit(select_n(&cx.primals[0], &case(1), &case(2)), &cx.outs[0]))]
    }
    // each case gets the cotangent where it was chosen
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let (ct, which) = (cx.cotangent(), cx.ins[0].known().expect("a predicate is never linear"));
        let zero = constant(ct.dtype(), 0.0);
        let of = |operand: &Linear, a: &Value, b: &Value| match operand {
            Linear::Unknown(aval) => Some(fit_back(fit(select_n(which, a, b), ct), aval)),
            Linear::Known(_) => None,
        };
        vec![None, of(&cx.ins[1], ct, &zero), of(&cx.ins[2], &zero, ct)]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        batch(self.name(), cx)
    }
    fn kind(&self) -> Kind {
        Kind::Map { cost: ScalarOp::Select.cost() }
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let ins = read_all(cx)?;
        Ok(vec![cx.op(ScalarOp::Select, &ins)])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let ins = cx.fitted();
        Ok(vec![cx.scalar(ScalarOp::Select, &ins)])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[
            RewriteRule {
                name: "select-by-constant",
                law: "select_n(false, a, b) = a, select_n(true, a, b) = b, where that case has the result's shape",
                apply: |cx| {
                    let Literal::Bool(which) = cx.uniform(0)? else { return None };
                    let case = 1 + usize::from(which);
                    stands(cx, case).then_some(Rewrite::Operand(case))
                },
            },
            RewriteRule {
                name: "select-of-equals",
                law: "select_n(w, x, x) = x where x has the result's shape",
                apply: |cx| (cx.eqn.ins[1] == cx.eqn.ins[2] && stands(cx, 1)).then_some(Rewrite::Operand(1)),
            },
        ]
    }
    fn samples(&self) -> Vec<Sample> {
        let which = HostArray::new(&[2, 2], vec![true, false, false, true]);
        let (a, b) = ([0.5, -1.5, 2.0, 7.0], [3.0, 0.25, -4.0, 1.0]);
        let all = |dtype| vec![which.clone(), of_dtype(dtype, &[2, 2], &a), of_dtype(dtype, &[2, 2], &b)];
        let [x, y] = [&a, &b].map(|points| of_dtype(DType::F32, &[2, 2], points));
        let scalar = |x: f32| HostArray::scalar(Literal::F32(x));
        let no = HostArray::scalar(Literal::Bool(false));
        let none = Params::new;
        vec![
            Sample::new("f32", all(DType::F32), none()),
            Sample::new("f64", all(DType::F64), none()),
            Sample::new("i32", all(DType::I32), none()),
            Sample::new("bool", all(DType::Bool), none()),
            Sample::new("scalar predicate", vec![no.clone(), x.clone(), y.clone()], none()),
            Sample::new("scalar case", vec![which.clone(), scalar(0.5), y], none()),
            Sample::new("scalar cases", vec![which, scalar(0.5), scalar(-1.5)], none()),
            Sample::new("case next to an array", vec![no, scalar(0.5), x], none()),
        ]
    }
}
