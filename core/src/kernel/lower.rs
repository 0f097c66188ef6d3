//! From a program and the choice of stored variables to steps: a kernel for each stored result.

use crate::error::Error;
use crate::ir::{Eqn, Kind, Program, Var, within_facts_of};
use crate::kernel::fuse::{Fusion, Place};
use crate::kernel::rules::{Lowering, makers_of};
use crate::kernel::{ControlStep, Kernel, KernelProgram, Step, segments, verify_kernel};

/// Why a program is not lowered.
pub(super) enum Refused {
    /// These must be in memory: their readers have no kernel otherwise. The error says so to users.
    Operands(Vec<Var>, Error),
    Error(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Error(error)
    }
}

/// Lowers a nested program. The argument with each number may be given to the whole program.
pub(super) type LowerNested<'l> = &'l dyn Fn(Program, &dyn Fn(usize) -> bool) -> Result<KernelProgram, Error>;

/// Lowers a program: each equation whose result is stored becomes a step.
pub(super) fn lower_steps(
    program: &Program,
    fusion: &Fusion,
    lower_nested: LowerNested<'_>,
) -> Result<Vec<Step>, Refused> {
    let (avals, makers) = (program.avals(), makers_of(program));
    let mut steps = vec![];
    let mut missing: Option<(Vec<Var>, Error)> = None;
    for (i, eqn) in program.eqns.iter().enumerate() {
        let stored: Vec<usize> =
            (0..eqn.outs.len()).filter(|k| fusion.place(eqn.outs[*k].var) == Place::Stored).collect();
        // An equation without outputs has an effect.
        if stored.is_empty() && !eqn.outs.is_empty() {
            continue;
        }
        if let Some(control) = eqn.prim.control(&eqn.params) {
            let nested = control.programs().into_iter().enumerate().map(|(i, program)| {
                let is_given = |arg| segments::given_operand(fusion, eqn, &control, (i, arg)).is_some();
                within_facts_of(program, || lower_nested(Program::clone(program), &is_given))
            });
            let nested = nested.collect::<Result<_, Error>>()?;
            steps.push(Step::Control(Box::new(ControlStep { eqn: eqn.clone(), control, nested })));
            continue;
        }
        let lowered = if eqn.prim.kind() == Kind::Opaque {
            None
        } else {
            let mut lowering = Lowering::new(program, &avals, &makers, fusion);
            match lowering.kernel(i, &stored, steps.len()) {
                Ok(kernel) => Some(verified(kernel, eqn)?),
                Err(_) => None,
            }
        };
        match lowered {
            Some(kernel) => steps.push(Step::Kernel(kernel, eqn.location)),
            None => {
                let operands = eqn.ins.iter().filter_map(|atom| atom.var());
                let operands: Vec<Var> = operands.filter(|var| fusion.place(*var) == Place::Inline).collect();
                if let Some(var) = operands.first() {
                    let error = || {
                        Error::Unsupported(format!(
                            "{}: has no kernel, and its operand {var} is not stored\n  at {}",
                            eqn.prim.name(),
                            eqn.location
                        ))
                    };
                    missing.get_or_insert_with(|| (vec![], error())).0.extend(operands);
                }
                steps.push(Step::Eval(eqn.clone()));
            }
        }
    }
    match missing {
        Some((vars, error)) => Err(Refused::Operands(vars, error)),
        None => Ok(steps),
    }
}

/// The kernel that an equation's rule made, if it is well formed.
fn verified(kernel: Kernel, eqn: &Eqn) -> Result<Kernel, Error> {
    let wrong =
        |error| Error::Verify(format!("{error}\n  by the rule `lower` of {}\n  at {}", eqn.prim.name(), eqn.location));
    verify_kernel(&kernel).map_err(wrong)?;
    Ok(kernel.without_dead())
}
