//! Which loops of a kernel are lanes, rows of a tile, or outside, and where its loads then are in memory.

use super::prepared::{Affine, Lanes, Level, Mode, TileOp};
use crate::aval::{DType, Dim, Sizes};
use crate::error::Error;
use crate::ir::{BLOCK, Index, Scalar, ScalarOp};
use crate::kernel::{Instr, Kernel, LoopKind};

/// The most elements of a tile, unless one row has more lanes.
pub(super) const TILE: usize = 1024;
/// A reduction over at most this many points runs across the lanes of a row.
const LANE_REDUCE: usize = 64;
/// A factor that is the same for all tiles is copied into reading order if it has at most this many elements.
pub(super) const STAGE: usize = 8 * 1024;
/// A reduction of everything is cut into at most this many chunks, each of at least [`CHUNK`] elements.
const MAX_CHUNKS: usize = 16;
const CHUNK: usize = 16 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Outer(usize),
    Row(usize),
    Lane(usize),
}

/// A loop merged into the next one.
const MERGED: Role = Role::Outer(usize::MAX);

/// A loop and its extent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) number: usize,
    pub(super) extent: usize,
}

/// A kernel being prepared as tile operations.
pub(super) struct Prepare<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) sizes: &'a Sizes,
    pub(super) dtypes: Vec<DType>,
    pub(super) roles: Vec<Role>,
    pub(super) lane_axes: Vec<Axis>,
    pub(super) mode: Mode,
    pub(super) outer: Vec<usize>,
    pub(super) rows: Vec<usize>,
    pub(super) lanes: usize,
    pub(super) n_segment: usize,
    pub(super) n_inner: usize,
    /// Level of each value, whether it is the same for all tiles, and its element type.
    pub(super) values: Vec<(Level, bool, DType)>,
    pub(super) expanded: Vec<(u32, Level, u32)>,
    pub(super) setup: Vec<TileOp>,
    pub(super) ops: Vec<TileOp>,
    /// The value of each scalar of the body.
    pub(super) scalars: Vec<u32>,
    /// The number of elements per row of values that have neither one element nor one for each lane.
    pub(super) widths: Vec<(u32, usize)>,
    /// Whether each scalar of the body changes by lane.
    pub(super) by_lane: Vec<bool>,
}

impl<'a> Prepare<'a> {
    pub(super) fn new(kernel: &'a Kernel, sizes: &'a Sizes) -> Result<Self, Error> {
        let mut prepare = Prepare {
            kernel,
            sizes,
            dtypes: kernel.dtypes(),
            roles: vec![Role::Outer(0); kernel.loops.len()],
            lane_axes: vec![],
            mode: Mode::Map,
            outer: vec![],
            rows: vec![],
            lanes: 1,
            n_segment: 0,
            n_inner: 1,
            values: vec![],
            expanded: vec![],
            setup: vec![],
            ops: vec![],
            scalars: vec![],
            widths: vec![],
            by_lane: vec![],
        };
        prepare.assign_roles()?;
        Ok(prepare)
    }

    pub(super) fn size_of(&self, dim: &Dim) -> Result<usize, Error> {
        dim.at(self.sizes).as_usize().ok_or_else(|| self.not_known(dim))
    }

    /// A size that a kernel computes with: a difference of sizes may be negative.
    pub(super) fn number_of(&self, dim: &Dim) -> Result<i64, Error> {
        dim.at(self.sizes).as_number().ok_or_else(|| self.not_known(dim))
    }

    fn not_known(&self, dim: &Dim) -> Error {
        Error::Call(format!("@{}: the size {dim} is not known for {:?}", self.kernel.name, self.sizes))
    }

    /// Decides the role of each loop. Row loops stay in order: outside, then rows, then lanes, so that the output is
    /// written front to back.
    pub(super) fn assign_roles(&mut self) -> Result<(), Error> {
        let mut kept = vec![];
        let mut reduced = vec![];
        let mut segment = None;
        for (number, l) in self.kernel.loops.iter().enumerate() {
            let axis = Axis { number, extent: self.size_of(&l.extent)? };
            match l.kind {
                LoopKind::Row => kept.push(axis),
                LoopKind::Reduce => reduced.push(axis),
                LoopKind::Segment { segment: row, offsets } => segment = Some((axis, row as usize, offsets as usize)),
            }
        }
        if let Some((position, row, offsets)) = segment {
            self.mode = Mode::Segments { offsets };
            self.n_segment = kept[row].extent;
            let rest: Vec<Axis> = kept.iter().copied().filter(|axis| axis.number != row).collect();
            // Lanes come after the segments in the output, so that its elements are contiguous.
            let (inner, lanes) = split_suffix(&rest[row..], TILE);
            self.n_inner = inner.iter().map(|axis| axis.extent).product();
            self.place(&rest[..row + inner.len()], &[kept[row], position], lanes);
            // Coordinates of a tile's rows come from the offsets.
            self.rows = vec![self.n_segment, position.extent];
            return Ok(());
        }
        if reduced.is_empty() {
            self.mode = Mode::Map;
            let kept = self.merge(&kept);
            let (rest, lanes) = split_suffix(&kept, TILE);
            match (lanes.is_empty(), rest.split_last()) {
                // A long innermost axis: its points are the rows, one lane each.
                (true, Some((last, before))) => self.place(before, &[*last], &[]),
                _ => self.place(&[], rest, lanes),
            }
            return Ok(());
        }
        let (kept, reduced) = (self.merge(&kept), self.merge(&reduced));
        let points: usize = reduced.iter().map(|axis| axis.extent).product();
        let row_product = self.is_row_product(&kept, &reduced);
        if (1..=LANE_REDUCE).contains(&points) && !row_product {
            self.mode = Mode::Lanes { group: points };
            let (rows, lanes) = split_suffix(&kept, TILE / points);
            let lanes: Vec<Axis> = lanes.iter().chain(&reduced).copied().collect();
            self.place(&[], rows, &lanes);
            return Ok(());
        }
        let (outer, lanes) = match kept.last() {
            Some(_) if row_product => kept.split_at(kept.len() - 1),
            Some(last) if self.is_contiguous(last.number) => split_suffix(&kept, TILE),
            _ => (&kept[..], &[][..]),
        };
        let n_lane: usize = lanes.iter().map(|axis| axis.extent).product();
        let chunks = if outer.iter().all(|axis| axis.extent == 1) {
            let most = (points.saturating_mul(n_lane) / CHUNK).clamp(1, MAX_CHUNKS);
            points.div_ceil(chunk_rows(points, most)).max(1)
        } else {
            1
        };
        self.mode = Mode::Rows { chunks };
        self.place(outer, &reduced, lanes);
        Ok(())
    }

    /// Whether the result sums products of two factors: an element that changes along the summed axis, but not along
    /// the last kept one, and rows along the last kept axis that are the same everywhere. Such a sum is better added
    /// row by row.
    pub(super) fn is_row_product(&self, kept: &[Axis], reduced: &[Axis]) -> bool {
        let ([.., last], [summed]) = (kept, reduced) else { return false };
        let Some(Instr::Op(ScalarOp::Mul, ins)) = self.kernel.body.get(self.kernel.results[0].0 as usize) else {
            return false;
        };
        if last.extent < 4 || summed.extent < 4 || last.extent * summed.extent > STAGE || last.extent > TILE {
            return false;
        }
        let terms = |s: &Scalar| match &self.kernel.body[s.0 as usize] {
            Instr::Load(input, index) if index.iter().all(|at| matches!(at, Index::Affine { .. })) => {
                let mut terms = self.offset(*input as usize, index).1;
                terms.retain(|(l, coef)| *coef != 0 && self.roles[*l] != MERGED);
                Some(terms)
            }
            _ => None,
        };
        let (Some(a), Some(b)) = (terms(&ins[0]), terms(&ins[1])) else { return false };
        let has = |terms: &[(usize, i64)], number: usize| terms.iter().any(|(l, _)| *l == number);
        [(&a, &b), (&b, &a)].into_iter().any(|(weight, row)| {
            let only = row.iter().all(|(l, _)| *l == last.number || *l == summed.number);
            !has(weight, last.number) && has(weight, summed.number) && has(row, last.number) && only
        })
    }

    pub(super) fn place(&mut self, outer: &[Axis], rows: &[Axis], lanes: &[Axis]) {
        for (i, axis) in outer.iter().enumerate() {
            self.roles[axis.number] = Role::Outer(i);
        }
        for (i, axis) in rows.iter().enumerate() {
            self.roles[axis.number] = Role::Row(i);
        }
        for (i, axis) in lanes.iter().enumerate() {
            self.roles[axis.number] = Role::Lane(i);
        }
        self.outer = outer.iter().map(|axis| axis.extent).collect();
        self.rows = rows.iter().map(|axis| axis.extent).collect();
        self.lanes = lanes.iter().map(|axis| axis.extent).product();
        self.lane_axes = lanes.to_vec();
    }

    /// Merges neighbouring loops if every access passes through them as if they were one.
    pub(super) fn merge(&mut self, axes: &[Axis]) -> Vec<Axis> {
        let mut merged: Vec<Axis> = vec![];
        for axis in axes {
            if let Some(last) = merged.last_mut()
                && self.can_merge(last.number, axis)
            {
                // The outer loop's accesses are multiples of the inner one's: let the inner one run over both.
                self.roles[last.number] = MERGED;
                *last = Axis { number: axis.number, extent: last.extent * axis.extent };
                continue;
            }
            merged.push(*axis);
        }
        merged
    }

    pub(super) fn can_merge(&self, outer: usize, inner: &Axis) -> bool {
        let coefs = |terms: &[(usize, i64)]| {
            let of = |number: usize| terms.iter().find(|(l, _)| *l == number).map_or(0, |(_, coef)| *coef);
            of(outer) == of(inner.number) * inner.extent as i64
        };
        self.kernel.body.iter().all(|instr| match instr {
            Instr::Load(input, index) => coefs(&self.offset(*input as usize, index).1),
            Instr::Position(index) => coefs(&self.terms(index).1),
            _ => true,
        })
    }

    pub(super) fn is_contiguous(&self, number: usize) -> bool {
        self.kernel.body.iter().any(|instr| match instr {
            Instr::Load(input, index) => {
                self.offset(*input as usize, index).1.iter().any(|(l, coef)| *l == number && *coef == 1)
            }
            _ => false,
        })
    }

    /// Constant part and loop terms of a position.
    pub(super) fn terms(&self, index: &Index) -> (i64, Vec<(usize, i64)>) {
        match index {
            Index::Value(_) => (0, vec![]),
            Index::Affine { constant, terms } => {
                let number = |dim: &Dim| dim.at(self.sizes).as_number().unwrap_or(0);
                (number(constant), terms.iter().map(|(l, stride)| (*l as usize, number(stride))).collect())
            }
        }
    }

    /// Constant part and loop terms of a load's element offset.
    pub(super) fn offset(&self, input: usize, index: &[Index]) -> (i64, Vec<(usize, i64)>) {
        let strides = self.strides(input);
        let mut constant = 0;
        let mut sum: Vec<(usize, i64)> = vec![];
        for (index, (stride, _)) in index.iter().zip(strides) {
            let (at, terms) = self.terms(index);
            constant += at * stride;
            for (number, coef) in terms {
                match sum.iter_mut().find(|(l, _)| *l == number) {
                    Some((_, old)) => *old += coef * stride,
                    None => sum.push((number, coef * stride)),
                }
            }
        }
        (constant, sum)
    }

    /// Stride and extent of every axis of an input.
    pub(super) fn strides(&self, input: usize) -> Vec<(i64, i64)> {
        let shape = &self.kernel.inputs[input].1.shape;
        let extents: Vec<i64> = shape.iter().map(|dim| dim.at(self.sizes).as_number().unwrap_or(0)).collect();
        let mut stride = 1;
        let mut strides: Vec<(i64, i64)> = extents
            .iter()
            .rev()
            .map(|extent| {
                let this = stride;
                stride *= extent;
                (this, *extent)
            })
            .collect();
        strides.reverse();
        strides
    }

    pub(super) fn affine(&self, constant: i64, terms: &[(usize, i64)]) -> Affine {
        let mut affine = Affine { constant, ..Affine::default() };
        let mut lane_coefs = vec![0i64; self.lane_axes.len()];
        for (number, coef) in terms.iter().filter(|(_, coef)| *coef != 0) {
            match self.roles[*number] {
                MERGED => {}
                Role::Outer(i) => affine.outer.push((i, *coef)),
                Role::Row(i) => affine.rows.push((i, *coef)),
                Role::Lane(i) => lane_coefs[i] = *coef,
            }
        }
        affine.lanes = self.lane_pattern(&lane_coefs);
        affine
    }

    pub(super) fn lane_pattern(&self, coefs: &[i64]) -> Lanes {
        if self.lanes <= 1 || coefs.iter().all(|coef| *coef == 0) {
            return Lanes::Same;
        }
        let mut table = vec![0i64];
        for (axis, coef) in self.lane_axes.iter().zip(coefs) {
            table = table.iter().flat_map(|at| (0..axis.extent as i64).map(move |i| at + i * coef)).collect();
        }
        if table.iter().enumerate().all(|(i, at)| *at == i as i64) {
            return Lanes::Contiguous;
        }
        let group = table.iter().position(|at| *at != table[0]).unwrap_or(1);
        let stride = table.get(group).copied().unwrap_or(0);
        if group > 1 && table.iter().enumerate().all(|(i, at)| *at == (i / group) as i64 * stride) {
            return Lanes::Repeat { group, stride };
        }
        Lanes::Table(table)
    }
}

/// The number of rows in a chunk, chosen so that each chunk is a complete subtree of the sum.
pub(super) fn chunk_rows(rows: usize, chunks: usize) -> usize {
    rows.div_ceil(chunks).next_power_of_two().max(BLOCK)
}

/// Splits off the longest suffix of loops with at most `limit` points.
fn split_suffix(axes: &[Axis], limit: usize) -> (&[Axis], &[Axis]) {
    let mut points = 1usize;
    let mut at = axes.len();
    while at > 0 && points.saturating_mul(axes[at - 1].extent) <= limit {
        points *= axes[at - 1].extent;
        at -= 1;
    }
    axes.split_at(at)
}
