//! From CUDA C to what the driver loads, through NVRTC, and from a folder on disk where it has been compiled before.

use crate::codegen::cuda::COMPILER_OPTIONS;
use crate::error::Error;
use crate::runtime::cuda::library::{driver_version, need_nvrtc, nvrtc_version};
use cudarc::nvrtc::{result, sys};
use sha2::{Digest, Sha256};
use std::ffi::{CStr, CString};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The variable that names the folder for compiled kernels; empty, there is none.
const VARIABLE: &str = "GAVOTTE_CACHE";
/// Bytes of the digest that a file begins with.
const DIGEST: usize = 32;

/// What NVRTC makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// Text, which the driver compiles: of this version, or older.
    Ptx,
    /// Machine code, which a driver older than NVRTC takes too.
    Cubin,
}

/// Compiles for one architecture.
#[derive(Debug)]
pub(super) struct Compiler {
    /// As 8 and 0 of `sm_80`.
    architecture: (u32, u32),
    form: Form,
    /// What decides what comes out, beside the text.
    versions: String,
    folder: Option<PathBuf>,
}

impl Compiler {
    /// A compiler for a device of this compute capability.
    ///
    /// # Errors
    /// Where NVRTC or the driver is not there, or NVRTC knows no architecture that the device runs.
    pub(super) fn new(capability: (u32, u32)) -> Result<Compiler, Error> {
        need_nvrtc()?;
        let (nvrtc, driver) = (nvrtc_version()?, driver_version()?);
        // PTX has a version, which is NVRTC's and not ours to choose.
        let form = if nvrtc > driver { Form::Cubin } else { Form::Ptx };
        let known = architectures()?;
        // PTX for an older architecture runs on every newer one; machine code on those of one generation.
        let runs = |known: &&(u32, u32)| **known <= capability && (form == Form::Ptx || known.0 == capability.0);
        let architecture = known.iter().filter(runs).max().copied().ok_or_else(|| {
            let (major, minor) = capability;
            Error::Device(format!(
                "NVRTC {}.{} compiles for no architecture that sm_{major}{minor} runs\n  take another nvidia-cuda-nvrtc",
                nvrtc.0, nvrtc.1
            ))
        })?;
        let folder = match std::env::var_os(VARIABLE) {
            Some(folder) if folder.is_empty() => None,
            Some(folder) => Some(folder.into()),
            None => dirs::cache_dir().map(|folder| folder.join("gavotte")),
        };
        Ok(Compiler { architecture, form, versions: format!("{nvrtc:?} {driver:?} {form:?}"), folder })
    }

    /// What the driver loads for a text. `name` stands for it in errors.
    ///
    /// # Errors
    /// Where NVRTC refuses the text, with what it says.
    pub(super) fn compile(&self, text: &str, name: &str) -> Result<Vec<u8>, Error> {
        let options = self.options();
        let mut hash = Sha256::new();
        for part in [text, &options.join(" "), &self.versions] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let file = self.folder.as_ref().map(|folder| folder.join(format!("{digits}.cuda")));
        if let Some(image) = file.as_deref().and_then(read) {
            return Ok(image);
        }
        let image = compile(text, &options, self.form, name)?;
        if let Some(file) = &file {
            // What cannot be kept is compiled again.
            let _ = write(file, &image);
        }
        Ok(image)
    }

    fn options(&self) -> Vec<String> {
        let (major, minor) = self.architecture;
        let kind = if self.form == Form::Ptx { "compute" } else { "sm" };
        let architecture = format!("--gpu-architecture={kind}_{major}{minor}");
        COMPILER_OPTIONS.iter().map(|option| option.to_string()).chain([architecture]).collect()
    }
}

/// An image that was kept; none where there is none, or it is not what was written.
fn read(file: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(file).ok()?;
    let (digest, image) = bytes.split_at_checked(DIGEST)?;
    (Sha256::digest(image).as_slice() == digest).then(|| image.to_vec())
}

/// Keeps an image: the file is there whole or not at all.
fn write(file: &Path, image: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut whole = tempfile::NamedTempFile::new_in(folder)?;
    whole.write_all(&Sha256::digest(image))?;
    whole.write_all(image)?;
    whole.persist(file)?;
    Ok(())
}

fn failed(what: &str, error: impl std::fmt::Debug) -> Error {
    Error::Device(format!("NVRTC: {what}: {error:?}"))
}

/// The architectures that NVRTC knows.
fn architectures() -> Result<Vec<(u32, u32)>, Error> {
    let failed = |error| failed("it does not say which architectures it knows", error);
    let mut n = 0;
    // SAFETY: the library is there, and the pointer is valid.
    unsafe { sys::nvrtcGetNumSupportedArchs(&mut n) }.result().map_err(failed)?;
    let mut known = vec![0; n as usize];
    // SAFETY: as above, and there is room for all.
    unsafe { sys::nvrtcGetSupportedArchs(known.as_mut_ptr()) }.result().map_err(failed)?;
    Ok(known.into_iter().map(|number| (number as u32 / 10, number as u32 % 10)).collect())
}

/// A program of NVRTC's, destroyed with its last use.
struct Program(sys::nvrtcProgram);

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: it is a program, and nobody uses it any more.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}

fn compile(text: &str, options: &[String], form: Form, name: &str) -> Result<Vec<u8>, Error> {
    let source = CString::new(text).map_err(|error| failed(name, error))?;
    let program = result::create_program(&source, None).map_err(|error| failed(name, error))?;
    let program = Program(program);
    // SAFETY: it is a program that was just made.
    if let Err(error) = unsafe { result::compile_program(program.0, options) } {
        // SAFETY: as above.
        let log = unsafe { result::get_program_log(program.0) }.unwrap_or_default();
        let log: Vec<u8> = log.into_iter().map(|c| c as u8).collect();
        let log = CStr::from_bytes_until_nul(&log).map(|log| log.to_string_lossy().into_owned()).unwrap_or_default();
        return Err(Error::Device(format!("NVRTC refuses the kernels of {name}: {:?}\n{}", error.0, log.trim_end())));
    }
    let image: Result<Vec<u8>, _> = match form {
        // SAFETY: it has been compiled. The text ends with a zero, which the driver wants.
        Form::Ptx => unsafe { result::get_ptx(program.0) }.map(|ptx| ptx.into_iter().map(|c| c as u8).collect()),
        Form::Cubin => cubin(&program),
    };
    image.map_err(|error| failed(name, error))
}

fn cubin(program: &Program) -> Result<Vec<u8>, result::NvrtcError> {
    let mut n = 0;
    // SAFETY: it has been compiled for a real architecture, and the pointer is valid.
    unsafe { sys::nvrtcGetCUBINSize(program.0, &mut n) }.result()?;
    let mut image = vec![0u8; n];
    // SAFETY: as above, and there is room for all.
    unsafe { sys::nvrtcGetCUBIN(program.0, image.as_mut_ptr().cast()) }.result()?;
    Ok(image)
}
