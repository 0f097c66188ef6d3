//! What atomic operations leave in memory; reductions over a warp use the same rows.

use super::{Scalar, each_type};
use crate::ptx::Type;

/// The new value in memory, from the old value and two operands.
pub type Update = fn(u64, u64, u64) -> u64;

/// The update of an operation such as `add` or `cas`.
pub fn atomic(name: &str, ty: Type) -> Option<Update> {
    whole(name, ty).or_else(|| number(name, ty)).or_else(|| counter(name, ty))
}

fn whole(name: &str, ty: Type) -> Option<Update> {
    each_type!(ty; U32 => u32, S32 => i32, B32 => u32, U64 => u64, S64 => i64, B64 => u64; |T| {
        let update: Update = match name {
            "add" => |old, a, _| T::of(old).wrapping_add(T::of(a)).bits(),
            "min" => |old, a, _| T::of(old).min(T::of(a)).bits(),
            "max" => |old, a, _| T::of(old).max(T::of(a)).bits(),
            "and" => |old, a, _| old & a,
            "or" => |old, a, _| old | a,
            "xor" => |old, a, _| old ^ a,
            "exch" => |_, a, _| a,
            "cas" => |old, a, b| if T::of(old) == T::of(a) { b } else { old },
            _ => return None,
        };
        Some(update)
    })
}

fn number(name: &str, ty: Type) -> Option<Update> {
    each_type!(ty; F32 => f32, F64 => f64; |T| {
        let update: Update = match name {
            "add" => |old, a, _| (T::of(old) + T::of(a)).bits(),
            "exch" => |_, a, _| a,
            _ => return None,
        };
        Some(update)
    })
}

/// Counters that wrap at their operand.
fn counter(name: &str, ty: Type) -> Option<Update> {
    match (name, ty) {
        ("inc", Type::U32) => Some(|old, a, _| if old >= a { 0 } else { old + 1 }),
        ("dec", Type::U32) => Some(|old, a, _| if old == 0 || old > a { a } else { old - 1 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::atomic;
    use crate::ptx::Type::{B32, F64, S32, S64, U32, U64};

    fn update(name: &str, ty: crate::ptx::Type, old: u64, a: u64, b: u64) -> u64 {
        atomic(name, ty).expect("it is known")(old, a, b)
    }

    #[test]
    fn all_widths_have_signs() {
        assert_eq!(update("max", S64, u64::MAX, 3, 0), 3);
        assert_eq!(update("max", U64, u64::MAX, 3, 0), u64::MAX);
        assert_eq!(update("min", S64, u64::MAX, 3, 0), u64::MAX);
        assert_eq!(update("min", S32, 0xffff_ffff, 3, 0), 0xffff_ffff);
        assert_eq!(update("add", U32, 0xffff_ffff, 2, 0), 1);
        assert_eq!(f64::from_bits(update("add", F64, 1f64.to_bits(), 2f64.to_bits(), 0)), 3.0);
    }

    #[test]
    fn counters_and_exchanges() {
        assert_eq!([update("inc", U32, 3, 3, 0), update("inc", U32, 2, 3, 0)], [0, 3]);
        assert_eq!([update("dec", U32, 0, 3, 0), update("dec", U32, 9, 3, 0), update("dec", U32, 2, 3, 0)], [3, 3, 1]);
        assert_eq!([update("cas", B32, 5, 5, 9), update("cas", B32, 5, 6, 9)], [9, 5]);
        assert!(atomic("min", F64).is_none());
    }
}
