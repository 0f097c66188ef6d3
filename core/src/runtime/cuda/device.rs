//! GPUs as devices, and arrays on them.

use crate::aval::{Aval, DType, Literal};
use crate::codegen::cuda::{Function, Launch, RECORD_BYTES};
use crate::device::{Buffer, Data, Device, DeviceRef, Elements, HostArray};
use crate::error::Error;
use crate::ir::Location;
use crate::runtime::cuda::compiler::Compiler;
use crate::runtime::cuda::failure;
use crate::runtime::cuda::library::{absent, driver_version, libraries};
use crate::runtime::cuda::memory::{Block, Pool};
use crate::runtime::cuda::staging::Staging;
use crate::with_data;
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUdeviceptr};
use cudarc::driver::{CudaContext, CudaFunction, CudaGraph, CudaModule, CudaStream, DriverError, result};
use cudarc::nvrtc::Ptx;
use half::{bf16, f16};
use std::any::Any;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// The driver's information about a GPU.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceInfo {
    /// `cuda:0`.
    pub name: String,
    /// The manufacturer's name.
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
pub(super) struct Cuda {
    pub(super) name: String,
    context: Arc<CudaContext>,
    compute: Arc<CudaStream>,
    pool: Arc<Pool>,
    staging: Mutex<Staging>,
    /// An error if NVRTC is missing: arrays can be held without it.
    compiler: Result<Compiler, Error>,
    /// The streams of recordings, created with the first: a recording thread holds the lock.
    recorders: Mutex<Vec<Arc<CudaStream>>>,
    /// The errors that kernels find: see [`RECORD_BYTES`]. Created with the first kernel.
    record: OnceLock<Block>,
    /// The kernels, by their numbers in the record minus one.
    kernels: Mutex<Vec<(String, Option<Location>)>>,
    /// The handle that arrays carry.
    this: Weak<Cuda>,
}

/// An array in a GPU's memory. Arrays of several shapes may share it.
#[derive(Debug)]
pub(super) struct CudaBuffer {
    pub(super) device: Arc<Cuda>,
    pub(super) aval: Aval,
    pub(super) block: Arc<Block>,
}

/// The GPUs that the driver lists.
///
/// # Errors
/// If there is no driver, it is too old, or it fails. A driver without a GPU yields an empty list.
pub fn devices() -> Result<Vec<DeviceInfo>, Error> {
    driver_version()?;
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
    error.0 == sys::CUresult::CUDA_ERROR_NO_DEVICE
}

fn info(ordinal: i32) -> Result<DeviceInfo, DriverError> {
    let device = result::device::get(ordinal)?;
    // SAFETY: the driver has just returned this device.
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

/// A description of the code that is compiled for a GPU of this compute capability, and by which NVRTC.
///
/// # Errors
/// If NVRTC is missing, or no NVRTC fits the driver and the GPU, with what to do about it.
pub fn code_for(compute_capability: (u32, u32)) -> Result<String, Error> {
    Ok(Compiler::new(compute_capability)?.described())
}

/// The GPU with this number: one handle serves a whole process, as long as somebody holds it. Without NVRTC it holds
/// arrays, but runs nothing.
///
/// # Errors
/// If there is no driver or no such GPU, or driver, NVRTC and GPU do not fit together, with what to do about it.
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
            "there is a driver but no GPU".into()
        } else {
            format!("there is {}", names.join(", "))
        };
        return Err(Error::Device(format!("no {name}: {there}\n  `gavotte devices` lists what is found")));
    }
    let compiler = match &libraries()[1] {
        nvrtc if nvrtc.found.is_none() => Err(absent(nvrtc)),
        _ => Ok(Compiler::new(found[ordinal].compute_capability)
            .map_err(|error| Error::Device(format!("{name} ({}): {error}", found[ordinal].model)))?),
    };
    let device = Cuda::new(ordinal, compiler).map_err(|error| failure::driver(&format!("opening {name}"), error))?;
    open.push(Arc::downgrade(&device));
    Ok(device)
}

impl Cuda {
    fn new(ordinal: usize, compiler: Result<Compiler, Error>) -> Result<Arc<Cuda>, DriverError> {
        let context = CudaContext::new(ordinal)?;
        let compute = context.new_stream()?;
        let name = name_of(ordinal);
        let pool = Pool::new(context.clone(), compute.clone(), &name);
        let staging = Mutex::new(Staging::new(context.clone(), compute.clone(), pool.clone())?);
        Ok(Arc::new_cyclic(|this| Cuda {
            name,
            context,
            compute,
            pool,
            staging,
            compiler,
            recorders: Mutex::default(),
            record: OnceLock::new(),
            kernels: Mutex::default(),
            this: this.clone(),
        }))
    }

    /// The GPU that a device is, if it is one.
    pub(super) fn of(device: &DeviceRef) -> Option<Arc<Cuda>> {
        device.as_any().downcast_ref::<Cuda>().map(Cuda::this)
    }

    fn this(&self) -> Arc<Cuda> {
        self.this.upgrade().expect("the caller has a handle")
    }

    /// The stream of everything that uses arrays.
    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        &self.compute
    }

    /// This many streams for recordings, which belong to the caller as long as it holds them.
    pub(super) fn recorders(&self, n: usize) -> Result<MutexGuard<'_, Vec<Arc<CudaStream>>>, Error> {
        let mut recorders = self.recorders.lock().unwrap_or_else(PoisonError::into_inner);
        while recorders.len() < n {
            recorders.push(self.call("a stream", || self.context.new_stream())?);
        }
        Ok(recorders)
    }

    /// Memory for this many bytes.
    pub(super) fn take(&self, bytes: usize) -> Result<Block, Error> {
        self.pool.take(bytes)
    }

    /// Calls the driver in this device's context: [`Pool::with_memory`].
    fn call<T>(&self, what: &str, call: impl FnMut() -> Result<T, DriverError>) -> Result<T, Error> {
        self.pool.with_memory(call).map_err(|error| self.failed(what, error))
    }

    /// Compiles a text of CUDA C and loads it; `name` identifies it in errors. If the driver rejects it, it is compiled
    /// to another form, if there is one.
    pub(super) fn load(&self, text: &str, name: &str) -> Result<Arc<CudaModule>, Error> {
        if self.record.get().is_none() {
            let record = self.take(RECORD_BYTES)?;
            self.call("its record", || {
                // SAFETY: the block is large enough, and nobody else has it.
                unsafe { result::memset_d8_async(record.address(), 0, RECORD_BYTES, self.compute.cu_stream()) }
            })?;
            // Another thread may have been faster: then this block is released.
            let _ = self.record.set(record);
        }
        let compiler = self.compiler.as_ref().map_err(Error::clone)?;
        loop {
            let image = compiler.image();
            let code = Ptx::from_binary(compiler.compile(text, image, name)?);
            match self.pool.with_memory(|| self.context.load_module(code.clone())) {
                Err(error) if failure::is_refused_image(&error) && compiler.refuse(image) => {}
                loaded => return loaded.map_err(|error| self.failed(&format!("loading the kernels of {name}"), error)),
            }
        }
    }

    /// The functions of a kernel.
    pub(super) fn functions(
        &self,
        module: &Arc<CudaModule>,
        functions: &[Function],
        kernel: &str,
    ) -> Result<Vec<CudaFunction>, Error> {
        functions.iter().map(|function| self.call(kernel, || module.load_function(&function.name))).collect()
    }

    /// Starts a recording on the compute stream.
    pub(super) fn replay(&self, graph: &CudaGraph) -> Result<(), DriverError> {
        self.pool.with_memory(|| {
            // SAFETY: the graph was instantiated, and its recorder ensures that its addresses are valid.
            unsafe { result::graph::launch(graph.cu_graph_exec(), self.compute.cu_stream()) }
        })
    }

    /// Where kernels record errors.
    pub(super) fn record(&self) -> CUdeviceptr {
        self.record.get().map_or(0, Block::address)
    }

    /// A kernel's number in the record.
    pub(super) fn number(&self, kernel: &str, location: Option<Location>) -> u32 {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        kernels.push((kernel.into(), location));
        kernels.len() as u32
    }

    /// Checks the error that a kernel has found since the last check, as the record has it.
    fn check_record(&self, staging: &mut Staging, record: [u8; RECORD_BYTES]) -> Result<(), Error> {
        let (number, rest) = record.split_at(4);
        let number = u32::from_ne_bytes(number.try_into().expect("four bytes"));
        if number == 0 {
            return Ok(());
        }
        // SAFETY: the record has this many bytes, and kernels that still run come before it.
        unsafe { staging.upload(&[0; RECORD_BYTES], self.record()) }
            .map_err(|error| self.failed("its record", error))?;
        let position = i32::from_ne_bytes(rest[..4].try_into().expect("four bytes"));
        let extent = i64::from_ne_bytes(rest[4..].try_into().expect("eight bytes"));
        let kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, location) = kernels.get(number as usize - 1).cloned().unwrap_or(("?".into(), None));
        let place = location.map_or_else(String::new, |location| format!("\n  at {location}"));
        Err(Error::Call(format!("@{name}: position {position} is not in 0..{extent}{place}")))
    }

    /// Starts a function on a stream.
    ///
    /// # Safety
    /// `values` must be the function's parameters, and what it reads and writes must be valid.
    pub(super) unsafe fn launch(
        &self,
        stream: &CudaStream,
        function: &CudaFunction,
        launch: &Launch,
        values: &mut [u64],
    ) -> Result<(), DriverError> {
        let mut pointers: Vec<*mut c_void> = values.iter_mut().map(|value| std::ptr::from_mut(value).cast()).collect();
        let (grid, block) = ((launch.grid, 1, 1), (launch.block, 1, 1));
        self.pool.with_memory(|| {
            // SAFETY: by this function's contract.
            unsafe { result::launch_kernel(function.cu_function(), grid, block, 0, stream.cu_stream(), &mut pointers) }
        })
    }

    /// Copies bytes within the device's memory.
    ///
    /// # Safety
    /// Both places must be valid for this many bytes, and must not overlap.
    pub(super) unsafe fn copy_within(
        &self,
        stream: &CudaStream,
        from: CUdeviceptr,
        to: CUdeviceptr,
        bytes: usize,
    ) -> Result<(), Error> {
        self.call("copying within its memory", || {
            // SAFETY: by this function's contract.
            unsafe { result::memcpy_dtod_async(to, from, bytes, stream.cu_stream()) }
        })
    }

    /// Writes a number without a copy from the host, which might have to wait.
    ///
    /// # Safety
    /// `to` must be valid for one element of the literal's type, and aligned for it.
    pub(super) unsafe fn set(&self, stream: &CudaStream, to: CUdeviceptr, literal: Literal) -> Result<(), Error> {
        let (bits, stream) = (literal.bits(), stream.cu_stream());
        self.call("setting a number", || {
            if literal.dtype().size() == 1 {
                // SAFETY: by this function's contract.
                return unsafe { result::memset_d8_async(to, bits as u8, 1, stream) };
            }
            (0..literal.dtype().size() as CUdeviceptr / 4).try_for_each(|half| {
                // SAFETY: by this function's contract; words are stored low half first, as on the host.
                unsafe { sys::cuMemsetD32Async(to + 4 * half, (bits >> (32 * half)) as u32, 1, stream) }.result()
            })
        })
    }

    /// An array on this device: the buffer itself, or a copy of one in host memory.
    pub(super) fn here(&self, buffer: Arc<dyn Buffer>) -> Result<Arc<CudaBuffer>, Error> {
        let device = buffer.device();
        if device.name() == "cpu" {
            return self.upload(&*buffer.to_host()?);
        }
        let found = buffer.into_any().downcast::<CudaBuffer>().ok();
        found.filter(|buffer| buffer.device.name == self.name).ok_or_else(|| {
            Error::Device(format!(
                "an argument is on {}, and this program runs on {}: move it with device_put",
                device.name(),
                self.name
            ))
        })
    }

    /// A new array of this type without contents.
    pub(super) fn empty(&self, aval: Aval) -> Result<Arc<CudaBuffer>, Error> {
        let bytes = bytes_of_type(&aval);
        let block = Arc::new(self.take(bytes)?);
        Ok(Arc::new(CudaBuffer { device: self.this(), aval, block }))
    }

    /// Copies an array to the device.
    pub(super) fn upload(&self, array: &HostArray) -> Result<Arc<CudaBuffer>, Error> {
        let block = self.take(bytes_of(array).len())?;
        // SAFETY: the block is large enough, and nobody else has it.
        unsafe { self.upload_to(array, block.address()) }?;
        Ok(Arc::new(CudaBuffer { device: self.this(), aval: array.aval().clone(), block: Arc::new(block) }))
    }

    /// Copies an array from another GPU, after everything that the two have started before. Neither reuses the memory
    /// before that.
    fn copy_of(&self, there: &CudaBuffer) -> Result<Arc<CudaBuffer>, Error> {
        let here = self.empty(there.aval.clone())?;
        let bytes = bytes_of_type(&there.aval);
        if bytes == 0 {
            return Ok(here);
        }
        let other = &there.device;
        self.call(&format!("copying from {}", other.name), || {
            self.compute.join(&other.compute)?;
            self.context.bind_to_thread()?;
            let (to, from) =
                ((self.context.cu_ctx(), here.block.address()), (other.context.cu_ctx(), there.block.address()));
            // SAFETY: both blocks hold the array, each in its context.
            unsafe { result::memcpy_peer_async(to.0, to.1, from.0, from.1, bytes, self.compute.cu_stream()) }?;
            other.compute.join(&self.compute)
        })?;
        Ok(here)
    }

    /// Copies an array to an address.
    ///
    /// # Safety
    /// The memory there must be large enough, and nothing that is not yet started may read its present contents.
    pub(super) unsafe fn upload_to(&self, array: &HostArray, to: CUdeviceptr) -> Result<(), Error> {
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: by this function's contract.
        unsafe { staging.upload(bytes_of(array), to) }.map_err(|error| self.failed("copying to it", error))
    }

    /// Copies an array of this type from an address.
    ///
    /// # Safety
    /// The memory there must hold the array.
    pub(super) unsafe fn download(&self, from: CUdeviceptr, aval: &Aval) -> Result<HostArray, Error> {
        let shape: Vec<usize> = aval.shape.iter().filter_map(|dim| dim.as_usize()).collect();
        let mut bytes = vec![0u8; shape.iter().product::<usize>() * aval.dtype.size()];
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        // Errors that kernels found come with it: a reader waits only once.
        let mut record = [0; RECORD_BYTES];
        let mut arrays = vec![(from, &mut bytes[..])];
        if let Some(block) = self.record.get() {
            arrays.push((block.address(), &mut record));
        }
        // SAFETY: by this function's contract; the record has this many bytes, and was set when it was created.
        unsafe { staging.download(&mut arrays) }.map_err(|error| self.failed("copying from it", error))?;
        self.check_record(&mut staging, record)?;
        Ok(HostArray::from_data(&shape, data(aval.dtype, &bytes)))
    }

    pub(super) fn failed(&self, what: &str, error: DriverError) -> Error {
        failure::driver(&format!("{}: {what}", self.name), error)
    }
}

impl Device for Cuda {
    fn name(&self) -> &str {
        &self.name
    }

    fn put(&self, array: Arc<HostArray>) -> Result<Arc<dyn Buffer>, Error> {
        Ok(self.upload(&array)?)
    }

    fn bring(&self, buffer: Arc<dyn Buffer>) -> Result<Arc<dyn Buffer>, Error> {
        match buffer.clone().into_any().downcast::<CudaBuffer>() {
            Ok(there) => Ok(self.copy_of(&there)?),
            Err(_) => self.put(buffer.to_host()?),
        }
    }

    fn copy(&self, buffer: Arc<dyn Buffer>) -> Result<Arc<dyn Buffer>, Error> {
        let there = self.here(buffer)?;
        let here = self.empty(there.aval.clone())?;
        let bytes = bytes_of_type(&there.aval);
        if bytes > 0 {
            // SAFETY: both blocks hold the array.
            unsafe { self.copy_within(&self.compute, there.block.address(), here.block.address(), bytes) }?;
        }
        Ok(here)
    }

    fn as_any(&self) -> &dyn Any {
        self
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
        // SAFETY: the block holds the array.
        unsafe { self.device.download(self.block.address(), &self.aval) }.map(Arc::new)
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// The number of bytes of an array of this type.
pub(super) fn bytes_of_type(aval: &Aval) -> usize {
    aval.volume().as_usize().unwrap_or(0) * aval.dtype.size()
}

/// The memory of an array.
fn bytes_of(array: &HostArray) -> &[u8] {
    with_data!(array.data(), xs => {
        // SAFETY: every byte of the elements' memory is set, and no element type has padding.
        unsafe { std::slice::from_raw_parts(xs.as_ptr().cast::<u8>(), size_of_val(&**xs)) }
    })
}

/// Elements from their bytes, in the machine's order.
fn data(dtype: DType, bytes: &[u8]) -> Data {
    fn all<const N: usize, T: Copy>(bytes: &[u8], read: fn([u8; N]) -> T) -> Elements<T> {
        bytes.chunks_exact(N).map(|chunk| read(chunk.try_into().expect("chunks have this length"))).collect()
    }
    match dtype {
        DType::F16 => Data::F16(all(bytes, f16::from_ne_bytes)),
        DType::BF16 => Data::BF16(all(bytes, bf16::from_ne_bytes)),
        DType::F32 => Data::F32(all(bytes, f32::from_ne_bytes)),
        DType::F64 => Data::F64(all(bytes, f64::from_ne_bytes)),
        DType::I8 => Data::I8(all(bytes, i8::from_ne_bytes)),
        DType::I16 => Data::I16(all(bytes, i16::from_ne_bytes)),
        DType::I32 => Data::I32(all(bytes, i32::from_ne_bytes)),
        DType::I64 => Data::I64(all(bytes, i64::from_ne_bytes)),
        DType::U8 => Data::U8(bytes.iter().copied().collect()),
        DType::U16 => Data::U16(all(bytes, u16::from_ne_bytes)),
        DType::U32 => Data::U32(all(bytes, u32::from_ne_bytes)),
        DType::U64 => Data::U64(all(bytes, u64::from_ne_bytes)),
        DType::Bool => Data::Bool(bytes.iter().map(|byte| *byte != 0).collect()),
    }
}
