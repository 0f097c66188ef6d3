//! Abstract values: element types, dimensions, shapes, and their text form `f32[n,8]`.

mod dim;
mod dtype;
mod facts;

pub use dim::{Dim, Sizes, Symbol};
pub use dtype::{DType, Element, Literal};
pub use facts::{Fact, Facts, Verdict};

use smallvec::SmallVec;
use std::fmt;

/// The extents of an array, outermost first.
pub type Shape = SmallVec<[Dim; 4]>;

/// Builds a [`Shape`] from anything that converts to [`Dim`].
///
/// ```
/// use gavotte_core::aval::{shape, Dim};
/// assert_eq!(shape([2, 3]).as_slice(), &[Dim::from(2), Dim::from(3)]);
/// ```
pub fn shape<D: Into<Dim>>(dims: impl IntoIterator<Item = D>) -> Shape {
    dims.into_iter().map(Into::into).collect()
}

/// The number of elements of an array of this shape.
pub fn volume(shape: &[Dim]) -> Dim {
    shape.iter().fold(Dim::from(1), |product, dim| &product * dim)
}

/// The type of an array: what is known of it before it is computed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Aval {
    /// Element type.
    pub dtype: DType,
    /// Extents, outermost first.
    pub shape: Shape,
}

impl Aval {
    /// The type of an array of `dtype` elements with these extents.
    pub fn new(dtype: DType, shape: impl IntoIterator<Item = impl Into<Dim>>) -> Self {
        Aval { dtype, shape: shape.into_iter().map(Into::into).collect() }
    }

    /// The type of a scalar.
    pub fn scalar(dtype: DType) -> Self {
        Aval { dtype, shape: Shape::new() }
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn volume(&self) -> Dim {
        volume(&self.shape)
    }

    /// The same shape with another element type.
    pub fn with_dtype(&self, dtype: DType) -> Self {
        Aval { dtype, shape: self.shape.clone() }
    }

    /// The same element type with another shape.
    pub fn with_shape(&self, shape: Shape) -> Self {
        Aval { dtype: self.dtype, shape }
    }

    /// Replaces every symbol by its size.
    pub fn at(&self, sizes: &Sizes) -> Self {
        self.with_shape(self.shape.iter().map(|dim| dim.at(sizes)).collect())
    }
}

/// Writes `[a,b,c]`.
pub(crate) fn write_dims(f: &mut fmt::Formatter<'_>, dims: &[Dim]) -> fmt::Result {
    f.write_str("[")?;
    for (i, dim) in dims.iter().enumerate() {
        if i > 0 {
            f.write_str(",")?;
        }
        write!(f, "{dim}")?;
    }
    f.write_str("]")
}

impl fmt::Display for Aval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.dtype)?;
        write_dims(f, &self.shape)
    }
}

impl fmt::Debug for Aval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
