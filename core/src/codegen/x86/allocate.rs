//! Linear scan: a place for every virtual register (Poletto and Sarkar, *Linear scan register allocation*, TOPLAS 1999).
//!
//! A register lives from its first write to its last read; one that is made before a loop and read or written within it
//! lives to the loop's end. When registers run out, the one that is used least for the length of its life is spilled
//! for good. Uses are weighted by the enclosing loops and by how rarely these run. A spilled constant is read from the
//! function's pool, a spilled argument from the table of arguments: neither is stored. Addresses of the function's own
//! memory need no register.

use super::lir::{Class, Function, Inst, Op, Reg};
use iced_x86::Register;

/// Integer registers that may be allocated; three more are reserved for spilled values.
pub(super) const INTS: [Register; 9] = [
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::RBX,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];

/// Where a virtual register is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// A register of its class's file, by number in the list of those that may be allocated.
    Register(u8),
    /// Memory, at this byte of the frame.
    Slot(u32),
    /// The pool's constant with these bits in every lane.
    Pool(u64),
    /// The pool's entry for the open constant with this number.
    Open(u32),
    /// The pool's mask of these lanes.
    Mask(u16),
    /// The pool's table with this number.
    Table(u32),
    /// This entry of the table of arguments.
    Arg(u32),
    /// The address of this byte of the frame.
    Frame(u32),
    /// Never written or read.
    Nowhere,
}

/// Registers of one kind: the classes that live in them, and how many may be allocated.
pub(super) type File = (&'static [Class], u8);

/// The places of all registers.
pub(super) struct Allocation {
    pub(super) places: Vec<Place>,
    /// Bytes of the frame, including the function's own memory, which comes first.
    pub(super) frame: usize,
    /// For each call, in order, the registers that are read after it.
    pub(super) calls: Vec<Vec<Reg>>,
}

#[derive(Clone, Copy)]
struct Interval {
    reg: Reg,
    start: usize,
    end: usize,
    weight: f32,
}

pub(super) fn allocate(f: &Function, files: &[File]) -> Allocation {
    let mut intervals = intervals(f);
    let mut places = vec![Place::Nowhere; f.classes.len()];
    for inst in f.insts.iter().filter(|inst| inst.op == Op::StackAddr) {
        places[inst.dst.expect("an address has a register").0 as usize] = Place::Frame(inst.imm as u32);
    }
    intervals.retain(|interval| places[interval.reg.0 as usize] == Place::Nowhere);
    let mut makers: Vec<Option<&Inst>> = vec![None; f.classes.len()];
    for inst in f.insts.iter().rev() {
        if let Some(dst) = inst.dst {
            makers[dst.0 as usize] = Some(inst);
        }
    }
    let mut frame = f.stack.next_multiple_of(64);
    for (classes, n) in files {
        let mut free: Vec<u8> = (0..*n).rev().collect();
        let mut active: Vec<Interval> = vec![];
        for interval in intervals.iter().filter(|i| classes.contains(&f.classes[i.reg.0 as usize])) {
            active.retain(|a| {
                let lives = a.end >= interval.start;
                if let (false, Place::Register(r)) = (lives, places[a.reg.0 as usize]) {
                    free.push(r);
                }
                lives
            });
            let spilled = match free.pop() {
                Some(r) => {
                    places[interval.reg.0 as usize] = Place::Register(r);
                    active.push(*interval);
                    continue;
                }
                None => {
                    let least = (0..active.len()).min_by(|a, b| active[*a].weight.total_cmp(&active[*b].weight));
                    match least {
                        Some(least) if active[least].weight < interval.weight => {
                            let victim = std::mem::replace(&mut active[least], *interval);
                            places[interval.reg.0 as usize] = places[victim.reg.0 as usize];
                            victim.reg
                        }
                        _ => interval.reg,
                    }
                }
            };
            places[spilled.0 as usize] = match makers[spilled.0 as usize].and_then(elsewhere) {
                Some(place) => place,
                None => {
                    frame += 64;
                    Place::Slot(frame as u32 - 64)
                }
            };
        }
    }
    let calls = f.insts.iter().enumerate().filter(|(_, inst)| inst.op == Op::Call);
    let (mut begun, mut live) = (0, vec![]);
    let live_at = |(at, _): (usize, &Inst)| {
        let new = intervals[begun..].iter().take_while(|interval| interval.start < at).count();
        live.extend_from_slice(&intervals[begun..begun + new]);
        begun += new;
        live.retain(|interval| interval.end > at);
        live.iter().map(|interval| interval.reg).collect()
    };
    let calls = calls.map(live_at).collect();
    Allocation { places, frame, calls }
}

/// The place of an instruction's result that needs no register, if it is a constant.
pub(super) fn constant(inst: &Inst) -> Option<Place> {
    match inst.op {
        Op::Const => Some(Place::Pool(inst.imm as u64)),
        Op::Open => Some(Place::Open(inst.imm as u32)),
        Op::MaskImm => Some(Place::Mask(inst.imm as u16)),
        Op::Table => Some(Place::Table(inst.imm as u32)),
        _ => None,
    }
}

/// Where a value that is written once can be reread without having been stored.
fn elsewhere(inst: &Inst) -> Option<Place> {
    match inst.op {
        Op::Arg => Some(Place::Arg(inst.imm as u32)),
        _ => constant(inst),
    }
}

/// From first write to last read, sorted by start.
fn intervals(f: &Function) -> Vec<Interval> {
    let mut found: Vec<Option<Interval>> = vec![None; f.classes.len()];
    let mut depth = vec![0u8; f.insts.len()];
    for (start, end) in &f.loops {
        depth[*start..=*end].iter_mut().for_each(|d| *d += 1);
    }
    let mut is_rare = vec![false; f.insts.len()];
    f.rare.iter().for_each(|(start, end)| is_rare[*start..=*end].fill(true));
    for (at, inst) in f.insts.iter().enumerate() {
        // Code that rarely runs counts as if it had two fewer loops around it.
        let weight = 8f32.powi(i32::from(depth[at]) - if is_rare[at] { 2 } else { 0 });
        for reg in inst.reads().chain(inst.dst) {
            let interval = found[reg.0 as usize].get_or_insert(Interval { reg, start: at, end: at, weight: 0.0 });
            interval.end = at;
            interval.weight += weight;
        }
    }
    // Inner loops end first, so that the enclosing loop sees a lifetime that one extends.
    let mut loops = f.loops.clone();
    loops.sort_by_key(|(start, end)| end - start);
    for (start, end) in loops {
        for inst in &f.insts[start..=end] {
            for reg in inst.reads().chain(inst.dst) {
                if let Some(interval) = &mut found[reg.0 as usize]
                    && interval.start < start
                {
                    interval.end = interval.end.max(end);
                }
            }
        }
    }
    let mut intervals: Vec<Interval> = found.into_iter().flatten().collect();
    for interval in &mut intervals {
        interval.weight /= (interval.end - interval.start + 1) as f32;
    }
    intervals.sort_by_key(|interval| (interval.start, interval.reg));
    intervals
}
