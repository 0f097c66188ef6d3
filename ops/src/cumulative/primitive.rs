//! `cumsum`, `cumprod`, `cummax` and `cummin`: each element with all before it.

use crate::elementwise::{EQ, constant, select_n};
use crate::gather::gather;
use crate::generate::dim_value;
use crate::movement::operands;
use crate::{Array, ScanOptions, iota, scan_with};
use gavotte_core::aval::{Aval, DType, Literal};
use gavotte_core::device::{DataMut, HostArray};
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::{move_axis, place_axis};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Params, Primitive, ReduceOp, Sample, Transpose, Unsupported, Value, bind1,
};

/// Combines along the last axis.
#[derive(Debug)]
struct Cumulative(ReduceOp);
/// The primitive `cumsum {reverse}`: the sum of each element and of all before it along the last axis, or after it.
pub(super) static CUMSUM: &dyn Primitive = &Cumulative(ReduceOp::Sum);
/// The primitive `cumprod {reverse}`: likewise the product.
pub(super) static CUMPROD: &dyn Primitive = &Cumulative(ReduceOp::Prod);
/// The primitive `cummax {reverse}`: likewise the maximum, NaN from the first NaN on.
pub(super) static CUMMAX: &dyn Primitive = &Cumulative(ReduceOp::Max);
/// The primitive `cummin {reverse}`: likewise the minimum, NaN from the first NaN on.
pub(super) static CUMMIN: &dyn Primitive = &Cumulative(ReduceOp::Min);

/// Each element of `x` combined with all before it along the last axis, or with all after it.
#[track_caller]
pub(super) fn cumulative(prim: &'static dyn Primitive, x: &Value, reverse: bool) -> Value {
    bind1(prim, &[x], Params::new().with("reverse", Literal::Bool(reverse)))
}

fn is_reverse(params: &Params) -> bool {
    params.literal("reverse") == Literal::Bool(true)
}

/// Elements that are combined one after the other. The totals of these blocks are combined in blocks again, so that the
/// error grows with the logarithm of the number of elements. The order depends on nothing but that number.
const BLOCK: usize = 64;

/// Combines each element with all before it, in place.
fn run<T: Copy>(xs: &mut [T], two: &impl Fn(T, T) -> T) {
    for block in xs.chunks_mut(BLOCK) {
        for i in 1..block.len() {
            block[i] = two(block[i - 1], block[i]);
        }
    }
    if xs.len() > BLOCK {
        let mut totals: Vec<T> = xs.chunks(BLOCK).map(|block| block[block.len() - 1]).collect();
        run(&mut totals, two);
        for (block, before) in xs.chunks_mut(BLOCK).skip(1).zip(totals) {
            block.iter_mut().for_each(|x| *x = two(before, *x));
        }
    }
}

fn rows<T: Copy>(xs: &mut [T], n: usize, reverse: bool, two: impl Fn(T, T) -> T) {
    for row in xs.chunks_mut(n.max(1)) {
        if reverse {
            row.reverse();
        }
        run(row, &two);
        if reverse {
            row.reverse();
        }
    }
}

/// The larger one by `wins`, or NaN.
#[allow(clippy::eq_op, reason = "NaN alone differs from itself")]
fn extremum<T: Copy + PartialOrd>(wins: impl Fn(&T, &T) -> bool) -> impl Fn(T, T) -> T {
    move |a, b| if wins(&a, &b) || a != a { a } else { b }
}

/// The tangent of a cumulative product: `(a, da)·(b, db) = (a·b, da·b + a·db)`, which needs no division by elements that
/// may be zero.
#[track_caller]
fn product_tangent(x: &Value, t: &Value, reverse: bool) -> Value {
    // A loop serves an extent that is a symbol, too, on which the steps of an associative scan would depend.
    let last = x.rank() - 1;
    let [xs, ts] = [x, t].map(|x| Array(move_axis(x, last, 0)));
    let shape = xs.shape()[1..].to_vec();
    let of = |number: f64| Array(constant(x.dtype(), number)).broadcast_to(shape.iter().cloned());
    let step = |(p, dp): (Array, Array), (x, t): (Array, Array)| {
        let dp = dp * &x + &p * t;
        ((p * x, dp.clone()), dp)
    };
    let (_, tangents) = scan_with(step, (of(1.0), of(0.0)), (xs, ts), ScanOptions { reverse, length: None });
    move_axis(&tangents.0, 0, last)
}

impl Cumulative {
    fn primitive(&self) -> &'static dyn Primitive {
        match self.0 {
            ReduceOp::Sum => CUMSUM,
            ReduceOp::Prod => CUMPROD,
            ReduceOp::Max => CUMMAX,
            ReduceOp::Min => CUMMIN,
        }
    }
}

impl Primitive for Cumulative {
    fn name(&self) -> &'static str {
        match self.0 {
            ReduceOp::Sum => "cumsum",
            ReduceOp::Prod => "cumprod",
            ReduceOp::Max => "cummax",
            ReduceOp::Min => "cummin",
        }
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["reverse"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let ([x], _) = (operands(ins)?, params.try_literal("reverse")?);
        if x.rank() == 0 || x.dtype == DType::Bool {
            return Err(TypeError::new(format!("takes numbers along an axis, not {x}: convert with `astype` first")));
        }
        Ok(vec![x.clone()])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let (mut out, reverse) = (ins[0].clone(), is_reverse(params));
        let n = ins[0].shape().last().copied().expect("abstract_eval requires an axis");
        match (self.0, out.data_mut()) {
            (ReduceOp::Sum, DataMut::F32(xs)) => rows(xs, n, reverse, |a, b| a + b),
            (ReduceOp::Sum, DataMut::F64(xs)) => rows(xs, n, reverse, |a, b| a + b),
            (ReduceOp::Sum, DataMut::I32(xs)) => rows(xs, n, reverse, i32::wrapping_add),
            (ReduceOp::Sum, DataMut::U32(xs)) => rows(xs, n, reverse, u32::wrapping_add),
            (ReduceOp::Sum, DataMut::I64(xs)) => rows(xs, n, reverse, i64::wrapping_add),
            (ReduceOp::Sum, DataMut::U64(xs)) => rows(xs, n, reverse, u64::wrapping_add),
            (ReduceOp::Prod, DataMut::F32(xs)) => rows(xs, n, reverse, |a, b| a * b),
            (ReduceOp::Prod, DataMut::F64(xs)) => rows(xs, n, reverse, |a, b| a * b),
            (ReduceOp::Prod, DataMut::I32(xs)) => rows(xs, n, reverse, i32::wrapping_mul),
            (ReduceOp::Prod, DataMut::U32(xs)) => rows(xs, n, reverse, u32::wrapping_mul),
            (ReduceOp::Prod, DataMut::I64(xs)) => rows(xs, n, reverse, i64::wrapping_mul),
            (ReduceOp::Prod, DataMut::U64(xs)) => rows(xs, n, reverse, u64::wrapping_mul),
            (ReduceOp::Max, DataMut::F32(xs)) => rows(xs, n, reverse, extremum(f32::gt)),
            (ReduceOp::Max, DataMut::F64(xs)) => rows(xs, n, reverse, extremum(f64::gt)),
            (ReduceOp::Max, DataMut::I32(xs)) => rows(xs, n, reverse, i32::max),
            (ReduceOp::Max, DataMut::U32(xs)) => rows(xs, n, reverse, u32::max),
            (ReduceOp::Max, DataMut::I64(xs)) => rows(xs, n, reverse, i64::max),
            (ReduceOp::Max, DataMut::U64(xs)) => rows(xs, n, reverse, u64::max),
            (ReduceOp::Min, DataMut::F32(xs)) => rows(xs, n, reverse, extremum(f32::lt)),
            (ReduceOp::Min, DataMut::F64(xs)) => rows(xs, n, reverse, extremum(f64::lt)),
            (ReduceOp::Min, DataMut::I32(xs)) => rows(xs, n, reverse, i32::min),
            (ReduceOp::Min, DataMut::U32(xs)) => rows(xs, n, reverse, u32::min),
            (ReduceOp::Min, DataMut::I64(xs)) => rows(xs, n, reverse, i64::min),
            (ReduceOp::Min, DataMut::U64(xs)) => rows(xs, n, reverse, u64::min),
            _ => unreachable!("abstract_eval admits numbers only, and narrow types are widened"),
        }
        vec![out]
    }
    fn computed_in(&self, dtype: DType) -> DType {
        dtype.computed()
    }
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let [Some(t)] = cx.tangents else { return vec![None] };
        let (x, out, reverse) = (&cx.primals[0], &cx.outs[0], is_reverse(cx.params));
        let last = x.rank() - 1;
        vec![Some(match self.0 {
            ReduceOp::Sum => cumulative(CUMSUM, t, reverse),
            ReduceOp::Prod => product_tangent(x, t, reverse),
            // the tangent of the last element that was an extremum when it came
            ReduceOp::Max | ReduceOp::Min => {
                let numbers: Value = iota(x.shape().iter().cloned(), last, DType::I32).into();
                let first = match reverse {
                    true => (dim_value(x.shape()[last].clone(), DType::I32) - 1).0,
                    false => constant(DType::I32, 0.0),
                };
                let places = select_n(&EQ.of([x, out]), &first, &numbers);
                let at = cumulative(if reverse { CUMMIN } else { CUMMAX }, &places, reverse);
                gather(t, &at, last, last)
            }
        })]
    }
    // the sum's: an element counts in all sums after it
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        vec![Some(cumulative(CUMSUM, cx.cotangent(), !is_reverse(cx.params)))]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let x = place_axis(&cx.ins[0], 0, cx.size);
        vec![(cumulative(self.primitive(), &x, is_reverse(cx.params)), Some(0))]
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (x, reverse) = (cx.operand(0), is_reverse(cx.params()));
        let Some((&n @ 1.., _)) = x.shape().split_last() else { return Ok(vec![x]) };
        let (mut window, mut padding) = (vec![1; x.rank()], vec![[0, 0]; x.rank()]);
        let last = x.rank() - 1;
        window[last] = n;
        padding[last] = if reverse { [0, n - 1] } else { [n - 1, 0] };
        Ok(vec![cx.reduce_window(self.0, &x, &window, &padding)])
    }
    fn samples(&self) -> Vec<Sample> {
        let to = |reverse: bool| Params::new().with("reverse", Literal::Bool(reverse));
        let x = HostArray::new(&[2, 3], vec![0.5f32, 2.0, -1.5, 3.0, -1.0, 4.0]);
        let long = HostArray::new(&[70], (0..70).map(|i| 1.0 + (i as f32 * 0.7).sin() * 0.1).collect());
        let wide = HostArray::new(&[3], vec![0.5f64, 2.0, 1.25]);
        let mut samples = vec![
            Sample::new("rows", vec![x.clone()], to(false)),
            Sample::new("from the end", vec![x], to(true)),
            Sample::new("f64", vec![wide], to(false)),
            Sample::new("i32", vec![HostArray::new(&[4], vec![3i32, -2, 7, i32::MAX])], to(false)),
            Sample::new("u32", vec![HostArray::new(&[3], vec![3u32, u32::MAX, 2])], to(true)),
        ];
        if self.0 == ReduceOp::Sum {
            // A long product of random numbers is 0, and of a long maximum most elements are equal.
            samples.push(Sample::new("several blocks", vec![long], to(false)));
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_is_summed() {
        for n in [0, 1, BLOCK, BLOCK + 1, BLOCK * BLOCK + BLOCK + 3] {
            let mut xs: Vec<i32> = (0..n as i32).collect();
            run(&mut xs, &|a, b| a + b);
            assert_eq!(xs, (0..n as i32).map(|i| i * (i + 1) / 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn errors_do_not_grow_with_the_number_of_elements() {
        let mut xs = vec![0.1f32; 20_000_000];
        run(&mut xs, &|a, b| a + b);
        for i in [999, 999_999, 19_999_999] {
            let exact = f64::from(0.1f32) * (i + 1) as f64;
            assert!((f64::from(xs[i]) - exact).abs() < 1e-6 * exact, "{} is not {exact}", xs[i]);
        }
    }
}
