//! What surrounds an array along which a window moves.

use crate::array::Array;
use crate::movement::{reject, span as span_of};
use gavotte_core::aval::Dim;

/// What surrounds an array along the axes of a window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Padding {
    /// Nothing: a window is always within the array.
    Valid,
    /// As much that there is a place for every `stride` elements, half of it on each side; an odd rest comes after.
    Same,
    /// Likewise, an odd rest comes in front.
    SameLower,
    /// For each axis, how many elements come in front and how many after. Negative numbers cut elements off.
    Explicit(Vec<(i64, i64)>),
}

/// A list of `n` ones.
pub(super) fn ones(n: usize) -> Vec<usize> {
    vec![1; n]
}

/// A list of `n` numbers, none of which is 0; ones if it is empty.
#[track_caller]
pub(super) fn counts(operation: &str, what: &str, list: &[usize], n: usize, x: &Array) -> Vec<usize> {
    if list.is_empty() {
        return ones(n);
    }
    if list.len() != n || list.contains(&0) {
        reject(operation, format!("the {what} {list:?} must be {n} numbers that are not 0"), &[x]);
    }
    if list.iter().any(|step| *step > LARGEST) {
        reject(operation, format!("the {what} {list:?} must be at most {LARGEST}"), &[x]);
    }
    list.to_vec()
}

/// The largest step or border, beyond every extent that fits in memory: products of two are no overflow.
const LARGEST: usize = 1 << 31;

impl Padding {
    /// What comes in front of and after axis `i` of `n`, for a window that spans `span` elements.
    #[track_caller]
    pub(super) fn borders(
        &self,
        operation: &str,
        (i, n): (usize, usize),
        (extent, span): (&Dim, &Dim),
        (stride, dilation): (usize, usize),
        x: &Array,
    ) -> (Dim, Dim) {
        let total = match self {
            Padding::Valid => return (0.into(), 0.into()),
            Padding::Explicit(borders) if borders.len() == n => {
                let (low, high) = borders[i];
                if [low, high].iter().any(|border| border.unsigned_abs() > LARGEST as u64) {
                    reject(operation, format!("the borders {low} and {high} must be at most {LARGEST}"), &[x]);
                }
                let wide = span_of(extent, dilation - 1).and_then(|wide| wide.as_number());
                if let Some(wide) = wide.filter(|wide| wide + low + high < 0) {
                    let why =
                        format!("the borders {low} and {high} cut more off axis {i} than there is: its {wide} places");
                    reject(operation, why, &[x]);
                }
                return (low.into(), high.into());
            }
            Padding::Explicit(borders) => reject(operation, format!("{} borders for {n} axes", borders.len()), &[x]),
            Padding::Same | Padding::SameLower if dilation > 1 => {
                reject(operation, "zeros around a dilated input must be given: use `Padding::Explicit`", &[x])
            }
            Padding::Same | Padding::SameLower => {
                let places = extent.div_ceil(stride);
                places.and_then(|places| ((places - 1) * stride + span - extent).as_number())
            }
        };
        let Some(total) = total else {
            let why = format!(
                "how much surrounds an axis of {extent} with the stride {stride} is no number: declare it as \
                 a multiple, such as {}",
                Dim::symbol("k") * stride
            );
            reject(operation, why, &[x])
        };
        let total = total.max(0);
        let less = total / 2;
        match self {
            Padding::Same => (less.into(), (total - less).into()),
            _ => ((total - less).into(), less.into()),
        }
    }
}
