//! Batching of functions of trees.

use crate::api::axes::{MapAxes, resolved};
use crate::api::function::{Args, Fun, Function, Shareable, Tracer, trace_function};
use crate::aval::{Aval, Dim};
use crate::error::Error;
use crate::ir::structural::{place_axis, renamed};
use crate::ir::{Location, Value, refuse, same, undecided};
use crate::transform;
use crate::tree::{Tree, TreeDef};

/// `f` over one more axis: `in_axes` has its position in all leaves of each argument, or `None`; it is the first axis
/// of results.
///
/// # Panics
/// When called: if no argument is mapped, or the mapped axes have different extents.
#[track_caller]
pub fn vmap<'f, A: Args + 'f, F: Function<A, By> + Shareable + 'f, By>(f: F, in_axes: A::Axes) -> Fun<'f, A, F::Out>
where
    F::Out: 'f,
    A::Axes: 'f,
{
    vmap_axes(f, move |argument, _| in_axes.as_ref()[argument], |_| 0)
}

/// `f` over one more axis, chosen per leaf: `in_axis(argument, type)` says which axis of an argument's leaf it is, and
/// `out_axis(type)` which axis of a result's leaf it becomes, from the leaf's type without it.
///
/// # Panics
/// As [`vmap`].
#[track_caller]
pub fn vmap_axes<'f, A: Args + 'f, F: Function<A, By> + Shareable + 'f, By>(
    f: F,
    in_axis: impl Fn(usize, &Aval) -> Option<usize> + Send + Sync + 'f,
    out_axis: impl Fn(&Aval) -> usize + Send + Sync + 'f,
) -> Fun<'f, A, F::Out>
where
    F::Out: 'f,
{
    let made_at = Location::caller();
    let in_axes = move |def: &TreeDef, leaves: &[Value]| leaf_axes(def, leaves, &in_axis);
    mapped(f, made_at, in_axes, move |_, types, _| types.iter().map(|aval| Some(out_axis(aval))).collect())
}

/// `f` over one more axis, with axes for whole trees or for parts of them: `in_axes` is a prefix of the tuple of
/// arguments, `out_axes` one of the result. A result without an axis must be the same for all batch elements.
///
/// ```
/// # use gavotte_core::api::{MapAxes, vmap_with};
/// # use gavotte_core::device::HostArray;
/// # use gavotte_core::ir::Value;
/// let pair = vmap_with(|x: Value, y: Value| (x, y), (-1, ()), (0, ()));
/// # let value = |shape: &[usize]| Value::from(HostArray::new(shape, vec![0f32; shape.iter().product()]));
/// # let (x, y) = pair(value(&[2, 3]), value(&[4]));
/// # assert_eq!((x.aval().to_string(), y.aval().to_string()), ("f32[3,2]".into(), "f32[4]".into()));
/// ```
///
/// # Panics
/// When called: as [`vmap`]; if a prefix does not fit its tree, or an axis its leaf; if a result without an axis
/// differs between batch elements.
#[track_caller]
pub fn vmap_with<'f, A: Args + 'f, F: Function<A, By> + Shareable + 'f, By>(
    f: F,
    in_axes: impl Into<MapAxes>,
    out_axes: impl Into<MapAxes>,
) -> Fun<'f, A, F::Out>
where
    F::Out: 'f,
{
    let made_at = Location::caller();
    let (in_axes, out_axes) = (in_axes.into(), out_axes.into());
    let of_args = move |def: &TreeDef, leaves: &[Value]| {
        let describe = |path: &str| format!("argument {path}");
        resolve("in_axes", &in_axes, def, &types_of(leaves), 0, describe)
    };
    mapped(f, made_at, of_args, move |def, types, same| {
        let describe = |path: &str| if path.is_empty() { "the result".into() } else { format!("result {path}") };
        let axes = resolve("out_axes", &out_axes, def, types, 1, describe);
        for (((path, axis), same), aval) in def.paths().iter().zip(&axes).zip(same).zip(types) {
            if axis.is_none() && !same {
                refuse(Error::Type(format!(
                    "vmap: {} is {aval}, and differs between batch elements\n  give it an axis in out_axes",
                    describe(path)
                )));
            }
        }
        axes
    })
}

fn types_of(leaves: &[Value]) -> Vec<Aval> {
    leaves.iter().map(|leaf| leaf.aval().clone()).collect()
}

/// The axis of each leaf. `more` is the number of axes a leaf has in addition to those of its type.
#[track_caller]
fn resolve(
    what: &str,
    axes: &MapAxes,
    def: &TreeDef,
    types: &[Aval],
    more: usize,
    describe: impl Fn(&str) -> String,
) -> Vec<Option<usize>> {
    let of = if more == 0 { "the tuple of arguments" } else { "the result" };
    let axes = axes.of_leaves(def, of).unwrap_or_else(|why| refuse(Error::Type(format!("vmap: {what}: {why}"))));
    let mut found = vec![];
    for ((path, aval), axis) in def.paths().iter().zip(types).zip(axes) {
        let at = axis.map(|axis| resolved(axis, aval.rank() + more)).transpose();
        found.push(at.unwrap_or_else(|why| {
            let per_element = if more == 0 { "" } else { " per batch element" };
            refuse(Error::Type(format!("vmap: {what}: {} is {aval}{per_element} and can have {why}", describe(path))))
        }));
    }
    found
}

/// `f` over one more axis. `in_axes` says which axis of each leaf of the arguments it is; `out_axes` which axis of each
/// leaf of the result it becomes, from the result's structure, its types without it, and which leaves are the same for
/// all batch elements.
#[track_caller]
fn mapped<'f, A: Args + 'f, F: Function<A, By> + Shareable + 'f, By>(
    f: F,
    made_at: Location,
    in_axes: impl Fn(&TreeDef, &[Value]) -> Vec<Option<usize>> + Send + Sync + 'f,
    out_axes: impl Fn(&TreeDef, &[Aval], &[bool]) -> Vec<Option<usize>> + Send + Sync + 'f,
) -> Fun<'f, A, F::Out>
where
    F::Out: 'f,
{
    Fun::new(move |args: A| {
        let tracer = |def: &TreeDef, avals: &[Aval]| trace_function::<A, F, By>(&f, def, avals);
        let (outs, out_def) = map_leaves(&tracer, made_at, args.into_leaves(), &in_axes, &out_axes);
        F::Out::unflatten(&out_def, outs)
    })
}

/// Which axis of each leaf of the arguments is mapped.
type InAxes<'a> = &'a dyn Fn(&TreeDef, &[Value]) -> Vec<Option<usize>>;
/// Which axis of each leaf of the result the mapped one becomes.
type OutAxes<'a> = &'a dyn Fn(&TreeDef, &[Aval], &[bool]) -> Vec<Option<usize>>;

fn map_leaves(
    tracer: Tracer<'_>,
    made_at: Location,
    (def, leaves): (TreeDef, Vec<Value>),
    in_axes: InAxes<'_>,
    out_axes: OutAxes<'_>,
) -> (Vec<Value>, TreeDef) {
    let axes = in_axes(&def, &leaves);
    let size = mapped_size(&def, &leaves, &axes, made_at);
    let leaves: Vec<Value> = leaves.iter().zip(&axes).map(|(leaf, axis)| of_size(leaf, *axis, &size)).collect();
    let inner: Vec<Aval> = leaves.iter().zip(&axes).map(|(leaf, axis)| without(leaf.aval(), *axis)).collect();
    let (traced, out_def) = tracer(&def, &inner);
    let ins: Vec<(Value, Option<usize>)> = leaves.into_iter().zip(axes).collect();
    let outs = transform::vmap(&traced.program, &traced.consts, &ins, &size);
    let same: Vec<bool> = outs.iter().map(|(_, axis)| axis.is_none()).collect();
    let types = traced.program.out_avals();
    let axes = out_axes(&out_def, &types, &same);
    for ((path, axis), aval) in out_def.paths().iter().zip(&axes).zip(&types) {
        if axis.is_some_and(|axis| axis > aval.rank()) {
            let axis = axis.unwrap_or_default();
            let result = if path.is_empty() { "the result".into() } else { format!("result {path}") };
            refuse(Error::Type(format!(
                "vmap: {result} is {aval} per batch element, and can have no new axis {axis}\n  at {made_at}"
            )));
        }
    }
    let place = |(out, axis): (&(Value, Option<usize>), Option<usize>)| match axis {
        Some(axis) => place_axis(out, axis, &size),
        None => out.0.clone(),
    };
    let outs = outs.iter().zip(axes).map(place).collect();
    (outs, out_def)
}

fn leaf_axes(def: &TreeDef, leaves: &[Value], in_axis: &impl Fn(usize, &Aval) -> Option<usize>) -> Vec<Option<usize>> {
    let arguments = def.children().iter().enumerate();
    let argument_of = arguments.flat_map(|(i, (_, child))| std::iter::repeat_n(i, child.n_leaf()));
    argument_of.zip(leaves).map(|(argument, leaf)| in_axis(argument, leaf.aval())).collect()
}

#[track_caller]
fn mapped_size(def: &TreeDef, leaves: &[Value], axes: &[Option<usize>], made_at: Location) -> Dim {
    let mut found: Option<(String, &Aval, Dim)> = None;
    for ((path, leaf), axis) in def.paths().into_iter().zip(leaves).zip(axes) {
        let Some(axis) = axis else { continue };
        let Some(size) = leaf.shape().get(*axis).cloned() else {
            refuse(Error::Type(format!("vmap: argument {path} is {} and has no axis {axis}", leaf.aval())));
        };
        match &found {
            Some((other, first, old)) if !same(old, &size) => refuse(Error::Type(format!(
                "vmap: mapped axes have different extents: {old} at argument {other}, {size} at argument {path}{}\n  \
                 operands: {first}, {}\n  at {made_at}",
                undecided(&old.equal_to(&size), old, &size),
                leaf.aval()
            ))),
            Some(_) => {}
            None => found = Some((path, leaf.aval(), size)),
        }
    }
    match found {
        Some((_, _, size)) => size,
        None => refuse(Error::Type("vmap: no argument is mapped: give at least one an axis".into())),
    }
}

/// The leaf with its mapped axis renamed to `size`: facts may say that several sizes are equal.
#[track_caller]
fn of_size(leaf: &Value, axis: Option<usize>, size: &Dim) -> Value {
    let mut shape = leaf.shape().clone();
    axis.into_iter().for_each(|axis| shape[axis] = size.clone());
    renamed(leaf, &shape)
}

fn without(aval: &Aval, axis: Option<usize>) -> Aval {
    let mut aval = aval.clone();
    if let Some(axis) = axis {
        aval.shape.remove(axis);
    }
    aval
}
