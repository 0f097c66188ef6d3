//! From a program and the choice of what is stored to kernels: one for each stored result.

use crate::error::Error;
use crate::ir::{Control, Eqn, Kind, Location, Program, Var, with_facts_of, within_facts_of};
use crate::kernel::barrier::drop_barriers;
use crate::kernel::group::{Group, group};
use crate::kernel::merge::merge;
use crate::kernel::places::choose_places_within;
use crate::kernel::rules::{Lowering, makers_of};
use crate::kernel::{Composed, Kernel, Segmented, segments, verify_kernel};
use crate::pass::fuse::{Fusion, Place};
use std::collections::HashMap;

/// One step of a compiled program, in order.
#[derive(Clone, Debug)]
pub enum Step {
    /// Runs a kernel; the place is the user's line of its root.
    Kernel(Kernel, Location),
    /// Runs an equation through its primitive's `eval`.
    Eval(Eqn),
    /// Runs nested programs.
    Control(Box<ControlStep>),
}

/// A loop or a branch, its nested programs lowered.
#[derive(Clone, Debug)]
pub struct ControlStep {
    /// The equation.
    pub eqn: Eqn,
    /// How the nested programs run.
    pub control: Control,
    /// The nested programs, in the order of [`Control::programs`].
    pub nested: Vec<Lowered>,
}

/// A program with the choice of what is stored, and its steps.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The program.
    pub program: Program,
    /// What is stored.
    pub fusion: Fusion,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The groups of the steps, in order: each step is in one.
    pub groups: Vec<Group>,
    /// Index arrays that are put together before the program runs; none unless [`Lowered::compose`] looks for them.
    pub composed: Vec<Composed>,
    /// Segments that must be checked before the program runs.
    pub segments: Vec<Segmented>,
}

impl Lowered {
    /// Drops barriers, fuses, lowers and groups a program, and merges kernels within groups. Kernels read within their
    /// arrays, or check that they do.
    ///
    /// # Errors
    /// Where a primitive's rule makes no well-formed kernel, or an operation can't be lowered.
    pub fn new(program: Program) -> Result<Lowered, Error> {
        let Program { name, args, consts, facts, .. } = &program;
        let (name, args, consts, facts) = (name.clone(), args.clone(), consts.clone(), facts.clone());
        let head = Program { name, args, consts, eqns: vec![], outs: vec![], facts };
        with_facts_of(&head, || Lowered::within(program, &|_| true))
    }

    /// [`Lowered::new`] of a program whose facts are in force, maybe one within another one. The argument of each number may be
    /// given to the whole program, so that it is the same whenever this one runs.
    fn within(program: Program, is_given: &dyn Fn(usize) -> bool) -> Result<Lowered, Error> {
        let (program, behind) = drop_barriers(program);
        let mut stored = HashMap::new();
        let (fusion, steps) = loop {
            let fusion = choose_places_within(&program, is_given, &mut stored);
            match lower_steps(&program, &fusion) {
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
        let (steps, groups) = group(&program, &fusion, steps, &behind);
        let (steps, groups) = merge(&program, &fusion, steps, groups);
        let steps = steps.into_iter().map(Step::with_checks).collect();
        let mut lowered = Lowered { program, fusion, steps, groups, composed: vec![], segments: vec![] };
        lowered.find_segments();
        Ok(lowered)
    }

    /// Checks every kernel, those of loops and branches too, as [`verify_kernel`] does.
    pub fn verify(&self) -> Result<(), Error> {
        self.steps.iter().try_for_each(|step| match step {
            Step::Kernel(kernel, _) => verify_kernel(kernel),
            Step::Control(step) => step.nested.iter().try_for_each(Lowered::verify),
            Step::Eval(_) => Ok(()),
        })
    }

    /// The number of groups in which something runs; a loop or a branch counts as those within it.
    pub fn n_group(&self) -> usize {
        let count = |group: &Group| match &self.steps[group.steps.start] {
            Step::Control(step) => step.nested.iter().map(Lowered::n_group).sum(),
            Step::Kernel(..) | Step::Eval(_) => 1,
        };
        self.groups.iter().map(count).sum()
    }
}

impl Step {
    /// The step with a check of each position that its kernel may read outside of an array.
    fn with_checks(self) -> Step {
        match self {
            Step::Kernel(kernel, location) => Step::Kernel(kernel.with_checks(), location),
            other => other,
        }
    }

    /// The kernel's name, or the primitive's.
    pub fn name(&self) -> &str {
        match self {
            Step::Kernel(kernel, _) => &kernel.name,
            Step::Eval(eqn) => eqn.prim.name(),
            Step::Control(step) => step.eqn.prim.name(),
        }
    }

    /// The variables that it reads.
    pub fn reads(&self) -> Vec<Var> {
        match self {
            Step::Kernel(kernel, _) => kernel.inputs.iter().map(|(var, _)| *var).collect(),
            Step::Eval(eqn) => eqn.ins.iter().filter_map(|atom| atom.var()).collect(),
            Step::Control(step) => step.eqn.ins.iter().filter_map(|atom| atom.var()).collect(),
        }
    }

    /// The variables that it writes.
    pub fn writes(&self) -> Vec<Var> {
        match self {
            Step::Kernel(kernel, _) => kernel.outputs.iter().map(|(var, _)| *var).collect(),
            Step::Eval(eqn) => eqn.outs.iter().map(|binder| binder.var).collect(),
            Step::Control(step) => step.eqn.outs.iter().map(|binder| binder.var).collect(),
        }
    }
}

/// Why a program is not lowered.
enum Refused {
    /// These must be in memory: what reads them has no kernel without that. The error says so to users.
    Operands(Vec<Var>, Error),
    Error(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Error(error)
    }
}

/// Why an operand is stored.
const READ_BY_STEP: &str = "read by a step that needs memory";

/// Lowers a program: each equation whose result is stored becomes a step.
pub fn lower_program(program: &Program, fusion: &Fusion) -> Result<Vec<Step>, Error> {
    lower_steps(program, fusion).map_err(|refused| match refused {
        Refused::Operands(_, error) | Refused::Error(error) => error,
    })
}

fn lower_steps(program: &Program, fusion: &Fusion) -> Result<Vec<Step>, Refused> {
    let (avals, makers) = (program.avals(), makers_of(program));
    let mut steps = vec![];
    let mut missing: Option<(Vec<Var>, Error)> = None;
    for (i, eqn) in program.eqns.iter().enumerate() {
        let stored: Vec<usize> =
            (0..eqn.outs.len()).filter(|k| fusion.place(eqn.outs[*k].var) == Place::Stored).collect();
        // An equation without outputs is there for its effect.
        if stored.is_empty() && !eqn.outs.is_empty() {
            continue;
        }
        if let Some(control) = eqn.prim.control(&eqn.params) {
            let nested = control.programs().into_iter().enumerate().map(|(i, program)| {
                let is_given = |arg| segments::given_operand(fusion, eqn, &control, (i, arg)).is_some();
                within_facts_of(program, || Lowered::within(Program::clone(program), &is_given))
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

/// A kernel that an equation's rule made, if it is well formed.
fn verified(kernel: Kernel, eqn: &Eqn) -> Result<Kernel, Error> {
    let wrong =
        |error| Error::Verify(format!("{error}\n  by the rule `lower` of {}\n  at {}", eqn.prim.name(), eqn.location));
    verify_kernel(&kernel).map_err(wrong)?;
    Ok(kernel.without_dead())
}
