//! Inputs that would take more memory than there is: the amount is known before it is allocated.
#![cfg(target_os = "linux")]

use crate::{as_str, assert_refused, run, words};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// The program with only this many gigabytes of address space.
fn within(gigabytes: u64, args: &[&str]) -> Output {
    let script = format!("ulimit -v {}; exec \"$0\" \"$@\"", gigabytes << 20);
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_gavotte")]).args(args).output().expect("there is a shell")
}

fn within_line(gigabytes: u64, line: &str) -> Output {
    within(gigabytes, &words(line).collect::<Vec<_>>())
}

const BOTH_NUMBERS: [&str; 2] = [" of memory are needed, and ", " are available"];

#[test]
fn a_model_that_does_not_fit() {
    for (line, parts) in [
        ("train --heads 1024 --hidden 4096", ["6052380693 parameters", "training on planted", "fewer heads"]),
        ("bench --heads 1024 --hidden 4096", ["6052380693 parameters", "training on planted", "--hidden"]),
        ("train --dataset rmat:5:2:3:100000", ["confusion matrices of 100000 classes", "240.0 GB", "fewer classes"]),
        ("train --dataset rmat:1000000:10:2000:2", ["edges and features", "rmat:1000000:10:2000:2", "ask for less"]),
        (
            "train --attention dense --dataset rmat:90000:10:2:2",
            ["the graph of 90010 edges", "16.2 GB", "--attention edges"],
        ),
    ] {
        assert_refused(&within_line(4, line), &[&parts[..], &BOTH_NUMBERS].concat());
    }
}

#[test]
fn more_threads_than_have_room() {
    let output = within_line(2, "train --dataset karate --epochs 1 --threads 1000");
    assert_refused(&output, &[&["--threads 1000", "ask for fewer"][..], &BOTH_NUMBERS].concat());
}

/// A folder of Planetoid's files: a matrix of three rows and `columns` columns.
fn planetoid(folder: &Path, columns: &str) {
    let pickles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gat/src/data/tests/pickles");
    let read = |name: &str| fs::read(pickles.join(name)).unwrap();
    let (pickle, shape) = (read("csr_matrix.0.pickle"), b"(I3\nI4\nt");
    let at = pickle.windows(shape.len()).position(|bytes| bytes == shape).expect("the shape of the matrix");
    let claimed = format!("(I3\nI{columns}\nt");
    let matrix = [&pickle[..at], claimed.as_bytes(), &pickle[at + shape.len()..]].concat();
    for (parts, bytes) in [
        (&["x", "tx", "allx"][..], &matrix[..]),
        (&["y", "ty", "ally"], &read("labels.5.pickle")),
        (&["graph"], &read("graph.4.pickle")),
        (&["test.index"], b"3\n4\n5\n"),
    ] {
        parts.iter().for_each(|part| fs::write(folder.join(format!("ind.cora.{part}")), bytes).unwrap());
    }
    fs::write(folder.join("split.tsv"), "\u{feff}id\tpart\r\n0\ttrain \r\n1\tval\r\n 2\ttest\r\n").unwrap();
}

#[test]
fn a_small_file_that_claims_much() {
    let folder = TempDir::new().unwrap();
    let split = folder.path().join("split.tsv");
    let args = ["train", "--epochs", "1", "--data", as_str(folder.path()), "--split", as_str(&split)];
    planetoid(folder.path(), "4");
    let output = within(4, &args);
    assert!(output.status.success(), "{}", crate::stderr(&output));
    planetoid(folder.path(), "2147483647");
    assert_refused(&within(4, &args), &[&["parameters"][..], &BOTH_NUMBERS].concat());
    planetoid(folder.path(), "2147483648");
    assert_refused(&within(4, &args), &["ind.cora.x", "2147483648 columns"]);
}

#[test]
fn a_pickle_of_many_objects() {
    let folder = TempDir::new().unwrap();
    planetoid(folder.path(), "4");
    fs::write(folder.path().join("ind.cora.x"), b")".repeat(200 << 20)).unwrap();
    let args = ["train", "--data", as_str(folder.path())];
    assert_refused(&within(4, &args), &["ind.cora.x", "the objects up to here take", "1.1 GB are the limit"]);
    assert_refused(&within(1, &args), &["ind.cora.x"]);
}

#[test]
fn files_without_an_end() {
    assert_refused(&within_line(1, "eval --params /dev/zero"), &["--params /dev/zero", "gavotte train"]);
    assert_refused(
        &within_line(1, "train --dataset karate --split /dev/zero"),
        &["--split", "/dev/zero", "limit of 67108864 bytes", "name another file"],
    );
    assert_refused(&within_line(1, "opt /dev/zero"), &["/dev/zero", "longer than 67108864 bytes"]);
    assert_refused(&within_line(1, "eval --params /dev/urandom"), &["--params /dev/urandom", "gavotte train"]);
    // A well-formed header that claims a terabyte.
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("p.safetensors");
    let header = r#"{"w":{"dtype":"F32","shape":[250000000000],"data_offsets":[0,1000000000000]}}"#;
    fs::write(&file, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()).unwrap();
    assert_refused(&within(1, &["eval", "--params", as_str(&file)]), &[&["3.0 TB"][..], &BOTH_NUMBERS].concat());
    fs::write(&file, u64::MAX.to_le_bytes()).unwrap();
    assert_refused(&run(["eval", "--params", as_str(&file)]), &["18446744073709551615 bytes"]);
}

/// Wherever the system runs out of memory, the error is the user's limit, and never an abort.
#[test]
fn any_limit_is_an_error_or_enough() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("long");
    let line = |i: usize| format!("  %{}: f32[] = add %{i}, 1f32\n", i + 1);
    let lines: String = (0..30_000).map(line).collect();
    fs::write(&program, format!("program @f(%0: f32[]) -> (f32[]) {{\n{lines}  return %30000\n}}\n")).unwrap();
    let mut refused = 0;
    for megabytes in [20, 24, 40, 60, 90, 140, 200, 300] {
        for line in [
            "train --epochs 1 --threads 1 --heads 64 --hidden 16",
            "train --epochs 1 --attention dense --dataset karate",
            &format!("opt {}", as_str(&program)),
        ] {
            let script = format!("ulimit -v {}; exec \"$0\" \"$@\"", megabytes << 10);
            let mut command = Command::new("sh");
            command.args(["-c", &script, env!("CARGO_BIN_EXE_gavotte")]).args(words(line));
            let output = command.output().expect("there is a shell");
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            match output.status.code() {
                Some(0) => {}
                Some(2) => {
                    refused += 1;
                    assert!(
                        message.contains("memory") || message.contains("--threads"),
                        "{megabytes} MB, {line}: {message}"
                    );
                }
                // Below this the system cannot start the program.
                Some(126 | 127) => assert!(megabytes < 24, "{megabytes} MB, {line}: {message}"),
                code => panic!("{megabytes} MB, {line}: {code:?}: {message}"),
            }
        }
    }
    assert!(refused > 3, "some limit is too tight");
}

/// Wherever in a run the memory ends, nothing of the run is left, and the run it was to replace is unchanged.
#[test]
fn what_a_run_has_made_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = |megabytes: usize, line: &str| {
        let script = format!("ulimit -v {}; exec \"$0\" \"$@\"", megabytes << 10);
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_gavotte")]).current_dir(&folder).args(words(line));
        command.output().expect("there is a shell")
    };
    let names = || {
        let mut names: Vec<_> = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        names
    };
    let output = run(100_000, "train --dataset karate --epochs 1 --quiet --out old");
    assert!(output.status.success(), "{output:?}");
    let parameters = || fs::read(folder.path().join("old/params.safetensors")).unwrap();
    let mut old = parameters();
    let mut without_memory = 0;
    for (megabytes, line) in (60..150)
        .step_by(5)
        .map(|megabytes| (megabytes, "train --epochs 1 --threads 1 --heads 64 --hidden 16 --out run"))
        .chain(
            (30..60)
                .step_by(2)
                .map(|megabytes| (megabytes, "train --epochs 1 --threads 3 --quiet --out old --overwrite")),
        )
    {
        let output = run(megabytes, line);
        let has_failed = !output.status.success();
        assert!(!has_failed || output.status.code() == Some(2), "{megabytes} MB: {output:?}");
        assert_eq!(names(), ["old"], "{megabytes} MB: {output:?}");
        assert!(!has_failed || parameters() == old, "{megabytes} MB: {output:?}");
        without_memory += usize::from(String::from_utf8_lossy(&output.stderr).contains("out of memory"));
        old = parameters();
    }
    assert!(without_memory > 3, "some limit is too tight");
}
