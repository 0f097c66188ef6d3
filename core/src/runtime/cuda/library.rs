//! Which of NVIDIA's libraries this machine has, and whether they are new enough.

use crate::error::Error;
use crate::runtime::cuda::failure;
use cudarc::{driver, get_lib_name_candidates};
use rustc_hash::FxHashSet;
use std::sync::OnceLock;

/// The least version of CUDA that a driver must support: the last that supports a K80.
pub(super) const LEAST_DRIVER: (u32, u32) = (11, 4);
/// The least version of NVRTC: the first that reports which architectures it supports.
pub(super) const LEAST_NVRTC: (u32, u32) = (11, 2);

/// Names of NVRTC's files, as the loaders of Linux and of Windows know them: the name that a toolkit links, then the
/// newest major version first. All versions of 11 from 11.2 on share one name.
pub(super) const NVRTC_FILES: &[&str] = if cfg!(windows) {
    &["nvrtc64_130_0.dll", "nvrtc64_120_0.dll", "nvrtc64_112_0.dll"]
} else {
    &["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2"]
};

/// All driver functions that are called. A test checks that there are no others.
const DRIVER_FUNCTIONS: [&str; 43] = [
    "cuInit",
    "cuDriverGetVersion",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDeviceTotalMem_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxGetCurrent",
    "cuCtxSetCurrent",
    "cuCtxSynchronize",
    "cuMemGetInfo_v2",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
    "cuMemHostAlloc",
    "cuMemFreeHost",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyDtoDAsync_v2",
    "cuMemcpyPeerAsync",
    "cuMemsetD8Async",
    "cuMemsetD32Async",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamSynchronize",
    "cuStreamWaitEvent",
    "cuStreamBeginCapture_v2",
    "cuStreamEndCapture",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuModuleGetFunction",
    "cuLaunchKernel",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
];

/// One of NVIDIA's libraries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Its usual name.
    pub name: &'static str,
    /// Its purpose, and where it comes from.
    pub purpose: &'static str,
    /// The least sufficient version, major and minor; for the driver, that of the CUDA version that it supports.
    pub least: (u32, u32),
    /// The names under which the system's loader was asked for it.
    pub tried: Vec<String>,
    /// The first that was found.
    pub found: Option<String>,
    /// Functions that are called but missing.
    missing: Vec<&'static str>,
}

impl Library {
    fn find(
        name: &'static str,
        purpose: &'static str,
        least: (u32, u32),
        mut tried: Vec<String>,
        functions: &[&'static str],
    ) -> Library {
        let mut seen = FxHashSet::default();
        tried.retain(|file| seen.insert(file.clone()));
        // SAFETY: NVIDIA's libraries may be loaded at any time; loading runs their initialisers and nothing else.
        let load = |file: &String| Some((file.clone(), unsafe { libloading::Library::new(file.as_str()) }.ok()?));
        let (mut found, mut missing) = (None, vec![]);
        if let Some((file, library)) = tried.iter().find_map(load) {
            // SAFETY: the function is looked up, and not called.
            let has = |function: &str| unsafe { library.get::<unsafe extern "C" fn()>(function) }.is_ok();
            missing = functions.iter().copied().filter(|function| !has(function)).collect();
            found = Some(file);
            // It stays loaded.
            std::mem::forget(library);
        }
        Library { name, purpose, least, tried, found, missing }
    }
}

/// The libraries, looked up once: driver, NVRTC.
pub fn libraries() -> &'static [Library; 2] {
    static LIBRARIES: OnceLock<[Library; 2]> = OnceLock::new();
    LIBRARIES.get_or_init(|| {
        // The names, and their order, under which `cudarc` looks for the driver.
        let driver = ["cuda", "nvcuda"].iter().flat_map(|stem| get_lib_name_candidates(stem)).collect();
        let nvrtc = NVRTC_FILES.iter().map(|file| file.to_string()).collect();
        [
            Library::find(
                "driver",
                "runs kernels; comes with the graphics driver",
                LEAST_DRIVER,
                driver,
                &DRIVER_FUNCTIONS,
            ),
            Library::find(
                "NVRTC",
                "compiles kernels; comes with the CUDA toolkit, or nvidia-cuda-nvrtc",
                LEAST_NVRTC,
                nvrtc,
                &[],
            ),
        ]
    })
}

/// The error of a missing library.
pub(super) fn absent(library: &Library) -> Error {
    Error::Device(format!(
        "there is no CUDA {} on this machine\n  it {}; tried {}\n  `gavotte devices` lists what is there and what is missing",
        library.name,
        library.purpose,
        library.tried.join(", ")
    ))
}

/// The newest version of CUDA that the driver supports, major and minor. No other function of the driver may be called
/// before this has succeeded.
///
/// # Errors
/// If there is no driver, it is too old or lacks a function, or it fails.
pub fn driver_version() -> Result<(u32, u32), Error> {
    let library = &libraries()[0];
    let file = library.found.as_ref().ok_or_else(|| absent(library))?;
    let ((major, minor), advice) = (LEAST_DRIVER, "take a newer graphics driver");
    if !library.missing.is_empty() {
        let missing = library.missing.join(", ");
        return Err(Error::Device(format!(
            "the CUDA driver ({file}) lacks {missing}\n  one that knows CUDA {major}.{minor} has it: {advice}"
        )));
    }
    let mut number = 0;
    // SAFETY: the library is loaded and has the function, and the pointer is valid.
    let result = unsafe { driver::sys::cuDriverGetVersion(&mut number) };
    result.result().map_err(|error| failure::driver("cuDriverGetVersion", error))?;
    let version = (number as u32 / 1000, number as u32 % 1000 / 10);
    if version < LEAST_DRIVER {
        return Err(Error::Device(format!(
            "the CUDA driver ({file}) knows CUDA {}.{}, and {major}.{minor} is the least\n  {advice}",
            version.0, version.1
        )));
    }
    Ok(version)
}
