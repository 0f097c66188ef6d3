//! The cost of a compiled program, known before its first run: arithmetic, traffic, memory.

use crate::aval::{Aval, Sizes};
use crate::ir::{Atom, Control, Location, Program, atom_aval};
use crate::kernel::{Cost, KernelProgram, Step, bytes_at};
use crate::runtime::plan::Plan;
use crate::runtime::plan::placed::{Buffers, bytes_of};
use std::fmt;

/// How a step runs, which determines how much of its cost is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepKind {
    /// As a kernel: everything is counted.
    Kernel,
    /// Through the interpreter: only the bytes of operands and outputs are counted.
    Interpreted,
    /// A loop with this many iterations.
    Iterations(usize),
    /// A loop with an unknown number of iterations: one iteration is counted.
    AnyIterations,
    /// One of several programs: the one with the most operations is counted.
    Branches,
}

/// The cost of one step.
#[derive(Clone, Debug)]
pub struct StepCost {
    /// The kernel's name, or the primitive's.
    pub name: String,
    /// The user's line that it comes from.
    pub location: Location,
    /// Its cost.
    pub cost: Cost,
    /// How it runs.
    pub kind: StepKind,
}

impl StepCost {
    fn new(step: &Step, avals: &[Aval], sizes: &Sizes) -> StepCost {
        let bytes = |atom: &Atom| bytes_at(&atom_aval(*atom, avals), sizes);
        match step {
            Step::Kernel(kernel, location) => StepCost {
                name: kernel.name.clone(),
                location: *location,
                cost: kernel.cost(sizes),
                kind: StepKind::Kernel,
            },
            Step::Eval(eqn) => {
                let bytes_read = eqn.ins.iter().map(bytes).sum();
                let bytes_written = eqn.outs.iter().map(|binder| bytes_at(&binder.aval, sizes)).sum();
                let cost = Cost { bytes_read, bytes_written, ..Cost::default() };
                StepCost { name: eqn.prim.name().into(), location: eqn.location, cost, kind: StepKind::Interpreted }
            }
            Step::Control(step) => {
                let nested =
                    step.nested.iter().map(|nested| CostAnalysis::new(&nested.program, &nested.steps, sizes).total);
                let (cost, kind) = match &step.control {
                    Control::Scan { length, .. } => {
                        let iterations = length.at(sizes).as_usize().unwrap_or(0);
                        (nested.sum::<Cost>().times(iterations as u64), StepKind::Iterations(iterations))
                    }
                    Control::While { .. } => (nested.sum(), StepKind::AnyIterations),
                    Control::Switch { .. } => {
                        let dearest = nested.max_by_key(|cost| cost.flops + cost.transcendentals);
                        (dearest.unwrap_or_default(), StepKind::Branches)
                    }
                };
                StepCost { name: step.eqn.prim.name().into(), location: step.eqn.location, cost, kind }
            }
        }
    }
}

/// The cost of a compiled program, step by step.
#[derive(Clone, Debug)]
pub struct CostAnalysis {
    /// The steps in order.
    pub steps: Vec<StepCost>,
    /// Their sum.
    pub total: Cost,
}

impl CostAnalysis {
    pub(in crate::runtime) fn new(program: &Program, steps: &[Step], sizes: &Sizes) -> CostAnalysis {
        let avals = program.avals();
        let steps: Vec<StepCost> = steps.iter().map(|step| StepCost::new(step, &avals, sizes)).collect();
        let total = steps.iter().map(|step| step.cost).sum();
        CostAnalysis { steps, total }
    }
}

impl fmt::Display for CostAnalysis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for StepCost { name, cost, kind, .. } in &self.steps {
            let how = match kind {
                StepKind::Kernel => String::new(),
                StepKind::Interpreted => " through the interpreter".into(),
                StepKind::Iterations(iterations) => format!(" in {iterations} iterations"),
                StepKind::AnyIterations => ", each iteration".into(),
                StepKind::Branches => ", the most expensive branch".into(),
            };
            writeln!(f, "@{name}{how}: {cost}")?;
        }
        writeln!(f, "total: {}", self.total)
    }
}

/// A result that is written into an argument's memory if the last handle of that argument is moved into the call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Donation {
    /// The argument's leaf, by number.
    pub argument: usize,
    /// The result's leaf, by number.
    pub result: usize,
    /// The number of bytes that this saves.
    pub bytes: usize,
}

/// The memory of a run, in bytes; each array takes a multiple of 64.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryAnalysis {
    /// Arguments.
    pub arguments: usize,
    /// Captured constants.
    pub constants: usize,
    /// Index arrays that are composed once for each graph.
    pub composed: usize,
    /// Results that the program writes; one that is an argument or a constant takes no memory of its own.
    pub results: usize,
    /// Memory that is used only within the run: the arena and partial sums.
    pub temporaries: usize,
    /// The memory of all threads: current rows, tiles. Memory of the interpreter is not counted.
    pub threads: usize,
    /// The sum of all: the most memory in use if no argument is donated.
    pub peak: usize,
    /// How much donating arguments saves of `peak`.
    pub donations: Vec<Donation>,
}

impl MemoryAnalysis {
    pub(in crate::runtime) fn new(lowered: &KernelProgram, plan: &Plan, n_thread: usize) -> MemoryAnalysis {
        let bytes = |aval: &Aval| bytes_of(&aval.at(&plan.sizes));
        let KernelProgram { program, composed, .. } = lowered;
        let arguments = program.args.iter().map(|binder| bytes(&binder.aval)).sum();
        let constants = program.consts.iter().map(|binder| bytes(&binder.aval)).sum();
        let composed = composed.iter().map(|composed| bytes(&composed.aval)).sum();
        let (results, temporaries) = (plan.out_bytes, plan.arena_bytes + plan.partial_bytes);
        let threads = (plan.own.chunk + plan.own.scratch) * n_thread;
        let donations = plan.planned.iter().filter_map(|planned| {
            let Buffers::Out(result) = planned.buffer else { return None };
            Some(Donation { argument: plan.donors[result]?, result, bytes: bytes_of(&planned.aval) })
        });
        MemoryAnalysis {
            arguments,
            constants,
            composed,
            results,
            temporaries,
            threads,
            peak: arguments + constants + composed + results + temporaries + threads,
            donations: donations.collect(),
        }
    }

    /// The number of bytes that donating every argument saves.
    pub fn donated(&self) -> usize {
        self.donations.iter().map(|donation| donation.bytes).sum()
    }
}

impl fmt::Display for MemoryAnalysis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MemoryAnalysis { arguments, constants, composed, results, temporaries, threads, peak, .. } = self;
        writeln!(
            f,
            "arguments {arguments} bytes, constants {constants}, index arrays {composed}, results {results}, temporaries \
             {temporaries}, threads {threads}"
        )?;
        writeln!(f, "peak {peak} bytes, {} less if arguments are donated", self.donated())
    }
}
