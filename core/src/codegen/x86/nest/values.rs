//! Scalars on the lanes of a vector.

use super::super::lir::{LANES, Op, Pred, Reg};
use super::{Nest, Scope, class_of};
use crate::aval::{DType, Dim};
use crate::ir::scalar::Form;
use crate::ir::{Index, Scalar, ScalarOp, Unsupported};
use crate::kernel::Instr;
use smallvec::SmallVec;

impl Nest<'_> {
    /// Computes everything that is known at this level, including the parts of addresses. If `only` is set, of what
    /// differs by vector only that vector's.
    pub(super) fn hoist(&mut self, level: usize, scope: &mut Scope, only: Option<usize>) -> Result<(), Unsupported> {
        for i in 0..self.kernel.body.len() {
            if self.levels[i] > level && self.accesses[i].is_some() {
                let access = self.accesses[i].as_ref().expect("just checked");
                if access.staged.is_none() && (level == 0 || access.strides.iter().any(|(at, ..)| *at == level)) {
                    self.address_sum(i, level, scope);
                }
            }
            if only.is_none() {
                self.hoist_offsets(i, level, scope)?;
            }
            if self.levels[i] == level && self.wanted[i] && !self.is_fused_result(i) {
                match only {
                    Some(v) if self.copies(i, scope) > 1 || v == 0 => {
                        self.value(Scalar(i as u32), v, scope)?;
                    }
                    Some(_) => {}
                    None => {
                        for v in 0..self.copies(i, scope) {
                            self.value(Scalar(i as u32), v, scope)?;
                        }
                    }
                }
            }
            self.hoist_keys(i, level, scope)?;
        }
        Ok(())
    }

    /// Lanes of computed positions that a load of an inner loop uses are checked and scaled once.
    fn hoist_offsets(&mut self, i: usize, level: usize, scope: &mut Scope) -> Result<(), Unsupported> {
        let access = self.accesses[i].as_ref().filter(|access| !self.far[access.input]);
        if access.is_none() || self.levels[i] <= level || !self.wanted[i] || !self.gathers(i, scope) {
            return Ok(());
        }
        for (scalar, stride, extent) in self.varying(i) {
            let at = scalar.0 as usize;
            for v in 0..if self.levels[at] == level { self.copies(at, scope) } else { 0 } {
                self.checked_offset(scalar, v, (&stride, &extent), scope)?;
            }
        }
        Ok(())
    }

    /// The keys of a generator that no inner loop changes are spread once.
    pub(super) fn hoist_keys(&mut self, i: usize, level: usize, scope: &mut Scope) -> Result<(), Unsupported> {
        let Instr::Op(op, ins) = &self.kernel.body[i] else { return Ok(()) };
        let Form::Threefry(_) = op.form() else { return Ok(()) };
        let (k0, k1) = (ins[0], ins[1]);
        let known = |s: Scalar| self.levels[s.0 as usize];
        let differ = self.differs_by_vector(k0.0 as usize) || self.differs_by_vector(k1.0 as usize);
        if differ || self.levels[i] <= level || known(k0).max(known(k1)) != level || !self.wanted[i] {
            return Ok(());
        }
        let keys = (self.value(k0, 0, scope)?, self.value(k1, 0, scope)?);
        self.f.spread_keys(keys);
        Ok(())
    }

    pub(super) fn is_fused_result(&self, i: usize) -> bool {
        self.kernel.results.iter().zip(&self.fused).any(|(r, fused)| r.0 as usize == i && fused.is_some())
    }

    /// In how many vectors a scalar differs.
    pub(super) fn copies(&self, i: usize, scope: &Scope) -> usize {
        let differs = if self.layout.packed().is_some() { self.by_iteration[i] } else { self.by_lane[i] };
        if differs { scope.vectors } else { 1 }
    }

    /// A scalar on the lanes of vector `v`.
    pub(in crate::codegen::x86) fn value(
        &mut self,
        scalar: Scalar,
        v: usize,
        scope: &mut Scope,
    ) -> Result<Reg, Unsupported> {
        let i = scalar.0 as usize;
        let v = if self.copies(i, scope) == 1 && !(self.differs_by_vector(i)) { 0 } else { v };
        if let Some(reg) = scope.vecs.get(&(scalar.0, v)) {
            return Ok(*reg);
        }
        let reg = match &self.kernel.body[i] {
            Instr::Const(literal) => match self.open[i] {
                Some(number) => self.f.open(number, class_of(literal.dtype())),
                None => self.f.literal(*literal),
            },
            Instr::Size(dim, dtype) => self.scalar_size(dim, *dtype),
            Instr::Position(index) => self.position(&index.clone(), v, scope)?,
            Instr::Load(..) => self.load_vector(i, v, scope)?,
            Instr::Op(op, ins) => {
                let (op, ins) = (*op, ins.clone());
                let mut operands: SmallVec<[Reg; 4]> = SmallVec::new();
                for s in &ins {
                    operands.push(self.value(*s, v, scope)?);
                }
                let dtype = self.dtypes[if op == ScalarOp::Select { ins[1] } else { ins[0] }.0 as usize];
                self.operation(op, dtype, operands, scope)?
            }
        };
        scope.vecs.insert((scalar.0, v), reg);
        Ok(reg)
    }

    pub(super) fn differs_by_vector(&self, i: usize) -> bool {
        if self.layout.packed().is_some() { self.by_iteration[i] } else { self.by_lane[i] }
    }

    /// An operation, unless this scope has done it for another vector or another scalar. One block of a generator
    /// yields both words.
    fn operation(
        &mut self,
        op: ScalarOp,
        dtype: DType,
        ins: SmallVec<[Reg; 4]>,
        scope: &mut Scope,
    ) -> Result<Reg, Unsupported> {
        let key = (op, dtype, ins);
        if let Some(known) = scope.ops.get(&key) {
            return Ok(*known);
        }
        let (op, dtype, ins) = key;
        if let Form::Threefry(word) = op.form() {
            let words = self.f.threefry(&ins);
            scope.ops.insert((ScalarOp::Threefry0, dtype, ins.clone()), words.0);
            scope.ops.insert((ScalarOp::Threefry1, dtype, ins), words.1);
            return Ok([words.0, words.1][word]);
        }
        let found = match self.known(op, dtype, &ins) {
            Some(known) => known,
            None => self.f.scalar_op(op, dtype, &ins)?,
        };
        scope.ops.insert((op, dtype, ins), found);
        Ok(found)
    }

    /// A position as a vector.
    pub(super) fn position(&mut self, index: &Index, v: usize, scope: &mut Scope) -> Result<Reg, Unsupported> {
        let (constant, terms) = match index {
            Index::Value(s) => return self.value(*s, v, scope),
            Index::Affine { constant, terms } => (constant, terms),
        };
        let terms: Vec<(usize, Dim)> = terms.iter().map(|(l, stride)| (*l as usize, stride.clone())).collect();
        let mut at = self.size(constant);
        for (l, stride) in &terms {
            if let Some(i) = scope.indices[*l] {
                let term = self.times(i, stride);
                at = self.f.int(Op::Add, &[at, term], 0);
            }
        }
        let moving: Vec<(usize, Dim)> =
            terms.iter().filter(|(l, _)| self.layout.is_lane(*l) || self.layout.is_packed(*l)).cloned().collect();
        let by_loops = terms.iter().any(|(l, _)| scope.indices[*l].is_some());
        if moving.is_empty() {
            return Ok(self.f.vec(Op::Splat, &[at]));
        }
        let lanes = self.lane_offsets(v, &moving)?;
        if let Some(known) = constant.as_number().filter(|_| !by_loops).and_then(|n| self.known_position(n, lanes)) {
            return Ok(known);
        }
        let splat = self.f.vec(Op::Splat, &[at]);
        Ok(self.f.vec(Op::AddI, &[splat, lanes]))
    }

    /// `i · stride`.
    pub(super) fn times(&mut self, i: Reg, stride: &Dim) -> Reg {
        match stride.as_number() {
            Some(1) => i,
            Some(n) if i32::try_from(n).is_ok() => self.f.int(Op::MulImm, &[i], n),
            _ => {
                let size = self.size(stride);
                self.f.int(Op::Mul, &[i, size], 0)
            }
        }
    }

    /// What the lanes of a vector contribute to a position.
    pub(super) fn lane_offsets(&mut self, v: usize, terms: &[(usize, Dim)]) -> Result<Reg, Unsupported> {
        if let Some(offsets) = self.layout.offsets(v, terms) {
            return Ok(self.table(&offsets));
        }
        // Strides that are symbols: the coordinates times the strides.
        let mut sum = None;
        for (l, stride) in terms {
            let coordinates = self.layout.offsets(v, &[(*l, Dim::from(1))]).expect("a stride of one is a number");
            let coordinates = self.table(&coordinates);
            let stride = self.splat_size(stride);
            let term = self.f.vec(Op::MulI, &[coordinates, stride]);
            sum = Some(match sum {
                None => term,
                Some(sum) => self.f.vec(Op::AddI, &[sum, term]),
            });
        }
        sum.ok_or_else(|| Unsupported("a position without lanes".into()))
    }

    /// Numbers for the lanes. Offsets of a load fit, or its array is far; a position of the program wraps, as an `i32`
    /// does.
    pub(super) fn table(&mut self, offsets: &[i64]) -> Reg {
        let mut table = [0i32; LANES];
        table.iter_mut().zip(offsets).for_each(|(entry, offset)| *entry = *offset as i32);
        self.f.table(table)
    }

    /// The valid lanes of vector `v`, if not all are.
    pub(in crate::codegen::x86) fn mask_of(&mut self, v: usize, scope: &mut Scope) -> Option<Reg> {
        if let Some(left) = scope.left {
            return Some(self.iteration_mask(v, left, scope));
        }
        if self.layout.packed().is_none() && v > 0 { self.whole_mask(v) } else { self.first_mask(scope) }
    }

    /// The lanes of vector `v` whose iterations are left.
    fn iteration_mask(&mut self, v: usize, left: Reg, scope: &mut Scope) -> Reg {
        if let Some(mask) = scope.iteration_masks.get(&v) {
            return *mask;
        }
        let (width, layout) = (self.layout.width, self.layout.clone());
        let iteration = |lane| if layout.is_member(lane) { lane / width } else { usize::MAX };
        let mask = self.lanes_left(v, left, iteration);
        scope.iteration_masks.insert(v, mask);
        mask
    }

    /// The lanes of vector `v` whose iteration, as `iteration` counts them within the vector, is left.
    pub(super) fn lanes_left(&mut self, v: usize, left: Reg, iteration: impl Fn(usize) -> usize) -> Reg {
        let iterations = self.layout.packed().map_or(0, |packed| packed.iterations);
        let numbers: [i32; LANES] = std::array::from_fn(|lane| match iteration(lane) {
            iteration if iteration < iterations => (v * iterations + iteration) as i32,
            _ => i32::MAX,
        });
        let numbers = self.f.table(numbers);
        self.f.mask(Op::CmpS(Pred::Lt), &[numbers, left])
    }

    pub(super) fn first_mask(&self, scope: &Scope) -> Option<Reg> {
        scope.mask.filter(|_| self.layout.packed().is_some() || self.layout.active(0) < self.f.lanes)
    }
}
