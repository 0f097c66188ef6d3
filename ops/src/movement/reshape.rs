//! `reshape`: the same elements in the same order with another shape.

use super::operands;
use gavotte_core::aval::{Aval, Dim, volume};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::move_axis;
use gavotte_core::ir::{
    Batch, Batched, Index, Jvp, Kind, Lower, Params, Primitive, Rewrite, RewriteRule, Sample, Scalar, Transpose,
    Unsupported, Value, bind1, require_countable, require_equal, require_extents,
};

/// Another shape.
#[derive(Debug)]
struct Reshape;
/// The primitive `reshape {shape}`.
pub(super) static RESHAPE: &dyn Primitive = &Reshape;

/// The elements of `x` in order, with the shape `shape`.
#[track_caller]
pub(crate) fn reshape(x: &Value, shape: &[Dim]) -> Value {
    if x.shape().as_slice() == shape {
        return x.clone();
    }
    bind1(RESHAPE, &[x], Params::new().with("shape", shape))
}

/// The position in `to` of a new axis at `at` in `from`, if no element has to move: the axes in front of it hold
/// equally many elements in both, and so do those after it.
fn place(from: &[Dim], to: &[Dim], at: usize) -> Option<usize> {
    let (before, after) = (volume(&from[..at]), volume(&from[at..]));
    (0..=to.len()).find(|k| volume(&to[..*k]) == before && volume(&to[*k..]) == after)
}

impl Primitive for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["shape"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let [x] = operands(ins)?;
        let out = x.with_shape(params.try_dims("shape")?);
        let (has, holds) = (x.volume(), out.volume());
        let why = || format!("the operand has {has} elements, {:?} holds {holds}: use a shape with as many", out.shape);
        require_countable(&out.shape)?;
        require_equal(&has, &holds, why)?;
        require_extents(&out.shape)?;
        Ok(vec![out])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        vec![ins[0].reshaped(&params.axes("shape"))]
    }
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![cx.tangents[0].as_ref().map(|t| reshape(t, &cx.params.dims("shape")))]
    }
    // every element goes back to its position
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        vec![Some(reshape(cx.cotangent(), &cx.ins[0].aval().shape))]
    }
    /// The new axis stays where it is if the shapes split there, otherwise it goes to the front.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let (x, at) = (&cx.ins[0].0, cx.ins[0].1.expect("the operand is batched"));
        let (mut from, mut to) = (x.shape().clone(), cx.params.dims("shape"));
        from.remove(at);
        let (x, place) = match place(&from, &to, at) {
            Some(place) => (x.clone(), place),
            None => (move_axis(x, at, 0), 0),
        };
        to.insert(place, cx.size.clone());
        vec![(reshape(&x, &to), Some(place))]
    }
    fn kind(&self) -> Kind {
        Kind::Reshape
    }
    /// Only if axes of extent 1 are added or removed; other reshapes read a stored operand as it is in memory.
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let (from, to) = (cx.operand(0).shape, cx.output(0).shape);
        let long = |dim: &&Dim| **dim != 1;
        if !from.iter().filter(long).eq(to.iter().filter(long)) {
            return Err(Unsupported(format!("reshape: {from:?} to {to:?} splits or joins axes")));
        }
        let mut wanted = cx.index().into_iter().zip(&to).filter(|(_, dim)| long(dim)).map(|(index, _)| index);
        let at: Vec<Index> = from
            .iter()
            .map(|dim| if long(&dim) { wanted.next() } else { None }.unwrap_or(Index::constant(0)))
            .collect();
        Ok(vec![cx.read(0, &at)?])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (x, shape) = (cx.operand(0), cx.params().axes("shape"));
        Ok(vec![cx.reshape(&x, &shape)])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[
            RewriteRule {
                name: "reshape-to-same-shape",
                law: "reshape(x, shape) = x where x has that shape",
                apply: |cx| (cx.ins[0].shape == cx.params().dims("shape")).then_some(Rewrite::Operand(0)),
            },
            RewriteRule {
                name: "reshape-of-reshape",
                law: "reshape(reshape(x, a), b) = reshape(x, b): both keep the elements in their order",
                apply: |cx| {
                    let inner = cx.definition_by(0, RESHAPE)?;
                    Some(Rewrite::Eqn(RESHAPE, inner.ins.to_vec(), cx.params().clone()))
                },
            },
        ]
    }
    fn samples(&self) -> Vec<Sample> {
        let x = HostArray::new(&[2, 3, 2], (0..12).map(|i| i as f32 * 0.5 - 2.0).collect());
        let to = |shape: &[usize]| Params::new().with("shape", shape);
        vec![
            Sample::new("join", vec![x.clone()], to(&[6, 2])),
            Sample::new("regroup", vec![x.clone()], to(&[4, 3])),
            Sample::new("units", vec![x.clone()], to(&[1, 2, 3, 1, 2])),
            Sample::new("split", vec![x.reshaped(&[12])], to(&[3, 4])),
            Sample::new("scalar", vec![HostArray::new(&[1, 1], vec![0.5f32])], to(&[])),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gavotte_core::aval::DType;
    use gavotte_core::ir::trace;

    #[test]
    fn sizes_may_be_symbols() {
        let x = Aval::new(DType::F32, [Dim::symbol("n"), 8.into(), 8.into()]);
        let to = |shape: &[Dim]| RESHAPE.abstract_eval(&[&x], &Params::new().with("shape", shape));
        assert_eq!(to(&["n".into(), 64.into()]).map(|out| out[0].to_string()), Ok("f32[n,64]".into()));
        assert_eq!(to(&[Dim::symbol("n") * 64]).map(|out| out[0].to_string()), Ok("f32[64*n]".into()));
        assert!(to(&[64.into()]).is_err());
    }

    #[test]
    fn a_batch_axis_between_groups_stays() {
        // [n, heads, 8, 8] to [n, heads, 64]: heads are the new axis and nothing moves.
        let x = Aval::new(DType::F32, [Dim::symbol("n"), 4.into(), 8.into(), 8.into()]);
        let traced = trace("f", &[x], |args| {
            let params = Params::new().with("shape", [Dim::symbol("n"), 64.into()].as_slice());
            let ins = [(args[0].clone(), Some(1))];
            let out = RESHAPE.batch(&Batch { ins: &ins, size: &4.into(), params: &params });
            assert_eq!(out[0].1, Some(1));
            assert_eq!(out[0].0.aval().to_string(), "f32[n,4,64]");
            vec![out[0].0.clone()]
        });
        assert_eq!(traced.program.eqns.len(), 1);
    }
}
