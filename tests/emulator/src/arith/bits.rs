//! Bits: logic, shifts, fields, counts.

use super::{Entry, Scalar, each_type, lanes, map1, map2, map3, map4};
use crate::ptx::Type;

/// The entry of an operation on bits.
pub(super) fn entry(name: &str, ty: Type) -> Option<Entry> {
    match ty {
        Type::Pred => predicates(name),
        Type::S16 | Type::S32 | Type::S64 => signed(name, ty),
        _ => logic(name, ty).or_else(|| words(name, ty)),
    }
}

fn predicates(name: &str) -> Option<Entry> {
    Some(match name {
        "mov" => lanes!(|a: bool| a),
        "not" => lanes!(|a: bool| !a),
        "and" => lanes!(|a: bool, b: bool| a & b),
        "or" => lanes!(|a: bool, b: bool| a | b),
        "xor" => lanes!(|a: bool, b: bool| a ^ b),
        "selp" => lanes!(|a: bool, b: bool, p: bool| if p { a } else { b }),
        _ => return None,
    })
}

/// Operations on bits of any width. Shifts by the width or more yield 0.
fn logic(name: &str, ty: Type) -> Option<Entry> {
    each_type!(ty; B16 => u16, U16 => u16, B32 => u32, U32 => u32, F32 => u32, B64 => u64, U64 => u64, F64 => u64; |T| {
        Some(match name {
            "mov" => lanes!(|a: T| a),
            "selp" => lanes!(|a: T, b: T, p: bool| if p { a } else { b }),
            "slct.s32" => lanes!(|a: T, b: T, c: i32| if c >= 0 { a } else { b }),
            "slct.f32" => lanes!(|a: T, b: T, c: f32| if c >= 0.0 { a } else { b }),
            _ if ty.is_float() => return None,
            "not" => lanes!(|a: T| !a),
            "cnot" => lanes!(|a: T| T::from(a == 0)),
            "and" => lanes!(|a: T, b: T| a & b),
            "or" => lanes!(|a: T, b: T| a | b),
            "xor" => lanes!(|a: T, b: T| a ^ b),
            "shl" => lanes!(|a: T, n: u32| a.checked_shl(n).unwrap_or(0)),
            "shr" => lanes!(|a: T, n: u32| a.checked_shr(n).unwrap_or(0)),
            _ => return None,
        })
    })
}

/// Operations that differ where the top bit is a sign.
fn signed(name: &str, ty: Type) -> Option<Entry> {
    let of_any =
        |unsigned| if matches!(name, "mov" | "selp" | "slct.s32" | "slct.f32") { logic(name, unsigned) } else { None };
    match ty {
        Type::S16 => of_any(Type::U16),
        Type::S32 => of_any(Type::U32),
        _ => of_any(Type::U64),
    }
    .or_else(|| {
        each_type!(ty; S16 => i16, S32 => i32, S64 => i64; |T| {
            Some(match name {
                // A shift by the width or more leaves only signs, as one by the width less one does.
                "shr" => lanes!(|a: T, n: u32| a >> n.min(T::BITS - 1)),
                "bfind" => lanes!(|a: T| found((a ^ a >> (T::BITS - 1)).bits())),
                "bfind.shiftamt" => lanes!(|a: T| shift((a ^ a >> (T::BITS - 1)).bits(), T::BITS)),
                "bfe" => lanes!(|a: T, at: u32, length: u32| signed_field(a as i64, T::BITS, at, length) as T),
                _ => return None,
            })
        })
    })
}

/// Operations that PTX has for words of 32 and 64 bits.
fn words(name: &str, ty: Type) -> Option<Entry> {
    if let Some(entry) = word(name, ty) {
        return Some(entry);
    }
    each_type!(ty; B32 => u32, U32 => u32, B64 => u64, U64 => u64; |T| {
        Some(match name {
            "popc" => lanes!(|a: T| a.count_ones()),
            "clz" => lanes!(|a: T| a.leading_zeros()),
            "brev" => lanes!(|a: T| a.reverse_bits()),
            "bfind" => lanes!(|a: T| found(a.bits())),
            "bfind.shiftamt" => lanes!(|a: T| shift(a.bits(), T::BITS)),
            "bfe" => lanes!(|a: T, at: u32, length: u32| field(a.bits(), T::BITS, at, length) as T),
            "bfi" => lanes!(|a: T, b: T, at: u32, length: u32| {
                insert(a.bits(), b.bits(), at, length) as T
            }),
            _ => return None,
        })
    })
}

/// Operations that PTX has for words of 32 bits only.
fn word(name: &str, ty: Type) -> Option<Entry> {
    if ty != Type::B32 {
        return None;
    }
    Some(match name {
        "shf.l.wrap" => lanes!(|a: u32, b: u32, n: u32| funnel_left(a, b, n & 31)),
        "shf.l.clamp" => lanes!(|a: u32, b: u32, n: u32| funnel_left(a, b, n.min(32))),
        "shf.r.wrap" => lanes!(|a: u32, b: u32, n: u32| funnel_right(a, b, n & 31)),
        "shf.r.clamp" => lanes!(|a: u32, b: u32, n: u32| funnel_right(a, b, n.min(32))),
        "prmt" => lanes!(|a: u32, b: u32, selection: u32| permute(a, b, selection)),
        "lop3" => lanes!(|a: u32, b: u32, c: u32, table: u32| logic3(a, b, c, table)),
        _ => return None,
    })
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn funnel_left(low: u32, high: u32, n: u32) -> u32 {
    (pair(low, high) << n >> 32) as u32
}

fn funnel_right(low: u32, high: u32, n: u32) -> u32 {
    (pair(low, high) >> n) as u32
}

/// Chooses four of eight bytes; bit 3 of a choice replicates the byte's sign over it.
fn permute(a: u32, b: u32, selection: u32) -> u32 {
    let bytes = pair(a, b).to_le_bytes();
    u32::from_le_bytes(std::array::from_fn(|i| {
        let choice = selection >> (4 * i);
        let byte = bytes[(choice & 7) as usize];
        if choice & 8 != 0 { (byte as i8 >> 7) as u8 } else { byte }
    }))
}

/// The function of three bits with this table of eight results, for every bit.
fn logic3(a: u32, b: u32, c: u32, table: u32) -> u32 {
    (0..8).filter(|row| table >> row & 1 != 0).fold(0, |result, row| {
        let same = |word: u32, bit: u32| if row >> bit & 1 != 0 { word } else { !word };
        result | same(a, 2) & same(b, 1) & same(c, 0)
    })
}

/// The position of the highest set bit, or all ones.
fn found(bits: u64) -> u32 {
    bits.checked_ilog2().unwrap_or(u32::MAX)
}

/// How far the highest set bit is below the top, or all ones.
fn shift(bits: u64, width: u32) -> u32 {
    bits.checked_ilog2().map_or(u32::MAX, |place| width - 1 - place)
}

fn ones(length: u32) -> u64 {
    1u64.checked_shl(length).map_or(u64::MAX, |bit| bit - 1)
}

/// `length` bits from `at`; position and length are 8 bits wide, and bits above the top are zero.
fn field(bits: u64, width: u32, at: u32, length: u32) -> u64 {
    let (at, length) = (at & 0xff, length & 0xff);
    if at >= width { 0 } else { bits >> at & ones(length) }
}

/// The same, sign-extended from the field's top bit, or from the word's if the field extends beyond it.
fn signed_field(value: i64, width: u32, at: u32, length: u32) -> i64 {
    let (at, length) = (at & 0xff, length & 0xff);
    if length == 0 {
        return 0;
    }
    // `value` is sign-extended, so only signs are beyond the word.
    let shifted = value >> at.min(width - 1);
    let above = 64 - length.min(width - at.min(width - 1)).min(64);
    shifted << above >> above
}

/// `base` with `length` bits of `bits` from `at` on; bits above the top are dropped.
fn insert(bits: u64, base: u64, at: u32, length: u32) -> u64 {
    let (at, length) = (at & 0xff, length & 0xff);
    let mask = ones(length).checked_shl(at).unwrap_or(0);
    base & !mask | bits.checked_shl(at).unwrap_or(0) & mask
}

#[cfg(test)]
mod tests {
    use crate::arith::eval;
    use crate::ptx::Type::{B32, B64, S32, S64, U16, U32, U64};

    #[test]
    fn shifts_clamp_at_the_width() {
        assert_eq!(eval("shl", B32, &[1, 31]), 1 << 31);
        for n in [32, 33, 64, u64::from(u32::MAX)] {
            assert_eq!(eval("shl", B32, &[0xffff_ffff, n]), 0, "{n}");
            assert_eq!(eval("shr", U32, &[0xffff_ffff, n]), 0, "{n}");
            assert_eq!(eval("shr", S32, &[0x8000_0000, n]), 0xffff_ffff, "{n}");
            assert_eq!(eval("shr", S32, &[0x7fff_ffff, n]), 0, "{n}");
            assert_eq!(eval("shr", U16, &[0xffff, n]), 0, "{n}");
        }
        assert_eq!(eval("shl", B64, &[1, 32]), 1 << 32);
        assert_eq!(eval("shr", S64, &[1 << 63, 64]), u64::MAX);
        assert_eq!(eval("shr", U64, &[1 << 63, 64]), 0);
    }

    #[test]
    fn funnels_wrap_or_clamp() {
        let (low, high) = (0x1234_5678, 0x9abc_def0);
        assert_eq!(eval("shf.l.wrap", B32, &[low, high, 8]), 0xbcde_f012);
        assert_eq!(eval("shf.l.wrap", B32, &[low, high, 32]), high);
        assert_eq!(eval("shf.l.clamp", B32, &[low, high, 40]), low);
        assert_eq!(eval("shf.r.wrap", B32, &[low, high, 40]), 0xf012_3456);
        assert_eq!(eval("shf.r.clamp", B32, &[low, high, 40]), high);
    }

    #[test]
    fn bytes_are_chosen() {
        assert_eq!(eval("prmt", B32, &[0x3322_1180, 0x7766_5544, 0x7410]), 0x7744_1180);
        assert_eq!(eval("prmt", B32, &[0x3322_1180, 0x7766_5544, 0x98]), 0x8080_00ff);
        assert_eq!(eval("lop3", B32, &[0xf0, 0xcc, 0xaa, 0x96]), 0x96);
    }

    #[test]
    fn fields_end_at_the_top() {
        assert_eq!(eval("bfe", U32, &[0xdead_beef, 8, 8]), 0xbe);
        assert_eq!(eval("bfe", U32, &[0xdead_beef, 28, 8]), 0xd);
        assert_eq!(eval("bfe", U32, &[0xdead_beef, 32, 8]), 0);
        assert_eq!(eval("bfe", S32, &[0xdead_beef, 8, 8]), 0xffff_ffbe);
        assert_eq!(eval("bfe", S32, &[0xdead_beef, 28, 8]), 0xffff_fffd);
        assert_eq!(eval("bfe", S32, &[0xdead_beef, 40, 8]), 0xffff_ffff);
        assert_eq!(eval("bfe", S32, &[0xdead_beef, 8, 0]), 0);
        assert_eq!(eval("bfe", S64, &[0x80, 7, 1]), u64::MAX);
        assert_eq!(eval("bfi", B32, &[0xff, 0, 28, 8]), 0xf000_0000);
        assert_eq!(eval("bfi", B64, &[0x1234_5678, 0xffff_ffff_0000_0000, 16, 16]), 0xffff_ffff_5678_0000);
        assert_eq!(eval("bfi", B32, &[0xff, 7, 32, 8]), 7);
    }

    #[test]
    fn counts_and_places() {
        assert_eq!(eval("popc", B32, &[0xf0f0]), 8);
        assert_eq!(eval("clz", B32, &[0]), 32);
        assert_eq!(eval("clz", B64, &[1]), 63);
        assert_eq!(eval("brev", B32, &[1]), 1 << 31);
        assert_eq!(eval("bfind", U32, &[0]), 0xffff_ffff);
        assert_eq!(eval("bfind", S32, &[0xffff_ff00]), 7);
        assert_eq!(eval("bfind.shiftamt", U32, &[1]), 31);
        assert_eq!(eval("bfind", U64, &[1 << 40]), 40);
    }
}
