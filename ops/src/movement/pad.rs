//! `pad`: an array with a border, and with gaps between its elements.

use super::{counted, distance, nearest, operands, slice};
use crate::elementwise::select_n;
use gavotte_core::aval::{Aval, Dim, Literal, Shape, Verdict};
use gavotte_core::device::{Data, HostArray, HostElement};
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{self, Export, Operand};
use gavotte_core::ir::structural::{broadcast_in_dim, place_axis, places, reduce_sum, row_major, zeros};
use gavotte_core::ir::{
    Batch, Batched, Index, Jvp, Kind, Lower, Params, Primitive, Rewrite, RewriteRule, Sample, Scalar, ScalarOp,
    Transpose, Unsupported, Value, bind1, decide, require_at_least,
};
use gavotte_core::with_data;

/// Borders and gaps.
#[derive(Debug)]
struct Pad;
/// The primitive `pad {high, interior, low}` of an array and a scalar: along each axis `low` scalars in front, `high`
/// after, and `interior` between neighbours. None is negative. Borders may be symbolic; an axis with gaps must have an
/// element.
pub(super) static PAD: &dyn Primitive = &Pad;

/// `x` with the scalar `value` around and between its elements.
#[track_caller]
pub(crate) fn pad(x: &Value, value: &Value, low: &[Dim], high: &[Dim], interior: &[usize]) -> Value {
    let none = |dims: &[Dim]| dims.iter().all(|dim| *dim == 0);
    if none(low) && none(high) && interior.iter().all(|gap| *gap == 0) {
        return x.clone();
    }
    bind1(PAD, &[x, value], Params::new().with("low", low).with("high", high).with("interior", interior))
}

/// `x` with zeros around and between its elements.
#[track_caller]
pub(crate) fn pad_zeros(x: &Value, low: &[Dim], high: &[Dim], interior: &[usize]) -> Value {
    pad(x, &Literal::from_f64(x.dtype(), 0.0).into(), low, high, interior)
}

/// Whether an axis is known to have an element.
pub(super) fn has_element(extent: &Dim) -> bool {
    decide(&extent.at_least(1)) == Verdict::Holds
}

/// The number of positions that `extent` elements take with `gap` positions between neighbours; `None` if it is
/// unknown.
pub(crate) fn span(extent: &Dim, gap: usize) -> Option<Dim> {
    match gap {
        0 => Some(extent.clone()),
        _ => match extent.as_usize() {
            Some(extent) => Some(Dim::from(extent.saturating_sub(1)) * gap + extent),
            // Without elements no positions; n > 0 elements take (n - 1)·(gap + 1) + 1.
            None => has_element(extent).then(|| (extent - 1) * (gap + 1) + 1),
        },
    }
}

/// Which positions of the padded shape hold the operand's elements.
fn inside(x: &Shape, params: &Params) -> Value {
    let (low, high, interior) = (params.dims("low"), params.dims("high"), params.axes("interior"));
    let everywhere = broadcast_in_dim(&Literal::Bool(true).into(), x, &[]);
    pad(&everywhere, &Literal::Bool(false).into(), &low, &high, &interior)
}

fn place<T: HostElement>(xs: &[T], around: T, n: usize, places: impl Iterator<Item = usize>) -> Data {
    let mut out = vec![around; n];
    xs.iter().zip(places).for_each(|(x, at)| out[at] = *x);
    T::wrap(out)
}

impl Primitive for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["high", "interior", "low"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let [x, value] = operands(ins)?;
        if *value != Aval::scalar(x.dtype) {
            return Err(TypeError::new(format!("the value to pad {x} with must be a scalar of its type, not {value}")));
        }
        let (low, high) = (params.try_dims("low")?, params.try_dims("high")?);
        let interior = params.try_axes("interior")?;
        if [low.len(), high.len(), interior.len()] != [x.rank(); 3] {
            return Err(TypeError::new("`low`, `high` and `interior` must have one entry for each axis"));
        }
        let shape: Result<Shape, TypeError> = (0..x.rank())
            .map(|axis| {
                for border in [&low[axis], &high[axis]] {
                    if border.is_too_large() {
                        return Err(TypeError(format!("axis {axis}: a border is too large: sizes are less than 2^63")));
                    }
                    require_at_least(border, &0.into(), || match border.as_number() {
                        Some(n) => {
                            let cut = n.unsigned_abs();
                            format!("axis {axis}: the border is {n}, but borders add elements: slice to cut {cut} off")
                        }
                        None => format!("axis {axis}: the border {border} may be negative: slice instead"),
                    })?;
                }
                let extent = &x.shape[axis];
                if let Some(span) = span(extent, interior[axis]) {
                    return Ok(&low[axis] + span + &high[axis]);
                }
                let why =
                    || format!("axis {axis}: gaps between the elements of an axis of {extent}, which may be empty");
                Err(require_at_least(extent, &1.into(), why).err().unwrap_or_else(|| TypeError(why())))
            })
            .collect();
        Ok(vec![x.with_shape(shape?)])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let (low, high, interior) = (params.axes("low"), params.axes("high"), params.axes("interior"));
        let from = ins[0].shape();
        let shape: Vec<usize> = (0..from.len())
            .map(|axis| low[axis] + from[axis] + from[axis].saturating_sub(1) * interior[axis] + high[axis])
            .collect();
        let n: usize = shape.iter().product();
        let steps = row_major(&shape);
        let offset = low.iter().zip(&steps).map(|(low, step)| low * *step as usize).sum();
        let steps: Vec<isize> = steps.iter().zip(&interior).map(|(step, gap)| step * (1 + *gap as isize)).collect();
        let places = places(&from, &steps, offset);
        let data = with_data!(ins[0].data(), xs => place(xs, ins[1].as_slice()[0], n, places));
        vec![HostArray::from_data(&shape, data)]
    }
    // pad(x + dx, v + dv) = pad(x, v) + pad(dx, dv)
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let p = cx.params;
        let [x, value] = [0, 1].map(|i| cx.tangents[i].clone().unwrap_or_else(|| zeros(cx.primals[i].aval())));
        vec![Some(pad(&x, &value, &p.dims("low"), &p.dims("high"), &p.axes("interior")))]
    }
    // the array gets the cotangent at its positions, the scalar the sum of the rest
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let (low, interior) = (cx.params.dims("low"), cx.params.axes("interior"));
        let (from, ct) = (cx.ins[0].aval().shape, cx.cotangent());
        let cut = || {
            let limit: Vec<Dim> = (0..from.len())
                .map(|axis| &low[axis] + span(&from[axis], interior[axis]).expect("abstract_eval found it"))
                .collect();
            let stride: Vec<usize> = interior.iter().map(|gap| gap + 1).collect();
            slice(ct, &low, &limit, &stride)
        };
        let rest = || {
            let around = select_n(&inside(&from, cx.params), ct, &Literal::from_f64(ct.dtype(), 0.0).into());
            reduce_sum(&around, &(0..ct.rank()).collect::<Vec<_>>())
        };
        vec![cx.ins[0].is_unknown().then(cut), cx.ins[1].is_unknown().then(rest)]
    }
    /// The new axis stays where it is; if the scalar has it, the border is selected.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let ((x, at), (value, many)) = (&cx.ins[0], &cx.ins[1]);
        let (mut low, mut high) = (cx.params.dims("low"), cx.params.dims("high"));
        let mut interior = cx.params.axes("interior");
        let mut from = x.shape().clone();
        if let Some(at) = *at {
            from.remove(at);
            low.insert(at, 0.into());
            high.insert(at, 0.into());
            interior.insert(at, 0);
        }
        if many.is_none() {
            return vec![(pad(x, value, &low, &high, &interior), *at)];
        }
        let place = at.unwrap_or(0);
        let x = place_axis(&(pad_zeros(x, &low, &high, &interior), *at), place, cx.size);
        let value = broadcast_in_dim(value, x.shape(), &[place]);
        let inside = place_axis(&(inside(&from, cx.params), None), place, cx.size);
        vec![(select_n(&inside, &value, &x), Some(place))]
    }
    fn kind(&self) -> Kind {
        Kind::View
    }
    /// Reads the nearest element, and selects it if it is at the wanted position.
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let (low, high, interior) = (cx.params().dims("low"), cx.params().dims("high"), cx.params().axes("interior"));
        let (from, mut at) = (cx.operand(0).shape, cx.index());
        let value = cx.read(1, &[])?;
        let mut inside = None;
        for axis in 0..from.len() {
            if low[axis] == 0 && high[axis] == 0 && interior[axis] == 0 {
                continue;
            }
            if from[axis] == 0 {
                return Ok(vec![value]);
            }
            counted(&cx.output(0).shape[axis])?;
            let local = distance(cx, &at[axis], &low[axis]);
            let step = cx.constant(Literal::I32(interior[axis] as i32 + 1));
            let number = cx.op(ScalarOp::Div, &[local, step]);
            let element = nearest(cx, number, &from[axis]);
            let stands = cx.op(ScalarOp::Mul, &[element, step]);
            let here = cx.op(ScalarOp::Eq, &[stands, local]);
            inside = Some(match inside {
                None => here,
                Some(so_far) => cx.op(ScalarOp::And, &[so_far, here]),
            });
            at[axis] = Index::Value(element);
        }
        let x = cx.read(0, &at)?;
        Ok(vec![inside.map_or(x, |inside| cx.op(ScalarOp::Select, &[inside, value, x]))])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (x, value, out) = (cx.operand(0), cx.operand(1), cx.output(0));
        let names = [("edge_padding_low", "low"), ("edge_padding_high", "high"), ("interior_padding", "interior")];
        let attrs = names.map(|(theirs, ours)| (theirs, stablehlo::axes(&cx.params().axes(ours))));
        Ok(vec![cx.op("pad", &[&x, &value], &attrs, out)])
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[RewriteRule {
            name: "pad-by-nothing",
            law: "pad(x, v, low=[0, …], high=[0, …], interior=[0, …]) = x: v has no place",
            apply: |cx| {
                let p = cx.params();
                let none = p.dims("low").iter().chain(&p.dims("high")).all(|dim| *dim == 0)
                    && p.axes("interior").iter().all(|gap| *gap == 0);
                none.then_some(Rewrite::Operand(0))
            },
        }]
    }
    fn samples(&self) -> Vec<Sample> {
        let x = HostArray::new(&[2, 3], (0..6).map(|i| i as f32 * 0.5 - 1.0).collect());
        let value = HostArray::new(&[], vec![7.0f32]);
        let by = |low: &[usize], high: &[usize], interior: &[usize]| {
            Params::new().with("low", low).with("high", high).with("interior", interior)
        };
        vec![
            Sample::new("border", vec![x.clone(), value.clone()], by(&[1, 0], &[0, 2], &[0, 0])),
            Sample::new("gaps", vec![x.clone(), value.clone()], by(&[1, 2], &[1, 0], &[2, 1])),
            Sample::new("nothing inside", vec![HostArray::new::<f32>(&[0], vec![]), value], by(&[1], &[1], &[1])),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gavotte_core::aval::DType;

    #[test]
    fn borders_and_gaps_hold_the_value() {
        let x = HostArray::new(&[3], vec![1i32, 2, 3]);
        let params = Params::new().with("low", vec![1usize]).with("high", vec![2usize]).with("interior", vec![1usize]);
        let out = PAD.eval(&[&x, &HostArray::scalar(Literal::I32(9))], &params);
        assert_eq!(out[0].as_slice::<i32>(), [9, 1, 9, 2, 9, 3, 9, 9]);
    }

    #[test]
    fn borders_that_are_negative_are_told_what_to_do() {
        let (x, value) = (Aval::new(DType::I32, [Dim::symbol("n")]), Aval::scalar(DType::I32));
        let error = |low: Dim| {
            let params = Params::new().with("low", [low].as_slice()).with("high", vec![0usize]);
            PAD.abstract_eval(&[&x, &value], &params.with("interior", vec![0usize])).expect_err("it is no border").0
        };
        assert_eq!(error((-3).into()), "axis 0: the border is -3, but borders add elements: slice to cut 3 off");
        assert!(error(Dim::symbol("n") - 3).starts_with("axis 0: the border n-3 may be negative: slice instead"));
        assert_eq!(error(usize::MAX.into()), "axis 0: a border is too large: sizes are less than 2^63");
    }
}
