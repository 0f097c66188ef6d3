//! `reduce_sum`: the transpose of broadcasting.

use crate::aval::{Aval, DType};
use crate::device::{Data, HostArray};
use crate::error::TypeError;
use crate::ir::stablehlo::{Export, Operand};
use crate::ir::structural::broadcast_in_dim;
use crate::ir::structural::movement::{places, row_major, strided};
use crate::ir::structural::sum::unknown;
use crate::ir::{
    Batch, Batched, Cascade, Index, Jvp, Kind, Lower, Params, Primitive, ReduceOp, Rewrite, RewriteRule, Sample,
    Scalar, Simplify, Transpose, Unsupported, Value, bind1,
};

/// Sum over axes.
#[derive(Debug)]
struct ReduceSum;
/// The primitive `reduce_sum {axes}`.
pub static REDUCE_SUM: &dyn Primitive = &ReduceSum;

/// The sum of `x` over `axes`, which disappear.
#[track_caller]
pub fn reduce_sum(x: &Value, axes: &[usize]) -> Value {
    if axes.is_empty() {
        return x.clone();
    }
    bind1(REDUCE_SUM, &[x], Params::new().with("axes", axes))
}

/// The type of a reduction over the attribute `axes`: those axes disappear.
pub fn reduced_aval(ins: &[&Aval], params: &Params) -> Result<Aval, TypeError> {
    let [x] = ins else { return Err(TypeError::new("takes one operand")) };
    let axes = params.try_axes("axes")?;
    if axes.iter().any(|axis| *axis >= x.rank()) || axes.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(TypeError::new(format!("axes {axes:?} must rise and be below {}", x.rank())));
    }
    let kept = x.shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
    Ok(x.with_shape(kept.map(|(_, extent)| extent.clone()).collect()))
}

/// For every element of an array of `shape`, in order, its place in the array without `axes`.
pub fn reduced_places(shape: &[usize], axes: &[usize]) -> (Vec<usize>, impl Iterator<Item = usize> + use<>) {
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect();
    let mut strides = row_major(&kept).into_iter();
    let strides: Vec<isize> =
        (0..shape.len()).map(|axis| if axes.contains(&axis) { 0 } else { strides.next().unwrap_or(0) }).collect();
    let places = places(shape, &strides, 0);
    (kept, places)
}

/// The new axis's place after `axes` (in the operand without it) have disappeared, and the axes with it.
pub fn reduced_batch(axes: &[usize], at: usize) -> (Vec<usize>, usize) {
    let shifted: Vec<usize> = axes.iter().map(|axis| axis + usize::from(*axis >= at)).collect();
    let place = at - shifted.iter().filter(|axis| **axis < at).count();
    (shifted, place)
}

/// Lowers a reduction over the attribute `axes`.
pub fn lower_reduction(cx: &mut dyn Lower, op: ReduceOp) -> Result<Vec<Scalar>, Unsupported> {
    let axes = cx.params().axes("axes");
    let shape = cx.operand(0).shape;
    let extents: Vec<_> = axes.iter().map(|axis| shape[*axis].clone()).collect();
    let (mut kept, mut loops) = (cx.index().into_iter(), cx.reduction_loops(&extents)?.into_iter());
    let mut at: Vec<Index> = vec![];
    for axis in 0..shape.len() {
        let next = if axes.contains(&axis) { loops.next() } else { kept.next() };
        at.push(next.ok_or_else(|| Unsupported("a reduction's axes do not fit its operand".into()))?);
    }
    let value = cx.read(0, &at)?;
    Ok(vec![cx.reduce(op, value)?])
}

/// A reduction over no axis is its operand, whatever the operation: each element is combined with nothing.
pub fn reduces_nothing(cx: &Simplify<'_>) -> Option<Rewrite> {
    cx.params().axes("axes").is_empty().then_some(Rewrite::Operand(0))
}

/// The combinations along the middle of three axes of these extents, in the order of a [`Cascade`]. `zero` is that of
/// nothing, `plus` that of two.
pub fn cascaded<T: Copy>(xs: &[T], [outer, n, width]: [usize; 3], zero: T, plus: impl Fn(T, T) -> T) -> Vec<T> {
    let mut out = vec![zero; outer * width];
    let mut cascade = Cascade::new(zero, plus);
    for i in 0..outer {
        let xs = &xs[i * n * width..][..n * width];
        cascade.add(n, &mut out[i * width..][..width], |term, j| xs[term * width + j]);
    }
    out
}

/// An array reduced over `axes`. `fold` reduces the elements of an array of three axes, with these extents, over the
/// middle one.
pub fn along_middle(x: &HostArray, axes: &[usize], fold: impl FnOnce(&Data, [usize; 3]) -> Data) -> HostArray {
    let shape = x.shape();
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
    let of = |axes: &[usize]| axes.iter().map(|axis| shape[*axis]).collect::<Vec<usize>>();
    let product = |extents: &[usize]| extents.iter().product::<usize>();
    // Where the axes are neighbours, nothing moves; otherwise they move after the others.
    let moved;
    let (x, counts) = if axes.windows(2).all(|pair| pair[0] + 1 == pair[1]) {
        let (first, end) = (axes.first().copied().unwrap_or(0), axes.last().map_or(0, |last| last + 1));
        (x, [&shape[..first], &shape[first..end], &shape[end..]].map(product))
    } else {
        let (order, steps) = ([&kept[..], axes].concat(), row_major(&shape));
        let strides: Vec<isize> = order.iter().map(|axis| steps[*axis]).collect();
        moved = strided(x, &of(&order), &strides, 0);
        (&moved, [product(&of(&kept)), product(&of(axes)), 1])
    };
    HostArray::from_data(&of(&kept), fold(x.data(), counts))
}

impl Primitive for ReduceSum {
    fn name(&self) -> &'static str {
        "reduce_sum"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["axes"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let aval = reduced_aval(ins, params)?;
        if aval.dtype == DType::Bool {
            return Err(TypeError::new("cannot sum bool: convert to i32 first"));
        }
        Ok(vec![aval])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        vec![along_middle(ins[0], &params.axes("axes"), |data, counts| match data {
            Data::F32(xs) => Data::F32(cascaded(xs, counts, 0.0, |a, b| a + b).into()),
            Data::F64(xs) => Data::F64(cascaded(xs, counts, 0.0, |a, b| a + b).into()),
            Data::I32(xs) => Data::I32(cascaded(xs, counts, 0, i32::wrapping_add).into()),
            Data::U32(xs) => Data::U32(cascaded(xs, counts, 0, u32::wrapping_add).into()),
            Data::I64(xs) => Data::I64(cascaded(xs, counts, 0, i64::wrapping_add).into()),
            Data::U64(xs) => Data::U64(cascaded(xs, counts, 0, u64::wrapping_add).into()),
            _ => unreachable!("abstract_eval refuses bool, and narrow types are widened"),
        })]
    }
    fn computed_in(&self, dtype: DType) -> DType {
        dtype.computed()
    }
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![cx.tangents[0].as_ref().map(|t| reduce_sum(t, &cx.params.axes("axes")))]
    }
    // every summed element gets the sum's cotangent
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let axes = cx.params.axes("axes");
        vec![unknown(&cx.ins[0]).map(|aval| {
            let kept: Vec<usize> = (0..aval.rank()).filter(|axis| !axes.contains(axis)).collect();
            broadcast_in_dim(cx.cotangent(), &aval.shape, &kept)
        })]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let (x, at) = (&cx.ins[0].0, cx.ins[0].1.expect("the operand is batched"));
        let (axes, place) = reduced_batch(&cx.params.axes("axes"), at);
        vec![(reduce_sum(x, &axes), Some(place))]
    }
    fn kind(&self) -> Kind {
        Kind::Reduce
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        lower_reduction(cx, ReduceOp::Sum)
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (x, axes) = (cx.operand(0), cx.params().axes("axes"));
        Ok(vec![cx.reduce(ReduceOp::Sum, &x, &axes)])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[RewriteRule {
            name: "sum-over-no-axis",
            law: "reduce_sum(x, axes=[]) = x: every sum has one term",
            apply: reduces_nothing,
        }]
    }
    fn samples(&self) -> Vec<Sample> {
        let x = HostArray::new(&[2, 3, 2], (0..12).map(|i| i as f32 * 0.25 - 1.0).collect());
        let axes = |axes: Vec<usize>| Params::new().with("axes", axes);
        vec![
            Sample::new("all", vec![x.clone()], axes(vec![0, 1, 2])),
            Sample::new("middle", vec![x.clone()], axes(vec![1])),
            Sample::new("ends", vec![x], axes(vec![0, 2])),
        ]
    }
}
