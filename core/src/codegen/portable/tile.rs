//! Runs prepared kernels: units of work, tile by tile, and how results are written from a tile.

use super::layout::chunk_rows;
use super::prepared::{Affine, Mode, RowLoad, SEGMENT_BLOCK, TileKernel};
use super::sums::{RowPlaces, Rows, Sum, n_level};
use crate::aval::Literal;
use crate::ir::BLOCK;
use std::ops::Range;

/// The arrays of one launch.
pub struct Access<'a> {
    /// Where each input starts.
    pub inputs: &'a [*const u8],
    /// Where each output starts.
    pub outputs: &'a [*mut u8],
    /// Where partial results start: [`TileKernel::partial_bytes`] of them.
    pub partials: *mut u8,
}

/// One thread's working memory; it grows as kernels need.
#[derive(Default)]
pub struct Scratch {
    pub(super) memory: Vec<Aligned>,
    pub(super) pointers: Vec<*mut u8>,
    pub(super) offsets: Vec<i64>,
    pub(super) coordinates: Vec<Vec<i64>>,
    pub(super) lane_offsets: Vec<i64>,
}

// SAFETY: the pointers point into the scratch's own memory and into arrays of the current launch; they are set anew
// before each launch, and used by the one thread that holds the scratch.
unsafe impl Send for Scratch {}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Aligned([u8; 64]);

/// A position that a kernel computed lies outside its array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBounds {
    /// The position.
    pub position: i64,
    /// The extent it must be below.
    pub extent: i64,
}

/// The rows of one tile: their number, and where they are.
pub(super) struct Tile {
    pub(super) rows: usize,
    /// The first row, counted over all row loops; for segments, the first position.
    pub(super) start: usize,
}

pub(super) struct Run<'a> {
    pub(super) kernel: &'a TileKernel,
    pub(super) access: &'a Access<'a>,
    pub(super) scratch: &'a mut Scratch,
    pub(super) outer: Vec<i64>,
    pub(super) failed: Option<OutOfBounds>,
}

impl TileKernel {
    /// Runs ranges of units, up to the first that reads out of bounds. Units may run in any order, on any thread;
    /// [`TileKernel::combine`] follows after all of them.
    ///
    /// # Safety
    /// `access` must hold the kernel's arrays: inputs valid for reads, outputs and partials for writes, for the sizes
    /// it was prepared for. Outputs must not overlap inputs, except that an output of a map may be an input that the
    /// kernel reads only at the element being written. No two concurrent calls may share units.
    pub unsafe fn run(
        &self,
        access: &Access<'_>,
        units: impl IntoIterator<Item = Range<usize>>,
        scratch: &mut Scratch,
    ) -> Result<(), OutOfBounds> {
        let mut ranges = units.into_iter().filter(|units| !units.is_empty()).peekable();
        // Without lanes there is nothing to write, and a value that is the same for all tiles may come from an empty
        // array.
        if self.lanes == 0 || ranges.peek().is_none() {
            return Ok(());
        }
        if self.gathers_nothing() && self.n_outer() * self.n_row() > 0 {
            // No position is in bounds: no element of the array may be read, not even the first.
            return Err(OutOfBounds { position: 0, extent: 0 });
        }
        scratch.prepare(self);
        let mut run = Run { kernel: self, access, scratch, outer: vec![0; self.outer.len()], failed: None };
        // SAFETY: the caller keeps this function's contract, which covers everything within.
        unsafe {
            for op in &self.setup {
                run.execute(op, &Tile { rows: self.tile_rows, start: 0 });
            }
            for units in ranges {
                match self.mode {
                    Mode::Map | Mode::Lanes { .. } => run.map(units),
                    Mode::Rows { chunks } => run.reduce_rows(units, chunks),
                    Mode::Segments { offsets } => run.reduce_segments(units, offsets),
                }
                if run.failed.is_some() {
                    break;
                }
            }
        }
        run.failed.map_or(Ok(()), Err)
    }

    /// Combines partial results after all units have run.
    ///
    /// # Safety
    /// As for [`TileKernel::run`]; no unit may run at the same time.
    pub unsafe fn combine(&self, access: &Access<'_>) {
        let Mode::Rows { chunks } = self.mode else { return };
        if chunks < 2 {
            return;
        }
        let mut waiting = vec![0u64; n_level(chunks) * self.lanes];
        for (k, (output, out)) in self.outputs.iter().zip(access.outputs).enumerate() {
            if let Some((rows, _, identity)) = output.combine {
                // The number of blocks in each chunk is a power of two already.
                let sum = Sum { before: 0, block: 1, waiting: waiting.as_mut_ptr().cast(), into: *out };
                // SAFETY: the output holds `lanes` elements, its partials `chunks` times that number.
                unsafe {
                    fill(*out, identity, self.lanes);
                    rows(chunks, self.lanes, access.partials.wrapping_add(self.partials_before(k)), &sum);
                }
            }
        }
    }

    /// The number of positions that the units before `unit` cover, for splitting work by its amount.
    pub fn work_before(&self, unit: usize, offsets: Option<&[i32]>) -> usize {
        match (self.mode, offsets) {
            (Mode::Segments { .. }, Some(offsets)) if !offsets.is_empty() => {
                offsets[(unit * SEGMENT_BLOCK).min(offsets.len() - 1)].max(0) as usize + unit * SEGMENT_BLOCK
            }
            _ => unit,
        }
    }
}

impl Scratch {
    fn prepare(&mut self, kernel: &TileKernel) {
        let blocks = kernel.scratch.div_ceil(64) + 1;
        if self.memory.len() < blocks {
            self.memory.resize(blocks, Aligned([0; 64]));
        }
        let start = self.memory.as_mut_ptr().cast::<u8>();
        self.pointers.clear();
        self.pointers.extend(kernel.places.iter().map(|place| start.wrapping_add(*place)));
        let n = kernel.tile_rows * kernel.lanes.max(1);
        self.offsets.resize(self.offsets.len().max(kernel.tile_rows), 0);
        self.lane_offsets.resize(self.lane_offsets.len().max(n), 0);
        self.coordinates.resize(self.coordinates.len().max(kernel.rows.len()), vec![]);
        for coordinates in &mut self.coordinates {
            coordinates.resize(coordinates.len().max(kernel.tile_rows), 0);
        }
    }
}

/// Writes a literal `n` times.
pub(super) unsafe fn fill(at: *mut u8, literal: Literal, n: usize) {
    // SAFETY: the caller provides memory for `n` elements of the literal's type.
    unsafe {
        let bits = literal.bits();
        match literal.dtype().size() {
            1 => (0..n).for_each(|i| *at.add(i) = bits as u8),
            2 => (0..n).for_each(|i| *at.cast::<u16>().add(i) = bits as u16),
            4 => (0..n).for_each(|i| *at.cast::<u32>().add(i) = bits as u32),
            _ => (0..n).for_each(|i| *at.cast::<u64>().add(i) = bits),
        }
    }
}

impl Run<'_> {
    pub(super) fn pointer(&self, value: u32) -> *mut u8 {
        self.scratch.pointers[value as usize]
    }

    /// Sets the coordinates of outer loop point `point`.
    fn set_outer(&mut self, mut point: usize) {
        for (i, extent) in self.kernel.outer.iter().enumerate().rev() {
            self.outer[i] = (point % extent) as i64;
            point /= extent;
        }
    }

    /// Sets the coordinates of the tile's rows, if there is more than one row loop.
    fn set_rows(&mut self, tile: &Tile) {
        let extents = &self.kernel.rows;
        if !self.kernel.reads_coordinates {
            return;
        }
        let mut rest = tile.start;
        let mut at = vec![0i64; extents.len()];
        for (i, extent) in extents.iter().enumerate().rev() {
            at[i] = (rest % extent) as i64;
            rest /= extent;
        }
        for r in 0..tile.rows {
            for (coordinates, at) in self.scratch.coordinates.iter_mut().zip(&at) {
                coordinates[r] = *at;
            }
            for i in (0..extents.len()).rev() {
                at[i] += 1;
                if at[i] < extents[i] as i64 {
                    break;
                }
                at[i] = 0;
            }
        }
    }

    unsafe fn body(&mut self, tile: &Tile) {
        let kernel = self.kernel;
        for op in &kernel.ops {
            // SAFETY: as for `TileKernel::run`.
            unsafe { self.execute(op, tile) }
        }
        if let Some(weighted) = &kernel.weighted
            && !self.is_strided(&weighted.rows)
        {
            // SAFETY: as for `TileKernel::run`.
            unsafe { self.row_offsets(&weighted.rows.at, &weighted.rows.gathered, tile) }
        }
    }

    unsafe fn map(&mut self, units: Range<usize>) {
        let kernel = self.kernel;
        let n_row = kernel.n_row();
        let tiles = n_row.div_ceil(kernel.tile_rows);
        // If the output is also an input, a tile's results are written after the last read of the input.
        let shared = |out: &*mut u8| self.access.inputs.contains(&out.cast_const());
        let direct: smallvec::SmallVec<[bool; 2]> = kernel
            .outputs
            .iter()
            .zip(self.access.outputs)
            .map(|(output, out)| {
                kernel.mode == Mode::Map && kernel.outputs.len() == 1 && output.applied && !shared(out)
            })
            .collect();
        for unit in units {
            let (point, tile) = (unit / tiles, unit % tiles);
            let start = tile * kernel.tile_rows;
            let tile = Tile { rows: kernel.tile_rows.min(n_row - start), start };
            self.set_outer(point);
            self.set_rows(&tile);
            // SAFETY: as for `TileKernel::run`; the tile's results are rows `start..` of the output's outer point.
            unsafe {
                let first = point * n_row + start;
                for ((output, out), direct) in kernel.outputs.iter().zip(self.access.outputs).zip(&direct) {
                    if *direct {
                        self.scratch.pointers[output.value as usize] = out.add(first * kernel.lanes * output.size);
                    }
                }
                self.body(&tile);
                for ((output, out), direct) in kernel.outputs.iter().zip(self.access.outputs).zip(&direct) {
                    if *direct {
                        continue;
                    }
                    let from = self.pointer(output.value);
                    match (kernel.mode, output.combine) {
                        (Mode::Lanes { group }, Some((_, groups, _))) => {
                            let per_row = kernel.lanes / group;
                            groups(tile.rows * per_row, group, from, out.add(first * per_row * output.size));
                        }
                        _ => {
                            let to = out.add(first * kernel.lanes * output.size);
                            std::ptr::copy(from, to, tile.rows * kernel.lanes * output.size);
                        }
                    }
                }
            }
        }
    }

    unsafe fn reduce_rows(&mut self, units: Range<usize>, chunks: usize) {
        let kernel = self.kernel;
        let n_row = kernel.n_row();
        let chunk = chunk_rows(n_row, chunks);
        for unit in units {
            let (point, rows) = if chunks > 1 {
                (0, (unit * chunk).min(n_row)..((unit + 1) * chunk).min(n_row))
            } else {
                (unit, 0..n_row)
            };
            self.set_outer(point);
            let into: smallvec::SmallVec<[*mut u8; 2]> = kernel
                .outputs
                .iter()
                .zip(self.access.outputs)
                .enumerate()
                .map(|(k, (output, out))| {
                    let partials = self.access.partials.wrapping_add(kernel.partials_before(k));
                    let (start, part) = if chunks > 1 { (partials, unit) } else { (*out, point) };
                    start.wrapping_add(part * kernel.lanes * output.size)
                })
                .collect();
            // SAFETY: as for `TileKernel::run`; each unit owns `lanes` elements of the output or of the partials.
            unsafe {
                for (output, into) in kernel.outputs.iter().zip(&into) {
                    if let Some((_, _, identity)) = output.combine {
                        fill(*into, identity, kernel.lanes);
                    }
                }
                let mut start = rows.start;
                while start < rows.end && kernel.lanes > 0 {
                    let tile = Tile { rows: kernel.tile_rows.min(rows.end - start), start };
                    self.set_rows(&tile);
                    self.body(&tile);
                    let before = (start - rows.start) / BLOCK;
                    start += tile.rows;
                    for (k, into) in into.iter().enumerate() {
                        let into = if start < rows.end { std::ptr::null_mut() } else { *into };
                        self.combine_rows(k, &tile, 0..tile.rows, (before, into));
                    }
                }
            }
        }
    }

    /// Adds rows of a tile's result to the blocks added so far; after the last row, adds the whole sum to `into`.
    unsafe fn combine_rows(&self, k: usize, tile: &Tile, rows: Range<usize>, (before, into): (usize, *mut u8)) {
        let (lanes, output) = (self.kernel.lanes, &self.kernel.outputs[k]);
        let sum = Sum { before, block: BLOCK, waiting: self.scratch.pointers[self.kernel.waiting + k], into };
        // SAFETY: the tile holds the rows; `into` holds `lanes` elements elsewhere.
        unsafe {
            if let Some(weighted) = &self.kernel.weighted {
                let RowLoad { input, at, .. } = &weighted.rows;
                let stride = at.rows.first().map_or(0, |(_, coef)| *coef);
                let places = if self.is_strided(&weighted.rows) {
                    let first = self.fixed_offset(at) + stride * (tile.start + rows.start) as i64;
                    RowPlaces::Strided { first, stride }
                } else {
                    RowPlaces::Listed(&self.scratch.offsets[rows.clone()])
                };
                let from = match weighted.staged {
                    Some(staged) => self.pointer(staged).cast_const(),
                    None => self.access.inputs[*input],
                };
                let from = Rows { from, n: rows.len(), cycle: weighted.cycle, at: places };
                let skip = rows.start * (lanes / weighted.group) * output.size;
                (weighted.f)(&from, lanes, weighted.group, self.pointer(weighted.weights).add(skip), &sum);
            } else if let Some((combine, _, _)) = output.combine {
                combine(rows.len(), lanes, self.pointer(output.value).add(rows.start * lanes * output.size), &sum);
            }
        }
    }

    /// Whether rows are a fixed distance apart.
    pub(super) fn is_strided(&self, rows: &RowLoad) -> bool {
        rows.gathered.is_empty() && self.is_linear(&rows.at)
    }

    /// Whether an offset grows by the same amount from row to row.
    pub(super) fn is_linear(&self, at: &Affine) -> bool {
        at.rows.iter().all(|(i, _)| self.kernel.linear == Some(*i))
    }

    unsafe fn reduce_segments(&mut self, units: Range<usize>, offsets_input: usize) {
        let kernel = self.kernel;
        let offsets = self.access.inputs[offsets_input].cast::<i32>();
        let (n_segment, n_position) = (kernel.n_segment, kernel.rows[1]);
        // SAFETY: there is one more offset than there are segments.
        let offset = |segment: usize| unsafe { *offsets.add(segment) };
        let n_outer = kernel.n_outer();
        for unit in units {
            let segments = unit * SEGMENT_BLOCK..((unit + 1) * SEGMENT_BLOCK).min(n_segment);
            let sorted = segments.clone().all(|s| offset(s) <= offset(s + 1));
            let inside = offset(segments.start) >= 0 && offset(segments.end) as i64 <= n_position as i64;
            if !sorted || !inside {
                self.failed =
                    Some(OutOfBounds { position: offset(segments.end).into(), extent: n_position as i64 + 1 });
                return;
            }
            let (first, last) = (offset(segments.start) as usize, offset(segments.end) as usize);
            for point in 0..n_outer {
                self.set_outer(point);
                let (before, inner) = (point / kernel.n_inner, point % kernel.n_inner);
                let place = |segment: usize, size: usize, out: *mut u8| {
                    let row = (before * n_segment + segment) * kernel.n_inner + inner;
                    out.wrapping_add(row * kernel.lanes * size)
                };
                // SAFETY: as for `TileKernel::run`; each unit owns its segments' rows of the outputs.
                unsafe {
                    for (output, out) in kernel.outputs.iter().zip(self.access.outputs) {
                        let Some((_, _, identity)) = output.combine else { continue };
                        if n_outer == 1 {
                            fill(place(segments.start, output.size, *out), identity, kernel.lanes * segments.len());
                        } else {
                            segments.clone().for_each(|s| fill(place(s, output.size, *out), identity, kernel.lanes));
                        }
                    }
                    let mut start = first;
                    let mut segment = segments.start;
                    while start < last {
                        let mut end = last.min(start + kernel.tile_rows);
                        if end < last {
                            // The segment that the end of the tile would cut is cut where a block of its sum ends.
                            let mut cut = segment;
                            while offset(cut + 1) as usize <= end {
                                cut += 1;
                            }
                            end -= (end - (offset(cut) as usize).min(end)) % BLOCK;
                        }
                        let tile = Tile { rows: end - start, start };
                        let mut s = segment;
                        let named = if kernel.reads_coordinates { tile.rows } else { 0 };
                        for r in 0..named {
                            while offset(s + 1) as usize <= start + r {
                                s += 1;
                            }
                            self.scratch.coordinates[0][r] = s as i64;
                        }
                        self.body(&tile);
                        let mut r = 0;
                        while r < tile.rows {
                            while offset(segment + 1) as usize <= start + r {
                                segment += 1;
                            }
                            let run = (offset(segment + 1) as usize - start).min(tile.rows) - r;
                            let before = (start + r - offset(segment) as usize) / BLOCK;
                            let is_last = offset(segment + 1) as usize <= start + r + run;
                            for (k, (output, out)) in kernel.outputs.iter().zip(self.access.outputs).enumerate() {
                                let into = place(segment, output.size, *out);
                                let into = if is_last { into } else { std::ptr::null_mut() };
                                self.combine_rows(k, &tile, r..r + run, (before, into));
                            }
                            r += run;
                        }
                        start += tile.rows;
                    }
                }
            }
        }
    }
}
