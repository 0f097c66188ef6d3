//! Loops written in Rust for speed: in memory order, with reductions over independent lanes so that rustc can
//! vectorise, and an exponential without a call.

/// The number of lanes of sums and maxima: two of the widest vectors, or more of narrower ones.
const LANES: usize = 32;

/// `e^x` within 2 ulp, by the formula of Gavotte's targets: the standard library's is a call for each element.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = if x > -104.0 { x } else { -104.0 };
    let x = if x < 89.0 { x } else { 89.0 };
    // Adding 1.5·2^23 rounds to the nearest whole number, which is then in the low bits.
    let shift = 12_582_912.0f32;
    let shifted = x.mul_add(std::f32::consts::LOG2_E, shift);
    let whole = shifted - shift;
    let k = shifted.to_bits().wrapping_sub(shift.to_bits()) as i32;
    // x = k·ln 2 + r, with the constant in two parts.
    let r = whole.mul_add(2.121_944_4e-4, whole.mul_add(-0.693_359_4, x));
    let p = 1.987_569_1e-4;
    let p = r.mul_add(p, 1.398_199_9e-3);
    let p = r.mul_add(p, 8.333_452e-3);
    let p = r.mul_add(p, 4.166_579_6e-2);
    let p = r.mul_add(p, 1.666_666_5e-1);
    let p = r.mul_add(p, 0.5);
    let y = 1.0 + (p * r).mul_add(r, r);
    // Two factors, so that each stays in the range of normal numbers.
    let half = k >> 1;
    let pow = |k: i32| f32::from_bits(((k + 127) << 23) as u32);
    y * pow(half) * pow(k - half)
}

/// `x ← x·e^(-x²/2) + 1/4`.
pub fn chain(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = x.mul_add(exp(*x * *x * -0.5), 0.25));
}

/// As [`chain`], with the standard library's exponential.
pub fn chain_std(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = x.mul_add((*x * *x * -0.5).exp(), 0.25));
}

/// Folds a row lane by lane, then the lanes. The row's length is a multiple of [`LANES`].
#[inline(always)]
fn fold(row: &[f32], start: f32, each: impl Fn(f32, f32) -> f32, lanes: impl Fn(f32, f32) -> f32) -> f32 {
    let mut all = [start; LANES];
    for chunk in row.chunks_exact(LANES) {
        for (lane, x) in all.iter_mut().zip(chunk) {
            *lane = each(*lane, *x);
        }
    }
    all.into_iter().fold(start, lanes)
}

/// The softmax of each row.
pub fn softmax(x: &mut [f32], width: usize) {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    for row in x.chunks_exact_mut(width) {
        let top = fold(row, f32::NEG_INFINITY, larger, larger);
        row.iter_mut().for_each(|x| *x = exp(*x - top));
        let scale = 1.0 / fold(row, 0.0, |sum, x| sum + x, |a, b| a + b);
        row.iter_mut().for_each(|x| *x *= scale);
    }
}

/// Each row minus its mean, divided by its deviation, times `scale`, plus `shift`.
pub fn layer_norm(x: &mut [f32], scale: &[f32], shift: &[f32]) {
    let n = scale.len() as f32;
    for row in x.chunks_exact_mut(scale.len()) {
        let mean = fold(row, 0.0, |sum, x| sum + x, |a, b| a + b) / n;
        let squares = fold(row, 0.0, |sum, x| (x - mean).mul_add(x - mean, sum), |a, b| a + b);
        let factor = 1.0 / (squares / n + 1e-5).sqrt();
        for ((x, scale), shift) in row.iter_mut().zip(scale).zip(shift) {
            *x = ((*x - mean) * factor).mul_add(*scale, *shift);
        }
    }
}

/// The sum of each row.
pub fn row_sums(x: &[f32], width: usize, sums: &mut [f32]) {
    for (row, sum) in x.chunks_exact(width).zip(sums) {
        *sum = fold(row, 0.0, |sum, x| sum + x, |a, b| a + b);
    }
}
