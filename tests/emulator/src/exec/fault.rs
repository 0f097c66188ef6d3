//! What went wrong, where, and in which thread.

use super::along_axes;
use crate::decode::{Kernel, Origin};
use std::fmt;

/// The driver's name for a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An access outside all memory.
    IllegalAddress,
    /// An address that is not a multiple of the access's size.
    Misaligned,
    /// Anything that a device would not notice, or would hang on.
    Failed,
    /// Too many instructions.
    Timeout,
    /// The kernel's own error.
    Trap,
}

/// What reports of faults need: the text of the module, and the names of source files.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// The PTX.
    pub ptx: &'a str,
    /// Source files by number.
    pub files: &'a [(u32, String)],
}

impl Text<'_> {
    /// A line of the PTX, with the place in the source if it is known.
    pub fn describe(&self, origin: Origin) -> String {
        let line = self.ptx.lines().nth((origin.line as usize).saturating_sub(1)).unwrap_or("").trim();
        let source = origin.source.map(|(file, line)| {
            let name = self.files.iter().find(|(number, _)| *number == file).map_or("?", |(_, name)| name);
            format!("  ({name}:{line})")
        });
        format!("line {}: {line}{}", origin.line, source.unwrap_or_default())
    }
}

/// A fault of a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The driver's name for it.
    pub kind: Kind,
    /// The message, with the places of other threads.
    pub message: String,
    /// The kernel.
    pub kernel: String,
    /// The place, as `Text::describe` returns it.
    pub place: String,
    /// The line of the PTX.
    pub line: u32,
    /// The block.
    pub block: [u32; 3],
    /// The thread, if there is a single one.
    pub thread: Option<[u32; 3]>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.kernel, self.message)?;
        writeln!(f, "  {}", self.place)?;
        let [x, y, z] = self.block;
        write!(f, "  block ({x}, {y}, {z})")?;
        match self.thread {
            Some([x, y, z]) => write!(f, ", thread ({x}, {y}, {z})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

/// A fault where it occurs: the instruction, and the thread by its number.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    pub(super) message: String,
    pub(super) pc: u32,
    pub(super) thread: Option<u32>,
    /// Other instructions, and what to say of them.
    pub(super) others: Vec<(u32, String)>,
}

impl Trouble {
    pub(super) fn new(kind: Kind, pc: u32, thread: Option<u32>, message: impl Into<String>) -> Box<Trouble> {
        Box::new(Trouble { kind, message: message.into(), pc, thread, others: vec![] })
    }

    /// The fault as reported.
    pub(super) fn told(&self, kernel: &Kernel, text: &Text<'_>, block: [u32; 3], extents: [u32; 3]) -> Box<Fault> {
        let origin = |pc: u32| kernel.origins.get(pc as usize).copied().unwrap_or_default();
        let others = self.others.iter().map(|(pc, what)| format!("\n  {what} {}", text.describe(origin(*pc))));
        Box::new(Fault {
            kind: self.kind,
            message: self.message.clone() + &others.collect::<String>(),
            kernel: kernel.name.clone(),
            place: text.describe(origin(self.pc)),
            line: origin(self.pc).line,
            block,
            thread: self.thread.map(|number| along_axes(number, extents)),
        })
    }
}
