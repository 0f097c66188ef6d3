//! Machine code for x86-64 with AVX-512 or AVX2: one function for each kernel, in tens of microseconds.
//!
//! `choose` decides which loops are lanes (`layout`); `nest` writes the loops over virtual registers (`lir`), with
//! `math` for scalar operations; `allocate` assigns registers; `emit` writes bytes. A function runs a range of one loop
//! of its kernel, so that threads share a kernel, and kernels over the same rows can be interleaved. It reads and
//! writes nothing outside its arrays: the last vector of a row is masked, and computed positions are checked.
//!
//! Kernels of one canonical form (`canonical`) share a function, which a process compiles once (`cache`).
//!
//! Operations without vector code are called (`call`). Elementwise results have the bits of the portable target. Sums are
//! added in another order, the same on both instruction sets, and a product that only a sum reads is not rounded before it
//! is added.

mod allocate;
mod cache;
mod call;
mod canonical;
mod check;
mod choose;
mod compact;
mod dead;
mod emit;
mod instruction_order;
mod layout;
mod lir;
mod math;
mod nest;
mod pages;
mod scalar;
#[cfg(test)]
mod tests;

pub use lir::has_vectors;
pub use pages::Pages;

use crate::aval::{Aval, DType, Dim, Literal, Sizes};
use crate::ir::Unsupported;
use crate::kernel::{Kernel, LoopKind};
use cache::{Form, Shared};
use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};
use std::sync::Arc;

/// Entries of a function's table of arguments: the range it runs; the position and the extent that a failed check
/// leaves; the address of the function that it calls; then inputs, outputs, and sizes.
pub const BEGIN: usize = 0;
/// The end of the range.
pub const END: usize = 1;
/// The position that was out of bounds.
pub const POSITION: usize = 2;
/// The extent it had to be below.
pub const EXTENT: usize = 3;
/// The function that it calls for operations without vector code: [`Pages::call`] enters it.
pub const CALL: usize = 4;
/// Where the addresses of inputs start.
pub const ARGS: usize = 5;

/// How many elements, or positions along an axis, 32-bit lanes can address.
const REACH: usize = 1 << 31;

/// An instruction set that functions are written for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Isa {
    /// AVX2 and FMA: registers of 256 bits.
    Avx2,
    /// AVX-512, with F, BW, DQ and VL: registers of 512 bits.
    Avx512,
}

impl Isa {
    /// All instruction sets, the fastest first.
    pub const ALL: [Isa; 2] = [Isa::Avx512, Isa::Avx2];

    /// Its name, as `--target` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// Whether this machine runs the code.
    pub fn is_available(self) -> bool {
        #[cfg(all(target_arch = "x86_64", unix))]
        {
            use std::arch::is_x86_feature_detected as has;
            match self {
                Isa::Avx2 => has!("avx2") && has!("fma") && has!("popcnt"),
                Isa::Avx512 => {
                    has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") && has!("popcnt")
                }
            }
        }
        #[cfg(not(all(target_arch = "x86_64", unix)))]
        {
            false
        }
    }

    /// Lanes of a vector: if a kernel has elements of 64 bits, as many as a register holds of them.
    fn lanes(self, kernel: &Kernel) -> usize {
        let arrays = kernel.inputs.iter().chain(&kernel.outputs).map(|(_, aval)| aval.dtype);
        let is_wide = arrays.chain(kernel.dtypes()).any(|dtype| dtype == DType::F64);
        let lanes = match self {
            Isa::Avx2 => lir::LANES / 2,
            Isa::Avx512 => lir::LANES,
        };
        if is_wide { lanes / 2 } else { lanes }
    }
}

/// Whether a mask makes an output of a kernel 0; `masked` says the same of its inputs.
pub fn writes_masked(kernel: &Kernel, output: usize, masked: &[bool]) -> bool {
    kernel.reduce.is_none() && compact::masked(kernel, masked)[kernel.results[output].0 as usize]
}

/// Runs the work for each number below the first: once each, on any threads; all have finished when it returns.
pub type Spread<'s> = &'s dyn Fn(usize, &(dyn Fn(usize) + Sync));

/// Runs everything on the calling thread.
pub fn alone(n: usize, work: &(dyn Fn(usize) + Sync)) {
    (0..n).for_each(work);
}

/// A kernel to compile.
#[derive(Debug)]
pub struct Job<'k> {
    /// The kernel.
    pub kernel: &'k Kernel,
    /// The loop of which a call runs a range: the result of a range of a reduced loop is added to the output's content.
    pub partition: Option<usize>,
    /// The inputs of which many elements are 0, as [`writes_masked`] finds.
    pub masked: Vec<bool>,
    /// The inputs that are far, as [`far_inputs`] finds: 32-bit lanes do not reach their last element.
    pub far: Vec<bool>,
}

/// The inputs of a kernel that have more elements, or a longer axis, than positions in 32-bit lanes reach. A symbol
/// without a size counts as small: a caller that knows the sizes must ask again.
pub fn far_inputs(kernel: &Kernel, sizes: &Sizes) -> Vec<bool> {
    let is_far = |(_, aval): &(_, Aval)| {
        let extents = aval.shape.iter().map(|dim| dim.at(sizes).as_usize().unwrap_or(1).max(1));
        extents.fold(1, usize::saturating_mul) > REACH
    };
    kernel.inputs.iter().map(is_far).collect()
}

/// A size in the table of arguments.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Size {
    dim: Dim,
    /// The type of the scalar that it is; `None` for an integer of 64 bits.
    dtype: Option<DType>,
}

impl Size {
    /// The table's entry for these sizes of symbols.
    fn entry(&self, sizes: &Sizes) -> u64 {
        let n = self.dim.at(sizes).as_number().unwrap_or(0);
        self.dtype.map_or(n as u64, |dtype| Literal::from_f64(dtype, n as f64).bits())
    }
}

/// The machine code of a kernel: a function that kernels of one canonical form share, and its data.
#[derive(Debug)]
pub struct Code {
    function: Arc<Shared>,
    /// The contents of the function's pool at the places that its form leaves open, by their numbers.
    constants: Vec<Literal>,
    /// The sizes after inputs and outputs in the table of arguments.
    sizes: Vec<Size>,
    isa: Isa,
    masked: Vec<bool>,
    far: Vec<bool>,
    /// The loop of which a call runs a range.
    pub partition: Option<usize>,
    was_known: bool,
}

impl Code {
    /// Compiles one [`Job`].
    ///
    /// # Errors
    /// If there is no machine code for it.
    pub fn new(kernel: &Kernel, partition: Option<usize>, masked: &[bool], isa: Isa) -> Result<Code, Unsupported> {
        let far = far_inputs(kernel, &Sizes::new());
        Code::all(&[Job { kernel, partition, masked: masked.to_vec(), far }], isa, &alone).remove(0)
    }

    /// The code that reaches all of the kernel's arrays for these sizes, if this one does not.
    ///
    /// # Errors
    /// If there is no machine code for that.
    pub fn that_reaches(&self, kernel: &Kernel, sizes: &Sizes) -> Result<Option<Code>, Unsupported> {
        let far = far_inputs(kernel, sizes);
        if far == self.far {
            return Ok(None);
        }
        let job = Job { kernel, partition: self.partition, masked: self.masked.clone(), far };
        Code::all(&[job], self.isa, &alone).remove(0).map(Some)
    }

    /// Compiles kernels, on the threads of `spread`, except those of a canonical form that this process has compiled
    /// before.
    pub fn all(jobs: &[Job<'_>], isa: Isa, spread: Spread<'_>) -> Vec<Result<Code, Unsupported>> {
        let forms: Vec<Result<Form, Unsupported>> = jobs.iter().map(|job| Form::new(job, isa)).collect();
        let able: Vec<&Form> = forms.iter().flatten().collect();
        let mut functions = cache::find_or_make(&able, spread).into_iter();
        let code = |(form, job): (Result<Form, Unsupported>, &Job<'_>)| {
            let canonical = form?.canonical;
            let (function, was_known) = functions.next().expect("one for each form")?;
            let original = |size: &Size| Size { dim: canonical.original(&size.dim), ..size.clone() };
            Ok(Code {
                sizes: function.sizes.iter().map(original).collect(),
                function,
                constants: canonical.constants,
                isa,
                masked: job.masked.clone(),
                far: job.far.clone(),
                partition: job.partition,
                was_known,
            })
        };
        forms.into_iter().zip(jobs).map(code).collect()
    }

    /// The loop that a kernel is divided by by default: its first row loop.
    pub fn first_loop(kernel: &Kernel) -> Option<usize> {
        kernel.loops.first().filter(|l| l.kind == LoopKind::Row).map(|_| 0)
    }

    /// Whether its function had been generated before.
    pub fn was_known(&self) -> bool {
        self.was_known
    }

    /// The number of its bytes.
    pub fn n_byte(&self) -> usize {
        self.function.bytes.len()
    }

    /// Where the instructions start; the constants come before them.
    fn entry(&self) -> usize {
        self.function.entry
    }

    /// Appends the machine code to other bytes.
    fn write(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend_from_slice(&self.function.bytes);
        for (i, at) in &self.function.open {
            let (literal, at) = (self.constants[*i], start + at);
            let size = literal.dtype().size();
            bytes[at..at + size].copy_from_slice(&literal.bits().to_le_bytes()[..size]);
        }
    }

    /// The machine code as text, one instruction a line.
    pub fn listing(&self) -> String {
        let Shared { bytes, entry, .. } = &*self.function;
        let mut decoder = Decoder::with_ip(64, &bytes[*entry..], *entry as u64, DecoderOptions::NONE);
        let mut formatter = IntelFormatter::new();
        let mut text = String::new();
        while decoder.can_decode() {
            let instruction = decoder.decode();
            let mut line = String::new();
            formatter.format(&instruction, &mut line);
            text.push_str(&format!("  {:04x}  {line}\n", instruction.ip()));
        }
        text
    }

    /// The sizes that follow the arrays in the table of arguments, for these sizes of symbols.
    pub fn sizes(&self, sizes: &Sizes) -> Vec<u64> {
        self.sizes.iter().map(|size| size.entry(sizes)).collect()
    }
}
