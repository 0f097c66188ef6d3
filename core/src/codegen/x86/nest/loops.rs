//! Loops around the scalar body.

use super::super::layout::Packed;
use super::super::lir::{Class, Mem, Op, Reg};
use super::super::{ARGS, BEGIN, END};
use super::{Nest, Scope};
use crate::ir::Unsupported;
use crate::kernel::LoopKind;

impl Nest<'_> {
    /// The code at a level: what is known there, then the next loop, or the results.
    pub(in crate::codegen::x86) fn level(&mut self, level: usize, scope: &mut Scope) -> Result<(), Unsupported> {
        let is_innermost = level == self.layout.order.len();
        if !is_innermost {
            self.hoist(level, scope, None)?;
        }
        let starts_reduction = self.kernel.reduce.is_some() && level == self.layout.first_reduce;
        if starts_reduction {
            self.start_sums(scope)?;
        }
        let has_totals = starts_reduction && self.rounds.is_some_and(|rounds| rounds.above.is_none());
        if has_totals {
            self.start_totals();
        }
        if is_innermost {
            let outputs: Vec<Mem> = match self.kernel.reduce {
                Some(_) => vec![],
                None => (0..self.kernel.outputs.len()).map(|k| self.output(k, scope)).collect(),
            };
            // Vector by vector, so that few values are live at a time; the processor overlaps them by itself.
            for v in 0..scope.vectors {
                self.hoist(level, scope, Some(v))?;
                if self.kernel.reduce.is_some() {
                    self.combine(v, scope)?;
                } else {
                    self.store_all(v, &outputs, scope)?;
                }
            }
        } else {
            self.enter(level, scope)?;
        }
        if has_totals {
            self.end_totals();
        }
        if starts_reduction {
            self.store_sums(scope)?;
        }
        Ok(())
    }

    /// Bounds of a loop.
    pub(super) fn bounds(&mut self, l: usize, scope: &mut Scope) -> Result<(Reg, Reg), Unsupported> {
        if Some(l) == self.partition {
            let begin = self.f.int(Op::Arg, &[], BEGIN as i64);
            return Ok((begin, self.f.int(Op::Arg, &[], END as i64)));
        }
        let extent = self.kernel.loops[l].extent.clone();
        match self.kernel.loops[l].kind {
            LoopKind::Segment { segment, offsets } => {
                let entry = (ARGS + offsets as usize) as i64;
                let base = self.f.int(Op::Arg, &[], entry);
                // A loop of one iteration has no index.
                let row = scope.indices[segment as usize].unwrap_or_else(|| self.f.int(Op::Imm, &[], 0));
                let mem = Mem { base, index: Some((row, 4)), disp: 0 };
                let begin = self.f.load(Class::Int, Op::LoadI32, mem, None);
                let end = self.f.load(Class::Int, Op::LoadI32, mem.plus(4), None);
                let (begin, end) = self.check_segment(begin, end, &extent);
                Ok((begin.reg(), end.reg()))
            }
            LoopKind::Row | LoopKind::Reduce => {
                let begin = self.f.int(Op::Imm, &[], 0);
                Ok((begin, self.size(&extent)))
            }
        }
    }

    pub(super) fn enter(&mut self, level: usize, scope: &mut Scope) -> Result<(), Unsupported> {
        let l = self.layout.order[level];
        let (begin, end) = self.bounds(l, scope)?;
        let i = self.f.int(Op::Mov, &[begin], 0);
        scope.indices[l] = Some(i);
        self.long_loop(level, [i, end], scope)?;
        scope.indices[l] = None;
        Ok(())
    }

    /// The loop of a level, from `i` on.
    pub(super) fn run(&mut self, level: usize, [i, end]: [Reg; 2], scope: &Scope) -> Result<(), Unsupported> {
        let l = self.layout.order[level];
        match (self.layout.packed(), self.compacted) {
            (Some(packed), _) if packed.number == l => self.packed_loop(packed, level, i, end, scope),
            (_, Some(guarded)) if level + 1 == self.layout.order.len() => {
                self.compacted_loop(guarded, l, level, (i, end), scope)
            }
            _ => {
                let mut inner = scope.clone();
                self.iterate(i, end, (1, 1), |nest| nest.level(level + 1, &mut inner))
            }
        }
    }

    /// A loop while at least `least` iterations are left, in steps of `step`.
    pub(in crate::codegen::x86) fn iterate(
        &mut self,
        i: Reg,
        end: Reg,
        (least, step): (usize, usize),
        body: impl FnOnce(&mut Self) -> Result<(), Unsupported>,
    ) -> Result<(), Unsupported> {
        let (top, after) = (self.f.label(), self.f.label());
        let last = if least == 1 { end } else { self.f.int(Op::AddImm, &[end], 1 - least as i64) };
        self.f.jump(Op::JumpGe, &[i, last], after);
        let start = self.f.insts.len();
        self.f.set_label(top);
        body(self)?;
        self.f.update(i, Op::AddImm, &[i], None, step as i64);
        self.f.jump(Op::JumpLt, &[i, last], top);
        let stop = self.f.insts.len() - 1;
        self.f.loops.push((start, stop));
        self.f.set_label(after);
        Ok(())
    }

    /// Whole vectors first, several at a time; then single ones; the last may be short. In a segment all may be short.
    pub(super) fn packed_loop(
        &mut self,
        packed: Packed,
        level: usize,
        i: Reg,
        end: Reg,
        scope: &Scope,
    ) -> Result<(), Unsupported> {
        // Segments are short: whole vectors would be another loop whose end the processor mispredicts.
        let is_segment = matches!(self.kernel.loops[packed.number].kind, LoopKind::Segment { .. });
        if !is_segment {
            let mut inner = scope.clone();
            let step = packed.iterations * packed.vectors;
            self.iterate(i, end, (step, step), |nest| nest.level(level + 1, &mut inner))?;
        }
        let mut inner = scope.clone();
        inner.vectors = if is_segment { packed.vectors } else { packed.parts };
        self.iterate(i, end, (1, packed.iterations * inner.vectors), |nest| {
            let left = nest.f.int(Op::Sub, &[end, i], 0);
            inner.left = Some(nest.f.vec(Op::Splat, &[left]));
            nest.level(level + 1, &mut inner)
        })
    }
}
