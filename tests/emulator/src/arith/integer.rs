//! Whole numbers: sums, products, quotients. All wrap around unless they say otherwise.

use super::{Entry, each_type, lanes, map1, map2, map3};
use crate::ptx::Type;

/// The entry of an operation on whole numbers.
pub(super) fn entry(name: &str, ty: Type) -> Option<Entry> {
    wide(name, ty).or_else(|| signed(name, ty)).or_else(|| any(name, ty)).or_else(|| dot(name, ty))
}

/// Products of the parts of two words, added to a third: the halves of `a` with two bytes of `b`, or the bytes of both.
/// `ty` is the type of `a`; the name ends with that of `b` if it is signed.
fn dot(name: &str, ty: Type) -> Option<Entry> {
    /// Part `i` of this many bits.
    fn part(word: u32, i: u32, bits: u32, is_signed: bool) -> i64 {
        let part = word >> (i * bits) & ((1 << bits) - 1);
        let sign = u32::from(is_signed) << (bits - 1);
        i64::from(part ^ sign) - i64::from(sign)
    }
    macro_rules! dot {
        ($n:literal, $bits:literal, $first:literal, $a:literal, $b:literal) => {
            lanes!(|a: u32, b: u32, c: u32| {
                (0..$n).map(|i| part(a, i, $bits, $a) * part(b, $first + i, 8, $b)).fold(i64::from(c), |sum, x| sum + x)
                    as u32
            })
        };
    }
    macro_rules! signs {
        ($a:literal, $b:literal) => {
            match name.trim_end_matches(".s32") {
                "dp4a" => dot!(4, 8, 0, $a, $b),
                "dp2a.lo" => dot!(2, 16, 0, $a, $b),
                "dp2a.hi" => dot!(2, 16, 2, $a, $b),
                _ => return None,
            }
        };
    }
    Some(match (ty, name.ends_with(".s32")) {
        (Type::U32, false) => signs!(false, false),
        (Type::U32, true) => signs!(false, true),
        (Type::S32, false) => signs!(true, false),
        (Type::S32, true) => signs!(true, true),
        _ => return None,
    })
}

fn any(name: &str, ty: Type) -> Option<Entry> {
    each_type!(ty; U16 => u16, S16 => i16, U32 => u32, S32 => i32, U64 => u64, S64 => i64; |T| {
        Some(match name {
            "add" => lanes!(|a: T, b: T| a.wrapping_add(b)),
            "sub" => lanes!(|a: T, b: T| a.wrapping_sub(b)),
            "mul.lo" => lanes!(|a: T, b: T| a.wrapping_mul(b)),
            "mul.hi" => lanes!(|a: T, b: T| high(a as i128, b as i128, T::BITS) as T),
            "mad.lo" => lanes!(|a: T, b: T, c: T| a.wrapping_mul(b).wrapping_add(c)),
            "mad.hi" => lanes!(|a: T, b: T, c: T| (high(a as i128, b as i128, T::BITS) as T).wrapping_add(c)),
            // Nothing traps on the device: a quotient by zero is all ones, and the remainder is the dividend.
            "div" => lanes!(|a: T, b: T| if b == 0 { !0 } else { a.wrapping_div(b) }),
            "rem" => lanes!(|a: T, b: T| if b == 0 { a } else { a.wrapping_rem(b) }),
            "min" => lanes!(|a: T, b: T| a.min(b)),
            "max" => lanes!(|a: T, b: T| a.max(b)),
            "sad" => lanes!(|a: T, b: T, c: T| c.wrapping_add(a.abs_diff(b) as T)),
            "addc" => lanes!(|a: T, b: T, carry: bool| a.wrapping_add(b).wrapping_add(carry as T)),
            "subc" => lanes!(|a: T, b: T, borrow: bool| a.wrapping_sub(b).wrapping_sub(borrow as T)),
            _ => return None,
        })
    })
}

/// The upper half of a product.
fn high(a: i128, b: i128, width: u32) -> i128 {
    a.wrapping_mul(b) >> width
}

fn signed(name: &str, ty: Type) -> Option<Entry> {
    each_type!(ty; S16 => i16, S32 => i32, S64 => i64; |T| {
        Some(match name {
            "abs" => lanes!(|a: T| a.wrapping_abs()),
            "neg" => lanes!(|a: T| a.wrapping_neg()),
            "add.sat" if ty == Type::S32 => lanes!(|a: T, b: T| a.saturating_add(b)),
            "sub.sat" if ty == Type::S32 => lanes!(|a: T, b: T| a.saturating_sub(b)),
            // Negative results become 0.
            "min.relu" if ty == Type::S32 => lanes!(|a: T, b: T| a.min(b).max(0)),
            "max.relu" if ty == Type::S32 => lanes!(|a: T, b: T| a.max(b).max(0)),
            _ => return None,
        })
    })
}

/// Products of twice the width, and the carry out of an unsigned sum.
fn wide(name: &str, ty: Type) -> Option<Entry> {
    macro_rules! wide {
        ($t:ty, $twice:ty) => {
            match name {
                "mul.wide" => Some(lanes!(|a: $t, b: $t| a as $twice * b as $twice)),
                "mad.wide" => Some(lanes!(|a: $t, b: $t, c: $twice| (a as $twice * b as $twice).wrapping_add(c))),
                _ => None,
            }
        };
    }
    let product = match ty {
        Type::U16 => wide!(u16, u32),
        Type::S16 => wide!(i16, i32),
        Type::U32 => wide!(u32, u64),
        Type::S32 => wide!(i32, i64),
        _ => None,
    };
    product.or_else(|| {
        each_type!(ty; U32 => u32, S32 => u32, U64 => u64, S64 => u64; |T| {
            Some(match name {
                "carry" => lanes!(|a: T, b: T, carry: bool| a.carrying(b, carry)),
                "borrow" => lanes!(|a: T, b: T, borrow: bool| b.checked_add(T::from(borrow)).is_none_or(|b| a < b)),
                _ => return None,
            })
        })
    })
}

/// The carry out of `a + b + carry`.
trait Carrying {
    fn carrying(self, b: Self, carry: bool) -> bool;
}

macro_rules! carrying {
    ($($t:ty),*) => {$(
        impl Carrying for $t {
            fn carrying(self, b: $t, carry: bool) -> bool {
                let (sum, first) = self.overflowing_add(b);
                first | sum.overflowing_add(<$t>::from(carry)).1
            }
        }
    )*};
}
carrying!(u32, u64);

#[cfg(test)]
mod tests {
    use crate::arith::eval;
    use crate::ptx::Type::{S16, S32, S64, U16, U32, U64};

    #[test]
    fn parts_of_words_are_multiplied_and_added() {
        let (a, b) = (0xffff_0003, 0x80_04_ff_02);
        assert_eq!(eval("dp2a.lo", U32, &[a, b, 10]), 0xffff * 0xff + 3 * 2 + 10);
        assert_eq!(eval("dp2a.hi", U32, &[a, b, 0]), 0xffff * 0x80 + 3 * 4);
        assert_eq!(eval("dp2a.lo.s32", S32, &[a, b, 10]), 1 + 3 * 2 + 10);
        assert_eq!(eval("dp2a.hi.s32", U32, &[a, b, 0]) as u32 as i32, 0xffff * -0x80 + 3 * 4);
        assert_eq!(eval("dp2a.hi", S32, &[a, b, 0]) as u32 as i32, -0x80 + 3 * 4);
        assert_eq!(eval("dp4a", U32, &[0x0102_0304, b, 1]), 0x80 + 2 * 4 + 3 * 0xff + 4 * 2 + 1);
        assert_eq!(eval("dp4a.s32", U32, &[0x0102_0304, b, 1]) as u32 as i32, -0x80 + 2 * 4 - 3 + 4 * 2 + 1);
    }

    #[test]
    fn products_have_halves() {
        assert_eq!(eval("mul.hi", U64, &[u64::MAX, u64::MAX]), u64::MAX - 1);
        assert_eq!(eval("mul.hi", S64, &[u64::MAX, 3]), u64::MAX);
        assert_eq!(eval("mul.hi", S32, &[0xffff_ffff, 2]), 0xffff_ffff);
        assert_eq!(eval("mul.hi", U32, &[0xffff_ffff, 2]), 1);
        assert_eq!(eval("mul.wide", S32, &[0xffff_ffff, 4]), (-4i64) as u64);
        assert_eq!(eval("mul.wide", U32, &[0xffff_ffff, 4]), 0x3_ffff_fffc);
        assert_eq!(eval("mad.wide", S16, &[0xffff, 4, 5]), 1);
        assert_eq!(eval("mad.lo", U16, &[300, 300, 1]), (300u64 * 300 + 1) & 0xffff);
    }

    #[test]
    fn nothing_traps() {
        assert_eq!(eval("div", S32, &[7, 0]), 0xffff_ffff);
        assert_eq!(eval("div", U64, &[7, 0]), u64::MAX);
        assert_eq!(eval("rem", U32, &[7, 0]), 7);
        assert_eq!(eval("div", S32, &[0x8000_0000, 0xffff_ffff]), 0x8000_0000);
        assert_eq!(eval("rem", S32, &[0x8000_0000, 0xffff_ffff]), 0);
        assert_eq!(eval("abs", S32, &[0x8000_0000]), 0x8000_0000);
    }

    #[test]
    fn signs_count() {
        assert_eq!(eval("div", S32, &[0xffff_fff9, 2]), 0xffff_fffd);
        assert_eq!(eval("rem", S32, &[0xffff_fff9, 2]), 0xffff_ffff);
        assert_eq!(eval("min", S32, &[0xffff_ffff, 1]), 0xffff_ffff);
        assert_eq!(eval("min", U32, &[0xffff_ffff, 1]), 1);
        assert_eq!(eval("min.relu", S32, &[0xffff_ffff, 1]), 0);
        assert_eq!(eval("min.relu", S32, &[3, 2]), 2);
        assert_eq!(eval("max.relu", S32, &[0xffff_ffff, 0xffff_fffe]), 0);
        assert_eq!(eval("add.sat", S32, &[0x7fff_ffff, 1]), 0x7fff_ffff);
        assert_eq!(eval("sad", S32, &[0xffff_ffff, 3, 10]), 14);
        assert_eq!(eval("neg", S16, &[1]), 0xffff);
    }

    #[test]
    fn carries_go_on() {
        assert_eq!(eval("carry", U32, &[0xffff_ffff, 0, 1]), 1);
        assert_eq!(eval("carry", U32, &[0xffff_fffe, 0, 1]), 0);
        assert_eq!(eval("addc", U32, &[0xffff_ffff, 0, 1]), 0);
        assert_eq!(eval("borrow", U64, &[0, u64::MAX, 1]), 1);
        assert_eq!(eval("borrow", U64, &[5, 4, 1]), 0);
        assert_eq!(eval("subc", U32, &[5, 4, 1]), 0);
    }
}
