//! Parameters as a safetensors file: the names are the paths of the leaves.

use crate::args::{Attention, HEADS, HIDDEN};
use crate::dataset::DatasetName;
use crate::failure::Failure;
use crate::inputs;
use clap::ValueEnum;
use gavotte::params::{self, ParamsFile};
use gavotte::{Array, DType};
use gavotte_core::device::Data;
use gavotte_gat::memory;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// The metadata of a file of parameters: how they were trained. Nothing in it depends on the machine or on the clock.
#[derive(Serialize, Clone, Debug, PartialEq)]
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
    /// The name of each class; empty in files of older versions.
    pub(crate) classes: Vec<String>,
}

impl Origin {
    /// Reads the metadata of a file. The error names the entry that is wrong.
    fn read(text: &str) -> Result<Origin, String> {
        let Ok(Value::Object(entries)) = serde_json::from_str(text) else {
            return Err("it is not a JSON object".into());
        };
        let entry = |name: &str| entries.get(name).ok_or_else(|| format!("it has no entry `{name}`"));
        let wrong = |name: &str, wanted: &str| format!("`{name}` must be {wanted}");
        let word = |name: &str| match entry(name)? {
            Value::String(word) => Ok(word.clone()),
            _ => Err(wrong(name, "a text")),
        };
        let number = |name: &str| entry(name)?.as_u64().ok_or_else(|| wrong(name, "a whole number of at least 0"));
        let size = |name: &str| usize::try_from(number(name)?).map_err(|_| wrong(name, "smaller"));
        let names = |name: &str| match entries.get(name) {
            None => Ok(vec![]),
            Some(Value::Array(names)) => {
                let names = names.iter().map(|name| name.as_str().map(String::from)).collect::<Option<_>>();
                names.ok_or_else(|| wrong(name, "a list of texts"))
            }
            Some(_) => Err(wrong(name, "a list of texts")),
        };
        let origin = Origin {
            version: word("version")?,
            dataset: word("dataset")?,
            sha256: word("sha256")?,
            split: word("split")?,
            seed: number("seed")?,
            attention: word("attention")?,
            heads: size("heads")?,
            hidden: size("hidden")?,
            epoch: size("epoch")?,
            classes: names("classes")?,
        };
        origin.check()?;
        Ok(origin)
    }

    /// Refuses values that no command line could have asked for.
    fn check(&self) -> Result<(), String> {
        for (name, n, range) in [("heads", self.heads, HEADS), ("hidden", self.hidden, HIDDEN)] {
            if !range.contains(&n) {
                return Err(format!("`{name}` is {n}, and must be from {} to {}", range.start(), range.end()));
            }
        }
        self.dataset.parse::<DatasetName>().map_err(|why| format!("`dataset` is `{}`: {why}", self.dataset))?;
        Attention::from_str(&self.attention, false)
            .map(drop)
            .map_err(|_| format!("`attention` is `{}`, and must be edges or dense", self.attention))
    }
}

/// A file of parameters.
pub(crate) struct Saved {
    pub(crate) named: Vec<(String, Array)>,
    /// How they were trained, if the file says so.
    pub(crate) origin: Option<Origin>,
}

/// The bytes of a file with these parameters.
pub(crate) fn to_bytes(named: &[(String, Array)], origin: &Origin) -> Result<Vec<u8>, Failure> {
    let internal = |error: &dyn std::fmt::Display| Failure::Run(format!("cannot save the parameters: {error}"));
    if let Some((path, array)) = named.iter().find(|(_, array)| !array.dtype().is_float()) {
        return Err(internal(&format!("`{path}` is {}, and parameters are f32 or f64", array.dtype())));
    }
    let origin = serde_json::to_string(origin).map_err(|error| internal(&error))?;
    params::to_bytes(named, Some(&origin)).map_err(|error| internal(&error))
}

fn fail(path: &Path, why: &str) -> Failure {
    Failure::input(format!("--params {}: {why}; give a file that `gavotte train --out` wrote", path.display()))
}

/// Reads the bytes of a file of parameters: no more than its header says, and none if they do not fit the memory.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let file = inputs::open("--params", path)?;
    let fits = |needed| memory::check(needed).map_err(|shortage| shortage.to_string());
    params::read_bytes(file, fits).map_err(|why| fail(path, &why))
}

/// Parses a file of parameters. `path` is for errors.
pub(crate) fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Saved, Failure> {
    let fail = |why: String| fail(path, &why);
    let file = ParamsFile::parse(bytes).map_err(fail)?;
    let origin = file.metadata().map(Origin::read).transpose();
    let origin = origin.map_err(|why| fail(format!("its metadata is not gavotte's: {why}")))?;
    let mut named = vec![];
    for tensor in file.tensors() {
        let name = tensor.name();
        if !matches!(tensor.type_name().as_str(), "F32" | "F64") {
            return Err(fail(format!("`{name}` is {}, and parameters are f32 or f64", tensor.type_name())));
        }
        let array = tensor.array().map_err(fail)?;
        let is_finite = match array.to_host()?.data() {
            Data::F32(xs) => xs.iter().all(|x| x.is_finite()),
            Data::F64(xs) => xs.iter().all(|x| x.is_finite()),
            _ => true,
        };
        if !is_finite {
            return Err(fail(format!("`{name}` holds NaN or infinity: nothing can be computed with that")));
        }
        named.push((name.to_string(), array));
    }
    Ok(Saved { named, origin })
}

/// The floating type of the parameters; f32 if there are none.
pub(crate) fn dtype_of(named: &[(String, Array)]) -> DType {
    named.first().map_or(DType::F32, |(_, array)| array.dtype())
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
            classes: vec!["one".into(), "two".into()],
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
    fn what_no_command_line_says_is_refused() {
        let huge = Origin { heads: 1 << 63, ..origin() };
        let wide = Origin { hidden: 1 << 40, ..origin() };
        let unknown = Origin { dataset: "citeseer".into(), ..origin() };
        let attention = Origin { attention: "sparse".into(), ..origin() };
        let graph = Origin { dataset: "rmat:5:99:3:2".into(), ..origin() };
        for (origin, part) in [
            (huge, "`heads` is 9223372036854775808, and must be from 1 to 1024"),
            (wide, "`hidden` is 1099511627776"),
            (unknown, "`dataset` is `citeseer`"),
            (attention, "`attention` is `sparse`"),
            (graph, "not for 99"),
        ] {
            let bytes = to_bytes(&parameters(), &origin).unwrap();
            let Err(Failure::Input(message)) = from_bytes(Path::new("p"), &bytes) else { panic!("{origin:?}") };
            assert!(message.contains(part) && message.contains("gavotte train"), "{message}");
        }
    }

    /// Each byte takes every other value once; then the numbers of the metadata are replaced.
    #[test]
    fn no_noise_in_a_file_panics() {
        let bytes = to_bytes(&parameters(), &origin()).unwrap();
        for place in 0..bytes.len() {
            for step in 1..=255u8 {
                let mut noisy = bytes.clone();
                noisy[place] = noisy[place].wrapping_add(step);
                let _ = from_bytes(Path::new("p"), &noisy);
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for number in ["-1", "1e400", "null", "18446744073709551615", "18446744073709551616", "\"8\"", "[]"] {
            for name in ["heads", "hidden", "seed", "epoch"] {
                let noisy =
                    text.replacen(&format!("\\\"{name}\\\":"), &format!("\\\"{name}\\\":{number},\\\"_\\\":"), 1);
                assert_ne!(noisy, text);
                let _ = from_bytes(Path::new("p"), noisy.as_bytes());
            }
        }
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
