//! Loops and branches on the processor: all threads of a team go through them together.

use crate::aval::{Aval, Literal};
use crate::device::HostArray;
use crate::error::Error;
use crate::kernel::{ControlStep, Lowered};
use crate::runtime::control::plan::ControlPlan;
use crate::runtime::control::turns::{Engine, drive};
use crate::runtime::cpu::{Team, run_steps};
use crate::runtime::frame::Frame;
use crate::runtime::plan::Plan;
use crate::with_data;

/// Runs a loop or a branch; all threads of the team do so together.
///
/// # Safety
/// `outer` must hold valid memory for everything that the step reads and writes, and `memory` the plan's bytes.
pub(in crate::runtime) unsafe fn run(
    step: &ControlStep,
    plan: &ControlPlan,
    outer: &Frame,
    memory: *mut u8,
    team: &mut Team<'_, '_>,
) {
    // SAFETY: by this function's contract.
    if let Err(error) = unsafe { drive(step, plan, outer, memory, team) } {
        team.fail(error);
    }
}

/// A thread keeps what fails for the whole team, so that nothing here is an error: all threads come to the same barriers.
impl Engine for Team<'_, '_> {
    type Place = *mut u8;

    unsafe fn run(&mut self, _: usize, lowered: &Lowered, plan: &Plan, frame: &Frame) -> Result<(), Error> {
        // SAFETY: by this function's contract.
        unsafe { run_steps(&lowered.steps, plan, frame, self) }
        Ok(())
    }

    unsafe fn copy(&mut self, from: *mut u8, to: *mut u8, aval: &Aval) -> Result<(), Error> {
        let bytes = aval.volume().as_usize().unwrap_or(0) * aval.dtype.size();
        if self.is_first() && from != to && bytes > 0 {
            // SAFETY: by this function's contract.
            unsafe { std::ptr::copy_nonoverlapping(from.cast_const(), to, bytes) }
        }
        Ok(())
    }

    unsafe fn write(&mut self, to: *mut u8, literal: Literal) -> Result<(), Error> {
        if self.is_first() {
            let array = HostArray::scalar(literal);
            with_data!(array.data(), xs => {
                // SAFETY: by this function's contract.
                unsafe { std::ptr::copy_nonoverlapping(xs.as_ptr(), to.cast(), 1) }
            });
        }
        Ok(())
    }

    unsafe fn bool_at(&mut self, from: *mut u8) -> Result<bool, Error> {
        // SAFETY: by this function's contract; a `bool` is one byte, 0 or 1.
        Ok(unsafe { *from } != 0)
    }

    unsafe fn i32_at(&mut self, from: *mut u8) -> Result<i32, Error> {
        // SAFETY: by this function's contract.
        Ok(unsafe { from.cast::<i32>().read_unaligned() })
    }

    fn meet(&mut self) {
        self.wait();
    }

    fn has_failed(&self) -> bool {
        Team::has_failed(self)
    }
}
