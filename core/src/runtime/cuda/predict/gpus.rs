//! Data sheet figures of GPUs, from which predictions are made.

/// Figures of a GPU, or of one of two on a board. Rates are peaks: no program exceeds them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Gpu {
    /// Its name on the command line.
    pub name: &'static str,
    /// NVIDIA's name.
    pub product: &'static str,
    /// Bytes a second between memory and chip.
    pub bytes_per_s: f64,
    /// Operations on `f32` a second, outside of tensor cores; a multiply-add is two.
    pub f32_per_s: f64,
    /// Operations on `f64` a second, outside of tensor cores; a multiply-add is two.
    pub f64_per_s: f64,
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Threads that one of them holds at a time.
    pub threads: u32,
    /// Bytes of the L2 cache.
    pub l2_bytes: u64,
    /// Bytes a second between L2 cache and multiprocessors, an estimate from measurements.
    pub l2_bytes_per_s: f64,
    /// Seconds until a load from the L2 cache is complete.
    pub l2_latency_s: f64,
    /// The sources of the figures.
    pub sources: &'static str,
}

/// The gap between a kernel's end and the start of the next in the same stream, in seconds, if the host is ahead.
///
/// NVIDIA's blog "Getting Started with CUDA Graphs" (A. Gray, 2019) measures kernels of 2.9 us one after the other on a
/// V100: each takes 3.8 us in a stream. The same is taken for every GPU.
pub(super) const STREAM_GAP_S: f64 = 0.9e-6;

/// The gap between two kernels of a captured graph: the blog measures 3.4 us for each.
pub(super) const GRAPH_GAP_S: f64 = 0.5e-6;

/// The time of a kernel that does nothing: its blocks start and end.
///
/// Zhang, Wahib, Zhang and Matsuoka, "A Study of Single and Multi-device Synchronization Methods in Nvidia GPUs" (IPDPS
/// 2020), measure 1.08 us for each more empty kernel of a stream, on a V100. [`STREAM_GAP_S`] of them lie between kernels.
pub(super) const START_S: f64 = 0.2e-6;

/// The time for starting a graph on the host, in seconds: for the graph, and for each node.
///
/// NVIDIA's blog "Constant Time Launch for Straight-Line CUDA Graphs and Other Performance Enhancements" (2024) gives
/// these for a graph that was started before, from CUDA 12.6 on.
pub(super) const GRAPH_LAUNCH_S: (f64, f64) = (2.5e-6, 1e-9);

/// The GPUs for which predictions can be made.
pub static GPUS: [Gpu; 4] = [
    Gpu {
        name: "h100",
        product: "H100 SXM5 80 GB",
        bytes_per_s: 3.35e12,
        f32_per_s: 67e12,
        f64_per_s: 34e12,
        multiprocessors: 132,
        threads: 2048,
        l2_bytes: 50 << 20,
        l2_bytes_per_s: 5.5e12,
        l2_latency_s: 150e-9,
        sources: "NVIDIA H100 data sheet and H100 architecture whitepaper; L2 rate by Chips and Cheese, \"Nvidia's H100: \
                  Funny L2, and Tons of Bandwidth\" (2023, PCIe board); L2 latency by Luo et al., arXiv 2402.13499 (263 cycles)",
    },
    Gpu {
        name: "a100",
        product: "A100 SXM4 80 GB",
        bytes_per_s: 2.039e12,
        f32_per_s: 19.5e12,
        f64_per_s: 9.7e12,
        multiprocessors: 108,
        threads: 2048,
        l2_bytes: 40 << 20,
        l2_bytes_per_s: 5.5e12,
        l2_latency_s: 185e-9,
        sources: "NVIDIA A100 data sheet and A100 architecture whitepaper; of its L2 peak of 5120 bytes a cycle the share that \
                  a V100 reaches (76%, Jia et al., arXiv 1804.06826); L2 latency by Luo et al., arXiv 2402.13499 (262 cycles)",
    },
    Gpu {
        name: "t4",
        product: "T4",
        bytes_per_s: 320e9,
        f32_per_s: 8.1e12,
        // 1/32 of the rate of f32
        f64_per_s: 253e9,
        multiprocessors: 40,
        threads: 1024,
        l2_bytes: 4 << 20,
        l2_bytes_per_s: 1.27e12,
        l2_latency_s: 118e-9,
        sources: "NVIDIA T4 data sheet and Turing architecture whitepaper; L2 rate and latency (188 cycles) by Jia et al., \
                  arXiv 1903.07486",
    },
    Gpu {
        name: "k80",
        product: "K80, one of its two GPUs",
        bytes_per_s: 240e9,
        f32_per_s: 4.37e12,
        f64_per_s: 1.455e12,
        multiprocessors: 13,
        threads: 2048,
        l2_bytes: 1536 << 10,
        l2_bytes_per_s: 339e9,
        l2_latency_s: 229e-9,
        sources: "NVIDIA Tesla K80 board specification (half of the board, at its boost clock) and GK110/210 whitepaper; L2 \
                  rate and latency (200 cycles) by Jia et al., arXiv 1804.06826",
    },
];

impl Gpu {
    /// The GPU with this name in [`GPUS`].
    pub fn find(name: &str) -> Option<&'static Gpu> {
        GPUS.iter().find(|gpu| gpu.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gpu_has_all_figures() {
        for gpu in &GPUS {
            let Gpu { name, bytes_per_s, f32_per_s, f64_per_s, l2_bytes_per_s, l2_latency_s, .. } = *gpu;
            assert_eq!(Gpu::find(name), Some(gpu), "names are different");
            assert!(bytes_per_s > 1e11 && l2_bytes_per_s > bytes_per_s, "{name}: a cache is faster than memory");
            assert!(f64_per_s > 1e11 && f32_per_s > 1.9 * f64_per_s, "{name}: f64 is at most half as fast");
            assert!((1e-7..1e-6).contains(&l2_latency_s), "{name}");
            assert!((1 << 20..1 << 28).contains(&gpu.l2_bytes), "{name}");
            assert!(gpu.multiprocessors > 0 && gpu.threads.is_power_of_two(), "{name}");
            assert!(gpu.sources.contains("NVIDIA") && gpu.sources.contains("L2"), "{name}: every figure has a source");
        }
        assert_eq!(Gpu::find("v100"), None);
    }
}
