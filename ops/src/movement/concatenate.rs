//! `concatenate`: joins arrays along an axis.

use super::{counted, distance, nearest, slice};
use gavotte_core::aval::{Aval, Dim, Literal};
use gavotte_core::device::{Data, HostArray, HostElement};
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{self, Export, Operand};
use gavotte_core::ir::structural::{place_axis, zeros};
use gavotte_core::ir::{
    Batch, Batched, Index, Jvp, Kind, Lower, Params, Primitive, Rewrite, RewriteRule, Sample, Scalar, ScalarOp,
    Transpose, Unsupported, Value, bind1, require_shape,
};
use gavotte_core::with_data;

/// Joins along an axis.
#[derive(Debug)]
struct Concatenate;
/// The primitive `concatenate {axis}`, of one operand or more.
pub(super) static CONCATENATE: &dyn Primitive = &Concatenate;

/// The operands joined in order along `axis`.
#[track_caller]
pub(super) fn concatenate(parts: &[&Value], axis: usize) -> Value {
    match parts {
        [part] => (*part).clone(),
        _ => bind1(CONCATENATE, parts, Params::new().with("axis", axis)),
    }
}

/// The range of the result along the axis that each operand fills.
fn ranges(ins: impl IntoIterator<Item = Aval>, axis: usize) -> Vec<(Dim, Dim)> {
    let mut end = Dim::from(0);
    ins.into_iter()
        .map(|aval| {
            let start = end.clone();
            end = &start + &aval.shape[axis];
            (start, end.clone())
        })
        .collect()
}

fn join<T: HostElement>(_: &[T], ins: &[&HostArray], axis: usize) -> Data {
    let parts: Vec<(&[T], usize)> =
        ins.iter().map(|part| (part.as_slice(), part.shape()[axis..].iter().product())).collect();
    let rows: usize = ins[0].shape()[..axis].iter().product();
    let row = |i: usize| parts.iter().flat_map(move |(xs, n)| &xs[i * n..(i + 1) * n]);
    T::wrap((0..rows).flat_map(row).copied().collect())
}

impl Primitive for Concatenate {
    fn name(&self) -> &'static str {
        "concatenate"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["axis"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let Some(first) = ins.first() else { return Err(TypeError::new("takes one operand or more")) };
        let axis = params.try_axis("axis")?;
        if axis >= first.rank() {
            return Err(TypeError::new(format!("there is no axis {axis} to join along")));
        }
        for other in ins {
            let why = || format!("{first} and {other} differ in more than the extent of axis {axis}");
            let mut shape = other.shape.clone();
            shape.get_mut(axis).into_iter().for_each(|dim| *dim = first.shape[axis].clone());
            if other.dtype != first.dtype {
                return Err(TypeError::new(why()));
            }
            if shape != first.shape {
                require_shape(&shape, &first.shape, why)?;
                return Err(TypeError::new(format!("{}: name equal extents alike, with `reshape`", why())));
            }
        }
        let mut shape = first.shape.clone();
        shape[axis] = ins.iter().map(|part| part.shape[axis].clone()).sum();
        Ok(vec![first.with_shape(shape)])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let axis = params.axis("axis");
        let mut shape = ins[0].shape();
        shape[axis] = ins.iter().map(|part| part.shape()[axis]).sum();
        let data = with_data!(ins[0].data(), xs => join(xs, ins, axis));
        vec![HostArray::from_data(&shape, data)]
    }
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let parts: Vec<Value> =
            cx.primals.iter().zip(cx.tangents).map(|(x, t)| t.clone().unwrap_or_else(|| zeros(x.aval()))).collect();
        vec![Some(concatenate(&parts.iter().collect::<Vec<_>>(), cx.params.axis("axis")))]
    }
    // each operand gets the part of the cotangent that it filled
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let axis = cx.params.axis("axis");
        let ranges = ranges(cx.ins.iter().map(|operand| operand.aval()), axis);
        let part = |(start, limit): &(Dim, Dim)| {
            let ct = cx.cotangent();
            let (mut starts, mut limits) = (vec![Dim::from(0); ct.rank()], ct.shape().to_vec());
            (starts[axis], limits[axis]) = (start.clone(), limit.clone());
            slice(ct, &starts, &limits, &vec![1; ct.rank()])
        };
        cx.ins.iter().zip(&ranges).map(|(operand, range)| operand.is_unknown().then(|| part(range))).collect()
    }
    /// The new axis stays where the first operand that has it has it.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let at = cx.ins.iter().find_map(|(_, at)| *at).expect("an operand is batched");
        let axis = cx.params.axis("axis");
        let parts: Vec<Value> = cx.ins.iter().map(|part| place_axis(part, at, cx.size)).collect();
        let out = concatenate(&parts.iter().collect::<Vec<_>>(), axis + usize::from(axis >= at));
        vec![(out, Some(at))]
    }
    fn kind(&self) -> Kind {
        Kind::View
    }
    /// Reads every operand at the wanted index, clamped to its range, and selects the right one of them.
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let (index, axis) = (cx.index(), cx.params().axis("axis"));
        let ins: Vec<Aval> = (0..cx.arity()).map(|i| cx.operand(i)).collect();
        counted(&cx.output(0).shape[axis])?;
        let mut found = None;
        for (i, (start, _)) in ranges(ins.clone(), axis).iter().enumerate() {
            let extent = &ins[i].shape[axis];
            if *extent == 0 {
                continue;
            }
            let local = distance(cx, &index[axis], start);
            let mut at = index.clone();
            at[axis] = Index::Value(nearest(cx, local, extent));
            let here = cx.read(i, &at)?;
            found = Some(match found {
                None => here,
                Some(before) => {
                    let zero = cx.constant(Literal::I32(0));
                    let reached = cx.op(ScalarOp::Ge, &[local, zero]);
                    cx.op(ScalarOp::Select, &[reached, before, here])
                }
            });
        }
        // If every operand is empty, no element is requested.
        let dtype = cx.output(0).dtype;
        Ok(vec![found.unwrap_or_else(|| cx.constant(Literal::from_f64(dtype, 0.0)))])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (ins, axis, out) = (cx.operands(), cx.params().axis("axis"), cx.output(0));
        let ins: Vec<&Operand> = ins.iter().collect();
        Ok(vec![cx.op("concatenate", &ins, &[("dimension", stablehlo::number(axis))], out)])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[RewriteRule {
            name: "concatenate-of-one",
            law: "concatenate(x) = x",
            apply: |cx| (cx.ins.len() == 1).then_some(Rewrite::Operand(0)),
        }]
    }
    fn samples(&self) -> Vec<Sample> {
        let part = |shape: &[usize], first: f32| {
            HostArray::new(shape, (0..shape.iter().product()).map(|i| first + 0.5 * i as f32).collect())
        };
        let along = |axis: usize| Params::new().with("axis", axis);
        vec![
            Sample::new("rows", vec![part(&[2, 3], 0.0), part(&[1, 3], -4.0)], along(0)),
            Sample::new("columns", vec![part(&[2, 1], 0.0), part(&[2, 2], -4.0), part(&[2, 1], 9.0)], along(1)),
            Sample::new("one", vec![part(&[3], 1.0)], along(0)),
            Sample::new("with an empty one", vec![part(&[0], 1.0), part(&[2], 1.0)], along(0)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_may_be_symbols() {
        let part = |rows: &str| Aval::new(gavotte_core::aval::DType::F32, [Dim::symbol(rows), 3.into()]);
        let join =
            |axis: usize| CONCATENATE.abstract_eval(&[&part("n"), &part("m")], &Params::new().with("axis", axis));
        assert_eq!(join(0).map(|out| out[0].to_string()), Ok("f32[m+n,3]".into()));
        assert!(join(1).is_err());
    }
}
