//! Scalar operations, element by element: each with the meaning that [`ScalarOp`] defines, also where StableHLO leaves
//! it undefined.

use super::{Export, Operand};
use crate::aval::{DType, Literal};
use crate::ir::ScalarOp;
use crate::ir::scalar::{Comparison, Form, Function, StableHlo};

impl Export<'_> {
    /// Applies a scalar operation to operands of the same shape.
    pub fn scalar(&mut self, op: ScalarOp, ins: &[Operand]) -> Operand {
        match (op.form(), ins) {
            (Form::Function(function), ins) => self.function(function, ins),
            (Form::Comparison(how), [a, b]) => self.compared(how, a, b),
            (Form::Select, [which, when_false, when_true]) => self.chosen(which, when_true, when_false),
            (Form::Convert(to), [x]) => self.converted(x, to),
            (Form::Bitcast(to), [x]) => self.as_type("bitcast_convert", x, to),
            (Form::Threefry(word), [k0, k1, x0, x1]) => self.threefry2x32([k0, k1, x0, x1])[word].clone(),
            (_, ins) => unreachable!("{op:?} of {} operands", ins.len()),
        }
    }

    fn function(&mut self, function: &Function, ins: &[Operand]) -> Operand {
        let dtype = ins[ins.len() - 1].aval().dtype;
        match (function.stablehlo, ins) {
            (StableHlo::Quotient(name), [a, b]) if dtype.is_int() => self.divided(name, a, b, None),
            (StableHlo::Remainder(name), [a, b]) if dtype.is_int() => self.divided(name, a, b, Some(a)),
            (StableHlo::Shift(name), [a, b]) => self.shifted(name, a, b),
            (StableHlo::Abs, [x]) if !dtype.is_signed() && dtype.is_int() => x.clone(),
            (StableHlo::Sign, [x]) if !dtype.is_signed() && dtype.is_int() => {
                let one = self.like(x, 1.0);
                self.named("minimum", &[x, &one])
            }
            (StableHlo::Abs, [x]) => self.named("abs", &[x]),
            (StableHlo::Sign, [x]) => self.named("sign", &[x]),
            (
                StableHlo::Op(name) | StableHlo::Quotient(name) | StableHlo::Remainder(name) | StableHlo::Shift(name),
                ins,
            ) => self.named(name, &ins.iter().collect::<Vec<_>>()),
            (StableHlo::Chlo(name), ins) => self.named(name, &ins.iter().collect::<Vec<_>>()),
            (StableHlo::OfWord(name), [x]) => {
                let word = self.as_type("bitcast_convert", x, DType::unsigned(dtype.size()));
                let found = self.named(name, &[&word]);
                self.as_type("bitcast_convert", &found, dtype)
            }
            (StableHlo::Log(base), [x]) => {
                let (log, scale) = (self.named("log", &[x]), self.like(x, base.ln()));
                self.named("divide", &[&log, &scale])
            }
            (StableHlo::PowerOfTwo, [x]) => {
                let two = self.like(x, 2.0);
                self.named("power", &[&two, x])
            }
            (StableHlo::Truncate, [x]) => {
                let zero = self.like(x, 0.0);
                let is_negative = self.compared(Comparison::Lt, x, &zero);
                let (floor, ceiling) = (self.named("floor", &[x]), self.named("ceil", &[x]));
                self.chosen(&is_negative, &ceiling, &floor)
            }
            (StableHlo::OfWord(_) | StableHlo::Log(_) | StableHlo::PowerOfTwo | StableHlo::Truncate, ins)
            | (StableHlo::Abs | StableHlo::Sign, ins) => unreachable!("one operand, not {}", ins.len()),
        }
    }

    /// An operation without attributes whose result has its last operand's type.
    fn named(&mut self, name: &str, ins: &[&Operand]) -> Operand {
        self.op(name, ins, &[], ins[ins.len() - 1].aval().clone())
    }

    /// The constant `x` with the type of an operand.
    fn like(&mut self, operand: &Operand, x: f64) -> Operand {
        self.splat(Literal::from_f64(operand.aval().dtype, x), &operand.shape())
    }

    fn compared(&mut self, how: Comparison, a: &Operand, b: &Operand) -> Operand {
        let direction = format!("#stablehlo<comparison_direction {}>", how.direction());
        self.op("compare", &[a, b], &[("comparison_direction", direction)], a.aval().with_dtype(DType::Bool))
    }

    fn chosen(&mut self, which: &Operand, when_true: &Operand, when_false: &Operand) -> Operand {
        self.named("select", &[which, when_true, when_false])
    }

    /// `x` converted by an operation without edge cases; `x` itself if it has the type.
    fn as_type(&mut self, name: &str, x: &Operand, to: DType) -> Operand {
        if x.aval().dtype == to {
            return x.clone();
        }
        self.op(name, &[x], &[], x.aval().with_dtype(to))
    }

    /// Integers: `by_zero`, or all bits set, if the divisor is zero, which StableHLO leaves undefined.
    fn divided(&mut self, name: &str, a: &Operand, b: &Operand, by_zero: Option<&Operand>) -> Operand {
        let (zero, one) = (self.like(b, 0.0), self.like(b, 1.0));
        let none = self.compared(Comparison::Eq, b, &zero);
        let divisor = self.chosen(&none, &one, b);
        let found = self.named(name, &[a, &divisor]);
        let all_bits = self.splat(Literal::from_bits(b.aval().dtype, u64::MAX), &b.shape());
        self.chosen(&none, by_zero.unwrap_or(&all_bits), &found)
    }

    /// 0 for a shift by the width of the type or more, which StableHLO leaves undefined; a negative distance counts as a large one.
    fn shifted(&mut self, name: &str, a: &Operand, by: &Operand) -> Operand {
        let size = by.aval().dtype.size();
        let distance = self.as_type("bitcast_convert", by, DType::unsigned(size));
        let width = self.like(&distance, 8.0 * size as f64);
        let within = self.compared(Comparison::Lt, &distance, &width);
        let (shifted, zero) = (self.named(name, &[a, by]), self.like(a, 0.0));
        self.chosen(&within, &shifted, &zero)
    }

    /// Converts like Rust's `as`; to `bool` is `x != 0`.
    fn converted(&mut self, x: &Operand, to: DType) -> Operand {
        let from = x.aval().dtype;
        match to {
            DType::Bool if from != DType::Bool => {
                let zero = self.like(x, 0.0);
                self.compared(Comparison::Ne, x, &zero)
            }
            _ if to.is_int() && from.is_float() => self.truncated(x, to),
            _ if to.is_int() && from.is_int() && to.size() == from.size() => self.as_type("bitcast_convert", x, to),
            _ => self.as_type("convert", x, to),
        }
    }

    /// A float as an integer: truncated and saturated, 0 for NaN. StableHLO leaves the conversion of numbers outside
    /// the type undefined, so none is converted.
    fn truncated(&mut self, x: &Operand, to: DType) -> Operand {
        // The end of a long type is beyond a half.
        let x = &self.as_type("convert", x, x.aval().dtype.computed());
        let bits = 8 * to.size() as i32;
        let (least, end) = match to.is_signed() {
            true => (-(2f64.powi(bits - 1)), 2f64.powi(bits - 1)),
            false => (0.0, 2f64.powi(bits)),
        };
        let (low, high, zero) = (self.like(x, least), self.like(x, end), self.like(x, 0.0));
        let (below, above) = (self.compared(Comparison::Lt, x, &low), self.compared(Comparison::Ge, x, &high));
        let is_number = self.compared(Comparison::Eq, x, x);
        let inside = self.chosen(&below, &low, x);
        let inside = self.chosen(&above, &zero, &inside);
        let inside = self.chosen(&is_number, &inside, &zero);
        let converted = self.as_type("convert", &inside, to);
        let most = self.like(&converted, end - 1.0);
        self.chosen(&above, &most, &converted)
    }

    /// Both words of `threefry2x32(k0, k1, x0, x1)`: operands of the same shape, all `u32`. Twenty rounds; a part of
    /// the key is added after every fourth.
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
