//! Messages: to the point, in the program's own words, and safe to show on any terminal.

use crate::{as_str, assert_refused, program, run, stderr, stdout, words};
use std::fs;
use std::process::Output;
use tempfile::TempDir;

/// Checks that nothing printed controls a terminal, and that it fits on a screen or two.
#[track_caller]
fn assert_can_be_read(output: &Output) {
    for bytes in [&output.stdout, &output.stderr] {
        let text = String::from_utf8(bytes.clone()).expect("output is UTF-8");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(text.chars().count() < 4000, "{} characters", text.chars().count());
    }
}

#[test]
fn what_comes_from_files_and_arguments_is_shown_as_text() {
    let (colour, long) = ("\u{1b}[31mred\u{7}", "x".repeat(100_000));
    for name in [colour, &long, "a\rb"] {
        for args in [
            &["train", "--dataset", name][..],
            &["train", "--split", name],
            &["train", name],
            &["train", "--lr", name],
            &["eval", "--params", name],
            &["opt", name],
        ] {
            let output = run(args);
            assert_refused(&output, &[]);
            assert_can_be_read(&output);
        }
    }
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    for word in [colour, &long, &"x ".repeat(50_000)] {
        write("cora.content", &format!("1\t0\t1\tA\n2\t1\t{word}\tB\n"));
        write("cora.cites", "1\t2\n");
        let output = run(["train", "--data", as_str(folder.path())]);
        assert_refused(&output, &["cora.content", "line 2", "not 0 or 1"]);
        assert_can_be_read(&output);
        let split = write("split.tsv", &format!("id\tpart\n1\t{word}\n"));
        let output = run(["train", "--dataset", "karate", "--split", as_str(&split)]);
        assert_refused(&output, &["split.tsv", "line 2", "there is no part"]);
        assert_can_be_read(&output);
    }
    assert!(stderr(&run(["eval", "--params", colour])).contains(r"\u{1b}[31mred\u{7}"));
    // A program of very many lines: the mistake in one of them is shown.
    let lines: String = (0..5000).map(|i| format!("  %{}: f32[3] = neg %{i}\n", i + 1)).collect();
    let text = format!("program @f(%0: f32[3]) -> (f32[3]) {{\n{lines}  return %5000\n}}\n");
    let file = write("long.txt", &text.replace("%2500: f32[3]", "%2500: f32[4]"));
    let output = run(["opt", as_str(&file)]);
    assert_refused(&output, &["long.txt: line 2501", "%2500: f32[4] = neg", "^ neg returns"]);
    assert_can_be_read(&output);
}

#[test]
fn a_program_that_is_wrong_is_wrong_at_its_line() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("f.txt");
    for (line, parts) in [
        ("%1: f32[3] = log %9", ["f.txt: line 2, column 20", "%9 is read here, and nothing binds it"]),
        ("%1: f32[4] = log %0", ["f.txt: line 2, column 3: ", "^ log returns [f32[3]], not [f32[4]]"]),
        ("%1: f32[3] = log %2", ["f.txt: line 2, column 20", "%2 is read here"]),
    ] {
        fs::write(&file, format!("program @f(%0: f32[3]) -> (f32[3]) {{\n  {line}\n  return %1\n}}\n")).unwrap();
        assert_refused(&run(["opt", as_str(&file)]), &parts);
    }
}

#[test]
fn runs_that_learned_nothing_have_no_accuracy() {
    let train = |more: &str| run(words("train --dataset karate --quiet").chain(words(more)));
    let output = train("--lr 1e300 --epochs 20 --seeds 2");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.ends_with("test accuracy  none: none of 2 runs came to its end\n"), "{text}");
    assert!(!text.contains("mean") && !text.contains("NaN"), "{text}");
    assert!(stderr(&output).contains("Try a smaller --lr.\n"), "{}", stderr(&output));
    let output = train("--weight-decay 1e300 --epochs 20");
    assert!(String::from_utf8_lossy(&output.stdout).contains("test accuracy  none"), "{output:?}");
    assert!(stderr(&output).contains("a smaller --lr, or a smaller --weight-decay."), "{}", stderr(&output));
    // A run that learned something before has one, and the message says whose.
    let output = train("--lr 1e15 --epochs 20");
    let text = String::from_utf8_lossy(&output.stdout);
    match stderr(&output).contains("those before training") {
        true => assert!(text.contains("test accuracy  none"), "{text}"),
        false => assert!(text.contains("%, of a run that did not come to its end"), "{text}"),
    }
}

#[cfg(unix)]
#[test]
fn of_seeds_that_were_not_trained_the_summary_says_so() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let mut command = program();
    command.args(words("train --dataset karate --quiet --epochs 3 --seeds 100000")).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    // The data, the names of the columns, and some runs.
    assert!(lines.by_ref().take(12).count() == 12);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let last = lines.last().unwrap();
    assert!(last.starts_with("test accuracy") && last.contains(" %, over "), "{last}");
    assert!(last.ends_with(" of 100000 seeds"), "{last}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[cfg(target_os = "linux")]
#[test]
fn figures_come_before_a_profile_that_cannot_be_written() {
    for (more, part) in [("", "step, median"), ("--json", "step_median_s")] {
        let args = words("bench --dataset karate --steps 2 --threads 1 --profile /dev/full").chain(words(more));
        let output = run(args);
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(part) && text.contains("roofline"), "{text}");
        assert!(stderr(&output).contains("cannot write /dev/full"), "{}", stderr(&output));
    }
}

#[test]
fn advice_is_not_what_has_just_failed() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("cora.content"), "31\t1\tA\n7\t0\tB\n12\t1\tA\n").unwrap();
    fs::write(folder.path().join("cora.cites"), "7\t31\n").unwrap();
    for (split, others) in [("public", "random or pygcn"), ("random", "public or pygcn"), ("pygcn", "public or random")]
    {
        let output = run(["train", "--data", as_str(folder.path()), "--split", split]);
        assert_refused(&output, &[&format!("try {others}; ")]);
    }
    assert_refused(&run(words("train --dataset rmat:99999999999:1:1:1")), &["NODES is 99999999999", "at most"]);
    let help = stdout(program().args(["train", "--help"]).env("COLUMNS", "1000").output().unwrap());
    assert!(help.contains("a file has a header line"), "{help}");
}

#[test]
fn parameters_that_say_nothing_of_their_training() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("p.safetensors");
    let eval = |header: &str| {
        fs::write(&file, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()).unwrap();
        run(["eval", "--dataset", "karate", "--params", as_str(&file)])
    };
    assert_refused(&eval("{}"), &["p.safetensors", "does not say how its parameters were trained"]);
    let origin = r#"{\"version\":\"0\",\"dataset\":\"karate\",\"sha256\":\"\",\"split\":\"public\",\"seed\":0,"#;
    let rest = r#"\"attention\":\"edges\",\"heads\":8,\"hidden\":8,\"epoch\":1}"#;
    let metadata = |text: &str| format!(r#"{{"__metadata__":{{"gavotte":"{text}"}}}}"#);
    let whole = format!("{origin}{rest}");
    assert!(!stderr(&eval(&metadata(&whole))).contains("not gavotte's"));
    for (header, part) in [
        ("[]".into(), "does not describe arrays"),
        (r#"{"w":5}"#.into(), "does not describe arrays"),
        ("{,".into(), "is not JSON"),
        (metadata("nonsense"), "not a JSON object"),
        (metadata("[1]"), "not a JSON object"),
        (metadata(&whole.replace(r#"\"heads\":8,"#, "")), "no entry `heads`"),
        (metadata(&whole.replace(r#"\"heads\":8,"#, r#"\"heads\":8.5,"#)), "`heads` must be a whole number"),
        (metadata(&whole.replace(r#"\"seed\":0,"#, r#"\"seed\":-1,"#)), "`seed` must be a whole number"),
        (metadata(&whole.replace(r#"\"karate\""#, "7")), "`dataset` must be a text"),
        (metadata(&whole.replace("1}", r#"1,\"classes\":[3]}"#)), "`classes` must be a list of texts"),
    ] {
        let output = eval(&header);
        assert_refused(&output, &["p.safetensors", part]);
        for jargon in ["expected", "struct", "usize", "u64", "EOF"] {
            assert!(!stderr(&output).contains(jargon), "{}", stderr(&output));
        }
    }
}

#[test]
fn one_is_not_a_plural_and_numbers_are_written_one_way() {
    let line = "train --dataset rmat:3:0:1:1 --epochs 1 --heads 1 --threads 1 --weight-decay 0 --dropout";
    let text = stdout(run(words(line).chain(["1e-320"])));
    for part in ["3 edges", "1 feature,", "1 class;", "1 head of 8", "dropout 1e-320,", "decay 0,", "most 1 epoch,"] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    assert!(stdout(run(words(line).chain(["0"]))).contains("dropout 0,"));
    assert!(stdout(run(words("bench --dataset karate --steps 1 --threads 1"))).contains("1 thread, 1 step\n"));
}

#[test]
fn help_is_a_command_too() {
    assert_eq!(stdout(run(["help"])), stdout(run(["--help"])));
    assert_eq!(stdout(run(["help", "train"])), stdout(run(["train", "--help"])));
    for command in ["train", "eval", "bench", "ir", "opt", "devices"] {
        assert!(!stdout(run([command, "--help"])).to_lowercase().contains("behind"), "{command}");
    }
}
