//! The driver's error codes, with their names and texts.

use crate::exec::Kind;
use crate::module::LoadError;
use std::ffi::CStr;

/// The code that a failing call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub i32);

macro_rules! codes {
    ($($name:ident = $value:literal, $text:literal;)*) => {
        #[expect(missing_docs, reason = "the names are the driver's own")]
        impl Code {
            $(pub const $name: Code = Code($value);)*

            /// The name and the text of a code.
            pub fn describe(self) -> Option<(&'static CStr, &'static CStr)> {
                let text = match self.0 {
                    0 => (concat!("CUDA_SUCCESS", "\0"), concat!("no error", "\0")),
                    $($value => (concat!("CUDA_ERROR_", stringify!($name), "\0"), concat!($text, "\0")),)*
                    _ => return None,
                };
                let c = |text: &'static str| CStr::from_bytes_with_nul(text.as_bytes()).ok();
                Some((c(text.0)?, c(text.1)?))
            }
        }
    };
}

codes! {
    INVALID_VALUE = 1, "invalid argument";
    OUT_OF_MEMORY = 2, "out of memory";
    NOT_INITIALIZED = 3, "initialization error";
    NO_DEVICE = 100, "no CUDA-capable device is detected";
    INVALID_DEVICE = 101, "invalid device ordinal";
    INVALID_IMAGE = 200, "device kernel image is invalid";
    INVALID_CONTEXT = 201, "invalid device context";
    NO_BINARY_FOR_GPU = 209, "no kernel image is available for execution on the device";
    INVALID_PTX = 218, "a PTX JIT compilation failed";
    UNSUPPORTED_PTX_VERSION = 222, "the provided PTX was compiled with an unsupported toolchain.";
    INVALID_HANDLE = 400, "invalid resource handle";
    NOT_FOUND = 500, "named symbol not found";
    NOT_READY = 600, "device not ready";
    ILLEGAL_ADDRESS = 700, "an illegal memory access was encountered";
    LAUNCH_OUT_OF_RESOURCES = 701, "too many resources requested for launch";
    LAUNCH_TIMEOUT = 702, "the launch timed out and was terminated";
    HOST_MEMORY_ALREADY_REGISTERED = 712, "part or all of the requested memory range is already mapped";
    HOST_MEMORY_NOT_REGISTERED = 713, "pointer does not correspond to a registered memory region";
    ILLEGAL_INSTRUCTION = 715, "an illegal instruction was encountered";
    MISALIGNED_ADDRESS = 716, "misaligned address";
    LAUNCH_FAILED = 719, "unspecified launch failure";
    NOT_SUPPORTED = 801, "operation not supported";
    STREAM_CAPTURE_UNSUPPORTED = 900, "operation not permitted when stream is capturing";
    STREAM_CAPTURE_INVALIDATED = 901, "operation failed due to a previous error during capture";
    STREAM_CAPTURE_UNMATCHED = 903, "capture was not initiated in this stream";
    STREAM_CAPTURE_UNJOINED = 904, "capturing stream has unjoined work";
    UNKNOWN = 999, "unknown error";
}

impl From<Kind> for Code {
    fn from(kind: Kind) -> Code {
        match kind {
            Kind::IllegalAddress => Code::ILLEGAL_ADDRESS,
            Kind::Misaligned => Code::MISALIGNED_ADDRESS,
            Kind::Timeout => Code::LAUNCH_TIMEOUT,
            Kind::Trap => Code::ILLEGAL_INSTRUCTION,
            Kind::Failed => Code::LAUNCH_FAILED,
        }
    }
}

impl From<&LoadError> for Code {
    fn from(error: &LoadError) -> Code {
        match error {
            LoadError::Ptx(_) => Code::INVALID_PTX,
            LoadError::OutOfMemory => Code::OUT_OF_MEMORY,
        }
    }
}
