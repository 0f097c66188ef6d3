//! A compiled program: optimised, fused, lowered to kernels, planned for the sizes it is called with.

mod check_nans;
mod composed_indices;
mod empty_sizes;

use crate::aval::{Aval, Literal, Sizes};
use crate::codegen::x86::alone;
use crate::device::{ALIGN, Buffer, DeviceRef, HostArray, cpu, memory};
use crate::error::Error;
use crate::ir::{Atom, Binder, Program, Value, Var, check_facts, verify};
use crate::kernel::fuse::Explained;
use crate::kernel::{Composed, KernelProgram, Step, Why};
use crate::runtime::check::{PlanFault, check_plan, plant};
use crate::runtime::compiled::machine_code::MachineCode;
use crate::runtime::cpu::memory::{self as run_memory, Line};
use crate::runtime::cpu::recorder::Recorder;
use crate::runtime::cpu::run;
use crate::runtime::cpu::worker::WorkerSlot;
use crate::runtime::cuda::{Gpu, GpuProgram, Prediction};
use crate::runtime::executable::composed_indices::compose;
use crate::runtime::executable::empty_sizes::EmptySizes;
use crate::runtime::identity::ByIdentity;
use crate::runtime::options::{CORES, Options, Target};
use crate::runtime::plan::Plan;
use crate::runtime::plan::frame::Frame;
use crate::runtime::plan::placed::{Buffers, OwnBytes};
use crate::runtime::plan::work::Codes;
use crate::runtime::report::cost::{CostAnalysis, MemoryAnalysis};
use crate::runtime::report::plan_text::PlanText;
use crate::runtime::report::profile::Profile;
use crate::runtime::report::roofline;
use crate::runtime::segments::GivenSegments;
use crate::runtime::threads::experience::Experience;
use crate::runtime::threads::team::ThreadPool;
use crate::runtime::threads::worth::{FUNCTIONS, Sharing};
use crate::sync::{locked, try_locked};
use crate::{pass, with_data};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How many plans are kept, for different sizes.
const MAX_PLANS: usize = 16;

/// A compiled program: call it with arguments as often as you like.
pub struct Executable {
    lowered: KernelProgram,
    machine: MachineCode,
    /// The program on a GPU, if it does not run on the processor.
    gpu: Option<GpuProgram>,
    out_avals: Vec<Aval>,
    consts: Vec<Arc<HostArray>>,
    composed: Vec<ByIdentity<HostArray, Arc<HostArray>>>,
    segments: GivenSegments,
    threads: NonZeroUsize,
    sharing: Sharing,
    check_nans: bool,
    compile_time: Duration,
    plans: Mutex<Vec<Arc<Plan>>>,
    empty: EmptySizes,
    is_profiled: AtomicBool,
    /// The times of calls whose work other threads may share.
    experience: Mutex<Experience>,
    /// Created when it first has work: functions to generate, or a call.
    pool: OnceLock<Arc<Mutex<ThreadPool>>>,
    /// How often calls have woken a thread.
    n_woken: AtomicUsize,
    /// One state for each call that has run concurrently with others, and is complete.
    idle: Mutex<Vec<CallState>>,
}

/// State that is kept from call to call. Each running call has its own.
#[derive(Default)]
struct CallState {
    arena: Vec<Line>,
    slots: Vec<WorkerSlot>,
    /// When each call ran, while profiling is on.
    profiled: Vec<(Instant, Instant)>,
}

impl Executable {
    /// Optimises, fuses and lowers a program for the processor. `consts` are the values of its captured constants.
    pub fn compile(program: &Program, consts: &[Value], options: &Options) -> Result<Executable, Error> {
        Executable::compile_for(&cpu(), program, consts, options)
    }

    /// Optimises, fuses and lowers a program for a device.
    pub fn compile_for(
        device: &DeviceRef,
        program: &Program,
        consts: &[Value],
        options: &Options,
    ) -> Result<Executable, Error> {
        let start = Instant::now();
        options.target.check()?;
        // Anyone may have changed its fields: from here on it is trusted.
        verify(program)?;
        let program = pass::optimize(program);
        let consts = consts.iter().map(Value::to_host).collect::<Result<Vec<_>, _>>()?;
        let empty = EmptySizes::new(&program, device, options);
        let fits = |(binder, array): (&Binder, &Arc<HostArray>)| binder.aval == *array.aval();
        if program.consts.len() != consts.len() || !program.consts.iter().zip(&consts).all(fits) {
            return Err(Error::Call(format!("@{}: the constants are not those that its text names", program.name)));
        }
        let out_avals = program.out_avals();
        let mut lowered = KernelProgram::new(program)?;
        let gpu = GpuProgram::of(device, &lowered, &consts, options)?;
        if gpu.is_none() {
            lowered.compose();
        }
        lowered.verify()?;
        let target = if gpu.is_some() { Target::Portable } else { options.target };
        let pool = OnceLock::new();
        let spread = |n: usize, work: &(dyn Fn(usize) + Sync)| {
            let threads = options.threads.get().min(n / FUNCTIONS);
            if threads > 1
                && let Ok(team) = ThreadPool::of_process(options.threads)
                && let Some(mut free) = try_locked(pool.get_or_init(|| team))
            {
                return free.share(n, threads, &|_, units| units.for_each(work));
            }
            // On this thread only if the system has no more threads, or another thread has the team.
            alone(n, work);
        };
        Ok(Executable {
            out_avals,
            composed: lowered.composed.iter().map(|_| ByIdentity::default()).collect(),
            segments: GivenSegments::of(&lowered),
            machine: MachineCode::new(&lowered, target, &spread)?,
            gpu,
            lowered,
            consts,
            threads: options.threads,
            sharing: if options.shares_all { Sharing::All } else { Sharing::Worthwhile },
            check_nans: options.check_nans,
            compile_time: start.elapsed(),
            plans: Mutex::default(),
            empty,
            is_profiled: AtomicBool::new(false),
            experience: Mutex::new(Experience::new(options.threads)),
            pool,
            n_woken: AtomicUsize::new(0),
            idle: Mutex::default(),
        })
    }

    /// The program after all passes.
    pub fn program(&self) -> &Program {
        &self.lowered.program
    }

    /// What is stored, what is computed where it is read, and why: one line for each equation.
    pub fn fused_text(&self) -> String {
        Explained(&self.lowered.program, &self.lowered.fusion).to_string()
    }

    /// The steps in order: kernels, and equations that run through the interpreter.
    pub fn steps(&self) -> &[Step] {
        &self.lowered.steps
    }

    /// The machine code of every kernel; a kernel without machine code says so.
    pub fn asm_text(&self) -> String {
        self.machine.listing(&self.lowered)
    }

    /// The number of groups that run something: each is one launch.
    pub fn n_kernel(&self) -> usize {
        self.lowered.n_group()
    }

    /// The steps as [`steps`](Executable::steps), group by group, with how each goes over its group's rows.
    pub fn kernels_text(&self) -> String {
        self.lowered.to_string()
    }

    /// For every stored array and step that reads it, whether one group holds producer and reader, and why: one line
    /// each.
    pub fn why_text(&self) -> String {
        Why(&self.lowered).to_string()
    }

    /// For how many kernels machine code was generated: those whose form this process had not compiled before.
    pub fn n_generated(&self) -> usize {
        self.machine.n_generated()
    }

    /// How often its calls have woken another thread: never if all its work is small.
    pub fn n_woken(&self) -> usize {
        self.n_woken.load(Ordering::Relaxed)
    }

    /// The time of passes, fusion and lowering.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }

    /// The program that runs for these sizes instead of this one: if they leave an axis empty.
    fn other(&self, sizes: &Sizes) -> Result<Option<Arc<Executable>>, Error> {
        if locked(&self.plans).iter().any(|plan| plan.sizes == *sizes) {
            return Ok(None);
        }
        self.empty.executable(self.program(), &self.consts, sizes)
    }

    /// The plan for these sizes.
    pub fn plan(&self, sizes: &Sizes) -> Result<Arc<Plan>, Error> {
        if let Some(plan) = locked(&self.plans).iter().find(|plan| plan.sizes == *sizes) {
            return Ok(plan.clone());
        }
        if let Some(other) = self.other(sizes)? {
            return other.plan(&Sizes::new());
        }
        let plan = Arc::new(self.new_plan(sizes)?);
        let mut plans = locked(&self.plans);
        if plans.len() == MAX_PLANS {
            plans.remove(0);
        }
        plans.push(plan.clone());
        Ok(plan)
    }

    /// A new plan for these sizes: everything that a call with other sizes requires before it runs. Sizes that leave an
    /// axis empty have another program, and this is not its plan.
    ///
    /// # Errors
    /// If a fact that the program assumes does not hold, or a size is too large.
    pub fn new_plan(&self, sizes: &Sizes) -> Result<Plan, Error> {
        check_facts(self.program(), sizes)?;
        let codes = Codes::Here(&self.machine.codes, &self.machine.steps);
        let plan = Plan::new(&self.lowered, codes, sizes, &|_, _| true)?;
        if cfg!(debug_assertions) {
            check_plan(&self.lowered, &plan)?;
        }
        Ok(plan)
    }

    /// Whether a plan for these sizes with a planted mistake is found to be wrong: at the `at`th place where the
    /// mistake could be made, `None` if there are fewer.
    ///
    /// # Errors
    /// As [`Executable::new_plan`].
    #[doc(hidden)]
    pub fn finds_fault(&self, sizes: &Sizes, fault: PlanFault, at: usize) -> Result<Option<Result<(), Error>>, Error> {
        let (mut plan, mut lowered) = (self.new_plan(sizes)?, self.lowered.clone());
        Ok(plant(fault, at, &mut lowered, &mut plan).then(|| check_plan(&lowered, &plan)))
    }

    /// The text of the plan for these sizes: peak, steps with their costs, buffers with their lifetimes. If a machine
    /// is given, it shows for each kernel the least time, and the share of its roofline that it should reach.
    pub fn plan_text(&self, sizes: &Sizes, machine: Option<&roofline::Machine>) -> Result<String, Error> {
        if let Some(other) = self.other(sizes)? {
            return other.plan_text(&Sizes::new(), machine);
        }
        let (plan, memory) = (self.plan(sizes)?, self.memory(sizes)?);
        Ok(PlanText { plan: &plan, steps: &self.lowered.steps, memory, machine }.to_string())
    }

    /// The predicted time of a run on a GPU for these sizes, from the GPU's data sheet: see [`Prediction`]. No GPU is
    /// needed, and this program may be one for the processor.
    ///
    /// # Errors
    /// If the program has steps that do not run on GPUs, or a fact that it assumes does not hold.
    pub fn predict(&self, sizes: &Sizes, gpu: &'static Gpu) -> Result<Prediction, Error> {
        if let Some(other) = self.other(sizes)? {
            return other.predict(&Sizes::new(), gpu);
        }
        check_facts(self.program(), sizes)?;
        // On a GPU kernels compose index arrays themselves.
        let apart = if self.composed.is_empty() { None } else { Some(KernelProgram::new(self.program().clone())?) };
        Prediction::new(apart.as_ref().unwrap_or(&self.lowered), sizes, gpu)
    }

    /// The cost of each step for these sizes.
    pub fn cost(&self, sizes: &Sizes) -> CostAnalysis {
        CostAnalysis::new(&self.lowered.program, &self.lowered.steps, sizes)
    }

    /// The memory of a run for these sizes.
    pub fn memory(&self, sizes: &Sizes) -> Result<MemoryAnalysis, Error> {
        let plan = self.plan(sizes)?;
        let threads = if self.is_shared(&plan) { self.threads.get() } else { 1 };
        Ok(MemoryAnalysis::new(&self.lowered, &plan, threads))
    }

    /// Sets whether calls record from now on what each thread does when; results are the same. A call with sizes that
    /// leave an axis empty runs another program, and records nothing.
    pub fn set_profiling(&self, on: bool) {
        self.is_profiled.store(on, Ordering::Relaxed);
    }

    /// The events since the last call of this; costs are those for these sizes.
    pub fn take_profile(&self, sizes: &Sizes) -> Profile {
        let mut idle = locked(&self.idle);
        let profiled: Vec<_> = idle.iter_mut().flat_map(|state| std::mem::take(&mut state.profiled)).collect();
        let mut slots: Vec<_> = idle.iter().flat_map(|state| &state.slots).map(|slot| locked(&slot.0)).collect();
        let recorders: Vec<&Recorder> = slots.iter().map(|slot| &slot.recorder).collect();
        let profile = Profile::new((&self.lowered.program, &self.lowered.steps), sizes, &profiled, &recorders);
        slots.iter_mut().for_each(|slot| slot.recorder.clear());
        profile
    }

    /// Runs the program. An argument that holds the last handle of its buffer may be written in place.
    pub fn call(&self, args: Vec<Value>, sizes: &Sizes) -> Result<Vec<Value>, Error> {
        if !self.check_nans {
            return self.run(args, sizes);
        }
        // An argument with another handle is not written in place.
        let kept = args.iter().map(Value::to_host).collect::<Result<Vec<_>, _>>()?;
        let outs = self.run(args, sizes)?;
        check_nans::check(&self.lowered.program, &kept, &self.consts, sizes, &outs)?;
        Ok(outs)
    }

    fn run(&self, args: Vec<Value>, sizes: &Sizes) -> Result<Vec<Value>, Error> {
        if let Some(other) = self.other(sizes)? {
            let outs = other.run(args, &Sizes::new())?;
            return Ok(outs.into_iter().zip(&self.out_avals).map(|(x, aval)| x.declare(aval.shape.clone())).collect());
        }
        if let Some(gpu) = &self.gpu {
            return gpu.call(args, sizes);
        }
        let plan = self.plan(sizes)?;
        let mut args = args.into_iter().map(into_host).collect::<Result<Vec<_>, _>>()?;
        self.check_args(&plan, &args)?;
        self.segments.check(&self.lowered.program.name, |var| Ok(self.given(&args, var)?.clone()))?;
        let composed = self.compose(&args)?;
        let mut state = locked(&self.idle).pop().unwrap_or_default();
        let outs = self.run_with(&mut state, &plan, &mut args, &composed);
        let mut idle = locked(&self.idle);
        if idle.len() < CORES.get() {
            idle.push(state);
        }
        drop(idle);
        self.results(&plan, &args, outs?)
    }

    /// Runs the steps; returns the results that have memory of their own.
    fn run_with(
        &self,
        state: &mut CallState,
        plan: &Plan,
        args: &mut [Option<Arc<HostArray>>],
        composed: &[Arc<HostArray>],
    ) -> Result<Vec<Option<HostArray>>, Error> {
        let CallState { arena, slots, profiled } = state;
        let is_profiled = self.is_profiled.load(Ordering::Relaxed);
        // Small programs start no threads, and wake none.
        let may_share = self.is_shared(plan);
        // A profile shows how work is shared.
        let learns = may_share && self.sharing == Sharing::Worthwhile && !is_profiled;
        let is_shared = may_share && (!learns || locked(&self.experience).says_team());
        if is_shared && self.pool.get().is_none() {
            // If another thread is first, both have the same pool.
            let _ = self.pool.set(ThreadPool::of_process(self.threads)?);
        }
        // One thread leads the team at a time. A program that another calls through the interpreter while it runs uses
        // only the calling thread, and so does one that is called while another thread has the team.
        let mut pool = self.pool.get().filter(|_| is_shared).and_then(|pool| try_locked(pool));
        let lines = (plan.arena_bytes + plan.partial_bytes).div_ceil(ALIGN) + 1;
        let is_small = arena.len() < lines;
        if is_small {
            // An arena that is too small is freed before a larger one is allocated.
            *arena = vec![];
        }
        let mut outs = self.result_memory(plan, args, if is_small { lines * ALIGN } else { 0 })?;
        if is_small {
            arena.reserve_exact(lines);
            run_memory::advise(arena.spare_capacity_mut());
            arena.resize(lines, Line::EMPTY);
        }
        slots.resize_with(self.threads.get(), WorkerSlot::default);
        let start = Instant::now();
        for (i, slot) in slots.iter().enumerate() {
            let own = if i == 0 || pool.is_some() { plan.own } else { OwnBytes::default() };
            locked(&slot.0).prepare(own, is_profiled.then_some(start));
        }
        let arena_start = arena.as_mut_ptr().cast::<u8>();
        let out_starts: Vec<*mut u8> =
            outs.iter_mut().map(|out| out.as_mut().map_or(std::ptr::null_mut(), data_pointer)).collect();
        let const_starts: Vec<*mut u8> = self.consts.iter().chain(composed).map(data_pointer_const).collect();
        let arg_starts: Vec<*mut u8> = args
            .iter()
            .enumerate()
            .map(|(i, arg)| match arg {
                // Read only: the plan lets no step write to an argument or a constant.
                Some(array) => data_pointer_const(array),
                // A donated argument is now its result.
                None => plan
                    .donors
                    .iter()
                    .position(|donor| *donor == Some(i))
                    .map_or(std::ptr::null_mut(), |out| out_starts[out]),
            })
            .collect();
        let frame = Frame::new(plan, &arg_starts, &const_starts, &out_starts, arena_start);
        let begun = Instant::now();
        let woken_before = pool.as_ref().map_or(0, |pool| pool.n_woken());
        // SAFETY: arguments have the types of their binders, as just checked, and constants, as checked when the
        // program was compiled; results and arena were allocated for this plan just above.
        let done = unsafe {
            run::run(plan, &self.lowered.steps, &self.machine.pages, &frame, (pool.as_deref_mut(), self.sharing), slots)
        };
        if is_profiled {
            slots[1..].iter().for_each(|slot| locked(&slot.0).recorder.waited());
            profiled.push((start, Instant::now()));
        }
        // A run without the team because it was busy elsewhere says nothing.
        if learns && pool.is_some() == is_shared && done.is_ok() {
            locked(&self.experience).learn(begun.elapsed(), plan.whole_nanos());
        }
        self.n_woken.fetch_add(pool.map_or(0, |pool| pool.n_woken() - woken_before), Ordering::Relaxed);
        done?;
        Ok(outs)
    }

    /// Whether a run is worth several threads.
    fn is_shared(&self, plan: &Plan) -> bool {
        self.threads.get() > 1 && plan.is_shared(self.sharing)
    }

    /// Kernels trust the types of their arrays, so each array itself is checked: a value only knows what its buffer
    /// claimed.
    fn check_args(&self, plan: &Plan, args: &[Option<Arc<HostArray>>]) -> Result<(), Error> {
        let binders = &self.lowered.program.args;
        if binders.len() != args.len() {
            return Err(Error::Call(format!(
                "@{}: takes {} arrays, not {}",
                self.lowered.program.name,
                binders.len(),
                args.len()
            )));
        }
        for (i, (binder, arg)) in binders.iter().zip(args).enumerate() {
            let (wanted, found) = (&plan.avals[binder.var.index()], arg.as_deref().map(Buffer::aval));
            if let Some(found) = found.filter(|found| *found != wanted) {
                let name = &self.lowered.program.name;
                return Err(Error::Call(format!("@{name}: array {i} is {found}, and must be {wanted}")));
            }
        }
        Ok(())
    }

    /// The array of an argument or a constant.
    fn given<'a>(&'a self, args: &'a [Option<Arc<HostArray>>], var: Var) -> Result<&'a Arc<HostArray>, Error> {
        let program = &self.lowered.program;
        let at = |binders: &[Binder]| binders.iter().position(|binder| binder.var == var);
        let array = match at(&program.args) {
            Some(arg) => args[arg].as_ref(),
            None => at(&program.consts).map(|i| &self.consts[i]),
        };
        array.ok_or_else(|| Error::Call(format!("{var} has no memory: this is a mistake in the memory plan")))
    }

    /// Index arrays that these arguments and the constants determine.
    fn compose(&self, args: &[Option<Arc<HostArray>>]) -> Result<Vec<Arc<HostArray>>, Error> {
        let composed = self.lowered.composed.iter().zip(&self.composed);
        let array = |(composed, known): (&Composed, &ByIdentity<HostArray, Arc<HostArray>>)| {
            let (of, at) = (self.given(args, composed.of)?, self.given(args, composed.at)?);
            known.get(&[of.clone(), at.clone()], || compose(composed, of, at).map(Arc::new))
        };
        composed.map(array).collect()
    }

    /// Memory for each result that a step writes: a donated argument's, or new memory, which must be available in
    /// addition to the temporary memory.
    fn result_memory(
        &self,
        plan: &Plan,
        args: &mut [Option<Arc<HostArray>>],
        temporary: usize,
    ) -> Result<Vec<Option<HostArray>>, Error> {
        let mut outs: Vec<Option<HostArray>> = plan.outs.iter().map(|_| None).collect();
        let mut new = vec![];
        for p in &plan.planned {
            let Buffers::Out(i) = p.buffer else { continue };
            outs[i] = plan.donors[i].and_then(|arg| {
                let array = args[arg].take()?;
                Arc::try_unwrap(array).map_err(|shared| args[arg] = Some(shared)).ok()
            });
            if outs[i].is_none() {
                new.push((i, &p.aval, p.aval.bytes().unwrap_or(0)));
            }
        }
        let needed = new.iter().map(|(_, _, bytes)| *bytes).fold(temporary, usize::saturating_add);
        memory::require(needed).map_err(|why| {
            let of_results = memory::shown((needed - temporary) as u64);
            Error::TooLarge(format!(
                "@{} is too large for this machine: {why}\n  {of_results} are for results, {} for temporaries: \
                 take smaller sizes, or split the work",
                self.lowered.program.name,
                memory::shown(temporary as u64)
            ))
        })?;
        for (i, aval, bytes) in new {
            outs[i] = Some(HostArray::filled(aval.clone(), bytes, Literal::from_f64(aval.dtype, 0.0)));
        }
        Ok(outs)
    }

    fn results(
        &self,
        plan: &Plan,
        args: &[Option<Arc<HostArray>>],
        mut owned: Vec<Option<HostArray>>,
    ) -> Result<Vec<Value>, Error> {
        let declared = &self.out_avals;
        let mut values: Vec<Option<Value>> = vec![None; owned.len()];
        // Results that share memory with one that owns it are copies: make them first.
        for first_owners in [false, true] {
            for (i, out) in self.lowered.program.outs.iter().enumerate() {
                let shape: Vec<usize> = plan.outs[i].shape.iter().filter_map(|dim| dim.as_usize()).collect();
                let buffer = out.var().and_then(|var| plan.buffers[self.lowered.fusion.memory(var).index()]);
                let owns = buffer == Some(Buffers::Out(i));
                if owns != first_owners {
                    continue;
                }
                let array = match (out, buffer) {
                    (Atom::Literal(literal), _) => Arc::new(HostArray::scalar(*literal)),
                    (_, Some(Buffers::Out(o))) if owns => {
                        let array = owned[o].take().ok_or_else(|| missing(i))?;
                        Arc::new(HostArray::from_data(&shape, array.into_data()))
                    }
                    (_, Some(Buffers::Out(o))) => {
                        Arc::new(owned[o].as_ref().ok_or_else(|| missing(i))?.reshaped(&shape))
                    }
                    (_, Some(Buffers::Arg(a))) => same_or_reshaped(args[a].as_ref().ok_or_else(|| missing(i))?, &shape),
                    (_, Some(Buffers::Const(c))) => same_or_reshaped(&self.consts[c], &shape),
                    _ => return Err(missing(i)),
                };
                values[i] = Some(Value::from(array).declare(declared[i].shape.clone()));
            }
        }
        values.into_iter().enumerate().map(|(i, value)| value.ok_or_else(|| missing(i))).collect()
    }
}

fn missing(i: usize) -> Error {
    Error::Call(format!("result {i} has no memory: this is a mistake in the memory plan"))
}

fn same_or_reshaped(array: &Arc<HostArray>, shape: &[usize]) -> Arc<HostArray> {
    if array.shape().as_slice() == shape { array.clone() } else { Arc::new(array.reshaped(shape)) }
}

/// The host array of a value; the last handle remains the last.
fn into_host(value: Value) -> Result<Option<Arc<HostArray>>, Error> {
    let buffer = value.into_buffer()?;
    let device = buffer.device();
    buffer.into_any().downcast::<HostArray>().map(Some).map_err(|_| {
        Error::Device(match device.name() {
            name if name == cpu().name() => {
                format!("an argument is a buffer of another kind than programs on {name} read: pass its elements")
            }
            name => format!("an argument is on {name}, and this program runs on cpu: move it with device_put"),
        })
    })
}

fn data_pointer(array: &mut HostArray) -> *mut u8 {
    with_data!(mut array.data_mut(), xs => xs.as_mut_ptr().cast())
}

fn data_pointer_const(array: &Arc<HostArray>) -> *mut u8 {
    with_data!(array.data(), xs => xs.as_ptr().cast_mut().cast())
}
