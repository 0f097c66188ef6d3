//! The team under many orders of events: its source is compiled with threads whose every step a scheduler chooses (the
//! crate `shuttle`). There a lost wake-up is a deadlock, and a race is an order that some schedule takes.

mod primitives {
    pub(super) use shuttle::hint::spin_loop;
    pub(super) use shuttle::sync::{Mutex, MutexGuard, atomic};
    pub(super) use shuttle::thread;
    use std::time::Duration;

    pub(super) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A thread that waits sleeps soon: whoever looks often meanwhile sees what it waits for in nearly every schedule, and
    /// no schedule tries what happens between the last look and the sleep.
    pub(super) const LOOKS: usize = 1;

    /// The scheduler takes the core at every step.
    pub(super) fn interrupted() {}

    /// A clock for which every wait is too long: schedules must not depend on time.
    pub(super) struct Instant;

    impl Instant {
        pub(super) fn now() -> Instant {
            Instant
        }

        pub(super) fn elapsed(&self) -> Duration {
            Duration::MAX
        }
    }
}

#[path = "team.rs"]
#[allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "the same source, made of other threads: programs use the other one"
)]
mod team;

use primitives::atomic::{AtomicBool, AtomicUsize, Ordering};
use primitives::{Mutex, locked, thread};
use shuttle::sync::Barrier;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use team::ThreadPool;

fn pool(n: usize) -> ThreadPool {
    ThreadPool::new(NonZeroUsize::new(n).unwrap()).unwrap()
}

/// Random schedules, and those that need few context switches in the wrong place.
fn explore(f: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(f.clone(), 1000);
    shuttle::check_pct(f, 1000, 3);
}

/// A job that counts its units and notes its end.
struct Job {
    done: Vec<AtomicUsize>,
    is_over: AtomicBool,
}

impl Job {
    fn of(n: usize) -> Arc<Job> {
        Arc::new(Job { done: (0..n).map(|_| AtomicUsize::new(0)).collect(), is_over: AtomicBool::new(false) })
    }

    fn share(self: &Arc<Job>, pool: &mut ThreadPool, threads: usize) {
        pool.share(self.done.len(), threads, &|_, units| {
            for unit in units {
                assert!(!self.is_over.load(Ordering::SeqCst));
                self.done[unit].fetch_add(1, Ordering::SeqCst);
            }
            assert!(!self.is_over.load(Ordering::SeqCst), "nobody is in the job when it is over");
        });
        self.is_over.store(true, Ordering::SeqCst);
        assert!(self.done.iter().all(|count| count.load(Ordering::SeqCst) == 1), "each unit is done once");
    }
}

#[test]
fn two_threads_in_every_order_of_a_few_thousand() {
    let f = || {
        let mut pool = pool(2);
        Job::of(2).share(&mut pool, 2);
    };
    shuttle::check_dfs(f, Some(4000));
}

#[test]
fn each_unit_is_done_once_and_the_team_ends() {
    for (threads, units) in [(2, 3), (3, 5)] {
        explore(move || {
            let mut pool = pool(threads);
            for offered in [threads, 2, threads] {
                Job::of(units).share(&mut pool, offered);
            }
        });
    }
}

#[test]
fn a_panic_reaches_the_leader_in_every_order() {
    explore(|| {
        let mut pool = pool(2);
        for guilty in [0, 2] {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                pool.share(3, 2, &|_, units| {
                    for unit in units {
                        if unit == guilty {
                            resume_unwind(Box::new(unit));
                        }
                    }
                });
            }));
            assert_eq!(caught.unwrap_err().downcast_ref(), Some(&guilty));
            Job::of(2).share(&mut pool, 2);
        }
    });
}

#[test]
fn threads_lead_one_team_in_turn() {
    explore(|| {
        let pool = Arc::new(Mutex::new(pool(2)));
        let lead = |pool: &Arc<Mutex<ThreadPool>>| {
            for _ in 0..2 {
                Job::of(3).share(&mut locked(pool), 2);
            }
        };
        let other = {
            let pool = pool.clone();
            thread::spawn(move || lead(&pool))
        };
        lead(&pool);
        other.join().unwrap();
    });
}

/// A worker that sleeps when a job comes is woken: this one waits for it.
#[test]
fn units_that_wait_for_each_other_are_done() {
    explore(|| {
        let mut pool = pool(2);
        for _ in 0..2 {
            let met = Arc::new(Barrier::new(2));
            pool.share(2, 2, &|_, units| {
                for _ in units {
                    met.wait();
                }
            });
        }
    });
}

/// The worker has its unit when the leader's panics: the job is over when the worker's is done.
#[test]
fn a_panic_waits_for_the_units_that_others_hold() {
    explore(|| {
        let mut pool = pool(2);
        let (met, done) = (Arc::new(Barrier::new(2)), AtomicBool::new(false));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            pool.share(2, 2, &|thread, units| {
                for _ in units {
                    met.wait();
                    if thread == 0 {
                        resume_unwind(Box::new("out"));
                    }
                    done.store(true, Ordering::SeqCst);
                }
            });
        }));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"out"));
        assert!(done.load(Ordering::SeqCst));
    });
}
