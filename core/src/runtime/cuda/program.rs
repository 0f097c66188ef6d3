//! A compiled program on a GPU: its kernels are launched in order on the device's stream.
//!
//! A call gives results at once that are there when somebody asks for them. What a kernel finds wrong is in the device's
//! record by then, and is told to whoever reads an array next.

use crate::aval::{Aval, Sizes};
use crate::codegen::cuda::{BLOCK, Launch, Module, Width};
use crate::device::{DeviceRef, HostArray};
use crate::error::Error;
use crate::ir::{Atom, Eqn, Location, Value, Var, check_facts};
use crate::kernel::{Group, Kernel, Lowered, Space, Step};
use crate::runtime::cuda::device::{Cuda, CudaBuffer};
use crate::runtime::cuda::lanes::{Lanes, dependences, of_launches};
use crate::runtime::cuda::launch::{Addresses, arguments};
use crate::runtime::cuda::memory::Block;
use crate::runtime::cuda::replay::Replays;
use crate::runtime::plan::{Buffers, Codes, Plan};
use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaFunction, DriverError};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// How many plans are kept, for how many different sizes.
const MAX_PLANS: usize = 16;

/// A program for one device.
pub(in crate::runtime) struct GpuProgram {
    device: Arc<Cuda>,
    lowered: Lowered,
    out_avals: Vec<Aval>,
    consts: Vec<Arc<CudaBuffer>>,
    /// The kernels compiled for what widths their positions need.
    loaded: RefCell<Vec<(Vec<Width>, Rc<Loaded>)>>,
    plans: RefCell<Vec<Rc<GpuPlan>>>,
}

/// The kernels of a program as functions of the device.
struct Loaded {
    module: Module,
    /// For each kernel its functions, and its number in the device's record.
    kernels: Vec<(Vec<CudaFunction>, u32)>,
}

/// What is launched for given sizes.
struct GpuPlan {
    plan: Plan,
    loaded: Rc<Loaded>,
    steps: Vec<Work>,
    /// Bytes for parts of sums: each kernel has its own, as kernels may run beside each other.
    scratch: usize,
    arena: RefCell<Option<Arc<Block>>>,
    replays: RefCell<Replays>,
}

enum Work {
    /// Kernel `number`, with where each of its parts of sums begins.
    Launches { number: usize, launches: Vec<Launch>, scratch: Vec<usize> },
    /// An equation without a kernel.
    Eval,
}

impl Work {
    /// Of each launch whether it may run beside those before it.
    fn is_beside(&self) -> Vec<bool> {
        match self {
            Work::Launches { launches, .. } => launches.iter().map(|launch| launch.is_beside).collect(),
            Work::Eval => vec![],
        }
    }
}

impl GpuProgram {
    /// A program on a GPU; none for another device.
    pub(in crate::runtime) fn of(
        device: &DeviceRef,
        lowered: &Lowered,
        consts: &[Arc<HostArray>],
    ) -> Result<Option<GpuProgram>, Error> {
        Cuda::of(device).map(|device| GpuProgram::new(device, lowered, consts)).transpose()
    }

    fn new(device: Arc<Cuda>, lowered: &Lowered, consts: &[Arc<HostArray>]) -> Result<GpuProgram, Error> {
        let mut lowered = lowered.clone();
        if let Some(step) = lowered.steps.iter().find(|step| matches!(step, Step::Control(_))) {
            return Err(Error::Unsupported(format!(
                "@{}: `{}` does not run on {} yet: compile loops and branches for the processor, or unroll them",
                lowered.program.name,
                step.name(),
                device.name
            )));
        }
        // On the device every array is in its memory, and every step is a launch of its own.
        lowered.groups =
            (0..lowered.steps.len()).map(|step| Group { steps: step..step + 1, space: Space::Alone }).collect();
        Ok(GpuProgram {
            out_avals: lowered.program.out_avals(),
            consts: consts.iter().map(|array| device.upload(array)).collect::<Result<_, _>>()?,
            device,
            lowered,
            loaded: RefCell::default(),
            plans: RefCell::default(),
        })
    }

    fn kernels(&self) -> impl Iterator<Item = (&Kernel, Location)> {
        self.lowered.steps.iter().filter_map(|step| match step {
            Step::Kernel(kernel, location) => Some((kernel, *location)),
            Step::Eval(_) | Step::Control(_) => None,
        })
    }

    /// The kernels for these widths, compiled when they are first asked for.
    fn loaded(&self, widths: Vec<Width>) -> Result<Rc<Loaded>, Error> {
        if let Some((_, loaded)) = self.loaded.borrow().iter().find(|(known, _)| *known == widths) {
            return Ok(loaded.clone());
        }
        let name = format!("@{}", self.lowered.program.name);
        let mut module = Module::new();
        for ((kernel, location), width) in self.kernels().zip(&widths) {
            module
                .push(kernel, *width, &format!("{name} at {location}"))
                .map_err(|why| Error::Unsupported(format!("{name}: {}: {why:?}", kernel.name)))?;
        }
        let image = self.device.compile(&module.text(), &name)?;
        let on_device = self.device.load(image, &name)?;
        let mut kernels = vec![];
        for (source, (kernel, location)) in module.sources().iter().zip(self.kernels()) {
            let functions = source.functions.iter().map(|function| on_device.load_function(&function.name));
            let functions: Result<Vec<CudaFunction>, DriverError> = functions.collect();
            let functions = functions.map_err(|error| self.device.failed(&kernel.name, error))?;
            kernels.push((functions, self.device.number(&kernel.name, Some(location))));
        }
        let loaded = Rc::new(Loaded { module, kernels });
        self.loaded.borrow_mut().push((widths, loaded.clone()));
        Ok(loaded)
    }

    fn plan(&self, sizes: &Sizes) -> Result<Rc<GpuPlan>, Error> {
        if let Some(plan) = self.plans.borrow().iter().find(|plan| plan.plan.sizes == *sizes) {
            return Ok(plan.clone());
        }
        check_facts(&self.lowered.program, sizes)?;
        let plan = Plan::new(&self.lowered, Codes::Elsewhere, sizes, &|_, _| true)?;
        let loaded = self.loaded(self.kernels().map(|(kernel, _)| Width::of(kernel, sizes)).collect())?;
        let (mut number, mut end) = (0, 0);
        let steps = self.lowered.steps.iter().map(|step| {
            let Step::Kernel(..) = step else { return Work::Eval };
            let source = &loaded.module.sources()[number];
            let scratch = source.scratch_bytes(sizes).into_iter().map(|bytes| {
                let start = end;
                end += bytes.next_multiple_of(256);
                start
            });
            let scratch = scratch.collect();
            number += 1;
            Work::Launches { number: number - 1, launches: source.launches(sizes, BLOCK), scratch }
        });
        let steps = steps.collect();
        let plan = Rc::new(GpuPlan {
            plan,
            steps,
            scratch: end,
            loaded: loaded.clone(),
            arena: RefCell::default(),
            replays: RefCell::default(),
        });
        let mut plans = self.plans.borrow_mut();
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
        let mut args = args.into_iter().map(|arg| self.device.here(arg).map(Some)).collect::<Result<Vec<_>, _>>()?;
        self.check(&plan, &args)?;
        let starts: Vec<CUdeviceptr> =
            args.iter().map(|arg| arg.as_ref().map_or(0, |arg| arg.block.address())).collect();
        let mut outs: Vec<Option<Arc<Block>>> = vec![None; plan.plan.outs.len()];
        for planned in &plan.plan.planned {
            if let Buffers::Out(i) = planned.buffer {
                let donated = plan.plan.donors[i].and_then(|arg| donated(&mut args[arg]));
                outs[i] = Some(match donated {
                    Some(block) => block,
                    None => Arc::new(self.device.take(bytes_of(&planned.aval))?),
                });
            }
        }
        let arena = self.arena(&plan)?;
        let frame = Frame { args: &starts, consts: &self.consts, outs: &outs, arena: arena.address() };
        let launches = || self.run(&plan, &frame, None);
        // What goes through the host cannot be recorded.
        if self.lowered.steps.iter().all(|step| matches!(step, Step::Kernel(..))) {
            let recorded = || self.run_beside(&plan, &frame);
            let streams = self.device.streams()?;
            plan.replays.borrow_mut().run(&streams[0], frame.addresses(), &launches, &recorded)?;
        } else {
            launches()?;
        }
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

    /// The plan's memory; behind the arena are parts of sums.
    fn arena(&self, plan: &GpuPlan) -> Result<Arc<Block>, Error> {
        let mut arena = plan.arena.borrow_mut();
        if let Some(arena) = &*arena {
            return Ok(arena.clone());
        }
        let bytes = plan.plan.arena_bytes.next_multiple_of(256) + plan.scratch;
        let block = self.device.take(bytes).map_err(|error| match error {
            Error::Device(why) => {
                let planned = (plan.plan.bytes() + plan.scratch) as f64 / 1e6;
                Error::Device(format!("{why}\n  @{} plans {planned:.1} MB in all", self.lowered.program.name))
            }
            other => other,
        })?;
        Ok(arena.insert(Arc::new(block)).clone())
    }

    /// Runs steps beside each other where they may be.
    fn run_beside(&self, plan: &GpuPlan, frame: &Frame<'_>) -> Result<(), Error> {
        let failed = |error| self.device.failed("recording a run", error);
        let is_beside: Vec<Vec<bool>> = plan.steps.iter().map(Work::is_beside).collect();
        let dependences = dependences(&plan.plan, &self.lowered.steps, &self.lowered.fusion);
        let dependences = of_launches(&dependences, &is_beside);
        let mut lanes = Lanes::new(self.device.streams()?, &dependences).map_err(failed)?;
        self.run(plan, frame, Some(&mut lanes))?;
        lanes.join().map_err(failed)
    }

    fn run(&self, plan: &GpuPlan, frame: &Frame<'_>, mut lanes: Option<&mut Lanes<'_>>) -> Result<(), Error> {
        let scratch_start = frame.arena + plan.plan.arena_bytes.next_multiple_of(256) as CUdeviceptr;
        for (step, work) in self.lowered.steps.iter().zip(&plan.steps) {
            match (step, work) {
                (Step::Kernel(kernel, location), Work::Launches { number, launches, scratch }) => {
                    let (functions, in_record) = &plan.loaded.kernels[*number];
                    let addresses = Addresses {
                        inputs: &|i| frame.address(&plan.plan, kernel.inputs[i].0),
                        outputs: &|i| frame.address(&plan.plan, kernel.outputs[i].0),
                        scratch: &|i| scratch_start + scratch[i] as CUdeviceptr,
                        record: self.device.record(),
                        number: *in_record,
                    };
                    let failed =
                        |error| self.device.failed(&format!("launching @{}\n  at {location}", kernel.name), error);
                    for launch in launches {
                        let stream = match &mut lanes {
                            Some(lanes) => lanes.enter().map_err(failed)?,
                            None => self.device.stream().clone(),
                        };
                        let mut values = arguments(launch, &addresses);
                        // SAFETY: the values are those that the function takes, in its order; every address is of memory
                        // that the plan keeps for the variable.
                        unsafe { self.device.launch(&functions[launch.function], launch, &mut values, &stream) }
                            .map_err(failed)?;
                        if let Some(lanes) = &mut lanes {
                            lanes.leave().map_err(failed)?;
                        }
                    }
                }
                (Step::Eval(eqn), _) => self.evaluate(eqn, plan, frame)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Runs an equation without a kernel on the host.
    fn evaluate(&self, eqn: &Eqn, plan: &GpuPlan, frame: &Frame<'_>) -> Result<(), Error> {
        let read = |atom: &Atom| match atom {
            Atom::Literal(literal) => Ok(HostArray::scalar(*literal)),
            Atom::Var(var) => {
                // SAFETY: the plan keeps memory for the variable, and an earlier step has written it.
                unsafe { self.device.download(frame.address(&plan.plan, *var), &plan.plan.avals[var.index()]) }
            }
        };
        let ins = eqn.ins.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
        let refs: Vec<&HostArray> = ins.iter().collect();
        let outs = eqn.prim.eval(&refs, &eqn.params.at(&plan.plan.sizes));
        for (binder, out) in eqn.outs.iter().zip(outs) {
            // SAFETY: the plan keeps memory for the result, which nobody reads yet.
            unsafe { self.device.upload_to(&out, frame.address(&plan.plan, binder.var)) }?;
        }
        Ok(())
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
                    let buffer = self.device.upload(&Arc::new(HostArray::scalar(*literal)))?;
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

/// Where the arrays of a run are.
struct Frame<'r> {
    args: &'r [CUdeviceptr],
    consts: &'r [Arc<CudaBuffer>],
    outs: &'r [Option<Arc<Block>>],
    arena: CUdeviceptr,
}

impl Frame<'_> {
    /// All addresses that are not the same in every run.
    fn addresses(&self) -> Vec<CUdeviceptr> {
        let outs = self.outs.iter().map(|block| block.as_ref().map_or(0, |block| block.address()));
        self.args.iter().copied().chain(outs).chain([self.arena]).collect()
    }

    fn address(&self, plan: &Plan, var: Var) -> CUdeviceptr {
        match plan.buffers[var.index()] {
            Some(Buffers::Arg(i)) => self.args[i],
            Some(Buffers::Const(i)) => self.consts[i].block.address(),
            Some(Buffers::Out(i)) => self.outs[i].as_ref().map_or(0, |block| block.address()),
            Some(Buffers::Arena(at)) => self.arena + at as CUdeviceptr,
            Some(Buffers::Chunk(_)) | None => 0,
        }
    }
}

/// The memory of an argument, where nobody else has a handle of it; the argument is gone then.
fn donated(arg: &mut Option<Arc<CudaBuffer>>) -> Option<Arc<Block>> {
    let buffer = arg.as_mut().and_then(Arc::get_mut)?;
    Arc::get_mut(&mut buffer.block)?;
    arg.take().map(|buffer| buffer.block.clone())
}

fn bytes_of(aval: &Aval) -> usize {
    aval.volume().as_usize().unwrap_or(0) * aval.dtype.size()
}
