//! Segments that are checked before a program runs.
//!
//! Kernels use a faster form where the ids of members and the offsets of segments describe the same segments: the
//! segment of a member is the loop's current one, and the results of a range of rows are read at the rows of its own
//! members. No kernel checks that. So it is done only for arrays that exist before the program runs, arguments and
//! constants, and the runtime checks these once for each graph. Ids that a program computes are read as they are.

use crate::aval::DType;
use crate::ir::{Control, Eqn, Program, Var};
use crate::kernel::fuse::{Fusion, Place};
use crate::kernel::rules::Trial;
use crate::kernel::{KernelProgram, Segmented, Step};

/// The segments that equations of a program read and that are given to it, each once.
pub(super) fn find(program: &Program, fusion: &Fusion) -> Vec<Segmented> {
    let (avals, trial) = (program.avals(), Trial::new(program));
    let mut found: Vec<(Var, Segmented)> = vec![];
    for eqn in &program.eqns {
        let Some(operands) = eqn.prim.segments() else { continue };
        let vars = operands.map(|operand| eqn.ins.get(operand).and_then(|atom| atom.var()));
        let [Some(ids), Some(offsets), Some(listed)] = vars else { continue };
        let is_list = |var: Var| avals[var.index()].dtype == DType::I32 && avals[var.index()].rank() == 1;
        let are_lists =
            [ids, offsets, listed].into_iter().all(is_list) && avals[ids.index()].shape == avals[listed.index()].shape;
        let (ids, offsets) = (fusion.memory(ids), fusion.memory(offsets));
        let is_known =
            |(order, known): &(Var, Segmented)| *order == listed && (known.ids, known.offsets) == (ids, offsets);
        if !are_lists || !fusion.is_given(ids) || !fusion.is_given(offsets) || found.iter().any(is_known) {
            continue;
        }
        let order = match fusion.memory(listed) {
            memory if fusion.is_given(memory) => Some(memory),
            _ if fusion.place(listed) == Place::Inline && trial.counts_up(fusion, listed) => None,
            _ => continue,
        };
        found.push((listed, Segmented { ids, offsets, order, reader: (eqn.prim.name(), eqn.location) }));
    }
    found.into_iter().map(|(_, segments)| segments).collect()
}

impl KernelProgram {
    /// Adds the segments that nested programs read, where each nested argument is one of the program's own.
    pub(super) fn find_segments(&mut self) {
        let mut all = find(&self.program, &self.fusion);
        for step in &self.steps {
            let Step::Control(step) = step else { continue };
            for (i, nested) in step.nested.iter().enumerate() {
                let outer = |var: Var| {
                    let arg = nested.program.args.iter().position(|binder| binder.var == var)?;
                    given_operand(&self.fusion, &step.eqn, &step.control, (i, arg))
                };
                for segments in &nested.segments {
                    let (Some(ids), Some(offsets)) = (outer(segments.ids), outer(segments.offsets)) else { continue };
                    all.push(Segmented { ids, offsets, order: segments.order.and_then(outer), ..segments.clone() });
                }
            }
        }
        for segments in all {
            if !self.segments.iter().any(|known| known.is_of(&segments)) {
                self.segments.push(segments);
            }
        }
    }
}

/// The variable whose memory nested program `i` of an equation has as its argument `arg`, in every iteration, if that
/// variable is given to the enclosing program.
pub(super) fn given_operand(fusion: &Fusion, eqn: &Eqn, control: &Control, (i, arg): (usize, usize)) -> Option<Var> {
    let operand = control.constant_operand(i, arg)?;
    let memory = fusion.memory(eqn.ins.get(operand)?.var()?);
    fusion.is_given(memory).then_some(memory)
}
