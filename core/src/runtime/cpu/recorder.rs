//! What each thread does when, while profiling is on.

use crate::kernel::Step;
use std::time::Instant;

/// A time, from when to when.
pub(in crate::runtime) type Times = (Instant, Instant);

/// What one thread did, while profiling is on.
#[derive(Default)]
pub(in crate::runtime) struct Recorder {
    /// Until when it is known what it did, in a call that is recorded.
    known: Option<Instant>,
    /// A step by where it is in memory, as its number differs with the program that it is nested in; none for a wait.
    pub(in crate::runtime) events: Vec<(Option<usize>, bool, Times)>,
}

impl Recorder {
    /// A call has begun, which is recorded where its time is given.
    pub(in crate::runtime) fn begin(&mut self, start: Option<Instant>) {
        self.known = start;
    }

    /// Now, where anything is recorded.
    pub(in crate::runtime) fn start(&self) -> Option<Instant> {
        self.known.map(|_| Instant::now())
    }

    /// Notes that the thread was at a step from `start` until now. A step that runs chunk by chunk `begins` with its
    /// first chunk only.
    pub(in crate::runtime) fn record(&mut self, step: &Step, begins: bool, start: Option<Instant>) {
        if let Some(start) = start {
            self.note(Some(address(step)), begins, start);
        }
    }

    /// Notes that from what is known last until now the thread had nothing to do, or was not there.
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
