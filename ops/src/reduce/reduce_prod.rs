//! `reduce_prod`: the product over axes.

use super::extrema::reduced;
use crate::elementwise::MUL;
use crate::{Array, ScanOptions, concatenate, ones, ones_like, scan_with};
use gavotte_core::aval::{Aval, DType, Literal};
use gavotte_core::device::{Data, HostArray};
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::{
    along_middle, cascaded, lower_reduction, reduce_sum, reduced_aval, reduced_batch, reduces_nothing,
};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Lower, Params, Primitive, ReduceOp, RewriteRule, Sample, Scalar, Unsupported, Value,
};

/// Product over axes.
#[derive(Debug)]
struct ReduceProd;
/// The primitive `reduce_prod {axes}`: 1 if there are no elements.
pub(super) static REDUCE_PROD: &dyn Primitive = &ReduceProd;

/// The product of `x` over `axes`, which disappear.
#[track_caller]
pub(crate) fn reduce_prod(x: &Value, axes: &[usize]) -> Value {
    reduced(REDUCE_PROD, x, axes)
}

/// For each element the product of the others over `axes`. Nothing is divided, so it is right for any number of zeros, and
/// so are its derivatives of any order, as in JAX (`_reduce_prod_jvp_rule` in jax/_src/lax/lax.py).
fn others(x: &Value, axes: &[usize]) -> Array {
    let mut product = Array(x.clone());
    let mut found: Option<Array> = None;
    for axis in axes {
        // Of the others along this axis, and of those that are not in its row.
        let along = others_along(&product, *axis);
        found = Some(found.map_or(along.clone(), |found| found * along));
        product = product.prod_keepdims(*axis);
    }
    found.unwrap_or_else(|| ones_like(&product))
}

fn others_along(x: &Array, axis: usize) -> Array {
    match x.dim(axis).as_usize() {
        Some(0 | 1) => ones_like(x),
        Some(n) => by_halves(x, axis as isize, n),
        None => by_scans(x, axis as isize),
    }
}

/// The others of an element of one half are its partner in the other half, and the others of their product.
fn by_halves(x: &Array, axis: isize, n: usize) -> Array {
    let half = n.div_ceil(2);
    let [first, mut second] = [x.slice_axis(axis, ..half), x.slice_axis(axis, half..)];
    if 2 * half > n {
        let mut widths = vec![(0, 0); x.ndim()];
        widths[axis as usize].1 = 1;
        second = second.pad(Literal::from_f64(x.dtype(), 1.0), &widths);
    }
    let others = others_along(&(&first * &second), axis as usize);
    concatenate(&[&others * second, (others * first).slice_axis(axis, ..n - half)], axis)
}

/// Along an axis of any extent: the product of those before an element, times that of those after it.
fn by_scans(x: &Array, axis: isize) -> Array {
    let rows = x.move_axis(axis, 0);
    let none = ones(rows.shape()[1..].iter().cloned(), rows.dtype());
    let up_to = |reverse: bool| {
        let step = |product: Array, x: Array| (&product * x, product);
        scan_with(step, none.clone(), rows.clone(), ScanOptions { reverse, ..ScanOptions::default() }).1
    };
    (up_to(false) * up_to(true)).move_axis(0, axis)
}

impl Primitive for ReduceProd {
    fn name(&self) -> &'static str {
        "reduce_prod"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["axes"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let aval = reduced_aval(ins, params)?;
        if aval.dtype == DType::Bool {
            return Err(TypeError::new("takes numbers, not bool: convert to i32 first, or ask whether all are true"));
        }
        Ok(vec![aval])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        vec![along_middle(ins[0], &params.axes("axes"), |data, counts| match data {
            Data::F32(xs) => Data::F32(cascaded(xs, counts, 1.0, |a, b| a * b).into()),
            Data::F64(xs) => Data::F64(cascaded(xs, counts, 1.0, |a, b| a * b).into()),
            Data::I32(xs) => Data::I32(cascaded(xs, counts, 1, i32::wrapping_mul).into()),
            Data::U32(xs) => Data::U32(cascaded(xs, counts, 1, u32::wrapping_mul).into()),
            Data::I64(xs) => Data::I64(cascaded(xs, counts, 1, i64::wrapping_mul).into()),
            Data::U64(xs) => Data::U64(cascaded(xs, counts, 1, u64::wrapping_mul).into()),
            _ => unreachable!("abstract_eval refuses bool, and narrow types are widened"),
        })]
    }
    fn computed_in(&self, dtype: DType) -> DType {
        dtype.computed()
    }
    // d Πⱼ xⱼ = Σᵢ dxᵢ Π_{j≠i} xⱼ
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let axes = cx.params.axes("axes");
        vec![cx.tangents[0].as_ref().map(|t| reduce_sum(&MUL.of([t, &others(&cx.primals[0], &axes).0]), &axes))]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let (x, at) = (&cx.ins[0].0, cx.ins[0].1.expect("the operand is batched"));
        let (axes, place) = reduced_batch(&cx.params.axes("axes"), at);
        vec![(reduce_prod(x, &axes), Some(place))]
    }
    fn kind(&self) -> Kind {
        Kind::Reduce
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        lower_reduction(cx, ReduceOp::Prod)
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (x, axes) = (cx.operand(0), cx.params().axes("axes"));
        Ok(vec![cx.reduce(ReduceOp::Prod, &x, &axes)])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[RewriteRule {
            name: "prod-over-no-axis",
            law: "reduce_prod(x, axes=[]) = x: every product is of one factor",
            apply: reduces_nothing,
        }]
    }
    fn samples(&self) -> Vec<Sample> {
        let x = HostArray::new(&[2, 3, 2], (0..12).map(|i| i as f32 * 0.25 - 1.4).collect());
        let zeros = HostArray::new(&[3, 3], vec![0.0f32, 2.0, 3.0, 0.0, -1.5, 0.0, 0.5, 3.0, -2.0]);
        let over = |axes: Vec<usize>| Params::new().with("axes", axes);
        vec![
            Sample::new("all", vec![x.clone()], over(vec![0, 1, 2])),
            Sample::new("middle", vec![x.clone()], over(vec![1])),
            Sample::new("ends", vec![x], over(vec![0, 2])),
            Sample::new("zeros", vec![zeros], over(vec![1])),
            Sample::new("i32", vec![HostArray::new(&[3], vec![-7i32, 65_536, 32_768])], over(vec![0])),
            Sample::new("u32", vec![HostArray::new(&[2, 2], vec![7u32, u32::MAX, 2, 3])], over(vec![0])),
            Sample::new("none", vec![HostArray::new::<f32>(&[0, 2], vec![])], over(vec![0])),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dim, grad, hessian, jit};

    fn product(x: Array) -> Array {
        x.prod(())
    }

    #[test]
    fn the_gradient_is_the_product_of_the_others() {
        for (x, wanted) in [
            ([2.0f32, 3.0, 5.0], [15.0f32, 10.0, 6.0]),
            ([0.0, 3.0, 5.0], [15.0, 0.0, 0.0]),
            ([0.0, 3.0, 0.0], [0.0, 0.0, 0.0]),
        ] {
            assert_eq!(grad(product)(Array::new(&[3], x.to_vec())).to_vec::<f32>(), wanted);
        }
    }

    #[test]
    fn so_is_the_gradient_along_an_axis_without_a_number() {
        let f = |x: Array| grad(|x: Array| (x.prod(0) * x.prod(-1).sum(())).sum(()))(x);
        let x = Array::new(&[3, 2], vec![0.0f32, 2.0, 3.0, -1.0, 0.5, 0.0]);
        let wanted = f(x.clone()).to_vec::<f32>();
        let found = jit(f)(x.declare([Dim::symbol("n"), 2.into()]));
        assert_eq!(found.to_vec::<f32>(), wanted);
    }

    #[test]
    fn second_derivatives_see_through_zeros() {
        let found = hessian(product)(Array::new(&[3], vec![0.0f32, 3.0, 0.0])).array();
        assert_eq!(found.to_vec::<f32>(), [0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0]);
    }
}
