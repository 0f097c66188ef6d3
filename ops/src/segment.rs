//! Segments: which members belong together, as a map and its inverse.

use crate::elementwise::functions::EXP;
use crate::elementwise::{CONVERT_ELEMENT_TYPE, DIV, MAX, STOP_GRADIENT, SUB, constant};
use crate::gather::{gather_segments, segment_max, segment_sum};
use crate::generate::arange;
use crate::movement::reject;
use crate::{Array, DType, custom_jvp};
use gavotte_core::aval::Dim;
use gavotte_core::error::Error;
use gavotte_core::ir::structural::{broadcast_in_dim, renamed};
use gavotte_core::ir::{Params, Value, bind1, same};
use gavotte_core::tree::Tree;

/// A map from `e` members to `n` segments and its inverse: the edges of a graph and the nodes they point to, the
/// nonzeros of a sparse matrix and their rows.
///
/// [`gather`](Segments::gather) and [`sum`](Segments::sum) are each other's transposes; as both maps are stored, each
/// runs in parallel over its results, without atomic additions, in a fixed order.
///
/// ```
/// # use gavotte::{Array, segment::Segments};
/// // Three edges; the first and the last point at node 1.
/// let receivers = Segments::new(&[1, 0, 1], 2)?;
/// let messages = Array::new(&[3], vec![1.0f32, 10.0, 100.0]);
/// assert_eq!(receivers.sum(&messages).to_vec::<f32>(), [10.0, 101.0]);
/// # Ok::<(), gavotte::Error>(())
/// ```
///
/// The fields are public. Operations refuse arrays that contradict each other; a compiled function checks arrays that
/// are passed to it once, and does not check those that it computes.
#[derive(Tree, Clone, Debug)]
pub struct Segments {
    /// The segment of each member: `i32[e]`.
    pub ids: Array,
    /// For each segment the position in `order` where its members begin, then the end of the last: `i32[n+1]`.
    pub offsets: Array,
    /// The members, segment by segment: `i32[e]`. `None` if they are in order already, as in
    /// [`sorted`](Segments::sorted). That is part of the structure: compiled functions depend on it, and read members
    /// without a lookup.
    pub order: Option<Array>,
}

impl Segments {
    /// The segments in which member `i` belongs to segment `ids[i]` of `n`. Members of one segment keep their order.
    ///
    /// # Errors
    /// If a number is not in `0..n`, or there are more members or segments than an `i32` can count.
    pub fn new(ids: &[i32], n: usize) -> Result<Segments, Error> {
        if i32::try_from(ids.len()).is_err() || i32::try_from(n).is_err() {
            return Err(Error::Type(format!(
                "segments: {} members of {n} segments are more than an i32 can count: split the graph",
                ids.len()
            )));
        }
        let mut offsets = vec![0i32; n + 1];
        for (position, id) in ids.iter().enumerate() {
            match usize::try_from(*id) {
                Ok(id) if id < n => offsets[id + 1] += 1,
                _ => return Err(Error::Type(format!("segments: id {id} at position {position} is not in 0..{n}"))),
            }
        }
        for segment in 0..n {
            offsets[segment + 1] += offsets[segment];
        }
        let order = Some(Array::new(&[ids.len()], grouped(ids, &offsets)));
        Ok(Segments { ids: Array::new(&[ids.len()], ids.to_vec()), offsets: Array::new(&[n + 1], offsets), order })
    }

    /// The same for ids in ascending order: members need no order then, and compiled code reads memory sequentially.
    /// The structure differs from that of [`new`](Segments::new), which takes ids in any order.
    ///
    /// # Errors
    /// If an id is less than the one before it; else as [`new`](Segments::new).
    pub fn sorted(ids: &[i32], n: usize) -> Result<Segments, Error> {
        if let Some(at) = ids.windows(2).position(|pair| pair[0] > pair[1]) {
            let (a, b) = (ids[at], ids[at + 1]);
            return Err(Error::Type(format!(
                "segments: id {a} at position {at} is followed by {b}: sort the ids, or use `Segments::new`"
            )));
        }
        Ok(Segments { order: None, ..Segments::new(ids, n)? })
    }

    /// Declares that there are `n` segments and `e` members, both symbols: `jit` then traces once for every graph.
    ///
    /// # Panics
    /// If a name is not a symbol.
    #[track_caller]
    pub fn with_symbols(self, n: &str, e: &str) -> Segments {
        Segments {
            ids: self.ids.declare([e]),
            offsets: self.offsets.declare([Dim::symbol(n) + 1]),
            order: self.order.map(|order| order.declare([e])),
        }
    }

    /// The number of segments: a number outside `jit`; inside it may be a symbol.
    ///
    /// # Panics
    /// If the offsets have no axis.
    #[track_caller]
    pub fn n_segment(&self) -> Dim {
        &first_axis(&self.offsets, "offsets") - 1
    }

    /// The number of members: a number outside `jit`; inside it may be a symbol.
    ///
    /// # Panics
    /// If the ids have no axis.
    #[track_caller]
    pub fn n_member(&self) -> Dim {
        first_axis(&self.ids, "ids")
    }

    /// The operands of the primitives: ids, offsets and order, which counts up if it is not stored.
    #[track_caller]
    fn arrays(&self) -> [Value; 3] {
        let order = match &self.order {
            Some(order) => order.clone(),
            None => arange(self.n_member(), DType::I32),
        };
        [self.ids.0.clone(), self.offsets.0.clone(), order.0]
    }

    /// For each member the row of its segment: `x[n, …]` to `[e, …]`.
    ///
    /// # Panics
    /// If the extent of the first axis of `x` is not the number of segments.
    #[track_caller]
    pub fn gather(&self, x: &Array) -> Array {
        let x = named(x, self.n_segment());
        Array(gather_segments(&x, self.arrays().each_ref(), 0))
    }

    /// For each segment the sum of its members' rows: `data[e, …]` to `[n, …]`; 0 for a segment without members.
    ///
    /// # Panics
    /// If the extent of the first axis of `data` is not the number of members.
    #[track_caller]
    pub fn sum(&self, data: &Array) -> Array {
        Array(segment_sum(&named(data, self.n_member()), self.arrays().each_ref()))
    }

    /// For each segment the largest of its members' rows, element by element; the least value of the type for a segment
    /// without members. Members that tie for the largest share the derivative.
    ///
    /// # Panics
    /// If the extent of the first axis of `data` is not the number of members.
    #[track_caller]
    pub fn max(&self, data: &Array) -> Array {
        Array(segment_max(&named(data, self.n_member()), self.arrays().each_ref()))
    }

    /// For each segment the mean of its members' rows; 0 for a segment without members.
    ///
    /// # Panics
    /// If the extent of the first axis of `data` is not the number of members, or its elements are not floating.
    #[track_caller]
    pub fn mean(&self, data: &Array) -> Array {
        self.floating("segment mean", data);
        let sum = self.sum(data).0;
        let (starts, ends) = (self.offsets.slice_axis(0, ..self.n_segment()), self.offsets.slice_axis(0, 1..));
        let count = SUB.of([&ends.0, &starts.0]);
        let count = bind1(CONVERT_ELEMENT_TYPE, &[&count], Params::new().with("dtype", data.dtype()));
        let count = MAX.of([&count, &constant(data.dtype(), 1.0)]);
        Array(DIV.of([&sum, &broadcast_in_dim(&count, sum.shape(), &[0])]))
    }

    /// For each member `exp(data) / Σ exp(data of its segment)`, without overflow: `[e, …]` to `[e, …]`.
    ///
    /// Source: Veličković et al., *Graph Attention Networks* (ICLR 2018), equation 2.
    ///
    /// # Panics
    /// If the extent of the first axis of `data` is not the number of members, or its elements are not floating.
    #[track_caller]
    pub fn softmax(&self, data: &Array) -> Array {
        self.floating("segment softmax", data);
        // The default derivative differentiates the quotient; this rule needs only the result of the forward pass.
        let of = |x: Array| self.quotient(&x);
        let rule = |(x,): (Array,), (dx,): (Array,)| {
            let y = self.quotient(&x);
            let dy = &y * dx;
            let total = self.sum(&dy);
            let dy = dy - &y * self.gather(&total);
            (y, dy)
        };
        custom_jvp(of, rule)(named(data, self.n_member()).into())
    }

    /// [`softmax`](Segments::softmax) as a formula.
    fn quotient(&self, data: &Array) -> Array {
        // The largest member only shifts the exponents: the quotient does not depend on it.
        let highest = bind1(STOP_GRADIENT, &[&self.max(data).0], Params::new());
        let distance = SUB.of([&data.0, &self.gather(&Array(highest)).0]);
        let weights = Array(EXP.of([&distance]));
        let total = self.gather(&self.sum(&weights));
        Array(DIV.of([&weights.0, &total.0]))
    }

    #[track_caller]
    fn floating(&self, operation: &str, data: &Array) {
        if !data.dtype().is_float() {
            reject(operation, "takes floats: convert with `astype` first", &[data]);
        }
    }
}

/// The members segment by segment, in ascending order within a segment.
fn grouped(ids: &[i32], offsets: &[i32]) -> Vec<i32> {
    let mut next = offsets.to_vec();
    let mut order = vec![0; ids.len()];
    for (member, id) in (0..).zip(ids) {
        let place = &mut next[*id as usize];
        order[*place as usize] = member;
        *place += 1;
    }
    order
}

/// The first extent of an array of segments.
#[track_caller]
fn first_axis(array: &Array, name: &str) -> Dim {
    match array.shape().first() {
        Some(extent) => extent.clone(),
        None => reject("segments", format!("the {name} must have an axis"), &[array]),
    }
}

/// `x` with its first extent renamed to `extent`, if facts say that they are equal; otherwise unchanged, to be refused.
#[track_caller]
fn named(x: &Array, extent: Dim) -> Value {
    let mut shape = x.shape().clone();
    match shape.first_mut() {
        Some(first) if same(first, &extent) => *first = extent,
        _ => {}
    }
    renamed(&x.0, &shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gavotte_core::aval::Aval;
    use gavotte_core::ir::trace;
    use gavotte_core::transform::vjp;

    fn five() -> Segments {
        Segments::new(&[2, 0, 3, 2, 2], 4).unwrap_or_else(|error| panic!("{error}"))
    }

    fn data() -> Array {
        Array::new(&[5], vec![1.0f32, 2.0, 4.0, 3.0, 5.0])
    }

    #[test]
    fn construction_groups_members_and_keeps_their_order() {
        assert_eq!(five().offsets.to_vec::<i32>(), [0, 1, 1, 4, 5]);
        assert_eq!(five().order.map(|order| order.to_vec::<i32>()), Some(vec![1, 0, 3, 4, 2]));
        assert_eq!((five().n_segment(), five().n_member()), (4.into(), 5.into()));
        let empty = Segments::new(&[], 2).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(empty.sum(&Array::new(&[0, 2], Vec::<f32>::new())).to_vec::<f32>(), [0.0; 4]);
    }

    #[test]
    fn ids_that_never_fall_need_no_order() {
        let rising = Segments::sorted(&[0, 2, 2, 3], 4).unwrap_or_else(|error| panic!("{error}"));
        assert!(rising.order.is_none());
        let error = Segments::sorted(&[0, 2, 1], 4).expect_err("they fall").to_string();
        assert!(error.contains("id 2 at position 1 is followed by 1"), "{error}");
        // Ids that happen to ascend have the same structure as others, so that one compiled function serves both.
        let by_hand = Segments::new(&[0, 2, 2, 3], 4).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(by_hand.clone().flatten().0, five().flatten().0);
        assert_ne!(rising.flatten().0, by_hand.flatten().0, "compiled functions tell them apart");
        let data = Array::new(&[4, 2], (0..8).map(|i| i as f32).collect());
        assert_eq!(rising.sum(&data).to_vec::<f32>(), [0.0, 1.0, 0.0, 0.0, 6.0, 8.0, 6.0, 7.0]);
        for f in [Segments::sum, Segments::max, Segments::softmax] {
            assert_eq!(f(&rising, &data).to_vec::<f32>(), f(&by_hand, &data).to_vec::<f32>());
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for (ids, text) in [([0, 4], "id 4 at position 1 is not in 0..4"), ([-1, 0], "id -1 at position 0")] {
            let error = Segments::new(&ids, 4).expect_err("out of range").to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn reductions_by_segment() {
        assert_eq!(five().gather(&Array::new(&[4], vec![10, 20, 30, 40])).to_vec::<i32>(), [30, 10, 40, 30, 30]);
        assert_eq!(five().sum(&data()).to_vec::<f32>(), [2.0, 0.0, 9.0, 4.0]);
        assert_eq!(five().max(&data()).to_vec::<f32>(), [2.0, f32::NEG_INFINITY, 5.0, 4.0]);
        assert_eq!(five().mean(&data()).to_vec::<f32>(), [2.0, 0.0, 3.0, 4.0]);
    }

    #[test]
    fn softmax_sums_to_one_in_each_segment_with_members() {
        let large = Array::new(&[5, 2], (0..10).map(|i| i as f32 * 100.0).collect());
        let sums = five().sum(&five().softmax(&large)).to_vec::<f32>();
        assert_eq!(sums, [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
        let weights = five().softmax(&data()).to_vec::<f32>();
        let total = 1f32.exp() + 3f32.exp() + 5f32.exp();
        assert!((weights[3] - 3f32.exp() / total).abs() < 1e-6);
        assert_eq!(weights[1], 1.0);
    }

    #[test]
    fn derivatives_of_the_softmax_are_finite_and_vanish_along_ones() {
        // Σ of each segment's weights is constant, so its derivative is zero.
        let aval = Aval::new(DType::F32, [5]);
        let traced = trace("f", &[aval], |args| vec![five().softmax(&Array(args[0].clone())).0]);
        let (_, pull) = vjp(&traced.program, &traced.consts, &[data().0], &[true]);
        let ones = Array::new(&[5], vec![1.0f32; 5]).0;
        let back = Array(pull(&[Some(ones)])[0].clone().expect("a cotangent")).to_vec::<f32>();
        assert!(back.iter().all(|x| x.abs() < 1e-6), "{back:?}");
    }

    #[test]
    fn sizes_may_be_symbols() {
        let segments = five().with_symbols("n", "e");
        let (_, leaves) = segments.flatten();
        let mut avals: Vec<Aval> = leaves.iter().map(|leaf| leaf.declared_aval()).collect();
        avals.push(Aval::new(DType::F32, [Dim::symbol("e"), 8.into()]));
        let traced = trace("f", &avals, |args| {
            let [ids, offsets, order, data] = [0, 1, 2, 3].map(|i: usize| Array(args[i].clone()));
            let segments = Segments { ids, offsets, order: Some(order) };
            assert_eq!((segments.n_segment(), segments.n_member()), ("n".into(), "e".into()));
            vec![segments.mean(&segments.softmax(&data)).0]
        });
        assert_eq!(traced.program.out_avals()[0].to_string(), "f32[n,8]");
    }
}
