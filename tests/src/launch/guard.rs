//! Memory between inaccessible pages: a read or write outside an array ends the process.

use std::ptr::NonNull;

/// Where in its pages an array lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Its first byte is the first that may be touched; a vector that starts there is aligned.
    Start,
    /// One element later: aligned as its elements are, and no better.
    Shifted,
    /// Its last byte is the last that may be touched.
    End,
}

/// The contents of the pages before anything is written: no `bool`, an odd number, a small negative float.
pub const FILLER: u8 = 0xa5;

/// An array of bytes with an inaccessible page before its pages and one after.
pub struct Guarded {
    /// The first inaccessible page.
    base: NonNull<u8>,
    /// Bytes of all pages, including the inaccessible ones.
    mapped: usize,
    page: usize,
    /// The start of the array, from `base`.
    start: usize,
    len: usize,
}

impl Guarded {
    /// `len` bytes of elements of `size` bytes, filled with [`FILLER`], as is the rest of the pages.
    ///
    /// # Panics
    /// If the system is out of memory.
    pub fn new(len: usize, size: usize, side: Side) -> Guarded {
        assert!(size > 0 && len.is_multiple_of(size), "whole elements");
        // SAFETY: asks for a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("pages have a size");
        let inner = (len + size).next_multiple_of(page);
        let mapped = inner + 2 * page;
        // SAFETY: a new private mapping of no file, wherever the system likes: it overlaps nothing.
        let base = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(std::ptr::null_mut(), mapped, libc::PROT_NONE, flags, -1, 0)
        };
        assert!(base != libc::MAP_FAILED, "{mapped} bytes of memory");
        let base = NonNull::new(base.cast::<u8>()).expect("a mapping is not at zero");
        let start = match side {
            Side::Start => page,
            Side::Shifted => page + size,
            Side::End => page + inner - len,
        };
        let guarded = Guarded { base, mapped, page, start, len };
        guarded.protect(libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: the pages between the guards are ours, and are writable since the previous line.
        unsafe { base.add(page).write_bytes(FILLER, inner) };
        guarded
    }

    /// The same with these bytes, read-only from now on.
    pub fn of(bytes: &[u8], size: usize, side: Side) -> Guarded {
        let guarded = Guarded::with(bytes, size, side);
        guarded.protect(libc::PROT_READ);
        guarded
    }

    /// The same with these bytes, writable.
    pub fn with(bytes: &[u8], size: usize, side: Side) -> Guarded {
        let guarded = Guarded::new(bytes.len(), size, side);
        // SAFETY: the array has this many bytes, is writable, and is new memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), guarded.pointer(), bytes.len()) };
        guarded
    }

    /// Sets the protection of the pages between the guards.
    fn protect(&self, allowed: libc::c_int) {
        let inner = self.mapped - 2 * self.page;
        // SAFETY: these are whole pages of our mapping.
        let code = unsafe { libc::mprotect(self.base.as_ptr().add(self.page).cast(), inner, allowed) };
        assert_eq!(code, 0, "the protection of pages can be set");
    }

    /// The start of the array.
    pub fn pointer(&self) -> *mut u8 {
        self.base.as_ptr().wrapping_add(self.start)
    }

    /// The current contents of the pages between the guards.
    fn pages(&self) -> &[u8] {
        // SAFETY: these bytes are mapped, readable, and filled since `new`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(self.page), self.mapped - 2 * self.page) }
    }

    /// The current contents of the array.
    pub fn bytes(&self) -> &[u8] {
        &self.pages()[self.start - self.page..][..self.len]
    }

    /// Whether the pages were written outside the array.
    pub fn is_spoiled(&self) -> bool {
        let (before, rest) = self.pages().split_at(self.start - self.page);
        before.iter().chain(&rest[self.len..]).any(|byte| *byte != FILLER)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, whole, and nobody has a pointer into it for longer than we live.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.mapped) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_lie_where_they_should() {
        for len in [0, 4, 4092, 4096, 4100] {
            for side in [Side::Start, Side::Shifted, Side::End] {
                let guarded = Guarded::with(&vec![7; len], 4, side);
                let (at, page) = (guarded.pointer() as usize, guarded.page);
                match side {
                    Side::Start => assert_eq!(at % page, 0),
                    Side::Shifted => assert_eq!(at % page, 4),
                    Side::End => assert_eq!((at + len) % page, 0),
                }
                assert!(guarded.bytes().iter().all(|byte| *byte == 7) && guarded.bytes().len() == len);
                assert!(!guarded.is_spoiled());
            }
        }
    }

    #[test]
    fn writes_outside_an_array_are_seen() {
        let guarded = Guarded::new(8, 4, Side::Start);
        // SAFETY: the byte after the array is in its page.
        unsafe { *guarded.pointer().add(8) = 0 };
        assert!(guarded.is_spoiled());
    }
}
