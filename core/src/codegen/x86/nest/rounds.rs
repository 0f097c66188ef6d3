//! Long sums are computed in rounds.
//!
//! A chain of additions rounds each time to the size of the sum so far, so its error grows with the number of terms.
//! Therefore the sums of a round are added to totals in the function's memory. This addition is compensated: it carries
//! the rounding error along to the next, as in `runtime/compiled/totals`. The next round starts at zero. Short sums,
//! which are the most common, remain one chain: the length of a segment is tested, and there is code for both.

use super::super::layout::Packed;
use super::super::lir::{Mem, Op, Pred, Reg};
use super::{Nest, Scope, class_of};
use crate::ir::{ReduceOp, Unsupported};
use crate::kernel::LoopKind;

/// A sum of more terms is computed in rounds.
const LONG: usize = 256;
/// So is a sum of more members of a segment. No column of Cora's features has more: its training keeps its bits.
const LONG_SEGMENT: usize = 1152;
/// Terms of a round, if each element is a separate sum.
const TERMS: usize = 128;
/// Iterations of a round, if the lanes of vectors are parts of one sum: those are folded first, which reduces the
/// error.
const PACKED_ITERATIONS: usize = 16;

/// Which loop runs in rounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rounds {
    /// Its level.
    pub(super) level: usize,
    /// Iterations of a round.
    iterations: usize,
    /// The loop runs in rounds only if it has more iterations than this; always, if `None`.
    pub(super) above: Option<usize>,
    /// Where the totals start in the function's memory.
    totals: usize,
}

impl Nest<'_> {
    pub(super) fn find_rounds(&mut self) {
        let order = &self.layout.order[self.layout.first_reduce..];
        let is_float = |k: usize| self.kernel.outputs[k].1.dtype.is_float();
        if self.kernel.reduce != Some(ReduceOp::Sum) || !(0..self.kernel.outputs.len()).any(is_float) {
            return;
        }
        let iterations = |l: &usize| {
            let loop_ = &self.kernel.loops[*l];
            let is_whole = Some(*l) != self.partition && loop_.kind == LoopKind::Reduce;
            loop_.extent.as_usize().filter(|_| is_whole)
        };
        let all = order.iter().try_fold(1usize, |all, l| Some(all.saturating_mul(iterations(l)?)));
        if order.is_empty() || all.is_some_and(|all| all <= LONG) {
            return;
        }
        let round =
            self.layout.packed_terms().map_or(TERMS, |packed| PACKED_ITERATIONS * packed.iterations * packed.vectors);
        // The outermost loop whose inner loops together are no longer than a round.
        let (mut level, mut inner) = (self.layout.order.len() - 1, 1);
        for l in order[1..].iter().rev() {
            match iterations(l).map(|n| (n * inner).max(1)) {
                Some(n) if n <= round => (level, inner) = (level - 1, n),
                _ => break,
            }
        }
        let is_segment = matches!(self.kernel.loops[order[0]].kind, LoopKind::Segment { .. });
        let long = if is_segment { LONG_SEGMENT } else { LONG };
        let above = (all.is_none() && level == self.layout.first_reduce).then_some(long / inner);
        let totals = self.f.stack.max(64);
        self.f.stack = totals + 2 * 64 * self.n_total() * self.kernel.outputs.len();
        self.rounds = Some(Rounds { level, iterations: (round / inner).max(1), above, totals });
    }

    /// Vectors of totals for which an output has memory.
    fn n_total(&self) -> usize {
        self.layout.packed_terms().map_or_else(|| self.layout.vectors(), |packed| packed.parts)
    }

    /// Vectors of totals of an output: the last vectors of a row are fewer.
    fn totals(&self, k: usize) -> std::ops::Range<usize> {
        0..self.n_total().min(self.sums[k].len())
    }

    /// The places of a vector of totals and of their rounding errors.
    fn total(&mut self, k: usize, v: usize) -> [Mem; 2] {
        let start = self.rounds.map_or(0, |rounds| rounds.totals) + 2 * 64 * (k * self.n_total() + v);
        let base = self.f.int(Op::StackAddr, &[], start as i64);
        [Mem::at(base), Mem::at(base).plus(64)]
    }

    /// Outputs that have totals: integers have no rounding error.
    fn with_totals(&self) -> Vec<usize> {
        (0..self.kernel.outputs.len()).filter(|k| self.kernel.outputs[*k].1.dtype.is_float()).collect()
    }

    pub(super) fn start_totals(&mut self) {
        for k in self.with_totals() {
            let zero = self.identity(k);
            for v in self.totals(k) {
                for mem in self.total(k, v) {
                    self.f.store(Op::Store, mem, zero, None);
                }
            }
        }
    }

    /// Adds the sums of a round to the totals, and resets them.
    fn end_round(&mut self) {
        for k in self.with_totals() {
            let class = class_of(self.kernel.outputs[k].1.dtype);
            let (sums, zero) = (self.sums[k].clone(), self.identity(k));
            if let Some(Packed { parts, .. }) = self.layout.packed_terms() {
                for (i, other) in sums.iter().enumerate().skip(parts) {
                    self.add_to(k, sums[i % parts], *other, None);
                }
            }
            for (v, sum) in sums.iter().take(self.n_total()).enumerate() {
                let [total, lacks] = self.total(k, v);
                let lacked = self.f.load(class, Op::Load, lacks, None);
                let part = self.f.vec(Op::AddF, &[*sum, lacked]);
                let old = self.f.load(class, Op::Load, total, None);
                let new = self.f.vec(Op::AddF, &[old, part]);
                let arrived = self.f.vec(Op::SubF, &[new, old]);
                let lost = self.f.vec(Op::SubF, &[part, arrived]);
                // An infinite total has no rounding error, even if finite parts made it: an infinity less itself is
                // NaN.
                let finite = self.f.vec(Op::SubF, &[lost, lost]);
                let is_infinite = self.f.mask(Op::CmpF(Pred::Unordered), &[finite, finite]);
                let lost = self.f.blend(is_infinite, lost, zero);
                self.f.store(Op::Store, total, new, None);
                self.f.store(Op::Store, lacks, lost, None);
            }
            sums.iter().for_each(|sum| self.f.update(*sum, Op::MovV, &[zero], None, 0));
        }
    }

    /// Makes the totals the sums.
    pub(super) fn end_totals(&mut self) {
        for k in self.with_totals() {
            let class = class_of(self.kernel.outputs[k].1.dtype);
            for v in self.totals(k) {
                let [total, _] = self.total(k, v);
                let total = self.f.load(class, Op::Load, total, None);
                self.f.update(self.sums[k][v], Op::MovV, &[total], None, 0);
            }
        }
    }

    /// The loop of a level, if there may be many iterations before `end`.
    pub(super) fn long_loop(&mut self, level: usize, [i, end]: [Reg; 2], scope: &Scope) -> Result<(), Unsupported> {
        let Some(rounds) = self.rounds.filter(|rounds| rounds.level == level) else {
            return self.run(level, [i, end], scope);
        };
        let Some(above) = rounds.above else { return self.in_rounds(rounds, [i, end], scope) };
        let (short, after) = (self.f.label(), self.f.label());
        let least = self.f.int(Op::AddImm, &[i], above as i64 + 1);
        self.f.jump(Op::JumpLt, &[end, least], short);
        let start = self.f.insts.len() - 1;
        // Only one of the two runs: they share memory.
        let memory = self.f.stack;
        self.start_totals();
        self.in_rounds(rounds, [i, end], scope)?;
        self.end_totals();
        self.f.jump(Op::JumpGe, &[end, end], after);
        let needed = std::mem::replace(&mut self.f.stack, memory);
        self.f.set_label(short);
        self.f.rare.push((start, self.f.insts.len() - 1));
        self.run(level, [i, end], scope)?;
        self.f.set_label(after);
        self.f.stack = self.f.stack.max(needed);
        Ok(())
    }

    fn in_rounds(&mut self, rounds: Rounds, [i, end]: [Reg; 2], scope: &Scope) -> Result<(), Unsupported> {
        let most = self.f.int(Op::Imm, &[], rounds.iterations as i64);
        let stop = self.f.int(Op::Mov, &[i], 0);
        self.iterate(i, end, (1, 1), |nest| {
            let left = nest.f.int(Op::Sub, &[end, i], 0);
            let n = nest.f.int(Op::Min, &[left, most], 0);
            nest.f.update(stop, Op::Add, &[i, n], None, 0);
            nest.run(rounds.level, [i, stop], scope)?;
            nest.end_round();
            // The loop itself increments by one.
            nest.f.update(i, Op::AddImm, &[stop], None, -1);
            Ok(())
        })
    }
}
