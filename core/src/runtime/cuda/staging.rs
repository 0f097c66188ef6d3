//! Copies between host and device, through pinned memory: the driver copies from there while the program continues.
//!
//! Source: NVIDIA, *CUDA C++ Programming Guide*, "Asynchronous Concurrent Execution".

use crate::runtime::cuda::memory::Pool;
use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError, result};
use std::sync::Arc;

/// Bytes of one piece: large enough for the bus, small enough to start soon.
const PIECE: usize = 4 << 20;
/// Double-buffered.
const PIECES: usize = 2;

/// A pinned piece of host memory.
#[derive(Debug)]
struct Piece {
    memory: *mut u8,
    used: Used,
}

// SAFETY: the memory belongs only to the piece, and may be used from every thread.
unsafe impl Send for Piece {}

/// How long a copy uses a piece.
#[derive(Debug)]
enum Used {
    /// No copy uses it.
    Free,
    /// Until this event has occurred.
    Until(CudaEvent),
    /// Until all copies are complete: a call has failed, and it is unknown whether a copy is running.
    Unknown,
}

/// The stream of copies, and the memory that they go through.
#[derive(Debug)]
pub(super) struct Staging {
    context: Arc<CudaContext>,
    /// The stream of everything that uses arrays.
    compute: Arc<CudaStream>,
    copies: Arc<CudaStream>,
    pool: Arc<Pool>,
    pieces: Vec<Piece>,
    next: usize,
}

impl Staging {
    pub(super) fn new(
        context: Arc<CudaContext>,
        compute: Arc<CudaStream>,
        pool: Arc<Pool>,
    ) -> Result<Staging, DriverError> {
        let copies = context.new_stream()?;
        Ok(Staging { context, compute, copies, pool, pieces: vec![], next: 0 })
    }

    /// The next piece, once no copy uses it.
    fn piece(&mut self) -> Result<usize, DriverError> {
        if self.pieces.len() < PIECES {
            // SAFETY: a context is bound, and the size is not 0.
            let memory = self.pool.with_memory(|| unsafe { result::malloc_host(PIECE, 0) })?;
            self.pieces.push(Piece { memory: memory.cast(), used: Used::Free });
            return Ok(self.pieces.len() - 1);
        }
        let at = self.next % PIECES;
        self.next += 1;
        self.wait_for(at)?;
        Ok(at)
    }

    /// Waits until no copy uses a piece.
    fn wait_for(&mut self, at: usize) -> Result<(), DriverError> {
        match &self.pieces[at].used {
            Used::Free => return Ok(()),
            Used::Until(done) => done.synchronize()?,
            Used::Unknown => self.copies.synchronize()?,
        }
        self.pieces[at].used = Used::Free;
        Ok(())
    }

    /// Starts copies that use a piece, and records when they are complete.
    fn start(
        &mut self,
        at: usize,
        copy: impl FnOnce(&CudaStream) -> Result<(), DriverError>,
    ) -> Result<(), DriverError> {
        self.pieces[at].used = Used::Unknown;
        copy(&self.copies)?;
        self.pieces[at].used = Used::Until(self.pool.with_memory(|| self.copies.record_event(None))?);
        Ok(())
    }

    /// A failed call may have started copies. Its caller may reuse the device's memory.
    fn settled(&self, result: Result<(), DriverError>) -> Result<(), DriverError> {
        if result.is_err() {
            // A device that cannot even wait is not running anything.
            let _ = self.copies.synchronize();
        }
        result
    }

    /// Copies bytes to the device. Anything started on the compute stream from now on finds them there.
    ///
    /// # Safety
    /// `to` must be valid for this many bytes, and nothing may read it yet.
    pub(super) unsafe fn upload(&mut self, bytes: &[u8], to: CUdeviceptr) -> Result<(), DriverError> {
        let mut send = || {
            self.context.bind_to_thread()?;
            // The block may have been used before.
            self.pool.with_memory(|| self.copies.join(&self.compute))?;
            for (i, part) in bytes.chunks(PIECE).enumerate() {
                let at = self.piece()?;
                let to = to + (i * PIECE) as CUdeviceptr;
                // SAFETY: the piece is large enough, and no copy uses it.
                let piece = unsafe { std::slice::from_raw_parts_mut(self.pieces[at].memory, part.len()) };
                piece.copy_from_slice(part);
                // SAFETY: the piece is not changed until the copy is complete, and `to` is valid by this function's
                // contract.
                self.start(at, |copies| unsafe { result::memcpy_htod_async(to, piece, copies.cu_stream()) })?;
            }
            self.pool.with_memory(|| self.compute.join(&self.copies))
        };
        let sent = send();
        self.settled(sent)
    }

    /// Copies arrays from the device, each from an address, after everything that was started on the compute stream.
    /// Arrays that fit into one piece together are waited for once.
    ///
    /// # Safety
    /// Each address must be valid for this many bytes.
    pub(super) unsafe fn download(&mut self, arrays: &mut [(CUdeviceptr, &mut [u8])]) -> Result<(), DriverError> {
        let mut receive = || {
            self.context.bind_to_thread()?;
            self.pool.with_memory(|| self.copies.join(&self.compute))?;
            let mut coming: Option<(usize, Vec<Part<'_>>)> = None;
            for parts in parts(arrays) {
                let at = self.piece()?;
                let memory = self.pieces[at].memory;
                self.start(at, |copies| {
                    parts.iter().try_for_each(|(offset, from, part)| {
                        // SAFETY: the piece is large enough, no copy uses it, and it is not touched until the copy is
                        // complete; the address is valid by this function's contract.
                        unsafe {
                            let piece = std::slice::from_raw_parts_mut(memory.add(*offset), part.len());
                            result::memcpy_dtoh_async(piece, *from, copies.cu_stream())
                        }
                    })
                })?;
                if let Some((at, parts)) = coming.replace((at, parts)) {
                    self.empty(at, parts)?;
                }
            }
            coming.map_or(Ok(()), |(at, parts)| self.empty(at, parts))
        };
        let received = receive();
        self.settled(received)
    }

    /// Waits for a piece, and takes its contents.
    fn empty(&mut self, at: usize, parts: Vec<Part<'_>>) -> Result<(), DriverError> {
        self.wait_for(at)?;
        for (offset, _, part) in parts {
            // SAFETY: the copy into the piece, which is large enough, is complete.
            let piece = unsafe { std::slice::from_raw_parts(self.pieces[at].memory.add(offset), part.len()) };
            part.copy_from_slice(piece);
        }
        Ok(())
    }
}

/// Bytes of an array that go through a piece: the offset in the piece, the source on the device, and the destination.
type Part<'a> = (usize, CUdeviceptr, &'a mut [u8]);

/// The arrays cut into the parts that go through each piece.
fn parts<'a>(arrays: &'a mut [(CUdeviceptr, &mut [u8])]) -> Vec<Vec<Part<'a>>> {
    let mut pieces: Vec<Vec<Part<'a>>> = vec![];
    let mut left = 0;
    for (from, bytes) in arrays {
        let (mut from, mut rest) = (*from, &mut **bytes);
        while !rest.is_empty() {
            if left == 0 {
                pieces.push(vec![]);
                left = PIECE;
            }
            let (part, after) = rest.split_at_mut(rest.len().min(left));
            let (offset, n) = (PIECE - left, part.len());
            pieces.last_mut().expect("one was just begun").push((offset, from, part));
            (from, rest, left) = (from + n as CUdeviceptr, after, left - n);
        }
    }
    pieces
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.context.bind_to_thread().is_ok() && self.copies.synchronize().is_ok() {
            for piece in &self.pieces {
                // SAFETY: no copy uses it. Memory that a failed device does not take back is lost until the process
                // ends.
                let _ = unsafe { result::free_host(piece.memory.cast()) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_share_pieces_and_go_on_in_the_next() {
        let (mut large, mut none, mut small) = (vec![0; PIECE + 8], vec![], vec![0; 16]);
        let mut arrays = [(0x1000, &mut large[..]), (0, &mut none[..]), (0x2000, &mut small[..])];
        let found: Vec<Vec<(usize, CUdeviceptr, usize)>> = parts(&mut arrays)
            .into_iter()
            .map(|piece| piece.into_iter().map(|(offset, from, part)| (offset, from, part.len())).collect())
            .collect();
        assert_eq!(found, [vec![(0, 0x1000, PIECE)], vec![(0, 0x1000 + PIECE as u64, 8), (8, 0x2000, 16)]]);
    }
}
