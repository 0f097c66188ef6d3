//! Running the steps of a program on a GPU: kernels are launched in order on the device's stream.

use crate::codegen::cuda::{Launch, Module};
use crate::device::HostArray;
use crate::error::Error;
use crate::ir::{Atom, Eqn, Location};
use crate::kernel::{Kernel, Step};
use crate::runtime::cpu::eval::evaluate;
use crate::runtime::cuda::control::Nested;
use crate::runtime::cuda::device::Cuda;
use crate::runtime::cuda::failure;
use crate::runtime::cuda::launch::{Addresses, arguments};
use crate::runtime::cuda::launches::Work;
use crate::runtime::cuda::streams::Streams;
use crate::runtime::loops::drive;
use crate::runtime::plan::frame::Frame;
use crate::runtime::plan::{self, Plan};
use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaFunction, CudaStream};

/// The kernels of a program as functions of the device.
pub(super) struct Loaded {
    pub(super) module: Module,
    /// For each kernel its functions, and its number in the device's record.
    pub(super) kernels: Vec<(Vec<CudaFunction>, u32)>,
}

/// What all steps of a run share.
pub(super) struct Runner<'r> {
    pub(super) device: &'r Cuda,
    /// Where kernels are launched: the device's stream, or one that records.
    pub(super) stream: &'r CudaStream,
    pub(super) loaded: &'r Loaded,
    /// The memory for parts of sums.
    pub(super) scratch: CUdeviceptr,
    /// Whether each kernel is waited for.
    pub(super) is_blocking: bool,
}

impl Runner<'_> {
    /// Starts all steps. Those without a kernel are complete when this returns, and so is what they need.
    ///
    /// # Safety
    /// `frame` must hold valid memory for every variable that the steps read or write, of the plan's sizes.
    pub(super) unsafe fn run(
        &self,
        steps: &[Step],
        plan: &Plan,
        works: &[Work],
        frame: &Frame<CUdeviceptr>,
    ) -> Result<(), Error> {
        for ((step, planned), work) in steps.iter().zip(&plan.work).zip(works) {
            match (step, planned, work) {
                (Step::Kernel(kernel, location), _, Work::Kernel { number, launches, scratch }) => {
                    let kernel = Ready { kernel, location: *location, number: *number, scratch };
                    for launch in launches {
                        // SAFETY: by this function's contract.
                        unsafe { self.launch(&kernel, launch, frame, self.stream)? }
                    }
                }
                (Step::Control(step), plan::work::Work::Control(control, at), Work::Nested(works)) => {
                    let memory = frame.arena + *at as CUdeviceptr;
                    // SAFETY: by this function's contract; the plan keeps the step's own memory for it.
                    unsafe { drive(step, control, frame, memory, &mut Nested { runner: self, works })? }
                }
                (Step::Eval(eqn), ..) => {
                    // SAFETY: by this function's contract.
                    unsafe { self.evaluate(eqn, plan, frame)? }
                }
                _ => unreachable!("a plan and its launches are made of the steps"),
            }
        }
        Ok(())
    }

    /// Starts all kernels, concurrently if the order allows.
    ///
    /// # Safety
    /// As [`Self::run`].
    pub(super) unsafe fn run_concurrently(
        &self,
        steps: &[Step],
        works: &[Work],
        frame: &Frame<CUdeviceptr>,
        mut streams: Streams<'_>,
    ) -> Result<(), Error> {
        let failed = |error| self.device.failed("recording a run", error);
        for (step, work) in steps.iter().zip(works) {
            let (Step::Kernel(kernel, location), Work::Kernel { number, launches, scratch }) = (step, work) else {
                unreachable!("only kernels run concurrently");
            };
            let kernel = Ready { kernel, location: *location, number: *number, scratch };
            for launch in launches {
                let stream = streams.enter().map_err(failed)?;
                // SAFETY: by this function's contract.
                unsafe { self.launch(&kernel, launch, frame, &stream)? }
                streams.leave().map_err(failed)?;
            }
        }
        streams.join().map_err(failed)
    }

    /// # Safety
    /// As [`Self::run`].
    unsafe fn launch(
        &self,
        ready: &Ready<'_>,
        launch: &Launch,
        frame: &Frame<CUdeviceptr>,
        stream: &CudaStream,
    ) -> Result<(), Error> {
        let (functions, in_record) = &self.loaded.kernels[ready.number];
        let addresses = Addresses {
            inputs: &|i| frame.pointers[ready.kernel.inputs[i].0.index()],
            outputs: &|i| frame.pointers[ready.kernel.outputs[i].0.index()],
            scratch: &|i| self.scratch + ready.scratch[i] as CUdeviceptr,
            record: self.device.record(),
            number: *in_record,
        };
        let mut values = arguments(launch, &addresses);
        // SAFETY: the values are the function's parameters, in its order; every address is of memory that the plan
        // keeps for the variable.
        let launched = unsafe { self.device.launch(stream, &functions[launch.function], launch, &mut values) };
        let named = format!("@{}\n  at {}", ready.kernel.name, ready.location);
        launched.map_err(|error| self.device.failed(&format!("launching {named}"), error))?;
        if self.is_blocking {
            stream.synchronize().map_err(|error| failure::kernel(&format!("{}: {named}", self.device.name), error))?;
        }
        Ok(())
    }

    /// Runs an equation without a kernel on the host.
    ///
    /// # Safety
    /// As [`Self::run`].
    unsafe fn evaluate(&self, eqn: &Eqn, plan: &Plan, frame: &Frame<CUdeviceptr>) -> Result<(), Error> {
        let read = |atom: &Atom| match atom {
            Atom::Literal(literal) => Ok(HostArray::scalar(*literal)),
            // SAFETY: the plan keeps memory for the variable, and an earlier step has written it.
            Atom::Var(var) => unsafe { self.device.download(frame.pointers[var.index()], &plan.avals[var.index()]) },
        };
        let ins = eqn.ins.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
        for (binder, out) in eqn.outs.iter().zip(evaluate(eqn, &ins, plan)?) {
            // SAFETY: the plan keeps memory for the result, and the readers of its present contents have been started.
            unsafe { self.device.upload_to(&out, frame.pointers[binder.var.index()])? }
        }
        Ok(())
    }
}

/// A kernel ready to launch.
struct Ready<'k> {
    kernel: &'k Kernel,
    location: Location,
    number: usize,
    scratch: &'k [usize],
}
