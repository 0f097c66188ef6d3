//! Abstract values: element types, dimensions, shapes, and their text form `f32[n,8]`.

mod dim;
mod dtype;
mod facts;
mod symbol;

pub use dim::Dim;
pub use dtype::{DType, Element, Literal};
pub(crate) use dtype::{FromLiteral, element_types};
pub use facts::{Fact, Facts, Verdict};
pub use half::{bf16, f16};
pub use symbol::{Sizes, Symbol};

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
///
/// # Panics
/// If a name is no symbol.
#[track_caller]
pub fn shape<D: Into<Dim>>(dims: impl IntoIterator<Item = D>) -> Shape {
    let mut shape = Shape::new();
    // A closure would become the line that an error names.
    for dim in dims {
        shape.push(dim.into());
    }
    shape
}

/// The number of elements of an array of this shape.
pub fn volume(shape: &[Dim]) -> Dim {
    shape.iter().fold(Dim::from(1), |product, dim| &product * dim)
}

/// The type of an array: what is known about it before it is computed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Aval {
    /// Element type.
    pub dtype: DType,
    /// Extents, outermost first.
    pub shape: Shape,
}

impl Aval {
    /// The type of an array of `dtype` elements with these extents.
    #[track_caller]
    pub fn new(dtype: DType, extents: impl IntoIterator<Item = impl Into<Dim>>) -> Self {
        Aval { dtype, shape: shape(extents) }
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

    /// Bytes of all elements; `None` where an extent is no natural number, or there are too many.
    pub fn bytes(&self) -> Option<usize> {
        let is_number = self.shape.iter().all(|dim| dim.as_usize().is_some());
        let bytes = || self.volume().as_usize()?.checked_mul(self.dtype.size());
        (is_number && !self.is_too_large()).then(bytes).flatten()
    }

    /// Whether the number of bytes of its elements exceeds an `i64`, whatever sizes its symbols have. An empty axis
    /// does not make the other extents smaller.
    pub fn is_too_large(&self) -> bool {
        let filled = self.shape.iter().filter(|dim| **dim != 0usize);
        filled.fold(Dim::from(self.dtype.size()), |bytes, dim| bytes * dim).is_too_large()
    }

    /// Why no array can have this type, whatever sizes its symbols have.
    pub(crate) fn impossible(&self) -> Option<String> {
        if self.is_too_large() {
            return Some(format!("{self} is too large: the elements of an array are less than 2^63 bytes"));
        }
        let is_negative = |dim: &Dim| dim.as_number().is_some_and(|n| n < 0);
        self.shape.iter().any(is_negative).then(|| format!("{self} has a negative extent"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_beyond_all_memory_are_too_large() {
        let (n, huge) = (Dim::symbol("n"), Dim::from(1i64 << 32));
        let aval = |dtype, dims: &[&Dim]| Aval::new(dtype, dims.iter().copied());
        let (none, two) = (Dim::from(0), Dim::from(2));
        for (aval, wanted) in [
            (aval(DType::Bool, &[&huge, &Dim::from(1i64 << 30)]), Some(1 << 62)),
            (aval(DType::Bool, &[&huge, &Dim::from(1i64 << 31)]), None),
            (aval(DType::F64, &[&huge, &Dim::from(1i64 << 28)]), None),
            (aval(DType::F32, &[&huge, &huge]), None),
            (aval(DType::F32, &[&huge, &huge, &none]), None),
            (aval(DType::F32, &[&none, &huge, &huge]), None),
            (aval(DType::F32, &[&none, &two]), Some(0)),
        ] {
            assert_eq!(
                (aval.bytes(), aval.is_too_large(), aval.impossible().is_some()),
                (wanted, wanted.is_none(), wanted.is_none()),
                "{aval}"
            );
        }
        // If a symbol is 0 there are no elements, but no other size helps.
        assert!(aval(DType::F32, &[&n, &huge, &huge]).is_too_large());
        let symbolic = aval(DType::F32, &[&n, &n, &n]);
        assert_eq!((symbolic.bytes(), symbolic.impossible()), (None, None));
        let mut sizes = Sizes::new();
        assert_eq!(sizes.set(Symbol::new("n"), 1 << 21), Ok(()));
        assert!(symbolic.at(&sizes).is_too_large());
        let short = aval(DType::F32, &[&(&two - 3)]);
        assert_eq!((short.bytes(), short.impossible().is_some()), (None, true));
    }
}
