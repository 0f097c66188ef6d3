//! Comparisons, logic and shifts: constant almost everywhere, so none has a derivative.

use super::arithmetic::{A, B};
use super::row::{Row, equal_operands, is};
use super::stands;
use gavotte_core::ir::{Rewrite, RewriteRule, ScalarOp, Simplify};

/// `a = b`.
pub(crate) static EQ: Row = Row::new("eq", ScalarOp::Eq, &[A, [1.5, 1.25, 0.75, -1.75]]);
/// `a ≠ b`.
pub(crate) static NE: Row = Row::new("ne", ScalarOp::Ne, &[A, [1.5, 1.25, 0.75, -1.75]]);
/// `a < b`.
pub(crate) static LT: Row = Row::new("lt", ScalarOp::Lt, &[A, B]);
/// `a ≤ b`.
pub(crate) static LE: Row = Row::new("le", ScalarOp::Le, &[A, B]);
/// `a > b`.
pub(crate) static GT: Row = Row::new("gt", ScalarOp::Gt, &[A, B]);
/// `a ≥ b`.
pub(crate) static GE: Row = Row::new("ge", ScalarOp::Ge, &[A, B]);

/// Bits that both have.
pub(crate) static AND: Row = Row {
    rewrites: &[RewriteRule { name: "and-of-equals", law: "x and x = x", apply: equal_operands }],
    ..Row::new("and", ScalarOp::And, &[])
};
/// Bits that either has.
pub(crate) static OR: Row = Row {
    rewrites: &[
        RewriteRule { name: "or-of-equals", law: "x or x = x", apply: equal_operands },
        RewriteRule { name: "or-zero", law: "x or 0 = 0 or x = x where x has the result's shape", apply: zero },
    ],
    ..Row::new("or", ScalarOp::Or, &[])
};
/// Bits that one has.
pub(crate) static XOR: Row = Row {
    rewrites: &[RewriteRule {
        name: "xor-zero",
        law: "x xor 0 = 0 xor x = x where x has the result's shape",
        apply: zero,
    }],
    ..Row::new("xor", ScalarOp::Xor, &[])
};
/// The other bits.
pub(crate) static NOT: Row = Row {
    rewrites: &[RewriteRule {
        name: "not-of-not",
        law: "not not x = x",
        apply: |cx| cx.definition_by(0, &NOT).map(|eqn| Rewrite::Atom(eqn.ins[0])),
    }],
    ..Row::new("not", ScalarOp::Not, &[])
};
/// `a · 2ᵇ`; 0 for a distance of 32 or more.
pub(crate) static SHIFT_LEFT: Row = Row::new("shift_left", ScalarOp::Shl, &[]);
/// The bits of `a` moved down by `b`, with zeros from above; 0 for a distance of 32 or more.
pub(crate) static SHIFT_RIGHT_LOGICAL: Row = Row::new("shift_right_logical", ScalarOp::Shr, &[]);
/// The number of bits that are set.
pub(crate) static POPULATION_COUNT: Row = Row::new("population_count", ScalarOp::PopulationCount, &[]);
/// The number of bits above the highest that is set.
pub(crate) static CLZ: Row = Row::new("clz", ScalarOp::Clz, &[]);

fn zero(cx: &Simplify<'_>) -> Option<Rewrite> {
    let found = [(0, 1), (1, 0)].into_iter().find(|(x, zero)| is(cx, *zero, 0.0) && stands(cx, *x));
    found.map(|(x, _)| Rewrite::Operand(x))
}
