//! `gavotte opt`: runs passes on programs in text form.

use crate::args::OptArgs;
use crate::failure::Failure;
use crate::inputs::read_file;
use gavotte_core::ir::{Program, parse_many, verify};
use gavotte_core::pass::{PASSES, PIPELINE, find};
use std::io::{Read, Write};
use std::path::Path;

pub(crate) fn run(args: &OptArgs) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    let Some(file) = args.file.as_deref().filter(|_| !args.list) else {
        for pass in PASSES {
            writeln!(out, "{:<10} {}", pass.name, pass.about)?;
        }
        writeln!(out, "\nthe compiler runs: {}", PIPELINE.join(", "))?;
        return Ok(());
    };
    let place = if file == Path::new("-") { "standard input".into() } else { file.display().to_string() };
    let programs = parse_many(&read_text(file, &place)?, gavotte::registry())
        .map_err(|error| Failure::input(format!("{place}: {error}")))?;
    if programs.is_empty() {
        return Err(Failure::input(format!(
            "{place}: there is no program in it; `gavotte ir --stage grad` prints one"
        )));
    }
    let asked: Vec<&str> = args.passes.iter().map(String::as_str).collect();
    let names = if asked.is_empty() { PIPELINE } else { &asked };
    for program in programs {
        write!(out, "{}", run_passes(program, names)?)?;
    }
    Ok(())
}

fn run_passes(program: Program, names: &[&str]) -> Result<Program, Failure> {
    names.iter().filter_map(|name| find(name)).try_fold(program, |program, pass| {
        let result = pass.apply(&program);
        match verify(&result) {
            Ok(()) => Ok(result),
            Err(error) => Err(Failure::Run(format!("the pass `{}` broke the program: {error}", pass.name))),
        }
    })
}

fn read_text(file: &Path, place: &str) -> Result<String, Failure> {
    let bytes = if file == Path::new("-") {
        let mut bytes = vec![];
        std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::input(format!("{place}: cannot read it: {error}")))?;
        bytes
    } else {
        read_file("FILE", file)?
    };
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Failure::input(format!("{place}, line {}: this is not UTF-8; give a program's text", line + 1))
    })
}
