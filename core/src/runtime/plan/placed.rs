//! The places of arrays.

use crate::aval::Aval;
use crate::device::ALIGN;
use crate::ir::Var;

/// Where an array's memory comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Buffers {
    /// An argument, by number.
    Arg(usize),
    /// A captured constant, by number; after these, an array that is composed once for each graph.
    Const(usize),
    /// The arena, from this byte.
    Arena(usize),
    /// The memory of a result, by number.
    Out(usize),
    /// A thread's own memory for the current chunk of rows: array `k` of its group's.
    Chunk(usize),
}

/// One array of the plan.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct Planned {
    pub(in crate::runtime) var: Var,
    pub(in crate::runtime) aval: Aval,
    pub(in crate::runtime) buffer: Buffers,
    /// The step that writes it and the last one that reads it.
    pub(in crate::runtime) life: (usize, usize),
}

/// The memory of each thread, in bytes.
#[derive(Clone, Copy, Default, Debug)]
pub(in crate::runtime) struct OwnBytes {
    /// Arrays of the current chunk of rows, unless a row is very long.
    pub(in crate::runtime) chunk: usize,
    /// Tiles.
    pub(in crate::runtime) scratch: usize,
}

impl OwnBytes {
    pub(in crate::runtime) fn max(self, other: OwnBytes) -> OwnBytes {
        OwnBytes { chunk: self.chunk.max(other.chunk), scratch: self.scratch.max(other.scratch) }
    }
}

/// Bytes of an array of a plan, rounded up to a multiple of [`ALIGN`]: [`sizes::check`] has checked its extents.
pub(in crate::runtime) fn bytes_of(aval: &Aval) -> usize {
    aval.bytes().unwrap_or(0).next_multiple_of(ALIGN)
}
