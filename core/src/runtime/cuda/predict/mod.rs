//! The predicted time of a program on a GPU: no device, driver or compiler is needed.
//!
//! **The model.** Kernels run one after the other, as `GpuProgram` launches them, and each takes the longest of three
//! times. *Memory*: what it reads and writes passes through the L2 cache at the cache's rate, a gathered element as
//! often as it is named. Data that this run did not touch before, or not recently enough, comes from memory at memory's
//! rate. The cache holds the most recently used data, up to half its size. A result that fits is written to the cache,
//! and its write-back to memory costs nothing. *Compute*: the operations at the peak rate of their type, or the
//! instructions ([`Kernel::work`]) at one per lane and cycle, if that is longer. A kernel of fewer blocks than
//! multiprocessors has that share of the cache's and of the compute rate. *Latency*: a thread goes through its terms
//! four loads at a time (a large product sixteen terms between barriers), and waits for the L2 cache each time, once
//! more for each load whose address was itself loaded; threads beyond those that fit wait for the others. Between
//! kernels there is a gap, which others measured on a V100. Not counted are chains of arithmetic, uncoalesced reads,
//! bank conflicts, segments longer than the average, clocks below their peak, trees of shuffles, and the host if it
//! cannot keep ahead of plain launches. So a prediction is a lower bound, which has not been compared with a device
//! yet: it shows where time goes, and how much of it is launches.

mod gpus;
mod kernel;
mod text;
mod traffic;

pub use gpus::{GPUS, Gpu};
pub use kernel::{Bound, KernelPrediction, LaunchShape};
pub use traffic::Traffic;

use crate::aval::Sizes;
use crate::codegen::cuda::{Module, Source, Width};
use crate::error::Error;
use crate::kernel::{Group, Kernel, KernelProgram, Step};
use crate::runtime::cuda::program::ungroup;
use crate::runtime::cuda::streams::{MAX_STREAMS, dependences, of_launches, streams_of};
use crate::runtime::plan::Plan;
use crate::runtime::plan::work::Codes;
use gpus::{GRAPH_GAP_S, GRAPH_LAUNCH_S, START_S, STREAM_GAP_S};
use kernel::scratch_bytes;
use traffic::Cache;

/// Kernels each of which must follow the previous one.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Path {
    /// Seconds in a graph.
    pub seconds: f64,
    /// Launches.
    pub launches: usize,
}

impl Path {
    fn longer(self, other: Path) -> Path {
        if other.seconds > self.seconds { other } else { self }
    }
}

/// The longest path through launches that take these seconds each, where each follows others and the preceding launch
/// in its stream.
fn longest(seconds: &[f64], dependences: &[Vec<usize>]) -> Path {
    let streams = streams_of(dependences, MAX_STREAMS);
    let mut ends: Vec<Path> = vec![];
    for (launch, own) in seconds.iter().enumerate() {
        let in_stream = (0..launch).rev().find(|other| streams[*other] == streams[launch]);
        let before = dependences[launch].iter().copied().chain(in_stream).map(|other| ends[other]);
        let before = before.fold(Path::default(), Path::longer);
        ends.push(Path { seconds: before.seconds + own, launches: before.launches + 1 });
    }
    ends.into_iter().fold(Path::default(), Path::longer)
}

/// The predicted time of a program on a GPU, kernel by kernel.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The GPU.
    pub gpu: &'static Gpu,
    /// The sizes of the symbols.
    pub sizes: Sizes,
    /// The kernels, in the order in which they run.
    pub kernels: Vec<KernelPrediction>,
    /// Equations that run on the host while the device waits: they are not predicted.
    pub on_host: Vec<String>,
    /// Bytes of device memory for everything that lives within a run, including parts of sums.
    pub arena_bytes: usize,
    /// The chain of dependent kernels that takes longest.
    pub longest_path: Path,
    /// The number of launches if each group that the processor runs without a barrier were one, and one more for adding
    /// up its parts of sums.
    pub n_grouped: usize,
}

impl Prediction {
    /// Predicts a run. The sizes must satisfy the program's facts.
    pub(in crate::runtime) fn new(
        lowered: &KernelProgram,
        sizes: &Sizes,
        gpu: &'static Gpu,
    ) -> Result<Prediction, Error> {
        let apart = apart(lowered)?;
        let plan = Plan::new(&apart, Codes::Elsewhere, sizes, &|_, _| true)?;
        let mut cache = Cache::new(gpu);
        let (mut kernels, mut on_host, mut scratch_most) = (vec![], vec![], 0);
        let (mut seconds, mut is_concurrent) = (vec![], vec![]);
        for step in &apart.steps {
            let mut concurrent = vec![];
            if let Step::Kernel(kernel, location) = step {
                let source = source(kernel, sizes)?;
                let scratch = scratch_bytes(&source, sizes);
                scratch_most = scratch_most.max(scratch);
                let traffic = cache.traffic(kernel, &|var| apart.fusion.memory(var), scratch, sizes);
                let predicted = KernelPrediction::new(kernel, *location, &source, traffic, sizes, gpu)?;
                seconds.extend(predicted.launches_s());
                concurrent.clone_from(&predicted.is_concurrent);
                kernels.push(predicted);
            } else {
                on_host.push(step.name().into());
            }
            is_concurrent.push(concurrent);
        }
        let follows = of_launches(&dependences(&plan, &apart.steps, &apart.fusion), &is_concurrent);
        Ok(Prediction {
            gpu,
            sizes: sizes.clone(),
            kernels,
            on_host,
            arena_bytes: plan.arena_bytes + scratch_most as usize,
            longest_path: longest(&seconds, &follows),
            n_grouped: n_grouped(&lowered.groups, &is_concurrent),
        })
    }

    /// Launches of a run.
    pub fn n_launch(&self) -> usize {
        self.kernels.iter().map(|kernel| kernel.launches.len()).sum()
    }

    /// Bytes that all kernels move.
    pub fn traffic(&self) -> Traffic {
        self.kernels.iter().map(|kernel| kernel.traffic).sum()
    }

    /// Operations on floating-point elements.
    pub fn ops(&self) -> u64 {
        self.kernels.iter().map(|kernel| kernel.ops).sum()
    }

    /// Seconds within kernels.
    pub fn kernels_s(&self) -> f64 {
        self.kernels.iter().map(KernelPrediction::seconds).sum()
    }

    /// Seconds of a run with plain launches, if the host is ahead of the device.
    pub fn stream_s(&self) -> f64 {
        self.kernels_s() + self.n_launch() as f64 * STREAM_GAP_S
    }

    /// Seconds of a run as one captured graph, in which kernels form a line. Its start overlaps with the previous run,
    /// unless it takes longer.
    pub fn graph_s(&self) -> f64 {
        let (graph, node) = GRAPH_LAUNCH_S;
        let on_device = self.kernels_s() + self.n_launch() as f64 * GRAPH_GAP_S;
        on_device.max(graph + self.n_launch() as f64 * node)
    }

    /// Seconds of a run as it is recorded, in concurrent branches: those of its longest path, or all bytes and
    /// operations if these take longer.
    pub fn branches_s(&self) -> f64 {
        let busy: f64 = self.kernels.iter().map(|kernel| kernel.memory_s.max(kernel.compute_s)).sum();
        self.longest_path.seconds.max(busy)
    }

    /// Seconds of a graph of [`n_grouped`](Prediction::n_grouped) launches: a kernel then waits for the previous one
    /// within its block, which counts as nothing here, and bytes are counted as if they still went through the cache.
    pub fn grouped_s(&self) -> f64 {
        let (n, starts) = (self.n_grouped as f64, (self.n_launch() - self.n_grouped) as f64);
        self.kernels_s() - starts * START_S + n * GRAPH_GAP_S
    }
}

/// The program as it is launched on a GPU: every step separate, every array in the device's memory.
fn apart(lowered: &KernelProgram) -> Result<KernelProgram, Error> {
    if let Some(step) = lowered.steps.iter().find(|step| matches!(step, Step::Control(_))) {
        let (program, name) = (&lowered.program.name, step.name());
        return Err(Error::Unsupported(format!("@{program}: `{name}` cannot be predicted")));
    }
    let mut apart = lowered.clone();
    ungroup(&mut apart);
    Ok(apart)
}

/// The number of launches if each group were one, and one more if a kernel of it has a second. `launches` are those of
/// each step.
fn n_grouped(groups: &[Group], launches: &[Vec<bool>]) -> usize {
    groups.iter().map(|group| launches[group.steps.clone()].iter().map(Vec::len).max().unwrap_or(0)).sum()
}

fn source(kernel: &Kernel, sizes: &Sizes) -> Result<Source, Error> {
    let mut module = Module::new();
    let number = module.push(kernel, Width::of(kernel, sizes), "");
    let number = number.map_err(|why| Error::Unsupported(format!("{}: {}", kernel.name, why.0)))?;
    Ok(module.sources()[number].clone())
}
