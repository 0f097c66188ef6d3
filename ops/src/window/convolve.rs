//! `conv`: sums of products over a window that moves along spatial axes.

use super::windows::{Moves, windows};
use crate::Array;
use crate::contract::{Roles, dot_general};
use crate::movement::{followed, operands, pad_zeros, slice, span};
use gavotte_core::aval::{Aval, DType, Dim, Shape, Verdict};
use gavotte_core::device::{Data, Elements, HostArray};
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::{add_any, row_major, strided, transpose, zeros};
use gavotte_core::ir::{
    Attr, Batch, Batched, Cascade, Jvp, Kind, Params, Primitive, Program, Sample, Transpose, Unsupported, Value, bind1,
    decide, require_equal, trace,
};

/// A contraction over windows.
#[derive(Debug)]
struct Convolution;
/// The primitive `conv {base_dilation, batch, contract, high, low, spatial, stride, window_dilation}` is `dot_general`
/// with spatial axes, of which `spatial` has a list for each operand. Along these, the first operand gets
/// `base_dilation - 1` zeros between neighbours, `low` zeros in front and `high` after (elements are cut off if they are
/// negative), and the second operand is a window, whose elements are `window_dilation` apart and which moves by
/// `stride`. Output axes are the batch axes, the first operand's remaining ones, spatial ones among them, then the
/// second's, without spatial ones.
pub(super) static CONV: &dyn Primitive = &Convolution;

/// The attributes.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) roles: Roles,
    /// Pairs of axes of the first operand and of the window.
    pub(super) spatial: [Vec<usize>; 2],
    pub(super) stride: Vec<usize>,
    pub(super) low: Vec<Dim>,
    pub(super) high: Vec<Dim>,
    pub(super) base_dilation: Vec<usize>,
    pub(super) window_dilation: Vec<usize>,
}

/// The sums of products of `x` with the window `w`.
#[track_caller]
pub(super) fn convolution(x: &Value, w: &Value, spec: &Spec) -> Value {
    bind1(CONV, &[x, w], spec.params())
}

impl Spec {
    fn params(&self) -> Params {
        let pair = |[a, b]: &[Vec<usize>; 2]| Attr::List(vec![a.clone().into(), b.clone().into()]);
        Params::new()
            .with("batch", pair(&self.roles.batch))
            .with("contract", pair(&self.roles.contract))
            .with("spatial", pair(&self.spatial))
            .with("stride", self.stride.clone())
            .with("low", self.low.clone())
            .with("high", self.high.clone())
            .with("base_dilation", self.base_dilation.clone())
            .with("window_dilation", self.window_dilation.clone())
    }

    fn of(params: &Params) -> Result<Spec, TypeError> {
        Ok(Spec {
            roles: Roles { batch: params.try_axes_pair("batch")?, contract: params.try_axes_pair("contract")? },
            spatial: params.try_axes_pair("spatial")?,
            stride: params.try_axes("stride")?,
            low: params.try_dims("low")?.to_vec(),
            high: params.try_dims("high")?.to_vec(),
            base_dilation: params.try_axes("base_dilation")?,
            window_dilation: params.try_axes("window_dilation")?,
        })
    }

    fn known(params: &Params) -> Spec {
        Spec::of(params).expect("abstract_eval has read the attributes")
    }

    fn n_spatial(&self) -> usize {
        self.spatial[0].len()
    }

    fn n_batch(&self) -> usize {
        self.roles.batch[0].len()
    }

    /// The first operand's axes that stay, spatial ones among them.
    fn rest(&self, rank: usize) -> Vec<usize> {
        let [batch, contract] = [&self.roles.batch[0], &self.roles.contract[0]];
        (0..rank).filter(|axis| !batch.contains(axis) && !contract.contains(axis)).collect()
    }

    /// The window's axes that stay.
    fn free(&self, rank: usize) -> Vec<usize> {
        let gone = [&self.roles.batch[1], &self.roles.contract[1], &self.spatial[1]];
        (0..rank).filter(|axis| gone.iter().all(|axes| !axes.contains(axis))).collect()
    }

    /// How the window moves along spatial axis number `i`.
    fn moves(&self, i: usize, w: &[Dim]) -> Moves {
        Moves { size: w[self.spatial[1][i]].clone(), stride: self.stride[i], dilation: self.window_dilation[i] }
    }

    /// The extent of spatial axis number `i` of the first operand, with what surrounds it.
    fn padded(&self, i: usize, x: &[Dim]) -> Result<Dim, TypeError> {
        let extent = &x[self.spatial[0][i]];
        let dilated = dilated(extent, self.base_dilation[i]).ok_or_else(|| {
            TypeError::new(format!("gaps between the elements of an axis of {extent}, which may be empty"))
        })?;
        Ok(dilated + &self.low[i] + &self.high[i])
    }

    fn check(&self, [x, w]: [&Aval; 2]) -> Result<(), TypeError> {
        let lists = [&self.stride, &self.base_dilation, &self.window_dilation];
        let n = self.n_spatial();
        if lists.iter().any(|list| list.len() != n) || self.low.len() != n || self.high.len() != n {
            return Err(TypeError::new(format!(
                "strides, dilations and borders must have one entry for each of {n} axes"
            )));
        }
        if lists.iter().any(|list| list.contains(&0)) {
            return Err(TypeError::new("strides and dilations must not be 0"));
        }
        for (i, aval) in [x, w].into_iter().enumerate() {
            let mut axes = [&self.roles.batch[i][..], &self.roles.contract[i], &self.spatial[i]].concat();
            axes.sort_unstable();
            if axes.windows(2).any(|pair| pair[0] == pair[1]) || axes.last().is_some_and(|axis| *axis >= aval.rank()) {
                return Err(TypeError::new(format!("axes {axes:?} must each be one of the axes of {aval}, once")));
            }
        }
        let Roles { batch, contract } = &self.roles;
        for (what, [left, right]) in [("batch", batch), ("contracted", contract), ("spatial", &self.spatial)] {
            if left.len() != right.len() {
                return Err(TypeError::new(format!("{what} axes {left:?} and {right:?} do not pair up")));
            }
        }
        for (what, [left, right]) in [("batch", batch), ("contracted", contract)] {
            for (a, b) in left.iter().zip(right) {
                let (m, n) = (&x.shape[*a], &w.shape[*b]);
                let why = || format!("{what} axes {a} and {b} differ: {m} and {n}");
                require_equal(m, n, why)?;
                if m != n {
                    return Err(TypeError::new(format!("{}: name equal extents alike, with `reshape`", why())));
                }
            }
        }
        Ok(())
    }

    fn shape(&self, x: &[Dim], w: &[Dim]) -> Result<Shape, TypeError> {
        let mut out: Shape = self.roles.batch[0].iter().map(|axis| x[*axis].clone()).collect();
        for axis in self.rest(x.len()) {
            out.push(match self.spatial[0].iter().position(|spatial| *spatial == axis) {
                None => x[axis].clone(),
                Some(i) => self.moves(i, w).count(&self.padded(i, x)?)?,
            });
        }
        out.extend(self.free(w.len()).into_iter().map(|axis| w[axis].clone()));
        Ok(out)
    }

    /// The place in the output of an axis of the first operand that stays.
    fn place(&self, axis: usize, rank: usize) -> usize {
        self.n_batch() + self.rest(rank).iter().filter(|other| **other < axis).count()
    }

    /// The places in the output of the first operand's spatial axes.
    fn places(&self, rank: usize) -> Vec<usize> {
        self.spatial[0].iter().map(|axis| self.place(*axis, rank)).collect()
    }

    /// The cotangent of the first operand, of this type: a convolution of the output's cotangent, dilated by the strides,
    /// with the window read backwards.
    ///
    /// In one dimension, `out[p] = Σₖ x[p·s + k·d - low] · w[k]` with `x` dilated by `b`. So
    /// `x̄[q] = Σₖ ō[(q·b + low - k·d) / s] · w[k]`, and with `k' = K - 1 - k` the position moves forward:
    /// `ō` dilated by `s` is read at `q·b + k'·d - ((K - 1)·d - low)`.
    fn pull_first(&self, ct: &Value, w: &Value, x: &Aval) -> Value {
        let (n, rank) = (self.n_spatial(), x.rank());
        let free = self.free(w.rank());
        let contract = [(ct.rank() - free.len()..ct.rank()).collect(), free];
        let batch = [(0..self.n_batch()).collect(), self.roles.batch[1].clone()];
        let (places, mut ct, mut gaps) = (self.places(rank), ct.clone(), self.stride.clone());
        let (mut low, mut high) = (vec![], vec![]);
        for i in 0..n {
            let (at, reach) = (places[i], self.moves(i, w.shape()).span() - 1);
            let out = dilated(&ct.shape()[at], gaps[i]).unwrap_or_else(|| {
                // There may be no output: so zeros follow every element, instead of being between them.
                ct = followed(&ct, at, gaps[i] - 1);
                gaps[i] = 1;
                ct.shape()[at].clone()
            });
            let x = dilated(&x.shape[self.spatial[0][i]], self.base_dilation[i]).expect("abstract_eval has found it");
            low.push(&reach - &self.low[i]);
            high.push(x + &self.low[i] - out);
        }
        let backwards = Array(w.clone()).flip(&self.spatial[1][..]).0;
        let spec = Spec {
            roles: Roles { batch, contract },
            spatial: [places, self.spatial[1].clone()],
            stride: self.base_dilation.clone(),
            low,
            high,
            base_dilation: gaps,
            window_dilation: self.window_dilation.clone(),
        };
        let out = convolution(&ct, &backwards, &spec);
        // The contracted axes are in the order of the window.
        let mut pairs: Vec<_> = self.roles.contract[1].iter().zip(&self.roles.contract[0]).collect();
        pairs.sort_unstable();
        let contracted: Vec<usize> = pairs.into_iter().map(|(_, axis)| *axis).collect();
        ordered(&out, &[&self.roles.batch[0][..], &self.rest(rank), &contracted].concat())
    }

    /// The cotangent of the window, of this type: a convolution of the first operand with the output's cotangent as a
    /// window, where strides and the window's dilations change places.
    ///
    /// In one dimension, `w̄[k] = Σₚ ō[p] · x[p·s + k·d - low]`.
    fn pull_window(&self, ct: &Value, x: &Value, w: &Aval) -> Value {
        let (n, rank) = (self.n_spatial(), x.rank());
        let places = self.places(rank);
        let own: Vec<usize> = self.rest(rank).into_iter().filter(|axis| !self.spatial[0].contains(axis)).collect();
        let theirs: Vec<usize> = own.iter().map(|axis| self.place(*axis, rank)).collect();
        let batch = [self.roles.batch[0].clone(), (0..self.n_batch()).collect()];
        // A window has an element: if there may be no output, a zero follows.
        let (none, mut more) = (vec![Dim::from(0); ct.rank()], vec![Dim::from(0); ct.rank()]);
        let may_be_empty = |at: &&usize| decide(&ct.shape()[**at].at_least(1)) != Verdict::Holds;
        places.iter().filter(may_be_empty).for_each(|at| more[*at] = 1.into());
        let ct = &pad_zeros(ct, &none, &more, &vec![0; ct.rank()]);
        let high = (0..n).map(|i| {
            let reach = self.moves(i, &w.shape).span() - 1;
            let x = dilated(&x.shape()[self.spatial[0][i]], self.base_dilation[i]).expect("abstract_eval has found it");
            (&ct.shape()[places[i]] - 1) * self.stride[i] + 1 - x + reach - &self.low[i]
        });
        let high = high.collect();
        let spec = Spec {
            roles: Roles { batch, contract: [own, theirs] },
            spatial: [self.spatial[0].clone(), places],
            stride: self.window_dilation.clone(),
            low: self.low.clone(),
            high,
            base_dilation: self.base_dilation.clone(),
            window_dilation: self.stride.clone(),
        };
        let out = convolution(x, ct, &spec);
        let pair = |axis: usize| {
            let in_list = |[from, to]: &[Vec<usize>; 2]| from.iter().position(|a| *a == axis).map(|i| to[i]);
            in_list(&self.roles.contract).or_else(|| in_list(&self.spatial)).expect("it is contracted or spatial")
        };
        let kept = (0..rank).filter(|axis| self.roles.contract[0].contains(axis) || self.spatial[0].contains(axis));
        ordered(&out, &[&self.roles.batch[1][..], &kept.map(pair).collect::<Vec<_>>(), &self.free(w.rank())].concat())
    }

    /// Whether some output is a sum of no windows, so that nothing depends on the operands.
    fn is_empty(&self, ct: &Value) -> bool {
        ct.shape().iter().any(|extent| *extent == 0usize)
    }
}

/// The extent of an axis with `dilation - 1` gaps between neighbours; `None` if it is unknown.
fn dilated(extent: &Dim, dilation: usize) -> Option<Dim> {
    span(extent, dilation - 1)
}

/// `x` with axis `i` as axis `axes[i]`.
fn ordered(x: &Value, axes: &[usize]) -> Value {
    let mut order = vec![0; axes.len()];
    axes.iter().enumerate().for_each(|(i, axis)| order[*axis] = i);
    transpose(x, &order)
}

/// `x` with the zeros of a convolution around and between its elements, and without what negative borders cut off.
fn surrounded(x: &Value, spec: &Spec) -> Value {
    let rank = x.rank();
    let (mut low, mut high) = (vec![Dim::from(0); rank], vec![Dim::from(0); rank]);
    let mut interior = vec![0; rank];
    let (mut start, mut cut) = (low.clone(), high.clone());
    // What a border of `n - 2` cuts off is no number: it is one of `n`, of which 2 are cut off.
    let split = |border: &Dim| match border.replace(|_| Some(0.into())).as_number() {
        Some(n) if n < 0 && decide(&border.at_least(0)) != Verdict::Holds => (border - n, Dim::from(-n)),
        _ => (border.clone(), Dim::from(0)),
    };
    for (i, axis) in spec.spatial[0].iter().enumerate() {
        interior[*axis] = spec.base_dilation[i] - 1;
        (low[*axis], start[*axis]) = split(&spec.low[i]);
        (high[*axis], cut[*axis]) = split(&spec.high[i]);
    }
    let wide = pad_zeros(x, &low, &high, &interior);
    let limit: Vec<Dim> = wide.shape().iter().zip(&cut).map(|(extent, cut)| extent - cut).collect();
    slice(&wide, &start, &limit, &vec![1; rank])
}

/// The rows of products: what the interpreter does. `x(row, term)` is the position of an element, or `None` for zero.
fn product<T: Copy + Default>(
    x: &[T],
    y: &[T],
    [batch, rows, terms, columns]: [usize; 4],
    place: impl Fn(usize, usize) -> Option<usize>,
    plus: impl Fn(T, T) -> T,
    times: impl Fn(T, T) -> T,
) -> Elements<T> {
    let mut out = Elements::filled(T::default(), batch * rows * columns);
    let mut cascade = Cascade::new(T::default(), plus);
    let mut row_of_x = vec![T::default(); terms];
    for row in 0..batch * rows {
        row_of_x.iter_mut().enumerate().for_each(|(term, to)| *to = place(row, term).map_or(T::default(), |at| x[at]));
        let y = &y[row / rows * terms * columns..][..terms * columns];
        cascade.add(terms, &mut out[row * columns..][..columns], |k, j| times(row_of_x[k], y[k * columns + j]));
    }
    out
}

/// Counters of nested loops of these extents, after `n` iterations.
fn counters(mut n: usize, extents: &[usize]) -> Vec<usize> {
    let mut at: Vec<usize> = extents.iter().rev().map(|extent| (n % extent, n /= extent).0).collect();
    at.reverse();
    at
}

impl Primitive for Convolution {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["base_dilation", "batch", "contract", "high", "low", "spatial", "stride", "window_dilation"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let [x, w] = operands(ins)?;
        if x.dtype != w.dtype || x.dtype == DType::Bool {
            return Err(TypeError::new(format!(
                "takes numbers of one type, not {} and {}: convert with `astype` first",
                x.dtype, w.dtype
            )));
        }
        let spec = Spec::of(params)?;
        spec.check([x, w])?;
        Ok(vec![x.with_shape(spec.shape(&x.shape, &w.shape)?)])
    }
    /// The terms of each sum are in the order of the composition.
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let spec = Spec::known(params);
        let (x, w) = (ins[0].shape(), ins[1].shape());
        let dims = |shape: &[usize]| shape.iter().map(|n| Dim::from(*n)).collect::<Vec<_>>();
        let shape = spec.shape(&dims(&x), &dims(&w)).expect("abstract_eval has found it");
        let shape: Vec<usize> = shape.iter().map(|dim| dim.as_usize().expect("sizes are numbers")).collect();
        // An axis of a term: that of `x`, and of the window.
        let mut pairs: Vec<(usize, usize)> = vec![];
        for [from, to] in [&spec.roles.contract, &spec.spatial] {
            pairs.extend(from.iter().copied().zip(to.iter().copied()));
        }
        pairs.sort_unstable();
        let (rest, free) = (spec.rest(x.len()), spec.free(w.len()));
        let terms: Vec<usize> = pairs.iter().map(|(_, axis)| w[*axis]).collect();
        let window = [&spec.roles.batch[1][..], &pairs.iter().map(|pair| pair.1).collect::<Vec<_>>(), &free].concat();
        let steps = row_major(&w);
        let of = |axes: &[usize]| axes.iter().map(|axis| w[*axis]).collect::<Vec<usize>>();
        let y = strided(ins[1], &of(&window), &window.iter().map(|axis| steps[*axis]).collect::<Vec<_>>(), 0);
        let n_left = spec.n_batch() + rest.len();
        let left = [&spec.roles.batch[0][..], &rest].concat();
        let low: Vec<i64> = spec.low.iter().map(|dim| dim.as_number().expect("borders are numbers")).collect();
        let strides = row_major(&x);
        let place = |row: usize, term: usize| {
            let (mut at, mut moved) = (0, vec![0; spec.n_spatial()]);
            let spatial = |axis: usize| spec.spatial[0].iter().position(|other| *other == axis);
            for (axis, count) in left.iter().zip(counters(row, &shape[..n_left])) {
                match spatial(*axis) {
                    Some(i) => moved[i] += (count * spec.stride[i]) as i64 - low[i],
                    None => at += count * strides[*axis] as usize,
                }
            }
            for ((axis, _), count) in pairs.iter().zip(counters(term, &terms)) {
                match spatial(*axis) {
                    Some(i) => moved[i] += (count * spec.window_dilation[i]) as i64,
                    None => at += count * strides[*axis] as usize,
                }
            }
            for (i, axis) in spec.spatial[0].iter().enumerate() {
                let (moved, gap) = (usize::try_from(moved[i]).ok()?, spec.base_dilation[i]);
                if moved % gap != 0 || moved / gap >= x[*axis] {
                    return None;
                }
                at += moved / gap * strides[*axis] as usize;
            }
            Some(at)
        };
        let product_of = |extents: &[usize]| extents.iter().product::<usize>();
        let batch = product_of(&shape[..spec.n_batch()]);
        let sizes = [batch, product_of(&shape[spec.n_batch()..n_left]), product_of(&terms), product_of(&of(&free))];
        let data = match (ins[0].data(), y.data()) {
            (Data::F32(x), Data::F32(y)) => Data::F32(product(x, y, sizes, place, |a, b| a + b, |a, b| a * b)),
            (Data::F64(x), Data::F64(y)) => Data::F64(product(x, y, sizes, place, |a, b| a + b, |a, b| a * b)),
            (Data::I32(x), Data::I32(y)) => {
                Data::I32(product(x, y, sizes, place, i32::wrapping_add, i32::wrapping_mul))
            }
            (Data::U32(x), Data::U32(y)) => {
                Data::U32(product(x, y, sizes, place, u32::wrapping_add, u32::wrapping_mul))
            }
            (Data::I64(x), Data::I64(y)) => {
                Data::I64(product(x, y, sizes, place, i64::wrapping_add, i64::wrapping_mul))
            }
            (Data::U64(x), Data::U64(y)) => {
                Data::U64(product(x, y, sizes, place, u64::wrapping_add, u64::wrapping_mul))
            }
            _ => unreachable!("abstract_eval admits numbers of one type only, and narrow types are widened"),
        };
        vec![HostArray::from_data(&shape, data)]
    }
    fn computed_in(&self, dtype: DType) -> DType {
        dtype.computed()
    }
    // d(x ∗ w) = dx ∗ w + x ∗ dw
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let spec = Spec::known(cx.params);
        let left = cx.tangents[0].as_ref().map(|t| convolution(t, &cx.primals[1], &spec));
        let right = cx.tangents[1].as_ref().map(|t| convolution(&cx.primals[0], t, &spec));
        vec![match (left, right) {
            (Some(left), Some(right)) => Some(add_any(&left, &right)),
            (left, right) => left.or(right),
        }]
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let (spec, ct) = (Spec::known(cx.params), cx.cotangent());
        let [first, window] = [0, 1].map(|i| cx.ins[i].aval());
        let of = |i: usize, pull: &dyn Fn(&Value) -> Value| {
            let known = cx.ins[1 - i].known()?;
            let zero = || zeros(&cx.ins[i].aval());
            cx.ins[i].is_unknown().then(|| if spec.is_empty(ct) { zero() } else { pull(known) })
        };
        vec![of(0, &|known| spec.pull_first(ct, known, &first)), of(1, &|known| spec.pull_window(ct, known, &window))]
    }
    /// As of `dot_general`: a new axis of one operand stays, a new axis of both becomes a batch axis.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let mut spec = Spec::known(cx.params);
        for i in 0..2 {
            if let Some(at) = cx.ins[i].1 {
                let Roles { batch, contract } = &mut spec.roles;
                for axis in batch[i].iter_mut().chain(&mut contract[i]).chain(&mut spec.spatial[i]) {
                    *axis += usize::from(*axis >= at);
                }
            }
        }
        let (x, w) = (&cx.ins[0].0, &cx.ins[1].0);
        let place = match (cx.ins[0].1, cx.ins[1].1) {
            (Some(left), Some(right)) => {
                spec.roles.batch[0].insert(0, left);
                spec.roles.batch[1].insert(0, right);
                0
            }
            (Some(left), None) => spec.place(left, x.rank()),
            (None, right) => {
                let right = right.expect("an operand is batched");
                let before = spec.free(w.rank()).iter().filter(|axis| **axis < right).count();
                spec.n_batch() + spec.rest(x.rank()).len() + before
            }
        };
        vec![(convolution(x, w, &spec), Some(place))]
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    /// A contraction with the windows of the first operand, which large products read where they overlap.
    fn composition(&self, ins: &[Aval], params: &Params) -> Option<Program> {
        let spec = Spec::known(params);
        let traced = trace(self.name(), ins, |args| {
            let (x, w) = (&args[0], &args[1]);
            let shape = spec.shape(x.shape(), w.shape()).expect("abstract_eval has found it");
            if shape.iter().any(|extent| *extent == 0usize) {
                return vec![zeros(&ins[0].with_shape(shape))];
            }
            let mut x = surrounded(x, &spec);
            let mut spatial: Vec<(usize, usize)> = spec.spatial[0].iter().copied().zip(0..).collect();
            spatial.sort_unstable();
            // From the last one on, so that the places of those before stay.
            for (axis, i) in spatial.iter().rev() {
                x = windows(&x, *axis, &spec.moves(*i, w.shape()));
            }
            let moved = |axis: usize| axis + spatial.iter().filter(|(other, _)| *other < axis).count();
            let all_moved = |axes: &[usize]| axes.iter().map(|axis| moved(*axis)).collect::<Vec<_>>();
            let [own, theirs] = &spec.roles.contract;
            let mut pairs: Vec<(usize, usize)> = all_moved(own).into_iter().zip(theirs.iter().copied()).collect();
            pairs.extend(spatial.iter().map(|(axis, i)| (moved(*axis) + 1, spec.spatial[1][*i])));
            pairs.sort_unstable();
            let batch = [all_moved(&spec.roles.batch[0]), spec.roles.batch[1].clone()];
            vec![dot_general(
                &x,
                w,
                &Roles { batch, contract: pairs.into_iter().unzip::<_, _, Vec<_>, Vec<_>>().into() },
            )]
        });
        Some(traced.program)
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let ins = cx.operands();
        let avals: Vec<Aval> = ins.iter().map(|x| x.aval().clone()).collect();
        let program = self.composition(&avals, cx.params()).expect("it is a composition");
        cx.program(&program, &ins)
    }
    fn samples(&self) -> Vec<Sample> {
        let array = |shape: &[usize], scale: f32| {
            HostArray::new(shape, (0..shape.iter().product()).map(|i| (i as f32 * scale).sin()).collect())
        };
        let pair = |left: &[usize], right: &[usize]| [left.to_vec(), right.to_vec()];
        let last = Spec {
            roles: Roles { batch: pair(&[], &[]), contract: pair(&[2], &[1]) },
            spatial: pair(&[1], &[0]),
            stride: vec![1],
            low: vec![1.into()],
            high: vec![0.into()],
            base_dilation: vec![1],
            window_dilation: vec![1],
        };
        let first = Spec {
            roles: Roles { batch: pair(&[], &[]), contract: pair(&[1], &[1]) },
            spatial: pair(&[2, 3], &[2, 3]),
            stride: vec![2, 1],
            low: vec![1.into(), Dim::from(-1)],
            high: vec![2.into(), 1.into()],
            base_dilation: vec![1, 2],
            window_dilation: vec![2, 1],
        };
        let grouped = Spec {
            roles: Roles { batch: pair(&[2], &[2]), contract: pair(&[3], &[1]) },
            stride: vec![2],
            ..last.clone()
        };
        let wide = Spec { low: vec![0.into()], ..last.clone() };
        vec![
            Sample::new("channels last", vec![array(&[2, 5, 3], 0.7), array(&[3, 3, 2], 1.1)], last.params()),
            Sample::new("channels first", vec![array(&[2, 2, 5, 3], 0.7), array(&[3, 2, 2, 2], 1.1)], first.params()),
            Sample::new("groups", vec![array(&[2, 5, 2, 3], 0.7), array(&[2, 3, 2, 4], 1.1)], grouped.params()),
            Sample::new("too large", vec![array(&[2, 2, 3], 0.7), array(&[3, 3, 2], 1.1)], wide.params()),
            Sample::new("no channels", vec![array(&[2, 4, 0], 0.7), array(&[3, 0, 2], 1.1)], wide.params()),
        ]
    }
}
