//! How far apart two correct computations of one program may be.
//!
//! The suite compares four implementations that round in different orders and approximate functions differently. The
//! effect is measured, not guessed: the reference interpreter runs the program again, with a random rounding error in
//! everything that rounds, and the spread of the results is what rounding can do to each element. A cancellation
//! spreads wide and is allowed a large difference; a well conditioned element is allowed a few units in the last place.
//!
//! Source: Parker, *Monte Carlo arithmetic* (UCLA technical report CSD-970002, 1997).

use crate::arrays::{from_numbers, numbers};
use crate::compare::run;
use gavotte_core::aval::{Aval, DType, bf16, f16};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::{Atom, Batch, Batched, Binder, Eqn, Kind, Params, Primitive, Program, Sample, Var};
use gavotte_core::pass::{Pass, find};
use std::sync::LazyLock;

/// How a primitive's equation affects exactness.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rounding {
    /// All implementations yield the same bits: moves, selections, comparisons, everything on integers.
    Exact,
    /// One operation that IEEE 754 rounds correctly, or nearly so.
    Rounded,
    /// A sum of many terms in an unspecified order, or an approximated function.
    Approximate,
}

/// Float operations that return one of their operands, a sign, or a number that rounding does not touch.
const EXACT: &[&str] = &[
    "abs",
    "ceil",
    "floor",
    "max",
    "min",
    "neg",
    "rem",
    "round",
    "select_n",
    "sign",
    "stop_gradient",
    "trunc",
    "zeros",
];
/// Conversions, which round in only one way; the others only move or find elements.
const EXACT_BESIDES_MAPS: &[&str] = &[
    "bitcast_convert_type",
    "convert_element_type",
    "cummax",
    "cummin",
    "reduce_max",
    "reduce_min",
    "segment_max",
    "sort",
    "sort_descending",
];
/// Correctly rounded.
const ROUNDED: &[&str] = &["add", "add_any", "div", "mul", "sqrt", "sub"];

impl Rounding {
    /// The rounding of an equation.
    pub fn of(eqn: &Eqn) -> Rounding {
        let name = eqn.prim.name();
        if !eqn.outs.iter().any(|binder| binder.aval.dtype.is_float()) || EXACT.contains(&name) {
            return Rounding::Exact;
        }
        match eqn.prim.kind() {
            Kind::View | Kind::Reshape | Kind::Generate => Rounding::Exact,
            _ if EXACT_BESIDES_MAPS.contains(&name) => Rounding::Exact,
            _ if ROUNDED.contains(&name) => Rounding::Rounded,
            _ => Rounding::Approximate,
        }
    }
}

static INLINE: LazyLock<&Pass> = LazyLock::new(|| find("inline").expect("it is a pass"));

/// Relative error allowed in addition to the spread, by the narrowest floating type that the program computes in.
fn close(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => 1e-9,
        DType::F32 => 1e-5,
        // Other implementations may keep more digits between operations.
        narrow => 4.0 * epsilon(narrow),
    }
}
/// Relative error of a single correctly rounded operation: four units in the last place.
const ULPS: f64 = 4.0;
/// Relative size of the random errors, in units in the last place: that of the worst approximation of a function.
const ERROR: [f64; 3] = [0.0, 1.0, 16.0];
/// The number of runs with random errors, and how many times their spread is allowed.
const RUNS: u64 = 3;
const SPREADS: f64 = 4.0;

fn epsilon(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::EPSILON,
        DType::F16 => f16::EPSILON.into(),
        DType::BF16 => bf16::EPSILON.into(),
        _ => f32::EPSILON.into(),
    }
}

/// The allowed difference of each element of each result.
#[derive(Clone, Debug)]
pub struct Allowance {
    relative: f64,
    spread: Vec<Vec<f64>>,
}

impl Allowance {
    /// For a program with these inputs: arguments, then constants. Its sizes are numbers.
    pub fn of(program: &Program, inputs: &[HostArray]) -> Allowance {
        // What is within calls and custom rules rounds as well.
        let program = INLINE.apply(program);
        let worst = program.eqns.iter().map(Rounding::of).max().unwrap_or(Rounding::Exact);
        let literals = program.eqns.iter().flat_map(|eqn| &eqn.ins).filter_map(|atom| match atom {
            Atom::Literal(literal) => Some(literal.dtype()),
            Atom::Var(_) => None,
        });
        let floats = program.binders().map(|binder| binder.aval.dtype).chain(literals).filter(|dtype| dtype.is_float());
        let narrowest = floats.max_by(|a, b| epsilon(*a).total_cmp(&epsilon(*b))).unwrap_or(DType::F64);
        let relative = match worst {
            Rounding::Exact => 0.0,
            Rounding::Rounded if program.eqns.len() == 1 => ULPS * epsilon(narrowest),
            _ => close(narrowest),
        };
        let wanted = run_with_errors(&program, inputs, None);
        let mut spread: Vec<Vec<f64>> = wanted.iter().map(|array| vec![0.0; array.len()]).collect();
        if worst > Rounding::Exact {
            for run in 0..RUNS {
                let found = run_with_errors(&program, inputs, Some(run));
                for ((spread, found), wanted) in spread.iter_mut().zip(&found).zip(&wanted) {
                    let pairs = numbers(found).into_iter().zip(numbers(wanted));
                    for (spread, (found, wanted)) in spread.iter_mut().zip(pairs) {
                        *spread = spread.max(if found == wanted { 0.0 } else { (found - wanted).abs() });
                    }
                }
            }
        }
        Allowance { relative, spread }
    }

    /// The allowed difference of element `i` of result `result` from `wanted`.
    pub fn at(&self, result: usize, i: usize, wanted: f64) -> f64 {
        let spread = self.spread.get(result).and_then(|spread| spread.get(i)).copied().unwrap_or(0.0);
        // Subnormal numbers may be flushed to zero.
        self.relative * wanted.abs() + SPREADS * spread + if self.relative > 0.0 { 1e-37 } else { 0.0 }
    }

    /// How many elements may differ by so much that they show nothing.
    pub fn meaningless(&self, wanted: &[HostArray]) -> usize {
        let of = |(result, array): (usize, &HostArray)| {
            let most = f64::max(1e-3, 64.0 * epsilon(array.dtype()));
            let wild = |(i, x): (usize, f64)| x.is_finite() && self.at(result, i, x) > most * (1.0 + x.abs());
            numbers(array).into_iter().enumerate().filter(|pair| wild(*pair)).count()
        };
        wanted.iter().enumerate().map(of).sum()
    }

    /// How many floating elements differ by more than the relative error alone, within their spread.
    pub fn explained(&self, found: &[HostArray], wanted: &[HostArray]) -> usize {
        let far = |(a, b): (f64, f64)| a.is_finite() && (a - b).abs() > self.relative * b.abs() + 1e-37;
        let pairs = found.iter().zip(wanted).filter(|(found, _)| found.dtype().is_float());
        pairs.map(|(a, b)| numbers(a).into_iter().zip(numbers(b)).filter(|pair| far(*pair)).count()).sum()
    }

    /// How `found` differs from `wanted`, if by more than allowed. Integers, `bool`s, types and values that are not
    /// finite must be equal.
    pub fn difference(&self, found: &[HostArray], wanted: &[HostArray]) -> Option<String> {
        if found.len() != wanted.len() {
            return Some(format!("{} results, not {}", found.len(), wanted.len()));
        }
        found.iter().zip(wanted).enumerate().find_map(|(result, (found, wanted))| {
            if (found.dtype(), found.shape()) != (wanted.dtype(), wanted.shape()) {
                return Some(format!("result {result}: {found:?}, not {wanted:?}"));
            }
            let is_float = found.dtype().is_float();
            let pairs = numbers(found).into_iter().zip(numbers(wanted)).enumerate();
            let apart = pairs.into_iter().find(|(i, (a, b))| {
                let allowed = if is_float && b.is_finite() { self.at(result, *i, *b) } else { 0.0 };
                // A NaN difference is not within the allowance.
                let fits = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= allowed;
                !fits
            });
            apart.map(|(i, (a, b))| {
                let allowed = self.at(result, i, b);
                format!("result {result}, element {i}: {a:?}, not {b:?} ± {allowed:e}\n  {found:?}\n  {wanted:?}")
            })
        })
    }
}

/// The interpreter's results, with random errors of this seed.
fn run_with_errors(program: &Program, inputs: &[HostArray], seed: Option<u64>) -> Vec<HostArray> {
    match seed {
        Some(seed) => run(&with_errors(program, seed), inputs),
        None => run(program, inputs),
    }
}

/// The program with errors in the results of its equations, also within loops and branches: each iteration makes new
/// ones.
fn with_errors(program: &Program, seed: u64) -> Program {
    let mut next = program.n_var() as u32;
    let mut eqns = vec![];
    for eqn in &program.eqns {
        let params = match eqn.prim.control(&eqn.params) {
            Some(_) => eqn.params.map_programs(&|nested| with_errors(nested, seed)),
            // Nested programs of other primitives may be transposed before they run.
            None => eqn.params.clone(),
        };
        let mut wrong = Eqn { params, ..eqn.clone() };
        let mut after = vec![];
        if let Some(prim) = Errors::of(Rounding::of(eqn), seed) {
            let spoil = |from: Var, to: Var, aval: &Aval| Eqn {
                prim,
                params: Params::new(),
                ins: [Atom::Var(from)].into_iter().collect(),
                outs: [Binder { var: to, aval: aval.clone() }].into_iter().collect(),
                location: eqn.location,
            };
            let mut fresh = || {
                next += 1;
                Var(next - 1)
            };
            // A sum is as wrong as its terms: they may cancel.
            if !matches!(eqn.prim.kind(), Kind::Map { .. }) {
                let avals = program.avals();
                for atom in &mut wrong.ins {
                    if let Atom::Var(var) = *atom
                        && avals[var.index()].dtype.is_float()
                    {
                        let to = fresh();
                        eqns.push(spoil(var, to, &avals[var.index()]));
                        *atom = Atom::Var(to);
                    }
                }
            }
            for binder in wrong.outs.iter_mut().filter(|binder| binder.aval.dtype.is_float()) {
                let to = std::mem::replace(&mut binder.var, fresh());
                after.push(spoil(binder.var, to, &binder.aval));
            }
        }
        eqns.push(wrong);
        eqns.extend(after);
    }
    Program { eqns, ..program.clone() }
}

/// A copy with random errors.
#[derive(Debug)]
struct Errors {
    size: f64,
    seed: u64,
}

impl Errors {
    /// The errors after an equation, if it makes any.
    fn of(rounding: Rounding, seed: u64) -> Option<&'static Errors> {
        static ALL: LazyLock<Vec<Errors>> = LazyLock::new(|| {
            let of_seed = |seed| ERROR.map(|size| Errors { size, seed });
            (0..RUNS).flat_map(of_seed).collect()
        });
        ALL.iter().find(|errors| errors.seed == seed && errors.size == ERROR[rounding as usize] && errors.size > 0.0)
    }
}

impl Primitive for Errors {
    fn name(&self) -> &'static str {
        "errors"
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        Ok(vec![ins[0].clone()])
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        vec![spoiled(ins[0], self.size, self.seed)]
    }
    fn batch(&self, _: &Batch<'_>) -> Batched {
        unreachable!("it is only evaluated")
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn samples(&self) -> Vec<Sample> {
        vec![]
    }
}

/// Every element with a relative error of at most `size` units in the last place. Equal arrays get equal errors, as
/// equal computations do.
fn spoiled(array: &HostArray, size: f64, seed: u64) -> HostArray {
    // A half is computed in a wider type, and rounded once.
    let size = if array.dtype().is_narrow() { size.min(1.0) } else { size };
    let step = size * epsilon(array.dtype());
    let error = |(i, x): (usize, f64)| {
        let mut random = crate::arrays::Random::new(x.to_bits() ^ (i as u64).rotate_left(32) ^ seed);
        x + x * step * random.float()
    };
    let spoiled: Vec<f64> = numbers(array).into_iter().enumerate().map(error).collect();
    from_numbers(&array.shape(), array.dtype(), &spoiled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gavotte_core::ir::parse;

    fn program(text: &str) -> Program {
        parse(text, gavotte::registry()).expect("it is well formed")
    }

    #[test]
    fn moves_are_exact_and_single_operations_nearly_so() {
        let x = HostArray::new(&[2], vec![0.1f32, -3.0]);
        let of = |line: &str| {
            let text = format!("program @f(%0: f32[2]) -> (f32[2]) {{\n  {line}\n  return %1\n}}\n");
            Allowance::of(&program(&text), std::slice::from_ref(&x)).at(0, 0, 1.0)
        };
        assert_eq!(of("%1: f32[2] = neg %0"), 0.0);
        assert_eq!(of("%1: f32[2] = max %0, 0.5f32"), 0.0);
        assert!(of("%1: f32[2] = mul %0, %0") < 6e-7);
        assert!((1e-5..2e-5).contains(&of("%1: f32[2] = tanh %0")));
    }

    #[test]
    fn a_cancellation_is_allowed_what_its_terms_are() {
        let text = "program @f(%0: f32[2]) -> (f32[]) {\n  %1: f32[] = reduce_sum %0 {axes=[0]}\n  return %1\n}\n";
        let at = |a: f32, b: f32| {
            Allowance::of(&program(text), &[HostArray::new(&[2], vec![a, b])]).at(0, 0, f64::from(a + b))
        };
        assert!(at(1000.0, -999.999) > 1e-4, "{}", at(1000.0, -999.999));
        assert!(at(0.5, 0.25) < 3e-5);
    }

    #[test]
    fn what_is_not_finite_must_be_equal() {
        let text = "program @f(%0: f32[1]) -> (f32[1]) {\n  %1: f32[1] = exp %0\n  return %1\n}\n";
        let allowance = Allowance::of(&program(text), &[HostArray::new(&[1], vec![0.0f32])]);
        let [one, nan, inf] = [1.0, f32::NAN, f32::INFINITY].map(|x| HostArray::new(&[1], vec![x]));
        let differ = |a: &HostArray, b: &HostArray| {
            allowance.difference(std::slice::from_ref(a), std::slice::from_ref(b)).is_some()
        };
        assert!(differ(&one, &nan) && differ(&nan, &one) && differ(&inf, &nan) && differ(&one, &inf));
        assert!(!differ(&nan, &nan) && !differ(&inf, &inf));
    }
}
