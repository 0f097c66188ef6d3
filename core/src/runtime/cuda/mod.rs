//! NVIDIA GPUs, through the driver's API. What is there is found when the program runs: without a driver nothing but a
//! clear error comes of asking for a device.

mod compiler;
mod control;
mod device;
mod failure;
mod launches;
mod library;
mod memory;
mod program;
mod replay;
mod run;
mod staging;

pub(super) use program::GpuProgram;

pub use device::{DeviceInfo, cuda, devices};
pub use library::{Library, driver_version, libraries, nvrtc_version};
