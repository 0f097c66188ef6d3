//! From a kernel and the sizes of its symbols to tile operations: which loops are lanes, rows of a tile, or outside.

use super::loops::{BLOCK, GroupsFn, RowsFn, TileFn, WeightedFn, groups_fn, rows_fn, tile_fn, weighted_fn};
use crate::aval::{DType, Literal, Sizes};
use crate::error::Error;
use crate::ir::{Index, Scalar, ScalarOp};
use crate::kernel::{Instr, Kernel, LoopKind};

/// Elements of a tile, at most, unless one row has more lanes.
const TILE: usize = 1024;
/// A reduction over at most this many points runs across the lanes of a row.
const LANE_REDUCE: usize = 64;
/// Segments that one unit of work covers; the same for any number of threads, so that sums are.
pub(super) const SEGMENT_BLOCK: usize = 64;
/// A factor that is the same for all tiles is copied to be read in order, where it has at most so many elements.
const STAGE: usize = 8 * 1024;
/// A reduction of everything is cut into at most so many chunks, each of at least [`CHUNK`] elements.
const MAX_CHUNKS: usize = 16;
const CHUNK: usize = 16 * 1024;

/// How results leave a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every point of the tile is an output element.
    Map,
    /// Each run of `group` lanes is combined into one output element.
    Lanes {
        /// Its length.
        group: usize,
    },
    /// The rows of all tiles of an outer point are combined; with one outer point, in `chunks` parts.
    Rows {
        /// How many parts.
        chunks: usize,
    },
    /// The rows of each segment are combined.
    Segments {
        /// The input that holds the offsets.
        offsets: usize,
    },
}

/// How often a value changes within a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// One value.
    Const,
    /// One for each lane.
    Lane,
    /// One for each row.
    Row,
    /// One for each point.
    Full,
}

/// An affine position or element offset: `constant + Σ coef·coordinate`, by the role of the loop.
#[derive(Clone, Debug, Default)]
pub(super) struct Affine {
    pub(super) constant: i64,
    pub(super) outer: Vec<(usize, i64)>,
    pub(super) rows: Vec<(usize, i64)>,
    pub(super) lanes: Lanes,
}

/// The part of an offset that depends on the lane.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Lanes {
    /// None.
    #[default]
    Same,
    /// The lane's number.
    Contiguous,
    /// `stride` times the lane's number divided by `group`.
    Repeat { group: usize, stride: i64 },
    /// A table.
    Table(Vec<i64>),
}

/// A computed position that takes part in an offset.
#[derive(Clone, Debug)]
pub(super) struct Gathered {
    pub(super) value: u32,
    pub(super) level: Level,
    pub(super) stride: i64,
    pub(super) extent: i64,
}

/// Where the rows of a load begin.
#[derive(Clone, Debug)]
pub(super) struct RowLoad {
    pub(super) input: usize,
    pub(super) size: usize,
    pub(super) at: Affine,
    pub(super) gathered: Vec<Gathered>,
}

/// A sum of products whose one factor is read row by row where it lies, and whose other factor, the weight, is the same
/// for each `group` lanes of a row: the products are never stored.
#[derive(Clone, Debug)]
pub(super) struct Weighted {
    pub(super) f: WeightedFn,
    pub(super) rows: RowLoad,
    /// The rows copied side by side, where they were not.
    pub(super) staged: Option<u32>,
    /// Whether a row holds one group only, which is met again for each weight.
    pub(super) cycle: bool,
    pub(super) weights: u32,
    pub(super) group: usize,
}

#[derive(Clone, Debug)]
pub(super) enum TileOp {
    Const {
        literal: Literal,
        out: u32,
    },
    Load {
        input: usize,
        size: usize,
        at: Affine,
        gathered: Vec<Gathered>,
        level: Level,
        out: u32,
    },
    /// A matrix of `rows` by the lanes, which stays the same for all tiles.
    Stage {
        input: usize,
        size: usize,
        at: Affine,
        rows: usize,
        out: u32,
    },
    /// `width` neighbouring elements for each row.
    LoadRows {
        rows: RowLoad,
        width: usize,
        out: u32,
    },
    Position {
        at: Affine,
        level: Level,
        out: u32,
    },
    Expand {
        from: u32,
        level: Level,
        to: Level,
        size: usize,
        out: u32,
    },
    Apply {
        f: TileFn,
        ins: [u32; 4],
        level: Level,
        out: u32,
        out1: u32,
    },
}

impl TileOp {
    fn reads(&self, f: &mut dyn FnMut(u32)) {
        match self {
            TileOp::Load { gathered, .. } | TileOp::LoadRows { rows: RowLoad { gathered, .. }, .. } => {
                gathered.iter().for_each(|g| f(g.value));
            }
            TileOp::Expand { from, .. } => f(*from),
            TileOp::Apply { ins, .. } => ins.iter().filter(|value| **value != NONE).for_each(|value| f(*value)),
            TileOp::Const { .. } | TileOp::Position { .. } | TileOp::Stage { .. } => {}
        }
    }
}

/// No value.
pub(super) const NONE: u32 = u32::MAX;

/// One output.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) value: u32,
    pub(super) size: usize,
    pub(super) combine: Option<(RowsFn, GroupsFn, Literal)>,
}

/// A kernel ready to run for given sizes.
#[derive(Clone, Debug)]
pub struct TileKernel {
    pub(super) mode: Mode,
    /// Extents of the loops outside the tiles, outermost first.
    pub(super) outer: Vec<usize>,
    /// Extents of the loops whose points are a tile's rows, outermost first; for segments, those of the segment and
    /// of the position.
    pub(super) rows: Vec<usize>,
    /// The row loop along which a tile's rows follow one another.
    pub(super) linear: Option<usize>,
    /// Whether anything reads the coordinates of the tile's rows.
    pub(super) reads_coordinates: bool,
    /// Lanes of a row.
    pub(super) lanes: usize,
    /// Rows of a whole tile.
    pub(super) tile_rows: usize,
    pub(super) n_segment: usize,
    /// Run once.
    pub(super) setup: Vec<TileOp>,
    /// Run for each tile.
    pub(super) ops: Vec<TileOp>,
    pub(super) outputs: Vec<Output>,
    /// What replaces the value of the only output, where that is a weighted sum of rows.
    pub(super) weighted: Option<Weighted>,
    /// Place of each value in the scratch memory, in bytes.
    pub(super) places: Vec<usize>,
    /// Bytes of scratch memory for each thread.
    pub(super) scratch: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Outer(usize),
    Row(usize),
    Lane(usize),
}

/// A loop that the next one runs over as well.
const MERGED: Role = Role::Outer(usize::MAX);

/// A loop with its extent, and what it is.
#[derive(Clone, Copy, Debug)]
struct Axis {
    number: usize,
    extent: usize,
}

impl TileKernel {
    /// Prepares a kernel for these sizes.
    pub fn new(kernel: &Kernel, sizes: &Sizes) -> Result<TileKernel, Error> {
        Prepare::new(kernel, sizes)?.finish()
    }

    /// Units of work that threads may share: their order, and what they contain, does not depend on the threads.
    pub fn n_unit(&self) -> usize {
        match self.mode {
            Mode::Map | Mode::Lanes { .. } => self.n_outer() * self.n_row().div_ceil(self.tile_rows),
            Mode::Rows { chunks: 1 } => self.n_outer(),
            Mode::Rows { chunks } => chunks,
            Mode::Segments { .. } => self.n_segment.div_ceil(SEGMENT_BLOCK),
        }
    }

    /// Bytes that partial results take, beside the outputs.
    pub fn partial_bytes(&self) -> usize {
        match self.mode {
            Mode::Rows { chunks } if chunks > 1 => chunks * self.lanes * 8,
            _ => 0,
        }
    }

    /// The number of segments, where rows are combined by segment.
    pub fn n_segment(&self) -> usize {
        self.n_segment
    }

    /// How results leave a tile.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Bytes of scratch memory that each thread needs.
    pub fn scratch_bytes(&self) -> usize {
        self.scratch
    }

    pub(super) fn n_outer(&self) -> usize {
        self.outer.iter().product()
    }

    pub(super) fn n_row(&self) -> usize {
        self.rows.iter().product()
    }
}

/// The factors of a weighted sum: scalars of the body.
#[derive(Clone, Copy)]
struct Factors {
    wide: Scalar,
    weight: Scalar,
    group: usize,
    /// Whether the weight is a load with one element for each group, not one for each row.
    narrow: bool,
    /// Whether the rows hold one group, which is met again for each weight.
    cycle: bool,
}

/// Whether a table counts from 0 to `group`, again and again.
fn is_cycle(table: &[i64], group: usize) -> bool {
    table.iter().enumerate().all(|(l, at)| *at == (l % group) as i64)
}

impl Factors {
    /// Whether the body's instruction `i` makes no value: the product, and what is read by row.
    fn skips(&self, result: Scalar, i: usize) -> bool {
        let i = Scalar(i as u32);
        i == result || i == self.wide || (self.narrow && i == self.weight)
    }
}

impl Weighted {
    /// The values that are read when a tile is combined.
    fn reads(&self) -> impl Iterator<Item = u32> + '_ {
        self.rows.gathered.iter().map(|g| g.value).chain([self.weights])
    }
}

struct Prepare<'a> {
    kernel: &'a Kernel,
    sizes: &'a Sizes,
    dtypes: Vec<DType>,
    roles: Vec<Role>,
    lane_axes: Vec<Axis>,
    mode: Mode,
    outer: Vec<usize>,
    rows: Vec<usize>,
    lanes: usize,
    n_segment: usize,
    /// Level of each value, whether it stays the same for all tiles, and its element type.
    values: Vec<(Level, bool, DType)>,
    expanded: Vec<(u32, Level, u32)>,
    setup: Vec<TileOp>,
    ops: Vec<TileOp>,
    /// The value of each scalar of the body.
    scalars: Vec<u32>,
    /// The number of elements for each row of values that are neither one nor one for each lane.
    widths: Vec<(u32, usize)>,
}

impl<'a> Prepare<'a> {
    fn new(kernel: &'a Kernel, sizes: &'a Sizes) -> Result<Self, Error> {
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
            values: vec![],
            expanded: vec![],
            setup: vec![],
            ops: vec![],
            scalars: vec![],
            widths: vec![],
        };
        prepare.assign_roles()?;
        Ok(prepare)
    }

    fn size_of(&self, dim: &crate::aval::Dim) -> Result<usize, Error> {
        let size = dim.at(self.sizes).as_usize();
        size.ok_or_else(|| {
            Error::Call(format!("@{}: the size {dim} is not known for {:?}", self.kernel.name, self.sizes))
        })
    }

    /// Decides what each loop is. Row loops stay in order: outside, then rows, then lanes, so that the output is
    /// written front to back.
    fn assign_roles(&mut self) -> Result<(), Error> {
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
            let (outer, lanes) = split_suffix(&rest, TILE);
            self.place(outer, &[kept[row], position], lanes);
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
            (points.saturating_mul(n_lane) / CHUNK).clamp(1, MAX_CHUNKS)
        } else {
            1
        };
        self.mode = Mode::Rows { chunks };
        self.place(outer, &reduced, lanes);
        Ok(())
    }

    /// Whether the result sums products of an element that changes along the summed axis, but not along the last kept
    /// one, and of rows along the last kept axis that are the same everywhere: better added row by row.
    fn is_row_product(&self, kept: &[Axis], reduced: &[Axis]) -> bool {
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

    fn place(&mut self, outer: &[Axis], rows: &[Axis], lanes: &[Axis]) {
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

    /// Joins neighbouring loops that every access passes through as if they were one.
    fn merge(&mut self, axes: &[Axis]) -> Vec<Axis> {
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

    fn can_merge(&self, outer: usize, inner: &Axis) -> bool {
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

    fn is_contiguous(&self, number: usize) -> bool {
        self.kernel.body.iter().any(|instr| match instr {
            Instr::Load(input, index) => {
                self.offset(*input as usize, index).1.iter().any(|(l, coef)| *l == number && *coef == 1)
            }
            _ => false,
        })
    }

    /// Constant part and loop terms of a position.
    fn terms(&self, index: &Index) -> (i64, Vec<(usize, i64)>) {
        match index {
            Index::Value(_) => (0, vec![]),
            Index::Affine { constant, terms } => {
                let number = |dim: &crate::aval::Dim| dim.at(self.sizes).as_number().unwrap_or(0);
                (number(constant), terms.iter().map(|(l, stride)| (*l as usize, number(stride))).collect())
            }
        }
    }

    /// Constant part and loop terms of a load's element offset.
    fn offset(&self, input: usize, index: &[Index]) -> (i64, Vec<(usize, i64)>) {
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
    fn strides(&self, input: usize) -> Vec<(i64, i64)> {
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

    fn affine(&self, constant: i64, terms: &[(usize, i64)]) -> Affine {
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

    fn lane_pattern(&self, coefs: &[i64]) -> Lanes {
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

    fn level(&self, row: bool, lane: bool) -> Level {
        match (row, lane && self.lanes > 1) {
            (false, false) => Level::Const,
            (false, true) => Level::Lane,
            (true, false) => Level::Row,
            (true, true) => Level::Full,
        }
    }

    /// The level of a tile's points.
    fn top(&self) -> Level {
        self.level(true, true)
    }

    fn value(&mut self, level: Level, fixed: bool, dtype: DType) -> u32 {
        self.values.push((level, fixed, dtype));
        self.values.len() as u32 - 1
    }

    fn push(&mut self, fixed: bool, op: TileOp) {
        if fixed { self.setup.push(op) } else { self.ops.push(op) }
    }

    /// The value at a higher level.
    fn expand(&mut self, value: u32, to: Level) -> u32 {
        let (level, fixed, dtype) = self.values[value as usize];
        if level == to {
            return value;
        }
        if let Some((_, _, found)) = self.expanded.iter().find(|(v, l, _)| *v == value && *l == to) {
            return *found;
        }
        let out = self.value(to, fixed, dtype);
        self.push(fixed, TileOp::Expand { from: value, level, to, size: dtype.size(), out });
        self.expanded.push((value, to, out));
        out
    }

    fn finish(mut self) -> Result<TileKernel, Error> {
        let factors = self.weighted_factors();
        let skipped = |i: usize| factors.is_some_and(|f| f.skips(self.kernel.results[0], i));
        for (i, instr) in self.kernel.body.iter().enumerate() {
            let value = match instr {
                _ if skipped(i) => NONE,
                Instr::Const(literal) => self.literal(*literal),
                Instr::Size(dim, dtype) => {
                    let size = self.size_of(dim)?;
                    self.literal(Literal::from_f64(*dtype, size as f64))
                }
                Instr::Position(index) => self.position(index),
                Instr::Load(input, index) => self.load(*input as usize, index),
                Instr::Op(op, ins) => self.apply(i, *op, ins)?,
            };
            self.scalars.push(value);
        }
        let weighted = factors.map(|factors| self.weigh(factors));
        let top = self.top();
        let mut outputs = vec![];
        for (scalar, (_, aval)) in self.kernel.results.iter().zip(&self.kernel.outputs) {
            let value = match self.scalars[scalar.0 as usize] {
                NONE => NONE,
                value => self.expand(value, top),
            };
            let combine = match self.kernel.reduce {
                None => None,
                Some(op) => {
                    let missing = || self.unsupported(&format!("{} of {}", op.name(), aval.dtype));
                    let rows = rows_fn(op, aval.dtype).ok_or_else(missing)?;
                    let groups = groups_fn(op, aval.dtype).ok_or_else(missing)?;
                    Some((rows, groups, op.identity(aval.dtype)))
                }
            };
            outputs.push(Output { value, size: aval.dtype.size(), combine });
        }
        let tile_rows = match &weighted {
            // No tile of products: only weights and offsets are kept for each row.
            Some(weighted) => (TILE * weighted.group / self.lanes.max(1)).clamp(1, TILE),
            None => (TILE / self.lanes.max(1)).max(1),
        };
        let tile_rows = match self.mode {
            Mode::Rows { .. } | Mode::Segments { .. } => (tile_rows / BLOCK * BLOCK).max(BLOCK),
            Mode::Map | Mode::Lanes { .. } => tile_rows,
        };
        let kept = outputs.iter().map(|output| output.value).chain(weighted.iter().flat_map(Weighted::reads));
        let kept: Vec<u32> = kept.filter(|value| *value != NONE).collect();
        let (places, scratch) = self.allocate(&kept, tile_rows);
        let linear = match (self.mode, self.rows.len()) {
            (Mode::Segments { .. }, _) => Some(1),
            (_, 1) => Some(0),
            _ => None,
        };
        let elsewhere = |at: &Affine| at.rows.iter().any(|(i, _)| Some(*i) != linear);
        let reads_coordinates = self.ops.iter().any(|op| match op {
            TileOp::Load { at, .. } | TileOp::Position { at, .. } => elsewhere(at),
            TileOp::LoadRows { rows, .. } => elsewhere(&rows.at),
            _ => false,
        }) || weighted.as_ref().is_some_and(|weighted| elsewhere(&weighted.rows.at));
        Ok(TileKernel {
            linear,
            reads_coordinates,
            mode: self.mode,
            outer: self.outer,
            rows: self.rows,
            lanes: self.lanes,
            tile_rows,
            n_segment: self.n_segment,
            setup: self.setup,
            ops: self.ops,
            outputs,
            weighted,
            places,
            scratch,
        })
    }

    /// The factors of the result, where it is a sum over rows of products of a load that has each row's lanes side by
    /// side and of a weight that is the same for groups of lanes.
    fn weighted_factors(&self) -> Option<Factors> {
        let by_row = matches!(self.mode, Mode::Rows { .. } | Mode::Segments { .. });
        if !by_row || self.lanes < 2 || self.kernel.reduce != Some(crate::ir::ReduceOp::Sum) {
            return None;
        }
        let [result] = self.kernel.results[..] else { return None };
        weighted_fn(self.dtypes[result.0 as usize])?;
        let Instr::Op(ScalarOp::Mul, ins) = &self.kernel.body[result.0 as usize] else { return None };
        let (a, b) = (ins[0], ins[1]);
        [(a, b), (b, a)].into_iter().find_map(|(wide, weight)| {
            if wide == weight || self.uses(wide) != 1 {
                return None;
            }
            let pattern = self.lanes_of(wide)?;
            let straight = pattern == Lanes::Contiguous || self.can_stage(wide);
            match self.lanes_of(weight) {
                Some(Lanes::Repeat { group, stride: 1 }) if self.uses(weight) == 1 => {
                    let cycle = matches!(&pattern, Lanes::Table(table) if is_cycle(table, group));
                    (straight || cycle).then_some(Factors { wide, weight, group, narrow: true, cycle })
                }
                _ if straight && !self.changes_by_lane(weight) => {
                    Some(Factors { wide, weight, group: self.lanes, narrow: false, cycle: false })
                }
                _ => None,
            }
        })
    }

    /// Whether a load's rows are the same for all tiles, and few.
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

    /// How a load's offsets change by lane, where no computed position does.
    fn lanes_of(&self, scalar: Scalar) -> Option<Lanes> {
        let Instr::Load(input, index) = &self.kernel.body[scalar.0 as usize] else { return None };
        let by_lane = |at: &Index| matches!(at, Index::Value(s) if self.changes_by_lane(*s));
        if index.iter().any(by_lane) {
            return None;
        }
        let (constant, terms) = self.offset(*input as usize, index);
        Some(self.affine(constant, &terms).lanes)
    }

    fn changes_by_lane(&self, scalar: Scalar) -> bool {
        match &self.kernel.body[scalar.0 as usize] {
            Instr::Const(_) | Instr::Size(..) => false,
            Instr::Op(_, ins) => ins.iter().any(|s| self.changes_by_lane(*s)),
            Instr::Load(..) => self.lanes_of(scalar) != Some(Lanes::Same),
            Instr::Position(index) => {
                let (constant, terms) = self.terms(index);
                self.affine(constant, &terms).lanes != Lanes::Same
            }
        }
    }

    fn weigh(&mut self, Factors { wide, weight, group, narrow, cycle }: Factors) -> Weighted {
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
        let f = weighted_fn(dtype).expect("asked for before");
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
    fn gathered(&self, input: usize, index: &[Index]) -> Vec<Gathered> {
        let places = index.iter().zip(self.strides(input));
        places
            .filter_map(|(index, (stride, extent))| {
                let Index::Value(Scalar(scalar)) = index else { return None };
                let value = self.scalars[*scalar as usize];
                Some(Gathered { value, level: self.values[value as usize].0, stride, extent })
            })
            .collect()
    }

    fn unsupported(&self, what: &str) -> Error {
        Error::Unsupported(format!("@{}: the portable target has no {what}", self.kernel.name))
    }

    fn literal(&mut self, literal: Literal) -> u32 {
        let out = self.value(Level::Const, true, literal.dtype());
        self.setup.push(TileOp::Const { literal, out });
        out
    }

    fn position(&mut self, index: &Index) -> u32 {
        let (constant, terms) = self.terms(index);
        let at = self.affine(constant, &terms);
        let level = self.level(!at.rows.is_empty(), at.lanes != Lanes::Same);
        let fixed = at.rows.is_empty() && at.outer.is_empty();
        let out = self.value(level, fixed, DType::I32);
        self.push(fixed, TileOp::Position { at, level, out });
        out
    }

    fn load(&mut self, input: usize, index: &[Index]) -> u32 {
        let (constant, terms) = self.offset(input, index);
        let at = self.affine(constant, &terms);
        let gathered = self.gathered(input, index);
        let at_level = |wanted: [Level; 2]| gathered.iter().any(|g| wanted.contains(&g.level));
        let row = !at.rows.is_empty() || at_level([Level::Row, Level::Full]);
        let lane = at.lanes != Lanes::Same || at_level([Level::Lane, Level::Full]);
        let same = gathered.iter().all(|g| self.values[g.value as usize].1);
        let fixed = at.rows.is_empty() && at.outer.is_empty() && same;
        let level = self.level(row, lane);
        let dtype = self.kernel.inputs[input].1.dtype;
        let out = self.value(level, fixed, dtype);
        self.push(fixed, TileOp::Load { input, size: dtype.size(), at, gathered, level, out });
        out
    }

    fn apply(&mut self, i: usize, op: ScalarOp, ins: &[Scalar]) -> Result<u32, Error> {
        // One block of threefry gives both words.
        if op == ScalarOp::Threefry1 || op == ScalarOp::Threefry0 {
            return self.threefry(i, op, ins);
        }
        let dtype = self.dtypes[if op == ScalarOp::Select { ins[1] } else { ins[0] }.0 as usize];
        let f = tile_fn(op, dtype).ok_or_else(|| self.unsupported(&format!("{} of {dtype}", op.name())))?;
        let (out, _) = self.apply_fn(f, ins, self.dtypes[i], false);
        Ok(out)
    }

    fn threefry(&mut self, i: usize, op: ScalarOp, ins: &[Scalar]) -> Result<u32, Error> {
        let twin = if op == ScalarOp::Threefry0 { ScalarOp::Threefry1 } else { ScalarOp::Threefry0 };
        let found = self.kernel.body[..i].iter().position(|instr| match instr {
            Instr::Op(other, operands) => *other == twin && operands[..] == *ins,
            _ => false,
        });
        if let Some(found) = found {
            // The twin's block made this word as the value next to its own.
            let first = self.scalars[found];
            return Ok(if op == ScalarOp::Threefry1 { first + 1 } else { first - 1 });
        }
        let f = tile_fn(ScalarOp::Threefry0, DType::U32).ok_or_else(|| self.unsupported("threefry"))?;
        let (out, out1) = self.apply_fn(f, ins, DType::U32, true);
        Ok(if op == ScalarOp::Threefry0 { out } else { out1 })
    }

    fn apply_fn(&mut self, f: TileFn, ins: &[Scalar], dtype: DType, two: bool) -> (u32, u32) {
        let values: Vec<u32> = ins.iter().map(|s| self.scalars[s.0 as usize]).collect();
        let (mut row, mut lane, mut fixed) = (false, false, true);
        for value in &values {
            let (level, same, _) = self.values[*value as usize];
            row |= matches!(level, Level::Row | Level::Full);
            lane |= matches!(level, Level::Lane | Level::Full);
            fixed &= same;
        }
        let level = self.level(row, lane);
        let mut operands = [NONE; 4];
        for (operand, value) in operands.iter_mut().zip(values) {
            *operand = self.expand(value, level);
        }
        let out = self.value(level, fixed, dtype);
        let out1 = if two { self.value(level, fixed, dtype) } else { NONE };
        self.push(fixed, TileOp::Apply { f, ins: operands, level, out, out1 });
        (out, out1)
    }

    /// Places values in the scratch memory. A tile's value gives its place up after its last use.
    fn allocate(&self, kept: &[u32], tile_rows: usize) -> (Vec<usize>, usize) {
        let bytes = |value: usize| {
            let (level, _, dtype) = self.values[value];
            let n = match level {
                Level::Const => 1,
                Level::Lane => self.lanes,
                Level::Row => {
                    let width = self.widths.iter().find(|(v, _)| *v as usize == value);
                    // A fixed value of another width is a whole matrix.
                    let rows = if width.is_some() && self.values[value].1 { 1 } else { tile_rows };
                    rows * width.map_or(1, |(_, width)| *width)
                }
                Level::Full => tile_rows * self.lanes,
            };
            (n * dtype.size()).next_multiple_of(64)
        };
        let mut places = vec![0; self.values.len()];
        let mut end = 0;
        let mut last_use = vec![0usize; self.values.len()];
        for (i, op) in self.ops.iter().enumerate() {
            op.reads(&mut |value| last_use[value as usize] = i);
        }
        kept.iter().for_each(|value| last_use[*value as usize] = usize::MAX);
        for (value, (_, fixed, _)) in self.values.iter().enumerate() {
            if *fixed {
                places[value] = end;
                end += bytes(value);
            }
        }
        let mut free: Vec<(usize, usize)> = vec![]; // size, place
        let mut live: Vec<(usize, usize)> = vec![]; // last use, value
        for (i, op) in self.ops.iter().enumerate() {
            let outs = match op {
                TileOp::Apply { out, out1, .. } => [*out, *out1],
                TileOp::Const { out, .. }
                | TileOp::Load { out, .. }
                | TileOp::LoadRows { out, .. }
                | TileOp::Stage { out, .. }
                | TileOp::Position { out, .. }
                | TileOp::Expand { out, .. } => [*out, NONE],
            };
            for value in outs.into_iter().filter(|value| *value != NONE).map(|value| value as usize) {
                let need = bytes(value);
                places[value] = match free.iter().position(|(size, _)| *size == need) {
                    Some(at) => free.swap_remove(at).1,
                    None => {
                        end += need;
                        end - need
                    }
                };
                live.push((last_use[value].max(i), value));
            }
            live.retain(|(last, value)| {
                let done = *last <= i;
                if done {
                    free.push((bytes(*value), places[*value]));
                }
                !done
            });
        }
        (places, end)
    }
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
