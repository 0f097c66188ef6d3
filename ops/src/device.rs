//! Where arrays are: the processor, or a GPU that is found when the program runs.

pub use gavotte_core::device::{DeviceRef, cpu};
pub use gavotte_core::runtime::cuda::{
    DeviceInfo, Library, code_for, cuda, devices, driver_version, libraries, nvrtc_version,
};
