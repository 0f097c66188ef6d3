//! The driver's state, and what calls do to it, in safe code.

use super::code::Code;
use super::pointers::{Host, Options, Params, Pinned};
use super::streams::Streams;
use super::work::{Launched, Node, Work, check_launch};
use crate::control::{Counts, Settings, summary};
use crate::decode::Kernel;
use crate::memory::Heap;
use crate::module::Module;
use crate::ptx;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;

/// Shared memory of a block without opting in.
const SHARED: usize = 48 << 10;
/// Shared memory of a block that a kernel may opt in to.
pub(super) const MOST_SHARED: usize = 163 << 10;
/// Threads of a block.
const MOST_THREADS: u32 = 1024;

/// A failing call, and why.
pub(super) struct Failure {
    pub(super) code: Code,
    pub(super) message: String,
}

/// A kernel that a program has a handle of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
    pub(super) module: u64,
    pub(super) kernel: usize,
    most_dynamic_shared: usize,
}

/// The driver's state.
pub(super) struct Driver {
    pub(super) settings: Settings,
    pub(super) counts: Counts,
    /// Launches by kernel.
    pub(super) kernels: BTreeMap<String, u64>,
    pub(super) heap: Heap,
    pub(super) modules: HashMap<u64, Module>,
    pub(super) functions: HashMap<u64, Function>,
    pub(super) streams: Streams,
    graphs: HashMap<u64, Vec<Node>>,
    pinned: HashMap<usize, Option<Pinned>>,
    /// The error that every call returns after a kernel has failed.
    pub(super) sticky: Option<Code>,
    /// A kernel's error that is not reported yet, and after how many more calls it is.
    pub(super) untold: Option<(Code, u64)>,
    /// The last report.
    pub(super) last_report: String,
    pub(super) is_initialized: bool,
    pub(super) retained: u32,
    calls: BTreeMap<&'static str, u64>,
    next: u64,
}

impl Driver {
    pub(super) fn new(settings: Settings) -> Driver {
        Driver {
            heap: Heap::new(settings.memory),
            settings,
            counts: Counts::default(),
            kernels: BTreeMap::new(),
            modules: HashMap::new(),
            functions: HashMap::new(),
            streams: Streams::new(),
            graphs: HashMap::new(),
            pinned: HashMap::new(),
            sticky: None,
            untold: None,
            last_report: String::new(),
            is_initialized: false,
            retained: 0,
            calls: BTreeMap::new(),
            next: 0x1000,
        }
    }

    /// Resets everything. Handles and addresses are not reused: those that outlive their session find nothing.
    pub(super) fn reset(&mut self) {
        let mut heap = std::mem::replace(&mut self.heap, Heap::new(0));
        heap.clear();
        let next = self.next;
        *self = Driver { heap, next, ..Driver::new(Settings::default()) };
        self.heap.set_capacity(self.settings.memory);
    }

    /// Counts a call; returns the code with which it is made to fail.
    pub(super) fn injected(&mut self, function: &'static str) -> Option<Code> {
        let call = self.calls.entry(function).or_default();
        *call += 1;
        let fails = |failure: &&crate::control::Failure| {
            failure.function == function && (failure.call == 0 || failure.call == *call)
        };
        self.settings.failures.iter().find(fails).map(|failure| Code(failure.code))
    }

    /// Reports a problem, on standard error and as the last report.
    pub(super) fn report(&mut self, message: &str) {
        self.last_report = message.into();
        let _ = writeln!(std::io::stderr(), "emulator: {message}");
    }

    /// A fault of the device: every call fails from now on.
    pub(super) fn fail(&mut self, code: Code, message: &str) {
        self.report(message);
        self.sticky.get_or_insert(code);
    }

    /// Reports a kernel's error, once it is due or somebody waits for it.
    pub(super) fn tell(&mut self, is_wait: bool) {
        if let Some((code, calls)) = self.untold.take() {
            match calls {
                1.. if !is_wait => self.untold = Some((code, calls - 1)),
                _ => self.fail(code, "a kernel has failed, as it was told to"),
            }
        }
    }

    /// Reports a failure and returns its code.
    fn refuse(&mut self, failure: Failure) -> Code {
        self.report(&failure.message);
        failure.code
    }

    /// A number that no other handle has.
    pub(super) fn handle(&mut self) -> u64 {
        self.next += 0x10;
        self.next
    }

    pub(super) fn initialize(&mut self) -> Result<(), Code> {
        if !self.is_initialized
            && let Ok(text) = std::env::var("GAVOTTE_EMULATOR")
            && let Err(message) = self.configure(&text)
        {
            self.report(&format!("GAVOTTE_EMULATOR: {message}"));
            return Err(Code::INVALID_VALUE);
        }
        if self.settings.devices == 0 {
            return Err(Code::NO_DEVICE);
        }
        self.is_initialized = true;
        Ok(())
    }

    pub(super) fn configure(&mut self, text: &str) -> Result<(), String> {
        self.settings.apply(text)?;
        self.heap.set_capacity(self.settings.memory);
        Ok(())
    }

    pub(super) fn device(&self, device: i32) -> Result<(), Code> {
        let is_there = u32::try_from(device).is_ok_and(|device| device < self.settings.devices);
        if is_there { Ok(()) } else { Err(Code::INVALID_DEVICE) }
    }

    /// The last user of the context releases everything in it.
    pub(super) fn release(&mut self) -> Result<(), Code> {
        self.retained = self.retained.checked_sub(1).ok_or(Code::INVALID_CONTEXT)?;
        if self.retained > 0 {
            return Ok(());
        }
        for module in std::mem::take(&mut self.modules).values() {
            module.unload(&mut self.heap);
        }
        self.counts.leaked_allocations += self.heap.live() as u64;
        self.heap.clear();
        self.functions.clear();
        self.graphs.clear();
        self.streams = Streams::new();
        Ok(())
    }

    pub(super) fn allocate(&mut self, bytes: usize) -> Result<u64, Code> {
        if bytes == 0 {
            return Err(Code::INVALID_VALUE);
        }
        let address = self.heap.allocate(bytes as u64).ok_or(Code::OUT_OF_MEMORY)?;
        self.counts.allocations += 1;
        self.counts.peak_bytes = self.counts.peak_bytes.max(self.heap.used());
        Ok(address)
    }

    pub(super) fn free(&mut self, address: u64) -> Result<(), Code> {
        // Programs may not free the variables of modules.
        let is_global =
            self.modules.values().flat_map(|module| &module.globals).any(|global| global.address == address);
        if is_global || !self.heap.free(address) {
            self.report(&format!("{address:#x} is freed, where no allocation begins"));
            return Err(Code::INVALID_VALUE);
        }
        self.streams.forget(address);
        Ok(())
    }

    /// The pinned memory that contains an address, by its start.
    pub(super) fn pinned_at(&self, host: Host) -> Option<usize> {
        let holds = |(base, pinned): (&usize, &Option<Pinned>)| {
            let bytes = pinned.as_ref().map_or(0, Pinned::bytes);
            (*base..base + bytes).contains(&host.0).then_some(*base)
        };
        self.pinned.iter().find_map(holds)
    }

    pub(super) fn current_counts(&self) -> Counts {
        let globals: usize = self.modules.values().map(|module| module.globals.len()).sum();
        let live_allocations = (self.heap.live() - globals) as u64;
        Counts { live_allocations, live_bytes: self.heap.used(), ..self.counts }
    }

    /// Writes a line about this process to a file, if one is set.
    pub(super) fn write_summary(&self) {
        let Some(path) = &self.settings.report else { return };
        let line = summary(&self.current_counts(), &self.kernels, &self.calls);
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
            let _ = writeln!(std::io::stderr(), "emulator: {}: {error}", path.display());
        }
    }

    pub(super) fn load(&mut self, source: &str, options: Option<&Options<'_>>) -> Result<u64, Code> {
        match self.try_load(source) {
            Ok(module) => {
                let handle = self.handle();
                self.counts.modules += 1;
                self.modules.insert(handle, module);
                Ok(handle)
            }
            Err(failure) => {
                if let Some(options) = options {
                    options.write_error_log(&failure.message);
                }
                Err(self.refuse(failure))
            }
        }
    }

    fn try_load(&mut self, source: &str) -> Result<Module, Failure> {
        let parsed = ptx::parse(source);
        let parsed = parsed.map_err(|error| Failure { code: Code::INVALID_PTX, message: error.to_string() })?;
        let ((major, minor), newest) = (parsed.version, self.settings.ptx);
        if (major, minor) > newest {
            let message = format!("PTX {major}.{minor}, where {}.{} is the newest", newest.0, newest.1);
            return Err(Failure { code: Code::UNSUPPORTED_PTX_VERSION, message });
        }
        let compute = 10 * self.settings.compute.0 + self.settings.compute.1;
        if parsed.target > compute {
            let message = format!("PTX for sm_{}, where the device is sm_{compute}", parsed.target);
            return Err(Failure { code: Code::NO_BINARY_FOR_GPU, message });
        }
        let loaded = Module::of(source, parsed, &mut self.heap);
        loaded.map_err(|error| Failure { code: (&error).into(), message: error.to_string() })
    }

    pub(super) fn unload(&mut self, handle: u64) -> Result<(), Code> {
        let module = self.modules.remove(&handle).ok_or(Code::INVALID_HANDLE)?;
        module.unload(&mut self.heap);
        self.functions.retain(|_, function| function.module != handle);
        Ok(())
    }

    pub(super) fn function(&mut self, module: u64, name: &str) -> Result<u64, Code> {
        let kernels = &self.modules.get(&module).ok_or(Code::INVALID_HANDLE)?.kernels;
        let kernel = kernels.iter().position(|kernel| kernel.name == name).ok_or(Code::NOT_FOUND)?;
        let most_dynamic_shared = SHARED.saturating_sub(kernels[kernel].shared_bytes);
        let handle = self.handle();
        self.functions.insert(handle, Function { module, kernel, most_dynamic_shared });
        Ok(handle)
    }

    fn kernel(&self, function: u64) -> Result<(&Function, &Kernel), Code> {
        let function = self.functions.get(&function).ok_or(Code::INVALID_HANDLE)?;
        let module = self.modules.get(&function.module).ok_or(Code::INVALID_HANDLE)?;
        Ok((function, module.kernels.get(function.kernel).ok_or(Code::INVALID_HANDLE)?))
    }

    /// An attribute of a kernel (`CU_FUNC_ATTRIBUTE_*`).
    pub(super) fn function_attribute(&self, function: u64, attribute: u32) -> Result<i32, Code> {
        let (function, kernel) = self.kernel(function)?;
        let compute = 10 * self.settings.compute.0 + self.settings.compute.1;
        Ok(match attribute {
            0 => kernel.max_threads.unwrap_or(MOST_THREADS).min(MOST_THREADS) as i32,
            1 => kernel.shared_bytes as i32,
            2 | 7 => 0,
            3 => kernel.local_bytes as i32,
            // An estimate: rows also hold constants.
            4 => kernel.rows.min(255) as i32,
            5 | 6 => compute as i32,
            8 => function.most_dynamic_shared as i32,
            9 => -1,
            _ => return Err(Code::INVALID_VALUE),
        })
    }

    pub(super) fn set_function_attribute(&mut self, function: u64, attribute: u32, value: i32) -> Result<(), Code> {
        let shared = self.kernel(function)?.1.shared_bytes;
        match (attribute, usize::try_from(value)) {
            (8, Ok(value)) if value + shared <= MOST_SHARED => {
                let function = self.functions.get_mut(&function).ok_or(Code::INVALID_HANDLE)?;
                function.most_dynamic_shared = value;
                Ok(())
            }
            (9, _) => Ok(()),
            _ => Err(Code::INVALID_VALUE),
        }
    }

    /// How many blocks a multiprocessor runs at once.
    pub(super) fn occupancy(&self, function: u64, threads: i32, dynamic_shared: usize) -> Result<i32, Code> {
        let (_, kernel) = self.kernel(function)?;
        let threads = usize::try_from(threads).ok().filter(|&threads| threads > 0).ok_or(Code::INVALID_VALUE)?;
        let shared = kernel.shared_bytes + dynamic_shared;
        // 2048 threads, 32 blocks, and 164 KiB of shared memory, of which each block takes an extra 1 KiB.
        let by_shared = (164 << 10) / (shared + 1024);
        Ok((2048 / threads.next_multiple_of(32)).min(32).min(by_shared) as i32)
    }

    pub(super) fn launch(
        &mut self,
        stream: u64,
        mut launched: Launched,
        params: &Params,
        extra: &Params,
    ) -> Result<(), Code> {
        let (function, kernel) = self.kernel(launched.function)?;
        let most_threads = kernel.max_threads.unwrap_or(MOST_THREADS).min(MOST_THREADS);
        let most_shared = kernel.shared_bytes + function.most_dynamic_shared;
        let checked = check_launch(&launched, most_threads, kernel.shared_bytes, most_shared);
        let mut bytes = vec![0; kernel.param_bytes];
        if !params.is_null() {
            for (index, param) in kernel.params.iter().enumerate() {
                params.copy(index, &mut bytes[param.offset..param.offset + param.bytes])?;
            }
        } else if !extra.is_null() {
            let (buffer, size) = extra.buffer()?;
            if size < bytes.len() {
                return Err(Code::INVALID_VALUE);
            }
            buffer.read(&mut bytes)?;
        } else if !bytes.is_empty() {
            return Err(Code::INVALID_VALUE);
        }
        if let Err(failure) = checked {
            return Err(self.refuse(failure));
        }
        launched.params = bytes;
        self.submit(stream, Work::Launch(launched))
    }

    pub(super) fn pin(&mut self, bytes: usize) -> Result<Host, Code> {
        if bytes == 0 {
            return Err(Code::INVALID_VALUE);
        }
        let pinned = Pinned::new(bytes);
        let address = pinned.address();
        self.pinned.insert(address, Some(pinned));
        Ok(Host(address))
    }

    /// Frees pinned memory that was allocated here.
    pub(super) fn unpin(&mut self, host: Host) -> Result<(), Code> {
        if self.pinned.get(&host.0).is_none_or(Option::is_none) {
            return Err(Code::INVALID_VALUE);
        }
        self.pinned.remove(&host.0);
        Ok(())
    }

    /// Pins memory of the program.
    pub(super) fn register(&mut self, host: Host) -> Result<(), Code> {
        match self.pinned.insert(host.0, None) {
            None => Ok(()),
            Some(before) => {
                self.pinned.insert(host.0, before);
                Err(Code::HOST_MEMORY_ALREADY_REGISTERED)
            }
        }
    }

    pub(super) fn unregister(&mut self, host: Host) -> Result<(), Code> {
        if !matches!(self.pinned.get(&host.0), Some(None)) {
            return Err(Code::HOST_MEMORY_NOT_REGISTERED);
        }
        self.pinned.remove(&host.0);
        Ok(())
    }

    /// A graph, or its launchable copy.
    pub(super) fn add_graph(&mut self, nodes: Vec<Node>) -> u64 {
        let handle = self.handle();
        self.graphs.insert(handle, nodes);
        handle
    }

    pub(super) fn graph(&self, handle: u64) -> Result<&Vec<Node>, Code> {
        self.graphs.get(&handle).ok_or(Code::INVALID_HANDLE)
    }

    pub(super) fn remove_graph(&mut self, handle: u64) -> Result<(), Code> {
        self.graphs.remove(&handle).map(|_| ()).ok_or(Code::INVALID_HANDLE)
    }

    pub(super) fn launch_graph(&mut self, handle: u64, stream: u64) -> Result<(), Code> {
        if self.streams.capture_status(stream)?.is_some() {
            return Err(Code::STREAM_CAPTURE_UNSUPPORTED);
        }
        let nodes = self.graph(handle)?.clone();
        self.run_graph(stream, &nodes)
    }

    /// An attribute of the device (`CU_DEVICE_ATTRIBUTE_*`).
    pub(super) fn device_attribute(&self, attribute: u32) -> Result<i32, Code> {
        let (major, minor) = self.settings.compute;
        let value = match attribute {
            1..=3 => 1024,
            4 => 64,
            5 => i32::MAX,
            6 | 7 => 65535,
            8 => SHARED as i32,
            9 => 65536,
            10 => 32,
            11 => i32::MAX,
            // Registers of a block, and of a multiprocessor.
            12 | 82 => 65536,
            13 => 1_410_000,
            14 => 512,
            16 => self.settings.multiprocessors as i32,
            36 => 1_215_000,
            37 => 5120,
            38 => 40 << 20,
            39 => 2048,
            // One engine for copies; addresses are unified.
            40 | 41 => 1,
            75 => major as i32,
            76 => minor as i32,
            81 => 164 << 10,
            97 => MOST_SHARED as i32,
            106 => 32,
            111 => 1024,
            // Memory pools, which `cuMemAllocAsync` allocates from.
            115 => 1,
            attribute if attribute <= 200 && attribute > 0 => 0,
            _ => return Err(Code::INVALID_VALUE),
        };
        Ok(value)
    }
}
