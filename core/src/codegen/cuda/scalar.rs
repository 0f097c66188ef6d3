//! Scalar operations as expressions.
//!
//! Whatever C leaves open is settled by a helper of the prelude: integers wrap, a quotient by zero is zero, shifts by the
//! width are zero, conversions saturate, and of NaN and a number the maximum is NaN.

use super::prelude::Helper;
use super::text::type_name;
use crate::aval::DType;
use crate::ir::{ScalarOp, Unsupported};

/// An operation on operands as they are written. `dtype` is their type, for `select` that of the choices.
pub(super) struct Operation<'a> {
    pub(super) op: ScalarOp,
    pub(super) dtype: DType,
    pub(super) ins: &'a [String],
}

/// An expression, and the helper that it calls.
pub(super) type Expression = (String, Option<Helper>);

fn plain(text: String) -> Result<Expression, Unsupported> {
    Ok((text, None))
}

impl Operation<'_> {
    /// The expression of its result.
    pub(super) fn expression(&self) -> Result<Expression, Unsupported> {
        use ScalarOp::*;
        let [x, y] = [0, 1].map(|i| self.ins.get(i).map_or("", String::as_str));
        match self.op {
            Select => plain(format!("{x} ? {} : {y}", self.ins[2])),
            Eq => plain(format!("{x} == {y}")),
            Ne => plain(format!("{x} != {y}")),
            Lt => plain(format!("{x} < {y}")),
            Le => plain(format!("{x} <= {y}")),
            Gt => plain(format!("{x} > {y}")),
            Ge => plain(format!("{x} >= {y}")),
            Convert(to) => self.converted(to),
            Bitcast(to) => self.bits_as(to),
            _ => match self.dtype {
                DType::F32 | DType::F64 => self.of_floats(x, y),
                DType::I32 | DType::U32 => self.of_integers(x, y),
                DType::Bool => self.of_bools(x, y),
            },
        }
    }

    fn missing(&self) -> Result<Expression, Unsupported> {
        Err(Unsupported(format!("{} of {}: there is no such operation", self.op.name(), self.dtype)))
    }

    fn call(&self, helper: Helper) -> Result<Expression, Unsupported> {
        Ok((format!("{}({})", helper.name(), self.ins.join(", ")), Some(helper)))
    }

    /// A function of CUDA's mathematical library, which has one for each type.
    fn library(&self, name: &str) -> Result<Expression, Unsupported> {
        let suffix = if self.dtype == DType::F32 { "f" } else { "" };
        plain(format!("{name}{suffix}({})", self.ins.join(", ")))
    }

    fn of_floats(&self, x: &str, y: &str) -> Result<Expression, Unsupported> {
        use ScalarOp::*;
        match self.op {
            Add => plain(format!("{x} + {y}")),
            Sub => plain(format!("{x} - {y}")),
            Mul => plain(format!("{x} * {y}")),
            Div => plain(format!("{x} / {y}")),
            Rem => self.library("fmod"),
            Max => self.call(Helper::NanMax),
            Min => self.call(Helper::NanMin),
            Pow => self.library("pow"),
            Neg => plain(format!("-{x}")),
            Abs => self.library("fabs"),
            Sign => self.call(Helper::Sign),
            Floor => self.library("floor"),
            Sqrt => self.library("sqrt"),
            Exp => self.library("exp"),
            Expm1 => self.library("expm1"),
            Log => self.library("log"),
            Log1p => self.library("log1p"),
            Sin => self.library("sin"),
            Cos => self.library("cos"),
            Tanh => self.library("tanh"),
            Logistic => self.call(Helper::Logistic),
            _ => self.missing(),
        }
    }

    fn of_integers(&self, x: &str, y: &str) -> Result<Expression, Unsupported> {
        use ScalarOp::*;
        let is_signed = self.dtype == DType::I32;
        match self.op {
            // Unsigned arithmetic wraps in C, signed must not overflow.
            Add if is_signed => self.call(Helper::WrappingAdd),
            Sub if is_signed => self.call(Helper::WrappingSub),
            Mul if is_signed => self.call(Helper::WrappingMul),
            Neg if is_signed => self.call(Helper::WrappingNeg),
            Abs if is_signed => self.call(Helper::WrappingAbs),
            Add => plain(format!("{x} + {y}")),
            Sub => plain(format!("{x} - {y}")),
            Mul => plain(format!("{x} * {y}")),
            Neg => plain(format!("0u - {x}")),
            Abs => plain(x.to_string()),
            Sign if is_signed => plain(format!("({x} > 0) - ({x} < 0)")),
            Sign => plain(format!("{x} > 0u ? 1u : 0u")),
            Div => self.call(Helper::Divide),
            Rem => self.call(Helper::Remainder),
            Max => plain(format!("max({x}, {y})")),
            Min => plain(format!("min({x}, {y})")),
            And => plain(format!("{x} & {y}")),
            Or => plain(format!("{x} | {y}")),
            Xor => plain(format!("{x} ^ {y}")),
            Not => plain(format!("~{x}")),
            Shl => self.call(Helper::ShiftLeft),
            Shr => self.call(Helper::ShiftRight),
            _ => self.missing(),
        }
    }

    fn of_bools(&self, x: &str, y: &str) -> Result<Expression, Unsupported> {
        use ScalarOp::*;
        match self.op {
            And | Mul | Min => plain(format!("{x} && {y}")),
            Or | Max => plain(format!("{x} || {y}")),
            Xor => plain(format!("{x} != {y}")),
            Not => plain(format!("!{x}")),
            _ => self.missing(),
        }
    }

    fn converted(&self, to: DType) -> Result<Expression, Unsupported> {
        let x = &self.ins[0];
        match (self.dtype, to) {
            (from, to) if from == to => plain(x.clone()),
            (DType::Bool, _) => plain(format!("({}){x}", type_name(to))),
            (_, DType::Bool) => plain(format!("{x} != 0")),
            (from, DType::I32) if from.is_float() => self.call(Helper::ToInt),
            (from, DType::U32) if from.is_float() => self.call(Helper::ToUnsigned),
            _ => plain(format!("({}){x}", type_name(to))),
        }
    }

    fn bits_as(&self, to: DType) -> Result<Expression, Unsupported> {
        let x = &self.ins[0];
        match (self.dtype, to) {
            (from, to) if from == to => plain(x.clone()),
            (DType::F32, DType::I32) => plain(format!("__float_as_int({x})")),
            (DType::F32, DType::U32) => plain(format!("__float_as_uint({x})")),
            (DType::I32, DType::F32) => plain(format!("__int_as_float({x})")),
            (DType::U32, DType::F32) => plain(format!("__uint_as_float({x})")),
            (DType::I32, DType::U32) | (DType::U32, DType::I32) => plain(format!("({}){x}", type_name(to))),
            _ => self.missing(),
        }
    }
}
