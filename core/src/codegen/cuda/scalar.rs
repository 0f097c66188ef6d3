//! Scalar operations as expressions.
//!
//! A helper of the prelude settles whatever C leaves open: integers wrap, a quotient by zero is zero, shifts by the
//! width are zero, conversions saturate, and the maximum of NaN and a number is NaN.

use super::prelude::Helper;
use super::text::type_name;
use crate::aval::DType;
use crate::ir::scalar::{CudaText, Form};
use crate::ir::{ScalarOp, Unsupported};

/// An operation on written operands. `dtype` is their type, for `select` that of the choices.
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
        let [x, y] = [0, 1].map(|i| self.ins.get(i).map_or("", String::as_str));
        match self.op.form() {
            Form::Function(function) => match function.cuda(self.dtype) {
                Some(CudaText::Text(text)) => plain(text.replace("{0}", x).replace("{1}", y)),
                Some(CudaText::Helper(helper)) => self.call(Helper::Operation(helper)),
                None => self.missing(),
            },
            Form::Comparison(how) => plain(format!("{x} {} {y}", how.symbol())),
            Form::Select => plain(format!("{x} ? {} : {y}", self.ins[2])),
            Form::Convert(to) => self.converted(to),
            Form::Bitcast(to) => self.bits_as(to),
            Form::Threefry(_) => self.missing(),
        }
    }

    fn missing(&self) -> Result<Expression, Unsupported> {
        Err(Unsupported(format!("{} of {}: there is no such operation", self.op.name(), self.dtype)))
    }

    fn call(&self, helper: Helper) -> Result<Expression, Unsupported> {
        Ok((format!("{}({})", helper.name(), self.ins.join(", ")), Some(helper)))
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
