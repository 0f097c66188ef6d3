//! `segment_max`: the largest member of each segment.

use super::segment_sum::{batch_segmented, export_segmented, fold, lower_segmented, samples, segmented_aval};
use super::{gather_segments, segment_sum};
use crate::elementwise::weigh;
use crate::reduce::{combined, shares};
use gavotte_core::aval::{Aval, DType};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Lower, Params, Primitive, ReduceOp, Sample, Scalar, Unsupported, Value, bind1,
};
use gavotte_core::with_data;

/// Maximum by segment.
#[derive(Debug)]
struct SegmentMax;
/// The primitive `segment_max` of data and the three arrays of segments: the least value of the type for a segment
/// without members.
pub(super) static SEGMENT_MAX: &dyn Primitive = &SegmentMax;

/// The largest of `data` along its first axis, by segment.
#[track_caller]
pub(crate) fn segment_max(data: &Value, segments: [&Value; 3]) -> Value {
    let [ids, offsets, order] = segments;
    bind1(SEGMENT_MAX, &[data, ids, offsets, order], Params::new())
}

impl Primitive for SegmentMax {
    fn name(&self) -> &'static str {
        "segment_max"
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        segmented_aval(ins)
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        vec![with_data!(ins[0].data(), xs => {
            let (least, larger) = combined(ReduceOp::Max);
            fold(xs, ins, least, larger)
        })]
    }
    // A short integer is exact in `f32`, whose infinities become the ends of its type.
    fn computed_in(&self, dtype: DType) -> DType {
        if dtype.is_narrow() { DType::F32 } else { dtype }
    }
    // d max = Σᵢ dxᵢ over the k members with xᵢ = max, divided by k; every member has a segment, so k > 0
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let segments = [1, 2, 3].map(|i| &cx.primals[i]);
        vec![cx.tangents[0].as_ref().map(|t| {
            let spread = |y: &Value| gather_segments(y, segments, 0);
            let shares = shares(&cx.primals[0], &spread(&cx.outs[0]), |is| spread(&segment_sum(is, segments)));
            segment_sum(&weigh(&shares, t), segments)
        })]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        batch_segmented(SEGMENT_MAX, cx)
    }
    fn kind(&self) -> Kind {
        Kind::Reduce
    }
    fn segments(&self) -> Option<[usize; 3]> {
        Some([1, 2, 3])
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        lower_segmented(cx, ReduceOp::Max)
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        Ok(export_segmented(cx, ReduceOp::Max))
    }
    fn samples(&self) -> Vec<Sample> {
        samples(1.9)
    }
}
