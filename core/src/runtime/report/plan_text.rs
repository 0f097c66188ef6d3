//! The memory plan as text: steps with their costs, buffers with their lifetimes.

use crate::codegen::portable::{Mode, TileKernel};
use crate::kernel::{Kernel, Step};
use crate::runtime::plan::Plan;
use crate::runtime::plan::placed::{Buffers, bytes_of};
use crate::runtime::plan::work::Work;
use crate::runtime::report::cost::MemoryAnalysis;
use crate::runtime::report::roofline::Machine;
use std::fmt;

fn describe(kernel: &TileKernel) -> String {
    match kernel.mode() {
        Mode::Map => "map".into(),
        Mode::Lanes { group } => format!("reduce {group} lanes"),
        Mode::Rows { chunks: 1 } => "reduce rows".into(),
        Mode::Rows { chunks } => format!("reduce rows in {chunks} chunks"),
        Mode::Segments { .. } => "reduce segments".into(),
    }
}

/// The plan with its steps, for people.
pub(in crate::runtime) struct PlanText<'a> {
    pub(in crate::runtime) plan: &'a Plan,
    pub(in crate::runtime) steps: &'a [Step],
    pub(in crate::runtime) memory: MemoryAnalysis,
    pub(in crate::runtime) machine: Option<&'a Machine>,
}

impl PlanText<'_> {
    /// One line for each step, those of nested programs further in.
    fn write_steps(&self, f: &mut fmt::Formatter<'_>, plan: &Plan, steps: &[Step], indent: usize) -> fmt::Result {
        let pad = "  ".repeat(indent);
        for (i, (step, work)) in steps.iter().zip(&plan.work).enumerate() {
            match (step, work) {
                (Step::Kernel(kernel, _), Work::Tiles(tiles)) => {
                    let how = format!("{}, {} units of work", describe(tiles), tiles.n_unit());
                    writeln!(f, "{pad}{i:3} @{}: {how}; {}", kernel.name, self.cost(kernel, plan))?;
                }
                (Step::Kernel(kernel, _), Work::Machine(work)) => {
                    let rows = match (work.rows(), work.iterations()) {
                        (Some(rows), _) => format!("{rows} rows"),
                        (None, Some(n)) => format!("{n} rows combined"),
                        (None, None) => "on one thread".into(),
                    };
                    writeln!(f, "{pad}{i:3} @{}: machine code, {rows}; {}", kernel.name, self.cost(kernel, plan))?;
                }
                (Step::Kernel(kernel, _), Work::Product(product)) => {
                    writeln!(f, "{pad}{i:3} @{}: {product}; {}", kernel.name, self.cost(kernel, plan))?;
                }
                (Step::Eval(eqn), _) => writeln!(f, "{pad}{i:3} {}: through the interpreter", eqn.prim.name())?,
                (Step::Control(step), Work::Control(control, at)) => {
                    let bytes = control.bytes;
                    writeln!(f, "{pad}{i:3} {}: {bytes} bytes of its own, arena at {at}", step.eqn.prim.name())?;
                    for (nested, plan) in step.nested.iter().zip(&control.nested) {
                        writeln!(f, "{pad}    @{}", nested.program.name)?;
                        self.write_steps(f, plan, &nested.steps, indent + 2)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The cost of a kernel, and the share of the machine's peak that it should reach.
    fn cost(&self, kernel: &Kernel, plan: &Plan) -> String {
        let cost = kernel.cost(&plan.sizes);
        let Some(machine) = self.machine else { return cost.to_string() };
        let (bytes, ops) = (cost.bytes() as f64, cost.ops() as f64);
        let least = machine.least_s(bytes, ops) * 1e6;
        let of = if machine.is_bound_by_memory(bytes, ops) { "bytes" } else { "operations" };
        let share = 100.0 * machine.share(&cost, kernel.work(&plan.sizes));
        format!("{cost}; at least {least:.2} us for {of}, should reach {share:.0}%")
    }
}

impl fmt::Display for PlanText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PlanText { plan, steps, memory, machine } = self;
        let sizes: Vec<String> = plan.sizes.iter().map(|(symbol, size)| format!("{symbol}={size}")).collect();
        writeln!(f, "plan for {}", if sizes.is_empty() { "fixed sizes".into() } else { sizes.join(" ") })?;
        writeln!(
            f,
            "  {} steps, arena {} bytes, partial sums {}, results {}",
            steps.len(),
            plan.arena_bytes,
            plan.partial_bytes,
            plan.out_bytes
        )?;
        memory.to_string().lines().try_for_each(|line| writeln!(f, "  {line}"))?;
        if let Some(Machine { threads, bytes_per_s, flop_per_s }) = machine {
            let plural = if *threads == 1 { "" } else { "s" };
            let (bytes, ops) = (bytes_per_s / 1e9, flop_per_s / 1e9);
            writeln!(f, "the machine with {threads} thread{plural}: {bytes:.1} GB/s, {ops:.1} GFLOP/s")?;
        }
        writeln!(f, "steps")?;
        self.write_steps(f, plan, steps, 1)?;
        writeln!(f, "buffers")?;
        for p in &plan.planned {
            let place = match p.buffer {
                Buffers::Arena(at) => format!("arena at {at}"),
                Buffers::Out(i) => match plan.donors[i] {
                    Some(arg) => format!("result {i}, in the memory of argument {arg} if that is donated"),
                    None => format!("result {i}"),
                },
                Buffers::Arg(i) => format!("argument {i}"),
                Buffers::Const(i) => format!("constant {i}"),
                Buffers::Chunk(_) => "of each thread, a chunk of rows at a time".into(),
            };
            let (bytes, (from, to)) = (bytes_of(&p.aval), p.life);
            writeln!(f, "  {}: {} {bytes} bytes, steps {from}-{to}, {place}", p.var, p.aval)?;
        }
        Ok(())
    }
}
