//! Totals of many parts.
//!
//! A chain of additions rounds each time to the size of the sum so far. If there are many parts, the summation is
//! compensated: the rounding error of an addition is carried along to the next, so that the error does not grow with
//! their number (W. Kahan, "Further remarks on reducing truncation errors", 1965).

use std::ops::{Add, Sub};

/// The element type of a sum that rounds.
pub(in crate::runtime) trait Float:
    Copy + Default + Add<Output = Self> + Sub<Output = Self> + 'static
{
    /// Whether it is a finite number.
    fn is_finite(self) -> bool;
}
impl Float for f32 {
    fn is_finite(self) -> bool {
        f32::is_finite(self)
    }
}
impl Float for f64 {
    fn is_finite(self) -> bool {
        f64::is_finite(self)
    }
}

/// Adds a part to a total, and updates the total's rounding error; both start at zero.
pub(in crate::runtime) fn add<T: Float>(total: &mut T, lacks: &mut T, part: T) {
    let part = part + *lacks;
    let new = *total + part;
    let lost = part - (new - *total);
    // An infinite total has no rounding error, even if finite parts made it.
    *lacks = if lost.is_finite() { lost } else { T::default() };
    *total = new;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(parts: impl Iterator<Item = f32>) -> f32 {
        let (mut total, mut lacks) = (0.0, 0.0);
        parts.for_each(|part| add(&mut total, &mut lacks, part));
        total
    }

    #[test]
    fn errors_do_not_grow_with_the_number_of_parts() {
        assert_eq!(sum((0..20_000_000).map(|_| 1.0)), 20_000_000.0);
        let n = 1_000_003;
        assert_eq!(sum((0..n).map(|_| 0.1)), (f64::from(0.1f32) * f64::from(n)) as f32);
        let mixed = |i: i32| (i as f32 * 0.7).sin() * (i as f32 * 0.01).cos().exp2();
        let exact: f64 = (0..n).map(|i| f64::from(mixed(i))).sum();
        let size: f64 = (0..n).map(|i| f64::from(mixed(i).abs())).sum();
        assert!((f64::from(sum((0..n).map(mixed))) - exact).abs() <= f64::from(f32::EPSILON) * size);
    }

    #[test]
    fn infinite_parts_stay() {
        assert_eq!(sum([1.0, f32::INFINITY, 2.0, -3.0].into_iter()), f32::INFINITY);
        assert_eq!(sum([f32::MAX, f32::MAX, 1.0].into_iter()), f32::INFINITY);
        assert!(sum([f32::INFINITY, f32::NEG_INFINITY, 1.0].into_iter()).is_nan());
        assert!(sum([1.0, f32::NAN, 1.0].into_iter()).is_nan());
    }
}
