//! Every primitive, and random programs of them, against XLA and JAX.
//!
//! Gavotte's results (by the reference interpreter, by every target, by XLA from the exported StableHLO text) are
//! compared with JAX's results for the same programs: their values, and JAX's own derivatives and batches of them.
//! `tests/python/primitives.py` says what each primitive means, independent of the rules here.
//!
//! `GAVOTTE_PYTHON` names a Python interpreter with the packages of `tests/python/requirements.txt`; without one the
//! tests print `skipped: …` and pass. `GAVOTTE_DIFFERENTIAL_PROGRAMS=N` compares N random programs instead of 500.

mod broken;
mod checks;
mod functions;
mod judge;
mod random;
mod sampled;
mod symbolic;
mod types;

use gavotte_tests::oracle::{Check, with_worker, workers};
use judge::{Answer, in_parallel, judge_by, report};
use sampled::{CHUNK, Sampled, question};
use serde_json::json;
use std::sync::Arc;

#[test]
fn the_oracle_knows_every_primitive() {
    if workers() == 0 {
        return;
    }
    let answer = with_worker(|worker| worker.ask(&json!({ "do": "primitives" }))).expect("it lists them");
    let known: Vec<String> = serde_json::from_value(answer).expect("names come in a list");
    let mut wanted: Vec<&str> =
        gavotte::registry().iter().filter(|prim| !prim.has_effect()).map(|prim| prim.name()).collect();
    wanted.sort_unstable();
    wanted.retain(|name| !known.iter().any(|known| known == name));
    assert!(wanted.is_empty(), "tests/python/primitives.py does not say what these mean: {wanted:?}");
}

#[test]
fn every_sample_agrees() {
    let Some(sampled) = Sampled::get() else { return };
    let verdicts = in_parallel(sampled.checks.chunks(CHUNK).collect(), |worker, chunk: &[Check]| {
        let jax: Vec<Arc<Answer>> =
            chunk.iter().map(|check| sampled.answer(&question(check)).expect("it was asked")).collect();
        let jax: Vec<&Answer> = jax.iter().map(|answer| &**answer).collect();
        judge_by(worker, &chunk.iter().collect::<Vec<_>>(), &jax)
    });
    let failures = verdicts.into_iter().flatten().filter_map(Result::err);
    let failures: Vec<String> = sampled.failures.iter().cloned().chain(failures).collect();
    eprintln!("{} checks of samples", sampled.checks.len());
    report(sampled.checks.len(), &failures);
}
