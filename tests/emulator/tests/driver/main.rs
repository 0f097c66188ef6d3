//! Programs that use the driver through cudarc, as Gavotte does, and find the emulator in its place.

mod calls;
mod nvrtc;
mod order;
mod process;
mod program;
