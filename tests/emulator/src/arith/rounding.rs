//! Directed rounding: the nearest number, moved by one if its error is on the wrong side.

use super::Rounding;

/// Corrects a value rounded to nearest; `error` has the sign of exact - nearest.
pub(super) trait Directed: Sized {
    /// Moves to the neighbour on the side that the rounding asks for, if the error requires it.
    fn directed(self, error: f64, rounding: Rounding) -> Self;
}

macro_rules! directed {
    ($($t:ty),*) => {$(
        impl Directed for $t {
            fn directed(self, error: f64, rounding: Rounding) -> $t {
                if self.is_nan() || error == 0.0 || error.is_nan() {
                    return self;
                }
                match rounding {
                    Rounding::Down if error < 0.0 => self.next_down(),
                    Rounding::Up if error > 0.0 => self.next_up(),
                    // The nearest number is farther from zero than the exact one.
                    Rounding::Zero if error < 0.0 && self > 0.0 => self.next_down(),
                    Rounding::Zero if error > 0.0 && self < 0.0 => self.next_up(),
                    _ => self,
                }
            }
        }
    )*};
}
directed!(f32, f64);

/// The error of an infinity, if finite operands overflowed.
fn overflow(nearest: f64, operands: &[f64]) -> Option<f64> {
    (nearest.is_infinite() && operands.iter().all(|x| x.is_finite())).then_some(-nearest)
}

/// The sum and its rounding error (Knuth's two-sum).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// `a + b`. The rounding decides the sign of an exact zero.
pub(super) fn add(a: f64, b: f64, rounding: Rounding) -> f64 {
    let (sum, error) = two_sum(a, b);
    if sum == 0.0
        && rounding == Rounding::Down
        && !(a == 0.0 && b == 0.0 && a.is_sign_positive() && b.is_sign_positive())
    {
        return -0.0;
    }
    sum.directed(overflow(sum, &[a, b]).unwrap_or(error), rounding)
}

/// `a * b`.
pub(super) fn mul(a: f64, b: f64, rounding: Rounding) -> f64 {
    let product = a * b;
    product.directed(overflow(product, &[a, b]).unwrap_or_else(|| product_error(a, b, product)), rounding)
}

/// The sign of `a * b - product`. Operands so small that the difference would vanish are scaled up first.
fn product_error(a: f64, b: f64, product: f64) -> f64 {
    let scale = 2f64.powi(600);
    if product.abs() < f64::MIN_POSITIVE * 2f64.powi(60) {
        // Both sides times 2^1200, in steps that stay finite because the product is tiny.
        return match a.abs() < b.abs() {
            true => (a * scale * scale).mul_add(b, -(product * scale * scale)),
            false => (b * scale * scale).mul_add(a, -(product * scale * scale)),
        };
    }
    a.mul_add(b, -product)
}

/// `a * b + c`, rounded once.
pub(super) fn fma(a: f64, b: f64, c: f64, rounding: Rounding) -> f64 {
    let nearest = a.mul_add(b, c);
    if let Some(error) = overflow(nearest, &[a, b, c]) {
        return nearest.directed(error, rounding);
    }
    // Boldo and Muller, "Some functions computable with a fused-mac", ARITH 2005: exact = nearest + error + rest.
    let product = a * b;
    let tail = a.mul_add(b, -product);
    let (first, first_error) = two_sum(c, tail);
    let (second, second_error) = two_sum(product, first);
    let middle = (second - nearest) + second_error;
    let (error, rest) = two_sum(middle, first_error);
    nearest.directed(if error == 0.0 { rest } else { error }, rounding)
}

/// `a / b`.
pub(super) fn div(a: f64, b: f64, rounding: Rounding) -> f64 {
    let quotient = a / b;
    if b == 0.0 {
        return quotient;
    }
    let left = (-quotient).mul_add(b, a);
    let error = if b < 0.0 { -left } else { left };
    quotient.directed(overflow(quotient, &[a, b]).unwrap_or(error), rounding)
}

/// The square root.
pub(super) fn sqrt(a: f64, rounding: Rounding) -> f64 {
    let root = a.sqrt();
    root.directed((-root).mul_add(root, a), rounding)
}

/// Any of the above for `f32`. In `f64` the exact value is `value` plus an error with the sign of `error`; the
/// difference between `value` and the nearest `f32` is larger than that error unless it is zero.
pub(super) fn narrow(value: f64, error: f64, rounding: Rounding) -> f32 {
    let nearest = value as f32;
    let left =
        if nearest.is_infinite() && value.is_finite() { -f64::from(nearest) } else { value - f64::from(nearest) };
    nearest.directed(if left == 0.0 { error } else { left }, rounding)
}

/// `a + b` for `f32`.
pub(super) fn add32(a: f32, b: f32, rounding: Rounding) -> f32 {
    fma32(a, 1.0, b, rounding)
}

/// `a * b + c` for `f32`: the product is exact in `f64`.
pub(super) fn fma32(a: f32, b: f32, c: f32, rounding: Rounding) -> f32 {
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let (sum, error) = two_sum(product, c);
    if sum == 0.0 {
        return add(product, c, rounding) as f32;
    }
    narrow(sum, error, rounding)
}

/// `a * b` for `f32`.
pub(super) fn mul32(a: f32, b: f32, rounding: Rounding) -> f32 {
    narrow(f64::from(a) * f64::from(b), 0.0, rounding)
}

/// `a / b` for `f32`.
pub(super) fn div32(a: f32, b: f32, rounding: Rounding) -> f32 {
    let (a, b) = (f64::from(a), f64::from(b));
    let quotient = a / b;
    let left = (-quotient).mul_add(b, a);
    narrow(quotient, if b < 0.0 { -left } else { left }, rounding)
}

/// The square root for `f32`.
pub(super) fn sqrt32(a: f32, rounding: Rounding) -> f32 {
    let a = f64::from(a);
    let root = a.sqrt();
    narrow(root, (-root).mul_add(root, a), rounding)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDES: [Rounding; 3] = [Rounding::Zero, Rounding::Down, Rounding::Up];

    /// Checks that `rounded` is the rounding of a value that lies between `nearest` and its neighbours.
    fn check(exact_minus: impl Fn(f32) -> f64, rounded: f32, rounding: Rounding, what: &str) {
        let left = exact_minus(rounded);
        match rounding {
            Rounding::Down => assert!(left >= 0.0 && exact_minus(rounded.next_up()) < 0.0, "{what}: {rounded:e}"),
            Rounding::Up => assert!(left <= 0.0 && exact_minus(rounded.next_down()) > 0.0, "{what}: {rounded:e}"),
            _ => {
                assert!(left * f64::from(rounded) >= 0.0, "{what}: {rounded:e} lies beyond");
                let next = if rounded > 0.0 { rounded.next_up() } else { rounded.next_down() };
                assert!(exact_minus(next) * f64::from(rounded) < 0.0, "{what}: {rounded:e} is too far");
            }
        }
    }

    #[test]
    fn single_precision_against_exact_differences() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mantissa = (state >> 41) as u32;
            let sign = (state >> 33 & 1) as u32;
            // Exponents so close that every product and its difference from an f32 are exact in f64.
            f32::from_bits(sign << 31 | (120 + (state >> 34 & 7) as u32) << 23 | mantissa & 0x7f_ffff)
        };
        for _ in 0..2000 {
            let (a, b) = (random(), random());
            let (x, y) = (f64::from(a), f64::from(b));
            for side in SIDES {
                check(|r| (x - f64::from(r)) + y, add32(a, b, side), side, "add");
                check(|r| x * y - f64::from(r), mul32(a, b, side), side, "mul");
                check(|r| (-f64::from(r)).mul_add(y, x) * y.signum(), div32(a, b, side), side, "div");
                check(|r| x.abs() - f64::from(r) * f64::from(r), sqrt32(a.abs(), side), side, "sqrt");
            }
        }
    }

    #[test]
    fn edges() {
        assert_eq!(mul32(f32::MAX, 2.0, Rounding::Zero), f32::MAX);
        assert_eq!(mul32(f32::MAX, -2.0, Rounding::Up), f32::MIN);
        assert_eq!(mul32(f32::MAX, 2.0, Rounding::Up), f32::INFINITY);
        assert_eq!(mul(f64::MAX, 2.0, Rounding::Down), f64::MAX);
        assert_eq!(add(1.0, 2f64.powi(-60), Rounding::Up), 1.0f64.next_up());
        assert_eq!(add(1.0, 2f64.powi(-60), Rounding::Down), 1.0);
        assert_eq!(fma(2f64.powi(-40), 2f64.powi(-40), 1.0, Rounding::Up), 1.0f64.next_up());
        assert_eq!(fma(2f64.powi(-40), -2f64.powi(-40), 1.0, Rounding::Zero), 1.0f64.next_down());
        assert_eq!(fma32(1.0, 1e-30, 1.0, Rounding::Up), 1.0f32.next_up());
        assert_eq!(div(1.0, 3.0, Rounding::Up), (1.0f64 / 3.0).next_up());
        assert_eq!(sqrt(2.0, Rounding::Down), 2f64.sqrt().next_down());
        assert_eq!(mul(2f64.powi(-540), 2f64.powi(-540), Rounding::Up), f64::from_bits(1));
        assert!(add(1.0, -1.0, Rounding::Down).is_sign_negative());
        assert!(add32(1.0, -1.0, Rounding::Up).is_sign_positive());
        assert_eq!(div32(1.0, 0.0, Rounding::Down), f32::INFINITY);
        assert!(fma32(f32::NAN, 1.0, 1.0, Rounding::Down).is_nan());
    }
}
