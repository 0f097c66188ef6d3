//! A compiled program: optimised, fused, lowered to kernels, planned for the sizes it is called with.

mod call;
mod check_nans;
mod composed_indices;
mod empty_sizes;

use crate::aval::{Aval, Sizes};
use crate::codegen::x86::alone;
use crate::device::{Buffer, DeviceRef, HostArray, cpu};
use crate::error::Error;
use crate::ir::{Binder, Program, Value, check_facts, verify};
use crate::kernel::fuse::Explained;
use crate::kernel::{KernelProgram, Step, Why};
use crate::pass;
use crate::runtime::check::{PlanFault, check_plan, plant};
use crate::runtime::compiled::machine_code::MachineCode;
use crate::runtime::cpu::memory::Line;
use crate::runtime::cpu::recorder::Recorder;
use crate::runtime::cpu::worker::WorkerSlot;
use crate::runtime::cuda::{Gpu, GpuProgram, Prediction};
use crate::runtime::executable::empty_sizes::EmptySizes;
use crate::runtime::identity::ByIdentity;
use crate::runtime::options::{Options, Target};
use crate::runtime::plan::Plan;
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

    /// Whether a run is worth several threads.
    fn is_shared(&self, plan: &Plan) -> bool {
        self.threads.get() > 1 && plan.is_shared(self.sharing)
    }
}
