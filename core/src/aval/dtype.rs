//! Element types and scalar literals.

use half::{bf16, f16};
use std::fmt;
use std::hash::{Hash, Hasher};

/// Passes every element type to a macro: its Rust type, its variant, its bytes, and its kind.
///
/// This list is the only one: a type that is added here is missing nowhere.
macro_rules! element_types {
    ($read:ident) => {
        $read! {
            /// IEEE 754 binary16. Arithmetic is done in `f32`, and rounded once an operation.
            f16 F16 2 Float;
            /// The upper half of an `f32`, as Google's Brain project introduced it. Arithmetic is done in `f32`, and rounded
            /// once an operation.
            bf16 BF16 2 Float;
            /// IEEE 754 binary32.
            f32 F32 4 Float;
            /// IEEE 754 binary64.
            f64 F64 8 Float;
            /// Two's complement, 8 bits; arithmetic wraps.
            i8 I8 1 Signed;
            /// Two's complement, 16 bits; arithmetic wraps.
            i16 I16 2 Signed;
            /// Two's complement, 32 bits; arithmetic wraps.
            i32 I32 4 Signed;
            /// Two's complement, 64 bits; arithmetic wraps.
            i64 I64 8 Signed;
            /// Unsigned, 8 bits; arithmetic wraps.
            u8 U8 1 Unsigned;
            /// Unsigned, 16 bits; arithmetic wraps.
            u16 U16 2 Unsigned;
            /// Unsigned, 32 bits; arithmetic wraps.
            u32 U32 4 Unsigned;
            /// Unsigned, 64 bits; arithmetic wraps.
            u64 U64 8 Unsigned;
            /// `false` or `true`, one byte.
            bool Bool 1 Truth;
        }
    };
}
pub(crate) use element_types;

/// The kind of numbers that an element type holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NumberKind {
    Float,
    Signed,
    Unsigned,
    Truth,
}

macro_rules! dtypes {
    ($($(#[$doc:meta])* $t:ident $v:ident $size:literal $kind:ident;)*) => {
        /// The type of an array's elements.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum DType {
            $($(#[$doc])* $v,)*
        }

        impl DType {
            /// Every element type.
            pub const ALL: &[DType] = &[$(DType::$v),*];

            /// Bytes per element.
            pub const fn size(self) -> usize {
                match self { $(DType::$v => $size),* }
            }

            /// The name in programs: `f32`.
            pub const fn name(self) -> &'static str {
                match self { $(DType::$v => stringify!($t)),* }
            }

            const fn kind(self) -> NumberKind {
                match self { $(DType::$v => NumberKind::$kind),* }
            }
        }

        /// A scalar constant. Two literals are equal if their bits are.
        #[derive(Clone, Copy, Debug)]
        pub enum Literal {
            $(#[doc = concat!("One `", stringify!($t), "`.")] $v($t),)*
        }

        $(impl Element for $t {
            const DTYPE: DType = DType::$v;
            fn literal(self) -> Literal { Literal::$v(self) }
        }
        impl From<$t> for Literal {
            fn from(x: $t) -> Self { Literal::$v(x) }
        })*

        impl Literal {
            /// Its element type.
            pub fn dtype(self) -> DType {
                match self { $(Literal::$v(_) => DType::$v),* }
            }

            /// The number, converted to the type `dtype` as Rust's `as` converts: floats to integers truncate and
            /// saturate, integers to smaller ones keep their low bits, floats are rounded to the nearest; `bool` is
            /// `x != 0`.
            pub fn convert(self, dtype: DType) -> Literal {
                match dtype { $(DType::$v => Literal::$v(<$t>::from_literal(self))),* }
            }
        }
    };
}
element_types!(dtypes);

impl DType {
    /// Whether derivatives exist for this type.
    pub fn is_float(self) -> bool {
        self.kind() == NumberKind::Float
    }

    /// Whether this is a signed or unsigned integer type.
    pub fn is_int(self) -> bool {
        matches!(self.kind(), NumberKind::Signed | NumberKind::Unsigned)
    }

    /// Whether this is a signed integer type.
    pub fn is_signed(self) -> bool {
        self.kind() == NumberKind::Signed
    }

    /// The type in which operations on this type are computed: a half is computed as `f32`, a short integer as one of 32
    /// bits, and the result is converted back. Other types are computed as they are.
    pub fn computed(self) -> DType {
        match (self.kind(), self.size()) {
            (NumberKind::Float, 2) => DType::F32,
            (NumberKind::Signed, 1 | 2) => DType::I32,
            (NumberKind::Unsigned, 1 | 2) => DType::U32,
            _ => self,
        }
    }

    /// Whether operations on this type are computed in a wider one.
    pub fn is_narrow(self) -> bool {
        self.computed() != self
    }

    /// The largest finite number of a floating type.
    pub fn largest(self) -> f64 {
        let infinity = Literal::from_f64(self, f64::INFINITY);
        Literal::from_bits(self, infinity.bits() - 1).as_f64()
    }

    /// The unsigned integer type with this many bytes per element.
    pub fn unsigned(size: usize) -> DType {
        match size {
            1 => DType::U8,
            2 => DType::U16,
            4 => DType::U32,
            _ => DType::U64,
        }
    }

    /// The type with this name.
    pub fn parse(name: &str) -> Option<DType> {
        DType::ALL.iter().copied().find(|dtype| dtype.name() == name)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A Rust type that is an array element.
pub trait Element: Copy + PartialEq + PartialOrd + fmt::Debug + Default + Send + Sync + 'static {
    /// The corresponding element type.
    const DTYPE: DType;
    /// This value as a scalar literal.
    fn literal(self) -> Literal;
}

/// Conversion of any element to one type, as [`Literal::convert`] describes it.
pub(crate) trait FromLiteral {
    fn from_literal(literal: Literal) -> Self;
}

macro_rules! from_literal {
    // The halves convert by methods.
    (half $($t:ident)*) => { $(impl FromLiteral for $t {
        fn from_literal(literal: Literal) -> Self {
            match literal {
                Literal::F16(x) if DType::F16 == <$t>::DTYPE => <$t>::from_bits(x.to_bits()),
                Literal::BF16(x) if DType::BF16 == <$t>::DTYPE => <$t>::from_bits(x.to_bits()),
                // What has more digits is rounded to odd first, so that it is not rounded to nearest twice.
                Literal::I64(x) => {
                    <$t>::from_f32(single_rounded_to_odd(rounded_to_odd(x.unsigned_abs()).copysign(x as f64)))
                }
                Literal::U64(x) => <$t>::from_f32(single_rounded_to_odd(rounded_to_odd(x))),
                literal => <$t>::from_f32(single_rounded_to_odd(literal.as_f64())),
            }
        }
    })* };
    (numbers $($t:ident)*) => { $(impl FromLiteral for $t {
        fn from_literal(literal: Literal) -> Self {
            match literal {
                Literal::F16(x) => f32::from(x) as $t,
                Literal::BF16(x) => f32::from(x) as $t,
                Literal::F32(x) => x as $t,
                Literal::F64(x) => x as $t,
                Literal::I8(x) => x as $t,
                Literal::I16(x) => x as $t,
                Literal::I32(x) => x as $t,
                Literal::I64(x) => x as $t,
                Literal::U8(x) => x as $t,
                Literal::U16(x) => x as $t,
                Literal::U32(x) => x as $t,
                Literal::U64(x) => x as $t,
                Literal::Bool(x) => x as u8 as $t,
            }
        }
    })* };
}
from_literal!(half f16 bf16);
from_literal!(numbers f32 f64 i8 i16 i32 i64 u8 u16 u32 u64);

impl FromLiteral for bool {
    fn from_literal(literal: Literal) -> Self {
        literal.as_f64() != 0.0
    }
}

/// The number as `f64`, whose last bit is set if it is not exact.
fn rounded_to_odd(x: u64) -> f64 {
    let dropped = (64 - x.leading_zeros()).saturating_sub(f64::MANTISSA_DIGITS);
    let kept = x >> dropped;
    let is_exact = kept << dropped == x;
    ((kept | u64::from(!is_exact)) << dropped) as f64
}

/// The number as `f32`, whose last bit is set if it is not exact. It has two digits more than a half, at least: so the half
/// that is nearest to it is nearest to the number.
///
/// Source: Boldo, Melquiond, *Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd* (IEEE
/// Trans. Comp. 57, 2008).
fn single_rounded_to_odd(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) == x || x.is_nan() {
        return near;
    }
    let towards_zero = near.to_bits() - u32::from(f64::from(near).abs() > x.abs());
    f32::from_bits(towards_zero | 1)
}

impl Literal {
    /// The number as `f64`; `true` is 1. Exact but for integers of 64 bits, which are rounded.
    pub fn as_f64(self) -> f64 {
        f64::from_literal(self)
    }

    /// The number `x` rounded to `dtype`, as Rust's `as` rounds; `bool` is `x != 0`.
    pub fn from_f64(dtype: DType, x: f64) -> Literal {
        Literal::F64(x).convert(dtype)
    }

    /// The bit pattern, zero-extended.
    pub fn bits(self) -> u64 {
        match self {
            Literal::F16(x) => x.to_bits().into(),
            Literal::BF16(x) => x.to_bits().into(),
            Literal::F32(x) => x.to_bits().into(),
            Literal::F64(x) => x.to_bits(),
            Literal::I8(x) => (x as u8).into(),
            Literal::I16(x) => (x as u16).into(),
            Literal::I32(x) => (x as u32).into(),
            Literal::I64(x) => x as u64,
            Literal::U8(x) => x.into(),
            Literal::U16(x) => x.into(),
            Literal::U32(x) => x.into(),
            Literal::U64(x) => x,
            Literal::Bool(x) => x.into(),
        }
    }

    /// The element with these low bits; a `bool` is the lowest.
    pub fn from_bits(dtype: DType, bits: u64) -> Literal {
        match dtype {
            DType::F16 => Literal::F16(f16::from_bits(bits as u16)),
            DType::BF16 => Literal::BF16(bf16::from_bits(bits as u16)),
            DType::F32 => Literal::F32(f32::from_bits(bits as u32)),
            DType::F64 => Literal::F64(f64::from_bits(bits)),
            DType::I8 => Literal::I8(bits as i8),
            DType::I16 => Literal::I16(bits as i16),
            DType::I32 => Literal::I32(bits as i32),
            DType::I64 => Literal::I64(bits as i64),
            DType::U8 => Literal::U8(bits as u8),
            DType::U16 => Literal::U16(bits as u16),
            DType::U32 => Literal::U32(bits as u32),
            DType::U64 => Literal::U64(bits),
            DType::Bool => Literal::Bool(bits & 1 == 1),
        }
    }

    /// The element of a floating type that is not a number, as operations make it.
    fn usual_nan(dtype: DType) -> Literal {
        Literal::F64(f64::NAN).convert(dtype)
    }
}

impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        self.dtype() == other.dtype() && self.bits() == other.bits()
    }
}
impl Eq for Literal {}
impl Hash for Literal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.dtype(), self.bits()).hash(state);
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtype = self.dtype();
        // NaN has many bit patterns; all but the usual one are written out.
        if self.as_f64().is_nan() && *self != Literal::usual_nan(dtype) {
            return write!(f, "NaN.{:x}{dtype}", self.bits());
        }
        match self {
            Literal::F16(x) => write!(f, "{:?}{dtype}", f32::from(*x)),
            Literal::BF16(x) => write!(f, "{:?}{dtype}", f32::from(*x)),
            Literal::F32(x) => write!(f, "{x:?}{dtype}"),
            Literal::F64(x) => write!(f, "{x:?}{dtype}"),
            Literal::I8(x) => write!(f, "{x}{dtype}"),
            Literal::I16(x) => write!(f, "{x}{dtype}"),
            Literal::I32(x) => write!(f, "{x}{dtype}"),
            Literal::I64(x) => write!(f, "{x}{dtype}"),
            Literal::U8(x) => write!(f, "{x}{dtype}"),
            Literal::U16(x) => write!(f, "{x}{dtype}"),
            Literal::U32(x) => write!(f, "{x}{dtype}"),
            Literal::U64(x) => write!(f, "{x}{dtype}"),
            Literal::Bool(x) => write!(f, "{x}"),
        }
    }
}

impl std::str::FromStr for Literal {
    type Err = String;

    /// Reads what `Display` writes: `0.5f32`, `-3i32`, `true`, `NaNf32`, `NaN.ffc00000f32`, `inff64`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no literal: write a number and its type, as in `0.5f32`");
        match text {
            "true" => return Ok(Literal::Bool(true)),
            "false" => return Ok(Literal::Bool(false)),
            _ => {}
        }
        // The longest name: that of `bf16` ends with another's.
        let ends = DType::ALL.iter().copied().filter(|dtype| *dtype != DType::Bool && text.ends_with(dtype.name()));
        let dtype = ends.max_by_key(|dtype| dtype.name().len()).ok_or_else(wrong)?;
        let number = &text[..text.len() - dtype.name().len()];
        if let Some(bits) = number.strip_prefix("NaN.").filter(|_| dtype.is_float()) {
            let fits = |bits: &u64| dtype.size() == 8 || *bits < 1 << (8 * dtype.size());
            let bits = u64::from_str_radix(bits, 16).ok().filter(fits);
            let literal = bits.map(|bits| Literal::from_bits(dtype, bits)).filter(|x| x.as_f64().is_nan());
            return literal.ok_or_else(wrong);
        }
        let is_whole = |digits: &str| !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
        let too_large = || match number.strip_prefix('-').unwrap_or(number) {
            digits if is_whole(digits) => format!("`{text}` does not fit into {dtype}"),
            _ => wrong(),
        };
        if dtype.is_int() {
            let integer = number.parse::<i128>().map_err(|_| too_large())?;
            let bits = integer as u64;
            let found = Literal::from_bits(dtype, bits);
            return if found.as_i128() == Some(integer) { Ok(found) } else { Err(too_large()) };
        }
        let found = match dtype {
            DType::F32 => number.parse().map(Literal::F32).map_err(|_| wrong())?,
            // A half is written as a number that it is, so it is not rounded twice.
            _ => Literal::from_f64(dtype, number.parse().map_err(|_| wrong())?),
        };
        // A number of digits is finite: infinity has a name.
        if found.as_f64().is_infinite() && number.bytes().any(|c| c.is_ascii_digit()) {
            let sign = if found.as_f64() < 0.0 { "-" } else { "" };
            return Err(format!("`{text}` does not fit into {dtype}: write `{sign}inf{dtype}` for infinity"));
        }
        Ok(found)
    }
}

impl Literal {
    /// The number, if it is an integer type's.
    pub fn as_i128(self) -> Option<i128> {
        Some(match self {
            Literal::I8(x) => x.into(),
            Literal::I16(x) => x.into(),
            Literal::I32(x) => x.into(),
            Literal::I64(x) => x.into(),
            Literal::U8(x) => x.into(),
            Literal::U16(x) => x.into(),
            Literal::U32(x) => x.into(),
            Literal::U64(x) => x.into(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_round_trip() {
        for literal in [
            Literal::F32(0.5),
            Literal::F32(f32::NAN),
            Literal::F32(-f32::NAN),
            Literal::F64(f64::from_bits(0x7ff0_0000_0000_0001)),
            Literal::F32(f32::NEG_INFINITY),
            Literal::F32(-0.0),
            Literal::F32(1e-30),
            Literal::F64(0.1),
            Literal::I32(i32::MIN),
            Literal::U32(u32::MAX),
            Literal::Bool(true),
            Literal::F16(f16::from_f32(0.1)),
            Literal::F16(f16::NAN),
            Literal::F16(f16::from_bits(0xfe01)),
            Literal::F16(f16::INFINITY),
            Literal::F16(f16::from_bits(1)),
            Literal::BF16(bf16::from_f32(0.1)),
            Literal::BF16(bf16::NAN),
            Literal::BF16(bf16::from_bits(0x7f81)),
            Literal::BF16(bf16::MAX),
            Literal::I8(-128),
            Literal::I16(i16::MIN),
            Literal::I64(i64::MIN),
            Literal::I64(i64::MAX - 1),
            Literal::U8(255),
            Literal::U16(u16::MAX),
            Literal::U64(u64::MAX),
        ] {
            assert_eq!(literal.to_string().parse(), Ok(literal));
        }
        assert!("0.5".parse::<Literal>().is_err());
        assert!("é32".parse::<Literal>().is_err());
        assert!("NaN.3f800000f32".parse::<Literal>().is_err());
        assert!("NaN.17e00f16".parse::<Literal>().is_err());
        for text in ["128i8", "-1u8", "65536u16", "18446744073709551616u64", "-9223372036854775809i64"] {
            let why = text.parse::<Literal>().expect_err(text);
            assert!(why.contains("does not fit into"), "{why}");
        }
        assert!("65520f16".parse::<Literal>().is_err_and(|why| why.contains("write `inff16`")));
        assert!("u8".parse::<Literal>().is_err() && "1.5i8".parse::<Literal>().is_err());
    }

    #[test]
    fn conversions_round_once() {
        let to = |x: Literal, dtype| x.convert(dtype);
        // Between two halves, just above their middle; and one that is exactly in the middle.
        let above = (1u64 << 40) + (1 << 32) + 1;
        assert_eq!(to(Literal::U64(above), DType::BF16), Literal::BF16(bf16::from_f32(1.0078125 * 2f32.powi(40))));
        let above = (1u64 << 63) + (1 << 55) + 1;
        assert_eq!(to(Literal::U64(above), DType::BF16), Literal::BF16(bf16::from_f32(1.0078125 * 2f32.powi(63))));
        assert_eq!(to(Literal::U64(above - 1), DType::BF16), Literal::BF16(bf16::from_f32(2f32.powi(63))));
        assert_eq!(to(Literal::I64(-2049), DType::F16), Literal::F16(f16::from_f32(-2048.0)));
        assert_eq!(
            to(Literal::F64(1.0 + 2f64.powi(-11) + 2f64.powi(-40)), DType::F16),
            Literal::F16(f16::from_bits(0x3c01))
        );
        // XLA's rules, which are Rust's: saturate from floats, wrap between integers.
        assert_eq!(to(Literal::F32(300.0), DType::I8), Literal::I8(127));
        assert_eq!(to(Literal::F32(-1.0), DType::U8), Literal::U8(0));
        assert_eq!(to(Literal::F64(f64::NAN), DType::I16), Literal::I16(0));
        assert_eq!(to(Literal::I32(300), DType::I8), Literal::I8(44));
        assert_eq!(to(Literal::I32(-1), DType::U64), Literal::U64(u64::MAX));
        assert_eq!(to(Literal::U32(u32::MAX), DType::I64), Literal::I64(4294967295));
        assert_eq!(to(Literal::U64(u64::MAX), DType::F32), Literal::F32(2f32.powi(64)));
    }

    #[test]
    fn halves_are_the_nearest() {
        for (dtype, last) in [(DType::F16, 0x7bff), (DType::BF16, 0x7f7f)] {
            for bits in (0..last).step_by(7) {
                let [low, high] = [bits, bits + 1].map(|bits| Literal::from_bits(dtype, bits));
                // Of all halves' middles an `f64` has the digits.
                let middle = (low.as_f64() + high.as_f64()) / 2.0;
                let even = if bits % 2 == 0 { low } else { high };
                for (x, nearest) in [(middle.next_down(), low), (middle, even), (middle.next_up(), high)] {
                    assert_eq!(Literal::F64(x).convert(dtype), nearest, "{x:e}");
                    assert_eq!(Literal::F64(-x).convert(dtype).as_f64(), -nearest.as_f64(), "{x:e}");
                }
            }
        }
    }
}
