//! How functions are launched: their parameters, and how many blocks of threads they need for given sizes.

use crate::aval::{DType, Dim, Literal, Sizes, Symbol};
use crate::ir::Index;
use crate::kernel::{Instr, Kernel};

/// Threads of a block by default.
pub const BLOCK: u32 = 256;
/// Threads of a warp.
pub(super) const WARP: usize = 32;
/// The limit of positions of 32 bits, with a margin for the last part and the last block.
const NARROW_LIMIT: i64 = 1 << 30;

/// The integer type of positions and sizes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Width {
    /// 32 bits.
    Narrow,
    /// 64 bits.
    Wide,
}

impl Width {
    /// The width that a kernel needs for these sizes: 64 bits if an array, or the terms of a reduction, have too many
    /// elements for 32 bits.
    pub fn of(kernel: &Kernel, sizes: &Sizes) -> Width {
        let arrays = kernel.inputs.iter().chain(&kernel.outputs).map(|(_, aval)| aval.volume());
        // Rows count up to the volume of an output.
        let reduced = kernel.loops[kernel.n_row()..].iter().map(|l| l.extent.clone());
        let terms = reduced.fold(Dim::from(1), |terms, extent| terms * extent);
        let counts = arrays.chain([terms]).map(|dim| magnitude(&dim, sizes));
        let positions = kernel.body.iter().flat_map(Instr::positions).map(|at| reach(kernel, at, sizes));
        let is_narrow = counts.chain(positions).all(|most| most <= NARROW_LIMIT);
        if is_narrow { Width::Narrow } else { Width::Wide }
    }

    /// The type's name.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Width::Narrow => "int",
            Width::Wide => "long long",
        }
    }
}

impl Instr {
    fn positions(&self) -> &[Index] {
        match self {
            Instr::Load(_, index) => index,
            Instr::Position(index) => std::slice::from_ref(index),
            Instr::Const(_) | Instr::Size(..) | Instr::Op(..) => &[],
        }
    }
}

/// How far a position made of loops may be from 0, including its partial sums.
fn reach(kernel: &Kernel, at: &Index, sizes: &Sizes) -> i64 {
    let Index::Affine { constant, terms } = at else { return 0 };
    let extent = |l: u32| magnitude(&kernel.loops[l as usize].extent, sizes).max(1);
    let terms = terms.iter().map(|(l, stride)| magnitude(stride, sizes).saturating_mul(extent(*l)));
    terms.fold(magnitude(constant, sizes), i64::saturating_add)
}

/// The sum of the absolute values of a dimension's terms: no intermediate result exceeds it.
fn magnitude(dim: &Dim, sizes: &Sizes) -> i64 {
    let size = |symbol: &Symbol| sizes.get(symbol).and_then(|size| i64::try_from(size).ok()).unwrap_or(i64::MAX);
    let terms = dim.terms().into_iter().map(|(symbols, coefficient)| {
        symbols.iter().fold(coefficient.saturating_abs(), |product, symbol| product.saturating_mul(size(symbol)))
    });
    terms.fold(0, i64::saturating_add)
}

/// One parameter of a function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Param {
    /// The address of an input of the kernel, by number.
    Input(usize),
    /// The address of an output, by number.
    Output(usize),
    /// The address of scratch memory, by number.
    Scratch(usize),
    /// The address of the record of positions that are out of bounds: see [`RECORD_BYTES`].
    Record,
    /// The kernel's number in that record, a `u32` that is not 0.
    Number,
    /// The size of a symbol, of the function's [`Width`].
    Symbol(Symbol),
    /// A size as a scalar of this type.
    Scalar(Dim, DType),
    /// The number of terms in one part of a reduction, of the function's [`Width`].
    PartLength,
    /// The number of parts, of the function's [`Width`].
    Parts,
}

/// Bytes of the record: the kernel's number as `u32`, which is 0 while all is well; the position as `i32`; the extent
/// that it had to be below, as `i64`. It is aligned to 8 bytes.
pub const RECORD_BYTES: usize = 16;

/// A parameter's value in one launch. Numbers are passed unchanged.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Argument {
    /// The address of an input, by number.
    Input(usize),
    /// The address of an output, by number.
    Output(usize),
    /// The address of scratch memory, by number.
    Scratch(usize),
    /// The address of the record.
    Record,
    /// The kernel's number, a `u32` that is not 0.
    Number,
    /// An `int`.
    Narrow(i32),
    /// A `long long`.
    Wide(i64),
    /// A scalar.
    Scalar(Literal),
}

/// One launch of a function.
#[derive(Clone, PartialEq, Debug)]
pub struct Launch {
    /// The function, by its number among those of the kernel.
    pub function: usize,
    /// Blocks, along one axis.
    pub grid: u32,
    /// Threads of a block, along one axis. Shared memory is declared by the function; none is added at the launch.
    pub block: u32,
    /// One for each parameter.
    pub arguments: Vec<Argument>,
    /// Whether it may run concurrently with the preceding launches of its kernel: it writes other elements.
    pub is_concurrent: bool,
}

/// The threads that work on one unit of a function's work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ThreadGroup {
    /// One thread.
    Thread,
    /// The threads of a warp.
    Warp,
    /// A block of this many threads.
    Block(u32),
}

/// A function's work: the number of units, for each part if there are parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Work {
    pub(super) team: ThreadGroup,
    /// Pieces of extents: the units are all combinations.
    pub(super) units: Vec<Pieces>,
    /// Whether there are units for each part of the reduction.
    pub(super) is_parted: bool,
    pub(super) when: When,
}

/// For which sizes a function runs at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum When {
    Always,
    /// If a reduction has several parts.
    Parts,
    /// If the dimension exceeds this number.
    Above(Dim, usize),
}

impl When {
    /// Whether it runs for these sizes.
    pub(super) fn holds(&self, sizes: &Sizes, parts: usize) -> bool {
        match self {
            When::Always => true,
            When::Parts => parts > 1,
            When::Above(dim, least) => number(dim, sizes) > *least,
        }
    }
}

/// An extent in pieces of this many points.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pieces {
    pub(super) extent: Dim,
    pub(super) of: usize,
}

/// The number of combinations of pieces.
fn n_unit(units: &[Pieces], sizes: &Sizes) -> usize {
    units.iter().map(|pieces| number(&pieces.extent, sizes).div_ceil(pieces.of)).product()
}

/// A size as a number.
///
/// # Panics
/// If a symbol has no size.
pub(super) fn number(dim: &Dim, sizes: &Sizes) -> usize {
    dim.at(sizes).as_usize().unwrap_or_else(|| panic!("{dim} has no size: every symbol must have one"))
}

impl Work {
    /// The number of blocks, and of threads in each, when about `block` threads are wanted.
    pub(super) fn grid(&self, sizes: &Sizes, parts: usize, block: u32) -> (usize, u32) {
        let units = n_unit(&self.units, sizes) * if self.is_parted { parts } else { 1 };
        match self.team {
            ThreadGroup::Thread => (units.div_ceil(block as usize), block),
            ThreadGroup::Warp => (units.div_ceil(block as usize / WARP), block),
            ThreadGroup::Block(block) => (units, block),
        }
    }
}

/// How a long reduction of few results is cut into parts, by the sizes alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Parts {
    /// The number of terms in all.
    pub(super) terms: Dim,
    /// The least number of terms in a part.
    pub(super) least: usize,
    /// The terms of a part are a multiple of this.
    pub(super) step: usize,
    /// The units of work for each part.
    pub(super) units: Vec<Pieces>,
    /// The largest number of units that the parts may make in all.
    pub(super) most: usize,
}

impl Parts {
    /// The number of terms in a part.
    pub(super) fn length(&self, sizes: &Sizes) -> usize {
        let most = (self.most / n_unit(&self.units, sizes).max(1)).max(1);
        let length = number(&self.terms, sizes).div_ceil(most).max(self.least);
        length.next_multiple_of(self.step)
    }

    /// The number of parts: at least one, as even an empty reduction has a result.
    pub(super) fn number(&self, sizes: &Sizes) -> usize {
        number(&self.terms, sizes).div_ceil(self.length(sizes)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::parse_kernel;

    fn sizes(n: usize) -> Sizes {
        let mut sizes = Sizes::new();
        sizes.set(Symbol::new("n"), n).expect("it has no size yet");
        sizes
    }

    #[test]
    fn positions_are_wide_where_an_array_needs_it() {
        let text = "kernel @copy_0(%0: f32[n,8]) -> (%1: f32[n,8]) {
            row i0: n row i1: 8
            $0: f32 = load %0[i0, i1]
            store $0 -> %1 }";
        let kernel = parse_kernel(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(Width::of(&kernel, &sizes(1 << 27)), Width::Narrow);
        assert_eq!(Width::of(&kernel, &sizes((1 << 27) + 1)), Width::Wide);
        // No size is known: nothing is promised.
        assert_eq!(Width::of(&kernel, &Sizes::new()), Width::Wide);
        // A position may be larger than the array's extent.
        let text = "kernel @counted_0() -> (%0: i32[n]) { row i0: n $0: i32 = position 1000*i0 store $0 -> %0 }";
        let kernel = parse_kernel(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(Width::of(&kernel, &sizes(1 << 20)), Width::Narrow);
        assert_eq!(Width::of(&kernel, &sizes(1 << 21)), Width::Wide);
    }

    #[test]
    fn parts_depend_on_sizes_alone() {
        let units = vec![Pieces { extent: Dim::from(3), of: 1 }];
        let parts = Parts { terms: Dim::symbol("n"), least: 64, step: 32, units, most: 30 };
        for (n, length, number) in [(0, 64, 1), (1, 64, 1), (64, 64, 1), (65, 64, 2), (640, 64, 10), (641, 96, 7)] {
            assert_eq!((parts.length(&sizes(n)), parts.number(&sizes(n))), (length, number), "{n} terms");
        }
    }

    #[test]
    fn units_are_spread_over_blocks() {
        let units = vec![Pieces { extent: Dim::symbol("n"), of: 8 }, Pieces { extent: Dim::from(3), of: 1 }];
        let work = |team| Work { team, units: units.clone(), is_parted: true, when: When::Always };
        // 13 pieces of 8, 3 times, for each of 2 parts: 78 units.
        assert_eq!(work(ThreadGroup::Thread).grid(&sizes(100), 2, 64), (2, 64));
        assert_eq!(work(ThreadGroup::Warp).grid(&sizes(100), 2, 64), (39, 64));
        assert_eq!(work(ThreadGroup::Block(256)).grid(&sizes(100), 2, 64), (78, 256));
        assert_eq!(work(ThreadGroup::Warp).grid(&sizes(0), 2, 64), (0, 64));
    }
}
