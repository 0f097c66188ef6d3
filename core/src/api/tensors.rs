//! Arrays in safetensors files.

use crate::device::{Data, Elements, HostArray};
use safetensors::tensor::{Dtype, SafeTensorError, TensorView, serialize};
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::path::Path;
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
        Data::F32(xs) => (Dtype::F32, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::F64(xs) => (Dtype::F64, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::I32(xs) => (Dtype::I32, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::U32(xs) => (Dtype::U32, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
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
        Dtype::F32 => Data::F32(words(bytes, f32::from_le_bytes)),
        Dtype::F64 => Data::F64(words(bytes, f64::from_le_bytes)),
        Dtype::I32 => Data::I32(words(bytes, i32::from_le_bytes)),
        Dtype::U32 => Data::U32(words(bytes, u32::from_le_bytes)),
        Dtype::BOOL => Data::Bool(bytes.iter().map(|byte| *byte != 0).collect()),
        _ => return None,
    })
}

/// Writes a file atomically: first to a temporary file in the same folder, which is then renamed.
///
/// # Errors
/// If the folder does not exist or cannot be written to.
pub fn write_file(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gavotte-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The usual permissions of a new file; the user's umask restricts them.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
