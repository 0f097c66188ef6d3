//! Batching of functions of trees.

use crate::api::function::{Args, Fun, Function, trace_function};
use crate::aval::{Aval, Dim};
use crate::error::Error;
use crate::ir::structural::{place_axis, renamed};
use crate::ir::{Location, Value, refuse, same, undecided};
use crate::transform;
use crate::tree::{Tree, TreeDef};

/// `f` over one more axis: each argument has it at the axis given for all its leaves, or not at all; results have it
/// in front.
///
/// # Panics
/// When called: if no argument is mapped, or the mapped axes have different extents.
#[track_caller]
pub fn vmap<'f, A: Args + 'f, F: Function<A> + 'f>(f: F, in_axes: A::Axes) -> Fun<'f, A, F::Out>
where
    F::Out: 'f,
    A::Axes: 'f,
{
    vmap_axes(f, move |argument, _| in_axes.as_ref()[argument], |_| 0)
}

/// `f` over one more axis, with a place for each leaf: `in_axis(argument, type)` says where an argument's leaf has it,
/// and `out_axis(type)` where a result's leaf, given its type without it, shall have it.
///
/// # Panics
/// As [`vmap`].
#[track_caller]
pub fn vmap_axes<'f, A: Args + 'f, F: Function<A> + 'f>(
    f: F,
    in_axis: impl Fn(usize, &Aval) -> Option<usize> + 'f,
    out_axis: impl Fn(&Aval) -> usize + 'f,
) -> Fun<'f, A, F::Out>
where
    F::Out: 'f,
{
    let made_at = Location::caller();
    Fun::new(move |args: A| {
        let (def, leaves) = args.into_leaves();
        let axes = leaf_axes(&def, &leaves, &in_axis);
        let size = mapped_size(&def, &leaves, &axes, made_at);
        let leaves: Vec<Value> = leaves.iter().zip(&axes).map(|(leaf, axis)| of_size(leaf, *axis, &size)).collect();
        let inner: Vec<Aval> = leaves.iter().zip(&axes).map(|(leaf, axis)| without(leaf.aval(), *axis)).collect();
        let (traced, out_def) = trace_function::<A, F>(&f, &def, &inner);
        let ins: Vec<(Value, Option<usize>)> = leaves.into_iter().zip(axes).collect();
        let outs = transform::vmap(&traced.program, &traced.consts, &ins, &size);
        let types = traced.program.out_avals();
        let outs = outs.iter().zip(&types).map(|(out, aval)| place_axis(out, out_axis(aval), &size)).collect();
        F::Out::unflatten(&out_def, outs)
    })
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

/// The leaf with the mapped extent under one name: facts may say that several are equal.
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
