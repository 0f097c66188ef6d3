//! `while`: iterates while a predicate of the carries holds.

use super::chosen::{any, chosen, is_elementwise, stood_in};
use super::nested::*;
use crate::elementwise::GT;
use gavotte_core::aval::{Aval, DType, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::error::{Error, TypeError};
use gavotte_core::ir::{
    Batch, Batched, Control, Kind, Location, Params, Primitive, Program, Pushed, Sample, Transpose, Value, ValueAndJvp,
    bind, refuse,
};
use smallvec::SmallVec;
use std::sync::Arc;

/// Iterates while a predicate holds.
#[derive(Debug)]
struct While;
/// The primitive `while {body, cond, n_body_const, n_cond_const}`: see [`Control::While`].
pub(super) static WHILE: &dyn Primitive = &While;

/// The attributes of a loop.
#[derive(Clone)]
pub(super) struct Spec {
    pub(super) cond: Arc<Program>,
    pub(super) body: Arc<Program>,
    pub(super) n_cond_const: usize,
    pub(super) n_body_const: usize,
}

impl Spec {
    fn of(params: &Params) -> Result<Spec, TypeError> {
        Ok(Spec {
            cond: params.try_program("cond")?,
            body: params.try_program("body")?,
            n_cond_const: params.try_axis("n_cond_const")?,
            n_body_const: params.try_axis("n_body_const")?,
        })
    }

    fn known(params: &Params) -> Spec {
        Spec::of(params).unwrap_or_else(|why| panic!("while: {why}"))
    }

    fn params(&self) -> Params {
        Params::new()
            .with("cond", self.cond.clone())
            .with("body", self.body.clone())
            .with("n_cond_const", self.n_cond_const)
            .with("n_body_const", self.n_body_const)
    }

    #[track_caller]
    pub(super) fn bind(&self, ins: &[Value]) -> SmallVec<[Value; 1]> {
        bind(WHILE, &ins.iter().collect::<SmallVec<[&Value; 8]>>(), self.params())
    }

    /// Constants of the predicate, constants of the body, carries.
    fn groups<'a, T>(&self, operands: &'a [T]) -> [&'a [T]; 3] {
        let (cond, rest) = operands.split_at(self.n_cond_const);
        let (body, carries) = rest.split_at(self.n_body_const);
        [cond, body, carries]
    }

    /// Which constants of the body and which carries have tangents: a carry has one as soon as one iteration makes it
    /// have one.
    fn activity(&self, consts: &[bool], carries: &[bool]) -> Vec<bool> {
        let mut active = [consts, carries].concat();
        loop {
            let before = active.clone();
            let outs = active_outs(&self.body, &active);
            active[consts.len()..].iter_mut().zip(outs).for_each(|(carry, out)| *carry |= out);
            if active == before {
                return active;
            }
        }
    }

    /// The positions of the new axis in the carries, and whether the predicate has it: then every carry has.
    fn places(&self, cx: &Batch<'_>) -> (Vec<Option<usize>>, bool) {
        let at: Vec<Option<usize>> = cx.ins.iter().map(|(_, at)| *at).collect();
        let [cond, body, carries] = self.groups(&at);
        let mut carries = carries.to_vec();
        loop {
            let before = carries.clone();
            let outs = batched_outs(&self.body, &[body, &carries].concat(), cx.size);
            carries.iter_mut().zip(outs).for_each(|(carry, out)| *carry = carry.or(out));
            let predicate = batched_outs(&self.cond, &[cond, &carries].concat(), cx.size)[0].is_some();
            if predicate {
                carries.iter_mut().for_each(|carry| *carry = carry.or(Some(0)));
            }
            if carries == before {
                return (carries, predicate);
            }
        }
    }
}

impl Primitive for While {
    fn name(&self) -> &'static str {
        "while"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["body", "cond", "n_body_const", "n_cond_const"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let spec = Spec::of(params)?;
        if ins.len() < spec.n_cond_const + spec.n_body_const {
            return Err(TypeError::new(format!("has {} operands, fewer than its constants", ins.len())));
        }
        let ins: Vec<Aval> = ins.iter().map(|aval| (*aval).clone()).collect();
        let [cond, body, carries] = spec.groups(&ins);
        check_takes("the predicate", &spec.cond, &[cond, carries].concat())?;
        check_takes("an iteration", &spec.body, &[body, carries].concat())?;
        if spec.cond.out_avals() != [Aval::scalar(DType::Bool)] {
            return Err(TypeError::new(format!("the predicate must return one bool, not {:?}", spec.cond.out_avals())));
        }
        match spec.body.out_avals() {
            outs if outs == carries => Ok(outs),
            outs => Err(TypeError::new(format!("an iteration must return the carries {carries:?}, not {outs:?}"))),
        }
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let spec = Spec::known(params);
        let ins: Vec<Arc<HostArray>> = ins.iter().map(|array| Arc::new((*array).clone())).collect();
        let [cond, body, carries] = spec.groups(&ins);
        let mut carries = carries.to_vec();
        while eval(&spec.cond, &[cond, &carries].concat())[0].as_slice::<bool>()[0] {
            carries = eval(&spec.body, &[body, &carries].concat());
        }
        carries.into_iter().map(Arc::unwrap_or_clone).collect()
    }
    // tangents are carried next to their primals; the predicate has none
    fn value_and_jvp(&self, cx: &ValueAndJvp<'_>) -> Option<Pushed> {
        let spec = Spec::known(cx.params);
        let given: Vec<bool> = cx.tangents.iter().map(Option::is_some).collect();
        let [_, consts, carries] = spec.groups(&given);
        let n = consts.len();
        let active = spec.activity(consts, carries);
        if is_asked() {
            let outs = spec.bind(cx.primals);
            let tangents = stand_ins(&outs, &active[n..]);
            return Some((outs, tangents));
        }
        let moves = tangents_of(&cx.primals[spec.n_cond_const..], &cx.tangents[spec.n_cond_const..], &active);
        let types = arg_avals(&spec.body);
        let (const_moves, carry_moves) = (marked(&types[..n], &active[..n]), marked(&types[n..], &active[n..]));
        let m = const_moves.len();
        let layout = [&types[..n], &const_moves, &types[n..], &carry_moves].concat();
        let body = retrace(&spec.body, "jvp", &layout, |values| {
            let (consts, rest) = values.split_at(n);
            let (t_consts, rest) = rest.split_at(m);
            let (carries, t_carries) = rest.split_at(types.len() - n);
            let tangents = spread([t_consts, t_carries].concat(), &active);
            let (mut outs, tangents) = push(&spec.body, &[consts, carries].concat(), &tangents);
            let tangents = tangents_of(&outs, &tangents, &active[n..]);
            outs.extend(tangents);
            outs
        });
        let cond = retrace(&spec.cond, "jvp", &[arg_avals(&spec.cond), carry_moves].concat(), |values| {
            gavotte_core::ir::interpret(&spec.cond, &[], &values[..spec.cond.args.len()])
        });
        let [cond_consts, consts, carries] = spec.groups(cx.primals);
        let ins = [cond_consts, consts, &moves[..m], carries, &moves[m..]].concat();
        let n_out = types.len() - n;
        let mut outs = Spec { cond, body, n_body_const: n + m, ..spec }.bind(&ins);
        let tangents: Vec<Value> = outs.drain(n_out..).collect();
        Some((outs, spread(tangents, &active[n..])))
    }
    #[track_caller]
    fn transpose(&self, _: &Transpose<'_>) -> Vec<Option<Value>> {
        refuse(Error::Unsupported(format!(
            "while_loop: reverse mode must know the number of iterations, which is known only when this loop ends\n  \
             at {}\n  use fori_loop with a fixed number of iterations, or scan; forward mode (jvp) works",
            Location::current()
        )))
    }
    /// If the predicate differs between elements, the loop runs while any holds, and changes only the elements whose
    /// own predicate holds; the others read what one of these reads.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let spec = Spec::known(cx.params);
        let (places, by_element) = spec.places(cx);
        if is_asked() {
            return batched_stand_ins(&spec.body.out_avals(), &places, cx.size);
        }
        let at: Vec<Option<usize>> = cx.ins.iter().map(|(_, at)| *at).collect();
        let [cond_at, body_at, _] = spec.groups(&at);
        let n_cond = cond_at.len();
        let with_places = |values: &[Value], at: &[Option<usize>]| -> Vec<(Value, Option<usize>)> {
            values.iter().cloned().zip(at.iter().copied()).collect()
        };
        let holds = |values: &[Value]| -> (Value, Option<usize>) {
            batched(&spec.cond, &with_places(values, &[cond_at, &places].concat()), cx.size).swap_remove(0)
        };
        let cond_avals = batched_avals(&arg_avals(&spec.cond), &[cond_at, &places].concat(), cx.size);
        let cond = retrace(&spec.cond, "batch", &cond_avals, |values| match holds(values) {
            (all, Some(_)) => vec![GT.of([&any(&all), &Value::from(Literal::I32(0))])],
            (one, None) => vec![one],
        });
        let own_at = [body_at, &places].concat();
        let body_avals = batched_avals(&arg_avals(&spec.body), &own_at, cx.size);
        let needed = if by_element { n_cond } else { 0 };
        let layout = [&cond_avals[..needed], &body_avals].concat();
        let body = retrace(&spec.body, "batch", &layout, |values| {
            let (cond_consts, own) = values.split_at(needed);
            let carries = &own[body_at.len()..];
            let iteration = |own: &[(Value, Option<usize>)]| -> Vec<Value> {
                let outs = batched(&spec.body, own, cx.size);
                outs.iter().zip(&places).map(|(out, want)| placed(out, *want, cx.size)).collect()
            };
            let own = with_places(own, &own_at);
            if !by_element {
                return iteration(&own);
            }
            let which = holds(&[cond_consts, carries].concat()).0;
            // An iteration runs only while some element's predicate holds.
            let outs = iteration(&if is_elementwise(&spec.body) { own } else { stood_in(&own, &which, cx.size) });
            let axes = places.iter().map(|at| at.expect("every carry has the new axis"));
            outs.iter().zip(carries).zip(axes).map(|((new, old), axis)| chosen(&which, old, new, axis)).collect()
        });
        let values: Vec<Value> = cx.ins.iter().map(|(value, _)| value.clone()).collect();
        let [cond_consts, consts, _] = spec.groups(&values);
        let carries: Vec<Value> = cx.ins[spec.n_cond_const + spec.n_body_const..]
            .iter()
            .zip(&places)
            .map(|(carry, want)| placed(carry, *want, cx.size))
            .collect();
        let ins = [cond_consts, &cond_consts[..needed], consts, &carries].concat();
        let loops = Spec { cond, body, n_cond_const: n_cond, n_body_const: needed + consts.len() };
        loops.bind(&ins).into_iter().zip(places).collect()
    }
    fn kind(&self) -> Kind {
        Kind::Control
    }
    fn control(&self, params: &Params) -> Option<Control> {
        let Spec { cond, body, n_cond_const, n_body_const } = Spec::of(params).ok()?;
        Some(Control::While { cond, body, n_cond_const, n_body_const })
    }
    fn samples(&self) -> Vec<Sample> {
        super::samples::whiles()
    }
}
