//! What runs programs beside the reference interpreter.

use crate::compare::{difference, run};
use gavotte_core::device::HostArray;
use gavotte_core::ir::Program;

/// Runs a program on its arguments, then its constants.
pub type Target = fn(&Program, &[HostArray]) -> Vec<HostArray>;

/// Every target by name. A line here puts a target under the whole conformance suite.
pub fn targets() -> Vec<(&'static str, Target)> {
    vec![]
}

/// Relative tolerance between a target and the interpreter: other sums, other approximations of `exp`.
const TOLERANCE: f64 = 2e-5;

/// The targets that compute something else than the interpreter.
pub fn check_targets(program: &Program, arrays: &[HostArray]) -> Result<(), String> {
    for (name, target) in targets() {
        if let Some(difference) = difference(&target(program, arrays), &run(program, arrays), TOLERANCE) {
            return Err(format!("{name}: {difference}\n{program}"));
        }
    }
    Ok(())
}
