//! Which of NVIDIA's libraries this machine has.

use crate::error::Error;
use crate::runtime::cuda::failure;
use cudarc::{driver, get_lib_name_candidates, nvrtc};
use std::collections::HashSet;
use std::sync::OnceLock;

/// One of NVIDIA's libraries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// What people call it.
    pub name: &'static str,
    /// What it is for, and where it comes from.
    pub purpose: &'static str,
    /// The names under which the system's loader was asked for it.
    pub tried: Vec<String>,
    /// The one that was there.
    pub found: Option<String>,
}

/// Name, what it is for, and its file names without `lib` and ending.
type Description = (&'static str, &'static str, &'static [&'static str]);

const DRIVER: Description = ("driver", "runs kernels; comes with the graphics driver", &["cuda", "nvcuda"]);
const NVRTC: Description = ("NVRTC", "compiles kernels; comes with the CUDA toolkit, or nvidia-cuda-nvrtc", &["nvrtc"]);
const CUBLAS: Description =
    ("cuBLAS", "large matrix products; comes with the CUDA toolkit, or nvidia-cublas", &["cublas"]);

impl Library {
    fn find((name, purpose, stems): Description) -> Library {
        let mut tried: Vec<String> = stems.iter().flat_map(|stem| get_lib_name_candidates(stem)).collect();
        let mut seen = HashSet::new();
        tried.retain(|file| seen.insert(file.clone()));
        // SAFETY: NVIDIA's libraries may be loaded at any time; loading runs their initialisers and nothing else.
        let is_there =
            |file: &&String| unsafe { libloading::Library::new(file.as_str()) }.map(std::mem::forget).is_ok();
        let found = tried.iter().find(is_there).cloned();
        Library { name, purpose, tried, found }
    }
}

/// The libraries, looked for once: driver, NVRTC, cuBLAS.
pub fn libraries() -> &'static [Library; 3] {
    static LIBRARIES: OnceLock<[Library; 3]> = OnceLock::new();
    LIBRARIES.get_or_init(|| [DRIVER, NVRTC, CUBLAS].map(Library::find))
}

/// Fails where the driver's library is not there: its functions may not be called then.
pub(super) fn need_driver() -> Result<(), Error> {
    need(&libraries()[0])
}

/// Fails where NVRTC is not there, likewise.
pub(super) fn need_nvrtc() -> Result<(), Error> {
    need(&libraries()[1])
}

fn need(library: &Library) -> Result<(), Error> {
    if library.found.is_some() {
        return Ok(());
    }
    Err(Error::Device(format!(
        "there is no CUDA {} on this machine\n  it {}; tried {}\n  `gavotte devices` lists what is there and what is missing",
        library.name,
        library.purpose,
        library.tried.join(", ")
    )))
}

/// The newest version of CUDA that the driver knows, major and minor.
///
/// # Errors
/// Where there is no driver, or it fails.
pub fn driver_version() -> Result<(u32, u32), Error> {
    need_driver()?;
    let mut version = 0;
    // SAFETY: the library is there, and the pointer is valid.
    let result = unsafe { driver::sys::cuDriverGetVersion(&mut version) };
    result.result().map_err(|error| failure::driver("cuDriverGetVersion", error))?;
    Ok((version as u32 / 1000, version as u32 % 1000 / 10))
}

/// The version of NVRTC, major and minor.
///
/// # Errors
/// Where it is not there, or fails.
pub fn nvrtc_version() -> Result<(u32, u32), Error> {
    need_nvrtc()?;
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the library is there, and the pointers are valid.
    let result = unsafe { nvrtc::sys::nvrtcVersion(&mut major, &mut minor) };
    match result {
        nvrtc::sys::nvrtcResult::NVRTC_SUCCESS => Ok((major as u32, minor as u32)),
        other => Err(Error::Device(format!("NVRTC does not tell its version: {other:?}"))),
    }
}
