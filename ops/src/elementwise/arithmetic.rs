//! Arithmetic: `add sub mul div rem max min pow atan2 neg abs sign floor ceil round trunc`.

use super::functions::LOG;
use super::row::{Push, Row, equal_operands, is};
use super::{EQ, GT, LT, constant, select_n, stands};
use gavotte_core::ir::{Params, Rewrite, RewriteRule, ScalarOp, Simplify, Value};

/// Floats of both signs, away from zero and from each other.
pub(super) const A: [f64; 4] = [1.5, -2.25, 0.75, 3.5];
pub(super) const B: [f64; 4] = [-0.5, 1.25, 2.0, -1.75];
const POSITIVE: [f64; 4] = [0.5, 1.75, 2.5, 0.25];

/// `a + b`.
// d(a + b) = da + db
pub(crate) static ADD: Row = Row {
    jvp: Some(|p| p.t.clone()),
    transpose: Some(|p| p.ct.clone()),
    rewrites: &[
        RewriteRule {
            name: "add-minus-zero",
            law: "x + -0 = -0 + x = x where x has the result's shape; not for a float's +0: -0 + +0 = +0",
            apply: |cx| {
                let zero = [(0, 1), (1, 0)].into_iter().find(|(x, zero)| is(cx, *zero, -0.0) && stands(cx, *x));
                zero.map(|(x, _)| Rewrite::Operand(x))
            },
        },
        RewriteRule {
            name: "add-of-neg",
            law: "a + -b = -b + a = a - b: subtracting is adding the negative, rounded once either way",
            apply: |cx| {
                let (x, neg) = [(0, 1), (1, 0)].into_iter().find_map(|(x, i)| Some((x, negated(cx, i)?)))?;
                Some(Rewrite::Eqn(&SUB, vec![cx.eqn.ins[x], neg], Params::new()))
            },
        },
    ],
    ..Row::new("add", ScalarOp::Add, &[A, B])
};

/// The operand of the negation that an operand is, if it is one.
fn negated(cx: &Simplify<'_>, operand: usize) -> Option<gavotte_core::ir::Atom> {
    cx.definition_by(operand, &NEG).map(|eqn| eqn.ins[0])
}

/// `a - b`.
// d(a - b) = da - db
pub(crate) static SUB: Row = Row {
    jvp: Some(|p| if p.i == 0 { p.t.clone() } else { NEG.of([p.t]) }),
    transpose: Some(|p| if p.i == 0 { p.ct.clone() } else { NEG.of([p.ct]) }),
    rewrites: &[
        RewriteRule {
            name: "sub-zero",
            law: "x - 0 = x where x has the result's shape; not for a float's -0: -0 - -0 = +0",
            apply: |cx| (is(cx, 1, 0.0) && stands(cx, 0)).then_some(Rewrite::Operand(0)),
        },
        RewriteRule {
            name: "sub-of-neg",
            law: "a - -b = a + b: subtracting is adding the negative, rounded once either way",
            apply: |cx| negated(cx, 1).map(|b| Rewrite::Eqn(&ADD, vec![cx.eqn.ins[0], b], Params::new())),
        },
    ],
    ..Row::new("sub", ScalarOp::Sub, &[A, B])
};

/// `a * b`.
// d(a b) = da b + a db
pub(crate) static MUL: Row = Row {
    jvp: Some(|p| MUL.of([p.t, &p.ins[1 - p.i]])),
    transpose: Some(|p| MUL.of([p.ct, p.other()])),
    // Not x * 0 = 0: it is NaN where x is NaN or infinite.
    rewrites: &[RewriteRule {
        name: "mul-one",
        law: "x * 1 = 1 * x = x where x has the result's shape",
        apply: |cx| {
            let one = [(0, 1), (1, 0)].into_iter().find(|(x, one)| is(cx, *one, 1.0) && stands(cx, *x));
            one.map(|(x, _)| Rewrite::Operand(x))
        },
    }],
    ..Row::new("mul", ScalarOp::Mul, &[A, B])
};

/// `a / b`.
// d(a / b) = da / b - (a / b) / b db
pub(crate) static DIV: Row = Row {
    jvp: Some(|p| match p.i {
        0 => DIV.of([p.t, &p.ins[1]]),
        _ => MUL.of([p.t, &NEG.of([&DIV.of([p.out, &p.ins[1]])])]),
    }),
    transpose: Some(|p| DIV.of([p.ct, p.other()])),
    rewrites: &[RewriteRule { name: "div-one", law: "x / 1 = x where x has the result's shape", apply: second_is_one }],
    ..Row::new("div", ScalarOp::Div, &[A, B])
};

/// The remainder with the sign of `a`.
// a rem b = a - b trunc(a / b), and trunc is constant almost everywhere
pub(crate) static REM: Row = Row {
    jvp: Some(|p| match p.i {
        0 => p.t.clone(),
        _ => {
            let q = DIV.of([&p.ins[0], &p.ins[1]]);
            let trunc = MUL.of([&SIGN.of([&q]), &FLOOR.of([&ABS.of([&q])])]);
            MUL.of([p.t, &NEG.of([&trunc])])
        }
    }),
    ..Row::new("rem", ScalarOp::Rem, &[[5.5, -4.25, 0.75, 3.5], [2.0, 1.5, -2.0, -1.25]])
};

/// The larger one; NaN where either is.
// ∂max(a, b)/∂a = 1 where a > b, ½ where a = b, else 0
pub(crate) static MAX: Row = Row {
    jvp: Some(|p| share(p, &GT)),
    rewrites: &[RewriteRule { name: "max-of-equals", law: "max(x, x) = x", apply: equal_operands }],
    ..Row::new("max", ScalarOp::Max, &[A, B])
};

/// The smaller one; NaN where either is.
// ∂min(a, b)/∂a = 1 where a < b, ½ where a = b, else 0
pub(crate) static MIN: Row = Row {
    jvp: Some(|p| share(p, &LT)),
    rewrites: &[RewriteRule { name: "min-of-equals", law: "min(x, x) = x", apply: equal_operands }],
    ..Row::new("min", ScalarOp::Min, &[A, B])
};

/// The tangent if the operand wins, half of it in a tie.
fn share(p: &Push<'_>, wins: &'static Row) -> Value {
    let (mine, other) = (&p.ins[p.i], &p.ins[1 - p.i]);
    let [zero, half, one] = [0.0, 0.5, 1.0].map(|x| constant(p.t.dtype(), x));
    let share = select_n(&wins.of([mine, other]), &zero, &one);
    MUL.of([p.t, &select_n(&EQ.of([mine, other]), &share, &half)])
}

fn second_is_one(cx: &Simplify<'_>) -> Option<Rewrite> {
    (is(cx, 1, 1.0) && stands(cx, 0)).then_some(Rewrite::Operand(0))
}

/// `a` to the power `b`.
// d(aᵇ) = b aᵇ⁻¹ da + log(a) aᵇ db, with 0 · 0⁻¹ = 0 and log(0) · 0ᵇ = 0
pub(crate) static POW: Row = Row {
    jvp: Some(|p| {
        let (a, b) = (&p.ins[0], &p.ins[1]);
        let [zero, one] = [0.0, 1.0].map(|x| constant(p.t.dtype(), x));
        let slope = match p.i {
            0 => {
                let flat = EQ.of([b, &zero]);
                let power = POW.of([a, &select_n(&flat, &SUB.of([b, &one]), &one)]);
                select_n(&flat, &MUL.of([b, &power]), &zero)
            }
            _ => MUL.of([&LOG.of([&select_n(&EQ.of([a, &zero]), a, &one)]), p.out]),
        };
        MUL.of([p.t, &slope])
    }),
    rewrites: &[RewriteRule {
        name: "pow-one",
        law: "pow(x, 1) = x where x has the result's shape",
        apply: second_is_one,
    }],
    ..Row::new("pow", ScalarOp::Pow, &[POSITIVE, A])
};

/// The angle of the point `(x, y)`.
// d atan2(y, x) = (x dy - y dx) / (x² + y²)
pub(crate) static ATAN2: Row = Row {
    jvp: Some(|p| {
        let (y, x) = (&p.ins[0], &p.ins[1]);
        let square = ADD.of([&MUL.of([x, x]), &MUL.of([y, y])]);
        let across = if p.i == 0 { x.clone() } else { NEG.of([y]) };
        MUL.of([p.t, &DIV.of([&across, &square])])
    }),
    ..Row::new("atan2", ScalarOp::Atan2, &[A, B])
};

/// `-x`.
// d(-x) = -dx
pub(crate) static NEG: Row = Row {
    jvp: Some(|p| NEG.of([p.t])),
    transpose: Some(|p| NEG.of([p.ct])),
    rewrites: &[RewriteRule { name: "neg-of-neg", law: "--x = x", apply: |cx| negated(cx, 0).map(Rewrite::Atom) }],
    ..Row::new("neg", ScalarOp::Neg, &[A])
};

/// The absolute value.
// d|x| = sign(x) dx
pub(crate) static ABS: Row =
    Row { jvp: Some(|p| MUL.of([p.t, &SIGN.of([&p.ins[0]])])), ..Row::new("abs", ScalarOp::Abs, &[A]) };

/// -1, 0 or 1; NaN for NaN.
// constant almost everywhere
pub(crate) static SIGN: Row = Row::new("sign", ScalarOp::Sign, &[A]);

/// The largest whole number that is not greater.
// constant almost everywhere
pub(crate) static FLOOR: Row = Row::new("floor", ScalarOp::Floor, &[A]);

/// The smallest whole number that is not less.
// constant almost everywhere
pub(crate) static CEIL: Row = Row::new("ceil", ScalarOp::Ceil, &[A]);

/// The nearest whole number, of two the even one.
// constant almost everywhere
pub(crate) static ROUND: Row = Row::new("round", ScalarOp::Round, &[A]);

/// The whole number next to it on the side of zero.
// constant almost everywhere
pub(crate) static TRUNC: Row = Row::new("trunc", ScalarOp::Trunc, &[A]);
