//! The times of runs with the team and without: estimates say that work is worth sharing, clocks say whether it was.
//!
//! Two cores that share no cache, as a host may assign to a virtual machine, exchange every array at the price of
//! memory: two threads are then slower than one, and even slower if other programs disturb them. So now and then some
//! runs are made the other way, and the faster way is kept. Medians are compared: another program may make any run
//! longer, and so may the transfer of arrays into other caches. Results have the same bits both ways.

use crate::runtime::threads::worth::Nanos;
use smallvec::SmallVec;
use std::num::NonZeroUsize;
use std::time::Duration;

/// The time in usual runs before the first comparison: by then arrays and code are in the caches.
const FIRST: Duration = Duration::from_millis(5);
/// And at least this many times the possible cost of a run alone. A program with a few long runs never makes one alone.
const CAUTION: u32 = 50;
/// The time in usual runs from one comparison to the next.
const GAP: Duration = Duration::from_millis(50);
/// A third of the usual time between comparisons is enough if runs take longer or shorter than at first, by `CHANGE`.
const SOONER: u32 = 3;
const CHANGE: f64 = 1.25;
/// The last runs, which show the current times.
const RECENT: usize = 32;
/// The other way is hopeless if it takes this many times the usual time.
const HOPELESS: f64 = 1.25;
/// The number of runs after which a way that is not better is given up.
const FEW: usize = 8;
/// The most runs of a comparison.
const TRIES: usize = 32;

/// When enough is known about the other way.
struct Proof {
    /// The number of runs after which it may be found hopeless.
    least: usize,
    /// The number of runs after which it is decided.
    most: usize,
    /// The other way is better if it takes less than this share of the usual time.
    better: f64,
    /// The time in usual runs from one comparison to the next is this many times the cost of the last one: so
    /// comparisons slow a program by no more than the inverse.
    gain: u32,
}

/// If the team is worth it, each run alone costs time; and when other programs run, more threads get more of the cores,
/// so the evidence against the team must be strong.
const ALONE: Proof = Proof { least: 1, most: TRIES, better: 0.88, gain: 240 };
const TEAM: Proof = Proof { least: 3, most: FEW, better: 1.0, gain: 48 };

/// The times of runs of one program.
#[derive(Debug)]
pub(in crate::runtime) struct Experience {
    /// The number of threads besides the caller's.
    workers: u32,
    /// How runs are made: with the team, or alone.
    with_team: bool,
    /// The cost of the last comparison; `None` before the first.
    cost: Option<Duration>,
    usual: Usual,
    /// The comparison in progress.
    other: Option<Other>,
}

/// The runs that were made in the usual way since the last comparison.
///
/// Their times are divided by the estimates: calls may have other sizes each time.
#[derive(Debug, Default)]
struct Usual {
    n: usize,
    spent: Duration,
    /// The rate of the first few runs.
    at_first: f64,
    /// The rates of the last runs, in no order.
    recent: [f64; RECENT],
}

impl Usual {
    fn add(&mut self, took: Duration, rate: f64) {
        self.spent += took;
        self.recent[self.n % RECENT] = rate;
        self.n += 1;
        if self.n == RECENT {
            self.at_first = self.typical().median;
        }
    }

    fn typical(&self) -> Typical {
        Typical::of(&self.recent[..self.n.min(RECENT)])
    }

    fn has_changed(&self) -> bool {
        let ratio = self.typical().median / self.at_first;
        self.n > RECENT && !(1.0 / CHANGE..=CHANGE).contains(&ratio)
    }
}

/// The runs of one comparison.
#[derive(Debug)]
struct Other {
    /// The usual time.
    usual: Typical,
    n: usize,
    rates: [f64; TRIES],
    cost: Duration,
}

impl Other {
    fn compared_with(usual: Typical) -> Other {
        Other { usual, n: 0, rates: [0.0; TRIES], cost: Duration::ZERO }
    }

    /// Notes a run. Once enough is known, returns whether this way is the better one.
    fn add(&mut self, took: Duration, rate: f64, workers: u32, proof: &Proof) -> Option<bool> {
        // The part of a run's time that exceeds the time alone was another program's.
        let usual = self.usual.median;
        let beyond = (rate / usual - 1.0).clamp(0.0, workers.into());
        self.cost += took.mul_f64(beyond * usual / rate);
        self.n += 1;
        // The first run brings arrays into other caches, and wakes the team.
        let n = self.n.checked_sub(1).filter(|n| *n > 0)?;
        self.rates[n - 1] = rate;
        let tried = Typical::of(&self.rates[..n]);
        let ratio = tried.median / self.usual.median;
        if n >= proof.least && ratio > HOPELESS || n >= FEW && ratio > proof.better {
            return Some(false);
        }
        // When other programs run, most runs alone may be undisturbed, and most with the team not, although the team is
        // faster.
        let is_better = ratio.max(tried.mean / self.usual.mean) < proof.better;
        (n == proof.most).then_some(is_better)
    }
}

impl Experience {
    /// The experience of a program that has not run yet, and may have this many threads.
    pub(in crate::runtime) fn new(threads: NonZeroUsize) -> Experience {
        let workers = u32::try_from(threads.get() - 1).unwrap_or(u32::MAX);
        Experience { workers, with_team: true, cost: None, usual: Usual::default(), other: None }
    }

    /// Whether the next run is made with the team.
    pub(in crate::runtime) fn says_team(&self) -> bool {
        self.with_team != self.other.is_some()
    }

    /// What the other way has to prove.
    fn proof(&self) -> &'static Proof {
        if self.with_team { &ALONE } else { &TEAM }
    }

    /// Notes the time of that run, and its estimate.
    pub(in crate::runtime) fn learn(&mut self, took: Duration, estimate: Nanos) {
        let rate = took.as_nanos().max(1) as f64 / estimate.max(1) as f64;
        let proof = self.proof();
        let Some(other) = &mut self.other else {
            self.usual.add(took, rate);
            if self.is_due(took) {
                self.other = Some(Other::compared_with(self.usual.typical()));
            }
            return;
        };
        if let Some(is_better) = other.add(took, rate, self.workers, proof) {
            self.cost = Some(other.cost);
            self.with_team ^= is_better;
            (self.usual, self.other) = (Usual::default(), None);
        }
    }

    /// Whether a comparison is due after a usual run with this time.
    fn is_due(&self, took: Duration) -> bool {
        let spent = self.usual.spent;
        match self.cost {
            // Alone it takes at most that many times as long.
            None => spent >= FIRST.max(took.saturating_mul(self.workers).saturating_mul(CAUTION)),
            Some(cost) => {
                let gain = self.proof().gain;
                let after = |gain| spent >= GAP.max(cost.saturating_mul(gain)) && self.usual.n >= RECENT;
                after(gain) || after(gain / SOONER) && self.usual.has_changed()
            }
        }
    }
}

/// The typical time of a run.
#[derive(Debug)]
struct Typical {
    median: f64,
    mean: f64,
}

impl Typical {
    fn of(rates: &[f64]) -> Typical {
        let mut sorted: SmallVec<[f64; RECENT]> = rates.into();
        sorted.sort_by(f64::total_cmp);
        Typical { median: sorted[sorted.len() / 2], mean: sorted.iter().sum::<f64>() / sorted.len() as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESTIMATE: Nanos = 1_000_000;

    fn of_two() -> Experience {
        Experience::new(NonZeroUsize::new(2).unwrap())
    }

    /// Makes runs for this many milliseconds, each of which takes the time that `takes` returns. Returns the shares of
    /// that time that were spent with the team and alone.
    fn runs(experience: &mut Experience, long: f64, mut takes: impl FnMut(bool) -> f64) -> [f64; 2] {
        let mut spent = [0.0; 2];
        while spent.iter().sum::<f64>() < long {
            let with_team = experience.says_team();
            let took = takes(with_team);
            experience.learn(Duration::from_secs_f64(took / 1e3), ESTIMATE);
            spent[usize::from(!with_team)] += took;
        }
        spent.map(|of_one| of_one / long)
    }

    #[test]
    fn runs_are_made_the_faster_way() {
        let mut experience = of_two();
        assert!(experience.says_team(), "until it is known, the estimate is believed");
        let [team, _] = runs(&mut experience, 5e3, |with_team| if with_team { 0.8 } else { 1.5 });
        assert!(team > 0.985, "what is tried costs little: {team}");
        let [_, alone] = runs(&mut experience, 5e3, |with_team| if with_team { 2.1 } else { 1.5 });
        assert!(alone > 0.9, "cores that have moved apart are noticed: {alone}");
        let [team, _] = runs(&mut experience, 5e3, |with_team| if with_team { 0.8 } else { 1.5 });
        assert!(team > 0.9, "and when they are back: {team}");
        let [team, _] = runs(&mut experience, 5e3, |_| 1.5);
        assert!(team > 0.75, "where both are as fast, the team stays: {team}");
    }

    #[test]
    fn what_disturbs_some_runs_decides_nothing() {
        let mut n = 0u32;
        let mut disturbed = |least: f64| {
            n += 1;
            least + if n.wrapping_mul(0x9e37_79b9) >> 16 & 3 == 0 { 4.0 } else { 0.0 }
        };
        let mut experience = of_two();
        let [team, _] = runs(&mut experience, 2e4, |with_team| disturbed(if with_team { 0.8 } else { 1.5 }));
        assert!(team > 0.93, "{team}");
        let [_, alone] = runs(&mut experience, 2e4, |with_team| disturbed(if with_team { 2.1 } else { 1.5 }));
        assert!(alone > 0.8, "{alone}");
    }

    #[test]
    fn the_first_run_another_way_does_not_count() {
        for (quick_team, share) in [(true, 0), (false, 1)] {
            let (mut experience, mut before) = (of_two(), false);
            let [slow, quick] = if quick_team { [1.5, 0.8] } else { [0.8, 1.5] };
            let shares = runs(&mut experience, 1e4, |with_team| {
                let is_first = std::mem::replace(&mut before, with_team) != with_team;
                (if with_team { quick } else { slow }) + if is_first { 2.0 } else { 0.0 }
            });
            assert!(shares[share] > 0.9, "{shares:?}");
        }
    }

    #[test]
    fn who_makes_a_few_long_runs_makes_none_alone() {
        let mut experience = Experience::new(NonZeroUsize::new(8).unwrap());
        let [_, alone] = runs(&mut experience, 1e5, |with_team| if with_team { 500.0 } else { 4000.0 });
        assert!(alone == 0.0, "{alone}");
    }

    #[test]
    fn calls_of_other_sizes_are_compared_by_their_estimates() {
        let mut experience = of_two();
        for i in 0..10_000u64 {
            let estimate = ESTIMATE * (1 + i % 7);
            let each = if experience.says_team() { 2 } else { 1 };
            experience.learn(Duration::from_nanos(each * estimate), estimate);
        }
        assert!(!experience.says_team());
    }
}
