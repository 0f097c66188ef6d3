//! Running a plan on the processor: a team of threads goes through all steps, with a barrier after each.

use crate::codegen::portable::{Access, Mode, OutOfBounds, Scratch, TileKernel};
use crate::codegen::x86::Pages;
use crate::device::ALIGN;
use crate::error::Error;
use crate::ir::Location;
use crate::kernel::{Kernel, Step};
use crate::runtime::executable::Line;
use crate::runtime::frame::Frame;
use crate::runtime::machine::MachineWork;
use crate::runtime::plan::{OwnBytes, Plan, Work};
use crate::runtime::product::{Arrays, ProductWork, Share};
use crate::runtime::profile::Recorder;
use crate::runtime::rows::GroupWork;
use crate::runtime::team::{Barrier, Padded, Pool, locked};
use crate::runtime::{control, interpreted};
use smallvec::SmallVec;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What belongs to one thread from call to call.
pub(super) type Lane = Padded<Mutex<Kept>>;

/// One thread's working memory, and what it notes.
#[derive(Default)]
pub(super) struct Kept {
    scratch: Scratch,
    /// Arrays of the chunk of rows at hand.
    pub(super) chunk: Vec<Line>,
    /// Tables of arguments of the group at hand.
    pub(super) tables: Vec<u64>,
    pub(super) recorder: Recorder,
}

impl Kept {
    /// Makes room for what a plan says, and notes what is done or not.
    pub(super) fn prepare(&mut self, own: OwnBytes, is_profiled: bool) {
        let lines = own.chunk / ALIGN;
        if self.chunk.len() < lines {
            self.chunk.reserve_exact(lines - self.chunk.len());
            self.chunk.resize(lines, Line::EMPTY);
        }
        self.recorder.is_on = is_profiled;
    }
}

/// What a team of threads shares.
struct Shared<'p> {
    failure: Mutex<Option<Error>>,
    has_failed: AtomicBool,
    pages: &'p Pages,
}

/// One thread of a team.
pub(super) struct Team<'t, 's> {
    thread: usize,
    barrier: &'t Barrier,
    shared: &'t Shared<'t>,
    pub(super) kept: &'s mut Kept,
}

impl Team<'_, '_> {
    /// Whether this is the thread that does what one thread does.
    pub(super) fn is_first(&self) -> bool {
        self.thread == 0
    }

    /// Its number.
    pub(super) fn thread(&self) -> usize {
        self.thread
    }

    /// How many threads there are.
    pub(super) fn n_thread(&self) -> usize {
        self.barrier.n()
    }

    /// The machine code of the program.
    pub(super) fn pages(&self) -> &Pages {
        self.shared.pages
    }

    /// Waits for all threads.
    pub(super) fn wait(&mut self) {
        if self.barrier.n() > 1 {
            let start = self.start();
            self.barrier.wait();
            self.kept.recorder.record(None, true, start);
        }
    }

    /// Now, where a profile is wanted.
    pub(super) fn start(&self) -> Option<Instant> {
        self.kept.recorder.start()
    }

    /// Notes that this thread did its part of a step from `start` until now.
    fn record(&mut self, step: &Step, start: Option<Instant>) {
        self.record_chunk(step, true, start);
    }

    /// Likewise, of a step that runs chunk by chunk: whether it begins with this one.
    pub(super) fn record_chunk(&mut self, step: &Step, begins: bool, start: Option<Instant>) {
        self.kept.recorder.record(Some(step), begins, start);
    }

    /// Whether a step has failed; the same for all threads between two barriers.
    pub(super) fn has_failed(&self) -> bool {
        self.shared.has_failed.load(Ordering::Acquire)
    }

    /// Keeps the first failure.
    pub(super) fn fail(&self, error: Error) {
        locked(&self.shared.failure).get_or_insert(error);
        self.shared.has_failed.store(true, Ordering::Release);
    }
}

/// Runs all steps on the threads of the pool, each of which has a lane. The first failure is returned at the end.
///
/// # Safety
/// `frame` must hold valid memory for every variable that the steps read or write, of the plan's sizes.
pub(super) unsafe fn run(
    plan: &Plan,
    steps: &[Step],
    pages: &Pages,
    frame: &Frame,
    pool: &mut Pool,
    lanes: &[Lane],
) -> Result<(), Error> {
    let shared = Shared { failure: Mutex::new(None), has_failed: AtomicBool::new(false), pages };
    pool.run(&|thread, barrier| {
        // Nobody else asks for this lane: the lock is never waited for.
        let kept = &mut *locked(&lanes[thread].0);
        // SAFETY: by this function's contract; the pool calls this once on each of the barrier's threads.
        unsafe { run_steps(steps, plan, frame, &mut Team { thread, barrier, shared: &shared, kept }) }
    });
    shared.failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).map_or(Ok(()), Err)
}

/// Runs all groups, with a barrier after each.
///
/// # Safety
/// As [`run`]; every thread of the team must call it.
pub(super) unsafe fn run_steps(steps: &[Step], plan: &Plan, frame: &Frame, team: &mut Team<'_, '_>) {
    for group in &plan.groups {
        match group {
            // SAFETY: by this function's contract, here and below.
            GroupWork::Each(range) => unsafe { run_each(steps, range.clone(), plan, frame, team) },
            GroupWork::Serial(range) => {
                if team.is_first() {
                    for (step, work) in steps[range.clone()].iter().zip(&plan.work[range.clone()]) {
                        let start = team.start();
                        if let (Step::Kernel(kernel, location), Work::Machine(work)) = (step, work) {
                            // SAFETY: as above.
                            unsafe { run_alone(kernel, *location, work, frame, team) }
                        }
                        team.record(step, start);
                    }
                }
                team.wait();
            }
            GroupWork::Rows(rows) => {
                // SAFETY: as above.
                unsafe { rows.run(steps, plan, frame, team) };
                team.wait();
                if rows.has_partials() {
                    if team.is_first() {
                        // SAFETY: as above; all threads have come to the barrier.
                        unsafe { rows.combine(frame) }
                    }
                    team.wait();
                }
            }
        }
    }
}

/// Runs steps one after the other, with a barrier after each.
///
/// # Safety
/// As [`run_steps`].
unsafe fn run_each(steps: &[Step], range: std::ops::Range<usize>, plan: &Plan, frame: &Frame, team: &mut Team<'_, '_>) {
    for (step, work) in steps[range.clone()].iter().zip(&plan.work[range]) {
        let start = team.start();
        match (step, work) {
            (Step::Kernel(kernel, location), Work::Tiles(tiles)) => {
                // SAFETY: by this function's contract.
                unsafe { run_kernel(kernel, *location, tiles, frame, team) }
            }
            (Step::Kernel(kernel, location), Work::Machine(work)) => {
                // SAFETY: by this function's contract.
                unsafe { run_machine(kernel, *location, work, frame, team) }
            }
            (Step::Kernel(kernel, _), Work::Product(product)) => {
                // SAFETY: by this function's contract.
                unsafe { run_product(kernel, product, frame, team) }
            }
            (Step::Control(step), Work::Control(control, at)) => {
                // SAFETY: by this function's contract; the plan keeps the step's own memory for it.
                unsafe { control::run(step, control, frame, frame.arena.wrapping_add(*at), team) }
            }
            (Step::Eval(eqn), _) if team.is_first() => {
                // SAFETY: by this function's contract.
                if let Err(error) = unsafe { interpreted::run(eqn, plan, frame) } {
                    team.fail(error);
                }
            }
            _ => {}
        }
        team.record(step, start);
        team.wait();
    }
}

/// Runs this thread's share of a kernel.
///
/// # Safety
/// As [`run_steps`].
unsafe fn run_kernel(kernel: &Kernel, location: Location, tiles: &TileKernel, frame: &Frame, team: &mut Team<'_, '_>) {
    let inputs: SmallVec<[*const u8; 12]> =
        kernel.inputs.iter().map(|(var, _)| frame.pointers[var.index()].cast_const()).collect();
    let outputs: SmallVec<[*mut u8; 2]> = kernel.outputs.iter().map(|(var, _)| frame.pointers[var.index()]).collect();
    let access = Access { inputs: &inputs, outputs: &outputs, partials: frame.partials };
    let units = share(tiles, &inputs, team.thread, team.barrier.n());
    // SAFETY: the memory is valid by this function's contract; shares are disjoint; the plan lets an output overlap an
    // input only where the kernel reads the written place alone.
    let result = unsafe { tiles.run(&access, units, &mut team.kept.scratch) };
    if let Err(OutOfBounds { position, extent }) = result {
        team.fail(Error::Call(format!("@{}: position {position} is not in 0..{extent}\n  at {location}", kernel.name)));
    }
    if matches!(tiles.mode(), Mode::Rows { chunks } if chunks > 1) {
        team.wait();
        if team.is_first() {
            // SAFETY: as above; all units have run.
            unsafe { tiles.combine(&access) }
        }
    }
}

/// Runs this thread's share of a large product.
///
/// # Safety
/// As [`run_steps`].
unsafe fn run_product(kernel: &Kernel, product: &ProductWork, frame: &Frame, team: &mut Team<'_, '_>) {
    let inputs: SmallVec<[*const u8; 2]> =
        kernel.inputs.iter().map(|(var, _)| frame.pointers[var.index()].cast_const()).collect();
    let arrays = Arrays { inputs: &inputs, out: frame.pointers[kernel.outputs[0].0.index()], partials: frame.partials };
    let share = Share { thread: team.thread, threads: team.n_thread() };
    // SAFETY: the memory is valid by this function's contract, and each thread has a number of its own.
    unsafe { product.run(&arrays, share) }
    if product.has_partials() {
        team.wait();
        // SAFETY: as above; all threads have run their shares.
        unsafe { product.combine(&arrays, share) }
    }
}

/// Runs this thread's share of a kernel's machine code.
///
/// # Safety
/// As [`run_steps`].
unsafe fn run_machine(kernel: &Kernel, location: Location, work: &MachineWork, frame: &Frame, team: &Team<'_, '_>) {
    let Some(rows) = work.rows() else {
        if team.is_first() {
            // SAFETY: by this function's contract.
            unsafe { run_alone(kernel, location, work, frame, team) }
        }
        return;
    };
    let offsets = work.offsets.map(|input| {
        let from = frame.pointers[kernel.inputs[input].0.index()].cast_const().cast::<i32>();
        // SAFETY: the offsets of a segment loop hold one `i32` more than there are segments.
        unsafe { std::slice::from_raw_parts(from, rows + 1) }
    });
    let rows = share_rows(rows, offsets, team.thread, team.n_thread());
    if rows.is_empty() {
        return;
    }
    let arrays = kernel.inputs.iter().chain(&kernel.outputs).map(|(var, _)| frame.pointers[var.index()]);
    let mut table = work.table(arrays);
    // SAFETY: the arrays are valid by this function's contract, and threads share no rows.
    if let Err((position, extent)) = unsafe { work.run(team.shared.pages, &mut table, rows) } {
        team.fail(Error::Call(format!("@{}: position {position} is not in 0..{extent}\n  at {location}", kernel.name)));
    }
}

/// Runs a whole kernel's machine code on this thread.
///
/// # Safety
/// As [`run_steps`]; no other thread may run it.
unsafe fn run_alone(kernel: &Kernel, location: Location, work: &MachineWork, frame: &Frame, team: &Team<'_, '_>) {
    let arrays = kernel.inputs.iter().chain(&kernel.outputs).map(|(var, _)| frame.pointers[var.index()]);
    let mut table = work.table(arrays);
    // SAFETY: by this function's contract.
    if let Err((position, extent)) = unsafe { work.run_whole(kernel, team.shared.pages, &mut table) } {
        team.fail(Error::Call(format!("@{}: position {position} is not in 0..{extent}\n  at {location}", kernel.name)));
    }
}

/// The rows of one thread, split by work.
fn share_rows(rows: usize, offsets: Option<&[i32]>, thread: usize, n: usize) -> std::ops::Range<usize> {
    let at = |thread: usize| match offsets {
        None => rows * thread / n,
        Some(_) if thread == n => rows,
        Some(offsets) => {
            let before = |row: usize| offsets[row].max(0) as u64 + 4 * row as u64;
            let want = before(rows) * thread as u64 / n as u64;
            let (mut low, mut high) = (0, rows);
            while low < high {
                let middle = (low + high) / 2;
                if before(middle) < want { low = middle + 1 } else { high = middle }
            }
            low
        }
    };
    // Shares never overlap, also where the offsets are not sorted (the kernel then says so).
    let border = |thread: usize| (0..=thread).map(&at).max().unwrap_or(0);
    border(thread)..border(thread + 1)
}

/// The units of one thread: neighbours, split by work.
fn share(tiles: &TileKernel, inputs: &[*const u8], thread: usize, n: usize) -> std::ops::Range<usize> {
    let units = tiles.n_unit();
    if n == 1 {
        return 0..units;
    }
    let offsets = match tiles.mode() {
        Mode::Segments { offsets } => {
            // SAFETY: the offsets of a segment loop hold one `i32` more than there are segments.
            Some(unsafe { std::slice::from_raw_parts(inputs[offsets].cast::<i32>(), tiles.n_segment() + 1) })
        }
        _ => None,
    };
    let whole = tiles.work_before(units, offsets);
    let at = |thread: usize| {
        let want = whole as u128 * thread as u128;
        let (mut low, mut high) = (0, units);
        while low < high {
            let middle = (low + high) / 2;
            if (tiles.work_before(middle, offsets) as u128 * n as u128) < want {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    };
    // Shares never overlap, also where the offsets are not sorted (the kernel then says so).
    let border = |thread: usize| (0..=thread).map(&at).max().unwrap_or(0);
    border(thread)..if thread + 1 == n { units } else { border(thread + 1) }
}
