//! `checkpoint`: a function for which reverse mode keeps the operands and what a policy saves of the forward pass, and
//! recomputes the rest.
//!
//! The derivative of `checkpoint {f}` is `checkpoint {df}`, where `df` takes the operands, the saved values and
//! tangents, and computes what it needs of `f`. Transposing that yields one more `checkpoint`: the operands after a
//! barrier, so that no pass shares the computation with the forward pass, then `f` again, then the cotangents back. As
//! every derivative is a `checkpoint` too, derivatives of derivatives also keep only operands and saved values.

use super::{Policy, arg_avals, batched, close, evaluated, instantiated, owned, standalone, try_closed, types_of};
use crate::array::Array;
use crate::custom::barrier::barrier;
use crate::custom::policy::CHECKPOINT_NAME;
use gavotte_core::api::{Args, Fun, Function, Shareable, avals, trace_function};
use gavotte_core::aval::Aval;
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::{
    Atom, Batch, Batched, Kind, Linear, Linearize, Linearized, Params, Primitive, Program, Pushed, Sample, Transpose,
    Value, ValueAndJvp, Var, bind, interpret, trace,
};
use gavotte_core::transform::{instantiate, jvp, linearize_with, transpose_call};
use gavotte_core::tree::Tree;
use std::sync::Arc;

/// A function that reverse mode runs again.
#[derive(Debug)]
struct Checkpoint;
/// The primitive `checkpoint {names, policy, program}`.
pub(super) static CHECKPOINT: &dyn Primitive = &Checkpoint;

/// `f`, for which reverse mode keeps only the arguments, and runs `f` again for the rest. Less memory, more work.
///
/// Source: Griewank and Walther, *Revolve* (TOMS 2000); JAX, `jax.checkpoint`.
#[track_caller]
pub fn checkpoint<'f, A: Args + 'f, F: Function<A, By> + Shareable + 'f, By>(f: F) -> Fun<'f, A, F::Out>
where
    F::Out: 'f,
{
    checkpoint_with(f, Policy::Nothing)
}

/// [`checkpoint`], for which reverse mode also keeps what `policy` saves.
#[track_caller]
pub fn checkpoint_with<'f, A: Args + 'f, F: Function<A, By> + Shareable + 'f, By>(
    f: F,
    policy: Policy,
) -> Fun<'f, A, F::Out>
where
    F::Out: 'f,
{
    Fun::new(move |args: A| {
        let (def, leaves) = args.into_leaves();
        let (traced, out_def) = trace_function::<A, F, By>(&f, &def, &avals(&leaves));
        let ([program], captured) = close([traced]);
        let operands: Vec<Value> = captured.into_iter().chain(leaves).collect();
        let outs = bind_program(&operands, program, &policy.write(Params::new()));
        F::Out::unflatten(&out_def, outs)
    })
}

/// A checkpoint of another program with the same policy.
#[track_caller]
fn bind_program(operands: &[Value], program: Arc<Program>, params: &Params) -> Vec<Value> {
    if program.outs.is_empty() {
        return vec![];
    }
    let operands: Vec<&Value> = operands.iter().collect();
    bind(CHECKPOINT, &operands, params.clone().with("program", program)).into_vec()
}

/// For each place, the value there.
fn at_places(places: &[Option<usize>], values: &[Value]) -> Vec<Option<Value>> {
    places.iter().map(|place| place.map(|i| values[i].clone())).collect()
}

/// Returns the values that exist, and records the place of each in `places`.
fn present(found: Vec<Option<Value>>, places: &mut Vec<Option<usize>>) -> Vec<Value> {
    let mut values = vec![];
    for value in found {
        places.push(value.as_ref().map(|_| values.len()));
        values.extend(value);
    }
    values
}

/// The derivative of a program with respect to the operands marked in `active`: takes the operands, the values of
/// `saved` and a tangent for each marked floating operand; also returns which of its results is the tangent of each
/// result.
fn derivative_of(program: &Program, saved: &[Var], active: &[bool]) -> (Arc<Program>, Vec<Option<usize>>) {
    let ins = arg_avals(program);
    let types = program.avals();
    let of_saved = saved.iter().map(|var| types[var.index()].clone());
    let moving = ins.iter().zip(active).filter(|(aval, active)| **active && aval.dtype.is_float());
    let all: Vec<Aval> = ins.iter().cloned().chain(of_saved).chain(moving.map(|(aval, _)| aval.clone())).collect();
    let mut places = vec![];
    let traced = trace(&format!("{}_linear", program.name), &all, |mut values| {
        let tangents = values.split_off(ins.len() + saved.len());
        let mut known: Vec<(Var, Value)> = saved.iter().copied().zip(values.split_off(ins.len())).collect();
        also_unnamed(program, &mut known);
        let (_, linear) = linearize_with(program, &[], &values, active, &known);
        places = linear.outs;
        interpret(&linear.program, &linear.residuals, &tangents)
    });
    (Arc::new(standalone(traced)), places)
}

/// Results and tangents from one checkpoint, so that reverse mode recomputes the program once for both.
fn run_jvp(params: &Params, primals: &[Value], tangents: &[Option<Value>]) -> (Vec<Value>, Vec<Option<Value>>) {
    let program = params.program("program");
    let mut operands = primals.to_vec();
    operands.extend(tangents.iter().flatten().cloned());
    let mut places = vec![];
    let traced = trace(&format!("{}_jvp", program.name), &avals(&operands), |mut values| {
        let mut moves = values.split_off(primals.len()).into_iter();
        let tangents: Vec<Option<Value>> =
            tangents.iter().map(|tangent| tangent.as_ref().and_then(|_| moves.next())).collect();
        let (mut outs, found) = jvp(&program, &[], &values, &tangents);
        outs.extend(present(found, &mut places));
        outs
    });
    let mut outs = bind_program(&operands, Arc::new(standalone(traced)), params);
    let moves = outs.split_off(program.outs.len());
    (outs, at_places(&places, &moves))
}

/// Adds the operand of `checkpoint_name` wherever the named value is known: the rule of its equation may read it.
fn also_unnamed(program: &Program, known: &mut Vec<(Var, Value)>) {
    for eqn in program.eqns.iter().rev().filter(|eqn| eqn.prim.name() == CHECKPOINT_NAME.name()) {
        let named = known.iter().find(|(var, _)| *var == eqn.outs[0].var).map(|(_, value)| value.clone());
        known.extend(eqn.ins[0].var().zip(named));
    }
}

impl Primitive for Checkpoint {
    fn name(&self) -> &'static str {
        "checkpoint"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["names", "policy", "program"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        Policy::try_read(params)?;
        Ok(try_closed(params, "program", &owned(ins))?.out_avals())
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        evaluated(&params.program("program"), ins)
    }
    // the derivative of the program, a checkpoint too
    fn value_and_jvp(&self, cx: &ValueAndJvp<'_>) -> Option<Pushed> {
        let (outs, tangents) = run_jvp(cx.params, cx.primals, cx.tangents);
        Some((outs.into(), tangents))
    }
    fn linearize(&self, cx: &Linearize<'_>) -> Option<Linearized> {
        let program = cx.params.program("program");
        let saved = Policy::try_read(cx.params).expect("abstract_eval has read it").saved(&program);
        let mut forward = Program::clone(&program);
        forward.outs.extend(saved.iter().map(|var| Atom::Var(*var)));
        let mut outs = bind_program(cx.primals, Arc::new(forward), cx.params);
        let mut known = cx.primals.to_vec();
        known.extend(outs.split_off(program.outs.len()));
        let (linear, places) = derivative_of(&program, &saved, cx.active);
        let (types, active, params) = (avals(cx.primals), cx.active.to_vec(), cx.params.clone());
        let derivative = move |tangents: &[Option<Value>]| {
            let (types, tangents): (Vec<Aval>, Vec<Option<Value>>) =
                (0..active.len()).filter(|i| active[*i]).map(|i| (types[i].clone(), tangents[i].clone())).unzip();
            let operands = [known.clone(), instantiated(&types, &tangents)].concat();
            at_places(&places, &bind_program(&operands, linear.clone(), &params))
        };
        Some(Linearized { outs: outs.into(), derivative: Box::new(derivative) })
    }
    // the program again, from operands that no pass identifies with those of the forward pass; then backwards
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let program = cx.params.program("program");
        let known = cx.ins.iter().filter_map(Linear::known);
        let operands: Vec<Value> = known.chain(cx.cotangents.iter().flatten()).cloned().collect();
        let mut places = vec![];
        let traced = trace(&format!("{}_transpose", program.name), &avals(&operands), |values| {
            let mut values = barrier(&values).into_iter();
            let mut next = || values.next().expect("a value for each operand");
            let ins: Vec<Linear> = cx
                .ins
                .iter()
                .map(|operand| match operand {
                    Linear::Known(_) => Linear::Known(next()),
                    Linear::Unknown(aval) => Linear::Unknown(aval.clone()),
                })
                .collect();
            let cotangents: Vec<Option<Value>> =
                cx.cotangents.iter().map(|cotangent| cotangent.as_ref().map(|_| next())).collect();
            let found = transpose_call(&program, &ins, &cotangents).into_iter().zip(&ins);
            let found = found.map(|(ct, operand)| ct.map(|ct| instantiate(Some(ct), &operand.aval())));
            present(found.collect(), &mut places)
        });
        at_places(&places, &bind_program(&operands, Arc::new(standalone(traced)), cx.params))
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let axes: Vec<Option<usize>> = cx.ins.iter().map(|(_, axis)| *axis).collect();
        let (program, places) = batched(&cx.params.program("program"), &axes, cx.size, |_, out| out.clone());
        let operands: Vec<Value> = cx.ins.iter().map(|(value, _)| value.clone()).collect();
        bind_program(&operands, program, cx.params).into_iter().zip(places).collect()
    }
    fn kind(&self) -> Kind {
        Kind::Custom
    }
    fn samples(&self) -> Vec<Sample> {
        let ins = vec![
            HostArray::new(&[2, 3], vec![0.25f32, 1.5, -0.75, 0.5, -1.0, 2.0]),
            HostArray::new(&[3, 3], vec![0.5f32, -1.0, 0.25, 2.0, 0.75, -0.5, 1.0, -0.25, 1.5]),
            HostArray::new(&[2], vec![1, 0]),
        ];
        let types = types_of(&ins);
        let program = trace("layers", &types, |values| {
            let [x, w, at] = &values.into_iter().map(Array::from).collect::<Vec<_>>()[..] else {
                unreachable!("three operands")
            };
            let hidden = super::checkpoint_name(x.matmul(w).tanh(), "hidden");
            vec![(&hidden * hidden.matmul(w)).take(at, 0).into(), (at + 1).into()]
        });
        let program = Arc::new(program.program.inlined());
        let sample = |name, policy: Policy| {
            Sample::new(name, ins.clone(), policy.write(Params::new()).with("program", program.clone()))
        };
        vec![
            sample("nothing saved", Policy::Nothing),
            sample("products saved", Policy::Dots),
            sample("names saved", Policy::names(["hidden"])),
        ]
    }
}
