//! The emulator as a GPU, with NVRTC.
#![cfg(target_os = "linux")]

use crate::nvrtc::Nvrtc;
use gavotte_emulator::driver::{Emulator, Session};

/// A fresh GPU with what these settings of the emulator say, and NVRTC, which whoever asks for it by its name finds from now
/// on; `None` after saying that the test is skipped, where there is none.
///
/// # Panics
/// If `GAVOTTE_NVRTC` names a folder without it, or the settings are wrong.
pub fn machine(settings: &str) -> Option<Session<'static>> {
    Nvrtc::get()?;
    // A driver that knows the PTX of every NVRTC.
    Some(Emulator::get().session(&format!("driver=99000,{settings}")))
}
