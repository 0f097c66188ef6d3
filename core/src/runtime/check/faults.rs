//! Mistakes planted in a plan, to test that the checker finds them.

use crate::kernel::{Group, KernelProgram, Space, Step};
use crate::runtime::check::program::memory_of;
use crate::runtime::plan::Plan;
use crate::runtime::plan::groups::GroupWork;
use crate::runtime::plan::placed::Buffers;
use crate::runtime::plan::work::Work;

/// A mistake that a planner could make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlanFault {
    /// An array shares memory with another that is still read.
    SharedPlace,
    /// An array starts a line early, within its neighbour.
    EarlyPlace,
    /// The arena ends before its last array does.
    ShortArena,
    /// A result takes over an argument that is read after the result is written, or at other elements.
    GivenTooEarly,
    /// Two results take over one argument.
    GivenTwice,
    /// A result is an argument unchanged, and the argument is donated.
    GivenResult,
    /// An alias lies elsewhere than its array.
    LostAlias,
    /// A result lies in the arena, which the next run overwrites.
    ResultInArena,
    /// Two groups run as one, chunk of rows by chunk of rows.
    GroupTooWide,
    /// An array that threads keep chunk by chunk is read after its group.
    ChunkOutlived,
    /// A step is left out.
    StepLeftOut,
    /// The memory of a loop or a branch is another array's, too.
    NestedPlace,
    /// A nested program's memory is also that of a carry.
    NestedArena,
    /// A carry is updated in place although it is read after it is written.
    CarryInPlace,
}

impl PlanFault {
    /// All mistakes.
    pub const ALL: [PlanFault; 14] = [
        PlanFault::SharedPlace,
        PlanFault::EarlyPlace,
        PlanFault::ShortArena,
        PlanFault::GivenTooEarly,
        PlanFault::GivenTwice,
        PlanFault::GivenResult,
        PlanFault::LostAlias,
        PlanFault::ResultInArena,
        PlanFault::GroupTooWide,
        PlanFault::ChunkOutlived,
        PlanFault::StepLeftOut,
        PlanFault::NestedPlace,
        PlanFault::NestedArena,
        PlanFault::CarryInPlace,
    ];
}

/// Plants a mistake at the `at`th possible place; returns `false` if there are fewer.
pub(in crate::runtime) fn plant(fault: PlanFault, at: usize, lowered: &mut KernelProgram, plan: &mut Plan) -> bool {
    planted(fault, at, lowered, plan).is_some()
}

fn planted(fault: PlanFault, at: usize, lowered: &mut KernelProgram, plan: &mut Plan) -> Option<()> {
    let arena: Vec<(usize, usize)> = plan
        .planned
        .iter()
        .filter_map(|planned| match planned.buffer {
            Buffers::Arena(place) => Some((planned.var.index(), place)),
            _ => None,
        })
        .collect();
    match fault {
        PlanFault::SharedPlace => {
            // Each array on each other array.
            let (var, place) = *arena.get(at / arena.len().max(1))?;
            let (other, there) = arena[at % arena.len()];
            if var == other || place == there {
                return planted(fault, at + 1, lowered, plan);
            }
            plan.buffers[var] = Some(Buffers::Arena(there));
        }
        PlanFault::EarlyPlace => {
            let (var, place) = *arena.iter().filter(|(_, place)| *place >= 64).nth(at)?;
            plan.buffers[var] = Some(Buffers::Arena(place - 64));
        }
        PlanFault::ShortArena => {
            arena.get(at)?;
            plan.arena_bytes = plan.arena_bytes.checked_sub(64 * (at + 1))?;
        }
        PlanFault::GivenTooEarly | PlanFault::GivenTwice => {
            let (outs, args) = (plan.donors.len(), lowered.program.args.len());
            let (out, arg) = (at.checked_div(args)?, at % args);
            if out >= outs {
                return None;
            }
            let is_taken = plan.donors.contains(&Some(arg));
            let is_written = plan.planned.iter().any(|planned| planned.buffer == Buffers::Out(out));
            if !is_written || plan.donors[out].is_some() || is_taken != (fault == PlanFault::GivenTwice) {
                return planted(fault, at + 1, lowered, plan);
            }
            plan.donors[out] = Some(arg);
        }
        PlanFault::GivenResult => {
            let is_result = |arg: usize| {
                let var = lowered.program.args[arg].var;
                lowered.program.outs.iter().filter_map(|out| out.var()).any(|out| memory_of(lowered, out) == var)
            };
            let arg = (0..lowered.program.args.len()).filter(|arg| is_result(*arg)).nth(at)?;
            let out = plan.planned.iter().find_map(|planned| match planned.buffer {
                Buffers::Out(out) => Some(out),
                _ => None,
            })?;
            plan.donors[out] = Some(arg);
        }
        PlanFault::LostAlias => {
            let aliases = (0..plan.buffers.len()).filter(|index| {
                let var = crate::ir::Var(*index as u32);
                plan.buffers[*index].is_some() && *index < lowered.program.n_var() && memory_of(lowered, var) != var
            });
            let index = aliases.into_iter().nth(at)?;
            plan.buffers[index] = Some(Buffers::Arena(plan.arena_bytes.saturating_sub(64)));
        }
        PlanFault::ResultInArena => {
            let mut results = plan.planned.iter_mut().filter(|planned| matches!(planned.buffer, Buffers::Out(_)));
            let var = results.nth(at)?.var;
            plan.buffers[var.index()] = Some(Buffers::Arena(0));
        }
        PlanFault::GroupTooWide => {
            let is_rows = |i: usize| matches!(plan.groups.get(i), Some(GroupWork::Rows(_)));
            let first = (0..plan.groups.len()).filter(|i| is_rows(*i) && is_rows(i + 1)).nth(at)?;
            let Group { steps, space: Space::Rows { parts: more, .. } } = lowered.groups.remove(first + 1) else {
                return None;
            };
            let Group { steps: own, space: Space::Rows { parts, .. } } = &mut lowered.groups[first] else {
                return None;
            };
            own.end = steps.end;
            parts.extend(more);
            plan.groups.remove(first + 1);
            let GroupWork::Rows(rows) = &mut plan.groups[first] else { return None };
            rows.steps.end = steps.end;
        }
        PlanFault::ChunkOutlived => {
            let written = |step: &Step| step.writes();
            let var = lowered.steps.iter().flat_map(written).nth(at)?;
            if matches!(plan.buffers[var.index()], Some(Buffers::Chunk(_))) {
                return planted(fault, at + 1, lowered, plan);
            }
            plan.buffers[var.index()] = Some(Buffers::Chunk(0));
        }
        PlanFault::StepLeftOut => {
            if at >= plan.groups.len() {
                return None;
            }
            match &mut plan.groups[at] {
                GroupWork::Each(range) => range.end -= 1,
                GroupWork::Rows(rows) => rows.steps.end -= 1,
            }
        }
        PlanFault::NestedPlace => {
            let mut loops = plan.work.iter_mut().filter_map(|work| match work {
                Work::Control(control, place) if control.bytes > 0 => Some(place),
                _ => None,
            });
            let place = loops.nth(at.checked_div(arena.len())?)?;
            *place = arena[at % arena.len()].1;
        }
        PlanFault::NestedArena | PlanFault::CarryInPlace => {
            let mut loops = plan.work.iter_mut().filter_map(|work| match work {
                Work::Control(control, _) => Some(control),
                _ => None,
            });
            let control = loops.nth(at)?;
            if fault == PlanFault::NestedArena { control.plant_arena() } else { control.plant_in_place() }
        }
    }
    Some(())
}
