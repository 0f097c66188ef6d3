//! Threads that share work, and how much work is worth sharing.

pub(super) mod experience;
mod primitives;
pub(super) mod team;
pub(super) mod worth;

#[cfg(test)]
mod explored;
#[cfg(test)]
mod tests;
