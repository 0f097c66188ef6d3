//! What the lanes of a warp do together.

use super::access::Memory;
use super::fault::{Kind, Trouble};
use super::warp::{Step, Warp};
use crate::arith::{LANES, Lanes, Row, set};
use crate::decode::{Collective, Kernel, Op, Shuffle, Vote};

impl Warp {
    /// Whether these lanes are all the live ones among the members that each of them names.
    pub(super) fn is_complete(&self, lanes: u32, members: u32) -> bool {
        let row = &self.rows[members as usize];
        Lanes(lanes).all(|lane| row[lane] as u32 & self.live == lanes)
    }

    pub(super) fn wait_for_lanes(&mut self, pc: u32, lanes: u32) {
        self.runnable &= !lanes;
        self.at_collective |= lanes;
        Lanes(lanes).for_each(|lane| self.pcs[lane] = pc);
    }

    /// Releases groups whose live members have all arrived.
    pub(super) fn release_lanes(&mut self, kernel: &Kernel, memory: &mut Memory<'_>) -> Step {
        let mut unseen = self.at_collective;
        while unseen != 0 {
            let first = unseen.trailing_zeros() as usize;
            let pc = self.pcs[first];
            let Op::Collective(collective, members) = &kernel.code[pc as usize].op else { return Ok(()) };
            let named = self.rows[*members as usize][first] as u32;
            if named >> first & 1 == 0 {
                let message = format!("a thread is not in the mask {named:#010x} that it gives");
                return Err(Trouble::new(Kind::Failed, pc, Some(self.thread(first)), message));
            }
            let group = self.group(kernel, pc, named);
            unseen &= !(group | 1 << first);
            if named & self.live == group {
                self.at_collective &= !group;
                self.collect(collective, group, memory);
                for lane in Lanes(group) {
                    self.pcs[lane] += 1;
                }
                self.runnable |= group;
            }
        }
        Ok(())
    }

    /// The lanes that wait together, for the same members: at one instruction, or at any that only wait.
    fn group(&self, kernel: &Kernel, pc: u32, named: u32) -> u32 {
        let only_waits = |pc: u32| matches!(kernel.code[pc as usize].op, Op::Collective(Collective::Sync, _));
        Lanes(self.at_collective)
            .filter(|&lane| {
                let at = self.pcs[lane];
                let Op::Collective(_, members) = &kernel.code[at as usize].op else { return false };
                let same_place = at == pc || only_waits(at) && only_waits(pc);
                same_place && self.rows[*members as usize][lane] as u32 == named
            })
            .fold(0, |group, lane| group | 1 << lane)
    }

    /// Does the collective of a group. Its later accesses are ordered after those before.
    pub(super) fn collect(&mut self, collective: &Collective, group: u32, memory: &mut Memory<'_>) {
        self.segment = 0;
        match *collective {
            Collective::Sync => {}
            Collective::Shuffle { kind, to, found, from } => {
                let [values, lanes, bounds] = from.map(|row| self.rows[row as usize]);
                for lane in Lanes(group) {
                    let (source, is_found) = source(kind, lane as u32, lanes[lane] as u32, bounds[lane] as u32);
                    let has_source = group >> source & 1 != 0;
                    // The value of a lane that does not take part is undefined; all ones is a NaN.
                    let value = if has_source { values[source as usize] } else { u64::from(u32::MAX) };
                    memory.unwritten += u64::from(!has_source);
                    self.rows[to as usize][lane] = value;
                    self.rows[found as usize][lane] = is_found.into();
                }
            }
            Collective::Vote { kind, to, from } => {
                let answer = vote(kind, holding(&self.rows[from as usize], group), group);
                set(&mut self.rows[to as usize], group, |_| answer);
            }
            Collective::Reduce { combine, to, from } => {
                let row = self.rows[from as usize];
                let value = Lanes(group).map(|lane| row[lane]).reduce(|a, b| combine(a, b, 0)).unwrap_or(0);
                set(&mut self.rows[to as usize], group, |_| value);
            }
        }
    }
}

/// The lanes of a group for which a predicate holds.
fn holding(row: &Row, group: u32) -> u32 {
    Lanes(group).fold(0, |holds, lane| holds | ((row[lane] & 1) as u32) << lane)
}

fn vote(kind: Vote, holds: u32, group: u32) -> u64 {
    match kind {
        Vote::All => u64::from(holds == group),
        Vote::Any => u64::from(holds != 0),
        Vote::Uni => u64::from(holds == group || holds == 0),
        Vote::Ballot => holds.into(),
        Vote::Popc => holds.count_ones().into(),
    }
}

/// The result of a barrier's vote, from the number of threads where a predicate holds and the number of threads.
pub(super) fn vote_of_block(kind: Vote, holds: u32, threads: u32) -> u64 {
    match kind {
        Vote::All => u64::from(holds == threads),
        Vote::Any => u64::from(holds != 0),
        _ => holds.into(),
    }
}

/// The lane that a shuffle reads, and whether it is within bounds; otherwise it is the lane itself (PTX ISA,
/// `shfl.sync`).
fn source(kind: Shuffle, lane: u32, by: u32, bounds: u32) -> (u32, bool) {
    let (by, clamp, mask) = (by & 31, bounds & 31, bounds >> 8 & 31);
    let last = lane & mask | clamp & !mask;
    let first = lane & mask;
    let (source, is_found) = match kind {
        Shuffle::Up => (lane.wrapping_sub(by), lane as i32 - by as i32 >= last as i32),
        Shuffle::Down => (lane + by, lane + by <= last),
        Shuffle::Bfly => (lane ^ by, lane ^ by <= last),
        Shuffle::Idx => (first | by & !mask, first | by & !mask <= last),
    };
    if is_found { (source % LANES as u32, true) } else { (lane, false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffles_stay_within_their_parts() {
        // Groups of 8 lanes: mask 0x18, and 7 as the last lane of a group except for `up`.
        let bounds = 0x1807;
        assert_eq!(source(Shuffle::Down, 9, 4, bounds), (13, true));
        assert_eq!(source(Shuffle::Down, 13, 4, bounds), (13, false));
        assert_eq!(source(Shuffle::Bfly, 9, 5, bounds), (12, true));
        assert_eq!(source(Shuffle::Idx, 9, 3, bounds), (11, true));
        assert_eq!(source(Shuffle::Up, 9, 1, 0x1800), (8, true));
        assert_eq!(source(Shuffle::Up, 8, 1, 0x1800), (8, false));
        assert_eq!(source(Shuffle::Up, 0, 1, 0), (0, false));
        assert_eq!(source(Shuffle::Idx, 9, 35, 31), (3, true));
    }

    #[test]
    fn votes_are_of_their_group() {
        assert_eq!(vote(Vote::All, 0b110, 0b110), 1);
        assert_eq!(vote(Vote::Uni, 0b010, 0b110), 0);
        assert_eq!(vote(Vote::Ballot, 0b010, 0b110), 0b010);
        assert_eq!([vote_of_block(Vote::Popc, 40, 64), vote_of_block(Vote::All, 40, 64)], [40, 0]);
    }
}
