//! Loops and branches. A nested program has a plan of its own, and its turns are driven by the host: by every thread of a
//! team, each with its own table of where the nested program's arrays are in this turn, or by the thread that launches the
//! kernels of a GPU. Nothing is copied but what a turn gives back without having computed it.
//!
//! `plan` says where everything is, `turns` goes from turn to turn on any [`Engine`], `team` is the processor as one.

mod plan;
mod team;
mod turns;

pub(super) use plan::{ControlPlan, carry_operand};
pub(super) use team::run;
pub(super) use turns::{Engine, drive};
