//! Loops and branches on a GPU: the host launches iteration after iteration.
//!
//! It waits for the device only if it must know something: whether a `while` continues, and which branch is taken. A
//! scan is launched as a whole, and the device sets its numbers and copies its arrays.

use crate::aval::{Aval, DType, Literal};
use crate::device::HostArray;
use crate::error::Error;
use crate::kernel::KernelProgram;
use crate::runtime::cuda::device::bytes_of_type;
use crate::runtime::cuda::launches::Work;
use crate::runtime::cuda::run::Runner;
use crate::runtime::loops::Engine;
use crate::runtime::plan::Plan;
use crate::runtime::plan::frame::Frame;
use cudarc::driver::sys::CUdeviceptr;

/// A loop or a branch, with the launches of its nested programs.
pub(super) struct Nested<'r> {
    pub(super) runner: &'r Runner<'r>,
    pub(super) works: &'r [Vec<Work>],
}

impl Nested<'_> {
    /// # Safety
    /// There must be a scalar of this type.
    unsafe fn read(&self, from: CUdeviceptr, dtype: DType) -> Result<HostArray, Error> {
        // SAFETY: by this function's contract.
        unsafe { self.runner.device.download(from, &Aval::scalar(dtype)) }
    }
}

impl Engine for Nested<'_> {
    type Place = CUdeviceptr;

    unsafe fn run(
        &mut self,
        i: usize,
        lowered: &KernelProgram,
        plan: &Plan,
        frame: &Frame<CUdeviceptr>,
    ) -> Result<(), Error> {
        // SAFETY: by this function's contract.
        unsafe { self.runner.run(&lowered.steps, plan, &self.works[i], frame) }
    }

    unsafe fn copy(&mut self, from: CUdeviceptr, to: CUdeviceptr, aval: &Aval) -> Result<(), Error> {
        let bytes = bytes_of_type(aval);
        if from == to || bytes == 0 {
            return Ok(());
        }
        // SAFETY: by this function's contract.
        unsafe { self.runner.device.copy_within(self.runner.stream, from, to, bytes) }
    }

    unsafe fn write(&mut self, to: CUdeviceptr, literal: Literal) -> Result<(), Error> {
        // SAFETY: by this function's contract.
        unsafe { self.runner.device.set(self.runner.stream, to, literal) }
    }

    unsafe fn bool_at(&mut self, from: CUdeviceptr) -> Result<bool, Error> {
        // SAFETY: by this function's contract.
        let read = unsafe { self.read(from, DType::Bool)? };
        Ok(read.get(0) == Literal::Bool(true))
    }

    unsafe fn i32_at(&mut self, from: CUdeviceptr) -> Result<i32, Error> {
        // SAFETY: by this function's contract.
        let read = unsafe { self.read(from, DType::I32)? };
        Ok(read.get(0).as_f64() as i32)
    }
}
