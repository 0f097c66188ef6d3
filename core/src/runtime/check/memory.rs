//! Memory of which only the writers of its contents are known.

use crate::aval::Literal;
use std::collections::BTreeMap;
use std::ops::Range;

/// The result of one write.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Tag {
    /// By a step; each run of it writes a new tag.
    Made(u32),
    /// A number.
    Literal(Literal),
}

/// The contents of a range of memory: from its start, the number of bytes with each tag.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Content(Vec<(u64, Tag)>);

impl Content {
    /// Bytes from one write.
    pub(super) fn new(bytes: u64, tag: Tag) -> Content {
        if bytes == 0 { Content::default() } else { Content(vec![(bytes, tag)]) }
    }

    /// One number.
    pub(super) fn of_literal(literal: Literal) -> Content {
        Content::new(literal.dtype().size() as u64, Tag::Literal(literal))
    }

    /// The number of its bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|(bytes, _)| bytes).sum()
    }

    fn push(&mut self, bytes: u64, tag: Tag) {
        match self.0.last_mut() {
            _ if bytes == 0 => {}
            Some((n, last)) if *last == tag => *n += bytes,
            _ => self.0.push((bytes, tag)),
        }
    }

    /// A part of it.
    pub(super) fn part(&self, range: Range<u64>) -> Content {
        let (mut at, mut part) = (0, Content::default());
        for (bytes, tag) in &self.0 {
            let (start, end) = (range.start.max(at), range.end.min(at + bytes));
            part.push(end.saturating_sub(start), *tag);
            at += bytes;
        }
        part
    }
}

/// A range of memory.
#[derive(Clone, Copy)]
struct Piece {
    end: u64,
    /// `None` if nothing was written.
    tag: Option<Tag>,
    /// Whether nobody may write it.
    is_fixed: bool,
}

/// Why memory cannot be read or written as requested.
pub(super) type Fault = &'static str;

/// Where memory starts: far from address 0, the address of arrays without memory.
const FIRST: u64 = 1 << 60;
/// The number of unowned bytes between arrays.
const GAP: u64 = 4096;

/// Memory in pieces, by where they start. An address in none of them does not exist.
#[derive(Clone, Default)]
pub(super) struct Memory {
    pieces: BTreeMap<u64, Piece>,
    next_tag: u32,
}

impl Memory {
    /// An unused tag.
    pub(super) fn tag(&mut self) -> Tag {
        self.next_tag += 1;
        Tag::Made(self.next_tag)
    }

    /// Adds memory without contents, after all existing memory and a gap. Returns where it starts.
    pub(super) fn add(&mut self, bytes: u64) -> u64 {
        let start = self.pieces.last_key_value().map_or(FIRST, |(_, piece)| piece.end + GAP);
        self.pieces.insert(start, Piece { end: start + bytes, tag: None, is_fixed: false });
        start
    }

    /// Forbids writing to a range.
    pub(super) fn fix(&mut self, range: Range<u64>) {
        self.split(range.start);
        self.split(range.end);
        self.pieces.range_mut(range).for_each(|(_, piece)| piece.is_fixed = true);
    }

    fn split(&mut self, at: u64) {
        if let Some((_, piece)) = self.pieces.range_mut(..at).next_back()
            && piece.end > at
        {
            let rest = *piece;
            piece.end = at;
            self.pieces.insert(at, rest);
        }
    }

    /// The pieces of a range, all of which must exist.
    fn pieces_of(&self, range: Range<u64>) -> Result<Vec<(u64, Piece)>, Fault> {
        let first = self.pieces.range(..=range.start).next_back().map_or(range.start, |(at, _)| *at);
        let (mut at, mut found) = (range.start, vec![]);
        for (start, piece) in self.pieces.range(first..range.end) {
            if *start > at || piece.end <= at {
                continue;
            }
            found.push((piece.end.min(range.end) - at, *piece));
            at = piece.end.min(range.end);
        }
        if at < range.end { Err("lies outside of all memory") } else { Ok(found) }
    }

    /// The contents of a range.
    pub(super) fn read(&self, range: Range<u64>) -> Result<Content, Fault> {
        let mut content = Content::default();
        if range.is_empty() {
            return Ok(content);
        }
        for (bytes, piece) in self.pieces_of(range)? {
            content.push(bytes, piece.tag.ok_or("is not written yet")?);
        }
        Ok(content)
    }

    /// Writes a range at once; without a tag it has no contents from then on.
    pub(super) fn write(&mut self, range: Range<u64>, tag: Option<Tag>) -> Result<(), Fault> {
        if range.is_empty() {
            return Ok(());
        }
        if self.pieces_of(range.clone())?.iter().any(|(_, piece)| piece.is_fixed) {
            return Err("may only be read");
        }
        self.split(range.start);
        self.split(range.end);
        // Long loops would leave a piece for each of their iterations.
        let inside: Vec<u64> = self.pieces.range(range.clone()).map(|(at, _)| *at).collect();
        for at in inside {
            self.pieces.remove(&at);
        }
        self.pieces.insert(range.start, Piece { end: range.end, tag, is_fixed: false });
        Ok(())
    }

    /// Copies the contents of a range.
    pub(super) fn copy(&mut self, from: Range<u64>, to: u64) -> Result<(), Fault> {
        let content = self.read(from)?;
        let mut at = to;
        for (bytes, tag) in content.0 {
            self.write(at..at + bytes, Some(tag))?;
            at += bytes;
        }
        Ok(())
    }

    /// Keeps the contents that both share, and none where they differ.
    pub(super) fn meet(&mut self, other: &Memory) {
        let ends: Vec<u64> = other.pieces.iter().flat_map(|(start, piece)| [*start, piece.end]).collect();
        ends.into_iter().for_each(|at| self.split(at));
        for (start, piece) in &mut self.pieces {
            let theirs = other.pieces.range(..=*start).next_back().and_then(|(_, piece)| piece.tag);
            if piece.tag != theirs {
                piece.tag = None;
            }
        }
        self.next_tag = self.next_tag.max(other.next_tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_knows_who_wrote_what() {
        let mut memory = Memory::default();
        let start = memory.add(100);
        assert_eq!(memory.read(start..start + 8), Err("is not written yet"));
        let (a, b) = (memory.tag(), memory.tag());
        memory.write(start..start + 64, Some(a)).unwrap();
        memory.write(start + 32..start + 100, Some(b)).unwrap();
        let content = memory.read(start..start + 100).unwrap();
        assert_eq!(content, Content(vec![(32, a), (68, b)]));
        assert_eq!(content.part(16..40), Content(vec![(16, a), (8, b)]));
        memory.copy(start..start + 40, start + 60).unwrap();
        assert_eq!(memory.read(start + 50..start + 100).unwrap(), Content(vec![(10, b), (32, a), (8, b)]));
        assert_eq!(memory.write(start + 90..start + 101, None), Err("lies outside of all memory"));
        assert_eq!(memory.read(start - 1..start + 1), Err("lies outside of all memory"));
        memory.fix(start..start + 10);
        assert_eq!(memory.write(start + 9..start + 12, Some(a)), Err("may only be read"));
        assert!(memory.write(start + 10..start + 12, Some(a)).is_ok());
    }

    #[test]
    fn what_meets_is_what_both_hold() {
        let mut one = Memory::default();
        let start = one.add(64);
        let (a, b) = (one.tag(), one.tag());
        one.write(start..start + 64, Some(a)).unwrap();
        let mut other = one.clone();
        other.write(start + 16..start + 32, Some(b)).unwrap();
        one.meet(&other);
        assert_eq!(one.read(start..start + 16), Ok(Content::new(16, a)));
        assert_eq!(one.read(start + 16..start + 17), Err("is not written yet"));
        assert_eq!(one.read(start + 32..start + 64), Ok(Content::new(32, a)));
    }
}
