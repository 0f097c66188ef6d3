//! How types, numbers and names are written in CUDA C.

use crate::aval::{DType, Dim, Literal, Symbol};

/// The type of a scalar, and of an array's elements.
pub(super) fn type_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float",
        DType::F64 => "double",
        DType::I32 => "int",
        DType::U32 => "unsigned",
        DType::Bool => "bool",
        other => unreachable!("kernels of {other} are refused"),
    }
}

/// A constant of exactly these bits.
pub(super) fn literal(literal: Literal) -> String {
    match literal {
        // The shortest decimal that is read as these bits; numbers that are not normal have a form that no compiler
        // warns about.
        Literal::F32(x) if x.is_normal() || x == 0.0 => format!("{x:?}f"),
        Literal::F32(x) => format!("__uint_as_float({:#x}u)", x.to_bits()),
        Literal::F64(x) if x.is_normal() || x == 0.0 => format!("{x:?}"),
        Literal::F64(x) => format!("__longlong_as_double({:#x}ll)", x.to_bits()),
        Literal::I32(i32::MIN) => format!("({} - 1)", i32::MIN + 1),
        Literal::I32(x) => x.to_string(),
        Literal::U32(x) => format!("{x}u"),
        Literal::Bool(x) => x.to_string(),
        other => unreachable!("kernels of {} are refused", other.dtype()),
    }
}

/// The parameter that holds a symbol's size. A single letter is used unchanged, as the generator uses no such names; a
/// prefix keeps other symbols apart from the words of the language and from the generator's own names.
pub(super) fn symbol_name(symbol: &Symbol) -> String {
    let name = symbol.name();
    if name.len() == 1 && name != "_" { name.into() } else { format!("dim_{name}") }
}

/// A dimension as an expression, and whether it is a sum, which needs parentheses within a product.
pub(super) fn dim(dim: &Dim) -> (String, bool) {
    let terms = dim.terms();
    let mut text = String::new();
    for (i, (symbols, coefficient)) in terms.iter().enumerate() {
        text.push_str(match (i, *coefficient < 0) {
            (0, false) => "",
            (0, true) => "-",
            (_, false) => " + ",
            (_, true) => " - ",
        });
        let mut factors: Vec<String> = symbols.iter().map(symbol_name).collect();
        let size = coefficient.unsigned_abs();
        if size != 1 || factors.is_empty() {
            factors.push(size.to_string());
        }
        text.push_str(&factors.join(" * "));
    }
    if terms.is_empty() { ("0".into(), false) } else { (text, terms.len() > 1) }
}

/// A name that C accepts and that is no word of the language or of its library: the compiler's names end in a number.
pub(super) fn function_name(name: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut text: String = name.chars().map(|c| if is_word(c) { c } else { '_' }).collect();
    let is_numbered = text.rsplit_once('_').is_some_and(|(name, number)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && number.parse::<u64>().is_ok()
    });
    if !is_numbered {
        text.insert_str(0, "kernel_");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_bits() {
        for (number, text) in [
            (Literal::F32(0.1), "0.1f"),
            (Literal::F32(-0.0), "-0.0f"),
            (Literal::F32(1e-30), "1e-30f"),
            (Literal::F32(1e-45), "__uint_as_float(0x1u)"),
            (Literal::F32(f32::NEG_INFINITY), "__uint_as_float(0xff800000u)"),
            (Literal::F64(f64::NAN), "__longlong_as_double(0x7ff8000000000000ll)"),
            (Literal::F64(2.0), "2.0"),
            (Literal::I32(i32::MIN), "(-2147483647 - 1)"),
            (Literal::U32(u32::MAX), "4294967295u"),
            (Literal::Bool(true), "true"),
        ] {
            assert_eq!(literal(number), text);
        }
    }

    #[test]
    fn sizes_are_expressions() {
        for (text, shown) in [
            ("0", ("0", false)),
            ("-3", ("-3", false)),
            ("n", ("n", false)),
            ("8*n*n-2*batch+7", ("n * n * 8 - dim_batch * 2 + 7", true)),
            ("-n", ("-n", false)),
        ] {
            let parsed: Dim = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(dim(&parsed), (shown.0.to_string(), shown.1));
        }
        assert_eq!(symbol_name(&Symbol::new("_")), "dim__");
    }

    #[test]
    fn names_are_no_words_of_the_language() {
        assert_eq!(function_name("segment_sum_7"), "segment_sum_7");
        assert_eq!(function_name("max"), "kernel_max");
        assert_eq!(function_name("add f32"), "kernel_add_f32");
        assert_eq!(function_name("__fadd_1"), "kernel___fadd_1");
    }
}
