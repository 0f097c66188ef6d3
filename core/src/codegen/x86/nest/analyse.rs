//! What is known about a kernel before any code is generated.

use super::super::layout::{Group, Place, place, runs_once};
use super::{Access, Fused, Nest, Stride, class_of};
use crate::ir::{Index, ReduceOp, Scalar, ScalarOp};
use crate::kernel::{Instr, guarded};
use smallvec::SmallVec;

impl Nest<'_> {
    pub(super) fn analyse(&mut self) {
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
                    for (s, _, extent) in &place.computed {
                        scalars.push(*s);
                        let extents = self.extents.entry(*s).or_default();
                        if !extents.contains(extent) {
                            extents.push(extent.clone());
                        }
                    }
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

    /// The level at which each scalar is known, and whether it differs by lane, for the layout.
    pub(in crate::codegen::x86) fn analyse_lanes(&mut self) {
        let (mut levels, mut by_lane, mut by_iteration) = (vec![], vec![], vec![]);
        for (loops, scalars) in &self.depends {
            let mut level = loops.iter().filter_map(|l| self.layout.level(*l)).max().unwrap_or(0);
            let mut lane = loops.iter().any(|l| self.layout.is_lane(*l));
            let mut iteration = loops.iter().any(|l| self.layout.is_packed(*l));
            for Scalar(s) in scalars {
                level = level.max(levels[*s as usize]);
                lane |= by_lane[*s as usize];
                iteration |= by_iteration[*s as usize];
            }
            levels.push(level);
            by_lane.push(lane);
            by_iteration.push(iteration);
        }
        (self.levels, self.by_lane, self.by_iteration) = (levels, by_lane, by_iteration);
    }

    pub(super) fn index_parts(&self, index: &Index, loops: &mut Vec<usize>, scalars: &mut Vec<Scalar>) {
        match index {
            Index::Value(scalar) => scalars.push(*scalar),
            Index::Affine { terms, .. } => {
                let moves = |l: &usize| !runs_once(self.kernel, self.partition, *l);
                loops.extend(terms.iter().map(|(l, _)| *l as usize).filter(moves));
            }
        }
    }

    pub(super) fn access(&mut self, input: usize, place: Place) -> Access {
        let dtype = self.kernel.inputs[input].1.dtype;
        let (size, class) = (dtype.size() as i64, class_of(dtype));
        let mut strides: Vec<(usize, usize, Stride)> = vec![];
        for (l, stride) in &place.terms {
            if let Some(level) = self.layout.level(*l) {
                let stride = self.stride(stride, size);
                strides.push((level, *l, stride));
            }
        }
        strides.sort_by_key(|(level, ..)| *level);
        let constant = self.stride(&place.constant, size);
        Access { input, size, class, place, strides, constant, staged: None }
    }

    /// Sums of products are added without rounding the product.
    pub(super) fn find_fused(&mut self) {
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
                        && self.layout.group() == Group::NONE
                        && self.dtypes[r.0 as usize].is_float()
                        && uses(*r) == 1 =>
                {
                    let guard = |factor: usize| guarded(&self.kernel.body, ins[factor], ins[1 - factor]);
                    let guard = guard(0).or_else(|| guard(1));
                    let factors = guard.map_or([ins[0], ins[1]], |guard| [guard.weight, guard.row]);
                    Some(Fused { factors, guard })
                }
                _ => None,
            })
            .collect();
    }

    /// The scalars that are needed as vectors or masks: all that results need, except for positions of loads.
    pub(super) fn find_wanted(&mut self) {
        let results = self.kernel.results.iter().zip(&self.fused);
        let roots = results.flat_map(|(result, fused)| match fused {
            Some(Fused { factors, guard }) => factors.iter().copied().chain(guard.map(|guard| guard.counts)).collect(),
            None => SmallVec::<[Scalar; 3]>::from_slice(&[*result]),
        });
        self.wanted = self.wanted_for(roots);
    }

    /// The scalars that these need as vectors or masks, themselves included.
    pub(in crate::codegen::x86) fn wanted_for(&self, roots: impl IntoIterator<Item = Scalar>) -> Vec<bool> {
        let mut wanted = vec![false; self.kernel.body.len()];
        roots.into_iter().for_each(|s| wanted[s.0 as usize] = true);
        for i in (0..self.kernel.body.len()).rev() {
            if !wanted[i] {
                continue;
            }
            match &self.kernel.body[i] {
                Instr::Op(_, ins) => ins.iter().for_each(|s| wanted[s.0 as usize] = true),
                Instr::Position(Index::Value(s)) => wanted[s.0 as usize] = true,
                Instr::Load(_, index) => {
                    for at in index {
                        if let Index::Value(s) = at {
                            let s = s.0 as usize;
                            let plain = matches!(self.kernel.body[s], Instr::Load(..) | Instr::Position(_));
                            // A load that is the same for all lanes is read as an integer.
                            wanted[s] |= self.varies(s) || !plain;
                            if !wanted[s] {
                                self.mark_positions(s, &mut wanted);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        wanted
    }

    /// Marks what a load that is read as an integer needs itself.
    fn mark_positions(&self, s: usize, wanted: &mut [bool]) {
        if let Instr::Load(_, index) = &self.kernel.body[s] {
            for at in index {
                if let Index::Value(t) = at {
                    let t = t.0 as usize;
                    if matches!(self.kernel.body[t], Instr::Load(..) | Instr::Position(_)) {
                        self.mark_positions(t, wanted);
                    } else {
                        wanted[t] = true;
                    }
                }
            }
        }
    }

    pub(in crate::codegen::x86) fn varies(&self, s: usize) -> bool {
        self.by_lane[s] || self.by_iteration[s]
    }
}
