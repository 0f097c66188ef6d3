//! Loops and branches: their memory, and how a team of threads runs them.
//!
//! A nested program has a plan of its own. Every thread keeps its own table of where the nested program's arrays are and
//! changes it from turn to turn; nothing is copied but what a turn gives back without having computed it.

use crate::aval::{Aval, Literal, Sizes};
use crate::codegen::x86::Code;
use crate::device::HostArray;
use crate::error::Error;
use crate::ir::{Atom, Control, Var};
use crate::kernel::{ControlStep, Lowered};
use crate::runtime::cpu::{Frame, Team, run_steps};
use crate::runtime::machine::StepCode;
use crate::runtime::plan::{Buffers, Codes, Plan, bytes_of};
use crate::with_data;

/// The operand with which the carry `out` begins, for a result that is the carry of a loop.
pub(super) fn carry_operand(control: &Control, out: usize) -> Option<usize> {
    match control {
        // Behind the carries stand rows: no operand is the first value of those.
        Control::Scan { n_const, n_carry, .. } => (out < *n_carry).then_some(n_const + out),
        Control::While { n_cond_const, n_body_const, .. } => Some(n_cond_const + n_body_const + out),
        Control::Switch { .. } => None,
    }
}

/// What a result of a nested program is.
#[derive(Clone, Copy, Debug)]
enum Given {
    /// A step writes it where it belongs, or it is there already.
    Written,
    /// What this variable is.
    Copied(Var),
    /// A number.
    Literal(Literal),
}

/// Where a carry is from turn to turn.
#[derive(Clone, Copy, Debug)]
enum Carry {
    /// Where the result is: a turn changes it in place.
    InPlace,
    /// In two places by turns: the result's, and one at this byte of the step's memory.
    ByTurns(usize),
}

/// The memory of a loop or a branch, for given sizes.
#[derive(Debug)]
pub(super) struct ControlPlan {
    /// The plans of the nested programs.
    pub(super) nested: Vec<Plan>,
    /// The bytes of the step's own memory: what nested programs need, carries, numbers.
    pub(super) bytes: usize,
    /// Where the memory of each nested program begins.
    arenas: Vec<usize>,
    /// What the results of each nested program are.
    given: Vec<Vec<Given>>,
    carries: Vec<Carry>,
    /// Operands that are numbers, and where they are put.
    literals: Vec<(usize, usize, Literal)>,
    /// Where the results of a loop's condition are.
    predicate: usize,
    /// How many turns, where that is fixed.
    length: usize,
}

impl ControlPlan {
    pub(super) fn new(
        step: &ControlStep,
        codes: &[Code],
        nested_codes: &[Vec<StepCode>],
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
            let step_codes = nested_codes.get(i).map_or(&[][..], Vec::as_slice);
            let nested = Plan::new(lowered, Codes::Here(codes, step_codes), sizes, &is_carry)?;
            plan.arenas.push(plan.bytes);
            plan.bytes += (nested.arena_bytes + nested.partial_bytes).next_multiple_of(64);
            let given: Vec<Given> =
                (0..lowered.program.outs.len()).map(|out| given(lowered, &nested, out, &is_carry)).collect();
            if is_body {
                for (out, given) in given.iter().enumerate().take(n_carry) {
                    let taken = nested.donors[out] == Some(first + out);
                    let stays = is_argument(lowered, &nested, out, first + out);
                    let in_place = matches!(given, Given::Written) && (taken || stays);
                    let carry = if in_place { Carry::InPlace } else { Carry::ByTurns(plan.take(&nested.outs[out])) };
                    plan.carries.push(carry);
                }
            }
            plan.given.push(given);
            plan.nested.push(nested);
        }
        for (i, atom) in step.eqn.ins.iter().enumerate() {
            if let Atom::Literal(literal) = atom {
                let at = plan.take(&Aval::scalar(literal.dtype()));
                plan.literals.push((i, at, *literal));
            }
        }
        plan.predicate = plan.take(&Aval::scalar(crate::aval::DType::Bool));
        Ok(plan)
    }

    fn take(&mut self, aval: &Aval) -> usize {
        self.bytes += bytes_of(aval).max(64);
        self.bytes - bytes_of(aval).max(64)
    }
}

fn unknown_length(step: &ControlStep, length: &str) -> Error {
    Error::Call(format!("{}: the length `{length}` is not known\n  at {}", step.eqn.prim.name(), step.eqn.location))
}

/// Whether a result is an argument as it is.
fn is_argument(lowered: &Lowered, plan: &Plan, out: usize, arg: usize) -> bool {
    lowered.program.outs[out]
        .var()
        .is_some_and(|var| plan.buffers[lowered.fusion.memory(var).index()] == Some(Buffers::Arg(arg)))
}

fn given(lowered: &Lowered, plan: &Plan, out: usize, is_carry: &dyn Fn(usize, usize) -> bool) -> Given {
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

/// A running loop or branch, as one thread sees it.
struct Running<'a> {
    step: &'a ControlStep,
    plan: &'a ControlPlan,
    /// The step's own memory.
    memory: *mut u8,
    operands: Vec<*mut u8>,
    results: Vec<*mut u8>,
}

/// Runs a loop or a branch; all threads of the team do so together.
///
/// # Safety
/// `outer` must hold valid memory for everything that the step reads and writes, and `memory` the plan's bytes.
pub(super) unsafe fn run(
    step: &ControlStep,
    plan: &ControlPlan,
    outer: &Frame,
    memory: *mut u8,
    team: &mut Team<'_, '_>,
) {
    let operand = |(i, atom): (usize, &Atom)| match atom {
        Atom::Var(var) => outer.pointers[var.index()],
        Atom::Literal(_) => {
            let at = plan.literals.iter().find(|(operand, ..)| *operand == i).map_or(0, |(_, at, _)| *at);
            memory.wrapping_add(at)
        }
    };
    let running = Running {
        step,
        plan,
        memory,
        operands: step.eqn.ins.iter().enumerate().map(operand).collect(),
        results: step.eqn.outs.iter().map(|binder| outer.pointers[binder.var.index()]).collect(),
    };
    if team.is_first() {
        for (i, _, literal) in &plan.literals {
            // SAFETY: the plan keeps room for each number.
            unsafe { write_literal(running.operands[*i], *literal) }
        }
    }
    team.wait();
    // SAFETY: by this function's contract.
    unsafe {
        match &step.control {
            Control::Scan { n_const, reverse, .. } => running.scan(*n_const, *reverse, team),
            Control::While { n_cond_const, n_body_const, .. } => running.turns(*n_cond_const, *n_body_const, team),
            Control::Switch { .. } => running.branch(team),
        }
    }
}

impl Running<'_> {
    fn nested(&self, i: usize) -> (&Lowered, &Plan) {
        (&self.step.nested[i], &self.plan.nested[i])
    }

    /// Runs a nested program once.
    ///
    /// # Safety
    /// The memory must be valid for the program's arguments and results.
    unsafe fn once(&self, i: usize, args: &[*mut u8], outs: &[*mut u8], team: &mut Team<'_, '_>) {
        let (lowered, plan) = self.nested(i);
        let frame = Frame::new(plan, args, &[], outs, self.memory.wrapping_add(self.plan.arenas[i]));
        // SAFETY: by this function's contract; the nested arena is within the step's memory.
        unsafe { run_steps(&lowered.steps, plan, &frame, team) }
        if self.plan.given[i].iter().all(|given| matches!(given, Given::Written)) {
            return;
        }
        if team.is_first() {
            for ((given, out), aval) in self.plan.given[i].iter().zip(outs).zip(&plan.outs) {
                // SAFETY: a result's memory holds its elements, and is no other array's.
                unsafe {
                    match given {
                        Given::Written => {}
                        Given::Copied(var) => copy(frame.pointers[var.index()], *out, aval),
                        Given::Literal(literal) => write_literal(*out, *literal),
                    }
                }
            }
        }
        team.wait();
    }

    /// The carries' places: where each is now, and where the next turn writes it.
    ///
    /// # Safety
    /// As [`run`].
    unsafe fn begin(&self, first: usize, team: &mut Team<'_, '_>) -> Carries<'_> {
        let places = self.plan.carries.iter().enumerate().map(|(k, carry)| {
            let (init, result) = (self.operands[first + k], self.results[k]);
            match carry {
                Carry::InPlace => [result, result],
                // The result's memory may be the first value's.
                Carry::ByTurns(at) if init == result => [init, self.memory.wrapping_add(*at)],
                Carry::ByTurns(_) => [init, result],
            }
        });
        let carries = Carries { running: self, places: places.collect() };
        let copied = self.plan.carries.iter().enumerate().filter(|(_, carry)| matches!(carry, Carry::InPlace));
        if team.is_first() {
            for (k, _) in copied {
                // SAFETY: both hold the carry's elements.
                unsafe { copy(self.operands[first + k], self.results[k], &carries.avals()[k]) }
            }
        }
        team.wait();
        carries
    }

    /// # Safety
    /// As [`run`].
    unsafe fn scan(&self, n_const: usize, reverse: bool, team: &mut Team<'_, '_>) {
        // SAFETY: as of this function.
        let mut carries = unsafe { self.begin(n_const, team) };
        let n_carry = carries.places.len();
        let (lowered, plan) = self.nested(0);
        let bytes = |aval: &Aval| aval.volume().as_usize().unwrap_or(0) * aval.dtype.size();
        let rows: Vec<usize> =
            lowered.program.args[n_const + n_carry..].iter().map(|b| bytes(&plan.avals[b.var.index()])).collect();
        let result_rows: Vec<usize> = plan.outs[n_carry..].iter().map(bytes).collect();
        let row = |start: &*mut u8, bytes: &usize, i: usize| start.wrapping_add(bytes * i);
        for turn in 0..self.plan.length {
            let i = if reverse { self.plan.length - 1 - turn } else { turn };
            let mut args = self.operands[..n_const].to_vec();
            args.extend(carries.places.iter().map(|[now, _]| *now));
            args.extend(
                self.operands[n_const + n_carry..].iter().zip(&rows).map(|(start, bytes)| row(start, bytes, i)),
            );
            let mut outs: Vec<*mut u8> = carries.places.iter().map(|[_, next]| *next).collect();
            outs.extend(self.results[n_carry..].iter().zip(&result_rows).map(|(start, bytes)| row(start, bytes, i)));
            // SAFETY: rows are within their arrays; carries are where the plan put them.
            unsafe { self.once(0, &args, &outs, team) }
            carries.turn();
        }
        // SAFETY: as above.
        unsafe { carries.end(team) }
    }

    /// # Safety
    /// As [`run`].
    unsafe fn turns(&self, n_cond_const: usize, n_body_const: usize, team: &mut Team<'_, '_>) {
        // SAFETY: as of this function.
        let mut carries = unsafe { self.begin(n_cond_const + n_body_const, team) };
        let predicate = self.memory.wrapping_add(self.plan.predicate);
        loop {
            let now: Vec<*mut u8> = carries.places.iter().map(|[now, _]| *now).collect();
            let next: Vec<*mut u8> = carries.places.iter().map(|[_, next]| *next).collect();
            let with = |consts: &[*mut u8]| [consts, &now].concat();
            // SAFETY: as above; the predicate is one byte, 0 or 1, and no thread writes it before all have read it.
            unsafe {
                self.once(0, &with(&self.operands[..n_cond_const]), &[predicate], team);
                let goes_on = *predicate != 0 && !team.has_failed();
                team.wait();
                if !goes_on {
                    break;
                }
                self.once(1, &with(&self.operands[n_cond_const..n_cond_const + n_body_const]), &next, team);
            }
            carries.turn();
        }
        // SAFETY: as above.
        unsafe { carries.end(team) }
    }

    /// # Safety
    /// As [`run`].
    unsafe fn branch(&self, team: &mut Team<'_, '_>) {
        // SAFETY: the number of a branch is an `i32`.
        let which = unsafe { self.operands[0].cast::<i32>().read_unaligned() };
        let which = which.clamp(0, self.step.nested.len() as i32 - 1) as usize;
        // SAFETY: as of this function.
        unsafe { self.once(which, &self.operands[1..], &self.results, team) }
    }
}

/// Where the carries of a running loop are.
struct Carries<'a> {
    running: &'a Running<'a>,
    /// Where each is now, and where the next turn writes it.
    places: Vec<[*mut u8; 2]>,
}

impl Carries<'_> {
    fn avals(&self) -> &[Aval] {
        self.running.plan.nested.last().map_or(&[], |body| &body.outs)
    }

    /// What was written is what is read from now on.
    fn turn(&mut self) {
        for (k, [now, next]) in self.places.iter_mut().enumerate() {
            if let Carry::ByTurns(at) = self.running.plan.carries[k] {
                let result = self.running.results[k];
                *now = *next;
                *next = if *now == result { self.running.memory.wrapping_add(at) } else { result };
            }
        }
    }

    /// Brings every carry to where the result must be.
    ///
    /// # Safety
    /// As [`run`].
    unsafe fn end(&self, team: &mut Team<'_, '_>) {
        if team.is_first() {
            for (k, [now, _]) in self.places.iter().enumerate() {
                // SAFETY: both hold the carry's elements.
                unsafe { copy(*now, self.running.results[k], &self.avals()[k]) }
            }
        }
    }
}

/// # Safety
/// Both must hold an array of this type, and be the same place or share none.
unsafe fn copy(from: *mut u8, to: *mut u8, aval: &Aval) {
    let bytes = aval.volume().as_usize().unwrap_or(0) * aval.dtype.size();
    if from != to && bytes > 0 {
        // SAFETY: by this function's contract.
        unsafe { std::ptr::copy_nonoverlapping(from.cast_const(), to, bytes) }
    }
}

/// # Safety
/// `to` must hold one element of the literal's type.
unsafe fn write_literal(to: *mut u8, literal: Literal) {
    let array = HostArray::scalar(literal);
    with_data!(array.data(), xs => {
        // SAFETY: by this function's contract.
        unsafe { std::ptr::copy_nonoverlapping(xs.as_ptr(), to.cast(), 1) }
    });
}
