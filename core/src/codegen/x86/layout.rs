//! Which loops of a nest are lanes of a vector, which one has several iterations per vector, and the order of the
//! others; and the pattern of a load's lanes in such a layout. `choose` decides which layout a kernel gets.

use super::lir::LANES;
use crate::aval::Dim;
use crate::ir::{Index, Scalar};
use crate::kernel::{Kernel, Loop, LoopKind};
use smallvec::SmallVec;

/// The most lanes of one row; a longer axis is a loop over packs of lanes.
pub(super) const MAX_WIDTH: usize = 64;

/// The most vectors in copies of a small operand that many iterations read in another order.
pub(super) const MAX_STAGED: usize = 256;

/// A loop of which one vector holds several iterations. These rows of lanes fit into a vector: `iterations · width <=
/// vector`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Packed {
    pub(super) number: usize,
    /// Iterations in a vector: a power of two.
    pub(super) iterations: usize,
    /// Vectors of iterations that the innermost code works on.
    pub(super) vectors: usize,
    /// How many of them replace one of 512 bits: 1, or 2 if registers hold half as much. It divides `vectors`.
    pub(super) parts: usize,
}

impl Packed {
    /// One vector of 512 bits.
    pub(super) fn new(number: usize, iterations: usize) -> Packed {
        Packed { number, iterations, vectors: 1, parts: 1 }
    }
}

/// Neighbouring lanes that are combined into one result: the last lane loop is a reduced one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Group {
    /// Lanes per group: a power of two; 1 if none are combined.
    pub(super) lanes: usize,
    /// Valid lanes per group; padding lanes repeat the last valid one.
    pub(super) members: usize,
}

impl Group {
    pub(super) const NONE: Group = Group { lanes: 1, members: 1 };
}

/// What the lanes of vectors are. A row of lanes is one iteration of all loops but the lanes' own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Filling {
    /// One row of lanes, in as many vectors as it needs; the last one may be short. All lanes of a group are valid.
    Row { group: Group },
    /// Rows of lanes of several iterations of a row loop, side by side: each iteration has its own results.
    Rows { packed: Packed, group: Group },
    /// Rows of lanes of several iterations of a reduced loop, side by side: iterations are combined into one row of
    /// results. No lanes of one row are combined.
    Terms { packed: Packed },
}

/// A load's place: `constant + Σ stride·loop + Σ stride·computed`, in elements.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) constant: Dim,
    pub(super) terms: SmallVec<[(usize, Dim); 4]>,
    /// Computed positions, with stride and extent.
    pub(super) computed: SmallVec<[(Scalar, Dim, Dim); 1]>,
}

/// The pattern of a load's lanes in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Pattern {
    /// All at one place.
    Same,
    /// Contiguous, from this element on.
    Contiguous(i64),
    /// Among `n` elements from the first on, no more than a vector holds: the element of each lane.
    Near { first: i64, n: usize, table: [i32; LANES] },
    /// Anywhere: offsets from the first number.
    Far(i64, [i32; LANES]),
}

/// The shape of a nest's code.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Layout {
    /// Lanes of a vector.
    pub(super) vector: usize,
    /// Loops that are lanes, with their extents.
    pub(super) lanes: Vec<(usize, usize)>,
    /// The product of their extents.
    pub(super) width: usize,
    pub(super) filling: Filling,
    /// The other loops, outermost first.
    pub(super) order: Vec<usize>,
    /// The first position in `order` of a loop whose results are combined.
    pub(super) first_reduce: usize,
}

impl Layout {
    /// The loop of which a vector holds several iterations.
    pub(super) fn packed(&self) -> Option<Packed> {
        match self.filling {
            Filling::Row { .. } => None,
            Filling::Rows { packed, .. } | Filling::Terms { packed } => Some(packed),
        }
    }

    /// The packed loop, if its iterations are combined.
    pub(super) fn packed_terms(&self) -> Option<Packed> {
        if let Filling::Terms { packed } = self.filling { Some(packed) } else { None }
    }

    /// The lanes that are combined into one result.
    pub(super) fn group(&self) -> Group {
        match self.filling {
            Filling::Row { group } | Filling::Rows { group, .. } => group,
            Filling::Terms { .. } => Group::NONE,
        }
    }

    /// How many vectors the innermost code works on.
    pub(super) fn vectors(&self) -> usize {
        self.packed().map_or_else(|| self.width.div_ceil(self.vector), |packed| packed.vectors)
    }

    /// Valid lanes of vector `v`.
    pub(super) fn active(&self, v: usize) -> usize {
        match self.packed() {
            Some(packed) => packed.iterations * self.width,
            None => self.vector.min(self.width - v * self.vector),
        }
    }

    /// This layout with vectors of half as many lanes, two for one.
    pub(super) fn halved(self) -> Layout {
        let half = |packed: Packed| Packed {
            iterations: packed.iterations / 2,
            vectors: 2 * packed.vectors,
            parts: 2 * packed.parts,
            ..packed
        };
        let filling = match self.filling {
            Filling::Row { group } => Filling::Row { group },
            Filling::Rows { packed, group } => Filling::Rows { packed: half(packed), group },
            Filling::Terms { packed } => Filling::Terms { packed: half(packed) },
        };
        Layout { vector: self.vector / 2, filling, ..self }
    }

    /// The level of a loop: 0 is the start of the function; `None` for lanes.
    pub(super) fn level(&self, number: usize) -> Option<usize> {
        self.order.iter().position(|l| *l == number).map(|at| at + 1)
    }

    pub(super) fn is_lane(&self, number: usize) -> bool {
        self.lanes.iter().any(|(l, _)| *l == number)
    }

    pub(super) fn is_packed(&self, number: usize) -> bool {
        self.packed().is_some_and(|packed| packed.number == number)
    }

    /// For each lane of vector `v` the iteration of the packed loop and the coordinates of the lanes' loops.
    fn coordinates(&self, v: usize, lane: usize) -> (usize, SmallVec<[usize; 3]>) {
        let (iteration, mut at) = match self.packed() {
            Some(packed) => (v * packed.iterations + lane / self.width, lane % self.width),
            None => (0, v * self.vector + lane),
        };
        let mut coordinates: SmallVec<[usize; 3]> = self
            .lanes
            .iter()
            .rev()
            .map(|(_, extent)| {
                let i = at % extent;
                at /= extent;
                i
            })
            .collect();
        coordinates.reverse();
        let group = self.group();
        if let Some(last) = coordinates.last_mut().filter(|_| group.lanes > 1) {
            *last = (*last).min(group.members - 1);
        }
        (iteration, coordinates)
    }

    /// For each valid lane of vector `v` the sum of these strides; `None` if a stride is not a number.
    pub(super) fn offsets(&self, v: usize, terms: &[(usize, Dim)]) -> Option<Vec<i64>> {
        let stride = |number: usize| match terms.iter().find(|(l, _)| *l == number) {
            Some((_, stride)) => stride.as_number(),
            None => Some(0),
        };
        let packed = match self.packed() {
            Some(packed) => stride(packed.number)?,
            None => 0,
        };
        let lanes: Option<SmallVec<[i64; 3]>> = self.lanes.iter().map(|(l, _)| stride(*l)).collect();
        let lanes = lanes?;
        let offset = |lane: usize| {
            let (iteration, coordinates) = self.coordinates(v, lane);
            let inner = coordinates.iter().zip(&lanes).map(|(i, stride)| *i as i64 * stride);
            iteration as i64 * packed + inner.sum::<i64>()
        };
        Some((0..self.active(v)).map(offset).collect())
    }

    /// Whether a vector holds a few rows of several elements, each contiguous except for its start.
    pub(super) fn reads_rows_by_iteration(&self, terms: &[(usize, Dim)]) -> bool {
        let Some(packed) = self.packed() else { return false };
        let few = packed.iterations <= 4 && self.width >= 4;
        let moves = terms.iter().any(|(l, _)| *l == packed.number);
        let lanes = self.offsets(0, terms);
        let lane = |i: usize| (i % self.width).min(self.row() - 1) as i64;
        few && !moves && lanes.is_some_and(|at| at.iter().enumerate().all(|(i, at)| *at == lane(i)))
    }

    /// The number of elements in a row that is read by iteration.
    pub(super) fn row(&self) -> usize {
        let Group { lanes, members } = self.group();
        self.width - (lanes - members)
    }

    /// Whether a lane is valid, as far as that does not depend on the iterations that are left.
    pub(super) fn is_member(&self, lane: usize) -> bool {
        let Group { lanes, members } = self.group();
        lane % lanes < members
    }

    /// The pattern of the lanes of vector `v`; `None` if it is known only when the kernel runs.
    pub(super) fn pattern(&self, v: usize, terms: &[(usize, Dim)]) -> Option<Pattern> {
        self.pattern_among(v, None, terms)
    }

    /// The first element that all vectors read and the number of elements from it to the last, if one vector holds
    /// these.
    pub(super) fn span(&self, terms: &[(usize, Dim)]) -> Option<(i64, usize)> {
        let (mut first, mut last) = (i64::MAX, i64::MIN);
        for v in 0..self.vectors() {
            for at in self.offsets(v, terms)? {
                (first, last) = (first.min(at), last.max(at));
            }
        }
        let n = usize::try_from(last - first).ok()? + 1;
        (n <= self.vector).then_some((first, n))
    }

    /// The pattern of the lanes of vector `v`; if all vectors read the same few elements, among these.
    pub(super) fn pattern_among(
        &self,
        v: usize,
        span: Option<(i64, usize)>,
        terms: &[(usize, Dim)],
    ) -> Option<Pattern> {
        let moves = |l: &usize| self.is_lane(*l) || self.is_packed(*l);
        if !terms.iter().any(|(l, _)| moves(l)) {
            return Some(Pattern::Same);
        }
        let offsets = self.offsets(v, terms)?;
        let first = *offsets.iter().min()?;
        if offsets.iter().enumerate().all(|(lane, at)| *at == first + lane as i64) {
            return Some(Pattern::Contiguous(first));
        }
        let own = (first, (*offsets.iter().max()? - first) as usize + 1);
        let (first, n) = span.unwrap_or(own);
        let mut table = [0i32; LANES];
        for (entry, offset) in table.iter_mut().zip(&offsets) {
            *entry = i32::try_from(offset - first).ok()?;
        }
        Some(if n <= self.vector { Pattern::Near { first, n, table } } else { Pattern::Far(first, table) })
    }
}

/// Whether a loop always has one iteration. A segment loop does not: a single member belongs to only one segment.
pub(super) fn runs_once(kernel: &Kernel, partition: Option<usize>, l: usize) -> bool {
    let Loop { extent, kind } = &kernel.loops[l];
    Some(l) != partition && *extent == 1usize && !matches!(kind, LoopKind::Segment { .. })
}

/// The place of a load, its strides multiplied out; loops of one iteration are left out, except `partition`.
pub(super) fn place(kernel: &Kernel, partition: Option<usize>, input: usize, index: &[Index]) -> Place {
    let shape = &kernel.inputs[input].1.shape;
    let mut place = Place { constant: Dim::from(0), terms: SmallVec::new(), computed: SmallVec::new() };
    let mut stride = Dim::from(1);
    for (index, extent) in index.iter().zip(shape).rev() {
        match index {
            Index::Value(scalar) => place.computed.push((*scalar, stride.clone(), extent.clone())),
            Index::Affine { constant, terms } => {
                place.constant = &place.constant + &(constant * &stride);
                for (number, factor) in terms {
                    add_term(&mut place.terms, *number as usize, factor * &stride);
                }
            }
        }
        stride = &stride * extent;
    }
    place.terms.retain(|(l, stride)| *stride != 0usize && !runs_once(kernel, partition, *l));
    place.terms.sort_by_key(|(l, _)| *l);
    place
}

fn add_term(terms: &mut SmallVec<[(usize, Dim); 4]>, number: usize, stride: Dim) {
    match terms.iter_mut().find(|(l, _)| *l == number) {
        Some((_, old)) => *old = &*old + &stride,
        None => terms.push((number, stride)),
    }
}

/// The extent of a loop, if it is a number.
pub(super) fn number(kernel: &Kernel, l: usize) -> Option<usize> {
    kernel.loops[l].extent.as_number().and_then(|n| usize::try_from(n).ok())
}
