//! Kernels as CUDA C, and programs on a GPU, which the emulator is: it is a driver of the whole process.

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
