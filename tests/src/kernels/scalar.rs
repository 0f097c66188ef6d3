//! The results of one scalar operation, written from the documentation of [`ScalarOp`] alone.

use gavotte_core::aval::{DType, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::ir::scalar::{Accuracy, Form, Formula, Function, ScalarElement};
use gavotte_core::ir::{Params, ScalarOp, eval_primitive};

/// How many units in the last place a result may be off; `None` for operations that are exact or correctly rounded.
pub fn ulps(op: ScalarOp) -> Option<f64> {
    match op.form() {
        Form::Function(Function { accuracy: Accuracy::Within(ulps), .. }) => Some(*ulps),
        Form::Function(Function { accuracy: Accuracy::Rounded, .. })
        | Form::Comparison(_)
        | Form::Select
        | Form::Convert(_)
        | Form::Bitcast(_)
        | Form::Threefry(_) => None,
    }
}

/// Whether an operation exists for operands of this type (for `select`: the type of the choices).
pub fn exists(op: ScalarOp, dtype: DType) -> bool {
    match op.form() {
        Form::Function(_) | Form::Threefry(_) => op.row().takes.holds(dtype) && !dtype.is_narrow(),
        Form::Comparison(_) => !dtype.is_narrow(),
        Form::Select => true,
        Form::Convert(to) => to == dtype || ScalarOp::conversions(dtype, to).count() == 1,
        Form::Bitcast(to) => dtype.size() == to.size() && (to == dtype || ![dtype, to].contains(&DType::Bool)),
    }
}

macro_rules! float {
    ($op:expr, $ins:expr, $v:ident, $t:ty, $of:expr) => {{
        let of = $of;
        let x: $t = of($ins[0]);
        let y = || -> $t { of($ins[1]) };
        match $op {
            ScalarOp::Add => Literal::$v(x + y()),
            ScalarOp::Sub => Literal::$v(x - y()),
            ScalarOp::Mul => Literal::$v(x * y()),
            ScalarOp::Div => Literal::$v(x / y()),
            ScalarOp::Rem => Literal::$v(x % y()),
            // Of equal numbers, such as the zeros, the second.
            ScalarOp::Max => Literal::$v(if x.is_nan() || x > y() { x } else { y() }),
            ScalarOp::Min => Literal::$v(if x.is_nan() || x < y() { x } else { y() }),
            ScalarOp::Neg => Literal::$v(-x),
            ScalarOp::Abs => Literal::$v(x.abs()),
            ScalarOp::Sign => Literal::$v(if x == 0.0 || x.is_nan() { x } else { <$t>::signum(x) }),
            ScalarOp::Floor => Literal::$v(x.floor()),
            ScalarOp::Ceil => Literal::$v(-(-x).floor()),
            ScalarOp::Trunc => Literal::$v(x.abs().floor().copysign(x)),
            // Halves: twice the nearest whole number to the half.
            ScalarOp::Round => {
                Literal::$v(if (x - x.trunc()).abs() == 0.5 { 2.0 * (x / 2.0).round() } else { x.round() })
            }
            ScalarOp::Sqrt => Literal::$v(x.sqrt()),
            ScalarOp::Eq => Literal::Bool(x == y()),
            ScalarOp::Ne => Literal::Bool(x != y()),
            ScalarOp::Lt => Literal::Bool(x < y()),
            ScalarOp::Le => Literal::Bool(x <= y()),
            ScalarOp::Gt => Literal::Bool(x > y()),
            ScalarOp::Ge => Literal::Bool(x >= y()),
            // The number of the type nearest to the result in `f64`.
            op => Literal::$v(inexact(op, $ins) as $t),
        }
    }};
}

macro_rules! int {
    ($op:expr, $ins:expr, $v:ident, $t:ty, $of:expr, $abs:expr, $sign:expr) => {{
        let of = $of;
        let x: $t = of($ins[0]);
        let y = || -> $t { of($ins[1]) };
        let width = <$t>::BITS;
        let shift = |shifted: fn(u64, u64) -> u64| match $ins[1].bits() {
            by if by < width.into() => shifted($ins[0].bits(), by) as $t,
            _ => 0,
        };
        match $op {
            ScalarOp::Add => Literal::$v(x.wrapping_add(y())),
            ScalarOp::Sub => Literal::$v(x.wrapping_sub(y())),
            ScalarOp::Mul => Literal::$v(x.wrapping_mul(y())),
            ScalarOp::Div => Literal::$v(if y() == 0 { !0 } else { x.wrapping_div(y()) }),
            ScalarOp::Rem => Literal::$v(if y() == 0 { x } else { x.wrapping_rem(y()) }),
            ScalarOp::Max => Literal::$v(x.max(y())),
            ScalarOp::Min => Literal::$v(x.min(y())),
            ScalarOp::Neg => Literal::$v(x.wrapping_neg()),
            ScalarOp::Abs => Literal::$v($abs(x)),
            ScalarOp::Sign => Literal::$v($sign(x)),
            ScalarOp::And => Literal::$v(x & y()),
            ScalarOp::Or => Literal::$v(x | y()),
            ScalarOp::Xor => Literal::$v(x ^ y()),
            ScalarOp::Not => Literal::$v(!x),
            ScalarOp::PopulationCount => Literal::$v((0..width).filter(|i| x >> i & 1 == 1).count() as $t),
            ScalarOp::Clz => Literal::$v((0..width).rev().take_while(|i| $ins[0].bits() >> i == 0).count() as $t),
            ScalarOp::Shl => Literal::$v(shift(|x, y| x << y)),
            ScalarOp::Shr => Literal::$v(shift(|x, y| x >> y)),
            ScalarOp::Eq => Literal::Bool(x == y()),
            ScalarOp::Ne => Literal::Bool(x != y()),
            ScalarOp::Lt => Literal::Bool(x < y()),
            ScalarOp::Le => Literal::Bool(x <= y()),
            ScalarOp::Gt => Literal::Bool(x > y()),
            ScalarOp::Ge => Literal::Bool(x >= y()),
            op => unreachable!("{op:?} of integers"),
        }
    }};
}

/// A function that no target computes exactly, in `f64`. The oldest are defined here once more; the others are compared
/// with XLA and JAX elsewhere, and use the table's formula here.
pub(super) fn inexact(op: ScalarOp, ins: &[Literal]) -> f64 {
    let x = ins[0].as_f64();
    match (op, op.form()) {
        (ScalarOp::Exp, _) => x.exp(),
        (ScalarOp::Expm1, _) => x.exp_m1(),
        (ScalarOp::Log, _) => x.ln(),
        (ScalarOp::Log1p, _) => x.ln_1p(),
        (ScalarOp::Sin, _) => x.sin(),
        (ScalarOp::Cos, _) => x.cos(),
        (ScalarOp::Tanh, _) => x.tanh(),
        (ScalarOp::Logistic, _) => 1.0 / (1.0 + (-x).exp()),
        (ScalarOp::Pow, _) => x.powf(ins[1].as_f64()),
        (_, Form::Function(function)) => match f64::formula(function) {
            Some(Formula::Unary(f)) => f(x),
            Some(Formula::Binary(f)) => f(x, ins[1].as_f64()),
            None => unreachable!("{op:?} of floats"),
        },
        (op, _) => unreachable!("{op:?} of floats"),
    }
}

/// The result of an operation that [`exists`].
///
/// # Panics
/// If it does not.
pub fn apply(op: ScalarOp, ins: &[Literal]) -> Literal {
    use Literal::*;
    match (op, ins[0]) {
        (ScalarOp::Select, Bool(which)) => ins[if which { 2 } else { 1 }],
        (ScalarOp::Convert(to), x) if x.dtype() == to => x,
        (ScalarOp::Convert(to), x) => converted(x, to),
        (ScalarOp::Bitcast(to), x) => Literal::from_bits(to, x.bits()),
        (ScalarOp::Threefry0 | ScalarOp::Threefry1, _) => {
            let words: Vec<u32> = ins.iter().map(|x| x.bits() as u32).collect();
            U32(threefry([words[0], words[1]], [words[2], words[3]])[usize::from(op == ScalarOp::Threefry1)])
        }
        (op, F32(_)) => float!(op, ins, F32, f32, |x| if let F32(x) = x { x } else { unreachable!("{op:?}") }),
        (op, F64(_)) => float!(op, ins, F64, f64, Literal::as_f64),
        (op, I32(_)) => int!(op, ins, I32, i32, |x: Literal| x.bits() as i32, i32::wrapping_abs, i32::signum),
        (op, U32(_)) => int!(op, ins, U32, u32, |x: Literal| x.bits() as u32, |x| x, |x: u32| x.min(1)),
        (op, I64(_)) => int!(op, ins, I64, i64, |x: Literal| x.bits() as i64, i64::wrapping_abs, i64::signum),
        (op, U64(_)) => int!(op, ins, U64, u64, |x: Literal| x.bits(), |x| x, |x: u64| x.min(1)),
        (op, Bool(x)) => {
            let y = || ins[1] == Bool(true);
            Bool(match op {
                ScalarOp::And => x & y(),
                ScalarOp::Or => x | y(),
                ScalarOp::Xor | ScalarOp::Ne => x ^ y(),
                ScalarOp::Not => !x,
                ScalarOp::Eq => x == y(),
                ScalarOp::Lt => !x & y(),
                ScalarOp::Le => !x | y(),
                ScalarOp::Gt => x & !y(),
                ScalarOp::Ge => x | !y(),
                op => unreachable!("{op:?} of bool"),
            })
        }
        (op, x) => unreachable!("{op:?} of {}", x.dtype()),
    }
}

/// A conversion, by the rule: integers to integers keep their low bits, floats to integers saturate, everything else is
/// the nearest number. A 128-bit integer is exact, and so is an `f64` of any element but an integer of 64 bits.
fn converted(x: Literal, to: DType) -> Literal {
    match (x.as_i128(), to.is_int()) {
        (Some(x), true) => Literal::from_bits(to, x as u64),
        (None, true) => {
            let (bits, x) = (8 * to.size() as u32, x.as_f64());
            let (low, high) = if to.is_signed() { (-(1i128 << (bits - 1)), 1 << (bits - 1)) } else { (0, 1 << bits) };
            // A float to `i128` saturates far out, and NaN is 0.
            Literal::from_bits(to, (x as i128).clamp(low, high - 1) as u64)
        }
        (Some(x), false) if to != DType::Bool => nearest(x, to),
        _ => Literal::from_f64(to, x.as_f64()),
    }
}

/// The number of a floating type that is nearest to an integer: of two, the one with an even last bit.
fn nearest(x: i128, to: DType) -> Literal {
    let near = Literal::from_f64(to, x as f64);
    if near.as_f64().is_infinite() {
        return near;
    }
    let one = |step: i64| Literal::from_bits(to, (near.bits() as i64 + step) as u64);
    let distance = |y: &Literal| match y.as_f64() {
        y if y.is_finite() => (y as i128 - x).unsigned_abs(),
        _ => u128::MAX,
    };
    let all = [near, one(1), if near.as_f64() == 0.0 { near } else { one(-1) }];
    all.into_iter().min_by_key(|y| (distance(y), y.bits() & 1)).unwrap_or(near)
}

/// Source: Salmon et al., *Parallel random numbers: as easy as 1, 2, 3* (SC 2011), section 4.3.
fn threefry(key: [u32; 2], mut x: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
    let keys = [key[0], key[1], key[0] ^ key[1] ^ 0x1bd1_1bda];
    for round in 0..=20 {
        if round % 4 == 0 {
            let n = round / 4;
            x[0] = x[0].wrapping_add(keys[n % 3]);
            x[1] = x[1].wrapping_add(keys[(n + 1) % 3]).wrapping_add(n as u32);
        }
        if round < 20 {
            x[0] = x[0].wrapping_add(x[1]);
            x[1] = x[1].rotate_left(ROTATIONS[round % 8]) ^ x[0];
        }
    }
    x
}

/// A scalar operation, evaluated by the corresponding primitive.
pub fn evaluated(op: ScalarOp, ins: &[Literal]) -> Literal {
    let to = |dtype: DType| Params::new().with("dtype", dtype);
    let (name, params, result) = match op {
        ScalarOp::Select => ("select_n", Params::new(), 0),
        ScalarOp::Convert(dtype) => ("convert_element_type", to(dtype), 0),
        ScalarOp::Bitcast(dtype) => ("bitcast_convert_type", to(dtype), 0),
        ScalarOp::Shr => ("shift_right_logical", Params::new(), 0),
        ScalarOp::Threefry0 => ("threefry2x32", Params::new(), 0),
        ScalarOp::Threefry1 => ("threefry2x32", Params::new(), 1),
        _ => (op.name(), Params::new(), 0),
    };
    let prim = gavotte::registry().get(name).unwrap_or_else(|| panic!("no primitive is called {name}"));
    let arrays: Vec<HostArray> = ins.iter().map(|literal| HostArray::scalar(*literal)).collect();
    eval_primitive(prim, &arrays.iter().collect::<Vec<_>>(), &params)[result].get(0)
}

/// Numbers that are special to operations.
pub fn special(dtype: DType) -> Vec<Literal> {
    match dtype {
        dtype if dtype.is_float() => {
            let infinity = Literal::from_f64(dtype, f64::INFINITY).bits();
            let largest = Literal::from_bits(dtype, infinity - 1).as_f64();
            let least = Literal::from_bits(dtype, 1).as_f64();
            let ends = [f64::NAN, f64::INFINITY, largest, least, 1e-38];
            let numbers = [0.0, 1.0, 0.5, 2.0, 3.0, 2.5, 31.0, 1e-3, 87.5, 104.0, 1e10, 4e9, 3e9];
            let all = ends.into_iter().chain(numbers).flat_map(|x| [x, -x]);
            all.map(|x| Literal::from_f64(dtype, x)).collect()
        }
        DType::Bool => vec![Literal::Bool(false), Literal::Bool(true)],
        dtype => {
            let least = -1i64 << (8 * dtype.size() - 1);
            let all = [0, 1, 2, 3, 7, 31, 32, 33, 64, !least, least, least + 1, -1, -2, -32, 0x1234_5678];
            let beyond = [0x7fff_ffff_ffff_fc00, 0x0123_4567_89ab_cdef, 1 << 32];
            all.into_iter().chain(beyond).map(|x| Literal::I64(x).convert(dtype)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation but threefry, with every pair of special numbers, against its primitive.
    #[test]
    fn operations_are_those_of_the_primitives() {
        let mut n = 0;
        for &dtype in DType::ALL {
            let numbers = special(dtype);
            let conversions = DType::ALL.iter().copied().flat_map(|to| [ScalarOp::Convert(to), ScalarOp::Bitcast(to)]);
            for op in ScalarOp::ALL.into_iter().filter(|op| op.arity() < 4).chain(conversions) {
                if !exists(op, dtype) {
                    continue;
                }
                for (x, y) in numbers.iter().flat_map(|x| numbers.iter().map(move |y| (*x, *y))) {
                    let which = Literal::Bool(n % 2 == 0);
                    let ins = match op.arity() {
                        1 => vec![x],
                        2 => vec![x, y],
                        _ => vec![which, x, y],
                    };
                    n += 1;
                    let (found, wanted) = (apply(op, &ins), evaluated(op, &ins));
                    let (a, b) = (found.as_f64(), wanted.as_f64());
                    let is_close = match ulps(op) {
                        _ if a.is_nan() && b.is_nan() => true,
                        None => found == wanted,
                        Some(_) => a == b || (a - b).abs() <= 1e-6 * b.abs() + 1e-37,
                    };
                    assert!(is_close && found.dtype() == wanted.dtype(), "{op:?} {ins:?}: {found}, not {wanted}");
                }
            }
        }
        assert!(n > 20_000, "only {n} results");
    }

    #[test]
    fn threefry_is_that_of_the_primitive() {
        let numbers = special(DType::U32);
        for i in 0..numbers.len() {
            let ins: Vec<Literal> = (0..4).map(|k| numbers[(i * (k + 1) + k) % numbers.len()]).collect();
            for op in [ScalarOp::Threefry0, ScalarOp::Threefry1] {
                assert_eq!(apply(op, &ins), evaluated(op, &ins));
            }
        }
    }
}
