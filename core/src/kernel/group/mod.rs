//! Groups: steps that run together, with a barrier behind all of them only.
//!
//! A kernel that runs for a range of one of its loops can be followed at once by another that reads only what this range
//! made. So a thread may take some rows, run every kernel of a group on them, and take the next rows: what passes from
//! kernel to kernel stays in the cache, and nobody waits. What a kernel may read of its own group is in `reach`; which
//! steps come together, in `schedule`.

mod explain;
mod late;
mod reach;
mod schedule;

pub use explain::Why;

use crate::aval::Dim;
use crate::ir::{Program, Var};
use crate::kernel::Step;
use crate::pass::fuse::Fusion;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

/// Steps that run together, with a barrier behind them only.
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
        /// What belongs to each row, where a step runs over it.
        members: Option<Members>,
        /// How each step goes over the rows.
        parts: Vec<Part>,
        /// Arrays that only this group's steps read, each at the rows that made them: they need no memory beyond
        /// that of the range at hand. The last step alone may have made what nobody reads.
        local: Vec<Var>,
    },
}

/// What belongs to each row: members `offsets[r] .. offsets[r+1]` to row `r`, in order and without gaps.
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
    /// This loop, its first reduction, runs over the rows. A range gives a part of the result; the parts are combined
    /// behind the group, and only later groups read the result.
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

    /// Whether a range of rows gives a part of the result only.
    pub fn is_partial(self) -> bool {
        matches!(self, Part::RowReduce(_) | Part::MemberReduce(_))
    }
}

/// Groups the steps of a program: the steps in the order in which they run from now on, and the groups. The order is
/// topological, and steps that are there for their effect keep theirs. `behind` says for each equation before which others
/// it should not run.
pub fn group(program: &Program, fusion: &Fusion, steps: Vec<Step>, behind: &[Vec<usize>]) -> (Vec<Step>, Vec<Group>) {
    let open = schedule::schedule(program, fusion, &steps, behind);
    let mut taken: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    let (mut steps, mut groups) = (Vec::with_capacity(taken.len()), Vec::with_capacity(open.len()));
    for one in open {
        let start = steps.len();
        steps.extend(one.steps.iter().filter_map(|(step, _)| taken[*step].take()));
        let parts = one.steps.iter().map(|(_, part)| *part).collect();
        let space = match one.split {
            schedule::Split::Alone => Space::Alone,
            schedule::Split::Serial => Space::Serial,
            schedule::Split::Rows { extent, members } => Space::Rows { extent, members, parts, local: vec![] },
        };
        groups.push(Group { steps: start..steps.len(), space });
    }
    debug_assert!(is_ordered(fusion, &steps), "a step reads what a later one makes");
    find_local(program, fusion, &steps, &mut groups);
    (steps, groups)
}

/// Whether no step reads what it or a later one makes.
fn is_ordered(fusion: &Fusion, steps: &[Step]) -> bool {
    let mut later: HashSet<Var> = HashSet::new();
    steps.iter().rev().all(|step| {
        later.extend(step.writes());
        step.reads().into_iter().all(|var| !later.contains(&fusion.memory(var)))
    })
}

/// Finds what lives within each group.
pub(super) fn find_local(program: &Program, fusion: &Fusion, steps: &[Step], groups: &mut [Group]) {
    let results: HashSet<Var> = program.outs.iter().filter_map(|out| out.var()).map(|var| fusion.memory(var)).collect();
    // The first and the last step that reads each variable's memory: it is local where both are in its group.
    let mut readers: Vec<Option<(usize, usize)>> = vec![None; program.n_var()];
    for (i, step) in steps.iter().enumerate() {
        for var in step.reads() {
            let span = readers[fusion.memory(var).index()].get_or_insert((i, i));
            span.1 = i;
        }
    }
    for group in groups {
        let Space::Rows { parts, local, .. } = &mut group.space else { continue };
        let made = steps[group.steps.clone()].iter().zip(parts).filter(|(_, part)| !part.is_partial());
        *local = made.flat_map(|(step, _)| step.writes()).collect();
        local.retain(|var| {
            let within = |(first, last): (usize, usize)| group.steps.contains(&first) && group.steps.contains(&last);
            !results.contains(var) && readers[var.index()].is_none_or(within)
        });
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
