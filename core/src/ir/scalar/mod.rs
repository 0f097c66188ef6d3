//! Scalar operations: one table that describes each of them.

pub(crate) mod math;
mod row;
mod table;

pub use row::{
    Accuracy, BoolCode, CodeOrCall, Column, Comparison, Counts, CudaHelper, CudaText, FloatCode, Form, Formula,
    Function, IntCode, Row, ScalarElement, StableHlo, Types,
};
pub(crate) use table::scalar_table;

use crate::aval::DType;

macro_rules! scalar_operations {
    (
        functions { $(
            $(#[$doc:meta])*
            $op:ident $operands:tt = $name:literal {
                takes $takes:ident, costs $cost:literal $counts:ident, accuracy $accuracy:expr, stablehlo $hlo:expr;
                $($t:ident: $value:expr, $(loop $own:expr,)? cuda $cuda:expr, machine $machine:expr;)*
            }
        )* }
        forms { $(
            $(#[$form_doc:meta])*
            $form_op:ident $(($to:ident: $payload:ty = $any:expr))? = $form_name:literal {
                takes $form_takes:ident, costs $form_cost:literal $form_counts:ident, form $form:expr
            }
        )* }
    ) => {
        /// An operation on scalars. [`ScalarOp::row`] has everything a code generator needs to know.
        ///
        /// Comparisons return `bool`, `Convert` and `Bitcast` the type they name, all others the type of their last
        /// operand. Integer arithmetic wraps.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum ScalarOp {
            $($(#[$doc])* $op,)*
            $($(#[$form_doc])* $form_op $(($payload))?,)*
        }

        impl ScalarOp {
            /// Every operation, with a placeholder type for conversions.
            pub const ALL: [ScalarOp; Self::COUNT] = [$(ScalarOp::$op,)* $(ScalarOp::$form_op $(($any))?,)*];
            const COUNT: usize = [$($name,)* $($form_name,)*].len();

            /// Its row of the table.
            pub const fn row(self) -> Row {
                use row::{Accuracy::*, CudaText::*, CodeOrCall::*, StableHlo::*};
                match self {
                    $(ScalarOp::$op => {
                        #[allow(clippy::needless_update, reason = "some rows have a line for every type")]
                        const FUNCTION: Function = Function {
                            operands: operands!($operands),
                            accuracy: $accuracy,
                            stablehlo: $hlo,
                            $($t: Some(Column {
                                formula: formula!($operands $value),
                                cuda: $cuda,
                                machine: $machine,
                            }),)*
                            ..Function::NONE
                        };
                        Row {
                            name: $name,
                            takes: Types::$takes,
                            cost: $cost,
                            counts: Counts::$counts,
                            form: Form::Function(&FUNCTION),
                        }
                    })*
                    $(ScalarOp::$form_op $(($to))? => Row {
                        name: $form_name,
                        takes: Types::$form_takes,
                        cost: $form_cost,
                        counts: Counts::$form_counts,
                        form: $form,
                    },)*
                }
            }
        }
    };
}

/// The type to which a number of type `from` is converted first on its way to `to`.
fn next_type(from: DType, to: DType) -> DType {
    let are_ints = from.is_int() && to.is_int();
    match to.is_float() {
        // Of the same length, the bits are the same.
        _ if are_ints && from.size() == to.size() => to,
        // That is exact.
        _ if from.is_narrow() => from.computed(),
        _ if !to.is_narrow() || from.is_float() => to,
        // Only a number of 64 bits is not exact in an `f64`, which is rounded once.
        true if from.size() == 8 => to,
        true => DType::F64,
        // Integers keep their low bits.
        false if from == to.computed() => to,
        false => to.computed(),
    }
}

macro_rules! operands {
    (($x:ident)) => {
        1
    };
    (($x:ident, $y:ident)) => {
        2
    };
}

macro_rules! formula {
    (($x:ident) $value:expr) => {
        Formula::Unary(|$x| $value)
    };
    (($x:ident, $y:ident) $value:expr) => {
        Formula::Binary(|$x, $y| $value)
    };
}

scalar_table!(scalar_operations);

impl ScalarOp {
    /// The name in kernel text.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Its kind and implementation.
    pub fn form(self) -> Form {
        self.row().form
    }

    /// Number of operands.
    pub fn arity(self) -> usize {
        match self.form() {
            Form::Function(function) => function.operands,
            Form::Comparison(_) => 2,
            Form::Select => 3,
            Form::Convert(_) | Form::Bitcast(_) => 1,
            Form::Threefry(_) => 4,
        }
    }

    /// The type of the result for operands of these types.
    pub fn result(self, ins: &[DType]) -> DType {
        match self.form() {
            Form::Comparison(_) => DType::Bool,
            Form::Convert(dtype) | Form::Bitcast(dtype) => dtype,
            Form::Function(_) | Form::Select | Form::Threefry(_) => ins[ins.len() - 1],
        }
    }

    /// The conversions of which that from one type to another consists: no code generator has more than these.
    pub fn conversions(from: DType, to: DType) -> impl Iterator<Item = ScalarOp> {
        let step = move |at: &DType| (*at != to).then(|| next_type(*at, to));
        std::iter::successors(Some(from), step).skip(1).map(ScalarOp::Convert)
    }

    /// Rough cost per element, in additions: decides what to store and what to recompute.
    pub fn cost(self) -> u32 {
        self.row().cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `takes` and the lines of a row agree, except that kernels may have bools where programs have numbers.
    #[test]
    fn functions_have_a_formula_for_each_type_they_take() {
        for op in ScalarOp::ALL {
            let Form::Function(function) = op.form() else { continue };
            for &dtype in DType::ALL.iter().filter(|dtype| !dtype.is_narrow()) {
                let (has, takes) = (function.cuda(dtype).is_some(), op.row().takes.holds(dtype));
                let bool_in_kernels = dtype == DType::Bool && op.row().takes == Types::Numbers;
                assert!(has == takes || bool_in_kernels, "{op:?} of {dtype}");
            }
        }
    }

    #[test]
    fn names_are_unique() {
        for (i, op) in ScalarOp::ALL.iter().enumerate() {
            assert!(ScalarOp::ALL[..i].iter().all(|other| other.name() != op.name()), "{op:?}");
        }
    }
}
