//! A generator for work on the host.

use super::{Key, threefry2x32};
use rand::TryRng;
use std::convert::Infallible;

/// The blocks of a key in order: a generator for the crates `rand` and `rand_distr`.
///
/// Yields both words of block 0, then of block 1, and so on; the counter has 64 bits. The numbers are the same on every
/// machine; they differ from those of the key's samplers.
#[derive(Debug)]
pub struct KeyRng {
    key: [u32; 2],
    block: u64,
    second: Option<u32>,
}

impl KeyRng {
    pub(super) fn from_words(key: [u32; 2]) -> Self {
        KeyRng { key, block: 0, second: None }
    }

    fn next(&mut self) -> u32 {
        if let Some(word) = self.second.take() {
            return word;
        }
        let [first, second] = threefry2x32(self.key, [(self.block >> 32) as u32, self.block as u32]);
        self.block = self.block.wrapping_add(1);
        self.second = Some(second);
        first
    }
}

impl From<Key> for KeyRng {
    /// # Panics
    /// If the key is being traced.
    #[track_caller]
    fn from(key: Key) -> Self {
        key.rng()
    }
}

impl TryRng for KeyRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.next())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let low: u64 = self.next().into();
        Ok(low | u64::from(self.next()) << 32)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for part in bytes.chunks_mut(4) {
            part.copy_from_slice(&self.next().to_le_bytes()[..part.len()]);
        }
        Ok(())
    }
}
