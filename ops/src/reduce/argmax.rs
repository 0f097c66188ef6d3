//! `argmax` and `argmin`: the position of the largest and of the smallest element along an axis.

use super::extrema::{reduce_max, reduce_min};
use crate::elementwise::{EQ, NE, OR, select_n};
use crate::iota;
use crate::movement::operands;
use gavotte_core::aval::{Aval, DType, Literal};
use gavotte_core::device::{HostArray, HostElement};
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{self, Export, Operand};
use gavotte_core::ir::structural::{broadcast_in_dim, reduced_batch};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Params, Primitive, Program, ReduceOp, Sample, ScalarOp, Unsupported, Value, bind1,
    require_at_least, trace,
};
use gavotte_core::with_data;

/// The position of the maximum or the minimum.
#[derive(Debug)]
struct Place(ReduceOp);
/// The primitive `argmax {axis}`: the position of the first largest element as `i32`. NaN counts as largest.
pub(super) static ARGMAX: &dyn Primitive = &Place(ReduceOp::Max);
/// The primitive `argmin {axis}`: the position of the first smallest element as `i32`. NaN counts as smallest.
pub(super) static ARGMIN: &dyn Primitive = &Place(ReduceOp::Min);

/// The position along `axis` that a primitive finds.
#[track_caller]
pub(super) fn place(prim: &'static dyn Primitive, x: &Value, axis: usize) -> Value {
    bind1(prim, &[x], Params::new().with("axis", axis))
}

#[allow(clippy::eq_op, reason = "NaN alone differs from itself")]
fn first<T: HostElement>(op: ReduceOp, mut xs: impl Iterator<Item = T>) -> i32 {
    let wins = |x: T, best: T| if op == ReduceOp::Max { x > best } else { x < best };
    let (mut at, Some(mut best)) = (0, xs.next()) else { return 0 };
    for (i, x) in (1..).zip(xs) {
        if best == best && (wins(x, best) || x != x) {
            (at, best) = (i, x);
        }
    }
    at
}

impl Place {
    fn primitive(&self) -> &'static dyn Primitive {
        if self.0 == ReduceOp::Max { ARGMAX } else { ARGMIN }
    }

    fn adjective(&self) -> &'static str {
        if self.0 == ReduceOp::Max { "largest" } else { "smallest" }
    }

    /// The winner of two elements with its position; of equal ones the first. NaN wins against numbers.
    fn winner(&self, cx: &mut Export<'_>, [x, x_at, y, y_at]: [&Operand; 4]) -> Vec<Operand> {
        let mut of = |op, ins: &[&Operand]| cx.scalar(op, &ins.iter().copied().cloned().collect::<Vec<_>>());
        let wins = if self.0 == ReduceOp::Max { ScalarOp::Gt } else { ScalarOp::Lt };
        let (mut wins, mut ties) = (of(wins, &[x, y]), of(ScalarOp::Eq, &[x, y]));
        if x.aval().dtype.is_float() {
            let [x_is_nan, y_is_nan] = [x, y].map(|x| of(ScalarOp::Ne, &[x, x]));
            let both = of(ScalarOp::And, &[&x_is_nan, &y_is_nan]);
            wins = of(ScalarOp::Or, &[&wins, &x_is_nan]);
            ties = of(ScalarOp::Or, &[&ties, &both]);
        }
        let place = of(ScalarOp::Select, &[&wins, y_at, x_at]);
        let first = of(ScalarOp::Min, &[x_at, y_at]);
        vec![of(ScalarOp::Select, &[&wins, y, x]), of(ScalarOp::Select, &[&ties, &place, &first])]
    }
}

impl Primitive for Place {
    fn name(&self) -> &'static str {
        if self.0 == ReduceOp::Max { "argmax" } else { "argmin" }
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["axis"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let ([x], axis) = (operands(ins)?, params.try_axis("axis")?);
        match x.shape.get(axis) {
            None => return Err(TypeError::new(format!("there is no axis {axis}"))),
            Some(extent) => {
                let why = || format!("axis {axis} of {x} may have no element, and so no {} one", self.adjective());
                require_at_least(extent, &1.into(), why)?;
                if extent.as_number().is_some_and(|n| n - 1 > i32::MAX.into()) {
                    return Err(TypeError::new(format!(
                        "axis {axis} of {x} has positions beyond i32: split the array"
                    )));
                }
            }
        }
        let mut shape = x.shape.clone();
        shape.remove(axis);
        Ok(vec![Aval { dtype: DType::I32, shape }])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let (mut shape, axis) = (ins[0].shape(), params.axis("axis"));
        let inner: usize = shape[axis + 1..].iter().product();
        let extent = shape.remove(axis);
        let of = |i: usize| (i / inner * extent * inner) + i % inner;
        let n = shape.iter().product();
        let found = with_data!(ins[0].data(), xs => {
            let along = |i: usize| (0..extent).map(move |k| xs[of(i) + k * inner]);
            (0..n).map(|i| first(self.0, along(i))).collect()
        });
        vec![HostArray::new::<i32>(&shape, found)]
    }
    fn computed_in(&self, dtype: DType) -> DType {
        dtype.computed()
    }
    fn jvp(&self, _: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![None]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let (x, at) = (&cx.ins[0].0, cx.ins[0].1.expect("the operand is batched"));
        let (axes, at) = reduced_batch(&[cx.params.axis("axis")], at);
        vec![(place(self.primitive(), x, axes[0]), Some(at))]
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    /// The least position at which an element equals the extremum, or is NaN.
    fn composition(&self, ins: &[Aval], params: &Params) -> Option<Program> {
        let axis = params.axis("axis");
        let traced = trace(self.name(), ins, |args| {
            let x = &args[0];
            let extremum = if self.0 == ReduceOp::Max { reduce_max(x, &[axis]) } else { reduce_min(x, &[axis]) };
            let kept: Vec<usize> = (0..x.rank()).filter(|i| *i != axis).collect();
            let mut wins = EQ.of([x, &broadcast_in_dim(&extremum, x.shape(), &kept)]);
            if x.dtype().is_float() {
                wins = OR.of([&wins, &NE.of([x, x])]);
            }
            let places = iota(x.shape().iter().cloned(), axis, DType::I32).into();
            vec![reduce_min(&select_n(&wins, &Literal::I32(i32::MAX).into(), &places), &[axis])]
        });
        Some(traced.program)
    }
    /// One reduction of elements and positions.
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (x, axis, out) = (cx.operand(0), cx.params().axis("axis"), cx.output(0));
        let dtype = x.aval().dtype;
        let counts = x.aval().with_dtype(DType::I32);
        let places = cx.op("iota", &[], &[("iota_dimension", stablehlo::number(axis))], counts);
        // The initial value of a reduction may be combined at any point: it must lose against every element.
        let worst = cx.constant(self.0.identity(dtype));
        let nowhere = cx.constant(Literal::I32(i32::MAX));
        let scalars = [dtype, DType::I32, dtype, DType::I32].map(Aval::scalar).to_vec();
        let mut body = |cx: &mut Export<'_>, ins: &[Operand]| Ok(self.winner(cx, [&ins[0], &ins[1], &ins[2], &ins[3]]));
        let outs = [out.with_dtype(dtype), out];
        let attrs = [("dimensions", stablehlo::axes(&[axis]))];
        let ins = [&x, &places, &worst, &nowhere];
        let found = cx.op_with("reduce", &ins, &attrs, &outs, &mut [(scalars, &mut body)])?;
        Ok(vec![found[1].clone()])
    }
    fn samples(&self) -> Vec<Sample> {
        let x = HostArray::new(&[2, 3], vec![0.5f32, 2.0, 2.0, 3.0, -1.0, -1.0]);
        let nan = HostArray::new(&[2, 4], [[1.0f32, f32::NAN, 3.0, f32::NAN], [f32::INFINITY; 4]].concat());
        let along = |axis: usize| Params::new().with("axis", axis);
        vec![
            Sample::new("rows", vec![x.clone()], along(1)),
            Sample::new("columns", vec![x], along(0)),
            Sample::new("NaN", vec![nan], along(1)),
            Sample::new("i32", vec![HostArray::new(&[4], vec![-4i32, 7, 7, -4])], along(0)),
            Sample::new("bool", vec![HostArray::new(&[3], vec![true, false, true])], along(0)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_wins_and_nan_wins_against_numbers() {
        let largest = |xs: &[f32]| first(ReduceOp::Max, xs.iter().copied());
        assert_eq!(first(ReduceOp::Max, [1, 3, 3].into_iter()), 1);
        assert_eq!(first(ReduceOp::Min, [3, 1, 1].into_iter()), 1);
        assert_eq!(largest(&[1.0, f32::NAN, 3.0, f32::NAN]), 1);
        assert_eq!(largest(&[f32::NEG_INFINITY; 2]), 0);
    }
}
