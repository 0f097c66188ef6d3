//! From a loop nest to instructions over virtual registers.
//!
//! The scalar body is computed on vectors. What depends on no lane is the same in all lanes, or an integer where it only
//! says where something is read. Every instruction is placed in the outermost loop that it depends on.

use super::layout::{Layout, Packed, Pattern, Place, choose, place};
use super::lir::{Class, Function, Inst, LANES, Label, Mem, Op, Pred, Reg};
use super::{ARGS, BEGIN, END};
use crate::aval::{DType, Dim};
use crate::ir::{Index, ReduceOp, Scalar, ScalarOp, Unsupported};
use crate::kernel::{Instr, Kernel, LoopKind};
use std::collections::HashMap;

/// Copies of a small operand that many turns read in another order: at most so many vectors.
const MAX_STAGED: usize = 256;

/// What the table of arguments holds behind the first entries: inputs, outputs, then these sizes.
pub(super) struct Signature {
    pub(super) dims: Vec<Dim>,
}

/// A stride in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Stride {
    Number(i64),
    /// Entry of the table that holds the stride in elements, and the elements' size.
    Entry(u32, i64),
}

/// What an address is the sum of so far: the array's entry, and loops with their strides.
type Sum = (u32, Vec<(u32, Stride)>);

/// A load, prepared.
pub(super) struct Access {
    input: usize,
    size: i64,
    pub(super) place: Place,
    /// Loops that are not lanes, outermost first, with the level at which each index is known.
    strides: Vec<(usize, usize, Stride)>,
    /// Bytes in front.
    constant: Stride,
    /// Where the staged copy begins in the function's memory, and the loops by which it is read with their trips.
    staged: Option<(usize, Vec<(usize, usize)>)>,
}

/// The state of one scope of the generated code.
#[derive(Clone, Default)]
pub(super) struct Scope {
    vecs: HashMap<(u32, usize), Reg>,
    ints: HashMap<u32, Reg>,
    sums: HashMap<Sum, Reg>,
    /// Small rows that several vectors take their lanes from, by load and first element.
    rows: HashMap<(usize, i64), Reg>,
    /// Computed positions of single turns of the packed loop.
    turns: HashMap<(u32, i64), Reg>,
    /// Computed positions times a stride in bytes.
    products: HashMap<(u32, i64), Reg>,
    pub(super) indices: Vec<Option<Reg>>,
    /// The lanes that mean something, where these are not all.
    pub(super) mask: Option<Reg>,
    /// How many turns of the packed loop are left, where they may be less than a vector holds.
    pub(super) left: Option<Reg>,
    pub(super) vectors: usize,
}

impl Scope {
    /// Gives a scalar that is the same for all lanes its value.
    pub(super) fn set(&mut self, scalar: Scalar, value: Reg) {
        self.vecs.insert((scalar.0, 0), value);
    }

    /// Gives a position that is known to be in bounds its value.
    pub(super) fn set_checked(&mut self, scalar: Scalar, value: Reg) {
        self.ints.insert(scalar.0, value);
    }
}

pub(super) struct Nest<'a> {
    pub(super) kernel: &'a Kernel,
    partition: Option<usize>,
    pub(super) layout: Layout,
    pub(super) f: Function,
    dims: Vec<Dim>,
    dtypes: Vec<DType>,
    /// The loops and the scalars that each scalar depends on.
    depends: Vec<(Vec<usize>, Vec<Scalar>)>,
    /// For each scalar: its level, whether it differs by lane, by turn of the packed loop.
    pub(super) levels: Vec<usize>,
    by_lane: Vec<bool>,
    by_turn: Vec<bool>,
    pub(super) wanted: Vec<bool>,
    pub(super) accesses: Vec<Option<Access>>,
    /// Results that are sums of products: the product is not rounded.
    pub(super) fused: Vec<Option<(Scalar, Scalar)>>,
    /// One for each result and vector.
    sums: Vec<Vec<Reg>>,
    /// The factor of a sum of products whose zeros are left out.
    pub(super) compacted: Option<Scalar>,
    /// Positions that are listed with it.
    pub(super) listed: Vec<Scalar>,
    end_label: Label,
}

/// The instructions of a kernel. `masked` says of which inputs many elements are 0, as a mask made them.
pub(super) fn build(
    kernel: &Kernel,
    partition: Option<usize>,
    masked: &[bool],
    lanes: usize,
) -> Result<(Function, Signature), Unsupported> {
    let layout = choose(kernel, partition, lanes)?;
    let mut f = Function::new(lanes);
    let end_label = f.label();
    let mut nest = Nest {
        kernel,
        partition,
        layout,
        f,
        dims: vec![],
        dtypes: kernel.dtypes(),
        depends: vec![],
        levels: vec![],
        by_lane: vec![],
        by_turn: vec![],
        wanted: vec![],
        accesses: vec![],
        fused: vec![],
        sums: vec![],
        compacted: None,
        listed: vec![],
        end_label,
    };
    nest.check_types()?;
    nest.analyse();
    nest.find_compacted(masked);
    nest.stage_small_operands();
    let scope = Scope { indices: vec![None; kernel.loops.len()], vectors: nest.layout.vectors, ..Scope::default() };
    let mut scope = scope;
    scope.mask = nest.whole_mask(0);
    nest.fill_staged(&mut scope)?;
    nest.level(0, &mut scope)?;
    let end = nest.end_label;
    nest.f.set_label(end);
    nest.f.finish();
    Ok((nest.f, Signature { dims: nest.dims }))
}

impl Nest<'_> {
    fn check_types(&self) -> Result<(), Unsupported> {
        let arrays = self.kernel.inputs.iter().chain(&self.kernel.outputs);
        let wide = arrays.map(|(_, aval)| aval.dtype).chain(self.dtypes.iter().copied()).any(|d| d == DType::F64);
        if wide {
            return Err(Unsupported("x86 has no f64".into()));
        }
        if self.kernel.reduce.is_some() && self.kernel.outputs.iter().any(|(_, aval)| aval.dtype == DType::Bool) {
            return Err(Unsupported("x86 reduces no bool".into()));
        }
        Ok(())
    }

    fn dim(&mut self, dim: &Dim) -> u32 {
        let at = self.dims.iter().position(|d| d == dim).unwrap_or_else(|| {
            self.dims.push(dim.clone());
            self.dims.len() - 1
        });
        (ARGS + self.kernel.inputs.len() + self.kernel.outputs.len() + at) as u32
    }

    /// A size in a register.
    fn size(&mut self, dim: &Dim) -> Reg {
        match dim.as_number() {
            Some(n) => self.f.int(Op::Imm, &[], n),
            None => {
                let entry = self.dim(dim);
                self.f.int(Op::Arg, &[], entry.into())
            }
        }
    }

    /// The number that a check takes for an extent.
    fn check_imm(&mut self, extent: &Dim) -> i64 {
        match extent.as_number() {
            Some(n) => n,
            None => -i64::from(self.dim(extent)),
        }
    }

    fn stride(&mut self, dim: &Dim, size: i64) -> Stride {
        match dim.as_number() {
            Some(n) => Stride::Number(n * size),
            None => Stride::Entry(self.dim(dim), size),
        }
    }

    fn whole_mask(&mut self, v: usize) -> Option<Reg> {
        let n = self.layout.active(v);
        (n < self.f.lanes).then(|| self.f.first_lanes(n))
    }

    // What is known before any code is made.

    fn analyse(&mut self) {
        let kernel = self.kernel;
        for instr in &kernel.body {
            let mut loops: Vec<usize> = vec![];
            let mut scalars: Vec<Scalar> = vec![];
            let mut access = None;
            match instr {
                Instr::Const(_) | Instr::Size(..) => {}
                Instr::Position(index) => self.index_parts(index, &mut loops, &mut scalars),
                Instr::Op(_, ins) => scalars.extend(ins),
                Instr::Load(input, index) => {
                    let place = place(kernel, self.partition, *input as usize, index);
                    loops.extend(place.terms.iter().map(|(l, _)| *l));
                    scalars.extend(place.computed.iter().map(|(s, ..)| *s));
                    access = Some(self.access(*input as usize, place));
                }
            }
            self.depends.push((loops, scalars));
            self.accesses.push(access);
        }
        self.analyse_lanes();
        self.find_fused();
        self.find_wanted();
    }

    /// At which level each scalar is known, and whether it differs by lane, for the layout.
    pub(super) fn analyse_lanes(&mut self) {
        let (mut levels, mut by_lane, mut by_turn) = (vec![], vec![], vec![]);
        for (loops, scalars) in &self.depends {
            let mut level = loops.iter().filter_map(|l| self.layout.level(*l)).max().unwrap_or(0);
            let mut lane = loops.iter().any(|l| self.layout.is_lane(*l));
            let mut turn = loops.iter().any(|l| self.layout.is_packed(*l));
            for Scalar(s) in scalars {
                level = level.max(levels[*s as usize]);
                lane |= by_lane[*s as usize];
                turn |= by_turn[*s as usize];
            }
            levels.push(level);
            by_lane.push(lane);
            by_turn.push(turn);
        }
        (self.levels, self.by_lane, self.by_turn) = (levels, by_lane, by_turn);
    }

    fn index_parts(&self, index: &Index, loops: &mut Vec<usize>, scalars: &mut Vec<Scalar>) {
        match index {
            Index::Value(scalar) => scalars.push(*scalar),
            Index::Affine { terms, .. } => {
                let once = |l: usize| Some(l) != self.partition && self.kernel.loops[l].extent == 1usize;
                loops.extend(terms.iter().map(|(l, _)| *l as usize).filter(|l| !once(*l)));
            }
        }
    }

    fn access(&mut self, input: usize, place: Place) -> Access {
        let size = self.kernel.inputs[input].1.dtype.size() as i64;
        let mut strides: Vec<(usize, usize, Stride)> = vec![];
        for (l, stride) in &place.terms {
            if let Some(level) = self.layout.level(*l) {
                let stride = self.stride(stride, size);
                strides.push((level, *l, stride));
            }
        }
        strides.sort_by_key(|(level, ..)| *level);
        let constant = self.stride(&place.constant, size);
        Access { input, size, place, strides, constant, staged: None }
    }

    /// Sums of products are added without rounding the product.
    fn find_fused(&mut self) {
        let uses = |wanted: Scalar| {
            let of = |instr: &Instr| match instr {
                Instr::Op(_, ins) => ins.iter().filter(|s| **s == wanted).count(),
                Instr::Load(_, index) => index.iter().filter(|at| **at == Index::Value(wanted)).count(),
                Instr::Position(Index::Value(s)) => usize::from(*s == wanted),
                _ => 0,
            };
            self.kernel.body.iter().map(of).sum::<usize>()
                + self.kernel.results.iter().filter(|r| **r == wanted).count()
        };
        self.fused = self
            .kernel
            .results
            .iter()
            .map(|r| match &self.kernel.body[r.0 as usize] {
                Instr::Op(ScalarOp::Mul, ins)
                    if self.kernel.reduce == Some(ReduceOp::Sum)
                        && self.layout.group == 1
                        && self.dtypes[r.0 as usize] == DType::F32
                        && uses(*r) == 1 =>
                {
                    Some((ins[0], ins[1]))
                }
                _ => None,
            })
            .collect();
    }

    /// Which scalars are wanted as vectors or masks: all that results need, but for positions of loads.
    fn find_wanted(&mut self) {
        self.wanted = vec![false; self.kernel.body.len()];
        for (result, fused) in self.kernel.results.iter().zip(&self.fused) {
            match fused {
                Some((a, b)) => [a, b].into_iter().for_each(|s| self.wanted[s.0 as usize] = true),
                None => self.wanted[result.0 as usize] = true,
            }
        }
        for i in (0..self.kernel.body.len()).rev() {
            if !self.wanted[i] {
                continue;
            }
            match &self.kernel.body[i] {
                Instr::Op(_, ins) => ins.iter().for_each(|s| self.wanted[s.0 as usize] = true),
                Instr::Position(Index::Value(s)) => self.wanted[s.0 as usize] = true,
                Instr::Load(_, index) => {
                    for at in index {
                        if let Index::Value(s) = at {
                            let s = s.0 as usize;
                            let plain = matches!(self.kernel.body[s], Instr::Load(..) | Instr::Position(_));
                            // A load that is the same for all lanes is read as an integer.
                            self.wanted[s] |= self.varies(s) || !plain;
                            if !self.wanted[s] {
                                self.mark_positions(s);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// What a load that is read as an integer needs itself.
    fn mark_positions(&mut self, s: usize) {
        if let Instr::Load(_, index) = &self.kernel.body[s] {
            for at in index.clone() {
                if let Index::Value(t) = at {
                    let t = t.0 as usize;
                    if matches!(self.kernel.body[t], Instr::Load(..) | Instr::Position(_)) {
                        self.mark_positions(t);
                    } else {
                        self.wanted[t] = true;
                    }
                }
            }
        }
    }

    pub(super) fn varies(&self, s: usize) -> bool {
        self.by_lane[s] || self.by_turn[s]
    }

    /// Operands that no outer loop changes, and that would be gathered in each turn, are copied once into the function's
    /// own memory, in the order in which they are read.
    fn stage_small_operands(&mut self) {
        if self.layout.first_reduce == 0 || self.layout.order.len() == self.layout.first_reduce {
            return;
        }
        let inner: Vec<(usize, Option<usize>)> = self.layout.order[self.layout.first_reduce..]
            .iter()
            .map(|l| (*l, self.kernel.loops[*l].extent.as_number().and_then(|n| usize::try_from(n).ok())))
            .collect();
        for (i, access) in self.accesses.iter_mut().enumerate() {
            let Some(access) = access else { continue };
            let uses_packed = self.by_turn[i];
            let gathers = (0..self.layout.vectors)
                .any(|v| matches!(self.layout.pattern(v, &access.place.terms), Some(Pattern::Far(..)) | None));
            let small = access.size == 4 && access.place.computed.is_empty() && self.by_lane[i] && !uses_packed;
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
            if copies * self.layout.vectors > MAX_STAGED || read.is_empty() {
                continue;
            }
            // The first bytes are those through which bytes are gathered.
            let at = self.f.stack.max(64);
            self.f.stack = at + copies * self.layout.vectors * 64;
            access.staged = Some((at, read));
        }
    }

    fn fill_staged(&mut self, scope: &mut Scope) -> Result<(), Unsupported> {
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
                for v in 0..self.layout.vectors {
                    inner.mask = self.whole_mask(v);
                    let staged = self.accesses[i].as_mut().and_then(|access| access.staged.take());
                    let value = self.load_vector(i, v, &mut inner)?;
                    if let Some(access) = &mut self.accesses[i] {
                        access.staged = staged;
                    }
                    let place = at + (copy * self.layout.vectors + v) * 64;
                    let base = self.f.int(Op::StackAddr, &[], place as i64);
                    self.f.store(Op::Store, Mem::at(base), value, None);
                }
            }
        }
        Ok(())
    }

    // Loops.

    /// The code at a level: what is known there, then the next loop, or the results.
    pub(super) fn level(&mut self, level: usize, scope: &mut Scope) -> Result<(), Unsupported> {
        let is_innermost = level == self.layout.order.len();
        if !is_innermost {
            self.hoist(level, scope, None)?;
        }
        let starts_reduction = self.kernel.reduce.is_some() && level == self.layout.first_reduce;
        if starts_reduction {
            self.start_sums(scope)?;
        }
        if is_innermost {
            let outputs: Vec<Mem> = match self.kernel.reduce {
                Some(_) => vec![],
                None => (0..self.kernel.outputs.len()).map(|k| self.output(k, scope)).collect(),
            };
            // Vector by vector, so that few values are held at a time; the processor overlaps them by itself.
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
        if starts_reduction {
            self.store_sums(scope)?;
        }
        Ok(())
    }

    /// Bounds of a loop.
    fn bounds(&mut self, l: usize, scope: &mut Scope) -> Result<(Reg, Reg), Unsupported> {
        if Some(l) == self.partition {
            let begin = self.f.int(Op::Arg, &[], BEGIN as i64);
            return Ok((begin, self.f.int(Op::Arg, &[], END as i64)));
        }
        let extent = self.kernel.loops[l].extent.clone();
        match self.kernel.loops[l].kind {
            LoopKind::Segment { segment, offsets } => {
                let entry = (ARGS + offsets as usize) as i64;
                let base = self.f.int(Op::Arg, &[], entry);
                let Some(row) = scope.indices[segment as usize] else {
                    return Err(Unsupported("segments of a loop that is lanes".into()));
                };
                let mem = Mem { base, index: Some((row, 4)), disp: 0 };
                let begin = self.f.load(Class::Int, Op::LoadI32, mem, None);
                let end = self.f.load(Class::Int, Op::LoadI32, mem.plus(4), None);
                let most = &extent + 1;
                let imm = self.check_imm(&most);
                for x in [begin, end] {
                    let srcs = smallvec::smallvec![x];
                    self.f.push(Inst { srcs, imm, ..Inst::new(Op::CheckInt) });
                }
                let srcs = smallvec::smallvec![begin, end];
                self.f.push(Inst { srcs, imm, ..Inst::new(Op::CheckOrder) });
                Ok((begin, end))
            }
            LoopKind::Row | LoopKind::Reduce => {
                let begin = self.f.int(Op::Imm, &[], 0);
                Ok((begin, self.size(&extent)))
            }
        }
    }

    fn enter(&mut self, level: usize, scope: &mut Scope) -> Result<(), Unsupported> {
        let l = self.layout.order[level];
        let (begin, end) = self.bounds(l, scope)?;
        let i = self.f.int(Op::Mov, &[begin], 0);
        scope.indices[l] = Some(i);
        match self.layout.packed {
            Some(packed) if packed.number == l => self.packed_loop(packed, level, i, end, scope)?,
            _ => match self.compacted {
                Some(weight) if level + 1 == self.layout.order.len() => {
                    self.compacted_loop(weight, l, level, (i, end), scope)?;
                }
                _ => {
                    let mut inner = scope.clone();
                    self.turns(i, end, 1, |nest| nest.level(level + 1, &mut inner))?;
                }
            },
        }
        scope.indices[l] = None;
        Ok(())
    }

    /// A loop while `step` turns are left.
    pub(super) fn turns(
        &mut self,
        i: Reg,
        end: Reg,
        step: usize,
        body: impl FnOnce(&mut Self) -> Result<(), Unsupported>,
    ) -> Result<(), Unsupported> {
        let (top, after) = (self.f.label(), self.f.label());
        let last = if step == 1 { end } else { self.f.int(Op::AddImm, &[end], 1 - step as i64) };
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

    /// Whole vectors first, several at a time; then single ones; the last may be short.
    fn packed_loop(
        &mut self,
        packed: Packed,
        level: usize,
        i: Reg,
        end: Reg,
        scope: &mut Scope,
    ) -> Result<(), Unsupported> {
        // Segments are short: whole vectors would be another loop whose end the processor guesses wrong.
        let is_segment = matches!(self.kernel.loops[packed.number].kind, LoopKind::Segment { .. });
        if !is_segment {
            let mut inner = scope.clone();
            self.turns(i, end, packed.turns * self.layout.vectors, |nest| nest.level(level + 1, &mut inner))?;
        }
        let mut inner = scope.clone();
        inner.vectors = 1;
        self.turns(i, end, 1, |nest| {
            let left = nest.f.int(Op::Sub, &[end, i], 0);
            let turns = nest.f.int(Op::Imm, &[], packed.turns as i64);
            let left = nest.f.int(Op::Min, &[left, turns], 0);
            let lanes =
                if nest.layout.width == 1 { left } else { nest.f.int(Op::MulImm, &[left], nest.layout.width as i64) };
            inner.mask = Some(nest.f.emit(Class::Mask, Op::MaskFirst, &[lanes], 0));
            inner.left = Some(left);
            nest.level(level + 1, &mut inner)?;
            // One turn is added behind.
            let rest = packed.turns as i64 - 1;
            nest.f.update(i, Op::AddImm, &[i], None, rest);
            Ok(())
        })
    }

    // Values.

    /// Makes everything that is known at this level, and the parts of addresses that are; of what differs by vector only
    /// vector `only`, where one is said.
    fn hoist(&mut self, level: usize, scope: &mut Scope, only: Option<usize>) -> Result<(), Unsupported> {
        for i in 0..self.kernel.body.len() {
            if self.levels[i] > level && self.accesses[i].is_some() {
                let access = self.accesses[i].as_ref().expect("just asked");
                if access.staged.is_none() && (level == 0 || access.strides.iter().any(|(at, ..)| *at == level)) {
                    self.address_sum(i, level, scope);
                }
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

    /// The keys of a generator that no inner loop changes are spread once.
    fn hoist_keys(&mut self, i: usize, level: usize, scope: &mut Scope) -> Result<(), Unsupported> {
        let Instr::Op(ScalarOp::Threefry0 | ScalarOp::Threefry1, ins) = &self.kernel.body[i] else { return Ok(()) };
        let (k0, k1) = (ins[0], ins[1]);
        let known = |s: Scalar| self.levels[s.0 as usize];
        let varies = self.varies(k0.0 as usize) || self.varies(k1.0 as usize);
        if varies || self.levels[i] <= level || known(k0).max(known(k1)) != level || !self.wanted[i] {
            return Ok(());
        }
        let keys = (self.value(k0, 0, scope)?, self.value(k1, 0, scope)?);
        self.f.spread_keys(keys);
        Ok(())
    }

    fn is_fused_result(&self, i: usize) -> bool {
        self.kernel.results.iter().zip(&self.fused).any(|(r, fused)| r.0 as usize == i && fused.is_some())
    }

    /// In how many vectors a scalar differs.
    fn copies(&self, i: usize, scope: &Scope) -> usize {
        let differs = if self.layout.packed.is_some() { self.by_turn[i] } else { self.by_lane[i] };
        if differs { scope.vectors } else { 1 }
    }

    /// A scalar on the lanes of vector `v`.
    pub(super) fn value(&mut self, scalar: Scalar, v: usize, scope: &mut Scope) -> Result<Reg, Unsupported> {
        let i = scalar.0 as usize;
        let v = if self.copies(i, scope) == 1 && !(self.differs_by_vector(i)) { 0 } else { v };
        if let Some(reg) = scope.vecs.get(&(scalar.0, v)) {
            return Ok(*reg);
        }
        let reg = match &self.kernel.body[i] {
            Instr::Const(literal) => self.f.literal(*literal)?,
            Instr::Size(dim, dtype) => {
                let size = self.size(dim);
                let splat = self.f.vec(Op::Splat, &[size]);
                if *dtype == DType::F32 { self.f.vec(Op::CvtToF, &[splat]) } else { splat }
            }
            Instr::Position(index) => self.position(&index.clone(), v, scope)?,
            Instr::Load(..) => self.load_vector(i, v, scope)?,
            Instr::Op(op, ins) => {
                let (op, ins) = (*op, ins.clone());
                if matches!(op, ScalarOp::Threefry0 | ScalarOp::Threefry1) {
                    self.threefry(op, &ins, v, scope)?
                } else {
                    let mut operands = [Reg(0); 4];
                    for (operand, s) in operands.iter_mut().zip(&ins) {
                        *operand = self.value(*s, v, scope)?;
                    }
                    let dtype = self.dtypes[if op == ScalarOp::Select { ins[1] } else { ins[0] }.0 as usize];
                    self.f.scalar_op(op, dtype, &operands[..ins.len()])?
                }
            }
        };
        scope.vecs.insert((scalar.0, v), reg);
        Ok(reg)
    }

    fn differs_by_vector(&self, i: usize) -> bool {
        if self.layout.packed.is_some() { self.by_turn[i] } else { self.by_lane[i] }
    }

    /// One block gives both words.
    fn threefry(&mut self, op: ScalarOp, ins: &[Scalar], v: usize, scope: &mut Scope) -> Result<Reg, Unsupported> {
        let mut operands = [Reg(0); 4];
        for (operand, s) in operands.iter_mut().zip(ins) {
            *operand = self.value(*s, v, scope)?;
        }
        let (first, second) = self.f.threefry(&operands);
        for (i, instr) in self.kernel.body.iter().enumerate() {
            if let Instr::Op(other, operands) = instr
                && operands[..] == *ins
            {
                match other {
                    ScalarOp::Threefry0 => scope.vecs.insert((i as u32, v), first),
                    ScalarOp::Threefry1 => scope.vecs.insert((i as u32, v), second),
                    _ => None,
                };
            }
        }
        Ok(if op == ScalarOp::Threefry0 { first } else { second })
    }

    /// A position as a vector.
    fn position(&mut self, index: &Index, v: usize, scope: &mut Scope) -> Result<Reg, Unsupported> {
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
        let splat = self.f.vec(Op::Splat, &[at]);
        let moving: Vec<(usize, Dim)> =
            terms.into_iter().filter(|(l, _)| self.layout.is_lane(*l) || self.layout.is_packed(*l)).collect();
        if moving.is_empty() {
            return Ok(splat);
        }
        let lanes = self.lane_offsets(v, &moving)?;
        Ok(self.f.vec(Op::AddI, &[splat, lanes]))
    }

    /// `i · stride`.
    fn times(&mut self, i: Reg, stride: &Dim) -> Reg {
        match stride.as_number() {
            Some(1) => i,
            Some(n) if i32::try_from(n).is_ok() => self.f.int(Op::MulImm, &[i], n),
            _ => {
                let size = self.size(stride);
                self.f.int(Op::Mul, &[i, size], 0)
            }
        }
    }

    /// What the lanes of a vector add to a position.
    fn lane_offsets(&mut self, v: usize, terms: &[(usize, Dim)]) -> Result<Reg, Unsupported> {
        if let Some(offsets) = self.layout.offsets(v, terms) {
            return self.table(&offsets);
        }
        // Strides that are symbols: the coordinates times the strides.
        let mut sum = None;
        for (l, stride) in terms {
            let coordinates = self.layout.offsets(v, &[(*l, Dim::from(1))]).expect("a stride of one is a number");
            let coordinates = self.table(&coordinates)?;
            let size = self.size(stride);
            let splat = self.f.vec(Op::Splat, &[size]);
            let term = self.f.vec(Op::MulI, &[coordinates, splat]);
            sum = Some(match sum {
                None => term,
                Some(sum) => self.f.vec(Op::AddI, &[sum, term]),
            });
        }
        sum.ok_or_else(|| Unsupported("a position without lanes".into()))
    }

    fn table(&mut self, offsets: &[i64]) -> Result<Reg, Unsupported> {
        let mut table = [0i32; LANES];
        for (entry, offset) in table.iter_mut().zip(offsets) {
            *entry = i32::try_from(*offset).map_err(|_| Unsupported("an offset beyond 32 bits".into()))?;
        }
        Ok(self.f.table(table))
    }

    /// The sum of what loops up to a level add to a load's address.
    fn address_sum(&mut self, i: usize, level: usize, scope: &mut Scope) -> Reg {
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

    /// Where a load reads, but for what its lanes add. Computed positions that are the same for all lanes are in it.
    fn address(&mut self, i: usize, scope: &mut Scope) -> Result<Mem, Unsupported> {
        let access = self.accesses[i].as_ref().expect("a load");
        let constant = if let Stride::Number(n) = access.constant { n } else { 0 };
        let size = access.size;
        // The innermost loop's index may be scaled by the machine.
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
            let at = self.checked_int(scalar, &extent, scope)?;
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
        let disp = i32::try_from(constant).map_err(|_| Unsupported("an offset beyond 32 bits".into()))?;
        Ok(Mem { base, index, disp })
    }

    /// A computed position as an integer, in bounds.
    fn checked_int(&mut self, scalar: Scalar, extent: &Dim, scope: &mut Scope) -> Result<Reg, Unsupported> {
        if let Some(reg) = scope.ints.get(&scalar.0) {
            return Ok(*reg);
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
        let imm = self.check_imm(extent);
        self.f.push(Inst { srcs: smallvec::smallvec![reg], imm, ..Inst::new(Op::CheckInt) });
        // The same scalar may be a position along axes of several extents; the check is for each.
        if self.extents_of(scalar) == 1 {
            scope.ints.insert(scalar.0, reg);
        }
        Ok(reg)
    }

    pub(super) fn extents_of(&self, scalar: Scalar) -> usize {
        let mut extents: Vec<&Dim> = vec![];
        for access in self.accesses.iter().flatten() {
            for (s, _, extent) in &access.place.computed {
                if *s == scalar && !extents.contains(&extent) {
                    extents.push(extent);
                }
            }
        }
        extents.len()
    }

    fn load_vector(&mut self, i: usize, v: usize, scope: &mut Scope) -> Result<Reg, Unsupported> {
        let access = self.accesses[i].as_ref().expect("a load");
        let is_bool = access.size == 1;
        if let Some((at, read)) = access.staged.clone() {
            return Ok(self.load_staged(at, &read, v, scope));
        }
        let size = access.size as i32;
        let short = scope.left.is_some();
        let terms: Vec<(usize, Dim)> = access.place.terms.to_vec();
        let computed: Vec<(Scalar, Dim, Dim)> =
            access.place.computed.iter().filter(|(s, ..)| self.varies(s.0 as usize)).cloned().collect();
        if !short && !is_bool && self.layout.reads_rows_by_turn(&terms) && self.is_by_turn(&computed) {
            return self.load_by_turn(i, v, scope);
        }
        let mem = self.address(i, scope)?;
        let mask = self.mask_of(v, scope);
        let pattern = self.layout.pattern(v, &terms);
        let value = match pattern {
            Some(Pattern::Same) if computed.is_empty() => {
                self.f.load(Class::Vec, if is_bool { Op::BcstByte } else { Op::Bcst }, mem, None)
            }
            Some(Pattern::Contiguous(first)) if computed.is_empty() => {
                let mem = mem.plus(first as i32 * size);
                self.f.load(Class::Vec, if is_bool { Op::LoadBytes } else { Op::Load }, mem, mask)
            }
            Some(Pattern::Near(first, table)) if computed.is_empty() && (!short || self.reads_by_turn(&terms)) => {
                let mem = mem.plus(first as i32 * size);
                let near = match scope.left {
                    // Only the turns that are left may be read.
                    Some(left) if self.moves_by_turn(&terms) => self.f.emit(Class::Mask, Op::MaskFirst, &[left], 0),
                    _ => {
                        let most = table.iter().max().copied().unwrap_or(0);
                        self.f.first_lanes(most as usize + 1)
                    }
                };
                let op = if is_bool { Op::LoadBytes } else { Op::Load };
                // The vectors of a row often read the same few elements.
                let known = scope.rows.get(&(i, first)).copied().filter(|_| self.layout.packed.is_none());
                let row = known.unwrap_or_else(|| self.f.load(Class::Vec, op, mem, Some(near)));
                scope.rows.insert((i, first), row);
                let table = self.f.table(table);
                self.f.vec(Op::Perm, &[table, row])
            }
            _ => {
                let moving: Vec<(usize, Dim)> =
                    terms.into_iter().filter(|(l, _)| self.layout.is_lane(*l) || self.layout.is_packed(*l)).collect();
                let mut at = if moving.is_empty() { None } else { Some(self.lane_offsets(v, &moving)?) };
                for (scalar, stride, extent) in computed {
                    let position = self.value(scalar, v, scope)?;
                    self.check_lanes(position, &extent, mask)?;
                    let term = match stride.as_number() {
                        Some(1) => position,
                        Some(n) => {
                            let n = self.f.bits(n as u32);
                            self.f.vec(Op::MulI, &[position, n])
                        }
                        None => {
                            let size = self.size(&stride);
                            let splat = self.f.vec(Op::Splat, &[size]);
                            self.f.vec(Op::MulI, &[position, splat])
                        }
                    };
                    at = Some(match at {
                        None => term,
                        Some(at) => self.f.vec(Op::AddI, &[at, term]),
                    });
                }
                let at = at.ok_or_else(|| Unsupported("a gather without lanes".into()))?;
                let mem = match mem.index {
                    None => mem,
                    Some((index, scale)) => {
                        let scaled = self.f.int(Op::MulImm, &[index], scale.into());
                        Mem { base: self.f.int(Op::Add, &[mem.base, scaled], 0), index: None, disp: mem.disp }
                    }
                };
                if is_bool {
                    self.f.stack = self.f.stack.max(64);
                }
                self.f.gather(if is_bool { Op::GatherBytes } else { Op::Gather }, mem, at, mask)
            }
        };
        Ok(if is_bool { self.f.mask(Op::Test, &[value]) } else { value })
    }

    /// Whether computed positions differ by turn of the packed loop only, and are read from memory where the next turn's
    /// stands a fixed distance on.
    fn is_by_turn(&self, computed: &[(Scalar, Dim, Dim)]) -> bool {
        let [(scalar, stride, _)] = computed else { return false };
        let at = scalar.0 as usize;
        let Some(access) = &self.accesses[at] else { return false };
        let terms = &access.place.terms;
        let by_turn = self.by_turn[at] && !self.by_lane[at] && access.place.computed.is_empty();
        by_turn && access.staged.is_none() && self.turn_stride(terms).is_some() && stride.as_number().is_some()
    }

    /// Rows at computed positions, one for each turn that a vector holds: each is read where its lanes are.
    fn load_by_turn(&mut self, i: usize, v: usize, scope: &mut Scope) -> Result<Reg, Unsupported> {
        let packed = self.layout.packed.expect("a packed loop has turns");
        let access = self.accesses[i].as_ref().expect("a load");
        let size = access.size;
        let computed: Vec<(Scalar, Dim, Dim)> =
            access.place.computed.iter().filter(|(s, ..)| self.varies(s.0 as usize)).cloned().collect();
        let (scalar, stride, extent) = &computed[0];
        let stride = stride.as_number().unwrap_or(1) * size;
        let source = scalar.0 as usize;
        let terms = &self.accesses[source].as_ref().expect("a load").place.terms;
        let next = self.turn_stride(terms).unwrap_or(0) * 4;
        let base = self.address(i, scope)?;
        let base = match base.index {
            None => base,
            Some((index, scale)) => {
                let scaled = self.f.int(Op::MulImm, &[index], scale.into());
                Mem { base: self.f.int(Op::Add, &[base.base, scaled], 0), index: None, disp: base.disp }
            }
        };
        let width = self.layout.width;
        let row = self.f.reg(Class::Vec);
        for turn in 0..packed.turns {
            let number = (v * packed.turns + turn) as i64;
            let key = (scalar.0, number);
            let at = match scope.turns.get(&key) {
                Some(at) => *at,
                None => {
                    let mem = self.address(source, scope)?.plus((number * next) as i32);
                    let at = self.f.load(Class::Int, Op::LoadI32, mem, None);
                    let imm = self.check_imm(extent);
                    self.f.push(Inst { srcs: smallvec::smallvec![at], imm, ..Inst::new(Op::CheckInt) });
                    if self.extents_of(*scalar) == 1 {
                        scope.turns.insert(key, at);
                    }
                    at
                }
            };
            let offset = self.f.int(Op::MulImm, &[at], stride);
            let mem = Mem { index: Some((offset, 1)), ..base }.plus(-((turn * width * 4) as i32));
            let mask = self.f.mask_of((((1u32 << width) - 1) << (turn * width)) as u16);
            let op = if turn == 0 { Op::Load } else { Op::LoadInto };
            self.f.push(Inst { dst: Some(row), mem: Some(mem), mask: Some(mask), ..Inst::new(op) });
        }
        Ok(row)
    }

    /// Whether, of the lanes' loops, only the packed one moves a load, by one element a turn.
    fn reads_by_turn(&self, terms: &[(usize, Dim)]) -> bool {
        let lanes = terms.iter().any(|(l, _)| self.layout.is_lane(*l));
        if self.moves_by_turn(terms) { !lanes && self.turn_stride(terms) == Some(1) } else { true }
    }

    fn moves_by_turn(&self, terms: &[(usize, Dim)]) -> bool {
        terms.iter().any(|(l, _)| self.layout.is_packed(*l))
    }

    fn turn_stride(&self, terms: &[(usize, Dim)]) -> Option<i64> {
        terms.iter().find(|(l, _)| self.layout.is_packed(*l)).and_then(|(_, stride)| stride.as_number())
    }

    /// A copy in the function's memory: one vector for each turn of the loops that read it.
    fn load_staged(&mut self, at: usize, read: &[(usize, usize)], v: usize, scope: &mut Scope) -> Reg {
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
        let bytes = self.f.int(Op::MulImm, &[number], (self.layout.vectors * 64) as i64);
        self.f.load(Class::Vec, Op::Load, Mem { base, index: Some((bytes, 1)), disp: 0 }, None)
    }

    fn mask_of(&mut self, v: usize, scope: &Scope) -> Option<Reg> {
        if self.layout.packed.is_none() && v > 0 { self.whole_mask(v) } else { self.first_mask(scope) }
    }

    fn first_mask(&self, scope: &Scope) -> Option<Reg> {
        scope.mask.filter(|_| self.layout.packed.is_some() || self.layout.active(0) < self.f.lanes)
    }

    /// Checks a listed position, in the lanes of a mask, against the one axis that it is used for.
    pub(super) fn check_listed(&mut self, scalar: Scalar, position: Reg, mask: Reg) -> Result<(), Unsupported> {
        let computed = self.accesses.iter().flatten().flat_map(|access| &access.place.computed);
        let extent = computed.filter(|(s, ..)| *s == scalar).map(|(_, _, extent)| extent.clone()).next();
        let extent = extent.ok_or_else(|| Unsupported("a listed position that is not used".into()))?;
        self.check_lanes(position, &extent, Some(mask))
    }

    fn check_lanes(&mut self, position: Reg, extent: &Dim, mask: Option<Reg>) -> Result<(), Unsupported> {
        let size = self.size(extent);
        let splat = self.f.vec(Op::Splat, &[size]);
        let imm = self.check_imm(extent);
        let srcs = smallvec::smallvec![position, splat];
        self.f.push(Inst { srcs, mask, imm, ..Inst::new(Op::CheckVec) });
        Ok(())
    }

    // Results.

    /// The address of an output's element, but for what its lanes add.
    fn output(&mut self, k: usize, scope: &mut Scope) -> Mem {
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

    fn store_all(&mut self, v: usize, outputs: &[Mem], scope: &mut Scope) -> Result<(), Unsupported> {
        for (mem, result) in outputs.iter().zip(&self.kernel.results) {
            let value = self.value(*result, v, scope)?;
            let mask = self.mask_of(v, scope);
            let lanes = self.layout.active(0) * v;
            if self.dtypes[result.0 as usize] == DType::Bool {
                let (zero, one) = (self.f.bits(0), self.f.bits(1));
                let bytes = self.f.blend(value, zero, one);
                self.f.store(Op::StoreBytes, mem.plus(lanes as i32), bytes, mask);
            } else {
                self.f.store(Op::Store, mem.plus(4 * lanes as i32), value, mask);
            }
        }
        Ok(())
    }

    fn identity(&mut self, k: usize) -> Reg {
        let dtype = self.kernel.outputs[k].1.dtype;
        let op = self.kernel.reduce.expect("a reduction");
        self.f.literal(op.identity(dtype)).expect("a type of 32 bits")
    }

    fn start_sums(&mut self, scope: &mut Scope) -> Result<(), Unsupported> {
        self.sums.clear();
        for k in 0..self.kernel.outputs.len() {
            let identity = self.identity(k);
            let sums = (0..scope.vectors).map(|_| self.f.vec(Op::MovV, &[identity])).collect();
            self.sums.push(sums);
        }
        Ok(())
    }

    /// `sum = sum op x`, in the lanes of the mask.
    fn add_to(&mut self, k: usize, sum: Reg, x: Reg, mask: Option<Reg>) {
        let dtype = self.kernel.outputs[k].1.dtype;
        match (self.kernel.reduce.expect("a reduction"), dtype) {
            (ReduceOp::Sum, DType::F32) => self.f.update(sum, Op::AddF, &[sum, x], mask, 0),
            (ReduceOp::Sum, _) => self.f.update(sum, Op::AddI, &[sum, x], mask, 0),
            (ReduceOp::Max, DType::F32) => {
                // A NaN stays.
                let nan = self.f.mask(Op::CmpF(Pred::Unordered), &[sum, sum]);
                let larger = self.f.vec(Op::MaxF, &[sum, x]);
                let larger = self.f.blend(nan, larger, sum);
                self.f.update(sum, Op::MovV, &[larger], mask, 0);
            }
            (ReduceOp::Max, DType::U32) => self.f.update(sum, Op::MaxU, &[sum, x], mask, 0),
            (ReduceOp::Max, _) => self.f.update(sum, Op::MaxS, &[sum, x], mask, 0),
        }
    }

    /// Combines the values of this turn.
    fn combine(&mut self, v: usize, scope: &mut Scope) -> Result<(), Unsupported> {
        for (k, result) in self.kernel.results.iter().enumerate() {
            // Lanes beyond a row's end stay what they are; those of a short last vector must not be counted.
            let mask = if scope.left.is_some() { scope.mask } else { None };
            let sum = self.sums[k][v];
            if let Some((a, b)) = self.fused[k] {
                let (a, b) = (self.value(a, v, scope)?, self.value(b, v, scope)?);
                self.f.update(sum, Op::Fma, &[a, b], mask, 0);
            } else {
                let x = self.value(*result, v, scope)?;
                self.add_to(k, sum, x, mask);
            }
        }
        Ok(())
    }

    /// Lanes moved down by `by`.
    fn moved(&mut self, x: Reg, by: usize) -> Reg {
        let n = self.f.lanes;
        let table: [i32; LANES] = std::array::from_fn(|lane| ((lane + by) % n) as i32);
        let table = self.f.table(table);
        self.f.vec(Op::Perm, &[table, x])
    }

    fn store_sums(&mut self, scope: &mut Scope) -> Result<(), Unsupported> {
        for k in 0..self.kernel.outputs.len() {
            let mut sums = self.sums[k].clone();
            let width = self.layout.width;
            if let Some(Packed { turns, reduces: true, .. }) = self.layout.packed {
                let first = sums[0];
                for other in &sums[1..] {
                    self.add_to(k, first, *other, None);
                }
                if turns.is_power_of_two() {
                    let mut half = turns / 2;
                    while half > 0 {
                        let other = self.moved(first, half * width);
                        self.add_to(k, first, other, None);
                        half /= 2;
                    }
                } else {
                    let whole = self.f.vec(Op::MovV, &[first]);
                    for turn in 1..turns {
                        let other = self.moved(whole, turn * width);
                        self.add_to(k, first, other, None);
                    }
                }
                sums.truncate(1);
            }
            if self.layout.group > 1 && sums.len().is_power_of_two() && sums.len() <= self.layout.group {
                let dense = self.fold_groups(k, sums);
                self.store_dense(k, dense, scope)?;
                continue;
            }
            if self.layout.group > 1 {
                for sum in &sums {
                    let mut half = self.layout.group / 2;
                    while half > 0 {
                        let other = self.moved(*sum, half);
                        self.add_to(k, *sum, other, None);
                        half /= 2;
                    }
                }
            }
            self.store_sum(k, &sums, scope)?;
        }
        Ok(())
    }

    /// Combines the groups of all vectors, half by half and two vectors at a time: the results stand side by side.
    fn fold_groups(&mut self, k: usize, mut sums: Vec<Reg>) -> Reg {
        let mut group = self.layout.group;
        while group > 1 {
            let half = group / 2;
            // The lower or the upper halves of all groups, one behind the other.
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
                            Some(b) => {
                                let numbers = self.f.table(numbers);
                                self.f.vec(Op::Perm2, &[numbers, a, b])
                            }
                            None => {
                                let numbers = self.f.table(numbers.map(|n| n % self.f.lanes as i32));
                                self.f.vec(Op::Perm, &[numbers, a])
                            }
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

    /// Stores results that stand side by side in one vector.
    fn store_dense(&mut self, k: usize, results: Reg, scope: &mut Scope) -> Result<(), Unsupported> {
        let mem = self.output(k, scope);
        let n = self.layout.width / self.layout.group;
        let mask = (n < self.f.lanes).then(|| self.f.first_lanes(n));
        self.f.store(Op::Store, mem, results, mask);
        Ok(())
    }

    fn store_sum(&mut self, k: usize, sums: &[Reg], scope: &mut Scope) -> Result<(), Unsupported> {
        let mem = self.output(k, scope);
        let group = self.layout.group;
        // A range of a loop that is combined adds to what other ranges gave.
        let accumulates = self.partition.is_some_and(|l| self.kernel.loops[l].kind == LoopKind::Reduce);
        for (v, sum) in sums.iter().enumerate() {
            let reduces = self.layout.packed.is_some_and(|packed| packed.reduces);
            let lanes = if reduces { self.layout.width } else { self.layout.active(v) };
            let mask = if group > 1 {
                let bits = (0..self.f.lanes).step_by(group).fold(0u16, |bits, lane| bits | 1 << lane);
                Some(self.f.mask_of(bits))
            } else if !reduces && self.layout.packed.is_some() {
                self.first_mask(scope)
            } else {
                (lanes < self.f.lanes).then(|| self.f.first_lanes(lanes))
            };
            let step = if group > 1 { self.f.lanes / group } else { self.layout.active(0) };
            let mem = mem.plus((4 * step * v) as i32);
            if accumulates {
                let old = self.f.load(Class::Vec, Op::Load, mem, mask);
                self.add_to(k, *sum, old, None);
            }
            self.f.store(if group > 1 { Op::StoreCompressed } else { Op::Store }, mem, *sum, mask);
        }
        Ok(())
    }
}
