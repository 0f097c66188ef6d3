//! `custom_vjp_call`: a function with a custom rule for reverse mode, from cotangents of its results to those of its
//! arguments; and `custom_lin`, that derivative as an equation.

use super::{
    Placed, arg_avals, batched, check_outs, close, evaluated, floating, floats, instantiated, leaves_like, owned,
    refuse_captured, spread, spread_some, standalone, try_closed, try_leading, types_of, with_axis,
};
use crate::array::Array;
use gavotte_core::api::{Args, Fun, Function, Shareable, avals, trace_function};
use gavotte_core::aval::{Aval, Dim};
use gavotte_core::device::HostArray;
use gavotte_core::error::{Error, TypeError};
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::{place_axis, reduce_sum};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Linear, Linearize, Linearized, Params, Primitive, Program, Pushed, Sample, Traced,
    Transpose, Unsupported, Value, ValueAndJvp, bind, interpret, quietly, refuse, trace,
};
use gavotte_core::transform::{instantiate, jvp, transpose_call};
use gavotte_core::tree::Tree;
use std::sync::Arc;

/// A function with a rule for its cotangents.
#[derive(Debug)]
struct CustomVjp;
/// The primitive `custom_vjp_call {bwd, fwd, n_const, program}`: operands are `n_const` captured values, then the
/// arguments. `fwd` returns the results, then residuals; `bwd` takes the captured values, the residuals and a cotangent
/// for each floating result, and returns one for each floating argument.
pub(super) static CUSTOM_VJP_CALL: &dyn Primitive = &CustomVjp;

/// The transpose of a rule for cotangents.
#[derive(Debug)]
struct CustomLin;
/// The primitive `custom_lin {bwd, n_known}`: operands are the `n_known` known operands of `bwd`, then a tangent for
/// each result of `bwd`; outputs are tangents for the cotangents that `bwd` takes. Its transpose is `bwd`.
pub(super) static CUSTOM_LIN: &dyn Primitive = &CustomLin;

/// `f` with a custom derivative for reverse mode: `fwd` takes the arguments of `f` and returns `(results, residuals)`,
/// where residuals are any tree of arrays; `bwd(residuals, cotangents of the results)` returns the tuple of cotangents
/// of the arguments, and must be linear in the cotangents.
///
/// Reverse mode runs `fwd`, keeps the residuals and runs `bwd`. Derivatives of derivatives differentiate `fwd` and
/// `bwd`. Without differentiation `f` runs. The cotangent of a result that is not floating is zeros; the cotangent that
/// `bwd` returns for such an argument is ignored, but must have its type.
///
/// Forward mode is the transpose of `bwd`, if the operations of `bwd` have one; otherwise it is refused.
///
/// # Panics
/// When called: if the rules' results differ from those of `f`, or from its arguments, in structure or types. When
/// differentiated: with respect to a value that a closure captured.
///
/// Source: JAX, `jax.custom_vjp`.
#[track_caller]
pub fn custom_vjp<'f, A, F, Fwd, Bwd, Res, By, FwdBy>(f: F, fwd: Fwd, bwd: Bwd) -> Fun<'f, A, F::Out>
where
    A: Args + 'f,
    F: Function<A, By> + Shareable + 'f,
    F::Out: 'f,
    Fwd: Function<A, FwdBy, Out = (F::Out, Res)> + Shareable + 'f,
    Bwd: Fn(Res, F::Out) -> A + Send + Sync + 'f,
    Res: Tree,
{
    Fun::new(move |args: A| {
        let (def, leaves) = args.into_leaves();
        let ins = avals(&leaves);
        let (program, out_def) = trace_function::<A, F, By>(&f, &def, &ins);
        let outs = program.program.out_avals();
        let name = program.program.name.clone();
        let mut res_def = None;
        let mut forward = trace(&format!("{name}_fwd"), &ins, |values| {
            let (out, residuals) = fwd.apply(A::unflatten(&def, values));
            let mut found =
                leaves_like(out, &out_def, &outs, "custom_vjp: the result of `fwd`", "the function's result");
            let (def, residuals) = residuals.into_leaves();
            res_def = Some(def);
            found.extend(residuals);
            found
        });
        forward.program = forward.program.inlined();
        let res_def = res_def.expect("`fwd` was traced");
        let residuals = forward.program.out_avals().split_off(outs.len());
        let backward = trace(&format!("{name}_bwd"), &[residuals.clone(), floats(&outs)].concat(), |mut values| {
            let cotangents = spread(&outs, values.split_off(residuals.len()));
            let found = bwd(Res::unflatten(&res_def, values), F::Out::unflatten(&out_def, cotangents));
            floating(leaves_like(found, &def, &ins, "custom_vjp: the result of `bwd`", "the arguments"))
        });
        F::Out::unflatten(&out_def, call([program, forward, backward], &leaves))
    })
}

/// The results of a call at these arguments, with the function's program, that of `fwd`, and that of `bwd`.
#[track_caller]
pub(super) fn call(traced: [Traced; 3], leaves: &[Value]) -> Vec<Value> {
    let ([program, fwd, bwd], captured) = close(traced);
    let params =
        Params::new().with("bwd", bwd).with("fwd", fwd).with("n_const", captured.len()).with("program", program);
    let operands: Vec<&Value> = captured.iter().chain(leaves).collect();
    bind(CUSTOM_VJP_CALL, &operands, params).into_vec()
}

/// Runs `fwd`: returns the results, and the known operands of `bwd`.
fn run_fwd(params: &Params, primals: &[Value]) -> (Vec<Value>, Vec<Value>) {
    let mut outs = interpret(&params.program("fwd"), &[], primals);
    let residuals = outs.split_off(params.program("program").outs.len());
    let captured = primals[..params.axis("n_const")].iter().cloned();
    (outs, captured.chain(residuals).collect())
}

/// Runs `fwd`, then the transpose of `bwd`: returns results, and their tangents.
fn run_forward(params: &Params, primals: &[Value], tangents: &[Option<Value>]) -> (Vec<Value>, Vec<Option<Value>>) {
    let (captured, args) = primals.split_at(params.axis("n_const"));
    let (of_captured, tangents) = tangents.split_at(captured.len());
    refuse_captured("custom_vjp", captured, of_captured.iter().map(Option::is_some));
    let (outs, mut ins) = run_fwd(params, primals);
    let forward = transposed(&params.program("bwd"), ins.len());
    ins.extend(instantiated(&avals(args), tangents));
    let tangents = spread_some(&avals(&outs), interpret(&forward, &[], &ins));
    (outs, tangents)
}

/// The transpose of `bwd`: takes its known operands and tangents of its results, and returns tangents of the
/// cotangents.
fn transposed(bwd: &Program, n_known: usize) -> Program {
    let mut ins = arg_avals(bwd);
    let unknown = ins.split_off(n_known);
    let traced = trace(&format!("{}_transpose", bwd.name), &[ins, bwd.out_avals()].concat(), |values| {
        let (known, tangents) = values.split_at(n_known);
        let operands: Vec<Linear> =
            known.iter().cloned().map(Linear::Known).chain(unknown.iter().cloned().map(Linear::Unknown)).collect();
        let tangents: Vec<Option<Value>> = tangents.iter().cloned().map(Some).collect();
        let found = quietly(|| transpose_call(bwd, &operands, &tangents)).unwrap_or_else(|why| {
            refuse(Error::Unsupported(format!(
                "custom_vjp: forward mode needs the transpose of `bwd`, which has none: {why}\n  use reverse mode, or \
                 define the forward derivative with custom_jvp"
            )))
        });
        found.into_iter().skip(n_known).zip(&unknown).map(|(found, aval)| instantiate(found, aval)).collect()
    });
    standalone(traced)
}

/// The rule for cotangents over one more axis: `known` has its position in the known operands, `of_results` where each
/// result should have it. A result without it is summed over all batch elements, as all of them used the same argument.
/// The cotangents have it in front.
fn batched_bwd(bwd: &Program, known: &[Option<usize>], of_results: &[Option<usize>], size: &Dim) -> Arc<Program> {
    let n_cotangent = bwd.args.len() - known.len();
    let axes: Vec<Option<usize>> = known.iter().copied().chain(vec![Some(0); n_cotangent]).collect();
    let place = |i: usize, found: &Placed| match of_results[i] {
        Some(axis) => (place_axis(found, axis, size), Some(axis)),
        None => (reduce_sum(&place_axis(found, 0, size), &[0]), None),
    };
    batched(bwd, &axes, size, place).0
}

/// The axes of the operands that are floating.
fn floating_axes(ins: &[(Value, Option<usize>)]) -> Vec<Option<usize>> {
    ins.iter().filter(|(value, _)| value.dtype().is_float()).map(|(_, axis)| *axis).collect()
}

impl Primitive for CustomVjp {
    fn name(&self) -> &'static str {
        "custom_vjp_call"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["bwd", "fwd", "n_const", "program"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let ins = owned(ins);
        let n_const = try_leading(params, "n_const", ins.len())?;
        let outs = try_closed(params, "program", &ins)?.out_avals();
        let fwd = try_closed(params, "fwd", &ins)?.out_avals();
        let (found, residuals) = fwd.split_at(outs.len().min(fwd.len()));
        if found != outs {
            return Err(TypeError::new(format!("`fwd` returns {fwd:?}, which must begin with {outs:?}")));
        }
        let given = [&ins[..n_const], residuals, &floats(&outs)].concat();
        check_outs(&*try_closed(params, "bwd", &given)?, "bwd", &floats(&ins[n_const..]))?;
        Ok(outs)
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        evaluated(&params.program("program"), ins)
    }
    // ∂f = bwdᵀ
    fn value_and_jvp(&self, cx: &ValueAndJvp<'_>) -> Option<Pushed> {
        let (outs, tangents) = run_forward(cx.params, cx.primals, cx.tangents);
        Some((outs.into(), tangents))
    }
    fn linearize(&self, cx: &Linearize<'_>) -> Option<Linearized> {
        let n_const = cx.params.axis("n_const");
        let (captured, args) = cx.primals.split_at(n_const);
        refuse_captured("custom_vjp", captured, cx.active.iter().copied());
        let (outs, known) = run_fwd(cx.params, cx.primals);
        let params = Params::new().with("bwd", cx.params.program("bwd")).with("n_known", known.len());
        let (args, types) = (avals(args), avals(&outs));
        let derivative = move |tangents: &[Option<Value>]| {
            let moves = instantiated(&args, &tangents[n_const..]);
            let operands: Vec<&Value> = known.iter().chain(&moves).collect();
            spread_some(&types, bind(CUSTOM_LIN, &operands, params.clone()))
        };
        Some(Linearized { outs: outs.into(), derivative: Box::new(derivative) })
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        transpose_call(&cx.params.program("program"), cx.ins, cx.cotangents)
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let n_const = cx.params.axis("n_const");
        let axes: Vec<Option<usize>> = cx.ins.iter().map(|(_, axis)| *axis).collect();
        let program = cx.params.program("program");
        let n_out = program.outs.len();
        let in_front = |out: &Placed| (place_axis(out, 0, cx.size), Some(0));
        let (program, _) = batched(&program, &axes, cx.size, |_, out| in_front(out));
        // Residuals keep their axes: one that is the same for all batch elements is stored once.
        let (fwd, places) =
            batched(
                &cx.params.program("fwd"),
                &axes,
                cx.size,
                |i, out| {
                    if i < n_out { in_front(out) } else { out.clone() }
                },
            );
        let known = [&axes[..n_const], &places[n_out..]].concat();
        let bwd = batched_bwd(&cx.params.program("bwd"), &known, &floating_axes(&cx.ins[n_const..]), cx.size);
        let params = Params::new().with("bwd", bwd).with("fwd", fwd).with("n_const", n_const).with("program", program);
        let operands: Vec<&Value> = cx.ins.iter().map(|(value, _)| value).collect();
        bind(CUSTOM_VJP_CALL, &operands, params).into_iter().map(|value| (value, Some(0))).collect()
    }
    fn kind(&self) -> Kind {
        Kind::Custom
    }
    fn samples(&self) -> Vec<Sample> {
        vec![sample()]
    }
}

impl Primitive for CustomLin {
    fn name(&self) -> &'static str {
        "custom_lin"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["bwd", "n_known"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let n_known = try_leading(params, "n_known", ins.len())?;
        let bwd = params.try_program("bwd")?;
        let mut known = arg_avals(&bwd);
        try_leading(params, "n_known", known.len())?;
        let outs = known.split_off(n_known);
        if !bwd.consts.is_empty() || known != owned(&ins[..n_known]) {
            return Err(TypeError::new(format!("`bwd` must take {:?}, then cotangents", &ins[..n_known])));
        }
        check_outs(&bwd, "bwd", &owned(&ins[n_known..]))?;
        if outs.iter().chain(ins[n_known..].iter().copied()).any(|aval| !aval.dtype.is_float()) {
            return Err(TypeError::new("tangents and cotangents must be floating"));
        }
        Ok(outs)
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        evaluated(&transposed(&params.program("bwd"), params.axis("n_known")), ins)
    }
    // the derivative of the transpose of `bwd`
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let forward = transposed(&cx.params.program("bwd"), cx.params.axis("n_known"));
        jvp(&forward, &[], cx.primals, cx.tangents).1
    }
    // (bwdᵀ)ᵀ = bwd
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let (bwd, n_known) = (cx.params.program("bwd"), cx.params.axis("n_known"));
        let known: Option<Vec<Value>> = cx.ins[..n_known].iter().map(|operand| operand.known().cloned()).collect();
        let Some(mut ins) = known else { return transpose_call(&transposed(&bwd, n_known), cx.ins, cx.cotangents) };
        ins.extend(instantiated(&arg_avals(&bwd)[n_known..], cx.cotangents));
        let found = interpret(&bwd, &[], &ins).into_iter().map(Some);
        let all = std::iter::repeat_n(None, n_known).chain(found);
        all.zip(cx.ins).map(|(found, operand)| found.filter(|_| operand.is_unknown())).collect()
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let n_known = cx.params.axis("n_known");
        let axes: Vec<Option<usize>> = cx.ins.iter().map(|(_, axis)| *axis).collect();
        let bwd = batched_bwd(&cx.params.program("bwd"), &axes[..n_known], &axes[n_known..], cx.size);
        let params = Params::new().with("bwd", bwd).with("n_known", n_known);
        let operands: Vec<&Value> = cx.ins.iter().map(|(value, _)| value).collect();
        bind(CUSTOM_LIN, &operands, params).into_iter().map(|value| (value, Some(0))).collect()
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (forward, ins) = (transposed(&cx.params().program("bwd"), cx.params().axis("n_known")), cx.operands());
        cx.program(&forward, &ins)
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn samples(&self) -> Vec<Sample> {
        let residual = HostArray::new(&[3], vec![0.5f32, -1.0, 2.0]);
        let [of_one] = &types_of(std::slice::from_ref(&residual))[..] else { unreachable!("one array has one type") };
        let types = [of_one.clone(), of_one.clone(), with_axis(of_one, Some(0), &2.into())];
        // Cotangents of x · r and of two copies of x, both for the argument x.
        let bwd = trace("scaled_bwd", &types, |values| {
            let [r, c, d] = &values.into_iter().map(Array::from).collect::<Vec<_>>()[..] else {
                unreachable!("three operands")
            };
            vec![(r * c + d.sum(0)).into()]
        });
        let params = Params::new().with("bwd", Arc::new(bwd.program)).with("n_known", 1usize);
        vec![Sample::new(
            "a product and copies",
            vec![residual, HostArray::new(&[3], vec![1.5f32, 0.25, -2.0])],
            params,
        )]
    }
}

/// `exp(x) · y[at]` with captured indices `at`, and its derivative.
fn sample() -> Sample {
    let (x, y) = (HostArray::new(&[3], vec![0.25f32, 0.5, -0.75]), HostArray::new(&[2], vec![1.25f32, -0.5]));
    let ins = vec![HostArray::new(&[3], vec![1, 0, 1]), x, y];
    let types = types_of(&ins);
    let arrays = |values: Vec<Value>| values.into_iter().map(Array::from).collect::<Vec<_>>();
    let program = |residuals: bool| {
        trace("growth", &types, |values| {
            let [at, x, y] = &arrays(values)[..] else { unreachable!("three operands") };
            let out = x.exp() * y.take(at, 0);
            let mut outs: Vec<Value> = vec![out.clone().into(), (at + 1).into()];
            outs.extend(residuals.then(|| [x.exp().into(), out.into()]).into_iter().flatten());
            outs
        })
    };
    let cotangent = types[1].clone();
    let known = [types[0].clone(), types[1].clone(), types[1].clone(), cotangent];
    let bwd = trace("growth_bwd", &known, |values| {
        let [at, grown, out, ct] = &arrays(values)[..] else { unreachable!("places, residuals and a cotangent") };
        // d(exp(x) · y[at]) = out · dx + exp(x) · dy[at]
        let rows = gather_back(&(grown * ct), at);
        vec![(out * ct).into(), rows.into()]
    });
    let params = Params::new()
        .with("bwd", Arc::new(bwd.program))
        .with("fwd", Arc::new(program(true).program))
        .with("n_const", 1usize)
        .with("program", Arc::new(program(false).program));
    Sample::new("with captured places", ins, params)
}

/// For each of two places, the sum of the elements of `x` that were taken from it.
fn gather_back(x: &Array, at: &Array) -> Array {
    let of = |place: i32| (at.eq(place).astype(x.dtype()) * x).sum(0);
    crate::movement::stack(&[of(0), of(1)], 0)
}
