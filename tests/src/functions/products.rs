//! Products of arrays, functions given by their values, elements at indices.

use super::{functions, real};
use crate::functions::Operand::{Between, Edges, Ints, These, Words};
use gavotte::*;

functions! {
    smooth outer(a, b) = outer(a, b), [real(&[3]), real(&[4])], [real(&[2, 2]), real(&[3])], [real(&[0]), real(&[3])],
        [Ints(-9, 9, &[3]), Ints(-9, 9, &[4])], [Edges(&[12]), Edges(&[12])];
    smooth inner(a, b) = inner(a, b), [real(&[3]), real(&[3])], [real(&[2, 3]), real(&[4, 2, 3])], [real(&[]), real(&[2, 3])],
        [real(&[2, 0]), real(&[0])], [Words(&[2, 3]), Words(&[3])];
    smooth vdot(a, b) = vdot(a, b), [real(&[3]), real(&[3])], [real(&[2, 3]), real(&[3, 2])], [real(&[0]), real(&[2, 0])],
        [Ints(-9, 9, &[3]), Ints(-9, 9, &[3])];
    smooth vecdot(a, b) = vecdot(a, b, -1), [real(&[3]), real(&[3])], [real(&[2, 3]), real(&[4, 1, 3])],
        [real(&[2, 0]), real(&[0])], [Ints(-9, 9, &[2, 3]), Ints(-9, 9, &[3])];
    smooth vecdot_0(a, b) = vecdot(a, b, 0), [real(&[3, 2]), real(&[3, 1])];
    smooth kron(a, b) = kron(a, b), [real(&[2, 3]), real(&[3, 2])], [real(&[2]), real(&[2, 3])], [real(&[2, 1, 2]), real(&[2])],
        [real(&[0, 2]), real(&[2, 2])], [Ints(-9, 9, &[2]), Ints(-9, 9, &[3])], [real(&[]), real(&[2])];
    smooth cross(a, b) = cross(a, b, -1), [real(&[3]), real(&[3])], [real(&[4, 3]), real(&[3])], [real(&[2, 1, 3]), real(&[4, 3])],
        [Ints(-9, 9, &[3]), Ints(-9, 9, &[3])], [real(&[0, 3]), real(&[3])];
    smooth cross_0(a, b) = cross(a, b, 0), [real(&[3, 2]), real(&[3, 2])];
    smooth tensordot(a, b) = tensordot(a, b, 2), [real(&[4, 2, 3]), real(&[2, 3, 5])], [real(&[2, 3]), real(&[2, 3])],
        [real(&[2, 0, 3]), real(&[0, 3, 2])], [Ints(-9, 9, &[2, 3]), Ints(-9, 9, &[2, 3])];
    smooth tensordot_none(a, b) = tensordot(a, b, 0), [real(&[2]), real(&[3, 2])], [real(&[]), real(&[2])];
    smooth tensordot_axes(a, b) = tensordot(a, b, ([2, 0], [-1, 1])), [real(&[4, 2, 3]), real(&[2, 4, 3])];
    smooth interp(x, xs, ys) = interp(x, xs, ys), [Between(-1.0, 5.0, &[9]), Between(0.9, 1.1, &[1]), real(&[1])],
        [real(&[0]), real(&[2]), real(&[2])];
    smooth interp_grid(x, ys) = interp(x, &arange(5, x.dtype()), ys), [Between(-1.0, 6.0, &[20]), real(&[5])],
        [Between(-1.0, 6.0, &[2, 3]), real(&[5])], [Edges(&[24]), real(&[5])];
    smooth interp_points(x, d, ys) = interp(x, &(arange(5, x.dtype()) + d * 0.1), ys),
        [Between(-1.0, 6.0, &[20]), real(&[5]), real(&[5])];
    smooth interp_steps(x, ys) = interp(x, &(arange(6, x.dtype()) * 0.5).floor(), ys), [Between(-1.0, 4.0, &[20]), real(&[6])];
    smooth diff(x) = x.diff(1, -1), [real(&[2, 5])], [Ints(-9, 9, &[5])], [real(&[2, 0])], [real(&[1])], [Edges(&[24])];
    smooth diff_2(x) = x.diff(2, 0), [real(&[5, 2])], [Words(&[5])], [real(&[1, 2])], [real(&[2])];
    smooth gradient(x) = x.gradient(1.0, 0), [real(&[5])], [real(&[2, 3])], [real(&[3, 0])], [Edges(&[24])];
    smooth gradient_spaced(x, h) = x.gradient(h, 1), [real(&[2, 5]), Between(0.5, 2.0, &[])];
    smooth trapezoid(x) = x.trapezoid(0.5, -1), [real(&[2, 5])], [real(&[1])], [real(&[0, 2])];
    smooth trapezoid_0(x, h) = x.trapezoid(h, 0), [real(&[5, 2]), real(&[])];
    smooth trapezoid_at(y, x) = y.trapezoid_at(x, 0), [real(&[5]), real(&[5])], [real(&[3, 2]), real(&[3])],
        [real(&[3, 2]), real(&[3, 2])], [Edges(&[12]), real(&[12])], [real(&[1, 2]), real(&[1])];
    smooth convolve(a, b) = convolve(a, b, Overlap::Full), [real(&[5]), real(&[3])], [real(&[2]), real(&[4])],
        [real(&[1]), real(&[1])], [real(&[40]), real(&[17])];
    smooth convolve_same(a, b) = convolve(a, b, Overlap::Same), [real(&[5]), real(&[3])], [real(&[2]), real(&[4])],
        [real(&[4]), real(&[4])];
    smooth convolve_valid(a, b) = convolve(a, b, Overlap::Valid), [real(&[5]), real(&[3])], [real(&[2]), real(&[4])],
        [real(&[4]), real(&[1])];
    exact convolve_integers(a, b) = convolve(a, b, Overlap::Full), [Ints(-9, 9, &[6]), Ints(-9, 9, &[2])];
    smooth correlate(a, b) = correlate(a, b, Overlap::Valid), [real(&[5]), real(&[3])], [real(&[2]), real(&[4])];
    smooth correlate_same(a, b) = correlate(a, b, Overlap::Same), [real(&[5]), real(&[3])], [real(&[2]), real(&[5])],
        [real(&[4]), real(&[4])], [real(&[3]), real(&[4])];
    smooth correlate_full(a, b) = correlate(a, b, Overlap::Full), [real(&[5]), real(&[3])], [real(&[2]), real(&[4])];
    smooth unwrap(x) = (x * 5.0).unwrap(-1), [real(&[2, 9])], [real(&[1])], [real(&[3, 0])];
    smooth ediff1d(x) = x.ediff1d(), [real(&[2, 3])], [real(&[0])], [Ints(-9, 9, &[5])];
    smooth polyval(p, x) = polyval(p, x), [real(&[4]), real(&[2, 3])], [real(&[1]), real(&[])], [real(&[0]), real(&[2])],
        [Ints(-3, 3, &[3]), Ints(-9, 9, &[4])], [real(&[3]), Edges(&[12])];
    smooth take_along_axis(x, ids) = x.take_along_axis(ids, 1), [real(&[4, 3]), Ints(0, 3, &[4, 2])],
        [real(&[4, 3]), Ints(0, 3, &[1, 5])], [real(&[1, 3]), Ints(0, 3, &[4, 2])], [real(&[4, 3]), Ints(0, 3, &[4, 0])],
        [Ints(-9, 9, &[2, 3, 2]), Ints(0, 3, &[2, 4, 2])], [Edges(&[2, 12]), Ints(0, 12, &[2, 12])];
    smooth take_along_axis_0(x, ids) = x.take_along_axis(ids, 0), [real(&[5]), Ints(0, 5, &[3])],
        [real(&[4, 3]), Ints(0, 4, &[2, 3])];
    exact unravel_index(ids) = unravel_index(ids, [2, 3, 4]), [Ints(0, 24, &[10])], [These(&[-1, -24, -25, 23, 24, 99, -99])],
        [Ints(0, 24, &[0])];
    exact unravel_index_words(ids) = unravel_index(ids, [2, 5]), [Words(&[5])];
    exact ravel_multi_index(i, j) = ravel_multi_index(&[i.clone(), j.clone()], [3, 4]), [Ints(0, 3, &[2, 5]), Ints(0, 4, &[5])],
        [Ints(-2, 6, &[9]), Ints(-9, 9, &[9])], [Words(&[5]), Words(&[5])];
}
