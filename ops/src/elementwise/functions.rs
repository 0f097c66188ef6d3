//! Functions of one real variable: `sqrt exp expm1 log log1p sin cos tanh logistic`.
//!
//! An entry is everything a function needs except its line in the family's table: its documentation, its name and
//! static, its scalar operation, points where it is smooth, and its derivative.

use super::row::{Push, Row};
use super::{ADD, DIV, MUL, NEG, SUB, constant};
use crate::array::{Array, apply};
use gavotte_core::ir::{Params, ScalarOp, Value};

const REAL: [f64; 4] = [0.5, -1.25, 2.0, -0.375];
const POSITIVE: [f64; 4] = [0.5, 1.75, 3.0, 0.125];
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
}
