//! The variables that combine the terms of a reduction, and how threads fold them.

use super::draft::Draft;
use super::launch::WARP;
use super::prelude::Helper;
use super::text::{literal, type_name};
use crate::aval::DType;
use crate::ir::ReduceOp;
use crate::ir::scalar::CudaHelper;
use crate::kernel::Kernel;
use std::ops::Range;

/// The variables that combine the terms, one for each output.
#[derive(Clone, Copy)]
pub(super) struct Accumulators<'k> {
    pub(super) kernel: &'k Kernel,
    pub(super) op: ReduceOp,
    /// Whether they may have many terms: then the rounding error of an addition is carried along to the next.
    pub(super) is_long: bool,
}

impl Accumulators<'_> {
    /// The name of an output's variable.
    pub(super) fn name(self, output: usize) -> String {
        format!("{}{output}", self.op.name())
    }

    /// Its type.
    pub(super) fn dtype(self, output: usize) -> DType {
        self.kernel.outputs[output].1.dtype
    }

    /// The outputs.
    pub(super) fn all(self) -> Range<usize> {
        0..self.kernel.outputs.len()
    }

    /// Declares each with the identity of the reduction.
    pub(super) fn declare(self, draft: &mut Draft<'_>) {
        for i in self.all() {
            let identity = literal(self.op.identity(self.dtype(i)));
            draft.line(format!("{} {} = {identity};", type_name(self.dtype(i)), self.name(i)));
            if let Some(lacks) = self.lacks(i) {
                draft.line(format!("{} {lacks} = {identity};", type_name(self.dtype(i))));
            }
        }
    }

    /// The variable for the rounding error of a sum; sums of integers have none.
    pub(super) fn lacks(self, output: usize) -> Option<String> {
        let rounds = self.op == ReduceOp::Sum && self.dtype(output).is_float();
        (self.is_long && rounds).then(|| format!("lacks{output}"))
    }

    /// Combines an output's variable with a term.
    pub(super) fn add(self, draft: &mut Draft<'_>, output: usize, term: &str) {
        match self.lacks(output) {
            Some(lacks) => self.add_part(draft, output, &format!("{term} + {lacks}")),
            None => self.combine(draft, output, term),
        }
    }

    /// Adds a part, which includes the carried rounding error, to a sum.
    pub(super) fn add_part(self, draft: &mut Draft<'_>, output: usize, part: &str) {
        let Some(lacks) = self.lacks(output) else { return };
        draft.uses(Helper::AddPart);
        draft.line(format!("add_part({}, {lacks}, {part});", self.name(output)));
    }

    /// Combines an output's variable with a value of its type.
    pub(super) fn combine(self, draft: &mut Draft<'_>, output: usize, value: &str) {
        let name = self.name(output);
        let (text, helper) = match (self.op, self.dtype(output)) {
            (ReduceOp::Sum, DType::I32) => {
                (format!("wrapping_add({name}, {value})"), Some(Helper::Operation(CudaHelper::WrappingAdd)))
            }
            (ReduceOp::Sum, _) => (format!("{name} + {value}"), None),
            (ReduceOp::Prod, DType::I32) => {
                (format!("wrapping_mul({name}, {value})"), Some(Helper::Operation(CudaHelper::WrappingMul)))
            }
            (ReduceOp::Prod | ReduceOp::Min, DType::Bool) => (format!("{name} & {value}"), None),
            (ReduceOp::Prod, _) => (format!("{name} * {value}"), None),
            (ReduceOp::Max, DType::F32 | DType::F64) => {
                (format!("nan_max({name}, {value})"), Some(Helper::Operation(CudaHelper::NanMax)))
            }
            (ReduceOp::Max, DType::Bool) => (format!("{name} | {value}"), None),
            (ReduceOp::Max, _) => (format!("max({name}, {value})"), None),
            (ReduceOp::Min, DType::F32 | DType::F64) => {
                (format!("nan_min({name}, {value})"), Some(Helper::Operation(CudaHelper::NanMin)))
            }
            (ReduceOp::Min, _) => (format!("min({name}, {value})"), None),
        };
        helper.into_iter().for_each(|helper| draft.uses(helper));
        draft.line(format!("{name} = {text};"));
    }

    /// Folds the variables of each row's threads, which are `lanes` apart.
    pub(super) fn fold(self, draft: &mut Draft<'_>, lanes: usize) {
        if lanes == WARP {
            return;
        }
        draft.open(format!("for (int distance = {}; distance >= {lanes}; distance /= 2)", WARP / 2));
        for i in self.all() {
            let other = format!("__shfl_xor_sync(~0u, {}, distance)", self.name(i));
            self.combine(draft, i, &other);
        }
        draft.close();
    }

    /// Stores each at `at` of the array that `array` names, in the threads for which `stores` holds; in all, if it is
    /// empty.
    pub(super) fn store(self, draft: &mut Draft<'_>, stores: &str, at: &str, array: impl Fn(usize) -> String) {
        let is_open = !stores.is_empty();
        if is_open {
            draft.open(format!("if ({stores})"));
        }
        for i in self.all() {
            draft.line(format!("{}[{at}] = {};", array(i), self.name(i)));
        }
        if is_open {
            draft.close();
        }
    }
}
