//! The family `gather`: reading by index, and writing by index.
//!
//! A map from members to segments, and its inverse, are three arrays of `i32`: `ids[e]` is the segment of each member,
//! `order[e]` lists the members segment by segment, and those of segment `s` are `order[offsets[s]..offsets[s + 1]]`.
//! As both maps are operands, `gather` and `segment_sum` are each other's transposes, and neither needs atomic
//! additions.

mod batched;
mod read;
mod scatter;
mod scatter_methods;
mod scatter_rules;
mod segment_max;
mod segment_sum;

pub(crate) use read::{gather, gather_segments};
pub(crate) use scatter::scatter_add;
pub(crate) use segment_max::segment_max;
pub(crate) use segment_sum::segment_sum;

use crate::movement::{axis_of, reject};
use crate::{Array, DType};
use gavotte_core::aval::Aval;
use gavotte_core::error::TypeError;
use gavotte_core::ir::{Batch, Primitive, Value, demand, require_at_least, require_shape};

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] = &[
    read::GATHER,
    scatter::SCATTER,
    scatter::SCATTER_ADD,
    scatter::SCATTER_MUL,
    scatter::SCATTER_MAX,
    scatter::SCATTER_MIN,
    segment_sum::SEGMENT_SUM,
    segment_max::SEGMENT_MAX,
];

/// Checks the types of `offsets` and `order` against that of `ids`, and returns the number of segments.
fn segments(ids: &Aval, offsets: &Aval, order: &Aval) -> Result<gavotte_core::aval::Dim, TypeError> {
    let lists = [ids, offsets, order].iter().all(|aval| aval.dtype == DType::I32 && aval.rank() == 1);
    let why =
        || format!("segments are ids i32[e], offsets i32[n+1] and order i32[e], not {ids}, {offsets} and {order}");
    if !lists {
        return Err(TypeError::new(why()));
    }
    require_shape(&ids.shape, &order.shape, why)?;
    require_at_least(&offsets.shape[0], &1.into(), why)?;
    Ok(&offsets.shape[0] - 1)
}

/// Refuses to batch over the arrays that define the segments.
#[track_caller]
fn refuse_batched_segments(name: &str, cx: &Batch<'_>) {
    let batched = cx.ins[1..].iter().any(|(_, at)| at.is_some());
    demand(!batched, || format!("{name}: vmap over the graph itself is not supported: batch graphs by joining them"));
}

/// The members of each segment, in order.
fn members<'a>(offsets: &'a [i32], order: &'a [i32]) -> impl Iterator<Item = &'a [i32]> {
    offsets.windows(2).map(|ends| &order[ends[0] as usize..ends[1] as usize])
}

impl Array {
    /// The elements at the indices `ids` along an axis: the axes of `ids` replace that axis.
    ///
    /// The indices must lie within the axis: they are checked when they are read, and never clamped. Negative ones do
    /// not count from the end. [`Segments::gather`](crate::segment::Segments::gather) is the same with a derivative
    /// that runs in parallel.
    ///
    /// # Panics
    /// If there is no such axis, or `ids` is not of type `i32`.
    #[track_caller]
    pub fn take(&self, ids: &Array, axis: isize) -> Array {
        let axis = axis_of("take", axis, self.ndim(), self);
        if ids.dtype() != DType::I32 {
            reject("take", "numbers must be i32: convert with `astype` first", &[self, ids]);
        }
        Array(gather(&self.0, &ids.0, axis, 0))
    }
}

/// References to all values of a list.
fn refs(values: &[Value]) -> Vec<&Value> {
    values.iter().collect()
}
