//! The emulator as a GPU, with NVRTC.
#![cfg(target_os = "linux")]

use crate::compare::{difference, run, sizes};
use crate::nvrtc::Nvrtc;
use crate::rounding::Allowance;
use crate::skip;
use gavotte::{Tree, device_put, jit};
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Program, Value};
use gavotte_core::runtime::cuda::cuda;
use gavotte_core::runtime::{Executable, Options};
use gavotte_emulator::driver::{Emulator, Session};

/// A fresh GPU with these settings of the emulator, and NVRTC, which is found by its name from then on. Without NVRTC,
/// reports that the test is skipped and returns `None`.
///
/// # Panics
/// If `GAVOTTE_NVRTC` names a folder without it, or the settings are wrong.
pub fn machine(settings: &str) -> Option<Session<'static>> {
    if Nvrtc::get().is_none() {
        skip("GAVOTTE_NVRTC names no folder with NVRTC");
        return None;
    }
    // A driver that knows the PTX of every NVRTC, and a GPU newer than all: the emulator runs no machine code.
    Some(Emulator::get().session(&format!("driver=99000,compute=99.0,{settings}")))
}

/// A program's results on the GPU for arguments, then constants, in host memory.
pub fn on_gpu(program: &Program, arrays: &[HostArray]) -> Result<Vec<HostArray>, String> {
    let device = cuda(0).map_err(|error| error.to_string())?;
    let values: Vec<Value> = arrays.iter().cloned().map(Value::from).collect();
    let (args, consts) = values.split_at(program.args.len());
    let executable = Executable::compile_for(&device, program, consts, &Options::default());
    let outs = executable.and_then(|executable| executable.call(args.to_vec(), &sizes(program, arrays)));
    let read = |out: &Value| out.to_host().map(|array| HostArray::clone(&array));
    let outs = outs.and_then(|outs| outs.iter().map(read).collect());
    outs.map_err(|error| error.to_string())
}

/// Whether the GPU computes what the interpreter does: integers to the bit, floats up to rounding.
pub fn agrees(program: &Program, arrays: &[HostArray]) -> Result<(), String> {
    let found = on_gpu(program, arrays).map_err(|why| format!("{why}\n{program}"))?;
    match Allowance::of(program, arrays).difference(&found, &run(program, arrays)) {
        Some(why) => Err(format!("{why}\n{program}")),
        None => Ok(()),
    }
}

/// Runs on a fresh GPU, which must be left empty and without reports. Without NVRTC, does nothing.
pub fn on_machine(test: impl FnOnce()) {
    let Some(machine) = machine("unwritten=refuse") else { return };
    test();
    assert_eq!(machine.report(), "");
    assert_eq!(machine.counts().live_allocations, 0);
}

/// Whether a function returns on the GPU what it returns on the processor: on the first call, and when its launches are
/// recorded and replayed.
pub fn agree_on_calls<A: Tree + Clone, O: Tree>(
    f: impl Fn(A) -> O + Clone + Send + Sync + 'static,
    args: A,
    tolerance: f64,
) -> Result<(), String> {
    let device = cuda(0).map_err(|error| error.to_string())?;
    let wanted = elements(jit(f.clone())(args.clone()));
    let f = jit(f);
    let there = device_put(args, &device).map_err(|error| error.to_string())?;
    for call in 0..3 {
        if let Some(why) = difference(&elements(f(there.clone())), &wanted, tolerance) {
            return Err(format!("call {call}: {why}"));
        }
    }
    Ok(())
}

/// The leaves' elements.
pub fn elements(tree: impl Tree) -> Vec<HostArray> {
    let read = |leaf: Value| HostArray::clone(&leaf.to_host().unwrap_or_else(|error| panic!("{error}")));
    tree.flatten().1.into_iter().map(read).collect()
}
