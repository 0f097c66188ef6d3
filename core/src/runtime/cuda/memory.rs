//! Memory of a device: blocks that are kept when they are released, and reused.
//!
//! The device's compute stream orders everything that uses a block: copies make it wait, or wait for it. So a block can
//! be reused as soon as its last handle is gone: whatever is still running with it runs first.

use crate::error::Error;
use crate::runtime::cuda::failure;
use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaContext, CudaStream, DriverError, result};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sizes of blocks are multiples of this many bytes.
const GRAIN: usize = 512;

/// The blocks of a device.
#[derive(Debug)]
pub(super) struct Pool {
    context: Arc<CudaContext>,
    /// The stream that orders all uses of a block.
    compute: Arc<CudaStream>,
    /// The device's name, for errors.
    name: String,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    /// Unused blocks: bytes and address.
    free: BTreeSet<(usize, CUdeviceptr)>,
    /// Bytes of the blocks in use.
    used: usize,
}

/// A piece of a device's memory. It returns to its pool with its last handle.
#[derive(Debug)]
pub(super) struct Block {
    pool: Arc<Pool>,
    address: CUdeviceptr,
    bytes: usize,
}

impl Block {
    /// Where it starts; 0 if it is empty.
    pub(super) fn address(&self) -> CUdeviceptr {
        self.address
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let mut shelf = self.pool.shelf();
            shelf.used -= self.bytes;
            shelf.free.insert((self.bytes, self.address));
        }
    }
}

impl Pool {
    pub(super) fn new(context: Arc<CudaContext>, compute: Arc<CudaStream>, name: &str) -> Arc<Pool> {
        Arc::new(Pool { context, compute, name: name.into(), shelf: Mutex::default() })
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block of at least this many bytes. The driver has no empty blocks: an empty one has no address.
    ///
    /// # Errors
    /// If there is not enough memory: then unused blocks have been returned to the driver already.
    pub(super) fn take(self: &Arc<Pool>, bytes: usize) -> Result<Block, Error> {
        let pool = self.clone();
        if bytes == 0 {
            return Ok(Block { pool, address: 0, bytes: 0 });
        }
        let bytes = bytes.next_multiple_of(GRAIN);
        let mut shelf = self.shelf();
        // A block that is much too large would be missed elsewhere.
        let kept = shelf.free.range((bytes, 0)..(bytes + bytes / 4 + 1, 0)).next().copied();
        let (bytes, address) = match kept {
            Some(block) => {
                shelf.free.remove(&block);
                block
            }
            None => (bytes, self.allocate(bytes, &mut shelf)?),
        };
        shelf.used += bytes;
        Ok(Block { pool, address, bytes })
    }

    fn allocate(&self, bytes: usize, shelf: &mut Shelf) -> Result<CUdeviceptr, Error> {
        // SAFETY: a context is bound, and the size is not 0.
        let allocate = || unsafe { result::malloc_sync(bytes) };
        self.retry(allocate, |pool| pool.give_back(shelf)).map_err(|error| self.refused(bytes, shelf, error))
    }

    /// Calls the driver. It needs memory itself for modules, recordings and streams: if there is not enough, unused
    /// blocks are returned to it, and the call is repeated.
    pub(super) fn with_memory<T>(&self, call: impl FnMut() -> Result<T, DriverError>) -> Result<T, DriverError> {
        self.retry(call, |pool| pool.give_back(&mut pool.shelf()))
    }

    fn retry<T>(
        &self,
        mut call: impl FnMut() -> Result<T, DriverError>,
        free_memory: impl FnOnce(&Pool) -> Result<bool, DriverError>,
    ) -> Result<T, DriverError> {
        self.context.bind_to_thread()?;
        match call() {
            Err(error) if failure::is_out_of_memory(&error) => match free_memory(self) {
                Ok(true) => call(),
                _ => Err(error),
            },
            result => result,
        }
    }

    /// Returns all unused blocks to the driver; returns whether there was one.
    fn give_back(&self, shelf: &mut Shelf) -> Result<bool, DriverError> {
        if shelf.free.is_empty() {
            return Ok(false);
        }
        // Running kernels may use them.
        self.compute.synchronize()?;
        while let Some((_, address)) = shelf.free.pop_first() {
            // SAFETY: nobody has a handle of the block, and nothing that uses it is running.
            unsafe { result::free_sync(address) }?;
        }
        Ok(true)
    }

    /// Why there is not enough memory.
    fn refused(&self, bytes: usize, shelf: &Shelf, error: DriverError) -> Error {
        if !failure::is_out_of_memory(&error) {
            return failure::driver(&format!("{}: allocating {bytes} bytes", self.name), error);
        }
        let mb = |bytes: usize| bytes as f64 / 1e6;
        let rest = match result::mem_get_info() {
            Ok((free, total)) => format!("{:.1} MB of {:.1} MB are free", mb(free), mb(total)),
            Err(_) => "the driver does not say how much is free".into(),
        };
        Error::Device(format!(
            "{}: out of memory: {:.1} MB were asked for with {:.1} MB in use here, and {rest}\n  take a smaller graph or \
             batch, drop arrays that are not needed, or look at `gavotte ir --stage plan`; the device can still be used",
            self.name,
            mb(bytes),
            mb(shelf.used)
        ))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut shelf = std::mem::take(&mut *self.shelf());
        if self.context.bind_to_thread().is_ok() {
            // A failed device takes nothing back: its memory is lost until the process ends.
            let _ = self.give_back(&mut shelf);
        }
    }
}
