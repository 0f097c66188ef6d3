//! `slice`: every `stride`-th element within a range, along each axis.

use super::pad::{pad_zeros, span};
use super::{operands, reshape};
use gavotte_core::aval::{Aval, Dim, Shape};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{self, Export, Operand};
use gavotte_core::ir::structural::{row_major, strided};
use gavotte_core::ir::{
    Batch, Batched, Index, Jvp, Kind, Lower, Params, Primitive, Rewrite, RewriteRule, Sample, Scalar, Transpose,
    Unsupported, Value, bind1, require_at_least,
};

/// Cuts out a block.
#[derive(Debug)]
struct Slice;
/// The primitive `slice {start, limit, stride}`: along each axis the positions `start`, `start + stride`, … below
/// `limit`. Bounds may be symbolic; if the stride is not 1, the coefficients of symbols in `limit - start` must be
/// multiples of it.
pub(super) static SLICE: &dyn Primitive = &Slice;

/// The elements at `start`, `start + stride`, … below `limit` along each axis.
#[track_caller]
pub(crate) fn slice(x: &Value, start: &[Dim], limit: &[Dim], stride: &[usize]) -> Value {
    if x.shape().as_slice() == limit && start.iter().all(|dim| *dim == 0) && stride.iter().all(|step| *step == 1) {
        return x.clone();
    }
    bind1(SLICE, &[x], Params::new().with("start", start).with("limit", limit).with("stride", stride))
}

/// The number of positions from `start` in steps of `stride` below `limit`.
fn extent(axis: usize, start: &Dim, limit: &Dim, stride: usize, of: &Dim) -> Result<Dim, TypeError> {
    let length = limit - start;
    let within = || format!("axis {axis}: {start}..{limit} must lie within 0..{of} for every size: correct the range");
    require_at_least(start, &0.into(), within)?;
    require_at_least(limit, start, within)?;
    require_at_least(of, limit, within)?;
    if stride == 0 {
        return Err(TypeError::new(format!("axis {axis}: the stride must not be 0")));
    }
    length.div_ceil(stride).ok_or_else(|| {
        TypeError::new(format!(
            "axis {axis}: how many steps of {stride} a symbolic length {length} takes is no polynomial: declare the axis \
             as a multiple, such as {}, or reshape it and slice the new one",
            Dim::symbol("k") * stride
        ))
    })
}

/// `x` with `gap` zeros after every element along an axis.
#[track_caller]
pub(crate) fn followed(x: &Value, axis: usize, gap: usize) -> Value {
    let mut shape = x.shape().to_vec();
    shape.insert(axis + 1, 1.into());
    let none = vec![Dim::from(0); shape.len()];
    let mut high = none.clone();
    high[axis + 1] = gap.into();
    let wide = pad_zeros(&reshape(x, &shape), &none, &high, &vec![0; shape.len()]);
    shape.remove(axis + 1);
    shape[axis] = &shape[axis] * (gap + 1);
    reshape(&wide, &shape)
}

/// The elements of `part` at `start`, `start + stride`, … along each axis of an array of this shape, and zeros elsewhere:
/// the transpose of [`slice`].
#[track_caller]
pub(crate) fn put_back(part: &Value, shape: &[Dim], start: &[Dim], stride: &[usize]) -> Value {
    let mut part = part.clone();
    let (mut high, mut interior) = (vec![], vec![]);
    for axis in 0..shape.len() {
        let (mut gap, mut kept) = (stride[axis] - 1, part.shape()[axis].clone());
        if span(&kept, gap).is_none() {
            // The slice may be empty: so zeros follow every element, instead of being between them.
            part = followed(&part, axis, gap);
            (gap, kept) = (0, part.shape()[axis].clone());
        }
        high.push(&shape[axis] - &start[axis] - span(&kept, gap).unwrap_or(kept));
        interior.push(gap);
    }
    pad_zeros(&part, start, &high, &interior)
}

impl Primitive for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["limit", "start", "stride"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let [x] = operands(ins)?;
        let (start, limit) = (params.try_dims("start")?, params.try_dims("limit")?);
        let stride = params.try_axes("stride")?;
        if [start.len(), limit.len(), stride.len()] != [x.rank(); 3] {
            return Err(TypeError::new("`start`, `limit` and `stride` must have one entry for each axis"));
        }
        let shape: Result<Shape, TypeError> =
            (0..x.rank()).map(|axis| extent(axis, &start[axis], &limit[axis], stride[axis], &x.shape[axis])).collect();
        Ok(vec![x.with_shape(shape?)])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let (start, limit, stride) = (params.axes("start"), params.axes("limit"), params.axes("stride"));
        let shape: Vec<usize> = (0..start.len()).map(|i| (limit[i] - start[i]).div_ceil(stride[i])).collect();
        let steps = row_major(&ins[0].shape());
        let offset = start.iter().zip(&steps).map(|(start, step)| start * *step as usize).sum();
        let steps: Vec<isize> = steps.iter().zip(&stride).map(|(step, stride)| step * *stride as isize).collect();
        vec![strided(ins[0], &shape, &steps, offset)]
    }
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let p = cx.params;
        vec![cx.tangents[0].as_ref().map(|t| slice(t, &p.dims("start"), &p.dims("limit"), &p.axes("stride")))]
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let (start, stride) = (cx.params.dims("start"), cx.params.axes("stride"));
        vec![Some(put_back(cx.cotangent(), &cx.ins[0].aval().shape, &start, &stride))]
    }
    /// The new axis stays where it is, whole.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let (x, at) = (&cx.ins[0].0, cx.ins[0].1.expect("the operand is batched"));
        let (mut start, mut limit) = (cx.params.dims("start"), cx.params.dims("limit"));
        let mut stride = cx.params.axes("stride");
        start.insert(at, 0.into());
        limit.insert(at, cx.size.clone());
        stride.insert(at, 1);
        vec![(slice(x, &start, &limit, &stride), Some(at))]
    }
    fn kind(&self) -> Kind {
        Kind::View
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let (start, stride) = (cx.params().dims("start"), cx.params().axes("stride"));
        let index = cx.index();
        let at: Vec<Index> =
            (0..index.len()).map(|axis| cx.affine(&index[axis], &stride[axis].into(), &start[axis])).collect();
        Ok(vec![cx.read(0, &at)?])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (x, out) = (cx.operand(0), cx.output(0));
        let names = [("start_indices", "start"), ("limit_indices", "limit"), ("strides", "stride")];
        let attrs = names.map(|(theirs, ours)| (theirs, stablehlo::axes(&cx.params().axes(ours))));
        Ok(vec![cx.op("slice", &[&x], &attrs, out)])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[RewriteRule {
            name: "slice-of-everything",
            law: "slice(x, start=[0, …], limit=shape of x, stride=[1, …]) = x",
            apply: |cx| {
                let p = cx.params();
                let whole = p.dims("limit") == cx.ins[0].shape
                    && p.dims("start").iter().all(|dim| *dim == 0)
                    && p.axes("stride").iter().all(|step| *step == 1);
                whole.then_some(Rewrite::Operand(0))
            },
        }]
    }
    fn samples(&self) -> Vec<Sample> {
        let x = HostArray::new(&[3, 5], (0..15).map(|i| i as f32 * 0.5 - 2.0).collect());
        let cut = |start: &[usize], limit: &[usize], stride: &[usize]| {
            Params::new().with("start", start).with("limit", limit).with("stride", stride)
        };
        vec![
            Sample::new("block", vec![x.clone()], cut(&[1, 0], &[3, 4], &[1, 1])),
            Sample::new("steps", vec![x.clone()], cut(&[0, 1], &[3, 5], &[2, 3])),
            Sample::new("every second of all", vec![x.clone()], cut(&[0, 0], &[3, 5], &[2, 2])),
            Sample::new("a step past the end", vec![x.clone()], cut(&[0, 0], &[3, 4], &[1, 3])),
            Sample::new("nothing", vec![x], cut(&[1, 2], &[1, 4], &[2, 1])),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gavotte_core::aval::DType;

    #[test]
    fn bounds_may_be_symbols() {
        let (n, x) = (Dim::symbol("n"), Aval::new(DType::I32, [Dim::symbol("n") + 1]));
        let cut = |start: Dim, limit: Dim, stride: usize| {
            let p = Params::new().with("start", [start].as_slice()).with("limit", [limit].as_slice());
            SLICE.abstract_eval(&[&x], &p.with("stride", vec![stride])).map(|out| out[0].to_string())
        };
        assert_eq!(cut(0.into(), n.clone(), 1), Ok("i32[n]".into()));
        assert_eq!(cut(1.into(), &n + 1, 1), Ok("i32[n]".into()));
        assert!(cut(0.into(), &n + 2, 1).is_err());
        assert!(cut(2.into(), &n + 1, 1).is_err(), "n may be 0");
        assert!(cut(0.into(), n, 2).is_err());
        let x = Aval::new(DType::I32, [Dim::symbol("n") * 2]);
        let p = Params::new().with("start", vec![1usize]).with("limit", [Dim::symbol("n") * 2].as_slice());
        let found = SLICE.abstract_eval(&[&x], &p.with("stride", vec![2usize])).map(|out| out[0].to_string());
        assert!(found.is_err_and(|why| why.0.contains("assume(\"n >= 1\")")), "1..2*n needs one element");
    }
}
