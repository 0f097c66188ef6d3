//! The memory plan: where every stored array is, fixed before the run.

use crate::aval::{Aval, Sizes};
use crate::codegen::portable::TileKernel;
use crate::codegen::x86::Code;
use crate::device::ALIGN;
use crate::error::Error;
use crate::ir::{Atom, Index, Program, Scalar, Var, atom_aval};
use crate::kernel::{Instr, LoopKind, Lowered, Part, Step};
use crate::pass::fuse::{Fusion, Place};
use crate::runtime::arena::Arena;
use crate::runtime::control::{ControlPlan, carry_operand};
use crate::runtime::machine::{MachineWork, StepCode};
use crate::runtime::product::ProductWork;
use crate::runtime::rows::GroupWork;
use crate::runtime::sizes;
use crate::runtime::worth::{self, Nanos, Sharing};
use std::collections::HashMap;
use std::ops::Range;

/// Where an array's memory comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Buffers {
    /// An argument, by number.
    Arg(usize),
    /// A captured constant, by number; behind these, an array that is put together once for each graph.
    Const(usize),
    /// The arena, from this byte.
    Arena(usize),
    /// The memory of a result, by number.
    Out(usize),
    /// A thread's own memory for the chunk of rows at hand: array `k` of its group's.
    Chunk(usize),
}

/// One array of the plan.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) var: Var,
    pub(super) aval: Aval,
    pub(super) buffer: Buffers,
    /// The step that writes it and the last one that reads it.
    pub(super) life: (usize, usize),
}

/// What a program's steps are compiled to.
#[derive(Clone, Copy)]
pub(super) enum Codes<'c> {
    /// The functions of the processor, and which of them each step is.
    Here(&'c [Code], &'c [StepCode]),
    /// Code of another device.
    Elsewhere,
}

/// A step made ready for the sizes of a plan.
#[derive(Debug)]
pub(super) enum Work {
    /// A kernel on the portable target.
    Tiles(Box<TileKernel>),
    /// A kernel as machine code.
    Machine(Box<MachineWork>),
    /// A kernel that is a large dense product.
    Product(Box<ProductWork>),
    /// The step runs on a device that makes it ready itself.
    Elsewhere,
    /// Nothing is to be made ready for an equation that runs through `eval`.
    Eval,
    /// A loop or a branch; its own memory begins at this byte of the arena.
    Control(ControlPlan, usize),
}

impl<'c> Codes<'c> {
    /// The codes of nested program `i` of step `step`.
    pub(super) fn nested(self, step: usize, i: usize) -> Codes<'c> {
        match self {
            Codes::Elsewhere => Codes::Elsewhere,
            Codes::Here(codes, steps) => match steps.get(step) {
                Some(StepCode::Nested(nested)) => Codes::Here(codes, &nested[i]),
                _ => Codes::Here(codes, &[]),
            },
        }
    }
}

impl Work {
    fn new(step: &Step, all: Codes<'_>, i: usize, sizes: &Sizes) -> Result<Work, Error> {
        if let Step::Control(step) = step {
            return Ok(Work::Control(ControlPlan::new(step, all, i, sizes)?, 0));
        }
        let Codes::Here(codes, steps) = all else { return Ok(Work::Elsewhere) };
        let code = steps.get(i);
        // Without code for any step this is the portable target, which adds every sum in its own order.
        if let (Step::Kernel(kernel, _), Some(_)) = (step, code)
            && let Some(product) = ProductWork::new(kernel, sizes)
        {
            return Ok(Work::Product(Box::new(product)));
        }
        if let (Step::Kernel(kernel, _), Some(StepCode::Function(i))) = (step, code)
            && let Some(work) = MachineWork::new(kernel, &codes[*i], *i, sizes)
        {
            return Ok(Work::Machine(Box::new(work)));
        }
        Ok(match step {
            Step::Kernel(kernel, _) => Work::Tiles(Box::new(TileKernel::new(kernel, sizes)?)),
            Step::Eval(_) | Step::Control(_) => Work::Eval,
        })
    }
}

/// Everything about a run that depends on the sizes of symbols.
#[derive(Debug)]
pub struct Plan {
    pub(super) sizes: Sizes,
    /// For each step, what it runs.
    pub(super) work: Vec<Work>,
    /// For each step, what it takes on one thread, about.
    pub(super) nanos: Vec<Nanos>,
    /// How groups of steps run.
    pub(super) groups: Vec<GroupWork>,
    /// For each variable that has memory, where.
    pub(super) buffers: Vec<Option<Buffers>>,
    pub(super) planned: Vec<Planned>,
    /// The type of every variable.
    pub(super) avals: Vec<Aval>,
    /// The type of each result.
    pub(super) outs: Vec<Aval>,
    /// For each result, an argument whose memory it may take over.
    pub(super) donors: Vec<Option<usize>>,
    pub(super) arena_bytes: usize,
    pub(super) partial_bytes: usize,
    pub(super) out_bytes: usize,
    /// What each thread has of its own.
    pub(super) own: OwnBytes,
}

/// The memory that each thread has of its own, in bytes.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct OwnBytes {
    /// Arrays of the chunk of rows at hand, unless a row is very long.
    pub(super) chunk: usize,
    /// Tiles.
    pub(super) scratch: usize,
}

impl OwnBytes {
    fn max(self, other: OwnBytes) -> OwnBytes {
        OwnBytes { chunk: self.chunk.max(other.chunk), scratch: self.scratch.max(other.scratch) }
    }
}

impl Plan {
    /// Plans a run for these sizes. Result `o` may take over the memory of argument `a` where `may_take(o, a)`.
    pub(super) fn new(
        lowered: &Lowered,
        codes: Codes<'_>,
        sizes: &Sizes,
        may_take: &dyn Fn(usize, usize) -> bool,
    ) -> Result<Plan, Error> {
        let Lowered { program, fusion, steps, groups, composed, .. } = lowered;
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
        plan.nanos = steps.iter().zip(&plan.work).map(|(step, work)| worth::of_step(step, work, sizes)).collect();
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

    /// What these steps take on one thread, about.
    pub(super) fn nanos_of(&self, steps: Range<usize>) -> Nanos {
        self.nanos[steps].iter().fold(0, |sum, nanos| sum.saturating_add(*nanos))
    }

    /// What a run takes on one thread, about; of what only that thread can do not all is counted.
    pub(super) fn whole_nanos(&self) -> Nanos {
        self.nanos_of(0..self.nanos.len())
    }

    /// Whether a run has work for another thread.
    pub(super) fn is_shared(&self, sharing: Sharing) -> bool {
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
        // For each step the pieces that are free behind it: place and bytes.
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

    /// For each step those that run in turns with it, itself included: what one of them reads or writes is in use as long
    /// as any of them runs.
    fn together(&self, n: usize) -> Vec<Range<usize>> {
        let mut together: Vec<Range<usize>> = (0..n).map(|step| step..step + 1).collect();
        for group in &self.groups {
            if let GroupWork::Rows(rows) = group {
                together[rows.steps.clone()].fill(rows.steps.clone());
            }
        }
        together
    }

    /// A result may be written into an argument of its type that nothing reads any more.
    fn find_donors(&mut self, lowered: &Lowered, avals: &[Aval], may_take: &dyn Fn(usize, usize) -> bool) {
        let Lowered { program, fusion, steps, .. } = lowered;
        let last_reads = last_reads(fusion, steps, avals.len());
        let mut given = vec![false; program.args.len()];
        for var in program.outs.iter().filter_map(|out| out.var()) {
            if let Some(Buffers::Arg(i)) = self.buffers[fusion.memory(var).index()] {
                given[i] = true;
            }
        }
        let together = self.together(steps.len());
        let mut made = vec![0; avals.len()];
        let mut readers: Vec<Vec<usize>> = vec![vec![]; avals.len()];
        for (i, step) in steps.iter().enumerate() {
            step.writes().into_iter().for_each(|var| made[var.index()] = i);
            step.reads().into_iter().for_each(|var| readers[fusion.memory(var).index()].push(i));
        }
        let parts = self.parts(steps.len());
        let mut of_type: HashMap<&Aval, Vec<usize>> = HashMap::new();
        for (i, arg) in program.args.iter().enumerate() {
            of_type.entry(&avals[arg.var.index()]).or_default().push(i);
        }
        let planned: Vec<(Var, Buffers, usize)> =
            self.planned.iter().map(|p| (p.var, p.buffer, made[p.var.index()])).collect();
        for (var, buffer, step) in planned {
            let Buffers::Out(out) = buffer else { continue };
            let fits = |i: &usize| {
                let arg = program.args[*i].var;
                let within = || readers[arg.index()].iter().filter(|i| (together[step].start..step).contains(i));
                may_take(out, *i)
                    && match last_reads[arg.index()] {
                        None => true,
                        Some(last) if last < together[step].start => true,
                        // Within a group only rows are read that are written later, or the very element.
                        Some(last) => {
                            last <= step
                                && within().all(|i| {
                                    parts[*i].is_some()
                                        && parts[*i] == parts[step]
                                        && reads_own_rows(&steps[*i], arg, fusion)
                                })
                                && (last < step || reads_in_place(&steps[step], arg, var, fusion))
                        }
                    }
            };
            let free = of_type.get_mut(&avals[var.index()]);
            let Some(free) = free else { continue };
            free.retain(|i| !given[*i]);
            if let Some(i) = free.iter().copied().find(fits) {
                given[i] = true;
                self.donors[out] = Some(i);
            }
        }
    }

    /// How each step of a group that goes through its rows goes over them.
    fn parts(&self, n: usize) -> Vec<Option<Part>> {
        let mut parts = vec![None; n];
        for group in &self.groups {
            if let GroupWork::Rows(rows) = group {
                rows.steps.clone().for_each(|step| parts[step] = rows.part(step));
            }
        }
        parts
    }
}

/// Whether a step reads `arg` only at the element that it writes, or only as the first value of the carry `out`.
fn reads_in_place(step: &Step, arg: Var, out: Var, fusion: &Fusion) -> bool {
    let kernel = match step {
        Step::Kernel(kernel, _) => kernel,
        Step::Eval(_) => return false,
        Step::Control(step) => {
            let reads = |atom: &Atom| atom.var().is_some_and(|var| fusion.memory(var) == arg);
            let first = step.eqn.outs.iter().position(|binder| binder.var == out);
            let first = first.and_then(|out| carry_operand(&step.control, out));
            let read: Vec<usize> = (0..step.eqn.ins.len()).filter(|i| reads(&step.eqn.ins[*i])).collect();
            return first.is_some_and(|first| read == [first]);
        }
    };
    // All results of a point are made before one is written, but one that is the argument itself may be read later.
    let is_arg = |scalar: &Scalar| match &kernel.body[scalar.0 as usize] {
        Instr::Load(input, _) => fusion.memory(kernel.inputs[*input as usize].0) == arg,
        _ => false,
    };
    let mut others = kernel.outputs.iter().zip(&kernel.results).filter(|((var, _), _)| *var != out);
    kernel.reads_here(arg, fusion) && !others.any(|(_, scalar)| is_arg(scalar))
}

/// Whether a step reads `arg` only at the row that it stands at: its first row loop is the first axis of both.
fn reads_own_rows(step: &Step, arg: Var, fusion: &Fusion) -> bool {
    let Step::Kernel(kernel, _) = step else { return false };
    let is_row = |index: &Index| match index {
        Index::Affine { constant, terms } => {
            *constant == 0usize && terms.len() == 1 && terms[0].0 == 0 && terms[0].1 == 1usize
        }
        Index::Value(_) => false,
    };
    kernel.inputs.iter().enumerate().filter(|(_, (var, _))| fusion.memory(*var) == arg).all(|(input, (var, _))| {
        let loads = kernel.body.iter().filter_map(|instr| match instr {
            Instr::Load(i, index) if *i as usize == input => Some(index),
            _ => None,
        });
        let named = kernel
            .loops
            .iter()
            .any(|l| matches!(l.kind, LoopKind::Segment { offsets, .. } if offsets as usize == input));
        *var == arg && !named && kernel.n_row() > 0 && loads.into_iter().all(|index| index.first().is_some_and(is_row))
    })
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

/// Bytes of an array of a plan, to the next multiple of [`ALIGN`]: [`sizes::check`] has looked at its extents.
pub(super) fn bytes_of(aval: &Aval) -> usize {
    aval.bytes().unwrap_or(0).next_multiple_of(ALIGN)
}
