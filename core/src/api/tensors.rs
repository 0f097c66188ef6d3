//! Arrays in safetensors files.

use crate::device::{Data, Elements, HostArray};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensorError, TensorView, serialize};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The bytes of a file with these arrays and one entry of metadata; the order of several entries would change from run
/// to run.
///
/// # Errors
/// If two arrays have the same name.
pub fn serialize_arrays(
    named: &[(String, Arc<HostArray>)],
    metadata: Option<(&str, String)>,
) -> Result<Vec<u8>, String> {
    let mut names = HashSet::new();
    if let Some((name, _)) = named.iter().find(|(name, _)| !names.insert(name)) {
        return Err(format!("two arrays are called `{name}`: give each its own name"));
    }
    // The entry of the metadata in the file's header.
    const RESERVED: &str = "__metadata__";
    if names.contains(&RESERVED.to_string()) {
        return Err(format!("an array is called `{RESERVED}`, which the file's format reserves: give it another name"));
    }
    let tensors: Vec<_> = named
        .iter()
        .map(|(name, array)| {
            let (dtype, bytes) = to_bytes(array.data());
            (name, dtype, array.shape().to_vec(), bytes)
        })
        .collect();
    let views =
        tensors.iter().map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)));
    let views: Vec<_> = views.collect::<Result<_, SafeTensorError>>().map_err(|error| error.to_string())?;
    let metadata = metadata.map(|(entry, text)| HashMap::from([(entry.to_string(), text)]));
    serialize(views, metadata).map_err(|error| error.to_string())
}

fn to_bytes(data: &Data) -> (Dtype, Vec<u8>) {
    match data {
        Data::F16(xs) => (Dtype::F16, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::BF16(xs) => (Dtype::BF16, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::F32(xs) => (Dtype::F32, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::F64(xs) => (Dtype::F64, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::I8(xs) => (Dtype::I8, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::I16(xs) => (Dtype::I16, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::I32(xs) => (Dtype::I32, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::I64(xs) => (Dtype::I64, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::U8(xs) => (Dtype::U8, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::U16(xs) => (Dtype::U16, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::U32(xs) => (Dtype::U32, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::U64(xs) => (Dtype::U64, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::Bool(xs) => (Dtype::BOOL, xs.iter().map(|x| u8::from(*x)).collect()),
    }
}

/// The elements in the bytes of a tensor; `None` if no array has elements of that type.
pub fn elements_of(dtype: Dtype, bytes: &[u8]) -> Option<Data> {
    fn words<const N: usize, T: Copy>(bytes: &[u8], word: fn([u8; N]) -> T) -> Elements<T> {
        let (words, _) = bytes.as_chunks::<N>();
        words.iter().map(|bytes| word(*bytes)).collect()
    }
    Some(match dtype {
        Dtype::F16 => Data::F16(words(bytes, f16::from_le_bytes)),
        Dtype::BF16 => Data::BF16(words(bytes, bf16::from_le_bytes)),
        Dtype::F32 => Data::F32(words(bytes, f32::from_le_bytes)),
        Dtype::F64 => Data::F64(words(bytes, f64::from_le_bytes)),
        Dtype::I8 => Data::I8(words(bytes, i8::from_le_bytes)),
        Dtype::I16 => Data::I16(words(bytes, i16::from_le_bytes)),
        Dtype::I32 => Data::I32(words(bytes, i32::from_le_bytes)),
        Dtype::I64 => Data::I64(words(bytes, i64::from_le_bytes)),
        Dtype::U8 => Data::U8(words(bytes, u8::from_le_bytes)),
        Dtype::U16 => Data::U16(words(bytes, u16::from_le_bytes)),
        Dtype::U32 => Data::U32(words(bytes, u32::from_le_bytes)),
        Dtype::U64 => Data::U64(words(bytes, u64::from_le_bytes)),
        Dtype::BOOL => Data::Bool(bytes.iter().map(|byte| *byte != 0).collect()),
        _ => return None,
    })
}

/// Writes a file atomically: first to a temporary file in the same folder, which is then renamed. Links are followed. A
/// device or a pipe is written to as it is. A file that is replaced keeps its permissions; other names of the old file
/// (hard links) keep the old contents.
///
/// # Errors
/// If the folder does not exist or cannot be written to, or the path is a folder.
pub fn write_file(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is empty: name a file"));
    }
    write_whole(&target(path)?, parts).map_err(|error| {
        // The error of a temporary file names that file, which the user does not know.
        let why = error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error);
        let advice = match why.kind() {
            // The system's words for these two say less.
            io::ErrorKind::NotFound => return io::Error::new(why.kind(), "its folder does not exist: make it first"),
            io::ErrorKind::PermissionDenied => "write to a folder of your own, or ask for its permissions",
            io::ErrorKind::StorageFull => "free some space, or write to another disk",
            io::ErrorKind::IsADirectory => {
                return io::Error::new(why.kind(), "it is a folder: add the name of a file");
            }
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => "use another name",
            io::ErrorKind::NotADirectory => {
                "the path leads through a file, or ends with a slash: name a file in a folder"
            }
            _ => return why,
        };
        io::Error::new(why.kind(), format!("{why}; {advice}"))
    })
}

/// The file that a path leads to, through links; the last one may lead to a file that does not exist yet.
fn target(path: &Path) -> io::Result<PathBuf> {
    /// As many as Linux follows.
    const LINKS: usize = 40;
    let mut path = path.to_path_buf();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(next) => path = path.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

fn write_whole(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => {
            let mut device = File::options().write(true).open(path)?;
            return parts.iter().try_for_each(|part| device.write_all(part));
        }
        _ => {}
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gavotte-");
    let old = fs::metadata(path).ok().map(|found| found.permissions());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The usual permissions of a new file; the user's umask restricts them.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    // What only its owner could read stays so.
    if let Some(old) = old {
        file.as_file().set_permissions(old)?;
    }
    for part in parts {
        file.as_file_mut().write_all(part)?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
