//! Running a plan on the processor: a team of threads goes through all steps, with a barrier after each.

use crate::codegen::portable::{Access, Mode, OutOfBounds, Scratch, TileKernel};
use crate::error::Error;
use crate::kernel::Step;
use crate::runtime::plan::Plan;
use smallvec::SmallVec;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where every variable's memory begins; null where it has none.
pub(super) struct Memory {
    pub(super) pointers: Vec<*mut u8>,
    pub(super) partials: *mut u8,
}

// SAFETY: the pointers are shared by the team's threads; which thread writes where is decided by units, which no two
// threads share, and steps are separated by barriers.
unsafe impl Sync for Memory {}

/// All threads wait until all have come.
struct Barrier {
    n: usize,
    waiting: AtomicUsize,
    generation: AtomicUsize,
}

impl Barrier {
    fn wait(&self) {
        if self.n == 1 {
            return;
        }
        let generation = self.generation.load(Ordering::Acquire);
        if self.waiting.fetch_add(1, Ordering::AcqRel) + 1 == self.n {
            self.waiting.store(0, Ordering::Release);
            self.generation.store(generation + 1, Ordering::Release);
            return;
        }
        let mut spins = 0;
        while self.generation.load(Ordering::Acquire) == generation {
            spins += 1;
            // Spinning alone is very slow where the machine is busy with other work.
            if spins < 2_000 { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

/// A step that runs outside the kernels: `(step number)`, on one thread.
pub(super) type RunEval<'a> = dyn Fn(usize) -> Result<(), Error> + Sync + 'a;

/// Runs all steps. The first failure is returned after the step that failed.
///
/// # Safety
/// `memory` must hold valid memory for every variable that the steps read or write, of the plan's sizes.
pub(super) unsafe fn run(
    plan: &Plan,
    steps: &[Step],
    memory: &Memory,
    run_eval: &RunEval<'_>,
    scratches: &mut [Scratch],
) -> Result<(), Error> {
    let n = scratches.len();
    let barrier = Barrier { n, waiting: AtomicUsize::new(0), generation: AtomicUsize::new(0) };
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    let fail = |error: Error| {
        failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(error);
    };
    let work = |thread: usize, scratch: &mut Scratch| {
        for (i, (step, tiles)) in steps.iter().zip(&plan.kernels).enumerate() {
            match (step, tiles) {
                (Step::Kernel(kernel, location), Some(tiles)) => {
                    let inputs: SmallVec<[*const u8; 12]> =
                        kernel.inputs.iter().map(|(var, _)| memory.pointers[var.index()].cast_const()).collect();
                    let outputs: SmallVec<[*mut u8; 2]> =
                        kernel.outputs.iter().map(|(var, _)| memory.pointers[var.index()]).collect();
                    let access = Access { inputs: &inputs, outputs: &outputs, partials: memory.partials };
                    let units = share(tiles, &inputs, thread, n);
                    // SAFETY: the memory is valid by this function's contract; shares are disjoint; the plan lets an
                    // output overlap an input only where the kernel reads the written place alone.
                    let result = unsafe { tiles.run(&access, units, scratch) };
                    if let Err(OutOfBounds { position, extent }) = result {
                        fail(Error::Call(format!(
                            "@{}: position {position} is not in 0..{extent}\n  at {location}",
                            kernel.name
                        )));
                    }
                    if matches!(tiles.mode(), Mode::Rows { chunks } if chunks > 1) {
                        barrier.wait();
                        if thread == 0 {
                            // SAFETY: as above; all units have run.
                            unsafe { tiles.combine(&access) }
                        }
                    }
                }
                _ => {
                    if thread == 0
                        && let Err(error) = run_eval(i)
                    {
                        fail(error);
                    }
                }
            }
            barrier.wait();
        }
    };
    let (first, others) = scratches.split_first_mut().expect("a team has a thread");
    if others.is_empty() {
        work(0, first);
    } else {
        std::thread::scope(|scope| {
            for (i, scratch) in others.iter_mut().enumerate() {
                let work = &work;
                scope.spawn(move || work(i + 1, scratch));
            }
            work(0, first);
        });
    }
    failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).map_or(Ok(()), Err)
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
