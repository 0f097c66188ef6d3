//! A team of threads that share work, where what is waited for is the work and not the threads.
//!
//! A job is cut into units. Each thread that has time claims a unit, does it, and claims the next, until none is left; so
//! does the thread that offers the job, its leader. The job is done when its units are. A thread that comes late finds
//! nothing left, and one that never comes is not missed: so a core that other programs keep busy costs what it would have
//! done, and no more.
//!
//! Starting a thread costs more than most kernels. So the threads of a team are started once. Within a run they look for
//! the next job awake, as it soon comes; then they sleep, as an idle program must not keep a core busy.

use super::primitives::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use super::primitives::thread::{self, JoinHandle, Thread};
use super::primitives::{Instant, Mutex, interrupted, locked, spin_loop};
use crate::device::memory;
use crate::error::Error;
use crate::runtime::options::CORES;
use std::any::Any;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A worker that finds nothing to do looks for the next job this long before it sleeps: within a run there soon is one.
/// It keeps its core meanwhile. One that offers it to others by a yield may have it back only after a program that always
/// computes, or share the leader's for good beside one that is idle; one that has slept is soon given a core.
pub(super) const AWAKE: Duration = Duration::from_micros(50);

/// What a thread takes: its stack, and some memory.
const BYTES: usize = 3 << 20;

/// One time in this many a worker looks that long even where it has often looked in vain.
const TRIAL: usize = 16;

/// For so long the leader looks whether the last units are done before it sleeps: about what it costs to sleep and to be
/// woken.
pub(super) const PATIENCE: Duration = Duration::from_micros(40);

/// Keeps what threads write often off the cache lines of other data; processors fetch lines in pairs.
#[repr(align(128))]
#[derive(Default)]
pub(in crate::runtime) struct Padded<T>(pub(in crate::runtime) T);

/// What is done for each unit of a job: called once on each thread that has claimed a unit, with the thread's number and
/// the units it claims, one after the other. Those that it does not ask for are left to others.
type Work<'a> = &'a (dyn Fn(usize, &mut dyn Iterator<Item = usize>) + Sync);

/// The units `first..end` in one word, so that a claim is one exchange.
const fn packed(first: usize, end: usize) -> u64 {
    (first as u64) << 32 | end as u64
}

/// What belongs to one thread of a team.
#[derive(Default)]
pub(super) struct Seat {
    /// The units that nobody has claimed yet, of those that this thread would best do: the same part of each job, as
    /// neighbouring rows may still be in its caches.
    units: AtomicU64,
    /// Whether it sleeps, or is about to.
    pub(super) is_asleep: AtomicBool,
}

impl Seat {
    /// Claims the first unit, or the last: whoever comes to help stays off the owner's path.
    fn claim(&self, is_own: bool) -> Option<usize> {
        let rest = |units: u64| {
            let (first, end) = ((units >> 32) as usize, units as u32 as usize);
            (first < end).then(|| if is_own { packed(first + 1, end) } else { packed(first, end - 1) })
        };
        let units = self.units.fetch_update(Ordering::SeqCst, Ordering::SeqCst, rest).ok()?;
        Some(if is_own { (units >> 32) as usize } else { units as u32 as usize - 1 })
    }
}

/// What the threads of a team share.
pub(super) struct Shared {
    /// One for each thread; the leader's is the first.
    pub(super) seats: Vec<Padded<Seat>>,
    /// What to do for each unit: a [`Work`] of the leader. It is there as long as there are units that are not done, and
    /// only who has claimed one may look at it.
    work: AtomicPtr<()>,
    /// How many units of this job the workers have done.
    done: Padded<AtomicUsize>,
    /// The number at which the sleeping leader is to be woken.
    wanted: AtomicUsize,
    /// Whether the units that nobody has claimed are not to be done.
    is_stopped: AtomicBool,
    /// Of the first unit that panicked.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Counts jobs; workers look at it for the next one.
    offered: Padded<AtomicUsize>,
    is_over: AtomicBool,
    /// Who offers this job, or has offered the last one.
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

    /// Claims a unit for a thread: of its own, or of those of others.
    pub(super) fn claim(&self, thread: usize) -> Option<usize> {
        interrupted();
        let n = self.seats.len();
        (0..n).find_map(|i| self.seats[(thread + i) % n].0.claim(i == 0))
    }

    /// Does the unit that this thread has claimed, and more. Returns how many it has claimed.
    fn do_units(&self, thread: usize, first: usize, work: Work<'_>) -> usize {
        let mut units = Units { shared: self, thread, first: Some(first), n: 1 };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| work(thread, &mut units))) {
            self.is_stopped.store(true, Ordering::SeqCst);
            locked(&self.panic).get_or_insert(payload);
        }
        units.n
    }

    /// A worker's life.
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
            // SAFETY: `share` stores the place of its work before there is a unit to claim. It returns or unwinds, and
            // the next job is offered, only after all claimed units are counted as done; this one is counted below, when
            // the work is used no more.
            let n = self.do_units(thread, first, unsafe { *work });
            interrupted();
            let done = self.done.0.fetch_add(n, Ordering::SeqCst) + n;
            // The leader says what it waits for before it looks for the last time, and here it is the other way round: one
            // of the two sees the other.
            if self.wanted.load(Ordering::SeqCst) == done {
                locked(&self.leader).unpark();
            }
        }
    }

    /// Waits for another job than number `seen`.
    fn wait(&self, thread: usize, seen: usize, vigil: &mut Vigil) {
        let is_new = || self.offered.0.load(Ordering::SeqCst) != seen;
        // More threads than cores would only keep those from one another.
        if thread < CORES.get() && vigil.sees(is_new) {
            return;
        }
        let is_asleep = &self.seats[thread].0.is_asleep;
        is_asleep.store(true, Ordering::SeqCst);
        interrupted();
        // The leader counts a job before it looks who sleeps: one of the two sees the other.
        while !is_new() {
            thread::park();
        }
        is_asleep.store(false, Ordering::SeqCst);
    }

    /// Waits until the workers have done this many units.
    fn wait_for(&self, n: usize) {
        let is_done = || self.done.0.load(Ordering::SeqCst) == n;
        if looks(PATIENCE, is_done) {
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

/// Looks for so long whether something has happened.
fn looks(long: Duration, has_happened: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        // The clock costs more than a look.
        for _ in 0..16 {
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

/// How long a worker looks for the next job: shorter each time it has looked in vain. It may be on the leader's core, and
/// keep it from what it waits for.
struct Vigil {
    long: Duration,
    n: usize,
}

impl Vigil {
    fn sees(&mut self, is_new: impl Fn() -> bool) -> bool {
        self.n += 1;
        let long = if self.n.is_multiple_of(TRIAL) { AWAKE } else { self.long };
        let sees = looks(long, is_new);
        self.long = if sees { AWAKE } else { self.long / 2 };
        sees
    }
}

/// The units that one thread claims, as it asks for them.
struct Units<'s> {
    shared: &'s Shared,
    thread: usize,
    /// One that is claimed already.
    first: Option<usize>,
    /// How many are claimed.
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

/// A team by its number of threads, as long as a program has it.
type Registered = (NonZeroUsize, Weak<Mutex<ThreadPool>>);

/// The teams of the process.
static TEAMS: Mutex<Vec<Registered>> = Mutex::new(vec![]);

/// Threads that wait for work: `n - 1` workers, which help the thread that offers a job.
pub(in crate::runtime) struct ThreadPool {
    pub(super) shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    n_woken: usize,
    /// The process that has the workers: in one that was forked from it the leader does all by itself.
    process: u32,
}

impl ThreadPool {
    /// The team of this many threads: one for all programs of the process. Whoever holds its lock leads it; a thread that
    /// finds it locked works alone, as more threads than cores help nobody.
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

    /// Starts all threads but the caller's.
    ///
    /// # Errors
    /// Where the system refuses a thread.
    pub(in crate::runtime) fn new(n: NonZeroUsize) -> Result<ThreadPool, Error> {
        let n = n.get();
        let refused = |why: String| Error::Threads { wanted: n, why };
        // A thread that begins without memory cannot say so.
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

    /// A team whose other threads are not there, or not yet.
    pub(super) fn without_workers(shared: Arc<Shared>) -> ThreadPool {
        ThreadPool { shared, workers: vec![], n_woken: 0, process: std::process::id() }
    }

    /// How many threads there are.
    pub(in crate::runtime) fn n(&self) -> usize {
        self.shared.seats.len()
    }

    /// How often a worker was woken.
    pub(in crate::runtime) fn n_woken(&self) -> usize {
        self.n_woken
    }

    /// Has the units `0..n` done, each once, by this thread and by those that come while there are some left; returns
    /// when all are done. It is offered to this many threads, this one included, and those of them that sleep are woken.
    ///
    /// The first unit is always the leader's. Where one panics, so does this function, with the same payload, as soon as
    /// those that were claimed are done; the others are not done then.
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
        // Nobody has units of the last job, nor can claim one: all seats are empty until here.
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
        // What nobody wants to do any more: after a panic, or where the work did not ask for all.
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
