//! Memory of runs: in lines of the cache, and in large pages, as rows at random places then seldom miss the processor's
//! table of pages.

use crate::device::ALIGN;
use std::mem::MaybeUninit;

/// A piece of the arena.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(in crate::runtime) struct Line([u8; ALIGN]);

impl Line {
    /// One that holds nothing yet.
    pub(in crate::runtime) const EMPTY: Line = Line([0; ALIGN]);
}

/// Asks the system to back memory that nobody has touched yet by large pages, where that pays and where it can.
pub(in crate::runtime) fn advise(memory: &mut [MaybeUninit<Line>]) {
    #[cfg(target_os = "linux")]
    {
        const LARGE: usize = 4 << 20;
        const PAGE: usize = 4096;
        let bytes = size_of_val(memory);
        let start = memory.as_mut_ptr().cast::<u8>();
        let skipped = start.addr().next_multiple_of(PAGE) - start.addr();
        if bytes >= LARGE {
            let whole = (bytes - skipped) / PAGE * PAGE;
            // SAFETY: the range lies within the memory; the advice changes nothing of what it holds. A system without large
            // pages refuses, and goes on with small ones.
            unsafe { libc::madvise(start.wrapping_add(skipped).cast(), whole, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}
