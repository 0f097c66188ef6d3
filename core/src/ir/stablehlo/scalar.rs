//! Scalar operations, element by element: each with the meaning that [`ScalarOp`] says, whatever StableHLO leaves open.

use super::{Export, Operand};
use crate::aval::{DType, Literal};
use crate::ir::ScalarOp;

impl Export<'_> {
    /// Applies a scalar operation to operands of one shape.
    pub fn scalar(&mut self, op: ScalarOp, ins: &[Operand]) -> Operand {
        use ScalarOp::*;
        let dtype = ins[ins.len() - 1].aval().dtype;
        match (op, ins) {
            (Div | Rem, [a, b]) if dtype.is_int() => self.divided(op, a, b),
            (Shl | Shr, [a, b]) => self.shifted(op, a, b),
            (Abs, [x]) if dtype == DType::U32 => x.clone(),
            (Sign, [x]) if dtype == DType::U32 => {
                let one = self.like(x, 1.0);
                self.named("minimum", &[x, &one])
            }
            (Select, [which, when_false, when_true]) => self.named("select", &[which, when_true, when_false]),
            (Convert(to), [x]) => self.converted(x, to),
            (Bitcast(to), [x]) => self.as_type("bitcast_convert", x, to),
            (Threefry0 | Threefry1, [k0, k1, x0, x1]) => {
                let words = self.threefry2x32([k0, k1, x0, x1]);
                words[usize::from(op == Threefry1)].clone()
            }
            (Eq | Ne | Lt | Le | Gt | Ge, [a, b]) => self.compared(op, a, b),
            _ => self.plain(op, &ins.iter().collect::<Vec<_>>()),
        }
    }

    /// An operation without attributes whose result has its last operand's type.
    fn named(&mut self, name: &str, ins: &[&Operand]) -> Operand {
        self.op(name, ins, &[], ins[ins.len() - 1].aval().clone())
    }

    /// A scalar operation as the one of StableHLO that has its name in the table.
    fn plain(&mut self, op: ScalarOp, ins: &[&Operand]) -> Operand {
        self.named(name(op).expect("what has no name in the table is written otherwise"), ins)
    }

    /// The number `x` in the type of an operand.
    fn like(&mut self, operand: &Operand, x: f64) -> Operand {
        self.splat(Literal::from_f64(operand.aval().dtype, x), &operand.shape())
    }

    fn compared(&mut self, op: ScalarOp, a: &Operand, b: &Operand) -> Operand {
        let direction = format!("#stablehlo<comparison_direction {}>", op.name().to_uppercase());
        self.op("compare", &[a, b], &[("comparison_direction", direction)], a.aval().with_dtype(DType::Bool))
    }

    fn chosen(&mut self, which: &Operand, when_true: &Operand, when_false: &Operand) -> Operand {
        self.named("select", &[which, when_true, when_false])
    }

    /// `x` as another type by an operation that has nothing to decide; `x` itself where it has the type.
    fn as_type(&mut self, name: &str, x: &Operand, to: DType) -> Operand {
        if x.aval().dtype == to {
            return x.clone();
        }
        self.op(name, &[x], &[], x.aval().with_dtype(to))
    }

    /// Integers: by zero the quotient is 0 and the remainder the dividend, which StableHLO leaves open.
    fn divided(&mut self, op: ScalarOp, a: &Operand, b: &Operand) -> Operand {
        let (zero, one) = (self.like(b, 0.0), self.like(b, 1.0));
        let none = self.compared(ScalarOp::Eq, b, &zero);
        let divisor = self.chosen(&none, &one, b);
        let found = self.plain(op, &[a, &divisor]);
        self.chosen(&none, if op == ScalarOp::Rem { a } else { &zero }, &found)
    }

    /// By 32 or more 0, which StableHLO leaves open; a negative distance is a large one.
    fn shifted(&mut self, op: ScalarOp, a: &Operand, by: &Operand) -> Operand {
        let distance = self.as_type("bitcast_convert", by, DType::U32);
        let width = self.like(&distance, 32.0);
        let within = self.compared(ScalarOp::Lt, &distance, &width);
        let (shifted, zero) = (self.plain(op, &[a, by]), self.like(a, 0.0));
        self.chosen(&within, &shifted, &zero)
    }

    /// As Rust's `as` converts; to `bool` is `x != 0`.
    fn converted(&mut self, x: &Operand, to: DType) -> Operand {
        let from = x.aval().dtype;
        match to {
            DType::Bool if from != DType::Bool => {
                let zero = self.like(x, 0.0);
                self.compared(ScalarOp::Ne, x, &zero)
            }
            DType::I32 | DType::U32 if from.is_float() => self.truncated(x, to),
            DType::I32 | DType::U32 if from.is_int() => self.as_type("bitcast_convert", x, to),
            _ => self.as_type("convert", x, to),
        }
    }

    /// A float as an integer: cut off what is behind the point, the nearest integer of the type where there is none,
    /// 0 for NaN. StableHLO leaves open what becomes of numbers outside the type, so none is converted.
    fn truncated(&mut self, x: &Operand, to: DType) -> Operand {
        let (least, end) = if to == DType::I32 { (-(2f64.powi(31)), 2f64.powi(31)) } else { (0.0, 2f64.powi(32)) };
        let (low, high, zero) = (self.like(x, least), self.like(x, end), self.like(x, 0.0));
        let (below, above) = (self.compared(ScalarOp::Lt, x, &low), self.compared(ScalarOp::Ge, x, &high));
        let is_number = self.compared(ScalarOp::Eq, x, x);
        let inside = self.chosen(&below, &low, x);
        let inside = self.chosen(&above, &zero, &inside);
        let inside = self.chosen(&is_number, &inside, &zero);
        let converted = self.as_type("convert", &inside, to);
        let most = self.like(&converted, end - 1.0);
        self.chosen(&above, &most, &converted)
    }

    /// Both words of `threefry2x32(k0, k1, x0, x1)`: operands of one shape, all `u32`. Twenty rounds, with a part of the
    /// key added behind every fourth.
    pub fn threefry2x32(&mut self, [k0, k1, x0, x1]: [&Operand; 4]) -> [Operand; 2] {
        const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
        let shape = k0.shape();
        let word = |cx: &mut Self, x: u32| cx.splat(Literal::U32(x), &shape);
        let parity = word(self, 0x1bd1_1bda);
        let both = self.named("xor", &[k0, k1]);
        let keys = [k0.clone(), k1.clone(), self.named("xor", &[&both, &parity])];
        let distances = ROTATIONS.map(|group| group.map(|by| [by, 32 - by].map(|by| word(self, by))));
        let (mut x0, mut x1) = (self.named("add", &[x0, &keys[0]]), self.named("add", &[x1, &keys[1]]));
        for i in 0..5 {
            for [left, right] in &distances[i % 2] {
                x0 = self.named("add", &[&x0, &x1]);
                let (high, low) =
                    (self.named("shift_left", &[&x1, left]), self.named("shift_right_logical", &[&x1, right]));
                let rotated = self.named("or", &[&high, &low]);
                x1 = self.named("xor", &[&rotated, &x0]);
            }
            let number = word(self, i as u32 + 1);
            x0 = self.named("add", &[&x0, &keys[(i + 1) % 3]]);
            x1 = self.named("add", &[&x1, &keys[(i + 2) % 3]]);
            x1 = self.named("add", &[&x1, &number]);
        }
        [x0, x1]
    }
}

/// The operation of StableHLO that a scalar operation is, or is built on; none where there is more to it.
fn name(op: ScalarOp) -> Option<&'static str> {
    use ScalarOp::*;
    Some(match op {
        Add => "add",
        Sub => "subtract",
        Mul => "multiply",
        Div => "divide",
        Rem => "remainder",
        Max => "maximum",
        Min => "minimum",
        Pow => "power",
        Neg => "negate",
        Abs => "abs",
        Sign => "sign",
        Floor => "floor",
        Sqrt => "sqrt",
        Exp => "exponential",
        Expm1 => "exponential_minus_one",
        Log => "log",
        Log1p => "log_plus_one",
        Sin => "sine",
        Cos => "cosine",
        Tanh => "tanh",
        Logistic => "logistic",
        And => "and",
        Or => "or",
        Xor => "xor",
        Not => "not",
        Shl => "shift_left",
        Shr => "shift_right_logical",
        Eq | Ne | Lt | Le | Gt | Ge | Select | Convert(_) | Bitcast(_) | Threefry0 | Threefry1 => return None,
    })
}
