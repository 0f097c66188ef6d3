//! `reduce_max` and `reduce_min`: the largest and the smallest element over axes.

use crate::elementwise::{CONVERT_ELEMENT_TYPE, DIV, EQ, weigh};
use gavotte_core::aval::{Aval, DType};
use gavotte_core::device::{Data, HostArray};
use gavotte_core::error::TypeError;
use gavotte_core::ir::scalar::ScalarElement;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::{
    broadcast_in_dim, lower_reduction, reduce_sum, reduced_aval, reduced_batch, reduced_places, reduces_nothing,
};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Lower, Params, Primitive, ReduceOp, RewriteRule, Sample, Scalar, Unsupported, Value,
    bind1,
};
use gavotte_core::with_data;

/// Maximum or minimum over axes.
#[derive(Debug)]
struct Extremum(ReduceOp);
/// The primitive `reduce_max {axes}`: NaN if there is one, the least value of the type if there are no elements. Of
/// `bool`: whether one is true.
pub(super) static REDUCE_MAX: &dyn Primitive = &Extremum(ReduceOp::Max);
/// The primitive `reduce_min {axes}`: NaN if there is one, the largest value of the type if there are no elements. Of
/// `bool`: whether all are true.
pub(super) static REDUCE_MIN: &dyn Primitive = &Extremum(ReduceOp::Min);

/// The largest element of `x` over `axes`, which disappear.
#[track_caller]
pub(crate) fn reduce_max(x: &Value, axes: &[usize]) -> Value {
    reduced(REDUCE_MAX, x, axes)
}

/// The smallest element of `x` over `axes`, which disappear.
#[track_caller]
pub(crate) fn reduce_min(x: &Value, axes: &[usize]) -> Value {
    reduced(REDUCE_MIN, x, axes)
}

#[track_caller]
pub(super) fn reduced(prim: &'static dyn Primitive, x: &Value, axes: &[usize]) -> Value {
    if axes.is_empty() {
        return x.clone();
    }
    bind1(prim, &[x], Params::new().with("axes", axes))
}

/// The result of combining nothing, and the combination of two elements.
///
/// # Panics
/// If there is no such operation on the type.
pub(crate) fn combined<T: ScalarElement>(op: ReduceOp) -> (T, fn(T, T) -> T) {
    let data = HostArray::scalar(op.identity(T::DTYPE)).into_data();
    let identity = T::view(&data).expect("an identity has the type that it is asked for")[0];
    (identity, op.formula().unwrap_or_else(|| panic!("{} of {}", op.name(), T::DTYPE)))
}

/// For every element its share of the tangent of the extremum of its group: 1 if it alone equals the extremum, `1/k`
/// if it is one of `k`, 0 for others. `count` sums over each group and repeats the sum for each element.
pub(crate) fn shares(x: &Value, extremum: &Value, count: impl FnOnce(&Value) -> Value) -> Value {
    let is = bind1(CONVERT_ELEMENT_TYPE, &[&EQ.of([x, extremum])], Params::new().with("dtype", x.dtype()));
    DIV.of([&is, &count(&is)])
}

impl Extremum {
    fn primitive(&self) -> &'static dyn Primitive {
        if self.0 == ReduceOp::Max { REDUCE_MAX } else { REDUCE_MIN }
    }
}

impl Primitive for Extremum {
    fn name(&self) -> &'static str {
        if self.0 == ReduceOp::Max { "reduce_max" } else { "reduce_min" }
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["axes"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        Ok(vec![reduced_aval(ins, params)?])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        fn fold<T: ScalarElement>(op: ReduceOp, xs: &[T], places: impl Iterator<Item = usize>, n: usize) -> Data {
            let (none, two) = combined(op);
            let mut out = vec![none; n];
            xs.iter().zip(places).for_each(|(x, at)| out[at] = two(out[at], *x));
            T::wrap(out)
        }
        let (shape, places) = reduced_places(&ins[0].shape(), &params.axes("axes"));
        let n = shape.iter().product();
        let data = with_data!(ins[0].data(), xs => fold(self.0, xs, places, n));
        vec![HostArray::from_data(&shape, data)]
    }
    // A short integer is exact in `f32`, whose infinities become the ends of its type.
    fn computed_in(&self, dtype: DType) -> DType {
        if dtype.is_narrow() { DType::F32 } else { dtype }
    }
    // d max = Σᵢ dxᵢ over the k elements with xᵢ = max, divided by k; so for min
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let (x, axes) = (&cx.primals[0], cx.params.axes("axes"));
        let kept: Vec<usize> = (0..x.rank()).filter(|axis| !axes.contains(axis)).collect();
        let spread = |y: &Value| broadcast_in_dim(y, x.shape(), &kept);
        vec![cx.tangents[0].as_ref().map(|t| {
            let shares = shares(x, &spread(&cx.outs[0]), |is| spread(&reduce_sum(is, &axes)));
            reduce_sum(&weigh(&shares, t), &axes)
        })]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let (x, at) = (&cx.ins[0].0, cx.ins[0].1.expect("the operand is batched"));
        let (axes, place) = reduced_batch(&cx.params.axes("axes"), at);
        vec![(reduced(self.primitive(), x, &axes), Some(place))]
    }
    fn kind(&self) -> Kind {
        Kind::Reduce
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        lower_reduction(cx, self.0)
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (x, axes) = (cx.operand(0), cx.params().axes("axes"));
        Ok(vec![cx.reduce(self.0, &x, &axes)])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        if self.0 == ReduceOp::Max {
            return &[RewriteRule {
                name: "max-over-no-axis",
                law: "reduce_max(x, axes=[]) = x: every maximum is of one element",
                apply: reduces_nothing,
            }];
        }
        &[RewriteRule {
            name: "min-over-no-axis",
            law: "reduce_min(x, axes=[]) = x: every minimum is of one element",
            apply: reduces_nothing,
        }]
    }
    fn samples(&self) -> Vec<Sample> {
        let x = HostArray::new(&[2, 3, 2], (0..12).map(|i| (i as f32 * 1.7).sin()).collect());
        let over = |axes: Vec<usize>| Params::new().with("axes", axes);
        vec![
            Sample::new("all", vec![x.clone()], over(vec![0, 1, 2])),
            Sample::new("middle", vec![x.clone()], over(vec![1])),
            Sample::new("ends", vec![x], over(vec![0, 2])),
            Sample::new("i32", vec![HostArray::new(&[3], vec![-7i32, -2, -9])], over(vec![0])),
            Sample::new("u32", vec![HostArray::new(&[2, 2], vec![7u32, u32::MAX, 2, 0])], over(vec![0])),
            Sample::new("bool", vec![HostArray::new(&[2, 2], vec![false, true, true, true])], over(vec![1])),
            Sample::new("none", vec![HostArray::new::<f32>(&[0, 2], vec![])], over(vec![0])),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gavotte_core::aval::Literal;
    use gavotte_core::ir::trace;
    use gavotte_core::transform::jvp;

    #[test]
    fn nothing_yields_the_end_of_the_type_and_nan_stays() {
        let of = |prim: &dyn Primitive, xs: Vec<f32>| {
            let array = HostArray::new(&[xs.len()], xs);
            prim.eval(&[&array], &Params::new().with("axes", vec![0usize]))[0].as_slice::<f32>()[0]
        };
        assert_eq!(of(REDUCE_MAX, vec![]), f32::NEG_INFINITY);
        assert_eq!(of(REDUCE_MIN, vec![]), f32::INFINITY);
        assert_eq!(of(REDUCE_MIN, vec![2.0, -1.0, 3.0]), -1.0);
        assert!([REDUCE_MAX, REDUCE_MIN].iter().all(|prim| of(*prim, vec![1.0, f32::NAN, 2.0]).is_nan()));
    }

    #[test]
    fn equal_extrema_share_the_tangent() {
        let tangent = |f: fn(&Value, &[usize]) -> Value| {
            let x: Value = HostArray::new(&[4], vec![2.0f32, 1.0, 2.0, 1.0]).into();
            let t: Value = HostArray::new(&[4], vec![1.0f32, 10.0, 4.0, 4.0]).into();
            let program = trace("f", &[x.aval().clone()], |args| vec![f(&args[0], &[0])]).program;
            let (_, tangents) = jvp(&program, &[], &[x], &[Some(t)]);
            tangents[0].clone().and_then(|t| t.as_literal())
        };
        assert_eq!(tangent(reduce_max), Some(Literal::F32(2.5)));
        assert_eq!(tangent(reduce_min), Some(Literal::F32(7.0)));
    }
}
