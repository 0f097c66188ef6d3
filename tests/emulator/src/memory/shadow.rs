//! Which accesses of a launch touch the same bytes without being ordered.
//!
//! Two accesses are ordered if one thread makes both, if a barrier of the block lies between or, within a warp, a
//! collective operation. Blocks are never ordered. Unordered accesses must not touch the same bytes, unless both only
//! read or both are strong: atomic, volatile or relaxed (PTX ISA, memory consistency model, "data race").
//!
//! Every cell has a mark for the last write and one for the last read. There may be many readers; the mark then says
//! how far apart they are, and so whom a write would race with: the other lanes, the other warps or the other blocks.

/// A stretch of a warp's run without order among its lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The block's number.
    pub block: u32,
    /// The warp in the block.
    pub warp: u32,
    /// Barriers that the block has passed.
    pub phase: u32,
}

/// The segments of a launch, by number. A warp's segments have increasing numbers.
#[derive(Debug)]
pub struct Segments(Vec<Segment>);

impl Default for Segments {
    fn default() -> Segments {
        // No access is in segment 0.
        Segments(vec![Segment::default()])
    }
}

impl Segments {
    /// Begins a segment.
    pub fn begin(&mut self, segment: Segment) -> u32 {
        self.0.push(segment);
        (self.0.len() - 1) as u32
    }

    fn get(&self, number: u32) -> Segment {
        self.0[number as usize]
    }
}

/// Who touches memory, and how.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// The segment.
    pub segment: u32,
    /// The lane.
    pub lane: u32,
    /// The instruction.
    pub pc: u32,
    /// Whether it writes.
    pub writes: bool,
    /// Whether it may be concurrent with others: an atomic operation and the like.
    pub is_strong: bool,
    /// Whether nobody may write this memory during the launch: `ld.global.nc`.
    pub is_constant: bool,
}

/// The access that another conflicts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Race {
    /// The instruction.
    pub pc: u32,
    /// Whether it wrote.
    pub writes: bool,
    /// The block.
    pub block: u32,
    /// The warp.
    pub warp: u32,
    /// The lane, or one of several.
    pub lane: u32,
    /// Whether one of the two relies on the memory being constant.
    pub is_constant: bool,
}

/// The last access of a kind. Segment 0 stands for none.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    segment: u32,
    /// Instruction, flags and lane.
    place: u32,
}

const LANE: u32 = 31;
const STRONG: u32 = 1 << 5;
/// Other lanes, warps or blocks have done the same, unordered.
const LANES: u32 = 1 << 6;
const WARPS: u32 = 1 << 7;
const BLOCKS: u32 = 1 << 8;
/// Nobody may write.
const CONSTANT: u32 = 1 << 9;
const PLACE: u32 = 10;

/// The most instructions that a mark can number.
pub(crate) const MAX_PC: u32 = 1 << (32 - PLACE);

/// How a marked access relates to another.
#[derive(PartialEq)]
enum Relation {
    /// There is none.
    None,
    SameThread,
    OtherLane,
    /// Earlier in the same warp; the flag: without a barrier of the block between.
    EarlierInWarp(bool),
    OtherWarp,
    /// Before a barrier.
    EarlierInBlock,
    OtherBlock,
}

impl Mark {
    #[inline(always)]
    fn relation(self, access: &Access, segments: &Segments, is_per_block: bool) -> Relation {
        if self.segment == 0 {
            return Relation::None;
        }
        if self.segment == access.segment {
            return if self.place & LANE == access.lane { Relation::SameThread } else { Relation::OtherLane };
        }
        let (old, new) = (segments.get(self.segment), segments.get(access.segment));
        match () {
            // Another block's shared memory is different memory.
            () if old.block != new.block && is_per_block => Relation::None,
            () if old.block != new.block => Relation::OtherBlock,
            () if old.warp == new.warp => Relation::EarlierInWarp(old.phase == new.phase),
            () if old.phase < new.phase => Relation::EarlierInBlock,
            () => Relation::OtherWarp,
        }
    }

    /// Whether the marked accesses, or some of them, are unordered with an access.
    #[inline(always)]
    fn is_unordered(self, relation: &Relation) -> bool {
        self.place & BLOCKS != 0 && *relation != Relation::None
            || match relation {
                Relation::None | Relation::EarlierInBlock | Relation::EarlierInWarp(false) => false,
                Relation::SameThread => self.place & (LANES | WARPS) != 0,
                Relation::EarlierInWarp(true) => self.place & WARPS != 0,
                Relation::OtherLane | Relation::OtherWarp | Relation::OtherBlock => true,
            }
    }

    /// The mark with one more access.
    #[inline(always)]
    fn with(self, relation: &Relation, access: &Access) -> Mark {
        let constant = if *relation == Relation::None { 0 } else { self.place & CONSTANT }
            | if access.is_constant { CONSTANT } else { 0 };
        let flags = self.place
            & match relation {
                Relation::None => 0,
                Relation::SameThread | Relation::OtherLane => LANES | WARPS | BLOCKS,
                Relation::EarlierInWarp(true) => WARPS | BLOCKS,
                Relation::OtherWarp => WARPS | BLOCKS,
                Relation::EarlierInWarp(false) | Relation::EarlierInBlock | Relation::OtherBlock => BLOCKS,
            };
        let another = match relation {
            Relation::OtherLane => LANES,
            Relation::OtherWarp => WARPS,
            Relation::OtherBlock => BLOCKS,
            _ => 0,
        };
        // The mark is strong only if all accesses are: a weak one may be among the unordered ones.
        let was_weak = *relation != Relation::None && self.place & STRONG == 0 && flags | another != 0;
        let strong = if access.is_strong && !was_weak { STRONG } else { 0 };
        Mark { segment: access.segment, place: access.pc << PLACE | constant | flags | another | strong | access.lane }
    }

    fn race(self, writes: bool, is_constant: bool, segments: &Segments) -> Race {
        let segment = segments.get(self.segment);
        let (pc, lane) = (self.place >> PLACE, self.place & LANE);
        Race { pc, writes, block: segment.block, warp: segment.warp, lane, is_constant }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    write: Mark,
    read: Mark,
}

impl Cell {
    #[inline(always)]
    fn touch(&mut self, access: &Access, segments: &Segments, is_per_block: bool) -> Result<(), Race> {
        let races = |mark: Mark, relation: &Relation| {
            mark.is_unordered(relation) && !(access.is_strong && mark.place & STRONG != 0)
        };
        let after_write = self.write.relation(access, segments, is_per_block);
        if access.is_constant && after_write != Relation::None {
            return Err(self.write.race(true, true, segments));
        }
        if races(self.write, &after_write) {
            return Err(self.write.race(true, false, segments));
        }
        let after_read = self.read.relation(access, segments, is_per_block);
        if !access.writes {
            self.read = self.read.with(&after_read, access);
            return Ok(());
        }
        if self.read.place & CONSTANT != 0 && after_read != Relation::None {
            return Err(self.read.race(false, true, segments));
        }
        if races(self.read, &after_read) {
            return Err(self.read.race(false, false, segments));
        }
        self.write = self.write.with(&after_write, access);
        Ok(())
    }
}

/// Bytes of memory whose cells are created at once: large allocations are touched in parts.
const PAGE: usize = 4096;

/// The cells of a page.
#[derive(Debug)]
struct Page {
    cells: Vec<Cell>,
    /// A cell is 4 bytes until a smaller access: then it is one byte.
    shift: u32,
}

impl Page {
    fn new() -> Page {
        Page { cells: vec![Cell::default(); PAGE / 4], shift: 2 }
    }

    /// Gives every byte a cell of its own.
    fn refine(&mut self) {
        self.cells = self.cells.iter().flat_map(|&cell| [cell; 4]).collect();
        self.shift = 0;
    }
}

/// The cells of a piece of memory.
#[derive(Debug)]
pub(super) struct Shadow {
    pages: Vec<Option<Page>>,
    is_per_block: bool,
}

impl Shadow {
    pub(super) fn new(bytes: usize, is_per_block: bool) -> Shadow {
        Shadow { pages: (0..bytes.div_ceil(PAGE)).map(|_| None).collect(), is_per_block }
    }

    /// Notes an access to aligned bytes, which are thus within one page.
    #[inline(always)]
    pub(super) fn touch(&mut self, at: usize, len: usize, access: &Access, segments: &Segments) -> Result<(), Race> {
        let page = self.pages[at / PAGE].get_or_insert_with(Page::new);
        let at = at % PAGE;
        if len < 4 && page.shift == 2 {
            page.refine();
        }
        for cell in &mut page.cells[at >> page.shift..(at + len).div_ceil(1 << page.shift)] {
            cell.touch(access, segments, self.is_per_block)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two blocks; the first has two warps with one segment before a barrier and one after, and the first warp has two
    /// before it.
    fn segments() -> (Segments, [u32; 5]) {
        let mut segments = Segments::default();
        let places = [(0, 0, 0), (0, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0)];
        let numbers = places.map(|(block, warp, phase)| segments.begin(Segment { block, warp, phase }));
        (segments, numbers)
    }

    const READ: (bool, bool) = (false, false);
    const WRITE: (bool, bool) = (true, false);
    const ATOMIC: (bool, bool) = (true, true);

    /// Whether the last of some accesses, each a segment, a lane and a kind, races.
    fn races(is_per_block: bool, accesses: &[(usize, u32, (bool, bool))]) -> bool {
        let mut shadow = Shadow::new(64, is_per_block);
        let (segments, numbers) = segments();
        let mut found = false;
        for (i, &(segment, lane, (writes, is_strong))) in accesses.iter().enumerate() {
            let access = Access { segment: numbers[segment], lane, pc: 3, writes, is_strong, is_constant: false };
            found = shadow.touch(8, 4, &access, &segments).is_err();
            assert!(!found || i + 1 == accesses.len(), "an earlier access races");
        }
        found
    }

    #[test]
    fn threads_are_ordered_by_barriers_and_collectives() {
        assert!(!races(false, &[(0, 1, WRITE), (0, 1, READ), (0, 1, WRITE)]));
        assert!(races(false, &[(0, 1, WRITE), (0, 2, READ)]));
        assert!(races(false, &[(0, 1, WRITE), (0, 2, WRITE)]));
        assert!(races(false, &[(0, 1, READ), (0, 2, WRITE)]));
        assert!(!races(false, &[(0, 1, READ), (0, 2, READ)]));
        assert!(!races(false, &[(0, 1, WRITE), (1, 2, READ)]));
        assert!(races(false, &[(0, 1, WRITE), (2, 1, READ)]));
        assert!(!races(false, &[(0, 1, WRITE), (3, 2, WRITE)]));
        assert!(!races(false, &[(2, 1, WRITE), (3, 2, WRITE)]));
        assert!(races(false, &[(0, 1, WRITE), (4, 1, WRITE)]));
    }

    #[test]
    fn every_reader_counts() {
        // The writer itself read last, but another lane, warp or block did before.
        assert!(races(false, &[(0, 1, READ), (0, 2, READ), (0, 2, WRITE)]));
        assert!(races(false, &[(2, 1, READ), (0, 2, READ), (0, 2, WRITE)]));
        assert!(races(false, &[(4, 1, READ), (0, 2, READ), (3, 2, READ), (3, 2, WRITE)]));
        // A collective orders lanes, a barrier warps.
        assert!(!races(false, &[(0, 1, READ), (0, 2, READ), (1, 2, READ), (1, 2, WRITE)]));
        assert!(races(false, &[(2, 1, READ), (0, 2, READ), (1, 2, WRITE)]));
        assert!(!races(false, &[(2, 1, READ), (0, 2, READ), (3, 2, WRITE)]));
    }

    #[test]
    fn strong_accesses_go_together() {
        assert!(!races(false, &[(0, 1, ATOMIC), (0, 2, ATOMIC), (2, 2, ATOMIC), (4, 2, ATOMIC)]));
        assert!(races(false, &[(0, 1, ATOMIC), (2, 2, READ)]));
        assert!(races(false, &[(0, 1, ATOMIC), (0, 2, ATOMIC), (0, 2, READ)]));
        assert!(races(false, &[(0, 1, READ), (2, 2, ATOMIC)]));
        assert!(!races(false, &[(0, 1, ATOMIC), (2, 2, ATOMIC), (3, 2, READ)]));
    }

    #[test]
    fn constant_memory_is_not_written() {
        let (segments, numbers) = segments();
        let access = |segment: usize, writes: bool| Access {
            segment: numbers[segment],
            lane: 0,
            pc: 0,
            writes,
            is_strong: false,
            is_constant: !writes,
        };
        // A barrier does not help: the device may have kept what it read.
        for order in [[true, false], [false, true]] {
            let mut shadow = Shadow::new(64, false);
            shadow.touch(0, 4, &access(0, order[0]), &segments).unwrap();
            assert!(shadow.touch(0, 4, &access(3, order[1]), &segments).unwrap_err().is_constant);
        }
    }

    #[test]
    fn shared_memory_is_another_in_every_block() {
        assert!(!races(true, &[(0, 1, WRITE), (4, 1, WRITE)]));
        assert!(races(true, &[(0, 1, WRITE), (2, 1, WRITE)]));
    }

    #[test]
    fn bytes_are_told_apart() {
        let (segments, numbers) = segments();
        let mut shadow = Shadow::new(64, false);
        let access =
            |lane| Access { segment: numbers[0], lane, pc: 0, writes: true, is_strong: false, is_constant: false };
        for lane in 0..4 {
            assert!(shadow.touch(lane as usize, 1, &access(lane), &segments).is_ok());
        }
        assert_eq!(shadow.touch(0, 4, &access(0), &segments).unwrap_err().lane, 1);
        let mut shadow = Shadow::new(64, false);
        shadow.touch(0, 4, &access(0), &segments).unwrap();
        assert!(shadow.touch(3, 1, &access(1), &segments).is_err());
    }
}
