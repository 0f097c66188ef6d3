//! Memory of a device: blocks that are kept when they are given back, and given out again.
//!
//! Everything that uses a block is ordered by the device's compute stream: copies make it wait, or wait for it. So a block
//! can be given out again as soon as its last handle is gone: what is still running with it runs first.

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
    /// The stream that orders all that uses a block.
    compute: Arc<CudaStream>,
    /// The device's name, for errors.
    name: String,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    /// Blocks that nobody uses: bytes and address.
    free: BTreeSet<(usize, CUdeviceptr)>,
    /// Bytes of those in use.
    used: usize,
}

/// A piece of a device's memory. It goes back to its pool with its last handle.
#[derive(Debug)]
pub(super) struct Block {
    pool: Arc<Pool>,
    address: CUdeviceptr,
    bytes: usize,
}

impl Block {
    /// Where it begins; 0 where it is empty.
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

    /// A block of at least this many bytes. The driver knows no empty one: that has no address.
    ///
    /// # Errors
    /// Where memory does not last: then blocks that nobody uses have been given back to the driver already.
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

    /// Calls the driver. It takes memory of its own for modules, recordings and streams: where that does not last, blocks
    /// that nobody uses go back to it, and the call is made again.
    pub(super) fn with_room<T>(&self, call: impl FnMut() -> Result<T, DriverError>) -> Result<T, DriverError> {
        self.retry(call, |pool| pool.give_back(&mut pool.shelf()))
    }

    fn retry<T>(
        &self,
        mut call: impl FnMut() -> Result<T, DriverError>,
        make_room: impl FnOnce(&Pool) -> Result<bool, DriverError>,
    ) -> Result<T, DriverError> {
        self.context.bind_to_thread()?;
        match call() {
            Err(error) if failure::is_out_of_memory(&error) => match make_room(self) {
                Ok(true) => call(),
                _ => Err(error),
            },
            result => result,
        }
    }

    /// Gives all blocks that nobody uses back to the driver; whether there was one.
    fn give_back(&self, shelf: &mut Shelf) -> Result<bool, DriverError> {
        if shelf.free.is_empty() {
            return Ok(false);
        }
        // What still runs may use them.
        self.compute.synchronize()?;
        while let Some((_, address)) = shelf.free.pop_first() {
            // SAFETY: nobody has a handle of the block, and nothing runs that uses it.
            unsafe { result::free_sync(address) }?;
        }
        Ok(true)
    }

    /// Why there is no memory.
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
            "{}: out of memory: {:.1} MB were asked for beside {:.1} MB in use here, and {rest}\n  take a smaller graph or \
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
            // A device that has failed takes nothing back: it is lost with the process.
            let _ = self.give_back(&mut shelf);
        }
    }
}
