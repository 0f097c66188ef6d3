//! A proof that the suite can fail: every rule of every primitive is broken, one at a time, and the checks of its
//! samples must notice each.
//!
//! The broken primitive is a wrapper: all rules are the primitive's own except one, whose results are changed (a number
//! by one, a truth value to its opposite, a type by an axis).

use super::checks::checks_of;
use super::judge::{Answer, agrees_with_jax, in_parallel, report, xla_agrees};
use super::sampled::{Sampled, question};
use gavotte_core::aval::{Aval, DType, Dim, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::{BROADCAST_IN_DIM, broadcast_in_dim, call};
use gavotte_core::ir::{
    Atom, Batch, Batched, Control, Index, Jvp, Kind, Linearize, Linearized, Lower, Params, Primitive, Program, Pushed,
    ReduceOp, Rewrite, RewriteRule, Sample, Scalar, ScalarOp, Simplify, Transpose, Unsupported, Value, ValueAndJvp,
    bind1, eval_primitive, trace,
};
use gavotte_tests::arrays::{from_numbers, numbers};
use gavotte_tests::cases::Case;
use gavotte_tests::cases::{DERIVED_BY_MPMATH, NOT_EXPORTED, is_listed};
use gavotte_tests::oracle::{Check, Worker, ask_jax, ask_xla};
use gavotte_tests::report::caught;
use gavotte_tests::transformed::Transform;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The rules that can be broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    AbstractEval,
    Eval,
    Jvp,
    ValueAndJvp,
    Linearize,
    Transpose,
    Batch,
    Lower,
    Composition,
    StableHlo,
    Simplify,
}

impl Rule {
    const ALL: [Rule; 11] = [
        Rule::AbstractEval,
        Rule::Eval,
        Rule::Jvp,
        Rule::ValueAndJvp,
        Rule::Linearize,
        Rule::Transpose,
        Rule::Batch,
        Rule::Lower,
        Rule::Composition,
        Rule::StableHlo,
        Rule::Simplify,
    ];

    /// Whether a check should notice it.
    fn is_shown_by(self, check: &Check) -> bool {
        match self {
            Rule::AbstractEval | Rule::Eval | Rule::Lower | Rule::Composition | Rule::StableHlo | Rule::Simplify => {
                check.transforms.is_empty()
            }
            Rule::Jvp | Rule::ValueAndJvp | Rule::Linearize => {
                matches!(check.transforms[..], [Transform::Jvp | Transform::Vjp | Transform::Linearize])
            }
            Rule::Transpose => matches!(check.transforms[..], [Transform::Vjp | Transform::Transpose]),
            Rule::Batch => matches!(check.transforms[..], [Transform::Vmap(..)]),
        }
    }
}

/// A primitive with one rule broken.
#[derive(Debug)]
struct Broken {
    inner: &'static dyn Primitive,
    rule: Rule,
    /// Whether the broken rule has returned a wrong result.
    is_reached: AtomicBool,
}

impl Broken {
    fn breaks(&self, rule: Rule) -> bool {
        self.rule == rule
    }

    fn reached(&self) {
        self.is_reached.store(true, Ordering::Relaxed);
    }

    /// A value changed in every element.
    fn value(&self, x: &Value) -> Value {
        if x.aval().volume() != Dim::from(0) {
            self.reached();
        }
        let prim = |name: &str| gavotte::registry().get(name).expect("it is a primitive");
        match x.dtype() {
            DType::Bool => bind1(prim("not"), &[x], Params::new()),
            dtype => bind1(prim("add"), &[x, &Literal::from_f64(dtype, 1.0).into()], Params::new()),
        }
    }

    /// A tangent changed in every element, even where it was zero.
    fn tangent(&self, tangent: Option<Value>, of: &Aval) -> Option<Value> {
        match tangent {
            Some(tangent) => Some(self.value(&tangent)),
            None if !of.dtype.is_float() => None,
            None => {
                self.reached();
                Some(broadcast_in_dim(&Literal::from_f64(of.dtype, 1.0).into(), &of.shape, &[]))
            }
        }
    }
}

/// One more, or the opposite.
fn changed(array: &HostArray) -> HostArray {
    let change = |x: f64| match array.dtype() {
        DType::Bool => 1.0 - x,
        // The largest numbers stay within the type.
        DType::I32 | DType::U32 => {
            if x > 0.0 {
                x - 1.0
            } else {
                x + 1.0
            }
        }
        _ => x + 1.0,
    };
    from_numbers(&array.shape(), array.dtype(), &numbers(array).into_iter().map(change).collect::<Vec<_>>())
}

impl Primitive for Broken {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn attributes(&self) -> &'static [&'static str] {
        self.inner.attributes()
    }
    fn computed_in(&self, dtype: DType) -> DType {
        self.inner.computed_in(dtype)
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let mut outs = self.inner.abstract_eval(ins, params)?;
        if self.breaks(Rule::AbstractEval) {
            self.reached();
            outs.iter_mut().for_each(|aval| aval.shape.push(1.into()));
        }
        Ok(outs)
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let outs = self.inner.eval(ins, params);
        if !self.breaks(Rule::Eval) {
            return outs;
        }
        if outs.iter().any(|out| !out.is_empty()) {
            self.reached();
        }
        outs.iter().map(changed).collect()
    }
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let tangents = self.inner.jvp(cx);
        if !self.breaks(Rule::Jvp) {
            return tangents;
        }
        tangents.into_iter().zip(cx.outs).map(|(tangent, out)| self.tangent(tangent, out.aval())).collect()
    }
    fn value_and_jvp(&self, cx: &ValueAndJvp<'_>) -> Option<Pushed> {
        // With it, `jvp` is called where only tangents are pushed.
        let (outs, tangents) = self.inner.value_and_jvp(cx)?;
        if !self.breaks(Rule::ValueAndJvp) {
            return Some((outs, tangents));
        }
        let pairs = tangents.into_iter().zip(&outs);
        let tangents = pairs.map(|(tangent, out)| self.tangent(tangent, out.aval())).collect();
        Some((outs, tangents))
    }
    fn linearize(&self, cx: &Linearize<'_>) -> Option<Linearized> {
        let found = self.inner.linearize(cx)?;
        if !self.breaks(Rule::Linearize) {
            return Some(found);
        }
        self.reached();
        let avals: Vec<Aval> = found.outs.iter().map(|out| out.aval().clone()).collect();
        let derivative = found.derivative;
        let change = Broken { inner: self.inner, rule: self.rule, is_reached: AtomicBool::new(true) };
        let derivative = Box::new(move |tangents: &[Option<Value>]| {
            derivative(tangents).into_iter().zip(&avals).map(|(tangent, aval)| change.tangent(tangent, aval)).collect()
        });
        Some(Linearized { outs: found.outs, derivative })
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let cotangents = self.inner.transpose(cx);
        if !self.breaks(Rule::Transpose) {
            return cotangents;
        }
        cotangents.into_iter().map(|cotangent| cotangent.map(|cotangent| self.value(&cotangent))).collect()
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let outs = self.inner.batch(cx);
        if !self.breaks(Rule::Batch) {
            return outs;
        }
        outs.into_iter().map(|(value, axis)| (self.value(&value), axis)).collect()
    }
    fn kind(&self) -> Kind {
        self.inner.kind()
    }
    fn has_effect(&self) -> bool {
        self.inner.has_effect()
    }
    fn control(&self, params: &Params) -> Option<Control> {
        self.inner.control(params)
    }
    fn composition(&self, ins: &[Aval], params: &Params) -> Option<Program> {
        let program = self.inner.composition(ins, params)?;
        if !self.breaks(Rule::Composition) {
            return Some(program);
        }
        let program = Arc::new(program);
        let change = |args: Vec<Value>| call(program, &[], &args).iter().map(|out| self.value(out)).collect();
        Some(trace("broken", ins, change).program.inlined())
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        if !self.breaks(Rule::Lower) {
            return self.inner.lower(cx);
        }
        // A reduction is the kernel's root: nothing can follow it.
        if self.kind() == Kind::Reduce {
            return self.inner.lower(&mut Misreading(cx)).inspect(|_| self.reached());
        }
        let scalars = self.inner.lower(cx)?;
        self.reached();
        let dtypes: Vec<DType> = (0..scalars.len()).map(|i| cx.output(i).dtype).collect();
        Ok(scalars.into_iter().zip(dtypes).map(|(scalar, dtype)| spoiled(cx, scalar, dtype)).collect())
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let outs = self.inner.stablehlo(cx)?;
        if !self.breaks(Rule::StableHlo) {
            return Ok(outs);
        }
        self.reached();
        let change = |out: &Operand| {
            let aval = out.aval().clone();
            match aval.dtype {
                DType::Bool => cx.op("not", &[out], &[], aval),
                dtype => {
                    let one = cx.splat(Literal::from_f64(dtype, 1.0), &out.shape());
                    cx.op("add", &[out, &one], &[], aval)
                }
            }
        };
        Ok(outs.iter().map(change).collect())
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        match self.rule {
            Rule::Simplify => {
                // The rule applies to every equation whose rules are queried.
                self.reached();
                &[RewriteRule { name: "all-ones", law: "wrong on purpose", apply: |cx| Some(all_ones(cx)) }]
            }
            // A simplified equation is never lowered.
            Rule::Lower => &[],
            _ => self.inner.rewrites(),
        }
    }
    fn samples(&self) -> Vec<Sample> {
        self.inner.samples()
    }
}

fn all_ones(cx: &Simplify<'_>) -> Rewrite {
    let out = &cx.eqn.outs[0].aval;
    let one = Literal::from_f64(out.dtype, 1.0);
    let params = Params::new().with("shape", &out.shape).with("dims", Vec::<usize>::new());
    match out.rank() {
        0 => Rewrite::Atom(Atom::Literal(one)),
        _ => Rewrite::Eqn(BROADCAST_IN_DIM, vec![Atom::Literal(one)], params),
    }
}

/// A changed scalar.
fn spoiled(cx: &mut dyn Lower, scalar: Scalar, dtype: DType) -> Scalar {
    match dtype {
        DType::Bool => cx.op(ScalarOp::Not, &[scalar]),
        dtype => {
            let one = cx.constant(Literal::from_f64(dtype, 1.0));
            cx.op(ScalarOp::Add, &[scalar, one])
        }
    }
}

/// A kernel that misreads every element.
struct Misreading<'a>(&'a mut dyn Lower);

impl Lower for Misreading<'_> {
    fn params(&self) -> &Params {
        self.0.params()
    }
    fn operand(&self, i: usize) -> Aval {
        self.0.operand(i)
    }
    fn arity(&self) -> usize {
        self.0.arity()
    }
    fn output(&self, i: usize) -> Aval {
        self.0.output(i)
    }
    fn index(&self) -> Vec<Index> {
        self.0.index()
    }
    fn read(&mut self, operand: usize, index: &[Index]) -> Result<Scalar, Unsupported> {
        let (scalar, dtype) = (self.0.read(operand, index)?, self.0.operand(operand).dtype);
        Ok(spoiled(self.0, scalar, dtype))
    }
    fn op(&mut self, op: ScalarOp, ins: &[Scalar]) -> Scalar {
        self.0.op(op, ins)
    }
    fn constant(&mut self, literal: Literal) -> Scalar {
        self.0.constant(literal)
    }
    fn size(&mut self, dim: &Dim, dtype: DType) -> Scalar {
        self.0.size(dim, dtype)
    }
    fn position(&mut self, index: &Index) -> Scalar {
        self.0.position(index)
    }
    fn affine(&mut self, index: &Index, scale: &Dim, offset: &Dim) -> Index {
        self.0.affine(index, scale, offset)
    }
    fn add(&mut self, a: &Index, b: &Index) -> Index {
        self.0.add(a, b)
    }
    fn reduction_loops(&mut self, extents: &[Dim]) -> Result<Vec<Index>, Unsupported> {
        self.0.reduction_loops(extents)
    }
    fn segment_loop(&mut self, segment: &Index, offsets: usize, order: usize) -> Result<Index, Unsupported> {
        self.0.segment_loop(segment, offsets, order)
    }
    fn reduce(&mut self, op: ReduceOp, value: Scalar) -> Result<Scalar, Unsupported> {
        self.0.reduce(op, value)
    }
}

/// Rules that no check reaches: primitive, rule, reason.
const UNREACHED: &[(&str, Rule, &str)] = &[
    ("argmax", Rule::Simplify, COMPOSED),
    ("argmin", Rule::Simplify, COMPOSED),
    ("bessel_i0", Rule::Simplify, COMPOSED),
    ("bessel_i0e", Rule::Simplify, COMPOSED),
    ("bessel_i1", Rule::Simplify, COMPOSED),
    ("bessel_i1e", Rule::Simplify, COMPOSED),
    ("beta", Rule::Simplify, COMPOSED),
    ("betaln", Rule::Simplify, COMPOSED),
    ("call", Rule::Jvp, INLINED),
    ("call", Rule::Batch, INLINED),
    ("call", Rule::Simplify, INLINED),
    ("checkpoint", Rule::Jvp, TOGETHER),
    ("conv", Rule::Simplify, COMPOSED),
    ("custom_vjp_call", Rule::Jvp, TOGETHER),
    ("digamma", Rule::Simplify, COMPOSED),
    ("dim_value", Rule::Lower, "of a number it is folded; what it is of a symbol is the business of symbolic sizes"),
    ("erfcx", Rule::Simplify, COMPOSED),
    ("exp1", Rule::Simplify, COMPOSED),
    ("expi", Rule::Simplify, COMPOSED),
    ("factorial", Rule::Simplify, COMPOSED),
    ("gamma", Rule::Simplify, COMPOSED),
    ("lgamma", Rule::Simplify, COMPOSED),
    ("linear_solve", Rule::Simplify, COMPOSED),
    ("root", Rule::Simplify, COMPOSED),
    ("scan", Rule::Jvp, TOGETHER),
    ("spence", Rule::Simplify, COMPOSED),
    ("switch", Rule::Jvp, TOGETHER),
    ("zeta", Rule::Simplify, COMPOSED),
];
const TOGETHER: &str = "forward mode asks `value_and_jvp`, reverse mode `linearize`";
const COMPOSED: &str = "its composition is in its place before";
const INLINED: &str = "calls are inlined before any rule of theirs is asked";

/// The outcome for a primitive with a broken rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    /// A check failed.
    Noticed,
    /// The broken rule returned wrong results and no check failed.
    Missed,
    /// No check reached the rule.
    NeverReached,
}

fn outcome(worker: &mut Worker, sampled: &Sampled, prim: &'static dyn Primitive, rule: Rule) -> Outcome {
    let broken: &'static Broken = Box::leak(Box::new(Broken { inner: prim, rule, is_reached: AtomicBool::new(false) }));
    let cases = prim
        .samples()
        .into_iter()
        .map(|sample| (sample.name, Case { prim: broken, params: sample.params, ins: sample.ins }));
    let is_noticed = cases.into_iter().any(|(name, case)| match caught(|| Ok(checks_of(name, &case))) {
        Ok(checks) => checks.iter().filter(|check| rule.is_shown_by(check)).any(|check| {
            let verdict = caught(|| verdict(worker, sampled, check, rule));
            verdict.is_err()
        }),
        Err(_) => broken.is_reached.load(Ordering::Relaxed),
    });
    match (is_noticed, broken.is_reached.load(Ordering::Relaxed)) {
        (_, false) => Outcome::NeverReached,
        (true, true) => Outcome::Noticed,
        (false, true) => Outcome::Missed,
    }
}

fn verdict(worker: &mut Worker, sampled: &Sampled, check: &Check, rule: Rule) -> Result<(), String> {
    let jax: Arc<Answer> = match sampled.answer(&question(check)) {
        Some(answer) => answer,
        None => Arc::new(ask_jax(worker, &[check]).swap_remove(0)),
    };
    match rule {
        Rule::StableHlo => {
            let xla = ask_xla(worker, &[(&check.program, &check.inputs)]).swap_remove(0);
            xla_agrees(check, &xla, &jax)
        }
        _ => agrees_with_jax(check, &jax),
    }
}

#[test]
fn every_broken_rule_is_noticed() {
    let Some(sampled) = Sampled::get() else { return };
    let prims: Vec<&'static dyn Primitive> = gavotte::registry().iter().filter(|prim| !prim.has_effect()).collect();
    let pairs: Vec<_> = prims.iter().flat_map(|prim| Rule::ALL.map(|rule| (*prim, rule))).collect();
    let n_pair = pairs.len();
    let outcomes = in_parallel(pairs, |worker, (prim, rule)| (prim, rule, outcome(worker, sampled, prim, rule)));
    let mut failures: Vec<String> = vec![];
    let mut noticed = Rule::ALL.map(|rule| (rule, 0));
    for (prim, rule, outcome) in outcomes {
        let is_excused = UNREACHED.iter().any(|(name, excused, _)| *name == prim.name() && *excused == rule)
            || rule == Rule::Jvp && DERIVED_BY_MPMATH.contains(&prim.name());
        match (outcome, is_excused, has_rule(prim, rule)) {
            (Outcome::Noticed, false, _) => noticed[rule as usize].1 += 1,
            (Outcome::Noticed, true, _) => {
                failures.push(format!("{} {rule:?} is noticed: drop its line of UNREACHED", prim.name()));
            }
            (Outcome::Missed, false, _) => failures.push(format!("{} {rule:?}, broken, is missed", prim.name())),
            (Outcome::NeverReached, false, true) => {
                failures.push(format!("{} {rule:?} is never reached", prim.name()));
            }
            _ => {}
        }
    }
    eprintln!("noticed broken rules: {noticed:?}");
    report(n_pair, &failures);
}

/// Whether a primitive can have a rule that shows: a derivative needs floats on both sides, a transposition a
/// derivative, batching an operand.
fn has_rule(prim: &'static dyn Primitive, rule: Rule) -> bool {
    let samples = prim.samples();
    let has_floats = samples.iter().any(|sample| {
        let ins: Vec<Aval> = sample.ins.iter().map(|array| Aval::new(array.dtype(), array.shape())).collect();
        let outs = prim.abstract_eval(&ins.iter().collect::<Vec<_>>(), &sample.params).unwrap_or_default();
        ins.iter().any(|aval| aval.dtype.is_float()) && outs.iter().any(|aval| aval.dtype.is_float())
    });
    match rule {
        Rule::Jvp => has_floats,
        // Only some have one; where a primitive is linear, a check reaches it.
        Rule::ValueAndJvp | Rule::Linearize | Rule::Transpose => false,
        // A primitive that runs by `eval`, has nested programs, or is dropped, has no kernel.
        Rule::Lower => !matches!(prim.kind(), Kind::Opaque | Kind::Call | Kind::Custom | Kind::Control | Kind::Barrier),
        Rule::Composition => samples.iter().any(|sample| {
            let ins: Vec<Aval> = sample.ins.iter().map(|array| Aval::new(array.dtype(), array.shape())).collect();
            prim.composition(&ins, &sample.params).is_some()
        }),
        Rule::Batch => samples.iter().any(|sample| !sample.ins.is_empty()),
        Rule::StableHlo => !is_listed(NOT_EXPORTED, prim),
        // Multiple results are never simplified.
        Rule::Simplify => samples
            .iter()
            .all(|sample| eval_primitive(prim, &sample.ins.iter().collect::<Vec<_>>(), &sample.params).len() == 1),
        _ => true,
    }
}
