//! Checks of positions that the generated code computes or reads. Such a position may enter an address only after its
//! check: [`Checked`] proves it, and only the checks here construct one.

use super::super::REACH;
use super::super::lir::{Class, Function, Inst, Mem, Op, Reg};
use super::Nest;
use crate::aval::Dim;
use crate::ir::{Scalar, Unsupported};
use smallvec::smallvec;

/// A position, an integer or lanes, that lies within an axis: the code has compared it with the extent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::codegen::x86) struct Checked(Reg);

impl Checked {
    /// The register that holds it.
    pub(in crate::codegen::x86) fn reg(self) -> Reg {
        self.0
    }

    /// Integers that are stored contiguously from `base` on, after their lanes have been checked.
    pub(in crate::codegen::x86) fn load(f: &mut Function, list: CheckedList, number: Reg) -> Checked {
        let mem = Mem { base: list.0, index: Some((number, 4)), disp: 0 };
        Checked(f.load(Class::Int, Op::LoadI32, mem, None))
    }
}

/// Memory of the function that holds checked positions contiguously.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::codegen::x86) struct CheckedList(Reg);

impl CheckedList {
    /// An empty list that starts at this address.
    pub(in crate::codegen::x86) fn at(base: Reg) -> CheckedList {
        CheckedList(base)
    }

    /// Where it starts, and lanes that may be stored there.
    pub(in crate::codegen::x86) fn entry(self, lanes: Checked) -> (Reg, Reg) {
        (self.0, lanes.0)
    }
}

impl Nest<'_> {
    /// The operand of a check for an extent.
    fn check_imm(&mut self, extent: &Dim) -> i64 {
        match extent.as_number() {
            Some(n) => n,
            None => -i64::from(self.dim(extent)),
        }
    }

    /// Checks an integer.
    pub(super) fn check_int(&mut self, position: Reg, extent: &Dim) -> Checked {
        let imm = self.check_imm(extent);
        self.f.push(Inst { srcs: smallvec![position], imm, ..Inst::new(Op::CheckInt) });
        Checked(position)
    }

    /// Checks lanes; those outside the mask are ignored.
    pub(super) fn check_lanes(&mut self, position: Reg, extent: &Dim, mask: Option<Reg>) -> Checked {
        let imm = self.check_imm(extent);
        self.f.push(Inst { srcs: smallvec![position], mask, imm, ..Inst::new(Op::CheckVec) });
        Checked(position)
    }

    /// Checks lanes against an extent that may exceed their range: then only negative ones fail.
    pub(super) fn check_far_lanes(&mut self, position: Reg, extent: &Dim, mask: Option<Reg>) -> Checked {
        let imm = self.check_imm(extent);
        let (extent, reach) = (self.size(extent), self.f.int(Op::Imm, &[], REACH as i64));
        let least = self.f.int(Op::Min, &[extent, reach], 0);
        let least = self.f.vec(Op::Splat, &[least]);
        self.f.push(Inst { srcs: smallvec![position, least], mask, imm, ..Inst::new(Op::CheckVec) });
        Checked(position)
    }

    /// Checks a listed position, in the lanes of a mask, against the one axis that it is used for.
    pub(in crate::codegen::x86) fn check_listed(
        &mut self,
        scalar: Scalar,
        position: Reg,
        mask: Reg,
    ) -> Result<Checked, Unsupported> {
        let extent = self.extents.get(&scalar).and_then(|extents| extents.first().cloned());
        let extent = extent.ok_or_else(|| Unsupported("a listed position that is not used".into()))?;
        Ok(self.check_lanes(position, &extent, Some(mask)))
    }

    /// Checks the begin and the end of a segment's members: both within the members, in order.
    pub(super) fn check_segment(&mut self, begin: Reg, end: Reg, members: &Dim) -> (Checked, Checked) {
        // The end is one past the last member.
        let most = members + 1;
        let (begin, end) = (self.check_int(begin, &most), self.check_int(end, &most));
        let imm = self.check_imm(&most);
        self.f.push(Inst { srcs: smallvec![begin.0, end.0], imm, ..Inst::new(Op::CheckOrder) });
        (begin, end)
    }

    /// Lanes in bounds, times a stride in elements: lanes of an offset in bounds.
    pub(super) fn strided(&mut self, lanes: Checked, stride: &Dim) -> Checked {
        if *stride == 1usize {
            return lanes;
        }
        let stride = self.splat_size(stride);
        Checked(self.f.vec(Op::MulI, &[lanes.0, stride]))
    }
}
