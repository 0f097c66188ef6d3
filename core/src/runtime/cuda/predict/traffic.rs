//! The bytes that kernels move: through the L2 cache, and from memory.

use super::gpus::Gpu;
use crate::aval::Sizes;
use crate::ir::Var;
use crate::kernel::{Kernel, bytes_at};
use rustc_hash::FxHashMap;
use std::iter::Sum;

/// The reciprocal of the share of the L2 cache that is relied on: its replacement policy is not documented.
const CACHE_SHARE: u64 = 2;

/// Bytes that a kernel moves.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Traffic {
    /// Bytes read, gathered elements as often as they are named, and parts of sums.
    pub read: u64,
    /// Bytes written, including parts of sums.
    pub written: u64,
    /// The bytes of both that the L2 cache cannot serve.
    pub from_memory: u64,
}

impl Traffic {
    /// Bytes that pass through the cache.
    pub fn bytes(&self) -> u64 {
        self.read + self.written
    }
}

impl Sum for Traffic {
    fn sum<I: Iterator<Item = Traffic>>(all: I) -> Traffic {
        all.fold(Traffic::default(), |a, b| Traffic {
            read: a.read + b.read,
            written: a.written + b.written,
            from_memory: a.from_memory + b.from_memory,
        })
    }
}

/// The contents of the L2 cache: arrays since whose last use no more than the cache's size was touched.
pub(super) struct Cache {
    bytes: u64,
    touched: u64,
    last_use: FxHashMap<Var, u64>,
}

impl Cache {
    pub(super) fn new(gpu: &Gpu) -> Cache {
        Cache { bytes: gpu.l2_bytes / CACHE_SHARE, touched: 0, last_use: FxHashMap::default() }
    }

    fn holds(&self, memory: Var, bytes: u64) -> bool {
        self.last_use.get(&memory).is_some_and(|last| self.touched - last + bytes <= self.bytes)
    }

    fn touch(&mut self, memory: Var, bytes: u64) {
        self.touched += bytes;
        self.last_use.insert(memory, self.touched);
    }

    /// The traffic of a kernel, with this many bytes of parts of sums; `memory` returns whose memory an array uses. The
    /// kernel's arrays are then the most recently used.
    pub(super) fn traffic(
        &mut self,
        kernel: &Kernel,
        memory: &dyn Fn(Var) -> Var,
        scratch: u64,
        sizes: &Sizes,
    ) -> Traffic {
        let mut traffic = Traffic { read: scratch, written: scratch, from_memory: 0 };
        for ((var, aval), named) in kernel.inputs.iter().zip(kernel.named_bytes(sizes)) {
            let whole = bytes_at(aval, sizes);
            traffic.read += named;
            if !self.holds(memory(*var), whole) {
                // An array that fits into the cache is loaded once.
                traffic.from_memory += if whole <= self.bytes { named.min(whole) } else { named };
            }
        }
        for (_, aval) in &kernel.outputs {
            let whole = bytes_at(aval, sizes);
            traffic.written += whole;
            traffic.from_memory += if whole <= self.bytes { 0 } else { whole };
        }
        for (var, aval) in kernel.inputs.iter().chain(&kernel.outputs) {
            self.touch(memory(*var), bytes_at(aval, sizes));
        }
        traffic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::parse_kernel;

    /// A kernel that copies this many elements from array `from` to array `to`.
    fn copy(elements: usize, from: u32, to: u32) -> Kernel {
        let text = format!(
            "kernel @copy_0(%{from}: f32[{elements}]) -> (%{to}: f32[{elements}]) {{
                row i0: {elements}
                $0: f32 = load %{from}[i0]
                store $0 -> %{to} }}"
        );
        parse_kernel(&text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn from_memory(cache: &mut Cache, kernel: &Kernel) -> u64 {
        cache.traffic(kernel, &|var| var, 0, &Sizes::new()).from_memory
    }

    #[test]
    fn the_cache_holds_what_was_touched_last() {
        let mut cache = Cache { bytes: 4000, touched: 0, last_use: FxHashMap::default() };
        assert_eq!(from_memory(&mut cache, &copy(250, 0, 1)), 1000, "an argument comes from memory");
        assert_eq!(from_memory(&mut cache, &copy(250, 1, 2)), 0, "what was just written does not");
        assert_eq!(from_memory(&mut cache, &copy(250, 0, 3)), 0, "nor what was just read");
        assert_eq!(from_memory(&mut cache, &copy(250, 2, 4)), 0);
        assert_eq!(from_memory(&mut cache, &copy(250, 1, 5)), 1000, "too much was touched since");
    }

    #[test]
    fn what_does_not_fit_the_cache_goes_through_it() {
        let mut cache = Cache { bytes: 3999, touched: 0, last_use: FxHashMap::default() };
        let large = copy(1000, 0, 1);
        assert_eq!((from_memory(&mut cache, &large), from_memory(&mut cache, &large)), (8000, 8000));
    }

    #[test]
    fn arrays_in_the_same_memory_are_one() {
        let mut cache = Cache::new(Gpu::find("h100").expect("it is in the table"));
        from_memory(&mut cache, &copy(8, 0, 1));
        let alias = |var: Var| if var == Var(7) { Var(1) } else { var };
        assert_eq!(cache.traffic(&copy(8, 7, 2), &alias, 0, &Sizes::new()).from_memory, 0);
        assert_eq!(from_memory(&mut cache, &copy(8, 9, 3)), 32);
    }

    #[test]
    fn gathered_rows_and_parts_of_sums_pass_through_the_cache() {
        let text = "kernel @take_0(%0: f32[10], %1: i32[100]) -> (%2: f32[100]) {
            row i0: 100
            $0: i32 = load %1[i0]
            $1: f32 = load %0[$0]
            store $1 -> %2 }";
        let kernel = parse_kernel(text).unwrap_or_else(|error| panic!("{error}"));
        let mut cache = Cache { bytes: 4000, touched: 0, last_use: FxHashMap::default() };
        let traffic = cache.traffic(&kernel, &|var| var, 64, &Sizes::new());
        assert_eq!(traffic, Traffic { read: 400 + 400 + 64, written: 400 + 64, from_memory: 40 + 400 });
        assert_eq!(traffic.bytes(), 1328);
    }
}
