//! Element types and scalar literals.

use std::fmt;
use std::hash::{Hash, Hasher};

/// The type of an array's elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// Two's complement, 32 bits; arithmetic wraps.
    I32,
    /// Unsigned, 32 bits; arithmetic wraps.
    U32,
    /// `false` or `true`, one byte.
    Bool,
}

impl DType {
    /// Every element type.
    pub const ALL: [DType; 5] = [DType::F32, DType::F64, DType::I32, DType::U32, DType::Bool];

    /// Whether derivatives exist for this type.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64)
    }

    /// Whether this is a signed or unsigned integer type.
    pub fn is_int(self) -> bool {
        matches!(self, DType::I32 | DType::U32)
    }

    /// Bytes per element.
    pub fn size(self) -> usize {
        match self {
            DType::F64 => 8,
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::Bool => 1,
        }
    }

    /// The name in programs: `f32`.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::I32 => "i32",
            DType::U32 => "u32",
            DType::Bool => "bool",
        }
    }

    /// The type with this name.
    pub fn parse(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|dtype| dtype.name() == name)
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

/// A scalar constant. Two literals are equal if their bits are.
#[derive(Clone, Copy, Debug)]
pub enum Literal {
    /// An `f32`.
    F32(f32),
    /// An `f64`.
    F64(f64),
    /// An `i32`.
    I32(i32),
    /// A `u32`.
    U32(u32),
    /// A `bool`.
    Bool(bool),
}

macro_rules! elements {
    ($($t:ident $v:ident),*) => {
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
        }
    };
}
elements!(f32 F32, f64 F64, i32 I32, u32 U32, bool Bool);

impl Literal {
    /// The number as `f64`; `true` is 1. Exact for every element type.
    pub fn as_f64(self) -> f64 {
        match self {
            Literal::F32(x) => x.into(),
            Literal::F64(x) => x,
            Literal::I32(x) => x.into(),
            Literal::U32(x) => x.into(),
            Literal::Bool(x) => x.into(),
        }
    }

    /// The number `x` rounded to `dtype`, as Rust's `as` rounds; `bool` is `x != 0`.
    pub fn from_f64(dtype: DType, x: f64) -> Literal {
        match dtype {
            DType::F32 => Literal::F32(x as f32),
            DType::F64 => Literal::F64(x),
            DType::I32 => Literal::I32(x as i32),
            DType::U32 => Literal::U32(x as u32),
            DType::Bool => Literal::Bool(x != 0.0),
        }
    }

    /// The bit pattern, zero-extended.
    pub fn bits(self) -> u64 {
        match self {
            Literal::F32(x) => x.to_bits().into(),
            Literal::F64(x) => x.to_bits(),
            Literal::I32(x) => (x as u32).into(),
            Literal::U32(x) => x.into(),
            Literal::Bool(x) => x.into(),
        }
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
        match self {
            // NaN has many bit patterns; all but the usual one are written out.
            Literal::F32(x) if x.is_nan() && x.to_bits() != f32::NAN.to_bits() => write!(f, "NaN.{:x}f32", x.to_bits()),
            Literal::F64(x) if x.is_nan() && x.to_bits() != f64::NAN.to_bits() => write!(f, "NaN.{:x}f64", x.to_bits()),
            Literal::F32(x) => write!(f, "{x:?}f32"),
            Literal::F64(x) => write!(f, "{x:?}f64"),
            Literal::I32(x) => write!(f, "{x}i32"),
            Literal::U32(x) => write!(f, "{x}u32"),
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
        let (number, dtype) = text.split_at_checked(text.len().saturating_sub(3)).ok_or_else(wrong)?;
        if let Some(bits) = number.strip_prefix("NaN.") {
            let literal = match dtype {
                "f32" => {
                    u32::from_str_radix(bits, 16).ok().map(f32::from_bits).filter(|x| x.is_nan()).map(Literal::F32)
                }
                "f64" => {
                    u64::from_str_radix(bits, 16).ok().map(f64::from_bits).filter(|x| x.is_nan()).map(Literal::F64)
                }
                _ => None,
            };
            return literal.ok_or_else(wrong);
        }
        let is_whole = |digits: &str| !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
        let integer = |_| match number.strip_prefix('-').unwrap_or(number) {
            digits if is_whole(digits) => format!("`{text}` does not fit into {dtype}"),
            _ => wrong(),
        };
        let found = match dtype {
            "f32" => number.parse().map(Literal::F32).map_err(|_| wrong())?,
            "f64" => number.parse().map(Literal::F64).map_err(|_| wrong())?,
            "i32" => number.parse().map(Literal::I32).map_err(integer)?,
            "u32" => number.parse().map(Literal::U32).map_err(integer)?,
            _ => return Err(wrong()),
        };
        // A number of digits is finite: infinity has a name.
        let is_infinite = found.dtype().is_float() && found.as_f64().is_infinite();
        if is_infinite && number.bytes().any(|c| c.is_ascii_digit()) {
            let sign = if found.as_f64() < 0.0 { "-" } else { "" };
            return Err(format!("`{text}` does not fit into {dtype}: write `{sign}inf{dtype}` for infinity"));
        }
        Ok(found)
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
        ] {
            assert_eq!(literal.to_string().parse(), Ok(literal));
        }
        assert!("0.5".parse::<Literal>().is_err());
        assert!("é32".parse::<Literal>().is_err());
        assert!("NaN.3f800000f32".parse::<Literal>().is_err());
    }
}
