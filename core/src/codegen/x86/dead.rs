//! Values that nothing reads are not computed.

use super::lir::{Function, Inst};

impl Function {
    /// Removes instructions whose results nothing reads; returns for each register whether anything reads it.
    pub(super) fn remove_dead(&mut self) -> Vec<bool> {
        let mut is_read = vec![false; self.classes.len()];
        let is_live = |inst: &Inst, is_read: &[bool]| inst.dst.is_none_or(|dst| is_read[dst.0 as usize]);
        loop {
            let mut is_stable = true;
            // A value is mostly read after its definition; another walk sees the reads in a loop's next iteration.
            for inst in self.insts.iter().rev() {
                if is_live(inst, &is_read) {
                    inst.reads().for_each(|reg| is_stable &= std::mem::replace(&mut is_read[reg.0 as usize], true));
                }
            }
            if is_stable {
                break;
            }
        }
        let mut kept = 0;
        let places: Vec<usize> = self
            .insts
            .iter()
            .map(|inst| {
                kept += usize::from(is_live(inst, &is_read));
                kept
            })
            .collect();
        // Labels and jumps stay, and all loops start and end with one.
        self.loops
            .iter_mut()
            .chain(&mut self.rare)
            .for_each(|(start, end)| (*start, *end) = (places[*start] - 1, places[*end] - 1));
        self.insts.retain(|inst| is_live(inst, &is_read));
        is_read
    }
}
