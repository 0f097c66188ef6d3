//! Where the arrays of a running program are.

use crate::runtime::plan::Plan;
use crate::runtime::plan::placed::Buffers;

/// Where an array starts: a pointer, or an address on a device.
pub(in crate::runtime) trait Place: Copy + PartialEq {
    /// The place of an array without memory.
    const NONE: Self;

    /// The place this many bytes further.
    fn further(self, bytes: usize) -> Self;
}

impl Place for *mut u8 {
    const NONE: *mut u8 = std::ptr::null_mut();

    fn further(self, bytes: usize) -> *mut u8 {
        self.wrapping_add(bytes)
    }
}

impl Place for u64 {
    const NONE: u64 = 0;

    fn further(self, bytes: usize) -> u64 {
        self + bytes as u64
    }
}

/// Where the arrays of a running program are.
pub(in crate::runtime) struct Frame<P = *mut u8> {
    /// Where every variable's memory starts; `NONE` if it has none.
    pub(in crate::runtime) pointers: Vec<P>,
    pub(in crate::runtime) arena: P,
    pub(in crate::runtime) partials: P,
}

// SAFETY: the team's threads share the pointers; units, which no two threads share, determine which thread writes
// where, and a step starts after the units of the previous one.
unsafe impl Sync for Frame {}

impl<P: Place> Frame<P> {
    /// The plan's arrays for arguments, constants and results that start at these places.
    pub(in crate::runtime) fn new(plan: &Plan, args: &[P], consts: &[P], outs: &[P], arena: P) -> Frame<P> {
        let place = |buffer: &Option<Buffers>| match buffer {
            // A thread places its current chunk itself.
            None | Some(Buffers::Chunk(_)) => P::NONE,
            Some(Buffers::Arena(at)) => arena.further(*at),
            Some(Buffers::Out(i)) => outs[*i],
            Some(Buffers::Const(i)) => consts[*i],
            Some(Buffers::Arg(i)) => args[*i],
        };
        Frame { pointers: plan.buffers.iter().map(place).collect(), arena, partials: arena.further(plan.arena_bytes) }
    }
}
