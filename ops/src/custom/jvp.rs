//! `custom_jvp_call`: a function with a custom rule for its derivative.

use super::{
    arg_avals, batched, check_outs, close, evaluated, floating, floats, instantiated, leaves_like, owned,
    refuse_captured, spread, spread_some, try_closed, try_leading, types_of,
};
use crate::array::Array;
use gavotte_core::api::{Args, Fun, Function, Shareable, avals, trace_function};
use gavotte_core::aval::Aval;
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::structural::place_axis;
use gavotte_core::ir::{
    Batch, Batched, Kind, Params, Primitive, Pushed, Sample, Transpose, Value, ValueAndJvp, bind, interpret, trace,
};
use gavotte_core::transform::transpose_call;
use gavotte_core::tree::Tree;
use std::sync::Arc;

/// A function with a rule for its tangents.
#[derive(Debug)]
struct CustomJvp;
/// The primitive `custom_jvp_call {n_const, program, rule}`: operands are `n_const` captured values, then the
/// arguments. `rule` takes these, followed by a tangent for each floating argument, and returns the results, followed
/// by a tangent for each floating result.
pub(super) static CUSTOM_JVP_CALL: &dyn Primitive = &CustomJvp;

/// `f` with a custom derivative: `rule(primals, tangents)` returns `(results, tangents of the results)` for the tuple
/// of arguments and the tuple of their tangents, and must be linear in the tangents.
///
/// Forward mode runs the rule; reverse mode transposes its operations on tangents. Without differentiation `f` runs.
/// The tangent of a leaf that is not floating is zeros; the rule's tangent for such a result is ignored.
///
/// # Panics
/// When called: if the rule's results differ from those of `f` in structure or types. When differentiated: with respect
/// to a value that `f` or `rule` captured; in reverse, if the rule is not linear in the tangents.
///
/// Source: JAX, `jax.custom_jvp`.
#[track_caller]
pub fn custom_jvp<'f, A, F, R, By>(f: F, rule: R) -> Fun<'f, A, F::Out>
where
    A: Args + 'f,
    F: Function<A, By> + Shareable + 'f,
    F::Out: 'f,
    R: Fn(A, A) -> (F::Out, F::Out) + Send + Sync + 'f,
{
    Fun::new(move |args: A| {
        let (def, leaves) = args.into_leaves();
        let ins = avals(&leaves);
        let (program, out_def) = trace_function::<A, F, By>(&f, &def, &ins);
        let outs = program.program.out_avals();
        let all = [ins.clone(), floats(&ins)].concat();
        let rule = trace(&format!("{}_jvp", program.program.name), &all, |mut values| {
            let tangents = spread(&ins, values.split_off(ins.len()));
            let (out, tangent) = rule(A::unflatten(&def, values), A::unflatten(&def, tangents));
            let mut found = leaves_like(out, &out_def, &outs, "custom_jvp: the rule's result", "the function's result");
            found.extend(floating(leaves_like(
                tangent,
                &out_def,
                &outs,
                "custom_jvp: the rule's tangent",
                "the function's result",
            )));
            found
        });
        let ([program, rule], captured) = close([program, rule]);
        let params = Params::new().with("n_const", captured.len()).with("program", program).with("rule", rule);
        let operands: Vec<&Value> = captured.iter().chain(&leaves).collect();
        F::Out::unflatten(&out_def, bind(CUSTOM_JVP_CALL, &operands, params).into_vec())
    })
}

/// Runs the rule: results, and their tangents.
fn run_rule(params: &Params, primals: &[Value], tangents: &[Option<Value>]) -> (Vec<Value>, Vec<Option<Value>>) {
    let (captured, args) = primals.split_at(params.axis("n_const"));
    let (of_captured, tangents) = tangents.split_at(captured.len());
    refuse_captured("custom_jvp", captured, of_captured.iter().map(Option::is_some));
    let ins: Vec<Value> = primals.iter().cloned().chain(instantiated(&avals(args), tangents)).collect();
    let mut outs = interpret(&params.program("rule"), &[], &ins);
    let tangents = outs.split_off(params.program("program").outs.len());
    let tangents = spread_some(&avals(&outs), tangents);
    (outs, tangents)
}

impl Primitive for CustomJvp {
    fn name(&self) -> &'static str {
        "custom_jvp_call"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["n_const", "program", "rule"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let ins = owned(ins);
        let n_const = try_leading(params, "n_const", ins.len())?;
        let outs = try_closed(params, "program", &ins)?.out_avals();
        let rule = try_closed(params, "rule", &[ins.clone(), floats(&ins[n_const..])].concat())?;
        check_outs(&rule, "rule", &[outs.clone(), floats(&outs)].concat())?;
        Ok(outs)
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        evaluated(&params.program("program"), ins)
    }
    // as the rule
    fn value_and_jvp(&self, cx: &ValueAndJvp<'_>) -> Option<Pushed> {
        let (outs, tangents) = run_rule(cx.params, cx.primals, cx.tangents);
        Some((outs.into(), tangents))
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        transpose_call(&cx.params.program("program"), cx.ins, cx.cotangents)
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let n_const = cx.params.axis("n_const");
        let axes: Vec<Option<usize>> = cx.ins.iter().map(|(_, axis)| *axis).collect();
        let (program, rule) = (cx.params.program("program"), cx.params.program("rule"));
        let floating = arg_avals(&program).into_iter().map(|aval| aval.dtype.is_float());
        let of_tangents = axes.iter().zip(floating).skip(n_const).filter(|(_, floating)| *floating);
        let rule_axes: Vec<Option<usize>> = axes.iter().copied().chain(of_tangents.map(|(axis, _)| *axis)).collect();
        // All results have the axis in front, so that results and their tangents agree, whichever operands they depend
        // on.
        let in_front = |_: usize, out: &super::Placed| (place_axis(out, 0, cx.size), Some(0));
        let params = Params::new()
            .with("n_const", n_const)
            .with("program", batched(&program, &axes, cx.size, in_front).0)
            .with("rule", batched(&rule, &rule_axes, cx.size, in_front).0);
        let operands: Vec<&Value> = cx.ins.iter().map(|(value, _)| value).collect();
        bind(CUSTOM_JVP_CALL, &operands, params).into_iter().map(|value| (value, Some(0))).collect()
    }
    fn kind(&self) -> Kind {
        Kind::Custom
    }
    fn samples(&self) -> Vec<Sample> {
        vec![sample()]
    }
}

/// `sin(x) · y[at]` with captured indices `at`, and its derivative.
fn sample() -> Sample {
    let (x, y) = (HostArray::new(&[3], vec![0.25f32, 1.5, -0.75]), HostArray::new(&[2], vec![1.25f32, -0.5]));
    let ins = vec![HostArray::new(&[3], vec![1, 0, 1]), x, y];
    let types = types_of(&ins);
    let arrays = |values: Vec<Value>| values.into_iter().map(Array::from).collect::<Vec<_>>();
    let program = trace("wave", &types, |values| {
        let [at, x, y] = &arrays(values)[..] else { unreachable!("three operands") };
        vec![(x.sin() * y.take(at, 0)).into(), (at + 1).into()]
    });
    let rule = trace("wave_jvp", &[types.clone(), floats(&types)].concat(), |values| {
        let [at, x, y, dx, dy] = &arrays(values)[..] else { unreachable!("three operands and two tangents") };
        let taken = y.take(at, 0);
        let tangent = x.cos() * &taken * dx + x.sin() * dy.take(at, 0);
        vec![(x.sin() * taken).into(), (at + 1).into(), tangent.into()]
    });
    let params = Params::new()
        .with("n_const", 1usize)
        .with("program", Arc::new(program.program))
        .with("rule", Arc::new(rule.program));
    Sample::new("with captured places", ins, params)
}
