//! `Array`: the type that users compute with.

use gavotte_core::aval::{DType, Dim, Literal, Shape};
use gavotte_core::device::{DeviceRef, HostArray, HostElement};
use gavotte_core::error::Error;
use gavotte_core::ir::{Params, Primitive, Value, bind, bind1, demand, refuse};
use gavotte_core::tree::{Misfit, StaticValue, Structure, Tree, TreeDef, next_leaf};

/// A dense array of `f32`, `f64`, `i32`, `u32` or `bool`: computed, or being traced.
///
/// Cloning is cheap: it copies a handle.
#[derive(Clone)]
pub struct Array(pub(crate) Value);

impl Array {
    /// An array with these elements, row-major.
    ///
    /// # Panics
    /// If the number of elements is not the product of the extents.
    #[track_caller]
    pub fn new<T: HostElement>(shape: &[usize], elements: Vec<T>) -> Self {
        demand(shape.iter().try_fold(1usize, |n, extent| n.checked_mul(*extent)) == Some(elements.len()), || {
            format!("shape {shape:?} does not hold the {} elements given", elements.len())
        });
        Array(HostArray::new(shape, elements).into())
    }

    /// A scalar.
    pub fn scalar(x: impl Into<Literal>) -> Self {
        Array(x.into().into())
    }

    /// The engine's handle.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The extents, outermost first. Numbers outside `jit`; inside, an axis may be a symbol.
    pub fn shape(&self) -> &Shape {
        self.0.shape()
    }

    /// The extent of an axis.
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn dim(&self, axis: usize) -> Dim {
        match self.shape().get(axis) {
            Some(dim) => dim.clone(),
            None => refuse(Error::Type(format!("there is no axis {axis}: the array is {}", self.0.aval()))),
        }
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.0.rank()
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.0.dtype()
    }

    /// The device that holds it; `None` while it is being traced.
    pub fn device(&self) -> Option<DeviceRef> {
        self.0.device()
    }

    /// The elements on the host, row-major.
    ///
    /// # Panics
    /// If the array is being traced, or its elements are not `T`.
    #[track_caller]
    pub fn to_vec<T: HostElement>(&self) -> Vec<T> {
        self.host::<T>().as_slice::<T>().to_vec()
    }

    /// The only element of an array.
    ///
    /// # Panics
    /// If the array is being traced, has another number of elements, or its element is not `T`.
    #[track_caller]
    pub fn item<T: HostElement>(&self) -> T {
        let host = self.host::<T>();
        match host.as_slice::<T>() {
            [x] => *x,
            other => refuse(Error::Type(format!("item: the array has {} elements, not one", other.len()))),
        }
    }

    /// The elements on the host; an error while the array is being traced.
    #[track_caller]
    pub fn to_host(&self) -> Result<std::sync::Arc<HostArray>, Error> {
        self.0.to_host()
    }

    /// The elements, which are `T`, on the host.
    #[track_caller]
    fn host<T: HostElement>(&self) -> std::sync::Arc<HostArray> {
        let wanted = T::DTYPE;
        demand(self.dtype() == wanted, || {
            format!("elements are {}, not {wanted}: convert with astype first", self.dtype())
        });
        // A closure would become the location of the panic.
        match self.to_host() {
            Ok(host) => host,
            Err(error) => refuse(error),
        }
    }

    /// Declares symbolic extents: `jit` then traces the array once for every size. A dimension is a number, a symbol's
    /// name, or a [`Dim`].
    ///
    /// # Panics
    /// If the number of axes differs.
    #[track_caller]
    pub fn declare(self, shape: impl IntoIterator<Item = impl Into<Dim>>) -> Self {
        Array(self.0.declare(shape))
    }
}

/// Applies a primitive with one output.
#[track_caller]
pub(crate) fn apply(prim: &'static dyn Primitive, ins: &[&Array], params: Params) -> Array {
    let ins: smallvec::SmallVec<[&Value; 4]> = ins.iter().map(|array| &array.0).collect();
    Array(bind1(prim, &ins, params))
}

/// Applies a primitive with several outputs.
#[track_caller]
pub(crate) fn apply_many(prim: &'static dyn Primitive, ins: &[&Array], params: Params) -> Vec<Array> {
    let ins: smallvec::SmallVec<[&Value; 4]> = ins.iter().map(|array| &array.0).collect();
    bind(prim, &ins, params).into_iter().map(Array).collect()
}

impl From<Value> for Array {
    fn from(value: Value) -> Self {
        Array(value)
    }
}
impl From<&Value> for Array {
    fn from(value: &Value) -> Self {
        Array(value.clone())
    }
}
impl From<Array> for Value {
    fn from(array: Array) -> Self {
        array.0
    }
}
impl From<HostArray> for Array {
    fn from(array: HostArray) -> Self {
        Array(array.into())
    }
}

impl Tree for Array {
    fn disassemble(&self, leaves: &mut Vec<Value>) -> TreeDef {
        leaves.push(self.0.clone());
        TreeDef::Leaf
    }
    fn assemble(_: &TreeDef, leaves: &mut dyn Iterator<Item = Value>) -> Self {
        Array(next_leaf(leaves))
    }
    fn restore(saved: &Structure, _: &[StaticValue]) -> Result<TreeDef, Misfit> {
        saved.leaf()
    }
}
