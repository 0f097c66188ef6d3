//! Which arguments give their memory to results.

use crate::aval::Aval;
use crate::ir::{Atom, Index, Scalar, Var};
use crate::kernel::fuse::Fusion;
use crate::kernel::{Instr, LoopKind, Lowered, Part, Step};
use crate::runtime::plan::control::carry_operand;
use crate::runtime::plan::groups::GroupWork;
use crate::runtime::plan::placed::Buffers;
use crate::runtime::plan::{Plan, last_reads};
use std::collections::HashMap;

impl Plan {
    /// A result may be written into an argument of its type that nothing reads any more.
    pub(super) fn find_donors(&mut self, lowered: &Lowered, avals: &[Aval], may_take: &dyn Fn(usize, usize) -> bool) {
        let Lowered { program, fusion, steps, .. } = lowered;
        let last_reads = last_reads(fusion, steps, avals.len());
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
        let mut of_type: HashMap<&Aval, Vec<usize>> = HashMap::new();
        for (i, arg) in program.args.iter().enumerate() {
            of_type.entry(&avals[arg.var.index()]).or_default().push(i);
        }
        let planned: Vec<(Var, Buffers, usize)> =
            self.planned.iter().map(|p| (p.var, p.buffer, made[p.var.index()])).collect();
        for (var, buffer, step) in planned {
            let Buffers::Out(out) = buffer else { continue };
            let fits = |i: &usize| {
                let arg = program.args[*i].var;
                let within = || readers[arg.index()].iter().filter(|i| (together[step].start..step).contains(i));
                may_take(out, *i)
                    && match last_reads[arg.index()] {
                        None => true,
                        Some(last) if last < together[step].start => true,
                        // Within a group only rows are read that are written later, or the very element.
                        Some(last) => {
                            last <= step
                                && within().all(|i| {
                                    parts[*i].is_some()
                                        && parts[*i] == parts[step]
                                        && reads_own_rows(&steps[*i], arg, fusion)
                                })
                                && (last < step || reads_in_place(&steps[step], arg, var, fusion))
                        }
                    }
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

/// Whether a step reads `arg` only at the element that it writes, or only as the first value of the carry `out`.
fn reads_in_place(step: &Step, arg: Var, out: Var, fusion: &Fusion) -> bool {
    let kernel = match step {
        Step::Kernel(kernel, _) => kernel,
        Step::Eval(_) => return false,
        Step::Control(step) => {
            let reads = |atom: &Atom| atom.var().is_some_and(|var| fusion.memory(var) == arg);
            let first = step.eqn.outs.iter().position(|binder| binder.var == out);
            let first = first.and_then(|out| carry_operand(&step.control, out));
            let read: Vec<usize> = (0..step.eqn.ins.len()).filter(|i| reads(&step.eqn.ins[*i])).collect();
            return first.is_some_and(|first| read == [first]);
        }
    };
    // All results of a point are made before one is written, but one that is the argument itself may be read later.
    let is_arg = |scalar: &Scalar| match &kernel.body[scalar.0 as usize] {
        Instr::Load(input, _) => fusion.memory(kernel.inputs[*input as usize].0) == arg,
        _ => false,
    };
    let mut others = kernel.outputs.iter().zip(&kernel.results).filter(|((var, _), _)| *var != out);
    kernel.reads_here(arg, fusion) && !others.any(|(_, scalar)| is_arg(scalar))
}

/// Whether a step reads `arg` only at the row that it stands at: its first row loop is the first axis of both.
fn reads_own_rows(step: &Step, arg: Var, fusion: &Fusion) -> bool {
    let Step::Kernel(kernel, _) = step else { return false };
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
