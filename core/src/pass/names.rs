//! What stands for the variables that a pass has replaced.

use crate::ir::{Atom, Eqn, Program, Var};

/// For each variable, the atom that stands for it, where it was replaced.
pub(super) struct Names(Vec<Option<Atom>>);

impl Names {
    /// Every variable stands for itself.
    pub(super) fn new(program: &Program) -> Self {
        Names(vec![None; program.n_var()])
    }

    /// From here on `atom` stands for `var`. It is never itself a replaced variable.
    pub(super) fn replace(&mut self, var: Var, atom: Atom) {
        debug_assert_eq!(self.of(atom), atom, "{atom} was replaced before");
        self.0[var.index()] = Some(atom);
    }

    /// What stands for an operand.
    pub(super) fn of(&self, atom: Atom) -> Atom {
        atom.var().and_then(|var| self.0[var.index()]).unwrap_or(atom)
    }

    /// The equation with what stands for its operands.
    pub(super) fn read(&self, mut eqn: Eqn) -> Eqn {
        eqn.ins.iter_mut().for_each(|atom| *atom = self.of(*atom));
        eqn
    }

    /// The program with these equations and with what stands for its results.
    pub(super) fn finish(self, mut program: Program, eqns: Vec<Eqn>) -> Program {
        program.outs.iter_mut().for_each(|atom| *atom = self.of(*atom));
        program.eqns = eqns;
        program.renumbered()
    }
}
