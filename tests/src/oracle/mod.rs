//! The oracle of the differential suite: XLA and JAX, in Python processes that answer requests.
//!
//! `GAVOTTE_PYTHON` names an interpreter with the packages of `tests/python/requirements.txt`; without it, `python3` is
//! used if it has the JAX version listed there.

mod json;
mod worker;

pub use json::{arrays_from_json, aval_to_json, program_to_json};
pub use worker::{Worker, with_worker, workers};

use crate::transformed::Transform;
use gavotte_core::aval::{Facts, Sizes};
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Atom, Binder, Eqn, Program, Var, verify};
use serde_json::{Value, json};

/// A program, transformations applied to it in sequence, and inputs of the result: arguments, then constants.
#[derive(Clone, Debug)]
pub struct Check {
    /// Its name in messages.
    pub name: String,
    /// The program before the transformations. Its sizes are numbers.
    pub primal: Program,
    /// The transformations, in order.
    pub transforms: Vec<Transform>,
    /// The transformed program.
    pub program: Program,
    /// Its arguments, then its constants.
    pub inputs: Vec<HostArray>,
    /// The function in `tests/python/functions.py` that says what the program computes, if not its primitives do.
    pub function: Option<&'static str>,
}

impl Check {
    /// A check of a program itself.
    pub fn new(name: impl Into<String>, program: &Program, inputs: &[HostArray]) -> Check {
        let program = program.clone();
        let inputs = inputs.to_vec();
        Check { name: name.into(), primal: program.clone(), transforms: vec![], program, inputs, function: None }
    }

    /// A check of a public function by its name in JAX's terms, and the program that it traces to.
    pub fn of_function(name: &'static str, program: &Program, inputs: &[HostArray]) -> Check {
        Check { function: Some(name), ..Check::new(name, program, inputs) }
    }

    /// A check of one more transformation; `inputs` are those of the result.
    pub fn transformed(&self, transform: Transform, inputs: Vec<HostArray>) -> Check {
        let mut check = self.clone();
        check.name = format!("{} {transform:?}", self.name);
        check.program = transform.of(&self.program);
        check.transforms.push(transform);
        check.inputs = inputs;
        check
    }

    /// The request to JAX.
    pub fn to_json(&self) -> Value {
        let mut program = self.primal.clone();
        let mut transforms = vec![];
        for transform in &self.transforms {
            transforms.push(transform.to_json(&program));
            program = transform.of(&program);
        }
        let inputs: Vec<Value> = self.inputs.iter().map(json::array_to_json).collect();
        let asked = match self.function {
            Some(name) => json!({ "function": name, "args": self.primal.args.len() }),
            None => program_to_json(&self.primal),
        };
        json!({ "program": asked, "transforms": transforms, "inputs": inputs })
    }
}

/// JAX's results for each check, or its error.
pub fn ask_jax(worker: &mut Worker, checks: &[&Check]) -> Vec<Result<Vec<HostArray>, String>> {
    let questions: Vec<Value> = checks.iter().map(|check| check.to_json()).collect();
    in_one_or_each(questions, |questions| {
        let answer = worker.ask(&json!({ "do": "jax", "checks": questions }))?;
        Ok(answer.as_array().expect("a list for each check").iter().map(arrays_from_json).collect())
    })
}

/// XLA's results for each program in its exported form, or its error.
pub fn ask_xla(worker: &mut Worker, runs: &[(&Program, &[HostArray])]) -> Vec<Result<Vec<HostArray>, String>> {
    in_one_or_each(runs.to_vec(), |runs| {
        let (program, inputs) = joined(runs);
        let text = exported(&program)?;
        let inputs: Vec<Value> = inputs.iter().map(json::array_to_json).collect();
        let answer = worker.ask(&json!({ "do": "xla", "text": text, "inputs": inputs }));
        let mut found = arrays_from_json(&answer.map_err(|why| format!("{why}\n{text}"))?).into_iter();
        Ok(runs.iter().map(|(program, _)| found.by_ref().take(program.outs.len()).collect()).collect())
    })
}

/// The exported text. Its form is up to the exporter; here XLA must accept it.
fn exported(program: &Program) -> Result<String, String> {
    verify(program).map_err(|error| error.to_string())?;
    program.to_stablehlo(&Sizes::new()).map_err(|error| error.to_string())
}

/// Sends one request for all; if it fails, one for each, so that only the culprits fail.
fn in_one_or_each<T>(
    all: Vec<T>,
    mut ask: impl FnMut(&[T]) -> Result<Vec<Vec<HostArray>>, String>,
) -> Vec<Result<Vec<HostArray>, String>> {
    if let Ok(answers) = ask(&all) {
        assert_eq!(answers.len(), all.len(), "one answer per question");
        return answers.into_iter().map(Ok).collect();
    }
    all.iter().map(|one| Ok(ask(std::slice::from_ref(one))?.swap_remove(0))).collect()
}

/// One program that computes what all of them do: a compilation costs more than what it compiles. Constants become
/// arguments in their places, which the exported form does not distinguish.
fn joined(runs: &[(&Program, &[HostArray])]) -> (Program, Vec<HostArray>) {
    let mut all = Program {
        name: "joined".into(),
        args: vec![],
        consts: vec![],
        eqns: vec![],
        outs: vec![],
        facts: Facts::new(),
    };
    let mut inputs = vec![];
    let mut next = 0;
    for (program, arrays) in runs {
        let moved = |var: Var| Var(var.0 + next);
        let atom = |atom: &Atom| match atom {
            Atom::Var(var) => Atom::Var(moved(*var)),
            literal => *literal,
        };
        let rebound = |binder: &Binder| Binder { var: moved(binder.var), aval: binder.aval.clone() };
        all.args.extend(program.args.iter().chain(&program.consts).map(rebound));
        all.eqns.extend(program.eqns.iter().map(|eqn| Eqn {
            ins: eqn.ins.iter().map(atom).collect(),
            outs: eqn.outs.iter().map(rebound).collect(),
            ..eqn.clone()
        }));
        all.outs.extend(program.outs.iter().map(atom));
        inputs.extend(arrays.iter().cloned());
        next += program.n_var() as u32;
    }
    (all.renumbered(), inputs)
}
