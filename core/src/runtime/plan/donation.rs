//! Which arguments give their memory to results.
//!
//! A result may be written into an argument of its type, its donor. Whether it may depends on who reads the donor, and
//! how ([`Reading`]):
//!
//! | the reader | may read the donor |
//! | --- | --- |
//! | runs before the group of the step that writes the result | anywhere |
//! | runs in that group, before the writing step, and goes over its rows in the same way | at its own row, or at its own element |
//! | is the writing step | at the element being written, or as the first value of the carry |
//! | is any other step | not at all |
//!
//! In short: inside a group the donor may be read only at rows not yet overwritten, or at the element being written.

use crate::aval::Aval;
use crate::ir::{Atom, Index, Scalar, Var};
use crate::kernel::fuse::Fusion;
use crate::kernel::{ControlStep, Instr, Kernel, KernelProgram, LoopKind, Part, Step};
use crate::runtime::plan::Plan;
use crate::runtime::plan::control::carry_operand;
use crate::runtime::plan::groups::GroupWork;
use crate::runtime::plan::placed::Buffers;
use rustc_hash::FxHashMap;

/// How a step reads an array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reading {
    /// Only at the element that it writes, and no other result is the element read there.
    Element,
    /// Only as the initial value of the carry that is the result.
    FirstCarry,
    /// Only at its current row: its first row loop is the first axis of both.
    Row,
    /// Anywhere.
    Anywhere,
}

/// When a step reads a donor, as the step that writes the result sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum When {
    /// In the same group, before the writing step, over the same rows.
    OverSameRows,
    /// In the writing step.
    Itself,
    /// In the same group over other rows, or later.
    Late,
}

/// Whether a step that runs in the writing step's group, or later, may read the donor: the table above.
fn is_legal(when: When, reading: Reading) -> bool {
    match (when, reading) {
        (When::OverSameRows, Reading::Row | Reading::Element) => true,
        (When::Itself, Reading::Element | Reading::FirstCarry) => true,
        (When::OverSameRows, Reading::FirstCarry | Reading::Anywhere) => false,
        (When::Itself, Reading::Row | Reading::Anywhere) => false,
        (When::Late, _) => false,
    }
}

impl Plan {
    /// Finds a donor for each result that has one: an argument of its type that nothing reads any more.
    pub(super) fn find_donors(
        &mut self,
        lowered: &KernelProgram,
        avals: &[Aval],
        may_take: &dyn Fn(usize, usize) -> bool,
    ) {
        let KernelProgram { program, fusion, steps, .. } = lowered;
        let mut given = vec![false; program.args.len()];
        for var in program.outs.iter().filter_map(|out| out.var()) {
            if let Some(Buffers::Arg(i)) = self.buffers[fusion.memory(var).index()] {
                given[i] = true;
            }
        }
        let together = self.together(steps.len());
        let mut made = vec![0; avals.len()];
        let mut readers: Vec<Vec<usize>> = vec![vec![]; avals.len()];
        for (i, step) in steps.iter().enumerate() {
            step.writes().into_iter().for_each(|var| made[var.index()] = i);
            step.reads().into_iter().for_each(|var| readers[fusion.memory(var).index()].push(i));
        }
        let parts = self.parts(steps.len());
        let mut of_type: FxHashMap<&Aval, Vec<usize>> = FxHashMap::default();
        for (i, arg) in program.args.iter().enumerate() {
            of_type.entry(&avals[arg.var.index()]).or_default().push(i);
        }
        let planned: Vec<(Var, Buffers, usize)> =
            self.planned.iter().map(|p| (p.var, p.buffer, made[p.var.index()])).collect();
        for (var, buffer, writer) in planned {
            let Buffers::Out(out) = buffer else { continue };
            let when = |reader: usize| match reader {
                _ if reader == writer => When::Itself,
                _ if reader < writer && parts[reader].is_some() && parts[reader] == parts[writer] => When::OverSameRows,
                _ => When::Late,
            };
            let fits = |i: &usize| {
                let arg = program.args[*i].var;
                // A step that runs before the group may read anything.
                let mut recent = readers[arg.index()].iter().rev().take_while(|i| **i >= together[writer].start);
                may_take(out, *i) && recent.all(|i| is_legal(when(*i), Reading::of(&steps[*i], arg, var, fusion)))
            };
            let free = of_type.get_mut(&avals[var.index()]);
            let Some(free) = free else { continue };
            free.retain(|i| !given[*i]);
            if let Some(i) = free.iter().copied().find(fits) {
                given[i] = true;
                self.donors[out] = Some(i);
            }
        }
    }

    /// How each step of a group that goes through its rows goes over them.
    fn parts(&self, n: usize) -> Vec<Option<Part>> {
        let mut parts = vec![None; n];
        for group in &self.groups {
            if let GroupWork::Rows(rows) = group {
                rows.steps.clone().for_each(|step| parts[step] = rows.part(step));
            }
        }
        parts
    }
}

impl Reading {
    /// How a step reads `arg`, where it may write `out`.
    fn of(step: &Step, arg: Var, out: Var, fusion: &Fusion) -> Reading {
        match step {
            Step::Kernel(kernel, _) if reads_own_element(kernel, arg, out, fusion) => Reading::Element,
            Step::Kernel(kernel, _) if reads_own_rows(kernel, arg, fusion) => Reading::Row,
            Step::Control(step) if reads_first_carry(step, arg, out, fusion) => Reading::FirstCarry,
            Step::Kernel(..) | Step::Control(_) | Step::Eval(_) => Reading::Anywhere,
        }
    }
}

fn reads_first_carry(step: &ControlStep, arg: Var, out: Var, fusion: &Fusion) -> bool {
    let reads = |atom: &Atom| atom.var().is_some_and(|var| fusion.memory(var) == arg);
    let carry = step.eqn.outs.iter().position(|binder| binder.var == out);
    let first = carry.and_then(|carry| carry_operand(&step.control, carry));
    let read: Vec<usize> = (0..step.eqn.ins.len()).filter(|i| reads(&step.eqn.ins[*i])).collect();
    first.is_some_and(|first| read == [first])
}

fn reads_own_element(kernel: &Kernel, arg: Var, out: Var, fusion: &Fusion) -> bool {
    // All results of a point are computed before one is written, but one that is the argument itself may be read later.
    let is_arg = |scalar: &Scalar| match &kernel.body[scalar.0 as usize] {
        Instr::Load(input, _) => fusion.memory(kernel.inputs[*input as usize].0) == arg,
        _ => false,
    };
    let mut others = kernel.outputs.iter().zip(&kernel.results).filter(|((var, _), _)| *var != out);
    kernel.reads_here(arg, fusion) && !others.any(|(_, scalar)| is_arg(scalar))
}

fn reads_own_rows(kernel: &Kernel, arg: Var, fusion: &Fusion) -> bool {
    let is_row = |index: &Index| match index {
        Index::Affine { constant, terms } => {
            *constant == 0usize && terms.len() == 1 && terms[0].0 == 0 && terms[0].1 == 1usize
        }
        Index::Value(_) => false,
    };
    kernel.inputs.iter().enumerate().filter(|(_, (var, _))| fusion.memory(*var) == arg).all(|(input, (var, _))| {
        let loads = kernel.body.iter().filter_map(|instr| match instr {
            Instr::Load(i, index) if *i as usize == input => Some(index),
            _ => None,
        });
        let named = kernel
            .loops
            .iter()
            .any(|l| matches!(l.kind, LoopKind::Segment { offsets, .. } if offsets as usize == input));
        *var == arg && !named && kernel.n_row() > 0 && loads.into_iter().all(|index| index.first().is_some_and(is_row))
    })
}
