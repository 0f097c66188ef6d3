//! The program on the emulated GPU.
#![cfg(target_os = "linux")]

use crate::{as_str, json, program, run, skip, stderr, stdout, words};
use gavotte_emulator::driver::{Emulator, hide};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Output;
use tempfile::TempDir;

/// A driver that knows the PTX of every NVRTC, and a GPU newer than all of them: the emulator runs no machine code.
const NEW: &str = "driver=99000,compute=99.0";

/// The program next to the emulator with these settings, with NVRTC if there is one; compiled kernels are cached in
/// this folder, or nowhere.
fn on_emulator_with(settings: &str, cache: &str, line: &str) -> Output {
    let folder = Emulator::get().folder();
    let nvrtc = std::env::var("GAVOTTE_NVRTC").unwrap_or_default();
    let mut program = program();
    program.env("LD_LIBRARY_PATH", format!("{}:{nvrtc}", folder.display()));
    program.env("GAVOTTE_EMULATOR", settings).env("GAVOTTE_CACHE", cache);
    program.args(words(line)).output().expect("the program starts")
}

/// The program with NVIDIA's libraries in these folders, and nowhere else.
fn with_libraries(folders: &str, settings: &str, line: &str) -> Output {
    let mut program = program();
    program.env("LD_LIBRARY_PATH", folders).env("GAVOTTE_EMULATOR", settings).env("GAVOTTE_CACHE", "");
    program.args(words(line)).output().expect("the program starts")
}

fn on_emulator(settings: &str, line: &str) -> Output {
    on_emulator_with(settings, "", line)
}

/// Whether there is NVRTC; if not, reports that the test is skipped.
fn has_nvrtc() -> bool {
    let is_there = std::env::var_os("GAVOTTE_NVRTC").is_some();
    if !is_there {
        skip("GAVOTTE_NVRTC names no folder with libnvrtc.so.13");
    }
    is_there
}

/// Checks that a command failed with this exit code, without a panic and without a request to report a bug.
#[track_caller]
fn assert_failed(output: &Output, code: i32, parts: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert!(!message.contains("panicked") && !message.contains("bug"), "{message}");
}

#[test]
fn gpus_are_listed() {
    let text = stdout(on_emulator("devices=2,compute=9.0,memory=64M,multiprocessors=4", "devices"));
    for part in [
        "cuda:0   Gavotte emulator, sm_90, 4 multiprocessors, 0.1 GB",
        "cuda:1 ",
        "libcuda.so.1, 13.0; 11.4 is the least",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    let value = json(on_emulator("", "devices --json"));
    assert_eq!((value["gpus"].as_array().map(Vec::len), &value["why_no_gpu"]), (Some(1), &Value::Null), "{value}");
    assert!(!text.contains("cuBLAS"), "nothing uses it: {text}");
    let text = stdout(on_emulator("devices=0", "devices"));
    assert!(text.contains("cuda     none: there is a driver, and it lists no GPU"), "{text}");
    let text = stdout(on_emulator("fail=cuDeviceGetCount:1:999", "devices"));
    assert!(text.contains("cuda     none: listing the GPUs: CUDA_ERROR_UNKNOWN"), "{text}");
}

#[test]
fn training_ends_as_on_the_processor() {
    if !has_nvrtc() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let report = folder.path().join("report");
    let line = "train --dataset karate --epochs 30 --json";
    let wanted = json(run(words(line)));
    let found = json(on_emulator(&format!("{NEW},report={}", as_str(&report)), &format!("{line} --device cuda")));
    assert_eq!(found["settings"]["device"], "cuda:0");
    assert_eq!((&found["test_acc"], &found["epochs"]), (&wanted["test_acc"], &wanted["epochs"]));
    let loss = |value: &Value| value["train_loss"]["mean"].as_f64().expect("a number");
    assert!((loss(&found) - loss(&wanted)).abs() <= 1e-5 * loss(&wanted).abs());
    let said: Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).expect("a line of JSON");
    assert!(said["launches"].as_u64() > Some(1000) && said["live_allocations"] == 0, "{said}");
}

#[test]
fn what_is_missing_is_said() {
    let line = "train --dataset karate --epochs 1 --device cuda";
    let mut alone = program();
    alone.env("LD_LIBRARY_PATH", "").args(words(line));
    let output = alone.output().expect("the program starts");
    if !output.status.success() {
        assert_failed(&output, 2, &["--device cuda:0: there is no CUDA driver", "libcuda.so", "gavotte devices"]);
    }
    assert_failed(&on_emulator("devices=0", line), 2, &["--device cuda:0", "no GPU"]);
    assert_failed(&on_emulator("devices=2", &format!("{line}:2")), 2, &["no cuda:2", "cuda:0, cuda:1"]);
}

#[test]
fn what_fails_is_said_in_the_drivers_words() {
    if !has_nvrtc() {
        return;
    }
    let line = "train --dataset karate --epochs 3 --device cuda";
    let folder = TempDir::new().unwrap();
    let report = folder.path().join("report");
    let on_emulator = |settings: &str, line: &str| {
        let output = on_emulator(&format!("{settings},report={}", as_str(&report)), line);
        // A failed run frees everything it allocated.
        let text = std::fs::read_to_string(&report).unwrap();
        let said: Value = serde_json::from_str(text.lines().last().unwrap()).expect("a line of JSON");
        assert_eq!((&said["live_allocations"], &said["leaked_allocations"]), (&0.into(), &0.into()), "{settings}");
        output
    };
    let out_of_memory = ["cuda:0: out of memory", "in use here", "are free"];
    for nth in [1, 2, 10, 30, 50] {
        let settings = format!("{NEW},fail=cuMemAlloc_v2:{nth}:2");
        let output = on_emulator(&settings, line);
        // Where unused blocks were freed, the second try succeeds.
        if !output.status.success() {
            assert_failed(&output, 1, &out_of_memory);
        } else {
            assert!(nth > 1, "nothing can be freed at first");
        }
    }
    assert_failed(&on_emulator(&format!("{NEW},memory=64K"), line), 1, &out_of_memory);
    // The plan's arena does not fit.
    let large = "bench --dataset rmat:200:1000:64:8 --steps 1 --device cuda";
    let output = on_emulator(&format!("{NEW},memory=400K"), large);
    assert_failed(&output, 1, &["out of memory", "MB in all", "@step plans"]);
    for nth in [1, 100] {
        let output = on_emulator(&format!("{NEW},fail=cuLaunchKernel:{nth}:701"), line);
        assert_failed(&output, 1, &["CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "launching @", "at "]);
    }
    let output = on_emulator(&format!("{NEW},ptx=7.0"), line);
    assert_failed(&output, 1, &["CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "older than NVRTC"]);
    let output = on_emulator(&format!("{NEW},fail=cuModuleLoadData:1:200"), line);
    assert_failed(&output, 1, &["CUDA_ERROR_INVALID_IMAGE", "loading the kernels of @"]);
}

#[test]
fn without_nvrtc_nothing_is_compiled() {
    let line = "train --dataset karate --epochs 1 --device cuda";
    let mut program = program();
    program.env("LD_LIBRARY_PATH", Emulator::get().folder()).env("GAVOTTE_CACHE", "").args(words(line));
    let output = program.output().expect("the program starts");
    if !output.status.success() {
        assert_failed(&output, 1, &["there is no CUDA NVRTC", "libnvrtc.so", "nvidia-cuda-nvrtc"]);
    }
}

#[test]
fn compiled_kernels_are_kept_and_verified() {
    if !has_nvrtc() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let cache = folder.path().join("kernels");
    let line = "train --dataset karate --epochs 2 --json --device cuda";
    let train = || {
        let value = json(on_emulator_with(NEW, as_str(&cache), line));
        value["train_loss"]["mean"].as_f64().expect("a number")
    };
    let files = || {
        let paths = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
        files.sort();
        files
    };
    let first = train();
    let kept = files();
    assert!(!kept.is_empty());
    assert_eq!((train(), files()), (first, kept.clone()), "the cache is used");
    // A damaged file is compiled again, and written whole.
    let spoilt: Vec<u8> = kept[0].1.iter().enumerate().map(|(i, byte)| byte ^ u8::from(i == 100)).collect();
    for bytes in [vec![], kept[0].1[..kept[0].1.len() / 2].to_vec(), spoilt] {
        std::fs::write(&kept[0].0, &bytes).unwrap();
        assert_eq!((train(), files()), (first, kept.clone()));
    }
    // A cached kernel made by another driver is not used.
    let other = on_emulator_with("driver=99010,compute=99.0", as_str(&cache), line);
    assert_eq!(json(other)["train_loss"]["mean"], first);
    assert_eq!(files().len(), 2 * kept.len());
    // A cache that cannot be written is no obstacle.
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let value = json(on_emulator_with(NEW, as_str(&file.join("within")), line));
    assert_eq!(value["train_loss"]["mean"], first);
}

/// Every function of the driver that a training run calls is looked up before the first is called.
#[test]
fn a_driver_without_a_function_is_refused() {
    if !has_nvrtc() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let report = folder.path().join("report");
    let line = "train --dataset karate --epochs 4 --json --device cuda";
    json(on_emulator(&format!("{NEW},report={}", as_str(&report)), line));
    let said: Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).expect("a line of JSON");
    let calls = said["calls"].as_object().expect("calls by function");
    // NVRTC asks for its own tables, and does without them.
    let ours: Vec<&str> = calls.keys().map(String::as_str).filter(|call| *call != "cuGetExportTable").collect();
    assert!(ours.len() > 30, "{ours:?}");
    for function in ours {
        Emulator::get().without(function, folder.path());
        let output = with_libraries(as_str(folder.path()), NEW, line);
        assert_failed(&output, 2, &["--device cuda:0", "libcuda.so", &format!("lacks {function}"), "CUDA 11.4"]);
    }
    let text = stdout(with_libraries(as_str(folder.path()), NEW, "devices"));
    assert!(text.contains("driver   unfit: the CUDA driver (libcuda.so.1) lacks cu"), "{text}");
}

#[test]
fn an_nvrtc_without_a_function_is_refused() {
    let Some(nvrtc) = std::env::var_os("GAVOTTE_NVRTC") else { return assert!(!has_nvrtc()) };
    let folder = TempDir::new().unwrap();
    hide(&PathBuf::from(nvrtc).join("libnvrtc.so.13"), "nvrtcGetCUBIN", &folder.path().join("libnvrtc.so.13"));
    let folders = format!("{}:{}", Emulator::get().folder().display(), folder.path().display());
    let parts = ["NVRTC (libnvrtc.so.13) is too old or damaged", "nvrtcGetCUBIN", "11.2 is the least"];
    let line = "train --dataset karate --epochs 1 --device cuda";
    assert_failed(&with_libraries(&folders, NEW, line), 2, &parts);
    let text = stdout(with_libraries(&folders, NEW, "devices"));
    assert!(
        text.contains("NVRTC    unfit: NVRTC (libnvrtc.so.13) is too old") && text.contains("runs no kernels"),
        "{text}"
    );
}

#[test]
fn libraries_that_do_not_fit_name_those_that_do() {
    if !has_nvrtc() {
        return;
    }
    let line = "train --dataset karate --epochs 1 --device cuda";
    assert_failed(&on_emulator("driver=10020", line), 2, &["knows CUDA 10.2, and 11.4 is the least"]);
    for (settings, parts) in [
        ("driver=11040,compute=3.7", ["newer major version", "nvidia-cuda-nvrtc-cu11", "libnvrtc.so.11.2"]),
        ("driver=12040,compute=9.0", ["newer major version", "nvidia-cuda-nvrtc-cu12", "libnvrtc.so.12"]),
        ("driver=99000,compute=7.0", ["no code that sm_70 runs", "nvidia-cuda-nvrtc-cu12", "libnvrtc.so.12"]),
    ] {
        assert_failed(&on_emulator(settings, line), 2, &[&["--device cuda:0"][..], &parts].concat());
        let text = stdout(on_emulator(settings, "devices"));
        assert!(parts.iter().all(|part| text.contains(part)) && text.contains("runs no kernels: NVRTC 13"), "{text}");
    }
    let text = stdout(on_emulator("driver=99000,compute=8.0", "devices"));
    assert!(text.contains("runs machine code for sm_80 by NVRTC 13"), "{text}");
    let value = json(on_emulator(NEW, "devices --json"));
    assert!(value["gpus"][0]["code"].as_str().is_some_and(|code| code.starts_with("PTX")), "{value}");
    assert_eq!((&value["libraries"][1]["least"], &value["libraries"][1]["problem"]), (&"11.2".into(), &Value::Null));
}

#[test]
fn a_kernel_that_fails_is_named_where_it_is_waited_for() {
    if !has_nvrtc() {
        return;
    }
    let line = "train --dataset karate --epochs 3 --device cuda";
    let settings = format!("{NEW},fault=20:700:9");
    let parts = ["CUDA_ERROR_ILLEGAL_ADDRESS", "an earlier kernel did this", "gavotte train --launch-blocking"];
    assert_failed(&on_emulator(&settings, line), 1, &parts);
    let waited = on_emulator(&settings, &format!("{line} --launch-blocking"));
    assert_failed(&waited, 1, &["CUDA_ERROR_ILLEGAL_ADDRESS", "a mistake in this kernel", "cuda:0: @", "\n  at "]);
}
