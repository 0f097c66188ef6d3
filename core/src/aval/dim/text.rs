//! The text of a dimension, written and read.

use super::{Dim, Repr, Summed};
use crate::aval::symbol::{Symbol, is_name};
use std::fmt;
use std::num::IntErrorKind;

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terms = match &self.0 {
            Repr::Number(x) => return write!(f, "{x}"),
            Repr::Polynomial(terms) => terms,
            Repr::TooLarge => return f.write_str("too large"),
        };
        for (i, (monomial, coefficient)) in terms.iter().enumerate() {
            let sign = if *coefficient < 0 { "-" } else { "+" };
            if i > 0 || *coefficient < 0 {
                f.write_str(sign)?;
            }
            let size = coefficient.unsigned_abs();
            let names: Vec<&str> = monomial.iter().map(Symbol::name).collect();
            match (size, names.is_empty()) {
                (1, false) => f.write_str(&names.join("*"))?,
                (_, true) => write!(f, "{size}")?,
                (_, false) => write!(f, "{size}*{}", names.join("*"))?,
            }
        }
        Ok(())
    }
}
impl fmt::Debug for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Dim {
    type Err = String;

    /// Reads what `Display` writes: sums of products of integers and symbols.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no dimension: write a number or a polynomial such as `8*n+1`");
        let mut sum = Summed::default();
        let mut rest = text.trim();
        let mut first = true;
        while first || !rest.is_empty() {
            let sign = if let Some(tail) = rest.strip_prefix('-') {
                rest = tail;
                -1i64
            } else {
                if !first {
                    rest = rest.strip_prefix('+').ok_or_else(wrong)?;
                }
                1
            };
            first = false;
            let end = rest.find(['+', '-']).unwrap_or(rest.len());
            let mut term = Dim::from(sign);
            for factor in rest[..end].split('*') {
                let factor = factor.trim();
                term = match factor.parse::<i64>() {
                    Ok(x) => term * x,
                    Err(error) if *error.kind() == IntErrorKind::PosOverflow => Dim::TOO_LARGE,
                    _ if is_name(factor) => term * Dim::symbol(factor),
                    _ => return Err(wrong()),
                };
            }
            sum.add_all(&term);
            rest = &rest[end..];
        }
        let sum = sum.dim();
        if sum.is_too_large() {
            return Err(format!("`{text}` is too large: sizes and their coefficients are less than 2^63"));
        }
        Ok(sum)
    }
}
