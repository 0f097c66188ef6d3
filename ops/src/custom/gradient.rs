//! Functions that return their own derivative as a closure, and closures as functions of what they capture.

use super::{floating, floats, leaves_like, spread, vjp};
use crate::array::Array;
use gavotte_core::api::{Args, Fun, Function, avals, trace_function};
use gavotte_core::ir::{Program, Traced, interpret, trace};
use gavotte_core::tree::Tree;

/// A function with a custom derivative for reverse mode that it defines itself: `f` takes the tuple of arguments, and
/// returns the result and the function from the cotangent of the result to the tuple of cotangents of the arguments.
/// What that function captures is what reverse mode keeps; it must be linear in the cotangent.
///
/// As in [`custom_vjp`](crate::custom_vjp()), of which this is another form: the cotangent of a result that is not floating is
/// zeros, and the cotangent that is returned for such an argument is ignored.
///
/// ```
/// use gavotte::{Array, custom_gradient, grad};
/// // log(1 + exp(x)), whose plain derivative is NaN where exp(x) is infinite.
/// let softplus = custom_gradient(|(x,): (Array,)| {
///     let e = x.exp();
///     ((&e + 1f32).log(), move |ct: Array| (&ct - &ct / (&e + 1f32),))
/// });
/// assert_eq!(grad(softplus)(Array::scalar(100f32)).item::<f32>(), 1.0);
/// ```
///
/// # Panics
/// When called: if the cotangents differ from the arguments in structure or types. When differentiated: with respect to
/// a value that `f` captured.
///
/// Source: JAX, `jax.custom_gradient`.
#[track_caller]
pub fn custom_gradient<'f, A, Out, Bwd>(f: impl Fn(A) -> (Out, Bwd) + Send + Sync + 'f) -> Fun<'f, A, Out>
where
    A: Args + 'f,
    Out: Tree + 'f,
    Bwd: Fn(Out) -> A,
{
    Fun::new(move |args: A| {
        let (def, leaves) = args.into_leaves();
        let ins = avals(&leaves);
        let mut found = None;
        let mut forward = trace("custom_gradient", &ins, |values| {
            let (out, bwd) = f(A::unflatten(&def, values));
            let (out_def, mut results) = out.into_leaves();
            let outs = avals(&results);
            let Traced { program, consts } = trace("custom_gradient_bwd", &floats(&outs), |cotangents| {
                let given = bwd(Out::unflatten(&out_def, spread(&outs, cotangents)));
                floating(leaves_like(
                    given,
                    &def,
                    &ins,
                    "custom_gradient: what the derivative returns",
                    "the arguments",
                ))
            });
            results.extend(consts);
            found = Some((out_def, outs.len(), program.inlined().closed()));
            results
        });
        let (out_def, n_out, bwd) = found.expect("the function was traced");
        forward.program = forward.program.inlined();
        let outs = forward.program.outs[..n_out].to_vec();
        let program = Traced { program: Program { outs, ..forward.program.clone() }.pruned(), ..forward.clone() };
        let backward = Traced { program: bwd, consts: vec![] };
        Out::unflatten(&out_def, vjp::call([program, forward, backward], &leaves))
    })
}

/// A function of the tuple of arguments of a closure, and of what the closure captured.
type Converted<'f, A, Out> = Fun<'f, (A, Vec<Array>), Out>;

/// `f` as a function that captures nothing, and what it captured: `converted(args, captured)` is `f(args)`. Of `args`
/// only structure and types count.
///
/// A function with a custom derivative refuses to be differentiated with respect to what a closure captured; converted,
/// that is an argument like any other. Scalars in the host's memory are constants, and stay within the function.
///
/// ```
/// use gavotte::{Array, closure_convert, grad};
/// let of = |w: Array| {
///     let f = |x: Array| &w * x;
///     let (converted, captured) = closure_convert(&f, (Array::scalar(0f32),));
///     converted((Array::scalar(3f32),), captured)
/// };
/// assert_eq!(grad(of)(Array::scalar(2f32)).item::<f32>(), 3.0);
/// ```
///
/// # Panics
/// When the converted function is called: if the arguments, or what is captured, have other types than before.
///
/// Source: JAX, `jax.closure_convert`, which leaves captured arrays that are not being traced in the function.
#[track_caller]
pub fn closure_convert<'f, A, F, By>(f: &F, args: A) -> (Converted<'f, A, F::Out>, Vec<Array>)
where
    A: Args + 'f,
    F: Function<A, By>,
    F::Out: 'f,
{
    let (def, leaves) = args.into_leaves();
    let ins = avals(&leaves);
    let (Traced { program, consts }, out_def) = trace_function::<A, F, By>(f, &def, &ins);
    let (wanted, captured) = (avals(&consts), consts.into_iter().map(Array).collect::<Vec<_>>());
    let captured_def = captured.flatten().0;
    let converted = Fun::new(move |(args, captured): (A, Vec<Array>)| {
        let args = leaves_like(args, &def, &ins, "closure_convert: the argument", "the example");
        let captured =
            leaves_like(captured, &captured_def, &wanted, "closure_convert: a captured array", "the closure's");
        F::Out::unflatten(&out_def, interpret(&program, &captured, &args))
    });
    (converted, captured)
}
