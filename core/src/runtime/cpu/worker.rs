//! The threads that go through a plan's steps, and the state of each.

use crate::codegen::portable::Scratch;
use crate::codegen::x86::Pages;
use crate::device::ALIGN;
use crate::error::Error;
use crate::kernel::Step;
use crate::runtime::cpu::memory::Line;
use crate::runtime::cpu::recorder::Recorder;
use crate::runtime::plan::placed::OwnBytes;
use crate::runtime::threads::team::{Padded, ThreadPool};
use crate::runtime::threads::worth::{Nanos, Sharing};
use crate::sync::locked;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// The state of one thread that is kept from call to call.
pub(in crate::runtime) type WorkerSlot = Padded<Mutex<WorkerState>>;

/// One thread's working memory, and its events.
#[derive(Default)]
pub(in crate::runtime) struct WorkerState {
    pub(in crate::runtime) scratch: Scratch,
    /// Arrays of the current chunk of rows.
    pub(in crate::runtime) chunk: Vec<Line>,
    /// Tables of arguments of the current group.
    pub(in crate::runtime) tables: Vec<u64>,
    pub(in crate::runtime) recorder: Recorder,
}

impl WorkerState {
    /// Allocates the memory that a plan needs; events are recorded if the call, which started just now, is profiled.
    pub(in crate::runtime) fn prepare(&mut self, own: OwnBytes, profiled: Option<Instant>) {
        let lines = own.chunk / ALIGN;
        if self.chunk.len() < lines {
            self.chunk.reserve_exact(lines - self.chunk.len());
            self.chunk.resize(lines, Line::EMPTY);
        }
        self.recorder.begin(profiled);
    }
}

/// The error of a job's units: of the first failing unit, by number. It does not depend on which thread runs which unit
/// when.
struct Failure {
    /// That unit; units before it are still run.
    unit: AtomicUsize,
    error: Mutex<Option<(usize, Error)>>,
}

impl Failure {
    fn none() -> Failure {
        Failure { unit: AtomicUsize::new(usize::MAX), error: Mutex::default() }
    }

    fn set(&self, unit: usize, error: Error) {
        let mut kept = locked(&self.error);
        if kept.as_ref().is_none_or(|(first, _)| unit < *first) {
            *kept = Some((unit, error));
            self.unit.store(unit, Ordering::Relaxed);
        }
    }

    /// Whether the unit must still be run.
    fn allows(&self, unit: usize) -> bool {
        unit < self.unit.load(Ordering::Relaxed)
    }

    fn into_result(self) -> Result<(), Error> {
        let error = self.error.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        error.map_or(Ok(()), |(_, error)| Err(error))
    }
}

/// What goes through the steps: the caller's thread, with its helpers.
pub(in crate::runtime) struct Workers<'t> {
    /// `None` if the whole run is not worth another thread.
    pool: Option<&'t mut ThreadPool>,
    pub(in crate::runtime) sharing: Sharing,
    slots: &'t [WorkerSlot],
    pages: &'t Pages,
}

/// A thread that runs units of a job.
pub(in crate::runtime) struct Worker<'w> {
    pub(in crate::runtime) pages: &'w Pages,
    pub(in crate::runtime) kept: &'w mut WorkerState,
    failure: &'w Failure,
}

/// The units that a thread runs, one after the other.
pub(in crate::runtime) type Units<'u> = &'u mut dyn Iterator<Item = usize>;

impl Worker<'_> {
    /// The current time, if a profile is wanted.
    pub(in crate::runtime) fn start(&self) -> Option<Instant> {
        self.kept.recorder.start()
    }

    /// Records that this thread was at a step from `start` until now; `begins` is false for another chunk of its rows.
    pub(in crate::runtime) fn record(&mut self, step: &Step, begins: bool, start: Option<Instant>) {
        self.kept.recorder.record(step, begins, start);
    }

    /// Records that a unit failed.
    pub(in crate::runtime) fn fail(&self, unit: usize, error: Error) {
        self.failure.set(unit, error);
    }
}

impl<'t> Workers<'t> {
    /// The caller's thread and those of a pool, if there is one; each thread has a slot.
    pub(in crate::runtime) fn new(
        pool: Option<&'t mut ThreadPool>,
        sharing: Sharing,
        slots: &'t [WorkerSlot],
        pages: &'t Pages,
    ) -> Self {
        Workers { pool, sharing, slots, pages }
    }

    /// Runs the units `0..n` of some work that takes about this long on one thread: each once, on any thread. When this
    /// returns they are complete, or one has failed.
    pub(in crate::runtime) fn share(
        &mut self,
        n: usize,
        nanos: Nanos,
        work: &(dyn Fn(&mut Worker<'_>, Units<'_>) + Sync),
    ) -> Result<(), Error> {
        let (slots, pages, failure) = (self.slots, self.pages, Failure::none());
        let do_units = |thread: usize, units: Units<'_>| {
            // Nobody else takes this slot: the lock never waits.
            let kept = &mut *locked(&slots[thread].0);
            if thread > 0 {
                kept.recorder.waited();
            }
            work(&mut Worker { pages, kept, failure: &failure }, &mut units.filter(|unit| failure.allows(*unit)));
        };
        let threads = self.sharing.threads(nanos);
        match &mut self.pool {
            Some(pool) if n > 1 && threads > 1 => {
                pool.share(n, threads, &do_units);
                locked(&slots[0].0).recorder.waited();
            }
            _ => do_units(0, &mut (0..n)),
        }
        failure.into_result()
    }

    /// Runs something that is not a job, on this thread, as part of a step.
    pub(in crate::runtime) fn alone<T>(&mut self, step: &Step, work: impl FnOnce(&mut Self) -> T) -> T {
        let start = locked(&self.slots[0].0).recorder.start();
        let done = work(self);
        locked(&self.slots[0].0).recorder.record(step, true, start);
        done
    }
}
