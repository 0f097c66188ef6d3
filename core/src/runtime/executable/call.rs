//! One call of a compiled program: its arguments are checked, its steps run, its results collected.

use crate::aval::{Literal, Sizes};
use crate::device::{ALIGN, Buffer, HostArray, cpu, memory};
use crate::error::Error;
use crate::ir::{Atom, Binder, Value, Var};
use crate::kernel::Composed;
use crate::runtime::cpu::memory::{self as run_memory, Line};
use crate::runtime::cpu::run;
use crate::runtime::cpu::worker::WorkerSlot;
use crate::runtime::executable::composed_indices::compose;
use crate::runtime::executable::{CallState, Executable, check_nans};
use crate::runtime::identity::ByIdentity;
use crate::runtime::options::CORES;
use crate::runtime::plan::Plan;
use crate::runtime::plan::frame::Frame;
use crate::runtime::plan::placed::{Buffers, OwnBytes};
use crate::runtime::threads::team::ThreadPool;
use crate::runtime::threads::worth::Sharing;
use crate::sync::{locked, try_locked};
use crate::with_data;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Executable {
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
