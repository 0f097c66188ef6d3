//! The program `gavotte`, run as a user runs it.

mod bad_input;
mod gpu;
mod inspect;
mod limits;
mod messages;
mod overwrite;
mod run_files;
mod text;
mod train;

use serde_json::Value;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program, without arguments and without any part of the user's environment that it reads.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gavotte"));
    command.env_remove("GAVOTTE_DATA").env_remove("GAVOTTE_PERF_MAP").env_remove("GAVOTTE_CACHE").stdin(Stdio::null());
    command
}

fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    program().args(args).output().expect("the program starts")
}

/// Words of a command line; none of them contains a space.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("messages are UTF-8")
}

/// Standard output of a successful command.
#[track_caller]
fn stdout(output: Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, stderr(&output));
    String::from_utf8(output.stdout).expect("output is UTF-8")
}

/// The one JSON object that a command prints.
#[track_caller]
fn json(output: Output) -> Value {
    let text = stdout(output);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("no JSON object: {error}\n{text}"))
}

/// Checks that a command refused its input: exit code 2, nothing on standard output, a message with all these parts.
#[track_caller]
fn assert_refused(output: &Output, parts: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(output.stdout.is_empty(), "printed: {}", String::from_utf8_lossy(&output.stdout));
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

fn as_str(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

/// Reports why a test does nothing, past the harness's capture.
fn skip(why: &str) {
    let thread = std::thread::current();
    let _ = writeln!(std::io::stderr(), "skipped: {}: {why}", thread.name().unwrap_or("a test"));
}

/// The folder with real data, or `None` after reporting that the test is skipped.
fn test_data() -> Option<PathBuf> {
    let folder = std::env::var_os("GAVOTTE_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    if !folder.is_dir() {
        skip(&format!("no test data at {}; set GAVOTTE_TEST_DATA", folder.display()));
        return None;
    }
    Some(folder)
}

#[test]
fn help_names_every_option() {
    let data = ["--dataset", "--data", "--split"];
    let model = ["--attention", "--heads", "--hidden"];
    let step = ["--dropout", "--lr", "--weight-decay", "--seed", "--dtype"];
    let engine = ["--threads", "--device"];
    let train = ["--epochs", "--patience", "--seeds", "--out", "--overwrite", "--json", "--quiet"];
    for (command, groups) in [
        ("train", &[&data[..], &model, &step, &engine, &train][..]),
        ("eval", &[&data, &model, &engine, &["--params", "--seed", "--json"]]),
        ("bench", &[&data, &model, &step, &engine, &["--steps", "--profile", "--json"]]),
        ("ir", &[&data, &model, &step, &engine, &["--stage", "--locations", "--gpu"]]),
        ("opt", &[&["--pass", "--explain", "--list"]]),
    ] {
        let help = stdout(run([command, "--help"]));
        for option in groups.iter().flat_map(|group| group.iter()) {
            assert!(help.contains(option), "{option} is not in the help of {command}:\n{help}");
        }
        assert!(help.contains("Examples:"), "the help of {command} has no examples");
    }
    let help = stdout(run(["--help"]));
    for part in ["train", "eval", "bench", "ir", "opt", "Exit codes:"] {
        assert!(help.contains(part), "{part} is not in:\n{help}");
    }
    assert!(stdout(run(["--version"])).starts_with("gavotte "));
}
