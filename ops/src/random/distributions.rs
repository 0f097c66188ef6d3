//! Samplers.

use super::erf::{erf, erf_inv};
use super::single;
use super::{Key, check_draw, counter, numbered};
use crate::array::Array;
use crate::elementwise::threefry2x32;
use crate::generate::iota;
use crate::movement::reject;
use crate::operators::where_;
use gavotte_core::aval::{DType, Dim, Literal, shape as to_shape};
use gavotte_core::error::Error;
use gavotte_core::ir::refuse;

/// The next number above or below `x`, in `dtype`.
fn next(dtype: DType, x: f64, up: bool) -> f64 {
    match (dtype, up) {
        (DType::F32, true) => (x as f32).next_up().into(),
        (DType::F32, false) => (x as f32).next_down().into(),
        (_, true) => x.next_up(),
        (_, false) => x.next_down(),
    }
}

/// Whether a uniform number in `[0, 1)`, with the upper 23 bits of a word as its fraction, is less than `p`.
#[track_caller]
fn are_less(words: Array, p: f32) -> Array {
    // The number of the 2²³ fractions that are less; 2⁹ words have each.
    let fractions = (f64::from(p) * f64::from(1 << 23)).ceil();
    match fractions {
        1.0..8_388_608.0 => words.lt((fractions as u32) << 9),
        8_388_608.0.. => words.ge(0u32),
        _ => words.lt(0u32),
    }
}

#[track_caller]
fn floating(operation: &str, dtype: DType) {
    if !matches!(dtype, DType::F32 | DType::F64) {
        reject(operation, format!("returns f32 or f64, not {dtype}: convert with `astype` afterwards"), &[]);
    }
}

impl Key {
    /// Random words, `u32`.
    #[track_caller]
    pub fn bits(self, shape: impl IntoIterator<Item = impl Into<Dim>>) -> Array {
        let [a, b] = self.blocks(&Array::scalar(0u32), &counter(&to_shape(shape)));
        a ^ b
    }

    /// Uniform in `[0, 1)`: 23 random bits of an `f32`, 52 of an `f64`.
    ///
    /// # Panics
    /// If `dtype` is not floating.
    #[track_caller]
    pub fn uniform(self, shape: impl IntoIterator<Item = impl Into<Dim>>, dtype: DType) -> Array {
        floating("uniform", dtype);
        match dtype {
            // A number in [1, 2) has the random bits as its fraction.
            DType::F32 => ((self.bits(shape) >> 9) | 0x3f80_0000u32).bitcast(DType::F32) - 1.0,
            _ => {
                let [high, low] = self.blocks(&Array::scalar(0u32), &counter(&to_shape(shape)));
                let scaled = |word: Array, scale: f64| word.astype(DType::F64) * scale;
                scaled(high, 0.5f64.powi(32)) + scaled(low >> 12, 0.5f64.powi(52))
            }
        }
    }

    /// Uniform in `[low, high)`.
    ///
    /// # Panics
    /// If `dtype` is not floating.
    #[track_caller]
    pub fn uniform_range(
        self,
        shape: impl IntoIterator<Item = impl Into<Dim>>,
        low: f64,
        high: f64,
        dtype: DType,
    ) -> Array {
        let unit = self.uniform(shape, dtype);
        let [low, high] = [low, high].map(|x| Literal::from_f64(dtype, x).as_f64());
        let width = Literal::from_f64(dtype, high - low).as_f64();
        let power_of_two = width.to_bits() << 12 == 0;
        let scaled = match dtype {
            // JAX rounds `unit · width + low` once. The product is exact where the width is a power of two, and in
            // f64 otherwise.
            DType::F32 if !power_of_two => (unit.astype(DType::F64) * width + low).astype(DType::F32),
            _ => unit * width + low,
        };
        scaled.maximum(low)
    }

    /// `true` with probability `p`: if [`uniform`](Self::uniform) in `f32` is less than `p`.
    #[track_caller]
    pub fn bernoulli(self, p: f32, shape: impl IntoIterator<Item = impl Into<Dim>>) -> Array {
        are_less(self.bits(shape), p)
    }

    /// `true` with probability `p`, at about half the cost of [`bernoulli`](Self::bernoulli) if the last axis is long,
    /// and with other results.
    ///
    /// Uses both words of the generator's blocks: along the last axis 16 elements take the first words of 16 blocks,
    /// and the next 16 elements their second words. An element depends only on the key and its position.
    #[track_caller]
    pub fn bernoulli_pairs(self, p: f32, shape: impl IntoIterator<Item = impl Into<Dim>>) -> Array {
        let shape = to_shape(shape);
        let Some(last) = shape.len().checked_sub(1) else { return self.bernoulli(p, shape) };
        check_draw(&shape);
        let column = iota(&shape, last, DType::U32);
        let pair = ((&column >> 5) << 4) | (&column & 15);
        let position = |axis| if axis == last { pair.clone() } else { iota(&shape, axis, DType::U32) };
        let [first, second] = self.blocks(&Array::scalar(0u32), &numbered(&shape, position));
        are_less(where_(&(column & 16).ne(0), second, first), p)
    }

    /// Uniform in `low..high`, `i32`; all `low` if that range is empty.
    #[track_caller]
    pub fn randint(self, shape: impl IntoIterator<Item = impl Into<Dim>>, low: i32, high: i32) -> Array {
        let shape = to_shape(shape);
        let [high_key, low_key] = self.split();
        let (high_bits, low_bits) = (high_key.bits(shape.clone()), low_key.bits(shape));
        let span = if high <= low { 1 } else { high.wrapping_sub(low) as u32 };
        // 2³² mod span, so that both draws together act as one of 64 bits.
        let half = (1u32 << 16) % span;
        let multiplier = half.wrapping_mul(half) % span;
        let offset = ((high_bits % span) * multiplier + low_bits % span) % span;
        offset.astype(DType::I32) + low
    }

    /// Normal, with mean 0 and variance 1.
    ///
    /// # Panics
    /// If `dtype` is not floating.
    #[track_caller]
    pub fn normal(self, shape: impl IntoIterator<Item = impl Into<Dim>>, dtype: DType) -> Array {
        let u = self.uniform_range(shape, next(dtype, -1.0, true), 1.0, dtype);
        erf_inv(&u) * 2f64.sqrt()
    }

    /// Normal, with mean 0 and variance 1 before truncation to `(low, high)`.
    ///
    /// # Panics
    /// If `dtype` is not floating.
    #[track_caller]
    pub fn truncated_normal(
        self,
        shape: impl IntoIterator<Item = impl Into<Dim>>,
        low: f64,
        high: f64,
        dtype: DType,
    ) -> Array {
        let [a, b] = [low, high].map(|x| match dtype {
            DType::F32 => single::erf(x as f32 / std::f32::consts::SQRT_2).into(),
            _ => erf(x / 2f64.sqrt()),
        });
        let u = self.uniform_range(shape, a, b, dtype);
        (erf_inv(&u) * 2f64.sqrt()).clip(next(dtype, low, true), next(dtype, high, false))
    }

    /// The numbers below `n` in random order, `i32`. Computed on the host.
    ///
    /// # Panics
    /// If the key is being traced, or `n` is more than an `i32` can count.
    #[track_caller]
    pub fn permutation(self, n: usize) -> Array {
        if i32::try_from(n).is_err() {
            reject("permutation", format!("{n} numbers are more than an i32 can count"), &[]);
        }
        let mut key = match self.to_words() {
            Ok(words) => words,
            Err(error) => refuse(Error::Trace(format!(
                "permutation: is computed on the host, so call it outside the traced function: {error}"
            ))),
        };
        let mut order: Vec<i32> = (0..n as i32).collect();
        // Sorts by random words; with repetitions, so that ties do not bias the order.
        let rounds = (3.0 * (n.max(1) as f64).ln() / f64::from(u32::MAX).ln()).ceil() as u32;
        for _ in 0..rounds {
            let subkey = threefry2x32(key, [0, 1]);
            key = threefry2x32(key, [0, 0]);
            let word = |i: usize| {
                let [a, b] = threefry2x32(subkey, [0, i as u32]);
                a ^ b
            };
            let mut keyed: Vec<(u32, i32)> = order.iter().enumerate().map(|(i, x)| (word(i), *x)).collect();
            keyed.sort_by_key(|(word, _)| *word);
            order = keyed.into_iter().map(|(_, x)| x).collect();
        }
        Array::new(&[n], order)
    }
}
