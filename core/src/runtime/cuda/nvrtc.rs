//! NVRTC, NVIDIA's compiler of CUDA C: loaded when the program runs, with all its functions before the first call.

use crate::error::Error;
use crate::runtime::cuda::library::{LEAST_NVRTC, NVRTC_FILES, absent, libraries};
use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt::Display;
use std::sync::OnceLock;

type Program = *mut c_void;
type Create = unsafe extern "C" fn(
    *mut Program,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> c_int;
type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Get = unsafe extern "C" fn(Program, *mut c_char) -> c_int;
type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;
type Message = unsafe extern "C" fn(c_int) -> *const c_char;
type Version = unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int;
type Count = unsafe extern "C" fn(*mut c_int) -> c_int;

/// The output of NVRTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// Text, which the driver compiles again.
    Ptx,
    /// Machine code.
    Cubin,
}

/// The functions that are called, and their library, which stays loaded as long as they exist.
#[derive(Debug)]
struct Functions {
    version: Version,
    architectures: (Count, Count),
    create: Create,
    compile: Compile,
    destroy: Destroy,
    message: Message,
    log: (Size, Get),
    ptx: (Size, Get),
    cubin: (Size, Get),
    _library: Library,
}

/// A function of a library.
///
/// # Safety
/// It must have this type.
unsafe fn function<T: Copy>(library: &Library, name: &str) -> Result<T, String> {
    // SAFETY: by this function's contract.
    unsafe { library.get::<T>(name) }.map(|found| *found).map_err(|_| format!("it lacks {name}"))
}

impl Functions {
    fn find(file: &str) -> Result<Functions, String> {
        // SAFETY: loading NVRTC runs its initialisers, which require nothing of the caller; each function has the type
        // that `nvrtc.h` declares.
        unsafe {
            let library = Library::new(file).map_err(|error| error.to_string())?;
            Ok(Functions {
                version: function(&library, "nvrtcVersion")?,
                architectures: (
                    function(&library, "nvrtcGetNumSupportedArchs")?,
                    function(&library, "nvrtcGetSupportedArchs")?,
                ),
                create: function(&library, "nvrtcCreateProgram")?,
                compile: function(&library, "nvrtcCompileProgram")?,
                destroy: function(&library, "nvrtcDestroyProgram")?,
                message: function(&library, "nvrtcGetErrorString")?,
                log: (function(&library, "nvrtcGetProgramLogSize")?, function(&library, "nvrtcGetProgramLog")?),
                ptx: (function(&library, "nvrtcGetPTXSize")?, function(&library, "nvrtcGetPTX")?),
                cubin: (function(&library, "nvrtcGetCUBINSize")?, function(&library, "nvrtcGetCUBIN")?),
                _library: library,
            })
        }
    }

    fn check(&self, what: &str, status: c_int) -> Result<(), Error> {
        if status == 0 { Ok(()) } else { Err(Error::Device(format!("NVRTC: {what}: {}", self.text(status)))) }
    }

    fn text(&self, status: c_int) -> String {
        // SAFETY: the library has a text for every number.
        unsafe { CStr::from_ptr((self.message)(status)) }.to_string_lossy().into_owned()
    }
}

/// An NVRTC that has all functions, and what it reports about itself.
#[derive(Debug)]
pub(super) struct Nvrtc {
    functions: Functions,
    /// Major and minor.
    pub(super) version: (u32, u32),
    /// The architectures that it supports, as 8 and 0 of `sm_80`.
    pub(super) architectures: Vec<(u32, u32)>,
}

impl Nvrtc {
    /// Every NVRTC on this machine, in the order of [`NVRTC_FILES`].
    ///
    /// # Errors
    /// If there is none, or none that has all functions: then what the first lacks.
    pub(super) fn all() -> Result<&'static [Nvrtc], Error> {
        static ALL: OnceLock<Result<Vec<Nvrtc>, Error>> = OnceLock::new();
        let find = || {
            let found = &libraries()[1];
            let first = found.found.as_deref().ok_or_else(|| absent(found))?;
            let mut whole: Vec<Nvrtc> = vec![];
            let mut lacking = None;
            for file in NVRTC_FILES.iter().skip_while(|file| **file != first) {
                match Nvrtc::open(file) {
                    Ok(nvrtc) if whole.iter().any(|known| known.version == nvrtc.version) => {}
                    Ok(nvrtc) => whole.push(nvrtc),
                    Err(error) => lacking = lacking.or(Some(error)),
                }
            }
            match lacking {
                Some(error) if whole.is_empty() => Err(error),
                _ => Ok(whole),
            }
        };
        ALL.get_or_init(find).as_deref().map_err(Error::clone)
    }

    fn open(file: &str) -> Result<Nvrtc, Error> {
        let (major, minor) = LEAST_NVRTC;
        let lacks = |why: &dyn Display| {
            Error::Device(format!(
                "NVRTC ({file}) is too old or damaged: {why}\n  {major}.{minor} is the least; `gavotte devices` lists what \
                 is there"
            ))
        };
        let functions = Functions::find(file).map_err(|why| lacks(&why))?;
        let (mut major, mut minor, mut n) = (0, 0, 0);
        // SAFETY: the pointers are valid.
        let told = unsafe { [(functions.version)(&mut major, &mut minor), (functions.architectures.0)(&mut n)] };
        let mut numbers = vec![0; n.max(0) as usize];
        // SAFETY: as above, and the buffer is large enough for all.
        let listed = unsafe { (functions.architectures.1)(numbers.as_mut_ptr()) };
        let mut statuses = told.into_iter().chain([listed]);
        statuses.try_for_each(|status| functions.check("it does not report its version", status))?;
        let version = (major as u32, minor as u32);
        if version < LEAST_NVRTC {
            return Err(lacks(&format!("it is {major}.{minor}")));
        }
        let architectures = numbers.into_iter().map(|number| (number as u32 / 10, number as u32 % 10)).collect();
        Ok(Nvrtc { functions, version, architectures })
    }

    /// The image of a text of CUDA C; `name` identifies it in errors.
    ///
    /// # Errors
    /// If the text is rejected, with the compiler's messages.
    pub(super) fn compile(&self, text: &str, options: &[String], form: Form, name: &str) -> Result<Vec<u8>, Error> {
        let c = |text: &str| CString::new(text).map_err(|error| Error::Device(format!("NVRTC: {name}: {error}")));
        let source = c(text)?;
        let options = options.iter().map(|option| c(option)).collect::<Result<Vec<CString>, Error>>()?;
        let options: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let mut raw = std::ptr::null_mut();
        let none = std::ptr::null();
        let functions = &self.functions;
        // SAFETY: the text outlives the call, which copies it; there are no headers.
        let status = unsafe { (functions.create)(&mut raw, source.as_ptr(), std::ptr::null(), 0, none, none) };
        functions.check(name, status)?;
        let program = Made { functions, raw };
        // SAFETY: the program is alive, and the count is that of the options.
        let status = unsafe { (functions.compile)(program.raw, options.len() as c_int, options.as_ptr()) };
        if status != 0 {
            let log = program.read(functions.log, name).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let (why, said) = (functions.text(status), log.trim_end_matches('\0').trim_end());
            return Err(Error::Device(format!("NVRTC refuses the kernels of {name}: {why}\n{said}")));
        }
        // PTX ends with a zero byte, which the driver requires.
        program.read(if form == Form::Ptx { functions.ptx } else { functions.cubin }, name)
    }
}

/// A program of the library, destroyed on drop.
struct Made<'a> {
    functions: &'a Functions,
    raw: Program,
}

impl Made<'_> {
    /// One of the results of a compilation.
    fn read(&self, (size, get): (Size, Get), name: &str) -> Result<Vec<u8>, Error> {
        let mut n = 0;
        // SAFETY: the program is alive, and the pointer is valid.
        self.functions.check(name, unsafe { size(self.raw, &mut n) })?;
        let mut bytes = vec![0u8; n];
        // SAFETY: as above, and the buffer is large enough.
        self.functions.check(name, unsafe { get(self.raw, bytes.as_mut_ptr().cast()) })?;
        Ok(bytes)
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        // SAFETY: the program is alive, and nobody uses it any more.
        unsafe { (self.functions.destroy)(&mut self.raw) };
    }
}

/// The version of NVRTC, major and minor: of the first, if there are several.
///
/// # Errors
/// If there is none, it is too old or lacks a function, or it fails.
pub fn nvrtc_version() -> Result<(u32, u32), Error> {
    Ok(Nvrtc::all()?[0].version)
}
