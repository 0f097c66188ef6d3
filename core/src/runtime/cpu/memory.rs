//! Memory of runs: in cache lines, and in large pages, with which rows at random places rarely miss the processor's
//! TLB.

use crate::device::ALIGN;
use std::mem::MaybeUninit;

/// A piece of the arena.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(in crate::runtime) struct Line([u8; ALIGN]);

impl Line {
    /// A line without contents.
    pub(in crate::runtime) const EMPTY: Line = Line([0; ALIGN]);
}

/// Asks the system to back untouched memory by large pages, if that pays and is possible.
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
            // SAFETY: the range lies within the memory; the advice does not change its contents. A system without large
            // pages refuses, and small ones are used.
            unsafe { libc::madvise(start.wrapping_add(skipped).cast(), whole, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}
