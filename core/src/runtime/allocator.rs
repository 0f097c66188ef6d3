//! Handling of memory exhaustion.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use crate::device::memory;
use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, which calls a function of the program with the number of bytes that it could not allocate.
///
/// A Rust program whose allocation fails is aborted. Most of the memory of arrays is checked before it is taken, and
/// refused with [`Error::TooLarge`](crate::error::Error::TooLarge); this covers the rest: under a tight limit the next
/// small list may be one too many. The function may end the process as the program usually ends; if it returns, Rust
/// aborts. It must not allocate memory itself.
///
/// ```
/// # use gavotte_core::runtime::Allocator;
/// fn give_up(_bytes: usize) {
///     std::process::exit(2)
/// }
///
/// #[global_allocator]
/// static MEMORY: Allocator = Allocator { refused: give_up };
/// # fn main() {}
/// ```
pub struct Allocator {
    /// Called with the number of bytes of a failed allocation.
    pub refused: fn(usize),
}

impl Allocator {
    fn told(&self, memory: *mut u8, bytes: usize) -> *mut u8 {
        if memory.is_null() {
            (self.refused)(bytes);
        }
        memory
    }
}

/// Lets all threads allocate from one arena if the address space of this process is limited. Otherwise the GNU C
/// library reserves 64 MB of addresses for each thread, until a thread has not even the memory to start, or to report
/// it. Call it before there are threads; on other systems it does nothing.
pub fn save_addresses() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if memory::address_space().is_some() {
        // SAFETY: it sets a parameter of the C library's allocator.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}

// SAFETY: the system's allocator does all the work, and its results are passed on.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by this function's contract.
        self.told(unsafe { System.alloc(layout) }, layout.size())
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by this function's contract.
        self.told(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: by this function's contract.
        self.told(unsafe { System.realloc(memory, layout, bytes) }, bytes)
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: by this function's contract.
        unsafe { System.dealloc(memory, layout) }
    }
}
