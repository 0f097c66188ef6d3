//! Comparisons, logic and shifts: constant almost everywhere, so none has a derivative.

use super::arithmetic::{A, B};
use super::row::{Row, is};
use super::stands;
use gavotte_core::ir::{Rewrite, ScalarOp, Simplify};

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
// x and x = x
pub(crate) static AND: Row = Row { simplify: same, ..Row::new("and", ScalarOp::And, &[]) };
/// Bits that either has.
// x or x = x; x or 0 = x
pub(crate) static OR: Row = Row { simplify: |cx| same(cx).or_else(|| zero(cx)), ..Row::new("or", ScalarOp::Or, &[]) };
/// Bits that one has.
// x xor 0 = x
pub(crate) static XOR: Row = Row { simplify: zero, ..Row::new("xor", ScalarOp::Xor, &[]) };
/// The other bits.
// not not x = x
pub(crate) static NOT: Row = Row {
    simplify: |cx| {
        let inner = (cx.definition)(0).filter(|eqn| eqn.prim.name() == NOT.name)?;
        Some(Rewrite::Atom(inner.ins[0]))
    },
    ..Row::new("not", ScalarOp::Not, &[])
};
/// `a · 2ᵇ`; by 32 or more 0.
pub(crate) static SHIFT_LEFT: Row = Row::new("shift_left", ScalarOp::Shl, &[]);
/// The bits of `a` moved down by `b`, zeros from above; by 32 or more 0.
pub(crate) static SHIFT_RIGHT_LOGICAL: Row = Row::new("shift_right_logical", ScalarOp::Shr, &[]);

fn same(cx: &Simplify<'_>) -> Option<Rewrite> {
    (cx.eqn.ins[0] == cx.eqn.ins[1]).then_some(Rewrite::Operand(0))
}

fn zero(cx: &Simplify<'_>) -> Option<Rewrite> {
    let found = [(0, 1), (1, 0)].into_iter().find(|(x, zero)| is(cx, *zero, 0.0) && stands(cx, *x));
    found.map(|(x, _)| Rewrite::Operand(x))
}
