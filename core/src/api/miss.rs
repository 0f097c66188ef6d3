//! Why a call of a compiled function had to trace: what changed since the program that fits best, and the remedy.

use crate::aval::{Aval, Dim, Facts};
use crate::tree::{Difference, TreeDef};
use std::fmt;

/// The key of one compiled program.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct CacheKey {
    pub(super) def: TreeDef,
    pub(super) avals: Vec<Aval>,
    pub(super) device: String,
    /// The facts of the enclosing traces, on which the program relies in addition to its own.
    pub(super) facts: Facts,
}

/// Why one call found no compiled program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Miss {
    /// The function's name in programs.
    pub function: String,
    /// The number of compiled programs at that time.
    pub n_entry: usize,
    /// The differences from the compiled program that fits best among the last 64; empty if there was none.
    pub changes: Vec<Change>,
}

/// One thing that changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The argument's number; `None` for a change outside the arguments, such as the device.
    pub argument: Option<usize>,
    /// The path of the leaf, or of the node in the structure: `0.params.1.w`.
    pub path: String,
    /// The kind of change.
    pub kind: ChangeKind,
    /// Before.
    pub old: String,
    /// Now.
    pub new: String,
}

/// Kinds of change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    /// The structure of the arguments.
    Structure,
    /// A static field's value.
    Static,
    /// The element type.
    DType,
    /// The number of axes.
    Rank,
    /// The extent of this axis.
    Axis(usize),
    /// The device.
    Device,
    /// The assumptions about sizes in the traces around the call.
    Facts,
}

impl Change {
    /// How to make both calls share one program.
    pub fn remedy(&self) -> &'static str {
        match self.kind {
            ChangeKind::Structure => "pass trees of the same structure in both calls to share one program",
            ChangeKind::Static => {
                "static fields are part of the program: make it an array, a leaf, to share one program"
            }
            ChangeKind::DType => "convert it with astype before the call to share one program",
            ChangeKind::Rank => "reshape it before the call to share one program",
            ChangeKind::Axis(_) if self.old.parse::<i64>().is_err() || self.new.parse::<i64>().is_err() => {
                "declare the axis with the same symbol in every call to share one program"
            }
            ChangeKind::Axis(_) => "declare the axis with a symbol to share one program for every size",
            ChangeKind::Facts => "call it under the same assumptions, or assume within it, to share one program",
            ChangeKind::Device => "move the arguments with device_put to share one program",
        }
    }
}

/// `argument 0`, or, below it, ``argument 0, leaf `0.w` ``.
pub(super) fn place(path: &str) -> String {
    match path.split_once('.') {
        Some((argument, _)) => format!("argument {argument}, leaf `{path}`"),
        None if path.is_empty() => "the arguments".into(),
        None => format!("argument {path}"),
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { path, kind, old, new, .. } = self;
        let place = place(path);
        match kind {
            ChangeKind::Structure => write!(f, "{place}: the structure was {old} and is {new}"),
            ChangeKind::Static => write!(f, "{place}: the static value was {old} and is {new}"),
            ChangeKind::DType => write!(f, "{place}: elements were {old} and are {new}"),
            ChangeKind::Rank => write!(f, "{place}: axes were {old} and are {new}"),
            ChangeKind::Axis(axis) => write!(f, "{place}: axis {axis} was {old} and is {new}"),
            ChangeKind::Device => write!(f, "the device was {old} and is {new}"),
            ChangeKind::Facts => write!(f, "the facts of the enclosing traces were `{old}` and are `{new}`"),
        }
    }
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            return write!(f, "@{} is traced: nothing is compiled yet", self.function);
        }
        let plural = if self.n_entry == 1 { "program fits" } else { "programs fit" };
        write!(f, "@{} is traced again: none of {} compiled {plural}", self.function, self.n_entry)?;
        self.changes.iter().try_for_each(|change| write!(f, "\n  {change}\n    {}", change.remedy()))
    }
}

/// The differences from the entry that fits best, among those that were compiled last.
pub(super) fn explain<'a>(
    function: &str,
    key: &CacheKey,
    entries: impl DoubleEndedIterator<Item = &'a CacheKey> + ExactSizeIterator,
) -> Miss {
    /// More would make each miss slower than the one before it.
    const COMPARED: usize = 64;
    let n_entry = entries.len();
    let entries: Vec<&CacheKey> = entries.rev().take(COMPARED).collect();
    let distance = |old: &CacheKey| match old.def == key.def {
        true => changes(old, key).len(),
        false => usize::MAX,
    };
    let nearest = entries.iter().min_by_key(|old| distance(old));
    let changes = nearest.map_or_else(Vec::new, |nearest| changes(nearest, key));
    Miss { function: function.to_string(), n_entry, changes }
}

fn changes(old: &CacheKey, new: &CacheKey) -> Vec<Change> {
    if let Some(Difference { path, one, other, is_static }) = old.def.difference(&new.def) {
        let kind = if is_static { ChangeKind::Static } else { ChangeKind::Structure };
        return vec![change(path, kind, one, other)];
    }
    let leaves = new.def.paths().into_iter().zip(old.avals.iter().zip(&new.avals));
    let mut all: Vec<Change> = leaves.flat_map(|(path, (old, new))| leaf_changes(&path, old, new)).collect();
    if old.device != new.device {
        all.push(change(String::new(), ChangeKind::Device, old.device.clone(), new.device.clone()));
    }
    if old.facts != new.facts {
        all.push(change(String::new(), ChangeKind::Facts, old.facts.to_string(), new.facts.to_string()));
    }
    all
}

fn leaf_changes(path: &str, old: &Aval, new: &Aval) -> Vec<Change> {
    let mut all = vec![];
    if old.dtype != new.dtype {
        all.push(change(path.into(), ChangeKind::DType, old.dtype.to_string(), new.dtype.to_string()));
    }
    if old.rank() != new.rank() {
        let shape = |aval: &Aval| format!("{:?}", aval.shape);
        all.push(change(path.into(), ChangeKind::Rank, shape(old), shape(new)));
        return all;
    }
    let axes = old.shape.iter().zip(&new.shape).enumerate().filter(|(_, (old, new))| old != new);
    let axis = |(i, (old, new)): (usize, (&Dim, &Dim))| {
        change(path.into(), ChangeKind::Axis(i), old.to_string(), new.to_string())
    };
    all.extend(axes.map(axis));
    all
}

fn change(path: String, kind: ChangeKind, old: String, new: String) -> Change {
    let argument = path.split('.').next().and_then(|first| first.parse().ok());
    Change { argument, path, kind, old, new }
}

/// Prints a miss for the user; no other place does.
pub(super) fn print(miss: &Miss) {
    eprintln!("explain_misses: {miss}");
}
