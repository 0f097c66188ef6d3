//! The team's primitives: threads, locks, atomic numbers and time. They are the standard library's; tests substitute
//! others, which try many orders of events (`explored`).

pub(super) use crate::sync::locked;
pub(super) use std::hint::spin_loop;
pub(super) use std::sync::{Mutex, atomic};
pub(super) use std::thread;
pub(super) use std::time::Instant;

/// How often a waiting thread checks its condition between two looks at the clock, which costs more than a check.
pub(super) const LOOKS: usize = 16;

/// A point at which a thread may be preempted. In tests it is, now and then.
#[cfg(not(test))]
pub(super) fn interrupted() {}

#[cfg(test)]
pub(super) use super::tests::interrupted;
