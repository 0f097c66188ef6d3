//! What a program would take on a GPU, predicted: no device, no driver and no compiler is asked.
//!
//! **The model.** Kernels run one after the other, as `GpuProgram` launches them, and each takes the longest of three
//! times. *Memory*: what it reads and writes passes through the L2 cache at the cache's rate, a gathered element as often as it is
//! named; of that comes from memory, at memory's rate, what was not touched before in this run or lately enough. The cache
//! holds what it touched last, up to half its size. A result that fits is written to the cache, and its way to memory costs nothing.
//! *Compute*: the operations at the peak rate of their type, or the instructions ([`Kernel::work`]) at one a lane and cycle, if
//! that is longer. A kernel of fewer blocks than multiprocessors has that share of the cache's and of the compute rate.
//! *Latency*: a thread goes through its terms four loads at a time (a product through sixteen terms between barriers), waits for the
//! L2 cache each time, and once more for each load whose place was loaded; more threads than fit wait by turns.
//! Between kernels lies a gap, measured by others on a V100. Not counted are: chains of arithmetic, conflicts of
//! banks, reads that are not side by side, segments longer than the average, clocks below their peak, and what the host
//! takes where it cannot keep ahead of plain launches. So a prediction is a bound from below that a real device should come to
//! within a factor of two or so; it says where time goes, not how long a step takes.

use super::gpus::{GRAPH_GAP_S, GRAPH_LAUNCH_S, Gpu, START_S, STREAM_GAP_S};
use crate::aval::{DType, Sizes};
use crate::codegen::cuda::{BLOCK, Module, Source, Width};
use crate::error::Error;
use crate::ir::{Index, Location, Var};
use crate::kernel::{Group, Instr, Kernel, LoopKind, Lowered, Product, Space, Step, bytes_at};
use crate::pass::fuse::Fusion;
use crate::runtime::plan::{Codes, Plan};
use std::collections::HashMap;
use std::fmt;

/// Loads that a thread waits for together: compilers unroll loops by so many turns.
const IN_FLIGHT: u64 = 4;
/// Terms that a large product has in shared memory at a time.
const PRODUCT_TERMS: u64 = 16;
/// One part in so many of the L2 cache is counted on: nothing says what it drops first.
const CACHE_SHARE: u64 = 2;

/// What the time of a kernel goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// Bytes of memory and of the cache.
    Memory,
    /// Operations and other instructions.
    Compute,
    /// Waiting for loads that depend on each other.
    Latency,
    /// The gap between launches, which is longer than the kernel.
    Launch,
}

impl Bound {
    /// All of them.
    pub const ALL: [Bound; 4] = [Bound::Memory, Bound::Compute, Bound::Latency, Bound::Launch];
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bound::Memory => "memory",
            Bound::Compute => "compute",
            Bound::Latency => "latency",
            Bound::Launch => "launch",
        })
    }
}

/// One launch: so many blocks of so many threads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LaunchShape {
    /// Blocks.
    pub blocks: u32,
    /// Threads of each.
    pub threads: u32,
}

impl LaunchShape {
    fn all_threads(self) -> u64 {
        u64::from(self.blocks) * u64::from(self.threads)
    }
}

/// Bytes that a kernel moves.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Traffic {
    /// Bytes read, gathered elements as often as they are named, and parts of sums.
    pub read: u64,
    /// Bytes written, parts of sums too.
    pub written: u64,
    /// Of both what the L2 cache cannot answer.
    pub from_memory: u64,
}

impl Traffic {
    /// Bytes that pass through the cache.
    pub fn bytes(&self) -> u64 {
        self.read + self.written
    }
}

/// What one kernel would take.
#[derive(Clone, Debug)]
pub struct KernelPrediction {
    /// Its name.
    pub name: String,
    /// The user's line behind it.
    pub location: Location,
    /// Bytes that it moves.
    pub traffic: Traffic,
    /// Operations on floating elements.
    pub ops: u64,
    /// Its launches, in order. An array without elements needs none.
    pub launches: Vec<LaunchShape>,
    /// Seconds for its bytes.
    pub memory_s: f64,
    /// Seconds for its operations and instructions.
    pub compute_s: f64,
    /// Seconds for its start and for loads that depend on each other, in all its launches.
    pub latency_s: f64,
}

impl KernelPrediction {
    fn new(kernel: &Kernel, location: Location, source: &Source, traffic: Traffic, sizes: &Sizes, gpu: &Gpu) -> Self {
        let launches = source.launches(sizes, BLOCK).into_iter();
        let launches: Vec<_> =
            launches.map(|launch| LaunchShape { blocks: launch.grid, threads: launch.block }).collect();
        let cost = kernel.cost(sizes);
        let blocks = launches.iter().map(|launch| launch.blocks).max().unwrap_or(0);
        let share = gpu.share(blocks);
        let waits = waits(kernel, n_part(kernel, source, sizes), &launches, sizes, gpu);
        let (memory_s, compute_s) = if launches.is_empty() {
            (0.0, 0.0)
        } else {
            (gpu.memory_s(&traffic, share), gpu.compute_s(cost.ops(), kernel.work(sizes), is_f64(kernel), share))
        };
        KernelPrediction {
            name: kernel.name.clone(),
            location,
            traffic,
            ops: cost.ops(),
            memory_s,
            compute_s,
            latency_s: launches.len() as f64 * START_S + waits as f64 * gpu.l2_latency_s,
            launches,
        }
    }

    /// Seconds from its start to its end: the longest of the three times.
    pub fn seconds(&self) -> f64 {
        self.memory_s.max(self.compute_s).max(self.latency_s)
    }

    /// Seconds in a graph, with the gaps behind its launches.
    pub fn graph_s(&self) -> f64 {
        self.seconds() + self.launches.len() as f64 * GRAPH_GAP_S
    }

    /// What most of its time in a graph goes to.
    pub fn bound(&self) -> Bound {
        let seconds = self.seconds();
        if self.graph_s() >= 2.0 * seconds {
            Bound::Launch
        } else if self.latency_s >= seconds {
            Bound::Latency
        } else if self.memory_s >= seconds {
            Bound::Memory
        } else {
            Bound::Compute
        }
    }
}

impl Gpu {
    /// The part of it that so many blocks keep busy.
    fn share(&self, blocks: u32) -> f64 {
        (f64::from(blocks) / f64::from(self.multiprocessors)).min(1.0)
    }

    fn memory_s(&self, traffic: &Traffic, share: f64) -> f64 {
        let of_cache = traffic.bytes() as f64 / (self.l2_bytes_per_s * share);
        of_cache.max(traffic.from_memory as f64 / self.bytes_per_s)
    }

    fn compute_s(&self, ops: u64, instructions: u64, is_f64: bool, share: f64) -> f64 {
        let peak = if is_f64 { self.f64_per_s } else { self.f32_per_s };
        // A multiply-add is two operations and one instruction.
        (ops as f64 / peak).max(2.0 * instructions as f64 / self.f32_per_s) / share
    }
}

fn is_f64(kernel: &Kernel) -> bool {
    kernel.dtypes().contains(&DType::F64)
}

/// Into how many parts the reduction of a kernel is cut.
fn n_part(kernel: &Kernel, source: &Source, sizes: &Sizes) -> u64 {
    let whole: u64 = kernel.outputs.iter().map(|(_, aval)| bytes_at(aval, sizes)).sum();
    (scratch_bytes(source, sizes) / whole.max(1)).max(1)
}

fn scratch_bytes(source: &Source, sizes: &Sizes) -> u64 {
    source.scratch_bytes(sizes).into_iter().sum::<usize>() as u64
}

/// How often a thread waits for loads, in all launches of a kernel.
fn waits(kernel: &Kernel, parts: u64, launches: &[LaunchShape], sizes: &Sizes, gpu: &Gpu) -> u64 {
    let resident = u64::from(gpu.multiprocessors) * u64::from(gpu.threads);
    let waves = |launch: &LaunchShape| launch.all_threads().div_ceil(resident);
    let rounds = |points: u64, launch: &LaunchShape| points.div_ceil(launch.all_threads()).div_ceil(IN_FLIGHT);
    let Some((main, folds)) = launches.split_first() else { return 0 };
    let main_rounds = match product_terms(kernel, sizes) {
        Some(terms) => terms.div_ceil(parts).div_ceil(PRODUCT_TERMS),
        None => rounds(kernel.n_point(sizes), main),
    };
    let rows: u64 =
        kernel.outputs.first().map_or(0, |(_, aval)| aval.at(sizes).volume().as_usize().unwrap_or(0) as u64);
    // Of its segment a thread knows nothing before it has the offsets.
    let offsets = u64::from(kernel.loops.iter().any(|l| matches!(l.kind, LoopKind::Segment { .. })));
    let of_folds: u64 = folds.iter().map(|fold| rounds(parts * rows, fold) * waves(fold)).sum();
    (offsets + depth_of_loads(kernel) * main_rounds) * waves(main) + of_folds
}

/// The terms of a kernel that is written as a large product.
fn product_terms(kernel: &Kernel, sizes: &Sizes) -> Option<u64> {
    let product = Product::of(kernel).filter(Product::may_be_large)?;
    product.terms.extent.at(sizes).as_usize().map(|terms| terms as u64)
}

/// How many loads of a point wait for each other: one, and one more for each place that was itself loaded.
fn depth_of_loads(kernel: &Kernel) -> u64 {
    let mut depths: Vec<u64> = Vec::with_capacity(kernel.body.len());
    for instr in &kernel.body {
        let of_index = |index: &Index| match index {
            Index::Value(scalar) => depths[scalar.0 as usize],
            Index::Affine { .. } => 0,
        };
        depths.push(match instr {
            Instr::Load(_, index) => 1 + index.iter().map(of_index).max().unwrap_or(0),
            Instr::Op(_, ins) => ins.iter().map(|scalar| depths[scalar.0 as usize]).max().unwrap_or(0),
            Instr::Position(index) => of_index(index),
            Instr::Const(_) | Instr::Size(..) => 0,
        });
    }
    depths.into_iter().max().unwrap_or(0)
}

/// What the L2 cache holds: arrays since whose last use no more than its size was touched.
struct Cache {
    bytes: u64,
    touched: u64,
    last_use: HashMap<Var, u64>,
}

impl Cache {
    fn new(gpu: &Gpu) -> Cache {
        Cache { bytes: gpu.l2_bytes / CACHE_SHARE, touched: 0, last_use: HashMap::new() }
    }

    fn holds(&self, memory: Var, bytes: u64) -> bool {
        self.last_use.get(&memory).is_some_and(|last| self.touched - last + bytes <= self.bytes)
    }

    fn touch(&mut self, memory: Var, bytes: u64) {
        self.touched += bytes;
        self.last_use.insert(memory, self.touched);
    }

    /// What a kernel moves, with so many bytes of parts of sums. Its arrays are then the last that were used.
    fn traffic(&mut self, kernel: &Kernel, fusion: &Fusion, scratch: u64, sizes: &Sizes) -> Traffic {
        let mut traffic = Traffic { read: scratch, written: scratch, from_memory: 0 };
        for ((var, aval), named) in kernel.inputs.iter().zip(kernel.named_bytes(sizes)) {
            let whole = bytes_at(aval, sizes);
            traffic.read += named;
            if !self.holds(fusion.memory(*var), whole) {
                // What fits the cache comes once.
                traffic.from_memory += if whole <= self.bytes { named.min(whole) } else { named };
            }
        }
        for (_, aval) in &kernel.outputs {
            let whole = bytes_at(aval, sizes);
            traffic.written += whole;
            traffic.from_memory += if whole <= self.bytes { 0 } else { whole };
        }
        for (var, aval) in kernel.inputs.iter().chain(&kernel.outputs) {
            self.touch(fusion.memory(*var), bytes_at(aval, sizes));
        }
        traffic
    }
}

/// Kernels each of which reads what the one before wrote.
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

/// What a program would take on a GPU, kernel by kernel.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Which GPU.
    pub gpu: &'static Gpu,
    /// The sizes that it is for.
    pub sizes: Sizes,
    /// The kernels, in the order in which they run.
    pub kernels: Vec<KernelPrediction>,
    /// Equations that run on the host, the device waiting: nothing is predicted of these.
    pub on_host: Vec<String>,
    /// Bytes of device memory for all that lives within a run, parts of sums too.
    pub arena_bytes: usize,
    /// The kernels that wait for each other longest.
    pub longest_path: Path,
}

impl Prediction {
    /// Predicts a run. The sizes are such that the program's facts hold.
    pub(in crate::runtime) fn new(lowered: &Lowered, sizes: &Sizes, gpu: &'static Gpu) -> Result<Prediction, Error> {
        let lowered = apart(lowered)?;
        let plan = Plan::new(&lowered, Codes::Elsewhere, sizes, &|_, _| true)?;
        let (mut cache, mut ends) = (Cache::new(gpu), HashMap::<Var, Path>::new());
        let (mut kernels, mut on_host, mut scratch_most) = (vec![], vec![], 0);
        let mut longest_path = Path::default();
        for step in &lowered.steps {
            let mut path = Path::default();
            for var in step.reads() {
                path = path.longer(ends.get(&lowered.fusion.memory(var)).copied().unwrap_or_default());
            }
            if let Step::Kernel(kernel, location) = step {
                let source = source(kernel, sizes)?;
                let scratch = scratch_bytes(&source, sizes);
                scratch_most = scratch_most.max(scratch);
                let traffic = cache.traffic(kernel, &lowered.fusion, scratch, sizes);
                let predicted = KernelPrediction::new(kernel, *location, &source, traffic, sizes, gpu);
                path.seconds += predicted.graph_s();
                path.launches += predicted.launches.len();
                kernels.push(predicted);
            } else {
                on_host.push(step.name().into());
            }
            ends.extend(step.writes().into_iter().map(|var| (var, path)));
            longest_path = longest_path.longer(path);
        }
        let arena_bytes = plan.arena_bytes + scratch_most as usize;
        Ok(Prediction { gpu, sizes: sizes.clone(), kernels, on_host, arena_bytes, longest_path })
    }

    /// Launches of a run.
    pub fn n_launch(&self) -> usize {
        self.kernels.iter().map(|kernel| kernel.launches.len()).sum()
    }

    /// Bytes that all kernels move.
    pub fn traffic(&self) -> Traffic {
        self.kernels.iter().map(|kernel| kernel.traffic).fold(Traffic::default(), |a, b| Traffic {
            read: a.read + b.read,
            written: a.written + b.written,
            from_memory: a.from_memory + b.from_memory,
        })
    }

    /// Operations on floating elements.
    pub fn ops(&self) -> u64 {
        self.kernels.iter().map(|kernel| kernel.ops).sum()
    }

    /// Seconds within kernels.
    pub fn kernels_s(&self) -> f64 {
        self.kernels.iter().map(KernelPrediction::seconds).sum()
    }

    /// Seconds of a run of plain launches, where the host is ahead of the device.
    pub fn stream_s(&self) -> f64 {
        self.kernels_s() + self.n_launch() as f64 * STREAM_GAP_S
    }

    /// Seconds of a run of one captured graph, in which kernels are in a line. Starting it is hidden behind the run before,
    /// unless it takes longer.
    pub fn graph_s(&self) -> f64 {
        let (graph, node) = GRAPH_LAUNCH_S;
        let on_device = self.kernels_s() + self.n_launch() as f64 * GRAPH_GAP_S;
        on_device.max(graph + self.n_launch() as f64 * node)
    }

    /// Seconds that a graph needs at least in which kernels wait only for what they read: those of its longest path, or all
    /// bytes and operations if these take longer. No array may then have the memory of another that is still read.
    pub fn branches_s(&self) -> f64 {
        let busy: f64 = self.kernels.iter().map(|kernel| kernel.memory_s.max(kernel.compute_s)).sum();
        self.longest_path.seconds.max(busy)
    }
}

/// The program as it is launched on a GPU: every step by itself, every array in the device's memory.
fn apart(lowered: &Lowered) -> Result<Lowered, Error> {
    if let Some(step) = lowered.steps.iter().find(|step| matches!(step, Step::Control(_))) {
        let (program, name) = (&lowered.program.name, step.name());
        return Err(Error::Unsupported(format!("@{program}: `{name}` does not run on GPUs yet: nothing is predicted")));
    }
    let groups = (0..lowered.steps.len()).map(|step| Group { steps: step..step + 1, space: Space::Alone });
    Ok(Lowered { groups: groups.collect(), ..lowered.clone() })
}

fn source(kernel: &Kernel, sizes: &Sizes) -> Result<Source, Error> {
    let mut module = Module::new();
    let number = module.push(kernel, Width::of(kernel, sizes), "");
    let number = number.map_err(|why| Error::Unsupported(format!("{}: {}", kernel.name, why.0)))?;
    Ok(module.sources()[number].clone())
}

fn us(seconds: f64) -> String {
    format!("{:.2} us", seconds * 1e6)
}

impl fmt::Display for KernelPrediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let launches = self.launches.iter().map(|launch| format!("{} x {}", launch.blocks, launch.threads));
        let launches = launches.collect::<Vec<_>>().join(", then ");
        let Traffic { read, written, from_memory } = self.traffic;
        write!(
            f,
            "@{}: {} ({:.2} memory, {:.2} compute, {:.2} latency), bound by {}; launches {}; reads {read} bytes, writes {written}, \
             {from_memory} from memory; {} operations",
            self.name,
            us(self.seconds()),
            self.memory_s * 1e6,
            self.compute_s * 1e6,
            self.latency_s * 1e6,
            self.bound(),
            if launches.is_empty() { "none" } else { &launches },
            self.ops
        )
    }
}

impl Prediction {
    fn write_gpu(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gpu { product, bytes_per_s, f32_per_s, f64_per_s, multiprocessors, l2_bytes, l2_bytes_per_s, .. } =
            self.gpu;
        let sizes: Vec<String> = self.sizes.iter().map(|(symbol, size)| format!("{symbol}={size}")).collect();
        let sizes = if sizes.is_empty() { "fixed sizes".into() } else { sizes.join(" ") };
        writeln!(f, "predicted for NVIDIA {product}, {sizes}: nothing was measured")?;
        writeln!(
            f,
            "  {:.0} GB/s, L2 cache of {} KB with {:.0} GB/s, {:.2} TFLOP/s in f32, {:.2} in f64, {multiprocessors} \
             multiprocessors",
            bytes_per_s / 1e9,
            l2_bytes >> 10,
            l2_bytes_per_s / 1e9,
            f32_per_s / 1e12,
            f64_per_s / 1e12
        )?;
        writeln!(f, "  by {}", self.gpu.sources)
    }

    fn write_totals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Traffic { read, written, from_memory } = self.traffic();
        let (n_kernel, n_launch) = (self.kernels.len(), self.n_launch());
        writeln!(f, "step")?;
        writeln!(f, "  {n_kernel} kernels, {n_launch} launches, arena {} bytes", self.arena_bytes)?;
        writeln!(f, "  reads {read} bytes, writes {written}, {from_memory} from memory; {} operations", self.ops())?;
        let count = |bound| self.kernels.iter().filter(|kernel| kernel.bound() == bound).count();
        let bounds: Vec<String> = Bound::ALL.into_iter().map(|bound| format!("{bound} {}", count(bound))).collect();
        writeln!(f, "  kernels bound by {}", bounds.join(", "))?;
        writeln!(f, "  within kernels {}", us(self.kernels_s()))?;
        writeln!(f, "  predicted with plain launches {}", us(self.stream_s()))?;
        writeln!(f, "  predicted with graph replay {}", us(self.graph_s()))?;
        writeln!(
            f,
            "  with parallel branches in the graph at least {}; the longest path has {} launches",
            us(self.branches_s()),
            self.longest_path.launches
        )?;
        if !self.on_host.is_empty() {
            writeln!(f, "  on the host, and not counted: {}", self.on_host.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_gpu(f)?;
        self.write_totals(f)?;
        writeln!(f, "kernels")?;
        self.kernels.iter().enumerate().try_for_each(|(i, kernel)| writeln!(f, "  {i:3} {kernel}"))
    }
}
