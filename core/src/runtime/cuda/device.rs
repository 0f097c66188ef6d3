//! GPUs as devices, and arrays on them.

use crate::aval::{Aval, DType};
use crate::device::{Buffer, Data, Device, DeviceRef, HostArray};
use crate::error::Error;
use crate::runtime::cuda::failure;
use crate::runtime::cuda::library::need_driver;
use crate::runtime::cuda::memory::{Block, Pool};
use crate::runtime::cuda::staging::Staging;
use crate::with_data;
use cudarc::driver::sys::CUdevice_attribute as Attribute;
use cudarc::driver::{CudaContext, DriverError, result};
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What the driver says about a GPU.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceInfo {
    /// `cuda:0`.
    pub name: String,
    /// What its maker calls it.
    pub model: String,
    /// Its architecture, as 8 and 0 of `sm_80`.
    pub compute_capability: (u32, u32),
    /// Bytes of its memory.
    pub memory: usize,
    /// Its multiprocessors.
    pub multiprocessors: u32,
}

/// A GPU.
#[derive(Debug)]
struct Cuda {
    name: String,
    pool: Arc<Pool>,
    staging: Mutex<Staging>,
    /// The handle that arrays carry.
    this: Weak<Cuda>,
}

/// An array in a GPU's memory.
#[derive(Debug)]
struct CudaBuffer {
    device: Arc<Cuda>,
    aval: Aval,
    block: Block,
}

/// The GPUs that the driver lists.
///
/// # Errors
/// Where there is no driver, or it fails. A driver without a GPU is an empty list.
pub fn devices() -> Result<Vec<DeviceInfo>, Error> {
    need_driver()?;
    let failed = |error| failure::driver("listing the GPUs", error);
    match result::init() {
        Err(error) if is_no_device(&error) => return Ok(vec![]),
        other => other.map_err(failed)?,
    }
    match result::device::get_count() {
        Err(error) if is_no_device(&error) => Ok(vec![]),
        count => (0..count.map_err(failed)?).map(|ordinal| info(ordinal).map_err(failed)).collect(),
    }
}

fn is_no_device(error: &DriverError) -> bool {
    error.0 == cudarc::driver::sys::CUresult::CUDA_ERROR_NO_DEVICE
}

fn info(ordinal: i32) -> Result<DeviceInfo, DriverError> {
    let device = result::device::get(ordinal)?;
    // SAFETY: the device is one that the driver has just given.
    let ask = |attribute| unsafe { result::device::get_attribute(device, attribute) }.map(|value| value as u32);
    Ok(DeviceInfo {
        name: name_of(ordinal as usize),
        model: result::device::get_name(device)?,
        compute_capability: (
            ask(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            ask(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        // SAFETY: as above.
        memory: unsafe { result::device::total_mem(device)? },
        multiprocessors: ask(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
    })
}

fn name_of(ordinal: usize) -> String {
    format!("cuda:{ordinal}")
}

/// The GPU with this number: one handle serves a whole process, as long as somebody has it.
///
/// # Errors
/// Where there is no driver or no such GPU, with what to do about it.
pub fn cuda(ordinal: usize) -> Result<DeviceRef, Error> {
    static OPEN: Mutex<Vec<Weak<Cuda>>> = Mutex::new(vec![]);
    let name = name_of(ordinal);
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|device| device.strong_count() > 0);
    if let Some(device) = open.iter().filter_map(Weak::upgrade).find(|device| device.name == name) {
        return Ok(device);
    }
    let found = devices()?;
    if ordinal >= found.len() {
        let names: Vec<&str> = found.iter().map(|device| device.name.as_str()).collect();
        let there = if names.is_empty() {
            "there is a driver and no GPU".into()
        } else {
            format!("there is {}", names.join(", "))
        };
        return Err(Error::Device(format!("no {name}: {there}\n  `gavotte devices` lists what is found")));
    }
    let device = Cuda::new(ordinal).map_err(|error| failure::driver(&format!("opening {name}"), error))?;
    open.push(Arc::downgrade(&device));
    Ok(device)
}

impl Cuda {
    fn new(ordinal: usize) -> Result<Arc<Cuda>, DriverError> {
        let context = CudaContext::new(ordinal)?;
        let compute = context.new_stream()?;
        let name = name_of(ordinal);
        let pool = Pool::new(context.clone(), &name);
        let staging = Mutex::new(Staging::new(context, compute)?);
        Ok(Arc::new_cyclic(|this| Cuda { name, pool, staging, this: this.clone() }))
    }

    fn failed(&self, what: &str, error: DriverError) -> Error {
        failure::driver(&format!("{}: {what}", self.name), error)
    }
}

impl Device for Cuda {
    fn name(&self) -> &str {
        &self.name
    }

    fn put(&self, array: Arc<HostArray>) -> Result<Arc<dyn Buffer>, Error> {
        let bytes = bytes_of(&array);
        let block = self.pool.take(bytes.len())?;
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the block is as large, and nobody else has it.
        unsafe { staging.upload(bytes, block.address()) }.map_err(|error| self.failed("copying to it", error))?;
        let device = self.this.upgrade().expect("who calls has a handle");
        Ok(Arc::new(CudaBuffer { device, aval: array.aval().clone(), block }))
    }
}

impl Buffer for CudaBuffer {
    fn aval(&self) -> &Aval {
        &self.aval
    }

    fn device(&self) -> DeviceRef {
        self.device.clone()
    }

    fn to_host(self: Arc<Self>) -> Result<Arc<HostArray>, Error> {
        let shape: Vec<usize> = self.aval.shape.iter().filter_map(|dim| dim.as_usize()).collect();
        let n: usize = shape.iter().product();
        let mut bytes = vec![0u8; n * self.aval.dtype.size()];
        let mut staging = self.device.staging.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the block holds the array.
        unsafe { staging.download(self.block.address(), &mut bytes) }
            .map_err(|error| self.device.failed("copying from it", error))?;
        Ok(Arc::new(HostArray::from_data(&shape, data(self.aval.dtype, &bytes))))
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// The memory of an array.
fn bytes_of(array: &HostArray) -> &[u8] {
    with_data!(array.data(), xs => {
        // SAFETY: every byte of the elements' memory is set, and no element type has padding.
        unsafe { std::slice::from_raw_parts(xs.as_ptr().cast::<u8>(), size_of_val(xs.as_slice())) }
    })
}

/// Elements from their bytes, in the machine's order.
fn data(dtype: DType, bytes: &[u8]) -> Data {
    fn all<const N: usize, T>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
        bytes.chunks_exact(N).map(|chunk| read(chunk.try_into().expect("chunks are as long"))).collect()
    }
    match dtype {
        DType::F32 => Data::F32(all(bytes, f32::from_ne_bytes)),
        DType::F64 => Data::F64(all(bytes, f64::from_ne_bytes)),
        DType::I32 => Data::I32(all(bytes, i32::from_ne_bytes)),
        DType::U32 => Data::U32(all(bytes, u32::from_ne_bytes)),
        DType::Bool => Data::Bool(bytes.iter().map(|byte| *byte != 0).collect()),
    }
}
