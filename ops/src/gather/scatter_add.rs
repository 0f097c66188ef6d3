//! `scatter_add`: adds at given indices along an axis, the transpose of reading there.

use super::batched::Numbered;
use super::read::gather;
use crate::movement::operands;
use gavotte_core::aval::{Aval, DType};
use gavotte_core::device::{Data, DataMut, HostArray};
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::{place_axis, zeros};
use gavotte_core::ir::{
    Batch, Batched, Cascade, Jvp, Kind, Linear, Params, Primitive, ReduceOp, Sample, Transpose, Unsupported, Value,
    bind1, require_shape,
};

/// Adds by index.
#[derive(Debug)]
struct ScatterAdd;
/// The primitive `scatter_add {axis}` of an array, indices and updates: the array with every update added where a
/// `gather` with the same indices and attributes would have read it. The updates with equal indices are summed, in the
/// order of all sums, and their sum is added to the array.
pub(super) static SCATTER_ADD: &dyn Primitive = &ScatterAdd;

/// `x` with `updates` added at the indices `ids` along `axis`; the first `shared` axes of all are the same axes.
#[track_caller]
pub(crate) fn scatter_add(x: &Value, ids: &Value, updates: &Value, axis: usize, shared: usize) -> Value {
    bind1(SCATTER_ADD, &[x, ids, updates], Numbered { axis, shared }.params())
}

/// The updates of each row of contiguous elements.
struct Updated {
    /// The number of elements in a row.
    width: usize,
    /// The start of each row's updates in the list, then the end of the last.
    offsets: Vec<usize>,
    /// The start of each update, row by row.
    updates: Vec<usize>,
}

impl Updated {
    fn new(numbered: Numbered, x: &[usize], ids: &HostArray) -> Updated {
        let width: usize = x[numbered.axis + 1..].iter().product();
        let n_row: usize = x[..numbered.axis + 1].iter().product();
        let row = |at: usize| at / width.max(1);
        let mut offsets = vec![0; n_row + 1];
        numbered.runs("scatter_add", x, ids, |_, at, _| offsets[row(at) + 1] += 1);
        offsets.iter_mut().fold(0, |before, n| {
            *n += before;
            *n
        });
        let mut next = offsets.clone();
        let mut updates = vec![0; offsets[n_row]];
        numbered.runs("scatter_add", x, ids, |read, at, _| {
            updates[next[row(at)]] = read;
            next[row(at)] += 1;
        });
        Updated { width, offsets, updates }
    }

    fn add<T: Copy>(&self, to: &mut [T], from: &[T], zero: T, plus: impl Fn(T, T) -> T) {
        let mut cascade = Cascade::new(zero, plus);
        for (row, ends) in self.offsets.windows(2).enumerate().filter(|(_, ends)| ends[0] < ends[1]) {
            let updates = &self.updates[ends[0]..ends[1]];
            cascade.add(updates.len(), &mut to[row * self.width..][..self.width], |i, j| from[updates[i] + j]);
        }
    }
}

impl Primitive for ScatterAdd {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["axis", "shared"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let [x, ids, updates] = operands(ins)?;
        let wanted = x.with_shape(Numbered::of(params)?.read_shape(x, ids)?);
        let why = || format!("updates must be {wanted}, not {updates}");
        if *updates != wanted {
            require_shape(&updates.shape, &wanted.shape, why)?;
            return Err(TypeError::new(format!("{}: name equal extents alike, with `reshape`", why())));
        }
        if x.dtype == DType::Bool {
            return Err(TypeError::new("cannot add bool: convert with `astype` first"));
        }
        Ok(vec![x.clone()])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let [x, ids, updates] = ins else { unreachable!("abstract_eval counts operands") };
        let mut out = (*x).clone();
        let updated = Updated::new(Numbered::known(params), &x.shape(), ids);
        match (out.data_mut(), updates.data()) {
            (DataMut::F32(to), Data::F32(from)) => updated.add(to, from, 0.0, |a, b| a + b),
            (DataMut::F64(to), Data::F64(from)) => updated.add(to, from, 0.0, |a, b| a + b),
            (DataMut::I32(to), Data::I32(from)) => updated.add(to, from, 0, i32::wrapping_add),
            (DataMut::U32(to), Data::U32(from)) => updated.add(to, from, 0, u32::wrapping_add),
            (DataMut::I64(to), Data::I64(from)) => updated.add(to, from, 0, i64::wrapping_add),
            (DataMut::U64(to), Data::U64(from)) => updated.add(to, from, 0, u64::wrapping_add),
            _ => unreachable!("abstract_eval admits numbers of one type only, and narrow types are widened"),
        }
        vec![out]
    }
    fn computed_in(&self, dtype: DType) -> DType {
        dtype.computed()
    }
    // linear in array and updates together
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let Numbered { axis, shared } = Numbered::known(cx.params);
        vec![match (&cx.tangents[0], &cx.tangents[2]) {
            (x, None) => x.clone(),
            (x, Some(updates)) => {
                let x = x.clone().unwrap_or_else(|| zeros(cx.primals[0].aval()));
                Some(scatter_add(&x, &cx.primals[1], updates, axis, shared))
            }
        }]
    }
    // the array gets the cotangent unchanged, an update its elements at the indices
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let Numbered { axis, shared } = Numbered::known(cx.params);
        let ids = cx.ins[1].known().expect("numbers have no tangent");
        let wanted = |operand: &Linear| operand.is_unknown();
        vec![
            wanted(&cx.ins[0]).then(|| cx.cotangent().clone()),
            None,
            wanted(&cx.ins[2]).then(|| gather(cx.cotangent(), ids, axis, shared)),
        ]
    }
    /// Without batched indices, a new axis stays where the array has it; with them it becomes one more shared axis in
    /// front.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let numbered = Numbered::known(cx.params);
        let [x, ids, updates] = cx.ins else { unreachable!("abstract_eval counts operands") };
        let (numbered, at, place) = match ids.1 {
            None => {
                let at = x.1.unwrap_or(0).max(numbered.shared);
                let (numbered, place) = numbered.pass(at, ids.0.rank());
                (numbered, at, place)
            }
            Some(_) => (Numbered { axis: numbered.axis + 1, shared: numbered.shared + 1 }, 0, 0),
        };
        let x = place_axis(x, at, cx.size);
        let ids = if ids.1.is_some() { place_axis(ids, 0, cx.size) } else { ids.0.clone() };
        let updates = place_axis(updates, place, cx.size);
        vec![(scatter_add(&x, &ids, &updates, numbered.axis, numbered.shared), Some(at))]
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let [x, ids, updates] = [0, 1, 2].map(|i| cx.operand(i));
        let numbered = Numbered::known(cx.params());
        Ok(vec![numbered.combine(cx, ReduceOp::Sum, [&x, &ids, &updates])])
    }
    fn samples(&self) -> Vec<Sample> {
        let x = |shape: &[usize], scale: f32| {
            HostArray::new(shape, (0..shape.iter().product()).map(|i| (i as f32 * scale).cos()).collect())
        };
        let ids = |shape: &[usize], ids: &[i32]| HostArray::new(shape, ids.to_vec());
        let along = |axis: usize| Params::new().with("axis", axis);
        vec![
            Sample::new("rows", vec![x(&[3, 2], 0.9), ids(&[4], &[2, 0, 2, 1]), x(&[4, 2], 0.4)], along(0)),
            Sample::new(
                "columns by a table",
                vec![x(&[2, 3], 0.9), ids(&[2, 2], &[1, 1, 0, 2]), x(&[2, 2, 2], 0.4)],
                along(1),
            ),
            Sample::new("one", vec![x(&[3], 0.9), ids(&[], &[1]), x(&[], 0.4)], along(0)),
            Sample::new(
                "indices for each row",
                vec![x(&[2, 3], 0.9), ids(&[2, 2], &[1, 2, 0, 0]), x(&[2, 2], 0.4)],
                along(1).with("shared", 1usize),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_add_up() {
        let [x, updates] = [vec![1i32, 2, 3], vec![10, 20, 30]].map(|xs| Value::from(HostArray::new(&[3], xs)));
        let ids: Value = HostArray::new(&[3], vec![2i32, 0, 2]).into();
        let out = scatter_add(&x, &ids, &updates, 0, 0);
        assert_eq!(crate::Array(out).to_vec::<i32>(), [21, 2, 43]);
    }
}
