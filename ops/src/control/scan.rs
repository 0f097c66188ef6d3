//! `scan`: a fixed number of turns, with values carried from turn to turn and arrays that are read and made row by row.

use super::nested::*;
use gavotte_core::aval::{Aval, Dim, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::structural::{add_any, move_axis, zeros};
use gavotte_core::ir::{
    Atom, Batch, Batched, Control, Derivative, Eqn, Kind, Linearize, Linearized, Params, Primitive, Program, Pushed,
    Sample, Transpose, Value, ValueAndJvp, bind, bind1, interpret,
};
use gavotte_core::transform::{self, LinearProgram};
use smallvec::SmallVec;
use std::sync::Arc;

/// A fixed number of turns.
#[derive(Debug)]
struct Scan;
/// The primitive `scan {body, length, n_carry, n_const, reverse}`: see [`Control::Scan`].
pub(super) static SCAN: &dyn Primitive = &Scan;

/// The attributes of a scan.
#[derive(Clone)]
pub(super) struct Spec {
    pub(super) body: Arc<Program>,
    pub(super) n_const: usize,
    pub(super) n_carry: usize,
    pub(super) length: Dim,
    pub(super) reverse: bool,
}

impl Spec {
    fn of(params: &Params) -> Result<Spec, TypeError> {
        Ok(Spec {
            body: params.try_program("body")?,
            n_const: params.try_axis("n_const")?,
            n_carry: params.try_axis("n_carry")?,
            length: params.try_dim("length")?,
            reverse: params.try_literal("reverse")? == Literal::Bool(true),
        })
    }

    fn known(params: &Params) -> Spec {
        Spec::of(params).unwrap_or_else(|why| panic!("scan: {why}"))
    }

    fn params(&self) -> Params {
        Params::new()
            .with("body", self.body.clone())
            .with("n_const", self.n_const)
            .with("n_carry", self.n_carry)
            .with("length", &self.length)
            .with("reverse", Literal::Bool(self.reverse))
    }

    #[track_caller]
    pub(super) fn bind(&self, ins: &[Value]) -> SmallVec<[Value; 1]> {
        bind(SCAN, &ins.iter().collect::<SmallVec<[&Value; 8]>>(), self.params())
    }

    /// Constants, carries, sequences.
    fn groups<'a, T>(&self, operands: &'a [T]) -> [&'a [T]; 3] {
        let (consts, rest) = operands.split_at(self.n_const);
        let (carries, sequences) = rest.split_at(self.n_carry);
        [consts, carries, sequences]
    }

    /// Which operands and which results have tangents: a carry has one as soon as one turn gives it one.
    fn activity(&self, active: &[bool]) -> (Vec<bool>, Vec<bool>) {
        let mut active = active.to_vec();
        loop {
            let mut outs = active_outs(&self.body, &active);
            if !self.spread_to_carries(&outs, &mut active) {
                outs[..self.n_carry].copy_from_slice(&active[self.n_const..self.n_const + self.n_carry]);
                return (active, outs);
            }
        }
    }

    /// Marks the carries that a turn marks; whether that marked another one.
    fn spread_to_carries(&self, outs: &[bool], operands: &mut [bool]) -> bool {
        let before = operands.to_vec();
        for (carry, out) in operands[self.n_const..].iter_mut().zip(&outs[..self.n_carry]) {
            *carry |= *out;
        }
        *operands != before[..]
    }
}

/// Each group's items, then its share of `extra`, which has one item for each marked one.
fn interleave<T: Clone>(groups: &[&[T]], extra: &[T], marks: &[bool]) -> Vec<T> {
    let (mut all, mut extra, mut marks) = (vec![], extra.iter(), marks.iter());
    for group in groups {
        all.extend_from_slice(group);
        let n = marks.by_ref().take(group.len()).filter(|mark| **mark).count();
        all.extend(extra.by_ref().take(n).cloned());
    }
    all
}

/// The inverse of [`interleave`]: all groups' items, and all of `extra`.
fn separate<T: Clone>(lengths: &[usize], all: &[T], marks: &[bool]) -> (Vec<T>, Vec<T>) {
    let (mut items, mut extra, mut all, mut marks) = (vec![], vec![], all.iter(), marks.iter());
    for n in lengths {
        items.extend(all.by_ref().take(*n).cloned());
        let n = marks.by_ref().take(*n).filter(|mark| **mark).count();
        extra.extend(all.by_ref().take(n).cloned());
    }
    (items, extra)
}

fn row_aval(aval: &Aval) -> Aval {
    Aval { dtype: aval.dtype, shape: aval.shape[1..].iter().cloned().collect() }
}

impl Primitive for Scan {
    fn name(&self) -> &'static str {
        "scan"
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let spec = Spec::of(params)?;
        let n = spec.n_const + spec.n_carry;
        if ins.len() < n {
            return Err(TypeError::new(format!("takes {n} constants and carries, and was given {}", ins.len())));
        }
        if !spec.length.is_natural() {
            return Err(TypeError::new(format!("the length {} may be below zero", spec.length)));
        }
        let mut wanted: Vec<Aval> = ins[..n].iter().map(|aval| (*aval).clone()).collect();
        for sequence in &ins[n..] {
            if sequence.shape.first() != Some(&spec.length) {
                return Err(TypeError::new(format!(
                    "the sequence {sequence} must have {} rows: its first axis is what a scan goes along",
                    spec.length
                )));
            }
            wanted.push(row_aval(sequence));
        }
        check_takes("a turn", &spec.body, &wanted)?;
        let mut outs = spec.body.out_avals();
        if outs.get(..spec.n_carry) != Some(&wanted[spec.n_const..n]) {
            return Err(TypeError::new(format!(
                "a turn must give the carries {:?} again, and gives {outs:?}",
                &wanted[spec.n_const..n]
            )));
        }
        outs[spec.n_carry..].iter_mut().for_each(|row| row.shape.insert(0, spec.length.clone()));
        Ok(outs)
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let spec = Spec::known(params);
        let length = spec.length.as_usize().expect("sizes are numbers when a program runs");
        let share = |array: &&HostArray| Arc::new((*array).clone());
        let [consts, carries, sequences] = spec.groups(ins);
        let consts: Vec<Arc<HostArray>> = consts.iter().map(share).collect();
        let mut carries: Vec<Arc<HostArray>> = carries.iter().map(share).collect();
        let mut turns = vec![];
        for turn in 0..length {
            let i = if spec.reverse { length - 1 - turn } else { turn };
            let rows = sequences.iter().map(|sequence| Arc::new(row(sequence, i)));
            let args: Vec<Arc<HostArray>> = consts.iter().chain(&carries).cloned().chain(rows).collect();
            let mut outs = eval(&spec.body, &args);
            turns.push(outs.split_off(spec.n_carry));
            carries = outs;
        }
        if spec.reverse {
            turns.reverse();
        }
        let results = spec.body.out_avals().split_off(spec.n_carry);
        let stacked = results.iter().enumerate().map(|(k, like)| {
            let rows: Vec<Arc<HostArray>> = turns.iter().map(|turn| turn[k].clone()).collect();
            stack(like, &rows)
        });
        carries.iter().map(|carry| HostArray::clone(carry)).chain(stacked).collect()
    }
    // the tangents are carried beside what they belong to
    fn value_and_jvp(&self, cx: &ValueAndJvp<'_>) -> Option<Pushed> {
        let spec = Spec::known(cx.params);
        let given: Vec<bool> = cx.tangents.iter().map(Option::is_some).collect();
        let (active, active_out) = spec.activity(&given);
        if is_asked() {
            let outs = spec.bind(cx.primals);
            let tangents = stand_ins(&outs, &active_out);
            return Some((outs, tangents));
        }
        let moves = tangents_of(cx.primals, cx.tangents, &active);
        let types = arg_avals(&spec.body);
        let lengths = spec.groups(&types).map(<[Aval]>::len);
        let avals = interleave(&spec.groups(&types), &marked(&types, &active), &active);
        let body = retrace(&spec.body, "jvp", &avals, |values| {
            let (primals, tangents) = separate(&lengths, values, &active);
            let (outs, tangents) = push(&spec.body, &primals, &spread(tangents, &active));
            let tangents = tangents_of(&outs, &tangents, &active_out);
            let (carries, rows) = outs.split_at(spec.n_carry);
            interleave(&[carries, rows], &tangents, &active_out)
        });
        let count = |marks: &[bool]| marks.iter().filter(|mark| **mark).count();
        let [consts, carries, _] = spec.groups(&active).map(count);
        let pushed = Spec { body, n_const: spec.n_const + consts, n_carry: spec.n_carry + carries, ..spec.clone() };
        let outs = pushed.bind(&interleave(&spec.groups(cx.primals), &moves, &active));
        let (outs, tangents) = separate(&[spec.n_carry, active_out.len() - spec.n_carry], &outs, &active_out);
        Some((outs.into(), spread(tangents, &active_out)))
    }
    // what a turn's derivative needs of the turn is stacked, but for constants and rows, which are there already
    fn linearize(&self, cx: &Linearize<'_>) -> Option<Linearized> {
        let spec = Spec::known(cx.params);
        let (mut active, _) = spec.activity(cx.active);
        let n_out = cx.params.program("body").outs.len();
        let (forward, linear) = loop {
            let mut linear = None;
            let forward = retrace(&spec.body, "forward", &arg_avals(&spec.body), |args| {
                let (mut outs, found) = transform::linearize(&spec.body, &[], args, &active);
                outs.extend(found.residuals.iter().cloned());
                linear = Some(found);
                outs
            });
            let linear = linear.expect("tracing runs its function");
            let outs: Vec<bool> = linear.outs.iter().map(Option::is_some).collect();
            if !spec.spread_to_carries(&outs, &mut active) {
                break (forward, linear);
            }
        };
        let (primal, residuals) = Residuals::of(&spec, &forward, n_out);
        let mut outs = Spec { body: Arc::new(primal), ..spec.clone() }.bind(cx.primals);
        let stacks = outs.drain(n_out..).collect();
        let derivative = residuals.derivative(spec, linear, active, stacks, cx.primals.to_vec());
        Some(Linearized { outs, derivative })
    }
    // turns in the other direction; the cotangent of a constant is the sum over all turns
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        super::transposed::transpose(&Spec::known(cx.params), cx)
    }
    /// The rows keep their places: a sequence that has the new axis in front of its rows gets it behind.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let spec = Spec::known(cx.params);
        let n = spec.n_const + spec.n_carry;
        let mut ins: Vec<(Value, Option<usize>)> = cx.ins.to_vec();
        for (sequence, at) in &mut ins[n..] {
            if *at == Some(0) {
                *sequence = move_axis(sequence, 0, 1);
                *at = Some(1);
            }
        }
        let mut at: Vec<Option<usize>> = ins.iter().map(|(_, at)| *at).collect();
        at[n..].iter_mut().flatten().for_each(|at| *at -= 1);
        let outs = loop {
            let outs = batched_outs(&spec.body, &at, cx.size);
            let before = at.clone();
            for (carry, out) in at[spec.n_const..n].iter_mut().zip(&outs) {
                *carry = carry.or(*out);
            }
            if at == before {
                break outs;
            }
        };
        let mut places = at[spec.n_const..n].to_vec();
        places.extend_from_slice(&outs[spec.n_carry..]);
        if is_asked() {
            let mut avals = spec.body.out_avals();
            for (aval, place) in avals.iter_mut().zip(&mut places).skip(spec.n_carry) {
                aval.shape.insert(0, spec.length.clone());
                *place = place.map(|place| place + 1);
            }
            return batched_stand_ins(&avals, &places, cx.size);
        }
        let avals = batched_avals(&arg_avals(&spec.body), &at, cx.size);
        let body = retrace(&spec.body, "batch", &avals, |args| {
            let args: Vec<_> = args.iter().cloned().zip(at.iter().copied()).collect();
            let outs = batched(&spec.body, &args, cx.size);
            outs.iter().zip(&places).map(|(out, want)| placed(out, *want, cx.size)).collect()
        });
        let ins: Vec<Value> = ins
            .iter()
            .enumerate()
            .map(|(i, operand)| if i < n { placed(operand, at[i], cx.size) } else { operand.0.clone() })
            .collect();
        places[spec.n_carry..].iter_mut().flatten().for_each(|place| *place += 1);
        Spec { body, ..spec }.bind(&ins).into_iter().zip(places).collect()
    }
    fn kind(&self) -> Kind {
        Kind::Control
    }
    fn control(&self, params: &Params) -> Option<Control> {
        let Spec { body, n_const, n_carry, length, reverse } = Spec::of(params).ok()?;
        Some(Control::Scan { body, n_const, n_carry, length, reverse })
    }
    fn samples(&self) -> Vec<Sample> {
        super::samples::scans()
    }
}

/// Where a residual of a turn comes from.
enum Source {
    /// The same for all turns: an operand.
    Const(usize),
    /// A row of an operand.
    Row(usize),
    /// The same number for all turns.
    Literal(Literal),
    /// Made of nothing, such as numbers that count: made again rather than kept.
    Made(Box<Eqn>),
    /// A row of a stack that the forward pass makes, by number.
    Stack(usize),
}

/// The residuals of a turn, in the order in which its derivative takes them.
struct Residuals(Vec<Source>);

impl Residuals {
    /// The forward program without the results that need no stack, and where every residual comes from.
    fn of(spec: &Spec, forward: &Program, n_out: usize) -> (Program, Residuals) {
        let argument = |atom: &Atom| forward.args.iter().position(|binder| Some(binder.var) == atom.var());
        let made = |atom: &Atom| {
            let is_made = |eqn: &&Eqn| eqn.prim.kind() == Kind::Generate && Some(eqn.outs[0].var) == atom.var();
            forward.eqns.iter().filter(|eqn| eqn.ins.is_empty()).find(is_made).cloned()
        };
        let mut stacked = vec![];
        let sources = forward.outs[n_out..].iter().map(|atom| match (atom, argument(atom)) {
            (Atom::Literal(literal), _) => Source::Literal(*literal),
            (_, Some(i)) if i < spec.n_const => Source::Const(i),
            (_, Some(i)) if i >= spec.n_const + spec.n_carry => Source::Row(i),
            _ => made(atom).map(|eqn| Source::Made(Box::new(eqn))).unwrap_or_else(|| {
                stacked.push(*atom);
                Source::Stack(stacked.len() - 1)
            }),
        });
        let residuals = Residuals(sources.collect());
        let outs = forward.outs[..n_out].iter().copied().chain(stacked).collect();
        (Program { outs, ..forward.clone() }, residuals)
    }

    fn stays(source: &Source) -> bool {
        matches!(source, Source::Const(_) | Source::Literal(_))
    }

    fn moves(source: &Source) -> bool {
        matches!(source, Source::Row(_) | Source::Stack(_))
    }

    /// The derivative as a scan over tangents: constants are the residuals that stay and the constants' tangents;
    /// sequences are the sequences' tangents and the residuals that change.
    fn derivative(
        self,
        spec: Spec,
        linear: LinearProgram,
        active: Vec<bool>,
        stacks: Vec<Value>,
        primals: Vec<Value>,
    ) -> Derivative {
        let types = arg_avals(&spec.body);
        let residuals: Vec<Aval> = linear.program.consts.iter().map(|binder| binder.aval.clone()).collect();
        let stays: Vec<bool> = self.0.iter().map(Residuals::stays).collect();
        let moves: Vec<bool> = self.0.iter().map(Residuals::moves).collect();
        let [consts, carries, rows] = spec.groups(&active);
        let [const_types, carry_types, row_types] = spec.groups(&types);
        let parts = [
            marked(&residuals, &stays),
            marked(const_types, consts),
            marked(carry_types, carries),
            marked(row_types, rows),
            marked(&residuals, &moves),
        ];
        let lengths = parts.each_ref().map(Vec::len);
        let out_active: Vec<bool> = linear
            .outs
            .iter()
            .enumerate()
            .map(|(k, out)| if k < carries.len() { carries[k] } else { out.is_some() })
            .collect();
        let outs = spec.body.out_avals();
        let body = retrace(&spec.body, "linear", &parts.concat(), |values| {
            let mut rest = values;
            let [stay, t_consts, t_carries, t_rows, move_] = lengths.map(|n| {
                let (part, others) = rest.split_at(n);
                rest = others;
                part
            });
            let (mut stay, mut move_) = (stay.iter(), move_.iter());
            let residual = |source: &Source| match source {
                Source::Made(eqn) => bind1(eqn.prim, &[], eqn.params.clone()),
                Source::Const(_) | Source::Literal(_) => stay.next().expect("a value for each").clone(),
                Source::Row(_) | Source::Stack(_) => move_.next().expect("a row for each").clone(),
            };
            let residuals: Vec<Value> = self.0.iter().map(residual).collect();
            let found = interpret(&linear.program, &residuals, &[t_consts, t_carries, t_rows].concat());
            let tangents = linear.outs.iter().map(|out| out.map(|out| found[out].clone())).zip(&outs);
            let kept = tangents.zip(&out_active).filter(|(_, active)| **active);
            kept.map(|((tangent, aval), _)| or_zeros(tangent, aval)).collect()
        });
        let pushed =
            Spec { body, n_const: lengths[0] + lengths[1], n_carry: lengths[2], length: spec.length.clone(), ..spec };
        let value = |source: &Source| match source {
            Source::Const(i) | Source::Row(i) => Some(primals[*i].clone()),
            Source::Literal(literal) => Some(Value::from(*literal)),
            Source::Stack(i) => Some(stacks[*i].clone()),
            Source::Made(_) => None,
        };
        let values = |is: fn(&Source) -> bool| self.0.iter().filter(|source| is(source)).filter_map(value).collect();
        let (stay, move_): (Vec<Value>, Vec<Value>) = (values(Residuals::stays), values(Residuals::moves));
        let operands: Vec<Aval> = types
            .iter()
            .enumerate()
            .map(|(i, aval)| match i < spec.n_const + spec.n_carry {
                true => aval.clone(),
                false => {
                    let mut aval = aval.clone();
                    aval.shape.insert(0, spec.length.clone());
                    aval
                }
            })
            .collect();
        let n_first = lengths[1] + lengths[2];
        Box::new(move |tangents| {
            let given = operands.iter().zip(tangents).zip(&active).filter(|(_, active)| **active);
            let tangents: Vec<Value> = given.map(|((aval, tangent), _)| or_zeros(tangent.clone(), aval)).collect();
            let (first, rows) = tangents.split_at(n_first);
            let outs = pushed.bind(&[&stay[..], first, rows, &move_[..]].concat());
            spread(outs, &out_active)
        })
    }
}

/// The zeros that a sum over turns begins with.
pub(super) fn zero_sums(avals: &[Aval]) -> Vec<Value> {
    avals.iter().map(zeros).collect()
}

/// A sum over turns with one more term, where there is one.
pub(super) fn added(sum: &Value, term: Option<Value>) -> Value {
    match term {
        Some(term) => add_any(sum, &term),
        None => sum.clone(),
    }
}
