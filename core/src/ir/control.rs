//! What a primitive of the kind [`Control`](crate::ir::Kind::Control) runs, as far as a runtime must know.

use crate::aval::Dim;
use crate::ir::Program;
use std::sync::Arc;

/// Nested programs and how they run. They have no constants: what they read is among the operands.
#[derive(Clone, Debug)]
pub enum Control {
    /// `length` turns of `body`. Operands: constants, carries, sequences. `body` takes the constants, the carries, and one
    /// row of each sequence; it gives the carries again, and one row of each result behind them.
    Scan {
        /// One turn.
        body: Arc<Program>,
        /// How many operands are constants.
        n_const: usize,
        /// How many operands, and results, are carries.
        n_carry: usize,
        /// How many turns.
        length: Dim,
        /// Whether the last row comes first.
        reverse: bool,
    },
    /// Turns of `body` while `cond` holds. Operands: constants of `cond`, constants of `body`, carries.
    While {
        /// From its constants and the carries one `bool`.
        cond: Arc<Program>,
        /// From its constants and the carries the carries again.
        body: Arc<Program>,
        /// How many operands are constants of `cond`.
        n_cond_const: usize,
        /// How many operands are constants of `body`.
        n_body_const: usize,
    },
    /// One of several programs. Operands: an `i32`, which counts as the nearest number of a branch, then what every branch
    /// takes.
    Switch {
        /// The programs, all of one type.
        branches: Vec<Arc<Program>>,
    },
}

impl Control {
    /// The nested programs.
    pub fn programs(&self) -> Vec<&Arc<Program>> {
        match self {
            Control::Scan { body, .. } => vec![body],
            Control::While { cond, body, .. } => vec![cond, body],
            Control::Switch { branches } => branches.iter().collect(),
        }
    }
}
