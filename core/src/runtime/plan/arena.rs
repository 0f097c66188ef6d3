//! Pieces of one memory that are taken and released while a plan is made.

use std::collections::{BTreeMap, BTreeSet};

/// The memory needed so far, and which of it is free: no two free pieces touch.
#[derive(Debug, Default)]
pub(in crate::runtime) struct Arena {
    /// Bytes by place.
    free: BTreeMap<usize, usize>,
    /// The same as bytes and place.
    sizes: BTreeSet<(usize, usize)>,
    /// The total number of bytes.
    pub(in crate::runtime) bytes: usize,
}

impl Arena {
    fn insert(&mut self, place: usize, bytes: usize) {
        self.free.insert(place, bytes);
        self.sizes.insert((bytes, place));
    }

    fn remove(&mut self, place: usize, bytes: usize) {
        self.free.remove(&place);
        self.sizes.remove(&(bytes, place));
    }

    /// The smallest free piece that is large enough, or new memory.
    pub(in crate::runtime) fn take(&mut self, bytes: usize) -> usize {
        if let Some((size, place)) = self.sizes.range((bytes, 0)..).next().copied() {
            self.remove(place, size);
            self.give(place + bytes, size - bytes);
            return place;
        }
        // A free piece at the end is extended.
        let last = self.free.last_key_value().map(|(place, size)| (*place, *size));
        let place = match last.filter(|(place, size)| place + size == self.bytes) {
            Some((place, size)) => {
                self.remove(place, size);
                place
            }
            None => self.bytes,
        };
        self.bytes = place + bytes;
        place
    }

    /// Releases a piece.
    pub(in crate::runtime) fn give(&mut self, mut place: usize, mut bytes: usize) {
        if bytes == 0 {
            return;
        }
        // Neighbours are merged, so that large arrays fit again.
        let before = self.free.range(..place).next_back().map(|(at, size)| (*at, *size));
        if let Some((at, size)) = before.filter(|(at, size)| at + size == place) {
            self.remove(at, size);
            (place, bytes) = (at, size + bytes);
        }
        let end = place + bytes;
        if let Some(size) = self.free.get(&end).copied() {
            self.remove(end, size);
            bytes += size;
        }
        self.insert(place, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_and_the_smallest_that_fits_is_taken() {
        let mut arena = Arena::default();
        let places = [64, 128, 64, 192, 64].map(|bytes| arena.take(bytes));
        assert_eq!((places, arena.bytes), ([0, 64, 192, 256, 448], 512));
        arena.give(64, 128);
        arena.give(256, 192);
        assert_eq!(arena.take(128), 64);
        arena.give(64, 128);
        arena.give(192, 64);
        assert_eq!(arena.free.iter().collect::<Vec<_>>(), [(&64, &384)]);
        assert_eq!((arena.take(320), arena.take(128), arena.bytes), (64, 512, 640));
        // The last piece is extended.
        arena.give(512, 128);
        assert_eq!((arena.take(256), arena.bytes), (512, 768));
        assert_eq!((arena.take(0), arena.take(64)), (384, 384));
    }
}
