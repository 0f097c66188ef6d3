//! Runs kernels: block after block, in an order that a seed shuffles; within a block, warp after warp, each as far as
//! it can go.
//!
//! A warp runs the lanes that are least advanced, those at the lowest instruction, until they meet others. So diverged
//! lanes reconverge where their paths meet, since code is laid out in the order of its paths.

mod access;
mod block;
mod collective;
mod fault;
mod warp;

pub use fault::{Fault, Kind, Text};

use crate::decode::Kernel;
use crate::memory::Heap;
use block::Block;

/// What is checked, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// Shuffles the order of blocks and of warps.
    pub seed: u64,
    /// Instructions that a warp may run for a block.
    pub steps: u64,
    /// Whether reading memory that was never written is an error; otherwise it is counted.
    pub refuses_unwritten: bool,
    /// Whether unordered accesses are an error.
    pub finds_races: bool,
}

impl Default for Checks {
    fn default() -> Checks {
        Checks { seed: 1, steps: 2_000_000_000, refuses_unwritten: false, finds_races: true }
    }
}

/// A launch.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    /// Blocks by axis.
    pub grid: [u32; 3],
    /// Threads of a block by axis.
    pub block: [u32; 3],
    /// Bytes of shared memory after those that the kernel declares.
    pub dynamic_shared: usize,
    /// The parameters, as laid out in memory.
    pub params: &'a [u8],
    /// What is checked.
    pub checks: Checks,
}

/// What a launch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Instructions, counted by thread.
    pub instructions: u64,
    /// Reads of memory that was never written, by element.
    pub unwritten: u64,
}

/// Runs a kernel to its end, or to the first fault. `Heap::end_launch` then returns what it touched.
pub fn run(kernel: &Kernel, text: &Text<'_>, heap: &mut Heap, launch: &Launch<'_>) -> Result<Outcome, Box<Fault>> {
    let mut block = Block::new(kernel, heap, launch);
    let mut result = Ok(());
    for number in order(launch) {
        result = block.run(number);
        if result.is_err() {
            break;
        }
    }
    let outcome = block.outcome();
    result.map(|()| outcome).map_err(|trouble| block.fault(text, &trouble))
}

/// The numbers of all blocks, shuffled: nobody may rely on an order.
fn order(launch: &Launch<'_>) -> Vec<u32> {
    let count = launch.grid.iter().product();
    let mut order: Vec<u32> = (0..count).collect();
    let mut random = Random(launch.checks.seed);
    for last in (1..order.len()).rev() {
        order.swap(last, (random.next() % (last as u64 + 1)) as usize);
    }
    order
}

/// Splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// The position of a number along three axes, the first fastest.
fn along_axes(number: u32, extents: [u32; 3]) -> [u32; 3] {
    let [x, y, _] = extents.map(|extent| extent.max(1));
    [number % x, number / x % y, number / x / y]
}
