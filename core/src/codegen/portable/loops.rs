//! The precompiled loops of scalar operations: one for each operation and element type, compiled for several vector widths.

use crate::aval::{DType, Element, FromLiteral, Literal};
use crate::ir::ScalarOp;
use crate::ir::scalar::{CodeOrCall, CodeOrCall::*, Comparison, FloatCode, Form, IntCode, math, scalar_table};
use half::{bf16, f16};

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

/// Compiles one loop twice, for the baseline machine and for one with AVX2, and picks one at run time; just once if it is
/// not `vectorised`.
macro_rules! tile_fn {
    (|$n:ident, $ins:ident, $out:ident, $out1:ident| $body:block) => {
        tile_fn!(vectorised true, |$n, $ins, $out, $out1| $body)
    };
    (vectorised $vectorised:expr, |$n:ident, $ins:ident, $out:ident, $out1:ident| $body:block) => {{
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
            // What a constant condition excludes is not compiled.
            if const { $vectorised } {
                if wide() { avx2 as TileFn } else { base as TileFn }
            } else {
                base as TileFn
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            base as TileFn
        }
    }};
}

/// A loop of one formula over one or two operands.
macro_rules! map {
    ($operands:tt $a:ty => $o:ty, $e:expr) => {
        map!(vectorised true, $operands $a => $o, $e)
    };
    (vectorised $vectorised:expr, ($x:ident) $a:ty => $o:ty, $e:expr) => {
        tile_fn!(vectorised $vectorised, |n, ins, out, out1| {
            let (a, out) = (ins[0].cast::<$a>(), out.cast::<$o>());
            for i in 0..n {
                let $x = *a.add(i);
                *out.add(i) = $e;
            }
        })
    };
    (vectorised $vectorised:expr, ($x:ident, $y:ident) $a:ty => $o:ty, $e:expr) => {
        tile_fn!(vectorised $vectorised, |n, ins, out, out1| {
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

/// Returns the loop that converts from one of these types to another, each with the formula of its line.
macro_rules! conversions {
    ($from:expr, $to:expr; $($vectorised:literal |$x:ident| $a:ident => $($o:ident)*: $e:expr;)*) => {
        $($(
            if ($from, $to) == (<$a as Element>::DTYPE, <$o as Element>::DTYPE) {
                #[allow(dead_code, reason = "some formulas name no type")]
                type Out = $o;
                return Some(map!(vectorised $vectorised, ($x) $a => $o, $e));
            }
        )*)*
    };
}

/// The loop of a conversion; `None` for those that [`ScalarOp::conversions`] takes apart.
fn convert_loop(from: DType, to: DType) -> Option<TileFn> {
    conversions! { from, to;
        true |x| f32 => f64 i32 u32: x as Out;
        true |x| f64 => f32 i32 u32: x as Out;
        true |x| i32 => f32 f64 u32: x as Out;
        true |x| u32 => f32 f64 i32: x as Out;
        true |x| bool => i32 u32: x as Out;
        true |x| bool => f32 f64: x as u8 as Out;
        true |x| f32 => bool: x != 0.0;
        true |x| f64 => bool: x != 0.0;
        true |x| i32 => bool: x != 0;
        true |x| u32 => bool: x != 0;
        false |x| f32 => i64 u64 i8 i16 u8 u16: x as Out;
        false |x| f64 => i64 u64 i8 i16 u8 u16: x as Out;
        false |x| i32 => i64 u64 i8 i16: x as Out;
        false |x| u32 => i64 u64 u8 u16: x as Out;
        false |x| i64 => f32 f64 i32 u32 u64: x as Out;
        false |x| u64 => f32 f64 i32 u32 i64: x as Out;
        false |x| bool => i64 u64: x as Out;
        false |x| i64 => bool: x != 0;
        false |x| u64 => bool: x != 0;
        false |x| i8 => i32: x.into();
        false |x| i16 => i32: x.into();
        false |x| u8 => u32: x.into();
        false |x| u16 => u32: x.into();
        false |x| f16 => f32: x.into();
        false |x| bf16 => f32: x.into();
        false |x| f32 => f16 bf16: Out::from_f32(x);
        false |x| f64 => f16 bf16: Out::from_literal(Literal::F64(x));
        false |x| i64 => f16 bf16: Out::from_literal(Literal::I64(x));
        false |x| u64 => f16 bf16: Out::from_literal(Literal::U64(x));
    }
    None
}

/// The loop that copies elements of this size.
fn copy_loop(size: usize) -> TileFn {
    match size {
        1 => map!(vectorised false, (x) u8 => u8, x),
        2 => map!(vectorised false, (x) u16 => u16, x),
        4 => map!((x) u32 => u32, x),
        _ => map!((x) u64 => u64, x),
    }
}

macro_rules! compare {
    ($how:expr, $t:ty) => {
        match $how {
            Comparison::Eq => map!((x, y) $t => bool, x == y),
            Comparison::Ne => map!((x, y) $t => bool, x != y),
            Comparison::Lt => map!((x, y) $t => bool, x < y),
            Comparison::Le => map!((x, y) $t => bool, x <= y),
            Comparison::Gt => map!((x, y) $t => bool, x > y),
            Comparison::Ge => map!((x, y) $t => bool, x >= y),
        }
    };
}

/// The expansion of `$e` for the element type `dtype`.
macro_rules! of_type {
    ($dtype:expr, |$t:ident| $e:expr) => {
        match $dtype {
            DType::F32 => of_type!(f32, $t, $e),
            DType::F64 => of_type!(f64, $t, $e),
            DType::I32 => of_type!(i32, $t, $e),
            DType::U32 => of_type!(u32, $t, $e),
            DType::I64 => of_type!(i64, $t, $e),
            DType::U64 => of_type!(u64, $t, $e),
            DType::Bool => of_type!(bool, $t, $e),
            // They are compared as wider ones.
            DType::F16 | DType::BF16 | DType::I8 | DType::I16 | DType::U8 | DType::U16 => return None,
        }
    };
    ($own:ty, $t:ident, $e:expr) => {{
        type $t = $own;
        $e
    }};
}

/// The formula of a loop: that of the row's line, or the loop's own.
macro_rules! formula {
    ($value:expr) => {
        $value
    };
    ($value:expr, $own:expr) => {
        $own
    };
}

/// Whether machine code has vector code for the function of a line.
macro_rules! is_code {
    (bool, $machine:expr) => {
        true
    };
    (f32, $machine:expr) => {
        CodeOrCall::<FloatCode>::is_code(&$machine)
    };
    (f64, $machine:expr) => {
        CodeOrCall::<FloatCode>::is_code(&$machine)
    };
    ($integer:ident, $machine:expr) => {
        CodeOrCall::<IntCode>::is_code(&$machine)
    };
}

/// Compiles a loop for each line of the table's functions. One without vector code calls the mathematical library, or
/// divides integers, element by element.
macro_rules! function_loops {
    (
        functions { $(
            $(#[$doc:meta])*
            $op:ident $operands:tt = $name:literal {
                takes $takes:ident, costs $cost:literal $counts:ident, accuracy $accuracy:expr, stablehlo $hlo:expr;
                $($t:ident: $value:expr, $(loop $own:expr,)? cuda $cuda:expr, machine $machine:expr;)*
            }
        )* }
        forms { $($forms:tt)* }
    ) => {
        /// The loop of a function on operands of this type; `None` for other forms, and if the type does not have the
        /// function.
        fn function_loop(op: ScalarOp, dtype: DType) -> Option<TileFn> {
            $($(
                if op == ScalarOp::$op && dtype == <$t as Element>::DTYPE {
                    return Some(map!(vectorised is_code!($t, $machine), $operands $t => $t, formula!($value $(, $own)?)));
                }
            )*)*
            None
        }
    };
}
scalar_table!(function_loops);

/// The loop of an operation on operands of this type (for `Select` that of the choices, for others that of the first
/// operand). `None` if the operation does not exist for the type.
pub(in crate::codegen) fn tile_fn(op: ScalarOp, dtype: DType) -> Option<TileFn> {
    Some(match (op.form(), dtype) {
        (Form::Function(_), dtype) => return function_loop(op, dtype),
        (Form::Comparison(how), dtype) => of_type!(dtype, |T| compare!(how, T)),
        (Form::Select, dtype) => match dtype.size() {
            1 => select!(u8),
            2 => select!(u16),
            4 => select!(u32),
            _ => select!(u64),
        },
        (Form::Convert(to), from) if to == from => copy_loop(to.size()),
        (Form::Convert(to), from) => return convert_loop(from, to),
        (Form::Bitcast(to), from) if from.size() == to.size() => copy_loop(to.size()),
        (Form::Bitcast(_), _) => return None,
        // One block yields both words.
        (Form::Threefry(_), DType::U32) => tile_fn!(|n, ins, out, out1| {
            let [k0, k1, x0, x1] = ins.map(|p| std::slice::from_raw_parts(p.cast::<u32>(), n));
            let (out, out1) = (out.cast::<u32>(), out1.cast::<u32>());
            let (out, out1) = (std::slice::from_raw_parts_mut(out, n), std::slice::from_raw_parts_mut(out1, n));
            threefry_all(k0, k1, x0, x1, out, out1);
        }),
        (Form::Threefry(_), _) => return None,
    })
}

/// A function of slices, which are known not to overlap: so the compiler vectorises it.
#[inline(always)]
fn threefry_all(k0: &[u32], k1: &[u32], x0: &[u32], x1: &[u32], out: &mut [u32], out1: &mut [u32]) {
    let n = out.len();
    let (k0, k1, x0, x1, out1) = (&k0[..n], &k1[..n], &x0[..n], &x1[..n], &mut out1[..n]);
    for i in 0..n {
        (out[i], out1[i]) = math::threefry(k0[i], k1[i], x0[i], x1[i]);
    }
}
