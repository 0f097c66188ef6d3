//! Runs that are recorded once and then replayed: one call of the driver in place of one for each kernel.
//!
//! A recording holds addresses. Training puts its arrays to the same places step after step, as donated arguments stay
//! where they are and the pool gives out again what came back; so a few recordings serve. What is run only once is not
//! recorded.
//!
//! A recording is made on streams of its own: what other threads start meanwhile on the device's stream is not in it.
//!
//! Source: NVIDIA, *CUDA C++ Programming Guide*, "CUDA Graphs".

use crate::error::Error;
use crate::runtime::cuda::device::Cuda;
use crate::runtime::cuda::failure;
use crate::runtime::cuda::lanes::LANES;
use cudarc::driver::sys::{CUdeviceptr, CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaGraph, CudaStream, result};
use std::sync::Arc;

/// How many recordings are kept, and how many places are remembered that had one run.
const MOST: usize = 8;

/// Starts a run on a stream.
pub(super) type Launch<'f> = dyn Fn(&CudaStream) -> Result<(), Error> + 'f;
/// Starts a run on several streams, from the first of them on.
pub(super) type Record<'f> = dyn Fn(&[Arc<CudaStream>]) -> Result<(), Error> + 'f;

/// The recordings of a plan, by the addresses that they hold; the last used stands last.
#[derive(Default)]
pub(super) struct Replays {
    seen: Vec<Vec<CUdeviceptr>>,
    graphs: Vec<(Vec<CUdeviceptr>, CudaGraph)>,
    recorders: Vec<Arc<CudaStream>>,
    /// Whether the driver cannot record.
    is_refused: bool,
}

impl Replays {
    /// Runs `launches` on the device's stream, or a recording with these addresses, which `recorded` makes of the same work
    /// from the first of several streams on.
    pub(super) fn run(
        &mut self,
        device: &Cuda,
        addresses: Vec<CUdeviceptr>,
        launches: &Launch<'_>,
        recorded: &Record<'_>,
    ) -> Result<(), Error> {
        if let Some(at) = self.graphs.iter().position(|(known, _)| *known == addresses) {
            let graph = self.graphs.remove(at);
            self.graphs.push(graph);
            return replay(device, &self.graphs[self.graphs.len() - 1].1);
        }
        let Some(at) = self.seen.iter().position(|known| *known == addresses).filter(|_| !self.is_refused) else {
            if self.seen.len() == MOST {
                self.seen.remove(0);
            }
            self.seen.push(addresses);
            return launches(device.stream());
        };
        self.seen.remove(at);
        while self.recorders.len() < LANES {
            self.recorders.push(device.new_stream()?);
        }
        match record(&self.recorders, recorded)? {
            Some(graph) => {
                replay(device, &graph)?;
                if self.graphs.len() == MOST {
                    self.graphs.remove(0);
                }
                self.graphs.push((addresses, graph));
                Ok(())
            }
            None => {
                self.is_refused = true;
                launches(device.stream())
            }
        }
    }
}

fn replay(device: &Cuda, graph: &CudaGraph) -> Result<(), Error> {
    let failed = |error| failure::driver("replaying a recorded run", error);
    let stream = device.stream();
    stream.context().bind_to_thread().map_err(failed)?;
    // SAFETY: the graph was instantiated, and what it was recorded from says that its addresses are valid.
    unsafe { result::graph::launch(graph.cu_graph_exec(), stream.cu_stream()) }.map_err(failed)
}

/// Records what is launched, which does not run yet; none where the driver cannot.
fn record(recorders: &[Arc<CudaStream>], recorded: &Record<'_>) -> Result<Option<CudaGraph>, Error> {
    let recorder = &recorders[0];
    // Other threads may call what a recording forbids.
    if recorder.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).is_err() {
        return Ok(None);
    }
    let launched = recorded(recorders);
    let recording = recorder.end_capture(CUgraphInstantiate_flags(0));
    launched?;
    Ok(recording.ok().flatten())
}
