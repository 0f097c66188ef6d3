//! Elementary functions of `f32` that the compiler can turn into vector code: no branch, no table, no call.

/// `y·2^k` for `k` from -150 to 128, rounded once, to a subnormal or infinity at the ends.
#[inline(always)]
fn scale(y: f32, k: i32) -> f32 {
    // Two factors, so that each stays in the range of normal numbers; the first product is exact.
    let half = k >> 1;
    let pow = |k: i32| f32::from_bits(((k + 127) << 23) as u32);
    y * pow(half) * pow(k - half)
}

/// Splits `x = k·ln 2 + r` with whole `k` and `|r| <= ln 2 / 2`; Cody and Waite's two-part constant.
#[inline(always)]
fn split(x: f32) -> (i32, f32) {
    // Adding 1.5·2^23 rounds to the nearest whole number, which is then in the low bits.
    let shift = 12_582_912.0f32;
    let shifted = x * std::f32::consts::LOG2_E + shift;
    let k = shifted - shift;
    let r = (x - k * 0.693_359_4) - k * -2.121_944_4e-4;
    (shifted.to_bits().wrapping_sub(shift.to_bits()) as i32, r)
}

/// `e^r - 1` for `|r| <= ln 2 / 2` (Cephes, `expf`).
#[inline(always)]
fn expm1_small(r: f32) -> f32 {
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    (p * r) * r + r
}

/// `x` clamped between two bounds; NaN becomes the lower one, so that later steps stay in range.
#[inline(always)]
fn within(x: f32, low: f32, high: f32) -> f32 {
    let x = if x > low { x } else { low };
    if x < high { x } else { high }
}

/// `e^x`, within 2 ulp.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let (k, r) = split(within(x, -104.0, 89.0));
    let y = scale(1.0 + expm1_small(r), k);
    if x.is_nan() { x } else { y }
}

/// `e^x - 1`, within 3 ulp; exact near zero. `2^k e^r - 1 = 2^k ((e^r - 1) + (1 - 2^-k))`.
#[inline(always)]
pub(crate) fn expm1(x: f32) -> f32 {
    let (k, r) = split(within(x, -20.0, 89.0));
    let small = expm1_small(r);
    let y = scale(small + (1.0 - scale(1.0, -k)), k);
    let y = if k == 0 { small } else { y };
    let y = if x == 0.0 { x } else { y };
    if x.is_nan() { x } else { y }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `threefry2x32` with 20 rounds.
///
/// Source: Salmon et al., *Parallel random numbers: as easy as 1, 2, 3* (SC 2011).
#[inline(always)]
pub(crate) fn threefry(k0: u32, k1: u32, x0: u32, x1: u32) -> (u32, u32) {
    let keys = [k0, k1, k0 ^ k1 ^ 0x1BD1_1BDA];
    let (mut a, mut b) = (x0.wrapping_add(k0), x1.wrapping_add(k1));
    macro_rules! rounds {
        ($($r:literal)*) => { $(a = a.wrapping_add(b); b = b.rotate_left($r) ^ a;)* };
    }
    macro_rules! inject {
        ($i:literal) => {
            a = a.wrapping_add(keys[$i % 3]);
            b = b.wrapping_add(keys[($i + 1) % 3]).wrapping_add($i);
        };
    }
    rounds!(13 15 26 6);
    inject!(1);
    rounds!(17 29 16 24);
    inject!(2);
    rounds!(13 15 26 6);
    inject!(3);
    rounds!(17 29 16 24);
    inject!(4);
    rounds!(13 15 26 6);
    inject!(5);
    (a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest distance from the exact value, in units in the last place of the result.
    fn worst_ulp(f: fn(f32) -> f32, exact: fn(f64) -> f64, range: std::ops::Range<f32>) -> f64 {
        let n = 200_000;
        let step = (range.end - range.start) / n as f32;
        (0..n)
            .map(|i| {
                let x = range.start + i as f32 * step;
                let (found, want) = (f(x) as f64, exact(x as f64));
                let near = want as f32;
                let ulp = (f32::from_bits(near.abs().to_bits() + 1) - near.abs()).max(f32::MIN_POSITIVE) as f64;
                (found - want).abs() / ulp
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn stay_within_their_ulp() {
        let exp_worst = worst_ulp(exp, f64::exp, -87.0..88.72);
        assert!(exp_worst <= 2.0, "exp: {exp_worst} ulp");
        let expm1_worst = worst_ulp(expm1, f64::exp_m1, -30.0..88.72);
        assert!(expm1_worst <= 3.0, "expm1: {expm1_worst} ulp");
        let near_zero = worst_ulp(expm1, f64::exp_m1, -0.5..0.5);
        assert!(near_zero <= 3.0, "expm1 near zero: {near_zero} ulp");
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(200.0), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan() && expm1(f32::NAN).is_nan());
        assert_eq!(expm1(-200.0), -1.0);
        assert_eq!(expm1(-0.0).to_bits(), (-0.0f32).to_bits());
        assert_eq!(expm1(f32::INFINITY), f32::INFINITY);
        assert_eq!(expm1(1e-20), 1e-20);
    }

    #[test]
    fn threefry_known_answers() {
        // Random123's known-answer tests for threefry2x32 with 20 rounds.
        assert_eq!(threefry(0, 0, 0, 0), (0x6b20_0159, 0x99ba_4efe));
        assert_eq!(threefry(!0, !0, !0, !0), (0x1cb9_96fc, 0xbb00_2be7));
        assert_eq!(threefry(0x1319_8a2e, 0x0370_7344, 0x243f_6a88, 0x85a3_08d3), (0xc492_3a9c, 0x483d_f7a0));
    }
}
