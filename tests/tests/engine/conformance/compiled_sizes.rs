//! Programs with a symbol for some extents, plain and transformed: compiled once, run at several sizes, against the
//! interpreter on the program traced with numbers.

use super::symbols::placements;
use gavotte::arange;
use gavotte::segment::Segments;
use gavotte_core::aval::{Aval, DType, Dim, Literal, Sizes, Symbol};
use gavotte_core::device::HostArray;
use gavotte_core::error::Error;
use gavotte_core::ir::{Kind, Program, Value, assume, bind, parse, quietly, trace, verify};
use gavotte_core::runtime::{Executable, Options};
use gavotte_tests::arrays::{Random, random_array};
use gavotte_tests::cases::{Case, NOT_BATCHED, not_batched, retyped_samples, samples};
use gavotte_tests::compare::{difference, run};
use gavotte_tests::report::{caught, check_all};
use gavotte_tests::transformed::{jvp_program, linearize_programs, vjp_program, vmap_program};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// The sizes of `n`, each with a size of the batch axis `b`.
const SIZES: [(usize, usize); 4] = [(0, 2), (1, 1), (2, 0), (5, 3)];

/// As between targets and the interpreter: other orders of sums, other approximations of `exp`.
const TOLERANCE: f64 = 5e-5;

fn sizes((n, b): (usize, usize)) -> Sizes {
    let mut sizes = Sizes::new();
    for (name, size) in [("n", n), ("b", b)] {
        sizes.set(Symbol::new(name), size).expect("it had no size");
    }
    sizes
}

/// The fact that an error suggests.
fn suggested(error: &str) -> Option<String> {
    Some(error.split_once("assume(\"")?.1.split_once("\")")?.0.to_string())
}

/// The program of a case's primitive on these types, with every fact that its errors suggest.
fn generic(case: &Case, avals: &[Aval], params: &gavotte_core::ir::Params) -> Result<Program, String> {
    let mut facts: Vec<String> = vec![];
    loop {
        let traced: Result<Program, Error> = quietly(|| {
            let traced = trace("sample", avals, |args| {
                facts.iter().for_each(|fact| assume(fact.as_str()));
                bind(case.prim, &args.iter().collect::<Vec<&Value>>(), params.clone()).into_vec()
            });
            traced.program
        });
        match traced {
            Ok(program) => return Ok(program),
            Err(error) => match suggested(&error.to_string()) {
                Some(fact) if !facts.contains(&fact) => {
                    let error = error.to_string();
                    let operands: Vec<String> = avals.iter().map(|aval| aval.to_string()).collect();
                    for part in [case.prim.name(), &operands.join(", "), "compiled_sizes.rs", "`n`"] {
                        assert!(error.contains(part), "{part} is missing in: {error}");
                    }
                    facts.push(fact);
                }
                _ => return Err(error.to_string()),
            },
        }
    }
}

/// Operands of these types that the primitive takes: positions are within every axis, segments are consistent.
fn operands(case: &Case, avals: &[Aval], random: &mut Random) -> Option<Vec<HostArray>> {
    let is_map = matches!(case.prim.kind(), Kind::Map { .. });
    let number = |aval: &Aval, random: &mut Random| {
        let shape: Vec<usize> = aval.shape.iter().filter_map(Dim::as_usize).collect();
        match aval.dtype {
            DType::I32 if !is_map => HostArray::full(&shape, Literal::I32(0)),
            _ => random_array(aval, random),
        }
    };
    let mut arrays: Vec<HostArray> = avals.iter().map(|aval| number(aval, random)).collect();
    let segmented = NOT_BATCHED.iter().any(|(name, n, _, _)| *name == case.prim.name() && *n == case.ins.len());
    if segmented {
        let n = arrays[2].len().checked_sub(1)?;
        let ids: Vec<i32> = (0..arrays[1].len()).map(|i| (i * 2 % n.max(1)) as i32).collect();
        let segments = Segments::new(&ids, n).ok()?;
        let order = segments.order.unwrap_or_else(|| arange(ids.len(), DType::I32));
        for (i, array) in [segments.ids, segments.offsets, order].into_iter().enumerate() {
            arrays[i + 1] = std::sync::Arc::unwrap_or_clone(array.to_host().ok()?);
        }
    }
    // No position is within an empty axis.
    let no_place = avals.iter().zip(&arrays).any(|(aval, array)| aval.dtype == DType::I32 && !array.is_empty())
        && !is_map
        && arrays.iter().any(HostArray::is_empty);
    (!no_place).then_some(arrays)
}

/// A transformation of a program, by name; the program's arguments come first in those of the result.
type Transformation = fn(&Case, &Program) -> Program;

fn batched(case: &Case, program: &Program) -> Program {
    let in_axes: Vec<Option<usize>> =
        (0..program.args.len()).map(|i| (i >= case.ins.len() || !not_batched(case, i)).then_some(0)).collect();
    vmap_program(program, &in_axes, &Dim::symbol("b"))
}

const TRANSFORMATIONS: &[(&str, Transformation)] = &[
    ("itself", |_, program| program.clone()),
    ("jvp", |_, program| jvp_program(program)),
    ("vjp", |_, program| vjp_program(program)),
    ("linearize", |_, program| linearize_programs(program).0),
    ("vmap", batched),
    ("jvp of vjp", |_, program| jvp_program(&vjp_program(program))),
    ("vmap of vjp", |case, program| batched(case, &vjp_program(program))),
];

/// Arguments for a transformed program: the operands, batched where the program expects it, then random ones.
fn arguments(case: &Case, numeric: &Program, operands: &[HostArray], random: &mut Random) -> Vec<HostArray> {
    let fit = |(i, aval): (usize, &Aval)| match operands.get(i) {
        Some(array) if array.shape().len() == aval.rank() => array.clone(),
        Some(array) if array.dtype() == DType::I32 && !matches!(case.prim.kind(), Kind::Map { .. }) => {
            let shape: Vec<usize> = aval.shape.iter().filter_map(Dim::as_usize).collect();
            HostArray::full(&shape, Literal::I32(0))
        }
        _ => random_array(aval, random),
    };
    numeric.args.iter().map(|binder| &binder.aval).enumerate().map(fit).collect()
}

/// Checks one program under these transformations; returns the number of runs.
fn check(case: &Case, program: &Program, transformations: &[(&str, Transformation)]) -> Result<usize, String> {
    let mut runs = 0;
    for (name, transformation) in transformations {
        if name.starts_with("vmap") && (case.ins.is_empty() || (0..case.ins.len()).all(|i| not_batched(case, i))) {
            continue;
        }
        if name.contains("vjp") && !case.is_reversed() {
            continue;
        }
        let at = |why: String| format!("{name}: {why}\n{program}");
        let transformed = transformation(case, program);
        verify(&transformed).map_err(|error| at(error.to_string()))?;
        let text = transformed.to_string();
        let back = parse(&text, gavotte::registry()).map_err(|error| at(format!("{error}\n{text}")))?;
        if back != transformed {
            return Err(at(format!("read back as\n{back}\nfrom\n{text}")));
        }
        let executable =
            Executable::compile(&transformed, &[], &Options::default()).map_err(|error| at(error.to_string()))?;
        for pair in SIZES {
            let (sizes, mut random) = (sizes(pair), Random::new(3));
            let avals: Vec<Aval> = program.args.iter().map(|binder| binder.aval.at(&sizes)).collect();
            if let Some(fact) = transformed.facts.broken_at(&sizes) {
                let refusal = executable.call(vec![], &sizes).map(drop).map_err(|error| error.to_string());
                match refusal {
                    Err(why) if why.contains(&fact.to_string()) && why.contains(&format!("`n` is {}", pair.0)) => {}
                    other => return Err(at(format!("{pair:?} breaks {fact}, and returns {other:?}"))),
                }
                continue;
            }
            let mut extents = transformed.args.iter().flat_map(|binder| &binder.aval.shape);
            if extents.any(|dim| dim.at(&sizes).as_usize().is_none()) {
                // No array has such a type: an argument's type excludes this size.
                continue;
            }
            let Some(operands) = operands(case, &avals, &mut random) else { continue };
            let numeric = transformation(case, &program.at(&sizes)).at(&sizes);
            verify(&numeric).map_err(|error| at(format!("at {pair:?}: {error}")))?;
            let arrays = arguments(case, &numeric, &operands, &mut random);
            let found = executable.call(arrays.iter().cloned().map(Value::from).collect(), &sizes);
            let found = found.map_err(|error| at(format!("at {pair:?}: {error}")))?;
            let found: Vec<HostArray> =
                found.iter().map(|out| HostArray::clone(&out.to_host().expect("results are computed"))).collect();
            // Sums in derivatives of halves are rounded to the same few digits, in another order.
            let is_narrow =
                numeric.binders().any(|binder| binder.aval.dtype.is_float() && binder.aval.dtype.is_narrow());
            let tolerance = if is_narrow { 0.01 } else { TOLERANCE };
            if let Some(why) = difference(&found, &run(&numeric, &arrays), tolerance) {
                return Err(at(format!("at {pair:?}: {why}\n{transformed}")));
            }
            runs += 1;
        }
    }
    Ok(runs)
}

#[test]
fn one_compiled_program_serves_every_size() {
    let runs: RefCell<BTreeMap<&str, usize>> = RefCell::default();
    // What becomes of a size depends on no type: the transformations of other types are tested with numbers.
    let of = |cases: Vec<(String, Case)>, transformations: &'static [(&'static str, Transformation)]| {
        cases.into_iter().map(move |(name, case)| (name, (case, transformations)))
    };
    let cases = of(samples(), TRANSFORMATIONS).chain(of(retyped_samples(), &TRANSFORMATIONS[..1]));
    check_all(cases, |(case, transformations)| {
        let mut extents: Vec<usize> = case.ins.iter().flat_map(|array| array.shape()).collect();
        extents.sort_unstable();
        extents.dedup();
        let mut seen: Vec<Program> = vec![];
        for size in extents {
            for (avals, params) in placements(case, size) {
                let Ok(program) = generic(case, &avals, &params) else { continue };
                if program.symbols().is_empty() || verify(&program).is_err() || seen.contains(&program) {
                    continue;
                }
                let count =
                    caught(|| check(case, &program, transformations)).map_err(|why| format!("{why}\n{program}"))?;
                *runs.borrow_mut().entry(case.prim.name()).or_default() += count;
                seen.push(program);
            }
        }
        Ok(())
    });
    let runs = runs.into_inner();
    for prim in gavotte::registry().iter() {
        let takes_arrays = prim.samples().iter().any(|sample| sample.ins.iter().any(|array| !array.shape().is_empty()));
        let n = runs.get(prim.name()).copied().unwrap_or(0);
        if takes_arrays && n < 8 {
            panic!("{}: {n} runs", prim.name());
        }
    }
}

/// Steps and gaps along symbols, which samples with numbers lack: with one left over, from within, and where possibly
/// no position is kept.
#[test]
fn steps_and_gaps_along_symbols() {
    let texts = [
        "program @all(%0: f32[2*n]) -> (f32[n]) {
           %1: f32[n] = slice %0 {limit=[2*n], start=[0], stride=[2]}
           return %1
         }",
        "program @odd(%0: f32[2*n+1]) -> (f32[n+1]) {
           %1: f32[n+1] = slice %0 {limit=[2*n+1], start=[0], stride=[2]}
           return %1
         }",
        "program @within(%0: f32[3,3*n+2]) -> (f32[2,n]) {
           %1: f32[2,n] = slice %0 {limit=[3,3*n+1], start=[0,1], stride=[2,3]}
           return %1
         }",
        "program @few(%0: f32[3*n]) -> (f32[n]) where n >= 1 {
           %1: f32[n] = slice %0 {limit=[3*n-2], start=[0], stride=[3]}
           return %1
         }",
        "program @gaps(%0: f32[n], %1: f32[]) -> (f32[3*n+1]) where n >= 1 {
           %2: f32[3*n+1] = pad %0, %1 {high=[1], interior=[2], low=[2]}
           return %2
         }",
    ];
    let programs = texts.map(|text| parse(text, gavotte::registry()).unwrap_or_else(|error| panic!("{error}")));
    check_all(programs.map(|program| (program.name.clone(), program)), |program| {
        let eqn = &program.eqns[0];
        let ins = program.args.iter().map(|binder| HostArray::full(&vec![0; binder.aval.rank()], Literal::F32(0.0)));
        let case = Case { prim: eqn.prim, params: eqn.params.clone(), ins: ins.collect() };
        let runs = check(&case, program, TRANSFORMATIONS)?;
        if runs < 14 { Err(format!("{runs} runs")) } else { Ok(()) }
    });
}
