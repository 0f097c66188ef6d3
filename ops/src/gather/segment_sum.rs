//! `segment_sum`: the sum of the members of each segment.

use super::batched::Numbered;
use super::read::sample_segments;
use super::{gather_segments, members, refs, refuse_batched_segments, segments};
use crate::movement::operands;
use gavotte_core::aval::{Aval, DType};
use gavotte_core::device::{Data, HostArray, HostElement};
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand, extents};
use gavotte_core::ir::structural::move_axis;
use gavotte_core::ir::{
    Batch, Batched, Cascade, Jvp, Kind, Linear, Lower, Params, Primitive, ReduceOp, Sample, Scalar, Transpose,
    Unsupported, Value, bind1, require_equal,
};

/// Sum by segment.
#[derive(Debug)]
struct SegmentSum;
/// The primitive `segment_sum` of data and the three arrays of segments: 0 for a segment without members.
pub(super) static SEGMENT_SUM: &dyn Primitive = &SegmentSum;

/// The sum of `data` along its first axis, by segment.
#[track_caller]
pub(crate) fn segment_sum(data: &Value, segments: [&Value; 3]) -> Value {
    let [ids, offsets, order] = segments;
    bind1(SEGMENT_SUM, &[data, ids, offsets, order], Params::new())
}

/// The type of a reduction by segment.
pub(super) fn segmented_aval(ins: &[&Aval]) -> Result<Vec<Aval>, TypeError> {
    let [data, ids, offsets, order] = operands(ins)?;
    let n = segments(ids, offsets, order)?;
    let why = || format!("the first axis of {data} must have an element for each of the {} members", ids.shape[0]);
    match data.shape.first() {
        Some(found) if *found == ids.shape[0] => {}
        Some(found) => return Err(require_equal(found, &ids.shape[0], why).err().unwrap_or_else(|| TypeError(why()))),
        None => return Err(TypeError(why())),
    }
    if data.dtype == DType::Bool {
        return Err(TypeError::new("takes numbers, not bool: convert with `astype` first"));
    }
    let mut shape = data.shape.clone();
    shape[0] = n;
    Ok(vec![data.with_shape(shape)])
}

/// Combines the members of each segment, in the order of all sums.
pub(super) fn fold<T: HostElement>(xs: &[T], ins: &[&HostArray], first: T, combine: impl Fn(T, T) -> T) -> HostArray {
    let mut shape = ins[0].shape();
    let width: usize = shape[1..].iter().product();
    shape[0] = ins[2].len() - 1;
    let mut out = vec![first; shape[0] * width];
    let mut cascade = Cascade::new(first, combine);
    for (segment, members) in members(ins[2].as_slice(), ins[3].as_slice()).enumerate() {
        let row = &mut out[segment * width..][..width];
        cascade.add(members.len(), row, |i, j| xs[members[i] as usize * width + j]);
    }
    HostArray::new(&shape, out)
}

/// The rule `batch` of a reduction by segment: a new axis of the data stays where it is, or moves after the members.
pub(super) fn batch_segmented(prim: &'static dyn Primitive, cx: &Batch<'_>) -> Batched {
    refuse_batched_segments(prim.name(), cx);
    let (data, at) = (&cx.ins[0].0, cx.ins[0].1.expect("the data are batched"));
    let moved = at.max(1);
    let mut ins = vec![move_axis(data, at, moved)];
    ins.extend(cx.ins[1..].iter().map(|(value, _)| value.clone()));
    vec![(bind1(prim, &refs(&ins), Params::new()), Some(moved))]
}

/// Lowers a reduction by segment.
pub(super) fn lower_segmented(cx: &mut dyn Lower, op: ReduceOp) -> Result<Vec<Scalar>, Unsupported> {
    let mut at = cx.index();
    at[0] = cx.segment_loop(&at[0], 2, 3)?;
    let x = cx.read(0, &at)?;
    Ok(vec![cx.reduce(op, x)?])
}

/// A reduction by segment in StableHLO: every member is combined into its segment's element.
pub(super) fn export_segmented(cx: &mut Export<'_>, op: ReduceOp) -> Vec<Operand> {
    let (data, ids, out) = (cx.operand(0), cx.operand(1), cx.output(0));
    let none = cx.splat(op.identity(out.dtype), &extents(&out.shape));
    vec![Numbered { axis: 0, shared: 0 }.combine(cx, Some(op), [&none, &ids, &data])]
}

/// Data on the sample segments.
pub(super) fn samples(frequency: f32) -> Vec<Sample> {
    let sample = |name, shape: &[usize]| {
        let n = shape.iter().product();
        let data = HostArray::new(shape, (0..n).map(|i| (i as f32 * frequency).sin()).collect());
        Sample::new(name, [vec![data], sample_segments().to_vec()].concat(), Params::new())
    };
    vec![sample("numbers", &[5]), sample("rows", &[5, 3]), sample("heads", &[5, 2, 2])]
}

impl Primitive for SegmentSum {
    fn name(&self) -> &'static str {
        "segment_sum"
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        segmented_aval(ins)
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        vec![match ins[0].data() {
            Data::F32(xs) => fold(xs, ins, 0.0, |a, b| a + b),
            Data::F64(xs) => fold(xs, ins, 0.0, |a, b| a + b),
            Data::I32(xs) => fold(xs, ins, 0, i32::wrapping_add),
            Data::U32(xs) => fold(xs, ins, 0, u32::wrapping_add),
            Data::I64(xs) => fold(xs, ins, 0, i64::wrapping_add),
            Data::U64(xs) => fold(xs, ins, 0, u64::wrapping_add),
            _ => unreachable!("abstract_eval refuses bool, and narrow types are widened"),
        }]
    }
    fn computed_in(&self, dtype: DType) -> DType {
        dtype.computed()
    }
    // linear in the data
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![cx.tangents[0].as_ref().map(|t| segment_sum(t, [1, 2, 3].map(|i| &cx.primals[i])))]
    }
    // every member gets its segment's cotangent
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let known: Vec<&Value> = cx.ins[1..].iter().filter_map(Linear::known).collect();
        let [ids, offsets, order] = known[..] else { panic!("segment_sum: segments have no tangent") };
        vec![Some(gather_segments(cx.cotangent(), [ids, offsets, order], 0)), None, None, None]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        batch_segmented(SEGMENT_SUM, cx)
    }
    fn kind(&self) -> Kind {
        Kind::Reduce
    }
    fn segments(&self) -> Option<[usize; 3]> {
        Some([1, 2, 3])
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        lower_segmented(cx, ReduceOp::Sum)
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        Ok(export_segmented(cx, ReduceOp::Sum))
    }
    fn samples(&self) -> Vec<Sample> {
        samples(0.8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gavotte_core::aval::Dim;

    #[test]
    #[should_panic(expected = "batch graphs by joining them")]
    fn segments_are_not_batched() {
        let ins = samples(1.0).swap_remove(0).ins.into_iter().map(Value::from);
        let ins: Vec<(Value, Option<usize>)> = ins.map(|value| (value, None)).collect();
        let ids = gavotte_core::ir::structural::broadcast_in_dim(&ins[1].0, &[2.into(), 5.into()], &[1]);
        let ins = [&ins[..1], &[(ids, Some(0))], &ins[2..]].concat();
        SEGMENT_SUM.batch(&Batch { ins: &ins, size: &2.into(), params: &Params::new() });
    }

    #[test]
    fn the_number_of_segments_is_one_less_than_the_offsets() {
        let [n, e] = ["n", "e"].map(Dim::symbol);
        let ints = |extent: Dim| Aval::new(DType::I32, [extent]);
        let data = Aval::new(DType::F32, [e.clone(), 8.into()]);
        let ins = [&data, &ints(e.clone()), &ints(&n + 1), &ints(e.clone())];
        let outs = SEGMENT_SUM.abstract_eval(&ins, &Params::new());
        assert_eq!(outs.map(|outs| outs[0].to_string()), Ok("f32[n,8]".into()));
        assert!(SEGMENT_SUM.abstract_eval(&[&data, ins[1], ins[2], &ints(n)], &Params::new()).is_err());
    }
}
