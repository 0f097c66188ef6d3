//! The result of lowering a program: steps, and the groups in which they run.

use crate::aval::{Aval, Dim};
use crate::error::Error;
use crate::ir::{Control, Eqn, Location, Program, Var};
use crate::kernel::fuse::Fusion;
use crate::kernel::{Kernel, verify_kernel};
use std::fmt;
use std::ops::Range;

/// One step of a compiled program, in order.
#[derive(Clone, Debug)]
pub enum Step {
    /// Runs a kernel; the location is the user's line of its root.
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
    pub nested: Vec<KernelProgram>,
}

/// A program with its stored variables and its steps.
#[derive(Clone, Debug)]
pub struct KernelProgram {
    /// The program.
    pub program: Program,
    /// Which variables are stored.
    pub fusion: Fusion,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The groups of the steps, in order: each step is in one.
    pub groups: Vec<Group>,
    /// Index arrays that are composed before the program runs; none until [`KernelProgram::compose`] is called.
    pub composed: Vec<Composed>,
    /// Segments that must be checked before the program runs.
    pub segments: Vec<Segmented>,
}

impl KernelProgram {
    /// Checks every kernel, including those of loops and branches, as [`verify_kernel`] does.
    pub fn verify(&self) -> Result<(), Error> {
        self.steps.iter().try_for_each(|step| match step {
            Step::Kernel(kernel, _) => verify_kernel(kernel),
            Step::Control(step) => step.nested.iter().try_for_each(KernelProgram::verify),
            Step::Eval(_) => Ok(()),
        })
    }

    /// The number of groups that run something; a loop or a branch counts as the groups within it.
    pub fn n_group(&self) -> usize {
        let count = |group: &Group| match &self.steps[group.steps.start] {
            Step::Control(step) => step.nested.iter().map(KernelProgram::n_group).sum(),
            Step::Kernel(..) | Step::Eval(_) => 1,
        };
        self.groups.iter().map(count).sum()
    }
}

impl Step {
    /// The step with a check of each position where its kernel may read outside an array.
    pub(super) fn with_checks(self) -> Step {
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

/// Steps that run together, with a barrier after them only.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// Which steps, in the order in which they run.
    pub steps: Range<usize>,
    /// How the work is split.
    pub space: Space,
}

/// How the work of a group is split.
#[derive(Clone, PartialEq, Debug)]
pub enum Space {
    /// One step that the team or one thread runs by itself: an equation without a kernel, a loop, a branch, a kernel
    /// that fits nowhere.
    Alone,
    /// Small kernels: one thread runs them one after the other.
    Serial,
    /// Each thread takes ranges of the rows, and runs all steps on one range before the next.
    Rows {
        /// How many rows there are.
        extent: Dim,
        /// The members of each row, where a step runs over them.
        members: Option<Members>,
        /// How each step goes over the rows.
        parts: Vec<Part>,
        /// Arrays that only this group's steps read, each at the rows that made them: they need memory only for the
        /// current range. An array that nobody reads may be among them if the last step made it.
        local: Vec<Var>,
    },
}

/// The members of each row: `offsets[r] .. offsets[r+1]` belong to row `r`, in order and without gaps.
#[derive(Clone, PartialEq, Debug)]
pub struct Members {
    /// The row of each member: `i32[extent]`.
    pub ids: Var,
    /// Where the members of each row begin: `i32[rows+1]`.
    pub offsets: Var,
    /// How many there are.
    pub extent: Dim,
}

/// How a kernel goes over the rows of its group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Part {
    /// Row loop 0 runs over the rows. A segment loop over the group's own members may read what the group made.
    Row,
    /// Row loop 0 runs over the members of the rows: positions `offsets[r0] .. offsets[r1]`.
    Member,
    /// This loop, its first reduction, runs over the rows. A range computes a partial result; the partial results are
    /// combined after the group, and only later groups read the result.
    RowReduce(u32),
    /// The same over the members of the rows.
    MemberReduce(u32),
}

impl Part {
    /// The loop that is split.
    pub fn split_loop(self) -> u32 {
        match self {
            Part::Row | Part::Member => 0,
            Part::RowReduce(number) | Part::MemberReduce(number) => number,
        }
    }

    /// Whether a range of rows computes only a partial result.
    pub fn is_partial(self) -> bool {
        matches!(self, Part::RowReduce(_) | Part::MemberReduce(_))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Row => f.write_str("rows"),
            Part::Member => f.write_str("members"),
            Part::RowReduce(number) => write!(f, "rows, reduced by i{number}"),
            Part::MemberReduce(number) => write!(f, "members, reduced by i{number}"),
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Space::Alone => f.write_str("alone"),
            Space::Serial => f.write_str("one thread"),
            Space::Rows { extent, members, local, .. } => {
                write!(f, "rows {extent}")?;
                if let Some(Members { offsets, extent, .. }) = members {
                    write!(f, ", members {extent} by {offsets}")?;
                }
                let names: Vec<String> = local.iter().map(Var::to_string).collect();
                if names.is_empty() { Ok(()) } else { write!(f, ", local {}", names.join(" ")) }
            }
        }
    }
}

/// An index array read at every position that another holds: `of[at[i]]` for each `i`.
#[derive(Clone, Debug)]
pub struct Composed {
    /// The variable that holds it, beyond the program's.
    pub var: Var,
    /// The array that is read: an argument or a constant of the program.
    pub of: Var,
    /// The positions: likewise.
    pub at: Var,
    /// The type of the positions, and so of the result.
    pub aval: Aval,
    /// The first kernel that reads it, and its place in the user's code.
    pub reader: (String, Location),
}

/// Three arrays that must describe the same segments: arguments or constants of a program.
#[derive(Clone, Debug)]
pub struct Segmented {
    /// The segment of each member.
    pub ids: Var,
    /// Where the members of each segment begin.
    pub offsets: Var,
    /// The members, segment by segment; `None` where they count up.
    pub order: Option<Var>,
    /// The first primitive that reads them, and its place in the user's code.
    pub reader: (&'static str, Location),
}

impl Segmented {
    pub(super) fn is_of(&self, other: &Segmented) -> bool {
        (self.ids, self.offsets, self.order) == (other.ids, other.offsets, other.order)
    }
}
