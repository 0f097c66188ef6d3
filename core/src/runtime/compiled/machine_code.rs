//! Which steps run as machine code, and how a thread runs its share of one.

use crate::aval::Sizes;
use crate::codegen::x86::{ARGS, BEGIN, Code, END, EXTENT, Job, POSITION, Pages, Spread, far_inputs, writes_masked};
use crate::error::Error;
use crate::ir::Var;
use crate::kernel::{Kernel, KernelProgram, LoopKind, Product, Space, Step};
use crate::runtime::compiled::fill::fill;
use crate::runtime::compiled::perf_map::{self, Named};
use crate::runtime::options::Target;
use rustc_hash::FxHashSet;

/// The machine code of a program's steps, by number of the function in the executable's pages.
#[derive(Debug)]
pub(in crate::runtime) enum StepCode {
    /// No machine code.
    None,
    Function(usize),
    /// None, as the kernel is a large product for all sizes.
    Product,
    /// The functions of nested programs.
    Nested(Vec<Vec<StepCode>>),
}

/// All functions of an executable.
#[derive(Debug)]
pub(in crate::runtime) struct MachineCode {
    pub(in crate::runtime) pages: Pages,
    pub(in crate::runtime) codes: Vec<Code>,
    pub(in crate::runtime) steps: Vec<StepCode>,
}

impl MachineCode {
    /// Compiles the kernels that the target supports, on the threads of `spread`.
    pub(in crate::runtime) fn new(
        lowered: &KernelProgram,
        target: Target,
        spread: Spread<'_>,
    ) -> Result<MachineCode, Error> {
        let (mut codes, mut steps) = (vec![], vec![]);
        if let Some(isa) = target.isa() {
            let mut jobs = vec![];
            steps = list_jobs(lowered, &mut jobs);
            let compiled = Code::all(&jobs, isa, spread).into_iter();
            let numbers: Vec<Option<usize>> = compiled
                .map(|code| {
                    codes.push(code.ok()?);
                    Some(codes.len() - 1)
                })
                .collect();
            number(&mut steps, &numbers);
        }
        let machine = MachineCode { pages: Pages::new(codes.iter())?, codes, steps };
        if perf_map::is_wanted() {
            let mut named = vec![];
            machine.name(lowered, &machine.steps, &mut named);
            perf_map::write(named.into_iter());
        }
        Ok(machine)
    }
}

impl MachineCode {
    /// The number of functions that were not known before.
    pub(in crate::runtime) fn n_generated(&self) -> usize {
        self.codes.iter().filter(|code| !code.was_known()).count()
    }

    /// Lists every function with a name: its program's and its kernel's.
    fn name(&self, lowered: &KernelProgram, codes: &[StepCode], named: &mut Vec<Named>) {
        for (step, code) in lowered.steps.iter().zip(codes) {
            match (step, code) {
                (Step::Kernel(kernel, _), StepCode::Function(i)) => {
                    let (start, size) = self.pages.function(*i);
                    named.push((start, size, format!("gavotte::{}::{}", lowered.program.name, kernel.name)));
                }
                (Step::Control(step), StepCode::Nested(codes)) => {
                    step.nested.iter().zip(codes).for_each(|(nested, codes)| self.name(nested, codes, named));
                }
                _ => {}
            }
        }
    }

    /// The code of all steps as text.
    pub(in crate::runtime) fn listing(&self, lowered: &KernelProgram) -> String {
        let mut text = String::new();
        self.list(&lowered.steps, &self.steps, &mut text);
        text
    }

    fn list(&self, steps: &[Step], codes: &[StepCode], text: &mut String) {
        for (i, step) in steps.iter().enumerate() {
            match (step, codes.get(i)) {
                (Step::Kernel(kernel, _), Some(StepCode::Product)) => {
                    text.push_str(&format!("@{}: a large product, through the crates of `gemm`\n\n", kernel.name));
                }
                (Step::Kernel(kernel, _), Some(StepCode::Function(i))) => {
                    let code = &self.codes[*i];
                    let is_product = Product::of(kernel).is_some_and(|product| product.may_be_large());
                    let unless = if is_product { ", unless it is a large product" } else { "" };
                    let (name, bytes) = (&kernel.name, code.n_byte());
                    text.push_str(&format!("@{name}: {bytes} bytes{unless}\n{}\n", code.listing()));
                }
                (Step::Kernel(kernel, _), _) => {
                    text.push_str(&format!("@{}: no machine code: runs on the portable target\n\n", kernel.name));
                }
                (Step::Eval(eqn), _) => text.push_str(&format!("{}: through the interpreter\n\n", eqn.prim.name())),
                (Step::Control(step), codes) => {
                    for (i, nested) in step.nested.iter().enumerate() {
                        let codes = if let Some(StepCode::Nested(codes)) = codes { &codes[i][..] } else { &[] };
                        self.list(&nested.steps, codes, text);
                    }
                }
            }
        }
    }
}

/// The loop that each step is divided by, as its group says.
fn partitions(lowered: &KernelProgram) -> Vec<Option<usize>> {
    let first = |step: &Step| if let Step::Kernel(kernel, _) = step { Code::first_loop(kernel) } else { None };
    let mut partitions: Vec<Option<usize>> = lowered.steps.iter().map(first).collect();
    for group in &lowered.groups {
        if let Space::Rows { parts, .. } = &group.space {
            for (step, part) in group.steps.clone().zip(parts) {
                partitions[step] = Some(part.split_loop() as usize);
            }
        }
    }
    partitions
}

/// The kernels that may have machine code; a step's function is the number of its job.
fn list_jobs<'k>(lowered: &'k KernelProgram, jobs: &mut Vec<Job<'k>>) -> Vec<StepCode> {
    let mut masked_vars: FxHashSet<Var> = FxHashSet::default();
    let job = |(step, partition): (&'k Step, Option<usize>)| match step {
        Step::Kernel(kernel, _) if Product::of(kernel).is_some_and(|product| product.is_large_at(&Sizes::new())) => {
            StepCode::Product
        }
        Step::Kernel(kernel, _) => {
            let masked: Vec<bool> = kernel.inputs.iter().map(|(var, _)| masked_vars.contains(var)).collect();
            let outputs = (0..kernel.outputs.len()).filter(|k| writes_masked(kernel, *k, &masked));
            masked_vars.extend(outputs.map(|k| kernel.outputs[k].0));
            jobs.push(Job { kernel, partition, masked, far: far_inputs(kernel, &Sizes::new()) });
            StepCode::Function(jobs.len() - 1)
        }
        Step::Eval(_) => StepCode::None,
        Step::Control(step) => StepCode::Nested(step.nested.iter().map(|nested| list_jobs(nested, jobs)).collect()),
    };
    lowered.steps.iter().zip(partitions(lowered)).map(job).collect()
}

/// Sets the function number of each step that has a job with a function.
fn number(steps: &mut [StepCode], numbers: &[Option<usize>]) {
    for step in steps {
        match step {
            StepCode::Function(job) => *step = numbers[*job].map_or(StepCode::None, StepCode::Function),
            StepCode::Nested(nested) => nested.iter_mut().for_each(|steps| number(steps, numbers)),
            StepCode::None | StepCode::Product => {}
        }
    }
}

/// A step that runs as machine code, for given sizes.
#[derive(Debug)]
pub(in crate::runtime) struct MachineWork {
    function: usize,
    /// The separate function that it runs if arrays are so large that the program's function does not reach all of
    /// them.
    far: Option<Pages>,
    /// Iterations of the loop that is divided.
    iterations: Option<usize>,
    /// Whether the results of that loop's ranges are added to the contents of the outputs.
    accumulates: bool,
    /// The input that determines how much work each row is.
    pub(in crate::runtime) offsets: Option<usize>,
    sizes: Vec<u64>,
    /// Elements of each output.
    volumes: Vec<usize>,
}

impl MachineWork {
    /// `None` if no machine code reaches all of the kernel's arrays.
    pub(in crate::runtime) fn new(kernel: &Kernel, code: &Code, function: usize, sizes: &Sizes) -> Option<MachineWork> {
        let far_code = code.that_reaches(kernel, sizes).ok()?;
        let far = match &far_code {
            Some(code) => Some(Pages::new(std::iter::once(code)).ok()?),
            None => None,
        };
        let code = far_code.as_ref().unwrap_or(code);
        let iterations = code.partition.map(|l| kernel.loops[l].extent.at(sizes).as_usize().unwrap_or(0));
        let accumulates = code.partition.is_some_and(|l| kernel.loops[l].kind != LoopKind::Row);
        let volumes = kernel.outputs.iter().map(|(_, aval)| aval.at(sizes).volume().as_usize().unwrap_or(0)).collect();
        let offsets = kernel.loops.iter().find_map(|l| match l.kind {
            LoopKind::Segment { segment, offsets } if code.partition == Some(segment as usize) => {
                Some(offsets as usize)
            }
            _ => None,
        });
        Some(MachineWork { function, far, iterations, accumulates, offsets, sizes: code.sizes(sizes), volumes })
    }

    /// Iterations of the loop that is divided; `None` if none is.
    pub(in crate::runtime) fn iterations(&self) -> Option<usize> {
        self.iterations
    }

    /// Rows that threads may share; `None` if one thread runs the whole.
    pub(in crate::runtime) fn rows(&self) -> Option<usize> {
        self.iterations.filter(|_| !self.accumulates)
    }

    /// Initialises outputs to which ranges add their results; such a kernel is run whole.
    ///
    /// # Safety
    /// The table must be of this step, with valid addresses of its outputs.
    pub(in crate::runtime) unsafe fn clear(&self, kernel: &Kernel, table: &[u64]) {
        if !self.accumulates {
            return;
        }
        for (k, (_, aval)) in kernel.outputs.iter().enumerate() {
            let n = self.volumes[k];
            let place = table[ARGS + kernel.inputs.len() + k] as *mut u8;
            let identity = kernel.reduce.map(|op| op.identity(aval.dtype));
            // SAFETY: the table has the addresses of the outputs.
            identity.into_iter().for_each(|identity| unsafe { fill(place, identity, n) });
        }
    }

    /// The number of entries of the table of arguments.
    pub(in crate::runtime) fn table_len(&self, kernel: &Kernel) -> usize {
        ARGS + kernel.inputs.len() + kernel.outputs.len() + self.sizes.len()
    }

    /// Appends the table of arguments, for arrays that start at these places.
    pub(in crate::runtime) fn write_table(&self, tables: &mut Vec<u64>, arrays: impl Iterator<Item = *mut u8>) {
        tables.extend([0; ARGS]);
        tables.extend(arrays.map(|array| array as u64));
        tables.extend(&self.sizes);
    }

    /// The table by itself.
    pub(in crate::runtime) fn table(&self, arrays: impl Iterator<Item = *mut u8>) -> Vec<u64> {
        let mut table = vec![];
        self.write_table(&mut table, arrays);
        table
    }

    /// Runs a range of rows.
    ///
    /// # Safety
    /// As for [`Pages::call`]; the table must be of this step.
    pub(in crate::runtime) unsafe fn run(
        &self,
        pages: &Pages,
        table: &mut [u64],
        rows: std::ops::Range<usize>,
    ) -> Result<(), (i64, i64)> {
        table[BEGIN] = rows.start as u64;
        table[END] = rows.end as u64;
        let (pages, function) = self.far.as_ref().map_or((pages, self.function), |pages| (pages, 0));
        // SAFETY: by this function's contract.
        if unsafe { pages.call(function, table) } {
            return Ok(());
        }
        Err((table[POSITION] as i64, table[EXTENT] as i64))
    }
}
