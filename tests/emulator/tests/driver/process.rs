//! Another process, configured by its environment.

use crate::program::AXPY;
use cudarc::driver::{CudaContext, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;
use gavotte_emulator::driver::Emulator;
use std::process::{Command, Output};

/// Runs `child` with settings.
fn run(settings: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::child", "--ignored", "--nocapture"])
        .env("LD_LIBRARY_PATH", Emulator::get().folder())
        .env("GAVOTTE_EMULATOR", settings)
        .output()
        .unwrap()
}

#[test]
#[ignore = "run by the tests below, in a process of its own"]
fn child() {
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let axpy = context.load_module(Ptx::from_src(AXPY)).unwrap().load_function("axpy").unwrap();
    let x = stream.clone_htod(&[1f32; 4]).unwrap();
    let mut y = stream.clone_htod(&[1f32; 4]).unwrap();
    let mut launch = stream.launch_builder(&axpy);
    launch.arg(&1f32).arg(&x).arg(&mut y).arg(&4i32);
    // SAFETY: these are the kernel's parameters.
    unsafe { launch.launch(LaunchConfig::for_num_elems(4)) }.unwrap();
    assert_eq!(stream.clone_dtoh(&y).unwrap(), [2.; 4]);
}

#[test]
fn a_process_leaves_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report");
    for lines in 1..3 {
        let output = run(&format!("memory=1M,report={}", path.display()));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), lines);
        assert!(text.contains("\"launches\":1,") && text.contains("\"kernels\":{\"axpy\":1}"), "{text}");
        assert!(text.contains("\"live_allocations\":0,") && text.contains("\"leaked_allocations\":0,"), "{text}");
    }
}

#[test]
fn a_process_fails_as_it_is_told() {
    for (settings, said) in [
        ("fail=cuLaunchKernel:1:2", "CUDA_ERROR_OUT_OF_MEMORY"),
        ("devices=0", "CUDA_ERROR_NO_DEVICE"),
        ("ptx=7.8", "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"),
        ("memory=1T", "emulator: GAVOTTE_EMULATOR: `memory=1T`: a whole number expected"),
    ] {
        let output = run(settings);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(!output.status.success() && text.contains(said), "{settings}: {text}");
    }
}
