//! Concurrent steps of a recorded run.
//!
//! Small kernels wait for one another longer than they run. So a recording uses several streams: a step follows only
//! those that it must follow. Two steps must keep their order if they touch the same memory and one of them writes it;
//! memory that the plan reuses counts as the same.

use crate::ir::Var;
use crate::kernel::Step;
use crate::kernel::fuse::Fusion;
use crate::runtime::plan::Plan;
use crate::runtime::plan::placed::{Buffers, bytes_of};
use cudarc::driver::{CudaEvent, CudaStream, DriverError};
use std::sync::Arc;

/// The most streams of a recording.
pub(super) const MAX_STREAMS: usize = 8;

/// A piece of memory: the buffer, and the range of its bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Piece {
    whose: Buffers,
    start: usize,
    end: usize,
}

impl Piece {
    fn of(plan: &Plan, var: Var) -> Option<Piece> {
        let whole = |whose| Piece { whose, start: 0, end: usize::MAX };
        Some(match plan.buffers[var.index()]? {
            Buffers::Arena(at) => {
                let end = at + bytes_of(&plan.avals[var.index()]).max(1);
                Piece { whose: Buffers::Arena(0), start: at, end }
            }
            // A result may share the memory of an argument.
            Buffers::Out(out) => whole(plan.donors[out].map_or(Buffers::Out(out), Buffers::Arg)),
            other => whole(other),
        })
    }

    fn meets(&self, other: &Piece) -> bool {
        self.whose == other.whose && self.start < other.end && other.start < self.end
    }
}

/// For each step the earlier ones that it must follow, without those that these follow themselves.
pub(super) fn dependences(plan: &Plan, steps: &[Step], fusion: &Fusion) -> Vec<Vec<usize>> {
    let pieces = |vars: Vec<Var>| -> Vec<Piece> {
        vars.into_iter().filter_map(|var| Piece::of(plan, fusion.memory(var))).collect()
    };
    let touched: Vec<(Vec<Piece>, Vec<Piece>)> =
        steps.iter().map(|step| (pieces(step.reads()), pieces(step.writes()))).collect();
    let meet = |a: &[Piece], b: &[Piece]| a.iter().any(|x| b.iter().any(|y| x.meets(y)));
    let conflict = |i: usize, j: usize| {
        let ((reads, writes), (before, written)) = (&touched[i], &touched[j]);
        meet(reads, written) || meet(writes, written) || meet(writes, before)
    };
    // For each step all steps that come before it.
    let mut follows: Vec<Vec<bool>> = vec![];
    let mut all = vec![];
    for i in 0..steps.len() {
        let (mut before, mut direct) = (vec![false; i], vec![]);
        for j in (0..i).rev() {
            if !before[j] && conflict(i, j) {
                direct.push(j);
                before[j] = true;
                follows[j].iter().enumerate().for_each(|(k, follows)| before[k] |= follows);
            }
        }
        follows.push(before);
        all.push(direct);
    }
    all
}

/// The same for launches: for those of each step it is given whether they may run concurrently with those before them.
pub(super) fn of_launches(dependences: &[Vec<usize>], is_concurrent: &[Vec<bool>]) -> Vec<Vec<usize>> {
    let mut launches: Vec<Vec<usize>> = vec![];
    let mut of_step: Vec<std::ops::Range<usize>> = vec![];
    for (before, is_concurrent) in dependences.iter().zip(is_concurrent) {
        let first = launches.len();
        let before: Vec<usize> = before.iter().flat_map(|step| of_step[*step].clone()).collect();
        for (i, is_concurrent) in is_concurrent.iter().enumerate() {
            launches.push(if i == 0 || *is_concurrent { before.clone() } else { (first..first + i).collect() });
        }
        of_step.push(first..launches.len());
    }
    launches
}

/// The stream of each step, among this many: after the last of those that it must follow, or in an unused stream, or
/// after the stream that has been idle longest.
pub(super) fn streams_of(dependences: &[Vec<usize>], n: usize) -> Vec<usize> {
    let (mut streams, mut last) = (vec![], vec![None; n]);
    for (step, before) in dependences.iter().enumerate() {
        let follows = before.iter().copied().filter(|j| last[streams[*j]] == Some(*j)).max();
        let stream = match follows {
            Some(j) => streams[j],
            None => (0..n).min_by_key(|stream| last[*stream].map_or(0, |j: usize| j + 1)).unwrap_or(0),
        };
        streams.push(stream);
        last[stream] = Some(step);
    }
    streams
}

/// The streams of one recording.
pub(super) struct Streams<'d> {
    streams: Vec<Arc<CudaStream>>,
    dependences: &'d [Vec<usize>],
    /// When the recording starts, and when each launch is complete.
    start: CudaEvent,
    done: Vec<CudaEvent>,
    /// The stream of each launch, and the last launch so far of each stream.
    number: Vec<usize>,
    last: Vec<Option<usize>>,
}

impl<'d> Streams<'d> {
    /// Starts at the current point of the first stream.
    pub(super) fn new(streams: Vec<Arc<CudaStream>>, dependences: &'d [Vec<usize>]) -> Result<Self, DriverError> {
        let start = streams[0].record_event(None)?;
        let (number, last) = (streams_of(dependences, streams.len()), vec![None; streams.len()]);
        Ok(Streams { streams, dependences, start, done: vec![], number, last })
    }

    /// The stream of the next launch, which waits there for those that it must follow.
    pub(super) fn enter(&mut self) -> Result<Arc<CudaStream>, DriverError> {
        let step = self.done.len();
        let (number, before) = (self.number[step], &self.dependences[step]);
        let stream = self.streams[number].clone();
        if self.last[number].is_none() && number > 0 {
            stream.wait(&self.start)?;
        }
        for j in before.iter().filter(|j| self.number[**j] != number) {
            stream.wait(&self.done[*j])?;
        }
        self.last[number] = Some(step);
        Ok(stream)
    }

    /// Notes that the entered launch has been made.
    pub(super) fn leave(&mut self) -> Result<(), DriverError> {
        let number = self.number[self.done.len()];
        self.done.push(self.streams[number].record_event(None)?);
        Ok(())
    }

    /// The first stream continues when all are complete.
    pub(super) fn join(self) -> Result<(), DriverError> {
        self.last[1..].iter().flatten().try_for_each(|last| self.streams[0].wait(&self.done[*last]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_stands_behind_the_last_that_it_follows() {
        // A chain, a step concurrent with it, one that follows both, and more starts than streams.
        let dependences = [vec![], vec![0], vec![], vec![1, 2], vec![], vec![], vec![3]];
        assert_eq!(streams_of(&dependences, 3), [0, 0, 1, 1, 2, 0, 1]);
        assert_eq!(streams_of(&dependences, 1), [0; 7]);
    }

    #[test]
    fn launches_of_a_step_follow_one_another_unless_they_are_beside() {
        let dependences = [vec![], vec![0], vec![1]];
        let is_concurrent = [vec![false, true], vec![false, false], vec![false]];
        let wanted = [vec![], vec![], vec![0, 1], vec![2], vec![2, 3]];
        assert_eq!(of_launches(&dependences, &is_concurrent), wanted);
    }

    #[test]
    fn pieces_meet_where_they_share_bytes() {
        let piece = |start, end| Piece { whose: Buffers::Arena(0), start, end };
        assert!(piece(0, 64).meets(&piece(63, 64)) && !piece(0, 64).meets(&piece(64, 128)));
        let arg = |i| Piece { whose: Buffers::Arg(i), start: 0, end: usize::MAX };
        assert!(arg(1).meets(&arg(1)) && !arg(1).meets(&arg(2)) && !arg(1).meets(&piece(0, 64)));
    }
}
