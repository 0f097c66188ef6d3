//! Groups of kernels that go through their rows together: a thread takes some rows, runs every kernel on them, and takes
//! the next.
//!
//! The rows are cut into units, by their work and never by the number of threads. The partial results of a unit for a
//! reduction over all rows have a separate place, and are combined in the units' order. So no bit depends on which
//! thread runs which unit.

use crate::aval::{DType, Literal};
use crate::codegen::x86::Pages;
use crate::device::ALIGN;
use crate::error::Error;
use crate::ir::scalar::ScalarElement;
use crate::ir::{Location, ReduceOp};
use crate::kernel::{Kernel, Part, Step};
use crate::runtime::compiled::fill::fill;
use crate::runtime::compiled::machine_code::MachineWork;
use crate::runtime::compiled::totals::{self, Float};
use crate::runtime::cpu::members::MemberOffsets;
use crate::runtime::cpu::memory::Line;
use crate::runtime::cpu::run::out_of_bounds;
use crate::runtime::cpu::worker::{Worker, WorkerState, Workers};
use crate::runtime::plan::Plan;
use crate::runtime::plan::frame::Frame;
use crate::runtime::plan::groups::{Local, Partial, RowsWork};
use crate::runtime::plan::work::Work;
use crate::runtime::threads::worth;
use std::ops::Range;

/// The contributions of this many chunks to a long sum are added up before they are added to the total.
const ROUND: usize = 4;

impl RowsWork {
    /// Runs the group.
    ///
    /// # Safety
    /// As [`cpu::run_steps`](super::cpu::run_steps): valid memory for everything that the steps read and write.
    pub(in crate::runtime) unsafe fn run(
        &self,
        steps: &[Step],
        plan: &Plan,
        frame: &Frame,
        workers: &mut Workers<'_>,
    ) -> Result<(), Error> {
        let members = self.members.map(|(var, n_member)| {
            let from = frame.pointers[var.index()].cast_const().cast::<i32>();
            // SAFETY: the group's offsets hold one `i32` more than there are rows.
            MemberOffsets::check(unsafe { std::slice::from_raw_parts(from, self.rows + 1) }, n_member)
        });
        let members = members.transpose()?;
        let offsets = members.map(MemberOffsets::all);
        let rows = worth::cut(self.rows, self.n_unit(), |row| worth::work_before(row, offsets));
        let nanos = plan.nanos_of(self.steps.clone());
        workers.share(rows.len(), nanos, &|worker, units| {
            let mut tables = std::mem::take(&mut worker.kept.tables);
            tables.clear();
            let launches = self.launches(steps, plan, frame, &mut tables);
            let mut running = Running { launches: &launches, tables: &mut tables, members, frame, is_first: true };
            for unit in units {
                // SAFETY: by this function's contract; each unit is run once.
                if let Err(error) = unsafe { self.run_unit(unit, &rows[unit], &mut running, worker) } {
                    worker.fail(unit, error);
                }
            }
            worker.kept.tables = tables;
        })?;
        // SAFETY: by this function's contract; all units are complete.
        unsafe { self.combine(frame) }
        Ok(())
    }

    /// The steps with their tables, laid out one after the other.
    fn launches<'a>(
        &'a self,
        steps: &'a [Step],
        plan: &'a Plan,
        frame: &Frame,
        tables: &mut Vec<u64>,
    ) -> Vec<Launch<'a>> {
        let all = steps[self.steps.clone()].iter().zip(&plan.work[self.steps.clone()]);
        all.zip(self.parts.iter().zip(&self.tables))
            .filter_map(|((step, work), (part, table))| match (step, work) {
                (Step::Kernel(kernel, location), Work::Machine(work)) => {
                    let arrays = kernel.inputs.iter().chain(&kernel.outputs);
                    work.write_table(tables, arrays.map(|(var, _)| frame.pointers[var.index()]));
                    Some(Launch { step, kernel, location: *location, work, part: *part, table: table.clone() })
                }
                _ => None,
            })
            .collect()
    }

    /// # Safety
    /// As [`Self::run`]; no other thread may have the unit.
    unsafe fn run_unit(
        &self,
        unit: usize,
        rows: &Range<usize>,
        running: &mut Running<'_>,
        worker: &mut Worker<'_>,
    ) -> Result<(), Error> {
        for partial in &self.partials {
            let place = partial.place(running.frame, unit);
            // SAFETY: the plan keeps memory for each unit's part.
            unsafe { fill(place, partial.identity(), partial.unit_bytes() / partial.dtype.size()) };
            running.tables[partial.entry] = place.wrapping_add(partial.unit_bytes() - partial.bytes) as u64;
        }
        let (mut start, mut n_chunk) = (rows.start, 0);
        while start < rows.end {
            let end = self.chunk_end(start, rows.end, running.members.map(MemberOffsets::all));
            self.place_chunk(start..end, running, worker.kept);
            for launch in running.launches {
                let began = worker.start();
                // SAFETY: by this function's contract; units share no rows.
                unsafe { launch.run(start..end, running.members, running.tables, worker.pages)? };
                worker.record(launch.step, running.is_first, began);
            }
            start = end;
            running.is_first = false;
            n_chunk += 1;
            if n_chunk % ROUND == 0 || start == rows.end {
                for partial in self.partials.iter().filter(|partial| partial.is_long) {
                    let places = [0, 1, 2].map(|i| partial.place(running.frame, unit).wrapping_add(i * partial.bytes));
                    // SAFETY: as above.
                    unsafe { partial.add(places) }
                }
            }
        }
        Ok(())
    }

    /// Tells the steps where the rows of each local array would start if this thread had all of them: the current ones
    /// are in its memory.
    fn place_chunk(&self, rows: Range<usize>, running: &mut Running<'_>, state: &mut WorkerState) {
        let Running { members, tables, .. } = running;
        let members = members.map_or(0..0, |members| members.of(&rows));
        let range = |local: &Local| if local.by_member { &members } else { &rows };
        let bytes = |local: &Local| (range(local).len() * local.bytes).next_multiple_of(ALIGN);
        let lines = self.locals.iter().map(bytes).sum::<usize>() / ALIGN;
        if state.chunk.len() < lines {
            state.chunk.resize(lines, Line::EMPTY);
        }
        let mut memory = state.chunk.as_mut_ptr().cast::<u8>();
        for local in &self.locals {
            let start = memory.wrapping_sub(range(local).start * local.bytes);
            local.entries.iter().for_each(|entry| tables[*entry] = start as u64);
            memory = memory.wrapping_add(bytes(local));
        }
    }

    /// Combines the parts of reductions over all rows.
    ///
    /// # Safety
    /// As [`Self::run`]; all units have run.
    unsafe fn combine(&self, frame: &Frame) {
        for partial in &self.partials {
            let from = frame.partials.wrapping_add(partial.at);
            let into = frame.pointers[partial.var.index()];
            // SAFETY: by this function's contract.
            unsafe { partial.combine(from, self.n_unit(), into) }
        }
    }
}

/// The state of a thread that goes through the rows.
struct Running<'a> {
    launches: &'a [Launch<'a>],
    /// The tables of all launches, one after the other.
    tables: &'a mut [u64],
    members: Option<MemberOffsets<'a>>,
    frame: &'a Frame,
    /// Whether it has not run a chunk yet.
    is_first: bool,
}

/// One step of the group.
struct Launch<'a> {
    step: &'a Step,
    kernel: &'a Kernel,
    location: Location,
    work: &'a MachineWork,
    part: Part,
    /// Its table's range among those of all steps.
    table: Range<usize>,
}

impl Launch<'_> {
    /// # Safety
    /// As [`RowsWork::run`].
    unsafe fn run(
        &self,
        rows: Range<usize>,
        members: Option<MemberOffsets<'_>>,
        tables: &mut [u64],
        pages: &Pages,
    ) -> Result<(), Error> {
        let range = match (self.part, members) {
            (Part::Member | Part::MemberReduce(_), Some(members)) => members.of(&rows),
            _ => rows,
        };
        if range.is_empty() {
            return Ok(());
        }
        // SAFETY: by this function's contract.
        let result = unsafe { self.work.run(pages, &mut tables[self.table.clone()], range) };
        result.map_err(|(position, extent)| out_of_bounds(self.kernel, self.location, position, extent))
    }
}

impl Partial {
    /// Where a unit's part starts.
    fn place(&self, frame: &Frame, unit: usize) -> *mut u8 {
        frame.partials.wrapping_add(self.at + unit * self.unit_bytes())
    }

    /// Adds a part, which is then reset, to a total, which is followed by its rounding error.
    ///
    /// # Safety
    /// All places must have memory for the output, and must not overlap.
    unsafe fn add(&self, places: [*mut u8; 3]) {
        fn all<T: Float>([total, lacks, part]: [&mut [T]; 3]) {
            let places = total.iter_mut().zip(lacks).zip(part);
            places.for_each(|((total, lacks), part)| totals::add(total, lacks, std::mem::take(part)));
        }
        // SAFETY: by this function's contract.
        unsafe {
            match self.dtype {
                DType::F64 => all::<f64>(places.map(|at| std::slice::from_raw_parts_mut(at.cast(), self.n))),
                _ => all::<f32>(places.map(|at| std::slice::from_raw_parts_mut(at.cast(), self.n))),
            }
        }
    }

    /// The initial value of a part.
    fn identity(&self) -> Literal {
        self.op.identity(self.dtype)
    }

    /// # Safety
    /// `from` must hold the parts of `units` units, and `into` must have memory for the output.
    unsafe fn combine(&self, from: *mut u8, units: usize, into: *mut u8) {
        // SAFETY: by this function's contract.
        unsafe {
            fill(into, self.identity(), self.n);
            if self.is_long {
                // The rounding error of the result is stored where the first unit's was.
                let lacks = from.wrapping_add(self.bytes);
                fill(lacks, self.identity(), self.n);
                for unit in 0..units {
                    self.add([into, lacks, from.wrapping_add(unit * self.unit_bytes())]);
                }
                return;
            }
            for unit in 0..units {
                let part = from.wrapping_add(unit * self.bytes);
                match self.dtype {
                    // Gradients are such sums: a call for each element would cost more than the sum.
                    DType::F32 if self.op == ReduceOp::Sum => fold::<f32>(into, part, self.n, |a, b| a + b),
                    DType::F64 if self.op == ReduceOp::Sum => fold::<f64>(into, part, self.n, |a, b| a + b),
                    DType::F32 => fold::<f32>(into, part, self.n, formula(self.op)),
                    DType::F64 => fold::<f64>(into, part, self.n, formula(self.op)),
                    DType::I32 => fold::<i32>(into, part, self.n, formula(self.op)),
                    DType::U32 => fold::<u32>(into, part, self.n, formula(self.op)),
                    DType::I64 => fold::<i64>(into, part, self.n, formula(self.op)),
                    DType::U64 => fold::<u64>(into, part, self.n, formula(self.op)),
                    DType::Bool => fold::<bool>(into, part, self.n, formula(self.op)),
                    other => unreachable!("{other} is reduced as a wider type"),
                }
            }
        }
    }
}

/// The combination of two elements.
fn formula<T: ScalarElement>(op: ReduceOp) -> fn(T, T) -> T {
    op.formula().expect("code was generated for the reduction")
}

/// Combines `part` into `into`, element by element.
///
/// # Safety
/// Both places must hold `n` elements, and must not overlap.
unsafe fn fold<T: ScalarElement>(into: *mut u8, part: *const u8, n: usize, two: impl Fn(T, T) -> T) {
    // SAFETY: by this function's contract.
    let (into, part) = unsafe {
        (std::slice::from_raw_parts_mut(into.cast::<T>(), n), std::slice::from_raw_parts(part.cast::<T>(), n))
    };
    into.iter_mut().zip(part).for_each(|(a, b)| *a = two(*a, *b));
}
