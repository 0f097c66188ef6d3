//! Errors of the driver, in words.

use crate::error::Error;
use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult;

/// The error of a driver call: what was tried, the driver's name of the error and its text. The device runs later than
/// the calls, so an error in a kernel is reported by a later call.
pub(super) fn driver(what: &str, error: DriverError) -> Error {
    let advice = match is_fault(&error) {
        true => {
            "\n  an earlier kernel did this, and not what is named here: `Options::launch_blocking` \
             (`gavotte train --launch-blocking`) waits for each kernel, and names it\n  the device cannot be used again in \
             this process"
        }
        false => advice(error.0),
    };
    Error::Device(format!("{what}: {}{advice}", described(error)))
}

/// The error of a kernel that was waited for.
pub(super) fn kernel(what: &str, error: DriverError) -> Error {
    let advice = match is_fault(&error) {
        true => "\n  this is a mistake in this kernel; the device cannot be used again in this process",
        false => advice(error.0),
    };
    Error::Device(format!("{what}: {}{advice}", described(error)))
}

fn described(error: DriverError) -> String {
    let text = |c: Result<&std::ffi::CStr, DriverError>| c.ok().map(|c| c.to_string_lossy().into_owned());
    let name = text(error.error_name()).unwrap_or_else(|| format!("{:?}", error.0));
    let description = text(error.error_string()).unwrap_or_else(|| "the driver has no text for it".into());
    format!("{name}: {description}")
}

/// What to do about an error, if that is known.
fn advice(error: CUresult) -> &'static str {
    match error {
        CUresult::CUDA_ERROR_NO_DEVICE => "\n  there is a driver but no GPU: `gavotte devices` lists what is found",
        CUresult::CUDA_ERROR_INVALID_DEVICE => "\n  `gavotte devices` lists the valid numbers",
        CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION => {
            "\n  the driver is older than NVRTC: take a newer driver, or an older nvidia-cuda-nvrtc"
        }
        _ => "",
    }
}

/// Whether a kernel has failed, after which the device can do nothing more.
fn is_fault(error: &DriverError) -> bool {
    matches!(
        error.0,
        CUresult::CUDA_ERROR_ILLEGAL_ADDRESS
            | CUresult::CUDA_ERROR_LAUNCH_TIMEOUT
            | CUresult::CUDA_ERROR_ASSERT
            | CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR
            | CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION
            | CUresult::CUDA_ERROR_MISALIGNED_ADDRESS
            | CUresult::CUDA_ERROR_INVALID_ADDRESS_SPACE
            | CUresult::CUDA_ERROR_INVALID_PC
            | CUresult::CUDA_ERROR_LAUNCH_FAILED
    )
}

pub(super) fn is_out_of_memory(error: &DriverError) -> bool {
    error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY
}

/// Whether the driver rejects the compiled code, but may accept another form of it.
pub(super) fn is_refused_image(error: &DriverError) -> bool {
    matches!(
        error.0,
        CUresult::CUDA_ERROR_INVALID_IMAGE
            | CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
            | CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
            | CUresult::CUDA_ERROR_INVALID_SOURCE
    )
}
