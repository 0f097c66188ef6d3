//! NVIDIA GPUs, through the driver's API. The driver is loaded when the program runs: without it, asking for a device
//! returns a clear error.

mod compiler;
mod control;
mod device;
mod failure;
mod kernels;
mod launch;
mod launches;
mod library;
mod memory;
mod nvrtc;
mod predict;
mod program;
mod replay;
mod run;
mod staging;
mod streams;

pub(super) use program::GpuProgram;

pub use device::{DeviceInfo, code_for, cuda, devices};
pub use kernels::{KernelOutputs, KernelRun, run_changed_kernels, run_kernels};
pub use library::{Library, driver_version, libraries};
pub use nvrtc::nvrtc_version;
pub use predict::{Bound, GPUS, Gpu, KernelPrediction, LaunchShape, Path, Prediction, Traffic};
