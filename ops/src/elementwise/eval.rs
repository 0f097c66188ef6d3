//! Scalar operations on host arrays: what each operation means, for every element type that has it.

use super::threefry2x32;
use gavotte_core::aval::DType;
use gavotte_core::device::{Data, Elements, HostArray, HostElement};
use gavotte_core::ir::ScalarOp;
use gavotte_core::with_data;

/// What the arithmetic operations do to one element type; `None` where it does not have the operation.
trait Element: HostElement {
    fn unary(op: ScalarOp) -> Option<fn(Self) -> Self>;
    fn binary(op: ScalarOp) -> Option<fn(Self, Self) -> Self>;
}

macro_rules! floats {
    ($($t:ident),*) => { $(impl Element for $t {
        fn unary(op: ScalarOp) -> Option<fn($t) -> $t> {
            Some(match op {
                ScalarOp::Neg => |x| -x,
                ScalarOp::Abs => $t::abs,
                // The sign of zero is that zero, of NaN NaN.
                ScalarOp::Sign => |x| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x },
                ScalarOp::Floor => $t::floor,
                ScalarOp::Sqrt => $t::sqrt,
                ScalarOp::Exp => $t::exp,
                ScalarOp::Expm1 => $t::exp_m1,
                ScalarOp::Log => $t::ln,
                ScalarOp::Log1p => $t::ln_1p,
                ScalarOp::Sin => $t::sin,
                ScalarOp::Cos => $t::cos,
                ScalarOp::Tanh => $t::tanh,
                ScalarOp::Logistic => |x| 1.0 / (1.0 + (-x).exp()),
                _ => return None,
            })
        }
        fn binary(op: ScalarOp) -> Option<fn($t, $t) -> $t> {
            Some(match op {
                ScalarOp::Add => |a, b| a + b,
                ScalarOp::Sub => |a, b| a - b,
                ScalarOp::Mul => |a, b| a * b,
                ScalarOp::Div => |a, b| a / b,
                ScalarOp::Rem => |a, b| a % b,
                ScalarOp::Pow => $t::powf,
                // NaN where either is, unlike Rust's `max` and `min`.
                ScalarOp::Max => |a, b| if a.is_nan() || a > b { a } else { b },
                ScalarOp::Min => |a, b| if a.is_nan() || a < b { a } else { b },
                _ => return None,
            })
        }
    })* };
}
floats!(f32, f64);

macro_rules! ints {
    ($($t:ident: $abs:expr, $sign:expr;)*) => { $(impl Element for $t {
        fn unary(op: ScalarOp) -> Option<fn($t) -> $t> {
            Some(match op {
                ScalarOp::Neg => $t::wrapping_neg,
                ScalarOp::Abs => $abs,
                ScalarOp::Sign => $sign,
                ScalarOp::Not => |x| !x,
                _ => return None,
            })
        }
        fn binary(op: ScalarOp) -> Option<fn($t, $t) -> $t> {
            Some(match op {
                ScalarOp::Add => $t::wrapping_add,
                ScalarOp::Sub => $t::wrapping_sub,
                ScalarOp::Mul => $t::wrapping_mul,
                ScalarOp::Div => |a, b| if b == 0 { 0 } else { a.wrapping_div(b) },
                ScalarOp::Rem => |a, b| if b == 0 { a } else { a.wrapping_rem(b) },
                ScalarOp::Max => |a, b| a.max(b),
                ScalarOp::Min => |a, b| a.min(b),
                ScalarOp::And => |a, b| a & b,
                ScalarOp::Or => |a, b| a | b,
                ScalarOp::Xor => |a, b| a ^ b,
                // A negative distance is a large one.
                ScalarOp::Shl => |a, b| (a as u32).checked_shl(b as u32).unwrap_or(0) as $t,
                ScalarOp::Shr => |a, b| (a as u32).checked_shr(b as u32).unwrap_or(0) as $t,
                _ => return None,
            })
        }
    })* };
}
ints! {
    i32: i32::wrapping_abs, i32::signum;
    u32: |x| x, |x| x.min(1);
}

impl Element for bool {
    fn unary(op: ScalarOp) -> Option<fn(bool) -> bool> {
        (op == ScalarOp::Not).then_some(|x| !x)
    }
    fn binary(op: ScalarOp) -> Option<fn(bool, bool) -> bool> {
        Some(match op {
            ScalarOp::And => |a, b| a & b,
            ScalarOp::Or => |a, b| a | b,
            ScalarOp::Xor => |a, b| a ^ b,
            _ => return None,
        })
    }
}

/// Comparisons; all but `ne` are false where either is NaN.
fn compare<T: PartialOrd>(op: ScalarOp) -> Option<fn(&T, &T) -> bool> {
    Some(match op {
        ScalarOp::Eq => T::eq,
        ScalarOp::Ne => T::ne,
        ScalarOp::Lt => T::lt,
        ScalarOp::Le => T::le,
        ScalarOp::Gt => T::gt,
        ScalarOp::Ge => T::ge,
        _ => return None,
    })
}

/// The element at a place; a scalar counts for every place.
fn at<T: Copy>(xs: &[T], i: usize) -> T {
    if xs.len() == 1 { xs[0] } else { xs[i] }
}

/// One operation on arrays of one shape and scalars, whose element types `abstract_eval` has admitted.
pub(super) fn eval(op: ScalarOp, ins: &[&HostArray]) -> HostArray {
    let shape = ins.iter().find(|array| !array.shape().is_empty()).map_or_else(Default::default, |array| array.shape());
    let n = shape.iter().product();
    let data = match (op, ins) {
        (ScalarOp::Convert(dtype), [x]) => convert(x, dtype),
        (ScalarOp::Bitcast(dtype), [x]) => bitcast(x, dtype),
        (ScalarOp::Select, [which, x, _]) => with_data!(x.data(), xs => select(which.as_slice(), xs, ins[2], n)),
        (ScalarOp::Threefry0, _) => Data::U32(threefry(ins, n, 0)),
        (ScalarOp::Threefry1, _) => Data::U32(threefry(ins, n, 1)),
        (_, [x]) => with_data!(x.data(), xs => unary(op, xs)),
        (_, [a, b]) => with_data!(a.data(), xs => binary(op, xs, b.as_slice(), n)),
        _ => unreachable!("abstract_eval counts operands"),
    };
    HostArray::from_data(&shape, data)
}

fn unary<T: Element>(op: ScalarOp, xs: &[T]) -> Data {
    let Some(f) = T::unary(op) else { unreachable!("abstract_eval refuses {op:?} of {}", T::DTYPE) };
    T::wrap(xs.iter().map(|x| f(*x)).collect())
}

fn binary<T: Element>(op: ScalarOp, a: &[T], b: &[T], n: usize) -> Data {
    if let Some(f) = compare::<T>(op) {
        return Data::Bool((0..n).map(|i| f(&at(a, i), &at(b, i))).collect());
    }
    let Some(f) = T::binary(op) else { unreachable!("abstract_eval refuses {op:?} of {}", T::DTYPE) };
    T::wrap((0..n).map(|i| f(at(a, i), at(b, i))).collect())
}

fn select<T: HostElement>(which: &[bool], when_false: &[T], when_true: &HostArray, n: usize) -> Data {
    let when_true = when_true.as_slice();
    T::wrap((0..n).map(|i| if at(which, i) { at(when_true, i) } else { at(when_false, i) }).collect())
}

fn threefry(ins: &[&HostArray], n: usize, word: usize) -> Elements<u32> {
    let [k0, k1, x0, x1] = [0, 1, 2, 3].map(|i| ins[i].as_slice::<u32>());
    (0..n).map(|i| threefry2x32([at(k0, i), at(k1, i)], [at(x0, i), at(x1, i)])[word]).collect()
}

/// As Rust's `as` converts; to `bool` is `x != 0`.
fn convert(x: &HostArray, dtype: DType) -> Data {
    match (x.data(), dtype) {
        // Between integers the bits stay; everything else goes through f64, which holds every element exactly.
        (Data::I32(_), DType::U32) | (Data::U32(_), DType::I32) => bitcast(x, dtype),
        (data, dtype) if x.dtype() == dtype => data.clone(),
        _ => {
            let doubles = (0..x.len()).map(|i| x.get(i).as_f64());
            match dtype {
                DType::F32 => Data::F32(doubles.map(|x| x as f32).collect()),
                DType::F64 => Data::F64(doubles.collect()),
                DType::I32 => Data::I32(doubles.map(|x| x as i32).collect()),
                DType::U32 => Data::U32(doubles.map(|x| x as u32).collect()),
                DType::Bool => Data::Bool(doubles.map(|x| x != 0.0).collect()),
            }
        }
    }
}

/// The same bits as another type of the same width.
fn bitcast(x: &HostArray, dtype: DType) -> Data {
    if x.dtype() == dtype {
        return x.data().clone();
    }
    let words = (0..x.len()).map(|i| x.get(i).bits() as u32);
    match dtype {
        DType::F32 => Data::F32(words.map(f32::from_bits).collect()),
        DType::I32 => Data::I32(words.map(|x| x as i32).collect()),
        DType::U32 => Data::U32(words.collect()),
        DType::F64 | DType::Bool => unreachable!("abstract_eval admits no other type of that width"),
    }
}
