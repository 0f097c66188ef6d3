//! Arrays as text.

use crate::array::Array;
use gavotte_core::aval::Literal;
use gavotte_core::device::HostArray;
use std::cell::Cell;
use std::fmt;

/// Arrays with more elements are printed with [`EDGE`] elements at each end of every axis.
const MANY: usize = 1000;
/// The limit for printing on one line.
const FEW: usize = 32;
const EDGE: usize = 3;

/// Appends the elements of the part of `array` that has this shape and begins at `first`, on one line.
pub(crate) fn write_array(line: &mut String, array: &HostArray, shape: &[usize], first: usize, digits: Option<usize>) {
    let whole = is_short(shape, MANY);
    write_axes(line, &|at| number(array.get(at), digits), shape, first, Layout { whole, depth: None });
}

/// Whether the text has at most this many elements; a row without elements, of which there may be many, counts as one.
fn is_short(shape: &[usize], most: usize) -> bool {
    shape.iter().try_fold(1usize, |n, extent| n.checked_mul((*extent).max(1))).is_some_and(|n| n <= most)
}

/// How the axes of an array are written.
#[derive(Clone, Copy)]
struct Layout {
    /// Without ellipses.
    whole: bool,
    /// On several lines, inside this many brackets; `None` on one line.
    depth: Option<usize>,
}

fn write_axes(text: &mut String, element: &dyn Fn(usize) -> String, shape: &[usize], first: usize, layout: Layout) {
    let Some((extent, inner)) = shape.split_first() else { return text.push_str(&element(first)) };
    let stride: usize = inner.iter().product();
    let between = match layout.depth {
        Some(depth) if !inner.is_empty() => format!(",{}{}", "\n".repeat(inner.len()), " ".repeat(depth + 1)),
        _ => ", ".to_string(),
    };
    let within = Layout { depth: layout.depth.map(|depth| depth + 1), ..layout };
    text.push('[');
    let hidden = if layout.whole || *extent <= 2 * EDGE { 0..0 } else { EDGE..extent - EDGE };
    for i in (0..hidden.start).chain(hidden.end..*extent) {
        text.push_str(if i > 0 { &between } else { "" });
        if i > 0 && i == hidden.end {
            text.push('…');
            text.push_str(&between);
        }
        write_axes(text, element, inner, first + i * stride, within);
    }
    text.push(']');
}

fn number(literal: Literal, digits: Option<usize>) -> String {
    match (literal, digits) {
        (Literal::F32(x), None) => format!("{x:?}"),
        (Literal::F64(x), None) => format!("{x:?}"),
        (Literal::F32(x), Some(digits)) => format!("{x:.digits$}"),
        (Literal::F64(x), Some(digits)) => format!("{x:.digits$}"),
        (Literal::F16(x), _) => number(f32::from(x).into(), digits),
        (Literal::BF16(x), _) => number(f32::from(x).into(), digits),
        (Literal::Bool(x), _) => x.to_string(),
        (integer, _) => integer.as_i128().map(|x| x.to_string()).unwrap_or_default(),
    }
}

/// The array's type, its device if it is not the CPU, and its elements.
fn write(array: &Array, f: &mut fmt::Formatter<'_>, on_lines: bool) -> fmt::Result {
    let Some(device) = array.device() else {
        let state = if array.value().is_escaped() { "whose trace has ended" } else { "being traced" };
        return write!(f, "{:?}, {state}", array.value());
    };
    write!(f, "{}", array.value().aval())?;
    if device.name() != "cpu" {
        write!(f, " on {}", device.name())?;
    }
    let host = match array.to_host() {
        Ok(host) => host,
        Err(error) => return write!(f, ", which cannot be read: {error}"),
    };
    let (shape, digits) = (host.shape(), f.precision());
    let whole = is_short(&shape, if on_lines { MANY } else { FEW });
    let layout = Layout { whole, depth: on_lines.then_some(0) };
    let element = |at| number(host.get(at), digits);
    let mut text = String::new();
    if on_lines && shape.len() > 1 {
        // All columns are as wide as the widest number.
        let width = Cell::new(0);
        let measure = |at| {
            width.set(width.get().max(element(at).len()));
            String::new()
        };
        write_axes(&mut String::new(), &measure, &shape, 0, layout);
        write_axes(&mut text, &|at| format!("{:>1$}", element(at), width.get()), &shape, 0, layout);
        write!(f, "\n{text}")
    } else {
        write_axes(&mut text, &element, &shape, 0, layout);
        write!(f, " {text}")
    }
}

/// The type, then the elements as in NumPy: one line per row, columns aligned, and an ellipsis between the first three
/// and the last three along every axis if there are more than 1000. A precision such as `{:.3}` applies to every float.
/// An array that is being traced has no elements: its variable and its program are printed.
///
/// ```
/// use gavotte::Array;
/// let x = Array::from([[1f32, -20.5], [0.25, 3.0]]);
/// assert_eq!(x.to_string(), "f32[2,2]\n[[  1.0, -20.5],\n [ 0.25,   3.0]]");
/// assert_eq!(format!("{:.1}", Array::from([0.123, 4.0])), "f64[2] [0.1, 4.0]");
/// ```
impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self, f, true)
    }
}

/// The type and the elements on one line, with an ellipsis if there are more than 32; `{:#?}` is like `{}`.
///
/// ```
/// use gavotte::{Array, DType, arange};
/// assert_eq!(format!("{:?}", Array::from([[1, 2], [3, 4]])), "i32[2,2] [[1, 2], [3, 4]]");
/// assert_eq!(format!("{:?}", arange(100, DType::I32)), "i32[100] [0, 1, 2, …, 97, 98, 99]");
/// ```
impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self, f, f.alternate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_arrays_show_their_ends() {
        let shown = |shape: &[usize]| {
            let n = shape.iter().product::<usize>();
            let mut line = String::new();
            write_array(&mut line, &HostArray::new(shape, (0..n as i32).collect()), shape, 0, None);
            line
        };
        assert_eq!(shown(&[]), "0");
        assert_eq!(shown(&[0]), "[]");
        assert_eq!(shown(&[2, 2]), "[[0, 1], [2, 3]]");
        // Rows without elements are text, too.
        assert_eq!(shown(&[2, 0]), "[[], []]");
        assert_eq!(shown(&[1 << 38, 0]), "[[], [], [], …, [], [], []]");
        assert_eq!(shown(&[2000]), "[0, 1, 2, …, 1997, 1998, 1999]");
        assert_eq!(shown(&[2, 600]), "[[0, 1, 2, …, 597, 598, 599], [600, 601, 602, …, 1197, 1198, 1199]]");
    }
}
