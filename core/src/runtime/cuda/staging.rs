//! Copies between host and device, through pinned memory: the driver copies from there while the program goes on.
//!
//! Source: NVIDIA, *CUDA C++ Programming Guide*, "Asynchronous Concurrent Execution".

use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError, result};
use std::sync::Arc;

/// Bytes of one piece: large enough for the bus, small enough to begin soon.
const PIECE: usize = 4 << 20;
/// While one is filled or emptied, the driver copies the other.
const PIECES: usize = 2;

/// A pinned piece of host memory.
#[derive(Debug)]
struct Piece {
    memory: *mut u8,
    /// When the last copy that uses it is done.
    done: Option<CudaEvent>,
}

// SAFETY: the memory belongs to the piece alone, and may be used from every thread.
unsafe impl Send for Piece {}

/// The stream of copies, and the memory that they go through.
#[derive(Debug)]
pub(super) struct Staging {
    context: Arc<CudaContext>,
    /// What uses arrays.
    compute: Arc<CudaStream>,
    copies: Arc<CudaStream>,
    pieces: Vec<Piece>,
    next: usize,
}

impl Staging {
    pub(super) fn new(context: Arc<CudaContext>, compute: Arc<CudaStream>) -> Result<Staging, DriverError> {
        let copies = context.new_stream()?;
        Ok(Staging { context, compute, copies, pieces: vec![], next: 0 })
    }

    /// The next piece, once no copy uses it.
    fn piece(&mut self) -> Result<usize, DriverError> {
        if self.pieces.len() < PIECES {
            // SAFETY: a context is bound, and the size is not 0.
            let memory = unsafe { result::malloc_host(PIECE, 0)? };
            self.pieces.push(Piece { memory: memory.cast(), done: None });
            return Ok(self.pieces.len() - 1);
        }
        let at = self.next % PIECES;
        self.next += 1;
        if let Some(done) = self.pieces[at].done.take() {
            done.synchronize()?;
        }
        Ok(at)
    }

    /// Copies bytes to the device. What is started on the compute stream from now on finds them there.
    ///
    /// # Safety
    /// `to` must be valid for as many bytes, and nothing may read it yet.
    pub(super) unsafe fn upload(&mut self, bytes: &[u8], to: CUdeviceptr) -> Result<(), DriverError> {
        self.context.bind_to_thread()?;
        // The block may have been used before.
        self.copies.join(&self.compute)?;
        for (i, part) in bytes.chunks(PIECE).enumerate() {
            let at = self.piece()?;
            let to = to + (i * PIECE) as CUdeviceptr;
            // SAFETY: the piece is as large, and no copy uses it.
            let piece = unsafe { std::slice::from_raw_parts_mut(self.pieces[at].memory, part.len()) };
            piece.copy_from_slice(part);
            // SAFETY: the piece stays what it is until the event below, and `to` is valid by this function's contract.
            unsafe { result::memcpy_htod_async(to, piece, self.copies.cu_stream())? };
            self.pieces[at].done = Some(self.copies.record_event(None)?);
        }
        self.compute.join(&self.copies)
    }

    /// Copies bytes from the device, once all that was started on the compute stream is done.
    ///
    /// # Safety
    /// `from` must be valid for as many bytes.
    pub(super) unsafe fn download(&mut self, from: CUdeviceptr, bytes: &mut [u8]) -> Result<(), DriverError> {
        self.context.bind_to_thread()?;
        self.copies.join(&self.compute)?;
        let mut parts = bytes.chunks_mut(PIECE).enumerate();
        let mut coming: Option<(usize, &mut [u8])> = None;
        loop {
            let next = match parts.next() {
                None => None,
                Some((i, part)) => {
                    let at = self.piece()?;
                    // SAFETY: the piece is as large, and no copy uses it.
                    let piece = unsafe { std::slice::from_raw_parts_mut(self.pieces[at].memory, part.len()) };
                    // SAFETY: the piece is not touched until the event below has come to pass.
                    unsafe {
                        let from = from + (i * PIECE) as CUdeviceptr;
                        result::memcpy_dtoh_async(piece, from, self.copies.cu_stream())?;
                    }
                    self.pieces[at].done = Some(self.copies.record_event(None)?);
                    Some((at, part))
                }
            };
            if let Some((at, part)) = coming.take() {
                if let Some(done) = self.pieces[at].done.take() {
                    done.synchronize()?;
                }
                // SAFETY: the copy into the piece is done.
                part.copy_from_slice(unsafe { std::slice::from_raw_parts(self.pieces[at].memory, part.len()) });
            }
            match next {
                None => return Ok(()),
                next => coming = next,
            }
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.context.bind_to_thread().is_ok() && self.copies.synchronize().is_ok() {
            for piece in &self.pieces {
                // SAFETY: no copy uses it. What a device that has failed does not take back is lost with the process.
                let _ = unsafe { result::free_host(piece.memory.cast()) };
            }
        }
    }
}
