//! The checks of all samples with JAX's answers, computed once for all tests.

use super::checks::checks_of;
use super::judge::{Answer, in_parallel};
use gavotte_tests::cases::cases;
use gavotte_tests::oracle::{Check, ask_jax, workers};
use gavotte_tests::report::caught;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// Checks that share one compilation.
pub(crate) const CHUNK: usize = 24;

/// The checks of every sample, and JAX's answer to each question they ask.
pub(crate) struct Sampled {
    /// The checks.
    pub(crate) checks: Vec<Check>,
    /// Samples for which no check could be made.
    pub(crate) failures: Vec<String>,
    answers: HashMap<String, Arc<Answer>>,
}

/// The question to JAX. Equal questions have equal answers, whatever the rules of Gavotte say.
pub(crate) fn question(check: &Check) -> String {
    check.to_json().to_string()
}

impl Sampled {
    /// All of it; `None`, after saying so, if there is no worker to ask.
    pub(crate) fn get() -> Option<&'static Sampled> {
        static SAMPLED: LazyLock<Sampled> = LazyLock::new(Sampled::new);
        (workers() > 0).then(|| &*SAMPLED)
    }

    fn new() -> Sampled {
        let (mut checks, mut failures): (Vec<Check>, Vec<String>) = (vec![], vec![]);
        // A primitive that only prints computes nothing, and StableHLO has none like it.
        for (name, case) in cases().into_iter().filter(|(_, case)| !case.prim.has_effect()) {
            match caught(|| Ok(checks_of(&name, &case))) {
                Ok(found) => checks.extend(found),
                Err(why) => failures.push(format!("{name}: {why}")),
            }
        }
        let chunks: Vec<&[Check]> = checks.chunks(CHUNK).collect();
        let answers = in_parallel(chunks, |worker, chunk| {
            let answers = ask_jax(worker, &chunk.iter().collect::<Vec<_>>());
            chunk.iter().map(question).zip(answers.into_iter().map(Arc::new)).collect::<Vec<_>>()
        });
        Sampled { answers: answers.into_iter().flatten().collect(), checks, failures }
    }

    /// JAX's answer, if it was asked.
    pub(crate) fn answer(&self, question: &str) -> Option<Arc<Answer>> {
        self.answers.get(question).cloned()
    }
}
