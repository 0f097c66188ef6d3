//! A block: its warps, its shared memory, its barriers.

use super::access::Memory;
use super::collective::vote_of_block;
use super::fault::{Fault, Kind, Text, Trouble};
use super::warp::{Step, Warp};
use super::{Launch, Outcome, Random, along_axes};
use crate::arith::{LANES, Lanes};
use crate::decode::{Barrier, Kernel, Op, Special};
use crate::memory::Heap;

/// Barriers that a block has.
const BARRIERS: usize = 16;

pub(super) struct Block<'a> {
    kernel: &'a Kernel,
    launch: &'a Launch<'a>,
    threads: u32,
    warps: Vec<Warp>,
    memory: Memory<'a>,
    random: Random,
}

impl<'a> Block<'a> {
    pub(super) fn new(kernel: &'a Kernel, heap: &'a mut Heap, launch: &'a Launch<'a>) -> Block<'a> {
        let threads: u32 = launch.block.iter().product();
        let warps = threads.div_ceil(LANES as u32);
        let memory = Memory::new(heap, kernel.shared_bytes + launch.dynamic_shared, launch.params, launch.checks);
        let mut block = Block {
            kernel,
            launch,
            threads,
            warps: (0..warps).map(|number| Warp::new(number, kernel)).collect(),
            memory,
            random: Random(launch.checks.seed),
        };
        block.set_specials(0, |special| !matches!(special, Special::Block(_)));
        block
    }

    /// Fills the rows of special registers.
    fn set_specials(&mut self, number: u32, which: impl Fn(Special) -> bool) {
        let block = along_axes(number, self.launch.grid);
        let (kernel, launch, warps) = (self.kernel, self.launch, self.warps.len() as u64);
        for warp in &mut self.warps {
            for &(row, special) in kernel.specials.iter().filter(|(_, special)| which(*special)) {
                let first = warp.thread(0);
                warp.rows[row as usize] = std::array::from_fn(|lane| match special {
                    Special::Thread(axis) => along_axes(first + lane as u32, launch.block)[axis].into(),
                    Special::BlockExtent(axis) => launch.block[axis].into(),
                    Special::Block(axis) => block[axis].into(),
                    Special::GridExtent(axis) => launch.grid[axis].into(),
                    Special::Lane => lane as u64,
                    Special::Warp => warp.number.into(),
                    Special::Warps => warps,
                    Special::LaneMask(below, itself, above) => lane_mask(lane, [below, itself, above]),
                    Special::DynamicShared => launch.dynamic_shared as u64,
                    Special::TotalShared => (kernel.shared_bytes + launch.dynamic_shared) as u64,
                });
            }
        }
    }

    /// Runs one block to its end.
    pub(super) fn run(&mut self, number: u32) -> Step {
        self.set_specials(number, |special| matches!(special, Special::Block(_)));
        self.memory.block = number;
        self.memory.phase = 0;
        self.memory.shared.clear();
        let mut left = self.threads;
        for warp in &mut self.warps {
            warp.begin(left.min(LANES as u32));
            left -= left.min(LANES as u32);
        }
        let first = self.random.next() as usize % self.warps.len();
        while self.warps.iter().any(|warp| warp.live != 0) {
            let mut has_run = false;
            let (before, from) = self.warps.split_at_mut(first);
            for warp in from.iter_mut().chain(before) {
                has_run |= warp.runnable != 0;
                warp.run(self.kernel, &mut self.memory)?;
            }
            let is_released = self.release_barriers()?;
            if !has_run && !is_released {
                return Err(self.deadlock());
            }
        }
        Ok(())
    }

    /// Releases threads whose barrier is complete; returns whether there were any.
    fn release_barriers(&mut self) -> Result<bool, Box<Trouble>> {
        let mut is_released = false;
        for (id, wanted) in self.barriers()? {
            let groups = self.waiting_at(id)?;
            let arrived: u32 = groups.iter().map(|mask| mask.count_ones()).sum();
            if arrived >= wanted {
                self.release(&groups);
                is_released = true;
            }
        }
        Ok(is_released)
    }

    /// The barriers that threads wait at, with how many threads each wants.
    fn barriers(&self) -> Result<Vec<(usize, u32)>, Box<Trouble>> {
        let mut barriers: Vec<(usize, u32)> = vec![];
        for (index, warp) in self.warps.iter().enumerate() {
            for lane in Lanes(warp.at_barrier) {
                let (id, wanted) = self.barrier_at(index, lane)?;
                match barriers.iter().find(|(known, _)| *known == id) {
                    None => barriers.push((id, wanted)),
                    Some((_, known)) if *known == wanted => {}
                    Some((_, known)) => {
                        let message = format!("barrier {id} is for {wanted} threads here and for {known} elsewhere");
                        return Err(Trouble::new(Kind::Failed, warp.pcs[lane], Some(warp.thread(lane)), message));
                    }
                }
            }
        }
        Ok(barriers)
    }

    fn barrier_of(&self, warp: &Warp, lane: usize) -> Option<&'a Barrier> {
        match &self.kernel.code[warp.pcs[lane] as usize].op {
            Op::Barrier(barrier) => Some(barrier),
            _ => None,
        }
    }

    /// The number of the barrier that a lane waits at, and how many threads it wants.
    fn barrier_at(&self, index: usize, lane: usize) -> Result<(usize, u32), Box<Trouble>> {
        let warp = &self.warps[index];
        let error = |message: String| Trouble::new(Kind::Failed, warp.pcs[lane], Some(warp.thread(lane)), message);
        let barrier = self.barrier_of(warp, lane).ok_or_else(|| error("no barrier".into()))?;
        let id = warp.rows[barrier.id as usize][lane] as usize;
        if id >= BARRIERS {
            return Err(error(format!("barrier {id}, where there are {BARRIERS}")));
        }
        let wanted = barrier.threads.map_or(self.threads, |row| warp.rows[row as usize][lane] as u32);
        if wanted == 0 || wanted % LANES as u32 != 0 && barrier.threads.is_some() {
            return Err(error(format!("a barrier for {wanted} threads, which are no whole warps")));
        }
        Ok((id, wanted))
    }

    /// The lanes of each warp that wait at a barrier.
    fn waiting_at(&self, id: usize) -> Result<Vec<u32>, Box<Trouble>> {
        let mut groups = vec![0; self.warps.len()];
        for (index, warp) in self.warps.iter().enumerate() {
            let mut place = None;
            for lane in Lanes(warp.at_barrier) {
                if self.barrier_at(index, lane)?.0 != id {
                    continue;
                }
                groups[index] |= 1 << lane;
                let is_aligned = self.barrier_of(warp, lane).is_some_and(|barrier| barrier.is_aligned);
                let first = *place.get_or_insert(warp.pcs[lane]);
                if is_aligned && first != warp.pcs[lane] {
                    let message = "threads of one warp wait for one barrier at different places";
                    let mut trouble = Trouble::new(Kind::Failed, warp.pcs[lane], Some(warp.thread(lane)), message);
                    trouble.others.push((first, "others are at".into()));
                    return Err(trouble);
                }
            }
        }
        Ok(groups)
    }

    fn release(&mut self, groups: &[u32]) {
        let answers = self.votes(groups);
        self.memory.phase += 1;
        let kernel = self.kernel;
        for (warp, &group) in self.warps.iter_mut().zip(groups) {
            warp.segment = 0;
            warp.at_barrier &= !group;
            warp.runnable |= group;
            for lane in Lanes(group) {
                if let Op::Barrier(Barrier { vote: Some((kind, to, _)), .. }) = &kernel.code[warp.pcs[lane] as usize].op
                {
                    warp.rows[*to as usize][lane] = vote_of_block(*kind, answers.0, answers.1);
                }
                warp.pcs[lane] += 1;
            }
        }
    }

    /// For how many threads the predicate holds, and the number of threads.
    fn votes(&self, groups: &[u32]) -> (u32, u32) {
        let mut votes = (0, 0);
        for (warp, &group) in self.warps.iter().zip(groups) {
            for lane in Lanes(group) {
                let predicate = self.barrier_of(warp, lane).and_then(|barrier| barrier.vote).map(|(_, _, from)| from);
                votes.0 += predicate.map_or(0, |row| (warp.rows[row as usize][lane] & 1) as u32);
                votes.1 += 1;
            }
        }
        votes
    }

    /// Threads wait for something that never comes: reports where they all are.
    fn deadlock(&self) -> Box<Trouble> {
        let mut places: Vec<(u32, u32)> = vec![];
        let mut first = None;
        for warp in &self.warps {
            for lane in Lanes(warp.live) {
                first.get_or_insert((warp.pcs[lane], warp.thread(lane)));
                match places.iter_mut().find(|(pc, _)| *pc == warp.pcs[lane]) {
                    Some((_, count)) => *count += 1,
                    None => places.push((warp.pcs[lane], 1)),
                }
            }
        }
        let waiting: u32 = places.iter().map(|(_, count)| count).sum();
        let ended = self.threads - waiting;
        let (pc, thread) = first.unwrap_or((0, 0));
        let message = format!("deadlock: {waiting} threads wait for one another, and {ended} have ended");
        let mut trouble = Trouble::new(Kind::Failed, pc, Some(thread), message);
        trouble.others = places.into_iter().map(|(pc, count)| (pc, format!("{count} wait at"))).collect();
        trouble
    }

    pub(super) fn outcome(&self) -> Outcome {
        let instructions = self.warps.iter().map(|warp| warp.instructions).sum();
        Outcome { instructions, unwritten: self.memory.unwritten }
    }

    pub(super) fn fault(&self, text: &Text<'_>, trouble: &Trouble) -> Box<Fault> {
        trouble.told(self.kernel, text, along_axes(self.memory.block, self.launch.grid), self.launch.block)
    }
}

fn lane_mask(lane: usize, [below, itself, above]: [bool; 3]) -> u64 {
    let bit = 1u64 << lane;
    let part = |is_in: bool, mask: u64| if is_in { mask } else { 0 };
    part(below, bit - 1) | part(itself, bit) | part(above, u64::from(u32::MAX) & !(2 * bit - 1))
}
