//! `scan`: a fixed number of iterations with carried values, which reads and makes arrays row by row.

use super::groups::Groups;
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

/// A fixed number of iterations.
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

    /// The items that belong to operands, by group.
    pub(super) fn groups<T: Clone>(&self, operands: &[T]) -> Groups<T> {
        Groups::of(operands, self.n_const, self.n_carry)
    }

    /// The items that belong to results, by group: there are no constants.
    pub(super) fn out_groups<T: Clone>(&self, outs: &[T]) -> Groups<T> {
        Groups::of(outs, 0, self.n_carry)
    }

    /// Which operands and which results have tangents: a carry has one as soon as one iteration makes it have one.
    fn activity(&self, active: &[bool]) -> (Groups<bool>, Groups<bool>) {
        let mut active = self.groups(active);
        loop {
            let outs = self.out_groups(&active_outs(&self.body, &active.all()));
            if !active.mark_carries(&outs) {
                let outs = Groups { carries: active.carries.clone(), ..outs };
                return (active, outs);
            }
        }
    }
}

fn row_aval(aval: &Aval) -> Aval {
    Aval { dtype: aval.dtype, shape: aval.shape[1..].iter().cloned().collect() }
}

impl Primitive for Scan {
    fn name(&self) -> &'static str {
        "scan"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["body", "length", "n_carry", "n_const", "reverse"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let spec = Spec::of(params)?;
        let n = spec.n_const + spec.n_carry;
        if ins.len() < n {
            return Err(TypeError::new(format!("takes {n} constants and carries, not {}", ins.len())));
        }
        if !spec.length.is_natural() {
            return Err(TypeError::new(format!("the length {} may be negative", spec.length)));
        }
        let mut wanted: Vec<Aval> = ins[..n].iter().map(|aval| (*aval).clone()).collect();
        for sequence in &ins[n..] {
            if sequence.shape.first() != Some(&spec.length) {
                return Err(TypeError::new(format!(
                    "the sequence {sequence} must have {} rows: a scan iterates over its first axis",
                    spec.length
                )));
            }
            wanted.push(row_aval(sequence));
        }
        check_takes("an iteration", &spec.body, &wanted)?;
        let mut outs = spec.body.out_avals();
        if outs.get(..spec.n_carry) != Some(&wanted[spec.n_const..n]) {
            return Err(TypeError::new(format!(
                "an iteration must return the carries {:?} first, not {outs:?}",
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
        let Groups { consts, carries, rows: sequences } = spec.groups(ins);
        let consts: Vec<Arc<HostArray>> = consts.iter().map(share).collect();
        let mut carries: Vec<Arc<HostArray>> = carries.iter().map(share).collect();
        let mut iterations = vec![];
        for iteration in 0..length {
            let i = if spec.reverse { length - 1 - iteration } else { iteration };
            let rows = sequences.iter().map(|sequence| Arc::new(row(sequence, i)));
            let args: Vec<Arc<HostArray>> = consts.iter().chain(&carries).cloned().chain(rows).collect();
            let mut outs = eval(&spec.body, &args);
            iterations.push(outs.split_off(spec.n_carry));
            carries = outs;
        }
        if spec.reverse {
            iterations.reverse();
        }
        let results = spec.body.out_avals().split_off(spec.n_carry);
        let stacked = results.iter().enumerate().map(|(k, like)| {
            let rows: Vec<Arc<HostArray>> = iterations.iter().map(|rows| rows[k].clone()).collect();
            stack(like, &rows)
        });
        carries.iter().map(|carry| HostArray::clone(carry)).chain(stacked).collect()
    }
    // tangents are carried, read and stacked next to their primals
    fn value_and_jvp(&self, cx: &ValueAndJvp<'_>) -> Option<Pushed> {
        let spec = Spec::known(cx.params);
        let given: Vec<bool> = cx.tangents.iter().map(Option::is_some).collect();
        let (active, active_out) = spec.activity(&given);
        if is_asked() {
            let outs = spec.bind(cx.primals);
            let tangents = stand_ins(&outs, &active_out.all());
            return Some((outs, tangents));
        }
        let types = spec.groups(&arg_avals(&spec.body));
        let moving = types.marked(&active);
        let taken = types.beside(&moving);
        let out_types = spec.out_groups(&spec.body.out_avals());
        let moving_outs = out_types.marked(&active_out);
        let (active, active_out) = (active.all(), active_out.all());
        let body = retrace(&spec.body, "jvp", &taken.all(), |values| {
            let (primals, tangents) = types.part(&moving, values);
            let (outs, tangents) = push(&spec.body, &primals.all(), &spread(tangents.all(), &active));
            let tangents = tangents_of(&outs, &tangents, &active_out);
            spec.out_groups(&outs).beside(&moving_outs.like(&tangents)).all()
        });
        let pushed = Spec { body, n_const: taken.consts.len(), n_carry: taken.carries.len(), ..spec.clone() };
        let tangents = tangents_of(cx.primals, cx.tangents, &active);
        let outs = pushed.bind(&spec.groups(cx.primals).beside(&moving.like(&tangents)).all());
        let (outs, tangents) = out_types.part(&moving_outs, &outs);
        Some((outs.all().into(), spread(tangents.all(), &active_out)))
    }
    // the residuals of each iteration are stacked, except constants and rows, which exist already
    fn linearize(&self, cx: &Linearize<'_>) -> Option<Linearized> {
        let spec = Spec::known(cx.params);
        let (mut active, _) = spec.activity(cx.active);
        let n_out = cx.params.program("body").outs.len();
        let (forward, linear) = loop {
            let mut linear = None;
            let forward = retrace(&spec.body, "forward", &arg_avals(&spec.body), |args| {
                let (mut outs, found) = transform::linearize(&spec.body, &[], args, &active.all());
                outs.extend(found.residuals.iter().cloned());
                linear = Some(found);
                outs
            });
            let linear = linear.expect("tracing runs its function");
            let outs: Vec<bool> = linear.outs.iter().map(Option::is_some).collect();
            if !active.mark_carries(&spec.out_groups(&outs)) {
                break (forward, linear);
            }
        };
        let (primal, residuals) = Residuals::of(&spec, &forward, n_out);
        let mut outs = Spec { body: Arc::new(primal), ..spec.clone() }.bind(cx.primals);
        let stacks = outs.drain(n_out..).collect();
        let derivative = residuals.derivative(spec, linear, active, stacks, cx.primals.to_vec());
        Some(Linearized { outs, derivative })
    }
    // iterates in the other direction; the cotangent of a constant is the sum over all iterations
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        super::transposed::transpose(&Spec::known(cx.params), cx)
    }
    /// The axis of rows stays first: a sequence whose new axis is in front of its rows gets it second.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let spec = Spec::known(cx.params);
        let mut ins = spec.groups(cx.ins);
        for (sequence, at) in &mut ins.rows {
            if *at == Some(0) {
                *sequence = move_axis(sequence, 0, 1);
                *at = Some(1);
            }
        }
        let mut at = ins.map(|(_, at)| *at);
        at.rows.iter_mut().flatten().for_each(|at| *at -= 1);
        let outs = loop {
            let outs = spec.out_groups(&batched_outs(&spec.body, &at.all(), cx.size));
            let before = at.carries.clone();
            for (carry, out) in at.carries.iter_mut().zip(&outs.carries) {
                *carry = carry.or(*out);
            }
            if at.carries == before {
                break outs;
            }
        };
        // In one iteration's results; the stacked rows have one more axis in front.
        let of_iteration = Groups { carries: at.carries.clone(), ..outs };
        let mut places = of_iteration.clone();
        places.rows.iter_mut().flatten().for_each(|place| *place += 1);
        if is_asked() {
            let mut avals = spec.out_groups(&spec.body.out_avals());
            avals.rows.iter_mut().for_each(|aval| aval.shape.insert(0, spec.length.clone()));
            return batched_stand_ins(&avals.all(), &places.all(), cx.size);
        }
        let avals = batched_avals(&arg_avals(&spec.body), &at.all(), cx.size);
        let body = retrace(&spec.body, "batch", &avals, |args| {
            let args: Vec<_> = args.iter().cloned().zip(at.all()).collect();
            let outs = batched(&spec.body, &args, cx.size);
            outs.iter().zip(of_iteration.all()).map(|(out, want)| placed(out, want, cx.size)).collect()
        });
        let to = |operands: &[(Value, Option<usize>)], at: &[Option<usize>]| -> Vec<Value> {
            operands.iter().zip(at).map(|(operand, at)| placed(operand, *at, cx.size)).collect()
        };
        let mut operands = [to(&ins.consts, &at.consts), to(&ins.carries, &at.carries)].concat();
        operands.extend(ins.rows.into_iter().map(|(sequence, _)| sequence));
        Spec { body, ..spec }.bind(&operands).into_iter().zip(places.all()).collect()
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

/// The source of a residual of an iteration.
enum Source {
    /// The same for all iterations: an operand.
    Const(usize),
    /// A row of an operand.
    Row(usize),
    /// The same number for all iterations.
    Literal(Literal),
    /// Made without operands, such as counters: recomputed rather than stored.
    Made(Box<Eqn>),
    /// A row of a stack that the forward pass makes, by number.
    Stack(usize),
}

/// The residuals of an iteration, in the order in which its derivative takes them.
struct Residuals(Vec<Source>);

impl Residuals {
    /// The forward program without the results that need no stack, and the source of every residual.
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

    /// The derivative as a scan over tangents: constants are the residuals that are constant and the constants'
    /// tangents; sequences are the sequences' tangents and the residuals that change.
    fn derivative(
        self,
        spec: Spec,
        linear: LinearProgram,
        active: Groups<bool>,
        stacks: Vec<Value>,
        primals: Vec<Value>,
    ) -> Derivative {
        let types = spec.groups(&arg_avals(&spec.body));
        let residuals: Vec<Aval> = linear.program.consts.iter().map(|binder| binder.aval.clone()).collect();
        let stays: Vec<bool> = self.0.iter().map(Residuals::stays).collect();
        let moves: Vec<bool> = self.0.iter().map(Residuals::moves).collect();
        let moving = types.marked(&active);
        let stay = marked(&residuals, &stays);
        let taken = Groups {
            consts: [&stay[..], &moving.consts].concat(),
            carries: moving.carries.clone(),
            rows: [&moving.rows[..], &marked(&residuals, &moves)].concat(),
        };
        let out_active: Vec<bool> = linear
            .outs
            .iter()
            .enumerate()
            .map(|(k, out)| active.carries.get(k).copied().unwrap_or(out.is_some()))
            .collect();
        let outs = spec.body.out_avals();
        let body = retrace(&spec.body, "linear", &taken.all(), |values| {
            let Groups { consts, carries, rows } = taken.like(values);
            let (stay, consts) = consts.split_at(stay.len());
            let (rows, move_) = rows.split_at(moving.rows.len());
            let (mut stay, mut move_) = (stay.iter(), move_.iter());
            let residual = |source: &Source| match source {
                Source::Made(eqn) => bind1(eqn.prim, &[], eqn.params.clone()),
                Source::Const(_) | Source::Literal(_) => stay.next().expect("a value for each").clone(),
                Source::Row(_) | Source::Stack(_) => move_.next().expect("a row for each").clone(),
            };
            let residuals: Vec<Value> = self.0.iter().map(residual).collect();
            let found = interpret(&linear.program, &residuals, &[consts, &carries, rows].concat());
            let tangents = linear.outs.iter().map(|out| out.map(|out| found[out].clone())).zip(&outs);
            let kept = tangents.zip(&out_active).filter(|(_, active)| **active);
            kept.map(|((tangent, aval), _)| or_zeros(tangent, aval)).collect()
        });
        let (n_const, n_carry) = (taken.consts.len(), taken.carries.len());
        let pushed = Spec { body, n_const, n_carry, length: spec.length.clone(), ..spec };
        let value = |source: &Source| match source {
            Source::Const(i) | Source::Row(i) => Some(primals[*i].clone()),
            Source::Literal(literal) => Some(Value::from(*literal)),
            Source::Stack(i) => Some(stacks[*i].clone()),
            Source::Made(_) => None,
        };
        let values = |is: fn(&Source) -> bool| self.0.iter().filter(|source| is(source)).filter_map(value).collect();
        let (stay, move_): (Vec<Value>, Vec<Value>) = (values(Residuals::stays), values(Residuals::moves));
        let mut operands = types;
        operands.rows.iter_mut().for_each(|aval| aval.shape.insert(0, spec.length.clone()));
        let (operands, active) = (operands.all(), active.all());
        let n_first = moving.consts.len() + moving.carries.len();
        Box::new(move |tangents| {
            let given = operands.iter().zip(tangents).zip(&active).filter(|(_, active)| **active);
            let tangents: Vec<Value> = given.map(|((aval, tangent), _)| or_zeros(tangent.clone(), aval)).collect();
            let (first, rows) = tangents.split_at(n_first);
            let outs = pushed.bind(&[&stay[..], first, rows, &move_[..]].concat());
            spread(outs, &out_active)
        })
    }
}

/// The zeros at the start of a sum over iterations.
pub(super) fn zero_sums(avals: &[Aval]) -> Vec<Value> {
    avals.iter().map(zeros).collect()
}

/// A sum over iterations with one more term, if there is one.
pub(super) fn added(sum: &Value, term: Option<Value>) -> Value {
    match term {
        Some(term) => add_any(sum, &term),
        None => sum.clone(),
    }
}
