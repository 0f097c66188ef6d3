//! `broadcast_in_dim` and `transpose`: repeating and permuting axes.

use crate::aval::{Aval, Dim, Shape};
use crate::device::HostArray;
use crate::error::TypeError;
use crate::ir::stablehlo::{self, Export, Operand};
use crate::ir::structural::reduce_sum;
use crate::ir::{
    Batch, Batched, Index, Jvp, Kind, Lower, Params, Primitive, Rewrite, RewriteRule, Sample, Scalar, Simplify,
    Transpose, Unsupported, Value, bind1, require_extents, require_shape,
};
use crate::with_data;

/// Places operand axes in a larger shape and repeats along the others.
#[derive(Debug)]
struct BroadcastInDim;
/// The primitive `broadcast_in_dim {dims, shape}`: operand axis `i` becomes axis `dims[i]` of `shape`, which has its
/// extent, maybe under another name where facts say that both are equal.
pub static BROADCAST_IN_DIM: &dyn Primitive = &BroadcastInDim;

/// `x` with its axis `i` as axis `dims[i]` of `shape`, repeated along the others.
#[track_caller]
pub fn broadcast_in_dim(x: &Value, shape: &[Dim], dims: &[usize]) -> Value {
    if x.shape().as_slice() == shape && dims.iter().copied().eq(0..shape.len()) {
        return x.clone();
    }
    bind1(BROADCAST_IN_DIM, &[x], Params::new().with("shape", shape).with("dims", dims))
}

/// `x` with its extents under other names: facts say that they are equal.
#[track_caller]
pub fn renamed(x: &Value, shape: &[Dim]) -> Value {
    broadcast_in_dim(x, shape, &(0..x.rank()).collect::<Vec<_>>())
}

/// Permutes axes.
#[derive(Debug)]
struct TransposeAxes;
/// The primitive `transpose {axes}`: output axis `i` is operand axis `axes[i]`.
pub static TRANSPOSE: &dyn Primitive = &TransposeAxes;

/// `x` with its axes permuted: output axis `i` is axis `axes[i]` of `x`.
#[track_caller]
pub fn transpose(x: &Value, axes: &[usize]) -> Value {
    if axes.iter().copied().eq(0..x.rank()) {
        return x.clone();
    }
    bind1(TRANSPOSE, &[x], Params::new().with("axes", axes))
}

/// `x` with axis `from` moved to place `to`, the others in order.
#[track_caller]
pub fn move_axis(x: &Value, from: usize, to: usize) -> Value {
    let mut axes: Vec<usize> = (0..x.rank()).filter(|axis| *axis != from).collect();
    axes.insert(to, from);
    transpose(x, &axes)
}

/// A `batch` operand with its new axis at `axis`: moved there, or repeated along it.
#[track_caller]
pub fn place_axis((x, at): &(Value, Option<usize>), axis: usize, size: &Dim) -> Value {
    match at {
        Some(at) => move_axis(x, *at, axis),
        None => {
            let mut shape = x.shape().clone();
            shape.insert(axis, size.clone());
            let dims: Vec<usize> = (0..shape.len()).filter(|i| *i != axis).collect();
            broadcast_in_dim(x, &shape, &dims)
        }
    }
}

/// For every element of an array of `shape`, in order, a place that moves by `strides[i]` along axis `i` from `offset`.
pub fn places(shape: &[usize], strides: &[isize], offset: usize) -> impl Iterator<Item = usize> + use<> {
    let (shape, strides) = (shape.to_vec(), strides.to_vec());
    let mut index = vec![0usize; shape.len()];
    let mut at = offset as isize;
    (0..shape.iter().product()).map(move |_| {
        let here = at as usize;
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis] as isize;
            index[axis] = 0;
        }
        here
    })
}

/// Copies `array` into `shape`, where output axis `i` moves by `strides[i]` elements from element `offset`.
pub fn strided(array: &HostArray, shape: &[usize], strides: &[isize], offset: usize) -> HostArray {
    let places = places(shape, strides, offset);
    let data = with_data!(array.data(), xs => wrap(places.map(|at| xs[at]).collect()));
    HostArray::from_data(shape, data)
}

fn wrap<T: crate::device::HostElement>(xs: Vec<T>) -> crate::device::Data {
    T::wrap(xs)
}

/// Row-major strides in elements.
pub fn row_major(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as isize;
    }
    strides
}

fn one<'a>(ins: &[&'a Aval]) -> Result<&'a Aval, TypeError> {
    match ins {
        [x] => Ok(x),
        _ => Err(TypeError::new("takes one operand")),
    }
}

impl Primitive for BroadcastInDim {
    fn name(&self) -> &'static str {
        "broadcast_in_dim"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["dims", "shape"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let x = one(ins)?;
        let (shape, dims): (Shape, _) = (params.try_dims("shape")?, params.try_axes("dims")?);
        let rising = dims.windows(2).all(|pair| pair[0] < pair[1]);
        let fits = dims.len() == x.rank() && rising && dims.iter().all(|dim| *dim < shape.len());
        let why = || format!("axes {:?} cannot be places {dims:?} of {shape:?}: extents there must be equal", x.shape);
        if !fits {
            return Err(TypeError::new(why()));
        }
        require_shape(&x.shape, &dims.iter().map(|dim| shape[*dim].clone()).collect::<Shape>(), why)?;
        require_extents(&shape)?;
        Ok(vec![x.with_shape(shape)])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let shape = params.axes("shape");
        let mut strides = vec![0; shape.len()];
        for (dim, stride) in params.axes("dims").into_iter().zip(row_major(&ins[0].shape())) {
            strides[dim] = stride;
        }
        vec![strided(ins[0], &shape, &strides, 0)]
    }
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![cx.tangents[0].as_ref().map(|t| broadcast_in_dim(t, &cx.params.dims("shape"), &cx.params.axes("dims")))]
    }
    // every operand element is in as many places as the new axes have
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let dims = cx.params.axes("dims");
        let axes: Vec<usize> = (0..cx.cotangent().rank()).filter(|axis| !dims.contains(axis)).collect();
        vec![Some(renamed(&reduce_sum(cx.cotangent(), &axes), &cx.ins[0].aval().shape))]
    }
    /// The new axis keeps its place among the operand's axes, so that nothing moves: right after the axis it follows.
    /// Where it leads, it goes as far to the end as that allows: rows stay in front, a batch of scalars becomes the lanes.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let (x, at) = (&cx.ins[0].0, cx.ins[0].1.expect("the operand is batched"));
        let dims = cx.params.axes("dims");
        let place = match at.checked_sub(1) {
            Some(before) => dims[before] + 1,
            None => dims.first().copied().unwrap_or(cx.params.dims("shape").len()),
        };
        let mut shape = cx.params.dims("shape");
        shape.insert(place, cx.size.clone());
        let mut dims: Vec<usize> = dims.into_iter().map(|dim| dim + usize::from(dim >= place)).collect();
        dims.insert(at, place);
        vec![(broadcast_in_dim(x, &shape, &dims), Some(place))]
    }
    fn kind(&self) -> Kind {
        Kind::View
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let index = cx.index();
        let at: Vec<Index> = cx.params().axes("dims").into_iter().map(|dim| index[dim].clone()).collect();
        Ok(vec![cx.read(0, &at)?])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (x, shape, dims) = (cx.operand(0), cx.params().axes("shape"), cx.params().axes("dims"));
        Ok(vec![cx.broadcast(&x, &shape, &dims)])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[
            RewriteRule {
                name: "broadcast-to-same-shape",
                law: "broadcast_in_dim(x, shape) = x where x has that shape: dims rise, so every axis keeps its place",
                apply: |cx| (cx.ins[0].shape == cx.params().dims("shape")).then_some(Rewrite::Operand(0)),
            },
            RewriteRule {
                name: "broadcast-of-broadcast",
                law: "broadcast_in_dim(broadcast_in_dim(x, p), q) = broadcast_in_dim(x, q∘p): axis i goes to q[p[i]]",
                apply: joined_broadcasts,
            },
        ]
    }
    fn samples(&self) -> Vec<Sample> {
        let x = HostArray::new(&[2, 3], (0..6).map(|i| i as f32 - 2.5).collect());
        let to = |shape: Vec<usize>, dims: Vec<usize>| Params::new().with("shape", shape).with("dims", dims);
        vec![
            Sample::new("scalar", vec![HostArray::new(&[], vec![1.5f32])], to(vec![2, 2], vec![])),
            Sample::new("front", vec![x.clone()], to(vec![4, 2, 3], vec![1, 2])),
            Sample::new("between", vec![x.clone()], to(vec![2, 4, 3], vec![0, 2])),
            Sample::new("behind", vec![x], to(vec![2, 3, 2], vec![0, 1])),
        ]
    }
}

impl Primitive for TransposeAxes {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["axes"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let x = one(ins)?;
        let axes = params.try_axes("axes")?;
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..x.rank()) {
            return Err(TypeError::new(format!("{axes:?} is no order of the {} axes", x.rank())));
        }
        Ok(vec![x.with_shape(axes.into_iter().map(|axis| x.shape[axis].clone()).collect())])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let (shape, strides) = (ins[0].shape(), row_major(&ins[0].shape()));
        let axes = params.axes("axes");
        let out: Vec<usize> = axes.iter().map(|axis| shape[*axis]).collect();
        let strides: Vec<isize> = axes.iter().map(|axis| strides[*axis]).collect();
        vec![strided(ins[0], &out, &strides, 0)]
    }
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![cx.tangents[0].as_ref().map(|t| transpose(t, &cx.params.axes("axes")))]
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        vec![Some(transpose(cx.cotangent(), &inverse(&cx.params.axes("axes"))))]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let (x, at) = (&cx.ins[0].0, cx.ins[0].1.expect("the operand is batched"));
        let mut axes: Vec<usize> =
            cx.params.axes("axes").into_iter().map(|axis| axis + usize::from(axis >= at)).collect();
        axes.insert(at, at);
        vec![(transpose(x, &axes), Some(at))]
    }
    fn kind(&self) -> Kind {
        Kind::View
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let index = cx.index();
        let at: Vec<Index> = inverse(&cx.params().axes("axes")).into_iter().map(|axis| index[axis].clone()).collect();
        Ok(vec![cx.read(0, &at)?])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (x, out) = (cx.operand(0), cx.output(0));
        let permutation = stablehlo::axes(&cx.params().axes("axes"));
        Ok(vec![cx.op("transpose", &[&x], &[("permutation", permutation)], out)])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[
            RewriteRule {
                name: "transpose-in-order",
                law: "transpose(x, [0, 1, …]) = x: every axis keeps its place",
                apply: |cx| {
                    let axes = cx.params().axes("axes");
                    axes.iter().copied().eq(0..axes.len()).then_some(Rewrite::Operand(0))
                },
            },
            RewriteRule {
                name: "transpose-of-transpose",
                law: "transpose(transpose(x, p), q) = transpose(x, p∘q): axis i of the result is axis p[q[i]] of x",
                apply: joined_transposes,
            },
        ]
    }
    fn samples(&self) -> Vec<Sample> {
        let x = HostArray::new(&[2, 3, 2], (0..12).map(|i| i as f32 * 0.5 - 2.0).collect());
        vec![
            Sample::new("rotate", vec![x.clone()], Params::new().with("axes", vec![2usize, 0, 1])),
            Sample::new("swap", vec![x], Params::new().with("axes", vec![0usize, 2, 1])),
        ]
    }
}

fn joined_broadcasts(cx: &Simplify<'_>) -> Option<Rewrite> {
    let inner = cx.definition_by(0, BROADCAST_IN_DIM)?;
    let outer = cx.params().axes("dims");
    let dims: Vec<usize> = inner.params.axes("dims").into_iter().map(|dim| outer[dim]).collect();
    let params = Params::new().with("shape", cx.params().dims("shape")).with("dims", dims);
    Some(Rewrite::Eqn(BROADCAST_IN_DIM, inner.ins.to_vec(), params))
}

fn joined_transposes(cx: &Simplify<'_>) -> Option<Rewrite> {
    let inner = cx.definition_by(0, TRANSPOSE)?;
    let first = inner.params.axes("axes");
    let axes: Vec<usize> = cx.params().axes("axes").into_iter().map(|axis| first[axis]).collect();
    Some(Rewrite::Eqn(TRANSPOSE, inner.ins.to_vec(), Params::new().with("axes", axes)))
}

fn inverse(axes: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; axes.len()];
    for (i, axis) in axes.iter().enumerate() {
        inverse[*axis] = i;
    }
    inverse
}
