//! The results of one scalar operation, written from the documentation of [`ScalarOp`] alone.

use gavotte_core::aval::{DType, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::ir::scalar::{Accuracy, Form, Formula, Function, ScalarElement};
use gavotte_core::ir::{Params, ScalarOp};

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
        Form::Function(_) | Form::Threefry(_) => op.row().takes.holds(dtype),
        Form::Comparison(_) | Form::Select | Form::Convert(_) => true,
        Form::Bitcast(to) => dtype.size() == 4 && to.size() == 4,
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
        let shift =
            |shifted: fn(u32, u32) -> u32| if (y() as u32) < 32 { shifted(x as u32, y() as u32) as $t } else { 0 };
        match $op {
            ScalarOp::Add => Literal::$v(x.wrapping_add(y())),
            ScalarOp::Sub => Literal::$v(x.wrapping_sub(y())),
            ScalarOp::Mul => Literal::$v(x.wrapping_mul(y())),
            ScalarOp::Div => Literal::$v(if y() == 0 { 0 } else { x.wrapping_div(y()) }),
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
            ScalarOp::PopulationCount => Literal::$v((0..32).filter(|i| x as u32 >> i & 1 == 1).count() as $t),
            ScalarOp::Clz => Literal::$v((0..32).rev().take_while(|i| x as u32 >> i == 0).count() as $t),
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
        (ScalarOp::Convert(DType::U32), I32(x)) => U32(x as u32),
        (ScalarOp::Convert(DType::I32), U32(x)) => I32(x as i32),
        (ScalarOp::Convert(to), x) if x.dtype() == to => x,
        // `f64` holds every element: one rounding, one saturation.
        (ScalarOp::Convert(to), x) => Literal::from_f64(to, x.as_f64()),
        (ScalarOp::Bitcast(to), x) => match (to, x.bits() as u32) {
            (DType::F32, bits) => F32(f32::from_bits(bits)),
            (DType::I32, bits) => I32(bits as i32),
            (DType::U32, bits) => U32(bits),
            (to, _) => unreachable!("bitcast to {to}"),
        },
        (ScalarOp::Threefry0 | ScalarOp::Threefry1, _) => {
            let words: Vec<u32> = ins.iter().map(|x| x.bits() as u32).collect();
            U32(threefry([words[0], words[1]], [words[2], words[3]])[usize::from(op == ScalarOp::Threefry1)])
        }
        (op, F32(_)) => float!(op, ins, F32, f32, |x| if let F32(x) = x { x } else { unreachable!("{op:?}") }),
        (op, F64(_)) => float!(op, ins, F64, f64, Literal::as_f64),
        (op, I32(_)) => int!(op, ins, I32, i32, |x: Literal| x.bits() as i32, i32::wrapping_abs, i32::signum),
        (op, U32(_)) => int!(op, ins, U32, u32, |x: Literal| x.bits() as u32, |x| x, |x: u32| x.min(1)),
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
    }
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
    prim.eval(&arrays.iter().collect::<Vec<_>>(), &params)[result].get(0)
}

/// Numbers that are special to operations.
pub fn special(dtype: DType) -> Vec<Literal> {
    match dtype {
        DType::F32 | DType::F64 => {
            let largest = if dtype == DType::F32 { f64::from(f32::MAX) } else { f64::MAX };
            let least = if dtype == DType::F32 { 1e-45 } else { 5e-324 };
            let ends = [f64::NAN, f64::INFINITY, largest, least, 1e-38];
            let numbers = [0.0, 1.0, 0.5, 2.0, 3.0, 2.5, 31.0, 1e-3, 87.5, 104.0, 1e10, 4e9, 3e9];
            let all = ends.into_iter().chain(numbers).flat_map(|x| [x, -x]);
            all.map(|x| Literal::from_f64(dtype, x)).collect()
        }
        DType::I32 | DType::U32 => {
            let all = [0, 1, 2, 3, 7, 31, 32, 33, 64, i32::MAX, i32::MIN, i32::MIN + 1, -1, -2, -32, 0x1234_5678];
            all.map(|x| if dtype == DType::I32 { Literal::I32(x) } else { Literal::U32(x as u32) }).to_vec()
        }
        DType::Bool => vec![Literal::Bool(false), Literal::Bool(true)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation but threefry, with every pair of special numbers, against its primitive.
    #[test]
    fn operations_are_those_of_the_primitives() {
        let mut n = 0;
        for dtype in DType::ALL {
            let numbers = special(dtype);
            let conversions = DType::ALL.into_iter().flat_map(|to| [ScalarOp::Convert(to), ScalarOp::Bitcast(to)]);
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
