//! Why steps are in one group or not.

use super::reach::reach;
use super::schedule::same_rows;
use crate::ir::Var;
use crate::kernel::{Kernel, KernelProgram, Members, Part, Space, Step};
use std::fmt;

/// For every stored array and step that reads it, one line: whether one group holds both producer and reader, and why.
pub struct Why<'a>(pub &'a KernelProgram);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0, "")
    }
}

fn write(f: &mut fmt::Formatter<'_>, lowered: &KernelProgram, indent: &str) -> fmt::Result {
    let mut makers = vec![None; lowered.program.n_var() + lowered.composed.len()];
    for (i, step) in lowered.steps.iter().enumerate() {
        step.writes().into_iter().for_each(|var| makers[var.index()] = Some(i));
    }
    let avals = lowered.program.avals();
    for (reader, step) in lowered.steps.iter().enumerate() {
        let mut seen: Vec<Var> = vec![];
        for var in step.reads().into_iter().map(|var| lowered.fusion.memory(var)) {
            let Some(maker) = makers[var.index()].filter(|_| !seen.contains(&var)) else { continue };
            seen.push(var);
            let verdict = verdict(lowered, var, (maker, reader), &|alias| same_rows(&avals, alias, var));
            writeln!(f, "{indent}{var} -> {}: {verdict}", step.name())?;
        }
        if let Step::Control(control) = step {
            for nested in &control.nested {
                writeln!(f, "{indent}  @{}", nested.program.name)?;
                write(f, nested, &format!("{indent}    "))?;
            }
        }
    }
    Ok(())
}

/// The number of a step's group, its space, and the step's part in it.
fn place(lowered: &KernelProgram, step: usize) -> Option<(usize, &Space, Option<Part>)> {
    let number = lowered.groups.iter().position(|group| group.steps.contains(&step))?;
    let group = &lowered.groups[number];
    let part = match &group.space {
        Space::Rows { parts, .. } => parts.get(step - group.steps.start).copied(),
        Space::Alone | Space::Serial => None,
    };
    Some((number, &group.space, part))
}

fn verdict(
    lowered: &KernelProgram,
    var: Var,
    (maker, reader): (usize, usize),
    same_rows: &dyn Fn(Var) -> bool,
) -> String {
    let (Some((first, made_in, made)), Some((second, space, part))) = (place(lowered, maker), place(lowered, reader))
    else {
        return "in no group".into();
    };
    let is_fused = first == second;
    let why = match (made_in, space, &lowered.steps[reader]) {
        (Space::Alone, ..) => "made by a step that runs alone".into(),
        (_, Space::Alone, _) => "read by a step that runs alone".into(),
        (Space::Serial, Space::Serial, _) if is_fused => "one thread runs both".into(),
        (Space::Serial, ..) => "made by one thread, for all others".into(),
        (Space::Rows { extent, .. }, Space::Rows { extent: rows, members, .. }, Step::Kernel(kernel, _)) => {
            let (Some(made), Some(part)) = (made, part) else { return "in no group".into() };
            let reach = reach(kernel, part, members.as_ref(), &lowered.fusion, (var, made), same_rows);
            match reach {
                Err(why) => why.into(),
                Ok(_) if extent != rows => format!("made by rows {extent}, read by rows {rows}"),
                Ok(how) if is_fused => how.into(),
                Ok(how) => format!("{how}, but {}", kept_by(lowered, kernel, (part, members.as_ref()), first)),
            }
        }
        (Space::Rows { .. }, ..) => "read by one thread, once all rows are there".into(),
    };
    if is_fused { format!("fused in group {first}: {why}") } else { format!("not fused: {why}") }
}

/// What keeps a reader out of the group of one of the arrays that it reads.
fn kept_by(
    lowered: &KernelProgram,
    kernel: &Kernel,
    (part, members): (Part, Option<&Members>),
    group: usize,
) -> String {
    let avals = lowered.program.avals();
    for (var, _) in &kernel.inputs {
        let var = lowered.fusion.memory(*var);
        let Some(maker) = lowered.steps.iter().position(|step| step.writes().contains(&var)) else { continue };
        let Some((number, _, made)) = place(lowered, maker) else { continue };
        let same_rows = |alias: Var| same_rows(&avals, alias, var);
        let is_there =
            made.is_some_and(|made| reach(kernel, part, members, &lowered.fusion, (var, made), &same_rows).is_ok());
        if number > group || number == group && !is_there {
            return format!("its reader waits for {var}");
        }
    }
    "its reader goes with others".into()
}
