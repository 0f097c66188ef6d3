//! Parts of arrays by ranges and positions, read with [`Array::i`] and replaced with [`Array::at`].
//!
//! | Written | Part of the axis |
//! |---|---|
//! | `..`, `1..`, `..3`, `1..3`, `..=3`, `-2..`, `..-1` | the elements of a range; negative bounds count from the end |
//! | [`Part::between(1, -1)`](Part::between) | those of `1..-1`, of which clippy warns |
//! | `(1..).step(2)`, with [`Step`] | every second of them |
//! | `2`, `-1`, a [`Dim`] | one element, whose axis disappears |
//! | an `Array` of `i32` | the elements at these places, along one axis in place of this one |
//! | [`Part::New`] | no axis: a new one of extent 1 |
//! | [`Part::Rest`] | as many whole axes as the other parts leave |
//!
//! Axes without a part stay whole. Bounds may be symbols, and must lie within the axis: nothing is clamped.
//!
//! ```
//! use gavotte::indexing::{Part, Step};
//! use gavotte::Array;
//! let x = Array::from([[0, 1, 2, 3], [4, 5, 6, 7]]);
//! assert_eq!(x.i((.., 1..3)).to_vec::<i32>(), [1, 2, 5, 6]);
//! assert_eq!(x.i(-1).to_vec::<i32>(), [4, 5, 6, 7]);
//! assert_eq!(x.i((1, ..-1)).to_vec::<i32>(), [4, 5, 6]);
//! assert_eq!(x.i((.., (..).step(3))).to_vec::<i32>(), [0, 3, 4, 7]);
//! assert_eq!(x.i((Part::Rest, 0)).to_vec::<i32>(), [0, 4]);
//! assert_eq!(x.i((Part::New, 0)).shape().as_slice(), [1, 4]);
//! assert_eq!(x.i((.., Array::from([3, 0]))).to_vec::<i32>(), [3, 0, 7, 4]);
//!
//! // The array with a part replaced: JAX's `x.at[:, 1:3].set(0)`.
//! let y = x.at((.., 1..3)).set(0);
//! assert_eq!(y.to_vec::<i32>(), [0, 0, 0, 3, 4, 0, 0, 7]);
//! assert_eq!(x.at((0, -1)).add(10).to_vec::<i32>(), [0, 1, 2, 13, 4, 5, 6, 7]);
//! ```

use crate::array::Array;
use crate::generate::full;
use crate::movement::{put_back, reject, reshape, slice};
use crate::operators::{Operand, broadcast_shape, where_};
use gavotte_core::aval::{DType, Dim};
use gavotte_core::error::Error;
use gavotte_core::ir::{refuse, require_at_least};
use std::ops::{Bound, Range, RangeBounds, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

/// What is meant of one axis.
#[derive(Clone, Debug)]
pub enum Part {
    /// Every `step`-th element from `start` on, before `end`. Negative bounds count from the end of the axis.
    Range {
        /// The first element; that of the axis without it.
        start: Option<Dim>,
        /// Where it ends; with the axis without it.
        end: Option<Dim>,
        /// The distance of two elements, at least 1.
        step: usize,
    },
    /// One element, whose axis disappears. A negative number counts from the end.
    One(Dim),
    /// The elements at these places.
    Places(Array),
    /// A new axis of extent 1.
    New,
    /// As many whole axes as the other parts leave.
    Rest,
}

impl Part {
    /// The elements from `start` to before `end`. It says the same as a range, without the compiler's or clippy's advice on
    /// ranges such as `1..-1`, which are empty as iterators.
    ///
    /// ```
    /// use gavotte::{Array, indexing::Part};
    /// assert_eq!(Array::from([0, 1, 2, 3]).i(Part::between(1, -1)).to_vec::<i32>(), [1, 2]);
    /// ```
    pub fn between(start: impl Into<Dim>, end: impl Into<Dim>) -> Part {
        Part::Range { start: Some(start.into()), end: Some(end.into()), step: 1 }
    }
}

/// Ranges with steps: `(1..).step(2)`.
pub trait Step: Into<Part> {
    /// Every `step`-th element of the range.
    ///
    /// # Panics
    /// If it is no range, or `step` is 0.
    #[track_caller]
    fn step(self, step: usize) -> Part {
        match self.into() {
            Part::Range { start, end, step: own } if step > 0 => Part::Range { start, end, step: own * step },
            Part::Range { .. } => refuse(Error::Type("step: a step of 0 ends nowhere: use 1 or more".into())),
            other => refuse(Error::Type(format!("step: {other:?} is no range"))),
        }
    }
}
impl<T: Into<Part>> Step for T {}

macro_rules! ranges {
    ($($range:ident),*) => {$(
        impl<D: Into<Dim> + Clone> From<$range<D>> for Part {
            #[track_caller]
            fn from(range: $range<D>) -> Part {
                let start = match range.start_bound() {
                    Bound::Unbounded => None,
                    Bound::Included(start) | Bound::Excluded(start) => Some(start.clone().into()),
                };
                let end = match range.end_bound() {
                    Bound::Unbounded => None,
                    Bound::Excluded(end) => Some(end.clone().into()),
                    Bound::Included(end) => match end.clone().into() {
                        // After the last element.
                        last if last.as_number() == Some(-1) => None,
                        end => Some(end + 1),
                    },
                };
                Part::Range { start, end, step: 1 }
            }
        }
        impl<D: Into<Dim> + Clone> Parts for $range<D> {
            fn parts(self) -> Vec<Part> {
                vec![self.into()]
            }
        }
    )*};
}
ranges!(Range, RangeFrom, RangeInclusive, RangeTo, RangeToInclusive);

impl From<RangeFull> for Part {
    fn from(_: RangeFull) -> Part {
        Part::Range { start: None, end: None, step: 1 }
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl From<$number> for Part {
            fn from(place: $number) -> Part {
                Part::One(place.into())
            }
        }
    )*};
}
numbers!(i32, i64, usize, Dim, &Dim);

impl From<Array> for Part {
    fn from(places: Array) -> Part {
        Part::Places(places)
    }
}
impl From<&Array> for Part {
    fn from(places: &Array) -> Part {
        Part::Places(places.clone())
    }
}

/// The parts that are meant of the axes of an array: one, or a tuple of up to six.
pub trait Parts {
    /// One for each axis, from the first on.
    fn parts(self) -> Vec<Part>;
}

macro_rules! single {
    ($($part:ty),*) => {$(
        impl Parts for $part {
            fn parts(self) -> Vec<Part> {
                vec![self.into()]
            }
        }
    )*};
}
single!(Part, RangeFull, i32, i64, usize, Dim, &Dim, Array, &Array);

impl Parts for Vec<Part> {
    fn parts(self) -> Vec<Part> {
        self
    }
}

macro_rules! tuples {
    ($(($($part:ident),*))*) => {$(
        impl<$($part: Into<Part>),*> Parts for ($($part,)*) {
            fn parts(self) -> Vec<Part> {
                #[allow(non_snake_case, reason = "the names of types serve for the values")]
                let ($($part,)*) = self;
                vec![$($part.into()),*]
            }
        }
    )*};
}
tuples! { (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }

/// A block of an array, and the axes that its result has.
struct Block {
    start: Vec<Dim>,
    limit: Vec<Dim>,
    stride: Vec<usize>,
    /// The places along an axis of the array.
    places: Option<(usize, Array)>,
    /// The axes of the array that stay, and new ones.
    axes: Vec<Option<usize>>,
}

impl Block {
    #[track_caller]
    fn new(operation: &str, x: &Array, parts: Vec<Part>) -> Block {
        let whole = || Part::from(..);
        let used = parts.iter().filter(|part| !matches!(part, Part::New | Part::Rest)).count();
        if used > x.ndim() {
            reject(operation, format!("{used} parts for {} axes", x.ndim()), &[x]);
        }
        if parts.iter().filter(|part| matches!(part, Part::Rest)).count() > 1 {
            reject(operation, "`Part::Rest` is given twice: the axes could be shared out in several ways", &[x]);
        }
        let left = x.ndim() - used;
        let mut all = vec![];
        for part in parts {
            match part {
                Part::Rest => all.extend((0..left).map(|_| whole())),
                other => all.push(other),
            }
        }
        let given = all.iter().filter(|part| !matches!(part, Part::New)).count();
        all.extend((given..x.ndim()).map(|_| whole()));
        let mut block = Block { start: vec![], limit: vec![], stride: vec![], places: None, axes: vec![] };
        for part in all {
            block.take(operation, x, part);
        }
        block
    }

    /// Takes a part of the next axis.
    #[track_caller]
    fn take(&mut self, operation: &str, x: &Array, part: Part) {
        let axis = self.start.len();
        let from_front = |at: Dim| match at.as_number() {
            Some(number) if number < 0 => x.dim(axis) + at,
            _ => at,
        };
        let (start, limit, stride) = match part {
            Part::New => return self.axes.push(None),
            Part::One(at) => {
                let at = from_front(at);
                (at.clone(), at + 1, 1)
            }
            Part::Range { start, end, step } => {
                self.axes.push(Some(axis));
                (from_front(start.unwrap_or(0.into())), end.map_or_else(|| x.dim(axis), from_front), step)
            }
            Part::Places(places) => {
                if places.dtype() != DType::I32 || places.ndim() != 1 {
                    let why =
                        format!("the places along axis {axis} must be i32 along one axis: convert or reshape first");
                    reject(operation, why, &[x, &places]);
                }
                if self.places.is_some() {
                    reject(operation, "two arrays of places: use one, or `take_along_axis`", &[x, &places]);
                }
                self.axes.push(Some(axis));
                self.places = Some((axis, places));
                (Dim::from(0), x.dim(axis), 1)
            }
            Part::Rest => unreachable!("it stands for whole axes by now"),
        };
        let within = || format!("{start}..{limit} is not within axis {axis}, which has {} elements", x.dim(axis));
        let is_within = require_at_least(&start, &0.into(), within)
            .and_then(|()| require_at_least(&limit, &start, within))
            .and_then(|()| require_at_least(&x.dim(axis), &limit, within));
        if let Err(why) = is_within {
            reject(operation, why.0, &[x]);
        }
        self.start.push(start);
        self.limit.push(limit);
        self.stride.push(stride);
    }

    /// The elements within the ranges, with every axis of the array.
    #[track_caller]
    fn within(&self, x: &Array) -> Array {
        Array::from(slice(x.value(), &self.start, &self.limit, &self.stride))
    }

    /// The shape of the result, from that with every axis of the array.
    fn shape(&self, all: &[Dim]) -> Vec<Dim> {
        self.axes.iter().map(|axis| axis.map_or(1.into(), |axis| all[axis].clone())).collect()
    }

    /// The part of the array.
    #[track_caller]
    fn get(&self, x: &Array) -> Array {
        let mut found = self.within(x);
        if let Some((axis, places)) = &self.places {
            found = found.take(places, *axis as isize);
        }
        Array::from(reshape(found.value(), &self.shape(found.shape())))
    }
}

impl Array {
    /// A part of the array: NumPy's `x[..]`. See [the table](crate::indexing) of what may be written.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([[0, 1, 2], [3, 4, 5]]);
    /// assert_eq!(x.i((.., -1)).to_vec::<i32>(), [2, 5]);
    /// assert_eq!(x.i(1..).shape().as_slice(), [1, 3]);
    /// ```
    ///
    /// # Panics
    /// If a part is not within its axis, there are more parts than axes, or places are not `i32` along one axis. Places
    /// outside of the axis are refused when they are read.
    #[track_caller]
    pub fn i(&self, parts: impl Parts) -> Array {
        Block::new("i", self, parts.parts()).get(self)
    }

    /// A part of the array that is to be replaced: the methods of [`At`] return the whole array with another part, JAX's
    /// `x.at[..]`. See [the table](crate::indexing) of what may be written.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([1.0f32, 2.0, 3.0]);
    /// assert_eq!(x.at(1..).mul(10.0).to_vec::<f32>(), [1.0, 20.0, 30.0]);
    /// ```
    ///
    /// # Panics
    /// As [`i`](Self::i).
    #[track_caller]
    pub fn at(&self, parts: impl Parts) -> At {
        At { x: self.clone(), block: Block::new("at", self, parts.parts()) }
    }
}

/// A part of an array that is to be replaced. Made by [`Array::at`].
pub struct At {
    x: Array,
    block: Block,
}

impl At {
    /// The part itself: what [`Array::i`] returns.
    #[track_caller]
    pub fn get(&self) -> Array {
        self.block.get(&self.x)
    }

    /// The array with `values` in place of the part. They have its shape, or broadcast to it. Where places repeat, the last
    /// value stays.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([[1, 2], [3, 4]]);
    /// assert_eq!(x.at((.., 0)).set(Array::from([7, 8])).to_vec::<i32>(), [7, 2, 8, 4]);
    /// ```
    ///
    /// # Panics
    /// If the values have another element type, or do not broadcast to the part.
    #[doc(alias = "at_set")]
    #[track_caller]
    pub fn set(&self, values: impl Operand) -> Array {
        self.with("at.set", values, |_, values| values.clone(), Array::scatter)
    }

    /// The array with `values` added to the part. Where places repeat, all of them are added.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([1.0f32, 2.0, 3.0]);
    /// assert_eq!(x.at(Array::from([0, 0, 2])).add(1.0).to_vec::<f32>(), [3.0, 2.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// As [`set`](Self::set), and if the array is of type `bool`.
    #[doc(alias = "at_add")]
    #[track_caller]
    pub fn add(&self, values: impl Operand) -> Array {
        self.with("at.add", values, |part, values| part + values, Array::scatter_add)
    }

    /// As [`add`](Self::add), with products: JAX's `x.at[..].multiply(..)`.
    #[doc(alias = "at_mul")]
    #[track_caller]
    #[doc(alias = "multiply")]
    pub fn mul(&self, values: impl Operand) -> Array {
        self.with("at.mul", values, |part, values| part * values, Array::scatter_mul)
    }

    /// As [`add`](Self::add), with the smaller of both.
    #[doc(alias = "at_min")]
    #[track_caller]
    pub fn min(&self, values: impl Operand) -> Array {
        self.with("at.min", values, |part, values| part.minimum(values), Array::scatter_min)
    }

    /// As [`add`](Self::add), with the larger of both.
    #[doc(alias = "at_max")]
    #[track_caller]
    pub fn max(&self, values: impl Operand) -> Array {
        self.with("at.max", values, |part, values| part.maximum(values), Array::scatter_max)
    }

    /// The array with `f` of the part in its place.
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([1.0f32, 4.0, 9.0]);
    /// assert_eq!(x.at(1..).apply(|part| part.sqrt()).to_vec::<f32>(), [1.0, 2.0, 3.0]);
    /// ```
    ///
    /// # Panics
    /// If the result of `f` has another element type, or does not broadcast to the part.
    #[track_caller]
    pub fn apply(&self, f: impl FnOnce(Array) -> Array) -> Array {
        let values = f(self.get());
        self.set(values)
    }

    /// The array with the part combined with `values`: by `op`, or by `scatter` along the axis of places.
    #[track_caller]
    fn with(
        &self,
        name: &str,
        values: impl Operand,
        op: impl FnOnce(&Array, &Array) -> Array,
        scatter: impl FnOnce(&Array, &Array, &Array, isize) -> Array,
    ) -> Array {
        let (x, block) = (&self.x, &self.block);
        let (values, within) = (values.beside(Some(x.dtype())), block.within(x));
        if values.dtype() != x.dtype() {
            reject(name, "element types differ: convert with `astype` first", &[x, &values]);
        }
        let mut all = within.shape().to_vec();
        if let Some((axis, places)) = &block.places {
            all[*axis] = places.dim(0);
        }
        let shape = block.shape(&all);
        let fits = broadcast_shape(&[&shape.iter().cloned().collect(), values.shape()]);
        if fits.is_none_or(|fits| fits.as_slice() != shape) {
            reject(name, format!("{} does not broadcast to the part, {shape:?}", values.value().aval()), &[x, &values]);
        }
        let values = Array::from(reshape(values.broadcast_to(shape).value(), &all));
        let part = match &block.places {
            Some((axis, places)) => scatter(&within, places, &values, *axis as isize),
            None => op(&within, &values),
        };
        if part.shape() == x.shape() {
            return part;
        }
        let back = |part: &Array| Array::from(put_back(part.value(), x.shape(), &block.start, &block.stride));
        // Not a sum with zeros, which would lose the sign of a negative one.
        where_(&back(&full(part.shape().iter(), true)), back(&part), x)
    }
}
