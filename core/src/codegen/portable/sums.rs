//! The precompiled loops that combine rows, neighbours and weighted rows.
//!
//! Every sum of this target is added in the order of [`Cascade`](crate::ir::Cascade), whatever the loops around it. So
//! no choice of the compiler (which arrays are stored, which axis is the lanes, where a tile ends) changes a bit of it,
//! and the interpreter has the same bits.

use super::loops::wide;
use crate::aval::{DType, Element};
use crate::ir::{BLOCK, ReduceOp};

/// A sum in progress: how much was added before the current rows, and whether they are the last.
pub(super) struct Sum {
    /// Blocks before these rows.
    pub(super) before: usize,
    /// Rows of a block.
    pub(super) block: usize,
    /// `lanes` elements for each level, where a block waits for its neighbour.
    pub(super) waiting: *mut u8,
    /// The `lanes` elements to which the whole sum is added; null if more rows follow.
    pub(super) into: *mut u8,
}

/// Levels of pending blocks in a sum of this many blocks.
pub(super) fn n_level(blocks: usize) -> usize {
    blocks.max(1).ilog2() as usize + 1
}

/// Replaces lane `i`, whose value is `x`, by `f(i, x)`. Compiled for many numbers of lanes, where `array::from_fn`
/// would take several times as long.
#[inline(always)]
fn map_lanes<T: Copy, const N: usize>(mut lanes: [T; N], f: impl Fn(usize, T) -> T) -> [T; N] {
    for (i, x) in lanes.iter_mut().enumerate() {
        *x = f(i, *x);
    }
    lanes
}

/// Adds terms for `N` neighbouring lanes from lane `l`, of `lanes`. `none` is the sum of nothing.
///
/// There is one loop over terms, as this function is compiled for many forms of them. A chain may begin with `none`: the
/// sign of a zero, in which it could differ from one that begins with its first term, is lost when the sum is added to
/// the zero of `sum.into`.
///
/// # Safety
/// The memory of `sum` must be large enough for the levels that the blocks need.
#[inline(always)]
unsafe fn cascade<T: Copy, const N: usize>(
    n: usize,
    sum: &Sum,
    (l, lanes): (usize, usize),
    none: T,
    term: impl Fn(usize) -> [T; N],
    two: impl Fn([T; N], [T; N]) -> [T; N],
) {
    let waiting = |level: usize| sum.waiting.cast::<T>().wrapping_add(level * lanes + l).cast::<[T; N]>();
    let (mut r, mut blocks) = (0, sum.before);
    // SAFETY: by this function's contract; a level is read after it was written.
    unsafe {
        while r < n {
            let end = n.min(r + sum.block);
            let mut block = [none; N];
            for r in r..end {
                block = two(block, term(r));
            }
            let pairs = blocks.trailing_ones() as usize;
            for level in 0..pairs {
                block = two(waiting(level).read_unaligned(), block);
            }
            waiting(pairs).write_unaligned(block);
            blocks += 1;
            r = end;
        }
        if sum.into.is_null() || blocks == 0 {
            return;
        }
        let mut total = waiting(blocks.trailing_zeros() as usize).read_unaligned();
        let mut rest = blocks & (blocks - 1);
        while rest != 0 {
            total = two(waiting(rest.trailing_zeros() as usize).read_unaligned(), total);
            rest &= rest - 1;
        }
        let into = sum.into.cast::<T>().add(l).cast::<[T; N]>();
        into.write_unaligned(two(into.read_unaligned(), total));
    }
}

/// Combines `rows` rows of `lanes` elements. The first row starts a block.
///
/// # Safety
/// `from` must be valid for `rows·lanes` elements, the memory of the sum for `lanes` and its levels; they must not overlap.
pub(super) type RowsFn = unsafe fn(rows: usize, lanes: usize, from: *const u8, sum: &Sum);

/// Runs a block for the next lanes, as many as possible at once, with their number as the constant `N`; evaluates to
/// it. The numbers to choose from are `$many`, or powers of two up to 8 if the loop is not `$used` enough for more: there
/// is machine code for each.
macro_rules! in_blocks {
    ($used:expr, $rest:expr, $N:ident => $body:expr, $($many:literal)*) => {
        if const { $used } {
            in_blocks!($rest, $N => $body, $($many)*)
        } else {
            in_blocks!($rest, $N => $body, 8 4 2)
        }
    };
    ($rest:expr, $N:ident => $body:expr, $($n:literal)*) => {
        match $rest {
            $($n.. => {
                const $N: usize = $n;
                $body;
                $N
            })*
            _ => {
                const $N: usize = 1;
                $body;
                $N
            }
        }
    };
}

/// Whether the loops compiled for a machine with AVX2 are often used for elements of this type. Programs compute in `f32`.
const fn often_used<T: Element>() -> bool {
    matches!(T::DTYPE, DType::F32)
}

/// Whether the loops compiled for the baseline machine are often used: on x86-64 they are for processors from before AVX2.
const BASELINE_USED: bool = cfg!(not(target_arch = "x86_64"));

macro_rules! rows_fn {
    ($op:ident $t:ty, $none:expr, |$acc:ident, $x:ident| $e:expr) => {{
        #[inline(always)]
        unsafe fn columns<const N: usize>(rows: usize, (l, lanes): (usize, usize), from: *const $t, sum: &Sum) {
            let two = |a: [$t; N], b: [$t; N]| map_lanes(a, |i, $acc| {
                let $x = b[i];
                $e
            });
            // SAFETY: the caller keeps `RowsFn`'s contract.
            unsafe {
                let row = |r: usize| from.add(r * lanes + l).cast::<[$t; N]>().read_unaligned();
                cascade(rows, sum, (l, lanes), $none, row, two)
            }
        }
        #[inline(always)]
        unsafe fn body<const USED: bool>(rows: usize, lanes: usize, from: *const u8, sum: &Sum) {
            let mut l = 0;
            while l < lanes {
                l += in_blocks!(
                    USED && matches!(ReduceOp::$op, ReduceOp::Sum),
                    lanes - l,
                    // SAFETY: the caller keeps `RowsFn`'s contract.
                    N => unsafe { columns::<N>(rows, (l, lanes), from.cast(), sum) },
                    16 8 7 6 5 4 3 2
                );
            }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        unsafe fn avx2(rows: usize, lanes: usize, from: *const u8, sum: &Sum) {
            // SAFETY: the caller keeps `RowsFn`'s contract.
            unsafe { body::<{ often_used::<$t>() }>(rows, lanes, from, sum) }
        }
        #[cfg(target_arch = "x86_64")]
        {
            if wide() { avx2 as RowsFn } else { body::<BASELINE_USED> as RowsFn }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            body::<BASELINE_USED> as RowsFn
        }
    }};
}

/// Passes the operation, the type of the elements, what combining none of them yields, and how two are combined to a
/// macro.
macro_rules! combined {
    ($loops:ident, $op:expr, $dtype:expr) => {
        Some(match ($op, $dtype) {
            (ReduceOp::Sum, DType::F32) => $loops!(Sum f32, 0.0, |acc, x| acc + x),
            (ReduceOp::Sum, DType::F64) => $loops!(Sum f64, 0.0, |acc, x| acc + x),
            // Of both types the same bits.
            (ReduceOp::Sum, DType::I32 | DType::U32) => $loops!(Sum u32, 0, |acc, x| acc.wrapping_add(x)),
            (ReduceOp::Sum, DType::I64 | DType::U64) => $loops!(Sum u64, 0, |acc, x| acc.wrapping_add(x)),
            (ReduceOp::Sum, DType::Bool) => return None,
            (ReduceOp::Prod, DType::F32) => $loops!(Prod f32, 1.0, |acc, x| acc * x),
            (ReduceOp::Prod, DType::F64) => $loops!(Prod f64, 1.0, |acc, x| acc * x),
            (ReduceOp::Prod, DType::I32 | DType::U32) => $loops!(Prod u32, 1, |acc, x| acc.wrapping_mul(x)),
            (ReduceOp::Prod, DType::I64 | DType::U64) => $loops!(Prod u64, 1, |acc, x| acc.wrapping_mul(x)),
            (ReduceOp::Prod | ReduceOp::Min, DType::Bool) => $loops!(Prod bool, true, |acc, x| acc & x),
            (ReduceOp::Max, DType::F32) => {
                $loops!(Max f32, f32::NEG_INFINITY, |acc, x| if acc > x || acc.is_nan() { acc } else { x })
            }
            (ReduceOp::Max, DType::F64) => {
                $loops!(Max f64, f64::NEG_INFINITY, |acc, x| if acc > x || acc.is_nan() { acc } else { x })
            }
            (ReduceOp::Max, DType::I32) => $loops!(Max i32, i32::MIN, |acc, x| acc.max(x)),
            (ReduceOp::Max, DType::U32) => $loops!(Max u32, 0, |acc, x| acc.max(x)),
            (ReduceOp::Max, DType::I64) => $loops!(Max i64, i64::MIN, |acc, x| acc.max(x)),
            (ReduceOp::Max, DType::U64) => $loops!(Max u64, 0, |acc, x| acc.max(x)),
            (ReduceOp::Max, DType::Bool) => $loops!(Max bool, false, |acc, x| acc | x),
            (ReduceOp::Min, DType::F32) => {
                $loops!(Min f32, f32::INFINITY, |acc, x| if acc < x || acc.is_nan() { acc } else { x })
            }
            (ReduceOp::Min, DType::F64) => {
                $loops!(Min f64, f64::INFINITY, |acc, x| if acc < x || acc.is_nan() { acc } else { x })
            }
            (ReduceOp::Min, DType::I32) => $loops!(Min i32, i32::MAX, |acc, x| acc.min(x)),
            (ReduceOp::Min, DType::U32) => $loops!(Min u32, u32::MAX, |acc, x| acc.min(x)),
            (ReduceOp::Min, DType::I64) => $loops!(Min i64, i64::MAX, |acc, x| acc.min(x)),
            (ReduceOp::Min, DType::U64) => $loops!(Min u64, u64::MAX, |acc, x| acc.min(x)),
            // They are reduced as wider ones.
            (_, DType::F16 | DType::BF16 | DType::I8 | DType::I16 | DType::U8 | DType::U16) => return None,
        })
    };
}

/// The loop that combines rows into an accumulator.
pub(super) fn rows_fn(op: ReduceOp, dtype: DType) -> Option<RowsFn> {
    combined!(rows_fn, op, dtype)
}

/// Combines each group of `group` neighbours into one: `n` results.
///
/// # Safety
/// `from` must be valid for `n·group` elements, `into` for `n`; they must not overlap.
pub(super) type GroupsFn = unsafe fn(n: usize, group: usize, from: *const u8, into: *mut u8);

macro_rules! groups_fn {
    ($op:ident $t:ty, $none:expr, |$acc:ident, $x:ident| $e:expr) => {{
        unsafe fn groups(n: usize, group: usize, from: *const u8, into: *mut u8) {
            let (from, into) = (from.cast::<$t>(), into.cast::<$t>());
            let two = |$acc: $t, $x: $t| -> $t { $e };
            // SAFETY: the caller keeps `GroupsFn`'s contract.
            unsafe {
                let chain = |at: *const $t, n: usize| (1..n).fold(*at, |block, j| two(block, *at.add(j)));
                let short = |group: usize| {
                    for i in 0..n {
                        let at = from.add(group * i);
                        let mut sum = chain(at, group.min(BLOCK));
                        if group > BLOCK {
                            sum = two(sum, chain(at.add(BLOCK), group - BLOCK));
                        }
                        *into.add(i) = two($none, sum);
                    }
                };
                match group {
                    // The usual number of heads, in a separate loop.
                    8 => return short(8),
                    _ if group <= 2 * BLOCK => return short(group),
                    _ => {}
                }
                let mut waiting = [$none; usize::BITS as usize];
                for i in 0..n {
                    let at = from.add(group * i);
                    let into = into.add(i);
                    *into = $none;
                    let waiting = waiting.as_mut_ptr().cast();
                    let sum = Sum { before: 0, block: BLOCK, waiting, into: into.cast() };
                    cascade(group, &sum, (0, 1), $none, |j| [*at.add(j)], |[a], [b]| [two(a, b)]);
                }
            }
        }
        groups as GroupsFn
    }};
}

/// The loop that combines neighbours; groups are not empty.
pub(super) fn groups_fn(op: ReduceOp, dtype: DType) -> Option<GroupsFn> {
    combined!(groups_fn, op, dtype)
}

/// Adds for each of `rows` rows of `lanes` elements the row's elements times its weights: lane `l` has weight `l /
/// group` of `lanes / group`. If rows are guarded, elements of weight 0 count as 0.
pub(super) type WeightedFn = unsafe fn(rows: &Rows<'_>, lanes: usize, group: usize, weights: *const u8, sum: &Sum);

/// Where the rows are.
pub(super) struct Rows<'a> {
    pub(super) from: *const u8,
    pub(super) n: usize,
    /// Whether a row holds only one group, which is reused for each weight.
    pub(super) cycle: bool,
    pub(super) at: RowPlaces<'a>,
}

/// The element offset of each row.
#[derive(Clone, Copy)]
pub(super) enum RowPlaces<'a> {
    /// `first + r·stride`.
    Strided { first: i64, stride: i64 },
    /// One offset for each.
    Listed(&'a [i64]),
}

macro_rules! weighted_fn {
    ($t:ty, $guarded:literal) => {{
        /// `N` lanes from lane `l`, whose weights are neighbours of weight `w`, each for `N / W` lanes.
        #[inline(always)]
        unsafe fn block<const N: usize, const W: usize>(
            row: impl Fn(usize) -> *const $t,
            rows: usize,
            (weights, heads): (*const $t, usize),
            (l, lanes): (usize, usize),
            sum: &Sum,
        ) {
            // SAFETY: the caller provides `rows` rows of `N` elements and their weights.
            unsafe {
                let term = |r: usize| -> [$t; N] {
                    let x = row(r).cast::<[$t; N]>().read_unaligned();
                    let w = weights.add(r * heads).cast::<[$t; W]>().read_unaligned();
                    let product = map_lanes(x, |i, x| w[i / (N / W)] * x);
                    // Skipping a row of weight 0 differs from multiplying it by 0 only if the product is NaN, which is
                    // rare. All products are tested: a search that may end early would take them one by one.
                    if !$guarded || !product.iter().fold(false, |any, x| any | x.is_nan()) {
                        return product;
                    }
                    map_lanes(product, |i, product| if w[i / (N / W)] == 0.0 { 0.0 } else { product })
                };
                let add = |a: [$t; N], b: [$t; N]| map_lanes(a, |i, a| a + b[i]);
                cascade(rows, sum, (l, lanes), 0.0, term, add)
            }
        }
        #[inline(always)]
        unsafe fn with_rows<const USED: bool>(
            row: impl Fn(usize) -> *const $t + Copy,
            (n, cycle): (usize, bool),
            (lanes, group): (usize, usize),
            weights: *const $t,
            sum: &Sum,
        ) {
            let heads = lanes / group;
            // SAFETY: the caller keeps `WeightedFn`'s contract.
            unsafe {
                let mut l = 0;
                // Several whole groups, or a part of one.
                if USED && group == 8 && !cycle {
                    while l + 32 <= lanes {
                        block::<32, 4>(|r| row(r).add(l), n, (weights.add(l / 8), heads), (l, lanes), sum);
                        l += 32;
                    }
                    while l + 16 <= lanes {
                        block::<16, 2>(|r| row(r).add(l), n, (weights.add(l / 8), heads), (l, lanes), sum);
                        l += 16;
                    }
                    while l < lanes {
                        block::<8, 1>(|r| row(r).add(l), n, (weights.add(l / 8), heads), (l, lanes), sum);
                        l += 8;
                    }
                    return;
                }
                while l < lanes {
                    let (w, rest) = ((weights.add(l / group), heads), group - l % group);
                    let skip = if cycle { l % group } else { l };
                    let row = |r| row(r).add(skip);
                    l += in_blocks!(USED, rest, N => block::<N, 1>(row, n, w, (l, lanes), sum), 32 16 8 7 6 5 4 3 2);
                }
            }
        }
        #[inline(always)]
        unsafe fn body<const USED: bool>(rows: &Rows<'_>, lanes: usize, group: usize, weights: *const u8, sum: &Sum) {
            let (from, weights, lanes) = (rows.from.cast::<$t>(), weights.cast::<$t>(), (lanes, group));
            // SAFETY: the caller keeps `WeightedFn`'s contract.
            unsafe {
                match rows.at {
                    RowPlaces::Strided { first, stride } => {
                        let from = from.offset(first as isize);
                        let row = |r: usize| from.offset(r as isize * stride as isize);
                        with_rows::<USED>(row, (rows.n, rows.cycle), lanes, weights, sum);
                    }
                    RowPlaces::Listed(offsets) => {
                        let offsets = offsets.as_ptr();
                        let row = |r: usize| from.offset(*offsets.add(r) as isize);
                        with_rows::<USED>(row, (rows.n, rows.cycle), lanes, weights, sum);
                    }
                }
            }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        unsafe fn avx2(rows: &Rows<'_>, lanes: usize, group: usize, weights: *const u8, sum: &Sum) {
            // SAFETY: the caller keeps `WeightedFn`'s contract.
            unsafe { body::<{ often_used::<$t>() }>(rows, lanes, group, weights, sum) }
        }
        #[cfg(target_arch = "x86_64")]
        {
            if wide() { avx2 as WeightedFn } else { body::<BASELINE_USED> as WeightedFn }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            body::<BASELINE_USED> as WeightedFn
        }
    }};
}

/// The loop that adds weighted rows, guarded or not; only for floats.
pub(super) fn weighted_fn(dtype: DType, guarded: bool) -> Option<WeightedFn> {
    match (dtype, guarded) {
        (DType::F32, false) => Some(weighted_fn!(f32, false)),
        (DType::F32, true) => Some(weighted_fn!(f32, true)),
        (DType::F64, false) => Some(weighted_fn!(f64, false)),
        (DType::F64, true) => Some(weighted_fn!(f64, true)),
        _ => None,
    }
}
