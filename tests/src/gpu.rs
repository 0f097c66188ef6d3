//! The emulator as a GPU, with NVRTC.
#![cfg(target_os = "linux")]

use gavotte_emulator::driver::{Emulator, Session};
use std::path::Path;
use std::sync::OnceLock;

/// A fresh GPU with what these settings of the emulator say, and NVRTC from the folder that `GAVOTTE_NVRTC` names; `None`
/// after saying that the test is skipped, where that is not set. Nothing is kept on disk.
///
/// # Panics
/// If the folder has no NVRTC.
pub fn machine(settings: &str) -> Option<Session<'static>> {
    static NVRTC: OnceLock<bool> = OnceLock::new();
    let is_there = *NVRTC.get_or_init(|| match std::env::var_os("GAVOTTE_NVRTC") {
        None => false,
        Some(folder) => {
            load(Path::new(&folder));
            true
        }
    });
    if !is_there {
        eprintln!("skipped: GAVOTTE_NVRTC names no folder with libnvrtc.so.13");
        return None;
    }
    // A driver that knows the PTX of every NVRTC.
    Some(Emulator::get().session(&format!("driver=99000,{settings}")))
}

/// Loads the NVRTC of a folder, so that whoever asks for it by its name finds it.
fn load(folder: &Path) {
    let path = folder.join("libnvrtc.so.13");
    // SAFETY: NVRTC's initialisers do nothing that the process could not bear.
    let library = unsafe { libloading::Library::new(&path) };
    let library = library.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // It stays for the whole process.
    std::mem::forget(library);
}
