//! The devices of arrays: the CPU, or a GPU that is found at run time.

pub use gavotte_core::device::{DeviceRef, cpu};
pub use gavotte_core::runtime::cuda::{
    DeviceInfo, Library, code_for, cuda, devices, driver_version, libraries, nvrtc_version,
};
