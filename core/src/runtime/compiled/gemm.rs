//! Large dense products, through the crates of `gemm`.
//!
//! The work is cut into blocks of the result, and, if these are few, into parts of the sums: by the sizes, never by the
//! number of threads. Parts are added in their order. So the number of threads changes no bit.

use crate::aval::{DType, Dim, Sizes};
use crate::kernel::{Axis, Kernel, Product};
use crate::runtime::compiled::copied::Copied;
use crate::runtime::compiled::multiply::{Matrix, Multiplied, Update, multiply};
use crate::runtime::compiled::totals;
use std::fmt;
use std::ops::AddAssign;
use std::ops::Range;

/// About how many pieces work is cut into, if they are large enough.
const UNITS: usize = 16;
/// About the least number of rows and columns of a block: both operands are packed for each block, and packing columns
/// costs more.
const MIN_BLOCK: [usize; 2] = [256, 128];
/// A block's rows and columns are multiples of these, if there are several blocks: those of the register blocks of
/// `gemm`.
const STEP: [usize; 2] = [8, 16];
/// The least number of terms in a part of the sums, if blocks are too few.
const MIN_TERMS: usize = 1024;
/// The number of elements of a result that are combined at a time, if there are parts.
const COMBINED: usize = 8192;

/// The terms of longer sums are taken in pieces of this many.
const PIECE: usize = 1 << 15;

/// The most terms of operands that are copied, and about how many elements of a copy are made at a time: with fewer, the
/// other operand is packed more often.
const COPY_TERMS: usize = 1024;
const COPY: usize = 1 << 18;

/// A loop of known size: the number of iterations, and how many elements an iteration moves in both operands and the
/// result.
#[derive(Clone, Copy, Debug)]
struct SizedLoop {
    extent: usize,
    strides: [isize; 3],
}

impl SizedLoop {
    fn new(axis: &Axis, sizes: &Sizes) -> Option<SizedLoop> {
        let number = |dim: &Dim| dim.at(sizes).as_number();
        let [x, y, out] = axis.strides.each_ref().map(|stride| number(stride).map(|stride| stride as isize));
        Some(SizedLoop { extent: axis.extent.at(sizes).as_usize()?, strides: [x?, y?, out?] })
    }
}

/// A step that runs as a product, for given sizes.
#[derive(Debug)]
pub(in crate::runtime) struct ProductWork {
    dtype: DType,
    /// Inputs of the kernel by number, and the element of each at which all loops start.
    operands: [(usize, usize); 2],
    batch: Vec<SizedLoop>,
    rows: SizedLoop,
    columns: SizedLoop,
    terms: SizedLoop,
    /// Operands that are no matrices, with the number of elements of each array.
    copied: [Option<(Copied, usize)>; 2],
    /// Rows and columns of a block.
    block: [usize; 2],
    /// The number of blocks down and across.
    n_block: [usize; 2],
    /// The number of terms in a part of the sums, and the number of parts: the first is stored in the result, the
    /// others in the memory for partial results. Only a product without batch loops is cut this way.
    part: usize,
    n_part: usize,
}

impl ProductWork {
    /// A kernel that is a large product for these sizes.
    pub(in crate::runtime) fn new(kernel: &Kernel, sizes: &Sizes) -> Option<ProductWork> {
        let product = Product::of(kernel).filter(|product| product.is_large_at(sizes))?;
        let sized = |axis| SizedLoop::new(axis, sizes);
        let (rows, columns, terms) = (sized(&product.rows)?, sized(&product.columns)?, sized(&product.terms)?);
        let batch = product.batch.iter().map(sized).collect::<Option<Vec<_>>>()?;
        let [x, y] = product.starts.map(|start| start.at(sizes).as_usize());
        let n_batch: usize = batch.iter().map(|axis| axis.extent).product();
        let across = (columns.extent / MIN_BLOCK[1]).clamp(1, UNITS);
        let down = (rows.extent / MIN_BLOCK[0]).clamp(1, UNITS.div_ceil(across * n_batch));
        let cut = |extent: usize, pieces: usize, step: usize| extent.div_ceil(pieces).next_multiple_of(step);
        let block = [cut(rows.extent, down, STEP[0]), cut(columns.extent, across, STEP[1])];
        let n_block = [rows.extent.div_ceil(block[0]), columns.extent.div_ceil(block[1])];
        // Long sums of few elements are cut, too.
        let n = n_block[0] * n_block[1];
        let parts = if batch.is_empty() && n < UNITS / 2 { (terms.extent / MIN_TERMS).clamp(1, UNITS / n) } else { 1 };
        let part = cut(terms.extent, parts, STEP[1]);
        let n_part = terms.extent.div_ceil(part);
        let operands = [(product.operands[0], x?), (product.operands[1], y?)];
        let copy = |i: usize| match &product.windows[i] {
            None => Some(None),
            Some(loops) => {
                let n = kernel.inputs[operands[i].0].1.at(sizes).volume().as_usize()?;
                Some(Some((Copied::new(loops, sizes)?, n)))
            }
        };
        let copied = [copy(0)?, copy(1)?];
        let dtype = product.dtype;
        Some(ProductWork { dtype, operands, batch, rows, columns, terms, copied, block, n_block, part, n_part })
    }

    /// The number of blocks and of their parts.
    pub(in crate::runtime) fn n_unit(&self) -> usize {
        self.batch.iter().map(|axis| axis.extent).product::<usize>() * self.n_part * self.n_block[0] * self.n_block[1]
    }

    /// Elements of the result, if there are no batch loops.
    fn n_element(&self) -> usize {
        self.rows.extent * self.columns.extent
    }

    /// Bytes for parts of the sums.
    pub(in crate::runtime) fn partial_bytes(&self) -> usize {
        let pieces = if self.has_pieces() { 2 * self.block[0] * self.block[1] * self.n_unit() } else { 0 };
        self.parts_bytes() + pieces * self.dtype.size()
    }

    /// Bytes of all parts of the sums except the first.
    pub(in crate::runtime) fn parts_bytes(&self) -> usize {
        (self.n_part - 1) * self.n_element() * self.dtype.size()
    }

    /// Whether the terms of a block are taken in pieces. After the parts of the sums each unit then has memory for two
    /// blocks: the result of a piece, and the rounding errors of its sums.
    fn has_pieces(&self) -> bool {
        self.part > 2 * PIECE
    }

    /// The number of pieces into which the result is cut for combining the parts of sums; `None` if there are no parts.
    pub(in crate::runtime) fn n_combined(&self) -> usize {
        if self.n_part > 1 { self.n_element().div_ceil(COMBINED) } else { 0 }
    }

    /// Runs a unit.
    ///
    /// # Safety
    /// The arrays must be those of a kernel and sizes that this was made for; no other thread may run the same unit.
    pub(in crate::runtime) unsafe fn run(&self, arrays: &Arrays<'_>, unit: usize) {
        // SAFETY: by this function's contract.
        unsafe {
            match self.dtype {
                DType::F32 => self.run_as::<f32>(arrays, unit),
                DType::F64 => self.run_as::<f64>(arrays, unit),
                other => unreachable!("there are no products of {other}"),
            }
        }
    }

    /// # Safety
    /// As [`Self::run`]; `T` must be the element type.
    unsafe fn run_as<T: Multiplied>(&self, arrays: &Arrays<'_>, unit: usize) {
        let [down, across] = self.n_block;
        let piece = |size: usize, at: usize, extent: usize| size * at..(size * (at + 1)).min(extent);
        let (rest, column) = (unit / across, unit % across);
        let (rest, row) = (rest / down, rest % down);
        let (batch, part) = (rest / self.n_part, rest % self.n_part);
        let block = Block {
            unit,
            batch,
            part,
            rows: piece(self.block[0], row, self.rows.extent),
            columns: piece(self.block[1], column, self.columns.extent),
            terms: piece(self.part, part, self.terms.extent),
        };
        // SAFETY: by this function's contract; units share no element of a result or of a part.
        unsafe { self.run_block::<T>(arrays, block) }
    }

    /// # Safety
    /// As [`Self::run_as`]; no other thread may have the block.
    unsafe fn run_block<T: Multiplied>(&self, arrays: &Arrays<'_>, block: Block) {
        let mut at = [0; 3];
        let mut go = |axis: &SizedLoop, n: usize| (0..3).for_each(|i| at[i] += axis.strides[i] * n as isize);
        let mut batch = block.batch;
        for axis in self.batch.iter().rev() {
            go(axis, batch % axis.extent);
            batch /= axis.extent;
        }
        go(&self.rows, block.rows.start);
        go(&self.columns, block.columns.start);
        go(&self.terms, block.terms.start);
        let operand = |i: usize| {
            let (input, start) = self.operands[i];
            arrays.inputs[input].cast::<T>().wrapping_add(start).wrapping_offset(at[i])
        };
        let out = match block.part.checked_sub(1) {
            None => arrays.out.cast::<T>(),
            Some(part) => arrays.partials.cast::<T>().wrapping_add(part * self.n_element()),
        };
        let out = out.wrapping_offset(at[2]);
        let ([x_row, _, out_row], [_, y_column, out_column]) = (self.rows.strides, self.columns.strides);
        let [x_term, y_term, _] = self.terms.strides;
        let (m, n, k) = (block.rows.len(), block.columns.len(), block.terms.len());
        let mut copies = [vec![], vec![]];
        let firsts = [[block.rows.start, block.terms.start], [block.terms.start, block.columns.start]];
        let steps = [[x_row, x_term], [y_term, y_column]];
        let [x_copy, y_copy] = &mut copies;
        // The product of the terms from `first` on.
        let mut multiply = |out: *mut T, [out_row, out_column]: [isize; 2], first: usize, k: usize| {
            let is_copied = self.copied.iter().any(Option::is_some);
            let (most_rows, most_terms) = if is_copied { copy_block(k) } else { (m.max(1), k.max(1)) };
            for terms in pieces(first..first + k, most_terms) {
                // SAFETY: every position is one that the kernel's loops come to, within its arrays, which have as many
                // elements as their types say; a part is as large as the result, and what a piece contributes has the room
                // of a block. Operands are read only, and a copy stays until it is read.
                unsafe {
                    let matrix = |i: usize, [down, across]: [&Range<usize>; 2], copy: &mut Vec<T>| {
                        let Some((copied, n)) = &self.copied[i] else {
                            let skipped = down.start as isize * steps[i][0] + across.start as isize * steps[i][1];
                            let start = operand(i).wrapping_offset(skipped).cast_mut();
                            return Matrix { start, down: steps[i][0], across: steps[i][1] };
                        };
                        let (input, start) = self.operands[i];
                        let all = std::slice::from_raw_parts(arrays.inputs[input].cast::<T>(), *n);
                        let from = &all[start.wrapping_add_signed(at[i])..];
                        let all_of = |range: &Range<usize>, by: usize| range.start + by..range.end + by;
                        let ranges = [all_of(down, firsts[i][0]), all_of(across, firsts[i][1])];
                        let [down, across] = copied.copy(from, ranges, copy);
                        Matrix { start: copy.as_mut_ptr(), down, across }
                    };
                    let y = matrix(1, [&terms, &(0..n)], y_copy);
                    for rows in pieces(0..m, most_rows) {
                        let x = matrix(0, [&rows, &terms], x_copy);
                        let start = out.wrapping_offset(rows.start as isize * out_row);
                        let out = Matrix { start, down: out_row, across: out_column };
                        let update = if terms.start > first { Update::Add } else { Update::Write };
                        multiply([rows.len(), n, terms.len()], out, [x, y], update);
                    }
                }
            }
        };
        if !self.has_pieces() {
            return multiply(out, [out_row, out_column], 0, k);
        }
        multiply(out, [out_row, out_column], 0, k.min(PIECE));
        let offset = (self.n_part - 1) * self.n_element() + 2 * self.block[0] * self.block[1] * block.unit;
        let piece = arrays.partials.cast::<T>().wrapping_add(offset);
        let lacks = piece.wrapping_add(m * n);
        for first in (0..k).step_by(PIECE) {
            if first > 0 {
                multiply(piece, [n as isize, 1], first, PIECE.min(k - first));
            }
            for i in 0..m * n {
                let at = (i / n) as isize * out_row + (i % n) as isize * out_column;
                // SAFETY: the block's own elements of the result, and the unit's own memory.
                let (sum, lacks, part) = unsafe { (&mut *out.offset(at), &mut *lacks.add(i), *piece.add(i)) };
                match first {
                    0 => *lacks = T::ZERO,
                    _ => totals::add(sum, lacks, part),
                }
            }
        }
    }

    /// Adds up the sums of a piece of the result, part by part.
    ///
    /// # Safety
    /// As [`Self::run`]; all units have run, and no other thread may have the piece.
    pub(in crate::runtime) unsafe fn combine(&self, arrays: &Arrays<'_>, piece: usize) {
        // SAFETY: by this function's contract.
        unsafe {
            match self.dtype {
                DType::F32 => self.combine_as::<f32>(arrays, piece),
                DType::F64 => self.combine_as::<f64>(arrays, piece),
                other => unreachable!("there are no products of {other}"),
            }
        }
    }

    /// # Safety
    /// As [`Self::combine`]; `T` must be the element type.
    unsafe fn combine_as<T: Copy + AddAssign>(&self, arrays: &Arrays<'_>, piece: usize) {
        let start = piece * COMBINED;
        let n = COMBINED.min(self.n_element() - start);
        for part in 0..self.n_part - 1 {
            let from = arrays.partials.cast_const().cast::<T>().wrapping_add(part * self.n_element() + start);
            let into = arrays.out.cast::<T>().wrapping_add(start);
            // SAFETY: by this function's contract; pieces of the result are disjoint.
            let (into, from) =
                unsafe { (std::slice::from_raw_parts_mut(into, n), std::slice::from_raw_parts(from, n)) };
            into.iter_mut().zip(from).for_each(|(sum, part)| *sum += *part);
        }
    }
}

/// The number of rows and of terms that are copied at a time, of `k` terms.
fn copy_block(k: usize) -> (usize, usize) {
    let terms = k.div_ceil(k.div_ceil(COPY_TERMS).max(1)).max(1);
    ((COPY / terms).next_multiple_of(STEP[0]), terms)
}

/// A range cut into pieces of at most `most`; an empty one is one piece, as the sum of no terms is stored, too.
fn pieces(range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let (start, end) = (range.start, range.end);
    (0..(end - start).div_ceil(most).max(1)).map(move |i| start + i * most..(start + (i + 1) * most).min(end))
}

/// Where the arrays of a product are.
pub(in crate::runtime) struct Arrays<'a> {
    /// The kernel's inputs.
    pub(in crate::runtime) inputs: &'a [*const u8],
    pub(in crate::runtime) out: *mut u8,
    /// The memory for partial results.
    pub(in crate::runtime) partials: *mut u8,
}

/// A piece of the work.
struct Block {
    unit: usize,
    /// The iterations of all batch loops, counted as one loop.
    batch: usize,
    part: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    terms: Range<usize>,
}

impl fmt::Display for ProductWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rows, columns, terms] = [&self.rows, &self.columns, &self.terms].map(|axis| axis.extent);
        write!(f, "product {rows} x {columns} over {terms}, {} units of work", self.n_unit())
    }
}
