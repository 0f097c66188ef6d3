//! `gavotte devices`: what programs can run on, and what is missing.

use crate::args::DevicesArgs;
use crate::failure::Failure;
use crate::layout::{indented, width, wrap};
use gavotte::Target;
use gavotte::device::{DeviceInfo, Library, code_for, devices, driver_version, libraries, nvrtc_version};
use gavotte_gat::plural::counted;
use serde_json::{Value, json};
use std::io::Write;

pub(crate) fn run(args: &DevicesArgs) -> Result<(), Failure> {
    let target = format!("{:?}", Target::native()).to_lowercase();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // The version of a library, or what is wrong with it.
    let versions = [driver_version(), nvrtc_version()];
    let versions = versions.map(|version| version.map(dotted).map_err(|error| error.to_string()));
    let gpus = devices();
    let mut out = anstream::stdout().lock();
    if args.json {
        let gpus = gpus.map_err(|error| error.to_string());
        let value = json!({
            "cpu": { "target": target, "threads": threads },
            "gpus": gpus.as_ref().map_or_else(|_| vec![], |gpus| gpus.iter().map(gpu_json).collect()),
            "why_no_gpu": gpus.err(),
            "libraries": libraries().iter().zip(&versions).map(library_json).collect::<Vec<_>>(),
        });
        writeln!(out, "{value:#}")?;
        return Ok(());
    }
    writeln!(out, "devices")?;
    writeln!(out, "  {:<9}{target}, {}", "cpu", counted(threads, "thread"))?;
    match gpus {
        Ok(gpus) if gpus.is_empty() => writeln!(out, "  {:<9}none: there is a driver, and it lists no GPU", "cuda")?,
        Ok(gpus) => {
            for gpu in gpus {
                let (major, minor) = gpu.compute_capability;
                let memory = gpu.memory as f64 / 1e9;
                writeln!(
                    out,
                    "  {:<9}{}, sm_{major}{minor}, {}, {memory:.1} GB",
                    gpu.name,
                    gpu.model,
                    counted(gpu.multiprocessors as usize, "multiprocessor")
                )?;
                match code_for(gpu.compute_capability) {
                    Ok(code) => writeln!(out, "{INDENT}runs {code}")?,
                    Err(error) => writeln!(out, "{INDENT}runs no kernels: {}", lines_below(&error.to_string()))?,
                }
            }
        }
        Err(error) => {
            let text = error.to_string();
            writeln!(out, "  {:<9}none: {}", "cuda", text.lines().next().unwrap_or_default())?;
        }
    }
    writeln!(out, "\nlibraries that GPUs need")?;
    for (library, version) in libraries().iter().zip(&versions) {
        let least = dotted(library.least);
        match (&library.found, version) {
            (Some(file), Ok(version)) => {
                writeln!(out, "  {:<9}{file}, {version}; {least} is the least", library.name)?;
            }
            (Some(_), Err(why)) => {
                let text = format!("  {:<9}unfit: {}", library.name, lines_below(why));
                writeln!(out, "{}", wrap(&text, width(), 9))?;
            }
            (None, _) => {
                let text = format!("  {:<9}missing: {}; {least} is the least", library.name, library.purpose);
                writeln!(out, "{}", wrap(&text, width(), 9))?;
                writeln!(out, "{}", indented(&format!("tried {}", library.tried.join(", ")), width(), INDENT.len()))?;
            }
        }
    }
    Ok(())
}

/// The indentation below a name.
const INDENT: &str = "           ";

/// A text of several lines, indented below a name.
fn lines_below(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(&format!("\n{INDENT}"))
}

fn dotted((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor}")
}

fn gpu_json(gpu: &DeviceInfo) -> Value {
    let (major, minor) = gpu.compute_capability;
    let code = code_for(gpu.compute_capability).map_err(|error| error.to_string());
    json!({
        "name": gpu.name,
        "model": gpu.model,
        "compute_capability": [major, minor],
        "memory_bytes": gpu.memory,
        "multiprocessors": gpu.multiprocessors,
        "code": code.as_ref().ok(),
        "why_no_code": code.as_ref().err(),
    })
}

fn library_json((library, version): (&Library, &Result<String, String>)) -> Value {
    json!({
        "name": library.name,
        "purpose": library.purpose,
        "tried": library.tried,
        "found": library.found,
        "least": dotted(library.least),
        "version": version.as_ref().ok(),
        "problem": version.as_ref().err(),
    })
}
