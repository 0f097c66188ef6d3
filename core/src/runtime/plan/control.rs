//! The memory of loops and branches, for every device.

use crate::aval::{Aval, Literal, Sizes};
use crate::error::Error;
use crate::ir::{Atom, Control, Var};
use crate::kernel::{ControlStep, KernelProgram};
use crate::runtime::plan::Plan;
use crate::runtime::plan::placed::{Buffers, bytes_of};
use crate::runtime::plan::sizes::sum;
use crate::runtime::plan::work::Codes;

/// The operand with the initial value of the carry `out`, for a result that is the carry of a loop.
pub(in crate::runtime) fn carry_operand(control: &Control, out: usize) -> Option<usize> {
    match control {
        // Rows come after the carries: no operand is their initial value.
        Control::Scan { n_const, n_carry, .. } => (out < *n_carry).then_some(n_const + out),
        Control::While { n_cond_const, n_body_const, .. } => Some(n_cond_const + n_body_const + out),
        Control::Switch { .. } => None,
    }
}

/// How a nested program produces a result.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) enum Given {
    /// A step writes it to its place, or it is there already.
    Written,
    /// It is a copy of this variable.
    Copied(Var),
    /// A number.
    Literal(Literal),
}

/// Where a carry is from iteration to iteration.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) enum Carry {
    /// In the result's place: an iteration updates it in place.
    InPlace,
    /// Double-buffered: in the result's place and at this byte of the step's memory, alternately.
    DoubleBuffered(usize),
}

/// The memory of a loop or a branch, for given sizes.
#[derive(Debug)]
pub(in crate::runtime) struct ControlPlan {
    /// The plans of the nested programs.
    pub(in crate::runtime) nested: Vec<Plan>,
    /// The bytes of the step's own memory: the needs of nested programs, carries, numbers.
    pub(in crate::runtime) bytes: usize,
    /// Where the memory of each nested program starts.
    pub(in crate::runtime) arenas: Vec<usize>,
    /// How each nested program produces its results.
    pub(in crate::runtime) given: Vec<Vec<Given>>,
    pub(in crate::runtime) carries: Vec<Carry>,
    /// Operands that are numbers, and where they are written.
    pub(in crate::runtime) literals: Vec<(usize, usize, Literal)>,
    /// Where the results of a loop's condition are.
    pub(in crate::runtime) predicate: usize,
    /// The number of iterations, if it is fixed.
    pub(in crate::runtime) length: usize,
}

impl ControlPlan {
    /// `codes` are those of the program that contains the step, and the step is number `at` of it.
    pub(in crate::runtime) fn new(
        step: &ControlStep,
        codes: Codes<'_>,
        at: usize,
        sizes: &Sizes,
    ) -> Result<ControlPlan, Error> {
        let mut plan = ControlPlan {
            nested: vec![],
            bytes: 0,
            arenas: vec![],
            given: vec![],
            carries: vec![],
            literals: vec![],
            predicate: 0,
            length: 0,
        };
        // Which argument of the body, the last nested program of a loop, is the first carry.
        let (first, n_carry) = match &step.control {
            Control::Scan { n_const, n_carry, length, .. } => {
                let length = length.at(sizes);
                plan.length = length.as_usize().ok_or_else(|| unknown_length(step, &length.to_string()))?;
                (*n_const, *n_carry)
            }
            Control::While { n_body_const, .. } => (*n_body_const, step.eqn.outs.len()),
            Control::Switch { .. } => (0, 0),
        };
        for (i, lowered) in step.nested.iter().enumerate() {
            let is_body = i + 1 == step.nested.len();
            let is_carry = |out: usize, arg: usize| is_body && out < n_carry && arg == first + out;
            let nested = Plan::new(lowered, codes.nested(at, i), sizes, &is_carry)?;
            plan.arenas.push(plan.bytes);
            let bytes = (nested.arena_bytes + nested.partial_bytes).next_multiple_of(64);
            plan.bytes = sum(&lowered.program, [plan.bytes, bytes])?;
            let given: Vec<Given> =
                (0..lowered.program.outs.len()).map(|out| given(lowered, &nested, out, &is_carry)).collect();
            if is_body {
                for (out, given) in given.iter().enumerate().take(n_carry) {
                    let taken = nested.donors[out] == Some(first + out);
                    let stays = is_argument(lowered, &nested, out, first + out);
                    let in_place = matches!(given, Given::Written) && (taken || stays);
                    let carry = if in_place {
                        Carry::InPlace
                    } else {
                        Carry::DoubleBuffered(plan.take(lowered, &nested.outs[out])?)
                    };
                    plan.carries.push(carry);
                }
            }
            plan.given.push(given);
            plan.nested.push(nested);
        }
        for (i, atom) in step.eqn.ins.iter().enumerate() {
            if let Atom::Literal(literal) = atom {
                plan.literals.push((i, plan.bytes, *literal));
                plan.bytes += 64;
            }
        }
        plan.predicate = plan.bytes;
        plan.bytes += 64;
        Ok(plan)
    }

    /// Memory for a carry of a loop's body.
    fn take(&mut self, body: &KernelProgram, aval: &Aval) -> Result<usize, Error> {
        let at = self.bytes;
        self.bytes = sum(&body.program, [at, bytes_of(aval).max(64)])?;
        Ok(at)
    }
}

fn unknown_length(step: &ControlStep, length: &str) -> Error {
    Error::Call(format!("{}: the length `{length}` is not known\n  at {}", step.eqn.prim.name(), step.eqn.location))
}

/// Whether a result is an argument unchanged.
fn is_argument(lowered: &KernelProgram, plan: &Plan, out: usize, arg: usize) -> bool {
    lowered.program.outs[out]
        .var()
        .is_some_and(|var| plan.buffers[lowered.fusion.memory(var).index()] == Some(Buffers::Arg(arg)))
}

fn given(lowered: &KernelProgram, plan: &Plan, out: usize, is_carry: &dyn Fn(usize, usize) -> bool) -> Given {
    match lowered.program.outs[out] {
        Atom::Literal(literal) => Given::Literal(literal),
        Atom::Var(var) => {
            let memory = lowered.fusion.memory(var);
            match plan.buffers[memory.index()] {
                Some(Buffers::Out(o)) if o == out => Given::Written,
                Some(Buffers::Arg(arg)) if is_carry(out, arg) => Given::Written,
                _ => Given::Copied(memory),
            }
        }
    }
}

/// Planted mistakes, to test that they are found.
impl ControlPlan {
    /// Puts the memory of all nested programs at the end of the step's, where carries and numbers are.
    pub(in crate::runtime) fn plant_arena(&mut self) {
        let end = self.bytes - 64;
        self.arenas.fill(end);
    }

    /// Updates every carry in place.
    pub(in crate::runtime) fn plant_in_place(&mut self) {
        self.carries.fill(Carry::InPlace);
    }
}
