//! Shared by `gather` and `scatter`: which axis is indexed, and which axes are shared.

use gavotte_core::aval::{Aval, DType, Literal, Shape};
use gavotte_core::device::HostArray;
use gavotte_core::error::{Error, TypeError};
use gavotte_core::ir::stablehlo::{Export, Operand, axes, extents};
use gavotte_core::ir::{Location, Params, ReduceOp, refuse, require_shape};

/// Which axis is indexed. The first `shared` axes of array and indices are the same axes: each position along them has
/// its own indices. The attribute `shared` is omitted if it is 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered {
    pub(super) axis: usize,
    pub(super) shared: usize,
}

/// The dimension numbers of StableHLO.
struct Places {
    /// The axes of the elements read that come from the array.
    within: Vec<usize>,
    /// The axes that array and indices share.
    shared: Vec<usize>,
    /// The indexed axis.
    axis: usize,
    /// The axis of `ids` that holds the components of an index: the one after the last, as an index has one component.
    index_vector: usize,
}

impl Numbered {
    pub(super) fn of(params: &Params) -> Result<Numbered, TypeError> {
        let shared = if params.get("shared").is_some() { params.try_axis("shared")? } else { 0 };
        Ok(Numbered { axis: params.try_axis("axis")?, shared })
    }

    pub(super) fn known(params: &Params) -> Numbered {
        Numbered::of(params).unwrap_or_else(|why| panic!("{why}"))
    }

    pub(super) fn params(self) -> Params {
        let params = Params::new().with("axis", self.axis);
        if self.shared > 0 { params.with("shared", self.shared) } else { params }
    }

    /// The shape of the elements read from `x`: the axes of `ids` that are not shared replace the indexed axis.
    pub(super) fn read_shape(self, x: &Aval, ids: &Aval) -> Result<Shape, TypeError> {
        let Numbered { axis, shared } = self;
        if ids.dtype != DType::I32 {
            return Err(TypeError::new(format!("numbers must be i32, not {ids}: convert with `astype` first")));
        }
        let why = || format!("axis {axis} with {shared} shared axes in front does not fit {x} and numbers {ids}");
        match (x.shape.get(..shared), ids.shape.get(..shared)) {
            (Some(a), Some(b)) if axis < x.rank() && shared <= axis => {
                if a != b {
                    require_shape(a, b, why)?;
                    return Err(TypeError::new(format!("{}: name equal extents alike, with `reshape`", why())));
                }
            }
            _ => return Err(TypeError::new(why())),
        }
        Ok(x.shape[..axis].iter().chain(&ids.shape[shared..]).chain(&x.shape[axis + 1..]).cloned().collect())
    }

    /// Where the axes of the indices are in the elements read.
    pub(super) fn own_axes(self, ids_rank: usize) -> Vec<usize> {
        (0..self.shared).chain(self.axis..self.axis + ids_rank - self.shared).collect()
    }

    /// Where a new axis at `at` of the array, after the shared ones, ends up in the elements read, and the indexed axis
    /// next to it.
    pub(super) fn pass(self, at: usize, ids_rank: usize) -> (Numbered, usize) {
        let front = at <= self.axis;
        let numbered = Numbered { axis: self.axis + usize::from(front), ..self };
        (numbered, if front { at } else { at + ids_rank - self.shared - 1 })
    }

    /// The elements read from `x`, in StableHLO.
    pub(super) fn read(self, cx: &mut Export<'_>, x: &Operand, ids: &Operand) -> Operand {
        let (out, Places { within, shared, axis, index_vector }) = (cx.output(0), self.places(x, ids));
        if out.volume() == 0 {
            // A slice of one element, as each read is, need not fit into an empty array.
            return cx.splat(Literal::from_f64(out.dtype, 0.0), &extents(&out.shape));
        }
        let numbers = format!(
            "#stablehlo.gather<offset_dims = {within:?}, collapsed_slice_dims = [{axis}], \
             operand_batching_dims = {shared:?}, start_indices_batching_dims = {shared:?}, \
             start_index_map = [{axis}], index_vector_dim = {index_vector}>"
        );
        let mut sizes = x.shape();
        sizes[axis] = 1;
        sizes[..self.shared].fill(1);
        let attrs = [("dimension_numbers", numbers), ("slice_sizes", axes(&sizes))];
        cx.op("gather", &[x, ids], &attrs, out)
    }

    /// `x` with `updates` combined into it, or in the place of what is there, in StableHLO.
    pub(super) fn combine(
        self,
        cx: &mut Export<'_>,
        op: Option<ReduceOp>,
        [x, ids, updates]: [&Operand; 3],
    ) -> Operand {
        let Places { within, shared, axis, index_vector } = self.places(x, ids);
        if updates.aval().volume() == 0 {
            return x.clone();
        }
        let numbers = format!(
            "#stablehlo.scatter<update_window_dims = {within:?}, inserted_window_dims = [{axis}], \
             input_batching_dims = {shared:?}, scatter_indices_batching_dims = {shared:?}, \
             scatter_dims_to_operand_dims = [{axis}], index_vector_dim = {index_vector}>"
        );
        cx.scatter(op, [x, ids, updates], numbers)
    }

    fn places(self, x: &Operand, ids: &Operand) -> Places {
        let own = ids.rank() - self.shared;
        let rest = self.axis + own..x.rank() + own - 1;
        Places {
            within: (self.shared..self.axis).chain(rest).collect(),
            shared: (0..self.shared).collect(),
            axis: self.axis,
            index_vector: ids.rank(),
        }
    }

    /// Calls `f(name, read, x)` with the start of every run of contiguous elements in the elements read and in the
    /// array, and the length of a run.
    ///
    /// # Panics
    /// If an index is not within the axis.
    pub(super) fn runs(self, name: &str, x: &[usize], ids: &HostArray, mut f: impl FnMut(usize, usize, usize)) {
        let Numbered { axis, shared } = self;
        let product = |extents: &[usize]| extents.iter().product::<usize>();
        let (outer, between, extent) = (product(&x[..shared]), product(&x[shared..axis]), x[axis]);
        let (count, run) = (product(&ids.shape()[shared..]), product(&x[axis + 1..]));
        let ids = ids.as_slice::<i32>();
        for block in 0..outer * between {
            for i in 0..count {
                let position = block / between * count + i;
                let id = ids[position];
                let Some(at) = usize::try_from(id).ok().filter(|id| *id < extent) else {
                    let at = Location::current();
                    refuse(Error::Call(format!(
                        "{name}: id {id} at position {position} is not in 0..{extent}\n  at {at}"
                    )));
                };
                f((block * count + i) * run, (block * extent + at) * run, run);
            }
        }
    }
}
