//! `gather`: the elements at given indices along an axis.

use super::batched::Numbered;
use super::scatter::scatter_add;
use super::{refs, refuse_batched_segments, segment_sum, segments};
use crate::movement::operands;
use gavotte_core::aval::Aval;
use gavotte_core::device::{Data, HostArray, HostElement};
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::{move_axis, zeros};
use gavotte_core::ir::{
    Batch, Batched, Index, Jvp, Kind, Linear, Lower, Params, Primitive, Sample, Scalar, Transpose, Unsupported, Value,
    bind1, require_equal,
};
use gavotte_core::with_data;

/// Reads by index.
#[derive(Debug)]
struct Gather;
/// The primitive `gather {axis}` of an array and indices, or of an array and the three arrays of segments. The indices'
/// axes replace `axis`. With the attribute `shared`, the first `shared` axes of array and indices are the same axes.
pub(super) static GATHER: &dyn Primitive = &Gather;

/// The elements of `x` at the indices `ids` along `axis`; the first `shared` axes of both are the same axes.
#[track_caller]
pub(crate) fn gather(x: &Value, ids: &Value, axis: usize, shared: usize) -> Value {
    bind1(GATHER, &[x, ids], Numbered { axis, shared }.params())
}

/// For each member the elements of `x` at its segment along `axis`.
#[track_caller]
pub(crate) fn gather_segments(x: &Value, segments: [&Value; 3], axis: usize) -> Value {
    let [ids, offsets, order] = segments;
    bind1(GATHER, &[x, ids, offsets, order], Params::new().with("axis", axis))
}

impl Primitive for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["axis", "shared"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let numbered = Numbered::of(params)?;
        let [x, ids] = operands(&ins[..ins.len().min(2)])?;
        let shape = numbered.read_shape(x, ids)?;
        if ins.len() != 2 {
            let [_, ids, offsets, order] = operands(ins)?;
            let n = segments(ids, offsets, order)?;
            let why = || format!("axis {} of {x} must have the {n} segments", numbered.axis);
            require_equal(&x.shape[numbered.axis], &n, why)?;
            if numbered.shared > 0 || x.shape[numbered.axis] != n {
                return Err(TypeError::new(why()));
            }
        }
        Ok(vec![x.with_shape(shape)])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        fn read<T: HostElement>(xs: &[T], n: usize, runs: impl FnOnce(&mut dyn FnMut(usize, usize, usize))) -> Data {
            let mut out = Vec::with_capacity(n);
            runs(&mut |_, from, run| out.extend_from_slice(&xs[from..from + run]));
            T::wrap(out)
        }
        let numbered = Numbered::known(params);
        let (from, count) = (ins[0].shape(), ins[1].shape());
        let shape = [&from[..numbered.axis], &count[numbered.shared..], &from[numbered.axis + 1..]].concat();
        let runs = |f: &mut dyn FnMut(usize, usize, usize)| numbered.runs("gather", &from, ins[1], f);
        let data = with_data!(ins[0].data(), xs => read(xs, shape.iter().product(), runs));
        vec![HostArray::from_data(&shape, data)]
    }
    // linear in the array
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![cx.tangents[0].as_ref().map(|t| {
            let ins = [std::slice::from_ref(t), &cx.primals[1..]].concat();
            bind1(GATHER, &refs(&ins), cx.params.clone())
        })]
    }
    // every element gets the sum of the cotangents of the elements that read it
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let Numbered { axis, shared } = Numbered::known(cx.params);
        let known: Vec<&Value> = cx.ins[1..].iter().filter_map(Linear::known).collect();
        let x = cx.ins[0].aval();
        let back = match known[..] {
            [ids, offsets, order] => {
                let sums = segment_sum(&move_axis(cx.cotangent(), axis, 0), [ids, offsets, order]);
                move_axis(&sums, 0, axis)
            }
            _ => scatter_add(&zeros(&x), known[0], cx.cotangent(), axis, shared),
        };
        [Some(back)].into_iter().chain(known.iter().map(|_| None)).collect()
    }
    /// A new axis of the array alone, or of the indices alone, stays where it is. A new axis of both becomes one more
    /// shared axis in front. Segments are the same for all batch elements.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let numbered = Numbered::known(cx.params);
        let ((x, x_at), (ids, ids_at)) = (&cx.ins[0], &cx.ins[1]);
        let shared = numbered.shared;
        if cx.ins.len() > 2 {
            refuse_batched_segments("gather", cx);
        }
        match (*x_at, *ids_at) {
            (None, None) => unreachable!("an operand is batched"),
            (Some(at), None) => {
                let moved = at.max(shared);
                let (numbered, place) = numbered.pass(moved, ids.rank());
                let mut ins = vec![move_axis(x, at, moved), ids.clone()];
                ins.extend(cx.ins[2..].iter().map(|(value, _)| value.clone()));
                vec![(bind1(GATHER, &refs(&ins), numbered.params()), Some(place))]
            }
            (None, Some(at)) => {
                let moved = at.max(shared);
                let out = gather(x, &move_axis(ids, at, moved), numbered.axis, shared);
                vec![(out, Some(numbered.axis + moved - shared))]
            }
            (Some(x_at), Some(ids_at)) => {
                let (x, ids) = (move_axis(x, x_at, 0), move_axis(ids, ids_at, 0));
                vec![(gather(&x, &ids, numbered.axis + 1, shared + 1), Some(0))]
            }
        }
    }
    fn kind(&self) -> Kind {
        Kind::View
    }
    fn segments(&self) -> Option<[usize; 3]> {
        Some([1, 2, 3])
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let Numbered { axis, shared } = Numbered::known(cx.params());
        let own = cx.operand(1).rank() - shared;
        let index = cx.index();
        let id = cx.read(1, &[&index[..shared], &index[axis..axis + own]].concat())?;
        let at = [&index[..axis], &[Index::Value(id)], &index[axis + own..]].concat();
        Ok(vec![cx.read_checked(0, &at)?])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (x, ids) = (cx.operand(0), cx.operand(1));
        let numbered = Numbered::known(cx.params());
        Ok(vec![numbered.read(cx, &x, &ids)])
    }
    fn samples(&self) -> Vec<Sample> {
        let x = |shape: &[usize]| {
            HostArray::new(shape, (0..shape.iter().product()).map(|i| (i as f32 * 0.9).cos()).collect())
        };
        let ids = |shape: &[usize], ids: &[i32]| HostArray::new(shape, ids.to_vec());
        let along = |axis: usize| Params::new().with("axis", axis);
        let [members, offsets, order] = sample_segments();
        vec![
            Sample::new("rows", vec![x(&[3, 2]), ids(&[4], &[2, 0, 2, 1])], along(0)),
            Sample::new("columns by a table", vec![x(&[2, 3]), ids(&[3, 2], &[1, 1, 0, 2, 0, 0])], along(1)),
            Sample::new("one", vec![x(&[3, 2]), ids(&[], &[1])], along(0)),
            Sample::new(
                "indices for each row",
                vec![x(&[2, 2, 3]), ids(&[2, 3], &[1, 2, 0, 0, 2, 1])],
                along(2).with("shared", 1usize),
            ),
            Sample::new("segments", vec![x(&[4, 2]), members.clone(), offsets.clone(), order.clone()], along(0)),
            Sample::new("segments last", vec![x(&[2, 4]), members, offsets, order], along(1)),
        ]
    }
}

/// Five members in four segments, the second of which is empty: ids, offsets, order.
pub(super) fn sample_segments() -> [HostArray; 3] {
    [
        HostArray::new(&[5], vec![2i32, 0, 3, 2, 2]),
        HostArray::new(&[5], vec![0i32, 1, 1, 4, 5]),
        HostArray::new(&[5], vec![1i32, 0, 3, 4, 2]),
    ]
}

#[cfg(test)]
mod tests {
    use crate::Array;

    #[test]
    fn numbers_must_lie_within_the_axis() {
        let x = Array::new(&[5], vec![0.0f32; 5]);
        let taken = |id: i32| {
            let ids = Array::new(&[4], vec![0, 1, 2, id]);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| x.take(&ids, 0).to_vec::<f32>()))
        };
        assert!(taken(4).is_ok());
        for (id, text) in [(7, "gather: id 7 at position 3 is not in 0..5"), (-1, "gather: id -1 at position 3")] {
            let payload = taken(id).expect_err("the number is out of range");
            assert!(payload.downcast_ref::<String>().is_some_and(|why| why.contains(text)));
        }
    }
}
