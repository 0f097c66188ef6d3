//! The precompiled loops: one for each scalar operation and element type, compiled for several vector widths.

use super::math;
use crate::aval::DType;
use crate::ir::{ReduceOp, ScalarOp};

/// Applies an operation to `n` elements: operands, then outputs.
///
/// # Safety
/// Each pointer must be valid for `n` elements of its type, aligned; no output may overlap an operand or another output.
pub(in crate::codegen) type TileFn = unsafe fn(n: usize, ins: &[*const u8; 4], out: *mut u8, out1: *mut u8);

/// Whether the machine has the wider vectors that loops are also compiled for.
fn wide() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx2")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Compiles one loop twice, for the least machine and for one with AVX2, and picks at run time.
macro_rules! tile_fn {
    (|$n:ident, $ins:ident, $out:ident, $out1:ident| $body:block) => {{
        #[allow(unused_variables, reason = "few loops have a second output")]
        unsafe fn base($n: usize, $ins: &[*const u8; 4], $out: *mut u8, $out1: *mut u8) {
            // SAFETY: the caller keeps `TileFn`'s contract.
            unsafe { $body }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        #[allow(unused_variables, reason = "few loops have a second output")]
        unsafe fn avx2($n: usize, $ins: &[*const u8; 4], $out: *mut u8, $out1: *mut u8) {
            // SAFETY: the caller keeps `TileFn`'s contract.
            unsafe { $body }
        }
        #[cfg(target_arch = "x86_64")]
        {
            if wide() { avx2 as TileFn } else { base as TileFn }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            base as TileFn
        }
    }};
}

macro_rules! map1 {
    ($a:ty => $o:ty, |$x:ident| $e:expr) => {
        tile_fn!(|n, ins, out, out1| {
            let (a, out) = (ins[0].cast::<$a>(), out.cast::<$o>());
            for i in 0..n {
                let $x = *a.add(i);
                *out.add(i) = $e;
            }
        })
    };
}

macro_rules! map2 {
    ($a:ty => $o:ty, |$x:ident, $y:ident| $e:expr) => {
        tile_fn!(|n, ins, out, out1| {
            let (a, b, out) = (ins[0].cast::<$a>(), ins[1].cast::<$a>(), out.cast::<$o>());
            for i in 0..n {
                let ($x, $y) = (*a.add(i), *b.add(i));
                *out.add(i) = $e;
            }
        })
    };
}

macro_rules! select {
    ($t:ty) => {
        tile_fn!(|n, ins, out, out1| {
            let (which, a, b) = (ins[0].cast::<bool>(), ins[1].cast::<$t>(), ins[2].cast::<$t>());
            let out = out.cast::<$t>();
            for i in 0..n {
                let (x, y) = (*a.add(i), *b.add(i));
                *out.add(i) = if *which.add(i) { y } else { x };
            }
        })
    };
}

macro_rules! convert {
    ($from:ty, $to:expr) => {
        match $to {
            DType::F32 => map1!($from => f32, |x| x as f32),
            DType::F64 => map1!($from => f64, |x| x as f64),
            DType::I32 => map1!($from => i32, |x| x as i32),
            DType::U32 => map1!($from => u32, |x| x as u32),
            DType::Bool => map1!($from => bool, |x| x != (0 as $from)),
        }
    };
}

macro_rules! compare {
    ($op:expr, $t:ty) => {
        match $op {
            ScalarOp::Eq => map2!($t => bool, |x, y| x == y),
            ScalarOp::Ne => map2!($t => bool, |x, y| x != y),
            ScalarOp::Lt => map2!($t => bool, |x, y| x < y),
            ScalarOp::Le => map2!($t => bool, |x, y| x <= y),
            ScalarOp::Gt => map2!($t => bool, |x, y| x > y),
            ScalarOp::Ge => map2!($t => bool, |x, y| x >= y),
            _ => return None,
        }
    };
}

macro_rules! float {
    ($op:expr, $t:ident, $exp:path, $expm1:path, $logistic:path) => {
        match $op {
            ScalarOp::Add => map2!($t => $t, |x, y| x + y),
            ScalarOp::Sub => map2!($t => $t, |x, y| x - y),
            ScalarOp::Mul => map2!($t => $t, |x, y| x * y),
            ScalarOp::Div => map2!($t => $t, |x, y| x / y),
            ScalarOp::Rem => map2!($t => $t, |x, y| x % y),
            // A NaN on either side gives NaN, as in lax.
            ScalarOp::Max => map2!($t => $t, |x, y| if x > y || x.is_nan() { x } else { y }),
            ScalarOp::Min => map2!($t => $t, |x, y| if x < y || x.is_nan() { x } else { y }),
            ScalarOp::Pow => map2!($t => $t, |x, y| x.powf(y)),
            ScalarOp::Neg => map1!($t => $t, |x| -x),
            ScalarOp::Abs => map1!($t => $t, |x| x.abs()),
            ScalarOp::Sign => map1!($t => $t, |x| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x }),
            ScalarOp::Floor => map1!($t => $t, |x| x.floor()),
            ScalarOp::Sqrt => map1!($t => $t, |x| x.sqrt()),
            ScalarOp::Exp => map1!($t => $t, |x| $exp(x)),
            ScalarOp::Expm1 => map1!($t => $t, |x| $expm1(x)),
            ScalarOp::Log => map1!($t => $t, |x| x.ln()),
            ScalarOp::Log1p => map1!($t => $t, |x| x.ln_1p()),
            ScalarOp::Sin => map1!($t => $t, |x| x.sin()),
            ScalarOp::Cos => map1!($t => $t, |x| x.cos()),
            ScalarOp::Tanh => map1!($t => $t, |x| x.tanh()),
            ScalarOp::Logistic => map1!($t => $t, |x| $logistic(x)),
            ScalarOp::Select => select!($t),
            ScalarOp::Convert(to) => convert!($t, to),
            ScalarOp::Bitcast(_) => return None,
            other => compare!(other, $t),
        }
    };
}

macro_rules! int {
    ($op:expr, $t:ident, $abs:expr, $sign:expr) => {
        match $op {
            ScalarOp::Add => map2!($t => $t, |x, y| x.wrapping_add(y)),
            ScalarOp::Sub => map2!($t => $t, |x, y| x.wrapping_sub(y)),
            ScalarOp::Mul => map2!($t => $t, |x, y| x.wrapping_mul(y)),
            ScalarOp::Div => map2!($t => $t, |x, y| if y == 0 { 0 } else { x.wrapping_div(y) }),
            ScalarOp::Rem => map2!($t => $t, |x, y| if y == 0 { x } else { x.wrapping_rem(y) }),
            ScalarOp::Max => map2!($t => $t, |x, y| x.max(y)),
            ScalarOp::Min => map2!($t => $t, |x, y| x.min(y)),
            ScalarOp::Neg => map1!($t => $t, |x| x.wrapping_neg()),
            ScalarOp::Abs => map1!($t => $t, |x| $abs(x)),
            ScalarOp::Sign => map1!($t => $t, |x| $sign(x)),
            ScalarOp::And => map2!($t => $t, |x, y| x & y),
            ScalarOp::Or => map2!($t => $t, |x, y| x | y),
            ScalarOp::Xor => map2!($t => $t, |x, y| x ^ y),
            ScalarOp::Not => map1!($t => $t, |x| !x),
            ScalarOp::Shl => map2!($t => $t, |x, y| x.checked_shl(y as u32).unwrap_or(0)),
            ScalarOp::Shr => map2!($t => $t, |x, y| (x as u32).checked_shr(y as u32).unwrap_or(0) as $t),
            ScalarOp::Select => select!($t),
            ScalarOp::Convert(to) => convert!($t, to),
            other => compare!(other, $t),
        }
    };
}

/// The loop of an operation on operands of this type (for `Select` that of the choices, for others of the first
/// operand). `None` where the operation does not exist for the type.
pub(in crate::codegen) fn tile_fn(op: ScalarOp, dtype: DType) -> Option<TileFn> {
    Some(match (op, dtype) {
        (ScalarOp::Bitcast(to), from) if from.size() == 4 && to.size() == 4 => map1!(u32 => u32, |x| x),
        (ScalarOp::Bitcast(to), from) if from == to && from == DType::F64 => map1!(u64 => u64, |x| x),
        (ScalarOp::Bitcast(_), _) => return None,
        (ScalarOp::Threefry0, DType::U32) => tile_fn!(|n, ins, out, out1| {
            let [k0, k1, x0, x1] = ins.map(|p| std::slice::from_raw_parts(p.cast::<u32>(), n));
            let (out, out1) = (out.cast::<u32>(), out1.cast::<u32>());
            let (out, out1) = (std::slice::from_raw_parts_mut(out, n), std::slice::from_raw_parts_mut(out1, n));
            threefry_all(k0, k1, x0, x1, out, out1);
        }),
        (op, DType::F32) => float!(op, f32, math::exp, math::expm1, math::logistic),
        (op, DType::F64) => float!(op, f64, f64::exp, f64::exp_m1, logistic64),
        (op, DType::I32) => int!(op, i32, i32::wrapping_abs, i32::signum),
        (op, DType::U32) => int!(op, u32, std::convert::identity, |x: u32| u32::from(x > 0)),
        (op, DType::Bool) => match op {
            ScalarOp::And | ScalarOp::Mul | ScalarOp::Min => map2!(bool => bool, |x, y| x & y),
            ScalarOp::Or | ScalarOp::Max => map2!(bool => bool, |x, y| x | y),
            ScalarOp::Xor => map2!(bool => bool, |x, y| x ^ y),
            ScalarOp::Not => map1!(bool => bool, |x| !x),
            ScalarOp::Select => select!(bool),
            ScalarOp::Convert(DType::Bool) => map1!(bool => bool, |x| x),
            ScalarOp::Convert(DType::F32) => map1!(bool => f32, |x| x as u8 as f32),
            ScalarOp::Convert(DType::F64) => map1!(bool => f64, |x| x as u8 as f64),
            ScalarOp::Convert(DType::I32) => map1!(bool => i32, |x| x as i32),
            ScalarOp::Convert(DType::U32) => map1!(bool => u32, |x| x as u32),
            other => compare!(other, bool),
        },
    })
}

/// As a function of slices, which are known not to overlap: the compiler makes vector code of it.
#[inline(always)]
fn threefry_all(k0: &[u32], k1: &[u32], x0: &[u32], x1: &[u32], out: &mut [u32], out1: &mut [u32]) {
    let n = out.len();
    let (k0, k1, x0, x1, out1) = (&k0[..n], &k1[..n], &x0[..n], &x1[..n], &mut out1[..n]);
    for i in 0..n {
        (out[i], out1[i]) = math::threefry(k0[i], k1[i], x0[i], x1[i]);
    }
}

fn logistic64(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Adds (or takes the maximum of) `rows` rows of `lanes` elements into an accumulator of `lanes`. The first row begins
/// a block.
///
/// # Safety
/// `from` must be valid for `rows·lanes` elements, `into` for `lanes`; they must not overlap.
pub(super) type RowsFn = unsafe fn(rows: usize, lanes: usize, from: *const u8, into: *mut u8);

/// So many elements of a sum are added one after the other; then their sum is added to what came before.
///
/// Every sum of this target is made in this order, whatever the loops around it, so that no choice of the compiler (what
/// is stored, which axis is the lanes, where a tile ends) changes a bit of it. It rounds less than one long chain, and
/// lets the processor work on several blocks at a time.
pub(super) const BLOCK: usize = 8;

/// Combines `rows` elements, `stride` apart, for each of `N` neighbouring lanes, with what `into` holds.
macro_rules! columns_fn {
    ($t:ty, |$acc:ident, $x:ident| $e:expr) => {
        #[inline(always)]
        unsafe fn columns<const N: usize>(rows: usize, stride: usize, from: *const $t, into: *mut $t) {
            let two = |a: [$t; N], b: [$t; N]| -> [$t; N] {
                std::array::from_fn(|i| {
                    let ($acc, $x) = (a[i], b[i]);
                    $e
                })
            };
            // SAFETY: the caller gives `rows` rows of `N` elements, `stride` apart, and room for `N`.
            unsafe {
                let row = |r: usize| from.add(r * stride).cast::<[$t; N]>().read_unaligned();
                let mut sum = into.cast::<[$t; N]>().read_unaligned();
                let mut r = 0;
                while r < rows {
                    let end = rows.min(r + BLOCK);
                    let mut block = row(r);
                    for r in r + 1..end {
                        block = two(block, row(r));
                    }
                    sum = two(sum, block);
                    r = end;
                }
                into.cast::<[$t; N]>().write_unaligned(sum);
            }
        }
    };
}

/// Runs a block for the next lanes, as many as fit in one, with their number as the constant `N`; gives it.
macro_rules! in_blocks {
    ($rest:expr, $N:ident => $body:expr) => {
        in_blocks!($rest, $N => $body, 16 8 7 6 5 4 3 2)
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

macro_rules! rows_fn {
    ($t:ty, |$acc:ident, $x:ident| $e:expr) => {{
        columns_fn!($t, |$acc, $x| $e);
        #[inline(always)]
        unsafe fn body(rows: usize, lanes: usize, from: *const u8, into: *mut u8) {
            let (from, into) = (from.cast::<$t>(), into.cast::<$t>());
            // SAFETY: the caller keeps `RowsFn`'s contract.
            unsafe {
                let mut l = 0;
                while l < lanes {
                    l += in_blocks!(lanes - l, N => columns::<N>(rows, lanes, from.add(l), into.add(l)));
                }
            }
        }
        unsafe fn base(rows: usize, lanes: usize, from: *const u8, into: *mut u8) {
            // SAFETY: the caller keeps `RowsFn`'s contract.
            unsafe { body(rows, lanes, from, into) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        unsafe fn avx2(rows: usize, lanes: usize, from: *const u8, into: *mut u8) {
            // SAFETY: the caller keeps `RowsFn`'s contract.
            unsafe { body(rows, lanes, from, into) }
        }
        #[cfg(target_arch = "x86_64")]
        {
            if wide() { avx2 as RowsFn } else { base as RowsFn }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            base as RowsFn
        }
    }};
}

/// The loop that combines rows into an accumulator.
pub(super) fn rows_fn(op: ReduceOp, dtype: DType) -> Option<RowsFn> {
    Some(match (op, dtype) {
        (ReduceOp::Sum, DType::F32) => rows_fn!(f32, |acc, x| acc + x),
        (ReduceOp::Sum, DType::F64) => rows_fn!(f64, |acc, x| acc + x),
        (ReduceOp::Sum, DType::I32) => rows_fn!(i32, |acc, x| acc.wrapping_add(x)),
        (ReduceOp::Sum, DType::U32) => rows_fn!(u32, |acc, x| acc.wrapping_add(x)),
        (ReduceOp::Sum, DType::Bool) => return None,
        (ReduceOp::Max, DType::F32) => rows_fn!(f32, |acc, x| if acc > x || acc.is_nan() { acc } else { x }),
        (ReduceOp::Max, DType::F64) => rows_fn!(f64, |acc, x| if acc > x || acc.is_nan() { acc } else { x }),
        (ReduceOp::Max, DType::I32) => rows_fn!(i32, |acc, x| acc.max(x)),
        (ReduceOp::Max, DType::U32) => rows_fn!(u32, |acc, x| acc.max(x)),
        (ReduceOp::Max, DType::Bool) => rows_fn!(bool, |acc, x| acc | x),
    })
}

/// Combines each group of `group` neighbours into one: `n` results.
///
/// # Safety
/// `from` must be valid for `n·group` elements, `into` for `n`; they must not overlap.
pub(super) type GroupsFn = unsafe fn(n: usize, group: usize, from: *const u8, into: *mut u8);

macro_rules! groups_fn {
    ($t:ty, |$acc:ident, $x:ident| $e:expr) => {{
        unsafe fn groups(n: usize, group: usize, from: *const u8, into: *mut u8) {
            let (from, into) = (from.cast::<$t>(), into.cast::<$t>());
            // SAFETY: the caller keeps `GroupsFn`'s contract.
            unsafe {
                let run = |at: *const $t, n: usize| {
                    let mut block = *at;
                    for j in 1..n {
                        let ($acc, $x) = (block, *at.add(j));
                        block = $e;
                    }
                    block
                };
                if group == BLOCK {
                    for i in 0..n {
                        *into.add(i) = run(from.add(BLOCK * i), BLOCK);
                    }
                    return;
                }
                for i in 0..n {
                    let at = from.add(group * i);
                    let mut sum = run(at, group.min(BLOCK));
                    let mut j = BLOCK;
                    while j < group {
                        let ($acc, $x) = (sum, run(at.add(j), BLOCK.min(group - j)));
                        sum = $e;
                        j += BLOCK;
                    }
                    *into.add(i) = sum;
                }
            }
        }
        groups as GroupsFn
    }};
}

/// The loop that combines neighbours; groups are not empty.
pub(super) fn groups_fn(op: ReduceOp, dtype: DType) -> Option<GroupsFn> {
    Some(match (op, dtype) {
        (ReduceOp::Sum, DType::F32) => groups_fn!(f32, |acc, x| acc + x),
        (ReduceOp::Sum, DType::F64) => groups_fn!(f64, |acc, x| acc + x),
        (ReduceOp::Sum, DType::I32) => groups_fn!(i32, |acc, x| acc.wrapping_add(x)),
        (ReduceOp::Sum, DType::U32) => groups_fn!(u32, |acc, x| acc.wrapping_add(x)),
        (ReduceOp::Sum, DType::Bool) => return None,
        (ReduceOp::Max, DType::F32) => groups_fn!(f32, |acc, x| if acc > x || acc.is_nan() { acc } else { x }),
        (ReduceOp::Max, DType::F64) => groups_fn!(f64, |acc, x| if acc > x || acc.is_nan() { acc } else { x }),
        (ReduceOp::Max, DType::I32) => groups_fn!(i32, |acc, x| acc.max(x)),
        (ReduceOp::Max, DType::U32) => groups_fn!(u32, |acc, x| acc.max(x)),
        (ReduceOp::Max, DType::Bool) => groups_fn!(bool, |acc, x| acc | x),
    })
}

/// Adds to an accumulator of `lanes` elements, for each of `rows` rows, the row's elements times its weights: lane `l`
/// has weight `l / group` of `lanes / group`. Where rows are guarded, elements of weight 0 count as 0.
pub(super) type WeightedFn = unsafe fn(rows: &Rows<'_>, lanes: usize, group: usize, weights: *const u8, into: *mut u8);

/// Where rows are.
pub(super) struct Rows<'a> {
    pub(super) from: *const u8,
    pub(super) n: usize,
    /// Whether a row holds one group only, which is met again for each weight.
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
            weights: *const $t,
            heads: usize,
            into: *mut $t,
        ) {
            // SAFETY: the caller gives `rows` rows of `N` elements, their weights, and room for `N`.
            unsafe {
                let term = |r: usize| -> [$t; N] {
                    let x = row(r).cast::<[$t; N]>().read_unaligned();
                    let w = weights.add(r * heads).cast::<[$t; W]>().read_unaligned();
                    let counts = |i: usize| !$guarded || w[i / (N / W)] != 0.0;
                    std::array::from_fn(|i| w[i / (N / W)] * if counts(i) { x[i] } else { 0.0 })
                };
                let add = |a: [$t; N], b: [$t; N]| -> [$t; N] { std::array::from_fn(|i| a[i] + b[i]) };
                let mut sum = into.cast::<[$t; N]>().read_unaligned();
                let mut r = 0;
                while r < rows {
                    let end = rows.min(r + BLOCK);
                    let mut block = term(r);
                    for r in r + 1..end {
                        block = add(block, term(r));
                    }
                    sum = add(sum, block);
                    r = end;
                }
                into.cast::<[$t; N]>().write_unaligned(sum);
            }
        }
        #[inline(always)]
        unsafe fn with_rows(
            row: impl Fn(usize) -> *const $t + Copy,
            (n, cycle): (usize, bool),
            lanes: usize,
            group: usize,
            weights: *const $t,
            into: *mut $t,
        ) {
            let heads = lanes / group;
            // SAFETY: the caller keeps `WeightedFn`'s contract.
            unsafe {
                let mut l = 0;
                // Several whole groups, or a part of one.
                if group == 8 && !cycle {
                    while l + 32 <= lanes {
                        block::<32, 4>(|r| row(r).add(l), n, weights.add(l / 8), heads, into.add(l));
                        l += 32;
                    }
                    while l + 16 <= lanes {
                        block::<16, 2>(|r| row(r).add(l), n, weights.add(l / 8), heads, into.add(l));
                        l += 16;
                    }
                    while l < lanes {
                        block::<8, 1>(|r| row(r).add(l), n, weights.add(l / 8), heads, into.add(l));
                        l += 8;
                    }
                    return;
                }
                while l < lanes {
                    let (w, rest) = (weights.add(l / group), group - l % group);
                    let skip = if cycle { l % group } else { l };
                    let (row, into) = (|r| row(r).add(skip), into.add(l));
                    l += in_blocks!(rest, N => block::<N, 1>(row, n, w, heads, into), 32 16 8 7 6 5 4 3 2);
                }
            }
        }
        #[inline(always)]
        unsafe fn body(rows: &Rows<'_>, lanes: usize, group: usize, weights: *const u8, into: *mut u8) {
            let (from, weights, into) = (rows.from.cast::<$t>(), weights.cast::<$t>(), into.cast::<$t>());
            // SAFETY: the caller keeps `WeightedFn`'s contract.
            unsafe {
                match rows.at {
                    RowPlaces::Strided { first, stride } => {
                        let from = from.offset(first as isize);
                        let row = |r: usize| from.offset(r as isize * stride as isize);
                        with_rows(row, (rows.n, rows.cycle), lanes, group, weights, into);
                    }
                    RowPlaces::Listed(offsets) => {
                        let offsets = offsets.as_ptr();
                        let row = |r: usize| from.offset(*offsets.add(r) as isize);
                        with_rows(row, (rows.n, rows.cycle), lanes, group, weights, into);
                    }
                }
            }
        }
        unsafe fn base(rows: &Rows<'_>, lanes: usize, group: usize, weights: *const u8, into: *mut u8) {
            // SAFETY: the caller keeps `WeightedFn`'s contract.
            unsafe { body(rows, lanes, group, weights, into) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        unsafe fn avx2(rows: &Rows<'_>, lanes: usize, group: usize, weights: *const u8, into: *mut u8) {
            // SAFETY: the caller keeps `WeightedFn`'s contract.
            unsafe { body(rows, lanes, group, weights, into) }
        }
        #[cfg(target_arch = "x86_64")]
        {
            if wide() { avx2 as WeightedFn } else { base as WeightedFn }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            base as WeightedFn
        }
    }};
}

/// The loop that adds weighted rows, guarded or not; floats only.
pub(super) fn weighted_fn(dtype: DType, guarded: bool) -> Option<WeightedFn> {
    match (dtype, guarded) {
        (DType::F32, false) => Some(weighted_fn!(f32, false)),
        (DType::F32, true) => Some(weighted_fn!(f32, true)),
        (DType::F64, false) => Some(weighted_fn!(f64, false)),
        (DType::F64, true) => Some(weighted_fn!(f64, true)),
        _ => None,
    }
}
