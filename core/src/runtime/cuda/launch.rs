//! The arguments that a launch passes to its function.

use crate::codegen::cuda::{Argument, Launch};
use cudarc::driver::sys::CUdeviceptr;

/// Where the memory of a kernel is.
pub(super) struct Addresses<'a> {
    /// The address of each input, by number; likewise below.
    pub(super) inputs: &'a dyn Fn(usize) -> CUdeviceptr,
    pub(super) outputs: &'a dyn Fn(usize) -> CUdeviceptr,
    pub(super) scratch: &'a dyn Fn(usize) -> CUdeviceptr,
    /// The record of errors that kernels find, and the kernel's number in it.
    pub(super) record: CUdeviceptr,
    pub(super) number: u32,
}

/// The value of each parameter: its bytes come first, as the driver reads only as many as the parameter has.
pub(super) fn arguments(launch: &Launch, addresses: &Addresses<'_>) -> Vec<u64> {
    let value = |argument: &Argument| match argument {
        Argument::Input(i) => (addresses.inputs)(*i),
        Argument::Output(i) => (addresses.outputs)(*i),
        Argument::Scratch(i) => (addresses.scratch)(*i),
        Argument::Record => addresses.record,
        Argument::Number => u64::from(addresses.number),
        Argument::Narrow(x) => u64::from(*x as u32),
        Argument::Wide(x) => *x as u64,
        Argument::Scalar(literal) => literal.bits(),
    };
    launch.arguments.iter().map(value).collect()
}
