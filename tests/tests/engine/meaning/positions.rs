//! An out-of-bounds position is refused, even where the array is never stored and its source holds more elements.

use super::{check, check_refused, floats};
use gavotte::segment::Segments;
use gavotte::{Array, DType, arange, concatenate, grad};

/// The elements at one position of an array that `f` makes of eight elements.
fn at(i: i32, f: impl Fn(Array) -> Array + Copy) -> impl Fn(Array) -> Array + Copy {
    move |x| f(x).take(&Array::new(&[2], vec![0, i]), 0) * 2.0
}

fn eight() -> Array {
    floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
}

#[test]
fn positions_are_those_of_what_is_read() {
    let check_both = |f: fn(Array) -> Array, n: i32, wanted: [f64; 2]| {
        check(at(n - 1, f), &eight(), &wanted.map(|x| 2.0 * x), 0.0);
        for outside in [n, n + 1, -1, i32::MAX, i32::MIN] {
            check_refused(at(outside, f), &eight(), &format!("is not in 0..{n}"));
        }
    };
    check_both(|x| x.slice_axis(0, 0usize..4), 4, [1.0, 4.0]);
    check_both(|x| x.slice_axis(0, 3usize..6), 3, [4.0, 6.0]);
    check_both(|x| x.slice_axis(0, 2usize..8) + 1.0, 6, [4.0, 9.0]);
    check_both(|x| x.slice_axis(0, 1usize..2).broadcast_to([5usize]), 5, [2.0, 2.0]);
    check_both(|x| concatenate(&[x.slice_axis(0, 0usize..2), x.slice_axis(0, 5usize..8)], 0), 5, [1.0, 8.0]);
    check_both(|x| x.pad(0f32, &[(1, 1)]), 10, [0.0, 0.0]);
    check_both(|x| x.slice_axis(0, 0usize..1).sum(()) + arange(6usize, DType::F32), 6, [1.0, 6.0]);
    check_both(|x| x.slice_axis(0, 0usize..4).reshape([4, 1]).reshape([4]), 4, [1.0, 4.0]);
}

/// Operands that a step needs in memory are stored, whatever they are computed from.
#[test]
fn operands_without_a_kernel_are_stored() {
    let x = floats(&[1.0, 2.0, 3.0]);
    let segments = |x: &Array| Segments {
        ids: Array::new(&[3], vec![0, 0, 1]),
        offsets: Array::new(&[3], vec![0, 2, 3]) + (x.sum(()) * 0.0).astype(DType::I32),
        order: None,
    };
    check(|x| segments(&x).sum(&x), &x, &[3.0, 3.0], 0.0);
    check(|x| segments(&x).max(&x), &x, &[2.0, 3.0], 0.0);
    check(|x| grad(|x: Array| segments(&x).mean(&x).square().sum(()))(x), &x, &[1.5, 1.5, 6.0], 1e-6);
}

/// Where two kernels of a group fail in the same rows, the first one fails, and the second no longer runs there.
#[test]
fn of_two_steps_that_fail_the_first_is_reported() {
    // Enough rows that one thread runs both wrong ones together.
    const ROWS: usize = 5000;
    let ids = |at: usize, wrong: i32| {
        Array::new(&[ROWS], (0..ROWS).map(|i| if i == at { wrong } else { i as i32 % 8 }).collect())
    };
    // The first reduces each row, and the second reads the result.
    let f = move |x: Array, one: &Array, other: &Array| {
        let rows = x.reshape([8, 1]).broadcast_to([8, 3]);
        rows.take(one, 0).sum(1).reshape([ROWS, 1]) * rows.take(other, 0).tanh()
    };
    for (first, second) in [(70, 60), (60, 70), (70, 70)] {
        check_refused(move |x| f(x, &ids(first, 1000), &ids(second, 2000)), &eight(), "1000");
        check_refused(move |x| f(x, &ids(0, 0), &ids(second, 2000)), &eight(), "2000");
    }
}

/// A position used along axes of two extents is checked against both, whichever is read first.
#[test]
fn a_position_is_checked_against_every_axis_that_it_is_used_for() {
    let x = Array::new(&[8, 40], (0..320).map(|i| i as f32).collect());
    let take = |i: i32, is_first: bool| {
        move |x: Array| {
            let ids = Array::new(&[3], vec![0, 3, i]);
            let (long, short) = ((&x * 0.5).tanh(), (&x + 1.0).tanh().slice_axis(0, 0usize..4));
            let [long, short] = [long, short].map(|array| array.take(&ids, 0));
            if is_first { short + long } else { long + short }.sum(1)
        }
    };
    for is_first in [true, false] {
        check_refused(take(5, is_first), &x, "is not in 0..4");
        check_refused(take(-1, is_first), &x, "is not in 0..");
    }
}

/// Offsets computed by a program are checked: falling or out-of-bounds offsets are reported.
#[test]
fn offsets_that_are_computed_are_checked() {
    let sum = |last: [f32; 3]| {
        move |x: Array| {
            let offsets = concatenate(&[x.slice_axis(0, 0usize..1) * 0.0, Array::new(&[3], last.to_vec())], 0);
            let ids = Array::new(&[8], vec![0, 0, 0, 1, 1, 1, 2, 2]);
            let rows = x.reshape([8, 1]).broadcast_to([8, 40]) * 1.5;
            Segments { ids, offsets: offsets.astype(DType::I32), order: None }.sum(&rows).sum(1)
        }
    };
    check(sum([3.0, 6.0, 8.0]), &eight(), &[360.0, 900.0, 900.0], 1e-6);
    for wrong in [[6.0, 3.0, 8.0], [3.0, 9.0, 8.0], [3.0, 6.0, 9.0], [-1.0, 6.0, 8.0]] {
        check_refused(sum(wrong), &eight(), "");
    }
}
