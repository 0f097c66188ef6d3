//! Elements in memory aligned to cache lines.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// Arrays start at a multiple of this many bytes: a cache line, and the widest vector. A vector that crosses two lines
/// costs two reads.
pub(crate) const ALIGN: usize = 64;

/// The elements of an array, a slice for reading and writing. If they fill a cache line, they start at one.
pub struct Elements<T> {
    /// It never grows, so it is never moved.
    memory: Vec<T>,
    /// The elements at the start of the memory that are not the array's.
    skipped: usize,
}

/// How many elements precede the first cache line of memory that starts here.
fn before_line<T>(memory: &[T]) -> usize {
    let skipped = memory.as_ptr().align_offset(ALIGN);
    if skipped < max_skipped::<T>() + 1 { skipped } else { 0 }
}

/// The most elements that may precede a cache line.
const fn max_skipped<T>() -> usize {
    ALIGN / size_of::<T>() - 1
}

impl<T: Copy> Elements<T> {
    /// `n` copies of one element.
    pub fn filled(x: T, n: usize) -> Self {
        if n <= max_skipped::<T>() {
            return Elements { memory: vec![x; n], skipped: 0 };
        }
        let mut memory = vec![x; n + max_skipped::<T>()];
        let skipped = before_line(&memory);
        memory.truncate(skipped + n);
        Elements { memory, skipped }
    }
}

/// Moves the elements to the next cache line, if need be; the memory grows by less than a line.
impl<T: Copy> From<Vec<T>> for Elements<T> {
    fn from(mut memory: Vec<T>) -> Self {
        let n = memory.len();
        if n <= max_skipped::<T>() || before_line(&memory) == 0 {
            return Elements { memory, skipped: 0 };
        }
        memory.reserve_exact(max_skipped::<T>());
        // The memory may have moved.
        let skipped = before_line(&memory);
        memory.extend_from_within(n - skipped..);
        memory.copy_within(..n - skipped, skipped);
        Elements { memory, skipped }
    }
}

impl<T: Copy> FromIterator<T> for Elements<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Vec::from_iter(elements).into()
    }
}

impl<T: Copy> Clone for Elements<T> {
    fn clone(&self) -> Self {
        let mut memory = Vec::with_capacity(self.len() + max_skipped::<T>());
        let skipped = if self.len() > max_skipped::<T>() { before_line(memory.as_slice()) } else { 0 };
        memory.extend_from_slice(&self[..skipped]);
        memory.extend_from_slice(self);
        Elements { memory, skipped }
    }
}

impl<T> Deref for Elements<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.memory[self.skipped..]
    }
}

impl<T> DerefMut for Elements<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.skipped..]
    }
}

impl<T: PartialEq> PartialEq for Elements<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: fmt::Debug> fmt::Debug for Elements<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<'a, T> IntoIterator for &'a Elements<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::{ALIGN, Elements};

    fn begins_at_line<T>(elements: &[T]) -> bool {
        elements.as_ptr().addr().is_multiple_of(ALIGN)
    }

    #[test]
    fn elements_begin_at_a_cache_line() {
        // Vectors of many lengths start at many addresses.
        for n in 16..600 {
            let numbers: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let mut elements = Elements::from(numbers.clone());
            assert_eq!(*elements, *numbers);
            let mut spare = Vec::with_capacity(n + n % 40);
            spare.extend_from_slice(&numbers);
            let [from_spare, cloned, filled] = [spare.into(), elements.clone(), Elements::filled(0.0f32, n)];
            assert_eq!((&*from_spare, &*cloned, &*filled), (&*numbers, &*numbers, &*vec![0.0; n]));
            assert!([&elements, &from_spare, &cloned, &filled].into_iter().all(|list| begins_at_line(list)));
            elements.rotate_left(3);
            assert_eq!((elements[0], elements[n - 1], elements.len()), (3.0, 2.0, n));
        }
    }

    #[test]
    fn few_elements_are_as_they_come() {
        for n in 0..16 {
            let numbers: Vec<i32> = (0..n).collect();
            let elements = Elements::from(numbers.clone());
            assert_eq!((&*elements, &*elements.clone()), (&*numbers, &*numbers));
            assert_eq!(*Elements::filled(7, n as usize), *vec![7; n as usize]);
        }
        let flags: Elements<bool> = (0..200).map(|i| i % 3 == 0).collect();
        assert!(begins_at_line(&flags) && flags.len() == 200 && flags[198] && !flags[199]);
    }
}
