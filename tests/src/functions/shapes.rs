//! Diagonals, ranges and grids, repeated and reordered arrays, joins.

use super::{functions, positive, real};
use crate::functions::Operand::{Between, Bools, Edges, Ints, Words};
use gavotte::*;

functions! {
    exact tri(_x) = tri(3, 5, 1, DType::F32), [Ints(0, 1, &[1])];
    exact tri_below(_x) = tri(4, 2, -2, DType::I32), [Ints(0, 1, &[1])];
    smooth tril(x) = x.tril(0), [real(&[3, 4])], [real(&[2, 3, 3])], [Edges(&[3, 4])], [real(&[0, 3])], [Bools(&[3, 3])];
    smooth tril_1(x) = x.tril(1), [Words(&[4, 3])], [real(&[2, 4])];
    smooth triu(x) = x.triu(0), [real(&[3, 4])], [real(&[2, 3, 3])], [Edges(&[3, 4])], [real(&[3, 0])], [Ints(-9, 9, &[3, 3])];
    smooth triu_below(x) = x.triu(-1), [real(&[4, 3])], [real(&[2, 4])];
    smooth diag(x) = x.diag(0), [real(&[4])], [real(&[0])], [real(&[3, 4])], [real(&[4, 2])], [Edges(&[12])],
        [Edges(&[3, 4])], [Ints(-9, 9, &[3])], [Bools(&[3, 3])];
    smooth diag_2(x) = x.diag(2), [real(&[4])], [real(&[0])], [real(&[3, 4])], [real(&[4, 2])], [real(&[1, 5])];
    smooth diag_below(x) = x.diag(-2), [real(&[4])], [real(&[3, 4])], [real(&[4, 2])], [real(&[2, 5])], [real(&[5, 1])];
    smooth diagonal(x) = x.diagonal(0, 0, 1), [real(&[3, 4])], [real(&[3, 2, 2])], [real(&[0, 3])], [real(&[3, 0])];
    smooth diagonal_swapped(x) = x.diagonal(1, -1, 0), [real(&[3, 2, 4])], [Ints(-9, 9, &[4, 4])], [real(&[2, 0, 2])];
    smooth trace(x) = x.trace(0, 0, 1), [real(&[3, 4])], [Edges(&[12, 2])], [Ints(-9, 9, &[3, 3])], [real(&[0, 2])];
    smooth trace_below(x) = x.trace(-1, 0, 2), [real(&[3, 2, 4])], [Words(&[3, 2, 3])];
    smooth vander(x) = x.vander(4), [real(&[3])], [real(&[0])], [Ints(-9, 9, &[3])];
    exact vander_edges(x) = x.vander(3).flip(1), [Edges(&[12])];
    smooth linspace(a, b) = linspace(a, b, 5), [real(&[]), real(&[])], [real(&[3]), real(&[])], [real(&[2, 1]), real(&[3])];
    smooth linspace_one(a, b) = linspace(a, b, 1), [real(&[]), real(&[])], [real(&[0]), real(&[0])];
    exact linspace_zero(a, b) = linspace(a, b, 0), [real(&[2]), real(&[])];
    smooth logspace(a, b) = logspace(a, b, 5, 3.0), [real(&[]), real(&[])], [real(&[3]), real(&[])];
    smooth logspace_base(a, b, base) = logspace(a, b, 3, base), [real(&[]), real(&[]), positive(&[])];
    smooth geomspace(a, b) = geomspace(a, b, 5), [positive(&[]), positive(&[])], [positive(&[3]), positive(&[])],
        [Between(-3.0, -0.1, &[4]), Between(-9.0, -0.1, &[])];
    smooth geomspace_one(a, b) = geomspace(a, b, 1), [positive(&[]), positive(&[])];
    exact full_like(x) = full_like(x, 3), [real(&[2, 3])], [Ints(0, 1, &[3])], [Words(&[0])];
    smooth meshgrid(x, y) = meshgrid(&[x.clone(), y.clone()], Indexing::Xy), [real(&[3]), real(&[2])],
        [Ints(-9, 9, &[3]), real(&[0])];
    smooth meshgrid_ij(x, y, z) = meshgrid(&[x.clone(), y.clone(), z.clone()], Indexing::Ij),
        [real(&[3]), real(&[2]), real(&[1])];
    smooth meshgrid_one(x) = meshgrid(std::slice::from_ref(x), Indexing::Xy), [real(&[3])];
    smooth repeat(x) = x.repeat(3, 1), [real(&[2, 3])], [real(&[2, 0])], [Bools(&[2, 2])], [Edges(&[3, 4])];
    smooth repeat_first(x) = x.repeat(2, 0), [real(&[3])], [Words(&[2, 3, 2])];
    exact repeat_never(x) = x.repeat(0, 0), [real(&[3])];
    smooth repeat_by(x) = x.repeat_by(&[2, 0, 3], -1), [real(&[2, 3])], [Ints(-9, 9, &[3])], [Bools(&[0, 3])];
    exact repeat_by_none(x) = x.repeat_by(&[0, 0, 0], 0), [real(&[3, 2])];
    smooth tile(x) = x.tile([2, 3]), [real(&[2, 3])], [real(&[3])], [real(&[])], [real(&[4, 2, 3])], [Ints(-9, 9, &[0, 2])];
    smooth roll(x) = x.roll(2, 1), [real(&[2, 5])], [real(&[2, 0])], [Ints(-9, 9, &[2, 1])], [real(&[2, 2])];
    smooth roll_back(x) = x.roll(-7, 0), [real(&[3, 2])], [real(&[5])], [Bools(&[4])];
    smooth flip(x) = x.flip(()), [real(&[2, 3])], [real(&[0, 2])], [Edges(&[12])], [Words(&[5])], [real(&[])];
    smooth flip_1(x) = x.flip(1), [real(&[2, 3])], [Bools(&[2, 3, 2])];
    smooth rot90(x) = x.rot90(1, 0, 1), [real(&[2, 3])], [Ints(-9, 9, &[2, 3, 2])], [real(&[0, 2])];
    smooth rot90_twice(x) = x.rot90(-2, 1, 0), [real(&[2, 3])];
    smooth rot90_back(x) = x.rot90(3, 2, 0), [real(&[2, 3, 4])];
    smooth ravel(x) = x.ravel(), [real(&[2, 3])], [real(&[])], [Words(&[0, 3])];
    smooth hstack(x, y) = hstack(&[x.clone(), y.clone()]), [real(&[2, 3]), real(&[2, 1])], [real(&[2]), real(&[3])],
        [real(&[]), real(&[])], [Ints(-9, 9, &[2, 0, 2]), Ints(-9, 9, &[2, 1, 2])];
    smooth vstack(x, y) = vstack(&[x.clone(), y.clone()]), [real(&[2, 3]), real(&[3])], [real(&[]), real(&[])],
        [Words(&[0, 2]), Words(&[3, 2])];
    smooth column_stack(x, y) = column_stack(&[x.clone(), y.clone()]), [real(&[3]), real(&[3, 2])],
        [Ints(-9, 9, &[3]), Ints(-9, 9, &[3])];
    smooth array_split(x) = x.array_split(3, 0), [real(&[7])], [real(&[6, 2])], [real(&[2])], [Ints(-9, 9, &[0])];
    smooth array_split_1(x) = x.array_split(2, -1), [real(&[2, 5])];
    smooth block(x, y, z) = block(&[vec![x.clone(), y.clone()], vec![z.clone()]]), [real(&[2, 3]), real(&[2, 1]), real(&[1, 4])],
        [real(&[2]), real(&[]), real(&[3])], [Ints(-9, 9, &[0, 1]), Ints(-9, 9, &[0, 1]), Ints(-9, 9, &[2, 2])];
    exact bartlett(_x) = bartlett(6, DType::F64), [Ints(0, 1, &[1])];
    exact hanning(_x) = hanning(6, DType::F64), [Ints(0, 1, &[1])];
    exact hamming(_x) = hamming(1, DType::F64), [Ints(0, 1, &[1])];
    exact hamming_long(_x) = hamming(7, DType::F64), [Ints(0, 1, &[1])];
    exact blackman(_x) = blackman(6, DType::F64), [Ints(0, 1, &[1])];
    exact blackman_none(_x) = blackman(0, DType::F64), [Ints(0, 1, &[1])];
    smooth delete(x) = x.delete(1, 1), [real(&[2, 3])], [Ints(-9, 9, &[2, 2])], [real(&[0, 2])];
    smooth insert(x, y) = x.insert(1, y, -1), [real(&[2, 3]), real(&[2, 2])], [Words(&[2, 1]), Words(&[2, 1])];
    smooth dynamic_slice(x, i, j) = x.dynamic_slice(&[i.reshape([0i64; 0]), j.reshape([0i64; 0])], [2, 3]),
        [real(&[4, 5]), Ints(-7, 7, &[1]), Ints(-7, 7, &[1])], [real(&[2, 7]), Ints(-7, 7, &[1]), Ints(-7, 7, &[1])],
        [Ints(-9, 9, &[4, 3]), Ints(-7, 7, &[1]), Ints(-7, 7, &[1])];
    smooth dynamic_update_slice(x, y, i, j) = x.dynamic_update_slice(y, &[i.reshape([0i64; 0]), j.reshape([0i64; 0])]),
        [real(&[4, 5]), real(&[2, 3]), Ints(-7, 7, &[1]), Ints(-7, 7, &[1])],
        [real(&[4, 5]), real(&[4, 1]), Ints(-7, 7, &[1]), Ints(-7, 7, &[1])],
        [real(&[4, 5]), real(&[0, 3]), Ints(-7, 7, &[1]), Ints(-7, 7, &[1])];
}
