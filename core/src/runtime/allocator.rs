//! What happens where the system has no memory left.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use crate::device::memory;
use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, which tells a function of the program how many bytes it could not get.
///
/// A program in Rust that gets no memory is aborted. Most of what an array needs is asked for before it is taken, and
/// refused with [`Error::TooLarge`](crate::error::Error::TooLarge); this is for what is left: under a tight limit the
/// next small list is one too many. The function may end the process as the program ends; where it returns, Rust aborts.
/// It must take no memory itself.
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
    /// Is told how many bytes were asked for in vain.
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

/// Lets all threads take memory from one place where the addresses of this process are limited. Else the GNU C library
/// reserves 64 MB of addresses for each thread, until a thread has not even the memory to begin, or to say so. To be
/// called before there are threads; elsewhere it does nothing.
pub fn save_addresses() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if memory::address_space().is_some() {
        // SAFETY: it sets a number of the C library's allocator.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}

// SAFETY: all is done by the system's allocator, and what it returns is passed on.
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
