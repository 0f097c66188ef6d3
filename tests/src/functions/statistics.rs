//! Statistics of NumPy that are composed of sums, and reductions that ignore NaN.

use super::{functions, positive, real};
use crate::functions::Operand::{Edges, Ints, These, Words};
use gavotte::*;

functions! {
    smooth std(x) = x.std(()), [real(&[3, 4])], [Edges(&[12])];
    exact std_of_few(x) = x.std(()), [real(&[1])], [real(&[0])];
    smooth std_0(x) = x.std(0), [real(&[3, 4])], [real(&[2, 0])], [Edges(&[3, 4])];
    smooth var_ddof(x) = x.var_with(1, 1), [real(&[3, 4])], [Edges(&[2, 12])];
    exact var_of_few(x) = x.var_with(1, 1), [real(&[3, 1])], [real(&[3, 0])];
    smooth std_ddof(x) = x.std_with((), 2), [real(&[3, 4])];
    exact std_of_too_few(x) = x.std_with((), 2), [real(&[2])], [real(&[1])];
    smooth ptp(x) = x.ptp(()), [real(&[3, 4])], [Ints(-9, 9, &[3, 4])], [These(&[i32::MIN, 3])], [Words(&[7])];
    smooth ptp_1(x) = x.ptp(1), [real(&[3, 4])], [real(&[0, 4])], [Edges(&[2, 12])];
    smooth average(x, w) = average(x, w, ()), [real(&[3, 4]), positive(&[3, 4])], [Edges(&[12]), positive(&[12])];
    smooth average_1(x, w) = average(x, w, 1), [real(&[3, 4]), positive(&[4])], [real(&[3, 4]), positive(&[3, 4])],
        [real(&[0, 4]), positive(&[4])], [real(&[3, 0]), positive(&[0])];
    smooth average_20(x, w) = average(x, w, [2, 0]), [real(&[3, 4, 2]), positive(&[2, 3])];
    smooth cov(x) = cov(x, 1), [real(&[3, 5])], [real(&[5])], [real(&[1, 5])], [real(&[2, 0])], [Edges(&[2, 12])];
    smooth cov_population(x) = cov(x, 0), [real(&[3, 5])], [real(&[3, 1])];
    exact corrcoef(x) = corrcoef(x), [real(&[3, 5])], [real(&[5])], [Edges(&[2, 12])];
    smooth corrcoef_of_two(x) = corrcoef(x).tril(-1), [real(&[3, 5])];
    smooth nansum(x) = x.nansum(()), [real(&[3, 4])], [Ints(-9, 9, &[3, 4])], [real(&[0])];
    exact nansum_1(x) = x.nansum(1), [Edges(&[4, 12])], [Edges(&[3, 5])];
    smooth nanmean(x) = x.nanmean(()), [real(&[3, 4])];
    exact nanmean_1(x) = x.nanmean(1), [Edges(&[4, 12])], [Edges(&[12, 1])], [Edges(&[3, 5])], [real(&[2, 0])];
    smooth nanvar(x) = x.nanvar((), 0), [real(&[3, 4])];
    exact nanvar_1(x) = x.nanvar(1, 1), [Edges(&[4, 12])], [Edges(&[12, 1])], [Edges(&[6, 2])], [real(&[2, 0])];
    smooth nanstd(x) = x.nanstd((), 1), [real(&[3, 4])];
    exact nanstd_1(x) = x.nanstd(1, 0), [Edges(&[4, 12])], [Edges(&[12, 1])], [Edges(&[6, 2])], [real(&[2, 0])];
    smooth nanmax(x) = x.nanmax(()), [real(&[3, 4])], [Ints(-9, 9, &[3, 4])];
    exact nanmax_1(x) = x.nanmax(1), [Edges(&[4, 12])], [Edges(&[12, 1])], [real(&[0, 3])];
    smooth nanmin(x) = x.nanmin(()), [real(&[3, 4])];
    exact nanmin_1(x) = x.nanmin(1), [Edges(&[4, 12])], [Edges(&[12, 1])], [real(&[0, 3])];
    exact nanargmax(x) = x.nanargmax(1), [Edges(&[4, 12])], [Edges(&[12, 1])], [Edges(&[6, 2])], [Ints(-3, 3, &[4, 9])];
    exact nanargmin(x) = x.nanargmin(0), [Edges(&[12, 4])], [Edges(&[1, 12])], [Edges(&[2, 6])];
}
