//! A team of threads that stays from call to call, and the barrier at which its threads meet.
//!
//! Starting a thread costs more than most kernels. So the threads of a team are started once. Within a run they wait
//! for one another awake, as they soon come; between runs they sleep, as an idle program must not keep a core busy.

use crate::error::Error;
use std::any::Any;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// For so long a wait keeps its core to itself: what most barriers take where every thread has a core.
const SPINS: Duration = Duration::from_micros(2);

/// For so long after that a thread that waits within a run offers its core to others and looks again, before it sleeps.
const YIELDS: Duration = Duration::from_micros(200);

/// Keeps what threads write often off the cache lines of other data; processors fetch lines in pairs.
#[repr(align(128))]
#[derive(Default)]
pub(super) struct Padded<T>(pub(super) T);

/// A number that only grows, and that threads wait for to change.
#[derive(Default)]
struct Signal {
    value: Padded<AtomicUsize>,
    /// How many threads sleep, or are about to.
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Signal {
    fn get(&self) -> usize {
        self.value.0.load(Ordering::SeqCst)
    }

    /// Counts up; everything that this thread has written is seen by those who wait.
    fn advance(&self) {
        self.value.0.fetch_add(1, Ordering::SeqCst);
        // A sleeper counts itself before it looks at the value for the last time, and here it is the other way round:
        // one of the two sees the other. Whoever has looked in vain holds the lock until it sleeps.
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            drop(locked(&self.lock));
            self.changed.notify_all();
        }
    }

    /// Waits until the value is not `old` any more. Before it sleeps it yields for `yields`.
    fn wait_while(&self, old: usize, yields: Duration) {
        let changed = || self.get() != old;
        let start = Instant::now();
        loop {
            // The clock costs more than a look.
            for _ in 0..16 {
                if changed() {
                    return;
                }
                std::hint::spin_loop();
            }
            let waited = start.elapsed();
            if waited > SPINS + yields {
                break;
            }
            if waited > SPINS {
                std::thread::yield_now();
            }
        }
        let mut guard = locked(&self.lock);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        while !changed() {
            guard = self.changed.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// No thread leaves what these locks guard half done, so one that panicked does no harm.
pub(super) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The payload with which a thread leaves a barrier that some thread will never come to.
struct Abandoned;

/// All threads of a team wait until all have come. What any of them wrote before is seen by all after.
pub(super) struct Barrier {
    n: usize,
    waiting: Padded<AtomicUsize>,
    generation: Signal,
    /// Whether a thread has panicked and will not come.
    is_abandoned: AtomicBool,
}

impl Barrier {
    fn new(n: usize) -> Barrier {
        Barrier { n, waiting: Padded::default(), generation: Signal::default(), is_abandoned: AtomicBool::new(false) }
    }

    /// How many threads meet here.
    pub(super) fn n(&self) -> usize {
        self.n
    }

    /// Waits for all threads. Where one has panicked, it will not come: this thread then unwinds as well, silently.
    pub(super) fn wait(&self) {
        if self.n == 1 {
            return;
        }
        // In this order: who reads the generation that an abandoned barrier advances to also sees that it is abandoned.
        let generation = self.generation.get();
        if !self.is_abandoned.load(Ordering::SeqCst) {
            if self.waiting.0.fetch_add(1, Ordering::SeqCst) + 1 == self.n {
                self.waiting.0.store(0, Ordering::SeqCst);
                self.generation.advance();
            } else {
                self.generation.wait_while(generation, YIELDS);
            }
        }
        if self.is_abandoned.load(Ordering::SeqCst) {
            resume_unwind(Box::new(Abandoned));
        }
    }

    /// Lets everyone go who waits or will wait.
    fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::SeqCst);
        self.generation.advance();
    }

    /// As new; nobody may be waiting.
    fn reset(&self) {
        self.waiting.0.store(0, Ordering::SeqCst);
        self.is_abandoned.store(false, Ordering::SeqCst);
    }
}

/// What all threads of a team do: called with the thread's number and the team's barrier.
type Work<'a> = &'a (dyn Fn(usize, &Barrier) + Sync);

/// What the threads of a team share.
struct Shared {
    barrier: Barrier,
    /// What to do now; there only while a run lasts.
    work: Mutex<Option<Work<'static>>>,
    /// Advances with each run, and when the team ends.
    begun: Signal,
    /// Advances when the last worker has finished.
    finished: Signal,
    /// How many workers have not finished.
    running: Padded<AtomicUsize>,
    is_over: AtomicBool,
    /// Of all threads that panicked in this run.
    panics: Mutex<Vec<Box<dyn Any + Send>>>,
}

impl Shared {
    /// Does one thread's part; a panic is kept, and releases the others.
    fn do_part(&self, thread: usize, work: Work<'_>) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| work(thread, &self.barrier))) {
            // Before the others can come here.
            locked(&self.panics).push(payload);
            self.barrier.abandon();
        }
    }

    fn serve(&self, thread: usize) {
        let mut seen = 0;
        loop {
            // A system finds the best core for a thread when it wakes up. One that always yields may share the caller's
            // core for good, beside one that is idle.
            self.begun.wait_while(seen, Duration::ZERO);
            seen += 1;
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let work = *locked(&self.work);
            if let Some(work) = work {
                self.do_part(thread, work);
            }
            if self.running.0.fetch_sub(1, Ordering::SeqCst) == 1 {
                self.finished.advance();
            }
        }
    }
}

/// Threads that wait for work: the caller's and `n - 1` others.
pub(super) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts all threads but the caller's.
    pub(super) fn new(n: NonZeroUsize) -> Result<Pool, Error> {
        let n = n.get();
        let shared = Arc::new(Shared {
            barrier: Barrier::new(n),
            work: Mutex::default(),
            begun: Signal::default(),
            finished: Signal::default(),
            running: Padded::default(),
            is_over: AtomicBool::new(false),
            panics: Mutex::default(),
        });
        let mut pool = Pool { shared, workers: Vec::with_capacity(n - 1) };
        for thread in 1..n {
            let shared = pool.shared.clone();
            let builder = std::thread::Builder::new().name(format!("gavotte-{thread}"));
            let worker = builder.spawn(move || shared.serve(thread));
            // Those that were started end with the pool.
            pool.workers.push(worker.map_err(|error| Error::Threads { wanted: n, why: error.to_string() })?);
        }
        Ok(pool)
    }

    /// Does `work` on all threads and returns when all have done it; the caller's thread is number 0. Where one
    /// panics, so does this function, with the same payload, as soon as all have ended.
    pub(super) fn run(&mut self, work: Work<'_>) {
        if self.workers.is_empty() {
            return work(0, &self.shared.barrier);
        }
        let shared = &*self.shared;
        // SAFETY: workers use the reference in `do_part` alone, and each counts down `running` after that. This
        // function returns or unwinds only behind the wait for all of them, as `do_part` does not unwind; the reference
        // is then taken out again. So nobody uses it when the lifetime of `work` has ended. No other run can begin
        // meanwhile, as the pool is borrowed mutably.
        let forever = unsafe { std::mem::transmute::<Work<'_>, Work<'static>>(work) };
        *locked(&shared.work) = Some(forever);
        shared.running.0.store(self.workers.len(), Ordering::SeqCst);
        let finished = shared.finished.get();
        shared.begun.advance();
        shared.do_part(0, work);
        shared.finished.wait_while(finished, YIELDS);
        *locked(&shared.work) = None;
        let panics = std::mem::take(&mut *locked(&shared.panics));
        if !panics.is_empty() {
            shared.barrier.reset();
            // There is one: threads unwind without a reason of their own only when another has had one.
            if let Some(payload) = panics.into_iter().find(|payload| !payload.is::<Abandoned>()) {
                resume_unwind(payload);
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.shared.begun.advance();
        for worker in self.workers.drain(..) {
            // A worker catches every panic of its work.
            drop(worker.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn pool(n: usize) -> Pool {
        Pool::new(NonZeroUsize::new(n).unwrap()).unwrap()
    }

    fn counts(n: usize) -> Vec<Padded<AtomicUsize>> {
        (0..n).map(|_| Padded::default()).collect()
    }

    #[test]
    fn every_thread_runs_once() {
        for n in [1, 2, 3, 8] {
            let mut pool = pool(n);
            let runs = counts(n);
            for round in 1..=50 {
                pool.run(&|thread, barrier| {
                    assert_eq!(barrier.n(), n);
                    runs[thread].0.fetch_add(1, Ordering::Relaxed);
                });
                assert!(runs.iter().all(|count| count.0.load(Ordering::Relaxed) == round), "{n} threads");
            }
        }
    }

    #[test]
    fn the_barrier_orders_writes() {
        let n = 4;
        let places = counts(n);
        pool(n).run(&|thread, barrier| {
            for round in 1..=500 {
                places[thread].0.store(round, Ordering::Relaxed);
                barrier.wait();
                assert!(places.iter().all(|place| place.0.load(Ordering::Relaxed) == round));
                barrier.wait();
            }
        });
    }

    #[test]
    fn short_runs_by_the_thousand_on_too_few_cores() {
        let start = Instant::now();
        let mut pool = pool(8);
        let sum = AtomicUsize::new(0);
        for _ in 0..3_000 {
            pool.run(&|thread, barrier| {
                sum.fetch_add(thread, Ordering::Relaxed);
                barrier.wait();
            });
        }
        assert_eq!(sum.into_inner(), 3_000 * 28);
        // A hundred times what it takes: only a team whose threads keep cores from one another is slower.
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    }

    #[test]
    fn threads_that_sleep_are_woken() {
        let mut pool = pool(3);
        let long = (SPINS + YIELDS) * 20;
        let runs = AtomicUsize::new(0);
        for _ in 0..5 {
            std::thread::sleep(long);
            for late in 0..3 {
                pool.run(&|thread, barrier| {
                    if thread == late {
                        std::thread::sleep(long);
                    }
                    barrier.wait();
                    runs.fetch_add(1, Ordering::Relaxed);
                });
            }
        }
        assert_eq!(runs.into_inner(), 5 * 3 * 3);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_works_on() {
        let mut pool = pool(3);
        for round in 0..60 {
            let (guilty, is_late) = (round % 3, round % 2 == 0);
            let caught = catch_unwind(AssertUnwindSafe(|| {
                pool.run(&|thread, barrier| {
                    barrier.wait();
                    if thread == guilty {
                        if is_late {
                            std::thread::sleep((SPINS + YIELDS) * 2);
                        }
                        // Without the words of a panic on the error stream.
                        resume_unwind(Box::new(round));
                    }
                    barrier.wait();
                    barrier.wait();
                });
            }));
            assert_eq!(caught.unwrap_err().downcast_ref(), Some(&round));
            let runs = AtomicUsize::new(0);
            pool.run(&|_, barrier| {
                barrier.wait();
                runs.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(runs.into_inner(), 3);
        }
    }

    #[test]
    fn all_may_panic() {
        let mut pool = pool(4);
        for _ in 0..20 {
            let caught = catch_unwind(AssertUnwindSafe(|| pool.run(&|_, _| resume_unwind(Box::new("out")))));
            assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"out"));
        }
        pool.run(&|_, barrier| barrier.wait());
    }

    #[test]
    fn the_end_joins() {
        struct Ends(Arc<AtomicUsize>);
        impl Drop for Ends {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        thread_local!(static ENDS: Cell<Option<Ends>> = const { Cell::new(None) });
        let ended = Arc::new(AtomicUsize::new(0));
        let mut pool = pool(5);
        pool.run(&|thread, _| {
            if thread > 0 {
                ENDS.set(Some(Ends(ended.clone())));
            }
        });
        assert_eq!(ended.load(Ordering::SeqCst), 0);
        drop(pool);
        assert_eq!(ended.load(Ordering::SeqCst), 4);
    }
}
