//! Consistency of the three arrays of segments.

use crate::device::HostArray;

/// Requires that two maps agree: the members of segment `s` are `order[offsets[s]..offsets[s + 1]]`, each member occurs
/// there once, and `ids` has the segment of each. Without `order` the members are in ascending order.
///
/// # Errors
/// The first disagreement, and where it is.
pub fn check_segments(ids: &[i32], offsets: &[i32], order: Option<&[i32]>) -> Result<(), String> {
    const ADVICE: &str = "build segments with `Segments::new`";
    let n = ids.len();
    let rise = offsets.windows(2).fold(true, |rise, pair| rise & (pair[0] <= pair[1]));
    let ends = offsets.first().zip(offsets.last());
    let (first, last) = ends.ok_or_else(|| format!("segments: there are no offsets: {ADVICE}"))?;
    if *first != 0 || usize::try_from(*last) != Ok(n) || !rise {
        return Err(format!("segments: offsets from {first} to {last} do not list {n} members in order: {ADVICE}"));
    }
    let mut is_listed = vec![false; order.map_or(0, |_| n)];
    for (segment, ends) in (0i64..).zip(offsets.windows(2)) {
        for position in ends[0] as usize..ends[1] as usize {
            let member = match order {
                None => position,
                Some(order) => {
                    let member = order.get(position).and_then(|member| usize::try_from(*member).ok());
                    match member.filter(|member| *member < n && !std::mem::replace(&mut is_listed[*member], true)) {
                        Some(member) => member,
                        None => {
                            let found = order.get(position).map_or("nothing".into(), i32::to_string);
                            return Err(format!(
                                "segments: the order has {found} at position {position}, but each of {n} members \
                                 must occur once: {ADVICE}"
                            ));
                        }
                    }
                }
            };
            if i64::from(ids[member]) != segment {
                return Err(format!(
                    "segments: by the ids member {member} is in segment {}, and by the offsets in {segment}: {ADVICE}",
                    ids[member]
                ));
            }
        }
    }
    Ok(())
}

/// [`check_segments`] for the operands that a primitive declares as segments.
pub(super) fn check_operands(operands: [usize; 3], ins: &[&HostArray]) -> Result<(), String> {
    let [Some(ids), Some(offsets), Some(order)] = operands.map(|operand| ins.get(operand)) else { return Ok(()) };
    check_segments(ids.as_slice(), offsets.as_slice(), Some(order.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::check_segments;

    #[test]
    fn maps_that_disagree_are_found() {
        let (ids, offsets, order) = ([2, 0, 3, 2, 2], [0, 1, 1, 4, 5], [1, 0, 3, 4, 2]);
        assert_eq!(check_segments(&ids, &offsets, Some(&order)), Ok(()));
        assert_eq!(check_segments(&ids, &offsets, Some(&[1, 4, 3, 0, 2])), Ok(()), "any order within a segment");
        assert_eq!(check_segments(&[0, 2, 2, 2, 3], &offsets, None), Ok(()));
        assert_eq!(check_segments(&[], &[0, 0], None), Ok(()));
        assert_eq!(check_segments(&[], &[0], Some(&[])), Ok(()));
        for (ids, offsets, order, why) in [
            (&ids[..], &[][..], None, "there are no offsets"),
            (&ids, &[1, 1, 1, 4, 5], Some(&order[..]), "offsets from 1 to 5"),
            (&ids, &[0, 1, 1, 4, 4], Some(&order), "offsets from 0 to 4 do not list 5 members"),
            (&ids, &[0, 1, 1, 4, 6], Some(&order), "offsets from 0 to 6"),
            (&ids, &[0, 4, 1, 4, 5], Some(&order), "offsets from 0 to 5"),
            (&ids, &[0, -1, 1, 4, 5], Some(&order), "offsets from 0 to 5"),
            (&ids, &[0, i32::MAX, i32::MIN, 4, 5], Some(&order), "offsets from 0 to 5"),
            (&ids, &[0, 1, 1, 4, 5], Some(&[1, 0, 3, 3, 2]), "the order has 3 at position 3"),
            (&ids, &[0, 1, 1, 4, 5], Some(&[1, 0, 5, 4, 2]), "the order has 5 at position 2"),
            (&ids, &[0, 1, 1, 4, 5], Some(&[1, 0, -1, 4, 2]), "the order has -1 at position 2"),
            (&ids, &[0, 1, 1, 4, 5], Some(&[1, 0, 3, 4]), "the order has nothing at position 4"),
            (&ids, &[0, 1, 1, 4, 5], None, "member 0 is in segment 2, and by the offsets in 0"),
            (&[2, 0, 4, 2, 2], &[0, 1, 1, 4, 5], Some(&order), "member 2 is in segment 4, and by the offsets in 3"),
            (&[-1, 0, 3, 2, 2], &[0, 1, 1, 4, 5], Some(&order), "member 0 is in segment -1"),
        ] {
            let error = check_segments(ids, offsets, order).expect_err(why);
            assert!(error.contains(why) && error.contains("`Segments::new`"), "{error}");
        }
    }
}
