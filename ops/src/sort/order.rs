//! The order in which elements are sorted, and the permutation that sorts a row.

use gavotte_core::aval::{Element, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::with_data;

/// The place of an element in the order: a number that is larger for a later one. 32 bits hold it if they hold the
/// element.
fn place(x: Literal) -> u64 {
    let (bits, dtype) = (x.bits(), x.dtype());
    let width = 8 * dtype.size();
    let sign = 1u64 << (width - 1);
    let is_negative = bits & sign != 0;
    if dtype.is_float() {
        return match bits & !sign {
            0 => sign,
            _ if x.as_f64().is_nan() => u64::MAX >> (64 - width),
            // Of negative numbers, the larger magnitude comes first.
            _ if is_negative => bits ^ (u64::MAX >> (64 - width)),
            _ => bits | sign,
        };
    }
    if dtype.is_signed() { bits ^ sign } else { bits }
}

/// Sorts rows by their keys.
pub(super) struct Sorter<'a> {
    keys: &'a [&'a HostArray],
    is_descending: bool,
    /// A key in the upper half, a position in the lower.
    pairs: Vec<u64>,
    /// The places of every key, one key after the other.
    places: Vec<u64>,
}

impl<'a> Sorter<'a> {
    /// The first key decides, among equals the next. Descending is the opposite order of elements, not of positions:
    /// equals stay in their order.
    pub(super) fn new(keys: &'a [&'a HostArray], is_descending: bool) -> Self {
        Sorter { keys, is_descending, pairs: vec![], places: vec![] }
    }

    /// The position, within the `n` elements from `start`, of the element that comes first, of the second, and so on.
    pub(super) fn row(&mut self, start: usize, n: usize, positions: &mut Vec<u32>) {
        positions.clear();
        let opposite = if self.is_descending { u64::MAX } else { 0 };
        self.places.clear();
        for key in self.keys {
            with_data!(key.data(), xs => {
                self.places.extend(xs[start..start + n].iter().map(|x| place(x.literal()) ^ opposite));
            });
        }
        match self.keys {
            [key] if key.dtype().size() <= 4 => {
                self.pairs.clear();
                self.pairs.extend((0..n).map(|i| self.places[i] << 32 | i as u64));
                self.pairs.sort_unstable();
                positions.extend(self.pairs.iter().map(|pair| *pair as u32));
            }
            _ => {
                positions.extend(0..n as u32);
                let places = &self.places;
                let of = |position: u32| (0..self.keys.len()).map(move |key| places[key * n + position as usize]);
                positions.sort_by(|a, b| of(*a).cmp(of(*b)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_order_of_numbers() {
        let floats = [f64::NEG_INFINITY, -1e30, -1.5, -1e-40, 0.0, 1e-40, 1.5, 1e30, f64::INFINITY, f64::NAN];
        for pair in floats.windows(2) {
            assert!(place(pair[0].into()) < place(pair[1].into()), "{pair:?}");
            assert!(place((pair[0] as f32).into()) < place((pair[1] as f32).into()), "{pair:?}");
        }
        assert_eq!(place((-0.0f32).into()), place((0.0f32).into()));
        assert_eq!(place((-0.0f64).into()), place((0.0f64).into()));
        assert_eq!(place((-f64::NAN).into()), place((f64::NAN).into()));
        assert_eq!(place((-f32::NAN).into()), place((f32::NAN).into()));
        for pair in [i32::MIN, -1, 0, 1, i32::MAX].windows(2) {
            assert!(place(pair[0].into()) < place(pair[1].into()), "{pair:?}");
        }
    }
}
