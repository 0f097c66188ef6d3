//! Addresses of loads, and checks that they are within their arrays.

use super::super::ARGS;
use super::super::lir::{Class, Mem, Op, Reg};
use super::{Checked, Nest, Scope, Stride, Sum};
use crate::aval::Dim;
use crate::ir::{Scalar, Unsupported};
use crate::kernel::Instr;

impl Nest<'_> {
    /// The sum of what loops up to a level contribute to a load's address.
    pub(super) fn address_sum(&mut self, i: usize, level: usize, scope: &mut Scope) -> Reg {
        let access = self.accesses[i].as_ref().expect("a load");
        let entry = (ARGS + access.input) as u32;
        let constant = access.constant;
        let strides: Vec<(usize, usize, Stride)> =
            access.strides.iter().filter(|(at, ..)| *at <= level).copied().collect();
        let mut key: Sum = (entry, vec![]);
        let mut sum = match scope.sums.get(&key) {
            Some(reg) => *reg,
            None => {
                let reg = self.f.int(Op::Arg, &[], entry.into());
                scope.sums.insert(key.clone(), reg);
                reg
            }
        };
        let symbolic = if let Stride::Entry(..) = constant { Some((u32::MAX, constant)) } else { None };
        let loops = strides.into_iter().map(|(_, l, stride)| (l as u32, stride));
        for (l, stride) in symbolic.into_iter().chain(loops) {
            key.1.push((l, stride));
            if let Some(reg) = scope.sums.get(&key) {
                sum = *reg;
                continue;
            }
            let term = match (l, stride) {
                (u32::MAX, Stride::Entry(entry, size)) => {
                    let elements = self.f.int(Op::Arg, &[], entry.into());
                    self.f.int(Op::MulImm, &[elements], size)
                }
                (l, Stride::Number(n)) => {
                    let index = scope.indices[l as usize].expect("a loop of an outer level");
                    if n == 1 { index } else { self.times(index, &Dim::from(n)) }
                }
                (l, Stride::Entry(entry, size)) => {
                    let index = scope.indices[l as usize].expect("a loop of an outer level");
                    let elements = self.f.int(Op::Arg, &[], entry.into());
                    let product = self.f.int(Op::Mul, &[index, elements], 0);
                    self.f.int(Op::MulImm, &[product], size)
                }
            };
            sum = self.f.int(Op::Add, &[sum, term], 0);
            scope.sums.insert(key.clone(), sum);
        }
        sum
    }

    /// The address of a load, without the offsets of its lanes. Computed positions that are the same for all lanes are
    /// included.
    pub(super) fn address(&mut self, i: usize, scope: &mut Scope) -> Result<Mem, Unsupported> {
        let access = self.accesses[i].as_ref().expect("a load");
        let constant = if let Stride::Number(n) = access.constant { n } else { 0 };
        let size = access.size;
        // The machine may scale the innermost loop's index.
        let last = access.strides.last().copied();
        let computed: Vec<(Scalar, Dim, Dim)> =
            access.place.computed.iter().filter(|(s, ..)| !self.varies(s.0 as usize)).cloned().collect();
        let (base, mut index) = match last {
            Some((level, l, Stride::Number(n @ (1 | 2 | 4 | 8)))) if computed.is_empty() => {
                let base = self.address_sum(i, level - 1, scope);
                (base, Some((scope.indices[l].expect("a loop of an outer level"), n as u32)))
            }
            _ => (self.address_sum(i, usize::MAX, scope), None),
        };
        let mut base = base;
        for (scalar, stride, extent) in computed {
            let at = self.checked_int(scalar, &extent, scope)?.reg();
            let bytes = self.stride(&stride, size);
            match bytes {
                Stride::Number(n @ (1 | 2 | 4 | 8)) if index.is_none() => index = Some((at, n as u32)),
                Stride::Number(n) => {
                    let known = scope.products.get(&(scalar.0, n)).copied();
                    let term = known.unwrap_or_else(|| self.f.int(Op::MulImm, &[at], n));
                    scope.products.insert((scalar.0, n), term);
                    if index.is_none() {
                        index = Some((term, 1));
                    } else {
                        base = self.f.int(Op::Add, &[base, term], 0);
                    }
                }
                Stride::Entry(entry, size) => {
                    let elements = self.f.int(Op::Arg, &[], entry.into());
                    let product = self.f.int(Op::Mul, &[at, elements], 0);
                    let term = self.f.int(Op::MulImm, &[product], size);
                    base = self.f.int(Op::Add, &[base, term], 0);
                }
            }
        }
        Ok(self.further(Mem { base, index, disp: 0 }, constant))
    }

    /// An address this many bytes further.
    pub(super) fn further(&mut self, mem: Mem, bytes: i64) -> Mem {
        match i32::try_from(i64::from(mem.disp) + bytes) {
            Ok(disp) => Mem { disp, ..mem },
            Err(_) => {
                let bytes = self.f.int(Op::Imm, &[], bytes);
                Mem { base: self.f.int(Op::Add, &[mem.base, bytes], 0), ..mem }
            }
        }
    }

    /// The address of a load in one register, which all vectors share.
    pub(super) fn without_index(&mut self, i: usize, mem: Mem, scope: &mut Scope) -> Mem {
        let Some((index, scale)) = mem.index else { return mem };
        let computed = self.accesses[i].iter().flat_map(|access| &access.place.computed);
        let is_apart = self.accesses[i].as_ref().is_some_and(|access| match access.constant {
            Stride::Number(constant) => constant == i64::from(mem.disp),
            Stride::Entry(..) => true,
        });
        let base = if is_apart && computed.into_iter().all(|(s, ..)| self.varies(s.0 as usize)) {
            self.address_sum(i, usize::MAX, scope)
        } else {
            let scaled = self.f.int(Op::MulImm, &[index], scale.into());
            self.f.int(Op::Add, &[mem.base, scaled], 0)
        };
        Mem { base, index: None, disp: mem.disp }
    }

    /// A computed position as an integer, in bounds.
    fn checked_int(&mut self, scalar: Scalar, extent: &Dim, scope: &mut Scope) -> Result<Checked, Unsupported> {
        if let Some(known) = scope.ints.get(&scalar.0) {
            return Ok(*known);
        }
        let i = scalar.0 as usize;
        let reg = match &self.kernel.body[i] {
            Instr::Load(..) if self.accesses[i].as_ref().is_some_and(|access| access.staged.is_none()) => {
                let mem = self.address(i, scope)?;
                self.f.load(Class::Int, Op::LoadI32, mem, None)
            }
            _ => {
                let vector = self.value(scalar, 0, scope)?;
                self.f.emit(Class::Int, Op::LaneToInt, &[vector], 0)
            }
        };
        let checked = self.check_int(reg, extent);
        // The same scalar may be a position along axes of several extents; each has its own check.
        if self.extents_of(scalar) == 1 {
            scope.ints.insert(scalar.0, checked);
        }
        Ok(checked)
    }

    /// The number of extents that a position is used with.
    pub(in crate::codegen::x86) fn extents_of(&self, scalar: Scalar) -> usize {
        self.extents.get(&scalar).map_or(0, Vec::len)
    }

    /// The lanes of vector `v` of a computed position, in bounds, times a stride in elements.
    pub(super) fn checked_offset(
        &mut self,
        scalar: Scalar,
        v: usize,
        (stride, extent): (&Dim, &Dim),
        scope: &mut Scope,
    ) -> Result<Checked, Unsupported> {
        let v = if self.differs_by_vector(scalar.0 as usize) { v } else { 0 };
        let key = (scalar.0, v, self.stride(stride, 1));
        // The same scalar may be a position along axes of several extents; each has its own check.
        let is_one = self.extents_of(scalar) == 1;
        if let Some(known) = scope.offsets.get(&key).filter(|_| is_one) {
            return Ok(*known);
        }
        let position = self.value(scalar, v, scope)?;
        let mask = self.mask_of(v, scope);
        let position = self.check_lanes(position, extent, mask);
        let offset = self.strided(position, stride);
        scope.offsets.insert(key, offset);
        Ok(offset)
    }
}
