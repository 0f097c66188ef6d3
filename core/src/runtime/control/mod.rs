//! Loops and branches. A nested program has a plan of its own, and its turns are driven by the caller's thread, which has
//! a table of where the nested program's arrays are in this turn, and shares the turn's work with a team or launches the
//! kernels of a GPU. Nothing is copied but what a turn gives back without having computed it.
//!
//! `plan` says where everything is, `turns` goes from turn to turn on any [`Engine`], `team` is the processor as one.

mod plan;
mod team;
mod turns;

pub(super) use plan::{ControlPlan, carry_operand};
pub(super) use turns::{Engine, drive};
