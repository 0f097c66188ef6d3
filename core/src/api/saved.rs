//! Compiled functions as files: saved here, loaded by another process, and never traced again.
//!
//! ```text
//! file    = "gavotte compiled step" newline head newline payload
//! head    = JSON: Gavotte's version, the target, the layout of elements, the payload's length and SHA-256
//! payload = a safetensors file: the captured constants, and in its metadata the program's text, the structures of
//!           arguments and results, the sizes it was lowered for, and the options
//! ```
//! Only the program is stored, no machine code: loading runs the passes, fusion and lowering again, which takes
//! milliseconds and yields the same kernels, hence the same bits. Source lines are not stored.
//!
//! The types that the file is loaded as restore the structures, so a file that does not fit is refused before anything
//! runs. The values of static fields cannot be made from text: [`Compiled::load_like`] takes them from an example, by
//! their type and their `Debug` text.

use crate::api::function::Args;
use crate::api::lowered::{Compiled, Lowered, Staged};
use crate::api::tensors::{elements_of, serialize_arrays, write_file};
use crate::aval::{Sizes, Symbol};
use crate::device::{HostArray, cpu};
use crate::error::Error;
use crate::ir::{Registry, Value, parse};
use crate::runtime::Options;
use crate::tree::{Misfit, StaticValue, Structure, Tree, TreeDef};
use safetensors::tensor::SafeTensors;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Display;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MAGIC: &str = "gavotte compiled step\n";
/// The one entry of the payload's metadata.
const METADATA: &str = "gavotte";

/// What must match where the file is loaded, and the length and checksum of the payload.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: String,
    target: String,
    layout: String,
    bytes: usize,
    sha256: String,
}

/// Everything except the constants.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    program: String,
    arguments: Structure,
    results: Structure,
    sizes: Vec<(String, usize)>,
    threads: NonZeroUsize,
    check_nans: bool,
    explain_misses: bool,
}

fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// The machine, without its vector extensions: code is generated where the file is loaded.
fn target() -> String {
    format!("{}-{}-{}", std::env::consts::ARCH, std::env::consts::OS, usize::BITS)
}

/// The memory layout of elements.
fn layout() -> String {
    let endian = if cfg!(target_endian = "little") { "little-endian" } else { "big-endian" };
    format!("row-major {endian} f32:4 f64:8 i32:4 u32:4 bool:1")
}

impl<'f, A: Args + 'f, O: Tree + 'f> Compiled<'f, A, O> {
    /// Saves it atomically: an existing file is replaced once the new one is on the disk.
    ///
    /// # Errors
    /// If a constant cannot be read, the function calls one of the host, or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let fail = |why: &dyn Display| Error::File(format!("{}: cannot write it: {why}", path.display()));
        let staged = &self.lowered().staged;
        let payload = payload(staged, self.lowered().sizes()).map_err(|why| fail(&why))?;
        let head = Head {
            version: version(),
            target: target(),
            layout: layout(),
            bytes: payload.len(),
            sha256: checksum(&payload),
        };
        let head = serde_json::to_string(&head).map_err(|error| fail(&error))?;
        write_file(path, &[MAGIC.as_bytes(), head.as_bytes(), b"\n", &payload]).map_err(|error| fail(&error))
    }

    /// Loads what [`Compiled::save`] wrote. The types say which trees it takes and returns; nothing is traced.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged, was saved by another version of Gavotte or for another machine, holds
    /// a primitive that `registry` does not know, or takes or returns other trees.
    pub fn load(path: impl AsRef<Path>, registry: &Registry) -> Result<Self, Error> {
        Self::load_with(path.as_ref(), registry, &[])
    }

    /// [`Compiled::load`] for trees with static fields. Their values come from `example`: any tree that has them, such
    /// as a tuple of the arguments.
    ///
    /// # Errors
    /// As [`Compiled::load`], and if a static value is not in `example`.
    pub fn load_like(path: impl AsRef<Path>, registry: &Registry, example: &impl Tree) -> Result<Self, Error> {
        Self::load_with(path.as_ref(), registry, &example.flatten().0.statics())
    }

    fn load_with(path: &Path, registry: &Registry, statics: &[StaticValue]) -> Result<Self, Error> {
        let fail = |why: String| Error::File(format!("{}: {why}", path.display()));
        let file = std::fs::read(path).map_err(|error| fail(format!("cannot read it: {error}; check the path")))?;
        let payload = checked(&file).map_err(fail)?;
        let (body, consts) = read_payload(payload).map_err(|why| fail(format!("{why}; {AGAIN}")))?;
        let program = parse(&body.program, registry).map_err(|error| fail(format!("its program: {error}")))?;
        let restored = |what: &str, found: Result<TreeDef, Misfit>, n: usize| {
            let def = found.map_err(|why| fail(format!("its {what} are not of the type it is loaded as {why}")))?;
            if def.n_leaf() == n {
                return Ok(def);
            }
            Err(fail(format!("its {what} have {} arrays, and its program {n}; {AGAIN}", def.n_leaf())))
        };
        let in_def = restored("arguments", A::restore(&body.arguments, statics), program.args.len())?;
        let out_def = restored("results", O::restore(&body.results, statics), program.outs.len())?;
        let mut sizes = Sizes::new();
        for (symbol, size) in &body.sizes {
            if program.symbols().iter().any(|known| known.name() == symbol) {
                sizes
                    .set(Symbol::new(symbol), *size)
                    .map_err(|_| fail(format!("`{symbol}` has two sizes; {AGAIN}")))?;
            }
        }
        let Body { threads, check_nans, explain_misses, .. } = body;
        let staged = Staged {
            program: Arc::new(program),
            consts,
            in_def,
            out_def,
            // Code is generated for the machine that loads the file, and for as many threads as it has cores.
            device: cpu(),
            options: Options {
                threads: threads.min(Options::default().threads),
                check_nans,
                explain_misses,
                ..Options::default()
            },
            trace_time: Duration::ZERO,
            executable: Mutex::default(),
        };
        Lowered::new(Arc::new(staged), sizes)?.compile()
    }
}

const AGAIN: &str = "save it again";

/// The payload of a file that this version of Gavotte may load on this machine.
fn checked(file: &[u8]) -> Result<&[u8], String> {
    let Some(rest) = file.strip_prefix(MAGIC.as_bytes()) else {
        return Err("this is not a compiled step that Gavotte saved".into());
    };
    let head = rest.iter().position(|byte| *byte == b'\n').map(|end| rest.split_at(end));
    let head = head.and_then(|(head, rest)| Some((serde_json::from_slice::<Head>(head).ok()?, &rest[1..])));
    let Some((head, payload)) = head else {
        return Err(format!("its head is cut off or damaged; {AGAIN}"));
    };
    let Head { version: by, target: on, layout: as_, bytes, sha256 } = head;
    if by != version() {
        return Err(format!("it was saved by Gavotte {by}, and this is {}: compile and {AGAIN}", version()));
    }
    if on != target() {
        return Err(format!("it was saved for {on}, and this machine is {}: compile it here and {AGAIN}", target()));
    }
    if as_ != layout() {
        return Err(format!("its elements lie as `{as_}`, and here as `{}`: compile it here and {AGAIN}", layout()));
    }
    if payload.len() != bytes {
        return Err(format!("it holds {} of {bytes} bytes: it is not whole; {AGAIN}", payload.len()));
    }
    if checksum(payload) != sha256 {
        return Err(format!("its contents are not those that were saved: the checksum differs; {AGAIN}"));
    }
    Ok(payload)
}

fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn payload(staged: &Staged, sizes: &Sizes) -> Result<Vec<u8>, String> {
    if let Some(name) = staged.program.host_function() {
        return Err(format!("it calls the function of the host made at {name}, which is no part of a file"));
    }
    let Options { threads, check_nans, explain_misses, target: _, shares_all: _, launch_blocking: _ } = staged.options;
    let body = Body {
        program: staged.program.to_string(),
        arguments: staged.in_def.structure(),
        results: staged.out_def.structure(),
        sizes: sizes.iter().map(|(symbol, size)| (symbol.to_string(), size)).collect(),
        threads,
        check_nans,
        explain_misses,
    };
    let body = serde_json::to_string(&body).map_err(|error| error.to_string())?;
    let constant = |(i, value): (usize, &Value)| Ok((i.to_string(), value.to_host()?));
    let consts: Result<Vec<_>, Error> = staged.consts.iter().enumerate().map(constant).collect();
    serialize_arrays(&consts.map_err(|error| error.to_string())?, Some((METADATA, body)))
}

fn read_payload(payload: &[u8]) -> Result<(Body, Vec<Value>), String> {
    let (_, head) = SafeTensors::read_metadata(payload).map_err(|error| error.to_string())?;
    let body = head.metadata().as_ref().and_then(|entries| entries.get(METADATA));
    let body = body.ok_or("it holds no program")?;
    let body: Body = serde_json::from_str(body).map_err(|error| error.to_string())?;
    let tensors = SafeTensors::deserialize(payload).map_err(|error| error.to_string())?;
    let constant = |i: usize| {
        let view = tensors.tensor(&i.to_string()).map_err(|error| error.to_string())?;
        let data = elements_of(view.dtype(), view.data()).ok_or(format!("constant {i} is {:?}", view.dtype()))?;
        Ok(HostArray::try_from_data(view.shape(), data).map_err(|error| format!("constant {i}: {error}"))?.into())
    };
    let consts = (0..tensors.len()).map(constant).collect::<Result<Vec<Value>, String>>()?;
    Ok((body, consts))
}
