//! The way from a program to steps in groups.

use crate::error::Error;
use crate::ir::{Program, with_facts_of};
use crate::kernel::KernelProgram;
use crate::kernel::barrier::drop_barriers;
use crate::kernel::fuse::Fusion;
use crate::kernel::group::group;
use crate::kernel::lower::{Refused, lower_steps};
use crate::kernel::merge::merge;
use crate::kernel::places::choose_places_within;
use crate::kernel::program::Step;
use rustc_hash::FxHashMap;

/// Why an operand is stored.
const READ_BY_STEP: &str = "read by a step that needs memory";

/// Lowers a program: each equation whose result is stored becomes a step.
///
/// # Errors
/// As [`KernelProgram::new`].
pub fn lower_program(program: &Program, fusion: &Fusion) -> Result<Vec<Step>, Error> {
    lower_steps(program, fusion, &KernelProgram::within).map_err(|refused| match refused {
        Refused::Operands(_, error) | Refused::Error(error) => error,
    })
}

impl KernelProgram {
    /// Drops barriers, fuses, lowers and groups a program, and merges kernels within groups. Kernels read within their
    /// arrays, or check that they do.
    ///
    /// # Errors
    /// Where a primitive's rule makes a malformed kernel, or an operation can't be lowered.
    pub fn new(program: Program) -> Result<KernelProgram, Error> {
        let Program { name, args, consts, facts, .. } = &program;
        let (name, args, consts, facts) = (name.clone(), args.clone(), consts.clone(), facts.clone());
        let head = Program { name, args, consts, eqns: vec![], outs: vec![], facts };
        with_facts_of(&head, || KernelProgram::within(program, &|_| true))
    }

    /// [`KernelProgram::new`] of a program whose facts are in force, possibly nested in another one. The argument with
    /// each number may be given to the whole program, so that it is the same whenever this program runs.
    fn within(program: Program, is_given: &dyn Fn(usize) -> bool) -> Result<KernelProgram, Error> {
        let (program, after) = drop_barriers(program);
        let mut stored = FxHashMap::default();
        let (fusion, steps) = loop {
            let fusion = choose_places_within(&program, is_given, &mut stored);
            match lower_steps(&program, &fusion, &KernelProgram::within) {
                Ok(steps) => break (fusion, steps),
                Err(Refused::Error(error)) => return Err(error),
                Err(Refused::Operands(vars, error)) => {
                    if vars.iter().all(|var| stored.contains_key(var)) {
                        return Err(error);
                    }
                    stored.extend(vars.into_iter().map(|var| (var, READ_BY_STEP)));
                }
            }
        };
        let (steps, groups) = group(&program, &fusion, steps, &after);
        let (steps, groups) = merge(&program, &fusion, steps, groups);
        let steps = steps.into_iter().map(Step::with_checks).collect();
        let mut lowered = KernelProgram { program, fusion, steps, groups, composed: vec![], segments: vec![] };
        lowered.find_segments();
        Ok(lowered)
    }
}
