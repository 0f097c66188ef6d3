//! The lines of a module, and the forms of types, constants and attributes.

use crate::aval::{Aval, DType, Literal};
use crate::ir::Location;
use crate::ir::stablehlo::Operand;
use std::fmt::Write;

/// The text of a function's body so far.
#[derive(Debug)]
pub(super) struct Text {
    lines: String,
    depth: usize,
    names: u32,
    failed_at: Option<Location>,
}

impl Text {
    /// An empty body.
    pub(super) fn new() -> Text {
        Text { lines: String::new(), depth: 2, names: 0, failed_at: None }
    }

    /// A value with a fresh name. Names are unique in a module, including regions.
    pub(super) fn fresh(&mut self, aval: Aval) -> Operand {
        self.names += 1;
        Operand::new(format!("%{}", self.names - 1), aval)
    }

    /// The results of one operation: `%3`, or `%3#0`, `%3#1` if there are several; and the text in front of the
    /// operation.
    pub(super) fn results(&mut self, avals: &[Aval]) -> (String, Vec<Operand>) {
        match avals {
            [aval] => {
                let result = self.fresh(aval.clone());
                (format!("{result} = "), vec![result])
            }
            _ => {
                let all = self.fresh(Aval::scalar(DType::Bool)).to_string();
                let of = |(i, aval): (usize, &Aval)| Operand::new(format!("{all}#{i}"), aval.clone());
                (format!("{all}:{} = ", avals.len()), avals.iter().enumerate().map(of).collect())
            }
        }
    }

    /// A line at the current depth.
    pub(super) fn line(&mut self, line: &str) {
        let _ = writeln!(self.lines, "{:indent$}{line}", "", indent = 2 * self.depth);
    }

    /// Changes the indentation of the lines that follow by `by` levels.
    pub(super) fn deeper(&mut self, by: isize) {
        self.depth = self.depth.saturating_add_signed(by);
    }

    /// The last line of a region or a function.
    pub(super) fn finish(&mut self, how: &str, outs: &[Operand]) {
        let line = format!("\"{how}\"({}) : {} -> ()", names(outs), types(outs));
        self.line(&line);
    }

    /// Remembers the first equation that has no StableHLO form, the innermost whose place is known.
    pub(super) fn fail_at(&mut self, location: Location) {
        if location.is_known() {
            self.failed_at.get_or_insert(location);
        }
    }

    /// The place of the equation that has no StableHLO form.
    pub(super) fn failed_at(&self) -> Option<Location> {
        self.failed_at
    }

    /// The text.
    pub(super) fn into_lines(self) -> String {
        self.lines
    }
}

/// `%0, %1`.
pub(super) fn names(operands: &[Operand]) -> String {
    operands.iter().map(Operand::to_string).collect::<Vec<_>>().join(", ")
}

/// `(tensor<2xf32>, tensor<i32>)`.
pub(super) fn signature(avals: &[Aval]) -> String {
    format!("({})", avals.iter().map(tensor).collect::<Vec<_>>().join(", "))
}

/// The types of operands, in parentheses.
pub(super) fn types(operands: &[Operand]) -> String {
    signature(&operands.iter().map(|operand| operand.aval().clone()).collect::<Vec<_>>())
}

/// `tensor<2x3xf32>`.
pub(super) fn tensor(aval: &Aval) -> String {
    let extents: String = aval.shape.iter().map(|dim| format!("{dim}x")).collect();
    let element = match aval.dtype {
        DType::U8 => "ui8",
        DType::U16 => "ui16",
        DType::U32 => "ui32",
        DType::U64 => "ui64",
        DType::Bool => "i1",
        other => other.name(),
    };
    format!("tensor<{extents}{element}>")
}

/// A list of axes or extents as an attribute: `array<i64: 0, 2>`.
pub fn axes(numbers: &[usize]) -> String {
    match numbers {
        [] => "array<i64>".into(),
        _ => format!("array<i64: {}>", list(numbers)),
    }
}

/// A number as an attribute: `1 : i64`.
pub fn number(number: usize) -> String {
    format!("{number} : i64")
}

/// `0, 2`.
pub(super) fn list(numbers: &[usize]) -> String {
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// The element of a `dense` constant.
///
/// A parser reads a decimal number as an `f64` and rounds it to the element's type: if that would not yield the same
/// bits, and for infinities and NaN, the bits are written.
pub(super) fn element(literal: Literal) -> String {
    if let Some(integer) = literal.as_i128() {
        return integer.to_string();
    }
    let (decimal, survives) = match literal {
        Literal::F32(x) => {
            let decimal = pointed(format!("{x:?}"));
            let survives = decimal.parse().is_ok_and(|read: f64| (read as f32).to_bits() == x.to_bits());
            (decimal, x.is_finite() && survives)
        }
        Literal::F64(x) => (pointed(format!("{x:?}")), x.is_finite()),
        Literal::Bool(x) => return x.to_string(),
        // A half is a short decimal.
        other => (pointed(format!("{:?}", other.as_f64())), other.as_f64().is_finite()),
    };
    match survives {
        true => decimal,
        false => format!("0x{:0width$X}", literal.bits(), width = 2 * literal.dtype().size()),
    }
}

/// A decimal number with the point that MLIR requires in front of an exponent: `1.0e-30`.
fn pointed(decimal: String) -> String {
    match decimal.split_once('e') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0e{exponent}"),
        _ => decimal,
    }
}

/// A name after `@`: in quotes if it is not a plain word.
pub(super) fn symbol_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts && name.chars().all(plain) { name.into() } else { format!("\"{}\"", name.escape_default()) }
}
