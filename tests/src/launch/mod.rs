//! Kernels launched by themselves, on guarded memory: what every target must do with kernel IR.
//!
//! A target is a type with one method and a line of [`kernel_targets`]. This folder is the only one of the tests with
//! `unsafe` code, as the code generators take pointers.

pub mod guard;

use gavotte_core::aval::{Dim, Sizes};
use gavotte_core::codegen::portable::{Access, Scratch, TileKernel};
use gavotte_core::codegen::x86::{self, Isa};
use gavotte_core::device::HostArray;
use gavotte_core::kernel::{Kernel, LoopKind};
use gavotte_core::with_data;
use guard::{Guarded, Side};
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

/// The loop along which a launch is cut: the first row loop or the first reduce loop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pieces {
    /// The number of the loop.
    pub axis: usize,
    /// Its points, each in one range; in any order.
    pub ranges: Vec<Range<usize>>,
}

/// A kernel with its arrays. Only [`Launch::run`] creates one: each pointer is valid for the kernel's type at these
/// sizes.
pub struct Call<'a> {
    /// The kernel.
    pub kernel: &'a Kernel,
    /// The sizes of its symbols.
    pub sizes: &'a Sizes,
    /// The inputs' addresses; they are read-only.
    pub inputs: Vec<*const u8>,
    /// The outputs' addresses. An output may be an input that is read only at the written place.
    pub outputs: Vec<*mut u8>,
    /// If set, the launch runs in these pieces, one after another; the results are those of the whole.
    pub pieces: Option<&'a Pieces>,
}

/// Why a kernel did not run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The target has no such kernels.
    Unsupported(String),
    /// A computed position is outside its array. The outputs may hold anything.
    OutOfBounds,
}

/// A target that runs kernels.
pub trait KernelTarget: Sync {
    /// Its name in messages.
    fn name(&self) -> &'static str;
    /// The share of kernels that it may refuse as unsupported.
    fn may_refuse(&self) -> f64;
    /// Whether it can run a kernel in pieces of this loop.
    fn may_cut(&self, _kernel: &Kernel, _axis: usize) -> bool {
        true
    }
    /// Runs a kernel.
    ///
    /// # Safety
    /// The pointers of `call` must be valid for its kernel's types at its sizes.
    unsafe fn run(&self, call: &Call<'_>) -> Result<(), Refused>;
}

/// Every target that runs kernels on the host. A line here puts a target under the whole suite.
pub fn kernel_targets() -> Vec<&'static dyn KernelTarget> {
    let mut targets: Vec<&'static dyn KernelTarget> = vec![&Portable];
    static MACHINE: [Machine; 4] = [
        Machine { isa: Isa::Avx2, is_far: false },
        Machine { isa: Isa::Avx512, is_far: false },
        Machine { isa: Isa::Avx2, is_far: true },
        Machine { isa: Isa::Avx512, is_far: true },
    ];
    targets.extend(
        MACHINE.iter().filter(|machine| machine.isa.is_available()).map(|machine| -> &dyn KernelTarget { machine }),
    );
    targets
}

/// Machine code for an instruction set, as it is or for inputs whose last element is beyond the reach of 32-bit lanes.
struct Machine {
    isa: Isa,
    is_far: bool,
}

/// What machine code depends on, and the code: as itself and in executable pages.
type Compiled = ((Isa, bool, Option<usize>, Kernel), Rc<(x86::Code, x86::Pages)>);

thread_local! {
    /// The kernel that this thread compiled last: it is launched in several ways, one after another.
    static LAST: RefCell<Option<Compiled>> = const { RefCell::new(None) };
}

impl Machine {
    fn compiled(&self, kernel: &Kernel, partition: Option<usize>) -> Result<Rc<(x86::Code, x86::Pages)>, Refused> {
        let is_it = |(isa, is_far, axis, last): &(Isa, bool, Option<usize>, Kernel)| {
            (*isa, *is_far, *axis) == (self.isa, self.is_far, partition) && last == kernel
        };
        LAST.with_borrow_mut(|last| {
            if let Some((_, compiled)) = last.as_ref().filter(|(key, _)| is_it(key)) {
                return Ok(compiled.clone());
            }
            let n = kernel.inputs.len();
            let job = x86::Job { kernel, partition, masked: vec![false; n], far: vec![self.is_far; n] };
            let code = x86::Code::all(&[job], self.isa, &x86::alone).remove(0);
            let code = code.map_err(|why| Refused::Unsupported(why.to_string()))?;
            let pages = x86::Pages::new(std::iter::once(&code)).map_err(|why| Refused::Unsupported(why.to_string()))?;
            let compiled = Rc::new((code, pages));
            *last = Some(((self.isa, self.is_far, partition, kernel.clone()), compiled.clone()));
            Ok(compiled)
        })
    }
}

impl KernelTarget for Machine {
    fn name(&self) -> &'static str {
        match (self.isa, self.is_far) {
            (isa, false) => isa.name(),
            (Isa::Avx2, true) => "avx2-far",
            (Isa::Avx512, true) => "avx512-far",
        }
    }
    fn may_refuse(&self) -> f64 {
        0.0
    }
    unsafe fn run(&self, call: &Call<'_>) -> Result<(), Refused> {
        let kernel = call.kernel;
        let partition = call.pieces.map(|pieces| pieces.axis).or(x86::Code::first_loop(kernel));
        let compiled = self.compiled(kernel, partition)?;
        let (code, pages) = (&compiled.0, &compiled.1);
        let mut table = vec![0; x86::ARGS];
        table.extend(call.inputs.iter().map(|input| *input as u64));
        table.extend(call.outputs.iter().map(|output| *output as u64));
        table.extend(code.sizes(call.sizes));
        let size = |dim: &Dim| dim.at(call.sizes).as_usize().expect("every extent has a size");
        if partition.is_some_and(|l| kernel.loops[l].kind != LoopKind::Row) {
            for (output, (_, aval)) in call.outputs.iter().zip(&kernel.outputs) {
                let identity = kernel.reduce.expect("a reduction").identity(aval.dtype);
                let n = aval.shape.iter().map(size).product();
                let one = HostArray::full(&[n], identity);
                // SAFETY: the output has its size, by this function's contract.
                with_data!(one.data(), xs => unsafe { std::ptr::copy_nonoverlapping(xs.as_ptr(), output.cast(), n) });
            }
        }
        let whole = partition.map_or(0..1, |l| 0..size(&kernel.loops[l].extent));
        let ranges = call.pieces.map_or(vec![whole], |pieces| pieces.ranges.clone());
        for range in ranges.into_iter().filter(|range| !range.is_empty()) {
            table[x86::BEGIN] = range.start as u64;
            table[x86::END] = range.end as u64;
            // SAFETY: the machine has the instructions, and the table holds valid arrays, by this function's contract.
            if !unsafe { pages.call(0, &mut table) } {
                return Err(Refused::OutOfBounds);
            }
        }
        Ok(())
    }
}

/// The interpreter of tiles. Its units of work are divided in proportion to the pieces.
struct Portable;

impl KernelTarget for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }
    fn may_refuse(&self) -> f64 {
        0.0
    }
    unsafe fn run(&self, call: &Call<'_>) -> Result<(), Refused> {
        let tiles =
            TileKernel::new(call.kernel, call.sizes).map_err(|error| Refused::Unsupported(error.to_string()))?;
        let partials = Guarded::new(tiles.partial_bytes(), 8, Side::End);
        let access = Access { inputs: &call.inputs, outputs: &call.outputs, partials: partials.pointer() };
        let n = tiles.n_unit();
        let units: Vec<Range<usize>> = match call.pieces {
            None => std::iter::once(0..n).collect(),
            Some(pieces) => {
                let extent = pieces.ranges.iter().map(|range| range.end).max().unwrap_or(0).max(1);
                let cut = |at: usize| at * n / extent;
                pieces.ranges.iter().map(|range| cut(range.start)..cut(range.end)).collect()
            }
        };
        for units in units {
            // SAFETY: the pointers are valid by this function's contract, ranges share no units, and one thread runs
            // them.
            let ran = unsafe { tiles.run(&access, [units], &mut Scratch::default()) };
            ran.map_err(|_| Refused::OutOfBounds)?;
        }
        // SAFETY: as above; all units have run.
        unsafe { tiles.combine(&access) }
        Ok(())
    }
}

/// How a kernel is launched: where its arrays lie, whether the output is an input, and in which pieces.
#[derive(Clone, PartialEq, Debug)]
pub struct Launch {
    /// Where arrays lie in their pages.
    pub side: Side,
    /// The input, by number, that shares memory with the first output.
    pub in_place: Option<usize>,
    /// The pieces in which it runs.
    pub pieces: Option<Pieces>,
}

/// The bytes of each output, or an error if something wrote outside one.
pub type Outputs = Result<Vec<Vec<u8>>, String>;

impl Launch {
    /// Runs a kernel on inputs of these bytes.
    ///
    /// # Panics
    /// If an input does not have the bytes of its type.
    pub fn run(
        &self,
        target: &dyn KernelTarget,
        kernel: &Kernel,
        sizes: &Sizes,
        inputs: &[Vec<u8>],
    ) -> Result<Outputs, Refused> {
        let bytes = |aval: &gavotte_core::aval::Aval| {
            aval.at(sizes).volume().as_usize().expect("every extent has a size") * aval.dtype.size()
        };
        assert_eq!(inputs.len(), kernel.inputs.len(), "an array for each input");
        let mut arrays = vec![];
        for (i, (input, (_, aval))) in inputs.iter().zip(&kernel.inputs).enumerate() {
            assert_eq!(input.len(), bytes(aval), "the bytes of {aval}");
            let make = if self.in_place == Some(i) { Guarded::with } else { Guarded::of };
            arrays.push(make(input, aval.dtype.size(), self.side));
        }
        let mut made = vec![];
        for (i, (_, aval)) in kernel.outputs.iter().enumerate() {
            let is_shared = i == 0 && self.in_place.is_some();
            made.push((!is_shared).then(|| Guarded::new(bytes(aval), aval.dtype.size(), self.side)));
        }
        let outputs: Vec<&Guarded> = made
            .iter()
            .map(|made| made.as_ref().or(self.in_place.map(|i| &arrays[i])).expect("made, or an input"))
            .collect();
        let call = Call {
            kernel,
            sizes,
            inputs: arrays.iter().map(|array| array.pointer().cast_const()).collect(),
            outputs: outputs.iter().map(|array| array.pointer()).collect(),
            pieces: self.pieces.as_ref(),
        };
        // SAFETY: every array was made above, of its type's size, and outlives the call.
        let ran = unsafe { target.run(&call) };
        if let Some(i) = outputs.iter().position(|array| array.is_spoiled()) {
            return Ok(Err(format!("something was written outside {}", kernel.outputs[i].0)));
        }
        ran?;
        Ok(Ok(outputs.iter().map(|array| array.bytes().to_vec()).collect()))
    }
}
