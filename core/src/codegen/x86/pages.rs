//! Memory that holds machine code: written once, then executable and never writable again.

use super::Code;
use crate::error::Error;
use memmap2::{Mmap, MmapMut};
use std::io;

/// The constants of functions start at multiples of this many bytes, and so do their instructions.
pub(super) const ALIGN: usize = 64;

/// The code of several kernels in memory that may be executed.
#[derive(Debug)]
pub struct Pages {
    map: Option<Mmap>,
    /// Where the instructions of each function start, and their number of bytes.
    functions: Vec<(usize, usize)>,
}

impl Pages {
    /// Copies functions one after the other.
    pub fn new<'a>(codes: impl Iterator<Item = &'a Code>) -> Result<Pages, Error> {
        let mut bytes: Vec<u8> = vec![];
        let mut functions = vec![];
        for code in codes {
            bytes.resize(bytes.len().next_multiple_of(ALIGN), 0xcc);
            let entry = bytes.len() + code.entry();
            code.write(&mut bytes);
            functions.push((entry, bytes.len() - entry));
        }
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::OutOfMemory => Error::TooLarge(format!(
                "no memory for machine code: {error}; take a smaller program, or raise the limit (`ulimit -v`, or the \
                 container's)"
            )),
            _ => Error::Device(format!("no memory for machine code: {error}; try `--target portable`")),
        };
        let map = if bytes.is_empty() {
            None
        } else {
            let mut map = MmapMut::map_anon(bytes.len()).map_err(failed)?;
            map.copy_from_slice(&bytes);
            Some(map.make_exec().map_err(failed)?)
        };
        Ok(Pages { map, functions })
    }

    /// The address of the first instruction of function `i`, and the number of bytes of its instructions.
    pub fn function(&self, i: usize) -> (usize, usize) {
        let (start, size) = self.functions[i];
        (self.map.as_ref().map_or(0, |map| map.as_ptr().addr()) + start, size)
    }

    /// Calls function `i` with its table of arguments, whose entry [`CALL`](super::CALL) is set here; returns whether
    /// all its checks held.
    ///
    /// # Safety
    /// [`Isa::is_available`](super::Isa::is_available) must hold of the code's instruction set. `args` must hold the range, valid
    /// addresses of all arrays of the kernel for the sizes that follow them, and those sizes.
    pub unsafe fn call(&self, i: usize, args: &mut [u64]) -> bool {
        let Some(map) = &self.map else { return true };
        #[cfg(target_arch = "x86_64")]
        {
            let start = map.as_ptr().wrapping_add(self.functions[i].0);
            // SAFETY: a function that `emit` wrote begins there, and it keeps the System V calling convention.
            let function: extern "sysv64" fn(*mut u64) -> u64 = unsafe { std::mem::transmute(start) };
            args[super::CALL] = super::call::apply as *const () as u64;
            function(args.as_mut_ptr()) == 0
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = (map, i, args);
            unreachable!("machine code for another machine")
        }
    }
}
