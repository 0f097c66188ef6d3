//! Floating-point numbers. What the device approximates is computed in double precision and rounded once.

use super::{Entry, Rounding, lanes, map1, map2, map3, rounding};
use crate::ptx::Type;

/// The entry of a floating-point operation.
pub(super) fn entry(name: &str, ty: Type) -> Option<Entry> {
    match ty {
        Type::F32 => single(name).or_else(|| single_directed(name)),
        Type::F64 => double(name).or_else(|| double_directed(name)),
        _ => None,
    }
}

/// Operations that single and double precision have in common.
macro_rules! common {
    ($name:expr, $t:ty) => {
        Some(match $name {
            "add" => lanes!(|a: $t, b: $t| a + b),
            "sub" => lanes!(|a: $t, b: $t| a - b),
            "mul" => lanes!(|a: $t, b: $t| a * b),
            "fma" | "mad" => lanes!(|a: $t, b: $t, c: $t| a.mul_add(b, c)),
            "div" => lanes!(|a: $t, b: $t| a / b),
            "rcp" => lanes!(|a: $t| 1.0 / a),
            "sqrt" => lanes!(|a: $t| a.sqrt()),
            "abs" => lanes!(|a: $t| a.abs()),
            "neg" => lanes!(|a: $t| -a),
            // The sign of the first, the rest of the second.
            "copysign" => lanes!(|a: $t, b: $t| b.copysign(a)),
            "min" => lanes!(|a: $t, b: $t| choose(a, b, a < b || a == b && a.is_sign_negative())),
            "max" => lanes!(|a: $t, b: $t| choose(a, b, a > b || a == b && a.is_sign_positive())),
            "min.NaN" => lanes!(|a: $t, b: $t| choose_number(a, b, a < b || a == b && a.is_sign_negative())),
            "max.NaN" => lanes!(|a: $t, b: $t| choose_number(a, b, a > b || a == b && a.is_sign_positive())),
            "testp.finite" => lanes!(|a: $t| a.is_finite()),
            "testp.infinite" => lanes!(|a: $t| a.is_infinite()),
            "testp.number" => lanes!(|a: $t| !a.is_nan()),
            "testp.notanumber" => lanes!(|a: $t| a.is_nan()),
            "testp.normal" => lanes!(|a: $t| a.is_normal()),
            "testp.subnormal" => lanes!(|a: $t| a.is_subnormal()),
            // What `.ftz` does to operands and results, as a separate step.
            "flush" => lanes!(|a: $t| if a.is_subnormal() { <$t>::from_bits(0).copysign(a) } else { a }),
            _ => return None,
        })
    };
}

fn single(name: &str) -> Option<Entry> {
    Some(match name {
        "rsqrt" => lanes!(|a: f32| f64::from(a).sqrt().recip() as f32),
        "ex2" => lanes!(|a: f32| f64::from(a).exp2() as f32),
        "lg2" => lanes!(|a: f32| f64::from(a).log2() as f32),
        "sin" => lanes!(|a: f32| f64::from(a).sin() as f32),
        "cos" => lanes!(|a: f32| f64::from(a).cos() as f32),
        "tanh" => lanes!(|a: f32| f64::from(a).tanh() as f32),
        // What `.sat` does to a result, as a separate step: NaN becomes zero.
        "saturate" => lanes!(|a: f32| if a > 0.0 { a.min(1.0) } else { 0.0 }),
        _ => return common!(name, f32),
    })
}

fn double(name: &str) -> Option<Entry> {
    Some(match name {
        "rsqrt" => lanes!(|a: f64| a.sqrt().recip()),
        _ => return common!(name, f64),
    })
}

/// Choosing between operands. NaN is not chosen if either is a number.
trait Choose: Copy + PartialEq {
    const NAN: Self;
}

impl Choose for f32 {
    // The device's NaN.
    const NAN: f32 = f32::from_bits(0x7fff_ffff);
}

impl Choose for f64 {
    const NAN: f64 = f64::from_bits(0x7fff_ffff_ffff_ffff);
}

fn is_nan<T: PartialEq>(x: T) -> bool {
    x.ne(&x)
}

fn choose<T: Choose>(a: T, b: T, is_first: bool) -> T {
    match (is_nan(a), is_nan(b)) {
        (true, true) => T::NAN,
        (true, false) => b,
        (false, true) => a,
        _ => {
            if is_first {
                a
            } else {
                b
            }
        }
    }
}

fn choose_number<T: Choose>(a: T, b: T, is_first: bool) -> T {
    match is_nan(a) || is_nan(b) {
        true => T::NAN,
        false => {
            if is_first {
                a
            } else {
                b
            }
        }
    }
}

/// Rows for one rounding direction.
macro_rules! sided {
    ($name:expr, $t:ty, $side:expr, $add:path, $mul:path, $fma:path, $div:path, $sqrt:path) => {
        match $name {
            "add" => lanes!(|a: $t, b: $t| $add(a, b, $side)),
            "sub" => lanes!(|a: $t, b: $t| $add(a, -b, $side)),
            "mul" => lanes!(|a: $t, b: $t| $mul(a, b, $side)),
            "fma" => lanes!(|a: $t, b: $t, c: $t| $fma(a, b, c, $side)),
            "div" => lanes!(|a: $t, b: $t| $div(a, b, $side)),
            "rcp" => lanes!(|a: $t| $div(1.0, a, $side)),
            "sqrt" => lanes!(|a: $t| $sqrt(a, $side)),
            _ => return None,
        }
    };
}

/// Rows for all rounding modes but nearest, which is not part of names.
macro_rules! directed {
    ($name:expr, $t:ty, $($f:path),*) => {{
        let (name, side) = $name.rsplit_once('.')?;
        Some(match side {
            "rz" => sided!(name, $t, Rounding::Zero, $($f),*),
            "rm" => sided!(name, $t, Rounding::Down, $($f),*),
            "rp" => sided!(name, $t, Rounding::Up, $($f),*),
            _ => return None,
        })
    }};
}

fn single_directed(name: &str) -> Option<Entry> {
    use rounding::{add32, div32, fma32, mul32, sqrt32};
    directed!(name, f32, add32, mul32, fma32, div32, sqrt32)
}

fn double_directed(name: &str) -> Option<Entry> {
    use rounding::{add, div, fma, mul, sqrt};
    directed!(name, f64, add, mul, fma, div, sqrt)
}

#[cfg(test)]
mod tests {
    use crate::arith::eval;
    use crate::ptx::Type::{F32, F64};

    fn f32(name: &str, operands: &[f32]) -> f32 {
        let bits: Vec<u64> = operands.iter().map(|x| x.to_bits().into()).collect();
        f32::from_bits(eval(name, F32, &bits) as u32)
    }

    fn f64(name: &str, operands: &[f64]) -> f64 {
        let bits: Vec<u64> = operands.iter().map(|x| x.to_bits()).collect();
        f64::from_bits(eval(name, F64, &bits))
    }

    #[test]
    fn fma_rounds_once() {
        // (1 + e)(1 - e) - 1 = -e², which a rounded product would lose.
        let e = 2f32.powi(-13);
        assert_eq!(f32("fma", &[1.0 + e, 1.0 - e, -1.0]), -(e * e));
        let e = 2f64.powi(-30);
        assert_eq!(f64("fma", &[1.0 + e, 1.0 - e, -1.0]), -(e * e));
        assert_eq!(f32("fma.rm", &[1.0, 1e-30, 1.0]), 1.0);
        assert_eq!(f32("fma.rp", &[1.0, 1e-30, 1.0]), 1.0f32.next_up());
    }

    #[test]
    fn numbers_win_over_nan() {
        assert_eq!(f32("max", &[f32::NAN, 1.0]), 1.0);
        assert_eq!(f32("min", &[1.0, f32::NAN]), 1.0);
        assert_eq!(f32("min", &[f32::NAN, f32::NAN]).to_bits(), 0x7fff_ffff);
        assert!(f32("max.NaN", &[f32::NAN, 1.0]).is_nan());
        assert_eq!(f64("max.NaN", &[2.0, 1.0]), 2.0);
        for order in [[0.0, -0.0], [-0.0, 0.0]] {
            assert!(f32("min", &order).is_sign_negative());
            assert!(f32("max", &order).is_sign_positive());
        }
    }

    #[test]
    fn the_sign_is_of_the_first() {
        assert_eq!(f32("copysign", &[-1.0, 3.0]), -3.0);
        assert_eq!(f64("copysign", &[1.0, -3.0]), 3.0);
    }

    #[test]
    fn steps_of_modifiers() {
        assert_eq!(f32("flush", &[-1e-40]).to_bits(), 1 << 31);
        assert_eq!(f32("flush", &[1e-30]), 1e-30);
        assert_eq!(f32("saturate", &[f32::NAN]).to_bits(), 0);
        assert_eq!([f32("saturate", &[-1.0]), f32("saturate", &[0.5]), f32("saturate", &[7.0])], [0.0, 0.5, 1.0]);
    }

    #[test]
    fn approximations_are_exact() {
        assert_eq!(f32("ex2", &[0.5]), std::f64::consts::SQRT_2 as f32);
        assert_eq!(f32("lg2", &[8.0]), 3.0);
        assert_eq!(f32("rsqrt", &[0.25]), 2.0);
        assert_eq!(f32("sin", &[1.0]), 1f64.sin() as f32);
        assert_eq!(f32("tanh", &[1.0]), 1f64.tanh() as f32);
        assert_eq!(f64("rcp", &[4.0]), 0.25);
        assert_eq!(f64("rsqrt", &[4.0]), 0.5);
    }
}
