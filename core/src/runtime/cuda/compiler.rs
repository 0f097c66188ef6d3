//! From CUDA C to code that the driver loads, through NVRTC, or from a folder on disk if it has been compiled before.
//!
//! Machine code is generated if NVRTC knows the device's generation: the driver loads it directly. PTX, which the
//! driver compiles again, is for devices that are newer than NVRTC. A driver accepts machine code of its own major
//! version of CUDA, whose minor versions are compatible, and PTX that is not newer than itself.
//!
//! Source: NVIDIA, *CUDA Compatibility*, "Minor Version Compatibility".

use crate::codegen::cuda::COMPILER_OPTIONS;
use crate::error::Error;
use crate::runtime::cuda::library::driver_version;
use crate::runtime::cuda::nvrtc::{Form, Nvrtc};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The environment variable that names the folder for compiled kernels; if it is empty, there is none.
const VARIABLE: &str = "GAVOTTE_CACHE";
/// Bytes of the digest at the start of a file.
const DIGEST: usize = 32;
/// NVIDIA's packages of NVRTC on PyPI, the newest first: major version, least architecture, name, and the library's
/// file.
const PACKAGES: [(u32, Pair, &str, &str); 3] = [
    (13, (7, 5), "nvidia-cuda-nvrtc", "libnvrtc.so.13"),
    (12, (5, 0), "nvidia-cuda-nvrtc-cu12", "libnvrtc.so.12"),
    (11, (3, 5), "nvidia-cuda-nvrtc-cu11", "libnvrtc.so.11.2"),
];

/// A version, or a compute capability: 8 and 0 of `sm_80`.
type Pair = (u32, u32);

/// What to compile for a device: the form, and the architecture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Image {
    form: Form,
    architecture: Pair,
}

/// A compiler for one device.
#[derive(Debug)]
pub(super) struct Compiler {
    nvrtc: &'static Nvrtc,
    /// The images that the driver may accept, the best first.
    images: Vec<Image>,
    /// How many of those the driver has rejected.
    refused: AtomicUsize,
    /// The versions that determine the output, besides text and options.
    versions: String,
    folder: Option<PathBuf>,
}

impl Compiler {
    /// A compiler for a device of this compute capability: the first of the available NVRTCs that fits.
    ///
    /// # Errors
    /// If NVRTC or the driver is missing, or no NVRTC fits the driver and the device.
    pub(super) fn new(capability: Pair) -> Result<Compiler, Error> {
        let (all, driver) = (Nvrtc::all()?, driver_version()?);
        let fit = |nvrtc: &'static Nvrtc| {
            images_for(nvrtc.version, &nvrtc.architectures, driver, capability).map(|images| (nvrtc, images))
        };
        // If none fits, the first says why.
        let fits = all.iter().map(fit).reduce(|found, next| found.or_else(|why| next.map_err(|_| why)));
        let (nvrtc, images) = fits.expect("there is one").map_err(Error::Device)?;
        let folder = match std::env::var_os(VARIABLE) {
            Some(folder) if folder.is_empty() => None,
            Some(folder) => Some(folder.into()),
            None => dirs::cache_dir().map(|folder| folder.join("gavotte")),
        };
        let versions = format!("{:?} {driver:?}", nvrtc.version);
        Ok(Compiler { nvrtc, images, refused: AtomicUsize::new(0), versions, folder })
    }

    /// What to compile for the driver: the first image that it has not rejected.
    pub(super) fn image(&self) -> Image {
        self.images[self.refused.load(Ordering::Relaxed)]
    }

    /// Notes that the driver rejects such an image; returns whether there is another.
    pub(super) fn refuse(&self, image: Image) -> bool {
        let at = self.images.iter().position(|known| *known == image).unwrap_or_default();
        let is_another = at + 1 < self.images.len();
        if is_another {
            self.refused.fetch_max(at + 1, Ordering::Relaxed);
        }
        is_another
    }

    /// A description of what it compiles.
    pub(super) fn described(&self) -> String {
        let (Image { form, architecture: (major, minor) }, version) = (self.image(), self.nvrtc.version);
        let what = match form {
            Form::Cubin => "machine code",
            Form::Ptx => "PTX, which the driver compiles,",
        };
        format!("{what} for sm_{major}{minor} by NVRTC {}.{}", version.0, version.1)
    }

    /// An image of a text. `name` identifies it in errors.
    ///
    /// # Errors
    /// If NVRTC rejects the text, with its messages.
    pub(super) fn compile(&self, text: &str, image: Image, name: &str) -> Result<Vec<u8>, Error> {
        let options = image.options();
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
        let image = self.nvrtc.compile(text, &options, image.form, name)?;
        if let Some(file) = &file {
            // An image that cannot be kept is compiled again.
            let _ = write(file, &image);
        }
        Ok(image)
    }
}

impl Image {
    fn options(self) -> Vec<String> {
        let (major, minor) = self.architecture;
        let kind = if self.form == Form::Ptx { "compute" } else { "sm" };
        let architecture = format!("--gpu-architecture={kind}_{major}{minor}");
        COMPILER_OPTIONS.iter().map(|option| option.to_string()).chain([architecture]).collect()
    }
}

/// The images of an NVRTC that a driver may accept for a device, the best first; or why there are none, and what to do.
fn images_for(nvrtc: Pair, known: &[Pair], driver: Pair, capability: Pair) -> Result<Vec<Image>, String> {
    let told = format!("NVRTC {}.{}", nvrtc.0, nvrtc.1);
    let knows = format!("the driver, which knows CUDA {}.{}", driver.0, driver.1);
    let advice = advice(driver, capability);
    if nvrtc.0 > driver.0 {
        return Err(format!(
            "{told} is of a newer major version than {knows}, and makes code that it does not load\n  {advice}"
        ));
    }
    let newest = |runs: &dyn Fn(&Pair) -> bool| known.iter().copied().filter(runs).max();
    let older = |known: &Pair| *known <= capability;
    // Machine code runs on later devices of one generation, PTX on all later ones.
    let cubin = newest(&|known| older(known) && known.0 == capability.0);
    let ptx = newest(&older).filter(|_| nvrtc <= driver);
    let image = |form, architecture: Option<Pair>| architecture.map(|architecture| Image { form, architecture });
    let images: Vec<Image> = [image(Form::Cubin, cubin), image(Form::Ptx, ptx)].into_iter().flatten().collect();
    match (images.is_empty(), known.iter().any(older)) {
        (false, _) => Ok(images),
        (true, true) => Err(format!(
            "{told} makes no machine code for sm_{}{}, and its PTX is newer than {knows}\n  {advice}",
            capability.0, capability.1
        )),
        (true, false) => {
            Err(format!("{told} compiles no code that sm_{}{} runs\n  {advice}", capability.0, capability.1))
        }
    }
}

/// Which NVRTC fits a driver and a device.
fn advice(driver: Pair, capability: Pair) -> String {
    let fits = |(_, least, ..): &&(u32, Pair, &str, &str)| *least <= capability;
    match PACKAGES.iter().filter(fits).find(|(major, ..)| *major <= driver.0) {
        Some((major, _, package, file)) => {
            format!("take NVRTC {major}: {package} from PyPI, with the folder of its {file} in LD_LIBRARY_PATH")
        }
        None => match PACKAGES.iter().any(|package| fits(&package)) {
            true => "take a newer graphics driver".into(),
            false => "no NVRTC that Gavotte can use compiles for this GPU".into(),
        },
    }
}

/// A kept image; `None` if there is none, or it is damaged.
fn read(file: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(file).ok()?;
    let (digest, image) = bytes.split_at_checked(DIGEST)?;
    (Sha256::digest(image).as_slice() == digest).then(|| image.to_vec())
}

/// Keeps an image: the file is written whole or not at all.
fn write(file: &Path, image: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut whole = tempfile::NamedTempFile::new_in(folder)?;
    whole.write_all(&Sha256::digest(image))?;
    whole.write_all(image)?;
    whole.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_13: [Pair; 4] = [(7, 5), (8, 0), (8, 6), (9, 0)];

    fn made(nvrtc: Pair, known: &[Pair], driver: Pair, capability: Pair) -> Vec<(Form, Pair)> {
        let images = images_for(nvrtc, known, driver, capability).unwrap_or_else(|why| panic!("{why}"));
        images.into_iter().map(|image| (image.form, image.architecture)).collect()
    }

    #[test]
    fn machine_code_comes_first_where_it_fits() {
        // The device's own architecture, an older one of its generation, and none.
        assert_eq!(made((13, 2), &OF_13, (13, 2), (8, 0)), [(Form::Cubin, (8, 0)), (Form::Ptx, (8, 0))]);
        assert_eq!(made((13, 2), &OF_13, (13, 2), (8, 9)), [(Form::Cubin, (8, 6)), (Form::Ptx, (8, 6))]);
        assert_eq!(made((13, 2), &OF_13, (13, 2), (12, 0)), [(Form::Ptx, (9, 0))]);
        // The driver does not know PTX of a newer minor version, but accepts its machine code.
        assert_eq!(made((13, 2), &OF_13, (13, 0), (8, 0)), [(Form::Cubin, (8, 0))]);
        assert_eq!(made((11, 8), &[(3, 5), (3, 7)], (11, 4), (3, 7)), [(Form::Cubin, (3, 7))]);
    }

    #[test]
    fn what_does_not_fit_names_what_does() {
        for (nvrtc, driver, capability, parts) in [
            ((13, 2), (11, 4), (3, 7), ["newer major version", "CUDA 11.4", "-cu11", "libnvrtc.so.11.2"]),
            ((13, 2), (12, 4), (9, 0), ["newer major version", "CUDA 12.4", "-cu12", "libnvrtc.so.12"]),
            ((13, 2), (13, 0), (7, 0), ["sm_70", "NVRTC 13.2", "-cu12", "libnvrtc.so.12"]),
            ((12, 9), (12, 9), (3, 7), ["sm_37", "NVRTC 12.9", "-cu11", "libnvrtc.so.11.2"]),
            ((13, 2), (13, 0), (12, 0), ["sm_120", "PTX is newer", "nvidia-cuda-nvrtc ", "libnvrtc.so.13"]),
            ((13, 2), (13, 2), (3, 0), ["sm_30", "no NVRTC", "", ""]),
            ((11, 8), (10, 2), (8, 0), ["newer major version", "CUDA 10.2", "newer graphics driver", ""]),
        ] {
            let known = if nvrtc.0 == 12 { &[(5, 0), (7, 0)][..] } else { &OF_13 };
            let why = images_for(nvrtc, known, driver, capability).unwrap_err();
            assert!(parts.iter().all(|part| why.contains(part)), "{parts:?} are not all in: {why}");
        }
    }
}
