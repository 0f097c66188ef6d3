//! From the scalar work of a kernel to tile operations on values, and the values' places in the scratch memory.

use super::layout::{Prepare, TILE};
use super::loops::{TileFn, tile_fn};
use super::prepared::{Affine, Lanes, Level, Mode, NONE, Output, TileKernel, TileOp, Weighted};
use super::sums::{groups_fn, n_level, rows_fn};
use crate::aval::{DType, Literal, Sizes};
use crate::error::Error;
use crate::ir::scalar::Form;
use crate::ir::{BLOCK, Index, Scalar, ScalarOp};
use crate::kernel::{Instr, Kernel};

impl TileKernel {
    /// Prepares a kernel for these sizes.
    pub fn new(kernel: &Kernel, sizes: &Sizes) -> Result<TileKernel, Error> {
        Prepare::new(kernel, sizes)?.finish()
    }
}

impl Prepare<'_> {
    pub(super) fn level(&self, row: bool, lane: bool) -> Level {
        match (row, lane && self.lanes > 1) {
            (false, false) => Level::Const,
            (false, true) => Level::Lane,
            (true, false) => Level::Row,
            (true, true) => Level::Full,
        }
    }

    /// The level of a tile's points.
    pub(super) fn top(&self) -> Level {
        self.level(true, true)
    }

    pub(super) fn value(&mut self, level: Level, fixed: bool, dtype: DType) -> u32 {
        self.values.push((level, fixed, dtype));
        self.values.len() as u32 - 1
    }

    pub(super) fn push(&mut self, fixed: bool, op: TileOp) {
        if fixed { self.setup.push(op) } else { self.ops.push(op) }
    }

    /// The value expanded to a higher level.
    pub(super) fn expand(&mut self, value: u32, to: Level) -> u32 {
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
        self.find_lanes();
        let factors = self.weighted_factors();
        let skipped = |i: usize| factors.is_some_and(|f| f.skips(self.kernel.results[0], i));
        for (i, instr) in self.kernel.body.iter().enumerate() {
            let value = match instr {
                _ if skipped(i) => NONE,
                Instr::Const(literal) => self.literal(*literal),
                Instr::Size(dim, dtype) => {
                    let size = self.number_of(dim)?;
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
            let applied = self.ops.iter().any(|op| matches!(op, TileOp::Apply { out, .. } if *out == value));
            outputs.push(Output { value, applied, size: aval.dtype.size(), combine });
        }
        let tile_rows = match &weighted {
            // There is no tile of products: only weights and offsets are kept for each row.
            Some(weighted) => (TILE * weighted.group / self.lanes.max(1)).clamp(1, TILE),
            None => (TILE / self.lanes.max(1)).max(1),
        };
        let tile_rows = match self.mode {
            Mode::Rows { .. } | Mode::Segments { .. } => (tile_rows / BLOCK * BLOCK).max(BLOCK),
            Mode::Map | Mode::Lanes { .. } => tile_rows,
        };
        let kept = outputs.iter().map(|output| output.value).chain(weighted.iter().flat_map(Weighted::reads));
        let kept: Vec<u32> = kept.filter(|value| *value != NONE).collect();
        let (mut places, mut scratch) = self.allocate(&kept, tile_rows);
        let waiting = places.len();
        let terms: usize = match self.mode {
            Mode::Rows { .. } => self.rows.iter().product(),
            Mode::Segments { .. } => self.rows[1],
            Mode::Map | Mode::Lanes { .. } => 0,
        };
        for (_, aval) in self.kernel.outputs.iter().filter(|_| terms > 0) {
            places.push(scratch);
            let n = n_level(terms.div_ceil(BLOCK)) * self.lanes;
            scratch += (n * aval.dtype.size()).next_multiple_of(64);
        }
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
            n_inner: self.n_inner,
            setup: self.setup,
            ops: self.ops,
            outputs,
            weighted,
            places,
            waiting,
            scratch,
        })
    }

    pub(super) fn unsupported(&self, what: &str) -> Error {
        Error::Unsupported(format!("@{}: the portable target has no {what}", self.kernel.name))
    }

    pub(super) fn literal(&mut self, literal: Literal) -> u32 {
        let out = self.value(Level::Const, true, literal.dtype());
        self.setup.push(TileOp::Const { literal, out });
        out
    }

    pub(super) fn position(&mut self, index: &Index) -> u32 {
        let (constant, terms) = self.terms(index);
        let at = self.affine(constant, &terms);
        let level = self.level(!at.rows.is_empty(), at.lanes != Lanes::Same);
        let fixed = at.rows.is_empty() && at.outer.is_empty();
        let out = self.value(level, fixed, DType::I32);
        self.push(fixed, TileOp::Position { at, level, out });
        out
    }

    pub(super) fn load(&mut self, input: usize, index: &[Index]) -> u32 {
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

    pub(super) fn apply(&mut self, i: usize, op: ScalarOp, ins: &[Scalar]) -> Result<u32, Error> {
        // One block of threefry yields both words.
        if let Form::Threefry(word) = op.form() {
            return self.threefry(i, word, ins);
        }
        if keeps_bits(op, self.dtypes[ins[0].0 as usize]) {
            return Ok(self.scalars[ins[0].0 as usize]);
        }
        let dtype = self.dtypes[if op == ScalarOp::Select { ins[1] } else { ins[0] }.0 as usize];
        let f = tile_fn(op, dtype).ok_or_else(|| self.unsupported(&format!("{} of {dtype}", op.name())))?;
        let (out, _) = self.apply_fn(f, ins, self.dtypes[i], false);
        Ok(out)
    }

    pub(super) fn threefry(&mut self, i: usize, word: usize, ins: &[Scalar]) -> Result<u32, Error> {
        let twin = [ScalarOp::Threefry1, ScalarOp::Threefry0][word];
        let found = self.kernel.body[..i].iter().position(|instr| match instr {
            Instr::Op(other, operands) => *other == twin && operands[..] == *ins,
            _ => false,
        });
        if let Some(found) = found {
            // The twin's block made this word as the value next to its own.
            let first = self.scalars[found];
            return Ok(if word == 1 { first + 1 } else { first - 1 });
        }
        let f = tile_fn(ScalarOp::Threefry0, DType::U32).ok_or_else(|| self.unsupported("threefry"))?;
        let (out, out1) = self.apply_fn(f, ins, DType::U32, true);
        Ok([out, out1][word])
    }

    pub(super) fn apply_fn(&mut self, f: TileFn, ins: &[Scalar], dtype: DType, two: bool) -> (u32, u32) {
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

    /// Assigns places in the scratch memory to values. A tile's value frees its place after its last use.
    pub(super) fn allocate(&self, kept: &[u32], tile_rows: usize) -> (Vec<usize>, usize) {
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

/// Whether a result has the bits of its operand: then it is the same value.
fn keeps_bits(op: ScalarOp, from: DType) -> bool {
    match op.form() {
        Form::Convert(to) => to == from || (to.is_int() && from.is_int() && to.size() == from.size()),
        Form::Bitcast(to) => to.size() == from.size(),
        Form::Function(_) | Form::Comparison(_) | Form::Select | Form::Threefry(_) => false,
    }
}
