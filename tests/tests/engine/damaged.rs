//! Program text with mistakes: a fixed number of steps from a fixed seed. Any text is either an error that names its
//! line, or a program. A program is compiled for sizes of any magnitude, and run where they are small. Nothing panics
//! or faults, and a call that one target refuses is refused by every target.
//!
//! `GAVOTTE_STEPS=1000000` takes that many steps instead.

use gavotte_core::aval::{Dim, Sizes};
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Binder, Control, Program, Value, parse, parse_many};
use gavotte_core::kernel::parse_kernel;
use gavotte_core::pass::optimize;
use gavotte_core::runtime::{Executable, Options, Target};
use gavotte_tests::arrays::{Random, random_array};
use gavotte_tests::generate::random_program;
use gavotte_tests::report::caught;
use gavotte_tests::targets::engines;
use std::fs::{read_dir, read_to_string};
use std::path::Path;

/// Number of texts to try.
const STEPS: usize = 20_000;
/// A program is run only if none of its arrays has more elements.
const SMALL: usize = 1 << 14;
/// The sizes of symbols, in rotation.
const SIZES: [usize; 4] = [0, 1, 3, 1 << 40];

/// Replacements for a number.
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "2",
    "7",
    "-1",
    "65535",
    "2147483647",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "99999999999999999999999",
    "n",
    "1e999",
];
/// Replacements for anything.
const WORDS: [&str; 24] = [
    "f32",
    "f64",
    "i32",
    "u32",
    "bool",
    "nan",
    "-inf",
    "%0",
    "%1",
    "%4294967295",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ",",
    ":",
    "axis",
    "where n >= 1",
    "return",
    "@f",
    "\u{feff}",
    "\0",
];

fn steps() -> usize {
    std::env::var("GAVOTTE_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(STEPS)
}

/// Names, numbers and signs in order; joined, they are the text.
fn pieces(text: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || "_.%@".contains(c);
    let mut found = vec![];
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match rest.find(|c| !is_word(c)) {
            Some(end) if is_word(first) => end,
            None if is_word(first) => rest.len(),
            _ => first.len_utf8(),
        };
        let (piece, after) = rest.split_at(end);
        found.push(piece);
        rest = after;
    }
    found
}

/// The text with one to three mistakes; pieces may be taken from `other`.
fn damaged(text: &str, other: &str, random: &mut Random) -> String {
    let mut pieces = pieces(text);
    let other = self::pieces(other);
    for _ in 0..1 + random.below(3) {
        let at = random.below(pieces.len());
        let numbers: Vec<usize> =
            (0..pieces.len()).filter(|i| pieces[*i].starts_with(|c: char| c.is_ascii_digit())).collect();
        match random.below(9) {
            0..3 if !numbers.is_empty() => pieces[*random.pick(&numbers)] = *random.pick(&NUMBERS),
            3 => pieces[at] = *random.pick(&WORDS),
            4 => pieces[at] = *random.pick(&other),
            5 => drop(pieces.remove(at)),
            6 => pieces.insert(at, *random.pick(&WORDS)),
            7 => {
                let with = random.below(pieces.len());
                pieces.swap(at, with);
            }
            // Repeats some pieces, or cuts off the end.
            _ if random.below(4) == 0 => pieces.truncate(at.max(1)),
            _ => {
                let again = pieces[at..(at + 1 + random.below(12)).min(pieces.len())].to_vec();
                let at = random.below(pieces.len());
                pieces.splice(at..at, again);
            }
        }
        if pieces.is_empty() {
            pieces.push("program");
        }
    }
    pieces.concat()
}

/// The well-formed programs in the folders of file tests, inputs and results.
fn texts_of_files(is_wanted: fn(&str) -> bool) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("file_tests");
    let mut files: Vec<_> = read_dir(root)
        .expect("the tests' folder is there")
        .flat_map(|folder| read_dir(folder.expect("it has an entry").path()).expect("it is a folder"))
        .map(|file| file.expect("it has an entry").path())
        .collect();
    files.sort();
    let texts = files.iter().map(|file| read_to_string(file).expect("a test is text"));
    let parts: Vec<String> =
        texts.flat_map(|text| text.split("\n---\n").map(String::from).collect::<Vec<_>>()).collect();
    parts.into_iter().filter(|text| is_wanted(text)).collect()
}

fn programs() -> Vec<String> {
    let of_files =
        texts_of_files(|text| parse_many(text, gavotte::registry()).is_ok_and(|programs| !programs.is_empty()));
    assert!(of_files.len() > 50, "the file tests have programs");
    (0..60).map(|seed| random_program(seed).0.to_string()).chain(of_files).collect()
}

/// Elements of the largest array of a program and its nested programs; `None` if they cannot be counted.
fn largest(program: &Program, sizes: &Sizes) -> Option<usize> {
    let nested = program.eqns.iter().flat_map(|eqn| eqn.params.programs_within());
    let nested = nested.map(|nested| largest(nested, sizes));
    let own = program
        .binders()
        .map(|binder| binder.aval.shape.iter().try_fold(1usize, |all, dim| all.checked_mul(dim.at(sizes).as_usize()?)));
    own.chain(nested).try_fold(0, |most, n| Some(most.max(n?)))
}

/// Whether a program surely ends soon: it has no `while` loop, and no scan of many iterations.
fn ends_soon(program: &Program, sizes: &Sizes) -> bool {
    program.eqns.iter().all(|eqn| {
        let is_short = match eqn.prim.control(&eqn.params) {
            Some(Control::While { .. }) => false,
            Some(Control::Scan { length, .. }) => length.at(sizes).as_usize().is_some_and(|n| n <= 64),
            Some(Control::Switch { .. }) | None => true,
        };
        is_short && eqn.params.programs_within().all(|nested| ends_soon(nested, sizes))
    })
}

fn sizes_of(program: &Program, step: usize) -> Sizes {
    let mut sizes = Sizes::new();
    let binders = program.args.iter().chain(&program.consts);
    let symbols = binders.flat_map(|binder| &binder.aval.shape).flat_map(Dim::symbols);
    for (i, symbol) in symbols.enumerate() {
        // A symbol may occur again.
        let _ = sizes.set(symbol, SIZES[(step + i) % SIZES.len()]);
    }
    sizes
}

/// Runs a program on a target: the error, or nothing.
fn outcome(program: &Program, target: Target, sizes: &Sizes, random: &mut Random) -> Result<(), String> {
    let mut arrays = |binders: &[Binder]| -> Vec<HostArray> {
        binders.iter().map(|binder| random_array(&binder.aval.at(sizes), random)).collect()
    };
    let (consts, args) = (arrays(&program.consts), arrays(&program.args));
    let values = |arrays: Vec<HostArray>| arrays.into_iter().map(Value::from).collect::<Vec<_>>();
    let options = Options { target, ..Options::default() };
    let executable = Executable::compile(program, &values(consts), &options).map_err(|error| error.to_string())?;
    executable.call(values(args), sizes).map(drop).map_err(|error| error.to_string())
}

/// Checks a program that was parsed.
fn check_program(program: &Program, step: usize) -> Result<(), String> {
    let again =
        parse(&program.to_string(), gavotte::registry()).map_err(|error| format!("its text is refused: {error}"))?;
    if again != *program {
        return Err(format!("it is read back as\n{again}"));
    }
    let better = optimize(program);
    parse(&better.to_string(), gavotte::registry()).map_err(|error| format!("optimised: {error}\n{better}"))?;
    let sizes = sizes_of(program, step);
    if largest(program, &sizes).is_none_or(|n| n > SMALL) || !ends_soon(program, &sizes) {
        let constant = |binder: &Binder| {
            let n = binder.aval.shape.iter().try_fold(1usize, |all, dim| all.checked_mul(dim.as_usize()?));
            n.filter(|n| *n <= SMALL).map(|_| Value::from(random_array(&binder.aval, &mut Random::new(0))))
        };
        let consts: Option<Vec<Value>> = program.consts.iter().map(constant).collect();
        for target in [Target::Portable, Target::native()] {
            let options = Options { target, ..Options::default() };
            // Compiled and planned, or refused: neither allocates its arrays.
            if let Some(Ok(executable)) = consts.as_ref().map(|consts| Executable::compile(program, consts, &options)) {
                let _ = executable.new_plan(&sizes);
            }
        }
        return Ok(());
    }
    let outcomes: Vec<Result<(), String>> =
        engines().into_iter().map(|target| outcome(program, target, &sizes, &mut Random::new(step as u64))).collect();
    match outcomes.iter().find(|outcome| outcome.is_ok() != outcomes[0].is_ok()) {
        Some(other) => Err(format!("portable: {:?}, elsewhere: {other:?}", outcomes[0])),
        None => Ok(()),
    }
}

/// Whether a message names a line of the text, or marks it.
fn has_line(message: &str) -> bool {
    message.contains("line ") || message.contains("  ^ ")
}

#[test]
fn programs_with_mistakes_are_programs_or_errors() {
    let (texts, mut random) = (programs(), Random::new(12));
    let (mut read, mut failures) = (0, vec![]);
    for step in 0..steps() {
        let text = damaged(random.pick::<String>(&texts), random.pick::<String>(&texts), &mut random);
        let checked = caught(|| match parse_many(&text, gavotte::registry()) {
            Ok(programs) => programs.iter().try_for_each(|program| check_program(program, step)).map(|()| true),
            Err(error) if has_line(&error.to_string()) => Ok(false),
            Err(error) => Err(format!("an error without a line: {error}")),
        });
        match checked {
            Ok(is_read) => read += usize::from(is_read),
            Err(why) => failures.push(format!("step {step}: {why}\n{text}")),
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} fail:\n\n{}",
        failures.len(),
        steps(),
        failures[..failures.len().min(5)].join("\n\n")
    );
    assert!(read * 20 > steps(), "of {} texts only {read} are programs: the mistakes are too coarse", steps());
}

#[test]
fn kernels_with_mistakes_are_kernels_or_errors() {
    let texts: Vec<String> = texts_of_files(|text| text.contains("kernel @"))
        .iter()
        .flat_map(|text| text.split("kernel @").skip(1).map(|rest| format!("kernel @{rest}")).collect::<Vec<_>>())
        .filter_map(|text| text.split_once("\n}").map(|(body, _)| format!("{body}\n}}")))
        .filter(|text| parse_kernel(text).is_ok())
        .collect();
    assert!(texts.len() > 20, "the file tests have kernels");
    let mut random = Random::new(13);
    let mut failures = vec![];
    for step in 0..steps() / 4 {
        let text = damaged(random.pick::<String>(&texts), random.pick::<String>(&texts), &mut random);
        if let Err(why) = caught(|| {
            parse_kernel(&text).map(drop).or_else(|error| {
                if has_line(&error.to_string()) { Ok(()) } else { Err(format!("an error without a line: {error}")) }
            })
        }) {
            failures.push(format!("step {step}: {why}\n{text}"));
        }
    }
    assert!(failures.is_empty(), "{} fail:\n\n{}", failures.len(), failures[..failures.len().min(5)].join("\n\n"));
}
