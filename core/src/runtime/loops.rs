//! How loops and branches go from iteration to iteration, on every device.

use crate::aval::{Aval, Literal};
use crate::error::Error;
use crate::ir::{Atom, Control};
use crate::kernel::{ControlStep, KernelProgram};
use crate::runtime::plan::Plan;
use crate::runtime::plan::control::{Carry, ControlPlan, Given};
use crate::runtime::plan::frame::{Frame, Place};

/// Runs the nested programs of a step: a team of threads, or a device. Its calls take effect in order.
pub(in crate::runtime) trait Engine {
    /// Where an array starts.
    type Place: Place;

    /// Runs nested program `i` of the step.
    ///
    /// # Safety
    /// `frame` must hold valid memory for everything that the program reads and writes.
    unsafe fn run(
        &mut self,
        i: usize,
        lowered: &KernelProgram,
        plan: &Plan,
        frame: &Frame<Self::Place>,
    ) -> Result<(), Error>;

    /// Copies an array; does nothing if both places are the same.
    ///
    /// # Safety
    /// Both must hold an array of this type, and be the same place or not overlap.
    unsafe fn copy(&mut self, from: Self::Place, to: Self::Place, aval: &Aval) -> Result<(), Error>;

    /// Writes a number.
    ///
    /// # Safety
    /// `to` must hold one element of the literal's type.
    unsafe fn write(&mut self, to: Self::Place, literal: Literal) -> Result<(), Error>;

    /// Reads a `bool`. After a failure it may be an error, or anything.
    ///
    /// # Safety
    /// There must be a `bool`.
    unsafe fn bool_at(&mut self, from: Self::Place) -> Result<bool, Error>;

    /// Reads an `i32`.
    ///
    /// # Safety
    /// There must be an `i32`.
    unsafe fn i32_at(&mut self, from: Self::Place) -> Result<i32, Error>;
}

/// Runs a loop or a branch.
///
/// # Safety
/// `outer` must hold valid memory for everything that the step reads and writes, and `memory` the plan's bytes.
pub(in crate::runtime) unsafe fn drive<E: Engine>(
    step: &ControlStep,
    plan: &ControlPlan,
    outer: &Frame<E::Place>,
    memory: E::Place,
    engine: &mut E,
) -> Result<(), Error> {
    let operand = |(i, atom): (usize, &Atom)| match atom {
        Atom::Var(var) => outer.pointers[var.index()],
        Atom::Literal(_) => {
            let at = plan.literals.iter().find(|(operand, ..)| *operand == i).map_or(0, |(_, at, _)| *at);
            memory.further(at)
        }
    };
    let operands = step.eqn.ins.iter().enumerate().map(operand).collect();
    let results = step.eqn.outs.iter().map(|binder| outer.pointers[binder.var.index()]).collect();
    let mut running = Running { step, plan, memory, operands, results, engine };
    // SAFETY: the plan keeps memory for each number; the rest is by this function's contract.
    unsafe {
        for (i, _, literal) in &plan.literals {
            running.engine.write(running.operands[*i], *literal)?;
        }
        match &step.control {
            Control::Scan { n_const, reverse, .. } => running.scan(*n_const, *reverse),
            Control::While { n_cond_const, n_body_const, .. } => running.repeat_while(*n_cond_const, *n_body_const),
            Control::Switch { .. } => running.branch(),
        }
    }
}

/// A running loop or branch.
struct Running<'a, E: Engine> {
    step: &'a ControlStep,
    plan: &'a ControlPlan,
    /// The step's own memory.
    memory: E::Place,
    operands: Vec<E::Place>,
    results: Vec<E::Place>,
    engine: &'a mut E,
}

impl<'a, E: Engine> Running<'a, E> {
    /// Runs a nested program once.
    ///
    /// # Safety
    /// The memory must be valid for the program's arguments and results.
    unsafe fn once(&mut self, i: usize, args: &[E::Place], outs: &[E::Place]) -> Result<(), Error> {
        let (lowered, plan) = (&self.step.nested[i], &self.plan.nested[i]);
        let frame = Frame::new(plan, args, &[], outs, self.memory.further(self.plan.arenas[i]));
        // SAFETY: by this function's contract; the nested arena is within the step's memory, and a result's memory
        // holds its elements and is no other array's.
        unsafe {
            self.engine.run(i, lowered, plan, &frame)?;
            for ((given, out), aval) in self.plan.given[i].iter().zip(outs).zip(&plan.outs) {
                match given {
                    Given::Written => {}
                    Given::Copied(var) => self.engine.copy(frame.pointers[var.index()], *out, aval)?,
                    Given::Literal(literal) => self.engine.write(*out, *literal)?,
                }
            }
        }
        Ok(())
    }

    /// The types of a loop's carries, and of the rows that follow them.
    fn avals(&self) -> &'a [Aval] {
        self.plan.nested.last().map_or(&[], |body| &body.outs)
    }

    /// The carries before the first iteration: those that are updated in place are copied there.
    ///
    /// # Safety
    /// As [`drive`].
    unsafe fn begin(&mut self, first: usize) -> Result<Carries<E::Place>, Error> {
        let mut places = vec![];
        for (k, carry) in self.plan.carries.iter().enumerate() {
            let (init, result) = (self.operands[first + k], self.results[k]);
            places.push(match carry {
                Carry::InPlace => {
                    // SAFETY: both hold the carry's elements.
                    unsafe { self.engine.copy(init, result, &self.avals()[k])? }
                    CarryPlaces { now: result, next: result, spare: result, result }
                }
                Carry::DoubleBuffered(at) => {
                    let spare = self.memory.further(*at);
                    // The result's memory may be that of the initial value.
                    let next = if init == result { spare } else { result };
                    CarryPlaces { now: init, next, spare, result }
                }
            });
        }
        Ok(Carries(places))
    }

    /// Copies every carry to the result's place.
    ///
    /// # Safety
    /// As [`drive`].
    unsafe fn end(&mut self, carries: &Carries<E::Place>) -> Result<(), Error> {
        for (places, aval) in carries.0.iter().zip(self.avals()) {
            // SAFETY: both hold the carry's elements.
            unsafe { self.engine.copy(places.now, places.result, aval)? }
        }
        Ok(())
    }

    /// # Safety
    /// As [`drive`].
    unsafe fn scan(&mut self, n_const: usize, reverse: bool) -> Result<(), Error> {
        // SAFETY: as of this function.
        let mut carries = unsafe { self.begin(n_const)? };
        let n_carry = carries.0.len();
        let (lowered, plan) = (&self.step.nested[0], &self.plan.nested[0]);
        let bytes = |aval: &Aval| aval.volume().as_usize().unwrap_or(0) * aval.dtype.size();
        let rows: Vec<usize> =
            lowered.program.args[n_const + n_carry..].iter().map(|b| bytes(&plan.avals[b.var.index()])).collect();
        let result_rows: Vec<usize> = plan.outs[n_carry..].iter().map(bytes).collect();
        for iteration in 0..self.plan.length {
            let i = if reverse { self.plan.length - 1 - iteration } else { iteration };
            let row = |(start, bytes): (&E::Place, &usize)| start.further(bytes * i);
            let mut args = self.operands[..n_const].to_vec();
            args.extend(carries.now());
            args.extend(self.operands[n_const + n_carry..].iter().zip(&rows).map(row));
            let mut outs = carries.next();
            outs.extend(self.results[n_carry..].iter().zip(&result_rows).map(row));
            // SAFETY: rows are within their arrays; carries are where the plan put them.
            unsafe { self.once(0, &args, &outs)? }
            carries.advance();
        }
        // SAFETY: as above.
        unsafe { self.end(&carries) }
    }

    /// # Safety
    /// As [`drive`].
    unsafe fn repeat_while(&mut self, n_cond_const: usize, n_body_const: usize) -> Result<(), Error> {
        // SAFETY: as of this function.
        let mut carries = unsafe { self.begin(n_cond_const + n_body_const)? };
        let predicate = self.memory.further(self.plan.predicate);
        loop {
            let now = carries.now();
            let with = |consts: &[E::Place]| [consts, &now].concat();
            let of_cond = with(&self.operands[..n_cond_const]);
            let of_body = with(&self.operands[n_cond_const..n_cond_const + n_body_const]);
            // SAFETY: as above; the predicate is a `bool`.
            unsafe {
                self.once(0, &of_cond, &[predicate])?;
                if !self.engine.bool_at(predicate)? {
                    break;
                }
                self.once(1, &of_body, &carries.next())?;
            }
            carries.advance();
        }
        // SAFETY: as above.
        unsafe { self.end(&carries) }
    }

    /// # Safety
    /// As [`drive`].
    unsafe fn branch(&mut self) -> Result<(), Error> {
        let (args, outs) = (self.operands[1..].to_vec(), self.results.clone());
        // SAFETY: the number of a branch is an `i32`; the rest as of this function.
        unsafe {
            let which = self.engine.i32_at(self.operands[0])?;
            let which = which.clamp(0, self.step.nested.len() as i32 - 1) as usize;
            self.once(which, &args, &outs)
        }
    }
}

/// Where the carries of a running loop are.
struct Carries<P>(Vec<CarryPlaces<P>>);

struct CarryPlaces<P> {
    /// Its current place.
    now: P,
    /// Where the next iteration writes it.
    next: P,
    /// Its place other than the result's; the same if an iteration updates it in place.
    spare: P,
    result: P,
}

impl<P: Place> Carries<P> {
    fn now(&self) -> Vec<P> {
        self.0.iter().map(|places| places.now).collect()
    }

    fn next(&self) -> Vec<P> {
        self.0.iter().map(|places| places.next).collect()
    }

    /// Makes what was written the current values.
    fn advance(&mut self) {
        for places in &mut self.0 {
            places.now = places.next;
            places.next = if places.now == places.result { places.spare } else { places.result };
        }
    }
}
