//! `gavotte opt`: runs passes on programs in text form.

use crate::args::OptArgs;
use crate::failure::Failure;
use crate::inputs::{open, read_text};
use crate::layout::{readable, width, wrap};
use gavotte_core::ir::{Location, Program, parse_many, verify};
use gavotte_core::pass::{PASSES, PIPELINE, explain, find};
use std::io::Write;
use std::path::Path;

pub(crate) fn run(args: &OptArgs) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    let Some(file) = args.file.as_deref().filter(|_| !args.list) else {
        return list(&mut out);
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
    let lines: Vec<&str> = text.lines().collect();
    for program in programs {
        let (result, explained) = run_passes(program, names, args.explain.then_some(&lines))?;
        write!(out, "{explained}{result}")?;
    }
    Ok(())
}

/// Passes, their order, and the rules of `simplify`.
fn list(out: &mut impl Write) -> Result<(), Failure> {
    for pass in PASSES {
        writeln!(out, "{}", wrap(&format!("{:<10} {}", pass.name, pass.about), width(), 11))?;
    }
    writeln!(out, "\n{}", wrap(&format!("the compiler runs: {}", PIPELINE.join(", ")), width(), 2))?;
    writeln!(out, "\n{}", wrap("rules of `simplify`, and why both sides are equal:", width(), 2))?;
    let column = gavotte::registry().rewrites().map(|(_, rule)| rule.name.len()).max().unwrap_or(0);
    for (_, rule) in gavotte::registry().rewrites() {
        writeln!(out, "{}", wrap(&format!("{:<column$}  {}", rule.name, rule.law), width(), column + 2))?;
    }
    Ok(())
}

/// The program after the passes. Where the lines of its text are given, what each pass did, as comments.
fn run_passes(program: Program, names: &[&str], lines: Option<&Vec<&str>>) -> Result<(Program, String), Failure> {
    let (mut program, mut explained) = (program, String::new());
    for pass in names.iter().filter_map(|name| find(name)) {
        let result = match lines {
            None => pass.apply(&program),
            Some(lines) => {
                let (result, changes) = pass.apply_explained(&program);
                explained += &explain(pass, &program.name, &changes, &|location| place(location, lines));
                result
            }
        };
        verify(&result)
            .map_err(|error| Failure::Run(format!("the pass `{}` broke the program: {error}", pass.name)))?;
        program = result;
    }
    Ok((program, explained))
}

/// The line of an equation in the text, and the source line that a comment there names, as `gavotte ir --locations` prints.
fn place(location: Location, lines: &[&str]) -> Option<String> {
    let number = location.line()?;
    let mut rest = lines.get(number as usize - 1..)?.iter();
    let first = rest.next()?;
    // The lines of a program within the equation stand deeper; the comment stands after the last of them.
    let indent = |line: &str| line.len() - line.trim_start().len();
    let last = rest.take_while(|line| indent(line) > indent(first)).last().unwrap_or(first);
    let source = last.rsplit_once("  // ").map(|(_, source)| format!(", {}", readable(source))).unwrap_or_default();
    Some(format!("line {number}{source}"))
}
