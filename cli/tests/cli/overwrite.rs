//! Runs that replace others, and runs at the same place at the same time.
#![cfg(unix)]

use crate::run_files::{Training, names};
use crate::{as_str, assert_refused, program, run, stderr, stdout, words};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const FILES: [&str; 3] = ["metrics.csv", "params.safetensors", "run.json"];

fn train(out: &Path, more: &str) -> Output {
    run(words("train --dataset karate --quiet --epochs 3 --out").chain([as_str(out)]).chain(words(more)))
}

/// A folder with a run in it, and the bytes of its files.
fn good_run(root: &Path) -> (std::path::PathBuf, Vec<Vec<u8>>) {
    let out = root.join("good");
    stdout(train(&out, ""));
    let files = contents(&out);
    (out, files)
}

fn contents(out: &Path) -> Vec<Vec<u8>> {
    FILES.iter().map(|name| fs::read(out.join(name)).unwrap()).collect()
}

#[test]
fn a_run_that_fails_replaces_nothing() {
    let root = TempDir::new().unwrap();
    let (out, before) = good_run(root.path());
    let output = train(&out, "--lr 1e30 --overwrite");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let messages = stderr(&output);
    assert!(messages.contains("diverged") && messages.contains("good is kept"), "{messages}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("written to"));
    assert_eq!(contents(&out), before);
    assert_eq!(names(root.path()), ["good"]);
}

#[test]
fn a_run_that_is_ended_within_its_first_epoch_replaces_nothing() {
    let root = TempDir::new().unwrap();
    let (out, before) = good_run(root.path());
    // An epoch of this run takes long enough.
    let line = "train --dataset rmat:20000:400000:64:8 --quiet --threads 1 --overwrite --out";
    let mut command = program();
    command.args(words(line)).arg(&out).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut text = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut text).unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    reader.read_to_string(&mut text).unwrap();
    let messages = stderr(&child.wait_with_output().unwrap());
    assert!(messages.contains("in epoch 1;"), "{messages}");
    assert!(messages.contains("good is kept") && !text.contains("written to"), "{messages}\n{text}");
    assert_eq!(contents(&out), before);
    assert_eq!(names(root.path()), ["good"]);
}

#[test]
fn one_run_at_a_time_writes_to_a_folder() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("out");
    let training = Training::start(&out, "");
    for more in ["", "--overwrite", "--seeds 2"] {
        assert_refused(&train(&out, more), &["--out", as_str(&out), "another run is writing to it"]);
    }
    training.send(&["INT"]);
    assert_eq!(training.end().0, Some(130));
    assert_eq!(names(&out), FILES);
    // The lock of a dead program is no obstacle.
    let training = Training::start(&out, "--overwrite");
    assert_refused(&train(&out, "--overwrite"), &["another run is writing to it"]);
    training.send(&["KILL"]);
    training.end();
    assert_eq!(names(&out).len(), 4);
    stdout(train(&out, "--overwrite"));
    assert_eq!((names(&out), names(root.path())), (FILES.map(String::from).to_vec(), vec!["out".into()]));
}

#[test]
fn what_killed_programs_have_left_goes_with_the_next_run() {
    let root = TempDir::new().unwrap();
    let (out, _) = good_run(root.path());
    let training = Training::start(&out, "--overwrite");
    training.send(&["KILL"]);
    training.end();
    assert_eq!(names(root.path()).len(), 2);
    stdout(train(&root.path().join("other"), ""));
    assert_eq!(names(root.path()), ["good", "other"]);
}

#[test]
fn a_second_signal_leaves_what_was_there() {
    let root = TempDir::new().unwrap();
    let (out, before) = good_run(root.path());
    for more in ["--overwrite", "--overwrite --seeds 3"] {
        let training = Training::start(&out, more);
        training.send(&["STOP", "INT", "TERM", "CONT"]);
        assert!(matches!(training.end().0, Some(130 | 143)));
        assert_eq!((names(root.path()), names(&out)), (vec!["good".into()], FILES.map(String::from).to_vec()));
        assert_eq!(contents(&out), before);
    }
    let new = root.path().join("new");
    let training = Training::start(&new, "");
    training.send(&["STOP", "INT", "TERM", "CONT"]);
    training.end();
    assert_eq!(names(root.path()), ["good"]);
}

#[test]
fn a_folder_that_cannot_be_renamed_is_replaced_inside() {
    let root = TempDir::new().unwrap();
    let (out, before) = good_run(root.path());
    let number = fs::metadata(&out).unwrap().ino();
    let args = words("train --dataset karate --epochs 4 --quiet --overwrite --out .");
    let output = program().args(args).current_dir(&out).output().unwrap();
    stdout(output);
    assert_eq!(fs::metadata(&out).unwrap().ino(), number, "the folder itself stays");
    assert_ne!(contents(&out), before);
    assert_eq!((names(&out), names(root.path())), (FILES.map(String::from).to_vec(), vec!["good".into()]));
}

#[test]
fn a_folder_keeps_its_mode() {
    let root = TempDir::new().unwrap();
    let (out, before) = good_run(root.path());
    for mode in [0o2770, 0o1755] {
        fs::set_permissions(&out, Permissions::from_mode(mode)).unwrap();
        stdout(train(&out, "--overwrite --seed 1"));
        assert_eq!(fs::metadata(&out).unwrap().mode() & 0o7777, mode);
        assert_ne!(contents(&out), before);
    }
}

#[test]
fn a_file_beyond_the_limit_fails_like_any_other() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("out");
    let script = "ulimit -f 2; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_gavotte")]);
    command.args(words("train --dataset karate --epochs 2 --quiet --out")).arg(&out);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{:?}: {}", output.status, stderr(&output));
    assert!(stderr(&output).contains("cannot write") && stderr(&output).contains("params.safetensors"));
    assert!(!stderr(&output).contains(".gavotte"), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("test accuracy"));
    assert!(names(root.path()).is_empty(), "{:?}", names(root.path()));
}

/// Two signals at any time: the program ends, and leaves a whole run or nothing.
#[test]
fn no_moment_is_wrong_for_a_signal() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("out");
    for (wait, signals) in (0..60).step_by(3).zip([["-INT", "-TERM"], ["-QUIT", "-QUIT"]].into_iter().cycle()) {
        let line = "train --dataset karate --quiet --epochs 100000000 --patience 100000000 --out";
        let mut command = program();
        command.args(words(line)).arg(&out).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        for signal in signals {
            // It may already have ended by the first one.
            let sent = Command::new("kill").args([signal, &child.id().to_string()]).stderr(Stdio::null()).status();
            sent.unwrap();
        }
        child.wait().unwrap();
        if out.exists() {
            assert_eq!(names(&out), FILES, "{wait} ms");
            fs::remove_dir_all(&out).unwrap();
        }
        assert!(names(root.path()).is_empty(), "{wait} ms: {:?}", names(root.path()));
    }
}
