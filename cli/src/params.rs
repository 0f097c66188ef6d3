//! Parameters as a safetensors file: the names are the paths of the leaves.

use crate::failure::Failure;
use gavotte::{Array, DType};
use gavotte_core::device::{Data, HostArray};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The one entry of the file's metadata. More than one would come in an order that changes from run to run.
const METADATA: &str = "gavotte";

/// What a file of parameters says of their training. Nothing in it depends on the machine or on the clock.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Origin {
    pub(crate) version: String,
    pub(crate) dataset: String,
    pub(crate) sha256: String,
    pub(crate) split: String,
    pub(crate) seed: u64,
    pub(crate) attention: String,
    pub(crate) heads: usize,
    pub(crate) hidden: usize,
    pub(crate) epoch: usize,
}

/// A file of parameters.
pub(crate) struct Saved {
    pub(crate) named: Vec<(String, Array)>,
    /// Where they come from, if the file says so.
    pub(crate) origin: Option<Origin>,
}

/// The bytes of a file with these parameters.
pub(crate) fn to_bytes(named: &[(String, Array)], origin: &Origin) -> Result<Vec<u8>, Failure> {
    let internal = |error: &dyn std::fmt::Display| Failure::Run(format!("cannot save the parameters: {error}"));
    let mut tensors = vec![];
    for (path, array) in named {
        let host = array.to_host()?;
        let (dtype, bytes): (Dtype, Vec<u8>) = match host.data() {
            Data::F32(xs) => (Dtype::F32, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Data::F64(xs) => (Dtype::F64, xs.iter().flat_map(|x| x.to_le_bytes()).collect()),
            _ => return Err(internal(&format!("`{path}` is {}, and parameters are f32 or f64", host.dtype()))),
        };
        tensors.push((path, dtype, host.shape().to_vec(), bytes));
    }
    let views =
        tensors.iter().map(|(path, dtype, shape, bytes)| Ok((path, TensorView::new(*dtype, shape.clone(), bytes)?)));
    let views: Vec<_> = views.collect::<Result<_, safetensors::SafeTensorError>>().map_err(|error| internal(&error))?;
    let origin = serde_json::to_string(origin).map_err(|error| internal(&error))?;
    serialize(views, Some(HashMap::from([(METADATA.into(), origin)]))).map_err(|error| internal(&error))
}

/// Reads a file of parameters. `path` is for errors.
pub(crate) fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Saved, Failure> {
    let fail = |why: String| {
        Failure::input(format!("--params {}: {why}; give a file that `gavotte train --out` wrote", path.display()))
    };
    let damaged = |error: safetensors::SafeTensorError| fail(format!("this is no whole safetensors file: {error}"));
    let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let origin = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA));
    let origin = origin.map(|text| serde_json::from_str(text)).transpose();
    let origin = origin.map_err(|error| fail(format!("its metadata is not gavotte's: {error}")))?;
    let mut named = vec![];
    for (name, view) in tensors.tensors() {
        let data = match view.dtype() {
            Dtype::F32 => Data::F32(words(view.data()).map(f32::from_le_bytes).collect()),
            Dtype::F64 => Data::F64(words(view.data()).map(f64::from_le_bytes).collect()),
            other => return Err(fail(format!("`{name}` is {other:?}, and parameters are f32 or f64"))),
        };
        named.push((name, HostArray::from_data(view.shape(), data).into()));
    }
    Ok(Saved { named, origin })
}

/// The one floating type of the parameters; f32 where there is none.
pub(crate) fn dtype_of(named: &[(String, Array)]) -> DType {
    named.first().map_or(DType::F32, |(_, array)| array.dtype())
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.chunks_exact(N).map(|word| word.try_into().expect("chunks are of this size"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            version: "0.1.0".into(),
            dataset: "karate".into(),
            sha256: "00".into(),
            split: "public".into(),
            seed: 3,
            attention: "edges".into(),
            heads: 8,
            hidden: 8,
            epoch: 7,
        }
    }

    fn parameters() -> Vec<(String, Array)> {
        let array = |shape: &[usize], xs: &[f32]| Array::new(shape, xs.to_vec());
        vec![
            ("hidden.w".into(), array(&[2, 1], &[0.1, f32::MIN_POSITIVE])),
            ("out.bias".into(), array(&[0], &[])),
            ("out.w".into(), array(&[], &[-0.0])),
        ]
    }

    #[test]
    fn what_is_saved_is_read() {
        let bytes = to_bytes(&parameters(), &origin()).unwrap();
        let Saved { mut named, origin: found } = from_bytes(Path::new("p"), &bytes).unwrap();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found, Some(origin()));
        for ((path, array), (found_path, found)) in parameters().iter().zip(&named) {
            assert_eq!((path, array.shape()), (found_path, found.shape()));
            let bits = |array: &Array| array.to_vec::<f32>().into_iter().map(f32::to_bits).collect::<Vec<_>>();
            assert_eq!(bits(array), bits(found));
        }
        assert_eq!(bytes, to_bytes(&parameters(), &origin()).unwrap());
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let bytes = to_bytes(&parameters(), &origin()).unwrap();
        for damaged in [&bytes[..0], &bytes[..7], &bytes[..bytes.len() - 1], b"not a tensor file", &[0xff; 64]] {
            let Err(Failure::Input(message)) = from_bytes(Path::new("p.safetensors"), damaged) else {
                panic!("{} bytes were accepted", damaged.len())
            };
            assert!(message.contains("p.safetensors") && message.contains("gavotte train"), "{message}");
        }
    }
}
