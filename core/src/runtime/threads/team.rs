//! A team of threads that share work, and wait for the work instead of the threads.
//!
//! A job is cut into units. Each free thread claims a unit, runs it, and claims the next, until none is left; so does
//! the thread that offers the job, its leader. The job is complete when its units are. A thread that comes late finds
//! nothing left, and one that never comes is not missed: a core that other programs keep busy costs only what it would
//! have contributed.
//!
//! Starting a thread costs more than most kernels. So the threads of a team are started once. Within a run they spin
//! for the next job, as it soon comes; then they sleep, as an idle program must not keep a core busy.

use super::primitives::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use super::primitives::thread::{self, JoinHandle, Thread};
use super::primitives::{Instant, LOOKS, Mutex, interrupted, locked, spin_loop};
use crate::device::memory;
use crate::error::Error;
use crate::runtime::options::CORES;
use std::any::Any;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long a worker with nothing to do spins for the next job before it sleeps: within a run there soon is one. It
/// keeps its core meanwhile. A worker that yields the core may get it back only after a program that computes all the
/// time, or may share the leader's core permanently although another is idle; a thread that has slept soon gets a core.
pub(super) const AWAKE: Duration = Duration::from_micros(50);

/// The memory of a thread: its stack, and some more.
const BYTES: usize = 3 << 20;

/// One time in this many a worker spins that long even if it has often spun in vain.
const TRIAL: usize = 16;

/// How long the leader spins for the last units before it sleeps: about the cost of sleeping and being woken.
pub(super) const PATIENCE: Duration = Duration::from_micros(40);

/// Keeps frequently written data of threads off the cache lines of other data; processors fetch lines in pairs.
#[repr(align(128))]
#[derive(Default)]
pub(in crate::runtime) struct Padded<T>(pub(in crate::runtime) T);

/// The work on the units of a job: called once on each thread that has claimed a unit, with the thread's number and the
/// units it claims, one after the other. Units that it does not request are left to others.
type Work<'a> = &'a (dyn Fn(usize, &mut dyn Iterator<Item = usize>) + Sync);

/// The units `first..end` in one word, so that a claim is one exchange.
const fn packed(first: usize, end: usize) -> u64 {
    (first as u64) << 32 | end as u64
}

/// The state of one thread of a team.
#[derive(Default)]
pub(super) struct Seat {
    /// The unclaimed units of this thread's share: the same part of each job, as neighbouring rows may still be in its
    /// caches.
    units: AtomicU64,
    /// Whether it sleeps, or is about to.
    pub(super) is_asleep: AtomicBool,
}

impl Seat {
    /// Claims the first unit, or the last: a helper stays out of the owner's way.
    fn claim(&self, is_own: bool) -> Option<usize> {
        let rest = |units: u64| {
            let (first, end) = ((units >> 32) as usize, units as u32 as usize);
            (first < end).then(|| if is_own { packed(first + 1, end) } else { packed(first, end - 1) })
        };
        let units = self.units.fetch_update(Ordering::SeqCst, Ordering::SeqCst, rest).ok()?;
        Some(if is_own { (units >> 32) as usize } else { units as u32 as usize - 1 })
    }
}

/// The state that the threads of a team share.
pub(super) struct Shared {
    /// One for each thread; the leader's comes first.
    pub(super) seats: Vec<Padded<Seat>>,
    /// The work on each unit: a [`Work`] of the leader. It exists as long as there are incomplete units, and only a
    /// thread that has claimed one may access it.
    work: AtomicPtr<()>,
    /// How many units of this job the workers have completed.
    done: Padded<AtomicUsize>,
    /// The number at which to wake the sleeping leader.
    wanted: AtomicUsize,
    /// Whether the unclaimed units are to be skipped.
    pub(super) is_stopped: AtomicBool,
    /// The payload of the first unit that panicked.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Counts jobs; workers wait for it to change.
    offered: Padded<AtomicUsize>,
    is_over: AtomicBool,
    /// The thread that offers this job, or has offered the last one.
    leader: Mutex<Thread>,
}

impl Shared {
    pub(super) fn new(n: usize) -> Shared {
        Shared {
            seats: (0..n).map(|_| Padded::default()).collect(),
            work: AtomicPtr::default(),
            done: Padded::default(),
            wanted: AtomicUsize::new(usize::MAX),
            is_stopped: AtomicBool::new(false),
            panic: Mutex::default(),
            offered: Padded::default(),
            is_over: AtomicBool::new(false),
            leader: Mutex::new(thread::current()),
        }
    }

    /// Claims a unit for a thread: one of its own, or of others.
    pub(super) fn claim(&self, thread: usize) -> Option<usize> {
        interrupted();
        let n = self.seats.len();
        (0..n).find_map(|i| self.seats[(thread + i) % n].0.claim(i == 0))
    }

    /// Runs the unit that this thread has claimed, and more. Returns how many it has claimed.
    fn do_units(&self, thread: usize, first: usize, work: Work<'_>) -> usize {
        // It was claimed after a panic: nobody wants it.
        if self.is_stopped.load(Ordering::SeqCst) {
            return 1;
        }
        let mut units = Units { shared: self, thread, first: Some(first), n: 1 };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| work(thread, &mut units))) {
            self.is_stopped.store(true, Ordering::SeqCst);
            locked(&self.panic).get_or_insert(payload);
        }
        units.n
    }

    /// A worker's main loop.
    fn serve(&self, thread: usize) {
        let mut vigil = Vigil { long: AWAKE, n: 0 };
        loop {
            let seen = self.offered.0.load(Ordering::SeqCst);
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let Some(first) = self.claim(thread) else {
                self.wait(thread, seen, &mut vigil);
                continue;
            };
            interrupted();
            let work = self.work.load(Ordering::SeqCst).cast_const().cast::<Work<'_>>();
            // SAFETY: `share` stores the address of its work before there is a unit to claim. It returns or unwinds,
            // and the next job is offered, only after all claimed units are counted as complete; this one is counted
            // below, when the work is no longer used.
            let n = self.do_units(thread, first, unsafe { *work });
            interrupted();
            let done = self.done.0.fetch_add(n, Ordering::SeqCst) + n;
            // The leader announces what it waits for before it checks for the last time, and here the order is
            // reversed: one of the two sees the other.
            if self.wanted.load(Ordering::SeqCst) == done {
                locked(&self.leader).unpark();
            }
        }
    }

    /// Waits for another job than number `seen`.
    fn wait(&self, thread: usize, seen: usize, vigil: &mut Vigil) {
        let is_new = || self.offered.0.load(Ordering::SeqCst) != seen;
        // More threads than cores would only impede one another.
        if thread < CORES.get() && vigil.sees(is_new) {
            return;
        }
        let is_asleep = &self.seats[thread].0.is_asleep;
        is_asleep.store(true, Ordering::SeqCst);
        interrupted();
        // The leader counts a job before it checks who sleeps: one of the two sees the other.
        while !is_new() {
            thread::park();
        }
        is_asleep.store(false, Ordering::SeqCst);
    }

    /// Waits until the workers have completed this many units.
    fn wait_for(&self, n: usize) {
        let is_done = || self.done.0.load(Ordering::SeqCst) == n;
        if happens_within(PATIENCE, is_done) {
            return;
        }
        self.wanted.store(n, Ordering::SeqCst);
        interrupted();
        while !is_done() {
            thread::park();
        }
        self.wanted.store(usize::MAX, Ordering::SeqCst);
    }
}

/// Spins for at most this long; returns whether something has happened.
fn happens_within(long: Duration, has_happened: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        // Reading the clock costs more than a check.
        for _ in 0..LOOKS {
            if has_happened() {
                return true;
            }
            spin_loop();
        }
        if start.elapsed() >= long {
            return false;
        }
    }
}

/// How long a worker spins for the next job: shorter each time it has spun in vain. It may be on the leader's core, and
/// impede what it waits for.
struct Vigil {
    long: Duration,
    n: usize,
}

impl Vigil {
    fn sees(&mut self, is_new: impl Fn() -> bool) -> bool {
        self.n += 1;
        let long = if self.n.is_multiple_of(TRIAL) { AWAKE } else { self.long };
        let sees = happens_within(long, is_new);
        self.long = if sees { AWAKE } else { self.long / 2 };
        sees
    }
}

/// The units that one thread claims, as it requests them.
struct Units<'s> {
    shared: &'s Shared,
    thread: usize,
    /// A unit that is claimed already.
    first: Option<usize>,
    /// The number of claimed units.
    n: usize,
}

impl Iterator for Units<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if self.shared.is_stopped.load(Ordering::Relaxed) {
            return None;
        }
        let unit = self.shared.claim(self.thread)?;
        self.n += 1;
        Some(unit)
    }
}

/// A team by its number of threads, as long as a program holds it.
type Registered = (NonZeroUsize, Weak<Mutex<ThreadPool>>);

/// The teams of the process.
static TEAMS: Mutex<Vec<Registered>> = Mutex::new(vec![]);

/// Threads that wait for work: `n - 1` workers, which help the thread that offers a job.
pub(in crate::runtime) struct ThreadPool {
    pub(super) shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    n_woken: usize,
    /// The process that has the workers: in a process forked from it the leader does everything by itself.
    process: u32,
}

impl ThreadPool {
    /// The team of this many threads: one for all programs of the process. The thread that holds its lock leads it; a
    /// thread that finds it locked works alone, as more threads than cores do not help.
    ///
    /// # Errors
    /// As of [`ThreadPool::new`].
    pub(in crate::runtime) fn of_process(n: NonZeroUsize) -> Result<Arc<Mutex<ThreadPool>>, Error> {
        let mut teams = locked(&TEAMS);
        teams.retain(|(_, team)| team.strong_count() > 0);
        if let Some(team) = teams.iter().find(|(size, _)| *size == n).and_then(|(_, team)| team.upgrade()) {
            return Ok(team);
        }
        let team = Arc::new(Mutex::new(ThreadPool::new(n)?));
        teams.push((n, Arc::downgrade(&team)));
        Ok(team)
    }

    /// Starts all threads except the caller's.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub(in crate::runtime) fn new(n: NonZeroUsize) -> Result<ThreadPool, Error> {
        let n = n.get();
        let refused = |why: String| Error::Threads { wanted: n, why };
        // A thread that starts without memory cannot report it.
        memory::require((n - 1) * BYTES).map_err(refused)?;
        let mut pool = ThreadPool::without_workers(Arc::new(Shared::new(n)));
        for thread in 1..n {
            let shared = pool.shared.clone();
            let builder = thread::Builder::new().name(format!("gavotte-{thread}"));
            let worker = builder.spawn(move || shared.serve(thread));
            // Those that were started end with the pool.
            pool.workers.push(worker.map_err(|error| refused(error.to_string()))?);
        }
        Ok(pool)
    }

    /// A team whose other threads do not exist, or not yet.
    pub(super) fn without_workers(shared: Arc<Shared>) -> ThreadPool {
        ThreadPool { shared, workers: vec![], n_woken: 0, process: std::process::id() }
    }

    /// The number of threads.
    pub(in crate::runtime) fn n(&self) -> usize {
        self.shared.seats.len()
    }

    /// How often a worker was woken.
    pub(in crate::runtime) fn n_woken(&self) -> usize {
        self.n_woken
    }

    /// Runs the units `0..n`, each once, on this thread and on those that come while some are left; returns when all
    /// are complete. The job is offered to this many threads, including this one, and sleeping ones among them are
    /// woken.
    ///
    /// The first unit is always the leader's. If one panics, so does this function, with the same payload, as soon as
    /// the claimed ones are complete; the others are then skipped.
    pub(in crate::runtime) fn share(&mut self, n: usize, threads: usize, work: Work<'_>) {
        let threads = threads.min(self.n()).min(n);
        if threads < 2 {
            return work(0, &mut (0..n));
        }
        assert!(u32::try_from(n).is_ok(), "{n} units are more than a word counts");
        let shared = &*self.shared;
        *locked(&shared.leader) = thread::current();
        shared.work.store(std::ptr::from_ref(&work).cast_mut().cast(), Ordering::SeqCst);
        shared.done.0.store(0, Ordering::SeqCst);
        shared.is_stopped.store(false, Ordering::SeqCst);
        // Nobody has units of the last job or can claim one: all seats are empty up to here.
        for thread in (0..threads).rev() {
            let [first, end] = [thread, thread + 1].map(|thread| n * thread / threads);
            shared.seats[thread].0.units.store(packed(first.max(1), end), Ordering::SeqCst);
        }
        shared.offered.0.fetch_add(1, Ordering::SeqCst);
        for (worker, seat) in self.workers.iter().zip(&shared.seats[1..threads]) {
            if seat.0.is_asleep.swap(false, Ordering::SeqCst) {
                worker.thread().unpark();
                self.n_woken += 1;
            }
        }
        let mut own = shared.do_units(0, 0, work);
        // Units that nobody will run any more: after a panic, or if the work did not request all.
        while shared.claim(0).is_some() {
            own += 1;
        }
        shared.wait_for(n - own);
        if let Some(payload) = locked(&shared.panic).take() {
            resume_unwind(payload);
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.shared.offered.0.fetch_add(1, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            if self.process != std::process::id() {
                // There is no such thread to wait for.
                std::mem::forget(worker);
                continue;
            }
            worker.thread().unpark();
            // A worker catches every panic of its work.
            drop(worker.join());
        }
    }
}
