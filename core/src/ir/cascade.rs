//! The order of additions in the interpreter and the portable target.
//!
//! The terms of a sum form blocks of four, each added sequentially. Two neighbouring blocks form a pair, two
//! neighbouring pairs a group of four blocks, and so on; leftovers without a neighbour are added from the last one on.
//! So the error grows with the logarithm of the number of terms, and the order depends only on the number of terms.

/// The number of terms that are added sequentially.
pub const BLOCK: usize = 4;

/// Adds up rows of numbers in this order; its memory is reused from sum to sum.
///
/// Any operation that is associative up to rounding can replace addition.
#[derive(Debug)]
pub struct Cascade<T, F> {
    zero: T,
    plus: F,
    block: Vec<T>,
    /// For each level, the sum that waits for a neighbour of as many blocks.
    waiting: Vec<T>,
}

impl<T: Copy, F: Fn(T, T) -> T> Cascade<T, F> {
    /// `zero` is the empty sum; `plus` adds two numbers.
    pub fn new(zero: T, plus: F) -> Self {
        Cascade { zero, plus, block: vec![], waiting: vec![] }
    }

    /// Adds `n` rows to `sums`, which has their width. `term(i, j)` returns element `j` of row `i`.
    pub fn add(&mut self, n: usize, sums: &mut [T], term: impl Fn(usize, usize) -> T) {
        let (zero, plus, width) = (self.zero, &self.plus, sums.len());
        if width == 0 {
            return;
        }
        let n_block = n.div_ceil(BLOCK);
        let levels = (usize::BITS - n_block.leading_zeros()) as usize;
        self.block.resize(width, zero);
        self.waiting.resize(self.waiting.len().max(levels * width), zero);
        let join = |block: &mut [T], before: &[T]| {
            block.iter_mut().zip(before).for_each(|(sum, before)| *sum = plus(*before, *sum));
        };
        let (block, waiting) = (&mut self.block[..], &mut self.waiting[..]);
        for b in 0..n_block {
            block.fill(zero);
            for i in b * BLOCK..n.min((b + 1) * BLOCK) {
                block.iter_mut().enumerate().for_each(|(j, sum)| *sum = plus(*sum, term(i, j)));
            }
            let pairs = b.trailing_ones() as usize;
            (0..pairs).for_each(|level| join(block, &waiting[level * width..][..width]));
            waiting[pairs * width..][..width].copy_from_slice(block);
        }
        block.fill(zero);
        for level in (0..levels).filter(|level| n_block >> level & 1 == 1) {
            join(block, &waiting[level * width..][..width]);
        }
        sums.iter_mut().zip(block).for_each(|(sum, x)| *sum = plus(*sum, *x));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order, written as in the description.
    fn described(xs: &[f32]) -> f32 {
        let n_block = xs.len().div_ceil(BLOCK);
        if n_block <= 1 {
            return xs.iter().fold(0.0, |sum, x| sum + x);
        }
        let half = n_block.next_power_of_two() / 2 * BLOCK;
        described(&xs[..half]) + described(&xs[half..])
    }

    #[test]
    fn blocks_are_added_in_pairs() {
        let xs: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.37).sin() + 0.1).collect();
        let mut cascade = Cascade::new(0.0, |a: f32, b: f32| a + b);
        for n in (0..100).chain([127, 128, 129, 777, 1000]) {
            let mut sums = [0.0, 1.0];
            cascade.add(n, &mut sums, |i, j| xs[i] * (1 - j) as f32);
            assert_eq!(sums.map(f32::to_bits), [described(&xs[..n]), 1.0].map(f32::to_bits), "{n} terms");
        }
    }

    #[test]
    fn a_sum_of_ones_is_their_number() {
        let mut cascade = Cascade::new(0.0, |a: f32, b: f32| a + b);
        let mut sum = [0.0];
        cascade.add(20_000_000, &mut sum, |_, _| 1.0);
        assert_eq!(sum, [20_000_000.0]);
    }
}
