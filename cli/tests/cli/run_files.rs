//! The files of a run belong together, whatever ends it.
#![cfg(unix)]

use crate::{as_str, assert_refused, json, program, run, stderr, stdout, words};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const FOREVER: &str = "train --dataset karate --quiet --epochs 100000000 --patience 100000000 --out";

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

/// A training run without end that has printed its first line.
pub(crate) struct Training {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Training {
    pub(crate) fn start(out: &Path, more: &str) -> Training {
        let args = words(FOREVER).chain([as_str(out)]).chain(words(more));
        let mut child = program().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert!(line.starts_with("data      karate: 34 nodes"), "the data is printed first: {line}");
        Training { child, out }
    }

    pub(crate) fn send(&self, signals: &[&str]) {
        for signal in signals {
            let sent = Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status();
            assert!(sent.unwrap().success());
        }
    }

    /// The exit code, the rest of standard output, and the messages.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let (mut text, mut messages) = (String::new(), String::new());
        self.out.read_to_string(&mut text).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut messages).unwrap();
        (self.child.wait().unwrap().code(), text, messages)
    }
}

#[test]
fn a_signal_ends_a_run_with_what_is_best_so_far() {
    let root = TempDir::new().unwrap();
    for (signal, code, said) in [
        ("INT", 130, "Ctrl-C"),
        ("TERM", 143, "SIGTERM"),
        ("QUIT", 131, "SIGQUIT"),
        ("HUP", 129, "SIGHUP"),
        ("XCPU", 152, "SIGXCPU"),
    ] {
        // A program under `nohup` ignores it.
        if signal == "HUP" && is_ignored(1) {
            continue;
        }
        let out = root.path().join(signal);
        let training = Training::start(&out, "");
        training.send(&[signal]);
        let (found, text, messages) = training.end();
        assert_eq!(found, Some(code), "{messages}");
        assert!(text.contains("test accuracy") && text.contains("written to"), "{text}");
        assert!(messages.contains(said) && messages.contains("best until then"), "{messages}");
        assert!(messages.contains("the training ends after this epoch"), "{messages}");
        assert_eq!(names(&out), ["metrics.csv", "params.safetensors", "run.json"]);
        let found = json(run(["eval", "--params", as_str(&out.join("params.safetensors")), "--json"]));
        let report: serde_json::Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
        assert_eq!(found["test_loss"], report["test_loss"]["per_seed"][0]);
        assert!(report["stopped_at"][0].as_u64().is_some_and(|epoch| epoch > 0), "{report}");
    }
    let out = root.path().join("several");
    let training = Training::start(&out, "--seeds 3");
    training.send(&["TERM"]);
    assert_eq!(training.end().0, Some(143));
    assert_eq!(names(&out), ["run.json", "seed-0"], "seeds that were not begun have no files");
}

/// Whether this process, and so its children, ignore a signal.
fn is_ignored(signal: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_none_or(|mask| mask >> (signal - 1) & 1 == 1)
}

/// The first message comes at once, while the epoch goes on.
#[test]
fn the_first_signal_is_answered_at_once() {
    let root = TempDir::new().unwrap();
    let line = "train --dataset rmat:20000:400000:64:8 --quiet --threads 1 --epochs 1000 --patience 1000 --out";
    let mut command = program();
    command.args(words(line)).arg(root.path().join("out")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    out.read_line(&mut text).unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut first = String::new();
    errors.read_line(&mut first).unwrap();
    assert!(first.contains("Ctrl-C: the training ends after this epoch; a second one ends"), "{first}");
    assert!(child.try_wait().unwrap().is_none(), "the epoch goes on");
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    errors.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
}

#[test]
fn a_second_signal_ends_the_program_at_once() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("out");
    for second in ["TERM", "QUIT"] {
        let training = Training::start(&out, "");
        // Both have arrived before the program goes on.
        training.send(&["STOP", "INT", second, "CONT"]);
        let (code, text, _) = training.end();
        assert!(matches!(code, Some(130 | 131 | 143)), "{code:?}");
        assert!(!text.contains("test accuracy") && names(root.path()).is_empty(), "{text}");
    }
}

#[test]
fn what_is_there_is_replaced_only_where_that_is_said() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("out");
    let train =
        |more: &str| run(words("train --dataset karate --epochs 2 --out").chain([as_str(&out)]).chain(words(more)));
    stdout(train("--seeds 2"));
    let before = fs::read(out.join("run.json")).unwrap();
    assert_refused(&train(""), &["--out", as_str(&out), "`run.json`", "--overwrite"]);
    assert_eq!(fs::read(out.join("run.json")).unwrap(), before);
    // Only the new run remains: nothing of the old one is left.
    stdout(train("--overwrite"));
    assert_eq!(names(&out), ["metrics.csv", "params.safetensors", "run.json"]);
    assert_eq!(names(root.path()), ["out"]);
    // A file that belongs to no run is never replaced.
    fs::write(out.join("notes.txt"), "mine").unwrap();
    assert_refused(&train("--overwrite"), &["--out", "`notes.txt`", "something else"]);
    assert_eq!(names(&out).len(), 4);
    assert_refused(&run(words("train --overwrite")), &["--overwrite", "--out"]);
}

#[test]
fn until_a_run_has_ended_the_old_one_is_whole() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("out");
    stdout(run(words("train --dataset karate --epochs 2 --out").chain([as_str(&out)])));
    let files = || {
        let names = names(&out).into_iter().filter(|name| name != ".gavotte-lock");
        names.map(|name| fs::read(out.join(name)).unwrap()).collect::<Vec<_>>()
    };
    let before = files();
    let training = Training::start(&out, "--overwrite --seeds 2");
    assert_eq!(files(), before);
    training.send(&["KILL"]);
    assert_eq!(training.end().0, None);
    assert_eq!(files(), before);
    // The next run removes what the killed program left.
    assert_eq!(names(root.path()).len(), 2, "{:?}", names(root.path()));
    stdout(run(words("train --dataset karate --epochs 2 --overwrite --out").chain([as_str(&out)])));
    assert_eq!(names(root.path()), ["out"]);
}

#[test]
fn what_appears_in_the_folder_costs_no_run() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("out");
    let training = Training::start(&out, "");
    fs::create_dir(out.join("metrics.csv")).unwrap();
    training.send(&["INT"]);
    let (code, text, messages) = training.end();
    assert_eq!(code, Some(130), "{messages}");
    assert!(text.contains("test accuracy") && text.contains("out.new"), "{text}");
    assert!(messages.contains("`metrics.csv` has appeared in"), "{messages}");
    assert_eq!(names(&out), ["metrics.csv"], "what has appeared stays as it is");
    assert_eq!(names(&root.path().join("out.new")), ["metrics.csv", "params.safetensors", "run.json"]);
}

#[test]
fn a_pipe_is_written_to_and_stays_one() {
    use std::os::unix::fs::FileTypeExt;
    let root = TempDir::new().unwrap();
    let pipe = root.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = Command::new("cat").arg(&pipe).stdout(Stdio::piped()).spawn().unwrap();
    stdout(run(words("bench --dataset karate --steps 1 --threads 1 --profile").chain([as_str(&pipe)])));
    let text = reader.wait_with_output().unwrap().stdout;
    let events: Vec<serde_json::Value> = serde_json::from_slice(&text).expect("an array of events");
    assert!(!events.is_empty() && fs::metadata(&pipe).unwrap().file_type().is_fifo());
}

/// `exec` keeps the process id, by which the map is named.
#[cfg(target_os = "linux")]
#[test]
fn a_map_that_cannot_be_written_is_a_warning() {
    let script = "mkdir /tmp/perf-$$.map; echo $$; exec \"$0\" bench --dataset karate --steps 1 --threads 1";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_gavotte")]).env("GAVOTTE_PERF_MAP", "1");
    let output = command.output().unwrap();
    let messages = stderr(&output);
    let text = stdout(output);
    let _ = fs::remove_dir(format!("/tmp/perf-{}.map", text.lines().next().unwrap()));
    assert!(text.contains("step, median"), "{text}");
    if gavotte::Target::native() != gavotte::Target::Portable {
        assert_eq!(messages.matches("GAVOTTE_PERF_MAP").count(), 1, "{messages}");
    }
}
