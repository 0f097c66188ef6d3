//! The operations of a tile: loads by their offsets, repeated values, and the precompiled loops.

use super::prepared::{Affine, Gathered, Lanes, Level, NONE, RowLoad, TileOp};
use super::tile::{OutOfBounds, Run, Tile, fill};

/// Runs a block for elements of this size in bytes, as `T`.
macro_rules! by_size {
    ($size:expr, $t:ident => $body:expr) => {
        match $size {
            1 => {
                type $t = u8;
                $body
            }
            2 => {
                type $t = u16;
                $body
            }
            4 => {
                type $t = u32;
                $body
            }
            _ => {
                type $t = u64;
                $body
            }
        }
    };
}

impl Run<'_> {
    /// Runs one operation for a tile.
    ///
    /// # Safety
    /// As for `TileKernel::run`; the operations before it have already run for the same tile.
    pub(super) unsafe fn execute(&mut self, op: &TileOp, tile: &Tile) {
        let lanes = self.kernel.lanes;
        let count = |level: Level| match level {
            Level::Const => 1,
            Level::Lane => lanes,
            Level::Row => tile.rows,
            Level::Full => tile.rows * lanes,
        };
        // SAFETY: every value's memory is large enough for its level; operands were computed before, by the order of
        // the operations.
        unsafe {
            match op {
                TileOp::Const { literal, out } => fill(self.pointer(*out), *literal, 1),
                TileOp::Apply { f, ins, level, out, out1 } => {
                    let null = std::ptr::null::<u8>();
                    let ins = ins.map(|v| if v == NONE { null } else { self.pointer(v).cast_const() });
                    let second = if *out1 == NONE { std::ptr::null_mut() } else { self.pointer(*out1) };
                    f(count(*level), &ins, self.pointer(*out), second);
                }
                TileOp::Expand { from, level, to, size, out } => {
                    let (from, into) = (self.pointer(*from), self.pointer(*out));
                    by_size!(*size, T => expand::<T>(from.cast(), *level, into.cast(), count(*to), lanes));
                }
                TileOp::Position { at, level, out } => {
                    let into = self.pointer(*out).cast::<i32>();
                    let n = count(*level);
                    if *level == Level::Row && self.is_linear(at) {
                        let stride = at.rows.iter().map(|(_, coef)| *coef).sum::<i64>();
                        let first = (self.fixed_offset(at) + stride * tile.start as i64) as i32;
                        // A position of the program wraps, as an `i32` does.
                        let stride = stride as i32;
                        (0..n).for_each(|i| *into.add(i) = first.wrapping_add(stride.wrapping_mul(i as i32)));
                        return;
                    }
                    self.element_offsets(at, &[], *level, tile);
                    for i in 0..n {
                        *into.add(i) = self.scratch.lane_offsets[i] as i32;
                    }
                }
                TileOp::Stage { input, size, at, rows, out } => {
                    let into = self.pointer(*out);
                    let from = self.access.inputs[*input];
                    let stride = at.rows.first().map_or(0, |(_, coef)| *coef);
                    for r in 0..*rows {
                        let row = Affine { constant: at.constant + stride * r as i64, rows: vec![], ..at.clone() };
                        self.element_offsets(&row, &[], Level::Lane, tile);
                        let offsets = &self.scratch.lane_offsets[..lanes];
                        let into = into.add(r * lanes * size);
                        by_size!(*size, T => gather::<T>(from.cast(), offsets, into.cast()));
                    }
                }
                TileOp::LoadRows { rows, width, out } => self.load_rows(rows, *width, *out, tile),
                TileOp::Load { input, size, at, gathered, level, out } => {
                    self.load(*input, *size, at, gathered, *level, *out, tile);
                }
            }
        }
    }

    /// The part of an offset that does not depend on rows or lanes.
    pub(super) fn fixed_offset(&self, at: &Affine) -> i64 {
        at.outer.iter().fold(at.constant, |sum, (i, coef)| sum + coef * self.outer[*i])
    }

    /// Writes the offsets of the tile's rows, without the part of the lanes, into `scratch.offsets`.
    pub(super) unsafe fn row_offsets(&mut self, at: &Affine, gathered: &[Gathered], tile: &Tile) {
        let fixed = self.fixed_offset(at);
        let offsets = &mut self.scratch.offsets[..tile.rows];
        offsets.fill(fixed);
        for (i, coef) in &at.rows {
            if self.kernel.linear == Some(*i) {
                offsets.iter_mut().enumerate().for_each(|(r, o)| *o += coef * (tile.start + r) as i64);
            } else {
                let coordinates = &self.scratch.coordinates[*i][..tile.rows];
                offsets.iter_mut().zip(coordinates).for_each(|(o, c)| *o += coef * c);
            }
        }
        for g in gathered {
            let ids = self.scratch.pointers[g.value as usize].cast::<i32>();
            // SAFETY: a position has one `i32` for each row, or one in all.
            let id = |r: usize| unsafe { *ids.add(if g.level == Level::Row { r } else { 0 }) } as i64;
            for (r, offset) in offsets.iter_mut().enumerate() {
                let mut position = id(r);
                if position < 0 || position >= g.extent {
                    self.failed = Some(OutOfBounds { position, extent: g.extent });
                    position = 0;
                }
                *offset += g.stride * position;
            }
        }
    }

    /// Writes the offsets of every element of a level into `scratch.lane_offsets`.
    unsafe fn element_offsets(&mut self, at: &Affine, gathered: &[Gathered], level: Level, tile: &Tile) {
        let lanes = self.kernel.lanes;
        let by_row = matches!(level, Level::Row | Level::Full);
        let by_lane = matches!(level, Level::Lane | Level::Full);
        let (rows, columns) = (if by_row { tile.rows } else { 1 }, if by_lane { lanes } else { 1 });
        // SAFETY: this function has its caller's contract.
        unsafe { self.row_offsets(at, &[], &Tile { rows, start: tile.start }) };
        for r in 0..rows {
            let base = self.scratch.offsets[r];
            let row = &mut self.scratch.lane_offsets[r * columns..(r + 1) * columns];
            match &at.lanes {
                Lanes::Same => row.fill(base),
                Lanes::Contiguous => row.iter_mut().enumerate().for_each(|(l, o)| *o = base + l as i64),
                Lanes::Repeat { group, stride } => {
                    row.iter_mut().enumerate().for_each(|(l, o)| *o = base + (l / group) as i64 * stride);
                }
                Lanes::Table(table) => row.iter_mut().zip(table).for_each(|(o, t)| *o = base + t),
            }
        }
        for g in gathered {
            let ids = self.scratch.pointers[g.value as usize].cast::<i32>();
            for r in 0..rows {
                for l in 0..columns {
                    let i = match g.level {
                        Level::Const => 0,
                        Level::Lane => l,
                        Level::Row => r,
                        Level::Full => r * columns + l,
                    };
                    // SAFETY: a position has one `i32` for each point of its level.
                    let mut position = unsafe { *ids.add(i) } as i64;
                    if position < 0 || position >= g.extent {
                        self.failed = Some(OutOfBounds { position, extent: g.extent });
                        position = 0;
                    }
                    self.scratch.lane_offsets[r * columns + l] += g.stride * position;
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one operation")]
    unsafe fn load(
        &mut self,
        input: usize,
        size: usize,
        at: &Affine,
        gathered: &[Gathered],
        level: Level,
        out: u32,
        tile: &Tile,
    ) {
        let lanes = self.kernel.lanes;
        let from = self.access.inputs[input];
        let into = kernel_place(self, out);
        let one_loop = gathered.is_empty() && self.is_linear(at);
        let row_coef = at.rows.first().map_or(0, |(_, coef)| *coef);
        // SAFETY: offsets lie within the input: affine ones by the types, computed ones by the checks above.
        unsafe {
            let straight = match level {
                Level::Lane => at.lanes == Lanes::Contiguous && gathered.is_empty(),
                Level::Row => one_loop && row_coef == 1,
                Level::Full => one_loop && row_coef == lanes as i64 && at.lanes == Lanes::Contiguous,
                Level::Const => false,
            };
            if straight {
                let first = self.fixed_offset(at) + row_coef * tile.start as i64;
                self.scratch.pointers[out as usize] = from.offset(first as isize * size as isize).cast_mut();
                return;
            }
            self.scratch.pointers[out as usize] = into;
            if gathered.iter().any(|g| g.extent == 0) {
                // The load precedes a loop without iterations: there is nothing to read, and nobody reads the result.
                let n = if level <= Level::Lane { lanes } else { lanes * tile.rows };
                std::ptr::write_bytes(into, 0, n * size);
                return;
            }
            if gathered.iter().any(|g| matches!(g.level, Level::Lane | Level::Full)) || level <= Level::Lane {
                self.element_offsets(at, gathered, level, tile);
                let n = match level {
                    Level::Const => 1,
                    Level::Lane => lanes,
                    Level::Row => tile.rows,
                    Level::Full => tile.rows * lanes,
                };
                let offsets = &self.scratch.lane_offsets[..n];
                by_size!(size, T => gather::<T>(from.cast(), offsets, into.cast()));
                return;
            }
            self.row_offsets(at, gathered, tile);
            let offsets = &self.scratch.offsets[..tile.rows];
            by_size!(size, T => match (level, &at.lanes) {
                (Level::Full, Lanes::Contiguous) => {
                    match lanes {
                        8 => copy_rows::<T, 8>(from.cast(), offsets, into.cast()),
                        16 => copy_rows::<T, 16>(from.cast(), offsets, into.cast()),
                        64 => copy_rows::<T, 64>(from.cast(), offsets, into.cast()),
                        _ => for (r, offset) in offsets.iter().enumerate() {
                            let row = from.cast::<T>().offset(*offset as isize);
                            std::ptr::copy_nonoverlapping(row, into.cast::<T>().add(r * lanes), lanes);
                        },
                    }
                }
                (Level::Full, Lanes::Repeat { group, stride }) => {
                    for (r, offset) in offsets.iter().enumerate() {
                        let row = from.cast::<T>().offset(*offset as isize);
                        repeat::<T>(row, *group, *stride, into.cast::<T>().add(r * lanes), lanes / group);
                    }
                }
                (Level::Full, Lanes::Table(table)) => {
                    for (r, offset) in offsets.iter().enumerate() {
                        let row = from.cast::<T>().offset(*offset as isize);
                        gather::<T>(row, table, into.cast::<T>().add(r * lanes));
                    }
                }
                _ => gather::<T>(from.cast(), offsets, into.cast()),
            });
        }
    }

    /// Loads `width` neighbours for each row.
    unsafe fn load_rows(&mut self, rows: &RowLoad, width: usize, out: u32, tile: &Tile) {
        let from = self.access.inputs[rows.input];
        let stride = rows.at.rows.first().map_or(0, |(_, coef)| *coef);
        // SAFETY: offsets lie within the input: affine ones by the types, computed ones by the checks of `row_offsets`.
        unsafe {
            if self.is_strided(rows) && stride == width as i64 {
                let first = self.fixed_offset(&rows.at) + stride * tile.start as i64;
                self.scratch.pointers[out as usize] = from.offset(first as isize * rows.size as isize).cast_mut();
                return;
            }
            let into = kernel_place(self, out);
            self.scratch.pointers[out as usize] = into;
            self.row_offsets(&rows.at, &rows.gathered, tile);
            let offsets = &self.scratch.offsets[..tile.rows];
            by_size!(rows.size, T => match width {
                1 => gather::<T>(from.cast(), offsets, into.cast()),
                8 => copy_rows::<T, 8>(from.cast(), offsets, into.cast()),
                _ => for (r, offset) in offsets.iter().enumerate() {
                    let row = from.cast::<T>().offset(*offset as isize);
                    std::ptr::copy_nonoverlapping(row, into.cast::<T>().add(r * width), width);
                },
            });
        }
    }
}

/// The address of a value's own memory, whatever it points to now.
fn kernel_place(run: &mut Run<'_>, value: u32) -> *mut u8 {
    run.scratch.memory.as_mut_ptr().cast::<u8>().wrapping_add(run.kernel.places[value as usize])
}

/// Copies rows of `N` elements: a fixed length needs no call.
#[inline(always)]
unsafe fn copy_rows<T: Copy, const N: usize>(from: *const T, offsets: &[i64], into: *mut T) {
    for (r, offset) in offsets.iter().enumerate() {
        // SAFETY: the caller provides `N` elements at each offset, and memory for the same number of rows.
        unsafe {
            let row = from.offset(*offset as isize).cast::<[T; N]>().read_unaligned();
            into.add(r * N).cast::<[T; N]>().write_unaligned(row);
        }
    }
}

#[inline(always)]
unsafe fn gather<T: Copy>(from: *const T, offsets: &[i64], into: *mut T) {
    for (i, offset) in offsets.iter().enumerate() {
        // SAFETY: the caller has checked the offsets, and provides memory for the same number of elements.
        unsafe { *into.add(i) = *from.offset(*offset as isize) };
    }
}

/// Repeats each of `n` elements, `stride` apart, `group` times.
#[inline(always)]
unsafe fn repeat<T: Copy>(from: *const T, group: usize, stride: i64, into: *mut T, n: usize) {
    // SAFETY: the caller provides `n` elements, and memory for `n·group`.
    unsafe {
        for i in 0..n {
            let x = *from.offset(i as isize * stride as isize);
            let into = into.add(i * group);
            if group == 8 {
                into.cast::<[T; 8]>().write_unaligned([x; 8]);
            } else {
                (0..group).for_each(|j| *into.add(j) = x);
            }
        }
    }
}

/// Repeats a value of a lower level: `n` elements of the higher one.
#[inline(always)]
unsafe fn expand<T: Copy>(from: *const T, level: Level, into: *mut T, n: usize, lanes: usize) {
    // SAFETY: the caller provides memory for `n` elements, and a value of `level`.
    unsafe {
        match level {
            Level::Const => {
                let x = *from;
                (0..n).for_each(|i| *into.add(i) = x);
            }
            Level::Lane => {
                for r in 0..n / lanes {
                    std::ptr::copy_nonoverlapping(from, into.add(r * lanes), lanes);
                }
            }
            Level::Row => {
                for r in 0..n / lanes {
                    let x = *from.add(r);
                    let row = into.add(r * lanes);
                    (0..lanes).for_each(|l| *row.add(l) = x);
                }
            }
            Level::Full => std::ptr::copy_nonoverlapping(from, into, n),
        }
    }
}
