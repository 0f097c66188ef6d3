//! Passes over programs.

pub mod fuse;

use crate::ir::Program;

/// The program after all passes.
pub fn optimize(program: &Program) -> Program {
    program.inlined()
}
