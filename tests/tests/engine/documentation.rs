//! The documentation is true: error messages come from the program, and an operation is where the page says.

use gavotte::{Array, DType, Error, Options, assume, grad, jit_with, while_loop};
use gavotte_core::ir::scalar::{CodeOrCall, Form, Function};
use gavotte_core::ir::{ScalarOp, quietly};
use gavotte_tests::{files, workspace_dir};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks marked as error messages in the documentation, each with its file.
fn shown() -> Vec<(PathBuf, String)> {
    let paths = [".md", ".rs"].map(|ending| files(workspace_dir(), ending)).concat();
    let mut blocks = vec![];
    for path in paths {
        let mut block: Option<String> = None;
        for line in read(&path).lines() {
            let comment = line.trim_start();
            let text = comment.strip_prefix("/// ").or(comment.strip_prefix("//! "));
            let line = text.unwrap_or(line).trim_end();
            match (&mut block, line.trim()) {
                (None, "```error") => block = Some(String::new()),
                (Some(text), "```") => {
                    blocks.push((path.clone(), text.trim().to_string()));
                    block = None;
                }
                (Some(text), _) => {
                    text.push_str(line);
                    text.push('\n');
                }
                _ => {}
            }
        }
    }
    blocks
}

/// The message with every source position replaced by `src/main.rs`, and leading spaces by two.
fn normal(message: &str) -> String {
    let mut text = String::new();
    for line in message.trim().lines() {
        let indent = if line.starts_with(' ') { "  " } else { "" };
        let words: Vec<String> = line
            .split_whitespace()
            .map(|word| match word.split_once(".rs:") {
                Some((_, place)) => {
                    let end = place.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
                    format!("src/main.rs{end}")
                }
                None => word.to_string(),
            })
            .collect();
        text.push_str(indent);
        text.push_str(&words.join(" "));
        text.push('\n');
    }
    text
}

#[track_caller]
fn refused<T>(f: impl FnOnce() -> T) -> String {
    match quietly(f) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it is not refused"),
    }
}

fn floats(shape: &[usize]) -> Array {
    Array::new(shape, vec![0.5f32; shape.iter().product()])
}

/// Every message that the documentation shows, produced by the mistake it describes. Programs are named after this
/// function.
fn step() -> Vec<String> {
    let tail = |x: Array| {
        let half = x.slice_axis(0, 1usize..);
        half.sum(())
    };
    let logs = jit_with(|x: Array| (&x - 1.0).log().sum(()), Options { check_nans: true, ..Options::default() });
    let sums = gavotte::jit(|x: Array| x.sum(()));
    let read = std::sync::Mutex::new(None);
    let reads = gavotte::jit(|x: Array| {
        let y = x.sin();
        *read.lock().unwrap() = y.to_host().err().map(|error| error.to_string());
        y
    });
    let _ = reads(floats(&[2]));
    let _ = (sums(floats(&[8, 3])), sums(floats(&[9, 3])));
    vec![
        refused(|| floats(&[2, 3]).dot(&floats(&[4, 5]))),
        refused(|| floats(&[2]) + Array::new(&[2], vec![1i32, 2])),
        refused(|| grad(|x: Array| while_loop(|x: Array| x.gt(1.0), |x: Array| x * 0.5, x))(Array::scalar(3.0))),
        gavotte::jit(tail).try_call((floats(&[4]).declare(["n"]),)).expect_err("n may be 0").to_string(),
        {
            let assumed = gavotte::jit(move |x: Array| {
                assume("n >= 1");
                tail(x)
            });
            let none = Array::new(&[0], Vec::<f32>::new()).declare(["n"]);
            assumed.try_call((none,)).expect_err("n is 0").to_string()
        },
        logs.try_call((floats(&[3]),)).expect_err("a logarithm of a negative number").to_string(),
        sums.misses().last().expect("the second call had to trace").to_string(),
        read.lock().unwrap().take().expect("a traced value has no contents"),
    ]
}

#[test]
fn every_message_shown_is_produced() {
    let produced: Vec<String> = step().iter().map(|message| normal(message)).collect();
    let shown = shown();
    assert!(shown.len() >= 5, "the documentation shows {} messages", shown.len());
    for (path, block) in &shown {
        let block = normal(block);
        assert!(
            produced.contains(&block),
            "{} shows a message that nothing here produces:\n{block}\nproduced are:\n\n{}",
            path.display(),
            produced.join("\n")
        );
    }
    for message in &produced {
        assert!(shown.iter().any(|(_, block)| normal(block) == *message), "no documentation shows:\n{message}");
    }
}

/// Whether `word` occurs in `line` as a whole word.
fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

/// The page on adding an operation says: two places in one folder. This holds for functions of one variable, and for
/// operations with their own rules.
#[test]
fn an_operation_is_two_places_in_one_folder() {
    let ops = workspace_dir().join("ops/src");
    let paths = files(&ops, ".rs");
    let places = |names: &[&str]| -> Vec<(PathBuf, usize)> {
        let lines = paths.iter().flat_map(|path| {
            let text = read(path);
            let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
            let hits = code.filter(|(_, line)| names.iter().any(|name| has_word(line, name)));
            hits.map(|(i, _)| (path.clone(), i + 1)).collect::<Vec<_>>()
        });
        lines.collect()
    };
    // The page's own example and others like it: the entry, and the line of the table.
    for name in ["EXPM1", "LOG1P", "SIN", "TANH", "LOGISTIC", "SQRT"] {
        let found = places(&[name]);
        // A derivative may use a neighbour in the same file.
        let found: Vec<&PathBuf> = {
            let mut files: Vec<&PathBuf> = found.iter().map(|(path, _)| path).collect();
            files.dedup();
            files
        };
        let wanted = [ops.join("elementwise/functions.rs"), ops.join("elementwise/mod.rs")];
        assert!(found.iter().copied().eq(&wanted), "{name} is in {found:?}, not in {wanted:?}");
    }
    let page = read(&workspace_dir().join("ARCHITECTURE.md"));
    let entry = read(&ops.join("elementwise/functions.rs"));
    let table = read(&ops.join("elementwise/mod.rs"));
    let shown = page.split("## Adding an operation").nth(1).expect("the page is there");
    let blocks: Vec<&str> = shown.split("```").skip(1).step_by(2).collect();
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (block, file) in [(blocks[0], &entry), (blocks[1], &table)] {
        let block = squeeze(block.trim_start_matches("rust,ignore"));
        assert!(squeeze(file).contains(&block), "the page shows a block that the file does not have:\n{block}");
    }
}

/// The page says of scalar operations: one for which no target has its own code is a row of the table, an entry for its
/// primitive, and a line for JAX.
#[test]
fn a_scalar_operation_is_a_row_and_a_primitive() {
    let folders = ["core/src", "ops/src", "gat/src", "cli/src"];
    let paths = folders.map(|folder| files(&workspace_dir().join(folder), ".rs")).concat();
    let folders = |word: &str| -> BTreeSet<PathBuf> {
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let hits = paths.iter().filter(|path| read(path).lines().filter(is_code).any(|line| has_word(line, word)));
        hits.map(|path| path.parent().expect("a file is in a folder").to_path_buf()).collect()
    };
    let oracle = read(&workspace_dir().join("tests/python/primitives.py"));
    let is_called = |op: &ScalarOp| match op.form() {
        Form::Function(Function { f32: Some(f32s), f64: Some(f64s), i32: None, .. }) => {
            f32s.machine == CodeOrCall::Call && f64s.machine == CodeOrCall::Call
        }
        _ => false,
    };
    let called: Vec<ScalarOp> = ScalarOp::ALL.into_iter().filter(is_called).collect();
    assert!(called.len() >= 3, "{called:?}");
    for op in called {
        let wanted = ["core/src/ir/scalar", "ops/src/elementwise"].map(|folder| workspace_dir().join(folder));
        let found = folders(&format!("{op:?}"));
        assert!(found.iter().eq(&wanted), "{op:?} is in {found:?}, not in {wanted:?}");
        assert!(gavotte::registry().get(op.name()).is_some(), "{op:?} is not a primitive");
        assert!(oracle.contains(&format!("    \"{}\": ", op.name())), "{op:?} is not compared with JAX");
    }
}

/// An error has the documented type.
#[test]
fn refusals_are_typed() {
    let error = quietly(|| floats(&[2, 3]).dot(&floats(&[4, 5])).astype(DType::F64)).map(drop);
    assert!(matches!(error, Err(Error::Type(_))), "{error:?}");
}
