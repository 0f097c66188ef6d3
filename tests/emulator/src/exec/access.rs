//! What instructions do to memory, every access checked.

use super::Checks;
use super::fault::{Kind, Trouble};
use super::warp::{Step, Warp};
use crate::arith::{LANES, Lanes};
use crate::decode::{Address, Atomic, LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW, Transfer};
use crate::memory::{Access, Heap, Race, Region, Segment, Segments};
use crate::ptx::Space;

/// The memory that a launch sees.
pub(super) struct Memory<'a> {
    pub(super) heap: &'a mut Heap,
    /// The allocation touched last.
    recent: usize,
    pub(super) shared: Region,
    params: &'a [u8],
    segments: Segments,
    /// The number of the block, and of barriers it has passed.
    pub(super) block: u32,
    pub(super) phase: u32,
    pub(super) checks: Checks,
    /// Elements read that were never written.
    pub(super) unwritten: u64,
}

/// Where an address is.
#[derive(Clone, Copy)]
enum Place {
    Heap(usize, usize),
    Shared(usize),
    Local(usize),
    Param(usize),
}

/// One access: the instruction, the lane, and how.
#[derive(Clone, Copy)]
struct Touch {
    pc: u32,
    lane: usize,
    bytes: usize,
    writes: bool,
    is_strong: bool,
    is_constant: bool,
}

impl<'a> Memory<'a> {
    pub(super) fn new(heap: &'a mut Heap, shared_bytes: usize, params: &'a [u8], checks: Checks) -> Memory<'a> {
        let (shared, segments) = (Region::per_block(shared_bytes), Segments::default());
        Memory { heap, recent: 0, shared, params, segments, block: 0, phase: 0, checks, unwritten: 0 }
    }

    pub(super) fn load(&mut self, warp: &mut Warp, pc: u32, active: u32, transfer: &Transfer) -> Step {
        let addresses = warp.rows[transfer.address.base as usize];
        let (step, count) = (usize::from(transfer.bytes), usize::from(transfer.count));
        for lane in Lanes(active) {
            let address = effective(&transfer.address, addresses[lane]);
            let touch = Touch {
                pc,
                lane,
                bytes: step * count,
                writes: false,
                is_strong: transfer.is_strong,
                is_constant: transfer.is_constant,
            };
            let place = self.resolve(warp, transfer.address.space, address, touch)?;
            self.check(warp, place, touch)?;
            for (index, &row) in transfer.rows[..count].iter().enumerate() {
                let bits = self.read(warp, place, index * step, step);
                warp.rows[row as usize][lane] = extended(bits, transfer);
            }
        }
        Ok(())
    }

    pub(super) fn store(&mut self, warp: &mut Warp, pc: u32, active: u32, transfer: &Transfer) -> Step {
        let (step, count) = (usize::from(transfer.bytes), usize::from(transfer.count));
        for lane in Lanes(active) {
            let address = effective(&transfer.address, warp.rows[transfer.address.base as usize][lane]);
            let is_strong = transfer.is_strong;
            let touch = Touch { pc, lane, bytes: step * count, writes: true, is_strong, is_constant: false };
            let place = self.resolve(warp, transfer.address.space, address, touch)?;
            self.check(warp, place, touch)?;
            for (index, &row) in transfer.rows[..count].iter().enumerate() {
                let bits = warp.rows[row as usize][lane];
                self.write(warp, place, index * step, step, bits);
            }
        }
        Ok(())
    }

    pub(super) fn atomic(&mut self, warp: &mut Warp, pc: u32, active: u32, atomic: &Atomic) -> Step {
        let addresses = warp.rows[atomic.address.base as usize];
        let [a, b] = atomic.from.map(|row| warp.rows[row as usize]);
        let bytes = usize::from(atomic.bytes);
        for lane in Lanes(active) {
            let address = effective(&atomic.address, addresses[lane]);
            let touch = Touch { pc, lane, bytes, writes: true, is_strong: true, is_constant: false };
            let place = self.resolve(warp, atomic.address.space, address, touch)?;
            // It also reads: memory that was never written is noticed.
            self.check_written(warp, place, touch)?;
            self.check(warp, place, touch)?;
            let old = self.read(warp, place, 0, bytes);
            self.write(warp, place, 0, bytes, (atomic.update)(old, a[lane], b[lane]));
            warp.rows[atomic.to as usize][lane] = old;
        }
        Ok(())
    }

    /// Finds the memory of an access.
    #[inline]
    fn resolve(&mut self, warp: &Warp, space: Space, address: u64, touch: Touch) -> Result<Place, Box<Trouble>> {
        if !address.is_multiple_of(touch.bytes as u64) {
            let message = format!("{} {} bytes at {address:#x}, which is not aligned", verb(touch), touch.bytes);
            return Err(trouble(Kind::Misaligned, warp, touch, message));
        }
        let end = |len: usize| len.checked_sub(touch.bytes).is_some_and(|last| address <= last as u64);
        match space {
            Space::Global | Space::Const => self.resolve_global(warp, address, touch),
            Space::Generic => self.resolve_generic(warp, address, touch),
            Space::Shared if end(self.shared.len()) => Ok(Place::Shared(address as usize)),
            Space::Shared => Err(outside(warp, touch, address, "shared memory", self.shared.len())),
            Space::Param if end(self.params.len()) && !touch.writes => Ok(Place::Param(address as usize)),
            Space::Param => {
                Err(outside(warp, touch, address, "the parameters, which can only be read", self.params.len()))
            }
            Space::Local => {
                let len = warp.local.len() / LANES;
                match end(len) {
                    true => Ok(Place::Local(touch.lane * len + address as usize)),
                    false => Err(outside(warp, touch, address, "the thread's memory", len)),
                }
            }
        }
    }

    fn resolve_global(&mut self, warp: &Warp, address: u64, touch: Touch) -> Result<Place, Box<Trouble>> {
        if !self.heap.holds(self.recent, address, touch.bytes as u64) {
            self.recent = self.heap.find(address, touch.bytes as u64).map_err(|found| {
                let place = found.describe(address);
                let message = format!("{} {} bytes at {address:#x}, {place}", verb(touch), touch.bytes);
                trouble(Kind::IllegalAddress, warp, touch, message)
            })?;
        }
        Ok(Place::Heap(self.recent, (address - self.heap.allocation(self.recent).base) as usize))
    }

    fn resolve_generic(&mut self, warp: &Warp, address: u64, touch: Touch) -> Result<Place, Box<Trouble>> {
        let windows = [(SHARED_WINDOW, Space::Shared), (LOCAL_WINDOW, Space::Local), (PARAM_WINDOW, Space::Param)];
        let window = windows.into_iter().find(|(window, _)| address >> 60 == window >> 60);
        match window {
            Some((window, space)) => self.resolve(warp, space, address - window, touch),
            None => self.resolve_global(warp, address, touch),
        }
    }

    /// Checks for races and for memory that was never written.
    #[inline]
    fn check(&mut self, warp: &mut Warp, place: Place, touch: Touch) -> Step {
        if !touch.writes {
            self.check_written(warp, place, touch)?;
        }
        if let Place::Heap(index, _) = place {
            self.heap.allocation_mut(index).region.note(touch.writes);
        }
        if matches!(place, Place::Local(_) | Place::Param(_)) || !self.checks.finds_races {
            return Ok(());
        }
        if warp.segment == 0 {
            let segment = Segment { block: self.block, warp: warp.number, phase: self.phase };
            warp.segment = self.segments.begin(segment);
        }
        let access = Access {
            segment: warp.segment,
            lane: touch.lane as u32,
            pc: touch.pc,
            writes: touch.writes,
            is_strong: touch.is_strong,
            is_constant: touch.is_constant,
        };
        let touched = match place {
            Place::Heap(index, at) => {
                self.heap.allocation_mut(index).region.touch(at, touch.bytes, &access, &self.segments)
            }
            Place::Shared(at) => self.shared.touch(at, touch.bytes, &access, &self.segments),
            Place::Local(_) | Place::Param(_) => Ok(()),
        };
        touched.map_err(|race| self.race(warp, touch, race))
    }

    #[inline]
    fn check_written(&mut self, warp: &Warp, place: Place, touch: Touch) -> Step {
        let is_written = match place {
            Place::Heap(index, at) => self.heap.allocation(index).region.is_written(at, touch.bytes),
            Place::Shared(at) => self.shared.is_written(at, touch.bytes),
            Place::Local(_) | Place::Param(_) => true,
        };
        if is_written {
            return Ok(());
        }
        self.unwritten += 1;
        if self.checks.refuses_unwritten {
            let message = format!("{} {} bytes that were never written", verb(touch), touch.bytes);
            return Err(trouble(Kind::Failed, warp, touch, message));
        }
        Ok(())
    }

    fn race(&self, warp: &Warp, touch: Touch, race: Race) -> Box<Trouble> {
        let what = match (touch.is_constant || race.is_constant, race.writes) {
            (true, true) => "reads as constant what the kernel writes",
            (true, false) => "writes what the kernel reads as constant",
            (false, true) => "touches what another thread has written, and nothing orders the two",
            (false, false) => "writes what another thread has read, and nothing orders the two",
        };
        let mut trouble = trouble(Kind::Failed, warp, touch, format!("race: {what}"));
        let thread = race.warp * LANES as u32 + race.lane;
        let verb = if race.writes { "written" } else { "read" };
        let whose = match race.block == self.block {
            true => format!("{verb} by thread {thread} of the same block at"),
            false => format!("{verb} by thread {thread} of block {} at", race.block),
        };
        trouble.others.push((race.pc, whose));
        trouble
    }

    #[inline]
    fn read(&self, warp: &Warp, place: Place, offset: usize, bytes: usize) -> u64 {
        match place {
            Place::Heap(index, at) => self.heap.allocation(index).region.load(at + offset, bytes),
            Place::Shared(at) => self.shared.load(at + offset, bytes),
            Place::Local(at) => little_endian(&warp.local[at + offset..][..bytes]),
            Place::Param(at) => little_endian(&self.params[at + offset..][..bytes]),
        }
    }

    #[inline]
    fn write(&mut self, warp: &mut Warp, place: Place, offset: usize, bytes: usize, bits: u64) {
        let (region, at) = match place {
            Place::Heap(index, at) => (&mut self.heap.allocation_mut(index).region, at),
            Place::Shared(at) => (&mut self.shared, at),
            Place::Local(at) => {
                return warp.local[at + offset..][..bytes].copy_from_slice(&bits.to_le_bytes()[..bytes]);
            }
            // Parameters of a launch are read only: `resolve` finds no place to write there.
            Place::Param(_) => return,
        };
        region.store(at + offset, bytes, bits);
        region.mark_written(at + offset, bytes);
    }
}

fn effective(address: &Address, base: u64) -> u64 {
    base.wrapping_add_signed(address.offset) & address.mask
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// An element as a register holds it.
fn extended(bits: u64, transfer: &Transfer) -> u64 {
    if !transfer.is_signed {
        return bits;
    }
    let above = 64 - 8 * u32::from(transfer.bytes);
    ((bits << above).cast_signed() >> above).cast_unsigned() & u64::MAX >> (64 - u32::from(transfer.width))
}

fn verb(touch: Touch) -> &'static str {
    match (touch.writes, touch.is_strong) {
        (true, true) => "updates",
        (true, false) => "writes",
        _ => "reads",
    }
}

fn trouble(kind: Kind, warp: &Warp, touch: Touch, message: String) -> Box<Trouble> {
    Trouble::new(kind, touch.pc, Some(warp.thread(touch.lane)), message)
}

fn outside(warp: &Warp, touch: Touch, address: u64, what: &str, len: usize) -> Box<Trouble> {
    let message = format!("{} {} bytes at byte {address:#x} of {what} ({len} bytes)", verb(touch), touch.bytes);
    trouble(Kind::IllegalAddress, warp, touch, message)
}
