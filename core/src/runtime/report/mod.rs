//! The cost of a program, and where the time of its runs goes.

pub(super) mod cost;
pub(super) mod plan_text;
pub(super) mod profile;
pub(super) mod roofline;
