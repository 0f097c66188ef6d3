//! Small operands copied once into the function's own memory, in the order in which they are read.

use super::super::layout::MAX_STAGED;
use super::super::layout::Pattern;
use super::super::lir::{Class, Mem, Op, Reg};
use super::{Nest, Scope};
use crate::ir::Unsupported;

impl Nest<'_> {
    /// Copies operands that no outer loop changes, and that would be gathered in each iteration, once into the
    /// function's own memory, in the order in which they are read.
    pub(super) fn stage_small_operands(&mut self) {
        if self.layout.first_reduce == 0 || self.layout.order.len() == self.layout.first_reduce {
            return;
        }
        let inner: Vec<(usize, Option<usize>)> = self.layout.order[self.layout.first_reduce..]
            .iter()
            .map(|l| (*l, self.kernel.loops[*l].extent.as_number().and_then(|n| usize::try_from(n).ok())))
            .collect();
        for (i, access) in self.accesses.iter_mut().enumerate() {
            let Some(access) = access else { continue };
            let uses_packed = self.by_iteration[i];
            let gathers = (0..self.layout.vectors())
                .any(|v| matches!(self.layout.pattern(v, &access.place.terms), Some(Pattern::Far(..)) | None));
            let small = access.size >= 4 && access.place.computed.is_empty() && self.by_lane[i] && !uses_packed;
            if !small || !gathers || !self.wanted[i] {
                continue;
            }
            let outside = access.strides.iter().any(|(_, l, _)| !inner.iter().any(|(r, _)| r == l));
            let read: Option<Vec<(usize, usize)>> = inner
                .iter()
                .filter(|(l, _)| access.strides.iter().any(|(_, s, _)| s == l))
                .map(|(l, n)| n.map(|n| (*l, n)))
                .collect();
            let (false, Some(read)) = (outside, read) else { continue };
            let copies: usize = read.iter().map(|(_, n)| n).product();
            if copies * self.layout.vectors() > MAX_STAGED || read.is_empty() {
                continue;
            }
            // The first bytes are those through which bytes are gathered.
            let at = self.f.stack.max(64);
            self.f.stack = at + copies * self.layout.vectors() * 64;
            access.staged = Some((at, read));
        }
    }

    pub(super) fn fill_staged(&mut self, scope: &mut Scope) -> Result<(), Unsupported> {
        for i in 0..self.accesses.len() {
            let Some((at, read)) = self.accesses[i].as_ref().and_then(|access| access.staged.clone()) else { continue };
            let copies: usize = read.iter().map(|(_, n)| n).product();
            for copy in 0..copies {
                let mut rest = copy;
                let mut inner = scope.clone();
                for (l, n) in read.iter().rev() {
                    inner.indices[*l] = Some(self.f.int(Op::Imm, &[], (rest % n) as i64));
                    rest /= n;
                }
                for v in 0..self.layout.vectors() {
                    inner.mask = self.whole_mask(v);
                    let staged = self.accesses[i].as_mut().and_then(|access| access.staged.take());
                    let value = self.load_vector(i, v, &mut inner)?;
                    if let Some(access) = &mut self.accesses[i] {
                        access.staged = staged;
                    }
                    let place = at + (copy * self.layout.vectors() + v) * 64;
                    let base = self.f.int(Op::StackAddr, &[], place as i64);
                    self.f.store(Op::Store, Mem::at(base), value, None);
                }
            }
        }
        Ok(())
    }

    /// A copy in the function's memory: one vector for each iteration of the loops that read it.
    pub(super) fn load_staged(
        &mut self,
        class: Class,
        (at, read): (usize, &[(usize, usize)]),
        v: usize,
        scope: &mut Scope,
    ) -> Reg {
        let base = self.f.int(Op::StackAddr, &[], (at + v * 64) as i64);
        let mut number = None;
        for (l, n) in read {
            let i = scope.indices[*l].expect("a loop of an outer level");
            number = Some(match number {
                None => i,
                Some(number) => {
                    let scaled = self.f.int(Op::MulImm, &[number], *n as i64);
                    self.f.int(Op::Add, &[scaled, i], 0)
                }
            });
        }
        let number = number.expect("a staged copy is read by a loop");
        let bytes = self.f.int(Op::MulImm, &[number], (self.layout.vectors() * 64) as i64);
        self.f.load(class, Op::Load, Mem { base, index: Some((bytes, 1)), disp: 0 }, None)
    }
}
