//! Loops and branches on the processor: the caller's thread goes through them, and each iteration's jobs are shared.

use crate::aval::{Aval, Literal};
use crate::device::HostArray;
use crate::error::Error;
use crate::kernel::KernelProgram;
use crate::runtime::cpu::run::run_steps;
use crate::runtime::cpu::worker::Workers;
use crate::runtime::loops::Engine;
use crate::runtime::plan::Plan;
use crate::runtime::plan::frame::Frame;
use crate::with_data;

impl Engine for Workers<'_> {
    type Place = *mut u8;

    unsafe fn run(&mut self, _: usize, lowered: &KernelProgram, plan: &Plan, frame: &Frame) -> Result<(), Error> {
        // SAFETY: by this function's contract.
        unsafe { run_steps(&lowered.steps, plan, frame, self) }
    }

    unsafe fn copy(&mut self, from: *mut u8, to: *mut u8, aval: &Aval) -> Result<(), Error> {
        let bytes = aval.volume().as_usize().unwrap_or(0) * aval.dtype.size();
        if from != to && bytes > 0 {
            // SAFETY: by this function's contract.
            unsafe { std::ptr::copy_nonoverlapping(from.cast_const(), to, bytes) }
        }
        Ok(())
    }

    unsafe fn write(&mut self, to: *mut u8, literal: Literal) -> Result<(), Error> {
        let array = HostArray::scalar(literal);
        with_data!(array.data(), xs => {
            // SAFETY: by this function's contract.
            unsafe { std::ptr::copy_nonoverlapping(xs.as_ptr(), to.cast(), 1) }
        });
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
}
