//! The order in which elements are sorted, and the permutation that sorts a row.

use gavotte_core::device::HostArray;
use gavotte_core::with_data;

/// An element type with a place in the order: numbers by size, then NaN. Zeros are equal, whatever their sign.
pub(super) trait Ordered: Copy {
    /// A number that is larger for a later place; 32 bits hold it if they hold the element.
    fn place(self) -> u64;
}

impl Ordered for bool {
    fn place(self) -> u64 {
        self.into()
    }
}
impl Ordered for u32 {
    fn place(self) -> u64 {
        self.into()
    }
}
impl Ordered for i32 {
    fn place(self) -> u64 {
        (self as u32 ^ 1 << 31).into()
    }
}
impl Ordered for f32 {
    fn place(self) -> u64 {
        // Of negative numbers, the larger magnitude comes first.
        let bits = if self == 0.0 { 0 } else { self.to_bits() };
        let place = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        if self.is_nan() { u32::MAX.into() } else { place.into() }
    }
}
impl Ordered for f64 {
    fn place(self) -> u64 {
        let bits = if self == 0.0 { 0 } else { self.to_bits() };
        let place = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
        if self.is_nan() { u64::MAX } else { place }
    }
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
                self.places.extend(xs[start..start + n].iter().map(|x| x.place() ^ opposite));
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
            assert!(pair[0].place() < pair[1].place(), "{pair:?}");
            assert!((pair[0] as f32).place() < (pair[1] as f32).place(), "{pair:?}");
        }
        assert_eq!((-0.0f32).place(), 0.0f32.place());
        assert_eq!((-0.0f64).place(), 0.0f64.place());
        assert_eq!((-f64::NAN).place(), f64::NAN.place());
        assert_eq!((-f32::NAN).place(), f32::NAN.place());
        for pair in [i32::MIN, -1, 0, 1, i32::MAX].windows(2) {
            assert!(pair[0].place() < pair[1].place(), "{pair:?}");
        }
    }
}
