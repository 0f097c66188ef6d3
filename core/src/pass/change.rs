//! What a pass did to each equation, and its text.

use crate::aval::DType;
use crate::ir::{Atom, Eqn, Location, RewriteRule};
use crate::pass::Pass;
use std::cell::RefCell;
use std::fmt;

/// One equation that a pass replaced or dropped. Variables have the numbers of the program that the pass was given.
#[derive(Clone, Debug)]
pub struct Change {
    /// The name of the program that held the equation: that of a loop or a branch, or of the whole.
    pub program: String,
    /// The rewrite rule that applied. Without one it is the pass's own law.
    pub rule: Option<&'static RewriteRule>,
    /// The equation.
    pub before: Eqn,
    /// The equations that the rule looked at beside it: they made its operands.
    pub read: Vec<Eqn>,
    /// What is there instead.
    pub after: After,
}

impl Change {
    /// A change by the pass's own law, in a program that has yet to be named.
    pub(super) fn new(before: &Eqn, after: After) -> Change {
        Change { program: String::new(), rule: None, before: before.clone(), read: vec![], after }
    }
}

/// What is there instead of an equation.
#[derive(Clone, Debug)]
pub enum After {
    /// An equation that binds the same variables.
    Eqn(Box<Eqn>),
    /// An atom for each of its outputs.
    Atoms(Vec<Atom>),
    /// The equations of the program that it held, of this number.
    Inlined(usize),
    /// The same equation on this wider type, between conversions.
    Widened(DType),
    /// Nothing.
    Nothing,
}

/// Where passes report what they do: to a list, or to nobody, which costs nothing.
#[derive(Clone, Copy, Default)]
pub(super) struct Log<'a>(Option<&'a RefCell<Vec<Change>>>);

impl<'a> Log<'a> {
    pub(super) fn to(changes: &'a RefCell<Vec<Change>>) -> Self {
        Log(Some(changes))
    }

    pub(super) fn is_on(self) -> bool {
        self.0.is_some()
    }

    pub(super) fn tell(self, change: impl FnOnce() -> Change) {
        if let Some(changes) = self.0 {
            changes.borrow_mut().push(change());
        }
    }
}

/// What a pass did to the program of this name, as comments that may stand before a program in its text: an equation a
/// line, and where a rewrite rule applied, its name, its law and what it read. `place` says where an equation was made,
/// where that is known.
pub fn explain(pass: &Pass, name: &str, changes: &[Change], place: &dyn Fn(Location) -> Option<String>) -> String {
    let mut text = format!("// {}: {}\n", pass.name, pass.law);
    if changes.is_empty() {
        text.push_str("//   nothing to do\n");
    }
    let lengths = changes.iter().filter(|change| change.rule.is_none()).map(|change| length(&change.before.to_line()));
    let column = lengths.filter(|length| *length <= COLUMN).max().unwrap_or(0);
    let mut program = name;
    for change in changes {
        if change.program != program {
            program = &change.program;
            text.push_str(&format!("//   in @{program}\n"));
        }
        let (before, at) = (change.before.to_line(), place(change.before.location));
        let Some(rule) = change.rule else {
            let at = at.map_or(String::new(), |at| format!("  at {at}"));
            text.push_str(&format!("//   {before:<column$}  ->  {}{at}\n", change.after));
            continue;
        };
        text.push_str(&format!("//   {}\n", rule.name));
        let mut row = |label: &str, said: &str| text.push_str(&format!("//     {label:<6}  {said}\n"));
        row("law", rule.law);
        row("before", &before);
        change.read.iter().for_each(|eqn| row("where", &eqn.to_line()));
        row("after", &change.after.to_string());
        at.iter().for_each(|at| row("at", at));
    }
    text
}

/// What is longer does not move what stands after the others.
const COLUMN: usize = 72;

fn length(text: &str) -> usize {
    text.chars().count()
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            After::Eqn(eqn) => f.write_str(&eqn.to_line()),
            After::Atoms(atoms) => {
                f.write_str(&atoms.iter().map(|atom| atom.to_string()).collect::<Vec<_>>().join(", "))
            }
            After::Inlined(1) => f.write_str("1 equation"),
            After::Inlined(n) => write!(f, "{n} equations"),
            After::Widened(dtype) => write!(f, "the same in {dtype}, rounded once"),
            After::Nothing => f.write_str("dropped"),
        }
    }
}
