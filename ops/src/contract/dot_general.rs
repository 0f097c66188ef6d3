//! `dot_general`: products over shared batch axes, summed over contracted axes.

use crate::movement::operands;
use gavotte_core::aval::{Aval, DType, Dim, Shape, volume};
use gavotte_core::device::{Data, Elements, HostArray};
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::add_any;
use gavotte_core::ir::structural::{row_major, strided, transpose};
use gavotte_core::ir::{
    Attr, Batch, Batched, Cascade, Index, Jvp, Kind, Lower, Params, Primitive, ReduceOp, Sample, Scalar, ScalarOp,
    Transpose, Unsupported, Value, bind1, require_equal,
};

/// A contraction.
#[derive(Debug)]
struct DotGeneral;
/// The primitive `dot_general {batch, contract}`: each attribute holds a list of axes for each operand. Output axes are
/// the batch axes, the remaining axes of the first operand, the remaining axes of the second.
pub(super) static DOT_GENERAL: &dyn Primitive = &DotGeneral;

/// The least number of elements along the last axes that counts as long.
const LONG: i64 = 16;

/// The roles of both operands' axes.
#[derive(Clone, Debug)]
pub(crate) struct Roles {
    /// Shared axes that stay, pair by pair.
    pub(crate) batch: [Vec<usize>; 2],
    /// Shared axes that are summed over, pair by pair.
    pub(crate) contract: [Vec<usize>; 2],
}

/// The sum of products of `a` and `b`.
#[track_caller]
pub(crate) fn dot_general(a: &Value, b: &Value, roles: &Roles) -> Value {
    let pair = |[a, b]: &[Vec<usize>; 2]| Attr::List(vec![a.clone().into(), b.clone().into()]);
    let params = Params::new().with("batch", pair(&roles.batch)).with("contract", pair(&roles.contract));
    bind1(DOT_GENERAL, &[a, b], params)
}

impl Roles {
    fn of(params: &Params) -> Result<Roles, TypeError> {
        Ok(Roles { batch: params.try_axes_pair("batch")?, contract: params.try_axes_pair("contract")? })
    }

    fn known(params: &Params) -> Roles {
        Roles { batch: params.axes_pair("batch"), contract: params.axes_pair("contract") }
    }

    /// The axes of an operand of this rank that the other does not share.
    fn free(&self, operand: usize, rank: usize) -> Vec<usize> {
        (0..rank).filter(|axis| !self.batch[operand].contains(axis) && !self.contract[operand].contains(axis)).collect()
    }

    fn check(&self, ins: [&Aval; 2]) -> Result<(), TypeError> {
        for (i, aval) in ins.into_iter().enumerate() {
            let mut axes = [&self.batch[i][..], &self.contract[i]].concat();
            axes.sort_unstable();
            if axes.windows(2).any(|pair| pair[0] == pair[1]) || axes.last().is_some_and(|axis| *axis >= aval.rank()) {
                return Err(TypeError::new(format!("axes {axes:?} must each be one of the axes of {aval}, once")));
            }
        }
        for (what, [left, right]) in [("batch", &self.batch), ("contracted", &self.contract)] {
            if left.len() != right.len() {
                return Err(TypeError::new(format!("{what} axes {left:?} and {right:?} do not pair up")));
            }
            for (a, b) in left.iter().zip(right) {
                let (m, n) = (&ins[0].shape[*a], &ins[1].shape[*b]);
                let why = || format!("{what} axes {a} and {b} differ: {m} and {n}");
                require_equal(m, n, why)?;
                if m != n {
                    return Err(TypeError::new(format!("{}: name equal extents alike, with `reshape`", why())));
                }
            }
        }
        Ok(())
    }

    /// The cotangent of operand `unknown`, from the other operand `known` and the output's cotangent.
    ///
    /// With axes named as in `out[b, i, j] = Σₖ x[b, i, k] · y[b, j, k]`: `x̄[b, i, k] = Σⱼ ō[b, i, j] · y[b, j, k]`.
    fn pull(&self, ct: &Value, known: &Value, unknown: usize, aval: &Aval) -> Value {
        let (other, rank) = (1 - unknown, aval.rank());
        let shared = self.batch[0].len();
        let (own, free) = (self.free(unknown, rank), self.free(other, known.rank()));
        let first = shared + if other == 0 { 0 } else { own.len() };
        let batch = [(0..shared).collect(), self.batch[other].clone()];
        let contract = [(first..first + free.len()).collect(), free];
        // The contracted axes are in the order of `known`.
        let mut pairs: Vec<(usize, usize)> =
            self.contract[other].iter().copied().zip(self.contract[unknown].iter().copied()).collect();
        pairs.sort_unstable();
        let summed: Vec<usize> = pairs.into_iter().map(|(_, axis)| axis).collect();
        let is_ordered = |axes: &[usize]| axes.iter().copied().eq(0..rank);
        // The cotangent's axes come first, unless the operand's own order is the opposite one: then nothing has to
        // move. But if the last axes are then short, code that is vectorized along them has little work at once.
        let [after, before] =
            [[&own, &summed], [&summed, &own]].map(|[x, y]| [&self.batch[unknown][..], x, y].concat());
        let length = volume(&aval.shape[rank - own.len()..]).as_number();
        if is_ordered(&before) && !is_ordered(&after) && length.is_none_or(|length| length >= LONG) {
            let roles = Roles { batch, contract }.exchanged();
            return dot_general(known, ct, &roles);
        }
        let product = dot_general(ct, known, &Roles { batch, contract });
        let mut order = vec![0; rank];
        for (i, axis) in after.into_iter().enumerate() {
            order[axis] = i;
        }
        transpose(&product, &order)
    }

    /// The same with both operands exchanged.
    fn exchanged(mut self) -> Roles {
        self.batch.swap(0, 1);
        self.contract.swap(0, 1);
        self
    }
}

/// `out[b, i, j] = Σₖ x[b, i, k] · y[b, k, j]`, by rows, so that the innermost loop runs along memory.
fn product<T: Copy + Default>(
    x: &[T],
    y: &[T],
    [batch, m, k, n]: [usize; 4],
    plus: impl Fn(T, T) -> T,
    times: impl Fn(T, T) -> T,
) -> Elements<T> {
    let mut out = Elements::filled(T::default(), batch * m * n);
    let mut cascade = Cascade::new(T::default(), plus);
    for row in 0..batch * m {
        let (x, y) = (&x[row * k..][..k], &y[row / m * k * n..][..k * n]);
        cascade.add(k, &mut out[row * n..][..n], |inner, j| times(x[inner], y[inner * n + j]));
    }
    out
}

impl Primitive for DotGeneral {
    fn name(&self) -> &'static str {
        "dot_general"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["batch", "contract"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let [a, b] = operands(ins)?;
        if a.dtype != b.dtype || a.dtype == DType::Bool {
            return Err(TypeError::new(format!(
                "takes numbers of one type, not {} and {}: convert with `astype` first",
                a.dtype, b.dtype
            )));
        }
        let roles = Roles::of(params)?;
        roles.check([a, b])?;
        let batch = roles.batch[0].iter().map(|axis| &a.shape[*axis]);
        let (left, right) = (roles.free(0, a.rank()), roles.free(1, b.rank()));
        let shape: Shape = batch
            .chain(left.iter().map(|axis| &a.shape[*axis]))
            .chain(right.iter().map(|axis| &b.shape[*axis]))
            .cloned()
            .collect();
        Ok(vec![a.with_shape(shape)])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let roles = Roles::known(params);
        let shapes = [ins[0].shape(), ins[1].shape()];
        let free = [0, 1].map(|i| roles.free(i, shapes[i].len()));
        // Both operands in the order of the loops: [batch, i, k] and [batch, k, j].
        let ordered = |i: usize, axes: Vec<usize>| {
            let steps = row_major(&shapes[i]);
            let shape: Vec<usize> = axes.iter().map(|axis| shapes[i][*axis]).collect();
            strided(ins[i], &shape, &axes.iter().map(|axis| steps[*axis]).collect::<Vec<_>>(), 0)
        };
        let x = ordered(0, [&roles.batch[0][..], &free[0], &roles.contract[0]].concat());
        let y = ordered(1, [&roles.batch[1][..], &roles.contract[1], &free[1]].concat());
        let extents = |i: usize, axes: &[usize]| axes.iter().map(|axis| shapes[i][*axis]).collect::<Vec<usize>>();
        let (batch, left) = (extents(0, &roles.batch[0]), extents(0, &free[0]));
        let (inner, right) = (extents(0, &roles.contract[0]), extents(1, &free[1]));
        let sizes = [&batch, &left, &inner, &right].map(|extents| extents.iter().product());
        let data = match (x.data(), y.data()) {
            (Data::F32(x), Data::F32(y)) => Data::F32(product(x, y, sizes, |a, b| a + b, |x, y| x * y)),
            (Data::F64(x), Data::F64(y)) => Data::F64(product(x, y, sizes, |a, b| a + b, |x, y| x * y)),
            (Data::I32(x), Data::I32(y)) => Data::I32(product(x, y, sizes, i32::wrapping_add, i32::wrapping_mul)),
            (Data::U32(x), Data::U32(y)) => Data::U32(product(x, y, sizes, u32::wrapping_add, u32::wrapping_mul)),
            (Data::I64(x), Data::I64(y)) => Data::I64(product(x, y, sizes, i64::wrapping_add, i64::wrapping_mul)),
            (Data::U64(x), Data::U64(y)) => Data::U64(product(x, y, sizes, u64::wrapping_add, u64::wrapping_mul)),
            _ => unreachable!("abstract_eval admits numbers of one type only, and narrow types are widened"),
        };
        vec![HostArray::from_data(&[batch, left, right].concat(), data)]
    }
    fn computed_in(&self, dtype: DType) -> DType {
        dtype.computed()
    }
    // d(x · y) = dx · y + x · dy
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let roles = Roles::known(cx.params);
        let left = cx.tangents[0].as_ref().map(|t| dot_general(t, &cx.primals[1], &roles));
        let right = cx.tangents[1].as_ref().map(|t| dot_general(&cx.primals[0], t, &roles));
        vec![match (left, right) {
            (Some(left), Some(right)) => Some(add_any(&left, &right)),
            (left, right) => left.or(right),
        }]
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let roles = Roles::known(cx.params);
        let of = |i: usize| {
            let known = cx.ins[1 - i].known()?;
            cx.ins[i].is_unknown().then(|| roles.pull(cx.cotangent(), known, i, &cx.ins[i].aval()))
        };
        vec![of(0), of(1)]
    }
    /// A new axis of one operand becomes one of its free axes; a new axis of both becomes a batch axis: nothing moves.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let mut roles = Roles::known(cx.params);
        for i in 0..2 {
            if let Some(at) = cx.ins[i].1 {
                for axis in roles.batch[i].iter_mut().chain(&mut roles.contract[i]) {
                    *axis += usize::from(*axis >= at);
                }
            }
        }
        let (a, b) = (&cx.ins[0].0, &cx.ins[1].0);
        let shared = roles.batch[0].len();
        let before = |i: usize, rank: usize, at: usize| roles.free(i, rank).iter().filter(|axis| **axis < at).count();
        let place = match (cx.ins[0].1, cx.ins[1].1) {
            (Some(left), Some(right)) => {
                roles.batch[0].insert(0, left);
                roles.batch[1].insert(0, right);
                0
            }
            (Some(left), None) => shared + before(0, a.rank(), left),
            (None, right) => {
                let right = right.expect("an operand is batched");
                shared + roles.free(0, a.rank()).len() + before(1, b.rank(), right)
            }
        };
        vec![(dot_general(a, b, &roles), Some(place))]
    }
    fn kind(&self) -> Kind {
        Kind::Contract
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let roles = Roles::known(cx.params());
        let shapes = [cx.operand(0).shape, cx.operand(1).shape];
        let index = cx.index();
        let extents: Vec<Dim> = roles.contract[0].iter().map(|axis| shapes[0][*axis].clone()).collect();
        let loops = if extents.is_empty() { vec![] } else { cx.reduction_loops(&extents)? };
        let (shared, mut next) = index.split_at(roles.batch[0].len());
        let mut factors = [Scalar(0); 2];
        for i in 0..2 {
            let free = roles.free(i, shapes[i].len());
            let (own, rest) = next.split_at(free.len());
            next = rest;
            let axes = roles.batch[i].iter().zip(shared).chain(free.iter().zip(own));
            let mut at = vec![Index::constant(0); shapes[i].len()];
            for (axis, place) in axes.chain(roles.contract[i].iter().zip(&loops)) {
                at[*axis] = place.clone();
            }
            factors[i] = cx.read(i, &at)?;
        }
        let product = cx.op(ScalarOp::Mul, &factors);
        Ok(vec![if extents.is_empty() { product } else { cx.reduce(ReduceOp::Sum, product)? }])
    }
    /// In the full precision of the elements; the default of some targets is lower.
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (a, b, out) = (cx.operand(0), cx.operand(1), cx.output(0));
        let Roles { batch: [a_batch, b_batch], contract: [a_contract, b_contract] } = Roles::known(cx.params());
        let axes = format!(
            "#stablehlo.dot<lhs_batching_dimensions = {a_batch:?}, rhs_batching_dimensions = {b_batch:?}, \
             lhs_contracting_dimensions = {a_contract:?}, rhs_contracting_dimensions = {b_contract:?}>"
        );
        let highest = "#stablehlo<precision HIGHEST>";
        let attrs = [("dot_dimension_numbers", axes), ("precision_config", format!("[{highest}, {highest}]"))];
        Ok(vec![cx.op("dot_general", &[&a, &b], &attrs, out)])
    }
    fn samples(&self) -> Vec<Sample> {
        let array = |shape: &[usize], scale: f32| {
            HostArray::new(shape, (0..shape.iter().product()).map(|i| (i as f32 * scale).sin()).collect())
        };
        type Axes<'a> = [&'a [usize]; 2];
        let by = |batch: Axes<'_>, contract: Axes<'_>| {
            let pair = |[a, b]: Axes<'_>| Attr::List(vec![a.into(), b.into()]);
            Params::new().with("batch", pair(batch)).with("contract", pair(contract))
        };
        vec![
            Sample::new("matrices", vec![array(&[2, 3], 0.7), array(&[3, 4], 1.1)], by([&[], &[]], [&[1], &[0]])),
            Sample::new("long rows", vec![array(&[2, 3], 0.7), array(&[3, 17], 1.1)], by([&[], &[]], [&[1], &[0]])),
            Sample::new("vectors", vec![array(&[3], 0.7), array(&[3], 1.1)], by([&[], &[]], [&[0], &[0]])),
            Sample::new("outer", vec![array(&[2], 0.7), array(&[3], 1.1)], by([&[], &[]], [&[], &[]])),
            Sample::new(
                "batch last",
                vec![array(&[3, 2, 2], 0.7), array(&[2, 3, 4], 1.1)],
                by([&[2], &[0]], [&[0], &[1]]),
            ),
            Sample::new(
                "two pairs crossed",
                vec![array(&[2, 3, 4], 0.7), array(&[4, 5, 2], 1.1)],
                by([&[], &[]], [&[0, 2], &[2, 0]]),
            ),
            Sample::new("sum of nothing", vec![array(&[2, 0], 0.7), array(&[0, 2], 1.1)], by([&[], &[]], [&[1], &[0]])),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gavotte_core::ir::trace;

    #[test]
    fn a_head_axis_of_the_weights_moves_nothing() {
        // h[n, 5] · w[5, heads, 8]: heads are between the rows and the columns of the result.
        let avals = [Aval::new(DType::F32, [Dim::symbol("n"), 5.into()]), Aval::new(DType::F32, [5, 4, 8])];
        let traced = trace("f", &avals, |args| {
            let pair = |a: usize, b: usize| Attr::List(vec![vec![a].into(), vec![b].into()]);
            let none = Attr::List(vec![Vec::<usize>::new().into(), Vec::<usize>::new().into()]);
            let params = Params::new().with("batch", none).with("contract", pair(1, 0));
            let ins = [(args[0].clone(), None), (args[1].clone(), Some(1))];
            let out = DOT_GENERAL.batch(&Batch { ins: &ins, size: &4.into(), params: &params }).swap_remove(0);
            assert_eq!(out.1, Some(1));
            vec![out.0]
        });
        assert_eq!(traced.program.eqns.len(), 1);
        assert_eq!(traced.program.out_avals()[0].to_string(), "f32[n,4,8]");
    }
}
