//! Stores, and sums over loops and lanes.

use super::super::ARGS;
use super::super::layout::{Filling, Group, Packed};
use super::super::lir::{LANES, Mem, Op, Pred, Reg};
use super::{Fused, Nest, Scope, class_of};
use crate::aval::{DType, Dim, Literal};
use crate::ir::{ReduceOp, Scalar, Unsupported};
use crate::kernel::LoopKind;

impl Nest<'_> {
    /// The address of an output's element, without the offsets of its lanes.
    pub(super) fn output(&mut self, k: usize, scope: &mut Scope) -> Mem {
        let (_, aval) = &self.kernel.outputs[k];
        let size = aval.dtype.size() as i64;
        let shape = aval.shape.clone();
        let entry = (ARGS + self.kernel.inputs.len() + k) as i64;
        let mut sum = self.f.int(Op::Arg, &[], entry);
        let mut stride = Dim::from(1);
        for l in (0..shape.len()).rev() {
            if let Some(i) = scope.indices[l] {
                let elements = self.times(i, &stride);
                let bytes = if size == 1 { elements } else { self.f.int(Op::MulImm, &[elements], size) };
                sum = self.f.int(Op::Add, &[sum, bytes], 0);
            }
            stride = &stride * &shape[l];
        }
        Mem::at(sum)
    }

    pub(super) fn store_all(&mut self, v: usize, outputs: &[Mem], scope: &mut Scope) -> Result<(), Unsupported> {
        for (mem, result) in outputs.iter().zip(&self.kernel.results) {
            let value = self.result(*result, v, scope)?;
            let mask = self.mask_of(v, scope);
            let size = self.dtypes[result.0 as usize].size();
            self.store(size, mem.plus((size * self.layout.active(0) * v) as i32), value, mask);
        }
        Ok(())
    }

    /// A result on the lanes of vector `v`; a bool is 0 or 1.
    fn result(&mut self, result: Scalar, v: usize, scope: &mut Scope) -> Result<Reg, Unsupported> {
        let value = self.value(result, v, scope)?;
        if self.dtypes[result.0 as usize] != DType::Bool {
            return Ok(value);
        }
        let (zero, one) = (self.f.bits(0), self.f.bits(1));
        Ok(self.f.blend(value, zero, one))
    }

    /// Stores lanes as elements of this many bytes.
    fn store(&mut self, size: usize, mem: Mem, value: Reg, mask: Option<Reg>) {
        self.f.store(if size == 1 { Op::StoreBytes } else { Op::Store }, mem, value, mask);
    }

    pub(super) fn identity(&mut self, k: usize) -> Reg {
        let dtype = self.kernel.outputs[k].1.dtype;
        let op = self.kernel.reduce.expect("a reduction");
        match op.identity(dtype) {
            Literal::Bool(x) => self.f.bits(x.into()),
            identity => self.f.literal(identity),
        }
    }

    pub(super) fn start_sums(&mut self, scope: &mut Scope) -> Result<(), Unsupported> {
        self.sums.clear();
        for k in 0..self.kernel.outputs.len() {
            let identity = self.identity(k);
            let sums = (0..scope.vectors).map(|_| self.f.vec(Op::MovV, &[identity])).collect();
            self.sums.push(sums);
        }
        Ok(())
    }

    /// `sum = sum op x`, in the lanes of the mask.
    pub(super) fn add_to(&mut self, k: usize, sum: Reg, x: Reg, mask: Option<Reg>) {
        let dtype = self.kernel.outputs[k].1.dtype;
        let op = match (self.kernel.reduce.expect("a reduction"), dtype) {
            (ReduceOp::Sum, DType::F32 | DType::F64) => Op::AddF,
            (ReduceOp::Prod, DType::F32 | DType::F64) => Op::MulF,
            (ReduceOp::Max, DType::F32 | DType::F64) => Op::MaxF,
            (ReduceOp::Min, DType::F32 | DType::F64) => Op::MinF,
            (ReduceOp::Max, DType::Bool) => Op::Or,
            (ReduceOp::Min | ReduceOp::Prod, DType::Bool) => Op::And,
            (ReduceOp::Sum, _) => Op::AddI,
            (ReduceOp::Prod, _) => Op::MulI,
            (ReduceOp::Max, DType::U32) => Op::MaxU,
            (ReduceOp::Max, _) => Op::MaxS,
            (ReduceOp::Min, DType::U32) => Op::MinU,
            (ReduceOp::Min, _) => Op::MinS,
        };
        if matches!(op, Op::MaxF | Op::MinF) {
            // A NaN stays NaN.
            let nan = self.f.mask(Op::CmpF(Pred::Unordered), &[sum, sum]);
            let found = self.f.vec(op, &[sum, x]);
            let found = self.f.blend(nan, found, sum);
            return self.f.update(sum, Op::MovV, &[found], mask, 0);
        }
        self.f.update(sum, op, &[sum, x], mask, 0);
    }

    /// Combines the values of this iteration.
    pub(super) fn combine(&mut self, v: usize, scope: &mut Scope) -> Result<(), Unsupported> {
        for (k, result) in self.kernel.results.iter().enumerate() {
            // Lanes beyond a row's end keep their values; those of a short last vector must not be counted.
            let mask = if scope.left.is_some() { self.mask_of(v, scope) } else { self.members() };
            let sum = self.sums[k][v];
            if let Some(Fused { factors: [a, b], guard }) = self.fused[k] {
                let (a, b) = (self.value(a, v, scope)?, self.value(b, v, scope)?);
                // All listed members count.
                let counts = guard.filter(|_| self.compacted.is_none()).map(|guard| self.value(guard.counts, v, scope));
                let mask = match (mask, counts.transpose()?) {
                    (Some(mask), Some(counts)) => Some(self.f.mask(Op::MaskAnd, &[mask, counts])),
                    (mask, counts) => mask.or(counts),
                };
                self.f.update(sum, Op::Fma, &[a, b], mask, 0);
            } else {
                let x = self.result(*result, v, scope)?;
                self.add_to(k, sum, x, mask);
            }
        }
        Ok(())
    }

    /// Lanes moved down by `by`.
    pub(super) fn moved(&mut self, x: Reg, by: usize) -> Reg {
        let n = self.f.lanes;
        self.f.permute(std::array::from_fn(|lane| ((lane + by) % n) as i32), x)
    }

    pub(super) fn store_sums(&mut self, scope: &mut Scope) -> Result<(), Unsupported> {
        for k in 0..self.kernel.outputs.len() {
            let mut sums = self.sums[k].clone();
            let width = self.layout.width;
            if let Some(Packed { iterations, parts, .. }) = self.layout.packed_terms() {
                // Vectors of 512 bits first, then halves of one.
                let first = sums[0];
                for (i, other) in sums.iter().enumerate().skip(parts) {
                    self.add_to(k, sums[i % parts], *other, None);
                }
                for part in &sums[1..parts] {
                    self.add_to(k, first, *part, None);
                }
                let mut half = iterations / 2;
                while half > 0 {
                    let other = self.moved(first, half * width);
                    self.add_to(k, first, other, None);
                    half /= 2;
                }
                sums.truncate(1);
            }
            let whole = match self.layout.filling {
                Filling::Rows { group, .. } if group.lanes > 1 => {
                    self.store_iterations(k, group.lanes, &sums, scope);
                    continue;
                }
                Filling::Row { group } | Filling::Rows { group, .. } => group.lanes,
                Filling::Terms { .. } => 1,
            };
            let group = whole.min(self.f.lanes);
            if group < whole {
                // A group fills two vectors: their elements are its halves.
                for pair in sums.chunks(2) {
                    self.add_to(k, pair[0], pair[1], None);
                }
                sums = sums.into_iter().step_by(2).collect();
            }
            if group > 1 && sums.len().is_power_of_two() && sums.len() <= group {
                let dense = self.fold_groups(k, group, sums);
                self.store_dense(k, dense, scope)?;
                continue;
            }
            if group > 1 {
                for sum in &sums {
                    let mut half = group / 2;
                    while half > 0 {
                        let other = self.moved(*sum, half);
                        self.add_to(k, *sum, other, None);
                        half /= 2;
                    }
                }
            }
            self.store_sum(k, group, &sums, scope)?;
        }
        Ok(())
    }

    /// Combines the groups of all vectors, half by half and two vectors at a time: the results are contiguous.
    pub(super) fn fold_groups(&mut self, k: usize, mut group: usize, mut sums: Vec<Reg>) -> Reg {
        while group > 1 {
            let half = group / 2;
            // The lower or the upper halves of all groups, one after the other.
            let halves = |upper: usize| -> [i32; LANES] {
                std::array::from_fn(|lane| (lane / half * group + lane % half + upper * half) as i32)
            };
            let pairs: Vec<(Reg, Option<Reg>)> = sums.chunks(2).map(|pair| (pair[0], pair.get(1).copied())).collect();
            sums = pairs
                .into_iter()
                .map(|(a, b)| {
                    let mut side = |upper: usize| {
                        let numbers = halves(upper);
                        match b {
                            Some(b) => self.f.permute_two(numbers, a, b),
                            None => self.f.permute(numbers.map(|n| n % self.f.lanes as i32), a),
                        }
                    };
                    let (low, high) = (side(0), side(1));
                    self.add_to(k, low, high, None);
                    low
                })
                .collect();
            group = half;
        }
        sums[0]
    }

    /// The valid lanes, if groups have padding lanes.
    fn members(&mut self) -> Option<Reg> {
        let lanes = (0..self.f.lanes).filter(|lane| self.layout.is_member(*lane));
        let bits = lanes.fold(0, |bits, lane| bits | 1 << lane);
        let Group { lanes, members } = self.layout.group();
        (members < lanes).then(|| self.f.mask_of(bits))
    }

    /// Combines the groups of vectors that hold several iterations, and stores the results of the iterations that are
    /// left.
    fn store_iterations(&mut self, k: usize, group: usize, sums: &[Reg], scope: &mut Scope) {
        let width = self.layout.width;
        let size = self.kernel.outputs[k].1.dtype.size();
        let mem = self.output(k, scope);
        // This many vectors fold into one.
        let folded = 1 << group.min(sums.len()).ilog2();
        let n = folded * self.f.lanes / group;
        for (i, sums) in sums.chunks(folded).enumerate() {
            let dense = self.fold_groups(k, group, sums.to_vec());
            let mask = match scope.left {
                Some(left) => {
                    let iteration = |result: usize| ((i * n + result) / (width / group)) as i32;
                    let iterations =
                        self.f.table(std::array::from_fn(|lane| if lane < n { iteration(lane) } else { i32::MAX }));
                    Some(self.f.mask(Op::CmpS(Pred::Lt), &[iterations, left]))
                }
                None => (n < self.f.lanes).then(|| self.f.first_lanes(n)),
            };
            self.store(size, mem.plus((i * n * size) as i32), dense, mask);
        }
    }

    /// Stores results that are contiguous in one vector.
    pub(super) fn store_dense(&mut self, k: usize, results: Reg, scope: &mut Scope) -> Result<(), Unsupported> {
        let mem = self.output(k, scope);
        let n = self.layout.width / self.layout.group().lanes;
        let mask = (n < self.f.lanes).then(|| self.f.first_lanes(n));
        self.store(self.kernel.outputs[k].1.dtype.size(), mem, results, mask);
        Ok(())
    }

    pub(super) fn store_sum(
        &mut self,
        k: usize,
        group: usize,
        sums: &[Reg],
        scope: &mut Scope,
    ) -> Result<(), Unsupported> {
        let mem = self.output(k, scope);
        let size = self.kernel.outputs[k].1.dtype.size();
        // A range of a reduced loop adds to the results of other ranges.
        let accumulates = self.partition.is_some_and(|l| self.kernel.loops[l].kind == LoopKind::Reduce);
        for (v, sum) in sums.iter().enumerate() {
            let lanes = match self.layout.filling {
                Filling::Terms { .. } => self.layout.width,
                Filling::Row { .. } | Filling::Rows { .. } => self.layout.active(v),
            };
            let mask = if group > 1 {
                let bits = (0..self.f.lanes).step_by(group).fold(0u16, |bits, lane| bits | 1 << lane);
                Some(self.f.mask_of(bits))
            } else if let Filling::Rows { .. } = self.layout.filling {
                self.mask_of(v, scope)
            } else {
                (lanes < self.f.lanes).then(|| self.f.first_lanes(lanes))
            };
            let step = if group > 1 { self.f.lanes / group } else { self.layout.active(0) };
            let mem = mem.plus((size * step * v) as i32);
            if accumulates {
                let class = class_of(self.kernel.outputs[k].1.dtype);
                let old = self.f.load(class, if size == 1 { Op::LoadBytes } else { Op::Load }, mem, mask);
                self.add_to(k, *sum, old, None);
            }
            match mask {
                // Bytes are compressed in a register.
                Some(mask) if group > 1 && size == 1 => {
                    let dense = self.f.compress(mask, *sum);
                    let first = self.f.first_lanes(step);
                    self.f.store(Op::StoreBytes, mem, dense, Some(first));
                }
                _ if group > 1 => self.f.store(Op::StoreCompressed, mem, *sum, mask),
                _ => self.store(size, mem, *sum, mask),
            }
        }
        Ok(())
    }
}
