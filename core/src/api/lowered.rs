//! The steps from a function to a compiled one, each on its own: traced, lowered to kernels, compiled for a call.

use crate::api::function::{Args, Fun, Function};
use crate::api::miss::place;
use crate::api::sizes::match_sizes;
use crate::aval::{Aval, Sizes};
use crate::device::DeviceRef;
use crate::error::Error;
use crate::ir::structural::call;
use crate::ir::{PrintOptions, Program, Value, is_tracing, refuse};
use crate::runtime::cuda::{Gpu, Prediction};
use crate::runtime::{CostAnalysis, Executable, MemoryAnalysis, Options};
use crate::sync::locked;
use crate::tree::{Tree, TreeDef};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A traced function, and its compiled form.
pub(super) struct Staged {
    pub(super) program: Arc<Program>,
    pub(super) consts: Vec<Value>,
    /// The structures of arguments and results.
    pub(super) in_def: TreeDef,
    pub(super) out_def: TreeDef,
    pub(super) device: DeviceRef,
    pub(super) options: Options,
    pub(super) trace_time: Duration,
    pub(super) executable: Mutex<Option<Arc<Executable>>>,
}

impl Staged {
    /// Runs passes, fusion and lowering on first use. Other threads wait for the one that compiles.
    pub(super) fn executable(&self) -> Result<Arc<Executable>, Error> {
        let mut executable = locked(&self.executable);
        if let Some(executable) = &*executable {
            return Ok(executable.clone());
        }
        let compiled = Executable::compile_for(&self.device, &self.program, &self.consts, &self.options)?;
        Ok(executable.insert(Arc::new(compiled)).clone())
    }

    /// Runs it, or records it as a call if a trace is open.
    pub(super) fn run(&self, leaves: Vec<Value>) -> Result<Vec<Value>, Error> {
        if is_tracing() {
            return Ok(call(self.program.clone(), &self.consts, &leaves).into_vec());
        }
        self.refuse_traced(&leaves)?;
        let sizes = match_sizes(&self.program, &self.in_def, &leaves)?;
        self.executable()?.call(leaves, &sizes)
    }

    /// An error if an argument was traced: its trace has ended, or is another thread's.
    fn refuse_traced(&self, leaves: &[Value]) -> Result<(), Error> {
        let Some(i) = leaves.iter().position(Value::is_traced) else { return Ok(()) };
        let Err(error) = leaves[i].clone().into_buffer() else { return Ok(()) };
        let at = place(&self.in_def.paths().swap_remove(i));
        Err(Error::Trace(format!("@{}: {at}: {error}", self.program.name)))
    }

    /// Checks that the arguments are those that the program was traced for: it is not traced again for others.
    fn check(&self, def: &TreeDef, leaves: &[Value]) -> Result<(), Error> {
        let name = &self.program.name;
        let advice = "a compiled function takes what it was lowered for: call the function of `jit`, or lower again";
        if let Some(difference) = self.in_def.difference(def) {
            let at = place(&difference.path);
            return Err(Error::Call(format!(
                "@{name}: {at} is {}, and must be {}\n  {advice}",
                difference.other, difference.one
            )));
        }
        for (i, (binder, leaf)) in self.program.args.iter().zip(leaves).enumerate() {
            if let Some(why) = misfit(&binder.aval, leaf) {
                let path = def.paths().swap_remove(i);
                return Err(Error::Call(format!(
                    "@{name}: {}: {why}\n  it is {}, and the program takes {}; {advice}",
                    place(&path),
                    leaf.aval(),
                    binder.aval
                )));
            }
        }
        Ok(())
    }
}

/// How an array differs from its type, if it does. Symbols are matched later, when all arguments are known.
fn misfit(wanted: &Aval, leaf: &Value) -> Option<String> {
    let found = leaf.aval();
    if wanted.dtype != found.dtype {
        return Some(format!("elements are {}, and must be {}", found.dtype, wanted.dtype));
    }
    if wanted.rank() != found.rank() {
        return Some(format!("there are {} axes, and must be {}", found.rank(), wanted.rank()));
    }
    let free = |dim: &crate::aval::Dim| dim.as_number().is_none() && !leaf.is_traced();
    let axes = wanted.shape.iter().zip(&found.shape).enumerate();
    let mut wrong = axes.filter(|(_, (wanted, found))| wanted != found && !free(wanted));
    wrong.next().map(|(axis, (wanted, found))| format!("axis {axis} is {found}, and must be {wanted}"))
}

/// A stage of a lowered function, from the recording to the memory plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The program as tracing recorded it.
    Traced,
    /// The program after all passes.
    Optimized,
    /// Which variables are stored and which are computed where they are read, and why.
    Fused,
    /// The kernels.
    Kernels,
    /// The place of each array, and the cost of each step.
    Plan,
    /// The machine code of the kernels, disassembled.
    Asm,
    /// The program after all passes as a StableHLO module, for the sizes of the arguments.
    Stablehlo,
}

/// A function traced and lowered to kernels for the types of its arguments: to inspect, and to compile.
pub struct Lowered<A, O> {
    pub(super) staged: Arc<Staged>,
    executable: Arc<Executable>,
    sizes: Sizes,
    types: PhantomData<fn(A) -> O>,
}

impl<A, O> Clone for Lowered<A, O> {
    fn clone(&self) -> Self {
        Lowered {
            staged: self.staged.clone(),
            executable: self.executable.clone(),
            sizes: self.sizes.clone(),
            types: PhantomData,
        }
    }
}

impl<A, O> Lowered<A, O> {
    pub(super) fn new(staged: Arc<Staged>, sizes: Sizes) -> Result<Self, Error> {
        let executable = staged.executable()?;
        Ok(Lowered { staged, executable, sizes, types: PhantomData })
    }

    /// The program as tracing recorded it.
    pub fn program(&self) -> &Program {
        &self.staged.program
    }

    /// The program after all passes, its kernels and plans.
    pub fn executable(&self) -> &Executable {
        &self.executable
    }

    /// The sizes of symbols for which costs and memory are reported: those of the arguments it was lowered with.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// The time that tracing took; zero if no call of this process traced it.
    pub fn trace_time(&self) -> Duration {
        self.staged.trace_time
    }

    /// The text of a stage. `options` apply to programs.
    pub fn text(&self, stage: Stage, options: PrintOptions) -> Result<String, Error> {
        Ok(match stage {
            Stage::Traced => self.program().to_text(options),
            Stage::Optimized => self.executable.program().to_text(options),
            Stage::Fused => self.executable.fused_text(),
            Stage::Kernels => self.executable.kernels_text(),
            Stage::Plan => self.executable.plan_text(&self.sizes, None)?,
            Stage::Asm => self.executable.asm_text(),
            Stage::Stablehlo => self.executable.program().to_stablehlo(&self.sizes)?,
        })
    }

    /// Arithmetic and traffic of every step, counted from the kernels; runs nothing.
    pub fn cost_analysis(&self) -> CostAnalysis {
        self.executable.cost(&self.sizes)
    }

    /// The predicted time of a run on a GPU, from the GPU's data sheet; runs nothing, and needs no GPU.
    ///
    /// # Errors
    /// If the program has steps that do not run on GPUs.
    pub fn predict(&self, gpu: &'static Gpu) -> Result<Prediction, Error> {
        self.executable.predict(&self.sizes, gpu)
    }

    /// The memory of a run, from the plan; runs nothing.
    ///
    /// # Errors
    /// If there is no plan for these sizes.
    pub fn memory_analysis(&self) -> Result<MemoryAnalysis, Error> {
        self.executable.memory(&self.sizes)
    }
}

impl<A: Args, O: Tree> Lowered<A, O> {
    /// Prepares calls of these sizes; other sizes of symbols are prepared at their first call.
    ///
    /// # Errors
    /// If the target cannot run it.
    #[track_caller]
    pub fn compile<'f>(&self) -> Result<Compiled<'f, A, O>, Error>
    where
        A: 'f,
        O: 'f,
    {
        self.executable.plan(&self.sizes)?;
        let staged = self.staged.clone();
        let fun = Fun::new(move |args: A| {
            let (def, leaves) = args.into_leaves();
            let outs = staged.check(&def, &leaves).and_then(|()| staged.run(leaves));
            O::unflatten(&staged.out_def, outs.unwrap_or_else(|error| refuse(error)))
        });
        Ok(Compiled { fun, lowered: self.clone() })
    }
}

/// A compiled function for one structure and one list of types: call it like a function. It never traces; arguments of
/// other structures and types are refused. An axis that was lowered with a symbol takes any size.
pub struct Compiled<'f, A: Args + 'f, O: Tree + 'f> {
    fun: Fun<'f, A, O>,
    lowered: Lowered<A, O>,
}

impl<A: Args, O: Tree> Compiled<'_, A, O> {
    /// Calls it with a tuple of arguments; arguments that do not fit are an error instead of a panic.
    pub fn try_call(&self, args: A) -> Result<O, Error> {
        self.fun.try_call(args)
    }

    /// The lowered function it was compiled from.
    pub fn lowered(&self) -> &Lowered<A, O> {
        &self.lowered
    }

    /// As [`Lowered::cost_analysis`].
    pub fn cost_analysis(&self) -> CostAnalysis {
        self.lowered.cost_analysis()
    }

    /// As [`Lowered::memory_analysis`].
    ///
    /// # Errors
    /// If there is no plan for these sizes.
    pub fn memory_analysis(&self) -> Result<MemoryAnalysis, Error> {
        self.lowered.memory_analysis()
    }
}

impl<'f, A: Args, O: Tree> Deref for Compiled<'f, A, O> {
    type Target = A::Dyn<'f, O>;
    fn deref(&self) -> &Self::Target {
        &self.fun
    }
}

impl<A: Args, O: Tree> Function<A> for Compiled<'_, A, O> {
    type Out = O;
    fn apply(&self, args: A) -> O {
        self.fun.apply(args)
    }
}
impl<A: Args, O: Tree> Function<A> for &Compiled<'_, A, O> {
    type Out = O;
    fn apply(&self, args: A) -> O {
        self.fun.apply(args)
    }
}

impl<A, O> fmt::Debug for Lowered<A, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lowered(@{} for {:?})", self.program().name, self.sizes)
    }
}
impl<A: Args, O: Tree> fmt::Debug for Compiled<'_, A, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Compiled(@{} for {:?})", self.lowered.program().name, self.lowered.sizes)
    }
}
