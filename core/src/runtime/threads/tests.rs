use super::primitives::locked;
use super::team::{AWAKE, PATIENCE, Shared, ThreadPool};
use crate::error::Error;
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread::{sleep, spawn, yield_now};
use std::time::{Duration, Instant};

/// In all tests threads lose their core at some of the points where that could do harm: often for a moment, rarely for
/// so long that others finish meanwhile.
pub(super) fn interrupted() {
    thread_local!(static STATE: Cell<u64> = const { Cell::new(0) });
    let mut x = match STATE.get() {
        // Each thread starts elsewhere.
        0 => STATE.with(|state| std::ptr::from_ref(state).addr() as u64) | 1,
        x => x,
    };
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    STATE.set(x);
    match x >> 32 & 1023 {
        0 => sleep(Duration::from_micros(100)),
        1..32 => yield_now(),
        _ => {}
    }
}

fn pool(n: usize) -> ThreadPool {
    ThreadPool::new(NonZeroUsize::new(n).unwrap()).unwrap()
}

/// A team whose other threads never come.
fn deserted(n: usize) -> ThreadPool {
    ThreadPool::without_workers(Arc::new(Shared::new(n)))
}

fn counts(n: usize) -> Vec<AtomicUsize> {
    (0..n).map(|_| AtomicUsize::new(0)).collect()
}

fn get(count: &AtomicUsize) -> usize {
    count.load(Ordering::Relaxed)
}

fn add(count: &AtomicUsize, n: usize) {
    count.fetch_add(n, Ordering::Relaxed);
}

/// Long enough for every thread that may sleep to sleep.
fn long() {
    sleep((AWAKE + PATIENCE) * 50);
}

#[test]
fn every_unit_is_done_once_by_whoever_comes() {
    for threads in [1, 2, 3, 7] {
        for mut pool in [pool(threads), deserted(threads)] {
            for n in [0, 1, 2, 3, 10, 257] {
                for offered in [1, 2, threads, threads + 5] {
                    let done = counts(n);
                    pool.share(n, offered, &|thread, units| {
                        assert!(thread < threads);
                        units.for_each(|unit| add(&done[unit], 1));
                    });
                    assert!(done.iter().all(|count| get(count) == 1), "{n} units for {offered} of {threads} threads");
                }
            }
        }
    }
}

#[test]
fn a_unit_sees_what_the_job_before_wrote() {
    let (mut pool, n) = (pool(4), 40);
    let places = counts(n);
    for round in 1..=500 {
        pool.share(n, 4, &|_, units| {
            for unit in units {
                // Of all units, whichever threads ran them.
                assert!(
                    places.iter().all(|place| get(place) >= round - 1),
                    "unit {unit} of round {round} came too early"
                );
                assert_eq!(get(&places[unit]), round - 1);
                places[unit].store(round, Ordering::Relaxed);
            }
        });
        assert!(places.iter().all(|place| get(place) == round));
    }
}

/// Neither the work nor anything it borrows is used after the job, whichever thread loses its core when.
#[test]
fn nobody_touches_a_job_that_is_over() {
    struct Job {
        is_over: AtomicBool,
        done: Vec<AtomicUsize>,
    }
    let mut pool = pool(5);
    // They are kept, so that a late access is noticed and does not read freed memory.
    let mut jobs: Vec<Arc<Job>> = vec![];
    for round in 0..4_000 {
        let n = 2 + round % 9;
        let job = Arc::new(Job { is_over: AtomicBool::new(false), done: counts(n) });
        pool.share(n, 2 + round % 4, &|_, units| {
            for unit in units {
                assert!(!job.is_over.load(Ordering::SeqCst), "unit {unit} of round {round}");
                job.done[unit].fetch_add(1, Ordering::SeqCst);
            }
            interrupted();
            assert!(!job.is_over.load(Ordering::SeqCst), "after the units of round {round}");
        });
        job.is_over.store(true, Ordering::SeqCst);
        jobs.push(job);
    }
    assert!(jobs.iter().all(|job| job.done.iter().all(|count| get(count) == 1)));
}

#[test]
fn a_thread_that_comes_late_finds_nothing_left() {
    let mut pool = deserted(2);
    let shared = pool.shared.clone();
    for n in 1..50 {
        let mut done = 0;
        let counted = Mutex::new(&mut done);
        pool.share(n, 2, &|_, units| units.for_each(|_| **locked(&counted) += 1));
        assert_eq!((done, shared.claim(1)), (n, None));
    }
}

/// A worker that has claimed a unit is waited for asleep; the others' units are run meanwhile.
#[test]
fn what_is_waited_for_is_a_unit_that_someone_holds() {
    let mut pool = pool(2);
    for _ in 0..5 {
        let (done, met) = (counts(20), Barrier::new(2));
        pool.share(20, 2, &|thread, units| {
            let mut is_first = true;
            for unit in units {
                if std::mem::take(&mut is_first) {
                    met.wait();
                    if thread == 1 {
                        while done.iter().map(get).sum::<usize>() < 19 {
                            yield_now();
                        }
                        long();
                    }
                }
                done[unit].fetch_add(1, Ordering::SeqCst);
            }
        });
        assert!(done.iter().all(|count| get(count) == 1));
    }
}

/// Whoever leads is woken, and not who made the team.
#[test]
fn a_leader_that_sleeps_is_woken() {
    let mut pool = pool(2);
    let (send, done) = mpsc::channel();
    spawn(move || {
        let met = Barrier::new(2);
        pool.share(2, 2, &|thread, units| {
            for _ in units {
                met.wait();
                if thread == 1 {
                    long();
                }
            }
        });
        send.send(()).expect("somebody waits");
    });
    assert_eq!(done.recv_timeout(Duration::from_secs(20)), Ok(()));
}

#[test]
fn own_units_come_in_order_and_those_of_others_from_their_end() {
    let mut pool = deserted(3);
    let order = Mutex::new(vec![]);
    pool.share(9, 3, &|_, units| units.for_each(|unit| locked(&order).push(unit)));
    assert_eq!(*locked(&order), [0, 1, 2, 5, 4, 3, 8, 7, 6]);
}

#[test]
fn short_jobs_by_the_thousand_on_too_few_cores() {
    let start = Instant::now();
    let mut pool = pool(8);
    let sum = AtomicUsize::new(0);
    for _ in 0..3_000 {
        pool.share(8, 8, &|_, units| units.for_each(|unit| add(&sum, unit)));
    }
    assert_eq!(sum.into_inner(), 3_000 * 28);
    // A hundred times the usual time: only a team whose threads impede one another is slower.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn those_that_sleep_are_woken_and_no_more_than_are_wanted() {
    let mut pool = pool(4);
    let is_asleep =
        |pool: &ThreadPool| pool.shared.seats[1..].iter().all(|seat| seat.0.is_asleep.load(Ordering::SeqCst));
    let mut woken = 0;
    for wanted in [2, 4, 3, 2, 4] {
        while !is_asleep(&pool) {
            yield_now();
        }
        // One that says so is only about to: where it sees the next job before it sleeps, nobody wakes it.
        long();
        pool.share(1, 4, &|_, units| units.for_each(drop));
        assert_eq!(pool.n_woken(), woken, "one unit is no work for others");
        let met = Barrier::new(wanted);
        pool.share(wanted, wanted, &|_, units| {
            for _ in units {
                // All are here at once.
                met.wait();
            }
        });
        woken += wanted - 1;
        assert_eq!(pool.n_woken(), woken);
    }
}

#[test]
fn a_panic_in_any_unit_reaches_the_caller_and_the_team_works_on() {
    let mut pool = pool(3);
    for round in 0..120 {
        let (guilty, is_late) = (round % 12, round % 2 == 0);
        let done = counts(12);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            pool.share(12, 3, &|_, units| {
                for unit in units {
                    if unit == guilty {
                        if is_late {
                            sleep(PATIENCE * 2);
                        }
                        // Without the message of a panic on the error stream.
                        resume_unwind(Box::new(round));
                    }
                    done[unit].fetch_add(1, Ordering::Relaxed);
                }
            });
        }));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&round));
        assert!(done.iter().enumerate().all(|(unit, count)| get(count) <= usize::from(unit != guilty)));
        let done = counts(12);
        pool.share(12, 3, &|_, units| units.for_each(|unit| add(&done[unit], 1)));
        assert!(done.iter().all(|count| get(count) == 1));
    }
}

/// The worker's unit panics while the leader is in its first: neither begins another.
#[test]
fn nobody_begins_a_unit_after_a_panic() {
    let mut pool = pool(2);
    let shared = pool.shared.clone();
    let begun = AtomicUsize::new(0);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        pool.share(100, 2, &|thread, units| {
            for _ in units {
                add(&begun, 1);
                if thread == 1 {
                    resume_unwind(Box::new("out"));
                }
                let start = Instant::now();
                while !shared.is_stopped.load(Ordering::SeqCst) {
                    assert!(start.elapsed() < Duration::from_secs(20), "nobody is told of the panic");
                    yield_now();
                }
                long();
            }
        });
    }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"out"));
    assert_eq!(begun.into_inner(), 2);
}

#[test]
fn all_may_panic() {
    let mut pool = pool(4);
    for _ in 0..20 {
        let met = Barrier::new(4);
        let share = || {
            pool.share(4, 4, &|_, units| {
                units.for_each(drop::<usize>);
                resume_unwind(Box::new("out"))
            });
        };
        let caught = catch_unwind(AssertUnwindSafe(share));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"out"));
        let share = || {
            pool.share(4, 4, &|_, units| {
                assert!(units.next().is_some());
                met.wait();
                resume_unwind(Box::new("all at once"))
            });
        };
        let caught = catch_unwind(AssertUnwindSafe(share));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"all at once"));
    }
    let done = AtomicUsize::new(0);
    pool.share(40, 4, &|_, units| add(&done, units.count()));
    assert_eq!(done.into_inner(), 40);
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
    let met = Barrier::new(5);
    pool.share(5, 5, &|thread, units| {
        for _ in units {
            met.wait();
            if thread > 0 {
                ENDS.set(Some(Ends(ended.clone())));
            }
        }
    });
    assert_eq!(ended.load(Ordering::SeqCst), 0);
    drop(pool);
    assert_eq!(ended.load(Ordering::SeqCst), 4);
}

#[test]
fn a_refused_thread_says_how_many_were_asked_for() {
    let text = Error::Threads { wanted: 1000, why: "Resource temporarily unavailable".into() }.to_string();
    for part in ["1000 threads", "Resource temporarily unavailable", "`Options::threads`"] {
        assert!(text.contains(part), "{text}");
    }
}
