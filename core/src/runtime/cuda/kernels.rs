//! Single kernels launched for tests and experiments.

use crate::aval::Sizes;
use crate::codegen::cuda::{Launch, Module, Source, Width};
use crate::device::{Buffer, DeviceRef, HostArray};
use crate::error::Error;
use crate::kernel::Kernel;
use crate::runtime::cuda::device::{Cuda, CudaBuffer};
use crate::runtime::cuda::launch::{Addresses, arguments};
use crate::runtime::cuda::memory::Block;
use cudarc::driver::CudaFunction;
use std::sync::Arc;

/// A kernel with its sizes and arrays.
#[derive(Clone, Copy, Debug)]
pub struct KernelRun<'a> {
    /// The kernel.
    pub kernel: &'a Kernel,
    /// The sizes of its symbols.
    pub sizes: &'a Sizes,
    /// An array for each input.
    pub inputs: &'a [HostArray],
}

/// The outputs of a kernel, or why there are none.
pub type KernelOutputs = Result<Vec<Arc<HostArray>>, Error>;

/// Compiles kernels together and runs each, with about `block` threads in each block: a multiple of 32 up to 1024.
///
/// # Errors
/// If the device is not a GPU, or the kernels cannot be compiled. If one of them fails, its own result says so.
pub fn run_kernels(device: &DeviceRef, runs: &[KernelRun<'_>], block: u32) -> Result<Vec<KernelOutputs>, Error> {
    run_changed_kernels(device, runs, block, |text| text, |_| {})
}

/// [`run_kernels`] with changes to the text of the kernels and to the launches: to test that mistakes are noticed.
///
/// # Errors
/// As [`run_kernels`].
pub fn run_changed_kernels(
    device: &DeviceRef,
    runs: &[KernelRun<'_>],
    block: u32,
    change_text: impl Fn(String) -> String,
    change_launch: impl Fn(&mut Launch),
) -> Result<Vec<KernelOutputs>, Error> {
    let device = Cuda::of(device).ok_or_else(|| Error::Device(format!("{} is not a GPU", device.name())))?;
    let mut module = Module::new();
    for KernelRun { kernel, sizes, .. } in runs {
        module
            .push(kernel, Width::of(kernel, sizes), "")
            .map_err(|why| Error::Unsupported(format!("{}: {why:?}", kernel.name)))?;
    }
    let loaded = device.load(&change_text(module.text()), "single kernels")?;
    let outputs = runs.iter().zip(module.sources()).map(|(run, source)| {
        let functions = device.functions(&loaded, &source.functions, &run.kernel.name)?;
        let mut launches = source.launches(run.sizes, block)?;
        launches.iter_mut().for_each(&change_launch);
        one(&device, run, source, &functions, &launches)
    });
    Ok(outputs.collect())
}

fn one(
    device: &Arc<Cuda>,
    run: &KernelRun<'_>,
    source: &Source,
    functions: &[CudaFunction],
    launches: &[Launch],
) -> KernelOutputs {
    let KernelRun { kernel, sizes, inputs } = run;
    let inputs = inputs.iter().map(|array| device.upload(array)).collect::<Result<Vec<_>, _>>()?;
    let scratch = source.scratch_bytes(sizes).into_iter().map(|bytes| device.take(bytes));
    let scratch = scratch.collect::<Result<Vec<Block>, _>>()?;
    let outputs = kernel.outputs.iter().map(|(_, aval)| device.empty(aval.at(sizes)));
    let outputs = outputs.collect::<Result<Vec<Arc<CudaBuffer>>, _>>()?;
    let addresses = Addresses {
        inputs: &|i| inputs[i].block.address(),
        outputs: &|i| outputs[i].block.address(),
        scratch: &|i| scratch[i].address(),
        record: device.record(),
        number: device.number(&kernel.name, None),
    };
    for launch in launches {
        let mut values = arguments(launch, &addresses);
        // SAFETY: the values are the function's parameters, and all memory was allocated for it just above.
        unsafe { device.launch(device.stream(), &functions[launch.function], launch, &mut values) }
            .map_err(|error| device.failed(&format!("launching @{}", kernel.name), error))?;
    }
    outputs.into_iter().map(Buffer::to_host).collect()
}
