//! `root`: where a function is zero, found by any method, with the derivative of the root.

use super::{
    Placed, batched, check_outs, close, evaluated, floats, instantiated, leaves_like, owned, try_closed, try_leading,
    types_of,
};
use crate::array::Array;
use crate::elementwise::NEG;
use gavotte_core::api::{avals, jvp as push};
use gavotte_core::aval::Aval;
use gavotte_core::device::HostArray;
use gavotte_core::error::{Error, TypeError};
use gavotte_core::ir::structural::place_axis;
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Params, Primitive, Sample, Value, bind, for_caller, interpret, refuse, trace,
};
use gavotte_core::transform::jvp;
use gavotte_core::tree::Tree;
use std::sync::Arc;

/// Finds a root.
#[derive(Debug)]
struct Root;
/// The primitive `root {f, n_const, program, tangent}`: operands are `n_const` captured values, then where to begin.
/// `f` and `program` take these and return as many arrays, of the types of where to begin: the function's value, and its
/// root. `tangent` takes the captured values, a root and a right side `y`, and returns the `t` with `∂f/∂x t = y`.
pub(super) static ROOT: &dyn Primitive = &Root;

/// A root of `f`, found by `solve(f, initial)`, with the derivative of the root with respect to what `f` captures, by the
/// implicit function theorem: `∂f/∂x dx = -df`. That of the method is not asked for, so `solve` may loop.
///
/// `tangent_solve(g, y)` returns the `t` with `g(t) = y`, where `g` is linear: the derivative of `f` at the root. For a
/// scalar that is `y / g(1)`. Reverse mode transposes it, so a loop belongs into
/// [`custom_linear_solve`](crate::custom_linear_solve()). The root does not depend on `initial`.
///
/// ```
/// use gavotte::{Array, custom_root, fori_loop, grad};
/// // The square root, as a root of x² - a, by Newton's method.
/// let root = |a: Array| {
///     let f = |x: Array| &x * &x - &a;
///     let newton = |_: &dyn Fn(Array) -> Array, x: Array| fori_loop(0, 20, |_, x: Array| (&x + &a / &x) * 0.5f64, x);
///     let divide = |g: &dyn Fn(Array) -> Array, y: Array| y / g(Array::scalar(1f64));
///     custom_root(f, Array::scalar(1f64), newton, divide)
/// };
/// assert_eq!(root(Array::scalar(9f64)).item::<f64>(), 3.0);
/// assert_eq!(grad(root)(Array::scalar(9f64)).item::<f64>(), 1.0 / 6.0);
/// ```
///
/// # Panics
/// If `initial` has arrays that are not floating, or a result differs from it in structure or types.
///
/// Source: JAX, `jax.lax.custom_root`.
#[track_caller]
pub fn custom_root<T: Tree>(
    f: impl Fn(T) -> T,
    initial: T,
    solve: impl Fn(&dyn Fn(T) -> T, T) -> T,
    tangent_solve: impl Fn(&dyn Fn(T) -> T, T) -> T,
) -> T {
    // What is wrong with a result is found where it is traced, which is no line of the user.
    for_caller(|| {
        const NAME: &str = "custom_root";
        let (def, leaves) = initial.into_leaves();
        let types = avals(&leaves);
        if let Some(other) = types.iter().find(|aval| !aval.dtype.is_float()) {
            refuse(Error::Type(format!("{NAME}: where to begin has {other}: convert it to floats first")));
        }
        let checked = |name: &str, found: T| {
            leaves_like(found, &def, &types, &format!("{NAME}: the result of `{name}`"), "where to begin")
        };
        let tree = |values: Vec<Value>| T::unflatten(&def, values);
        let value = trace("f", &types, |values| checked("f", f(tree(values))));
        let root = trace("solve", &types, |values| checked("solve", solve(&f, tree(values))));
        let tangent = trace("tangent_solve", &[types.clone(), types.clone()].concat(), |mut values| {
            let right = values.split_off(types.len());
            let derivative = |t: T| push(&f, (tree(values.clone()),), (t,)).1;
            checked("tangent_solve", tangent_solve(&derivative, tree(right)))
        });
        let ([f, program, tangent], captured) = close([value, root, tangent]);
        let params = Params::new()
            .with("f", f)
            .with("n_const", captured.len())
            .with("program", program)
            .with("tangent", tangent);
        T::unflatten(&def, bind(ROOT, &captured.iter().chain(&leaves).collect::<Vec<_>>(), params).into_vec())
    })
}

impl Primitive for Root {
    fn name(&self) -> &'static str {
        "root"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["f", "n_const", "program", "tangent"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let ins = owned(ins);
        let types = &ins[try_leading(params, "n_const", ins.len())?..];
        if floats(types) != types {
            return Err(TypeError::new(format!("where to begin must be floating, not {types:?}")));
        }
        for name in ["f", "program"] {
            check_outs(&*try_closed(params, name, &ins)?, name, types)?;
        }
        check_outs(&*try_closed(params, "tangent", &[&ins[..], types].concat())?, "tangent", types)?;
        Ok(types.to_vec())
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        evaluated(&params.program("program"), ins)
    }
    // ∂f/∂x dx = -∂f/∂p dp
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let n_const = cx.params.axis("n_const");
        let (captured, types) = (&cx.primals[..n_const], avals(cx.outs));
        let none = vec![None; types.len()];
        let at_root = [captured, cx.outs].concat();
        let changes = jvp(&cx.params.program("f"), &[], &at_root, &[&cx.tangents[..n_const], &none].concat()).1;
        if changes.iter().all(Option::is_none) {
            return none;
        }
        let right = instantiated(&types, &changes).into_iter().map(|change| NEG.of([&change]));
        let ins: Vec<Value> = at_root.into_iter().chain(right).collect();
        interpret(&cx.params.program("tangent"), &[], &ins).into_iter().map(Some).collect()
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let n_const = cx.params.axis("n_const");
        let (captured, initial) = cx.ins.split_at(n_const);
        let axes: Vec<Option<usize>> =
            captured.iter().map(|(_, axis)| *axis).chain(initial.iter().map(|_| Some(0))).collect();
        let of_tangent = [&axes[..], &vec![Some(0); initial.len()]].concat();
        let in_front = |_: usize, out: &Placed| (place_axis(out, 0, cx.size), Some(0));
        let over = |name: &str, axes: &[Option<usize>]| batched(&cx.params.program(name), axes, cx.size, in_front).0;
        let params = Params::new()
            .with("f", over("f", &axes))
            .with("n_const", n_const)
            .with("program", over("program", &axes))
            .with("tangent", over("tangent", &of_tangent));
        let initial = initial.iter().map(|value| place_axis(value, 0, cx.size));
        let operands: Vec<Value> = captured.iter().map(|(value, _)| value.clone()).chain(initial).collect();
        let outs = bind(ROOT, &operands.iter().collect::<Vec<_>>(), params);
        outs.into_iter().map(|value| (value, Some(0))).collect()
    }
    fn kind(&self) -> Kind {
        Kind::Custom
    }
    fn samples(&self) -> Vec<Sample> {
        vec![sample()]
    }
}

/// Square roots, by eight steps of Newton's method.
fn sample() -> Sample {
    let ins = vec![HostArray::new(&[3], vec![0.5f32, 2.25, 3.0]), HostArray::new(&[3], vec![1f32, 1.25, 1.5])];
    let types = types_of(&ins);
    let program = |name: &str, types: &[Aval], f: fn(&[Array]) -> Array| {
        let traced =
            trace(name, types, |values| vec![f(&values.into_iter().map(Array::from).collect::<Vec<_>>()).into()]);
        Arc::new(traced.program.inlined())
    };
    let newton = |ins: &[Array]| (0..8).fold(ins[1].clone(), |x, _| (&x + &ins[0] / &x) * 0.5f32);
    let params = Params::new()
        .with("f", program("f", &types, |ins| &ins[1] * &ins[1] - &ins[0]))
        .with("n_const", 1usize)
        .with("program", program("newton", &types, newton))
        .with("tangent", program("tangent", &[&types[..], &types[1..]].concat(), |ins| &ins[2] / (&ins[1] * 2f32)));
    Sample::new("square roots", ins, params)
}
