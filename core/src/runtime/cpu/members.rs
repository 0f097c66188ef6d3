//! Where the members of a group's rows are, as found by a run.

use crate::error::Error;
use std::ops::Range;

/// Checked offsets of members: they start at 0, never decrease, and end at the number of members. So any rows have a
/// valid range of members, which may be passed to code. Only [`MemberOffsets::check`] constructs them.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) struct MemberOffsets<'a>(&'a [i32]);

impl<'a> MemberOffsets<'a> {
    /// Checks offsets, one more than there are rows, with this number of members.
    pub(in crate::runtime) fn check(offsets: &'a [i32], n_member: usize) -> Result<MemberOffsets<'a>, Error> {
        let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
        // All pairs are tested, several at a time.
        let sorted = offsets.windows(2).fold(true, |sorted, pair| sorted & (pair[0] <= pair[1]));
        if first == 0 && last as i64 == n_member as i64 && sorted {
            return Ok(MemberOffsets(offsets));
        }
        Err(Error::Call(format!(
            "segments: offsets from {first} to {last} do not list {n_member} members in order: build segments with \
             `Segments::new`"
        )))
    }

    /// All offsets.
    pub(in crate::runtime) fn all(self) -> &'a [i32] {
        self.0
    }

    /// The members of these rows.
    pub(in crate::runtime) fn of(self, rows: &Range<usize>) -> Range<usize> {
        self.0[rows.start] as usize..self.0[rows.end] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_offsets_that_list_all_members_in_order_pass() {
        let checked = MemberOffsets::check(&[0, 2, 2, 5], 5).expect("they list 5 members");
        assert_eq!([checked.of(&(0..1)), checked.of(&(1..2)), checked.of(&(1..3))], [0..2, 2..2, 2..5]);
        for wrong in [[1, 2, 2, 5], [0, 3, 2, 5], [0, 2, 2, 4], [0, 2, 2, 6], [0, -1, 2, 5]] {
            assert!(MemberOffsets::check(&wrong, 5).is_err(), "{wrong:?}");
        }
    }
}
