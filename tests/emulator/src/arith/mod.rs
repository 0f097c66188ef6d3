//! What instructions compute, apart from memory and control flow: one table row for each opcode and type.
//!
//! Registers are rows of 32 lanes, so that the cost of finding an instruction is spread over a warp, and the compiler
//! vectorises the loop over lanes.

mod atomic;
mod bits;
mod compare;
mod convert;
mod float;
mod integer;
mod rounding;

pub use atomic::{Update, atomic};
pub use compare::compare;
pub use convert::{Conversion, Rounding};

use crate::ptx::Type;

/// Lanes of a warp.
pub const LANES: usize = 32;

/// One register of all lanes. Values narrower than 64 bits are zero-extended.
pub type Row = [u64; LANES];

/// The rows that an instruction writes and reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The row it writes.
    pub to: u32,
    /// The rows it reads, in order.
    pub from: [u32; 4],
}

/// An instruction on the lanes of a mask.
pub type Lanewise = fn(&mut [Row], &Rows, u32);

/// The contents of a register, as a Rust value.
pub trait Scalar: Copy {
    /// The value in the low bits.
    fn of(bits: u64) -> Self;
    /// The bits, zero-extended.
    fn bits(self) -> u64;
}

macro_rules! scalar {
    ($($t:ty as $unsigned:ty),*) => {$(
        impl Scalar for $t {
            fn of(bits: u64) -> $t { bits as $t }
            fn bits(self) -> u64 { self as $unsigned as u64 }
        }
    )*};
}
scalar!(u8 as u8, u16 as u16, u32 as u32, u64 as u64, i8 as u8, i16 as u16, i32 as u32, i64 as u64);

impl Scalar for f32 {
    fn of(bits: u64) -> f32 {
        f32::from_bits(bits as u32)
    }
    fn bits(self) -> u64 {
        u64::from(self.to_bits())
    }
}

impl Scalar for f64 {
    fn of(bits: u64) -> f64 {
        f64::from_bits(bits)
    }
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

impl Scalar for bool {
    fn of(bits: u64) -> bool {
        bits & 1 != 0
    }
    fn bits(self) -> u64 {
        u64::from(self)
    }
}

/// The lanes of a mask, from the lowest.
#[derive(Clone, Copy, Debug)]
pub struct Lanes(pub u32);

impl Iterator for Lanes {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let lane = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (lane < LANES).then_some(lane)
    }
}

/// Sets the lanes of a mask. A whole warp has a loop of its own, without branches.
#[inline(always)]
pub fn set(row: &mut Row, mask: u32, value: impl Fn(usize) -> u64) {
    if mask == u32::MAX {
        for (lane, place) in row.iter_mut().enumerate() {
            *place = value(lane);
        }
    } else {
        for lane in Lanes(mask) {
            row[lane] = value(lane);
        }
    }
}

#[inline(always)]
fn map1<A: Scalar, R: Scalar>(rows: &mut [Row], r: &Rows, mask: u32, f: impl Fn(A) -> R) {
    let a = rows[r.from[0] as usize];
    set(&mut rows[r.to as usize], mask, |lane| f(A::of(a[lane])).bits());
}

#[inline(always)]
fn map2<A: Scalar, B: Scalar, R: Scalar>(rows: &mut [Row], r: &Rows, mask: u32, f: impl Fn(A, B) -> R) {
    let [a, b] = [rows[r.from[0] as usize], rows[r.from[1] as usize]];
    set(&mut rows[r.to as usize], mask, |lane| f(A::of(a[lane]), B::of(b[lane])).bits());
}

#[inline(always)]
fn map3<A: Scalar, B: Scalar, C: Scalar, R: Scalar>(rows: &mut [Row], r: &Rows, mask: u32, f: impl Fn(A, B, C) -> R) {
    let [a, b, c] = [rows[r.from[0] as usize], rows[r.from[1] as usize], rows[r.from[2] as usize]];
    set(&mut rows[r.to as usize], mask, |lane| f(A::of(a[lane]), B::of(b[lane]), C::of(c[lane])).bits());
}

#[inline(always)]
fn map4<A: Scalar, B: Scalar, C: Scalar, D: Scalar, R: Scalar>(
    rows: &mut [Row],
    r: &Rows,
    mask: u32,
    f: impl Fn(A, B, C, D) -> R,
) {
    let [a, b] = [rows[r.from[0] as usize], rows[r.from[1] as usize]];
    let [c, d] = [rows[r.from[2] as usize], rows[r.from[3] as usize]];
    let at = |lane: usize| f(A::of(a[lane]), B::of(b[lane]), C::of(c[lane]), D::of(d[lane])).bits();
    set(&mut rows[r.to as usize], mask, at);
}

/// A table row: the number of operands, and the function for them.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Operands read.
    pub operands: usize,
    /// The function.
    pub run: Lanewise,
}

/// `lanes!(|a: u32, b: u32| a & b)` is the entry that computes this in every lane.
macro_rules! lanes {
    (|$a:ident: $ta:ty| $value:expr) => {
        Entry { operands: 1, run: |rows, r, mask| map1(rows, r, mask, |$a: $ta| $value) }
    };
    (|$a:ident: $ta:ty, $b:ident: $tb:ty| $value:expr) => {
        Entry { operands: 2, run: |rows, r, mask| map2(rows, r, mask, |$a: $ta, $b: $tb| $value) }
    };
    (|$a:ident: $ta:ty, $b:ident: $tb:ty, $c:ident: $tc:ty| $value:expr) => {
        Entry { operands: 3, run: |rows, r, mask| map3(rows, r, mask, |$a: $ta, $b: $tb, $c: $tc| $value) }
    };
    (|$a:ident: $ta:ty, $b:ident: $tb:ty, $c:ident: $tc:ty, $d:ident: $td:ty| $value:expr) => {
        Entry { operands: 4, run: |rows, r, mask| map4(rows, r, mask, |$a: $ta, $b: $tb, $c: $tc, $d: $td| $value) }
    };
}
pub(crate) use lanes;

/// The same rows for several types: `each_type!(ty; U32 => u32, S32 => i32; |T| …)`.
macro_rules! each_type {
    ($ty:expr; $($variant:ident => $t:ty),*; |$name:ident| $body:expr) => {
        match $ty {
            $(Type::$variant => {
                type $name = $t;
                $body
            })*
            _ => return None,
        }
    };
}
pub(crate) use each_type;

/// The entry of an opcode without its type, such as `mul.wide`, for a type.
///
/// Rounding to nearest, `.approx` and `.full` are not part of the name: all are computed exactly and rounded once.
pub fn entry(name: &str, ty: Type) -> Option<Entry> {
    bits::entry(name, ty).or_else(|| integer::entry(name, ty)).or_else(|| float::entry(name, ty))
}

#[cfg(test)]
pub(crate) fn eval(name: &str, ty: Type, operands: &[u64]) -> u64 {
    run(entry(name, ty).unwrap_or_else(|| panic!("{name} of {ty:?}")), operands)
}

#[cfg(test)]
pub(crate) fn run(entry: Entry, operands: &[u64]) -> u64 {
    assert_eq!(entry.operands, operands.len());
    let mut rows = vec![[0; LANES]; 5];
    for (row, &operand) in rows[1..].iter_mut().zip(operands) {
        row.fill(operand);
    }
    // A whole warp and a part of one take different paths.
    (entry.run)(&mut rows, &Rows { to: 0, from: [1, 2, 3, 4] }, u32::MAX);
    let whole = rows[0][7];
    rows[0].fill(0x5a);
    (entry.run)(&mut rows, &Rows { to: 0, from: [1, 2, 3, 4] }, 0b101);
    assert_eq!(rows[0][..4], [whole, 0x5a, whole, 0x5a]);
    whole
}
