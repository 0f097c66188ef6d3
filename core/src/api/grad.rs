//! Differentiation of functions of trees.

use crate::api::argnums::{Argnums, Gradient};
use crate::api::function::{Args, Fun, Function, Shareable, Tracer, avals, trace_function};
use crate::aval::{Aval, Literal};
use crate::error::Error;
use crate::ir::{Location, Value, for_caller, quietly, refuse};
use crate::transform::{self, LinearProgram, hoist, instantiate, nonlinearity};
use crate::tree::{Tree, TreeDef};
use std::ops::Range;

/// `f` and its gradient with respect to the first argument. `f` must return one floating scalar.
/// [`value_and_grad_argnums`] chooses other arguments. A function of no arguments does not compile.
///
/// # Panics
/// When called: if the result is not a floating scalar, or a leaf of the first argument is not floating.
#[track_caller]
pub fn value_and_grad<'f, A: Args + 'f, F: Function<A, By> + Shareable + 'f, By>(f: F) -> Fun<'f, A, (F::Out, A::First)>
where
    F::Out: 'f,
{
    Fun::new(move |args: A| {
        let (out, mut found) = value_and_gradients::<A, F, By>(&f, args, &[0]);
        (out, found.remove(0).tree())
    })
}

/// The gradient of `f` with respect to the first argument. `f` must return one floating scalar. [`grad_argnums`] chooses
/// other arguments.
///
/// # Panics
/// As [`value_and_grad`].
#[track_caller]
pub fn grad<'f, A: Args + 'f, F: Function<A, By> + Shareable + 'f, By>(f: F) -> Fun<'f, A, A::First>
where
    F::Out: 'f,
{
    let both = value_and_grad(f);
    Fun::new(move |args| both.apply(args).1)
}

/// `f` and its gradient, where `f` returns a pair: the scalar, and auxiliary results that are not differentiated.
///
/// # Panics
/// As [`value_and_grad`].
#[track_caller]
pub fn value_and_grad_aux<'f, A, F, L, Aux, By>(f: F) -> Fun<'f, A, ((L, Aux), A::First)>
where
    A: Args + 'f,
    L: Tree + 'f,
    Aux: Tree + 'f,
    F: Function<A, By, Out = (L, Aux)> + Shareable + 'f,
{
    Fun::new(move |args: A| {
        let (outs, out_def, mut found) = gradients::<A, F, By>(&f, args, &[0]);
        (F::Out::unflatten(&out_def, outs), found.remove(0).tree())
    })
}

/// `f` and its gradient with respect to the chosen arguments: `Arg::<1>` for one of them, `(Arg::<0>, Arg::<2>)` for a
/// tuple of gradients in this order. `f` must return one floating scalar.
///
/// # Panics
/// When called: if the result is not a floating scalar, or a leaf of a chosen argument is not floating.
///
/// Source: JAX, `jax.value_and_grad` with `argnums`.
#[track_caller]
pub fn value_and_grad_argnums<'f, A, F, N, Grads, By>(f: F, argnums: N) -> Fun<'f, A, (F::Out, Grads)>
where
    A: Args + 'f,
    F: Function<A, By> + Shareable + 'f,
    F::Out: 'f,
    N: Argnums<A, Grads>,
    Grads: Tree + 'f,
{
    // The type carries the choice.
    let _ = argnums;
    Fun::new(move |args: A| {
        let (out, found) = value_and_gradients::<A, F, By>(&f, args, N::NUMBERS);
        (out, N::grads(found))
    })
}

/// The gradient of `f` with respect to the chosen arguments, as in [`value_and_grad_argnums`]. A number without an
/// argument does not compile.
///
/// ```
/// # use gavotte_core::api::{Arg, grad_argnums};
/// # use gavotte_core::ir::Value;
/// # let value = |x: f32| Value::from(gavotte_core::aval::Literal::F32(x));
/// # let f = |x: Value, _: Value| x;
/// let (dx, dy) = grad_argnums(f, (Arg::<0>, Arg::<1>))(value(3.0), value(4.0));
/// # let number = |x: Value| x.to_host().map(|x| x.as_slice::<f32>()[0]);
/// # assert_eq!((number(dx), number(dy)), (Ok(1.0), Ok(0.0)));
/// ```
///
/// # Panics
/// As [`value_and_grad_argnums`].
///
/// Source: JAX, `jax.grad` with `argnums`.
#[track_caller]
pub fn grad_argnums<'f, A, F, N, Grads, By>(f: F, argnums: N) -> Fun<'f, A, Grads>
where
    A: Args + 'f,
    F: Function<A, By> + Shareable + 'f,
    F::Out: 'f,
    N: Argnums<A, Grads>,
    Grads: Tree + 'f,
{
    let both = value_and_grad_argnums(f, argnums);
    Fun::new(move |args| both.apply(args).1)
}

/// The result, and the gradient with respect to each argument in `numbers`.
#[track_caller]
fn value_and_gradients<A: Args, F: Function<A, By>, By>(f: &F, args: A, numbers: &[usize]) -> (F::Out, Vec<Gradient>) {
    let (mut outs, out_def, found) = gradients::<A, F, By>(f, args, numbers);
    if outs.len() != 1 {
        refuse_output(&outs);
    }
    (F::Out::unflatten(&out_def, vec![outs.remove(0)]), found)
}

/// Results, their structure, and the gradient of the first result leaf with respect to each argument in `numbers`.
#[track_caller]
fn gradients<A: Args, F: Function<A, By>, By>(
    f: &F,
    args: A,
    numbers: &[usize],
) -> (Vec<Value>, TreeDef, Vec<Gradient>) {
    const { assert!(A::ARITY > 0, "a function of no arguments has no gradient") };
    differentiate(&|def, avals| trace_function::<A, F, By>(f, def, avals), args.into_leaves(), numbers)
}

#[track_caller]
fn differentiate(
    tracer: Tracer<'_>,
    (def, leaves): (TreeDef, Vec<Value>),
    numbers: &[usize],
) -> (Vec<Value>, TreeDef, Vec<Gradient>) {
    const ORDINALS: [&str; 8] = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"];
    let mut start = 0;
    let places: Vec<Range<usize>> =
        def.children().iter().map(|(_, child)| (start..start + child.n_leaf(), start += child.n_leaf()).0).collect();
    for number in numbers {
        for (path, leaf) in def.child(*number).paths().iter().zip(&leaves[places[*number].clone()]) {
            if !leaf.dtype().is_float() {
                let ordinal = ORDINALS[*number];
                let rest = if numbers == [0] { "as a later argument" } else { "as an argument that is not chosen" };
                let leaf_of = if path.is_empty() { String::new() } else { format!("leaf `{path}` of ") };
                refuse(Error::Type(format!(
                    "grad: {leaf_of}the {ordinal} argument is {}\n  only floats have derivatives: pass the rest \
                     {rest}",
                    leaf.aval()
                )));
            }
        }
    }
    let (traced, out_def) = tracer(&def, &avals(&leaves));
    let wrt: Vec<bool> = (0..leaves.len()).map(|i| numbers.iter().any(|number| places[*number].contains(&i))).collect();
    let (outs, pull) = transform::vjp(&traced.program, &traced.consts, &leaves, &wrt);
    let Some(value) = outs.first().filter(|value| value.rank() == 0 && value.dtype().is_float()) else {
        refuse_output(&outs)
    };
    let mut cotangents = vec![None; outs.len()];
    cotangents[0] = Some(Value::from(Literal::from_f64(value.dtype(), 1.0)));
    let found = pull(&cotangents);
    let gradient = |number: &usize| {
        let of_leaf = |i: usize| instantiate(found[i].clone(), leaves[i].aval());
        Gradient { def: def.child(*number).clone(), leaves: places[*number].clone().map(of_leaf).collect() }
    };
    let gradients = numbers.iter().map(gradient).collect();
    (outs, out_def, gradients)
}

#[track_caller]
fn refuse_output(outs: &[Value]) -> ! {
    refuse(Error::Type(format!(
        "grad: the function must return one floating scalar, not {:?}\n  reduce it first, with sum or mean",
        avals(outs)
    )))
}

/// Results of `f` at `primals` and its directional derivative along `tangents` (the same tree of floating arrays).
///
/// # Panics
/// If the trees differ, or a tangent's type is not its primal's.
#[track_caller]
pub fn jvp<A: Args, F: Function<A, By>, By>(f: &F, primals: A, tangents: A) -> (F::Out, F::Out) {
    let tracer = |def: &TreeDef, avals: &[Aval]| trace_function::<A, F, By>(f, def, avals);
    let (outs, moves, out_def) = for_caller(|| pushed(&tracer, primals.into_leaves(), tangents.into_leaves()));
    (F::Out::unflatten(&out_def, outs), F::Out::unflatten(&out_def, moves))
}

/// Results, their tangents, and their structure.
#[track_caller]
fn pushed(
    tracer: Tracer<'_>,
    (def, primals): (TreeDef, Vec<Value>),
    (other, tangents): (TreeDef, Vec<Value>),
) -> (Vec<Value>, Vec<Value>, TreeDef) {
    require_alike(
        ["jvp: primals and tangents", "primal", "tangent"],
        (&def, &avals(&primals)),
        (&other, &tangents),
        None,
    );
    let (traced, out_def) = tracer(&def, &avals(&primals));
    let tangents: Vec<Option<Value>> = tangents.into_iter().map(Some).collect();
    let (outs, moves) = transform::jvp(&traced.program, &traced.consts, &primals, &tangents);
    let moves = moves.into_iter().zip(&outs).map(|(t, out)| instantiate(t, out.aval())).collect();
    (outs, moves, out_def)
}

/// Refuses a tree that differs from another in structure or in a type. `names` are the names of both trees, of a leaf
/// of the first, and of a leaf of the second; `made_at` is where the function that takes the second was made.
#[track_caller]
fn require_alike(
    [both, one, other]: [&str; 3],
    (def, types): (&TreeDef, &[Aval]),
    (found, given): (&TreeDef, &[Value]),
    made_at: Option<Location>,
) {
    let place = made_at.map_or(String::new(), |at| format!("\n  at {at}"));
    if let Some(difference) = def.first_difference(found) {
        refuse(Error::Type(format!("{both} differ {difference}{place}")));
    }
    for ((path, wanted), t) in def.paths().iter().zip(types).zip(given) {
        if wanted != t.aval() {
            let at = if path.is_empty() { String::new() } else { format!("at {path} ") };
            let text = format!("{both} differ: {at}the {one} is {wanted}, the {other} {}{place}", t.aval());
            refuse(Error::Type(text));
        }
    }
}

/// Results of `f` at `args`, and the function that maps cotangents of the results to cotangents of the arguments. A
/// cotangent has its result's type. Arguments that are not floating get zeros.
///
/// # Panics
/// When the function is called: if the cotangents differ from the results in structure or in a type.
#[track_caller]
pub fn vjp<'f, A: Args + 'f, F: Function<A, By>, By>(f: &F, args: A) -> (F::Out, Fun<'f, (F::Out,), A>)
where
    F::Out: 'f,
{
    let (def, leaves) = args.into_leaves();
    let (traced, out_def) = trace_function::<A, F, By>(f, &def, &avals(&leaves));
    let (outs, pull) =
        for_caller(|| transform::vjp(&traced.program, &traced.consts, &leaves, &vec![true; leaves.len()]));
    let (types, of_result, made_at) = (avals(&outs), out_def.clone(), Location::caller());
    let pull = Fun::new(move |(cotangents,): (F::Out,)| {
        let (found, cotangents) = cotangents.into_leaves();
        let names = ["vjp: results and cotangents", "result", "cotangent"];
        require_alike(names, (&of_result, &types), (&found, &cotangents), Some(made_at));
        let found = pull(&cotangents.into_iter().map(Some).collect::<Vec<_>>());
        A::unflatten(&def, found.into_iter().zip(&leaves).map(|(ct, leaf)| instantiate(ct, leaf.aval())).collect())
    });
    (F::Out::unflatten(&out_def, outs), pull)
}

/// Results of `f` at `args`, and its derivative there: a linear function of tangents of the arguments, each of its
/// argument's type. Tangents of arguments that are not floating are ignored.
///
/// # Panics
/// When the derivative is called: if the tangents differ from the arguments in structure or in a type.
#[track_caller]
pub fn linearize<'f, A: Args + 'f, F: Function<A, By>, By>(f: &F, args: A) -> (F::Out, Fun<'f, A, F::Out>)
where
    F::Out: 'f,
{
    let (def, leaves) = args.into_leaves();
    let (traced, out_def) = trace_function::<A, F, By>(f, &def, &avals(&leaves));
    let (outs, linear) =
        for_caller(|| transform::linearize(&traced.program, &traced.consts, &leaves, &vec![true; leaves.len()]));
    let result = F::Out::unflatten(&out_def, outs.clone());
    let (types, made_at) = (avals(&leaves), Location::caller());
    let derivative = Fun::new(move |tangents: A| {
        let (found, tangents) = tangents.into_leaves();
        let names = ["linearize: arguments and tangents", "argument", "tangent"];
        require_alike(names, (&def, &types), (&found, &tangents), Some(made_at));
        let tangents: Vec<Value> = tangents.into_iter().filter(|tangent| tangent.dtype().is_float()).collect();
        let found = crate::ir::interpret(&linear.program, &linear.residuals, &tangents);
        let moves = linear
            .outs
            .iter()
            .zip(&outs)
            .map(|(at, out)| instantiate(at.map(|at| found[at].clone()), out.aval()))
            .collect();
        F::Out::unflatten(&out_def, moves)
    });
    (result, derivative)
}

/// The transpose of a linear `f`: a function from cotangents of the results of `f` to those of its arguments, so that
/// `<f(x), c> = <x, transposed(c)>` for all `x` and `c`. Of `args` only structure and types count; all must be floating,
/// and so must the results. Nothing is computed at `args`, unlike in [`vjp`].
///
/// ```
/// # use gavotte_core::api::linear_transpose;
/// # use gavotte_core::ir::Value;
/// # let value = |x: f32| Value::from(gavotte_core::aval::Literal::F32(x));
/// let transposed = linear_transpose(&|x: Value| (x.clone(), x), (value(0.0),));
/// let (found,) = transposed((value(2.0), value(3.0)));
/// # let found = found.to_host().map(|x| x.as_slice::<f32>()[0]);
/// assert_eq!(found, Ok(5.0));
/// ```
///
/// # Panics
/// If an argument or a result is not floating, or `f` is not linear: the message names the operation and its line. A
/// constant that `f` adds is noticed unless it is being traced, or added in a loop or a branch. When the function is
/// called: if the cotangents differ from the results in structure or in a type.
///
/// Source: JAX, `jax.linear_transpose`, which does not notice a constant that is added.
#[track_caller]
pub fn linear_transpose<'f, A: Args + 'f, F: Function<A, By>, By>(f: &F, args: A) -> Fun<'f, (F::Out,), A>
where
    F::Out: 'f,
{
    let (def, leaves) = args.into_leaves();
    let ins = avals(&leaves);
    let (traced, out_def) = trace_function::<A, F, By>(f, &def, &ins);
    let types = traced.program.out_avals();
    for (what, def, types) in [("argument", &def, &ins), ("result", &out_def, &types)] {
        if let Some((path, aval)) = def.paths().iter().zip(types).find(|(_, aval)| !aval.dtype.is_float()) {
            let at = if path.is_empty() { String::new() } else { format!(" at {path}") };
            refuse(Error::Type(format!("linear_transpose: the {what}{at} is {aval}: only floats have cotangents")));
        }
    }
    let outs = (0..types.len()).map(Some).collect();
    let (program, residuals) = hoist(traced.program.inlined(), traced.consts);
    let linear = LinearProgram { program, residuals, outs };
    if let Some((at, why)) = nonlinearity(&linear) {
        let at = if at.is_known() { format!(", at {at}") } else { String::new() };
        refuse(Error::Unsupported(format!("linear_transpose: the function is not linear in its arguments: {why}{at}")));
    }
    let made_at = Location::caller();
    Fun::new(move |(cotangents,): (F::Out,)| {
        let (found, cotangents) = cotangents.into_leaves();
        let names = ["linear_transpose: results and cotangents", "result", "cotangent"];
        require_alike(names, (&out_def, &types), (&found, &cotangents), Some(made_at));
        let cotangents: Vec<_> = cotangents.into_iter().map(Some).collect();
        let found = quietly(|| transform::transpose(&linear, &cotangents))
            .unwrap_or_else(|why| refuse(Error::Unsupported(format!("linear_transpose: {why}\n  at {made_at}"))));
        A::unflatten(&def, found.into_iter().zip(&ins).map(|(ct, aval)| instantiate(ct, aval)).collect())
    })
}
