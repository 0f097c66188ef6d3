//! Records what each thread does when, while profiling is on.

use crate::kernel::Step;
use std::time::Instant;

/// A start and an end.
pub(in crate::runtime) type Times = (Instant, Instant);

/// The events of one thread, while profiling is on.
#[derive(Default)]
pub(in crate::runtime) struct Recorder {
    /// The time up to which its events are known, in a call that is recorded.
    known: Option<Instant>,
    /// A step by its memory address, as its number depends on the program that contains it; `None` for a wait.
    pub(in crate::runtime) events: Vec<(Option<usize>, bool, Times)>,
}

impl Recorder {
    /// Starts a call, which is recorded if its start time is given.
    pub(in crate::runtime) fn begin(&mut self, start: Option<Instant>) {
        self.known = start;
    }

    /// The current time, if anything is recorded.
    pub(in crate::runtime) fn start(&self) -> Option<Instant> {
        self.known.map(|_| Instant::now())
    }

    /// Records that the thread was at a step from `start` until now. A step that runs chunk by chunk `begins` only with
    /// its first chunk.
    pub(in crate::runtime) fn record(&mut self, step: &Step, begins: bool, start: Option<Instant>) {
        if let Some(start) = start {
            self.note(Some(address(step)), begins, start);
        }
    }

    /// Records that since its last event the thread had nothing to do, or was absent.
    pub(in crate::runtime) fn waited(&mut self) {
        if let Some(start) = self.known {
            self.note(None, true, start);
        }
    }

    fn note(&mut self, step: Option<usize>, begins: bool, start: Instant) {
        let now = Instant::now();
        self.events.push((step, begins, (start, now)));
        self.known = Some(now);
    }

    pub(in crate::runtime) fn clear(&mut self) {
        self.events.clear();
    }
}

pub(in crate::runtime) fn address(step: &Step) -> usize {
    std::ptr::from_ref(step).addr()
}
