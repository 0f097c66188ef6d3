//! Random programs of all primitives, and their derivatives. A failing program is made small before it is shown.

use super::checks::then;
use super::judge::{agrees_with_jax, in_parallel, judge, report};
use gavotte_core::aval::Aval;
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Eqn, Primitive, Program, verify};
use gavotte_tests::arrays::Random;
use gavotte_tests::cases::NOT_REVERSED;
use gavotte_tests::compare::run;
use gavotte_tests::generate::random_program;
use gavotte_tests::oracle::{Check, Worker, ask_jax, workers};
use gavotte_tests::report::caught;
use gavotte_tests::rounding::Allowance;
use gavotte_tests::shrink::shrunk;
use gavotte_tests::transformed::Transform;

/// Programs whose checks share one compilation.
const CHUNK: usize = 6;
/// The checks of each program.
const TRANSFORMS: [Option<Transform>; 3] = [None, Some(Transform::Jvp), Some(Transform::Vjp)];

/// The number of programs: `GAVOTTE_DIFFERENTIAL_PROGRAMS`, else 500.
fn n_program() -> u64 {
    let wanted = std::env::var("GAVOTTE_DIFFERENTIAL_PROGRAMS").ok();
    wanted.map_or(500, |n| n.parse().expect("GAVOTTE_DIFFERENTIAL_PROGRAMS is a number"))
}

/// The check of a program, or of its derivative in random directions.
fn check_of(seed: u64, program: &Program, inputs: &[HostArray], transform: &Option<Transform>) -> Check {
    let value = Check::new(format!("seed {seed}"), program, inputs);
    match transform {
        None => value,
        Some(transform) => then(&value, transform.clone(), &mut Random::new(seed)),
    }
}

/// The messages of a chunk's failures.
fn failures_of(worker: &mut Worker, seeds: &[u64]) -> Vec<String> {
    let programs: Vec<_> = seeds.iter().map(|seed| (*seed, random_program(*seed))).collect();
    let pairs = programs.iter().flat_map(|program| TRANSFORMS.iter().map(move |transform| (program, transform)));
    let pairs = pairs.filter(|((_, (program, _)), transform)| {
        let has_reverse = |eqn: &Eqn| NOT_REVERSED.iter().all(|(name, _)| *name != eqn.prim.name());
        **transform != Some(Transform::Vjp) || program.eqns.iter().all(has_reverse)
    });
    let mut checks = vec![];
    let mut failures = vec![];
    for ((seed, (program, inputs)), transform) in pairs {
        match caught(|| Ok(check_of(*seed, program, inputs, transform))) {
            Ok(check) => checks.push((check, transform)),
            Err(why) => failures.push(format!("seed {seed}: {transform:?}: {why}\n{program}")),
        }
    }
    let verdicts = judge(worker, &checks.iter().map(|(check, _)| check).collect::<Vec<_>>());
    for ((check, transform), verdict) in checks.iter().zip(verdicts) {
        if let Err(why) = verdict {
            failures.push(shown_small(worker, check, transform, &why));
        }
    }
    failures
}

/// The smallest program that fails in the same way, with the oracle's verdict on it.
fn shown_small(worker: &mut Worker, check: &Check, transform: &Option<Transform>, why: &str) -> String {
    let seed: u64 = check.name.split(' ').nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let n = check.primal.args.len() + check.primal.consts.len();
    let mut last = why.to_string();
    let mut fails = |program: &Program, inputs: &[HostArray]| {
        let verdict = caught(|| {
            let check = check_of(seed, program, inputs, transform);
            judge(worker, &[&check]).swap_remove(0)
        });
        if let Err(why) = &verdict {
            last.clone_from(why);
        }
        verdict.is_err()
    };
    let (small, _) = shrunk(&check.primal, &check.inputs[..n], &mut fails);
    format!("seed {seed} {transform:?}, from {} equations to {}:\n{last}", check.primal.eqns.len(), small.eqns.len())
}

#[test]
fn random_programs_agree() {
    if workers() == 0 {
        return;
    }
    let seeds: Vec<u64> = (0..n_program()).collect();
    let failures = in_parallel(seeds.chunks(CHUNK).collect(), |worker, seeds: &[u64]| failures_of(worker, seeds));
    report(seeds.len(), &failures.concat());
}

/// A program with one equation other than the oracle was told must be noticed, in its value and in its derivative.
#[test]
fn a_changed_equation_is_noticed() {
    const PROGRAMS: u64 = 40;
    if workers() == 0 {
        return;
    }
    let changes: Vec<Check> = (0..PROGRAMS)
        .flat_map(|seed| {
            let (program, inputs) = random_program(seed);
            [None, Some(Transform::Jvp)].map(|transform| check_of(seed, &program, &inputs, &transform))
        })
        .filter_map(|check| changed(&check))
        .collect();
    assert!(changes.len() as u64 >= PROGRAMS, "only {} programs could be changed", changes.len());
    let chunks: Vec<&[Check]> = changes.chunks(12).collect();
    let failures = in_parallel(chunks, |worker, chunk| {
        let answers = ask_jax(worker, &chunk.iter().collect::<Vec<_>>());
        let missed = chunk.iter().zip(&answers).filter_map(|(check, answer)| match answer {
            Err(why) => Some(format!("{}\nJAX: {why}\n{}", check.name, check.primal)),
            Ok(_) if agrees_with_jax(check, answer).is_ok() => {
                Some(format!("{}\n{}{}", check.name, check.program, check.primal))
            }
            Ok(_) => None,
        });
        missed.collect::<Vec<_>>()
    });
    report(changes.len(), &failures.concat());
}

/// The check with another primitive in one equation of its program, such that the results change by more than rounding
/// can explain, in the one program and in the other.
fn changed(check: &Check) -> Option<Check> {
    let wanted = run(&check.program, &check.inputs);
    let allowance = Allowance::of(&check.program, &check.inputs);
    for (i, eqn) in check.program.eqns.iter().enumerate().rev() {
        for other in gavotte::registry().iter() {
            let mut changed = check.clone();
            if !fits(eqn, other, &check.program) {
                continue;
            }
            changed.program.eqns[i].prim = other;
            let found = caught(|| Ok(run(&changed.program, &changed.inputs)));
            let is_other = found.is_ok_and(|found| {
                let more = || Allowance::of(&changed.program, &changed.inputs);
                allowance.difference(&found, &wanted).is_some() && more().difference(&found, &wanted).is_some()
            });
            if is_other && verify(&changed.program).is_ok() {
                changed.name = format!("{} with {} for {}", check.name, other.name(), eqn.prim.name());
                return Some(changed);
            }
        }
    }
    None
}

/// Whether another primitive takes an equation's operands and returns its types.
fn fits(eqn: &Eqn, other: &'static dyn Primitive, program: &Program) -> bool {
    let avals = program.avals();
    let ins: Vec<Aval> = eqn
        .ins
        .iter()
        .map(|atom| match atom {
            gavotte_core::ir::Atom::Var(var) => avals[var.index()].clone(),
            gavotte_core::ir::Atom::Literal(literal) => Aval::scalar(literal.dtype()),
        })
        .collect();
    let outs: Vec<Aval> = eqn.outs.iter().map(|binder| binder.aval.clone()).collect();
    other.name() != eqn.prim.name()
        && other.abstract_eval(&ins.iter().collect::<Vec<_>>(), &eqn.params).is_ok_and(|found| found == outs)
}
