//! The team's primitives: threads, locks, atomic numbers and time. They are the standard library's; tests substitute
//! others, which try many orders of events (`explored`).

pub(super) use crate::sync::locked;
pub(super) use std::hint::spin_loop;
pub(super) use std::sync::{Mutex, atomic};
pub(super) use std::thread;
pub(super) use std::time::Instant;

/// A point at which a thread may be preempted. In tests it is, now and then.
#[cfg(not(test))]
pub(super) fn interrupted() {}

#[cfg(test)]
pub(super) use super::tests::interrupted;
