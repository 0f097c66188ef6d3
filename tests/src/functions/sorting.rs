//! Sorting, order statistics, and places within sorted arrays.

use super::{functions, real};
use crate::functions::Operand::{Bools, Edges, Ints, These, Words};
use gavotte::*;

functions! {
    smooth sort(x) = x.sort(-1), [real(&[3, 7])], [real(&[0, 3])], [real(&[3, 0])], [Edges(&[24])], [Ints(-3, 3, &[4, 9])],
        [Words(&[9])], [Bools(&[2, 5])], [These(&[i32::MIN, 3, i32::MAX, -1, 0])];
    smooth sort_0(x) = x.sort(0), [real(&[7, 2, 2])], [Edges(&[12, 2])];
    smooth sort_descending(x) = x.sort_descending(1), [real(&[3, 5, 2])], [Edges(&[2, 12])], [Ints(-3, 3, &[4, 9])],
        [Words(&[1, 9])];
    exact argsort(x) = x.argsort(-1), [real(&[3, 7])], [Edges(&[24])], [Ints(-3, 3, &[4, 9])], [Bools(&[2, 5])];
    exact argsort_0(x) = x.argsort(0), [Ints(0, 3, &[7, 2, 2])], [real(&[0, 2])];
    exact argsort_descending(x) = x.argsort_descending(0), [Edges(&[24])], [Ints(-3, 3, &[9, 2])];
    smooth top_k(x) = x.top_k(3).0, [real(&[2, 7])], [real(&[3])], [Ints(-3, 3, &[4, 9])];
    exact top_k_places(x) = x.top_k(4), [real(&[2, 7])], [Ints(-3, 3, &[4, 9])];
    smooth sort_key_val(k, x) = sort_key_val(k, x, -1), [real(&[3, 5]), real(&[3, 5])],
        [Ints(-2, 2, &[2, 9]), real(&[2, 9])], [Edges(&[12]), real(&[12])];
    exact sort_by(a, b, x) = sort_by(&[a, b, x], 2, 0),
        [Ints(-2, 2, &[9, 2]), Bools(&[9, 2]), real(&[9, 2])], [Bools(&[12]), Edges(&[12]), real(&[12])],
        [real(&[0]), Bools(&[0]), real(&[0])];
    exact searchsorted(a, x) = a.sort(0).searchsorted(x, Side::Left), [Ints(-3, 3, &[7]), Ints(-4, 4, &[3, 5])],
        [real(&[8]), real(&[9])], [Edges(&[24]), Edges(&[12])], [real(&[0]), real(&[2])], [real(&[1]), real(&[2, 0])];
    exact searchsorted_right(a, x) = a.sort(0).searchsorted(x, Side::Right), [Ints(-3, 3, &[7]), Ints(-4, 4, &[3, 5])],
        [real(&[16]), real(&[9])], [Edges(&[24]), Edges(&[12])];
    exact bincount(x) = x.bincount(5), [Ints(0, 7, &[20])], [Ints(0, 7, &[0])];
    exact histogram(x) = x.histogram(4, None).0, [real(&[30])], [real(&[1])];
    exact histogram_within(x) = x.histogram(5, Some((-1.0, 0.5))), [real(&[30])], [real(&[0])];
    smooth median(x) = x.median(()), [real(&[5])], [real(&[2, 3])], [real(&[1])];
    exact median_1(x) = x.median(1), [Edges(&[4, 12])], [Edges(&[12, 2])];
    smooth quantile(x) = x.quantile(0.3, 0), [real(&[6, 2])], [real(&[1, 3])];
    smooth quantile_20(x) = x.quantile(0.75, [2, 0]), [real(&[3, 2, 4])];
    exact quantile_ends(x) = vec![x.quantile(0.0, 0), x.quantile(1.0, 0)], [real(&[7])], [Edges(&[12, 2])];
}
