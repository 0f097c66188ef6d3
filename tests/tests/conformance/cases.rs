//! The cases, every sample of every primitive, and who is excused from which law.

use gavotte_core::aval::{Aval, Facts};
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Atom, Binder, Eqn, Location, Params, Primitive, Program, Var};
use gavotte_tests::arrays::{Random, from_numbers, numbers};
use gavotte_tests::compare::{floating, widened_arrays, widened_program};
use gavotte_tests::report::check_all;

/// Primitives whose derivative is not that of what they compute, with the reason.
pub(crate) const OWN_DERIVATIVE: &[(&str, &str)] = &[("stop_gradient", "its derivative is zero by definition")];

/// Primitives that cannot compute in `f64`, with the reason. Nothing is differentiated through them.
pub(crate) const NOT_IN_F64: &[(&str, &str)] = &[("bitcast_convert_type", "the widths of the types would differ")];

/// Primitives that no kernel computes for some or all of their operands, with the reason.
pub(crate) const NOT_LOWERED: &[(&str, &str)] = &[
    ("argmax", "it runs by `eval`"),
    ("call", "it is inlined before"),
    ("checkpoint", "it is inlined before"),
    ("custom_jvp_call", "it is inlined before"),
    ("custom_lin", "it runs by `eval`"),
    ("custom_vjp_call", "it is inlined before"),
    ("optimization_barrier", "it is dropped before"),
    ("reshape", "its result is its operand's memory; only axes of one element come and go within a kernel"),
    ("scan", LOOPS),
    ("scatter_add", "it runs by `eval`"),
    ("switch", LOOPS),
    ("while", LOOPS),
];
const LOOPS: &str = "its nested programs have kernels of their own";

/// Primitives without reverse mode, with the reason.
pub(crate) const NOT_REVERSED: &[(&str, &str)] =
    &[("while", "the number of turns is known only when the loop ends, and each turn would need its residuals")];

/// Operands without a batch axis: primitive, number of its operands, which of them, and why. `batch` panics with the
/// primitive's name.
pub(crate) const NOT_BATCHED: &[(&str, usize, &[usize], &str)] = &[
    ("gather", 4, &[1, 2, 3], SEGMENTS),
    ("segment_sum", 4, &[1, 2, 3], SEGMENTS),
    ("segment_max", 4, &[1, 2, 3], SEGMENTS),
];
pub(crate) const SEGMENTS: &str = "every turn would have a graph of its own: graphs are batched by joining them";

/// Turns of the loops that `vmap` is compared with.
pub(crate) const BATCH: usize = 3;

/// One sample of one primitive.
pub(crate) struct Case {
    pub(crate) prim: &'static dyn Primitive,
    pub(crate) params: Params,
    pub(crate) ins: Vec<HostArray>,
}

impl Case {
    /// The program of one equation.
    pub(crate) fn program(&self) -> Program {
        let avals: Vec<Aval> = self.ins.iter().map(|array| Aval::new(array.dtype(), array.shape())).collect();
        one_equation(self.prim, avals, self.params.clone()).expect("a sample's operands fit")
    }

    /// Whether `NOT_REVERSED` lists it.
    pub(crate) fn is_reversed(&self) -> bool {
        NOT_REVERSED.iter().all(|(name, _)| *name != self.prim.name())
    }

    /// The program in `f64` at a point near the sample's, off ties and edges; `None` where there is nothing to
    /// differentiate or the primitive is excused.
    pub(crate) fn differentiable(&self) -> Option<(Program, Vec<HostArray>)> {
        let program = self.program();
        let floats = floating(&self.ins).len() * program.out_avals().iter().filter(|a| a.dtype.is_float()).count();
        let excused = OWN_DERIVATIVE.iter().chain(NOT_IN_F64).any(|(name, _)| *name == self.prim.name());
        if floats == 0 || excused {
            return None;
        }
        let wide = widened_program(&program).expect("the primitive computes in f64: if not, NOT_IN_F64 says why");
        let mut random = Random::new(5);
        let arrays = widened_arrays(&self.ins).iter().map(|array| nearby(array, &mut random)).collect();
        Some((wide, arrays))
    }
}

/// A floating array with every element moved a little, and finite.
pub(crate) fn nearby(array: &HostArray, random: &mut Random) -> HostArray {
    if !array.dtype().is_float() {
        return array.clone();
    }
    let near = |x: f64| if x.is_finite() { x + 0.01 * random.float() } else { random.float() };
    from_numbers(&array.shape(), array.dtype(), &numbers(array).into_iter().map(near).collect::<Vec<_>>())
}

/// The program of one equation, if the operands fit.
pub(crate) fn one_equation(prim: &'static dyn Primitive, avals: Vec<Aval>, params: Params) -> Option<Program> {
    let outs = prim.abstract_eval(&avals.iter().collect::<Vec<_>>(), &params).ok()?;
    let mut vars = (0..).map(Var);
    let mut bind = |avals: Vec<Aval>| -> Vec<Binder> {
        avals.into_iter().map(|aval| Binder { var: vars.next().expect("there is always a next"), aval }).collect()
    };
    let (args, outs) = (bind(avals), bind(outs));
    let ins = args.iter().map(|binder| Atom::Var(binder.var)).collect();
    let results = outs.iter().map(|binder| Atom::Var(binder.var)).collect();
    let eqn = Eqn { prim, params, ins, outs: outs.into_iter().collect(), location: Location::default() };
    Some(Program { name: "sample".into(), args, consts: vec![], eqns: vec![eqn], outs: results, facts: Facts::new() })
}

pub(crate) fn cases() -> Vec<(String, Case)> {
    let mut cases = vec![];
    for prim in gavotte::registry().iter() {
        for sample in prim.samples() {
            let name = format!("{} ({})", prim.name(), sample.name);
            cases.push((name, Case { prim, params: sample.params, ins: sample.ins }));
        }
    }
    cases
}

/// Which derivatives a check takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Modes {
    /// Forward mode alone.
    Forward,
    /// Reverse mode too.
    Reverse,
}

/// The cases that can be differentiated, in `f64`.
pub(crate) fn check_derivatives(modes: Modes, check: impl Fn(&Program, &[HostArray]) -> Result<(), String>) {
    let cases = cases().into_iter().filter(|(_, case)| modes == Modes::Forward || case.is_reversed());
    check_all(cases, |case| case.differentiable().map_or(Ok(()), |(program, arrays)| check(&program, &arrays)));
}

/// The same, with respect to all operands, then to each alone: rules treat a missing tangent in their own way.
pub(crate) fn check_each_derivative(modes: Modes, check: impl Fn(&Program, &[HostArray]) -> Result<(), String>) {
    check_derivatives(modes, |program, arrays| {
        check(program, arrays)?;
        let floats: Vec<usize> = (0..arrays.len()).filter(|i| arrays[*i].dtype().is_float()).collect();
        for operand in floats {
            let (program, arrays) = in_operands(program, arrays, &[operand]);
            check(&program, &arrays).map_err(|why| format!("in operand {operand}: {why}"))?;
        }
        Ok(())
    });
}

/// The program of these operands only; the others are constants.
pub(crate) fn in_operands(program: &Program, arrays: &[HostArray], unknown: &[usize]) -> (Program, Vec<HostArray>) {
    let pairs = program.args.iter().cloned().zip(arrays.iter().cloned()).enumerate();
    let (args, consts): (Vec<_>, Vec<_>) = pairs.partition(|(i, _)| unknown.contains(i));
    let apart = |list: Vec<(usize, (Binder, HostArray))>| list.into_iter().map(|(_, pair)| pair).unzip();
    let ((args, mut arrays), (consts, more)): ((_, Vec<_>), (_, Vec<_>)) = (apart(args), apart(consts));
    arrays.extend(more);
    (Program { args, consts, ..program.clone() }.renumbered().inlined(), arrays)
}

/// Whether `NOT_BATCHED` lists this operand.
pub(crate) fn not_batched(case: &Case, operand: usize) -> bool {
    let is = |name: &str, n: usize| name == case.prim.name() && n == case.ins.len();
    NOT_BATCHED.iter().any(|(name, n, operands, _)| is(name, *n) && operands.contains(&operand))
}
