//! What a compiled program costs, known before its first run: arithmetic, traffic, memory.

use crate::aval::{Aval, Sizes};
use crate::ir::{Atom, Control, Location, Program, atom_aval};
use crate::kernel::{Cost, KernelProgram, Step, bytes_at};
use crate::runtime::plan::Plan;
use crate::runtime::plan::placed::{Buffers, bytes_of};
use std::fmt;

/// How a step runs, as far as its cost is known by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepKind {
    /// As a kernel: everything is counted.
    Kernel,
    /// Through the interpreter: only the bytes of operands and outputs are counted.
    Interpreted,
    /// A loop with this many iterations.
    Turns(usize),
    /// A loop that ends when it likes: one turn of it is counted.
    AnyTurns,
    /// One of several programs: the one with the most operations is counted.
    Branches,
}

/// What one step costs.
#[derive(Clone, Debug)]
pub struct StepCost {
    /// The kernel's name, or the primitive's.
    pub name: String,
    /// The user's line that it comes from.
    pub location: Location,
    /// What it costs.
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
                        let turns = length.at(sizes).as_usize().unwrap_or(0);
                        (nested.sum::<Cost>().times(turns as u64), StepKind::Turns(turns))
                    }
                    Control::While { .. } => (nested.sum(), StepKind::AnyTurns),
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

/// What a compiled program costs, step by step.
#[derive(Clone, Debug)]
pub struct CostAnalysis {
    /// The steps in order.
    pub steps: Vec<StepCost>,
    /// All of them together.
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
                StepKind::Turns(turns) => format!(" in {turns} turns"),
                StepKind::AnyTurns => ", each turn".into(),
                StepKind::Branches => ", the dearest branch".into(),
            };
            writeln!(f, "@{name}{how}: {cost}")?;
        }
        writeln!(f, "total: {}", self.total)
    }
}

/// A result that is written into an argument's memory where the last handle of that argument is moved into the call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Donation {
    /// The argument's leaf, by number.
    pub argument: usize,
    /// The result's leaf, by number.
    pub result: usize,
    /// How many bytes that saves.
    pub bytes: usize,
}

/// The memory of a run, in bytes; each array takes a multiple of 64.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryAnalysis {
    /// Arguments.
    pub arguments: usize,
    /// Captured constants.
    pub constants: usize,
    /// Index arrays that are put together once for each graph.
    pub composed: usize,
    /// Results that the program writes; one that is an argument or a constant takes no memory of its own.
    pub results: usize,
    /// What lives within the run: the arena and partial sums.
    pub temporaries: usize,
    /// What all threads have of their own: rows at hand, tiles. What runs through the interpreter is not counted.
    pub threads: usize,
    /// All of it together: what is held at most where no argument is given away.
    pub peak: usize,
    /// What giving arguments away saves of `peak`.
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

    /// Bytes that giving every argument away saves.
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
        writeln!(f, "peak {peak} bytes, {} less where arguments are given away", self.donated())
    }
}
