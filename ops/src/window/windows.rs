//! `windows`: the parts of an axis that a window shows as it moves along.

use super::convolve::{Spec, convolution};
use crate::contract::Roles;
use crate::movement::{concatenate, operands, pad_zeros, put_back, reshape, slice, span};
use crate::{Array, dim_value, iota};
use gavotte_core::aval::{Aval, DType, Dim, Verdict};
use gavotte_core::device::HostArray;
use gavotte_core::error::{Error, TypeError};
use gavotte_core::ir::stablehlo::{Export, Operand, extents};
use gavotte_core::ir::structural::{add_any, row_major, strided, zeros};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Lower, Params, Primitive, Sample, Scalar, Transpose, Unsupported, Value, bind1, decide,
    refuse, require_at_least, trace,
};

/// Overlapping parts of an axis.
#[derive(Debug)]
struct Windows;
/// The primitive `windows {axis, dilation, size, stride}`: element `(i, k)` of the axis `axis` and the new axis after it
/// is element `i · stride + k · dilation` of the operand's axis. There are as many windows as fit.
pub(super) static WINDOWS: &dyn Primitive = &Windows;

/// How a window moves along an axis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Moves {
    /// The number of elements in a window.
    pub(super) size: Dim,
    /// The distance of neighbouring windows.
    pub(super) stride: usize,
    /// The distance of neighbouring elements of a window.
    pub(super) dilation: usize,
}

/// The windows along an axis, whose elements become a new axis after it.
#[track_caller]
pub(super) fn windows(x: &Value, axis: usize, moves: &Moves) -> Value {
    let Moves { size, stride, dilation } = moves.clone();
    let params = Params::new().with("axis", axis).with("size", size).with("stride", stride).with("dilation", dilation);
    bind1(WINDOWS, &[x], params)
}

impl Moves {
    fn of(params: &Params) -> Result<Moves, TypeError> {
        let number = |name| params.try_axis(name);
        Ok(Moves { size: params.try_dim("size")?, stride: number("stride")?, dilation: number("dilation")? })
    }

    fn known(params: &Params) -> Moves {
        Moves { size: params.dim("size"), stride: params.axis("stride"), dilation: params.axis("dilation") }
    }

    /// How far a window reaches.
    pub(super) fn span(&self) -> Dim {
        (&self.size - 1) * self.dilation + 1
    }

    /// The number of windows along an axis.
    pub(super) fn count(&self, extent: &Dim) -> Result<Dim, TypeError> {
        let (stride, span) = (self.stride, self.span());
        if stride == 0 || self.dilation == 0 {
            return Err(TypeError::new("the stride and the dilation of a window must not be 0"));
        }
        require_at_least(&self.size, &1.into(), || format!("a window of {} elements may have none", self.size))?;
        if extent.as_number().zip(span.as_number()).is_some_and(|(extent, span)| extent < span) {
            return Ok(0.into());
        }
        // As many as there are starts.
        let starts = extent - &span + 1;
        // Up to `stride - 1` starts too few are rounded up to none.
        require_at_least(&(&starts + (stride - 1)), &0.into(), || {
            format!("a window that spans {span} elements may not fit an axis of {extent}")
        })?;
        starts.div_ceil(stride).ok_or_else(|| {
            TypeError::new(format!(
                "how many windows with the stride {stride} an axis of {extent} has is no polynomial: declare the axis as \
                 a multiple, such as {}",
                Dim::symbol("k") * stride
            ))
        })
    }

    /// The elements at place `k` of all windows, whose number is `count`.
    fn place(&self, x: &Value, axis: usize, k: usize, count: usize) -> Value {
        let (mut start, mut limit) = (vec![Dim::from(0); x.rank()], x.shape().to_vec());
        let mut stride = vec![1; x.rank()];
        stride[axis] = self.stride;
        limit[axis] = 0.into();
        if count > 0 {
            start[axis] = (k * self.dilation).into();
            limit[axis] = (k * self.dilation + (count - 1) * self.stride + 1).into();
        }
        slice(x, &start, &limit, &stride)
    }
}

/// The transpose for a window of any size: the sum over all places of a window as a convolution with a kernel that picks
/// place `K - 1 - k` for its element `k`.
fn added(ct: &Value, x: &Aval, axis: usize, moves: &Moves) -> Value {
    let size = &moves.size;
    let place = |axis: usize| iota([size.clone(), size.clone()], axis, DType::I32);
    let picks = (place(0) + place(1)).eq(dim_value(size - 1, DType::I32)).astype(ct.dtype());
    let reach = moves.span() - 1;
    let Some(taken) = span(&ct.shape()[axis], moves.stride - 1) else {
        let why =
            format!("windows: how many of {} windows there are, whose size is a symbol, is unknown", x.shape[axis]);
        refuse(Error::Type(why))
    };
    let spec = Spec {
        roles: Roles { batch: [vec![], vec![]], contract: [vec![axis + 1], vec![1]] },
        spatial: [vec![axis], vec![0]],
        stride: vec![1],
        low: vec![reach],
        high: vec![&x.shape[axis] - taken],
        base_dilation: vec![moves.stride],
        window_dilation: vec![moves.dilation],
    };
    convolution(ct, &picks.0, &spec)
}

impl Primitive for Windows {
    fn name(&self) -> &'static str {
        "windows"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["axis", "dilation", "size", "stride"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let ([x], axis, moves) = (operands(ins)?, params.try_axis("axis")?, Moves::of(params)?);
        let Some(extent) = x.shape.get(axis) else { return Err(TypeError::new(format!("there is no axis {axis}"))) };
        let mut shape = x.shape.clone();
        shape[axis] = moves.count(extent)?;
        shape.insert(axis + 1, moves.size);
        Ok(vec![x.with_shape(shape)])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let (axis, moves) = (params.axis("axis"), Moves::known(params));
        let (mut shape, mut steps) = (ins[0].shape(), row_major(&ins[0].shape()));
        let (size, extent) = (params.axis("size"), Dim::from(shape[axis]));
        shape[axis] = moves.count(&extent).ok().and_then(|count| count.as_usize()).expect("abstract_eval has found it");
        shape.insert(axis + 1, size);
        steps.insert(axis + 1, steps[axis] * moves.dilation as isize);
        steps[axis] *= moves.stride as isize;
        vec![strided(ins[0], &shape, &steps, 0)]
    }
    // linear
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![cx.tangents[0].as_ref().map(|t| windows(t, cx.params.axis("axis"), &Moves::known(cx.params)))]
    }
    // every element gets the sum of the cotangents of the windows that show it
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let (axis, moves) = (cx.params.axis("axis"), Moves::known(cx.params));
        let (x, ct) = (cx.ins[0].aval(), cx.cotangent());
        let count = ct.shape()[axis].clone();
        if count == 0usize {
            return vec![Some(zeros(&x))];
        }
        let Some(size) = moves.size.as_usize() else { return vec![Some(added(ct, &x, axis, &moves))] };
        let own = &count * moves.stride;
        if moves.dilation == 1 && size <= moves.stride && decide(&x.shape[axis].at_least(own.clone())) == Verdict::Holds
        {
            // Each window has `stride` elements of its own.
            let (none, mut high) = (vec![Dim::from(0); ct.rank()], vec![Dim::from(0); ct.rank()]);
            high[axis + 1] = (moves.stride - size).into();
            let wide = pad_zeros(ct, &none, &high, &vec![0; ct.rank()]);
            let mut shape = x.shape.clone();
            shape[axis] = own;
            return vec![Some(put_back(&reshape(&wide, &shape), &x.shape, &none[1..], &vec![1; x.rank()]))];
        }
        let at_place = |k: usize| {
            let (mut start, mut limit) = (vec![Dim::from(0); ct.rank()], ct.shape().to_vec());
            (start[axis + 1], limit[axis + 1]) = (k.into(), (k + 1).into());
            let part = slice(ct, &start, &limit, &vec![1; ct.rank()]);
            start.remove(axis + 1);
            limit.remove(axis + 1);
            start[axis] = (k * moves.dilation).into();
            let mut stride = vec![1; x.rank()];
            stride[axis] = moves.stride;
            put_back(&reshape(&part, &limit), &x.shape, &start, &stride)
        };
        let mut sum = at_place(0);
        for k in 1..size {
            sum = add_any(&sum, &at_place(k));
        }
        vec![Some(sum)]
    }
    /// The new axis stays where it is.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let (x, at) = (&cx.ins[0].0, cx.ins[0].1.expect("the operand is batched"));
        let axis = cx.params.axis("axis");
        let (axis, place) = if at <= axis { (axis + 1, at) } else { (axis, at + 1) };
        vec![(windows(x, axis, &Moves::known(cx.params)), Some(place))]
    }
    fn kind(&self) -> Kind {
        Kind::View
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let (axis, moves) = (cx.params().axis("axis"), Moves::known(cx.params()));
        let mut at = cx.index();
        let within = at.remove(axis + 1);
        let start = cx.affine(&at[axis], &moves.stride.into(), &0.into());
        let offset = cx.affine(&within, &moves.dilation.into(), &0.into());
        at[axis] = cx.add(&start, &offset);
        Ok(vec![cx.read(0, &at)?])
    }
    /// The slices at each place of a window, joined.
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (axis, moves) = (cx.params().axis("axis"), Moves::known(cx.params()));
        let ins = cx.operands();
        let count = extents(&cx.output(0).shape)[axis];
        let avals: Vec<Aval> = ins.iter().map(|x| x.aval().clone()).collect();
        let size = cx.params().axis("size");
        let joined = trace(self.name(), &avals, |args| {
            let mut parts = vec![];
            for k in 0..size {
                let part = moves.place(&args[0], axis, k, count);
                parts.push(Array(part).expand_dims(axis as isize + 1));
            }
            vec![concatenate(&parts, axis as isize + 1).0]
        });
        cx.program(&joined.program, &ins)
    }
    fn samples(&self) -> Vec<Sample> {
        let x = |shape: &[usize]| {
            HostArray::new(shape, (0..shape.iter().product()).map(|i| (i as f32 * 0.9).cos()).collect())
        };
        let by = |axis: usize, size: usize, stride: usize, dilation: usize| {
            Params::new().with("axis", axis).with("size", size).with("stride", stride).with("dilation", dilation)
        };
        vec![
            Sample::new("overlapping", vec![x(&[2, 5])], by(1, 3, 1, 1)),
            Sample::new("first axis", vec![x(&[6, 2])], by(0, 2, 1, 2)),
            Sample::new("apart", vec![x(&[2, 7])], by(1, 2, 3, 1)),
            Sample::new("side by side", vec![x(&[2, 6])], by(1, 2, 2, 1)),
            Sample::new("side by side, with a rest", vec![x(&[7])], by(0, 2, 3, 1)),
            Sample::new("gaps and steps", vec![x(&[2, 9, 2])], by(1, 3, 2, 2)),
            Sample::new("too large", vec![x(&[2, 3])], by(1, 4, 1, 1)),
        ]
    }
}
