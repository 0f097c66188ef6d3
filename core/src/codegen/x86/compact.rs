//! Sums of weighted rows of which a mask made many weights 0: first the members that count are listed, a vector at a
//! time, then their rows are added. What dropout dropped costs neither a read of its row nor a mispredicted jump. The
//! program says that such a row counts as 0 (`weigh`): 0 times an infinity would be NaN.

use super::layout::{Filling, Layout, Packed};
use super::lir::{Class, Mem, Op, Pred, Reg};
use super::nest::{Access, Checked, CheckedList, Fused, Nest, Scope, class_of};
use crate::ir::{Index, ReduceOp, Scalar, ScalarOp, Unsupported};
use crate::kernel::{Guarded, Instr, Kernel, LoopKind};

/// Members that are listed at a time.
const BLOCK: usize = 512;

/// Where the lists for the members that count start.
struct Lists {
    /// Their numbers, if anything is read by these.
    members: Option<Reg>,
    weights: Reg,
    /// For each listed scalar.
    positions: Vec<CheckedList>,
}

impl Nest<'_> {
    /// Finds the weight of the only result, if it is a sum of weighted rows over a segment.
    pub(super) fn find_compacted(&mut self, masked: &[bool]) {
        let [Some(Fused { guard: Some(guard), .. })] = self.fused[..] else { return };
        let Some(last) = self.layout.order.last() else { return };
        let is_segment = matches!(self.kernel.loops[*last].kind, LoopKind::Segment { .. });
        let by_rows = self.layout.packed().is_none() && self.layout.width >= self.layout.vector;
        if !is_segment || !by_rows || self.kernel.reduce != Some(ReduceOp::Sum) {
            return;
        }
        let is_masked = self::masked(self.kernel, masked);
        let weight = guard.weight.0 as usize;
        if !self.varies(weight) && is_masked[weight] {
            self.compacted = Some(guard);
            self.listed = self.find_listed(guard.weight);
        }
    }

    /// Positions that each member reads to find its row: they are listed, too, a vector at a time.
    fn find_listed(&self, weight: Scalar) -> Vec<Scalar> {
        let mut listed: Vec<Scalar> = vec![];
        for (i, access) in self.accesses.iter().enumerate() {
            let Some(access) = access.as_ref().filter(|_| self.wanted[i] && i != weight.0 as usize) else { continue };
            for (s, ..) in &access.place.computed {
                let s = self.source(*s);
                if self.may_be_listed(s) && !listed.contains(&s) {
                    listed.push(s);
                }
            }
        }
        listed
    }

    fn may_be_listed(&self, s: Scalar) -> bool {
        let at = s.0 as usize;
        let is_load = matches!(self.kernel.body[at], Instr::Load(..)) && !self.varies(at);
        is_load && self.levels[at] == self.layout.order.len() && self.extents_of(s) == 1
    }

    /// The position to list for a scalar: if that is itself read at a computed position, the inner one. Few members
    /// count, and reading for these alone costs less than reading for all, a vector at a time.
    fn source(&self, s: Scalar) -> Scalar {
        let computed = self.accesses[s.0 as usize].as_ref().map(|access| &access.place.computed[..]);
        match computed {
            Some([(from, ..)]) if self.may_be_listed(*from) => self.source(*from),
            _ => s,
        }
    }

    /// For each scalar whether it reads anything by the number of the member, loop `l`, except for positions that are
    /// listed.
    fn need_member(&self, l: usize) -> Vec<bool> {
        let mut needs: Vec<bool> = Vec::with_capacity(self.kernel.body.len());
        for (i, instr) in self.kernel.body.iter().enumerate() {
            let needs_it = |s: &Scalar| needs[s.0 as usize];
            let is_weight = self.compacted.is_some_and(|Guarded { weight, .. }| weight.0 as usize == i);
            needs.push(match instr {
                _ if is_weight => false,
                Instr::Load(..) => self.accesses[i].as_ref().is_none_or(|Access { place, .. }| {
                    let computes = |s: &Scalar| !self.listed.contains(s) && needs_it(s);
                    place.terms.iter().any(|(number, _)| *number == l)
                        || place.computed.iter().any(|(s, ..)| computes(s))
                }),
                Instr::Position(Index::Affine { terms, .. }) => terms.iter().any(|(number, _)| *number as usize == l),
                Instr::Position(Index::Value(s)) => needs_it(s),
                Instr::Op(_, ins) => ins.iter().any(needs_it),
                Instr::Const(_) | Instr::Size(..) => false,
            });
        }
        needs
    }

    /// A loop over members that skips those whose weight is 0.
    pub(super) fn compacted_loop(
        &mut self,
        Guarded { weight, counts, row }: Guarded,
        l: usize,
        level: usize,
        (i, end): (Reg, Reg),
        scope: &Scope,
    ) -> Result<(), Unsupported> {
        let size = self.dtypes[weight.0 as usize].size();
        let listed = self.listed.clone();
        let needs_member = self.need_member(l)[row.0 as usize];
        let lists = Lists {
            members: needs_member.then(|| self.new_list(size)),
            weights: self.new_list(size),
            positions: listed.iter().map(|_| CheckedList::at(self.new_list(size))).collect(),
        };
        let stop = self.f.int(Op::Mov, &[i], 0);
        let step = self.f.int(Op::Imm, &[], BLOCK as i64);
        // Blocks of members.
        let mut block = scope.clone();
        self.iterate(i, end, (1, 1), |nest| {
            let left = nest.f.int(Op::Sub, &[end, i], 0);
            let n = nest.f.int(Op::Min, &[left, step], 0);
            nest.f.update(stop, Op::Add, &[i, n], None, 0);
            let kept = nest.f.int(Op::Imm, &[], 0);
            // List.
            let at = nest.f.int(Op::Mov, &[i], 0);
            let mut listing = block.clone();
            listing.indices[l] = Some(at);
            let lanes = nest.f.lanes;
            nest.over_members(l)
                .iterate(at, stop, (1, lanes), |nest| nest.list(weight, (at, stop, kept), &lists, &mut listing))?;
            // Add.
            let k = nest.f.int(Op::Imm, &[], 0);
            let k = nest.f.int(Op::Mov, &[k], 0);
            nest.over_rows(row).iterate(k, kept, (1, 1), |nest| {
                let entry = |base| Mem { base, index: Some((k, 4)), disp: 0 };
                let class = class_of(nest.dtypes[weight.0 as usize]);
                let weights = Mem { index: Some((k, size as u32)), ..entry(lists.weights) };
                let value = nest.f.load(class, Op::Bcst, weights, None);
                for (scalar, list) in listed.iter().zip(&lists.positions) {
                    block.set_checked(*scalar, Checked::load(nest.f, *list, k));
                }
                block.indices[l] = lists.members.map(|list| nest.f.load(Class::Int, Op::LoadI32, entry(list), None));
                block.set(weight, value);
                // All listed members count.
                let all = nest.f.first_lanes(nest.f.lanes);
                block.set(counts, all);
                nest.level(level + 1, &mut block)
            })?;
            // The loop itself increments by one.
            nest.f.update(i, Op::AddImm, &[stop], None, -1);
            Ok(())
        })
    }

    /// The nest that lists members: these, of loop `l`, are the lanes.
    fn over_members(&mut self, l: usize) -> Nest<'_> {
        let filling = Filling::Terms { packed: Packed::new(l, self.f.lanes) };
        let mut nest = self.second();
        nest.layout = Layout { lanes: vec![], width: 1, filling, ..nest.layout };
        nest.analyse_lanes();
        nest
    }

    /// The nest that adds rows, without the scalars that only the weight needs.
    fn over_rows(&mut self, row: Scalar) -> Nest<'_> {
        let mut nest = self.second();
        nest.wanted = nest.wanted_for([row]);
        nest
    }

    /// Memory for a list of elements of this many bytes.
    fn new_list(&mut self, size: usize) -> Reg {
        let start = self.f.stack.max(64);
        // A whole vector may be written after the last element.
        self.f.stack = start + (BLOCK + self.f.lanes) * size;
        self.f.int(Op::StackAddr, &[], start as i64)
    }

    /// Appends positions and weights of the next members, those whose weight is not 0, to the lists.
    fn list(
        &mut self,
        weight: Scalar,
        (at, stop, kept): (Reg, Reg, Reg),
        lists: &Lists,
        scope: &mut Scope,
    ) -> Result<(), Unsupported> {
        let left = self.f.int(Op::Sub, &[stop, at], 0);
        scope.left = Some(self.f.vec(Op::Splat, &[left]));
        scope.vectors = 1;
        let mask = self.mask_of(0, scope).expect("members are left");
        let listed = self.listed.clone();
        let values: Result<Vec<Reg>, Unsupported> =
            std::iter::once(&weight).chain(&listed).map(|s| self.value(*s, 0, scope)).collect();
        let values = values?;
        let value = values[0];
        let zero = self.f.real(value, 0.0);
        let differs = self.f.mask(Op::CmpF(Pred::Ne), &[value, zero]);
        let counts = self.f.mask(Op::MaskAnd, &[differs, mask]);
        let mut positions = vec![];
        for ((scalar, x), list) in listed.iter().zip(&values[1..]).zip(&lists.positions) {
            positions.push(list.entry(self.check_listed(*scalar, *x, counts)?));
        }
        // Compressed in a register and stored whole: a compressing store is slow on some machines.
        let members = lists.members.map(|list| {
            let first = self.f.vec(Op::Splat, &[at]);
            let numbers = self.f.table(std::array::from_fn(|lane| lane as i32));
            (list, self.f.vec(Op::AddI, &[first, numbers]))
        });
        for (list, x) in members.into_iter().chain([(lists.weights, value)]).chain(positions) {
            let dense = self.f.compress(counts, x);
            let size = if self.f.is_wide(dense) { 8 } else { 4 };
            self.f.store(Op::Store, Mem { base: list, index: Some((kept, size)), disp: 0 }, dense, None);
        }
        let n = self.f.int(Op::MaskCount, &[counts], 0);
        self.f.update(kept, Op::Add, &[kept, n], None, 0);
        Ok(())
    }
}

/// For each scalar of a kernel whether a mask makes it 0; `inputs` says the same of what the kernel reads.
pub(crate) fn masked(kernel: &Kernel, inputs: &[bool]) -> Vec<bool> {
    let is_zero = |s: &Scalar| matches!(&kernel.body[s.0 as usize], Instr::Const(x) if x.as_f64() == 0.0);
    let mut masked: Vec<bool> = Vec::with_capacity(kernel.body.len());
    for instr in &kernel.body {
        masked.push(match instr {
            Instr::Load(input, _) => inputs.get(*input as usize).copied().unwrap_or(false),
            Instr::Op(ScalarOp::Select, ins) => is_zero(&ins[1]) || is_zero(&ins[2]),
            Instr::Op(ScalarOp::Mul, ins) => ins.iter().any(|s| masked[s.0 as usize]),
            Instr::Op(ScalarOp::Div | ScalarOp::Neg, ins) => masked[ins[0].0 as usize],
            _ => false,
        });
    }
    masked
}
