//! Which steps run as machine code, and how a thread runs its share of one.

use crate::aval::Sizes;
use crate::codegen::x86::{ARGS, BEGIN, Code, END, EXTENT, POSITION, Pages, gives_masked};
use crate::error::Error;
use crate::ir::Var;
use crate::kernel::{Kernel, Lowered, LoopKind, Step};
use crate::runtime::executable::Target;
use std::collections::HashSet;

/// The machine code of a program's steps, by number of the function in the executable's pages.
#[derive(Debug)]
pub(super) enum StepCode {
    /// Not as machine code.
    None,
    Function(usize),
    /// Those of nested programs.
    Nested(Vec<Vec<StepCode>>),
}

/// All functions of an executable.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) pages: Pages,
    pub(super) codes: Vec<Code>,
    pub(super) steps: Vec<StepCode>,
}

impl Machine {
    /// Compiles the kernels that the target can.
    pub(super) fn new(lowered: &Lowered, target: Target) -> Result<Machine, Error> {
        let mut codes = vec![];
        let steps = if target == Target::Portable { vec![] } else { compile_steps(&lowered.steps, &mut codes) };
        Ok(Machine { pages: Pages::new(codes.iter())?, codes, steps })
    }
}

impl Machine {
    /// The code of all steps as text.
    pub(super) fn listing(&self, lowered: &Lowered) -> String {
        let mut text = String::new();
        self.list(&lowered.steps, &self.steps, &mut text);
        text
    }

    fn list(&self, steps: &[Step], codes: &[StepCode], text: &mut String) {
        for (i, step) in steps.iter().enumerate() {
            match (step, codes.get(i)) {
                (Step::Kernel(kernel, _), Some(StepCode::Function(i))) => {
                    let code = &self.codes[*i];
                    text.push_str(&format!("@{}: {} bytes\n{}\n", kernel.name, code.bytes().len(), code.listing()));
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

fn compile_steps(steps: &[Step], codes: &mut Vec<Code>) -> Vec<StepCode> {
    let mut masked_vars: HashSet<Var> = HashSet::new();
    let compile = |step: &Step| match step {
        Step::Kernel(kernel, _) => {
            let masked: Vec<bool> = kernel.inputs.iter().map(|(var, _)| masked_vars.contains(var)).collect();
            let outputs = (0..kernel.outputs.len()).filter(|k| gives_masked(kernel, *k, &masked));
            masked_vars.extend(outputs.map(|k| kernel.outputs[k].0));
            match Code::new(kernel, Code::first_loop(kernel), &masked) {
                Ok(code) => {
                    codes.push(code);
                    StepCode::Function(codes.len() - 1)
                }
                Err(_) => StepCode::None,
            }
        }
        Step::Eval(_) => StepCode::None,
        Step::Control(step) => {
            StepCode::Nested(step.nested.iter().map(|nested| compile_steps(&nested.steps, codes)).collect())
        }
    };
    steps.iter().map(compile).collect()
}

/// A step that runs as machine code, for given sizes.
#[derive(Debug)]
pub(super) struct MachineWork {
    pub(super) function: usize,
    /// Turns of the loop that is divided; `None` where one thread runs the whole.
    pub(super) rows: Option<usize>,
    /// The input that says how much work each row is.
    pub(super) offsets: Option<usize>,
    sizes: Vec<u64>,
}

impl MachineWork {
    pub(super) fn new(kernel: &Kernel, code: &Code, function: usize, sizes: &Sizes) -> MachineWork {
        let rows = code.partition.map(|l| kernel.loops[l].extent.at(sizes).as_usize().unwrap_or(0));
        let offsets = kernel.loops.iter().find_map(|l| match l.kind {
            LoopKind::Segment { segment, offsets } if code.partition == Some(segment as usize) => {
                Some(offsets as usize)
            }
            _ => None,
        });
        MachineWork { function, rows, offsets, sizes: code.sizes(sizes) }
    }

    /// The table of arguments for arrays that begin at these places.
    pub(super) fn table(&self, arrays: impl Iterator<Item = *mut u8>) -> Vec<u64> {
        let mut table = vec![0; ARGS];
        table.extend(arrays.map(|array| array as u64));
        table.extend(&self.sizes);
        table
    }

    /// Runs a range of rows.
    ///
    /// # Safety
    /// As for [`Pages::call`]; the table must be of this step.
    pub(super) unsafe fn run(
        &self,
        pages: &Pages,
        table: &mut [u64],
        rows: std::ops::Range<usize>,
    ) -> Result<(), (i64, i64)> {
        table[BEGIN] = rows.start as u64;
        table[END] = rows.end as u64;
        // SAFETY: by this function's contract.
        if unsafe { pages.call(self.function, table) } {
            return Ok(());
        }
        Err((table[POSITION] as i64, table[EXTENT] as i64))
    }
}
