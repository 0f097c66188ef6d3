//! Walks through the steps of a program and of its groups.

use crate::ir::{Atom, Index, Scalar, Var};
use crate::kernel::fuse::Place;
use crate::kernel::{Instr, Kernel, KernelProgram, LoopKind, Members, Part, Space, Step};
use crate::runtime::check::element_bytes;
use crate::runtime::check::memory::{Content, Fault, Memory};
use crate::runtime::plan::Plan;
use crate::runtime::plan::frame::Frame;
use crate::runtime::plan::groups::GroupWork;
use crate::runtime::plan::placed::Buffers;
use crate::runtime::plan::work::Work;
use std::ops::Range;

/// The memory of a run, and the operations on it.
pub(super) struct Walk {
    pub(super) memory: Memory,
}

/// A running program, and the required contents of its arrays.
pub(super) struct Running<'a> {
    pub(super) lowered: &'a KernelProgram,
    pub(super) plan: &'a Plan,
    pub(super) frame: &'a Frame<u64>,
    /// By the variable that has the memory; `None` if nothing was made yet.
    holds: Vec<Option<Content>>,
}

/// The variable whose memory holds the elements of another.
pub(super) fn memory_of(lowered: &KernelProgram, mut var: Var) -> Var {
    while let Place::Alias(of) = lowered.fusion.place(var) {
        var = of;
    }
    var
}

/// Whether two ranges share a byte: an empty one has none.
fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start.max(b.start) < a.end.min(b.end)
}

impl Running<'_> {
    /// Where a variable's elements are.
    pub(super) fn range(&self, var: Var) -> Range<u64> {
        let start = self.frame.pointers[var.index()];
        start..start + element_bytes(self.plan, var.index())
    }

    fn memory(&self, var: Var) -> Var {
        memory_of(self.lowered, var)
    }

    /// The required contents of a variable.
    pub(super) fn holds(&self, var: Var) -> Result<&Content, Fault> {
        self.holds[self.memory(var).index()].as_ref().ok_or("is not made yet")
    }

    pub(super) fn set(&mut self, var: Var, content: Content) {
        self.holds[var.index()] = Some(content);
    }

    /// Checks that all arrays in the arena lie within it.
    fn check_places(&self) -> Result<(), String> {
        let arrays = self.plan.buffers.iter().enumerate().filter_map(|(index, buffer)| match buffer {
            Some(Buffers::Arena(place)) => Some((*place as u64, element_bytes(self.plan, index))),
            _ => None,
        });
        let loops = self.plan.work.iter().filter_map(|work| match work {
            Work::Control(control, place) => Some((*place as u64, control.bytes as u64)),
            _ => None,
        });
        match arrays.chain(loops).find(|(place, bytes)| place + bytes > self.plan.arena_bytes as u64) {
            Some((place, bytes)) => Err(format!("{bytes} bytes at {place} extend past the end of the arena")),
            None => Ok(()),
        }
    }

    fn is_chunk(&self, var: Var) -> bool {
        matches!(self.plan.buffers[self.memory(var).index()], Some(Buffers::Chunk(_)))
    }
}

impl Walk {
    /// Runs a program, and returns the contents of its results.
    pub(super) fn run(
        &mut self,
        lowered: &KernelProgram,
        plan: &Plan,
        frame: &Frame<u64>,
    ) -> Result<Vec<Content>, String> {
        let mut running = Running { lowered, plan, frame, holds: vec![None; plan.avals.len()] };
        let composed = lowered.composed.iter().map(|composed| composed.var);
        let binders = lowered.program.args.iter().chain(&lowered.program.consts).map(|binder| binder.var);
        for var in binders.chain(composed) {
            let content = self.memory.read(running.range(var)).map_err(|why| format!("{var} {why}"))?;
            running.set(var, content);
        }
        running.check_places()?;
        let mut next = 0;
        for group in &plan.groups {
            let steps = match group {
                GroupWork::Each(range) => range.clone(),
                GroupWork::Rows(rows) => rows.steps.clone(),
            };
            if steps.start != next {
                return Err(format!("step {next} is in no group"));
            }
            next = steps.end;
            let partials = frame.partials..frame.partials + plan.partial_bytes as u64;
            self.memory.write(partials, None).map_err(|why| format!("memory for partial results {why}"))?;
            let walked = match group {
                GroupWork::Rows(_) => self.rows(&mut running, steps),
                _ => steps.into_iter().try_for_each(|step| self.alone(&mut running, step)),
            };
            walked?;
        }
        if next != lowered.steps.len() {
            return Err(format!("step {next} is in no group"));
        }
        self.results(&running)
    }

    /// The actual contents of the results, right or wrong.
    pub(super) fn results_there(
        &self,
        lowered: &KernelProgram,
        plan: &Plan,
        frame: &Frame<u64>,
    ) -> Result<Vec<Content>, String> {
        let running = Running { lowered, plan, frame, holds: vec![] };
        let result = |out: &Atom| match out {
            Atom::Literal(literal) => Ok(Content::of_literal(*literal)),
            Atom::Var(var) => self.memory.read(running.range(running.memory(*var))),
        };
        lowered.program.outs.iter().map(|out| result(out).map_err(|why| format!("result {out} {why}"))).collect()
    }

    /// The contents of the results, each of which must exist.
    fn results(&self, running: &Running<'_>) -> Result<Vec<Content>, String> {
        let result = |out: &Atom| match out {
            Atom::Literal(literal) => Ok(Content::of_literal(*literal)),
            Atom::Var(var) => self.read(running, running.memory(*var)).map_err(|why| format!("result {var} {why}")),
        };
        running.lowered.program.outs.iter().map(result).collect()
    }

    /// Reads a variable, which must contain what was written for it.
    pub(super) fn read(&self, running: &Running<'_>, var: Var) -> Result<Content, Fault> {
        let wanted = running.holds(var)?;
        let found = self.memory.read(running.range(var))?;
        if found == *wanted { Ok(found) } else { Err("is overwritten") }
    }

    /// Runs a step that nothing else runs alongside.
    fn alone(&mut self, running: &mut Running<'_>, number: usize) -> Result<(), String> {
        let step = &running.lowered.steps[number];
        let at = |what: &dyn std::fmt::Display, why| format!("{what} {why} in step {number}, {}", step.name());
        for var in step.reads() {
            self.read(running, var).map_err(|why| at(&var, why))?;
        }
        if let (Step::Control(control), Work::Control(plan, place)) = (step, &running.plan.work[number]) {
            return self
                .nested(running, control, plan, running.frame.arena + *place as u64)
                .map_err(|why| at(&why, ""));
        }
        let written = step.writes();
        for (k, var) in written.iter().enumerate() {
            let range = running.range(*var);
            if let Some(other) = written[..k].iter().find(|other| overlap(&running.range(**other), &range)) {
                return Err(at(var, &format!("takes the memory of {other}")));
            }
            let over = |read: &Var| overlap(&running.range(*read), &range);
            let is_in_place = match (step, &running.plan.work[number]) {
                // It reads copies.
                (Step::Eval(_), _) => true,
                (_, Work::Product(_)) => !step.reads().iter().any(over),
                (Step::Kernel(kernel, _), _) => is_in_place(running, kernel, *var, &over),
                (Step::Control(_), _) => false,
            };
            if !is_in_place {
                return Err(at(var, "is written where the step still reads other elements"));
            }
        }
        for var in written {
            self.write(running, var).map_err(|why| at(&var, why))?;
        }
        Ok(())
    }

    fn write(&mut self, running: &mut Running<'_>, var: Var) -> Result<(), Fault> {
        let (tag, range) = (self.memory.tag(), running.range(var));
        let bytes = range.end - range.start;
        if !running.is_chunk(var) {
            self.memory.write(range, Some(tag))?;
        }
        running.set(var, Content::new(bytes, tag));
        Ok(())
    }

    /// Runs the steps of a group, which are at different rows at any time.
    fn rows(&mut self, running: &mut Running<'_>, steps: Range<usize>) -> Result<(), String> {
        let group = running.lowered.groups.iter().find(|group| group.steps == steps);
        let Some(Space::Rows { members, parts, .. }) = group.map(|group| &group.space) else {
            return Err(format!("steps {steps:?} are not a group that goes over rows"));
        };
        let mut kernels: Vec<Going<'_>> = vec![];
        for (number, part) in steps.clone().zip(parts) {
            let Step::Kernel(kernel, _) = &running.lowered.steps[number] else {
                return Err(format!("step {number} of a group that goes over rows is not a kernel"));
            };
            kernels.push(Going { number, kernel, part: *part });
        }
        for (i, reader) in kernels.iter().enumerate() {
            for (var, _) in &reader.kernel.inputs {
                self.read_in_group(running, &kernels, i, *var, members.as_ref())
                    .map_err(|why| format!("{var} {why} in step {}, {}", reader.number, reader.kernel.name))?;
            }
        }
        let written = || kernels.iter().flat_map(|going| going.kernel.outputs.iter().map(|(var, _)| *var));
        for (k, var) in written().enumerate() {
            let lies_apart = |other: &Var| !overlap(&running.range(*other), &running.range(var));
            if !running.is_chunk(var)
                && let Some(other) = written().take(k).find(|other| !running.is_chunk(*other) && !lies_apart(other))
            {
                return Err(format!("{var} takes the memory of {other}, which the same group writes"));
            }
        }
        for var in written().collect::<Vec<_>>() {
            self.write(running, var).map_err(|why| format!("{var} {why} in steps {steps:?}"))?;
        }
        // The arrays that threads keep chunk by chunk are gone.
        for var in written().filter(|var| running.is_chunk(*var)).collect::<Vec<_>>() {
            running.holds[var.index()] = None;
        }
        Ok(())
    }

    fn read_in_group(
        &self,
        running: &Running<'_>,
        kernels: &[Going<'_>],
        reader: usize,
        var: Var,
        members: Option<&Members>,
    ) -> Result<(), Fault> {
        let (memory, here) = (running.memory(var), &kernels[reader]);
        let made = kernels.iter().position(|going| going.kernel.outputs.iter().any(|(out, _)| *out == memory));
        if let Some(maker) = made {
            if maker >= reader {
                return Err("is made by a later step of the group");
            }
            return if here.follows(running, &kernels[maker], var, members) {
                Ok(())
            } else {
                Err("is read at rows that other threads may not have reached")
            };
        }
        self.read(running, var)?;
        let range = running.range(var);
        for (k, writer) in kernels.iter().enumerate() {
            for (out, _) in &writer.kernel.outputs {
                // Reductions of all rows are written after all steps have run.
                if running.is_chunk(*out) || is_partial(writer.part) || !overlap(&running.range(*out), &range) {
                    continue;
                }
                let over = |read: &Var| overlap(&running.range(*read), &range);
                let same_rows = running.range(*out) == range
                    && running.plan.avals[out.index()] == running.plan.avals[var.index()]
                    && here.part == writer.part
                    && here.reads_own_rows(var);
                if !same_rows || k < reader || (k == reader && !is_in_place(running, here.kernel, *out, &over)) {
                    return Err("is overwritten by a step of the group");
                }
            }
        }
        Ok(())
    }
}

/// Whether a kernel may write `out` over what it reads there: it reads that only at the point that it writes, and does
/// not read it after another result of the point is written.
fn is_in_place(running: &Running<'_>, kernel: &Kernel, out: Var, over: &dyn Fn(&Var) -> bool) -> bool {
    let read = |input: &u32| over(&kernel.inputs[*input as usize].0);
    let loads = |scalar: &Scalar| matches!(&kernel.body[scalar.0 as usize], Instr::Load(input, _) if read(input));
    let is_offsets = |kind: LoopKind| matches!(kind, LoopKind::Segment { offsets, .. } if read(&offsets));
    if !kernel.inputs.iter().any(|(var, _)| over(var)) {
        return true;
    }
    let same = |var: Var| {
        running.range(var) == running.range(out) && running.plan.avals[var.index()] == running.plan.avals[out.index()]
    };
    let at_point = |index: &[Index]| {
        index.len() == kernel.loops.len() && index.iter().enumerate().all(|(k, at)| at.is_loop(k as u32))
    };
    kernel.reduce.is_none()
        && !kernel.loops.iter().any(|l| is_offsets(l.kind))
        && kernel.inputs.iter().filter(|(var, _)| over(var)).all(|(var, _)| same(*var))
        && kernel.body.iter().all(|instr| !matches!(instr, Instr::Load(i, index) if read(i) && !at_point(index)))
        && kernel.outputs.iter().zip(&kernel.results).all(|((var, _), scalar)| *var == out || !loads(scalar))
}

fn is_partial(part: Part) -> bool {
    matches!(part, Part::RowReduce(_) | Part::MemberReduce(_))
}

/// A kernel of a group that goes over rows.
struct Going<'a> {
    number: usize,
    kernel: &'a Kernel,
    part: Part,
}

impl Going<'_> {
    /// The loop at the rows, and the one at their members.
    fn loops(&self, running: &Running<'_>, members: Option<&Members>) -> (Option<u32>, Option<u32>) {
        let lists =
            |input: u32| members.is_some_and(|m| m.offsets == running.memory(self.kernel.inputs[input as usize].0));
        let own = |kind: LoopKind| matches!(kind, LoopKind::Segment { segment: 0, offsets } if lists(offsets));
        match self.part {
            Part::Row => (Some(0), self.kernel.loops.iter().position(|l| own(l.kind)).map(|number| number as u32)),
            Part::RowReduce(number) => (Some(number), None),
            Part::Member => (None, Some(0)),
            Part::MemberReduce(number) => (None, Some(number)),
        }
    }

    fn loads(&self, var: Var) -> impl Iterator<Item = &Vec<Index>> {
        self.kernel.body.iter().filter_map(move |instr| match instr {
            Instr::Load(input, index) if self.kernel.inputs[*input as usize].0 == var => Some(index),
            _ => None,
        })
    }

    fn is_offsets(&self, var: Var) -> bool {
        let names = |offsets: u32| self.kernel.inputs[offsets as usize].0 == var;
        self.kernel.loops.iter().any(|l| matches!(l.kind, LoopKind::Segment { offsets, .. } if names(offsets)))
    }

    /// Whether this kernel reads the results of `maker` only at the rows, or the members, that `maker` has just made.
    fn follows(&self, running: &Running<'_>, maker: &Going<'_>, var: Var, members: Option<&Members>) -> bool {
        if is_partial(maker.part) || self.is_offsets(var) {
            return false;
        }
        let memory = running.memory(var);
        let n_row = |var: Var| running.plan.avals[var.index()].shape.first();
        if n_row(memory) != n_row(var) {
            return false;
        }
        let (row, member) = self.loops(running, members);
        let is_loop = |index: &Index, number: Option<u32>| number.is_some_and(|number| index.is_loop(number));
        let is_row_of_member = |scalar: Scalar| match &self.kernel.body[scalar.0 as usize] {
            Instr::Load(input, index) => {
                members.is_some_and(|m| m.ids == running.memory(self.kernel.inputs[*input as usize].0))
                    && index.len() == 1
                    && is_loop(&index[0], member)
            }
            _ => false,
        };
        self.loads(var).all(|index| match (index.first(), maker.part) {
            (Some(Index::Value(scalar)), Part::Row) => is_row_of_member(*scalar),
            (Some(first), Part::Row) => is_loop(first, row),
            (Some(first), Part::Member) => is_loop(first, member),
            _ => false,
        })
    }

    /// Whether each row, or member, reads only its own row, or member, of a variable.
    fn reads_own_rows(&self, var: Var) -> bool {
        !is_partial(self.part)
            && !self.is_offsets(var)
            && self.loads(var).all(|index| index.first().is_some_and(|first| first.is_loop(0)))
    }
}
