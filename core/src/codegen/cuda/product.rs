//! Large dense products: blocks of both operands go through shared memory, and each thread computes a small block of
//! the result in registers.
//!
//! Every sum adds its terms in their order, one after the other, so the size of blocks changes no bit. A long sum goes
//! in rounds, and the rounding error of adding a round to the total is carried along to the next. If the result has few
//! blocks, parts of the terms are separate units, which a second function adds.

use super::draft::Draft;
use super::function::{Name, Written};
use super::launch::{Param, Parts, Pieces, ThreadGroup, When, Work};
use super::prelude::Helper;
use super::reduce::fold;
use super::text::{literal, type_name};
use crate::aval::{DType, Dim};
use crate::ir::ReduceOp;
use crate::kernel::{Axis, Kernel, Product};

/// Threads of a block: 16 by 16.
const THREADS: usize = 256;
/// Threads of a block down and across.
const SIDE: usize = 16;
/// The most rows and columns of each thread.
const MICRO: usize = 4;
/// Terms in shared memory at a time.
const DEPTH: usize = 16;
/// A sum of more terms goes in rounds.
const LONG: usize = 2048;
/// Terms of a round.
const ROUND: usize = 8 * DEPTH;
/// The least number of terms in a part.
const PART_TERMS: usize = 256;
/// This many blocks are enough for a device: no more parts are made.
const ENOUGH_BLOCKS: usize = 256;

/// The kernel as a product, if it is one and may be large enough to gain from shared memory.
pub(super) fn recognised(kernel: &Kernel) -> Option<Product> {
    Product::of_matrices(kernel).filter(Product::may_be_large)
}

/// Writes a kernel that is a product.
pub(super) fn write(kernel: &Kernel, product: &Product, name: &Name) -> Written {
    let parts = parts(product);
    let mut writer = Writer { draft: Draft::new(kernel, name.width), kernel, product, is_parted: parts.is_some() };
    writer.write();
    let results = if parts.is_some() { Param::Scratch(0) } else { Param::Output(0) };
    let arrays = (0..kernel.inputs.len()).map(Param::Input).chain([results]).collect();
    let work = Work {
        team: ThreadGroup::Block(THREADS as u32),
        units: units(product),
        is_parted: parts.is_some(),
        when: When::Always,
    };
    let main = name.function(&writer.draft, arrays, work);
    let fold = parts.is_some().then(|| fold(kernel, ReduceOp::Sum, name));
    Written { functions: [main].into_iter().chain(fold).collect(), parts }
}

/// The number of rows or columns of each thread.
fn micro(axis: &Axis) -> usize {
    let n = axis.extent.as_usize().unwrap_or(usize::MAX).div_ceil(SIDE);
    if n < MICRO { n.next_power_of_two() } else { MICRO }
}

/// The blocks of the result.
fn units(product: &Product) -> Vec<Pieces> {
    let block = |axis: &Axis| Pieces { extent: axis.extent.clone(), of: SIDE * micro(axis) };
    let batch = product.batch.iter().map(|axis| Pieces { extent: axis.extent.clone(), of: 1 });
    batch.chain([block(&product.rows), block(&product.columns)]).collect()
}

fn parts(product: &Product) -> Option<Parts> {
    let terms = product.terms.extent.clone();
    let is_long = terms.as_usize().is_none_or(|terms| terms >= 2 * PART_TERMS);
    is_long.then(|| Parts { terms, least: PART_TERMS, step: DEPTH, units: units(product), most: ENOUGH_BLOCKS })
}

/// One of the two operands: its block in shared memory.
struct Operand<'a> {
    /// The name of the block, and of the pointer to the operand's start.
    name: &'static str,
    /// Which of the product's operands it is.
    number: usize,
    /// Its rows or columns.
    axis: &'a Axis,
    /// The name of one row or column.
    one: &'static str,
}

struct Writer<'k> {
    draft: Draft<'k>,
    kernel: &'k Kernel,
    product: &'k Product,
    is_parted: bool,
}

impl<'k> Writer<'k> {
    fn write(&mut self) {
        let product = self.product;
        let x = Operand { name: "x", number: 0, axis: &product.rows, one: "row" };
        let y = Operand { name: "y", number: 1, axis: &product.columns, one: "column" };
        let element = type_name(product.dtype);
        for operand in [&x, &y] {
            let n = SIDE * micro(operand.axis);
            // One more, so that neither rows nor columns of the block share a bank.
            self.draft.line(format!("__shared__ {element} {}_block[{DEPTH}][{n} + 1];", operand.name));
        }
        self.declare_block();
        let sums = [micro(&product.rows), micro(&product.columns)];
        let is_long = product.terms.extent.as_usize().is_none_or(|terms| terms > LONG);
        let names = if is_long { &["sums", "totals", "lacks"][..] } else { &["sums"] };
        for name in names {
            self.draft.line(format!("{element} {name}[{}][{}] = {{}};", sums[0], sums[1]));
        }
        let (begin, end) = self.term_range();
        self.draft.open(format!("for ({} first = {begin}; first < {end}; first += {DEPTH})", self.draft.int()));
        self.fill(&x, &end);
        self.fill(&y, &end);
        self.draft.line("__syncthreads();");
        self.multiply(sums);
        self.draft.line("__syncthreads();");
        if is_long {
            self.draft.open(format!("if ((first - {begin}) % {ROUND} == {})", ROUND - DEPTH));
            self.end_round(sums);
            self.draft.close();
        }
        self.draft.close();
        if is_long {
            self.end_round(sums);
        }
        self.store(sums, if is_long { "totals" } else { "sums" });
    }

    /// Adds the sums of a round to the totals, and resets them.
    fn end_round(&mut self, [rows, columns]: [usize; 2]) {
        let draft = &mut self.draft;
        draft.uses(Helper::AddPart);
        draft.line("#pragma unroll");
        draft.open(format!("for (int i = 0; i < {rows}; ++i)"));
        draft.line("#pragma unroll");
        draft.open(format!("for (int j = 0; j < {columns}; ++j)"));
        draft.line("add_part(totals[i][j], lacks[i][j], sums[i][j] + lacks[i][j]);");
        draft.line("sums[i][j] = 0;");
        (0..2).for_each(|_| draft.close());
    }

    /// Declares the current block of the result, and where its operands and its elements start.
    fn declare_block(&mut self) {
        let (product, int) = (self.product, self.draft.int());
        let mut rest = "blockIdx.x".to_string();
        let mut places = vec![];
        for (name, axis) in [("first_column", &product.columns), ("first_row", &product.rows)] {
            let block = SIDE * micro(axis);
            let n = self.n_block(&axis.extent, block);
            if n == "1" {
                places.push(format!("const {int} {name} = 0;"));
                continue;
            }
            places.push(format!("const {int} {name} = ({int})({rest} % {n}) * {block};"));
            rest = format!("{rest} / {n}");
        }
        for (i, axis) in product.batch.iter().enumerate().rev() {
            let n = self.draft.factor(&axis.extent);
            places.push(format!("const {int} batch{i} = {rest} % {n};"));
            rest = format!("{rest} / {n}");
        }
        if self.is_parted {
            places.push(format!("const {int} part = {rest};"));
        }
        places.into_iter().for_each(|line| self.draft.line(line));
        for (i, name) in ["x", "y"].into_iter().enumerate() {
            let input = &self.kernel.inputs[product.operands[i]].0.0;
            let start = self.start(i, &product.starts[i]);
            let element = type_name(product.dtype);
            self.draft.line(format!("const {element}* const {name} = v{input}{start};"));
        }
    }

    /// The number of blocks in an extent, as a divisor.
    fn n_block(&mut self, extent: &Dim, block: usize) -> String {
        match extent.as_usize() {
            Some(extent) => extent.div_ceil(block).max(1).to_string(),
            None => format!("(({} + {}) / {block})", self.draft.dim(extent), block - 1),
        }
    }

    /// The offset of an array's first element in this iteration of the batch loops.
    fn start(&mut self, array: usize, constant: &Dim) -> String {
        let mut sum = String::new();
        if *constant != 0usize {
            sum = format!(" + {}", self.draft.factor(constant));
        }
        for (i, axis) in self.product.batch.iter().enumerate() {
            if axis.strides[array] != 0usize {
                sum.push_str(&format!(" + {}", self.draft.times(&format!("batch{i}"), &axis.strides[array])));
            }
        }
        sum
    }

    fn term_range(&mut self) -> (String, String) {
        let int = self.draft.int();
        let terms = self.draft.dim(&self.product.terms.extent);
        if !self.is_parted {
            return ("0".into(), terms);
        }
        let length = self.draft.part_length();
        let terms = self.draft.same_type(&terms);
        self.draft.line(format!("const {int} begin = part * {length};"));
        self.draft.line(format!("const {int} end = min(begin + {length}, {terms});"));
        ("begin".into(), "end".into())
    }

    /// Copies a block of an operand to shared memory, padded with zeros. Neighbouring threads read neighbouring
    /// elements.
    fn fill(&mut self, operand: &Operand<'_>, end: &str) {
        let Operand { name, number, axis, one } = *operand;
        let (stride, term_stride) = (&axis.strides[number], &self.product.terms.strides[number]);
        let n = SIDE * micro(axis);
        let (int, draft) = (self.draft.int(), &mut self.draft);
        draft.line("#pragma unroll");
        draft.open(format!("for (int i = threadIdx.x; i < {}; i += {THREADS})", DEPTH * n));
        let (term, own) = if *term_stride == 1usize {
            (format!("i % {DEPTH}"), format!("i / {DEPTH}"))
        } else {
            (format!("i / {n}"), format!("i % {n}"))
        };
        draft.line(format!("const {int} {one} = first_{one} + {own}, term = first + {term};"));
        let extent = draft.dim(&axis.extent);
        let [a, b] = [(one, stride), ("term", term_stride)].map(|(what, stride)| draft.times(what, stride));
        let zero = literal(crate::aval::Literal::from_f64(self.product.dtype, 0.0));
        draft.line(format!("const bool is_inside = {one} < {extent} && term < {end};"));
        draft.line(format!("{name}_block[{term}][{own}] = is_inside ? {name}[{a} + {b}] : {zero};"));
        draft.close();
    }

    /// Multiplies the blocks.
    fn multiply(&mut self, [rows, columns]: [usize; 2]) {
        let fma = if self.product.dtype == DType::F32 { "fmaf" } else { "fma" };
        let draft = &mut self.draft;
        draft.line("#pragma unroll");
        draft.open(format!("for (int term = 0; term < {DEPTH}; ++term)"));
        draft.line("#pragma unroll");
        draft.open(format!("for (int i = 0; i < {rows}; ++i)"));
        draft.line("#pragma unroll");
        draft.open(format!("for (int j = 0; j < {columns}; ++j)"));
        draft.line(format!(
            "const {} a = x_block[term][threadIdx.x / {SIDE} + i * {SIDE}];",
            type_name(self.product.dtype)
        ));
        draft.line(format!(
            "const {} b = y_block[term][threadIdx.x % {SIDE} + j * {SIDE}];",
            type_name(self.product.dtype)
        ));
        draft.line(format!("sums[i][j] = {fma}(a, b, sums[i][j]);"));
        (0..3).for_each(|_| draft.close());
    }

    /// Stores those sums of each thread, under this name, that are within the result.
    fn store(&mut self, [rows, columns]: [usize; 2], sums: &str) {
        let product = self.product;
        let mut start = self.start(2, &Dim::from(0));
        let array = if self.is_parted {
            let volume = self.kernel.outputs[0].1.volume();
            start.push_str(&format!(" + {}", self.draft.times("part", &volume)));
            "parts0".to_string()
        } else {
            format!("v{}", self.kernel.outputs[0].0.0)
        };
        let draft = &mut self.draft;
        let int = draft.int();
        draft.line("#pragma unroll");
        draft.open(format!("for (int i = 0; i < {rows}; ++i)"));
        draft.line("#pragma unroll");
        draft.open(format!("for (int j = 0; j < {columns}; ++j)"));
        draft.line(format!("const {int} row = first_row + threadIdx.x / {SIDE} + i * {SIDE};"));
        draft.line(format!("const {int} column = first_column + threadIdx.x % {SIDE} + j * {SIDE};"));
        let [extent_row, extent_column] =
            [&product.rows.extent, &product.columns.extent].map(|extent| draft.dim(extent));
        let row = draft.times("row", &product.rows.strides[2]);
        let column = draft.times("column", &product.columns.strides[2]);
        draft.line(format!("if (row < {extent_row} && column < {extent_column}) {{"));
        draft.line(format!("    {array}[{row} + {column}{start}] = {sums}[i][j];"));
        draft.line("}");
        (0..2).for_each(|_| draft.close());
    }
}
