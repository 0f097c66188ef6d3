//! The instructions of a scalar operation: its row's vector code, or a call.

use super::call;
use super::lir::{Class, Function, NO_VECTORS, Op, Pred, Reg};
use crate::aval::DType;
use crate::ir::scalar::{self, BoolCode, CodeOrCall, Comparison, FloatCode, Form, IntCode};
use crate::ir::{ScalarOp, Unsupported};

fn unsupported(op: ScalarOp, dtype: DType) -> Unsupported {
    Unsupported(format!("x86 has no {} of {dtype}", op.name()))
}

impl Function {
    /// An operation on vectors of operands of type `dtype` (that of the choices of a `Select`). Bools are masks.
    pub(super) fn scalar_op(&mut self, op: ScalarOp, dtype: DType, ins: &[Reg]) -> Result<Reg, Unsupported> {
        match op.form() {
            Form::Function(function) => self.function(op, function, dtype, ins),
            Form::Comparison(how) => Ok(self.compare(how, dtype, ins)),
            Form::Select => Ok(self.select(dtype, ins)),
            Form::Convert(to) if to == dtype => Ok(ins[0]),
            Form::Convert(to) => Ok(match dtype {
                DType::F32 | DType::F64 => self.convert_float(to, ins[0]),
                DType::I32 | DType::U32 => self.convert_int(to, dtype == DType::I32, ins[0]),
                DType::Bool => self.convert_bool(to, ins[0]),
                _ => return Err(unsupported(op, dtype)),
            }),
            Form::Bitcast(to) if to == dtype => Ok(ins[0]),
            Form::Bitcast(to) => match (dtype, to) {
                (DType::F32 | DType::F64, _) => Ok(ins[0]),
                (DType::I32 | DType::U32, DType::F32 | DType::I32 | DType::U32) => Ok(ins[0]),
                _ => Err(unsupported(op, dtype)),
            },
            Form::Threefry(_) => Err(unsupported(op, dtype)),
        }
    }

    fn function(
        &mut self,
        op: ScalarOp,
        function: &scalar::Function,
        dtype: DType,
        ins: &[Reg],
    ) -> Result<Reg, Unsupported> {
        let missing = || unsupported(op, dtype);
        let of_floats = match dtype {
            DType::F32 => function.f32.map(|column| column.machine),
            DType::F64 => function.f64.map(|column| column.machine),
            _ => None,
        };
        let of_ints = match dtype {
            DType::I32 => function.i32.map(|column| column.machine),
            DType::U32 => function.u32.map(|column| column.machine),
            _ => None,
        };
        match dtype {
            DType::F32 | DType::F64 => match of_floats.ok_or_else(missing)? {
                CodeOrCall::Code(code) => Ok(self.float_code(code, ins)),
                CodeOrCall::Call => self.call(op, dtype, ins),
            },
            DType::I32 | DType::U32 => match of_ints.ok_or_else(missing)? {
                CodeOrCall::Code(code) => Ok(self.int_code(code, dtype == DType::I32, ins)),
                CodeOrCall::Call => self.call(op, dtype, ins),
            },
            DType::Bool => Ok(self.bool_code(function.bool.ok_or_else(missing)?.machine, ins)),
            _ => Err(missing()),
        }
    }

    /// An operation that has no vector code.
    fn call(&mut self, op: ScalarOp, dtype: DType, ins: &[Reg]) -> Result<Reg, Unsupported> {
        let number = call::number(op, dtype).ok_or_else(|| unsupported(op, dtype))?;
        Ok(self.emit(if dtype == DType::F64 { Class::Wide } else { Class::Vec }, Op::Call, ins, number))
    }

    fn compare(&mut self, how: Comparison, dtype: DType, ins: &[Reg]) -> Reg {
        let pred = match how {
            Comparison::Eq => Pred::Eq,
            Comparison::Ne => Pred::Ne,
            Comparison::Lt => Pred::Lt,
            Comparison::Le => Pred::Le,
            Comparison::Gt => Pred::Gt,
            Comparison::Ge => Pred::Ge,
        };
        match dtype {
            DType::F32 | DType::F64 => self.mask(Op::CmpF(pred), ins),
            DType::I32 => self.mask(Op::CmpS(pred), ins),
            DType::U32 => self.mask(Op::CmpU(pred), ins),
            DType::Bool => self.compare_masks(how, ins[0], ins[1]),
            _ => unreachable!("{NO_VECTORS}"),
        }
    }

    /// `false` is less than `true`.
    fn compare_masks(&mut self, how: Comparison, a: Reg, b: Reg) -> Reg {
        match how {
            Comparison::Ne => self.mask(Op::MaskXor, &[a, b]),
            Comparison::Eq => {
                let differ = self.mask(Op::MaskXor, &[a, b]);
                self.mask(Op::MaskNot, &[differ])
            }
            Comparison::Lt => self.not_and(Op::MaskAnd, a, b),
            Comparison::Le => self.not_and(Op::MaskOr, a, b),
            Comparison::Gt => self.not_and(Op::MaskAnd, b, a),
            Comparison::Ge => self.not_and(Op::MaskOr, b, a),
        }
    }

    /// `op(!a, b)`.
    fn not_and(&mut self, op: Op, a: Reg, b: Reg) -> Reg {
        let not = self.mask(Op::MaskNot, &[a]);
        self.mask(op, &[not, b])
    }

    fn select(&mut self, dtype: DType, ins: &[Reg]) -> Reg {
        if dtype != DType::Bool {
            return self.blend(ins[0], ins[1], ins[2]);
        }
        let yes = self.mask(Op::MaskAnd, &[ins[0], ins[2]]);
        let not = self.mask(Op::MaskNot, &[ins[0]]);
        let no = self.mask(Op::MaskAnd, &[not, ins[1]]);
        self.mask(Op::MaskOr, &[yes, no])
    }

    fn float_code(&mut self, code: FloatCode, ins: &[Reg]) -> Reg {
        let a = ins[0];
        match code {
            FloatCode::Add => self.vec(Op::AddF, ins),
            FloatCode::Sub => self.vec(Op::SubF, ins),
            FloatCode::Mul => self.vec(Op::MulF, ins),
            FloatCode::Div => self.vec(Op::DivF, ins),
            FloatCode::Max => self.extremum(Op::MaxF, a, ins[1]),
            FloatCode::Min => self.extremum(Op::MinF, a, ins[1]),
            FloatCode::Neg => self.negate(a),
            FloatCode::Abs => self.abs(a),
            FloatCode::Sign => self.sign(a),
            FloatCode::Floor => self.vec(Op::FloorF, ins),
            FloatCode::Ceil => self.vec(Op::CeilF, ins),
            FloatCode::Nearest => self.vec(Op::NearestF, ins),
            FloatCode::Trunc => self.vec(Op::TruncF, ins),
            FloatCode::Sqrt => self.vec(Op::SqrtF, ins),
            FloatCode::Exp => self.exp(a),
            FloatCode::Expm1 => self.expm1(a),
            FloatCode::Log => self.log(a),
            FloatCode::Log1p => self.log1p(a),
            FloatCode::Tanh => self.tanh(a),
            FloatCode::Logistic => self.logistic(a),
        }
    }

    /// A float as a number of another type.
    fn convert_float(&mut self, to: DType, a: Reg) -> Reg {
        match to {
            DType::F32 => self.emit(Class::Vec, Op::CvtF, &[a], 0),
            DType::F64 => self.emit(Class::Wide, Op::CvtF, &[a], 0),
            DType::I32 => {
                // A number that is too large becomes the largest; NaN becomes 0.
                let y = self.emit(Class::Vec, Op::CvtToI, &[a], 0);
                let (limit, most, zero) = (self.real(a, 2_147_483_648.0), self.bits(i32::MAX as u32), self.bits(0));
                let large = self.mask(Op::CmpF(Pred::Ge), &[a, limit]);
                let y = self.blend(large, y, most);
                let nan = self.nan(a);
                self.blend(nan, y, zero)
            }
            DType::U32 => {
                let y = self.emit(Class::Vec, Op::CvtToU, &[a], 0);
                let (limit, zero, most) = (self.real(a, 4_294_967_296.0), self.bits(0), self.bits(u32::MAX));
                let large = self.mask(Op::CmpF(Pred::Ge), &[a, limit]);
                let y = self.blend(large, y, most);
                let one = self.real(a, 1.0);
                let fits = self.mask(Op::CmpF(Pred::Ge), &[a, one]);
                self.blend(fits, zero, y)
            }
            DType::Bool => {
                let zero = self.real(a, 0.0);
                self.mask(Op::CmpF(Pred::Ne), &[a, zero])
            }
            _ => unreachable!("{NO_VECTORS}"),
        }
    }

    fn int_code(&mut self, code: IntCode, signed: bool, ins: &[Reg]) -> Reg {
        let a = ins[0];
        match code {
            IntCode::Add => self.vec(Op::AddI, ins),
            IntCode::Sub => self.vec(Op::SubI, ins),
            IntCode::Mul => self.vec(Op::MulI, ins),
            IntCode::Max => self.vec(if signed { Op::MaxS } else { Op::MaxU }, ins),
            IntCode::Min => self.vec(if signed { Op::MinS } else { Op::MinU }, ins),
            IntCode::And => self.vec(Op::And, ins),
            IntCode::Or => self.vec(Op::Or, ins),
            IntCode::Xor => self.vec(Op::Xor, ins),
            IntCode::Not => {
                let ones = self.bits(u32::MAX);
                self.v(Op::Xor, a, ones)
            }
            // The machine's shifts by 32 or more also return 0.
            IntCode::Shl => self.vec(Op::ShlV, ins),
            IntCode::Shr => self.vec(Op::ShrV, ins),
            IntCode::Neg => {
                let zero = self.bits(0);
                self.v(Op::SubI, zero, a)
            }
            IntCode::Abs if !signed => a,
            IntCode::Abs => {
                let zero = self.bits(0);
                let minus = self.v(Op::SubI, zero, a);
                self.v(Op::MaxS, a, minus)
            }
            IntCode::Sign => {
                let (one, minus) = (self.bits(1), self.bits(u32::MAX));
                let x = self.v(if signed { Op::MinS } else { Op::MinU }, a, one);
                if signed { self.v(Op::MaxS, x, minus) } else { x }
            }
        }
    }

    /// An integer as a number of another type.
    fn convert_int(&mut self, to: DType, signed: bool, a: Reg) -> Reg {
        match to {
            DType::F32 => self.emit(Class::Vec, if signed { Op::CvtToF } else { Op::CvtUToF }, &[a], 0),
            DType::F64 => self.emit(Class::Wide, if signed { Op::CvtToF } else { Op::CvtUToF }, &[a], 0),
            DType::I32 | DType::U32 => a,
            DType::Bool => self.mask(Op::Test, &[a]),
            _ => unreachable!("{NO_VECTORS}"),
        }
    }

    fn bool_code(&mut self, code: BoolCode, ins: &[Reg]) -> Reg {
        match code {
            BoolCode::And => self.mask(Op::MaskAnd, ins),
            BoolCode::Or => self.mask(Op::MaskOr, ins),
            BoolCode::Xor => self.mask(Op::MaskXor, ins),
            BoolCode::Not => self.mask(Op::MaskNot, ins),
        }
    }

    /// A mask as numbers.
    fn convert_bool(&mut self, to: DType, a: Reg) -> Reg {
        let (zero, one) = match to {
            DType::Bool => return a,
            DType::F32 => (self.bits(0), self.float(1.0)),
            DType::F64 => (self.wide_bits(0), self.wide_bits(1f64.to_bits())),
            DType::I32 | DType::U32 => (self.bits(0), self.bits(1)),
            _ => unreachable!("{NO_VECTORS}"),
        };
        self.blend(a, zero, one)
    }
}
