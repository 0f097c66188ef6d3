//! The predicted time of one kernel.

use super::gpus::{GRAPH_GAP_S, Gpu, START_S};
use super::traffic::Traffic;
use crate::aval::{DType, Sizes};
use crate::codegen::cuda::{BLOCK, Source};
use crate::error::Error;
use crate::ir::{Index, Location};
use crate::kernel::{Instr, Kernel, LoopKind, Product, bytes_at};

/// Loads that a thread waits for together: compilers unroll loops by this many iterations.
const IN_FLIGHT: u64 = 4;
/// Terms of a large product in shared memory at a time.
const PRODUCT_TERMS: u64 = 16;

/// What limits a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// Bytes of memory and of the cache.
    Memory,
    /// Operations and other instructions.
    Compute,
    /// Waiting for loads that depend on each other.
    Latency,
    /// The gap between launches, if it is longer than the kernel.
    Launch,
}

impl Bound {
    /// All limits.
    pub const ALL: [Bound; 4] = [Bound::Memory, Bound::Compute, Bound::Latency, Bound::Launch];
}

/// One launch: its blocks, and the threads of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LaunchShape {
    /// Blocks.
    pub blocks: u32,
    /// Threads per block.
    pub threads: u32,
}

impl LaunchShape {
    fn all_threads(self) -> u64 {
        u64::from(self.blocks) * u64::from(self.threads)
    }
}

/// The prediction for one kernel.
#[derive(Clone, Debug)]
pub struct KernelPrediction {
    /// Its name.
    pub name: String,
    /// The user's line that it comes from.
    pub location: Location,
    /// The bytes that it moves.
    pub traffic: Traffic,
    /// Operations on floating-point elements.
    pub ops: u64,
    /// Its launches, in order. An array without elements needs none.
    pub launches: Vec<LaunchShape>,
    /// For each launch whether it may run concurrently with those before it.
    pub is_concurrent: Vec<bool>,
    /// Seconds for its bytes.
    pub memory_s: f64,
    /// Seconds for its operations and instructions.
    pub compute_s: f64,
    /// Seconds for its start and for loads that depend on each other, in all its launches.
    pub latency_s: f64,
}

impl KernelPrediction {
    pub(super) fn new(
        kernel: &Kernel,
        location: Location,
        source: &Source,
        traffic: Traffic,
        sizes: &Sizes,
        gpu: &Gpu,
    ) -> Result<Self, Error> {
        let launched = source.launches(sizes, BLOCK)?;
        let launches: Vec<_> =
            launched.iter().map(|launch| LaunchShape { blocks: launch.grid, threads: launch.block }).collect();
        let cost = kernel.cost(sizes);
        let blocks = launches.iter().map(|launch| launch.blocks).max().unwrap_or(0);
        let share = gpu.share(blocks);
        let waits = waits(kernel, n_part(kernel, source, sizes), &launches, sizes, gpu);
        let (memory_s, compute_s) = if launches.is_empty() {
            (0.0, 0.0)
        } else {
            (gpu.memory_s(&traffic, share), gpu.compute_s(cost.ops(), kernel.work(sizes), is_f64(kernel), share))
        };
        Ok(KernelPrediction {
            name: kernel.name.clone(),
            location,
            traffic,
            ops: cost.ops(),
            memory_s,
            compute_s,
            latency_s: launches.len() as f64 * START_S + waits as f64 * gpu.l2_latency_s,
            launches,
            is_concurrent: launched.iter().map(|launch| launch.is_concurrent).collect(),
        })
    }

    /// Seconds from its start to its end: the longest of the three times.
    pub fn seconds(&self) -> f64 {
        self.memory_s.max(self.compute_s).max(self.latency_s)
    }

    /// Seconds in a graph, with the gaps after its launches.
    pub fn graph_s(&self) -> f64 {
        self.seconds() + self.launches.len() as f64 * GRAPH_GAP_S
    }

    /// Seconds of each launch in a graph, with the gap after it: the work is attributed to the first one.
    pub(super) fn launches_s(&self) -> Vec<f64> {
        let rest = START_S + GRAPH_GAP_S;
        let n = self.launches.len();
        (0..n).map(|i| if i == 0 { self.graph_s() - (n - 1) as f64 * rest } else { rest }).collect()
    }

    /// What takes most of its time in a graph.
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
    /// The share of the GPU that this many blocks keep busy.
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

/// The number of parts into which the reduction of a kernel is cut.
fn n_part(kernel: &Kernel, source: &Source, sizes: &Sizes) -> u64 {
    let whole: u64 = kernel.outputs.iter().map(|(_, aval)| bytes_at(aval, sizes)).sum();
    (scratch_bytes(source, sizes) / whole.max(1)).max(1)
}

/// Bytes of a kernel's parts of sums.
pub(super) fn scratch_bytes(source: &Source, sizes: &Sizes) -> u64 {
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
    // A thread knows nothing of its segment before it has the offsets.
    let offsets = u64::from(kernel.loops.iter().any(|l| matches!(l.kind, LoopKind::Segment { .. })));
    let of_folds: u64 = folds.iter().map(|fold| rounds(parts * rows, fold) * waves(fold)).sum();
    (offsets + depth_of_loads(kernel) * main_rounds) * waves(main) + of_folds
}

/// The terms of a kernel that is written as a large product.
fn product_terms(kernel: &Kernel, sizes: &Sizes) -> Option<u64> {
    let product = Product::of_matrices(kernel).filter(Product::may_be_large)?;
    product.terms.extent.at(sizes).as_usize().map(|terms| terms as u64)
}

/// How many loads of a point wait for each other: one, and one more for each address that was itself loaded.
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

#[cfg(test)]
mod tests {
    use super::super::gpus::GPUS;
    use super::super::traffic::Cache;
    use super::*;
    use crate::codegen::cuda::{Module, Width};
    use crate::kernel::parse_kernel;

    fn gpu(name: &str) -> &'static Gpu {
        Gpu::find(name).unwrap_or_else(|| panic!("{name} is in the table"))
    }

    fn predicted(text: &str, gpu: &Gpu) -> KernelPrediction {
        let (kernel, sizes) = (parse_kernel(text).unwrap_or_else(|error| panic!("{error}")), Sizes::new());
        let mut module = Module::new();
        let number = module.push(&kernel, Width::of(&kernel, &sizes), "").expect("the kernel can be written");
        let source = &module.sources()[number];
        let traffic = Cache::new(gpu).traffic(&kernel, &|var| var, scratch_bytes(source, &sizes), &sizes);
        KernelPrediction::new(&kernel, Location::default(), source, traffic, &sizes, gpu).expect("it can be launched")
    }

    fn copy(elements: usize) -> String {
        format!(
            "kernel @copy_0(%0: f32[{elements}]) -> (%1: f32[{elements}]) {{
                row i0: {elements}
                $0: f32 = load %0[i0]
                store $0 -> %1 }}"
        )
    }

    fn sum(elements: usize) -> String {
        format!(
            "kernel @reduce_sum_0(%0: f32[{elements}]) -> (%1: f32[]) {{
                reduce i0: {elements}
                $0: f32 = load %0[i0]
                sum $0 -> %1 }}"
        )
    }

    fn is_near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * b.abs()
    }

    #[test]
    fn known_bytes_take_the_time_of_known_bandwidth() {
        // 256 MB are read and 256 MB written: no cache holds them.
        for gpu in &GPUS {
            let copied = predicted(&copy(1 << 26), gpu);
            assert!(is_near(copied.seconds(), (1u64 << 29) as f64 / gpu.bytes_per_s), "{}: {copied}", gpu.name);
            assert_eq!((copied.bound(), copied.traffic.from_memory), (Bound::Memory, 1 << 29));
        }
    }

    #[test]
    fn a_small_kernel_takes_its_start_and_one_load() {
        let h100 = gpu("h100");
        let small = predicted(&copy(200), h100);
        assert_eq!(small.launches, [LaunchShape { blocks: 1, threads: 256 }]);
        assert!(is_near(small.seconds(), START_S + h100.l2_latency_s), "{small}");
        assert!(is_near(small.graph_s(), small.seconds() + GRAPH_GAP_S));
        assert_eq!(small.bound(), Bound::Launch);
    }

    #[test]
    fn nothing_is_launched_for_no_elements() {
        let none = predicted(&copy(0), gpu("h100"));
        assert_eq!((none.launches.len(), none.seconds(), none.graph_s()), (0, 0.0, 0.0));
    }

    #[test]
    fn operations_take_the_time_of_their_rate() {
        let h100 = gpu("h100");
        let second =
            |ops: f64, instructions: u64, is_f64, share| h100.compute_s(ops as u64, instructions, is_f64, share);
        assert!(is_near(second(h100.f32_per_s, 0, false, 1.0), 1.0));
        assert!(is_near(second(h100.f64_per_s, 0, true, 1.0), 1.0));
        assert!(is_near(second(h100.f32_per_s, 0, false, 0.25), 4.0), "a quarter of the multiprocessors work");
        assert!(is_near(second(h100.f32_per_s, h100.f32_per_s as u64, false, 1.0), 2.0), "not every operation is two");
        assert_eq!((h100.share(33), h100.share(132), h100.share(5000)), (0.25, 1.0, 1.0));
    }

    #[test]
    fn work_grows_with_sizes_and_shrinks_with_rates() {
        for text in [copy, sum] {
            for gpu in &GPUS {
                let seconds: Vec<f64> = (0..27).map(|i| predicted(&text(1 << i), gpu).seconds()).collect();
                assert!(seconds.is_sorted() && seconds[26] > 100.0 * seconds[0], "{}: {seconds:?}", gpu.name);
            }
            let seconds: Vec<f64> = GPUS.iter().map(|gpu| predicted(&text(1 << 26), gpu).seconds()).collect();
            assert!(seconds.is_sorted_by(|a, b| a < b), "the table begins with the fastest: {seconds:?}");
        }
    }

    #[test]
    fn sums_in_parts_wait_for_their_iterations() {
        let h100 = gpu("h100");
        // Below two parts of 512 terms a warp does everything: 16 iterations of each thread, four at a time.
        let whole = predicted(&sum(512), h100);
        assert_eq!(whole.launches.len(), 1);
        let parted = predicted(&sum(1 << 20), h100);
        assert_eq!(parted.launches.len(), 2, "a second function adds up the parts");
        assert!(parted.latency_s > 2.0 * START_S + 8.0 * h100.l2_latency_s, "{parted}");
        assert_eq!(parted.traffic.written, 4 * (1024 + 1), "1024 parts of 1024 terms");
    }

    #[test]
    fn loads_of_places_wait_for_each_other() {
        let depth = |text: &str| depth_of_loads(&parse_kernel(text).unwrap_or_else(|error| panic!("{error}")));
        assert_eq!(depth(&copy(8)), 1);
        let gather = "kernel @segment_sum_0(%0: f32[100], %1: i32[9], %2: i32[64]) -> (%3: f32[8]) {
            row i0: 8
            segment i1: 64 of i0 by %1
            $0: i32 = load %2[i1]
            $1: f32 = load %0[$0]
            sum $1 -> %3 }";
        assert_eq!(depth(gather), 2);
        // Offsets, members, elements: 64 members take each thread at most a few iterations.
        let h100 = gpu("h100");
        let segments = predicted(gather, h100);
        assert!(is_near(segments.latency_s, START_S + 3.0 * h100.l2_latency_s), "{segments}");
    }
}
