//! Loops and branches, driven as in a run.

use crate::aval::{Aval, Literal};
use crate::error::Error;
use crate::ir::{Atom, Control};
use crate::kernel::{ControlStep, KernelProgram};
use crate::runtime::check::element_bytes;
use crate::runtime::check::memory::{Content, Tag};
use crate::runtime::check::program::{Running, Walk};
use crate::runtime::loops::{Engine, drive};
use crate::runtime::plan::Plan;
use crate::runtime::plan::control::ControlPlan;
use crate::runtime::plan::frame::Frame;
use crate::runtime::plan::placed::Buffers;

/// The number of a loop's iterations that are checked.
const ITERATIONS: usize = 3;
/// A scan of more iterations is left after those that are checked.
const MANY: usize = 1000;

/// A loop or a branch that is being simulated.
struct Simulated<'w, 'a> {
    walk: &'w mut Walk,
    step: &'a ControlStep,
    /// The number of iterations of a scan.
    length: usize,
    /// The contents of the operands at the start.
    operands: Vec<Content>,
    /// How many iterations have started, or how often a condition was evaluated.
    iteration: usize,
    /// The branch to be taken.
    branch: usize,
    /// The results of the last iteration, or of the branch.
    last: Option<Vec<Content>>,
    /// The results of a scan's iterations, by row.
    iterations: Vec<(usize, Vec<Content>)>,
    /// Whether the scan was left before its end.
    is_left: bool,
}

impl Walk {
    /// Runs a loop or a branch whose own memory starts at `base`.
    pub(super) fn nested(
        &mut self,
        running: &mut Running<'_>,
        step: &ControlStep,
        plan: &ControlPlan,
        base: u64,
    ) -> Result<(), String> {
        let own = base..base + plan.bytes as u64;
        let operand = |atom: &Atom| match atom {
            Atom::Literal(literal) => Ok(Content::of_literal(*literal)),
            Atom::Var(var) => running.holds(*var).cloned(),
        };
        let operands: Vec<Content> = step.eqn.ins.iter().map(operand).collect::<Result<_, _>>()?;
        let n_run = if matches!(step.control, Control::Switch { .. }) { step.nested.len() } else { 1 };
        let length = match &step.control {
            Control::Scan { length, .. } => length.at(&running.plan.sizes).as_usize().unwrap_or(0),
            Control::While { .. } | Control::Switch { .. } => 0,
        };
        // No other array lies in the step's own memory.
        self.memory.write(own.clone(), None).map_err(|why| format!("the step's own memory {why}"))?;
        let before = self.memory.clone();
        let mut left = None;
        for branch in 0..n_run {
            self.memory = before.clone();
            let mut simulated = Simulated {
                walk: self,
                step,
                length,
                operands: operands.clone(),
                iteration: 0,
                branch,
                last: None,
                iterations: vec![],
                is_left: false,
            };
            // SAFETY: a place is only a number here, and only tags are read or written.
            let driven = unsafe { drive(step, plan, running.frame, base, &mut simulated) };
            driven.or_else(|error| if simulated.is_left { Ok(()) } else { Err(error.to_string()) })?;
            let (results, is_left) = (simulated.wanted(), simulated.is_left);
            for (number, wanted, from) in results {
                let start = running.range(step.eqn.outs[number].var).start + from;
                let found = self.memory.read(start..start + wanted.bytes());
                if found.map_err(|why| format!("result {number} {why}"))? != wanted {
                    return Err(format!("result {number} does not hold the result of an iteration"));
                }
            }
            for binder in step.eqn.outs.iter().filter(|_| is_left) {
                let (range, tag) = (running.range(binder.var), self.memory.tag());
                self.memory.write(range, Some(tag))?;
            }
            if let Some(other) = left.replace(self.memory.clone()) {
                self.memory.meet(&other);
                left = Some(self.memory.clone());
            }
        }
        // Each branch leaves its own results: the contents count as one write.
        for binder in &step.eqn.outs {
            let range = running.range(binder.var);
            if n_run > 1 {
                let tag = self.memory.tag();
                self.memory.write(range.clone(), Some(tag))?;
            }
            running.set(binder.var, self.memory.read(range).map_err(|why| format!("{} {why}", binder.var))?);
        }
        self.memory.write(own, None)?;
        Ok(())
    }
}

impl Simulated<'_, '_> {
    /// The required contents of parts of the results: the result's number, the contents, and where they start.
    fn wanted(&self) -> Vec<(usize, Content, u64)> {
        let (n_carry, first) = match &self.step.control {
            Control::Scan { n_const, n_carry, .. } => (*n_carry, *n_const),
            Control::While { n_cond_const, n_body_const, .. } => {
                (self.step.eqn.outs.len(), n_cond_const + n_body_const)
            }
            Control::Switch { .. } => (self.step.eqn.outs.len(), 0),
        };
        let carries = self.last.clone().unwrap_or_else(|| self.operands[first..first + n_carry].to_vec());
        let there = if self.is_left { 0 } else { n_carry };
        let mut wanted: Vec<_> =
            carries.into_iter().take(there).enumerate().map(|(number, content)| (number, content, 0)).collect();
        for (row, results) in &self.iterations {
            for (number, content) in results.iter().enumerate().skip(n_carry) {
                wanted.push((number, content.clone(), *row as u64 * content.bytes()));
            }
        }
        wanted
    }

    /// The required contents of argument `arg` of nested program `i`, of this many bytes.
    fn argument(&self, i: usize, arg: usize, bytes: u64) -> Content {
        let carry = |k: usize, operand: usize| match &self.last {
            Some(last) => last[k].clone(),
            None => self.operands[operand].clone(),
        };
        match &self.step.control {
            Control::Scan { n_const, n_carry, .. } => {
                if arg < *n_const {
                    self.operands[arg].clone()
                } else if arg < n_const + n_carry {
                    carry(arg - n_const, arg)
                } else {
                    let start = self.row() as u64 * bytes;
                    self.operands[arg].part(start..start + bytes)
                }
            }
            Control::While { n_cond_const, n_body_const, .. } => {
                let (first, n_const) = if i == 0 { (0, *n_cond_const) } else { (*n_cond_const, *n_body_const) };
                if arg < n_const {
                    self.operands[first + arg].clone()
                } else {
                    carry(arg - n_const, n_cond_const + n_body_const + arg - n_const)
                }
            }
            Control::Switch { .. } => self.operands[1 + arg].clone(),
        }
    }

    /// The row that a scan is at.
    fn row(&self) -> usize {
        match &self.step.control {
            Control::Scan { reverse: true, .. } => self.length - 1 - self.iteration,
            _ => self.iteration,
        }
    }

    /// Writes what an iteration writes that is like those before it.
    fn like_before(
        &mut self,
        lowered: &KernelProgram,
        plan: &Plan,
        frame: &Frame<u64>,
    ) -> Result<Vec<Content>, String> {
        for planned in &plan.planned {
            if let Buffers::Out(_) = planned.buffer {
                let (start, tag) = (frame.pointers[planned.var.index()], self.walk.memory.tag());
                let end = start + element_bytes(plan, planned.var.index());
                self.walk.memory.write(start..end, Some(tag))?;
            }
        }
        self.walk.results_there(lowered, plan, frame)
    }
}

fn wrong(why: impl Into<String>) -> Error {
    Error::Verify(why.into())
}

impl Engine for Simulated<'_, '_> {
    type Place = u64;

    unsafe fn run(&mut self, i: usize, lowered: &KernelProgram, plan: &Plan, frame: &Frame<u64>) -> Result<(), Error> {
        let is_iteration = i + 1 == self.step.nested.len() || matches!(self.step.control, Control::Switch { .. });
        let is_scan = matches!(self.step.control, Control::Scan { .. });
        if is_scan && self.iteration >= ITERATIONS && self.length > MANY {
            self.is_left = true;
            return Err(wrong("the other iterations are like those before"));
        }
        let results = if is_scan && self.iteration >= ITERATIONS {
            self.like_before(lowered, plan, frame).map_err(wrong)?
        } else {
            for (arg, binder) in lowered.program.args.iter().enumerate() {
                let (start, bytes) = (frame.pointers[binder.var.index()], element_bytes(plan, binder.var.index()));
                let found = self.walk.memory.read(start..start + bytes);
                let found = found.map_err(|why| wrong(format!("argument {arg} of an iteration {why}")))?;
                if found != self.argument(i, arg, bytes) {
                    return Err(wrong(format!("argument {arg} of iteration {} is wrong", self.iteration)));
                }
            }
            self.walk.run(lowered, plan, frame).map_err(wrong)?
        };
        if is_iteration {
            if is_scan && self.iteration < ITERATIONS {
                self.iterations.push((self.row(), results.clone()));
            }
            self.last = Some(results);
            self.iteration += 1;
        }
        Ok(())
    }

    unsafe fn copy(&mut self, from: u64, to: u64, aval: &Aval) -> Result<(), Error> {
        let bytes = (aval.volume().as_usize().unwrap_or(0) * aval.dtype.size()) as u64;
        if from == to {
            return Ok(());
        }
        if from < to + bytes && to < from + bytes {
            return Err(wrong("an array is copied to a place that overlaps it"));
        }
        self.walk.memory.copy(from..from + bytes, to).map_err(|why| wrong(format!("a copied array {why}")))
    }

    unsafe fn write(&mut self, to: u64, literal: Literal) -> Result<(), Error> {
        let end = to + literal.dtype().size() as u64;
        let written = self.walk.memory.write(to..end, Some(Tag::Literal(literal)));
        written.map_err(|why| wrong(format!("the place of a number {why}")))
    }

    unsafe fn bool_at(&mut self, from: u64) -> Result<bool, Error> {
        self.walk.memory.read(from..from + 1).map_err(|why| wrong(format!("the condition {why}")))?;
        Ok(self.iteration < ITERATIONS)
    }

    unsafe fn i32_at(&mut self, from: u64) -> Result<i32, Error> {
        self.walk.memory.read(from..from + 4).map_err(|why| wrong(format!("the branch's number {why}")))?;
        Ok(self.branch as i32)
    }
}
