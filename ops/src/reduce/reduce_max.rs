//! `reduce_max`: the largest element over axes.

use crate::elementwise::{CONVERT_ELEMENT_TYPE, DIV, EQ, MUL};
use gavotte_core::aval::{Aval, DType};
use gavotte_core::device::{Data, HostArray, HostElement};
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::{
    broadcast_in_dim, lower_reduction, reduce_sum, reduced_aval, reduced_batch, reduced_places, reduces_nothing,
};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Lower, Params, Primitive, ReduceOp, RewriteRule, Sample, Scalar, Unsupported, Value,
    bind1,
};
use gavotte_core::with_data;

/// Maximum over axes.
#[derive(Debug)]
struct ReduceMax;
/// The primitive `reduce_max {axes}`: NaN if there is one, the least value of the type if there are no elements.
pub(super) static REDUCE_MAX: &dyn Primitive = &ReduceMax;

/// The largest element of `x` over `axes`, which disappear.
#[track_caller]
pub(crate) fn reduce_max(x: &Value, axes: &[usize]) -> Value {
    if axes.is_empty() {
        return x.clone();
    }
    bind1(REDUCE_MAX, &[x], Params::new().with("axes", axes))
}

/// The larger of two elements, or the one that is NaN.
#[allow(clippy::eq_op, reason = "NaN alone differs from itself")]
pub(crate) fn larger<T: HostElement>(a: T, b: T) -> T {
    if a != a || a > b { a } else { b }
}

/// The least value of the type.
pub(crate) fn least<T: HostElement>() -> T {
    let data = HostArray::scalar(ReduceOp::Max.identity(T::DTYPE)).into_data();
    T::view(&data).expect("an identity has the type that it is asked for")[0]
}

/// For every element its share of the tangent of the maximum `highest` over its group: 1 if it alone equals the
/// maximum, `1/k` if it is one of `k`, 0 for others. `count` sums over each group and repeats the sum for each element.
pub(crate) fn shares(x: &Value, highest: &Value, count: impl FnOnce(&Value) -> Value) -> Value {
    let is = bind1(CONVERT_ELEMENT_TYPE, &[&EQ.of([x, highest])], Params::new().with("dtype", x.dtype()));
    DIV.of([&is, &count(&is)])
}

impl Primitive for ReduceMax {
    fn name(&self) -> &'static str {
        "reduce_max"
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let aval = reduced_aval(ins, params)?;
        if aval.dtype == DType::Bool {
            return Err(TypeError::new("takes numbers, not bool: convert with `astype` first"));
        }
        Ok(vec![aval])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        fn fold<T: HostElement>(xs: &[T], places: impl Iterator<Item = usize>, n: usize) -> Data {
            let mut out = vec![least::<T>(); n];
            xs.iter().zip(places).for_each(|(x, at)| out[at] = larger(out[at], *x));
            T::wrap(out)
        }
        let (shape, places) = reduced_places(&ins[0].shape(), &params.axes("axes"));
        let n = shape.iter().product();
        let data = with_data!(ins[0].data(), xs => fold(xs, places, n));
        vec![HostArray::from_data(&shape, data)]
    }
    // d max = Σᵢ dxᵢ over the k elements with xᵢ = max, divided by k
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let (x, axes) = (&cx.primals[0], cx.params.axes("axes"));
        let kept: Vec<usize> = (0..x.rank()).filter(|axis| !axes.contains(axis)).collect();
        let spread = |y: &Value| broadcast_in_dim(y, x.shape(), &kept);
        vec![cx.tangents[0].as_ref().map(|t| {
            let shares = shares(x, &spread(&cx.outs[0]), |is| spread(&reduce_sum(is, &axes)));
            reduce_sum(&MUL.of([t, &shares]), &axes)
        })]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let (x, at) = (&cx.ins[0].0, cx.ins[0].1.expect("the operand is batched"));
        let (axes, place) = reduced_batch(&cx.params.axes("axes"), at);
        vec![(reduce_max(x, &axes), Some(place))]
    }
    fn kind(&self) -> Kind {
        Kind::Reduce
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        lower_reduction(cx, ReduceOp::Max)
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (x, axes) = (cx.operand(0), cx.params().axes("axes"));
        Ok(vec![cx.reduce(ReduceOp::Max, &x, &axes)])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[RewriteRule {
            name: "max-over-no-axis",
            law: "reduce_max(x, axes=[]) = x: every maximum is of one element",
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
    fn nothing_gives_the_least_value_and_nan_stays() {
        let of = |xs: Vec<f32>| {
            REDUCE_MAX.eval(&[&HostArray::new(&[xs.len()], xs)], &Params::new().with("axes", vec![0usize]))
        };
        assert_eq!(of(vec![])[0].as_slice::<f32>(), [f32::NEG_INFINITY]);
        assert!(of(vec![1.0, f32::NAN, 2.0])[0].as_slice::<f32>()[0].is_nan());
    }

    #[test]
    fn equal_maxima_share_the_tangent() {
        let x: Value = HostArray::new(&[3], vec![2.0f32, 1.0, 2.0]).into();
        let t: Value = HostArray::new(&[3], vec![1.0f32, 10.0, 4.0]).into();
        let program = trace("f", &[x.aval().clone()], |args| vec![reduce_max(&args[0], &[0])]).program;
        let (_, tangents) = jvp(&program, &[], &[x], &[Some(t)]);
        let tangent = tangents[0].clone().and_then(|t| t.as_literal());
        assert_eq!(tangent, Some(Literal::F32(2.5)));
    }
}
