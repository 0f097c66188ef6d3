//! Comparisons, whose results are predicates.

use super::{Entry, each_type, lanes, map2};
use crate::ptx::Type;

/// The entry of a comparison such as `lt` or `geu`, which also holds for NaN.
pub fn compare(name: &str, ty: Type) -> Option<Entry> {
    if let Type::F32 | Type::F64 = ty { numbers(name, ty) } else { whole(name, ty) }
}

fn whole(name: &str, ty: Type) -> Option<Entry> {
    let has_sign = ty.is_signed();
    each_type!(ty; B16 => u16, U16 => u16, S16 => i16, B32 => u32, U32 => u32, S32 => i32, B64 => u64, U64 => u64,
        S64 => i64; |T| {
        Some(match name {
            "eq" => lanes!(|a: T, b: T| a == b),
            "ne" => lanes!(|a: T, b: T| a != b),
            "lt" => lanes!(|a: T, b: T| a < b),
            "le" => lanes!(|a: T, b: T| a <= b),
            "gt" => lanes!(|a: T, b: T| a > b),
            "ge" => lanes!(|a: T, b: T| a >= b),
            "lo" if !has_sign => lanes!(|a: T, b: T| a < b),
            "ls" if !has_sign => lanes!(|a: T, b: T| a <= b),
            "hi" if !has_sign => lanes!(|a: T, b: T| a > b),
            "hs" if !has_sign => lanes!(|a: T, b: T| a >= b),
            _ => return None,
        })
    })
}

/// Names that end in `u` also hold for NaN.
#[expect(clippy::neg_cmp_op_on_partial_ord, clippy::double_comparisons, reason = "NaN is neither less nor greater")]
fn numbers(name: &str, ty: Type) -> Option<Entry> {
    each_type!(ty; F32 => f32, F64 => f64; |T| {
        Some(match name {
            "eq" => lanes!(|a: T, b: T| a == b),
            "ne" => lanes!(|a: T, b: T| a < b || a > b),
            "lt" => lanes!(|a: T, b: T| a < b),
            "le" => lanes!(|a: T, b: T| a <= b),
            "gt" => lanes!(|a: T, b: T| a > b),
            "ge" => lanes!(|a: T, b: T| a >= b),
            "equ" => lanes!(|a: T, b: T| !(a < b || a > b)),
            "neu" => lanes!(|a: T, b: T| a != b),
            "ltu" => lanes!(|a: T, b: T| !(a >= b)),
            "leu" => lanes!(|a: T, b: T| !(a > b)),
            "gtu" => lanes!(|a: T, b: T| !(a <= b)),
            "geu" => lanes!(|a: T, b: T| !(a < b)),
            "num" => lanes!(|a: T, b: T| !a.is_nan() && !b.is_nan()),
            "nan" => lanes!(|a: T, b: T| a.is_nan() || b.is_nan()),
            _ => return None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::compare;
    use crate::arith::run;
    use crate::ptx::Type::{self, F32, S16, S64, U16, U64};

    fn holds(name: &str, ty: Type, a: u64, b: u64) -> bool {
        run(compare(name, ty).unwrap_or_else(|| panic!("{name} of {ty:?}")), &[a, b]) == 1
    }

    #[test]
    fn signs_count() {
        assert!(holds("lt", S16, 0xffff, 1) && !holds("lt", U16, 0xffff, 1));
        assert!(holds("lt", S64, u64::MAX, 1) && holds("hi", U64, u64::MAX, 1));
        assert!(compare("lo", S16).is_none());
    }

    #[test]
    fn unordered_names_hold_for_nan() {
        let (one, two, nan) = (1f32.to_bits().into(), 2f32.to_bits().into(), f32::NAN.to_bits().into());
        for (name, less, equal, greater, unordered) in [
            ("eq", false, true, false, false),
            ("ne", true, false, true, false),
            ("lt", true, false, false, false),
            ("le", true, true, false, false),
            ("gt", false, false, true, false),
            ("ge", false, true, true, false),
            ("equ", false, true, false, true),
            ("neu", true, false, true, true),
            ("ltu", true, false, false, true),
            ("leu", true, true, false, true),
            ("gtu", false, false, true, true),
            ("geu", false, true, true, true),
            ("num", true, true, true, false),
            ("nan", false, false, false, true),
        ] {
            let found = [(one, two), (one, one), (two, one), (one, nan)].map(|(a, b)| holds(name, F32, a, b));
            assert_eq!(found, [less, equal, greater, unordered], "{name}");
        }
    }
}
