//! Drawing numbers, bit for bit the same for one stream of random words, whatever the release of a sampling library.

use rand::Rng;

/// A whole number below `n`, which is not zero.
pub(super) fn below<R: Rng + ?Sized>(rng: &mut R, n: usize) -> usize {
    // The high half of the product; uniform to within n / 2^64.
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// A number in the half-open interval from 0 to 1.
pub(super) fn unit<R: Rng + ?Sized>(rng: &mut R) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Puts the items in an order that is as likely as any other.
pub(super) fn shuffle<T, R: Rng + ?Sized>(rng: &mut R, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last + 1));
    }
}

/// Draws places in a list, each with a chance proportional to its weight.
pub(super) struct Weighted {
    /// The sum of the weights up to and with each place.
    cumulative: Vec<f64>,
}

impl Weighted {
    /// Weights are finite and positive, and there is at least one.
    pub(super) fn new(weights: impl IntoIterator<Item = f64>) -> Self {
        let cumulative = weights
            .into_iter()
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        Self { cumulative }
    }

    pub(super) fn draw<R: Rng + ?Sized>(&self, rng: &mut R) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let at = unit(rng) * total;
        // Rounding may put `at` on the total itself.
        self.cumulative.partition_point(|&sum| sum <= at).min(self.cumulative.len() - 1)
    }
}
