//! A prediction as text.

use super::gpus::Gpu;
use super::{Bound, KernelPrediction, Prediction, Traffic};
use std::fmt;

fn us(seconds: f64) -> String {
    format!("{:.2} us", seconds * 1e6)
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
        writeln!(f, "  predicted with a graph of one line {}", us(self.graph_s()))?;
        writeln!(
            f,
            "  predicted with graph replay {}: concurrent branches, the longest path has {} launches",
            us(self.branches_s()),
            self.longest_path.launches
        )?;
        writeln!(
            f,
            "  with a launch for each group of the stage `kernels`, and one for its parts of sums, at least {}; {} launches",
            us(self.grouped_s()),
            self.n_grouped
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
