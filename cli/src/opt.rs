//! `gavotte opt`: runs passes on programs in text form.

use crate::args::OptArgs;
use crate::failure::Failure;
use crate::inputs::{open, read_text};
use crate::layout::{width, wrap};
use gavotte_core::ir::{Program, parse_many, verify};
use gavotte_core::pass::{PASSES, PIPELINE, find};
use std::io::Write;
use std::path::Path;

pub(crate) fn run(args: &OptArgs) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    let Some(file) = args.file.as_deref().filter(|_| !args.list) else {
        for pass in PASSES {
            writeln!(out, "{}", wrap(&format!("{:<10} {}", pass.name, pass.about), width(), 11))?;
        }
        writeln!(out, "\n{}", wrap(&format!("the compiler runs: {}", PIPELINE.join(", ")), width(), 2))?;
        return Ok(());
    };
    let (place, text) = match file == Path::new("-") {
        true => ("standard input".into(), read_text("standard input", std::io::stdin())?),
        false => (file.display().to_string(), read_text(&file.display().to_string(), open("FILE", file)?)?),
    };
    let programs =
        parse_many(&text, gavotte::registry()).map_err(|error| Failure::input(format!("{place}: {error}")))?;
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
