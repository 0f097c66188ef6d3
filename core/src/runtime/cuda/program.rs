//! A compiled program on a GPU: its kernels are launched in order on the device's stream.
//!
//! A call returns results at once; they are complete when somebody asks for them. Errors that a kernel finds are in the
//! device's record by then, and are reported to the next reader of an array.

use crate::aval::{Aval, Sizes};
use crate::codegen::cuda::{Module, Width};
use crate::device::{Buffer, DeviceRef, HostArray, cpu};
use crate::error::Error;
use crate::ir::{Atom, Binder, Location, Value, Var, check_facts};
use crate::kernel::{Group, Kernel, KernelProgram, Space, Step};
use crate::runtime::check::check_plan;
use crate::runtime::cuda::device::{Cuda, CudaBuffer, bytes_of_type};
use crate::runtime::cuda::launches::{Launches, SCRATCH_ALIGN};
use crate::runtime::cuda::memory::Block;
use crate::runtime::cuda::replay::Replays;
use crate::runtime::cuda::run::{Loaded, Runner};
use crate::runtime::cuda::streams::{Streams, dependences, of_launches};
use crate::runtime::options::Options;
use crate::runtime::plan::Plan;
use crate::runtime::plan::frame::Frame;
use crate::runtime::plan::placed::Buffers;
use crate::runtime::plan::work::Codes;
use crate::runtime::segments::GivenSegments;
use crate::sync::locked;
use cudarc::driver::CudaStream;
use cudarc::driver::sys::CUdeviceptr;
use std::sync::{Arc, Mutex};

/// How many plans are kept, for different sizes.
const MAX_PLANS: usize = 16;
/// The most launches of a recorded run: a recording takes memory for each.
const MOST_RECORDED: usize = 4096;

/// A program for one device.
pub(in crate::runtime) struct GpuProgram {
    device: Arc<Cuda>,
    lowered: KernelProgram,
    /// Whether each kernel is waited for: [`Options::launch_blocking`].
    is_blocking: bool,
    out_avals: Vec<Aval>,
    consts: Vec<Arc<CudaBuffer>>,
    /// The constants in host memory.
    host_consts: Vec<Arc<HostArray>>,
    segments: GivenSegments,
    /// The kernels compiled for each combination of position widths.
    loaded: Mutex<Vec<(Vec<Width>, Arc<Loaded>)>>,
    plans: Mutex<Vec<Arc<GpuPlan>>>,
}

/// The launches for given sizes.
struct GpuPlan {
    plan: Plan,
    loaded: Arc<Loaded>,
    launches: Launches,
    /// Locked while a call launches: launches of another call must not come between, in the same memory.
    state: Mutex<CallState>,
}

/// State that is kept from call to call.
#[derive(Default)]
struct CallState {
    arena: Option<Arc<Block>>,
    replays: Replays,
}

impl GpuProgram {
    /// A program on a GPU; `None` for another device.
    pub(in crate::runtime) fn of(
        device: &DeviceRef,
        lowered: &KernelProgram,
        consts: &[Arc<HostArray>],
        options: &Options,
    ) -> Result<Option<GpuProgram>, Error> {
        Cuda::of(device).map(|device| GpuProgram::new(device, lowered, consts, options)).transpose()
    }

    fn new(
        device: Arc<Cuda>,
        lowered: &KernelProgram,
        consts: &[Arc<HostArray>],
        options: &Options,
    ) -> Result<GpuProgram, Error> {
        let mut lowered = lowered.clone();
        ungroup(&mut lowered);
        Ok(GpuProgram {
            out_avals: lowered.program.out_avals(),
            consts: consts.iter().map(|array| device.upload(array)).collect::<Result<_, _>>()?,
            host_consts: consts.to_vec(),
            device,
            segments: GivenSegments::of(&lowered),
            lowered,
            is_blocking: options.launch_blocking,
            loaded: Mutex::default(),
            plans: Mutex::default(),
        })
    }

    /// The kernels for these widths, compiled on first use.
    fn loaded(&self, widths: Vec<Width>) -> Result<Arc<Loaded>, Error> {
        if let Some((_, loaded)) = locked(&self.loaded).iter().find(|(known, _)| *known == widths) {
            return Ok(loaded.clone());
        }
        let name = format!("@{}", self.lowered.program.name);
        let mut module = Module::new();
        for ((kernel, location), width) in kernels(&self.lowered).into_iter().zip(&widths) {
            module
                .push(kernel, *width, &format!("{name} at {location}"))
                .map_err(|why| Error::Unsupported(format!("{name}: {}: {why:?}", kernel.name)))?;
        }
        if module.sources().is_empty() {
            // A program without kernels, or only with loops and branches without kernels, needs no compiler.
            return Ok(self.keep(widths, Loaded { module, kernels: vec![] }));
        }
        let on_device = self.device.load(&module.text(), &name)?;
        let mut functions_of = vec![];
        for (source, (kernel, location)) in module.sources().iter().zip(kernels(&self.lowered)) {
            let functions = self.device.functions(&on_device, &source.functions, &kernel.name)?;
            functions_of.push((functions, self.device.number(&kernel.name, Some(location))));
        }
        Ok(self.keep(widths, Loaded { module, kernels: functions_of }))
    }

    fn keep(&self, widths: Vec<Width>, loaded: Loaded) -> Arc<Loaded> {
        let loaded = Arc::new(loaded);
        locked(&self.loaded).push((widths, loaded.clone()));
        loaded
    }

    fn plan(&self, sizes: &Sizes) -> Result<Arc<GpuPlan>, Error> {
        if let Some(plan) = locked(&self.plans).iter().find(|plan| plan.plan.sizes == *sizes) {
            return Ok(plan.clone());
        }
        check_facts(&self.lowered.program, sizes)?;
        let plan = Plan::new(&self.lowered, Codes::Elsewhere, sizes, &|_, _| true)?;
        if cfg!(debug_assertions) {
            check_plan(&self.lowered, &plan)?;
        }
        let widths = kernels(&self.lowered).into_iter().map(|(kernel, _)| Width::of(kernel, sizes)).collect();
        let loaded = self.loaded(widths)?;
        let launches = Launches::new(&self.lowered, loaded.module.sources(), sizes)?;
        let plan = Arc::new(GpuPlan { plan, launches, loaded, state: Mutex::default() });
        let mut plans = locked(&self.plans);
        if plans.len() == MAX_PLANS {
            plans.remove(0);
        }
        plans.push(plan.clone());
        Ok(plan)
    }

    /// Starts the program. An argument that holds the last handle of its memory may be written in place; one in host
    /// memory is copied to the device first.
    pub(in crate::runtime) fn call(&self, args: Vec<Value>, sizes: &Sizes) -> Result<Vec<Value>, Error> {
        let plan = self.plan(sizes)?;
        let given = args.into_iter().map(host_or_device).collect::<Result<Vec<_>, _>>()?;
        let here = given.iter().map(|buffer| self.device.here(buffer.clone()).map(Some));
        let mut args = here.collect::<Result<Vec<_>, _>>()?;
        self.check(&plan, &args)?;
        self.segments.check(&self.lowered.program.name, |var| self.given(&given, var))?;
        // An argument may be written in place if this program has the last handle.
        drop(given);
        let starts: Vec<CUdeviceptr> =
            args.iter().map(|arg| arg.as_ref().map_or(0, |arg| arg.block.address())).collect();
        let mut outs: Vec<Option<Arc<Block>>> = vec![None; plan.plan.outs.len()];
        for planned in &plan.plan.planned {
            if let Buffers::Out(i) = planned.buffer {
                let donated = plan.plan.donors[i].and_then(|arg| donated(&mut args[arg]));
                outs[i] = Some(match donated {
                    Some(block) => block,
                    None => Arc::new(self.device.take(bytes_of_type(&planned.aval))?),
                });
            }
        }
        let mut state = locked(&plan.state);
        let CallState { arena, replays } = &mut *state;
        let arena = self.arena(&plan, arena)?;
        let consts: Vec<CUdeviceptr> = self.consts.iter().map(|buffer| buffer.block.address()).collect();
        let results: Vec<CUdeviceptr> =
            outs.iter().map(|block| block.as_ref().map_or(0, |block| block.address())).collect();
        let frame = Frame::new(&plan.plan, &starts, &consts, &results, arena.address());
        let scratch = arena.address() + plan.plan.arena_bytes.next_multiple_of(SCRATCH_ALIGN) as CUdeviceptr;
        let start = |stream: &CudaStream| {
            let is_blocking = self.is_blocking;
            let runner = Runner { device: &self.device, stream, loaded: &plan.loaded, scratch, is_blocking };
            // SAFETY: arguments have the types of their binders, as just checked, and constants, as checked when the program
            // was compiled; results and arena were taken for this plan just above.
            unsafe { runner.run(&self.lowered.steps, &plan.plan, &plan.launches.steps, &frame) }
        };
        match plan.launches.count {
            // Launches of a recording cannot be waited for one by one.
            Some(1..=MOST_RECORDED) if !self.is_blocking => {
                // All addresses that can differ between runs.
                let addresses = [&starts[..], &results, &[arena.address()]].concat();
                let recorded = |given: &[Arc<CudaStream>]| match plan.launches.concurrent() {
                    None => start(&given[0]),
                    Some(concurrent) => {
                        let follows = dependences(&plan.plan, &self.lowered.steps, &self.lowered.fusion);
                        let follows = of_launches(&follows, &concurrent);
                        let streams = Streams::new(given.to_vec(), &follows);
                        let streams = streams.map_err(|error| self.device.failed("recording a run", error))?;
                        let stream = &given[0];
                        let runner =
                            Runner { device: &self.device, stream, loaded: &plan.loaded, scratch, is_blocking: false };
                        // SAFETY: as above.
                        unsafe { runner.run_concurrently(&self.lowered.steps, &plan.launches.steps, &frame, streams) }
                    }
                };
                replays.run(&self.device, addresses, &start, &recorded)?;
            }
            _ => start(self.device.stream())?,
        }
        drop(state);
        self.results(&plan, &args, &outs)
    }

    /// Kernels trust the types of their arrays.
    fn check(&self, plan: &GpuPlan, args: &[Option<Arc<CudaBuffer>>]) -> Result<(), Error> {
        let program = &self.lowered.program;
        if program.args.len() != args.len() {
            let (wanted, found) = (program.args.len(), args.len());
            return Err(Error::Call(format!("@{}: takes {wanted} arrays, not {found}", program.name)));
        }
        for (i, (binder, arg)) in program.args.iter().zip(args).enumerate() {
            let wanted = &plan.plan.avals[binder.var.index()];
            if let Some(arg) = arg.as_ref().filter(|arg| *wanted != arg.aval) {
                return Err(Error::Call(format!("@{}: array {i} is {}, and must be {wanted}", program.name, arg.aval)));
            }
        }
        Ok(())
    }

    /// The array of an argument or a constant, in host memory if it came from there.
    fn given(&self, args: &[Arc<dyn Buffer>], var: Var) -> Result<Arc<dyn Buffer>, Error> {
        let program = &self.lowered.program;
        let at = |binders: &[Binder]| binders.iter().position(|binder| binder.var == var);
        match (at(&program.args), at(&program.consts)) {
            (Some(arg), _) => Ok(args[arg].clone()),
            (None, Some(i)) => Ok(self.host_consts[i].clone()),
            _ => Err(Error::Call(format!("{var} is not given: this is a mistake in the lowered program"))),
        }
    }

    /// The plan's memory: the arena, then parts of sums.
    fn arena(&self, plan: &GpuPlan, arena: &mut Option<Arc<Block>>) -> Result<Arc<Block>, Error> {
        if let Some(arena) = arena {
            return Ok(arena.clone());
        }
        let bytes = plan.plan.arena_bytes.next_multiple_of(SCRATCH_ALIGN) + plan.launches.scratch_bytes;
        let block = self.device.take(bytes).map_err(|error| match error {
            Error::Device(why) => {
                let planned = (plan.plan.bytes() + plan.launches.scratch_bytes) as f64 / 1e6;
                Error::Device(format!("{why}\n  @{} plans {planned:.1} MB in all", self.lowered.program.name))
            }
            other => other,
        })?;
        Ok(arena.insert(Arc::new(block)).clone())
    }

    fn results(
        &self,
        plan: &GpuPlan,
        args: &[Option<Arc<CudaBuffer>>],
        blocks: &[Option<Arc<Block>>],
    ) -> Result<Vec<Value>, Error> {
        let program = &self.lowered.program;
        let results = program.outs.iter().enumerate().map(|(i, out)| {
            let missing = || Error::Call(format!("result {i} has no memory: this is a mistake in the memory plan"));
            let buffer = out.var().and_then(|var| plan.plan.buffers[self.lowered.fusion.memory(var).index()]);
            let block = match (out, buffer) {
                (Atom::Literal(literal), _) => {
                    let buffer = self.device.upload(&HostArray::scalar(*literal))?;
                    return Ok(Value::from_buffer(buffer));
                }
                (_, Some(Buffers::Out(o))) => blocks[o].clone(),
                (_, Some(Buffers::Arg(a))) => args[a].as_ref().map(|arg| arg.block.clone()),
                (_, Some(Buffers::Const(c))) => Some(self.consts[c].block.clone()),
                _ => None,
            };
            let block = block.ok_or_else(missing)?;
            let buffer = CudaBuffer { device: self.device.clone(), aval: plan.plan.outs[i].clone(), block };
            Ok(Value::from_buffer(Arc::new(buffer)).declare(self.out_avals[i].shape.clone()))
        });
        results.collect()
    }
}

/// On the device every array is in its memory, and every step is a separate launch, or several.
pub(super) fn ungroup(lowered: &mut KernelProgram) {
    lowered.groups =
        (0..lowered.steps.len()).map(|step| Group { steps: step..step + 1, space: Space::Alone }).collect();
    for step in &mut lowered.steps {
        if let Step::Control(step) = step {
            step.nested.iter_mut().for_each(ungroup);
        }
    }
}

/// The kernels of a program and of its nested programs, in the order of the steps, which is that of their numbers.
fn kernels(lowered: &KernelProgram) -> Vec<(&Kernel, Location)> {
    let mut found = vec![];
    for step in &lowered.steps {
        match step {
            Step::Kernel(kernel, location) => found.push((kernel, *location)),
            Step::Control(step) => found.extend(step.nested.iter().flat_map(kernels)),
            Step::Eval(_) => {}
        }
    }
    found
}

/// The buffer of an argument. Elements in host memory are fetched only once, so that those that are checked are those
/// that are used.
fn host_or_device(arg: Value) -> Result<Arc<dyn Buffer>, Error> {
    let buffer = arg.into_buffer()?;
    if buffer.device().name() == cpu().name() { Ok(buffer.to_host()?) } else { Ok(buffer) }
}

/// The memory of an argument, if nobody else has a handle of it; the argument is consumed then.
fn donated(arg: &mut Option<Arc<CudaBuffer>>) -> Option<Arc<Block>> {
    let buffer = arg.as_mut().and_then(Arc::get_mut)?;
    Arc::get_mut(&mut buffer.block)?;
    arg.take().map(|buffer| buffer.block.clone())
}
