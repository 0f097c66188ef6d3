//! The precompiled loops of scalar operations: one for each operation and element type, compiled for several vector widths.

use super::math;
use crate::aval::DType;
use crate::ir::ScalarOp;

/// Applies an operation to `n` elements: operands, then outputs.
///
/// # Safety
/// Each pointer must be valid for `n` elements of its type, aligned; no output may overlap an operand or another output.
pub(in crate::codegen) type TileFn = unsafe fn(n: usize, ins: &[*const u8; 4], out: *mut u8, out1: *mut u8);

/// Whether the machine has the wider vectors that loops are also compiled for.
pub(super) fn wide() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx2")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Compiles one loop twice, for the least machine and for one with AVX2, and picks at run time.
macro_rules! tile_fn {
    (|$n:ident, $ins:ident, $out:ident, $out1:ident| $body:block) => {{
        #[allow(unused_variables, reason = "few loops have a second output")]
        unsafe fn base($n: usize, $ins: &[*const u8; 4], $out: *mut u8, $out1: *mut u8) {
            // SAFETY: the caller keeps `TileFn`'s contract.
            unsafe { $body }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        #[allow(unused_variables, reason = "few loops have a second output")]
        unsafe fn avx2($n: usize, $ins: &[*const u8; 4], $out: *mut u8, $out1: *mut u8) {
            // SAFETY: the caller keeps `TileFn`'s contract.
            unsafe { $body }
        }
        #[cfg(target_arch = "x86_64")]
        {
            if wide() { avx2 as TileFn } else { base as TileFn }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            base as TileFn
        }
    }};
}

macro_rules! map1 {
    ($a:ty => $o:ty, |$x:ident| $e:expr) => {
        tile_fn!(|n, ins, out, out1| {
            let (a, out) = (ins[0].cast::<$a>(), out.cast::<$o>());
            for i in 0..n {
                let $x = *a.add(i);
                *out.add(i) = $e;
            }
        })
    };
}

macro_rules! map2 {
    ($a:ty => $o:ty, |$x:ident, $y:ident| $e:expr) => {
        tile_fn!(|n, ins, out, out1| {
            let (a, b, out) = (ins[0].cast::<$a>(), ins[1].cast::<$a>(), out.cast::<$o>());
            for i in 0..n {
                let ($x, $y) = (*a.add(i), *b.add(i));
                *out.add(i) = $e;
            }
        })
    };
}

macro_rules! select {
    ($t:ty) => {
        tile_fn!(|n, ins, out, out1| {
            let (which, a, b) = (ins[0].cast::<bool>(), ins[1].cast::<$t>(), ins[2].cast::<$t>());
            let out = out.cast::<$t>();
            for i in 0..n {
                let (x, y) = (*a.add(i), *b.add(i));
                *out.add(i) = if *which.add(i) { y } else { x };
            }
        })
    };
}

macro_rules! convert {
    ($from:ty, $to:expr) => {
        match $to {
            DType::F32 => map1!($from => f32, |x| x as f32),
            DType::F64 => map1!($from => f64, |x| x as f64),
            DType::I32 => map1!($from => i32, |x| x as i32),
            DType::U32 => map1!($from => u32, |x| x as u32),
            DType::Bool => map1!($from => bool, |x| x != (0 as $from)),
        }
    };
}

macro_rules! compare {
    ($op:expr, $t:ty) => {
        match $op {
            ScalarOp::Eq => map2!($t => bool, |x, y| x == y),
            ScalarOp::Ne => map2!($t => bool, |x, y| x != y),
            ScalarOp::Lt => map2!($t => bool, |x, y| x < y),
            ScalarOp::Le => map2!($t => bool, |x, y| x <= y),
            ScalarOp::Gt => map2!($t => bool, |x, y| x > y),
            ScalarOp::Ge => map2!($t => bool, |x, y| x >= y),
            _ => return None,
        }
    };
}

macro_rules! float {
    ($op:expr, $t:ident, $exp:path, $expm1:path, $logistic:path) => {
        match $op {
            ScalarOp::Add => map2!($t => $t, |x, y| x + y),
            ScalarOp::Sub => map2!($t => $t, |x, y| x - y),
            ScalarOp::Mul => map2!($t => $t, |x, y| x * y),
            ScalarOp::Div => map2!($t => $t, |x, y| x / y),
            ScalarOp::Rem => map2!($t => $t, |x, y| x % y),
            // A NaN on either side gives NaN, as in lax.
            ScalarOp::Max => map2!($t => $t, |x, y| if x > y || x.is_nan() { x } else { y }),
            ScalarOp::Min => map2!($t => $t, |x, y| if x < y || x.is_nan() { x } else { y }),
            ScalarOp::Pow => map2!($t => $t, |x, y| x.powf(y)),
            ScalarOp::Neg => map1!($t => $t, |x| -x),
            ScalarOp::Abs => map1!($t => $t, |x| x.abs()),
            ScalarOp::Sign => map1!($t => $t, |x| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x }),
            ScalarOp::Floor => map1!($t => $t, |x| x.floor()),
            ScalarOp::Sqrt => map1!($t => $t, |x| x.sqrt()),
            ScalarOp::Exp => map1!($t => $t, |x| $exp(x)),
            ScalarOp::Expm1 => map1!($t => $t, |x| $expm1(x)),
            ScalarOp::Log => map1!($t => $t, |x| x.ln()),
            ScalarOp::Log1p => map1!($t => $t, |x| x.ln_1p()),
            ScalarOp::Sin => map1!($t => $t, |x| x.sin()),
            ScalarOp::Cos => map1!($t => $t, |x| x.cos()),
            ScalarOp::Tanh => map1!($t => $t, |x| x.tanh()),
            ScalarOp::Logistic => map1!($t => $t, |x| $logistic(x)),
            ScalarOp::Select => select!($t),
            ScalarOp::Convert(to) => convert!($t, to),
            ScalarOp::Bitcast(_) => return None,
            other => compare!(other, $t),
        }
    };
}

macro_rules! int {
    ($op:expr, $t:ident, $abs:expr, $sign:expr) => {
        match $op {
            ScalarOp::Add => map2!($t => $t, |x, y| x.wrapping_add(y)),
            ScalarOp::Sub => map2!($t => $t, |x, y| x.wrapping_sub(y)),
            ScalarOp::Mul => map2!($t => $t, |x, y| x.wrapping_mul(y)),
            ScalarOp::Div => map2!($t => $t, |x, y| if y == 0 { 0 } else { x.wrapping_div(y) }),
            ScalarOp::Rem => map2!($t => $t, |x, y| if y == 0 { x } else { x.wrapping_rem(y) }),
            ScalarOp::Max => map2!($t => $t, |x, y| x.max(y)),
            ScalarOp::Min => map2!($t => $t, |x, y| x.min(y)),
            ScalarOp::Neg => map1!($t => $t, |x| x.wrapping_neg()),
            ScalarOp::Abs => map1!($t => $t, |x| $abs(x)),
            ScalarOp::Sign => map1!($t => $t, |x| $sign(x)),
            ScalarOp::And => map2!($t => $t, |x, y| x & y),
            ScalarOp::Or => map2!($t => $t, |x, y| x | y),
            ScalarOp::Xor => map2!($t => $t, |x, y| x ^ y),
            ScalarOp::Not => map1!($t => $t, |x| !x),
            ScalarOp::Shl => map2!($t => $t, |x, y| x.checked_shl(y as u32).unwrap_or(0)),
            ScalarOp::Shr => map2!($t => $t, |x, y| (x as u32).checked_shr(y as u32).unwrap_or(0) as $t),
            ScalarOp::Select => select!($t),
            ScalarOp::Convert(to) => convert!($t, to),
            other => compare!(other, $t),
        }
    };
}

/// The loop of an operation on operands of this type (for `Select` that of the choices, for others of the first
/// operand). `None` where the operation does not exist for the type.
pub(in crate::codegen) fn tile_fn(op: ScalarOp, dtype: DType) -> Option<TileFn> {
    Some(match (op, dtype) {
        (ScalarOp::Bitcast(to), from) if from.size() == 4 && to.size() == 4 => map1!(u32 => u32, |x| x),
        (ScalarOp::Bitcast(to), from) if from == to && from == DType::F64 => map1!(u64 => u64, |x| x),
        (ScalarOp::Bitcast(_), _) => return None,
        (ScalarOp::Threefry0, DType::U32) => tile_fn!(|n, ins, out, out1| {
            let [k0, k1, x0, x1] = ins.map(|p| std::slice::from_raw_parts(p.cast::<u32>(), n));
            let (out, out1) = (out.cast::<u32>(), out1.cast::<u32>());
            let (out, out1) = (std::slice::from_raw_parts_mut(out, n), std::slice::from_raw_parts_mut(out1, n));
            threefry_all(k0, k1, x0, x1, out, out1);
        }),
        (op, DType::F32) => float!(op, f32, math::exp, math::expm1, math::logistic),
        (op, DType::F64) => float!(op, f64, f64::exp, f64::exp_m1, logistic64),
        (op, DType::I32) => int!(op, i32, i32::wrapping_abs, i32::signum),
        (op, DType::U32) => int!(op, u32, std::convert::identity, |x: u32| u32::from(x > 0)),
        (op, DType::Bool) => match op {
            ScalarOp::And | ScalarOp::Mul | ScalarOp::Min => map2!(bool => bool, |x, y| x & y),
            ScalarOp::Or | ScalarOp::Max => map2!(bool => bool, |x, y| x | y),
            ScalarOp::Xor => map2!(bool => bool, |x, y| x ^ y),
            ScalarOp::Not => map1!(bool => bool, |x| !x),
            ScalarOp::Select => select!(bool),
            ScalarOp::Convert(DType::Bool) => map1!(bool => bool, |x| x),
            ScalarOp::Convert(DType::F32) => map1!(bool => f32, |x| x as u8 as f32),
            ScalarOp::Convert(DType::F64) => map1!(bool => f64, |x| x as u8 as f64),
            ScalarOp::Convert(DType::I32) => map1!(bool => i32, |x| x as i32),
            ScalarOp::Convert(DType::U32) => map1!(bool => u32, |x| x as u32),
            other => compare!(other, bool),
        },
    })
}

/// As a function of slices, which are known not to overlap: the compiler makes vector code of it.
#[inline(always)]
fn threefry_all(k0: &[u32], k1: &[u32], x0: &[u32], x1: &[u32], out: &mut [u32], out1: &mut [u32]) {
    let n = out.len();
    let (k0, k1, x0, x1, out1) = (&k0[..n], &k1[..n], &x0[..n], &x1[..n], &mut out1[..n]);
    for i in 0..n {
        (out[i], out1[i]) = math::threefry(k0[i], k1[i], x0[i], x1[i]);
    }
}

fn logistic64(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
