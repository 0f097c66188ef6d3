//! `gavotte devices`: what programs can run on, and what is missing.

use crate::args::DevicesArgs;
use crate::failure::Failure;
use gavotte::Target;
use gavotte::device::{DeviceInfo, Library, devices, driver_version, libraries, nvrtc_version};
use serde_json::{Value, json};
use std::io::Write;

pub(crate) fn run(args: &DevicesArgs) -> Result<(), Failure> {
    let target = format!("{:?}", Target::native()).to_lowercase();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // What a library is worth: its version, where it is there and works.
    let versions = [driver_version().ok(), nvrtc_version().ok(), None];
    let versions = versions.map(|version| version.map(|(major, minor)| format!("{major}.{minor}")));
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
    writeln!(out, "  {:<9}{target}, {threads} threads", "cpu")?;
    match gpus {
        Ok(gpus) if gpus.is_empty() => writeln!(out, "  {:<9}none: there is a driver, and it lists no GPU", "cuda")?,
        Ok(gpus) => {
            for gpu in gpus {
                let (major, minor) = gpu.compute_capability;
                let memory = gpu.memory as f64 / 1e9;
                writeln!(
                    out,
                    "  {:<9}{}, sm_{major}{minor}, {} multiprocessors, {memory:.1} GB",
                    gpu.name, gpu.model, gpu.multiprocessors
                )?;
            }
        }
        Err(error) => {
            let text = error.to_string();
            writeln!(out, "  {:<9}none: {}", "cuda", text.lines().next().unwrap_or_default())?;
        }
    }
    writeln!(out, "\nlibraries that GPUs need")?;
    for (library, version) in libraries().iter().zip(&versions) {
        match &library.found {
            Some(file) => {
                let version = version.as_ref().map_or_else(String::new, |version| format!(", {version}"));
                writeln!(out, "  {:<9}{file}{version}", library.name)?;
            }
            None => {
                writeln!(out, "  {:<9}missing: {}", library.name, library.purpose)?;
                writeln!(out, "           tried {}", library.tried.join(", "))?;
            }
        }
    }
    Ok(())
}

fn gpu_json(gpu: &DeviceInfo) -> Value {
    let (major, minor) = gpu.compute_capability;
    json!({
        "name": gpu.name,
        "model": gpu.model,
        "compute_capability": [major, minor],
        "memory_bytes": gpu.memory,
        "multiprocessors": gpu.multiprocessors,
    })
}

fn library_json((library, version): (&Library, &Option<String>)) -> Value {
    json!({
        "name": library.name,
        "purpose": library.purpose,
        "tried": library.tried,
        "found": library.found,
        "version": version,
    })
}
