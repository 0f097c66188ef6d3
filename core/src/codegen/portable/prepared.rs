//! A kernel prepared to run for given sizes: a list of tile operations.

use super::loops::TileFn;
use super::sums::{GroupsFn, RowsFn, WeightedFn};
use crate::aval::Literal;

/// Segments in one unit of work. The number does not depend on the threads, so neither do sums.
pub(super) const SEGMENT_BLOCK: usize = 64;

/// How results are written from a tile.
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

/// How the offset depends on the lane.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Lanes {
    /// Not at all.
    #[default]
    Same,
    /// By the lane's number.
    Contiguous,
    /// By `stride` times the lane's number divided by `group`.
    Repeat { group: usize, stride: i64 },
    /// By a table.
    Table(Vec<i64>),
}

/// A computed position that contributes to an offset.
#[derive(Clone, Debug)]
pub(super) struct Gathered {
    pub(super) value: u32,
    pub(super) level: Level,
    pub(super) stride: i64,
    pub(super) extent: i64,
}

/// Where the rows of a load start.
#[derive(Clone, Debug)]
pub(super) struct RowLoad {
    pub(super) input: usize,
    pub(super) size: usize,
    pub(super) at: Affine,
    pub(super) gathered: Vec<Gathered>,
}

/// A sum of products. One factor is read row by row in place; the other factor, the weight, is the same for each
/// `group` lanes of a row. The products are never stored.
#[derive(Clone, Debug)]
pub(super) struct Weighted {
    pub(super) f: WeightedFn,
    pub(super) rows: RowLoad,
    /// The rows copied side by side, if they were not.
    pub(super) staged: Option<u32>,
    /// Whether a row holds only one group, which is reused for each weight.
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
    /// A matrix of `rows` by the lanes, which is the same for all tiles.
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
    pub(super) fn reads(&self, f: &mut dyn FnMut(u32)) {
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
    /// Whether an operation of each tile makes the value, and so may write it directly to its destination.
    pub(super) applied: bool,
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
    /// The row loop along which a tile's rows are consecutive.
    pub(super) linear: Option<usize>,
    /// Whether anything reads the coordinates of the tile's rows.
    pub(super) reads_coordinates: bool,
    /// Lanes of a row.
    pub(super) lanes: usize,
    /// Rows of a whole tile.
    pub(super) tile_rows: usize,
    pub(super) n_segment: usize,
    /// Points of the outer loops that come after the segments' loop in the output.
    pub(super) n_inner: usize,
    /// Operations that run once.
    pub(super) setup: Vec<TileOp>,
    /// Operations that run for each tile.
    pub(super) ops: Vec<TileOp>,
    pub(super) outputs: Vec<Output>,
    /// Replaces the value of the only output, if that is a weighted sum of rows.
    pub(super) weighted: Option<Weighted>,
    /// Place of each value in the scratch memory, in bytes; then, for each output, that of the pending blocks of its
    /// sums.
    pub(super) places: Vec<usize>,
    /// The number of the first of the latter.
    pub(super) waiting: usize,
    /// Bytes of scratch memory for each thread.
    pub(super) scratch: usize,
}

impl Weighted {
    /// The values that are read when a tile is combined.
    pub(super) fn reads(&self) -> impl Iterator<Item = u32> + '_ {
        self.rows.gathered.iter().map(|g| g.value).chain([self.weights])
    }
}

impl TileKernel {
    /// Units of work that threads may share: neither their order nor their content depends on the threads.
    pub fn n_unit(&self) -> usize {
        match self.mode {
            Mode::Map | Mode::Lanes { .. } => self.n_outer() * self.n_row().div_ceil(self.tile_rows),
            Mode::Rows { chunks: 1 } => self.n_outer(),
            Mode::Rows { chunks } => chunks,
            Mode::Segments { .. } => self.n_segment.div_ceil(SEGMENT_BLOCK),
        }
    }

    /// Bytes of partial results, in addition to the outputs.
    pub fn partial_bytes(&self) -> usize {
        self.partials_before(self.outputs.len())
    }

    /// Where the partial results of an output start: after those of the outputs before it.
    pub(super) fn partials_before(&self, output: usize) -> usize {
        match self.mode {
            Mode::Rows { chunks } if chunks > 1 => output * chunks * self.lanes * 8,
            _ => 0,
        }
    }

    /// The number of segments, if rows are combined by segment.
    pub fn n_segment(&self) -> usize {
        self.n_segment
    }

    /// How results are written from a tile.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Bytes of scratch memory that each thread needs.
    pub fn scratch_bytes(&self) -> usize {
        let offsets = self.tile_rows * (1 + self.rows.len() + self.lanes.max(1));
        self.scratch + offsets * size_of::<i64>()
    }

    /// Whether it gathers along an axis of extent 0.
    pub(super) fn gathers_nothing(&self) -> bool {
        let of = |op: &TileOp| match op {
            TileOp::Load { gathered, .. } | TileOp::LoadRows { rows: RowLoad { gathered, .. }, .. } => {
                gathered.iter().any(|g| g.extent == 0)
            }
            _ => false,
        };
        let weighted = self.weighted.iter().flat_map(|weighted| &weighted.rows.gathered);
        self.setup.iter().chain(&self.ops).any(of) || weighted.into_iter().any(|g| g.extent == 0)
    }

    pub(super) fn n_outer(&self) -> usize {
        self.outer.iter().product()
    }

    pub(super) fn n_row(&self) -> usize {
        self.rows.iter().product()
    }
}
