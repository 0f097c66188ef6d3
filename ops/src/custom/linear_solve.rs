//! `linear_solve`: the solution of a linear system by any method, with the derivative of the solution.

use super::{
    Placed, arg_avals, batched, check_outs, close, evaluated, floats, instantiated, leaves_like, owned, standalone,
    try_closed, try_leading, types_of,
};
use crate::array::Array;
use crate::elementwise::{NEG, SUB};
use gavotte_core::api::{avals, linear_transpose};
use gavotte_core::aval::Aval;
use gavotte_core::device::HostArray;
use gavotte_core::error::{Error, TypeError};
use gavotte_core::ir::structural::place_axis;
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Linear, Params, Primitive, Program, Sample, Transpose, Value, bind, for_caller, refuse,
    trace,
};
use gavotte_core::transform::{jvp, transpose_call};
use gavotte_core::tree::Tree;
use std::sync::Arc;

/// Solves a linear system.
#[derive(Debug)]
struct LinearSolve;
/// The primitive `linear_solve {back, matvec, n_const, program}`: operands are `n_const` captured values, then the right
/// side `b`. All programs take the captured values, then as many arrays as `b` has, of the same types, and return such
/// arrays: `matvec` the matrix times them, `program` the solution for them, `back` that of the transposed system.
pub(super) static LINEAR_SOLVE: &dyn Primitive = &LinearSolve;

/// The solution `x` of `matvec(x) = b`, found by `solve(matvec, b)`, with the derivative of the solution: that of the
/// method is not asked for. `matvec` is linear in its argument; `x` has the structure and the types of `b`.
///
/// Forward mode solves the system again, for `db - dA x`; reverse mode solves the transposed one, by
/// `transpose_solve(vecmat, ct)`, where `vecmat` is the transpose of `matvec`. For a symmetric system give `solve` again.
/// Derivatives of any order do the same. `solve` and `transpose_solve` may loop: neither is differentiated.
///
/// ```
/// use gavotte::{Array, custom_linear_solve, grad};
/// // x = b / a, found by division.
/// let f = |a: Array| {
///     let by_division = |_: &dyn Fn(Array) -> Array, b: Array| b / &a;
///     custom_linear_solve(|x: Array| &a * x, Array::scalar(6f32), by_division, by_division)
/// };
/// assert_eq!(grad(f)(Array::scalar(2f32)).item::<f32>(), -1.5);
/// ```
///
/// # Panics
/// If `b` has arrays that are not floating, a result differs from `b` in structure or types, or `matvec` is not linear.
///
/// Source: JAX, `jax.lax.custom_linear_solve`.
#[track_caller]
pub fn custom_linear_solve<T: Tree>(
    matvec: impl Fn(T) -> T,
    b: T,
    solve: impl Fn(&dyn Fn(T) -> T, T) -> T,
    transpose_solve: impl Fn(&dyn Fn(T) -> T, T) -> T,
) -> T {
    // What is wrong with a result is found where it is traced, which is no line of the user.
    for_caller(|| {
        const NAME: &str = "custom_linear_solve";
        let (def, leaves) = b.into_leaves();
        let types = avals(&leaves);
        if let Some(other) = types.iter().find(|aval| !aval.dtype.is_float()) {
            refuse(Error::Type(format!("{NAME}: the right side has {other}: convert it to floats first")));
        }
        let like_b = |name: &str, found: T| {
            leaves_like(found, &def, &types, &format!("{NAME}: the result of `{name}`"), "the right side")
        };
        let tree = |values: Vec<Value>| T::unflatten(&def, values);
        let product = trace("matvec", &types, |values| like_b("matvec", matvec(tree(values))));
        let forward = trace("solve", &types, |values| like_b("solve", solve(&matvec, tree(values))));
        let back = trace("transpose_solve", &types, |values| {
            let example = tree(values.clone());
            let transposed = linear_transpose(&matvec, (example,));
            let vecmat = |ct: T| transposed(ct).0;
            like_b("transpose_solve", transpose_solve(&vecmat, tree(values)))
        });
        let ([matvec, program, back], captured) = close([product, forward, back]);
        let params = params(back, matvec, captured.len(), program);
        T::unflatten(&def, bind(LINEAR_SOLVE, &captured.iter().chain(&leaves).collect::<Vec<_>>(), params).into_vec())
    })
}

fn params(back: Arc<Program>, matvec: Arc<Program>, n_const: usize, program: Arc<Program>) -> Params {
    Params::new().with("back", back).with("matvec", matvec).with("n_const", n_const).with("program", program)
}

impl Primitive for LinearSolve {
    fn name(&self) -> &'static str {
        "linear_solve"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["back", "matvec", "n_const", "program"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let ins = owned(ins);
        let b = &ins[try_leading(params, "n_const", ins.len())?..];
        if floats(b) != b {
            return Err(TypeError::new(format!("the right side must be floating, not {b:?}")));
        }
        for name in ["back", "matvec", "program"] {
            check_outs(&*try_closed(params, name, &ins)?, name, b)?;
        }
        Ok(b.to_vec())
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        evaluated(&params.program("program"), ins)
    }
    // A dx = db - dA x
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let n_const = cx.params.axis("n_const");
        let captured = &cx.primals[..n_const];
        let (of_captured, of_b) = cx.tangents.split_at(n_const);
        let types = avals(cx.outs);
        let mut right = of_b.to_vec();
        if of_captured.iter().any(Option::is_some) {
            let (ins, moves) = ([captured, cx.outs].concat(), [of_captured, &vec![None; types.len()]].concat());
            let changes = jvp(&cx.params.program("matvec"), &[], &ins, &moves).1;
            for (right, change) in right.iter_mut().zip(changes) {
                *right = match (right.take(), change) {
                    (right, None) => right,
                    (None, Some(change)) => Some(NEG.of([&change])),
                    (Some(right), Some(change)) => Some(SUB.of([&right, &change])),
                };
            }
        }
        if right.iter().all(Option::is_none) {
            return right;
        }
        let operands = [captured, &instantiated(&types, &right)].concat();
        bind(LINEAR_SOLVE, &operands.iter().collect::<Vec<_>>(), cx.params.clone()).into_iter().map(Some).collect()
    }
    // (A⁻¹)ᵀ = (Aᵀ)⁻¹
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let n_const = cx.params.axis("n_const");
        let captured: Option<Vec<Value>> = cx.ins[..n_const].iter().map(|operand| operand.known().cloned()).collect();
        let Some(captured) = captured else {
            refuse(Error::Unsupported(
                "linear_solve: not linear in what the matrix depends on, so it has no transpose".into(),
            ))
        };
        let matvec = cx.params.program("matvec");
        let (mut ins, types) = (arg_avals(&matvec), matvec.out_avals());
        let unknown = ins.split_off(n_const);
        let vecmat = trace("vecmat", &[ins, types.clone()].concat(), |values| {
            let (known, cotangents) = values.split_at(n_const);
            let unknown = unknown.iter().cloned().map(Linear::Unknown);
            let operands: Vec<Linear> = known.iter().cloned().map(Linear::Known).chain(unknown).collect();
            let found = transpose_call(&matvec, &operands, &cotangents.iter().cloned().map(Some).collect::<Vec<_>>());
            instantiated(&types, &found[n_const..])
        });
        let swapped =
            params(cx.params.program("program"), Arc::new(standalone(vecmat)), n_const, cx.params.program("back"));
        let operands = [captured, instantiated(&types, cx.cotangents)].concat();
        let found = bind(LINEAR_SOLVE, &operands.iter().collect::<Vec<_>>(), swapped).into_iter().map(Some);
        let all = std::iter::repeat_n(None, n_const).chain(found);
        all.zip(cx.ins).map(|(found, operand)| found.filter(|_| operand.is_unknown())).collect()
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let n_const = cx.params.axis("n_const");
        let (captured, b) = cx.ins.split_at(n_const);
        let axes: Vec<Option<usize>> =
            captured.iter().map(|(_, axis)| *axis).chain(b.iter().map(|_| Some(0))).collect();
        let in_front = |_: usize, out: &Placed| (place_axis(out, 0, cx.size), Some(0));
        let [back, matvec, program] =
            ["back", "matvec", "program"].map(|name| batched(&cx.params.program(name), &axes, cx.size, in_front).0);
        let b = b.iter().map(|b| place_axis(b, 0, cx.size));
        let operands: Vec<Value> = captured.iter().map(|(value, _)| value.clone()).chain(b).collect();
        let params = params(back, matvec, n_const, program);
        let outs = bind(LINEAR_SOLVE, &operands.iter().collect::<Vec<_>>(), params);
        outs.into_iter().map(|value| (value, Some(0))).collect()
    }
    fn kind(&self) -> Kind {
        Kind::Custom
    }
    fn samples(&self) -> Vec<Sample> {
        let two = vec![HostArray::new(&[2, 2], vec![2f32, -0.5, 1.0, 1.5]), HostArray::new(&[2], vec![0.75f32, -1.25])];
        let diagonal = [vec![2f32, -0.5, 1.5], vec![0.75f32, -1.25, 0.5]].map(|xs| HostArray::new(&[3], xs)).to_vec();
        let divided: Of = |a, b| b / a;
        vec![
            sample("two unknowns", two, [|a, x| a.matmul(x), cramer, |a, c| cramer(&a.t(), c)]),
            sample("a diagonal", diagonal, [|a, x| a * x, divided, divided]),
        ]
    }
}

/// A function of what the matrix depends on, and of a vector.
type Of = fn(&Array, &Array) -> Array;

/// Two unknowns, by Cramer's rule.
fn cramer(a: &Array, b: &Array) -> Array {
    let at = |i: usize, j: usize| a.index(i).index(j);
    let determinant = at(0, 0) * at(1, 1) - at(0, 1) * at(1, 0);
    let [x, y] = [b.index(0), b.index(1)];
    let found = [at(1, 1) * &x - at(0, 1) * &y, at(0, 0) * y - at(1, 0) * x];
    crate::movement::stack(&found, 0) / determinant
}

/// A sample with the product, the solution, and that of the transposed system.
fn sample(name: &'static str, ins: Vec<HostArray>, of: [Of; 3]) -> Sample {
    let types = types_of(&ins);
    let [matvec, program, back] = [("matvec", of[0]), ("solve", of[1]), ("back", of[2])].map(|(name, f)| {
        let traced = trace(name, &types, |values| {
            let [a, x] = &values.into_iter().map(Array::from).collect::<Vec<_>>()[..] else {
                unreachable!("two operands")
            };
            vec![f(a, x).into()]
        });
        Arc::new(traced.program.inlined())
    });
    Sample::new(name, ins, params(back, matvec, 1, program))
}
