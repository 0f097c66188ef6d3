//! `switch`: one of several programs, by number.

use super::chosen::{batched_where, chosen};
use super::nested::*;
use super::transposed::{dependent, linear_body};
use crate::elementwise::{EQ, GE, LE};
use gavotte_core::aval::{Aval, DType, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::{
    Atom, Batch, Batched, Control, Kind, Linear, Linearize, Linearized, Params, Primitive, Program, Pushed, Sample,
    Transpose, Value, ValueAndJvp, bind, interpret,
};
use gavotte_core::transform::{self, LinearProgram};
use smallvec::SmallVec;
use std::sync::Arc;

/// One of several programs.
#[derive(Debug)]
struct Switch;
/// The primitive `switch {branches}` of a number and the operands of every branch: see [`Control::Switch`].
pub(super) static SWITCH: &dyn Primitive = &Switch;

fn branches(params: &Params) -> Vec<Arc<Program>> {
    params.programs("branches")
}

/// Binds a switch.
#[track_caller]
pub(super) fn bind_switch(branches: Vec<Arc<Program>>, index: &Value, operands: &[Value]) -> SmallVec<[Value; 1]> {
    let ins: SmallVec<[&Value; 8]> = std::iter::once(index).chain(operands).collect();
    bind(SWITCH, &ins, Params::new().with("branches", branches))
}

impl Primitive for Switch {
    fn name(&self) -> &'static str {
        "switch"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["branches"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let branches = params.try_programs("branches")?;
        let Some((index, operands)) = ins.split_first() else {
            return Err(TypeError::new("takes the number of a branch and its operands"));
        };
        if **index != Aval::scalar(DType::I32) {
            return Err(TypeError::new(format!("the number of a branch must be i32[], not {index}")));
        }
        let operands: Vec<Aval> = operands.iter().map(|aval| (*aval).clone()).collect();
        let Some(first) = branches.first() else { return Err(TypeError::new("needs a branch")) };
        let outs = first.out_avals();
        for (i, branch) in branches.iter().enumerate() {
            check_takes(&format!("branch {i}"), branch, &operands)?;
            if branch.out_avals() != outs {
                return Err(TypeError::new(format!(
                    "branches must return the same types: branch 0 returns {outs:?}, branch {i} {:?}",
                    branch.out_avals()
                )));
            }
        }
        Ok(outs)
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let branches = branches(params);
        let which = ins[0].as_slice::<i32>()[0].clamp(0, branches.len() as i32 - 1);
        let operands: Vec<Arc<HostArray>> = ins[1..].iter().map(|array| Arc::new((*array).clone())).collect();
        eval(&branches[which as usize], &operands).into_iter().map(Arc::unwrap_or_clone).collect()
    }
    // the derivative of the branch that is taken
    fn value_and_jvp(&self, cx: &ValueAndJvp<'_>) -> Option<Pushed> {
        let branches = branches(cx.params);
        let active: Vec<bool> = cx.tangents[1..].iter().map(Option::is_some).collect();
        let active_out = union(branches.iter().map(|branch| active_outs(branch, &active)));
        if is_asked() {
            let outs = bind_switch(branches, &cx.primals[0], &cx.primals[1..]);
            let tangents = stand_ins(&outs, &active_out);
            return Some((outs, tangents));
        }
        let moves = tangents_of(&cx.primals[1..], &cx.tangents[1..], &active);
        let pushed = branches.iter().map(|branch| {
            let types = arg_avals(branch);
            retrace(branch, "jvp", &[&types[..], &marked(&types, &active)].concat(), |values| {
                let (primals, tangents) = values.split_at(types.len());
                let (mut outs, tangents) = push(branch, primals, &spread(tangents.to_vec(), &active));
                let tangents = tangents_of(&outs, &tangents, &active_out);
                outs.extend(tangents);
                outs
            })
        });
        let mut outs = bind_switch(pushed.collect(), &cx.primals[0], &[&cx.primals[1..], &moves].concat());
        let tangents: Vec<Value> = outs.drain(active_out.len()..).collect();
        Some((outs, spread(tangents, &active_out)))
    }
    // every branch returns the residuals of all: its own, and zeros for those of the others
    fn linearize(&self, cx: &Linearize<'_>) -> Option<Linearized> {
        let branches = branches(cx.params);
        let active = cx.active[1..].to_vec();
        let linear: Vec<(Arc<Program>, LinearProgram)> = branches
            .iter()
            .map(|branch| {
                let mut linear = None;
                let forward = retrace(branch, "forward", &arg_avals(branch), |args| {
                    let (mut outs, found) = transform::linearize(branch, &[], args, &active);
                    outs.extend(found.residuals.iter().cloned());
                    linear = Some(found);
                    outs
                });
                (forward, linear.expect("tracing runs its function"))
            })
            .collect();
        let n_out = branches[0].outs.len();
        let active_out =
            union(linear.iter().map(|(_, linear)| linear.outs.iter().map(Option::is_some).collect::<Vec<_>>()));
        let slots = Slots::of(&linear, n_out);
        let forward = linear.iter().enumerate().map(|(i, (forward, _))| slots.filled(i, forward, n_out)).collect();
        let mut outs = bind_switch(forward, &cx.primals[0], &cx.primals[1..]);
        let residuals: Vec<Value> = outs.drain(n_out..).collect();
        let types = arg_avals(&branches[0]);
        let moves = marked(&types, &active);
        let layout = [&types[..], &slots.types, &moves].concat();
        let out_types = branches[0].out_avals();
        let pushed: Vec<Arc<Program>> = linear
            .iter()
            .enumerate()
            .map(|(i, (forward, linear))| {
                retrace(forward, "linear", &layout, |values| {
                    let (operands, rest) = values.split_at(types.len());
                    let (stored, tangents) = rest.split_at(slots.types.len());
                    let residuals: Vec<Value> =
                        slots.sources[i].iter().map(|source| source.value(operands, stored)).collect();
                    let found = interpret(&linear.program, &residuals, tangents);
                    let tangents = linear.outs.iter().map(|out| out.map(|out| found[out].clone())).zip(&out_types);
                    let kept = tangents.zip(&active_out).filter(|(_, active)| **active);
                    kept.map(|((tangent, aval), _)| or_zeros(tangent, aval)).collect()
                })
            })
            .collect();
        let (index, operands) = (cx.primals[0].clone(), cx.primals[1..].to_vec());
        let derivative = move |tangents: &[Option<Value>]| {
            let moves = tangents_of(&operands, &tangents[1..], &active);
            let outs = bind_switch(pushed.clone(), &index, &[&operands[..], &residuals, &moves].concat());
            spread(outs, &active_out)
        };
        Some(Linearized { outs, derivative: Box::new(derivative) })
    }
    // the transpose of the branch that is taken
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let index = cx.ins[0].known().expect("the number of a branch is never linear");
        let unknown: Vec<bool> = cx.ins[1..].iter().map(Linear::is_unknown).collect();
        let list = |want: bool| (0..unknown.len()).filter(|i| unknown[*i] == want).collect::<Vec<usize>>();
        let (order, known) = (list(true), list(false));
        let given: Vec<bool> = cx.cotangents.iter().map(Option::is_some).collect();
        let transposed = branches(cx.params).into_iter().map(|branch| {
            let types = arg_avals(&branch);
            let known_types = known.iter().map(|i| types[*i].clone());
            let layout: Vec<Aval> = known_types.chain(marked(&branch.out_avals(), &given)).collect();
            retrace(&branch, "transpose", &layout, |values| {
                let (residuals, cotangents) = values.split_at(known.len());
                let outs = dependent(&branch, &unknown);
                let linear_branch = linear_body(&branch, &order, &known, residuals.to_vec(), &outs);
                let mut cotangents = spread(cotangents.to_vec(), &given);
                cotangents.iter_mut().zip(&outs).filter(|(_, linear)| !**linear).for_each(|(ct, _)| *ct = None);
                let found = transform::transpose(&linear_branch, &cotangents);
                found.into_iter().zip(&order).map(|(ct, i)| or_zeros(ct, &types[*i])).collect()
            })
        });
        let operands: Vec<Value> = known
            .iter()
            .filter_map(|i| cx.ins[*i + 1].known().cloned())
            .chain(cx.cotangents.iter().flatten().cloned())
            .collect();
        let outs = bind_switch(transposed.collect(), index, &operands);
        std::iter::once(None).chain(spread(outs, &unknown)).collect()
    }
    /// If the index is mapped, every branch runs, for the elements that take it.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let branches = branches(cx.params);
        let (index, operands) = (&cx.ins[0], &cx.ins[1..]);
        if index.1.is_some() {
            return by_element(&branches, &index.0, operands, cx);
        }
        let at: Vec<Option<usize>> = operands.iter().map(|(_, at)| *at).collect();
        let outs = branches.iter().map(|branch| batched_outs(branch, &at, cx.size));
        let places: Vec<Option<usize>> =
            outs.reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| a.or(b)).collect()).unwrap_or_default();
        if is_asked() {
            return batched_stand_ins(&branches[0].out_avals(), &places, cx.size);
        }
        let mapped = branches.iter().map(|branch| {
            retrace(branch, "batch", &batched_avals(&arg_avals(branch), &at, cx.size), |values| {
                let args: Vec<_> = values.iter().cloned().zip(at.iter().copied()).collect();
                let outs = batched(branch, &args, cx.size);
                outs.iter().zip(&places).map(|(out, want)| placed(out, *want, cx.size)).collect()
            })
        });
        let operands: Vec<Value> = operands.iter().map(|(value, _)| value.clone()).collect();
        bind_switch(mapped.collect(), &index.0, &operands).into_iter().zip(places).collect()
    }
    fn kind(&self) -> Kind {
        Kind::Control
    }
    fn control(&self, params: &Params) -> Option<Control> {
        Some(Control::Switch { branches: params.try_programs("branches").ok()? })
    }
    fn samples(&self) -> Vec<Sample> {
        super::samples::switches()
    }
}

fn union(lists: impl Iterator<Item = Vec<bool>>) -> Vec<bool> {
    lists.reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| a | b).collect()).unwrap_or_default()
}

/// Runs every branch for the elements that take it.
fn by_element(
    branches: &[Arc<Program>],
    index: &Value,
    operands: &[(Value, Option<usize>)],
    cx: &Batch<'_>,
) -> Batched {
    let number = |i: usize| Value::from(Literal::I32(i as i32));
    // A number below 0 counts as 0, one beyond the last branch as the last.
    let takes = |i: usize| match i {
        0 => LE.of([index, &number(0)]),
        i if i + 1 == branches.len() => GE.of([index, &number(i)]),
        i => EQ.of([index, &number(i)]),
    };
    if let [only] = branches {
        return batched(only, operands, cx.size);
    }
    let mut outs = batched_where(&branches[0], operands, &takes(0), cx.size);
    for (i, branch) in branches.iter().enumerate().skip(1) {
        let which = takes(i);
        for ((old, at), new) in outs.iter_mut().zip(batched_where(branch, operands, &which, cx.size)) {
            let axis = at.expect("every result has the new axis");
            *old = chosen(&which, old, &placed(&new, *at, cx.size), axis);
        }
    }
    outs
}

/// The source of a residual of a branch.
enum Source {
    Operand(usize),
    Literal(Literal),
    Slot(usize),
}

impl Source {
    fn value(&self, operands: &[Value], slots: &[Value]) -> Value {
        match self {
            Source::Operand(i) => operands[*i].clone(),
            Source::Literal(literal) => Value::from(*literal),
            Source::Slot(i) => slots[*i].clone(),
        }
    }
}

/// The residuals of all branches: as only one branch is taken, branches share slots of the same type.
struct Slots {
    types: Vec<Aval>,
    sources: Vec<Vec<Source>>,
}

impl Slots {
    fn of(linear: &[(Arc<Program>, LinearProgram)], n_out: usize) -> Slots {
        let mut slots = Slots { types: vec![], sources: vec![] };
        for (forward, linear) in linear {
            let mut taken = vec![false; slots.types.len()];
            let mut sources = vec![];
            for (atom, binder) in forward.outs[n_out..].iter().zip(&linear.program.consts) {
                let argument = forward.args.iter().position(|arg| Some(arg.var) == atom.var());
                sources.push(match (atom, argument) {
                    (Atom::Literal(literal), _) => Source::Literal(*literal),
                    (_, Some(i)) => Source::Operand(i),
                    _ => {
                        let free = (0..taken.len()).find(|i| !taken[*i] && slots.types[*i] == binder.aval);
                        let slot = free.unwrap_or_else(|| {
                            slots.types.push(binder.aval.clone());
                            taken.push(false);
                            taken.len() - 1
                        });
                        taken[slot] = true;
                        Source::Slot(slot)
                    }
                });
            }
            slots.sources.push(sources);
        }
        slots
    }

    /// Branch `i` with its results, followed by all slots.
    fn filled(&self, i: usize, forward: &Arc<Program>, n_out: usize) -> Arc<Program> {
        retrace(forward, "slots", &arg_avals(forward), |args| {
            let mut outs = interpret(forward, &[], args);
            let residuals = outs.split_off(n_out);
            let mut slots: Vec<Option<Value>> = vec![None; self.types.len()];
            for (source, value) in self.sources[i].iter().zip(residuals) {
                if let Source::Slot(slot) = source {
                    slots[*slot] = Some(value);
                }
            }
            outs.extend(slots.into_iter().zip(&self.types).map(|(slot, aval)| or_zeros(slot, aval)));
            outs
        })
    }
}
