//! NVRTC, the compiler of CUDA C: found at run time, and called as far as the tests need it.
//!
//! `GAVOTTE_NVRTC` names the folder that holds `libnvrtc.so.13`; the PyPI package `nvidia-cuda-nvrtc` contains it. It
//! needs no device and no driver.

use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The results of compiling a translation unit.
#[derive(Debug)]
pub struct Compiled {
    /// The code that drivers compile.
    pub ptx: String,
    /// The code of one architecture; empty for a virtual one.
    pub cubin: Vec<u8>,
    /// The compiler's log: warnings, and what it was asked to report.
    pub log: String,
}

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

/// The library's functions.
pub struct Nvrtc {
    create: Create,
    compile: Compile,
    destroy: Destroy,
    message: Message,
    log: (Size, Get),
    ptx: (Size, Get),
    cubin: (Size, Get),
    /// The functions belong to the library, which stays loaded as long as they do.
    _library: Library,
}

impl Nvrtc {
    /// The library, if available. A test that needs it prints `skipped: …` if it is not.
    ///
    /// # Panics
    /// If `GAVOTTE_NVRTC` names a folder without it.
    pub fn get() -> Option<&'static Nvrtc> {
        static NVRTC: OnceLock<Option<Nvrtc>> = OnceLock::new();
        NVRTC
            .get_or_init(|| {
                let path = PathBuf::from(std::env::var_os("GAVOTTE_NVRTC")?).join("libnvrtc.so.13");
                Some(Nvrtc::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
            })
            .as_ref()
    }

    fn open(path: &Path) -> Result<Nvrtc, libloading::Error> {
        // SAFETY: loading NVRTC runs its initialisers, which ask nothing of the caller; each symbol has the type that
        // `nvrtc.h` declares.
        unsafe {
            let library = Library::new(path)?;
            Ok(Nvrtc {
                create: *library.get::<Create>(b"nvrtcCreateProgram\0")?,
                compile: *library.get::<Compile>(b"nvrtcCompileProgram\0")?,
                destroy: *library.get::<Destroy>(b"nvrtcDestroyProgram\0")?,
                message: *library.get::<Message>(b"nvrtcGetErrorString\0")?,
                log: (*library.get(b"nvrtcGetProgramLogSize\0")?, *library.get(b"nvrtcGetProgramLog\0")?),
                ptx: (*library.get(b"nvrtcGetPTXSize\0")?, *library.get(b"nvrtcGetPTX\0")?),
                cubin: (*library.get(b"nvrtcGetCUBINSize\0")?, *library.get(b"nvrtcGetCUBIN\0")?),
                _library: library,
            })
        }
    }

    /// Compiles a translation unit.
    ///
    /// # Errors
    /// The compiler's log, if it refuses.
    pub fn compile(&self, source: &str, options: &[&str]) -> Result<Compiled, String> {
        let program = Handle::new(self, source)?;
        let options: Vec<CString> = options.iter().map(|option| text(option)).collect();
        let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        // SAFETY: the program is alive, and the options are an array of this length.
        let status = unsafe { (self.compile)(program.raw, pointers.len() as c_int, pointers.as_ptr()) };
        let log = String::from_utf8_lossy(&program.read(self.log)?).trim_end_matches('\0').trim().to_string();
        if status != 0 {
            return Err(format!("{}\n{log}", self.error(status)));
        }
        let ptx = String::from_utf8_lossy(&program.read(self.ptx)?).trim_end_matches('\0').to_string();
        let is_real = options.iter().any(|option| option.to_string_lossy().contains("=sm_"));
        let cubin = if is_real { program.read(self.cubin)? } else { vec![] };
        Ok(Compiled { ptx, cubin, log })
    }

    fn error(&self, status: c_int) -> String {
        // SAFETY: the library returns a static text for every number.
        unsafe { CStr::from_ptr((self.message)(status)) }.to_string_lossy().into_owned()
    }

    fn check(&self, status: c_int) -> Result<(), String> {
        if status == 0 { Ok(()) } else { Err(self.error(status)) }
    }
}

/// A program of the library, destroyed on drop.
struct Handle<'a> {
    nvrtc: &'a Nvrtc,
    raw: Program,
}

impl<'a> Handle<'a> {
    fn new(nvrtc: &'a Nvrtc, source: &str) -> Result<Handle<'a>, String> {
        let mut raw = std::ptr::null_mut();
        let (source, none) = (text(source), std::ptr::null());
        // SAFETY: the text ends with a zero byte and outlives the call, which copies it; there are no headers.
        let status = unsafe { (nvrtc.create)(&mut raw, source.as_ptr(), std::ptr::null(), 0, none, none) };
        nvrtc.check(status)?;
        Ok(Handle { nvrtc, raw })
    }

    /// One result of a compilation.
    fn read(&self, (size, get): (Size, Get)) -> Result<Vec<u8>, String> {
        let mut n = 0;
        // SAFETY: the program is alive; the second call writes the number of bytes that the first one returns.
        unsafe {
            self.nvrtc.check(size(self.raw, &mut n))?;
            let mut bytes = vec![0u8; n];
            self.nvrtc.check(get(self.raw, bytes.as_mut_ptr().cast()))?;
            Ok(bytes)
        }
    }
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        // SAFETY: the program is alive, and nobody uses it any more.
        unsafe { (self.nvrtc.destroy)(&mut self.raw) };
    }
}

fn text(text: &str) -> CString {
    CString::new(text).expect("no byte of a text is zero")
}
