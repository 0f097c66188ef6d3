//! Kernels as CUDA C, and programs on the emulated GPU. The emulator is a driver for the whole process.

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod conformance;
#[cfg(target_os = "linux")]
mod control;
#[cfg(target_os = "linux")]
mod kernels;
#[cfg(target_os = "linux")]
mod program;
#[cfg(target_os = "linux")]
mod segments;
mod source;
