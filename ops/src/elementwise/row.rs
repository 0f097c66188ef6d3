//! A row of the table of elementwise operations, and the rules that all rows share.

use super::eval::eval;
use super::{ADD, batch, common_dtype, common_shape, fit, fit_back, read_all};
use gavotte_core::aval::{Aval, DType, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::error::{Error, TypeError};
use gavotte_core::ir::scalar::Types;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Linear, Lower, Params, Primitive, Rewrite, RewriteRule, Sample, Scalar, ScalarOp,
    Simplify, Transpose, Unsupported, Value, bind1, refuse,
};
use std::fmt;

/// The context of a derivative: one operand's tangent.
pub(crate) struct Push<'a> {
    /// The operand's number.
    pub(crate) i: usize,
    /// Its tangent.
    pub(crate) t: &'a Value,
    /// Operands.
    pub(crate) ins: &'a [Value],
    /// The output.
    pub(crate) out: &'a Value,
}

/// The context of a transposition: the operand whose cotangent is wanted.
pub(crate) struct Pull<'a> {
    /// The operand's number.
    pub(crate) i: usize,
    /// The output's cotangent.
    pub(crate) ct: &'a Value,
    /// Operands.
    pub(crate) ins: &'a [Linear],
}

impl Pull<'_> {
    /// The other one of two operands, in which the operation need not be linear.
    pub(crate) fn other(&self) -> &Value {
        self.ins[1 - self.i].known().unwrap_or_else(|| {
            refuse(Error::Unsupported(
                "a product or quotient of two unknowns is not linear: it has no transpose".into(),
            ))
        })
    }
}

/// An elementwise operation with one output, whose operands have the same element type.
pub(crate) struct Row {
    /// The name in programs.
    pub(crate) name: &'static str,
    /// The scalar operation.
    pub(crate) op: ScalarOp,
    /// The contribution of one operand's tangent to the output's; `None` if the derivative is zero.
    pub(crate) jvp: Option<fn(&Push<'_>) -> Value>,
    /// The cotangent of one operand, before it is summed for a scalar; `None` if the operation is not linear.
    pub(crate) transpose: Option<fn(&Pull<'_>) -> Value>,
    /// The same by less work.
    pub(crate) rewrites: &'static [RewriteRule],
    /// For each operand four floats where the operation is smooth.
    pub(crate) points: &'static [[f64; 4]],
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Row {
    /// A row without derivative and rewrites.
    pub(crate) const fn new(name: &'static str, op: ScalarOp, points: &'static [[f64; 4]]) -> Row {
        Row { name, op, jvp: None, transpose: None, rewrites: &[], points }
    }

    /// Applies the operation.
    #[track_caller]
    pub(crate) fn of<const N: usize>(&'static self, ins: [&Value; N]) -> Value {
        bind1(self, &ins, Params::new())
    }
}

impl Primitive for Row {
    fn name(&self) -> &'static str {
        self.name
    }

    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        let common = common_aval(ins, self.op.arity(), self.op.row().takes)?;
        Ok(vec![Aval { dtype: self.op.result(&[common.dtype]), ..common }])
    }

    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        vec![eval(self.op, ins)]
    }

    fn computed_in(&self, dtype: DType) -> DType {
        dtype.computed()
    }

    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![self.jvp.and_then(|rule| pushed(cx, rule))]
    }

    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let Some(rule) = self.transpose else {
            refuse(Error::Unsupported(format!("{}: not linear, so it has no transpose", self.name)))
        };
        let of = |(i, operand): (usize, &Linear)| match operand {
            Linear::Unknown(aval) => Some(fit_back(rule(&Pull { i, ct: cx.cotangent(), ins: cx.ins }), aval)),
            Linear::Known(_) => None,
        };
        cx.ins.iter().enumerate().map(of).collect()
    }

    fn batch(&self, cx: &Batch<'_>) -> Batched {
        batch(self.name, cx)
    }

    fn kind(&self) -> Kind {
        Kind::Map { cost: self.op.cost() }
    }

    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let ins = read_all(cx)?;
        Ok(vec![cx.op(self.op, &ins)])
    }

    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let ins = cx.fitted();
        Ok(vec![cx.scalar(self.op, &ins)])
    }

    fn rewrites(&self) -> &'static [RewriteRule] {
        self.rewrites
    }

    fn samples(&self) -> Vec<Sample> {
        let takes = self.op.row().takes;
        let mut samples = if takes.holds(DType::F32) { float_samples(self.points) } else { vec![] };
        let mut add = |name, ins: Vec<HostArray>| samples.push(Sample::new(name, ins, Params::new()));
        // Zeros, signs, and divisors of both signs.
        let ints = [[7.0, -8.0, 0.0, 5.0], [2.0, 3.0, -5.0, 0.0]];
        let words = [[7.0, 4294967295.0, 0.0, 5.0], [2.0, 3.0, 31.0, 0.0]];
        let bools = [[0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0]];
        for (name, dtype, all) in [
            ("i32", DType::I32, ints),
            ("u32", DType::U32, words),
            ("u64", DType::U64, words),
            ("i8", DType::I8, ints),
            ("u16", DType::U16, words),
            ("bool", DType::Bool, bools),
        ] {
            if takes.holds(dtype) {
                add(name, all[..self.op.arity()].iter().map(|points| of_dtype(dtype, &[2, 2], points)).collect());
            }
        }
        samples
    }
}

/// The type that operands of an elementwise operation have or broadcast to.
pub(super) fn common_aval(ins: &[&Aval], arity: usize, takes: Types) -> Result<Aval, TypeError> {
    if ins.len() != arity {
        return Err(TypeError::new(format!("takes {arity} operands, not {}", ins.len())));
    }
    let dtype = common_dtype(ins)?;
    if !takes.holds(dtype) {
        let wanted = takes.names();
        return Err(TypeError::new(format!("takes {wanted}, not {dtype}: convert with `astype` first")));
    }
    Ok(Aval { dtype, shape: common_shape(ins)? })
}

/// The tangent of the output, the sum of what the operands' tangents contribute by `rule`.
// df = Σᵢ ∂f/∂xᵢ · dxᵢ
pub(super) fn pushed(cx: &Jvp<'_>, rule: impl Fn(&Push<'_>) -> Value) -> Option<Value> {
    let part =
        |(i, t): (usize, &Option<Value>)| t.as_ref().map(|t| rule(&Push { i, t, ins: cx.primals, out: &cx.outs[0] }));
    let sum = cx.tangents.iter().enumerate().filter_map(part).reduce(|a, b| ADD.of([&a, &b]));
    sum.map(|t| fit(t, &cx.outs[0]))
}

/// Samples of an operation on floats.
pub(super) fn float_samples(points: &[[f64; 4]]) -> Vec<Sample> {
    let mut samples = vec![];
    let mut add = |name, ins: Vec<HostArray>| samples.push(Sample::new(name, ins, Params::new()));
    let matrix = |dtype: DType, points: &[f64; 4]| of_dtype(dtype, &[2, 2], points);
    let [f32s, f64s] =
        [DType::F32, DType::F64].map(|dtype| points.iter().map(|points| matrix(dtype, points)).collect::<Vec<_>>());
    let scalar = |i: usize| of_dtype(DType::F32, &[], &points[i][..1]);
    if let [a, b] = &f32s[..] {
        add("scalar left", vec![scalar(0), b.clone()]);
        add("scalar right", vec![a.clone(), scalar(1)]);
    }
    add("scalars", (0..points.len()).map(scalar).collect());
    add("f32", f32s);
    add("f64", f64s);
    samples
}

/// An array with an element type and these numbers.
pub(super) fn of_dtype(dtype: DType, shape: &[usize], points: &[f64]) -> HostArray {
    HostArray::new(shape, points.to_vec()).convert(dtype)
}

/// Whether every element of an operand is `x`, bit for bit: 0.0 and -0.0 differ.
pub(super) fn is(cx: &Simplify<'_>, operand: usize, x: f64) -> bool {
    cx.uniform(operand).is_some_and(|literal: Literal| literal == Literal::from_f64(literal.dtype(), x))
}

/// An operation of a value with itself that is the value.
pub(super) fn equal_operands(cx: &Simplify<'_>) -> Option<Rewrite> {
    (cx.eqn.ins[0] == cx.eqn.ins[1]).then_some(Rewrite::Operand(0))
}
