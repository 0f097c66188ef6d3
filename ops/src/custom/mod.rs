//! The family `custom`: functions with custom rules. `custom_jvp` and `custom_vjp` define the derivative, `checkpoint`
//! what reverse mode keeps of the forward pass.
//!
//! Each primitive holds programs without constants: captured values are leading operands, in front of the arguments.
//! Transformations apply the rules; passes replace the equation by `program`.

mod barrier;
mod checkpoint;
mod gradient;
mod jvp;
mod linear_solve;
mod policy;
mod root;
mod vjp;

pub use barrier::optimization_barrier;
pub use checkpoint::{checkpoint, checkpoint_with};
pub use gradient::{closure_convert, custom_gradient};
pub use jvp::custom_jvp;
pub use linear_solve::custom_linear_solve;
pub use policy::{Policy, checkpoint_name};
pub use root::custom_root;
pub use vjp::custom_vjp;

use gavotte_core::aval::{Aval, Dim, Sizes};
use gavotte_core::device::{Buffer, HostArray};
use gavotte_core::error::{Error, TypeError};
use gavotte_core::ir::{Binder, Location, Params, Primitive, Program, Traced, Value, Var, evaluate, refuse, trace};
use gavotte_core::transform::{instantiate, vmap};
use gavotte_core::tree::{Tree, TreeDef};
use std::sync::Arc;

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] = &[
    checkpoint::CHECKPOINT,
    policy::CHECKPOINT_NAME,
    jvp::CUSTOM_JVP_CALL,
    vjp::CUSTOM_LIN,
    vjp::CUSTOM_VJP_CALL,
    linear_solve::LINEAR_SOLVE,
    root::ROOT,
    barrier::OPTIMIZATION_BARRIER,
];

/// The types of a program's arguments.
fn arg_avals(program: &Program) -> Vec<Aval> {
    program.args.iter().map(|binder| binder.aval.clone()).collect()
}

/// The types of computed arrays.
fn types_of(arrays: &[HostArray]) -> Vec<Aval> {
    arrays.iter().map(|array| array.aval().clone()).collect()
}

/// The types that have derivatives.
fn floats(avals: &[Aval]) -> Vec<Aval> {
    avals.iter().filter(|aval| aval.dtype.is_float()).cloned().collect()
}

/// The program in an attribute, which must take `ins` and have no constants.
fn try_closed(params: &Params, name: &str, ins: &[Aval]) -> Result<Arc<Program>, TypeError> {
    let program = params.try_program(name)?;
    if !program.consts.is_empty() {
        return Err(TypeError::new(format!("`{name}`: captured values must be its first arguments")));
    }
    let wanted = arg_avals(&program);
    if wanted != ins {
        return Err(TypeError::new(format!("`{name}` takes {wanted:?}, not {ins:?}")));
    }
    Ok(program)
}

/// Checks that the results of the program in an attribute have these types.
fn check_outs(program: &Program, name: &str, wanted: &[Aval]) -> Result<(), TypeError> {
    let found = program.out_avals();
    if found != wanted {
        return Err(TypeError::new(format!("`{name}` returns {found:?}, but must return {wanted:?}")));
    }
    Ok(())
}

/// A number of leading operands, at most all of them.
fn try_leading(params: &Params, name: &str, n: usize) -> Result<usize, TypeError> {
    let leading = params.try_axis(name)?;
    if leading > n {
        return Err(TypeError::new(format!("`{name}` is {leading}, of {n} operands")));
    }
    Ok(leading)
}

fn owned(avals: &[&Aval]) -> Vec<Aval> {
    avals.iter().map(|aval| (*aval).clone()).collect()
}

/// The values of a program at computed operands.
pub(crate) fn evaluated(program: &Program, ins: &[&HostArray]) -> Vec<HostArray> {
    let ins: Vec<Arc<HostArray>> = ins.iter().map(|array| Arc::new((*array).clone())).collect();
    evaluate(program, &ins, &[], &Sizes::new()).into_iter().map(Arc::unwrap_or_clone).collect()
}

/// The program that a rule traced, which must have no constants.
fn standalone(traced: Traced) -> Program {
    assert!(traced.consts.is_empty(), "a rule captured an array: {}", traced.program);
    traced.program.inlined().pruned()
}

/// Closures as programs with the same leading operands: the values that any of them captured, then the arguments of
/// each.
fn close<const N: usize>(traced: [Traced; N]) -> ([Arc<Program>; N], Vec<Value>) {
    let captured: Vec<Value> = traced.iter().flat_map(|traced| traced.consts.iter().cloned()).collect();
    let mut at = 0;
    let programs = traced.map(|Traced { program, consts }| {
        let Program { name, args, consts: own, eqns, outs, facts } = program.inlined();
        let first = program.n_var();
        let unread = |i: usize| Binder { var: Var((first + i) as u32), aval: captured[i].aval().clone() };
        let end = at + consts.len();
        let leading = (0..at).map(unread).chain(own).chain((end..captured.len()).map(unread));
        let args = leading.chain(args).collect();
        at = end;
        Arc::new(Program { name, args, consts: vec![], eqns, outs, facts }.renumbered())
    });
    (programs, captured)
}

/// An operand or a result of a batched program with the position of its new axis.
type Placed = (Value, Option<usize>);

/// The program over one more axis, which its arguments have at `axes`; `place` moves a result's axis where it should
/// be.
fn batched(
    program: &Program,
    axes: &[Option<usize>],
    size: &Dim,
    place: impl Fn(usize, &Placed) -> Placed,
) -> (Arc<Program>, Vec<Option<usize>>) {
    let avals: Vec<Aval> =
        program.args.iter().zip(axes).map(|(binder, axis)| with_axis(&binder.aval, *axis, size)).collect();
    let mut places = vec![];
    let traced = trace(&program.name, &avals, |values| {
        let ins: Vec<Placed> = values.into_iter().zip(axes.iter().copied()).collect();
        let outs = vmap(program, &[], &ins, size);
        let placed = outs.iter().enumerate().map(|(i, out)| place(i, out));
        placed
            .map(|(value, axis)| {
                places.push(axis);
                value
            })
            .collect()
    });
    (Arc::new(standalone(traced)), places)
}

fn with_axis(aval: &Aval, axis: Option<usize>, size: &Dim) -> Aval {
    let mut shape = aval.shape.clone();
    if let Some(axis) = axis {
        shape.insert(axis, size.clone());
    }
    aval.with_shape(shape)
}

/// One value for each type: the next one for a floating type, zeros for others.
fn spread(avals: &[Aval], values: Vec<Value>) -> Vec<Value> {
    let mut values = values.into_iter();
    avals.iter().map(|aval| instantiate(if aval.dtype.is_float() { values.next() } else { None }, aval)).collect()
}

/// One entry for each type: the next value for a floating type, `None` for others.
fn spread_some(avals: &[Aval], values: impl IntoIterator<Item = Value>) -> Vec<Option<Value>> {
    let mut values = values.into_iter();
    avals.iter().map(|aval| if aval.dtype.is_float() { values.next() } else { None }).collect()
}

/// The tangents or cotangents of floating types, zeros if there are none.
fn instantiated(avals: &[Aval], values: &[Option<Value>]) -> Vec<Value> {
    let pairs = avals.iter().zip(values).filter(|(aval, _)| aval.dtype.is_float());
    pairs.map(|(aval, value)| instantiate(value.clone(), aval)).collect()
}

/// The values of floating type.
fn floating(values: Vec<Value>) -> Vec<Value> {
    values.into_iter().filter(|value| value.dtype().is_float()).collect()
}

/// The leaves of a tree that a rule returned, which must have this structure and these types. `where_` names the tree,
/// `of` what it must match.
#[track_caller]
fn leaves_like<T: Tree>(tree: T, def: &TreeDef, avals: &[Aval], where_: &str, of: &str) -> Vec<Value> {
    let (found, leaves) = tree.into_leaves();
    if let Some(difference) = def.first_difference(&found) {
        refuse(Error::Type(format!("{where_} differs in structure from {of}, {difference}")));
    }
    for ((path, leaf), aval) in found.paths().iter().zip(&leaves).zip(avals) {
        if leaf.aval() != aval {
            let at = if path.is_empty() { String::new() } else { format!(" at {path}") };
            refuse(Error::Type(format!("{where_}{at} is {}, and must be {aval}, the type of {of}", leaf.aval())));
        }
    }
    leaves
}

/// Refuses a derivative with respect to a captured value: the rule does not define it.
#[track_caller]
fn refuse_captured(name: &str, captured: &[Value], active: impl Iterator<Item = bool>) {
    if let Some((value, _)) = captured.iter().zip(active).find(|(_, active)| *active) {
        refuse(Error::Type(format!(
            "{name}: the function captured a value of type {} that is being differentiated, but the rule gives \
             derivatives of arguments only\n  pass it as an argument, or capture its stop_gradient\n  at {}",
            value.aval(),
            Location::current()
        )));
    }
}
