//! Running a plan on the processor: the caller's thread goes through all steps, and a team shares the work that is
//! worth it.
//!
//! Loops and branches, small kernels, and the combination of partial results belong to the caller's thread. Everything
//! else is a job of a team: units of work, each of which some thread runs; the next step starts after all units.

use crate::codegen::portable::{Access, Mode, OutOfBounds, TileKernel};
use crate::codegen::x86::Pages;
use crate::error::Error;
use crate::ir::Location;
use crate::kernel::{Kernel, Step};
use crate::runtime::compiled::gemm::{Arrays, ProductWork};
use crate::runtime::compiled::machine_code::MachineWork;
use crate::runtime::cpu::eval;
use crate::runtime::cpu::worker::{Worker, WorkerSlot, Workers};
use crate::runtime::loops;
use crate::runtime::plan::Plan;
use crate::runtime::plan::frame::Frame;
use crate::runtime::plan::groups::GroupWork;
use crate::runtime::plan::work::Work;
use crate::runtime::threads::team::ThreadPool;
use crate::runtime::threads::worth::{self, Nanos, Sharing};
use smallvec::SmallVec;
use std::cell::Cell;

/// Runs all steps, with the pool's threads if there are any; each thread has a slot.
///
/// # Safety
/// `frame` must hold valid memory for every variable that the steps read or write, of the plan's sizes.
pub(in crate::runtime) unsafe fn run(
    plan: &Plan,
    steps: &[Step],
    pages: &Pages,
    frame: &Frame,
    (pool, sharing): (Option<&mut ThreadPool>, Sharing),
    slots: &[WorkerSlot],
) -> Result<(), Error> {
    let mut workers = Workers::new(pool, sharing, slots, pages);
    // SAFETY: by this function's contract.
    unsafe { run_steps(steps, plan, frame, &mut workers) }
}

/// Runs all groups, one after the other, up to the first that fails.
///
/// # Safety
/// As [`run`].
pub(in crate::runtime) unsafe fn run_steps(
    steps: &[Step],
    plan: &Plan,
    frame: &Frame,
    workers: &mut Workers<'_>,
) -> Result<(), Error> {
    for group in &plan.groups {
        match group {
            GroupWork::Each(range) => {
                for i in range.clone() {
                    // SAFETY: by this function's contract.
                    unsafe { run_step(&steps[i], i, plan, frame, workers)? }
                }
            }
            // SAFETY: by this function's contract.
            GroupWork::Rows(rows) => unsafe { rows.run(steps, plan, frame, workers)? },
        }
    }
    Ok(())
}

/// Runs a step by itself.
///
/// # Safety
/// As [`run_steps`].
unsafe fn run_step(step: &Step, i: usize, plan: &Plan, frame: &Frame, workers: &mut Workers<'_>) -> Result<(), Error> {
    let nanos = plan.nanos[i];
    match (step, &plan.work[i]) {
        (Step::Kernel(kernel, location), work) => {
            let launch = Launch { step, kernel, location: *location, nanos, frame };
            // SAFETY: by this function's contract.
            unsafe {
                match work {
                    Work::Tiles(tiles) => launch.tiles(tiles, workers),
                    Work::Machine(machine) => launch.machine(machine, workers),
                    Work::Product(product) => launch.product(product, workers),
                    Work::Elsewhere | Work::Eval | Work::Control(..) => Ok(()),
                }
            }
        }
        (Step::Control(control), Work::Control(plan, at)) => {
            let memory = frame.arena.wrapping_add(*at);
            // SAFETY: by this function's contract; the plan keeps the step's own memory for it.
            workers.alone(step, |workers| unsafe { loops::drive(control, plan, frame, memory, workers) })
        }
        // SAFETY: by this function's contract.
        (Step::Eval(eqn), _) => workers.alone(step, |_| unsafe { eval::run(eqn, plan, frame) }),
        (Step::Control(_), _) => Ok(()),
    }
}

/// A kernel that runs by itself.
struct Launch<'a> {
    step: &'a Step,
    kernel: &'a Kernel,
    location: Location,
    nanos: Nanos,
    frame: &'a Frame,
}

impl Launch<'_> {
    fn inputs(&self) -> SmallVec<[*const u8; 12]> {
        self.kernel.inputs.iter().map(|(var, _)| self.frame.pointers[var.index()].cast_const()).collect()
    }

    fn outputs(&self) -> SmallVec<[*mut u8; 2]> {
        self.kernel.outputs.iter().map(|(var, _)| self.frame.pointers[var.index()]).collect()
    }

    /// The offsets of `n` segments, which are an input.
    ///
    /// # Safety
    /// It must hold one `i32` more than there are segments.
    unsafe fn offsets(&self, input: usize, n: usize) -> &[i32] {
        let from = self.frame.pointers[self.kernel.inputs[input].0.index()].cast_const().cast::<i32>();
        // SAFETY: by this function's contract.
        unsafe { std::slice::from_raw_parts(from, n + 1) }
    }

    /// # Safety
    /// As [`run_steps`].
    unsafe fn tiles(&self, tiles: &TileKernel, workers: &mut Workers<'_>) -> Result<(), Error> {
        let offsets = match tiles.mode() {
            // SAFETY: in the plan's sizes the offsets of a segment loop have this extent.
            Mode::Segments { offsets } => Some(unsafe { self.offsets(offsets, tiles.n_segment()) }),
            _ => None,
        };
        let before = |unit| tiles.work_before(unit, offsets) as u64;
        let pieces = worth::cut(tiles.n_unit(), workers.sharing.pieces(self.nanos), before);
        workers.share(pieces.len(), self.nanos, &|worker, units| {
            let start = worker.start();
            let (inputs, outputs) = (self.inputs(), self.outputs());
            let access = Access { inputs: &inputs, outputs: &outputs, partials: self.frame.partials };
            let last = Cell::new(0);
            let mut units = units.inspect(|piece| last.set(*piece)).map(|piece| pieces[piece].clone());
            // SAFETY: the memory is valid by this function's contract; pieces are disjoint; the plan lets an output
            // overlap an input only if the kernel reads just the element being written.
            while let Err(found) = unsafe { tiles.run(&access, &mut units, &mut worker.kept.scratch) } {
                let OutOfBounds { position, extent } = found;
                worker.fail(last.get(), out_of_bounds(self.kernel, self.location, position, extent));
            }
            worker.record(self.step, true, start);
        })?;
        if matches!(tiles.mode(), Mode::Rows { chunks } if chunks > 1) {
            let (inputs, outputs) = (self.inputs(), self.outputs());
            // SAFETY: as above; all units have run.
            unsafe {
                tiles.combine(&Access { inputs: &inputs, outputs: &outputs, partials: self.frame.partials });
            }
        }
        Ok(())
    }

    /// # Safety
    /// As [`run_steps`].
    unsafe fn product(&self, product: &ProductWork, workers: &mut Workers<'_>) -> Result<(), Error> {
        let do_units = |combines: bool| {
            move |worker: &mut Worker<'_>, units: &mut dyn Iterator<Item = usize>| {
                let start = worker.start();
                let inputs = self.inputs();
                let (out, partials) = (self.outputs()[0], self.frame.partials);
                let arrays = Arrays { inputs: &inputs, out, partials };
                for unit in units {
                    // SAFETY: the memory is valid by this function's contract; each unit is run once, and parts are
                    // combined after all units.
                    unsafe { if combines { product.combine(&arrays, unit) } else { product.run(&arrays, unit) } }
                }
                worker.record(self.step, !combines, start);
            }
        };
        workers.share(product.n_unit(), self.nanos, &do_units(false))?;
        workers.share(product.n_combined(), worth::of_bytes(3 * product.parts_bytes()), &do_units(true))
    }

    /// # Safety
    /// As [`run_steps`].
    unsafe fn machine(&self, work: &MachineWork, workers: &mut Workers<'_>) -> Result<(), Error> {
        let pieces = match work.rows() {
            Some(rows) => {
                // SAFETY: in the plan's sizes the offsets of a segment loop have this extent.
                let offsets = work.offsets.map(|input| unsafe { self.offsets(input, rows) });
                worth::cut(rows, workers.sharing.pieces(self.nanos), |row| worth::work_before(row, offsets))
            }
            // One thread runs the whole.
            None => std::iter::once(0..work.iterations().unwrap_or(1)).collect(),
        };
        workers.share(pieces.len(), self.nanos, &|worker, units| {
            let start = worker.start();
            let arrays = self.kernel.inputs.iter().chain(&self.kernel.outputs);
            let mut table = work.table(arrays.map(|(var, _)| self.frame.pointers[var.index()]));
            for piece in units {
                // SAFETY: the arrays are valid by this function's contract, and pieces share no rows.
                let result = unsafe {
                    work.clear(self.kernel, &table);
                    work.run(worker.pages, &mut table, pieces[piece].clone())
                };
                if let Err((position, extent)) = result {
                    worker.fail(piece, out_of_bounds(self.kernel, self.location, position, extent));
                }
            }
            worker.record(self.step, true, start);
        })
    }
}

/// The error of a kernel with a position out of bounds.
pub(in crate::runtime) fn out_of_bounds(kernel: &Kernel, location: Location, position: i64, extent: i64) -> Error {
    Error::Call(format!("@{}: position {position} is not in 0..{extent}\n  at {location}", kernel.name))
}
