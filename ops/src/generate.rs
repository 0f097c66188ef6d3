//! Arrays from nothing: `iota`, `dim_value`, and the constructors built on them.

use crate::array::{Array, apply};
use crate::elementwise::CONVERT_ELEMENT_TYPE;
use crate::movement::reject;
use gavotte_core::aval::{Aval, DType, Dim, Literal, Shape, shape as to_shape};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{self, Export, Operand};
use gavotte_core::ir::structural::{broadcast_in_dim, row_major};
use gavotte_core::ir::{
    Atom, Batch, Batched, Jvp, Kind, Lower, Params, Primitive, Rewrite, RewriteRule, Sample, Scalar, ScalarOp,
    Unsupported, Value, bind1, require_extents, structural,
};

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] = &[DIM_VALUE, IOTA];

/// Counts along an axis.
#[derive(Debug)]
struct Iota;
/// The primitive `iota {axis, dtype, shape}`: each element is its position along `axis`.
static IOTA: &dyn Primitive = &Iota;

/// A size as a scalar.
#[derive(Debug)]
struct DimValue;
/// The primitive `dim_value {dim, dtype}`.
static DIM_VALUE: &dyn Primitive = &DimValue;

fn number_type(ins: &[&Aval], params: &Params) -> Result<DType, TypeError> {
    let dtype = params.try_dtype("dtype")?;
    match (ins.is_empty(), dtype) {
        (false, _) => Err(TypeError::new("takes no operand")),
        (_, DType::Bool) => Err(TypeError::new("counts in numbers, not bool: compare the result instead")),
        _ => Ok(dtype),
    }
}

/// Requires that a size is within the range of kernels' counters, which have 32 bits and are converted to floats.
fn check_count(size: &Dim, dtype: DType) -> Result<(), TypeError> {
    let (least, most) = match dtype {
        DType::U32 => (0, u32::MAX.into()),
        _ => (i32::MIN.into(), i32::MAX.into()),
    };
    match size.as_number() {
        Some(n) if !(least..=most).contains(&n) => Err(TypeError::new(format!(
            "the size {n} is too large for {}, the type that counts sizes: use a constant of your own",
            if dtype == DType::U32 { DType::U32 } else { DType::I32 }
        ))),
        _ => Ok(()),
    }
}

/// Requires that a type holds a number, if that is known: it would wrap, or become infinite.
pub(crate) fn check_held(number: &Dim, what: &str, dtype: DType) -> Result<(), TypeError> {
    let bits = 8 * dtype.size() as u32;
    // The range, if the number of a dimension may lie beyond it.
    let range = match dtype {
        DType::U64 => 0..=i64::MAX,
        DType::F16 => -65_504..=65_504,
        // Of `bool` something else is wrong.
        _ if dtype.is_float() || [DType::I64, DType::Bool].contains(&dtype) => return Ok(()),
        _ if dtype.is_signed() => -(1 << (bits - 1))..=(1 << (bits - 1)) - 1,
        _ => 0..=(1 << bits) - 1,
    };
    match number.as_number() {
        Some(n) if !range.contains(&n) => {
            let (least, most) = match dtype {
                DType::U64 => ("0".to_string(), u64::MAX.to_string()),
                _ => (range.start().to_string(), range.end().to_string()),
            };
            Err(TypeError(format!("{what}{n} does not fit {dtype}, which holds {least} to {most}: take a wider type")))
        }
        _ => Ok(()),
    }
}

/// Requires that a type holds the positions along an axis of this extent.
fn check_positions(extent: &Dim, dtype: DType) -> Result<(), TypeError> {
    match extent.as_number() {
        None | Some(..=0) => Ok(()),
        // That is too long an axis, whatever the type.
        Some(n) if n > i64::from(i32::MAX) + 1 => Ok(()),
        Some(n) => check_held(&Dim::from(n - 1), "the largest value ", dtype),
    }
}

/// Converts a count in kernel arithmetic from `i32`.
fn converted(cx: &mut dyn Lower, count: Scalar) -> Scalar {
    match cx.output(0).dtype {
        DType::I32 => count,
        dtype => ScalarOp::conversions(DType::I32, dtype).fold(count, |count, op| cx.op(op, &[count])),
    }
}

impl Primitive for Iota {
    fn name(&self) -> &'static str {
        "iota"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["axis", "dtype", "shape"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let out = Aval { dtype: number_type(ins, params)?, shape: params.try_dims("shape")? };
        let axis = params.try_axis("axis")?;
        if axis >= out.rank() {
            return Err(TypeError::new(format!("there is no axis {axis} in {:?}", out.shape)));
        }
        require_extents(&out.shape)?;
        if out.shape[axis].as_number().is_some_and(|n| n > i64::from(i32::MAX) + 1) {
            let n = &out.shape[axis];
            return Err(TypeError::new(format!("an axis of {n} is too large: its positions exceed i32")));
        }
        check_positions(&out.shape[axis], out.dtype)?;
        Ok(vec![out])
    }
    fn eval(&self, _: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let (shape, axis) = (params.axes("shape"), params.axis("axis"));
        let (stride, extent) = (row_major(&shape)[axis] as usize, shape[axis]);
        let n: usize = shape.iter().product();
        let counts = (0..n).map(|i| (i / stride % extent) as u32).collect();
        let counts = HostArray::new(&shape, counts);
        CONVERT_ELEMENT_TYPE.eval(&[&counts], &Params::new().with("dtype", params.dtype("dtype")))
    }
    // no operands
    fn jvp(&self, _: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![None]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        vec![(bind1(IOTA, &[], cx.params.clone()), None)]
    }
    fn kind(&self) -> Kind {
        Kind::Generate
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let index = cx.index();
        let axis = cx.params().axis("axis");
        let position = cx.position(&index[axis]);
        Ok(vec![converted(cx, position)])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (axis, out) = (cx.params().axis("axis"), cx.output(0));
        Ok(vec![cx.op("iota", &[], &[("iota_dimension", stablehlo::number(axis))], out)])
    }
    fn samples(&self) -> Vec<Sample> {
        let sample = |name, axis: usize, dtype: DType, shape: Vec<usize>| {
            let params = Params::new().with("axis", axis).with("dtype", dtype).with("shape", shape);
            Sample::new(name, vec![], params)
        };
        vec![
            sample("vector", 0, DType::I32, vec![5]),
            sample("rows", 0, DType::U32, vec![3, 2]),
            sample("columns", 1, DType::F32, vec![3, 2]),
            sample("between", 1, DType::F64, vec![2, 3, 2]),
            sample("halves", 0, DType::BF16, vec![300]),
            sample("long integers", 0, DType::I64, vec![4]),
            sample("short integers", 0, DType::U8, vec![256]),
        ]
    }
}

impl Primitive for DimValue {
    fn name(&self) -> &'static str {
        "dim_value"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["dim", "dtype"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let dtype = number_type(ins, params)?;
        let dim = params.try_dim("dim")?;
        check_count(&dim, dtype)?;
        check_held(&dim, "the size ", dtype)?;
        Ok(vec![Aval::scalar(dtype)])
    }
    fn eval(&self, _: &[&HostArray], params: &Params) -> Vec<HostArray> {
        vec![HostArray::scalar(Literal::I64(params.int("dim")).convert(params.dtype("dtype")))]
    }
    // no operands
    fn jvp(&self, _: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![None]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        vec![(bind1(DIM_VALUE, &[], cx.params.clone()), None)]
    }
    fn kind(&self) -> Kind {
        Kind::Generate
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let (dim, dtype) = (cx.params().dim("dim"), cx.output(0).dtype);
        let size = cx.size(&dim, dtype.computed());
        Ok(vec![ScalarOp::conversions(dtype.computed(), dtype).fold(size, |size, op| cx.op(op, &[size]))])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (size, dtype) = (cx.params().int("dim"), cx.output(0).dtype);
        Ok(vec![cx.constant(Literal::I64(size).convert(dtype))])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[RewriteRule {
            name: "dim-value-of-number",
            law: "dim_value(k) = k where k is a number, no symbol",
            apply: |cx| {
                let size = cx.params().dim("dim").as_number()?;
                Some(Rewrite::Atom(Atom::Literal(Literal::I64(size).convert(cx.params().dtype("dtype")))))
            },
        }]
    }
    fn samples(&self) -> Vec<Sample> {
        let sample =
            |name, dtype: DType| Sample::new(name, vec![], Params::new().with("dim", 7usize).with("dtype", dtype));
        [DType::F32, DType::I32, DType::F16, DType::U64, DType::I8].map(|dtype| sample(dtype.name(), dtype)).to_vec()
    }
}

/// An array of `shape` in which each element is its position along `axis`.
///
/// # Panics
/// If there is no such axis, `dtype` is `bool` or does not hold the positions, or they exceed `i32`. A call in which a
/// symbolic size makes them too large is refused.
#[track_caller]
pub fn iota(shape: impl IntoIterator<Item = impl Into<Dim>>, axis: usize, dtype: DType) -> Array {
    positions("iota", to_shape(shape), axis, dtype)
}

/// [`iota`] for a function of this name.
#[track_caller]
pub(crate) fn positions(operation: &str, shape: Shape, axis: usize, dtype: DType) -> Array {
    if let Some(Err(TypeError(why))) = shape.get(axis).map(|extent| check_positions(extent, dtype)) {
        reject(operation, why, &[]);
    }
    apply(IOTA, &[], Params::new().with("axis", axis).with("dtype", dtype).with("shape", shape))
}

/// A size as a scalar: a constant, or a symbol's size when the program runs.
///
/// # Panics
/// If `dtype` is `bool` or does not hold the size, the size is a symbol outside `jit`, or it is an integer beyond `i32`
/// (for `u32`, beyond `u32`). A call in which a symbolic size is too large is refused.
#[track_caller]
pub fn dim_value(dim: impl Into<Dim>, dtype: DType) -> Array {
    size("dim_value", &dim.into(), dtype)
}

/// [`dim_value`] for a function of this name.
#[track_caller]
pub(crate) fn size(operation: &str, dim: &Dim, dtype: DType) -> Array {
    let is_counted = dim.as_number().is_none() || !dtype.is_float();
    let counted = if is_counted { check_count(dim, dtype) } else { Ok(()) };
    if let Err(TypeError(why)) = counted.and_then(|()| check_held(dim, "the size ", dtype)) {
        reject(operation, why, &[]);
    }
    match dim.as_number() {
        Some(size) => Array::scalar(Literal::from_f64(dtype, size as f64)),
        None => apply(DIM_VALUE, &[], Params::new().with("dim", dim.clone()).with("dtype", dtype)),
    }
}

/// The numbers from 0 to `n`, excluding `n`.
///
/// # Panics
/// As [`iota`].
#[track_caller]
pub fn arange(n: impl Into<Dim>, dtype: DType) -> Array {
    positions("arange", [n.into()].into_iter().collect(), 0, dtype)
}

/// An array whose elements are all `literal`.
#[track_caller]
pub fn full(shape: impl IntoIterator<Item = impl Into<Dim>>, literal: impl Into<Literal>) -> Array {
    let shape = to_shape(shape);
    broadcast_in_dim(&literal.into().into(), &shape, &[]).into()
}

/// All zeros.
#[track_caller]
pub fn zeros(shape: impl IntoIterator<Item = impl Into<Dim>>, dtype: DType) -> Array {
    structural::zeros(&Aval::new(dtype, shape)).into()
}

/// All ones.
#[track_caller]
pub fn ones(shape: impl IntoIterator<Item = impl Into<Dim>>, dtype: DType) -> Array {
    full(shape, Literal::from_f64(dtype, 1.0))
}

/// All zeros, with the array's type and shape.
#[track_caller]
pub fn zeros_like(x: &Array) -> Array {
    structural::zeros(x.value().aval()).into()
}

/// All ones, with the array's type and shape.
#[track_caller]
pub fn ones_like(x: &Array) -> Array {
    ones(x.shape().clone(), x.dtype())
}

/// The identity matrix with `n` rows.
#[track_caller]
pub fn eye(n: impl Into<Dim>, dtype: DType) -> Array {
    let n = n.into();
    // A closure would become the line that an error names.
    let (row, column) = (iota([&n, &n], 0, DType::I32), iota([&n, &n], 1, DType::I32));
    row.eq(&column).astype(dtype)
}
