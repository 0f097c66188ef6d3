//! Named parameters, and files of them: safetensors, as other frameworks read and write them. The names are the paths
//! of the leaves, such as `hidden.w`.
//!
//! ```
//! use gavotte::{Array, Tree, load_params, load_params_like, save_params};
//!
//! #[derive(Tree)]
//! struct Model {
//!     w: Array,
//!     b: Array,
//! }
//! let model = Model { w: Array::from([[1f32, 2.0]]), b: Array::from([0.5f32]) };
//! let folder = tempfile::tempdir().expect("the disk has space");
//! let path = folder.path().join("model.safetensors");
//! save_params(&path, &model, Some("after epoch 7"))?;
//!
//! // Into a tree of the same structure, whose own arrays are ignored.
//! let again: Model = load_params_like(&path, &model)?;
//! assert!(again.w.array_equal(&model.w));
//!
//! // All arrays in a file.
//! let file = load_params(&path)?;
//! assert_eq!(file.arrays.keys().collect::<Vec<_>>(), ["b", "w"]);
//! assert_eq!(file.metadata.as_deref(), Some("after epoch 7"));
//! # Ok::<(), gavotte::Error>(())
//! ```

mod damage;
mod repeated;

use crate::array::Array;
use crate::tree::leaves_with_paths;
use gavotte_core::api::{elements_of, serialize_arrays, write_file};
use gavotte_core::device::{HostArray, memory};
use gavotte_core::error::Error;
use gavotte_core::tree::Tree;
use safetensors::tensor::{Metadata, SafeTensors, TensorView};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The one entry of a file's metadata.
const METADATA: &str = "gavotte";

/// The contents of a file of parameters.
#[derive(Clone, Debug)]
pub struct Params {
    /// The arrays by name.
    pub arrays: BTreeMap<String, Array>,
    /// The text that was passed to [`save_params`].
    pub metadata: Option<String>,
}

/// Saves the arrays of a tree by their paths, atomically: an existing file is replaced once the new one is on the disk.
/// `metadata` is any text about them, such as JSON. The same parameters and text yield the same bytes.
///
/// # Errors
/// If an array cannot be read, or the file cannot be written. The message names the file.
#[track_caller]
pub fn save_params(path: impl AsRef<Path>, params: &impl Tree, metadata: Option<&str>) -> Result<(), Error> {
    let path = path.as_ref();
    let fail = |why: String| Error::File(format!("{}: cannot save the parameters: {why}", path.display()));
    named_file(path)?;
    let bytes = match to_bytes(&leaves_with_paths(params), metadata) {
        Ok(bytes) => bytes,
        Err(error) => return Err(fail(error.to_string())),
    };
    write_file(path, &[&bytes]).map_err(|error| fail(error.to_string()))
}

/// Loads every array of a safetensors file, by name.
///
/// # Errors
/// If the file cannot be read, is not a whole safetensors file, is too large for the memory, or has a tensor of a type
/// that arrays do not have. The message names the file and the tensor.
pub fn load_params(path: impl AsRef<Path>) -> Result<Params, Error> {
    let path = path.as_ref();
    let fail = |why: String| Error::File(format!("{}: {why}", path.display()));
    named_file(path)?;
    if path.is_dir() {
        return Err(fail("it is a folder: name a file in it".into()));
    }
    let file = File::open(path).map_err(|error| fail(format!("cannot open it: {error}; {}", advice(&error))))?;
    let bytes = read_bytes(file, room).map_err(fail)?;
    let file = ParamsFile::parse(&bytes).map_err(fail)?;
    let arrays = file.tensors().map(|tensor| Ok((tensor.name().to_string(), tensor.array()?)));
    let arrays = arrays.collect::<Result<_, String>>().map_err(fail)?;
    Ok(Params { arrays, metadata: file.metadata().map(String::from) })
}

/// Loads parameters into a tree with the structure of `like`: each leaf is the tensor named by its path.
///
/// # Errors
/// As [`load_params`], and if a tensor is missing, differs in type or shape from the leaf of `like`, or has no leaf.
pub fn load_params_like<T: Tree>(path: impl AsRef<Path>, like: &T) -> Result<T, Error> {
    let path = path.as_ref();
    let named = load_params(path)?.arrays.into_iter().collect();
    from_named(like, named).map_err(|error| Error::File(format!("{}: {error}", path.display())))
}

fn named_file(path: &Path) -> Result<(), Error> {
    match path.as_os_str().is_empty() {
        true => Err(Error::File("the path of the parameters is empty: name a file".into())),
        false => Ok(()),
    }
}

fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => "ask for the permission to read it",
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidFilename => "no file can have this name",
        _ => "check the path",
    }
}

/// Whether this many bytes of memory are available, as far as the system reports it.
fn room(needed: u64) -> Result<(), String> {
    match memory::available() {
        Some(available) if needed > available => {
            let [needed, available] = [needed, available].map(memory::shown);
            Err(format!("{needed} of memory are needed to load it, and {available} are available"))
        }
        _ => Ok(()),
    }
}

/// Parameters with the structure of `like` from named arrays, in any order.
///
/// # Errors
/// If a leaf is missing, given twice, unknown, or of another type. The message names the path, and both types.
pub fn from_named<P: Tree>(like: &P, named: Vec<(String, Array)>) -> Result<P, Error> {
    let mut left = named;
    let mut leaves = vec![];
    for (path, wanted) in like.leaves_with_paths() {
        let Some(at) = left.iter().position(|(name, _)| *name == path) else {
            let wanted_names = like.leaves_with_paths();
            let is_unknown = |name: &&str| wanted_names.iter().all(|(path, _)| path != name);
            let names: Vec<&str> = left.iter().map(|(name, _)| name.as_str()).filter(is_unknown).collect();
            let unused = match names[..] {
                [] => String::new(),
                _ => format!("; those that the model does not have are [{}]", names.join(", ")),
            };
            return Err(Error::Type(format!(
                "parameter `{path}`, {}, is missing{unused}: was it saved from another model?",
                wanted.aval(),
            )));
        };
        let (_, found) = left.remove(at);
        if found.value().aval() != wanted.aval() {
            return Err(Error::Type(format!(
                "parameter `{path}` is {}, but the model needs {}: use the settings it was trained with",
                found.value().aval(),
                wanted.aval()
            )));
        }
        leaves.push(found.into());
    }
    if let Some((name, _)) = left.first() {
        return Err(Error::Type(format!("parameter `{name}` is given, but the model has none left with that name")));
    }
    Ok(P::unflatten(&like.flatten().0, leaves))
}

/// The bytes of a safetensors file with these arrays. `metadata` becomes its entry `gavotte`.
///
/// # Errors
/// If an array cannot be read, or two have the same name.
#[track_caller]
pub fn to_bytes(named: &[(String, Array)], metadata: Option<&str>) -> Result<Vec<u8>, Error> {
    let mut on_host = vec![];
    // A closure would become the line that is named.
    for (name, array) in named {
        match array.to_host() {
            Ok(array) => on_host.push((name.clone(), array)),
            Err(error) => return Err(Error::File(format!("parameter `{name}`: {error}"))),
        }
    }
    serialize_arrays(&on_host, metadata.map(|text| (METADATA, text.to_string()))).map_err(Error::File)
}

/// Reads the bytes of a safetensors file, no more than its header claims. `room` is called with the number of bytes
/// needed, and refuses if they are not available.
///
/// # Errors
/// If the file cannot be read, its header is too long, or `room` refuses. An invalid header is refused by
/// [`ParamsFile::parse`].
pub fn read_bytes(mut file: impl Read, room: impl FnOnce(u64) -> Result<(), String>) -> Result<Vec<u8>, String> {
    /// Longer than any header.
    const HEADER_LIMIT: u64 = 16 << 20;
    let mut bytes = vec![];
    let mut read = |n: u64, bytes: &mut Vec<u8>| {
        let read = file.by_ref().take(n).read_to_end(bytes);
        read.map_err(|error| format!("cannot read it: {error}"))
    };
    read(8, &mut bytes)?;
    let Ok(length) = <[u8; 8]>::try_from(&bytes[..]) else { return Ok(bytes) };
    let length = u64::from_le_bytes(length);
    if length > HEADER_LIMIT {
        let why = match bytes == *b"gavotte " {
            true => "it is a compiled function, which `load` reads".into(),
            false => format!("its header would have {length} bytes, and {HEADER_LIMIT} are the limit"),
        };
        return Err(format!("this is not a file of parameters (safetensors): {why}"));
    }
    read(length, &mut bytes)?;
    let Ok(header) = serde_json::from_slice::<Metadata>(&bytes[8..]) else { return Ok(bytes) };
    let claimed = header.data_len() as u64;
    // The bytes, the arrays, and the model's arrays that they are compared with.
    room(claimed.saturating_mul(3))?;
    // One byte more, to detect a file that is longer.
    read(claimed.saturating_add(1), &mut bytes)?;
    Ok(bytes)
}

/// A safetensors file in memory.
#[derive(Debug)]
pub struct ParamsFile<'a> {
    tensors: SafeTensors<'a>,
    metadata: Option<String>,
}

impl<'a> ParamsFile<'a> {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// If it is not a whole safetensors file, or its header has a name twice.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let refused = |why| format!("this is not a whole safetensors file: {why}");
        let damaged = |error| refused(damage::explained(bytes, error));
        if let Some(why) = damage::header_of(bytes).and_then(|(header, _)| repeated::repeated(header)) {
            return Err(refused(format!("{why}: one of the two would be lost")));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let metadata = header.metadata().as_ref().and_then(|entries| entries.get(METADATA)).cloned();
        Ok(ParamsFile { tensors, metadata })
    }

    /// The entry `gavotte` of its metadata.
    pub fn metadata(&self) -> Option<&str> {
        self.metadata.as_deref()
    }

    /// Its tensors, in the order of their names.
    pub fn tensors(&self) -> impl Iterator<Item = NamedTensor<'a>> {
        let mut tensors = self.tensors.tensors();
        tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
        tensors.into_iter().map(|(name, view)| NamedTensor { name, view })
    }
}

/// A tensor of a file.
#[derive(Debug)]
pub struct NamedTensor<'a> {
    name: String,
    view: TensorView<'a>,
}

impl NamedTensor<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its element type, by the file's name for it: `F32`.
    pub fn type_name(&self) -> String {
        format!("{:?}", self.view.dtype())
    }

    /// The array.
    ///
    /// # Errors
    /// If arrays have no elements of its type, or the size is wrong. The message names the tensor.
    pub fn array(&self) -> Result<Array, String> {
        let name = &self.name;
        let Some(data) = elements_of(self.view.dtype(), self.view.data()) else {
            return Err(format!("`{name}` is {}, which no array has", self.type_name()));
        };
        let array = HostArray::try_from_data(self.view.shape(), data);
        array.map(Array::from).map_err(|error| format!("`{name}`: {error}"))
    }
}
