//! Functions of one real variable: roots, exponentials and logarithms, circular and hyperbolic functions with their
//! inverses, the error function.
//!
//! An entry is everything a function needs except its line in the family's table: its documentation, its name and
//! static, its scalar operation, points where it is smooth, and its derivative.

use super::row::{Push, Row};
use super::{ADD, DIV, MUL, NEG, SUB, constant};
use crate::array::{Array, apply};
use gavotte_core::ir::{Params, ScalarOp, Value};

const REAL: [f64; 4] = [0.5, -1.25, 2.0, -0.375];
const POSITIVE: [f64; 4] = [0.5, 1.75, 3.0, 0.125];
const WITHIN_ONE: [f64; 4] = [0.5, -0.75, 0.125, -0.25];
const ABOVE_ONE: [f64; 4] = [1.5, 1.75, 3.0, 2.25];
const ABOVE_MINUS_ONE: [f64; 4] = [0.5, -0.375, 2.0, 0.125];

const fn row(name: &'static str, op: ScalarOp, points: &'static [[f64; 4]], jvp: fn(&Push<'_>) -> Value) -> Row {
    Row { jvp: Some(jvp), ..Row::new(name, op, points) }
}

/// The tangent times the derivative.
fn times(p: &Push<'_>, derivative: &Value) -> Value {
    MUL.of([p.t, derivative])
}

fn literal(p: &Push<'_>, x: f64) -> Value {
    constant(p.t.dtype(), x)
}

/// The tangent divided by `x`.
fn over(p: &Push<'_>, x: &Value) -> Value {
    DIV.of([p.t, x])
}

/// `√((1 - x)(1 + x))`, precise near both ends.
fn chord(p: &Push<'_>) -> Value {
    let (x, one) = (&p.ins[0], literal(p, 1.0));
    SQRT.of([&MUL.of([&SUB.of([&one, x]), &ADD.of([&one, x])])])
}

/// `2 / √π · e^(-x²)`, the derivative of the error function.
fn bell(p: &Push<'_>) -> Value {
    let x = &p.ins[0];
    MUL.of([&literal(p, std::f64::consts::FRAC_2_SQRT_PI), &EXP.of([&NEG.of([&MUL.of([x, x])])])])
}

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident $row:ident = $op:expr, $points:expr, $jvp:expr;)*) => {
        $(
            $(#[$doc])*
            pub(crate) static $row: Row = row(stringify!($name), $op, $points, $jvp);
        )*

        /// Functions of one real variable, element by element.
        impl Array {
            $(
                $(#[$doc])*
                #[track_caller]
                pub fn $name(&self) -> Array {
                    apply(&$row, &[self], Params::new())
                }
            )*
        }
    };
}

functions! {
    /// The square root.
    // d√x = ½ / √x dx
    sqrt SQRT = ScalarOp::Sqrt, &[POSITIVE], |p| times(p, &DIV.of([&literal(p, 0.5), p.out]));

    /// `eˣ`.
    // d(eˣ) = eˣ dx
    exp EXP = ScalarOp::Exp, &[REAL], |p| times(p, p.out);

    /// `eˣ - 1`, precise near zero.
    // d(eˣ - 1) = ((eˣ - 1) + 1) dx
    expm1 EXPM1 = ScalarOp::Expm1, &[REAL], |p| times(p, &ADD.of([p.out, &literal(p, 1.0)]));

    /// The natural logarithm.
    // d(log x) = dx / x
    log LOG = ScalarOp::Log, &[POSITIVE], |p| DIV.of([p.t, &p.ins[0]]);

    /// `log(1 + x)`, precise near zero.
    // d(log(1 + x)) = dx / (1 + x)
    log1p LOG1P = ScalarOp::Log1p, &[ABOVE_MINUS_ONE], |p| DIV.of([p.t, &ADD.of([&p.ins[0], &literal(p, 1.0)])]);

    /// The sine.
    // d(sin x) = cos x dx
    sin SIN = ScalarOp::Sin, &[REAL], |p| times(p, &COS.of([&p.ins[0]]));

    /// The cosine.
    // d(cos x) = -sin x dx
    cos COS = ScalarOp::Cos, &[REAL], |p| times(p, &NEG.of([&SIN.of([&p.ins[0]])]));

    /// The hyperbolic tangent.
    // y = tanh x: dy = (1 - y²) dx
    tanh TANH = ScalarOp::Tanh, &[REAL], |p| times(p, &SUB.of([&literal(p, 1.0), &MUL.of([p.out, p.out])]));

    /// `1 / (1 + e⁻ˣ)`.
    // y = logistic x: dy = y (1 - y) dx
    logistic LOGISTIC = ScalarOp::Logistic, &[REAL], |p| times(p, &MUL.of([p.out, &SUB.of([&literal(p, 1.0), p.out])]));

    /// The cube root, also of negative numbers.
    // y = ∛x: dy = dx / (3 y²)
    cbrt CBRT = ScalarOp::Cbrt, &[REAL], |p| over(p, &MUL.of([&literal(p, 3.0), &MUL.of([p.out, p.out])]));

    /// `2ˣ`.
    // d(2ˣ) = ln 2 · 2ˣ dx
    exp2 EXP2 = ScalarOp::Exp2, &[REAL], |p| times(p, &MUL.of([&literal(p, std::f64::consts::LN_2), p.out]));

    /// The logarithm to base 2.
    // d(log₂ x) = dx / (ln 2 · x)
    log2 LOG2 = ScalarOp::Log2, &[POSITIVE],
        |p| over(p, &MUL.of([&literal(p, std::f64::consts::LN_2), &p.ins[0]]));

    /// The logarithm to base 10.
    // d(log₁₀ x) = dx / (ln 10 · x)
    log10 LOG10 = ScalarOp::Log10, &[POSITIVE],
        |p| over(p, &MUL.of([&literal(p, std::f64::consts::LN_10), &p.ins[0]]));

    /// The tangent.
    // y = tan x: dy = (1 + y²) dx
    tan TAN = ScalarOp::Tan, &[REAL], |p| times(p, &ADD.of([&literal(p, 1.0), &MUL.of([p.out, p.out])]));

    /// The angle from -π/2 to π/2 whose sine is `x`; NaN beyond 1 and -1.
    #[doc(alias = "arcsin")]
    // d(asin x) = dx / √(1 - x²)
    asin ASIN = ScalarOp::Asin, &[WITHIN_ONE], |p| over(p, &chord(p));

    /// The angle from 0 to π whose cosine is `x`; NaN beyond 1 and -1.
    #[doc(alias = "arccos")]
    // d(acos x) = -dx / √(1 - x²)
    acos ACOS = ScalarOp::Acos, &[WITHIN_ONE], |p| NEG.of([&over(p, &chord(p))]);

    /// The angle from -π/2 to π/2 whose tangent is `x`.
    #[doc(alias = "arctan")]
    // d(atan x) = dx / (1 + x²)
    atan ATAN = ScalarOp::Atan, &[REAL],
        |p| over(p, &ADD.of([&literal(p, 1.0), &MUL.of([&p.ins[0], &p.ins[0]])]));

    /// The hyperbolic sine.
    // d(sinh x) = cosh x dx
    sinh SINH = ScalarOp::Sinh, &[REAL], |p| times(p, &COSH.of([&p.ins[0]]));

    /// The hyperbolic cosine.
    // d(cosh x) = sinh x dx
    cosh COSH = ScalarOp::Cosh, &[REAL], |p| times(p, &SINH.of([&p.ins[0]]));

    /// The number whose hyperbolic sine is `x`.
    #[doc(alias = "arcsinh")]
    // d(asinh x) = dx / √(x² + 1)
    asinh ASINH = ScalarOp::Asinh, &[REAL],
        |p| over(p, &SQRT.of([&ADD.of([&MUL.of([&p.ins[0], &p.ins[0]]), &literal(p, 1.0)])]));

    /// The number, 0 or more, whose hyperbolic cosine is `x`; NaN below 1.
    #[doc(alias = "arccosh")]
    // d(acosh x) = dx / √((x - 1)(x + 1)), in two roots, as the product may overflow
    acosh ACOSH = ScalarOp::Acosh, &[ABOVE_ONE], |p| {
        let (x, one) = (&p.ins[0], literal(p, 1.0));
        over(p, &MUL.of([&SQRT.of([&SUB.of([x, &one])]), &SQRT.of([&ADD.of([x, &one])])]))
    };

    /// The number whose hyperbolic tangent is `x`; infinite at 1 and -1, NaN beyond.
    #[doc(alias = "arctanh")]
    // d(atanh x) = dx / ((1 - x)(1 + x))
    atanh ATANH = ScalarOp::Atanh, &[WITHIN_ONE], |p| {
        let (x, one) = (&p.ins[0], literal(p, 1.0));
        over(p, &MUL.of([&SUB.of([&one, x]), &ADD.of([&one, x])]))
    };

    /// The error function `2 / √π · ∫₀ˣ e^(-t²) dt`.
    // d(erf x) = 2 / √π · e^(-x²) dx
    erf ERF = ScalarOp::Erf, &[REAL], |p| times(p, &bell(p));

    /// `1 - erf x`, precise where the difference is small.
    // d(erfc x) = -2 / √π · e^(-x²) dx
    erfc ERFC = ScalarOp::Erfc, &[REAL], |p| NEG.of([&times(p, &bell(p))]);
}
