//! Four ways to compute what a check asks for, and whether they agree.

use gavotte_core::aval::{Aval, Sizes};
use gavotte_core::device::HostArray;
use gavotte_tests::cases::is_exported;
use gavotte_tests::compare::run;
use gavotte_tests::oracle::{Check, Worker, ask_jax, ask_xla, with_worker, workers};
use gavotte_tests::report::caught;
use gavotte_tests::rounding::Allowance;
use gavotte_tests::targets::targets;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// The answer of JAX or XLA, or its error.
pub(crate) type Answer = Result<Vec<HostArray>, String>;

/// The types of arrays.
fn types(arrays: &[HostArray]) -> Vec<Aval> {
    arrays.iter().map(|array| Aval::new(array.dtype(), array.shape())).collect()
}

/// Whether everything here agrees with JAX: the types, the reference interpreter, every target.
pub(crate) fn agrees_with_jax(check: &Check, jax: &Answer) -> Result<(), String> {
    let wanted = jax.as_ref().map_err(|why| format!("JAX: {why}"))?;
    let program = &check.program;
    let found: Vec<Aval> = program.out_avals().iter().map(|aval| aval.at(&Sizes::new())).collect();
    if found != types(wanted) {
        return Err(format!("has the types {found:?}, by JAX {:?}", types(wanted)));
    }
    let interpreted = caught(|| Ok(run(program, &check.inputs))).map_err(|why| format!("interpreter: {why}"))?;
    let allowance = Allowance::of(program, &check.inputs);
    let check_one = |name: &str, found: &[HostArray]| match allowance.difference(found, wanted) {
        Some(why) => Err(format!("{name} against JAX: {why}")),
        None => Ok(()),
    };
    check_one("interpreter", &interpreted)?;
    for (name, target) in targets() {
        let found = caught(|| Ok(target(program, &check.inputs))).map_err(|why| format!("{name}: {why}"))?;
        check_one(name, &found)?;
    }
    let lost = allowance.meaningless(wanted);
    LOST.fetch_add(lost, Ordering::Relaxed);
    EXPLAINED.fetch_add(allowance.explained(&interpreted, wanted), Ordering::Relaxed);
    COMPARED.fetch_add(wanted.iter().map(HostArray::len).sum(), Ordering::Relaxed);
    Ok(())
}

/// Elements compared, and those that rounding may change too much for a comparison to mean anything.
static COMPARED: AtomicUsize = AtomicUsize::new(0);
static LOST: AtomicUsize = AtomicUsize::new(0);
/// Elements that differ by more than the relative tolerance, but by less than the measured rounding.
static EXPLAINED: AtomicUsize = AtomicUsize::new(0);

/// Whether XLA's results for the exported text agree with JAX.
pub(crate) fn xla_agrees(check: &Check, xla: &Answer, jax: &Answer) -> Result<(), String> {
    let wanted = jax.as_ref().map_err(|why| format!("JAX: {why}"))?;
    let found = xla.as_ref().map_err(|why| format!("XLA: {why}"))?;
    match Allowance::of(&check.program, &check.inputs).difference(found, wanted) {
        Some(why) => Err(format!("XLA against JAX: {why}")),
        None => Ok(()),
    }
}

/// What is wrong with each check, if anything.
pub(crate) fn judge(worker: &mut Worker, checks: &[&Check]) -> Vec<Result<(), String>> {
    let jax = ask_jax(worker, checks);
    judge_by(worker, checks, &jax.iter().collect::<Vec<_>>())
}

/// The same, with JAX's answers already known.
pub(crate) fn judge_by(worker: &mut Worker, checks: &[&Check], jax: &[&Answer]) -> Vec<Result<(), String>> {
    let exported = checks.iter().filter(|check| is_exported(&check.program));
    let runs: Vec<_> = exported.map(|check| (&check.program, &check.inputs[..])).collect();
    let xla = caught(|| Ok(ask_xla(worker, &runs))).unwrap_or_else(|why| vec![Err(why); runs.len()]);
    let mut xla = xla.iter();
    let verdict = |(check, jax): (&&Check, &&Answer)| {
        let xla = is_exported(&check.program).then(|| xla.next().expect("one answer for each question"));
        let by_xla = |()| xla.map_or(Ok(()), |xla| xla_agrees(check, xla, jax));
        agrees_with_jax(check, jax).and_then(by_xla).map_err(|why| described(check, &why))
    };
    checks.iter().zip(jax).map(verdict).collect()
}

/// A failure with everything needed to reproduce it.
fn described(check: &Check, why: &str) -> String {
    let inputs: Vec<String> = check.inputs.iter().map(|array| format!("  {array:?}")).collect();
    format!("{}\n{why}\n{}from\n{}inputs\n{}", check.name, check.program, check.primal, inputs.join("\n"))
}

/// Runs `work` on every item, on as many threads as there are workers, each with its own worker. Returns the results in
/// no particular order.
pub(crate) fn in_parallel<T: Send, R: Send>(items: Vec<T>, work: impl Fn(&mut Worker, T) -> R + Sync) -> Vec<R> {
    let items = Mutex::new(items.into_iter());
    let done = Mutex::new(vec![]);
    let lock = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..workers() {
            scope.spawn(|| {
                while let Some(item) = lock() {
                    let result = with_worker(|worker| work(worker, item));
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Fails with the first of the failures, and the first line of each of the others.
#[track_caller]
pub(crate) fn report(n_check: usize, failures: &[String]) {
    const SHOWN: usize = 8;
    assert!(n_check > 0, "there is nothing to check");
    let (shown, others) = failures.split_at(failures.len().min(SHOWN));
    let others: Vec<&str> = others.iter().filter_map(|why| why.lines().next()).collect();
    assert!(
        failures.is_empty(),
        "{} of {n_check} fail:\n\n{}\n\n{}",
        failures.len(),
        shown.join("\n\n"),
        others.join("\n")
    );
    let explained = EXPLAINED.load(Ordering::Relaxed);
    let (compared, lost) = (COMPARED.load(Ordering::Relaxed), LOST.load(Ordering::Relaxed));
    eprintln!("so far {compared} elements compared; {explained} differ by more than the relative tolerance alone");
    assert!(lost * 200 <= compared, "{lost} of {compared} elements are so ill conditioned that they say nothing");
}
