//! `cvt`: from every type to every other.

use super::rounding::narrow;
use super::{Row, Rows, Scalar, map1};
use crate::ptx::Type;

/// Which of two neighbours is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// The nearer; the even one on a tie.
    Nearest,
    /// The one nearer to zero.
    Zero,
    /// The lower.
    Down,
    /// The upper.
    Up,
}

impl Rounding {
    fn whole(self, x: f64) -> f64 {
        match self {
            Rounding::Nearest => x.round_ties_even(),
            Rounding::Zero => x.trunc(),
            Rounding::Down => x.floor(),
            Rounding::Up => x.ceil(),
        }
    }
}

/// One conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// The type of the result.
    pub to: Type,
    /// The type of the operand.
    pub from: Type,
    /// How it rounds.
    pub rounding: Rounding,
    /// Whether the result is a whole number: `.rni` and the like, also between equal types.
    pub to_whole: bool,
    /// Whether the result is clamped to the range of the type or, for floats, to 0 to 1.
    pub saturates: bool,
    /// Bits of the destination register: narrower results are extended.
    pub width: u32,
}

impl Conversion {
    /// Converts the lanes of a mask.
    pub fn run(&self, rows: &mut [Row], r: &Rows, mask: u32) {
        // The conversions of addresses and indices have loops of their own.
        match (self.from, self.to) {
            _ if self.saturates => map1(rows, r, mask, |bits: u64| self.apply(bits)),
            (Type::S32, Type::S64) => map1(rows, r, mask, |a: i32| i64::from(a)),
            (Type::U32, Type::U64) | (Type::U64 | Type::S64, Type::U32) => map1(rows, r, mask, |a: u32| a),
            (Type::F32, Type::F64) => map1(rows, r, mask, |a: f32| f64::from(a)),
            _ => map1(rows, r, mask, |bits: u64| self.apply(bits)),
        }
    }

    fn apply(&self, bits: u64) -> u64 {
        match (self.from.is_float(), self.to.is_float()) {
            (true, true) => self.number(number(self.from, bits)),
            (true, false) => self.extended(self.whole_of_number(number(self.from, bits))),
            (false, true) => self.number_of_whole(whole(self.from, bits)),
            (false, false) => self.extended(self.clamped(whole(self.from, bits))),
        }
    }

    /// A whole number as a register holds it.
    fn extended(&self, value: i128) -> u64 {
        let kept = whole(self.to, value as u64);
        kept as u64 & u64::MAX >> (64 - self.width)
    }

    fn clamped(&self, value: i128) -> i128 {
        let (low, high) = range(self.to);
        if self.saturates { value.clamp(low, high) } else { value }
    }

    /// Results out of range are clamped, with or without `.sat`.
    fn whole_of_number(&self, value: f64) -> i128 {
        let (low, high) = range(self.to);
        if value.is_nan() {
            // PTX ISA, `cvt`: NaN becomes zero, or the top bit alone where either side has 64 bits.
            let is_long = self.from == Type::F64 || self.to.bytes() == 8;
            return if is_long { 1 << (8 * self.to.bytes() - 1) } else { 0 };
        }
        (self.rounding.whole(value) as i128).clamp(low, high)
    }

    fn number_of_whole(&self, value: i128) -> u64 {
        // The nearest f64 and the remainder are exact: values have 64 bits.
        let double = value as f64;
        let left = (value - double as i128) as f64;
        if self.to == Type::F32 && self.rounding == Rounding::Nearest {
            return self.number_bits(f64::from(value as f32));
        }
        if self.to == Type::F32 {
            return self.number_bits(narrow(double, left, self.rounding).into());
        }
        let moved = match self.rounding {
            Rounding::Down if left < 0.0 => double.next_down(),
            Rounding::Up if left > 0.0 => double.next_up(),
            Rounding::Zero if left < 0.0 && value > 0 => double.next_down(),
            Rounding::Zero if left > 0.0 && value < 0 => double.next_up(),
            _ => double,
        };
        self.number_bits(moved)
    }

    fn number(&self, value: f64) -> u64 {
        if self.to_whole {
            return self.number_bits(self.rounding.whole(value));
        }
        if self.to == Type::F32 && self.rounding != Rounding::Nearest {
            return self.number_bits(narrow(value, 0.0, self.rounding).into());
        }
        self.number_bits(value)
    }

    fn number_bits(&self, value: f64) -> u64 {
        let value = match self.saturates {
            true if value > 0.0 => value.min(1.0),
            true => 0.0,
            false => value,
        };
        if self.to == Type::F32 { (value as f32).bits() } else { value.bits() }
    }
}

fn number(ty: Type, bits: u64) -> f64 {
    if ty == Type::F32 { f32::of(bits).into() } else { f64::of(bits) }
}

fn whole(ty: Type, bits: u64) -> i128 {
    let above = 128 - 8 * ty.bytes();
    let bits = u128::from(bits) << above;
    if ty.is_signed() { bits.cast_signed() >> above } else { (bits >> above).cast_signed() }
}

fn range(ty: Type) -> (i128, i128) {
    let width = 8 * ty.bytes();
    if ty.is_signed() { (-(1 << (width - 1)), (1 << (width - 1)) - 1) } else { (0, (1 << width) - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptx::Type::{F32, F64, S8, S16, S32, S64, U8, U16, U32, U64};

    fn convert(to: Type, from: Type, rounding: Rounding) -> Conversion {
        let width = (8 * to.bytes()).max(16);
        Conversion { to, from, rounding, to_whole: false, saturates: false, width }
    }

    #[test]
    fn numbers_become_whole_in_every_width() {
        let cases = [
            (Rounding::Down, -1.5, -2.0),
            (Rounding::Nearest, 2.5, 2.0),
            (Rounding::Nearest, -0.5, -0.0),
            (Rounding::Zero, -1.9, -1.0),
            (Rounding::Up, 1.1, 2.0),
        ];
        for (rounding, from, to) in cases {
            for ty in [F32, F64] {
                let conversion = Conversion { to_whole: true, ..convert(ty, ty, rounding) };
                let bits = |x: f64| if ty == F32 { (x as f32).bits() } else { x.bits() };
                assert_eq!(conversion.apply(bits(from)), bits(to), "{rounding:?} {from}");
                assert!(number(ty, conversion.apply(bits(f64::NAN))).is_nan(), "{rounding:?}");
            }
        }
    }

    #[test]
    fn numbers_beyond_the_range_stay_at_its_end() {
        let to = |ty, x: f32| convert(ty, F32, Rounding::Zero).apply(x.bits());
        assert_eq!(to(S32, 3e9), 0x7fff_ffff);
        assert_eq!(to(S32, -3e9), 0x8000_0000);
        assert_eq!(to(U32, -3.0), 0);
        assert_eq!(to(U8, 300.0), 255);
        assert_eq!(to(U64, f32::INFINITY), u64::MAX);
        assert_eq!(to(S32, f32::NAN), 0);
        assert_eq!(to(S64, f32::NAN), 1 << 63);
        assert_eq!(convert(S32, F64, Rounding::Zero).apply(f64::NAN.bits()), 1 << 31);
    }

    #[test]
    fn whole_numbers_are_extended_or_cut() {
        let apply = |to, from, bits| convert(to, from, Rounding::Nearest).apply(bits);
        assert_eq!(apply(S64, S32, 0xffff_ffff), u64::MAX);
        assert_eq!(apply(U64, S8, 0xff), u64::MAX);
        assert_eq!(apply(U64, U32, 0xffff_ffff), 0xffff_ffff);
        assert_eq!(apply(U32, U64, 0x1_2345_6789), 0x2345_6789);
        assert_eq!(apply(U16, U8, 0x1ff), 0xff);
        assert_eq!(apply(S16, S8, 0x80), 0xff80);
        let wide = Conversion { width: 32, ..convert(S8, U32, Rounding::Nearest) };
        assert_eq!(wide.apply(0x180), 0xffff_ff80);
        let saturating = Conversion { saturates: true, ..convert(U8, S32, Rounding::Nearest) };
        assert_eq!([saturating.apply(0xffff_ffff), saturating.apply(300), saturating.apply(9)], [0, 255, 9]);
    }

    #[test]
    fn numbers_round_to_sides() {
        let to = |ty, from, rounding, bits| number(ty, convert(ty, from, rounding).apply(bits));
        let odd = (1 << 24) + 1;
        assert_eq!(to(F32, S32, Rounding::Nearest, odd), 16_777_216.0);
        assert_eq!(to(F32, S32, Rounding::Up, odd), 16_777_218.0);
        assert_eq!(to(F32, U64, Rounding::Zero, u64::MAX), f64::from((2f32.powi(64)).next_down()));
        assert_eq!(to(F64, U64, Rounding::Down, u64::MAX), 2f64.powi(64).next_down());
        assert_eq!(to(F64, S64, Rounding::Nearest, u64::MAX), -1.0);
        assert_eq!(to(F32, F64, Rounding::Down, 0.1f64.bits()) as f32, 0.1f32.next_down());
        assert_eq!(to(F32, F64, Rounding::Zero, 1e300f64.bits()) as f32, f32::MAX);
        // Going through f64 would round twice.
        let tie = (1 << 62) + (1 << 38) + 1;
        assert_eq!(to(F32, U64, Rounding::Nearest, tie) as f32, (2f32.powi(62)).next_up());
    }

    #[test]
    fn saturation_keeps_within_one() {
        let conversion = Conversion { saturates: true, ..convert(F32, F32, Rounding::Nearest) };
        let apply = |x: f32| f32::of(conversion.apply(x.bits()));
        assert_eq!([apply(-3.0), apply(0.25), apply(3.0), apply(f32::NAN)], [0.0, 0.25, 1.0, 0.0]);
    }
}
