//! A compiled program: optimised, fused, lowered to kernels, planned for the sizes it is called with.

use crate::aval::{Aval, Literal, Sizes};
use crate::codegen::portable::Scratch;
use crate::device::{Buffer, HostArray};
use crate::error::Error;
use crate::ir::{Atom, Binder, Eqn, Location, Program, Value};
use crate::kernel::{Step, lower_program};
use crate::pass::fuse::{Explained, Fusion, fuse};
use crate::runtime::analysis::{CostAnalysis, MemoryAnalysis};
use crate::runtime::cpu::{self, Memory};
use crate::runtime::nans;
use crate::runtime::plan::{ALIGN, Buffers, Plan, Shown};
use crate::{pass, with_data};
use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Options of the compiler and the runtime.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many threads run a program; results do not depend on it.
    pub threads: NonZeroUsize,
    /// Whether every call looks for a NaN or an infinity in its results, and names the equation that made the first one
    /// out of finite operands. Arguments are then kept, not written in place; results are the same.
    pub check_nans: bool,
    /// Whether `jit` prints why a call found no compiled program, on the standard error stream.
    pub explain_misses: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { threads: NonZeroUsize::MIN, check_nans: false, explain_misses: false }
    }
}

/// How many plans are kept, for how many different sizes.
const MAX_PLANS: usize = 16;

/// A compiled program: call it with arguments as often as you like.
pub struct Executable {
    program: Program,
    fusion: Fusion,
    steps: Vec<Step>,
    out_avals: Vec<Aval>,
    consts: Vec<Arc<HostArray>>,
    threads: NonZeroUsize,
    check_nans: bool,
    compile_time: Duration,
    plans: RefCell<Vec<Rc<Plan>>>,
    state: RefCell<State>,
}

/// What stays from call to call.
#[derive(Default)]
struct State {
    arena: Vec<Line>,
    scratches: Vec<Scratch>,
}

/// A piece of the arena.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; ALIGN]);

impl Executable {
    /// Optimises, fuses and lowers a program. `consts` are the values of its captured constants.
    pub fn compile(program: &Program, consts: &[Value], options: &Options) -> Result<Executable, Error> {
        let start = Instant::now();
        let program = pass::optimize(program);
        let fusion = fuse(&program);
        let steps = lower_program(&program, &fusion)?;
        let consts = consts.iter().map(Value::to_host).collect::<Result<Vec<_>, _>>()?;
        let fits = |(binder, array): (&Binder, &Arc<HostArray>)| binder.aval == *array.aval();
        if program.consts.len() != consts.len() || !program.consts.iter().zip(&consts).all(fits) {
            return Err(Error::Call(format!("@{}: the constants are not those that its text names", program.name)));
        }
        Ok(Executable {
            out_avals: program.out_avals(),
            program,
            fusion,
            steps,
            consts,
            threads: options.threads,
            check_nans: options.check_nans,
            compile_time: start.elapsed(),
            plans: RefCell::default(),
            state: RefCell::default(),
        })
    }

    /// The program after all passes.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What is stored, what is computed where it is read, and why: one line for each equation.
    pub fn fused_text(&self) -> String {
        Explained(&self.program, &self.fusion).to_string()
    }

    /// The steps in order: kernels, and equations that run through the interpreter.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The number of kernels.
    pub fn n_kernel(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::Kernel(..))).count()
    }

    /// What passes, fusion and lowering took.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }

    /// The plan for these sizes.
    pub fn plan(&self, sizes: &Sizes) -> Result<Rc<Plan>, Error> {
        if let Some(plan) = self.plans.borrow().iter().find(|plan| plan.sizes == *sizes) {
            return Ok(plan.clone());
        }
        let plan = Rc::new(Plan::new(&self.program, &self.fusion, &self.steps, sizes)?);
        let mut plans = self.plans.borrow_mut();
        if plans.len() == MAX_PLANS {
            plans.remove(0);
        }
        plans.push(plan.clone());
        Ok(plan)
    }

    /// The text of the plan for these sizes: steps, buffers, lifetimes, peak.
    pub fn plan_text(&self, sizes: &Sizes) -> Result<String, Error> {
        Ok(Shown(&*self.plan(sizes)?, &self.steps).to_string())
    }

    /// What each step costs for these sizes.
    pub fn cost(&self, sizes: &Sizes) -> CostAnalysis {
        CostAnalysis::new(&self.program, &self.steps, sizes)
    }

    /// The memory of a run for these sizes.
    pub fn memory(&self, sizes: &Sizes) -> Result<MemoryAnalysis, Error> {
        Ok(MemoryAnalysis::new(&self.program, &*self.plan(sizes)?))
    }

    /// Runs the program. An argument that holds the last handle of its buffer may be written in place.
    pub fn call(&self, args: Vec<Value>, sizes: &Sizes) -> Result<Vec<Value>, Error> {
        if !self.check_nans {
            return self.run(args, sizes);
        }
        // An argument with another handle is not written in place.
        let kept = args.iter().map(Value::to_host).collect::<Result<Vec<_>, _>>()?;
        let outs = self.run(args, sizes)?;
        nans::check(&self.program, &kept, &self.consts, sizes, &outs)?;
        Ok(outs)
    }

    fn run(&self, args: Vec<Value>, sizes: &Sizes) -> Result<Vec<Value>, Error> {
        let plan = self.plan(sizes)?;
        self.check_args(&plan, &args)?;
        let mut args = args.into_iter().map(into_host).collect::<Result<Vec<_>, _>>()?;
        let mut outs = self.result_memory(&plan, &mut args);
        let mut state = self.state.borrow_mut();
        let State { arena, scratches } = &mut *state;
        let lines = (plan.arena_bytes + plan.partial_bytes).div_ceil(ALIGN) + 1;
        if arena.len() < lines {
            *arena = vec![Line([0; ALIGN]); lines];
        }
        scratches.resize_with(self.threads.get(), Scratch::default);
        let arena_start = arena.as_mut_ptr().cast::<u8>();
        let out_starts: Vec<*mut u8> =
            outs.iter_mut().map(|out| out.as_mut().map_or(std::ptr::null_mut(), data_pointer)).collect();
        let memory = Memory {
            pointers: plan
                .buffers
                .iter()
                .map(|buffer| match buffer {
                    None => std::ptr::null_mut(),
                    Some(Buffers::Arena(at)) => arena_start.wrapping_add(*at),
                    Some(Buffers::Out(i)) => out_starts[*i],
                    // Read only: the plan gives no step an argument or a constant to write. An argument that was
                    // taken over is where its result is.
                    Some(Buffers::Const(i)) => data_pointer_const(&self.consts[*i]),
                    Some(Buffers::Arg(i)) => match &args[*i] {
                        Some(array) => data_pointer_const(array),
                        None => plan
                            .donors
                            .iter()
                            .position(|d| *d == Some(*i))
                            .map_or(std::ptr::null_mut(), |o| out_starts[o]),
                    },
                })
                .collect(),
            partials: arena_start.wrapping_add(plan.arena_bytes),
        };
        let eval_plan = EvalPlan { avals: &plan.avals, memory: &memory, steps: &self.steps, sizes };
        // SAFETY: arguments have the types of their binders, as just checked, and constants, as checked when the program
        // was compiled; results and arena were made for this plan just above.
        unsafe { cpu::run(&plan, &self.steps, &memory, &|step| eval_plan.run(step), scratches)? };
        drop(state);
        self.results(&plan, &args, outs)
    }

    /// Kernels trust the types of their arrays.
    fn check_args(&self, plan: &Plan, args: &[Value]) -> Result<(), Error> {
        let binders = &self.program.args;
        if binders.len() != args.len() {
            return Err(Error::Call(format!(
                "@{}: takes {} arrays, not {}",
                self.program.name,
                binders.len(),
                args.len()
            )));
        }
        for (i, (binder, arg)) in binders.iter().zip(args).enumerate() {
            let wanted = &plan.avals[binder.var.index()];
            if wanted != arg.aval() {
                return Err(Error::Call(format!(
                    "@{}: array {i} is {}, and must be {wanted}",
                    self.program.name,
                    arg.aval()
                )));
            }
        }
        Ok(())
    }

    /// Memory for each result that a step writes: a donated argument's, or new.
    fn result_memory(&self, plan: &Plan, args: &mut [Option<Arc<HostArray>>]) -> Vec<Option<HostArray>> {
        let mut outs: Vec<Option<HostArray>> = plan.outs.iter().map(|_| None).collect();
        for p in &plan.planned {
            let Buffers::Out(i) = p.buffer else { continue };
            let donated = plan.donors[i].and_then(|arg| {
                let array = args[arg].take()?;
                Arc::try_unwrap(array).map_err(|shared| args[arg] = Some(shared)).ok()
            });
            outs[i] = Some(donated.unwrap_or_else(|| {
                let shape: Vec<usize> = p.aval.shape.iter().filter_map(|dim| dim.as_usize()).collect();
                HostArray::full(&shape, Literal::from_f64(p.aval.dtype, 0.0))
            }));
        }
        outs
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
            for (i, out) in self.program.outs.iter().enumerate() {
                let shape: Vec<usize> = plan.outs[i].shape.iter().filter_map(|dim| dim.as_usize()).collect();
                let buffer = out.var().and_then(|var| plan.buffers[self.fusion.memory(var).index()]);
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

/// The host array behind a value; the last handle stays the last.
fn into_host(value: Value) -> Result<Option<Arc<HostArray>>, Error> {
    let buffer = value.into_buffer()?;
    let device = buffer.device();
    match buffer.into_any().downcast::<HostArray>() {
        Ok(array) => Ok(Some(array)),
        Err(_) => Err(Error::Device(format!(
            "an argument is on {}, and this program runs on cpu: move it with device_put",
            device.name()
        ))),
    }
}

fn data_pointer(array: &mut HostArray) -> *mut u8 {
    with_data!(array.data_mut(), xs => xs.as_mut_ptr().cast())
}

fn data_pointer_const(array: &Arc<HostArray>) -> *mut u8 {
    with_data!(array.data(), xs => xs.as_ptr().cast_mut().cast())
}

/// Runs equations that have no kernel.
struct EvalPlan<'a> {
    avals: &'a [Aval],
    memory: &'a Memory,
    steps: &'a [Step],
    sizes: &'a Sizes,
}

// SAFETY: only one thread of the team runs equations, between two barriers; what it shares is read.
unsafe impl Sync for EvalPlan<'_> {}

impl EvalPlan<'_> {
    fn run(&self, step: usize) -> Result<(), Error> {
        let Step::Eval(eqn) = &self.steps[step] else { return Ok(()) };
        let ins: Vec<HostArray> = eqn.ins.iter().map(|atom| self.load(*atom)).collect();
        let refs: Vec<&HostArray> = ins.iter().collect();
        let run = || eqn.prim.eval(&refs, &eqn.params.at(self.sizes));
        let outs =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).map_err(|payload| failed(eqn, &payload))?;
        for (binder, out) in eqn.outs.iter().zip(outs) {
            let into = self.memory.pointers[binder.var.index()];
            with_data!(out.data(), xs => {
                // SAFETY: the plan gave the variable room for its elements.
                unsafe { std::ptr::copy_nonoverlapping(xs.as_ptr(), into.cast(), xs.len()) }
            });
        }
        Ok(())
    }

    fn load(&self, atom: Atom) -> HostArray {
        let var = match atom {
            Atom::Literal(literal) => return HostArray::scalar(literal),
            Atom::Var(var) => var,
        };
        let aval = &self.avals[var.index()];
        let shape: Vec<usize> = aval.shape.iter().filter_map(|dim| dim.as_usize()).collect();
        let mut array = HostArray::full(&shape, Literal::from_f64(aval.dtype, 0.0));
        let from = self.memory.pointers[var.index()];
        with_data!(array.data_mut(), xs => {
            // SAFETY: the variable's memory holds its elements, written by an earlier step.
            unsafe { std::ptr::copy_nonoverlapping(from.cast_const().cast(), xs.as_mut_ptr(), xs.len()) }
        });
        array
    }
}

fn failed(eqn: &Eqn, payload: &Box<dyn std::any::Any + Send>) -> Error {
    let location: Location = eqn.location;
    let why = payload.downcast_ref::<String>().cloned();
    let why = why.or_else(|| payload.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default();
    Error::Call(format!("{}: {why}\n  at {location}", eqn.prim.name()))
}
