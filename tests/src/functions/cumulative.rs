//! Cumulative operations.

use super::{Operand, functions, real};
use crate::functions::Operand::{Edges, Ints, These, Words};
use gavotte::*;

functions! {
    smooth cumsum(x) = x.cumsum(-1), [real(&[3, 7])], [real(&[200])], [real(&[0, 3])], [real(&[3, 0])], [Ints(-9, 9, &[4, 9])],
        [Words(&[9])], [These(&[i32::MAX, 3, -5])];
    smooth cumsum_0(x) = x.cumsum(0), [real(&[7, 2, 2])], [Edges(&[12, 2])];
    smooth cumsum_reverse(x) = x.cumsum_reverse(1), [real(&[3, 5, 2])], [Ints(-9, 9, &[4, 9])];
    smooth cumprod(x) = x.cumprod(-1), [real(&[3, 7])], [Edges(&[3, 5])], [Ints(-9, 9, &[4, 9])], [real(&[3, 0])],
        [real(&[1])], [Ints(0, 2, &[4])];
    smooth cumprod_reverse(x) = x.cumprod_reverse(0), [real(&[6, 2])];
    smooth cummax(x) = x.cummax(-1), [real(&[3, 7])], [Edges(&[24])], [Ints(-9, 9, &[4, 9])], [Words(&[9])],
        [real(&[3, 0])];
    smooth cummax_reverse(x) = x.cummax_reverse(0), [real(&[7, 2])], [Edges(&[24])], [Ints(-9, 9, &[9, 4])];
    smooth cummin(x) = x.cummin(-1), [real(&[3, 7])], [Edges(&[24])], [Ints(-9, 9, &[4, 9])], [Words(&[9])];
    smooth cummin_reverse(x) = x.cummin_reverse(0), [real(&[7, 2])], [Edges(&[24])], [Ints(-9, 9, &[9, 4])];
    smooth cumlogsumexp(x) = x.cumlogsumexp(-1), [real(&[3, 7])], [Operand::Between(-90.0, 90.0, &[9])], [real(&[1])];
    smooth associative_scan(x) = associative_scan(|a: Array, b: Array| a + b, x.clone(), 1, false),
        [real(&[2, 1, 3])], [real(&[1, 2])], [real(&[2, 3])], [real(&[1, 4])], [real(&[1, 5, 2])], [real(&[1, 13])],
        [Ints(-9, 9, &[4, 16])];
    smooth associative_scan_pairs(a, b) = associative_scan(
        |(a, b): (Array, Array), (c, d): (Array, Array)| (&a * &c, b * c + d), (a.clone(), b.clone()), 0, true
    ), [real(&[7]), real(&[7])], [real(&[4, 2]), real(&[4, 2])];
}
