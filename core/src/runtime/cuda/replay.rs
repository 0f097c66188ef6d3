//! Runs that are recorded once and then replayed: one call of the driver instead of one for each kernel.
//!
//! A recording contains addresses. Training uses the same addresses step after step, as donated arguments stay where
//! they are and the pool reuses released blocks; so a few recordings suffice. A run that happens only once is not
//! recorded.
//!
//! A recording is made on streams that the device reserves for it, one recording at a time: it does not contain what
//! other threads start meanwhile on the device's stream.
//!
//! Source: NVIDIA, *CUDA C++ Programming Guide*, "CUDA Graphs".

use crate::error::Error;
use crate::runtime::cuda::device::Cuda;
use crate::runtime::cuda::streams::MAX_STREAMS;
use cudarc::driver::sys::{CUdeviceptr, CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaGraph, CudaStream};
use std::sync::Arc;

/// How many recordings are kept, and for how many sets of addresses a first run is remembered.
const MOST: usize = 8;

/// Starts a run on a stream.
pub(super) type Launch<'f> = dyn Fn(&CudaStream) -> Result<(), Error> + 'f;
/// Starts a run on several streams, from the first of them on.
pub(super) type Record<'f> = dyn Fn(&[Arc<CudaStream>]) -> Result<(), Error> + 'f;

/// A run that the driver has recorded.
struct Recording(CudaGraph);

// SAFETY: the driver's graph handles belong to no thread. A recording has a single owner: two threads never use it at
// the same time.
unsafe impl Send for Recording {}

/// The recordings of a plan, by the addresses that they contain; the most recently used comes last.
#[derive(Default)]
pub(super) struct Replays {
    seen: Vec<Vec<CUdeviceptr>>,
    graphs: Vec<(Vec<CUdeviceptr>, Recording)>,
    /// Whether the driver has failed to record or to replay: plain launches require less of it.
    is_refused: bool,
}

impl Replays {
    /// Runs `launches` on the device's stream, or a recording with these addresses, which `recorded` makes of the same
    /// work from the first of several streams on. If the driver fails to record or to replay, the launches are made,
    /// and report the error if they fail, too.
    pub(super) fn run(
        &mut self,
        device: &Cuda,
        addresses: Vec<CUdeviceptr>,
        launches: &Launch<'_>,
        recorded: &Record<'_>,
    ) -> Result<(), Error> {
        if self.is_refused {
            return launches(device.stream());
        }
        let known = self.graphs.iter().position(|(known, _)| *known == addresses);
        let graph = match known.map(|at| self.graphs.remove(at)) {
            Some((_, graph)) => Some(graph),
            None => match self.seen.iter().position(|known| *known == addresses) {
                Some(at) => {
                    self.seen.remove(at);
                    record(device, recorded)
                }
                None => {
                    if self.seen.len() == MOST {
                        self.seen.remove(0);
                    }
                    self.seen.push(addresses);
                    return launches(device.stream());
                }
            },
        };
        match graph.filter(|graph| device.replay(&graph.0).is_ok()) {
            Some(graph) => {
                if self.graphs.len() == MOST {
                    self.graphs.remove(0);
                }
                self.graphs.push((addresses, graph));
                Ok(())
            }
            None => {
                (self.is_refused, self.seen, self.graphs) = (true, vec![], vec![]);
                launches(device.stream())
            }
        }
    }
}

/// Records the launches, which do not run yet; `None` if that fails.
fn record(device: &Cuda, recorded: &Record<'_>) -> Option<Recording> {
    let recorders = device.recorders(MAX_STREAMS).ok()?;
    let recorder = &recorders[0];
    // Other threads may make calls that a recording forbids.
    recorder.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).ok()?;
    let launched = recorded(&recorders);
    let recording = recorder.end_capture(CUgraphInstantiate_flags(0));
    launched.ok()?;
    recording.ok().flatten().map(Recording)
}
