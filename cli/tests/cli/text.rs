//! Output is readable: on a terminal of 80 columns, and in a file.

use crate::{as_str, program, run, stderr, stdout, words};
use std::fs;
use std::process::Output;
use tempfile::TempDir;

/// The program with 80 columns.
fn narrow(line: &str) -> Output {
    program().args(words(line)).env("COLUMNS", "80").output().expect("the program starts")
}

/// Checks that every line fits in this many columns.
#[track_caller]
fn assert_fits(text: &str, columns: usize) {
    for line in text.lines() {
        assert!(line.chars().count() <= columns, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn texts_for_people_fit_the_terminal() {
    for line in [
        "train --dataset karate --epochs 2 --seeds 2",
        "train --dataset rmat:60:300:4:3 --epochs 2 --attention dense --weight-decay 0.000123456",
        "train --help",
        "eval --help",
        "bench --help",
        "ir --help",
        "opt --help",
        "devices --help",
        "devices",
        "opt --list",
        "--help",
    ] {
        assert_fits(&stdout(narrow(line)), 80);
    }
    for line in [
        "train --dataset karate --split random",
        "train --heads 0",
        "train --seed -1",
        "train --dataset karate --data somewhere",
        "eval --params nowhere.safetensors",
        "ir --stage plan --device cuda --gpu v100",
    ] {
        let output = narrow(line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        // The command-line parser breaks the lines of its messages itself.
        assert_fits(&stderr(&output), 100);
    }
}

#[test]
fn long_paragraphs_of_the_help_are_filled() {
    // A line broken for another width is followed by a short one.
    for command in ["train", "eval", "bench", "ir", "opt", "devices"] {
        let help = stdout(narrow(&format!("{command} --help")));
        let lines: Vec<&str> = help.lines().collect();
        for pair in lines.windows(2).filter(|pair| !pair[0].starts_with(' ') && !pair[1].starts_with(' ')) {
            let next = pair[1].split(' ').next().unwrap_or_default();
            let fills = pair[0].is_empty() || pair[1].is_empty() || pair[0].len() + 1 + next.len() > 80;
            assert!(fills, "{command}: `{next}` would fit in: {}", pair[0]);
        }
    }
}

#[test]
fn columns_never_touch() {
    // This run's losses have thirty digits.
    let seed = "18446744073709551614";
    let line = format!("train --dataset karate --lr 1e12 --dropout 0 --epochs 3 --seeds 2 --seed {seed}");
    let output = run(words(&line));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.trim_start().starts_with("184467440737095516")).collect();
    assert_eq!(rows.len(), 2, "{text}");
    let header = text.lines().find(|line| line.contains("train loss")).unwrap();
    for row in rows.iter().chain([&header]) {
        assert!(row.chars().count() <= 100, "{row}");
        // Names of one or two words, numbers with or without a unit: two spaces separate columns.
        assert_eq!(row.split("  ").filter(|cell| !cell.trim().is_empty()).count(), 9, "{row}");
    }
}

#[test]
fn what_is_not_seen_is_not_learned() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("cora.content", "31\t1\t0\t1\tTheory\n7\t0\t0\t0\tCase_Based\n12\t0\t1\t0\tTheory\n");
    write("cora.cites", "7\t31\n31\t7\n12\t12\n");
    write("split.tsv", "id\tpart\n31\ttrain\n7\tval\n12\ttest\n");
    let split = folder.path().join("split.tsv");
    let output = run(["train", "--epochs", "2", "--data", as_str(folder.path()), "--split", as_str(&split)]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("no node for training is of class Case_Based"), "{}", stderr(&output));
}
