//! A warp: its registers, where its lanes are, and the loop that runs them.

use super::access::Memory;
use super::fault::{Kind, Trouble};
use crate::arith::{LANES, Lanes, Row, set};
use crate::decode::{Guard, Kernel, Op};

/// How many instructions lanes may run before other runnable lanes get a turn: they may be waiting for those.
const TURN: u32 = 1 << 14;

/// The outcome of an instruction for the lanes that ran it.
pub(super) type Step = Result<(), Box<Trouble>>;

pub(super) struct Warp {
    /// Its number in the block.
    pub(super) number: u32,
    pub(super) rows: Vec<Row>,
    /// Where each lane is.
    pub(super) pcs: [u32; LANES],
    /// Lanes that have not ended.
    pub(super) live: u32,
    /// Lanes that can go on.
    pub(super) runnable: u32,
    /// Lanes that wait for others of the warp.
    pub(super) at_collective: u32,
    /// Lanes that wait for others of the block.
    pub(super) at_barrier: u32,
    /// The segment of its accesses; 0 before the first.
    pub(super) segment: u32,
    /// When each lane ran last.
    turns: [u64; LANES],
    turn: u64,
    /// Whether lanes have run for a whole turn, so that the lanes that have not run for longest are next.
    is_turn_over: bool,
    /// Memory of its threads, one thread after another.
    pub(super) local: Vec<u8>,
    /// Instructions for this block.
    steps: u64,
    /// Instructions in all, counted by thread.
    pub(super) instructions: u64,
}

impl Warp {
    pub(super) fn new(number: u32, kernel: &Kernel) -> Warp {
        let mut rows = vec![[0; LANES]; kernel.rows as usize];
        for &(row, bits) in &kernel.constants {
            rows[row as usize] = [bits; LANES];
        }
        Warp {
            number,
            rows,
            pcs: [0; LANES],
            live: 0,
            runnable: 0,
            at_collective: 0,
            at_barrier: 0,
            segment: 0,
            turns: [0; LANES],
            turn: 0,
            is_turn_over: false,
            local: vec![0xff; kernel.local_bytes * LANES],
            steps: 0,
            instructions: 0,
        }
    }

    /// Begins a block with the first lanes.
    pub(super) fn begin(&mut self, lanes: u32) {
        self.live = u32::MAX >> (LANES as u32 - lanes);
        self.runnable = self.live;
        (self.at_collective, self.at_barrier, self.segment) = (0, 0, 0);
        (self.pcs, self.steps, self.is_turn_over) = ([0; LANES], 0, false);
        self.local.fill(0xff);
    }

    /// The number of a lane's thread in the block.
    pub(super) fn thread(&self, lane: usize) -> u32 {
        self.number * LANES as u32 + lane as u32
    }

    /// Lets lanes continue at an instruction.
    pub(super) fn go_on(&mut self, mask: u32, pc: u32) {
        for lane in Lanes(mask) {
            self.pcs[lane] = pc;
        }
        self.runnable |= mask;
    }

    /// The instruction and the lanes to run, and the nearest later instruction at which other lanes wait.
    fn pick(&mut self) -> Option<(u32, u32, u32)> {
        let first = Lanes(self.runnable).min_by_key(|&lane| {
            let turn = if self.is_turn_over { self.turns[lane] } else { 0 };
            (turn, self.pcs[lane])
        })?;
        let pc = self.pcs[first];
        let (mut mask, mut limit) = (0, u32::MAX);
        self.turn += 1;
        for lane in Lanes(self.runnable) {
            if self.pcs[lane] == pc {
                mask |= 1 << lane;
                self.turns[lane] = self.turn;
            } else if self.pcs[lane] > pc {
                limit = limit.min(self.pcs[lane]);
            }
        }
        Some((pc, mask, limit))
    }

    /// The lanes of a mask for which a guard holds.
    fn guarded(&self, guard: Option<Guard>, mask: u32) -> u32 {
        let Some(Guard { row, is_negated }) = guard else { return mask };
        let row = &self.rows[row as usize];
        let holds = row.iter().rev().fold(0, |bits, &value| bits << 1 | (value & 1) as u32);
        mask & if is_negated { !holds } else { holds }
    }

    /// Runs until no lane can continue, or a turn is over.
    pub(super) fn run(&mut self, kernel: &Kernel, memory: &mut Memory<'_>) -> Step {
        let mut left = TURN;
        while let Some((pc, mask, limit)) = self.pick() {
            self.is_turn_over = self.run_lanes(kernel, memory, pc, mask, limit, &mut left)?;
            if self.is_turn_over {
                // These lanes may be waiting for another warp.
                return self.check_steps(pc, mask, memory.checks.steps);
            }
        }
        Ok(())
    }

    fn check_steps(&self, pc: u32, mask: u32, most: u64) -> Step {
        if self.steps < most {
            return Ok(());
        }
        let thread = self.thread(mask.trailing_zeros() as usize);
        Err(Trouble::new(Kind::Timeout, pc, Some(thread), format!("more than {most} instructions of one warp")))
    }

    /// Runs lanes at one instruction until they diverge, meet others or stop; returns whether their turn is over.
    fn run_lanes(
        &mut self,
        kernel: &Kernel,
        memory: &mut Memory<'_>,
        mut pc: u32,
        mask: u32,
        limit: u32,
        left: &mut u32,
    ) -> Result<bool, Box<Trouble>> {
        let lanes = u64::from(mask.count_ones());
        while pc < limit && *left > 0 {
            *left -= 1;
            self.steps += 1;
            self.instructions += lanes;
            // The last instruction is an exit, so there is always one.
            let inst = &kernel.code[pc as usize];
            let active = self.guarded(inst.guard, mask);
            if active == 0 {
                pc += 1;
                continue;
            }
            match &inst.op {
                Op::Compute(run, rows) => run(&mut self.rows, rows, active),
                Op::Convert(conversion, rows) => conversion.run(&mut self.rows, rows, active),
                Op::Branch(target) if active == mask => {
                    pc = *target;
                    continue;
                }
                Op::Branch(target) => {
                    self.go_on(active, *target);
                    self.go_on(mask & !active, pc + 1);
                    return Ok(false);
                }
                Op::BranchIndexed(index, targets) => {
                    self.branch_indexed(pc, active, *index, targets)?;
                    self.go_on(mask & !active, pc + 1);
                    return Ok(false);
                }
                Op::Load(transfer) => memory.load(self, pc, active, transfer)?,
                Op::Store(transfer) => memory.store(self, pc, active, transfer)?,
                Op::Atomic(atomic) => memory.atomic(self, pc, active, atomic)?,
                Op::ActiveMask(to) => set(&mut self.rows[*to as usize], active, |_| active.into()),
                Op::Collective(collective, members) => {
                    if self.is_complete(active, *members) {
                        self.collect(collective, active, memory);
                    } else {
                        self.go_on(mask & !active, pc + 1);
                        self.wait_for_lanes(pc, active);
                        self.release_lanes(kernel, memory)?;
                        return Ok(false);
                    }
                }
                Op::Barrier(_) => {
                    self.go_on(mask & !active, pc + 1);
                    self.runnable &= !active;
                    self.at_barrier |= active;
                    Lanes(active).for_each(|lane| self.pcs[lane] = pc);
                    return Ok(false);
                }
                Op::Exit => {
                    self.go_on(mask & !active, pc + 1);
                    self.runnable &= !active;
                    self.live &= !active;
                    Lanes(active).for_each(|lane| self.pcs[lane] = pc);
                    self.release_lanes(kernel, memory)?;
                    return Ok(false);
                }
                Op::Trap => {
                    let thread = self.thread(active.trailing_zeros() as usize);
                    return Err(Trouble::new(Kind::Trap, pc, Some(thread), "the kernel stops itself with a trap"));
                }
            }
            pc += 1;
        }
        self.go_on(mask, pc);
        Ok(*left == 0)
    }

    fn branch_indexed(&mut self, pc: u32, active: u32, index: u32, targets: &[u32]) -> Step {
        for lane in Lanes(active) {
            let index = self.rows[index as usize][lane] as u32;
            let Some(&target) = targets.get(index as usize) else {
                let message = format!("index {index} of {} labels", targets.len());
                return Err(Trouble::new(Kind::Failed, pc, Some(self.thread(lane)), message));
            };
            self.pcs[lane] = target;
        }
        Ok(())
    }
}
