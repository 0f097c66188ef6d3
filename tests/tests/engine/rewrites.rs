//! Every rewrite rule of the registry: its name, its file under `tests/file_tests/rewrites`, and what it preserves.

use gavotte_core::aval::{Aval, Sizes};
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Program, RewriteRule};
use gavotte_core::pass::{Change, PASSES, find};
use gavotte_tests::arrays::{Random, random_array};
use gavotte_tests::compare::{difference, run};
use gavotte_tests::exact::special_array;
use gavotte_tests::file_test::program_of;
use gavotte_tests::report::check_all;
use gavotte_tests::tests_dir;
use std::collections::HashSet;

fn rules() -> impl Iterator<Item = (String, &'static RewriteRule)> {
    gavotte::registry().rewrites().map(|(_, rule)| (rule.name.to_string(), rule))
}

/// The program in the rule's file, and its result after `simplify`.
fn both_sides(rule: &RewriteRule) -> Result<(Program, Program, Vec<Change>, Sizes), String> {
    let path = tests_dir().join("file_tests/rewrites").join(rule.name).with_extension("txt");
    let (before, sizes) = program_of(&path).map_err(|why| format!("{}: {why}", path.display()))?;
    let (after, changes) = find("simplify").expect("it is a pass").apply_explained(&before);
    Ok((before, after, changes, sizes))
}

#[test]
fn names_are_unique_and_laws_are_lines() {
    let mut names: HashSet<&str> = PASSES.iter().map(|pass| pass.name).collect();
    check_all(rules(), |_| Ok(()));
    for (name, rule) in rules() {
        assert!(names.insert(rule.name), "two rules are called {name}, or a pass is");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}: words with hyphens between");
        let is_line = !rule.law.is_empty() && !rule.law.contains('\n') && rule.law.chars().count() <= 100;
        assert!(is_line && rule.law.contains('='), "{name}: its law is a short line that has two sides: {}", rule.law);
    }
}

#[test]
fn every_rule_has_a_file_in_which_it_alone_applies() {
    check_all(rules(), |rule| {
        let (_, _, changes, _) = both_sides(rule)?;
        let applied: Vec<&str> = changes.iter().filter_map(|change| Some(change.rule?.name)).collect();
        match applied.iter().all(|name| *name == rule.name) {
            true if !applied.is_empty() => Ok(()),
            _ => Err(format!("in its file these apply: {applied:?}")),
        }
    });
}

#[test]
fn every_file_is_of_a_rule() {
    let names: HashSet<String> = rules().map(|(name, _)| name).collect();
    let folder = std::fs::read_dir(tests_dir().join("file_tests/rewrites")).expect("the folder is there");
    let files = folder.map(|entry| entry.expect("the folder can be read").path());
    let files = files.map(|path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned());
    check_all(files.map(|name| (name.clone(), name)), |name| match names.contains(name) {
        true => Ok(()),
        false => Err("no rule has this name".into()),
    });
}

/// The law of all passes: every bit is kept, except the sign of a zero and the payload of a NaN.
#[test]
fn both_sides_of_a_rule_have_the_same_values() {
    const ROUNDS: u64 = 50;
    check_all(rules(), |rule| {
        let (before, after, _, sizes) = both_sides(rule)?;
        let avals: Vec<Aval> = before.args.iter().chain(&before.consts).map(|binder| binder.aval.at(&sizes)).collect();
        for seed in 0..ROUNDS {
            let mut random = Random::new(seed);
            let mut array = |aval: &Aval| {
                let shape: Vec<usize> = aval.shape.iter().map(|dim| dim.as_usize().expect("sizes are given")).collect();
                match seed % 2 {
                    0 => random_array(aval, &mut random),
                    _ => special_array(&shape, aval.dtype, &mut random),
                }
            };
            let arrays: Vec<HostArray> = avals.iter().map(&mut array).collect();
            if let Some(why) = difference(&run(&after, &arrays), &run(&before, &arrays), 0.0) {
                return Err(format!("{why}\nof {arrays:?}\n{before}{after}"));
            }
        }
        Ok(())
    });
}
