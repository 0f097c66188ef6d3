//! The driver's functions, under the names that programs look up. `cuda.h` documents their arguments.

use super::pointers::{Options, write_text};
use super::state::Driver;
use super::streams::LEGACY;
use super::work::{Launched, Work};
use super::{CURRENT, Code, Gate, Host, Image, Name, Out, Params, driver, enter};
use crate::control::Counts;
use std::ffi::c_char;

/// An argument that is not read.
type Unused = usize;

/// `Gate name(arguments) = |driver| body;` exports a function of that name.
macro_rules! functions {
    ($($gate:ident $name:ident($($arg:ident: $ty:ty),*) = |$driver:pat_param| $body:expr;)*) => {
        $(
            #[doc = concat!("The driver's `", stringify!($name), "`.")]
            #[unsafe(no_mangle)]
            pub extern "C" fn $name($($arg: $ty),*) -> i32 {
                enter(stringify!($name), Gate::$gate, |$driver: &mut Driver| $body)
            }
        )*

        /// The address of a function, by name.
        fn address(name: &str) -> Option<usize> {
            match name {
                $(stringify!($name) => {
                    let function: extern "C" fn($($ty),*) -> i32 = $name;
                    Some(function as usize)
                })*
                _ => None,
            }
        }
    };
}

// Devices and contexts. A context is its device's number plus one.
functions! {
    Free cuInit(flags: u32) = |driver| if flags == 0 { initialize(driver) } else { Err(Code::INVALID_VALUE) };
    Free cuDriverGetVersion(version: Out<i32>) = |driver| version.put(driver.settings.driver as i32);
    Free cuGetErrorName(code: i32, text: Out<*const c_char>) = |_| {
        let (name, _) = Code(code).describe().ok_or(Code::INVALID_VALUE)?;
        text.put(name.as_ptr())
    };
    Free cuGetErrorString(code: i32, text: Out<*const c_char>) = |_| {
        let (_, string) = Code(code).describe().ok_or(Code::INVALID_VALUE)?;
        text.put(string.as_ptr())
    };
    // NVRTC asks for tables outside the public interface, and accepts a refusal.
    Free cuGetExportTable(_table: Out<usize>, _id: Unused) = |_| Err(Code::NOT_FOUND);
    Free cuGetProcAddress(name: Name, function: Out<usize>, _version: i32, _flags: u64) = |_| {
        function.put(versioned_address(name.text()?).ok_or(Code::NOT_FOUND)?)
    };
    Free cuGetProcAddress_v2(name: Name, function: Out<usize>, _version: i32, _flags: u64, status: Out<u32>) = |_| {
        let found = versioned_address(name.text()?);
        status.put_if_wanted(u32::from(found.is_none()));
        function.put(found.ok_or(Code::NOT_FOUND)?)
    };
    Initialized cuDeviceGetCount(count: Out<i32>) = |driver| count.put(driver.settings.devices as i32);
    Initialized cuDeviceGet(device: Out<i32>, ordinal: i32) = |driver| {
        driver.device(ordinal)?;
        device.put(ordinal)
    };
    Initialized cuDeviceGetName(name: Out<c_char>, room: i32, device: i32) = |driver| {
        driver.device(device)?;
        write_text(name, usize::try_from(room).map_err(|_| Code::INVALID_VALUE)?, "Gavotte emulator");
        Ok(())
    };
    Initialized cuDeviceGetUuid_v2(uuid: Out<[u8; 16]>, device: i32) = |driver| {
        driver.device(device)?;
        let mut bytes = *b"gavotte-emulator";
        bytes[15] ^= device as u8;
        uuid.put(bytes)
    };
    Initialized cuDeviceTotalMem_v2(bytes: Out<usize>, device: i32) = |driver| {
        driver.device(device)?;
        bytes.put(driver.heap.capacity() as usize)
    };
    Initialized cuDeviceGetAttribute(value: Out<i32>, attribute: u32, device: i32) = |driver| {
        driver.device(device)?;
        value.put(driver.device_attribute(attribute)?)
    };
    Initialized cuDevicePrimaryCtxRetain(context: Out<usize>, device: i32) = |driver| {
        driver.device(device)?;
        driver.retained += 1;
        context.put(device as usize + 1)
    };
    Initialized cuDevicePrimaryCtxRelease_v2(device: i32) = |driver| {
        driver.device(device)?;
        driver.release()
    };
    Initialized cuDevicePrimaryCtxGetState(device: i32, flags: Out<u32>, is_active: Out<i32>) = |driver| {
        driver.device(device)?;
        flags.put(0)?;
        is_active.put(i32::from(driver.retained > 0))
    };
    Initialized cuCtxGetCurrent(context: Out<usize>) = |_| context.put(CURRENT.get());
    Initialized cuCtxSetCurrent(context: usize) = |driver| set_current(driver, context);
    Initialized cuCtxPushCurrent_v2(context: usize) = |driver| set_current(driver, context);
    Initialized cuCtxPopCurrent_v2(context: Out<usize>) = |_| {
        context.put_if_wanted(CURRENT.replace(0));
        Ok(())
    };
    Context cuCtxGetDevice(device: Out<i32>) = |_| device.put(CURRENT.get() as i32 - 1);
    Context cuCtxGetStreamPriorityRange(least: Out<i32>, greatest: Out<i32>) = |_| {
        least.put_if_wanted(0);
        greatest.put_if_wanted(0);
        Ok(())
    };
    Context cuCtxSynchronize() = |driver| {
        driver.counts.synchronizations += 1;
        driver.streams.synchronize_all()
    };

    // Memory.
    Context cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) = |driver| {
        free.put((driver.heap.capacity() - driver.heap.used().min(driver.heap.capacity())) as usize)?;
        total.put(driver.heap.capacity() as usize)
    };
    Context cuMemAlloc_v2(address: Out<u64>, bytes: usize) = |driver| {
        driver.streams.refuse_global_captures()?;
        address.put(driver.allocate(bytes)?)
    };
    Context cuMemAllocAsync(address: Out<u64>, bytes: usize, stream: u64) = |driver| {
        refuse_capture(driver, stream)?;
        let taken = driver.allocate(bytes)?;
        // Every use must be ordered after the allocation.
        driver.streams.advance(stream)?;
        driver.touch(stream, &[(taken, true)])?;
        address.put(taken)
    };
    Context cuMemFree_v2(address: u64) = |driver| {
        driver.streams.synchronize_all()?;
        if address == 0 { Ok(()) } else { driver.free(address) }
    };
    Context cuMemFreeAsync(address: u64, stream: u64) = |driver| {
        refuse_capture(driver, stream)?;
        // The free must be ordered after every use.
        driver.streams.advance(stream)?;
        driver.touch(stream, &[(address, true)])?;
        driver.free(address)
    };
    Context cuMemHostAlloc(host: Out<usize>, bytes: usize, _flags: u32) = |driver| host.put(driver.pin(bytes)?.0);
    Context cuMemAllocHost_v2(host: Out<usize>, bytes: usize) = |driver| host.put(driver.pin(bytes)?.0);
    Context cuMemFreeHost(host: Host) = |driver| driver.unpin(host);
    Context cuMemHostRegister_v2(host: Host, _bytes: usize, _flags: u32) = |driver| driver.register(host);
    Context cuMemHostUnregister(host: Host) = |driver| driver.unregister(host);
    Context cuMemcpyHtoDAsync_v2(to: u64, from: Host, bytes: usize, stream: u64) = |driver| {
        driver.submit(stream, Work::ToDevice { to, from, bytes })
    };
    Context cuMemcpyDtoHAsync_v2(to: Host, from: u64, bytes: usize, stream: u64) = |driver| {
        driver.submit(stream, Work::ToHost { to, from, bytes })
    };
    Context cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: u64) = |driver| {
        driver.submit(stream, Work::Within { to, from, bytes })
    };
    // Devices share one memory, so an address alone says where something is.
    Context cuMemcpyPeerAsync(
        to: u64,
        to_context: usize,
        from: u64,
        from_context: usize,
        bytes: usize,
        stream: u64
    ) = |driver| {
        driver.device(to_context as i32 - 1)?;
        driver.device(from_context as i32 - 1)?;
        driver.submit(stream, Work::Within { to, from, bytes })
    };
    Context cuMemsetD8Async(to: u64, value: u8, count: usize, stream: u64) = |driver| {
        driver.submit(stream, Work::Set { to, value: value.into(), width: 1, count })
    };
    Context cuMemsetD32Async(to: u64, value: u32, count: usize, stream: u64) = |driver| {
        driver.submit(stream, Work::Set { to, value, width: 4, count })
    };
    // Calls without a stream run on the legacy stream, and are waited for.
    Context cuMemcpyHtoD_v2(to: u64, from: Host, bytes: usize) = |driver| {
        submit_and_wait(driver, Work::ToDevice { to, from, bytes })
    };
    Context cuMemcpyDtoH_v2(to: Host, from: u64, bytes: usize) = |driver| {
        submit_and_wait(driver, Work::ToHost { to, from, bytes })
    };
    Context cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) = |driver| {
        submit_and_wait(driver, Work::Within { to, from, bytes })
    };
    Context cuMemsetD8_v2(to: u64, value: u8, count: usize) = |driver| {
        submit_and_wait(driver, Work::Set { to, value: value.into(), width: 1, count })
    };
    Context cuMemsetD32_v2(to: u64, value: u32, count: usize) = |driver| {
        submit_and_wait(driver, Work::Set { to, value, width: 4, count })
    };

    // Streams and events.
    Context cuStreamCreate(stream: Out<u64>, flags: u32) = |driver| create_stream(driver, stream, flags);
    Context cuStreamCreateWithPriority(stream: Out<u64>, flags: u32, _priority: i32) = |driver| {
        create_stream(driver, stream, flags)
    };
    Context cuStreamDestroy_v2(stream: u64) = |driver| driver.streams.destroy(stream);
    Context cuStreamSynchronize(stream: u64) = |driver| {
        driver.counts.synchronizations += 1;
        driver.streams.synchronize(stream)
    };
    Context cuStreamQuery(stream: u64) = |driver| driver.streams.synchronize(stream);
    Context cuStreamWaitEvent(stream: u64, event: u64, _flags: u32) = |driver| driver.streams.wait(stream, event);
    Context cuEventCreate(event: Out<u64>, _flags: u32) = |driver| {
        let handle = driver.handle();
        driver.streams.create_event(handle);
        event.put(handle)
    };
    Context cuEventDestroy_v2(event: u64) = |driver| driver.streams.destroy_event(event);
    Context cuEventRecord(event: u64, stream: u64) = |driver| driver.streams.record(event, stream);
    Context cuEventSynchronize(event: u64) = |driver| {
        driver.counts.synchronizations += 1;
        driver.streams.synchronize_event(event)
    };
    Context cuEventQuery(event: u64) = |driver| driver.streams.synchronize_event(event);
    Context cuEventElapsedTime(milliseconds: Out<f32>, start: u64, end: u64) = |driver| {
        milliseconds.put(driver.streams.elapsed(start, end)?)
    };
    Context cuEventElapsedTime_v2(milliseconds: Out<f32>, start: u64, end: u64) = |driver| {
        milliseconds.put(driver.streams.elapsed(start, end)?)
    };

    // Modules and kernels.
    Context cuModuleLoadData(module: Out<u64>, image: Image) = |driver| module.put(load(driver, &image, None)?);
    Context cuModuleLoadDataEx(
        module: Out<u64>, image: Image, count: u32, keys: Out<u32>, values: Out<usize>
    ) = |driver| {
        let options = Options { count, keys: &keys, values: &values };
        module.put(load(driver, &image, Some(&options))?)
    };
    Context cuModuleUnload(module: u64) = |driver| driver.unload(module);
    Context cuModuleGetFunction(function: Out<u64>, module: u64, name: Name) = |driver| {
        function.put(driver.function(module, name.text()?)?)
    };
    Context cuModuleGetGlobal_v2(address: Out<u64>, bytes: Out<usize>, module: u64, name: Name) = |driver| {
        let module = driver.modules.get(&module).ok_or(Code::INVALID_HANDLE)?;
        let name = name.text()?;
        let global = module.globals.iter().find(|global| global.name == name).ok_or(Code::NOT_FOUND)?;
        address.put_if_wanted(global.address);
        bytes.put_if_wanted(global.bytes as usize);
        Ok(())
    };
    Context cuFuncGetAttribute(value: Out<i32>, attribute: u32, function: u64) = |driver| {
        value.put(driver.function_attribute(function, attribute)?)
    };
    Context cuFuncSetAttribute(function: u64, attribute: u32, value: i32) = |driver| {
        driver.set_function_attribute(function, attribute, value)
    };
    Context cuFuncSetCacheConfig(function: u64, _config: u32) = |driver| {
        driver.functions.get(&function).map(|_| ()).ok_or(Code::INVALID_HANDLE)
    };
    Context cuOccupancyMaxActiveBlocksPerMultiprocessor(
        blocks: Out<i32>, function: u64, threads: i32, shared: usize
    ) = |driver| {
        blocks.put(driver.occupancy(function, threads, shared)?)
    };
    Context cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        blocks: Out<i32>, function: u64, threads: i32, shared: usize, _flags: u32
    ) = |driver| blocks.put(driver.occupancy(function, threads, shared)?);
    Context cuLaunchKernel(
        function: u64, grid_x: u32, grid_y: u32, grid_z: u32, block_x: u32, block_y: u32, block_z: u32, shared: u32,
        stream: u64, params: Params, extra: Params
    ) = |driver| {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let launched = Launched { function, grid, block, dynamic_shared: shared as usize, params: vec![] };
        driver.launch(stream, launched, &params, &extra)
    };

    // Graphs. A launchable graph is a copy of the captured one.
    Context cuStreamBeginCapture_v2(stream: u64, mode: u32) = |driver| {
        let id = driver.handle();
        driver.streams.begin_capture(id, stream, mode == 0)
    };
    Context cuStreamEndCapture(stream: u64, graph: Out<u64>) = |driver| {
        match driver.streams.end_capture(stream) {
            Ok(works) => graph.put(driver.add_graph(works)),
            Err(code) => {
                graph.put_if_wanted(0);
                Err(code)
            }
        }
    };
    Context cuStreamIsCapturing(stream: u64, status: Out<u32>) = |driver| {
        status.put(match driver.streams.capture_status(stream)? {
            None => 0,
            Some(is_invalid) => 1 + u32::from(is_invalid),
        })
    };
    Context cuGraphInstantiate(exec: Out<u64>, graph: u64, _flags: u64) = |driver| instantiate(driver, exec, graph);
    Context cuGraphInstantiateWithFlags(exec: Out<u64>, graph: u64, _flags: u64) = |driver| {
        instantiate(driver, exec, graph)
    };
    Context cuGraphUpload(exec: u64, _stream: u64) = |driver| driver.graph(exec).map(|_| ());
    Context cuGraphLaunch(exec: u64, stream: u64) = |driver| driver.launch_graph(exec, stream);
    Context cuGraphDestroy(graph: u64) = |driver| driver.remove_graph(graph);
    Context cuGraphExecDestroy(exec: u64) = |driver| driver.remove_graph(exec);
    Context cuGraphGetNodes(graph: u64, nodes: Out<u64>, count: Out<usize>) = |driver| {
        let all = driver.graph(graph)?.len();
        if nodes.is_null() {
            return count.put(all);
        }
        let wanted = count.get()?.min(all);
        nodes.put_all((0..wanted as u64).map(|index| graph + 1 + index))?;
        count.put(wanted)
    };
}

/// Writes the report when the process ends.
extern "C" fn at_exit() {
    driver().write_summary();
}

// SAFETY: as the C library declares it; the callback is one that may run at the end of the process.
unsafe extern "C" {
    safe fn atexit(callback: extern "C" fn()) -> i32;
}

fn initialize(driver: &mut Driver) -> Result<(), Code> {
    let was_initialized = driver.is_initialized;
    driver.initialize()?;
    if !was_initialized && driver.settings.report.is_some() {
        atexit(at_exit);
    }
    Ok(())
}

fn set_current(driver: &Driver, context: usize) -> Result<(), Code> {
    if context > driver.settings.devices as usize {
        return Err(Code::INVALID_CONTEXT);
    }
    CURRENT.set(context);
    Ok(())
}

fn create_stream(driver: &mut Driver, stream: Out<u64>, flags: u32) -> Result<(), Code> {
    if flags > 1 {
        return Err(Code::INVALID_VALUE);
    }
    let handle = driver.handle();
    driver.counts.streams += 1;
    driver.streams.create(handle, flags == 0);
    stream.put(handle)
}

fn submit_and_wait(driver: &mut Driver, work: Work) -> Result<(), Code> {
    driver.submit(LEGACY, work)?;
    driver.streams.synchronize(LEGACY)
}

/// Memory cannot be allocated while a stream is captured.
fn refuse_capture(driver: &mut Driver, stream: u64) -> Result<(), Code> {
    match driver.streams.capture_status(stream)? {
        Some(_) => Err(Code::STREAM_CAPTURE_UNSUPPORTED),
        None => Ok(()),
    }
}

/// PTX is run; machine code is not.
fn load(driver: &mut Driver, image: &Image, options: Option<&Options<'_>>) -> Result<u64, Code> {
    match image.text()? {
        Some(text) => driver.load(text, options),
        None => {
            driver.counts.binaries += 1;
            Err(Code::NO_BINARY_FOR_GPU)
        }
    }
}

fn instantiate(driver: &mut Driver, exec: Out<u64>, graph: u64) -> Result<(), Code> {
    let works = driver.graph(graph)?.clone();
    exec.put(driver.add_graph(works))
}

/// The newest version of a function, by its name without a version.
fn versioned_address(name: &str) -> Option<usize> {
    address(&format!("{name}_v2")).or_else(|| address(name))
}

/// Resets everything.
#[unsafe(no_mangle)]
pub extern "C" fn gavotte_emulator_reset() {
    driver().reset();
}

/// Applies settings, as `GAVOTTE_EMULATOR` would. Returns 0, or 1 if they are wrong: the last report then says why.
#[unsafe(no_mangle)]
pub extern "C" fn gavotte_emulator_configure(text: Name) -> i32 {
    let mut driver = driver();
    let result = text.text().map_err(|_| "no text".into()).and_then(|text| driver.configure(text));
    if let Err(message) = &result {
        driver.last_report = message.clone();
    }
    i32::from(result.is_err())
}

/// The counts.
#[unsafe(no_mangle)]
pub extern "C" fn gavotte_emulator_counts(counts: Out<Counts>) {
    counts.put_if_wanted(driver().current_counts());
}

/// Writes the last report into `room` bytes, zero-terminated; returns its length.
#[unsafe(no_mangle)]
pub extern "C" fn gavotte_emulator_report(text: Out<c_char>, room: usize) -> usize {
    let driver = driver();
    write_text(text, room, &driver.last_report);
    driver.last_report.len()
}

/// The same, for one line per kernel that ran: its name and its launches.
#[unsafe(no_mangle)]
pub extern "C" fn gavotte_emulator_kernels(text: Out<c_char>, room: usize) -> usize {
    let lines: String = driver().kernels.iter().map(|(name, count)| format!("{name} {count}\n")).collect();
    write_text(text, room, &lines);
    lines.len()
}
