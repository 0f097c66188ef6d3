//! The memory plan: the place of every stored array, fixed before the run.

mod arena;
pub(in crate::runtime) mod control;
mod donation;
pub(in crate::runtime) mod frame;
pub(in crate::runtime) mod groups;
pub(in crate::runtime) mod placed;
mod sizes;
pub(in crate::runtime) mod work;

use crate::aval::{Aval, Sizes};
use crate::error::Error;
use crate::ir::{Program, atom_aval};
use crate::kernel::fuse::{Fusion, Place};
use crate::kernel::{KernelProgram, Step};
use crate::runtime::plan::arena::Arena;
use crate::runtime::plan::groups::GroupWork;
use crate::runtime::plan::placed::{Buffers, OwnBytes, Planned, bytes_of};
use crate::runtime::plan::work::{Codes, Work, of_step};
use crate::runtime::threads::worth::{Nanos, Sharing};
use std::ops::Range;

/// Everything about a run that depends on the sizes of symbols.
#[derive(Debug)]
pub struct Plan {
    pub(in crate::runtime) sizes: Sizes,
    /// The work of each step.
    pub(in crate::runtime) work: Vec<Work>,
    /// About how long each step takes on one thread.
    pub(in crate::runtime) nanos: Vec<Nanos>,
    /// How groups of steps run.
    pub(in crate::runtime) groups: Vec<GroupWork>,
    /// The place of each variable that has memory.
    pub(in crate::runtime) buffers: Vec<Option<Buffers>>,
    pub(in crate::runtime) planned: Vec<Planned>,
    /// The type of every variable.
    pub(in crate::runtime) avals: Vec<Aval>,
    /// The type of each result.
    pub(in crate::runtime) outs: Vec<Aval>,
    /// For each result, an argument whose memory it may take over.
    pub(in crate::runtime) donors: Vec<Option<usize>>,
    pub(in crate::runtime) arena_bytes: usize,
    pub(in crate::runtime) partial_bytes: usize,
    pub(in crate::runtime) out_bytes: usize,
    /// The memory of each thread.
    pub(in crate::runtime) own: OwnBytes,
}

impl Plan {
    /// Plans a run for these sizes. Result `o` may take over the memory of argument `a` where `may_take(o, a)`.
    pub(in crate::runtime) fn new(
        lowered: &KernelProgram,
        codes: Codes<'_>,
        sizes: &Sizes,
        may_take: &dyn Fn(usize, usize) -> bool,
    ) -> Result<Plan, Error> {
        let KernelProgram { program, fusion, steps, groups, composed, .. } = lowered;
        let mut avals = program.avals_at(sizes);
        sizes::check(lowered, &avals, sizes)?;
        avals.extend(composed.iter().map(|composed| composed.aval.at(sizes)));
        let mut plan = Plan {
            sizes: sizes.clone(),
            work: steps
                .iter()
                .enumerate()
                .map(|(i, step)| Work::new(step, codes, i, sizes))
                .collect::<Result<_, _>>()?,
            nanos: vec![],
            groups: vec![],
            buffers: vec![None; avals.len()],
            planned: vec![],
            avals: vec![],
            outs: program.outs.iter().map(|atom| atom_aval(*atom, &avals)).collect(),
            donors: vec![None; program.outs.len()],
            arena_bytes: 0,
            partial_bytes: 0,
            out_bytes: 0,
            own: OwnBytes::default(),
        };
        plan.nanos = steps.iter().zip(&plan.work).map(|(step, work)| of_step(step, work, sizes)).collect();
        let of_control =
            plan.work.iter().map(|work| if let Work::Control(control, _) = work { control.bytes } else { 0 });
        let written = steps.iter().flat_map(Step::writes).map(|var| bytes_of(&avals[var.index()]));
        sizes::sum(program, written.chain(of_control))?;
        let partial = |work: &Work| match work {
            Work::Tiles(tiles) => tiles.partial_bytes(),
            Work::Product(product) => product.partial_bytes(),
            Work::Machine(_) | Work::Elsewhere | Work::Eval | Work::Control(..) => 0,
        };
        plan.partial_bytes = plan.work.iter().map(partial).max().unwrap_or(0);
        let new_group = |group| GroupWork::new(group, steps, &plan.work, &avals, sizes);
        plan.groups = groups.iter().map(new_group).collect();
        for group in &plan.groups {
            if let GroupWork::Rows(rows) = group {
                for (k, var) in rows.local_vars().enumerate() {
                    plan.buffers[var.index()] = Some(Buffers::Chunk(k));
                }
            }
        }
        let of_groups = plan.groups.iter().map(GroupWork::partial_bytes).max().unwrap_or(0);
        plan.partial_bytes = plan.partial_bytes.max(of_groups);
        plan.own = plan.own_bytes();
        for (k, composed) in composed.iter().enumerate() {
            plan.buffers[composed.var.index()] = Some(Buffers::Const(program.consts.len() + k));
        }
        plan.place(program, fusion, steps, &avals);
        for group in &mut plan.groups {
            if let GroupWork::Rows(rows) = group {
                rows.lay_tables(steps, &plan.work, &plan.buffers);
            }
        }
        plan.find_donors(lowered, &avals, may_take);
        plan.avals = avals;
        Ok(plan)
    }

    /// Bytes of temporary and of result memory.
    pub fn bytes(&self) -> usize {
        self.arena_bytes + self.partial_bytes + self.out_bytes
    }

    /// About how long these steps take on one thread.
    pub(in crate::runtime) fn nanos_of(&self, steps: Range<usize>) -> Nanos {
        self.nanos[steps].iter().fold(0, |sum, nanos| sum.saturating_add(*nanos))
    }

    /// About how long a run takes on one thread; work that only that thread can do is not fully counted.
    pub(in crate::runtime) fn whole_nanos(&self) -> Nanos {
        self.nanos_of(0..self.nanos.len())
    }

    /// Whether a run has work for another thread.
    pub(in crate::runtime) fn is_shared(&self, sharing: Sharing) -> bool {
        sharing.wakes(self.whole_nanos()) && self.has_jobs(sharing)
    }

    fn has_jobs(&self, sharing: Sharing) -> bool {
        let is_job = |i: usize| match &self.work[i] {
            Work::Tiles(_) | Work::Product(_) => sharing.threads(self.nanos[i]) > 1,
            Work::Machine(machine) => machine.rows().is_some() && sharing.threads(self.nanos[i]) > 1,
            Work::Control(control, _) => control.nested.iter().any(|plan| plan.has_jobs(sharing)),
            Work::Elsewhere | Work::Eval => false,
        };
        self.groups.iter().any(|group| match group {
            GroupWork::Rows(rows) => sharing.threads(self.nanos_of(rows.steps.clone())) > 1,
            GroupWork::Each(steps) => steps.clone().any(is_job),
        })
    }

    /// Threads use the same memory for every step.
    fn own_bytes(&self) -> OwnBytes {
        let of_work = self.work.iter().map(|work| match work {
            Work::Tiles(tiles) => OwnBytes { scratch: tiles.scratch_bytes(), chunk: 0 },
            Work::Control(control, _) => {
                control.nested.iter().map(|plan| plan.own).fold(OwnBytes::default(), OwnBytes::max)
            }
            _ => OwnBytes::default(),
        });
        let of_groups = self.groups.iter().map(|group| OwnBytes { chunk: group.chunk_bytes(), scratch: 0 });
        of_work.chain(of_groups).fold(OwnBytes::default(), OwnBytes::max)
    }

    fn place(&mut self, program: &Program, fusion: &Fusion, steps: &[Step], avals: &[Aval]) {
        for (i, binder) in program.args.iter().enumerate() {
            self.buffers[binder.var.index()] = Some(Buffers::Arg(i));
        }
        for (i, binder) in program.consts.iter().enumerate() {
            self.buffers[binder.var.index()] = Some(Buffers::Const(i));
        }
        let last_reads = last_reads(fusion, steps, avals.len());
        let mut out_of = vec![None; avals.len()];
        for (i, out) in program.outs.iter().enumerate().rev() {
            if let Some(var) = out.var() {
                out_of[fusion.memory(var).index()] = Some(i);
            }
        }
        let together = self.together(steps.len());
        let mut arena = Arena::default();
        // For each step the pieces that are freed after it: place and bytes.
        let mut ends: Vec<Vec<(usize, usize)>> = vec![vec![]; steps.len()];
        for (step, written) in steps.iter().map(Step::writes).enumerate() {
            if let Work::Control(control, at) = &mut self.work[step] {
                *at = arena.take(control.bytes);
                ends[step].push((*at, control.bytes));
            }
            for var in written {
                let aval = avals[var.index()].clone();
                let bytes = bytes_of(&aval);
                let last = together[last_reads[var.index()].unwrap_or(step)].end - 1;
                let chunk = self.buffers[var.index()].filter(|buffer| matches!(buffer, Buffers::Chunk(_)));
                let buffer = match (out_of[var.index()], chunk) {
                    (_, Some(chunk)) => chunk,
                    (Some(out), None) => {
                        self.out_bytes += bytes;
                        Buffers::Out(out)
                    }
                    (None, None) => {
                        let place = arena.take(bytes);
                        ends[last].push((place, bytes));
                        Buffers::Arena(place)
                    }
                };
                self.buffers[var.index()] = Some(buffer);
                self.planned.push(Planned { var, aval, buffer, life: (together[step].start, last) });
            }
            std::mem::take(&mut ends[step]).into_iter().for_each(|(place, bytes)| arena.give(place, bytes));
        }
        self.arena_bytes = arena.bytes;
        for binder in program.eqns.iter().flat_map(|eqn| &eqn.outs) {
            if let Place::Alias(_) = fusion.place(binder.var) {
                self.buffers[binder.var.index()] = self.buffers[fusion.memory(binder.var).index()];
            }
        }
    }

    /// For each step those that are interleaved with it, including itself: what one of them reads or writes is in use
    /// as long as any of them runs.
    fn together(&self, n: usize) -> Vec<Range<usize>> {
        let mut together: Vec<Range<usize>> = (0..n).map(|step| step..step + 1).collect();
        for group in &self.groups {
            if let GroupWork::Rows(rows) = group {
                together[rows.steps.clone()].fill(rows.steps.clone());
            }
        }
        together
    }
}

/// The last step that reads each variable's memory, by the variable that has the memory.
fn last_reads(fusion: &Fusion, steps: &[Step], n: usize) -> Vec<Option<usize>> {
    let mut last = vec![None; n];
    for (i, step) in steps.iter().enumerate() {
        for var in step.reads() {
            last[fusion.memory(var).index()] = Some(i);
        }
    }
    last
}
