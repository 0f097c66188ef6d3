//! Runs the files under `tests/file_tests`: one folder for each pass, transformation and step of lowering, and a file
//! for each rewrite rule.

use gavotte_core::pass::PASSES;
use gavotte_tests::file_test::check_file;
use gavotte_tests::report::check_all;
use gavotte_tests::tests_dir;
use std::path::{Path, PathBuf};

const TRANSFORMATIONS: [&str; 5] = ["jvp", "linearize", "transpose", "vjp", "vmap"];
/// The steps between a program and its machine code.
const LOWERINGS: [&str; 6] = ["barriers", "fuse", "kernels", "group", "merge", "cuda"];

fn sorted_entries(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.sort();
    paths
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    sorted_entries(folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "txt")).collect()
}

#[test]
fn every_file_matches_its_expectation() {
    let root = tests_dir().join("file_tests");
    let files = sorted_entries(&root).into_iter().flat_map(|folder| files_of(&folder));
    let cases = files.map(|path| (path.strip_prefix(&root).expect("it is in there").display().to_string(), path));
    check_all(cases, |path| check_file(path));
}

#[test]
fn every_pass_and_transformation_has_files() {
    let names = PASSES.iter().map(|pass| pass.name).chain(TRANSFORMATIONS).chain(LOWERINGS).chain(["parse-errors"]);
    check_all(names.map(|name| (name.to_string(), name)), |name| {
        let n = files_of(&tests_dir().join("file_tests").join(name)).len();
        if n >= 2 { Ok(()) } else { Err(format!("{n} files: two at least show what it does and what it leaves")) }
    });
}
