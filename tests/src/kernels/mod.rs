//! Random kernels, their admissible results, and whether a target computes them.

pub mod evaluate;
pub mod fill;
pub mod forms;
pub mod generate;
pub mod judge;
pub mod operation;
pub mod prune;
pub mod scalar;
pub mod value;

use gavotte_core::aval::Sizes;
use gavotte_core::device::HostArray;
use gavotte_core::kernel::Kernel;
use std::fmt;

/// A kernel with sizes for its symbols and arrays for its inputs.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its seed.
    pub seed: u64,
    /// The kernel.
    pub kernel: Kernel,
    /// A size for each symbol.
    pub sizes: Sizes,
    /// An array for each input.
    pub inputs: Vec<HostArray>,
}

impl Case {
    /// The inputs as they lie in memory.
    pub fn bytes(&self) -> Vec<Vec<u8>> {
        self.inputs.iter().map(bytes).collect()
    }
}

/// An array as it lies in memory.
pub fn bytes(array: &HostArray) -> Vec<u8> {
    let size = array.dtype().size();
    (0..array.len()).flat_map(|i| array.get(i).bits().to_le_bytes()[..size].to_vec()).collect()
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.sizes.iter().map(|(symbol, n)| format!("{} = {n}", symbol.name())).collect();
        writeln!(f, "// seed {}, {}", self.seed, sizes.join(", "))?;
        write!(f, "{}", self.kernel)
    }
}
