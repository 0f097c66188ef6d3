//! What the team is made of: threads, locks, atomic numbers and time. They are the standard library's; tests put others in
//! their place, which try one order of events after the other (`explored`).

pub(super) use crate::sync::locked;
pub(super) use std::hint::spin_loop;
pub(super) use std::sync::{Mutex, atomic};
pub(super) use std::thread;
pub(super) use std::time::Instant;

/// A place at which a thread may lose its core. In tests it does, now and then.
#[cfg(not(test))]
pub(super) fn interrupted() {}

#[cfg(test)]
pub(super) use super::tests::interrupted;
