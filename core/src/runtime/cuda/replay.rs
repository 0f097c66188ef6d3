//! Runs that are recorded once and then replayed: one call of the driver in place of one for each kernel.
//!
//! A recording holds addresses. Training puts its arrays to the same places step after step, as donated arguments stay
//! where they are and the pool gives out again what came back; so a few recordings serve. What is run only once is not
//! recorded.
//!
//! Source: NVIDIA, *CUDA C++ Programming Guide*, "CUDA Graphs".

use crate::error::Error;
use crate::runtime::cuda::failure;
use cudarc::driver::sys::{CUdeviceptr, CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaGraph, CudaStream};
use std::sync::Arc;

/// How many recordings are kept, and how many places are remembered that had one run.
const MOST: usize = 8;

/// The recordings of a plan, by the addresses that they hold; the last used stands last.
#[derive(Default)]
pub(super) struct Replays {
    seen: Vec<Vec<CUdeviceptr>>,
    graphs: Vec<(Vec<CUdeviceptr>, CudaGraph)>,
    /// Whether the driver cannot record.
    is_refused: bool,
}

impl Replays {
    /// Runs `launches`, or a recording of it with these addresses.
    pub(super) fn run(
        &mut self,
        stream: &Arc<CudaStream>,
        addresses: Vec<CUdeviceptr>,
        launches: &dyn Fn() -> Result<(), Error>,
    ) -> Result<(), Error> {
        if let Some(at) = self.graphs.iter().position(|(known, _)| *known == addresses) {
            let graph = self.graphs.remove(at);
            self.graphs.push(graph);
            return replay(&self.graphs[self.graphs.len() - 1].1);
        }
        let Some(at) = self.seen.iter().position(|known| *known == addresses).filter(|_| !self.is_refused) else {
            if self.seen.len() == MOST {
                self.seen.remove(0);
            }
            self.seen.push(addresses);
            return launches();
        };
        self.seen.remove(at);
        match record(stream, launches)? {
            Some(graph) => {
                replay(&graph)?;
                if self.graphs.len() == MOST {
                    self.graphs.remove(0);
                }
                self.graphs.push((addresses, graph));
                Ok(())
            }
            None => {
                self.is_refused = true;
                launches()
            }
        }
    }
}

fn replay(graph: &CudaGraph) -> Result<(), Error> {
    graph.launch().map_err(|error| failure::driver("replaying a recorded run", error))
}

/// Records what is launched, which does not run yet; none where the driver cannot.
fn record(stream: &Arc<CudaStream>, launches: &dyn Fn() -> Result<(), Error>) -> Result<Option<CudaGraph>, Error> {
    // Other threads may call what a recording forbids.
    if stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).is_err() {
        return Ok(None);
    }
    let launched = launches();
    let recorded = stream.end_capture(CUgraphInstantiate_flags(0));
    launched?;
    Ok(recorded.ok().flatten())
}
