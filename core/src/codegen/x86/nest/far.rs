//! Lanes of arrays with more elements than 32-bit lanes can address: each is found by a position of 64 bits, one after
//! the other. With so large an array the machine waits for memory, not for instructions.

use super::super::lir::{Class, Mem, Op, Reg};
use super::{Nest, Scope};
use crate::aval::Dim;
use crate::ir::Unsupported;

impl Nest<'_> {
    /// The lanes of vector `v` of load `i`, which its loops' lanes (`moving`) and computed positions move from `mem`.
    /// Lanes outside the mask are 0.
    pub(super) fn gather_far(
        &mut self,
        i: usize,
        v: usize,
        mem: Mem,
        moving: &[(usize, Dim)],
        scope: &mut Scope,
    ) -> Result<Reg, Unsupported> {
        let access = self.accesses[i].as_ref().expect("a load");
        let (size, class) = (access.size, access.class);
        let mask = self.mask_of(v, scope);
        let mem = self.without_index(i, mem, scope);
        let mut computed = vec![];
        for (scalar, stride, extent) in self.varying(i) {
            let position = self.value(scalar, v, scope)?;
            let position = self.check_far_lanes(position, &extent, mask);
            computed.push((self.by_lane_of(position.reg()), stride));
        }
        // A masked-out lane reads the first element.
        let counts = mask.map(|mask| {
            let (zero, one) = (self.f.bits(0), self.f.bits(1));
            let counts = self.f.blend(mask, zero, one);
            self.by_lane_of(counts)
        });
        let mut all = None;
        for lane in 0..self.layout.active(v) {
            let mut at = self.lane_offset(v, lane, moving);
            for (positions, stride) in &computed {
                let position = self.lane_of(*positions, lane);
                let term = self.times(position, stride);
                at = Some(self.sum(at, term));
            }
            if let (Some(counts), Some(offset)) = (counts, at) {
                let count = self.lane_of(counts, lane);
                at = Some(self.f.int(Op::Mul, &[offset, count], 0));
            }
            let mem = Mem { index: at.map(|at| (at, size as u32)), ..mem };
            let element = self.f.load(class, if size == 1 { Op::BcstByte } else { Op::Bcst }, mem, None);
            let all = *all.get_or_insert(element);
            if lane > 0 {
                let own = self.f.mask_of(1 << lane);
                self.f.update(all, Op::MovV, &[element], Some(own), 0);
            }
        }
        let all = all.ok_or_else(|| Unsupported("a vector without lanes".into()))?;
        let all = mask.map_or(all, |mask| {
            let zero = if class == Class::Wide { self.f.wide_bits(0) } else { self.f.bits(0) };
            self.f.blend(mask, zero, all)
        });
        Ok(if size == 1 { self.f.mask(Op::Test, &[all]) } else { all })
    }

    /// How many elements the loops' lanes move a lane; `None` for none.
    fn lane_offset(&mut self, v: usize, lane: usize, moving: &[(usize, Dim)]) -> Option<Reg> {
        if let Some(offsets) = self.layout.offsets(v, moving) {
            return (offsets[lane] != 0).then(|| self.f.int(Op::Imm, &[], offsets[lane]));
        }
        let mut sum = None;
        for (l, stride) in moving {
            let iteration = self.layout.offsets(v, &[(*l, Dim::from(1))]).expect("a stride of one is a number")[lane];
            if iteration != 0 {
                let stride = self.size(stride);
                let term = self.f.int(Op::MulImm, &[stride], iteration);
                sum = Some(self.sum(sum, term));
            }
        }
        sum
    }

    fn sum(&mut self, a: Option<Reg>, b: Reg) -> Reg {
        a.map_or(b, |a| self.f.int(Op::Add, &[a, b], 0))
    }

    /// The address of a vector's lanes in the function's own memory.
    fn by_lane_of(&mut self, lanes: Reg) -> Reg {
        let at = self.f.stack.max(64);
        self.f.stack = at + 64;
        let address = self.f.int(Op::StackAddr, &[], at as i64);
        self.f.store(Op::Store, Mem::at(address), lanes, None);
        address
    }

    /// One of these lanes as an integer.
    fn lane_of(&mut self, address: Reg, lane: usize) -> Reg {
        self.f.load(Class::Int, Op::LoadI32, Mem::at(address).plus(4 * lane as i32), None)
    }
}
