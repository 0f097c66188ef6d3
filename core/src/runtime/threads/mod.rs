//! Threads that share work, and how much work is worth sharing.

pub(super) mod experience;
pub(super) mod team;
pub(super) mod worth;
