//! Differentiation of functions of trees.

use crate::api::function::{Args, Fun, Function, avals, trace_function};
use crate::aval::Literal;
use crate::error::Error;
use crate::ir::{Value, refuse};
use crate::transform::{self, instantiate};
use crate::tree::{Tree, TreeDef};

/// `f` and its gradient with respect to the first argument. `f` must return one floating scalar.
///
/// # Panics
/// When called: if the result is no floating scalar, or a leaf of the first argument is not floating.
pub fn value_and_grad<'f, A: Args + 'f, F: Function<A> + 'f>(f: F) -> Fun<'f, A, (F::Out, A::First)>
where
    F::Out: 'f,
{
    Fun::new(move |args: A| {
        let (mut outs, out_def, grads) = differentiate(&f, args);
        if outs.len() != 1 {
            refuse_output(&outs);
        }
        (F::Out::unflatten(&out_def, vec![outs.remove(0)]), grads)
    })
}

/// The gradient of `f` with respect to the first argument. `f` must return one floating scalar.
///
/// # Panics
/// As [`value_and_grad`].
pub fn grad<'f, A: Args + 'f, F: Function<A> + 'f>(f: F) -> Fun<'f, A, A::First>
where
    F::Out: 'f,
{
    let both = value_and_grad(f);
    Fun::new(move |args| both.apply(args).1)
}

/// `f` and its gradient where `f` returns a pair: the scalar, and more that is not differentiated.
///
/// # Panics
/// As [`value_and_grad`].
pub fn value_and_grad_aux<'f, A, F, L, Aux>(f: F) -> Fun<'f, A, ((L, Aux), A::First)>
where
    A: Args + 'f,
    L: Tree + 'f,
    Aux: Tree + 'f,
    F: Function<A, Out = (L, Aux)> + 'f,
{
    Fun::new(move |args: A| {
        let (outs, out_def, grads) = differentiate(&f, args);
        (F::Out::unflatten(&out_def, outs), grads)
    })
}

/// Results, their structure, and the gradient of the first result leaf.
#[track_caller]
fn differentiate<A: Args, F: Function<A>>(f: &F, args: A) -> (Vec<Value>, TreeDef, A::First) {
    let (def, leaves) = args.into_leaves();
    let first = def.child(0);
    for (path, leaf) in first.paths().iter().zip(&leaves) {
        if !leaf.dtype().is_float() {
            refuse(Error::Type(format!(
                "grad: leaf `{path}` of the first argument is {}\n  only f32 and f64 have derivatives: pass the rest \
                 as a later argument",
                leaf.aval()
            )));
        }
    }
    let n = first.n_leaf();
    let (traced, out_def) = trace_function::<A, F>(f, &def, &avals(&leaves));
    let wrt: Vec<bool> = (0..leaves.len()).map(|i| i < n).collect();
    let (outs, pull) = transform::vjp(&traced.program, &traced.consts, &leaves, &wrt);
    let Some(value) = outs.first().filter(|value| value.rank() == 0 && value.dtype().is_float()) else {
        refuse_output(&outs)
    };
    let mut cotangents = vec![None; outs.len()];
    cotangents[0] = Some(Value::from(Literal::from_f64(value.dtype(), 1.0)));
    let found = pull(&cotangents);
    let grads = found.into_iter().zip(&leaves).take(n).map(|(grad, leaf)| instantiate(grad, leaf.aval())).collect();
    (outs, out_def, A::First::unflatten(first, grads))
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
pub fn jvp<A: Args, F: Function<A>>(f: &F, primals: A, tangents: A) -> (F::Out, F::Out) {
    let ((def, primals), (other, tangents)) = (primals.into_leaves(), tangents.into_leaves());
    if let Some(difference) = def.first_difference(&other) {
        refuse(Error::Type(format!("jvp: primals and tangents differ {difference}")));
    }
    for ((path, x), t) in def.paths().iter().zip(&primals).zip(&tangents) {
        if x.aval() != t.aval() {
            refuse(Error::Type(format!("jvp: at {path} the primal is {}, the tangent {}", x.aval(), t.aval())));
        }
    }
    let (traced, out_def) = trace_function::<A, F>(f, &def, &avals(&primals));
    let tangents: Vec<Option<Value>> = tangents.into_iter().map(Some).collect();
    let (outs, moves) = transform::jvp(&traced.program, &traced.consts, &primals, &tangents);
    let moves = moves.into_iter().zip(&outs).map(|(t, out)| instantiate(t, out.aval())).collect();
    (F::Out::unflatten(&out_def, outs), F::Out::unflatten(&out_def, moves))
}

/// Results of `f` at `args`, and the function that takes cotangents of the results to those of the arguments.
/// Arguments that are not floating get zeros.
#[track_caller]
pub fn vjp<'f, A: Args + 'f, F: Function<A>>(f: &F, args: A) -> (F::Out, Fun<'f, (F::Out,), A>)
where
    F::Out: 'f,
{
    let (def, leaves) = args.into_leaves();
    let (traced, out_def) = trace_function::<A, F>(f, &def, &avals(&leaves));
    let (outs, pull) = transform::vjp(&traced.program, &traced.consts, &leaves, &vec![true; leaves.len()]);
    let pull = Fun::new(move |(cotangents,): (F::Out,)| {
        let cotangents: Vec<Option<Value>> = cotangents.into_leaves().1.into_iter().map(Some).collect();
        let found = pull(&cotangents);
        A::unflatten(&def, found.into_iter().zip(&leaves).map(|(ct, leaf)| instantiate(ct, leaf.aval())).collect())
    });
    (F::Out::unflatten(&out_def, outs), pull)
}

/// Results of `f` at `args`, and its derivative there: a linear function of tangents of the arguments.
#[track_caller]
pub fn linearize<'f, A: Args + 'f, F: Function<A>>(f: &F, args: A) -> (F::Out, Fun<'f, A, F::Out>)
where
    F::Out: 'f,
{
    let (def, leaves) = args.into_leaves();
    let (traced, out_def) = trace_function::<A, F>(f, &def, &avals(&leaves));
    let (outs, linear) = transform::linearize(&traced.program, &traced.consts, &leaves, &vec![true; leaves.len()]);
    let result = F::Out::unflatten(&out_def, outs.clone());
    let derivative = Fun::new(move |tangents: A| {
        let tangents: Vec<Value> =
            tangents.into_leaves().1.into_iter().filter(|tangent| tangent.dtype().is_float()).collect();
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
