//! Groups: steps that run together, with a barrier only after all of them.
//!
//! A kernel that runs for a range of one of its loops can be followed at once by another that reads only what this
//! range made. So a thread may take some rows, run every kernel of a group on them, and take the next rows: what passes
//! from kernel to kernel stays in the cache, and nobody waits. `reach` decides what a kernel may read of its own group,
//! `steps` what a step is, `trial` in which ways a group takes a step in, and `schedule` which steps run together.

mod explain;
mod late;
mod reach;
mod schedule;
mod steps;
mod trial;

pub use explain::Why;

use crate::ir::{Program, Var};
use crate::kernel::fuse::Fusion;
use crate::kernel::{Group, Space, Step};
use rustc_hash::FxHashSet;

/// Groups the steps of a program: the steps in the order in which they run from now on, and the groups. The order is
/// topological, and steps with an effect keep their order. `late` says for each equation after which others it should
/// run.
pub fn group(program: &Program, fusion: &Fusion, steps: Vec<Step>, late: &[Vec<usize>]) -> (Vec<Step>, Vec<Group>) {
    let open = schedule::schedule(program, fusion, &steps, late);
    let mut taken: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    let (mut steps, mut groups) = (Vec::with_capacity(taken.len()), Vec::with_capacity(open.len()));
    for one in open {
        let start = steps.len();
        steps.extend(one.steps.iter().filter_map(|(step, _)| taken[*step].take()));
        let parts = one.steps.iter().map(|(_, part)| *part).collect();
        let space = match one.split {
            trial::Split::Alone => Space::Alone,
            trial::Split::Serial => Space::Serial,
            trial::Split::Rows { extent, members } => Space::Rows { extent, members, parts, local: vec![] },
        };
        groups.push(Group { steps: start..steps.len(), space });
    }
    debug_assert!(is_ordered(fusion, &steps), "a step reads what a later one makes");
    find_local(program, fusion, &steps, &mut groups);
    (steps, groups)
}

/// Whether no step reads what it or a later step makes.
fn is_ordered(fusion: &Fusion, steps: &[Step]) -> bool {
    let mut later: FxHashSet<Var> = FxHashSet::default();
    steps.iter().rev().all(|step| {
        later.extend(step.writes());
        step.reads().into_iter().all(|var| !later.contains(&fusion.memory(var)))
    })
}

/// Finds the arrays that are local to each group.
pub(super) fn find_local(program: &Program, fusion: &Fusion, steps: &[Step], groups: &mut [Group]) {
    let results: FxHashSet<Var> =
        program.outs.iter().filter_map(|out| out.var()).map(|var| fusion.memory(var)).collect();
    // The first and the last step that reads each variable's memory: it is local if both are in its group.
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
