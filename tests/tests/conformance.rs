//! Every primitive of the registry keeps every law, on each of its samples.

use gavotte_core::aval::{Aval, Dim, Literal, Sizes, Symbol};
use gavotte_core::device::HostArray;
use gavotte_core::ir::structural::BROADCAST_IN_DIM;
use gavotte_core::ir::{Atom, Attr, Binder, Eqn, Kind, Location, Params, Primitive, Program, Var, parse, verify};
use gavotte_core::{pass, with_data};
use gavotte_tests::arrays::{Random, from_numbers, moved, numbers, random_array, stack};
use gavotte_tests::compare::{difference, floating, random_like, run, widened_arrays, widened_program};
use gavotte_tests::laws::{check_jvp, check_linearize, check_transpose, check_vjp, check_vmap};
use gavotte_tests::report::{caught, check_all};
use gavotte_tests::targets::check_targets;
use gavotte_tests::transformed::{jvp_program, vjp_program, vmap_program};

/// Primitives whose derivative is not that of what they compute, with the reason.
const OWN_DERIVATIVE: &[(&str, &str)] = &[("stop_gradient", "its derivative is zero by definition")];

/// Primitives that cannot compute in `f64`, with the reason. Nothing is differentiated through them.
const NOT_IN_F64: &[(&str, &str)] = &[("bitcast_convert_type", "the widths of the types would differ")];

/// Operands without a batch axis: primitive, number of its operands, which of them, and why. `batch` panics with the
/// primitive's name.
const NOT_BATCHED: &[(&str, usize, &[usize], &str)] = &[
    ("gather", 4, &[1, 2, 3], SEGMENTS),
    ("segment_sum", 4, &[1, 2, 3], SEGMENTS),
    ("segment_max", 4, &[1, 2, 3], SEGMENTS),
];
const SEGMENTS: &str = "every turn would have a graph of its own: graphs are batched by joining them";

/// Turns of the loops that `vmap` is compared with.
const BATCH: usize = 3;

/// One sample of one primitive.
struct Case {
    prim: &'static dyn Primitive,
    params: Params,
    ins: Vec<HostArray>,
}

impl Case {
    /// The program of one equation.
    fn program(&self) -> Program {
        let avals: Vec<Aval> = self.ins.iter().map(|array| Aval::new(array.dtype(), array.shape())).collect();
        one_equation(self.prim, avals, self.params.clone()).expect("a sample's operands fit")
    }

    /// The program in `f64` at a point near the sample's, off ties and edges; `None` where there is nothing to
    /// differentiate or the primitive is excused.
    fn differentiable(&self) -> Option<(Program, Vec<HostArray>)> {
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
fn nearby(array: &HostArray, random: &mut Random) -> HostArray {
    if !array.dtype().is_float() {
        return array.clone();
    }
    let near = |x: f64| if x.is_finite() { x + 0.01 * random.float() } else { random.float() };
    from_numbers(&array.shape(), array.dtype(), &numbers(array).into_iter().map(near).collect::<Vec<_>>())
}

/// The program of one equation, if the operands fit.
fn one_equation(prim: &'static dyn Primitive, avals: Vec<Aval>, params: Params) -> Option<Program> {
    let outs = prim.abstract_eval(&avals.iter().collect::<Vec<_>>(), &params).ok()?;
    let mut vars = (0..).map(Var);
    let mut bind = |avals: Vec<Aval>| -> Vec<Binder> {
        avals.into_iter().map(|aval| Binder { var: vars.next().expect("there is always a next"), aval }).collect()
    };
    let (args, outs) = (bind(avals), bind(outs));
    let ins = args.iter().map(|binder| Atom::Var(binder.var)).collect();
    let results = outs.iter().map(|binder| Atom::Var(binder.var)).collect();
    let eqn = Eqn { prim, params, ins, outs: outs.into_iter().collect(), location: Location::default() };
    Some(Program { name: "sample".into(), args, consts: vec![], eqns: vec![eqn], outs: results })
}

fn cases() -> Vec<(String, Case)> {
    let mut cases = vec![];
    for prim in gavotte::registry().iter() {
        for sample in prim.samples() {
            let name = format!("{} ({})", prim.name(), sample.name);
            cases.push((name, Case { prim, params: sample.params, ins: sample.ins }));
        }
    }
    cases
}

/// The cases that can be differentiated, in `f64`.
fn check_derivatives(check: impl Fn(&Program, &[HostArray]) -> Result<(), String>) {
    check_all(cases(), |case| case.differentiable().map_or(Ok(()), |(program, arrays)| check(&program, &arrays)));
}

#[test]
fn every_primitive_has_samples_and_unique_names_for_them() {
    check_all(gavotte::registry().iter().map(|prim| (prim.name().to_string(), prim)), |prim| {
        let samples = prim.samples();
        let names: Vec<&str> = samples.iter().map(|sample| sample.name).collect();
        let twice = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name));
        match (samples.is_empty(), twice) {
            (true, _) => Err("it has no samples".into()),
            (_, Some((_, name))) => Err(format!("two samples are called {name}")),
            _ => Ok(()),
        }
    });
}

#[test]
fn excuses_name_primitives() {
    let excused = OWN_DERIVATIVE.iter().chain(NOT_IN_F64).map(|(name, _)| *name);
    for name in excused.chain(NOT_BATCHED.iter().map(|(name, _, _, _)| *name)) {
        assert!(gavotte::registry().get(name).is_some(), "{name} is no primitive: drop its excuse");
    }
}

#[test]
fn text_round_trip() {
    check_all(cases(), |case| {
        let program = case.program();
        verify(&program).map_err(|error| error.to_string())?;
        let back = parse(&program.to_string(), gavotte::registry()).map_err(|error| format!("{error}\n{program}"))?;
        if back == program { Ok(()) } else { Err(format!("read back as\n{back}\nfrom\n{program}")) }
    });
}

#[test]
fn abstract_eval_survives_any_operands() {
    check_all(cases(), |case| {
        let avals: Vec<Aval> = case.program().args.iter().map(|binder| binder.aval.clone()).collect();
        let n = Dim::symbol("n");
        let odd = [Aval::scalar(gavotte::DType::Bool), Aval::new(gavotte::DType::I32, [n.clone(), &n * 2, n])];
        for i in 0..=avals.len() {
            for odd in &odd {
                let (mut fewer, mut other) = (avals.clone(), avals.clone());
                fewer.truncate(i);
                other.iter_mut().skip(i).take(1).for_each(|aval| *aval = odd.clone());
                for ins in [fewer, other, vec![odd.clone(); i + 2]] {
                    let ins: Vec<&Aval> = ins.iter().collect();
                    let _ = case.prim.abstract_eval(&ins, &case.params);
                    let _ = case.prim.abstract_eval(&ins, &Params::new());
                }
            }
        }
        Ok(())
    });
}

#[test]
fn eval_gives_the_types_of_abstract_eval() {
    check_all(cases(), |case| {
        let program = case.program();
        let found: Vec<Aval> = run(&program, &case.ins).iter().map(|out| Aval::new(out.dtype(), out.shape())).collect();
        let wanted = program.out_avals();
        if found == wanted { Ok(()) } else { Err(format!("eval gives {found:?}, abstract_eval {wanted:?}")) }
    });
}

#[test]
fn jvp_agrees_with_differences() {
    check_derivatives(|program, arrays| check_jvp(program, arrays, &mut Random::new(6)));
}

#[test]
fn vjp_is_the_adjoint_of_jvp() {
    check_derivatives(|program, arrays| check_vjp(program, arrays, &mut Random::new(7)));
}

/// Whatever a primitive is linear in, it can be transposed in: the rule itself, which `vjp` need not come to.
#[test]
fn transpose_is_the_adjoint_where_it_is_linear() {
    check_derivatives(|program, arrays| {
        let mut random = Random::new(13);
        let floats: Vec<usize> = (0..arrays.len()).filter(|i| arrays[*i].dtype().is_float()).collect();
        for subset in 1usize..1 << floats.len() {
            let unknown: Vec<usize> =
                floats.iter().enumerate().filter(|(i, _)| subset >> i & 1 == 1).map(|(_, operand)| *operand).collect();
            let (program, arrays) = linear_in(program, arrays, &unknown);
            if is_linear(&program, &arrays, &mut random) {
                check_transpose(&program, &arrays, &mut random).map_err(|why| format!("in {unknown:?}: {why}"))?;
            }
        }
        Ok(())
    });
}

/// The program with these arguments only; the others are constants.
fn linear_in(program: &Program, arrays: &[HostArray], unknown: &[usize]) -> (Program, Vec<HostArray>) {
    let pairs = program.args.iter().cloned().zip(arrays.iter().cloned()).enumerate();
    let (args, consts): (Vec<_>, Vec<_>) = pairs.partition(|(i, _)| unknown.contains(i));
    let apart = |list: Vec<(usize, (Binder, HostArray))>| list.into_iter().map(|(_, pair)| pair).unzip();
    let ((args, mut arrays), (consts, more)): ((_, Vec<_>), (_, Vec<_>)) = (apart(args), apart(consts));
    arrays.extend(more);
    (Program { args, consts, ..program.clone() }.renumbered().inlined(), arrays)
}

/// Whether `f(x + 100 y) = f(x) + 100 f(y)` at random points, for results of floating type only.
fn is_linear(program: &Program, arrays: &[HostArray], random: &mut Random) -> bool {
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

#[test]
fn linearize_agrees_with_jvp() {
    check_derivatives(|program, arrays| check_linearize(program, arrays, &mut Random::new(8)));
}

/// `jvp` and `vjp` of the gradient: the rules' own equations can be differentiated and transposed.
#[test]
fn second_order() {
    check_derivatives(|program, arrays| {
        let mut random = Random::new(9);
        let gradient = vjp_program(program);
        let mut arrays = arrays.to_vec();
        for aval in gradient.args[arrays.len()..].iter().map(|binder| &binder.aval) {
            arrays.push(random_array(aval, &mut random));
        }
        check_jvp(&gradient, &arrays, &mut random)?;
        check_vjp(&gradient, &arrays, &mut random)
    });
}

/// In their own types the transformed programs are well formed and give tangents of the primals' types.
#[test]
fn derivatives_have_the_types_of_what_they_belong_to() {
    check_all(cases(), |case| {
        let program = case.program();
        let floats = |avals: Vec<Aval>| avals.into_iter().filter(|aval| aval.dtype.is_float()).collect::<Vec<_>>();
        let ins: Vec<Aval> = program.args.iter().map(|binder| binder.aval.clone()).collect();
        let outs = program.out_avals();
        let wanted = [[outs.clone(), floats(outs.clone())].concat(), [outs, floats(ins)].concat()];
        for (transformed, wanted) in [jvp_program(&program), vjp_program(&program)].iter().zip(wanted) {
            verify(transformed).map_err(|error| error.to_string())?;
            if transformed.out_avals() != wanted {
                return Err(format!("gives {:?}, not {wanted:?}\n{transformed}", transformed.out_avals()));
            }
        }
        Ok(())
    });
}

/// The operands of turn `i` of a loop: floats move, other elements change places, which keeps places valid.
fn turn(ins: &[HostArray], i: usize) -> Vec<HostArray> {
    let mut random = Random::new(i as u64);
    let change = |array: &HostArray| {
        let mut array = nearby(array, &mut random);
        if !array.dtype().is_float() {
            with_data!(array.data_mut(), xs => if !xs.is_empty() { let n = i % xs.len(); xs.rotate_left(n); });
        }
        array
    };
    if i == 0 { ins.to_vec() } else { ins.iter().map(change).collect() }
}

fn not_batched(case: &Case, operand: usize) -> bool {
    let is = |name: &str, n: usize| name == case.prim.name() && n == case.ins.len();
    NOT_BATCHED.iter().any(|(name, n, operands, _)| is(name, *n) && operands.contains(&operand))
}

/// Every way to batch some of the operands, in front of their axes and behind them.
fn batchings(ins: &[HostArray]) -> Vec<Vec<Option<usize>>> {
    let subsets = 1usize..1 << ins.len().min(6);
    let axes = |subset: usize, front: bool| {
        let axis = |(i, array): (usize, &HostArray)| {
            (subset >> i & 1 == 1).then(|| if front { 0 } else { array.shape().len() })
        };
        ins.iter().enumerate().map(axis).collect::<Vec<_>>()
    };
    let mut all: Vec<Vec<Option<usize>>> =
        subsets.flat_map(|subset| [true, false].map(|front| axes(subset, front))).collect();
    // One operand in front, another behind.
    if let [first, .., last] = ins {
        all.push([vec![Some(first.shape().len())], vec![None; ins.len() - 2], vec![Some(0)]].concat());
        all.push([vec![Some(0)], vec![None; ins.len() - 2], vec![Some(last.shape().len())]].concat());
    }
    all.dedup();
    all
}

#[test]
fn vmap_agrees_with_a_loop() {
    check_all(cases(), |case| {
        let program = case.program();
        for in_axes in batchings(&case.ins) {
            let refused = (0..in_axes.len()).any(|i| in_axes[i].is_some() && not_batched(case, i));
            if refused {
                let message = match caught(|| Ok(vmap_program(&program, &in_axes, &Dim::from(BATCH)))) {
                    Ok(_) => return Err(format!("in_axes={in_axes:?} is not refused: NOT_BATCHED says it is")),
                    Err(message) => message,
                };
                if !message.contains(case.prim.name()) {
                    return Err(format!("in_axes={in_axes:?} is refused without the primitive's name: {message}"));
                }
                continue;
            }
            let mut each: Vec<Vec<HostArray>> = (0..BATCH).map(|i| turn(&case.ins, i)).collect();
            for (i, _) in in_axes.iter().enumerate().filter(|(_, axis)| axis.is_none()) {
                for arrays in &mut each {
                    arrays[i] = case.ins[i].clone();
                }
            }
            check_vmap(&program, &in_axes, &each, 1e-5)?;
        }
        Ok(())
    });
}

/// The batch rules of what the derivative rules bind.
#[test]
fn vmap_of_vjp_agrees_with_a_loop() {
    check_all(cases(), |case| {
        let Some((program, arrays)) = case.differentiable() else { return Ok(()) };
        let gradient = vjp_program(&program);
        let mut random = Random::new(10);
        let mut each = vec![];
        for i in 0..BATCH {
            let mut arrays = turn(&arrays, i);
            for aval in gradient.args[arrays.len()..].iter().map(|binder| &binder.aval) {
                arrays.push(random_array(aval, &mut random));
            }
            each.push(arrays);
        }
        // Floating operands only: places are the business of the test above.
        let axis = |binder: &Binder| binder.aval.dtype.is_float().then_some(0);
        let in_axes: Vec<Option<usize>> = gradient.args.iter().map(axis).collect();
        for i in (0..in_axes.len()).filter(|i| in_axes[*i].is_none()) {
            for turn in 0..BATCH {
                each[turn][i] = each[0][i].clone();
            }
        }
        check_vmap(&gradient, &in_axes, &each, 1e-9)
    });
}

/// The operands' types and the attributes with a symbol for some of the extents that are `size`.
fn symbolic(case: &Case, size: usize) -> Vec<Program> {
    let n = Dim::symbol("n");
    let avals: Vec<Aval> = case.ins.iter().map(|array| Aval::new(array.dtype(), array.shape())).collect();
    let put = |aval: &mut Aval, only: Option<usize>| {
        for (axis, dim) in aval.shape.iter_mut().enumerate() {
            if *dim == size && only.is_none_or(|only| only == axis) {
                *dim = n.clone();
            }
        }
    };
    let mut everywhere = avals.clone();
    everywhere.iter_mut().for_each(|aval| put(aval, None));
    let mut all =
        vec![(everywhere.clone(), case.params.clone()), (everywhere.clone(), with_symbol(&case.params, size))];
    for i in 0..avals.len() {
        for axis in 0..avals[i].rank() {
            let mut one = avals.clone();
            put(&mut one[i], Some(axis));
            all.push((one.clone(), case.params.clone()));
            all.push((one, with_symbol(&case.params, size)));
        }
    }
    let has_symbol = |program: &Program| !program.symbols().is_empty();
    let programs = all.into_iter().filter_map(|(avals, params)| one_equation(case.prim, avals, params));
    let mut programs: Vec<Program> =
        programs.filter(|program| has_symbol(program) && verify(program).is_ok()).collect();
    programs.dedup();
    programs
}

/// The attributes with `n` for `size` in those that hold extents.
fn with_symbol(params: &Params, size: usize) -> Params {
    fn put(attr: &Attr, size: usize) -> Attr {
        match attr {
            Attr::Dim(dim) if *dim == size => Attr::Dim(Dim::symbol("n")),
            Attr::List(attrs) => Attr::List(attrs.iter().map(|attr| put(attr, size)).collect()),
            other => other.clone(),
        }
    }
    let holds_extents = ["shape", "limit", "size", "sizes", "dim"];
    params.iter().fold(Params::new(), |all, (name, attr)| {
        let attr = if holds_extents.contains(&name) { put(attr, size) } else { attr.clone() };
        all.with(name.to_string(), attr)
    })
}

/// What holds for a number holds for a symbol of that size: the types, and what every transformation computes.
#[test]
fn symbols_stand_for_sizes() {
    check_all(cases(), |case| {
        let program = case.program();
        let mut extents: Vec<usize> = case.ins.iter().flat_map(|array| array.shape()).collect();
        extents.sort_unstable();
        extents.dedup();
        for size in extents.into_iter().filter(|size| *size > 0) {
            let mut sizes = Sizes::new();
            sizes.set(Symbol::new("n"), size).expect("it had no size");
            for generic in symbolic(case, size) {
                let found: Vec<Aval> = generic.out_avals().iter().map(|aval| aval.at(&sizes)).collect();
                if found != program.out_avals() {
                    return Err(format!("at n={size} gives {found:?}, not {:?}\n{generic}", program.out_avals()));
                }
                check_symbolic_rules(case, &program, &generic).map_err(|why| format!("{why}\n{generic}"))?;
            }
        }
        Ok(())
    });
}

fn check_symbolic_rules(case: &Case, program: &Program, generic: &Program) -> Result<(), String> {
    let mut random = Random::new(11);
    let batch = |program: &Program| {
        let axis = |i: usize| (!not_batched(case, i)).then_some(0);
        let in_axes: Vec<Option<usize>> = (0..program.args.len()).map(axis).collect();
        vmap_program(program, &in_axes, &Dim::from(BATCH))
    };
    let batchable = (0..case.ins.len()).any(|i| !not_batched(case, i));
    let mut pairs = vec![(jvp_program(program), jvp_program(generic)), (vjp_program(program), vjp_program(generic))];
    if batchable {
        pairs.push((batch(program), batch(generic)));
    }
    for (numeric, generic) in pairs {
        verify(&generic).map_err(|error| error.to_string())?;
        let arrays: Vec<HostArray> = numeric
            .args
            .iter()
            .enumerate()
            .map(|(i, binder)| match case.ins.get(i) {
                Some(array) if array.shape().len() == binder.aval.rank() => array.clone(),
                Some(array) => stack(&vec![array.clone(); BATCH], 0),
                None => random_array(&binder.aval, &mut random),
            })
            .collect();
        if let Some(why) = difference(&run(&generic, &arrays), &run(&numeric, &arrays), 1e-6) {
            return Err(format!("{why}\n{generic}"));
        }
    }
    Ok(())
}

/// `simplify` rules on operands they may know: zeros, ones, the same operand twice, the primitive on itself.
#[test]
fn simplify_keeps_values() {
    check_all(cases(), |case| {
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
        for program in programs {
            verify(&program).map_err(|error| error.to_string())?;
            let simplify = pass::find("simplify").expect("it is a pass");
            let simple = (simplify.run)(&program);
            verify(&simple).map_err(|error| error.to_string())?;
            let wanted = run(&program, &case.ins);
            if wanted.iter().flat_map(numbers).any(|x| x.is_nan()) {
                // 0 · ∞ and its kin: `x · 0 = 0` is a law of numbers only.
                continue;
            }
            if let Some(why) = difference(&run(&simple, &case.ins), &wanted, 0.0) {
                return Err(format!("{why}\n{program}{simple}"));
            }
        }
        Ok(())
    });
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
    // Another operand may hold places in this one: they stay valid where its type stays.
    if avals.iter().any(|aval| aval.dtype == gavotte::DType::I32) && avals[i] != out.aval {
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

#[test]
fn targets_agree_with_the_interpreter() {
    check_all(cases(), |case| {
        let program = case.program();
        check_targets(&program, &case.ins)?;
        check_targets(&pass::optimize(&vjp_inputs(&program, &case.ins).0), &vjp_inputs(&program, &case.ins).1)
    });
}

/// The gradient's program and inputs for it.
fn vjp_inputs(program: &Program, ins: &[HostArray]) -> (Program, Vec<HostArray>) {
    let gradient = vjp_program(program);
    let mut random = Random::new(12);
    let cotangents = gradient.args[ins.len()..].iter();
    let cotangents = cotangents.map(|binder| random_array(&binder.aval, &mut random));
    let arrays = ins.iter().cloned().chain(cotangents).collect();
    (gradient, arrays)
}
