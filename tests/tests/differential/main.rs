//! Every primitive, and random programs of them, against XLA and JAX.
//!
//! What Gavotte computes (by the reference interpreter, by every target, by XLA from the exported StableHLO text) is
//! compared with what JAX computes from the same programs: their values, and JAX's own derivatives and batches of them.
//! The meaning of each primitive is written in `tests/python/primitives.py`, independent of the rules here.
//!
//! `GAVOTTE_PYTHON` names a Python interpreter with the packages of `tests/python/requirements.txt`; without one the
//! tests print `skipped: …` and pass. `GAVOTTE_DIFFERENTIAL_PROGRAMS=N` compares N random programs instead of 500.

mod checks;
mod judge;

use checks::checks_of;
use gavotte_tests::cases::cases;
use gavotte_tests::oracle::{Check, with_worker, workers};
use gavotte_tests::report::caught;
use judge::{in_parallel, judge, report};
use serde_json::json;

/// Checks that are one compilation.
const CHUNK: usize = 24;

#[test]
fn the_oracle_knows_every_primitive_and_no_other() {
    if workers() == 0 {
        return;
    }
    let answer = with_worker(|worker| worker.ask(&json!({ "do": "primitives" }))).expect("it lists them");
    let known: Vec<String> = serde_json::from_value(answer).expect("names come in a list");
    let mut wanted: Vec<&str> = gavotte::registry().iter().map(|prim| prim.name()).collect();
    wanted.sort_unstable();
    assert_eq!(known, wanted, "tests/python/primitives.py says what each means");
}

#[test]
fn every_sample_agrees() {
    if workers() == 0 {
        return;
    }
    let mut failures = vec![];
    let mut checks: Vec<Check> = vec![];
    for (name, case) in cases() {
        match caught(|| Ok(checks_of(&name, &case))) {
            Ok(found) => checks.extend(found),
            Err(why) => failures.push(format!("{name}: {why}")),
        }
    }
    let n_check = checks.len();
    let chunks: Vec<&[Check]> = checks.chunks(CHUNK).collect();
    let verdicts = in_parallel(chunks, |worker, chunk| judge(worker, &chunk.iter().collect::<Vec<_>>()));
    failures.extend(verdicts.into_iter().flatten().filter_map(Result::err));
    eprintln!("{n_check} checks of samples");
    report(n_check, &failures);
}
