//! `Value`: the engine's handle on an array, computed or being traced.

use crate::aval::{Aval, DType, Dim, Literal, Shape};
use crate::device::{Buffer, DeviceRef, HostArray};
use crate::error::Error;
use crate::ir::bind::TraceId;
use crate::ir::{Location, Var, demand};
use std::fmt;
use std::sync::Arc;

/// An array: a buffer on a device, or a variable of the program that is being traced.
#[derive(Clone)]
pub struct Value {
    aval: Aval,
    repr: Repr,
}

#[derive(Clone)]
pub(crate) enum Repr {
    /// A buffer; `declared` is its shape with the symbols declared for its axes.
    Concrete { buffer: Arc<dyn Buffer>, declared: Option<Shape> },
    /// A variable of a trace that is open, or has ended.
    Traced { trace: Arc<TraceId>, var: Var, made_at: Location },
}

impl From<HostArray> for Value {
    fn from(array: HostArray) -> Self {
        Value::from_buffer(Arc::new(array))
    }
}

impl From<Arc<HostArray>> for Value {
    fn from(array: Arc<HostArray>) -> Self {
        Value::from_buffer(array)
    }
}

impl From<Literal> for Value {
    fn from(literal: Literal) -> Self {
        HostArray::scalar(literal).into()
    }
}

impl Value {
    /// The array in a buffer. Its type is what the buffer reports now; the contents are checked against it when they
    /// are read.
    ///
    /// # Panics
    /// If an extent of the buffer's type is not a number.
    #[track_caller]
    pub fn from_buffer(buffer: Arc<dyn Buffer>) -> Self {
        let aval = buffer.aval().clone();
        let is_there = aval.shape.iter().all(|dim| dim.as_usize().is_some());
        assert!(is_there, "a buffer cannot be {aval}: every extent of a computed array is a number");
        Value { aval, repr: Repr::Concrete { buffer, declared: None } }
    }

    pub(crate) fn traced(aval: Aval, trace: Arc<TraceId>, var: Var, made_at: Location) -> Self {
        Value { aval, repr: Repr::Traced { trace, var, made_at } }
    }

    pub(crate) fn repr(&self) -> &Repr {
        &self.repr
    }

    /// Element type and extents. Extents are numbers outside `jit`; inside they may be symbols.
    pub fn aval(&self) -> &Aval {
        &self.aval
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.aval.dtype
    }

    /// Extents.
    pub fn shape(&self) -> &Shape {
        &self.aval.shape
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.aval.rank()
    }

    /// Whether it is being traced.
    pub fn is_traced(&self) -> bool {
        matches!(self.repr, Repr::Traced { .. })
    }

    /// Whether it was traced, and that trace has ended.
    pub fn is_escaped(&self) -> bool {
        matches!(&self.repr, Repr::Traced { trace, .. } if trace.is_of_this_thread() && !trace.is_open())
    }

    /// The type under which `jit` traces this array: with symbols where they are declared.
    pub fn declared_aval(&self) -> Aval {
        match &self.repr {
            Repr::Concrete { declared: Some(shape), .. } => self.aval.with_shape(shape.clone()),
            _ => self.aval.clone(),
        }
    }

    /// Declares symbolic extents for the axes: `jit` then traces the array once for every size.
    ///
    /// # Panics
    /// If the number of axes differs, or a number is not the axis's extent. A traced value is returned unchanged.
    #[track_caller]
    pub fn declare(mut self, shape: impl IntoIterator<Item = impl Into<Dim>>) -> Self {
        let shape = crate::aval::shape(shape);
        demand(shape.len() == self.rank(), || {
            format!("declare: {} has another number of axes than {shape:?}", self.aval)
        });
        let is_wrong = |dim: &Dim, extent: &Dim| dim.is_too_large() || dim.as_number().is_some() && dim != extent;
        let wrong = shape.iter().zip(&self.aval.shape).position(|(dim, extent)| is_wrong(dim, extent));
        demand(wrong.is_none(), || {
            let axis = wrong.unwrap_or_default();
            let (dim, extent) = (&shape[axis], &self.aval.shape[axis]);
            let dim = if dim.is_too_large() { "2^63 or more".to_string() } else { dim.to_string() };
            format!("declare: axis {axis} of {} has {extent} places, not {dim}: write {extent}, or a symbol", self.aval)
        });
        if let Repr::Concrete { declared, .. } = &mut self.repr {
            *declared = shape.iter().any(|dim| dim.as_number().is_none()).then_some(shape);
        }
        self
    }

    /// The buffer of a computed array; an error for a traced one.
    #[track_caller]
    pub fn buffer(&self) -> Result<&Arc<dyn Buffer>, Error> {
        match &self.repr {
            Repr::Concrete { buffer, .. } => Ok(buffer),
            Repr::Traced { trace, var, made_at } => {
                Err(trace.read_error(*var, &self.aval, *made_at, Location::current()))
            }
        }
    }

    /// The buffer, moved out, for donation. An argument is read where no line of the user is known, so the error for a
    /// traced value names none.
    pub fn into_buffer(self) -> Result<Arc<dyn Buffer>, Error> {
        match self.repr {
            Repr::Concrete { buffer, .. } => Ok(buffer),
            Repr::Traced { trace, var, made_at } => {
                Err(trace.read_error(var, &self.aval, made_at, Location::default()))
            }
        }
    }

    /// The contents on the host; an error for a traced value, which has none yet, and for a buffer that returns an
    /// array of another type than it reports.
    #[track_caller]
    pub fn to_host(&self) -> Result<Arc<HostArray>, Error> {
        self.to_host_at(Location::current())
    }

    /// [`to_host`](Value::to_host) for the user's line that reads it.
    pub(crate) fn to_host_at(&self, location: Location) -> Result<Arc<HostArray>, Error> {
        let array = match &self.repr {
            Repr::Concrete { buffer, .. } => buffer.clone().to_host()?,
            Repr::Traced { trace, var, made_at } => {
                return Err(trace.read_error(*var, &self.aval, *made_at, location));
            }
        };
        match array.aval() {
            found if *found == self.aval => Ok(array),
            found => Err(Error::Device(format!(
                "a buffer says that it holds {}, but returns {found}: its `aval` and its `to_host` must agree",
                self.aval
            ))),
        }
    }

    /// The device that holds it; `None` while it is being traced.
    pub fn device(&self) -> Option<DeviceRef> {
        self.buffer().ok().map(|buffer| buffer.device())
    }

    /// The scalar constant, if it is a computed scalar in host memory.
    pub fn as_literal(&self) -> Option<Literal> {
        if self.rank() > 0 || self.is_traced() {
            return None;
        }
        self.to_host().ok().map(|array| array.get(0))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.repr {
            Repr::Concrete { buffer, .. } => fmt::Debug::fmt(buffer, f),
            Repr::Traced { trace, var, .. } => write!(f, "{var}: {} in @{}", self.aval, trace.name()),
        }
    }
}
