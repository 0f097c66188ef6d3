//! Public functions against JAX's own of the same names: values, derivatives, batches.

use super::checks::{batched, then};
use super::judge::{in_parallel, judge, report};
use super::sampled::CHUNK;
use gavotte_core::aval::DType;
use gavotte_core::device::HostArray;
use gavotte_tests::arrays::{Random, widened};
use gavotte_tests::cases::BATCH;
use gavotte_tests::functions::{Function, all};
use gavotte_tests::oracle::{Check, with_worker, workers};
use gavotte_tests::report::caught;
use gavotte_tests::transformed::Transform;
use serde_json::json;

/// Every check of a function on one sample: in `f32` and `f64`, batched, and differentiated where it is smooth.
fn checks_of(function: &Function, sample: usize) -> Vec<Check> {
    let operands = function.samples[sample];
    let mut random = Random::new(sample as u64 + 1);
    let narrow: Vec<HostArray> = operands.iter().map(|operand| operand.array(DType::F32, &mut random)).collect();
    let wide: Vec<HostArray> = narrow.iter().map(widened).collect();
    let is_float = narrow.iter().any(|array| array.dtype().is_float());
    let mut checks = vec![];
    for ins in if is_float { vec![narrow, wide] } else { vec![narrow] } {
        let (program, made) = function.program(&ins);
        let mut inputs = ins.clone();
        inputs.extend(made.iter().cloned());
        let value = Check::of_function(function.name, &program, &inputs);
        if !ins.is_empty() {
            let in_axes: Vec<Option<usize>> = ins.iter().map(|_| Some(0)).collect();
            let mut inputs = batched(&ins, &in_axes);
            inputs.extend(made);
            checks.push(value.transformed(Transform::Vmap(in_axes, BATCH), inputs));
        }
        let is_smooth = function.is_smooth && is_float && !operands.iter().any(|operand| operand.is_edge());
        if is_smooth {
            let [jvp, vjp] = [Transform::Jvp, Transform::Vjp].map(|transform| then(&value, transform, &mut random));
            if ins.iter().any(|array| array.dtype() == DType::F64) {
                checks.push(then(&jvp, Transform::Jvp, &mut random));
                checks.extend([Transform::Jvp, Transform::Vjp].map(|transform| then(&vjp, transform, &mut random)));
            }
            checks.extend([jvp, vjp]);
        }
        checks.push(value);
    }
    checks
}

#[test]
fn every_function_agrees() {
    if workers() == 0 {
        return;
    }
    let (mut checks, mut failures): (Vec<Check>, Vec<String>) = (vec![], vec![]);
    for function in all() {
        for sample in 0..function.samples.len() {
            match caught(|| Ok(checks_of(function, sample))) {
                Ok(found) => checks.extend(found),
                Err(why) => failures.push(format!("{}, sample {sample}: {why}", function.name)),
            }
        }
    }
    let verdicts = in_parallel(checks.chunks(CHUNK).collect(), |worker, chunk: &[Check]| {
        judge(worker, &chunk.iter().collect::<Vec<_>>())
    });
    failures.extend(verdicts.into_iter().flatten().filter_map(Result::err));
    eprintln!("{} checks of functions", checks.len());
    report(checks.len(), &failures);
}

#[test]
fn the_oracle_and_the_table_have_the_same_functions() {
    if workers() == 0 {
        return;
    }
    let answer = with_worker(|worker| worker.ask(&json!({ "do": "functions" }))).expect("it lists them");
    let known: Vec<String> = serde_json::from_value(answer).expect("names come in a list");
    let mut named: Vec<&str> = all().map(|function| function.name).collect();
    named.sort_unstable();
    assert_eq!(known, named);
}
