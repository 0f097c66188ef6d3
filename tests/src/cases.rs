//! The cases: every sample of every primitive, and which primitives are exempt from which law.

use crate::arrays::{Random, from_numbers, moved, numbers};
use crate::compare::{difference, floating, random_like, run, widened_arrays, widened_program};
use crate::report::check_all;
use gavotte_core::aval::{Aval, DType, Facts, Literal};
use gavotte_core::codegen::cuda::has_kernels;
use gavotte_core::device::{Buffer, HostArray};
use gavotte_core::ir::structural::BROADCAST_IN_DIM;
use gavotte_core::ir::{Atom, Binder, Eqn, Kind, Location, Params, Primitive, Program, Sample, Var};
use gavotte_core::with_data;

/// Primitives whose derivative is not that of the function they compute, with the reason.
pub const OWN_DERIVATIVE: &[(&str, &str)] = &[
    ("solve", "it is that of the solution by the matrix, of which the factors are computed"),
    ("stop_gradient", "its derivative is zero by definition"),
];

/// Primitives that StableHLO has no operation for, with the reason.
pub const NOT_EXPORTED: &[(&str, &str)] =
    &[("eigh", FACTORS), ("lu", FACTORS), ("qr", FACTORS), ("solve", FACTORS), ("svd", FACTORS)];
const FACTORS: &str = "XLA calls a library whose operations StableHLO does not name";

/// Primitives whose results on matrices of equal elements are left open, or determined by rounding, with the reason. Such
/// matrices are singular.
pub const OPEN_ON_EQUAL_ELEMENTS: &[(&str, &str)] = &[
    ("cholesky", "XLA and LAPACK leave different parts of a factor that does not exist"),
    ("eigh", "any vectors of an eigenvalue of several dimensions are right"),
    ("lu", "the factors of a singular matrix have no derivative"),
    ("qr", "a matrix without independent columns determines no `Q`"),
    ("solve", "a singular matrix has no inverse"),
    ("svd", "any vectors of a singular value of several dimensions are right"),
    (
        "triangular_solve",
        "which results of a singular matrix are infinite and which NaN depends on the order of operations",
    ),
];

/// Whether a primitive is in one of these lists.
pub fn is_listed(list: &[(&str, &str)], prim: &dyn Primitive) -> bool {
    list.iter().any(|(name, _)| *name == prim.name())
}

/// Whether StableHLO has all that a program calls.
pub fn is_exported(program: &Program) -> bool {
    let nested = |eqn: &Eqn| eqn.params.programs_within().all(|program| is_exported(program));
    program.eqns.iter().all(|eqn| !is_listed(NOT_EXPORTED, eqn.prim) && nested(eqn))
}

/// Functions that are compared with mpmath: JAX is less accurate in `f32`, and compiles some derivatives for a minute.
/// Values in `f64` are compared with JAX, too.
pub const DERIVED_BY_MPMATH: &[&str] = &[
    "bessel_i0",
    "bessel_i0e",
    "bessel_i1",
    "bessel_i1e",
    "beta",
    "betaln",
    "digamma",
    "erfcx",
    "exp1",
    "expi",
    "factorial",
    "gamma",
    "lgamma",
    "spence",
    "zeta",
];

/// Primitives that cannot compute in `f64`, with the reason. They are not differentiated.
pub const NOT_IN_F64: &[(&str, &str)] = &[("bitcast_convert_type", "the widths of the types would differ")];

/// Primitives that no kernel computes for some or all of their operands, and that are no composition of others, with the
/// reason.
pub const NOT_LOWERED: &[(&str, &str)] = &[
    ("call", "it is inlined before"),
    ("cummax", "it runs by `eval`"),
    ("cummin", "it runs by `eval`"),
    ("cumprod", "it runs by `eval`"),
    ("cumsum", "it runs by `eval`"),
    ("checkpoint", "it is inlined before"),
    ("cholesky", "it runs by `eval`"),
    ("custom_jvp_call", "it is inlined before"),
    ("custom_lin", "it runs by `eval`"),
    ("custom_vjp_call", "it is inlined before"),
    ("eigh", "it runs by `eval`"),
    ("linear_solve", "it is inlined before"),
    ("lu", "it runs by `eval`"),
    ("optimization_barrier", "it is dropped before"),
    ("qr", "it runs by `eval`"),
    ("reshape", "its result is its operand's memory; only axes of one element come and go within a kernel"),
    ("root", "it is inlined before"),
    ("scan", LOOPS),
    ("scatter", "it runs by `eval`"),
    ("scatter_add", "it runs by `eval`"),
    ("scatter_max", "it runs by `eval`"),
    ("scatter_min", "it runs by `eval`"),
    ("scatter_mul", "it runs by `eval`"),
    ("solve", "it runs by `eval`"),
    ("sort", "it runs by `eval`"),
    ("sort_descending", "it runs by `eval`"),
    ("svd", "it runs by `eval`"),
    ("switch", LOOPS),
    ("triangular_solve", "it runs by `eval`"),
    ("while", LOOPS),
];
const LOOPS: &str = "its nested programs have kernels of their own";

/// Primitives without reverse mode, with the reason.
pub const NOT_REVERSED: &[(&str, &str)] =
    &[("while", "the number of iterations is known only when the loop ends, and each would need its residuals")];

/// Operands without a batch axis: primitive, number of its operands, which of them, and why. `batch` panics with the
/// primitive's name.
pub const NOT_BATCHED: &[(&str, usize, &[usize], &str)] = &[
    ("gather", 4, &[1, 2, 3], SEGMENTS),
    ("segment_sum", 4, &[1, 2, 3], SEGMENTS),
    ("segment_max", 4, &[1, 2, 3], SEGMENTS),
];
/// Why the arrays of segments have no batch axis.
pub const SEGMENTS: &str = "every element of a batch would have a graph of its own: graphs are batched by joining them";

/// Iterations of the loops that `vmap` is compared with.
pub const BATCH: usize = 3;

/// One sample of one primitive.
#[derive(Clone, Debug)]
pub struct Case {
    /// The primitive.
    pub prim: &'static dyn Primitive,
    /// Attributes.
    pub params: Params,
    /// Operands.
    pub ins: Vec<HostArray>,
}

impl Case {
    /// The program of one equation.
    pub fn program(&self) -> Program {
        let avals: Vec<Aval> = self.ins.iter().map(|array| Aval::new(array.dtype(), array.shape())).collect();
        one_equation(self.prim, avals, self.params.clone()).expect("a sample's operands fit")
    }

    /// The program of what the primitive is a composition of.
    pub fn composition(&self) -> Option<Program> {
        let avals: Vec<Aval> = self.ins.iter().map(|array| Aval::new(array.dtype(), array.shape())).collect();
        self.prim.composition(&avals, &self.params)
    }

    /// Whether `NOT_REVERSED` lists it.
    pub fn is_reversed(&self) -> bool {
        NOT_REVERSED.iter().all(|(name, _)| *name != self.prim.name())
    }

    /// The program in `f64` at a point near the sample's, away from ties and edges; `None` if there is nothing to
    /// differentiate or the primitive is exempt.
    pub fn differentiable(&self) -> Option<(Program, Vec<HostArray>)> {
        let program = self.program();
        let floats = floating(&self.ins).len() * program.out_avals().iter().filter(|a| a.dtype.is_float()).count();
        let excused = OWN_DERIVATIVE.iter().chain(NOT_IN_F64).any(|(name, _)| *name == self.prim.name());
        // In `f64` they are other samples.
        let is_narrow = program.binders().any(|binder| binder.aval.dtype.is_float() && binder.aval.dtype.is_narrow());
        if floats == 0 || excused || is_narrow {
            return None;
        }
        let wide = widened_program(&program).expect("the primitive computes in f64: if not, NOT_IN_F64 says why");
        let mut random = Random::new(5);
        let arrays = widened_arrays(&self.ins).iter().map(|array| nearby(array, &mut random)).collect();
        Some((wide, arrays))
    }
}

/// A floating array with every element moved a little, always finite.
pub fn nearby(array: &HostArray, random: &mut Random) -> HostArray {
    if !array.dtype().is_float() {
        return array.clone();
    }
    let near = |x: f64| if x.is_finite() { x + 0.01 * random.float() } else { random.float() };
    from_numbers(&array.shape(), array.dtype(), &numbers(array).into_iter().map(near).collect::<Vec<_>>())
}

/// The program of one equation, if the operands fit.
pub fn one_equation(prim: &'static dyn Primitive, avals: Vec<Aval>, params: Params) -> Option<Program> {
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

/// Every sample of every primitive, and some of them with other element types.
pub fn cases() -> Vec<(String, Case)> {
    let mut cases = samples();
    cases.extend(retyped_samples());
    cases
}

/// Every sample of every primitive.
pub fn samples() -> Vec<(String, Case)> {
    let of = |prim: &'static dyn Primitive| {
        let case = move |sample: Sample| {
            let name = format!("{} ({})", prim.name(), sample.name);
            (name, Case { prim, params: sample.params, ins: sample.ins })
        };
        prim.samples().into_iter().map(case)
    };
    gavotte::registry().iter().flat_map(of).collect()
}

/// The first sample of every primitive that takes other element types, with each of them.
pub fn retyped_samples() -> Vec<(String, Case)> {
    let of = |prim: &'static dyn Primitive| {
        let samples = prim.samples();
        [(DType::F32, DType::F16), (DType::F32, DType::BF16), (DType::I32, DType::I64)]
            .into_iter()
            .filter_map(move |(from, to)| samples.iter().find_map(|sample| retyped(prim, sample, from, to)))
    };
    gavotte::registry().iter().flat_map(of).collect()
}

/// Whether GPUs have kernels of every element type in a program.
pub fn fits_gpu(program: &Program) -> bool {
    let nested = |eqn: &Eqn| eqn.params.programs_within().all(|program| fits_gpu(program));
    program.binders().all(|binder| has_kernels(binder.aval.dtype)) && program.eqns.iter().all(nested)
}

/// Those of [`cases`] that [fit](fits_gpu) a GPU.
pub fn gpu_cases() -> impl Iterator<Item = (String, Case)> {
    cases().into_iter().filter(|(_, case)| fits_gpu(&case.program()))
}

/// The sample with `to` for `from`, the type of its first operand; `None` if the primitive does not take that.
fn retyped(prim: &'static dyn Primitive, sample: &Sample, from: DType, to: DType) -> Option<(String, Case)> {
    sample.ins.first().filter(|array| array.dtype() == from)?;
    let of_type = |array: &HostArray| if array.dtype() == from { array.convert(to) } else { array.clone() };
    let case = Case { prim, params: sample.params.clone(), ins: sample.ins.iter().map(of_type).collect() };
    let avals: Vec<&Aval> = case.ins.iter().map(|array| array.aval()).collect();
    prim.abstract_eval(&avals, &case.params).ok()?;
    Some((format!("{} ({} in {to})", prim.name(), sample.name), case))
}

/// Which derivatives a check covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Modes {
    /// Forward mode alone.
    Forward,
    /// Reverse mode too.
    Reverse,
}

/// The cases that can be differentiated, in `f64`.
pub fn check_derivatives(modes: Modes, check: impl Fn(&Program, &[HostArray]) -> Result<(), String>) {
    let cases = cases().into_iter().filter(|(_, case)| modes == Modes::Forward || case.is_reversed());
    check_all(cases, |case| case.differentiable().map_or(Ok(()), |(program, arrays)| check(&program, &arrays)));
}

/// The same, with respect to all operands, then to each alone: rules treat a missing tangent separately.
pub fn check_each_derivative(modes: Modes, check: impl Fn(&Program, &[HostArray]) -> Result<(), String>) {
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

/// The program as a function of these operands only; the others are constants.
pub fn in_operands(program: &Program, arrays: &[HostArray], unknown: &[usize]) -> (Program, Vec<HostArray>) {
    let pairs = program.args.iter().cloned().zip(arrays.iter().cloned()).enumerate();
    let (args, consts): (Vec<_>, Vec<_>) = pairs.partition(|(i, _)| unknown.contains(i));
    let apart = |list: Vec<(usize, (Binder, HostArray))>| list.into_iter().map(|(_, pair)| pair).unzip();
    let ((args, mut arrays), (consts, more)): ((_, Vec<_>), (_, Vec<_>)) = (apart(args), apart(consts));
    arrays.extend(more);
    (Program { args, consts, ..program.clone() }.renumbered().inlined(), arrays)
}

/// Whether `NOT_BATCHED` lists this operand.
pub fn not_batched(case: &Case, operand: usize) -> bool {
    let is = |name: &str, n: usize| name == case.prim.name() && n == case.ins.len();
    NOT_BATCHED.iter().any(|(name, n, operands, _)| is(name, *n) && operands.contains(&operand))
}

/// The operands of iteration `i` of a loop: floats move, other elements are rotated, so that places stay valid.
pub fn turn(ins: &[HostArray], i: usize) -> Vec<HostArray> {
    let mut random = Random::new(i as u64);
    let change = |array: &HostArray| {
        let mut array = nearby(array, &mut random);
        if !array.dtype().is_float() {
            with_data!(mut array.data_mut(), xs => if !xs.is_empty() { let n = i % xs.len(); xs.rotate_left(n); });
        }
        array
    };
    if i == 0 { ins.to_vec() } else { ins.iter().map(change).collect() }
}

/// All ways to batch some of the operands: in front of their axes, among them, and after them.
pub fn batchings(ins: &[HostArray]) -> Vec<Vec<Option<usize>>> {
    let subsets = 1usize..1 << ins.len().min(6);
    let places: [fn(usize) -> usize; 3] = [|_| 0, |rank| rank / 2, |rank| rank];
    let axes = |subset: usize, place: fn(usize) -> usize| {
        let axis = |(i, array): (usize, &HostArray)| (subset >> i & 1 == 1).then(|| place(array.shape().len()));
        ins.iter().enumerate().map(axis).collect::<Vec<_>>()
    };
    let mut all: Vec<Vec<Option<usize>>> = subsets.flat_map(|subset| places.map(|place| axes(subset, place))).collect();
    // One operand in front, another at the end.
    if let [first, .., last] = ins {
        all.push([vec![Some(first.shape().len())], vec![None; ins.len() - 2], vec![Some(0)]].concat());
        all.push([vec![Some(0)], vec![None; ins.len() - 2], vec![Some(last.shape().len())]].concat());
    }
    all.dedup();
    all
}

/// A case's program, and the same with operands that `simplify` may have rules for: zeros, ones, the same operand
/// twice, the primitive applied to itself.
pub fn on_known_operands(case: &Case) -> Vec<Program> {
    let program = case.program();
    let mut programs = vec![program.clone()];
    for (i, array) in case.ins.iter().enumerate() {
        // Integers outside elementwise primitives are places, which must stay valid.
        if !array.dtype().is_float() && !matches!(case.prim.kind(), Kind::Map { .. }) {
            continue;
        }
        programs.extend([0.0, 1.0, -1.0].map(|x| with_uniform(&program, i, Literal::from_f64(array.dtype(), x))));
        let same = (0..i).find(|j| program.args[*j].aval == program.args[i].aval);
        if let Some(j) = same {
            let mut same = program.clone();
            same.eqns[0].ins[i] = same.eqns[0].ins[j];
            programs.push(same);
        }
        programs.extend(on_itself(&program, i));
    }
    programs
}

/// The program with operand `i` all `literal`.
fn with_uniform(program: &Program, i: usize, literal: Literal) -> Program {
    let mut program = program.clone();
    let aval = program.args[i].aval.clone();
    if aval.rank() == 0 {
        program.eqns[0].ins[i] = Atom::Literal(literal);
        return program;
    }
    let binder = Binder { var: Var(program.n_var() as u32), aval: aval.clone() };
    program.eqns[0].ins[i] = Atom::Var(binder.var);
    let eqn = Eqn {
        prim: BROADCAST_IN_DIM,
        params: Params::new().with("shape", &aval.shape).with("dims", Vec::<usize>::new()),
        ins: [Atom::Literal(literal)].into_iter().collect(),
        outs: [binder].into_iter().collect(),
        location: Location::default(),
    };
    program.eqns.insert(0, eqn);
    program.renumbered()
}

/// The primitive on its own result as operand `i`, where that fits.
fn on_itself(program: &Program, i: usize) -> Option<Program> {
    let inner = &program.eqns[0];
    let [out] = &inner.outs[..] else { return None };
    let mut avals: Vec<Aval> = program.args.iter().map(|binder| binder.aval.clone()).collect();
    // Another operand may hold places in this one: they stay valid if its type stays the same.
    if avals.iter().any(|aval| aval.dtype == DType::I32) && avals[i] != out.aval {
        return None;
    }
    avals[i] = out.aval.clone();
    let results = inner.prim.abstract_eval(&avals.iter().collect::<Vec<_>>(), &inner.params).ok()?;
    let mut outer = inner.clone();
    outer.ins[i] = Atom::Var(out.var);
    let fresh = program.n_var() as u32;
    outer.outs = results.into_iter().zip(fresh..).map(|(aval, var)| Binder { var: Var(var), aval }).collect();
    let outs = outer.outs.iter().map(|binder| Atom::Var(binder.var)).collect();
    Some(Program { eqns: vec![inner.clone(), outer], outs, ..program.clone() })
}

/// Whether `f(x + 100 y) = f(x) + 100 f(y)` at random points, for floating results only.
pub fn is_linear(program: &Program, arrays: &[HostArray], random: &mut Random) -> bool {
    let (args, consts) = arrays.split_at(program.args.len());
    let at = |args: &[HostArray]| run(program, &[args, consts].concat());
    let along = |x: &[HostArray], y: &[HostArray]| -> Vec<HostArray> {
        x.iter().zip(y).map(|(x, y)| moved(x, y, 100.0)).collect()
    };
    let mut holds = || {
        let (x, y) = (random_like(args, random), random_like(args, random));
        let (found, wanted) = (at(&along(&x, &y)), along(&at(&x), &at(&y)));
        wanted.iter().flat_map(numbers).all(f64::is_finite) && difference(&found, &wanted, 1e-9).is_none()
    };
    program.out_avals().iter().all(|aval| aval.dtype.is_float()) && (0..16).all(|_| holds())
}
