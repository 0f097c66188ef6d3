//! `scatter` and its relatives: writing at given indices along an axis, where a `gather` would read.

use super::batched::Numbered;
use super::read::gather;
use super::scatter_rules::{last, others, share};
use crate::elementwise::{MUL, constant, select_n};
use crate::movement::operands;
use gavotte_core::aval::{Aval, DType};
use gavotte_core::device::{Data, DataMut, HostArray, HostElement};
use gavotte_core::error::{Error, TypeError};
use gavotte_core::ir::scalar::ScalarElement;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::{place_axis, zeros};
use gavotte_core::ir::{
    Batch, Batched, Cascade, Jvp, Kind, Linear, Params, Primitive, ReduceOp, Sample, Transpose, Unsupported, Value,
    bind1, refuse, require_shape,
};
use gavotte_core::with_data;

/// Combines by index, or replaces.
#[derive(Debug)]
struct Scatter {
    name: &'static str,
    /// How an update is combined with what is there; `None` if it replaces that.
    op: Option<ReduceOp>,
}

/// The primitive `scatter {axis}` of an array, indices and updates: the array with every update in the place of what a
/// `gather` with the same indices and attributes would have read. Of the updates with equal indices the last one stays.
pub(super) static SCATTER: &dyn Primitive = &Scatter { name: "scatter", op: None };
/// The primitive `scatter_add {axis}`: as `scatter`, but every update is added. The updates with equal indices are summed,
/// in the order of all sums, and their sum is added to the array.
pub(super) static SCATTER_ADD: &dyn Primitive = &Scatter { name: "scatter_add", op: Some(ReduceOp::Sum) };
/// The primitive `scatter_mul {axis}`: as `scatter_add`, with products.
pub(super) static SCATTER_MUL: &dyn Primitive = &Scatter { name: "scatter_mul", op: Some(ReduceOp::Prod) };
/// The primitive `scatter_max {axis}`: as `scatter_add`, with the larger one; NaN where there is one.
pub(super) static SCATTER_MAX: &dyn Primitive = &Scatter { name: "scatter_max", op: Some(ReduceOp::Max) };
/// The primitive `scatter_min {axis}`: as `scatter_add`, with the smaller one; NaN where there is one.
pub(super) static SCATTER_MIN: &dyn Primitive = &Scatter { name: "scatter_min", op: Some(ReduceOp::Min) };

/// `x` with `updates` combined into it at the indices `ids`, or in the place of what is there.
#[track_caller]
pub(super) fn scatter(op: Option<ReduceOp>, [x, ids, updates]: [&Value; 3], numbered: Numbered) -> Value {
    let prim = match op {
        None => SCATTER,
        Some(ReduceOp::Sum) => SCATTER_ADD,
        Some(ReduceOp::Prod) => SCATTER_MUL,
        Some(ReduceOp::Max) => SCATTER_MAX,
        Some(ReduceOp::Min) => SCATTER_MIN,
    };
    bind1(prim, &[x, ids, updates], numbered.params())
}

/// `x` with `updates` added at the indices `ids` along `axis`; the first `shared` axes of all are the same axes.
#[track_caller]
pub(crate) fn scatter_add(x: &Value, ids: &Value, updates: &Value, axis: usize, shared: usize) -> Value {
    scatter(Some(ReduceOp::Sum), [x, ids, updates], Numbered { axis, shared })
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
    fn new(name: &str, numbered: Numbered, x: &[usize], ids: &HostArray) -> Updated {
        let width: usize = x[numbered.axis + 1..].iter().product();
        let n_row: usize = x[..numbered.axis + 1].iter().product();
        let row = |at: usize| at / width.max(1);
        let mut offsets = vec![0; n_row + 1];
        numbered.runs(name, x, ids, |_, at, _| offsets[row(at) + 1] += 1);
        offsets.iter_mut().fold(0, |before, n| {
            *n += before;
            *n
        });
        let mut next = offsets.clone();
        let mut updates = vec![0; offsets[n_row]];
        numbered.runs(name, x, ids, |read, at, _| {
            updates[next[row(at)]] = read;
            next[row(at)] += 1;
        });
        Updated { width, offsets, updates }
    }

    fn combine<T: ScalarElement>(&self, op: ReduceOp, to: &mut [T], from: &[T]) {
        let first = HostArray::scalar(op.identity(T::DTYPE)).as_slice::<T>()[0];
        let mut cascade = Cascade::new(first, op.formula::<T>().expect("numbers have every reduction"));
        for (row, ends) in self.offsets.windows(2).enumerate().filter(|(_, ends)| ends[0] < ends[1]) {
            let updates = &self.updates[ends[0]..ends[1]];
            cascade.add(updates.len(), &mut to[row * self.width..][..self.width], |i, j| from[updates[i] + j]);
        }
    }
}

/// Writes every update in its place, the last one of each place last.
fn replace<T: HostElement>(to: &mut [T], updates: &HostArray, runs: impl FnOnce(&mut dyn FnMut(usize, usize, usize))) {
    let from = updates.as_slice::<T>();
    runs(&mut |read, at, run| to[at..at + run].copy_from_slice(&from[read..read + run]));
}

impl Primitive for Scatter {
    fn name(&self) -> &'static str {
        self.name
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
        if x.dtype == DType::Bool && self.op.is_some() {
            return Err(TypeError::new("cannot combine bool: convert with `astype` first"));
        }
        Ok(vec![x.clone()])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let [x, ids, updates] = ins else { unreachable!("abstract_eval counts operands") };
        let (mut out, shape, numbered) = ((*x).clone(), x.shape(), Numbered::known(params));
        let Some(op) = self.op else {
            let runs = |f: &mut dyn FnMut(usize, usize, usize)| numbered.runs(self.name, &shape, ids, f);
            with_data!(mut out.data_mut(), to => replace(to, updates, runs));
            return vec![out];
        };
        let updated = Updated::new(self.name, numbered, &shape, ids);
        match (out.data_mut(), updates.data()) {
            (DataMut::F32(to), Data::F32(from)) => updated.combine(op, to, from),
            (DataMut::F64(to), Data::F64(from)) => updated.combine(op, to, from),
            (DataMut::I32(to), Data::I32(from)) => updated.combine(op, to, from),
            (DataMut::U32(to), Data::U32(from)) => updated.combine(op, to, from),
            (DataMut::I64(to), Data::I64(from)) => updated.combine(op, to, from),
            (DataMut::U64(to), Data::U64(from)) => updated.combine(op, to, from),
            _ => unreachable!("abstract_eval admits numbers of one type only, and narrow types are widened"),
        }
        vec![out]
    }
    fn computed_in(&self, dtype: DType) -> DType {
        if self.op.is_some() { dtype.computed() } else { dtype }
    }
    // set, add: linear in array and updates together
    // mul: d(x Πu) = Πu dx + x Σᵢ duᵢ Π_{j≠i} uⱼ
    // max, min: those that are the result share its tangent equally
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let (numbered, op) = (Numbered::known(cx.params), self.op);
        let [x, ids, updates] = cx.primals else { unreachable!("abstract_eval counts operands") };
        let (tx, tu) = (&cx.tangents[0], &cx.tangents[2]);
        let or_zeros = |t: Option<Value>, of: &Value| t.unwrap_or_else(|| zeros(of.aval()));
        let (of_x, of_updates) = match op {
            Some(ReduceOp::Sum) => (tx.clone(), tu.clone()),
            None => {
                let [tx, tu] = [(tx, x), (tu, updates)].map(|(t, of)| or_zeros(t.clone(), of));
                return vec![Some(scatter(None, [&tx, ids, &tu], numbered))];
            }
            Some(ReduceOp::Prod) => {
                let of_update = |t: &Value| {
                    let there = gather(x, ids, numbered.axis, numbered.shared);
                    MUL.of([t, &MUL.of([&there, &others(updates, ids, numbered)])])
                };
                (tx.as_ref().map(|t| scatter(op, [t, ids, updates], numbered)), tu.as_ref().map(of_update))
            }
            Some(ReduceOp::Max | ReduceOp::Min) => {
                let [of_x, of_updates] = share([x, ids, updates], &cx.outs[0], numbered);
                (tx.as_ref().map(|t| MUL.of([t, &of_x])), tu.as_ref().map(|t| MUL.of([t, &of_updates])))
            }
        };
        vec![match of_updates {
            None => of_x,
            Some(t) => Some(scatter(Some(ReduceOp::Sum), [&or_zeros(of_x, x), ids, &t], numbered)),
        }]
    }
    // set: the array gets the cotangent but for the places that are written, the last update of a place the rest
    // add: the array gets the cotangent unchanged, an update its elements at the indices
    // mul: linear in the array
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let (numbered, ct) = (Numbered::known(cx.params), cx.cotangent());
        let ids = cx.ins[1].known().expect("numbers have no tangent");
        let there = || gather(ct, ids, numbered.axis, numbered.shared);
        let wanted = |operand: &Linear| operand.is_unknown();
        let (x, updates) = (wanted(&cx.ins[0]), wanted(&cx.ins[2]));
        match (self.op, cx.ins[2].known()) {
            (Some(ReduceOp::Sum), _) => vec![x.then(|| ct.clone()), None, updates.then(there)],
            (None, _) => {
                let none = zeros(&cx.ins[2].aval());
                let of_updates = || {
                    let is_last = last(&cx.ins[0].aval(), ids, &cx.ins[2].aval(), numbered);
                    select_n(&is_last, &constant(ct.dtype(), 0.0), &there())
                };
                vec![x.then(|| scatter(None, [ct, ids, &none], numbered)), None, updates.then(of_updates)]
            }
            (Some(ReduceOp::Prod), Some(factors)) => {
                vec![Some(scatter(self.op, [ct, ids, factors], numbered)), None, None]
            }
            _ => refuse(Error::Unsupported(format!("{}: not linear, so it has no transpose", self.name))),
        }
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
        vec![(scatter(self.op, [&x, &ids, &updates], numbered), Some(at))]
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let [x, ids, updates] = [0, 1, 2].map(|i| cx.operand(i));
        let numbered = Numbered::known(cx.params());
        Ok(vec![numbered.combine(cx, self.op, [&x, &ids, &updates])])
    }
    fn samples(&self) -> Vec<Sample> {
        let x = |shape: &[usize], scale: f32| {
            HostArray::new(shape, (0..shape.iter().product()).map(|i| (i as f32 * scale).cos()).collect())
        };
        let ids = |shape: &[usize], ids: &[i32]| HostArray::new(shape, ids.to_vec());
        let along = |axis: usize| Params::new().with("axis", axis);
        let mut samples = vec![
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
        ];
        if self.op != Some(ReduceOp::Sum) {
            let [to, from] = [vec![3i32, -4, 5], vec![7, -8, 2, -6]].map(|xs| HostArray::new(&[xs.len()], xs));
            samples.push(Sample::new("i32", vec![to, ids(&[4], &[0, 2, 0, 2]), from], along(0)));
        }
        if self.op.is_none() {
            let [to, from] = [vec![true, false], vec![false, true, false]].map(|xs| HostArray::new(&[xs.len()], xs));
            samples.push(Sample::new("bool", vec![to, ids(&[3], &[1, 1, 0]), from], along(0)));
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Array;

    fn combined(op: Option<ReduceOp>, ids: [i32; 3]) -> Vec<i32> {
        let [x, updates] = [vec![1i32, 2, 3], vec![10, 20, 30]].map(|xs| Value::from(HostArray::new(&[3], xs)));
        let ids: Value = HostArray::new(&[3], ids.to_vec()).into();
        Array(scatter(op, [&x, &ids, &updates], Numbered { axis: 0, shared: 0 })).to_vec()
    }

    #[test]
    fn updates_with_equal_numbers_are_combined_in_their_order() {
        assert_eq!(combined(Some(ReduceOp::Sum), [2, 0, 2]), [21, 2, 43]);
        assert_eq!(combined(Some(ReduceOp::Prod), [2, 0, 2]), [20, 2, 900]);
        assert_eq!(combined(Some(ReduceOp::Max), [2, 0, 2]), [20, 2, 30]);
        assert_eq!(combined(Some(ReduceOp::Min), [2, 0, 2]), [1, 2, 3]);
        assert_eq!(combined(None, [2, 0, 2]), [20, 2, 30]);
        assert_eq!(combined(None, [0, 0, 0]), [30, 2, 3]);
    }
}
