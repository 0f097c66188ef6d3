//! The machine's peak, measured: the speed of its memory, and of its arithmetic.

use crate::error::Error;
use crate::kernel::Cost;
use crate::runtime::threads::team::ThreadPool;
use crate::sync::locked;
use serde::Serialize;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::Instant;

/// The elements of each of the triad's three arrays: in total far more than caches hold.
const TRIAD: usize = 1 << 24;

/// The number of iterations of each thread's loop of multiply-adds.
const ITERATIONS: usize = 1 << 18;

/// The values that the loop changes in each iteration: enough that none waits for its previous iteration.
const CHAINS: usize = 12;

/// Each measurement is the best of this many; other programs can only make it worse.
const ROUNDS: usize = 7;

/// The peak of a machine with a number of threads.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Machine {
    /// How many threads it was measured with.
    pub threads: usize,
    /// Bytes a second between memory and processor: two arrays are read and a third is written, as in STREAM's triad.
    pub bytes_per_s: f64,
    /// Operations on `f32` a second, if nothing comes from memory: a multiply-add is two.
    pub flop_per_s: f64,
}

impl Machine {
    /// Measures the machine; takes some tenths of a second.
    ///
    /// # Errors
    /// If the system refuses that many threads.
    pub fn measure(threads: NonZeroUsize) -> Result<Machine, Error> {
        let mut pool = ThreadPool::new(threads)?;
        let n = TRIAD / threads;
        let arrays: Vec<_> = (0..threads.get()).map(|_| Mutex::new([vec![], vec![], vec![]])).collect();
        // Each thread touches its part first, so that it is in memory close to the thread.
        on_all(&mut pool, &|part| *locked(&arrays[part]) = [0.0, 1.0, 2.0].map(|x| vec![x; n]));
        let seconds = best(&mut pool, &|part| {
            let [a, b, c] = &mut *locked(&arrays[part]);
            triad(a, b, c, black_box(3.0));
            black_box(a);
        });
        let bytes_per_s = (3 * 4 * n * threads.get()) as f64 / seconds;
        let lanes = multiply_adds(0);
        let seconds = best(&mut pool, &|_| {
            black_box(multiply_adds(ITERATIONS));
        });
        let flop_per_s = (2 * lanes * CHAINS * ITERATIONS * threads.get()) as f64 / seconds;
        Ok(Machine { threads: threads.get(), bytes_per_s, flop_per_s })
    }

    /// The least time for these bytes and operations: the longer of both.
    pub(in crate::runtime) fn least_s(&self, bytes: f64, ops: f64) -> f64 {
        (bytes / self.bytes_per_s).max(ops / self.flop_per_s)
    }

    /// Whether the bytes take longer.
    pub(in crate::runtime) fn is_bound_by_memory(&self, bytes: f64, ops: f64) -> bool {
        bytes / self.bytes_per_s >= ops / self.flop_per_s
    }

    /// The share of the roofline that a kernel should reach: its least time, divided by the time of its memory accesses
    /// and instructions. Not all instructions count as operations: an exponential is one operation and many
    /// instructions, and a multiply-add is two and one.
    pub(in crate::runtime) fn share(&self, cost: &Cost, work: u64) -> f64 {
        let least = self.least_s(cost.bytes() as f64, cost.ops() as f64);
        let expected = least.max(2.0 * work as f64 / self.flop_per_s);
        if expected > 0.0 { least / expected } else { 1.0 }
    }
}

/// The least time of some work on all threads, in seconds.
fn best(pool: &mut ThreadPool, work: &(dyn Fn(usize) + Sync)) -> f64 {
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        on_all(pool, work);
        start.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}

/// Runs a part for each thread: its own, unless it is late.
fn on_all(pool: &mut ThreadPool, work: &(dyn Fn(usize) + Sync)) {
    let threads = pool.n();
    pool.share(threads, threads, &|_, parts| parts.for_each(work));
}

fn triad(a: &mut [f32], b: &[f32], c: &[f32], factor: f32) {
    for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
        *a = b + factor * c;
    }
}

/// Multiplies and adds in [`CHAINS`] chains of vectors; returns the lanes of a vector.
fn multiply_adds(iterations: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the features that the function is compiled for.
            return unsafe { wide::sixteen(iterations) };
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            // SAFETY: the processor has the features that the function is compiled for.
            return unsafe { wide::eight(iterations) };
        }
    }
    let (x, y) = (black_box([0.9f32; 4]), black_box([0.1f32; 4]));
    let mut chains = [[1.0f32; 4]; CHAINS];
    for _ in 0..iterations {
        for chain in &mut chains {
            for ((value, x), y) in chain.iter_mut().zip(x).zip(y) {
                // Without an instruction for both at once, a fused operation would be a call.
                *value = if cfg!(target_arch = "aarch64") { value.mul_add(x, y) } else { *value * x + y };
            }
        }
    }
    black_box(chains);
    4
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use super::CHAINS;
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps, _mm512_fmadd_ps, _mm512_set1_ps};
    use std::hint::black_box;

    #[target_feature(enable = "avx512f")]
    pub(in crate::runtime) fn sixteen(iterations: usize) -> usize {
        let (x, y) = (_mm512_set1_ps(black_box(0.9)), _mm512_set1_ps(black_box(0.1)));
        let mut chains = [_mm512_set1_ps(1.0); CHAINS];
        for _ in 0..iterations {
            for value in &mut chains {
                *value = _mm512_fmadd_ps(*value, x, y);
            }
        }
        black_box(chains);
        16
    }

    #[target_feature(enable = "avx2,fma")]
    pub(in crate::runtime) fn eight(iterations: usize) -> usize {
        let (x, y) = (_mm256_set1_ps(black_box(0.9)), _mm256_set1_ps(black_box(0.1)));
        let mut chains = [_mm256_set1_ps(1.0); CHAINS];
        for _ in 0..iterations {
            for value in &mut chains {
                *value = _mm256_fmadd_ps(*value, x, y);
            }
        }
        black_box(chains);
        8
    }
}
