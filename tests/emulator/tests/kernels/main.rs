//! Kernels, written by hand in the style of NVRTC, run by the interpreter without a driver.

mod collectives;
mod device;
mod faults;
mod instructions;
mod malformed;
mod traps;
