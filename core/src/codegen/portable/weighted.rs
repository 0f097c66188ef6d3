//! Sums of weighted rows: recognised, and computed without storing a product.

use super::layout::{Prepare, STAGE};
use super::prepared::{Affine, Gathered, Lanes, Level, Mode, RowLoad, TileOp, Weighted};
use super::sums::weighted_fn;
use crate::ir::{Index, ReduceOp, Scalar, ScalarOp};
use crate::kernel::{Guarded, Instr, guarded};

/// The factors of a weighted sum: scalars of the body.
#[derive(Clone, Copy)]
pub(super) struct Factors {
    wide: Scalar,
    weight: Scalar,
    /// How rows of weight 0 are skipped, if they are.
    guard: Option<(Guarded, Scalar)>,
    group: usize,
    /// Whether the weight is a load with one element for each group, not one for each row.
    narrow: bool,
    /// Whether a row holds only one group, which is reused for each weight.
    cycle: bool,
}

/// Whether a table counts from 0 to `group`, repeatedly.
fn is_cycle(table: &[i64], group: usize) -> bool {
    table.iter().enumerate().all(|(l, at)| *at == (l % group) as i64)
}

impl Factors {
    /// Whether the body's instruction `i` makes no value: the product, and what is read by row.
    pub(super) fn skips(&self, result: Scalar, i: usize) -> bool {
        let i = Scalar(i as u32);
        let guards = self.guard.is_some_and(|(guard, factor)| i == guard.counts || i == factor);
        i == result || i == self.wide || guards || (self.narrow && i == self.weight)
    }
}

impl Prepare<'_> {
    /// Finds the scalars of the body that change by lane.
    pub(super) fn find_lanes(&mut self) {
        for i in 0..self.kernel.body.len() {
            let changes = self.instr_changes_by_lane(&self.kernel.body[i]);
            self.by_lane.push(changes);
        }
    }

    fn instr_changes_by_lane(&self, instr: &Instr) -> bool {
        match instr {
            Instr::Const(_) | Instr::Size(..) => false,
            Instr::Op(_, ins) => ins.iter().any(|s| self.changes_by_lane(*s)),
            Instr::Load(input, index) => self.load_lanes(*input, index) != Some(Lanes::Same),
            Instr::Position(index) => {
                let (constant, terms) = self.terms(index);
                self.affine(constant, &terms).lanes != Lanes::Same
            }
        }
    }

    fn changes_by_lane(&self, scalar: Scalar) -> bool {
        self.by_lane[scalar.0 as usize]
    }

    /// The factors of the result, if it is a sum over rows of products of two factors: a load whose lanes are
    /// contiguous in each row (or can be copied so), and a weight that is the same for groups of lanes.
    pub(super) fn weighted_factors(&self) -> Option<Factors> {
        let by_row = matches!(self.mode, Mode::Rows { .. } | Mode::Segments { .. });
        if !by_row || self.lanes < 2 || self.kernel.reduce != Some(ReduceOp::Sum) {
            return None;
        }
        let [result] = self.kernel.results[..] else { return None };
        weighted_fn(self.dtypes[result.0 as usize], false)?;
        let Instr::Op(ScalarOp::Mul, ins) = &self.kernel.body[result.0 as usize] else { return None };
        let (a, b) = (ins[0], ins[1]);
        [(a, b), (b, a)].into_iter().find_map(|(factor, weight)| {
            // Nothing else tests whether the weight is 0.
            let guard = guarded(&self.kernel.body, factor, weight)
                .filter(|guard| self.uses(factor) == 1 && self.uses(guard.counts) == 1);
            let wide = guard.map_or(factor, |guard| guard.row);
            if wide == weight || self.uses(wide) != 1 {
                return None;
            }
            let asked = 1 + usize::from(guard.is_some());
            let guard = guard.map(|guard| (guard, factor));
            let pattern = self.lanes_of(wide)?;
            let straight = pattern == Lanes::Contiguous || self.can_stage(wide);
            match self.lanes_of(weight) {
                Some(Lanes::Repeat { group, stride: 1 }) if self.uses(weight) == asked => {
                    let cycle = matches!(&pattern, Lanes::Table(table) if is_cycle(table, group));
                    (straight || cycle).then_some(Factors { wide, weight, guard, group, narrow: true, cycle })
                }
                _ if straight && !self.changes_by_lane(weight) => {
                    Some(Factors { wide, weight, guard, group: self.lanes, narrow: false, cycle: false })
                }
                _ => None,
            }
        })
    }

    /// Whether a load's rows are few, and the same for all tiles.
    fn can_stage(&self, scalar: Scalar) -> bool {
        let Instr::Load(input, index) = &self.kernel.body[scalar.0 as usize] else { return false };
        let (constant, terms) = self.offset(*input as usize, index);
        let affine = index.iter().all(|at| matches!(at, Index::Affine { .. }));
        let at = self.affine(constant, &terms);
        affine && at.outer.is_empty() && self.rows.len() == 1 && self.rows[0] * self.lanes <= STAGE
    }

    fn uses(&self, scalar: Scalar) -> usize {
        let reads = |instr: &Instr| match instr {
            Instr::Op(_, ins) => ins.iter().filter(|s| **s == scalar).count(),
            Instr::Load(_, index) => index.iter().filter(|at| **at == Index::Value(scalar)).count(),
            _ => 0,
        };
        self.kernel.body.iter().map(reads).sum()
    }

    /// How a load's offsets change by lane, if no computed position does.
    fn lanes_of(&self, scalar: Scalar) -> Option<Lanes> {
        match &self.kernel.body[scalar.0 as usize] {
            Instr::Load(input, index) => self.load_lanes(*input, index),
            _ => None,
        }
    }

    fn load_lanes(&self, input: u32, index: &[Index]) -> Option<Lanes> {
        if index.iter().any(|at| matches!(at, Index::Value(s) if self.changes_by_lane(*s))) {
            return None;
        }
        let (constant, terms) = self.offset(input as usize, index);
        Some(self.affine(constant, &terms).lanes)
    }

    /// Takes the factors out of the tile's operations: the weights are loaded for each row, the rows are read in place.
    pub(super) fn weigh(&mut self, Factors { wide, weight, guard, group, narrow, cycle }: Factors) -> Weighted {
        let dtype = self.dtypes[wide.0 as usize];
        let weights = if narrow {
            let rows = self.row_load(weight);
            let width = self.lanes / group;
            let out = self.value(Level::Row, false, dtype);
            self.widths.push((out, width));
            self.ops.push(TileOp::LoadRows { rows, width, out });
            out
        } else {
            self.expand(self.scalars[weight.0 as usize], Level::Row)
        };
        let f = weighted_fn(dtype, guard.is_some()).expect("checked before");
        let mut rows = self.row_load(wide);
        let mut staged = None;
        if rows.at.lanes != Lanes::Contiguous && !cycle {
            let n = self.rows[0];
            let out = self.value(Level::Row, true, dtype);
            self.widths.push((out, n * self.lanes));
            let RowLoad { input, size, at, .. } = rows.clone();
            self.setup.push(TileOp::Stage { input, size, at, rows: n, out });
            rows.at = Affine { rows: vec![(0, self.lanes as i64)], lanes: Lanes::Contiguous, ..Affine::default() };
            staged = Some(out);
        }
        Weighted { f, rows, staged, cycle, weights, group }
    }

    /// A load without the part of its lanes.
    fn row_load(&self, scalar: Scalar) -> RowLoad {
        let Instr::Load(input, index) = &self.kernel.body[scalar.0 as usize] else {
            unreachable!("only loads are factors that are read by row")
        };
        let input = *input as usize;
        let (constant, terms) = self.offset(input, index);
        let at = self.affine(constant, &terms);
        RowLoad { input, size: self.kernel.inputs[input].1.dtype.size(), at, gathered: self.gathered(input, index) }
    }

    /// The positions of a load that the kernel computes.
    pub(super) fn gathered(&self, input: usize, index: &[Index]) -> Vec<Gathered> {
        let places = index.iter().zip(self.strides(input));
        places
            .filter_map(|(index, (stride, extent))| {
                let Index::Value(Scalar(scalar)) = index else { return None };
                let value = self.scalars[*scalar as usize];
                Some(Gathered { value, level: self.values[value as usize].0, stride, extent })
            })
            .collect()
    }
}
