//! The types that `abstract_eval` admits, against those that JAX admits.

use super::judge::{in_parallel, report};
use gavotte_core::aval::{Aval, DType};
use gavotte_core::ir::Program;
use gavotte_tests::cases::{Case, cases, one_equation};
use gavotte_tests::oracle::{aval_to_json, program_to_json, workers};
use serde_json::json;

/// JAX admits all types that `abstract_eval` admits, with the same results. (`abstract_eval` may refuse more, such as
/// promotions.)
#[test]
fn what_abstract_eval_admits_jax_admits() {
    if workers() == 0 {
        return;
    }
    let mut programs: Vec<Program> =
        cases().iter().filter(|(_, case)| !case.prim.has_effect()).flat_map(|(_, case)| neighbours(case)).collect();
    programs.dedup();
    let n = programs.len();
    let failures = in_parallel(programs.chunks(64).collect(), |worker, programs: &[Program]| {
        let checks: Vec<_> = programs.iter().map(|program| json!({ "program": program_to_json(program) })).collect();
        let answer = worker.ask(&json!({ "do": "types", "checks": checks })).expect("it answers for each");
        let wanted = programs.iter().map(|program| program.out_avals().iter().map(aval_to_json).collect());
        let pairs = programs.iter().zip(wanted).zip(answer.as_array().expect("a list").clone());
        let other = pairs.filter(|((_, wanted), found): &((_, serde_json::Value), _)| wanted != found);
        other.map(|((program, _), found)| format!("JAX says {found}\n{program}")).collect::<Vec<String>>()
    });
    report(n, &failures.concat());
}

/// Programs of one equation that are admitted even with the type of one operand changed.
fn neighbours(case: &Case) -> Vec<Program> {
    let avals: Vec<Aval> = case.ins.iter().map(|array| Aval::new(array.dtype(), array.shape())).collect();
    let mut all = vec![avals.clone(), avals[..avals.len().saturating_sub(1)].to_vec()];
    for i in 0..avals.len() {
        let mut put = |aval: Aval| {
            let mut other = avals.clone();
            other[i] = aval;
            all.push(other);
        };
        DType::ALL.iter().for_each(|dtype| put(avals[i].with_dtype(*dtype)));
        put(Aval::scalar(avals[i].dtype));
        for axis in 0..avals[i].rank() {
            let mut longer = avals[i].clone();
            longer.shape[axis] = &longer.shape[axis] + 1;
            put(longer);
            let mut fewer = avals[i].clone();
            fewer.shape.remove(axis);
            put(fewer);
        }
    }
    all.into_iter().filter_map(|avals| one_equation(case.prim, avals, case.params.clone())).collect()
}
