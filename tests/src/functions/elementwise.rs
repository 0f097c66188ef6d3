//! Elementwise functions of NumPy that are no primitives.

use super::{functions, positive, real};
use crate::functions::Operand::{Between, Bools, Edges, Ints, These, Words};
use gavotte::*;

functions! {
    smooth add(x, y) = add(x, y), [real(&[3, 4]), real(&[4])], [real(&[0, 4]), real(&[4])], [Edges(&[24]), Edges(&[24])];
    smooth subtract(x, y) = subtract(x, y), [real(&[3, 1]), real(&[4])], [Ints(-9, 9, &[7]), Ints(-9, 9, &[7])];
    smooth multiply(x, y) = multiply(x, y), [real(&[3, 1]), real(&[])], [Edges(&[24]), Edges(&[24])];
    smooth divide(x, y) = divide(x, y), [real(&[5]), positive(&[5])], [Edges(&[24]), Edges(&[24])];
    exact equal(x, y) = equal(x, y), [Edges(&[48]), Edges(&[48])], [Ints(-3, 3, &[4, 5]), Ints(-3, 3, &[5])];
    exact not_equal(x, y) = not_equal(x, y), [Edges(&[48]), Edges(&[48])], [Bools(&[9]), Bools(&[9])];
    exact less(x, y) = less(x, y), [Edges(&[48]), Edges(&[48])], [Ints(-3, 3, &[4, 5]), Ints(-3, 3, &[5])];
    exact less_equal(x, y) = less_equal(x, y), [Edges(&[48]), Edges(&[48])], [Words(&[9]), Words(&[9])];
    exact greater(x, y) = greater(x, y), [Edges(&[48]), Edges(&[48])], [Words(&[9]), Words(&[9])];
    exact greater_equal(x, y) = greater_equal(x, y), [Edges(&[48]), Edges(&[48])], [Ints(-3, 3, &[9]), Ints(-3, 3, &[9])];
    smooth negative(x) = x.negative(), [real(&[3])], [Edges(&[12])], [These(&[i32::MIN, i32::MAX, 0, -1])], [Words(&[4])];
    exact bitwise_and(x, y) = bitwise_and(x, y), [Words(&[3, 4]), Words(&[4])], [Bools(&[8]), Bools(&[8])];
    exact bitwise_or(x, y) = bitwise_or(x, y), [Words(&[3, 4]), Words(&[4])], [Ints(-99, 99, &[8]), Ints(-99, 99, &[8])];
    exact bitwise_xor(x, y) = bitwise_xor(x, y), [Words(&[3, 4]), Words(&[4])], [Bools(&[8]), Bools(&[8])];
    exact bitwise_not(x) = x.bitwise_not(), [Words(&[5])], [Ints(-99, 99, &[8])], [Bools(&[8])];
    exact shift_left(x, n) = shift_left(x, n),
        [Ints(-99, 99, &[10]), These(&[0, 1, 5, 31, 32, 33, -1, 100, i32::MIN, 2])];
    exact shift_right(x, n) = shift_right(x, n),
        [Ints(-99, -1, &[10]), These(&[0, 1, 5, 31, 32, 33, -1, 100, i32::MIN, 2])],
        [Ints(1, 9999, &[10]), These(&[0, 1, 5, 31, 32, 33, -1, 100, i32::MIN, 2])], [Words(&[5]), Words(&[5])];
    exact logical_and(x, y) = logical_and(x, y), [Edges(&[48]), Edges(&[48])], [Ints(-1, 2, &[3, 9]), Ints(-1, 2, &[9])];
    exact logical_or(x, y) = logical_or(x, y), [Edges(&[48]), Edges(&[48])], [Bools(&[9]), Bools(&[9])];
    exact logical_xor(x, y) = logical_xor(x, y), [Edges(&[48]), Edges(&[48])], [Ints(-1, 2, &[9]), Ints(-1, 2, &[9])];
    exact logical_not(x) = x.logical_not(), [Edges(&[12])], [Bools(&[9])], [Ints(-1, 2, &[9])], [real(&[0])];
    exact isnan(x) = x.isnan(), [Edges(&[12])], [Ints(-1, 2, &[9])], [real(&[2, 0])];
    exact isinf(x) = x.isinf(), [Edges(&[12])], [Bools(&[9])];
    exact isfinite(x) = x.isfinite(), [Edges(&[12])], [Words(&[9])];
    exact isclose(x, y) = isclose(x, y, 0.2, 0.1), [Edges(&[48]), Edges(&[48])], [real(&[40]), real(&[40])],
        [Ints(0, 9, &[40]), Ints(0, 9, &[40])];
    exact isin(x, among) = isin(x, among), [Edges(&[3, 12]), Edges(&[2, 3])], [Ints(0, 9, &[20]), Ints(0, 9, &[4])],
        [Ints(0, 9, &[5]), Ints(0, 9, &[0])], [real(&[0]), real(&[3])];
    exact count_nonzero(x) = x.count_nonzero(()), [Edges(&[12])], [Ints(-1, 2, &[3, 5])], [Bools(&[0])];
    exact count_nonzero_1(x) = x.count_nonzero(1), [Edges(&[2, 12])], [Bools(&[3, 5])], [real(&[2, 0])];
    smooth floor_divide(x, y) = floor_divide(x, y), [Edges(&[48]), Edges(&[48])], [real(&[3, 8]), real(&[8])],
        [Ints(-20, 20, &[40]), Ints(1, 5, &[40])], [Ints(-20, 20, &[40]), Ints(-5, 0, &[40])], [Words(&[8]), Words(&[8])],
        [Between(1e6, 1e8, &[40]), Between(-3.0, 3.0, &[40])];
    smooth remainder(x, y) = remainder(x, y), [Edges(&[48]), Edges(&[48])], [real(&[3, 8]), real(&[8])],
        [Ints(-20, 20, &[40]), Ints(-5, 5, &[40])], [Words(&[8]), Words(&[8])];
    smooth fmod(x, y) = fmod(x, y), [Edges(&[48]), Edges(&[48])], [real(&[3, 8]), real(&[8])],
        [Ints(-20, 20, &[40]), Ints(-5, 5, &[40])], [Words(&[8]), Words(&[8])];
    smooth reciprocal(x) = x.reciprocal(), [Edges(&[12])], [positive(&[5])], [real(&[0])];
    smooth rsqrt(x) = x.rsqrt(), [Edges(&[12])], [positive(&[5])], [Between(1e-6, 1e-3, &[5])];
    smooth square(x) = x.square(), [Edges(&[12])], [real(&[5])], [Ints(-9, 9, &[5])];
    smooth deg2rad(x) = x.deg2rad(), [Edges(&[12])], [real(&[5])];
    smooth rad2deg(x) = x.rad2deg(), [Edges(&[12])], [real(&[5])];
    smooth sinc(x) = x.sinc(), [Edges(&[12])], [real(&[40])], [Between(-0.2, 0.2, &[9])], [Between(-9.0, 9.0, &[2, 0])];
    exact nan_to_num(x) = x.nan_to_num(), [Edges(&[12])], [Ints(-9, 9, &[5])];
    smooth nan_to_num_smooth(x) = x.nan_to_num(), [real(&[5])];
    smooth heaviside(x, middle) = heaviside(x, middle), [Edges(&[48]), Edges(&[48])], [real(&[3, 4]), real(&[4])];
    smooth copysign(x, y) = copysign(x, y), [Edges(&[48]), Edges(&[48])], [real(&[3, 4]), real(&[4])];
    smooth fmax(x, y) = fmax(x, y), [Edges(&[48]), Edges(&[48])], [real(&[3, 4]), real(&[4])], [Ints(-9, 9, &[9]), Ints(-9, 9, &[9])];
    smooth fmin(x, y) = fmin(x, y), [Edges(&[48]), Edges(&[48])], [real(&[3, 4]), real(&[4])], [Words(&[9]), Words(&[9])];
    smooth modf(x) = x.modf(), [Edges(&[12])], [real(&[9])];
    smooth float_power(x, y) = float_power(x, y), [Edges(&[48]), Edges(&[48])], [positive(&[5]), real(&[5])];
    smooth hypot(x, y) = hypot(x, y), [Edges(&[48]), Edges(&[48])], [real(&[3, 4]), real(&[4])],
        [Between(1e30, 3e30, &[5]), Between(-3e30, 3e30, &[5])], [real(&[]), real(&[5])];
    smooth logaddexp(x, y) = logaddexp(x, y), [Edges(&[48]), Edges(&[48])], [real(&[3, 4]), real(&[4])],
        [Between(-900.0, 900.0, &[9]), Between(-900.0, 900.0, &[9])], [real(&[]), real(&[5])];
    smooth logaddexp2(x, y) = logaddexp2(x, y), [Edges(&[48]), Edges(&[48])], [real(&[3, 4]), real(&[4])],
        [Between(-900.0, 900.0, &[9]), Between(-900.0, 900.0, &[9])];
    exact ldexp(x, n) = ldexp(x, n), [real(&[3, 8]), Ints(-60, 60, &[8])], [Edges(&[12]), Ints(-20, 20, &[12])];
    exact signbit(x) = x.signbit(), [Edges(&[12])], [real(&[3, 4])], [real(&[0])];
    exact nextafter(x, y) = nextafter(x, y), [Edges(&[48]), Edges(&[48])], [real(&[3, 8]), real(&[8])],
        [Between(1e-3, 1e3, &[40]), Between(-1e9, 1e9, &[40])];
    exact bitwise_count(x) = x.bitwise_count(), [Words(&[9])], [Ints(-99, 99, &[9])],
        [These(&[i32::MIN, i32::MAX, 0, -1])];
    exact digitize(x) = digitize(x, &(arange(5, x.dtype()) - 2.0), false), [Edges(&[2, 12])], [real(&[40])], [real(&[0])];
    exact digitize_before(x) = digitize(x, &(arange(5, x.dtype()) - 2.0), true), [Edges(&[12])], [real(&[40])];
    exact digitize_descending(x) = digitize(x, &(2.0 - arange(5, x.dtype())), false), [Edges(&[12])], [real(&[40])];
    exact digitize_descending_before(x) = digitize(x, &(2.0 - arange(5, x.dtype())), true), [Edges(&[12])], [real(&[40])];
    exact digitize_integers(x, edge) = digitize(x, edge, false), [Ints(-3, 3, &[3, 4]), Ints(-1, 1, &[1])],
        [Ints(-3, 3, &[4]), Ints(0, 1, &[0])];
}
