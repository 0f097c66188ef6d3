//! Correct segments, and segments whose arrays contradict one another.

use gavotte::Array;
use gavotte::segment::Segments;

/// Enough rows that threads have chunks of them.
pub const ROWS: usize = 4_000;
/// The number of members.
pub const MEMBERS: usize = 12_000;

/// An array of numbers.
pub fn ints(xs: Vec<i32>) -> Array {
    Array::new(&[xs.len()], xs)
}

/// The segment of each member.
pub fn ids() -> Vec<i32> {
    (0..MEMBERS).map(|i| (i * ROWS / MEMBERS) as i32).collect()
}

/// Where the members of each segment begin.
pub fn offsets() -> Vec<i32> {
    (0..=ROWS).map(|row| (row * MEMBERS / ROWS) as i32).collect()
}

/// A number for each member.
pub fn data() -> Array {
    Array::new(&[MEMBERS], (0..MEMBERS).map(|i| (i % 17) as f32 * 0.25).collect())
}

/// Unchecked segments of these arrays.
pub fn made(ids: Vec<i32>, offsets: Vec<i32>, order: Option<Vec<i32>>) -> Segments {
    Segments { ids: ints(ids), offsets: ints(offsets), order: order.map(ints) }
}

/// Segments in which one array contradicts the others.
pub fn wrong() -> Vec<(&'static str, Segments)> {
    let with = |change: &dyn Fn(&mut Vec<i32>, &mut Vec<i32>)| {
        let (mut ids, mut offsets) = (ids(), offsets());
        change(&mut ids, &mut offsets);
        (ids, offsets)
    };
    let counted = |change: &dyn Fn(&mut Vec<i32>, &mut Vec<i32>)| {
        let (ids, offsets) = with(change);
        made(ids, offsets, None)
    };
    let listed = |change: &dyn Fn(&mut Vec<i32>)| {
        let mut order: Vec<i32> = (0..MEMBERS as i32).collect();
        change(&mut order);
        made(ids(), offsets(), Some(order))
    };
    vec![
        ("ids in reverse", counted(&|ids, _| ids.reverse())),
        ("one id too small", counted(&|ids, _| ids[7_000] -= 1)),
        ("one id in another chunk", counted(&|ids, _| ids[11_000] = 3)),
        ("an id that is too large", counted(&|ids, _| ids[11_999] = ROWS as i32)),
        ("an id that is far too large", counted(&|ids, _| ids[5] = i32::MAX)),
        ("a negative id", counted(&|ids, _| ids[0] = -1)),
        ("a negative offset", counted(&|_, offsets| offsets[0] = -5)),
        ("a negative offset between", counted(&|_, offsets| offsets[20] = i32::MIN)),
        ("an offset beyond the members", counted(&|_, offsets| offsets[ROWS] += 1)),
        ("an offset far beyond the members", counted(&|_, offsets| offsets[10] = i32::MAX)),
        ("offsets that fall", counted(&|_, offsets| offsets.swap(100, 3_000))),
        ("members in no segment", counted(&|_, offsets| offsets[ROWS] -= 1)),
        ("offsets that begin late", counted(&|_, offsets| offsets[0] = 1)),
        ("all members in the last segment", counted(&|_, offsets| offsets[..ROWS].fill(0))),
        ("an order that repeats", listed(&|order| order[50] = 51)),
        ("an order beyond the members", listed(&|order| order[50] = MEMBERS as i32)),
        ("a negative order", listed(&|order| order[50] = -1)),
        ("an order that mixes segments", listed(&|order| order.swap(3, 9_000))),
        ("an order in reverse", listed(&|order| order.reverse())),
    ]
}

/// The sums of numbers that sum to 2 in each segment.
pub fn share(segments: &Segments, x: &Array) -> Array {
    segments.sum(&(segments.softmax(x) * 2.0))
}

/// What the error for wrong segments says.
pub const ADVICE: &[&str] = &["segments: ", "build segments with `Segments::new`"];
