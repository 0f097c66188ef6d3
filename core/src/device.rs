//! Devices and buffers. An array carries its device; there is no global one.

mod elements;
pub mod memory;

pub(crate) use elements::ALIGN;
pub use elements::Elements;

use crate::aval::{Aval, DType, Element, Literal, element_types};
use crate::error::Error;
use half::{bf16, f16};
use smallvec::SmallVec;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Memory that holds one array.
pub trait Buffer: fmt::Debug + Send + Sync + Any {
    /// Element type and extents; every extent is a number.
    fn aval(&self) -> &Aval;
    /// Where the memory is.
    fn device(&self) -> DeviceRef;
    /// The contents on the host; free for host memory.
    fn to_host(self: Arc<Self>) -> Result<Arc<HostArray>, Error>;
    /// This buffer as its own type.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// A place that holds arrays and runs compiled programs.
pub trait Device: fmt::Debug + Send + Sync {
    /// The name that users see and caches use: `cpu`, `cuda:0`.
    fn name(&self) -> &str;
    /// Copies an array to the device; free if it is there already.
    fn put(&self, array: Arc<HostArray>) -> Result<Arc<dyn Buffer>, Error>;
    /// Takes an array from another device: through the host, unless there is a shorter way.
    fn bring(&self, buffer: Arc<dyn Buffer>) -> Result<Arc<dyn Buffer>, Error> {
        self.put(buffer.to_host()?)
    }
    /// A copy of an array of this device, in memory of its own.
    fn copy(&self, buffer: Arc<dyn Buffer>) -> Result<Arc<dyn Buffer>, Error> {
        self.put(Arc::new(HostArray::clone(&*buffer.to_host()?)))
    }
    /// This device as its own type.
    fn as_any(&self) -> &dyn Any;
}

/// A shared device.
pub type DeviceRef = Arc<dyn Device>;

/// The processor and its memory.
#[derive(Debug)]
struct Cpu;

impl Device for Cpu {
    fn name(&self) -> &str {
        "cpu"
    }
    fn put(&self, array: Arc<HostArray>) -> Result<Arc<dyn Buffer>, Error> {
        Ok(array)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The processor as a device: it always exists.
pub fn cpu() -> DeviceRef {
    Arc::new(Cpu)
}

macro_rules! data {
    ($($(#[$doc:meta])* $t:ident $v:ident $size:literal $kind:ident;)*) => {
        /// The elements of a [`HostArray`], row-major.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Data {
            $(#[doc = concat!("`", stringify!($t), "` elements.")] $v(Elements<$t>),)*
        }

        /// Mutable access to the elements of a [`HostArray`]. Their number and their type are fixed.
        ///
        /// ```compile_fail
        /// # use gavotte_core::{aval::Literal, device::{Data, HostArray}};
        /// let mut array = HostArray::full(&[1 << 24], Literal::F32(1.0));
        /// *array.data_mut() = Data::F32(vec![1.0; 16].into());
        /// ```
        #[derive(Debug)]
        pub enum DataMut<'a> {
            $(#[doc = concat!("`", stringify!($t), "` elements.")] $v(&'a mut [$t]),)*
        }

        impl Data {
            /// `n` copies of one element.
            fn filled(literal: Literal, n: usize) -> Data {
                match literal { $(Literal::$v(x) => Data::$v(Elements::filled(x, n))),* }
            }

            /// Elements that all have this type.
            ///
            /// # Panics
            /// If one has another.
            pub fn of(dtype: DType, elements: impl Iterator<Item = Literal>) -> Data {
                match dtype {
                    $(DType::$v => Data::$v(
                        elements
                            .map(|x| match x {
                                Literal::$v(x) => x,
                                other => unreachable!("{other} is no {dtype}"),
                            })
                            .collect(),
                    ),)*
                }
            }

            fn as_mut(&mut self) -> DataMut<'_> {
                match self { $(Data::$v(xs) => DataMut::$v(xs)),* }
            }
        }

        $(impl HostElement for $t {
            fn wrap(elements: Vec<Self>) -> Data { Data::$v(elements.into()) }
            fn view(data: &Data) -> Option<&[Self]> {
                match data { Data::$v(xs) => Some(xs), _ => None }
            }
        })*
    };
}
element_types!(data);

/// Runs one block for whichever element type a [`Data`] holds, `with_data!(data, xs => xs.len())`, or a [`DataMut`],
/// `with_data!(mut data, xs => xs.reverse())`.
#[macro_export]
macro_rules! with_data {
    (@$type:ident $data:expr, $xs:ident => $body:expr) => {
        match $data {
            $crate::device::$type::F16($xs) => $body,
            $crate::device::$type::BF16($xs) => $body,
            $crate::device::$type::F32($xs) => $body,
            $crate::device::$type::F64($xs) => $body,
            $crate::device::$type::I8($xs) => $body,
            $crate::device::$type::I16($xs) => $body,
            $crate::device::$type::I32($xs) => $body,
            $crate::device::$type::I64($xs) => $body,
            $crate::device::$type::U8($xs) => $body,
            $crate::device::$type::U16($xs) => $body,
            $crate::device::$type::U32($xs) => $body,
            $crate::device::$type::U64($xs) => $body,
            $crate::device::$type::Bool($xs) => $body,
        }
    };
    (mut $data:expr, $xs:ident => $body:expr) => {
        $crate::with_data!(@DataMut $data, $xs => $body)
    };
    ($data:expr, $xs:ident => $body:expr) => {
        $crate::with_data!(@Data $data, $xs => $body)
    };
}

/// An element type that [`Data`] can hold.
pub trait HostElement: Element {
    /// Wraps elements.
    fn wrap(elements: Vec<Self>) -> Data;
    /// The elements, if the type is right.
    fn view(data: &Data) -> Option<&[Self]>;
}

/// A dense row-major array in host memory.
#[derive(Clone, PartialEq)]
pub struct HostArray {
    aval: Aval,
    data: Data,
}

impl HostArray {
    /// An array of these elements.
    ///
    /// # Panics
    /// If the number of elements is not the product of the extents.
    #[track_caller]
    pub fn new<T: HostElement>(shape: &[usize], elements: Vec<T>) -> Self {
        HostArray::from_data(shape, T::wrap(elements))
    }

    /// An array of this data.
    ///
    /// # Panics
    /// If the number of elements is not the product of the extents.
    #[track_caller]
    pub fn from_data(shape: &[usize], data: Data) -> Self {
        match HostArray::try_from_data(shape, data) {
            Ok(array) => array,
            Err(error) => panic!("{error}"),
        }
    }

    /// An array of this data.
    ///
    /// # Errors
    /// If the number of elements is not the product of the extents, or the extents are too large.
    pub fn try_from_data(shape: &[usize], data: Data) -> Result<Self, Error> {
        let (len, dtype) = with_data!(&data, xs => (xs.len(), dtype_of(xs)));
        let aval = Aval::new(dtype, shape.iter().copied());
        match aval.impossible() {
            None if aval.volume() == len => Ok(HostArray { aval, data }),
            None => Err(Error::Type(format!("shape {shape:?} does not hold the {len} elements given for it"))),
            Some(why) => Err(Error::TooLarge(why)),
        }
    }

    /// A scalar.
    pub fn scalar(literal: Literal) -> Self {
        HostArray::full(&[], literal)
    }

    /// An array whose elements are all the same.
    ///
    /// # Panics
    /// If there is not enough memory.
    #[track_caller]
    pub fn full(shape: &[usize], literal: Literal) -> Self {
        match HostArray::try_full(shape, literal) {
            Ok(array) => array,
            Err(error) => panic!("{error}"),
        }
    }

    /// An array whose elements are all the same, or the reason why there is not enough memory for it.
    pub(crate) fn try_full(shape: &[usize], literal: Literal) -> Result<Self, Error> {
        let aval = Aval::new(literal.dtype(), shape.iter().copied());
        let Some(bytes) = aval.bytes() else {
            return Err(Error::TooLarge(aval.impossible().unwrap_or_else(|| format!("{aval} is no size"))));
        };
        memory::require(bytes).map_err(|why| Error::TooLarge(format!("{aval} is too large: {why}")))?;
        Ok(HostArray::filled(aval, bytes, literal))
    }

    /// An array of this type and number of bytes. The memory is known to be available.
    pub(crate) fn filled(aval: Aval, bytes: usize, literal: Literal) -> Self {
        let n = bytes / aval.dtype.size();
        HostArray { aval, data: Data::filled(literal, n) }
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.aval.dtype
    }

    /// Extents.
    pub fn shape(&self) -> SmallVec<[usize; 4]> {
        self.aval.shape.iter().map(|d| d.as_usize().expect("a host array has numeric extents")).collect()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        with_data!(&self.data, xs => xs.len())
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Mutable access to the elements.
    pub fn data_mut(&mut self) -> DataMut<'_> {
        self.data.as_mut()
    }

    /// The elements, moved out.
    pub fn into_data(self) -> Data {
        self.data
    }

    /// The elements as `T`.
    ///
    /// # Panics
    /// If the element type is not `T`.
    #[track_caller]
    pub fn as_slice<T: HostElement>(&self) -> &[T] {
        match T::view(&self.data) {
            Some(elements) => elements,
            None => panic!("elements are {}, not {}: convert with astype first", self.dtype(), T::DTYPE),
        }
    }

    /// The element at a row-major position.
    pub fn get(&self, i: usize) -> Literal {
        with_data!(&self.data, xs => xs[i].literal())
    }

    /// The elements converted as [`Literal::convert`] converts.
    pub fn convert(&self, dtype: DType) -> Self {
        if dtype == self.dtype() {
            return self.clone();
        }
        let elements = (0..self.len()).map(|i| self.get(i).convert(dtype));
        HostArray { aval: self.aval.with_dtype(dtype), data: Data::of(dtype, elements) }
    }

    /// The elements' bits as elements of another type of the same size.
    ///
    /// # Panics
    /// If the sizes differ.
    #[track_caller]
    pub fn bitcast(&self, dtype: DType) -> Self {
        assert_eq!(self.dtype().size(), dtype.size(), "{} and {dtype} have different widths", self.dtype());
        let elements = (0..self.len()).map(|i| Literal::from_bits(dtype, self.get(i).bits()));
        HostArray { aval: self.aval.with_dtype(dtype), data: Data::of(dtype, elements) }
    }

    /// The same elements with other extents of the same product.
    #[track_caller]
    pub fn reshaped(&self, shape: &[usize]) -> Self {
        HostArray::from_data(shape, self.data.clone())
    }
}

fn dtype_of<T: Element>(_: &[T]) -> DType {
    T::DTYPE
}

impl fmt::Debug for HostArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.aval)?;
        with_data!(&self.data, xs => {
            if xs.len() > 32 { write!(f, "{:?}…", &xs[..32]) } else { write!(f, "{xs:?}") }
        })
    }
}

impl Buffer for HostArray {
    fn aval(&self) -> &Aval {
        &self.aval
    }
    fn device(&self) -> DeviceRef {
        cpu()
    }
    fn to_host(self: Arc<Self>) -> Result<Arc<HostArray>, Error> {
        Ok(self)
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
