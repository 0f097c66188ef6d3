//! About how long work takes, and how much of it is worth another thread.
//!
//! An estimate that is wrong by some factor makes a run a little slower and changes no result: it determines how pieces
//! are cut, and depends on sizes alone.

use std::ops::Range;

/// Nanoseconds on one thread.
pub(in crate::runtime) type Nanos = u64;

/// A thread gets at least this much of a job: offering it costs about a microsecond.
const LEAST_PART: Nanos = 8_000;
/// A sleeping thread is woken for runs of at least this time: by the time it is awake, half of a shorter run is over.
const LEAST_RUN: Nanos = 100_000;
/// Pieces take about this long: long compared with the cost of a claim, short compared with a time slice of the system.
const PIECE: Nanos = 20_000;
/// The most pieces ever needed.
const MAX_PIECES: u64 = 256;
/// The pieces of a job if even the smallest is shared.
const SMALL_PIECES: usize = 13;

/// The number of functions to generate that is worth a thread.
pub(in crate::runtime) const FUNCTIONS: usize = 4;

/// Bytes that are read or written in a nanosecond.
pub(in crate::runtime) const BYTE_RATE: u64 = 20;

/// The cost of a row of segments in addition to its members, in members.
const ROW: u64 = 4;

/// How work is shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::runtime) enum Sharing {
    /// If it pays.
    Worthwhile,
    /// However small it is.
    All,
}

impl Sharing {
    /// How many threads a job of this time is worth.
    pub(in crate::runtime) fn threads(self, nanos: Nanos) -> usize {
        match self {
            Sharing::Worthwhile => usize::try_from(nanos / LEAST_PART).unwrap_or(usize::MAX),
            Sharing::All => usize::MAX,
        }
    }

    /// The number of pieces into which a job of this time is cut, if it may be cut anywhere.
    pub(in crate::runtime) fn pieces(self, nanos: Nanos) -> usize {
        match self {
            Sharing::Worthwhile => (nanos / PIECE).clamp(1, MAX_PIECES) as usize,
            Sharing::All => SMALL_PIECES,
        }
    }

    /// Whether a run of this time is worth waking threads for.
    pub(in crate::runtime) fn wakes(self, nanos: Nanos) -> bool {
        nanos >= LEAST_RUN || self == Sharing::All
    }
}

/// The work before a row: rows have members and are counted by their offsets, or are all alike.
pub(in crate::runtime) fn work_before(row: usize, offsets: Option<&[i32]>) -> u64 {
    offsets.map_or(0, |offsets| offsets[row].max(0) as u64) + ROW * row as u64
}

/// Cuts `0..n` into this many consecutive pieces of about the same work; some may be empty. `before` is the work of
/// everything before a place.
pub(in crate::runtime) fn cut(n: usize, pieces: usize, before: impl Fn(usize) -> u64) -> Vec<Range<usize>> {
    let whole = before(n);
    let mut start = 0;
    let end_of = |piece: usize| {
        if piece + 1 == pieces {
            return n;
        }
        let wanted = (u128::from(whole) * (piece as u128 + 1) / pieces as u128) as u64;
        let (mut low, mut high) = (0, n);
        while low < high {
            let middle = (low + high) / 2;
            if before(middle) < wanted { low = middle + 1 } else { high = middle }
        }
        low
    };
    // If offsets are not sorted a border may lie before the previous one (the kernel then reports it).
    let piece = |piece: usize| {
        let end = end_of(piece).max(start);
        std::mem::replace(&mut start, end)..end
    };
    (0..pieces).map(piece).collect()
}

/// The time to move this many bytes.
pub(in crate::runtime) fn of_bytes(bytes: usize) -> Nanos {
    bytes as u64 / BYTE_RATE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_one_another_and_share_the_work() {
        let offsets: Vec<i32> = (0..=1000).map(|row: i32| row * row / 10).collect();
        for n in [0, 1, 7, 1000] {
            for pieces in [1, 2, 3, 32] {
                let before = |row: usize| work_before(row, Some(&offsets));
                let cut = cut(n, pieces, before);
                assert_eq!(cut.len(), pieces);
                assert_eq!((cut[0].start, cut[pieces - 1].end), (0, n));
                assert!(cut.windows(2).all(|pair| pair[0].end == pair[1].start), "{cut:?}");
                let most = cut.iter().map(|piece| before(piece.end) - before(piece.start)).max().unwrap_or(0);
                let widest = (0..n).map(|row| before(row + 1) - before(row)).max().unwrap_or(0);
                assert!(most <= before(n) / pieces as u64 + widest + 1, "{n} rows in {pieces} pieces: {most}");
            }
        }
    }

    #[test]
    fn offsets_that_fall_leave_no_piece_out() {
        let offsets: Vec<i32> = (0..=200).rev().collect();
        let cut = cut(200, 7, |row| work_before(row, Some(&offsets)));
        assert!(cut.windows(2).all(|pair| pair[0].end == pair[1].start), "{cut:?}");
        assert_eq!((cut[0].start, cut[6].end), (0, 200));
    }

    /// Offsets of which nobody knows anything yet: pieces are cut before a kernel says that they are wrong.
    #[test]
    fn offsets_in_any_order_leave_no_row_out_and_none_is_in_two_pieces() {
        let long = i32::MAX;
        let any: [&[i32]; 7] = [
            &[0, 900, 0, 900, 0, 900, 0, 900],
            &[0, long, 0, long, 0, long, 5, 6],
            &[0, 7, 5, 3, 1, 0, 0, 800],
            &[900, 700, 500, 300, 100, 50, 20, 0],
            &[-5, 900, -900, 900, -900, 3, 2, 1],
            &[long, long, long, 0, 0, 0, 0, 0],
            &[3, 900, 800, 700, 900, 600, 500, 10],
        ];
        for offsets in any {
            for pieces in 1..20 {
                let n = offsets.len() - 1;
                let cut = cut(n, pieces, |row| work_before(row, Some(offsets)));
                assert_eq!(cut.len(), pieces);
                let rows: Vec<usize> = cut.iter().cloned().flatten().collect();
                assert_eq!(rows, (0..n).collect::<Vec<_>>(), "{offsets:?} in {cut:?}");
                assert!(cut.iter().all(|piece| piece.start <= piece.end), "{offsets:?} in {cut:?}");
            }
        }
    }

    #[test]
    fn small_work_is_one_threads() {
        let (usual, all) = (Sharing::Worthwhile, Sharing::All);
        assert!(usual.threads(2 * LEAST_PART - 1) == 1 && usual.threads(2 * LEAST_PART) == 2 && all.threads(0) > 2);
        assert_eq!([0, PIECE, 5 * PIECE].map(|nanos| usual.pieces(nanos)), [1, 1, 5]);
        assert!(!usual.wakes(LEAST_RUN - 1) && usual.wakes(LEAST_RUN) && all.wakes(0) && all.pieces(0) > 2);
    }
}
