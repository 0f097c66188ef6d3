//! `jit`: trace once, compile, run many times.

use crate::api::function::{Args, Fun, Function, Shareable, Tracer, name_of, trace_function};
use crate::api::lowered::{Lowered, Staged};
use crate::api::miss::{self, CacheKey, Miss};
use crate::api::sizes::match_sizes;
use crate::aval::{Aval, Facts};
use crate::device::cpu;
use crate::error::Error;
use crate::ir::{Program, Value, facts_in_force, for_caller, quietly, refuse};
use crate::runtime::Options;
use crate::scoped::with_value;
use crate::sync::locked;
use crate::tree::{Tree, TreeDef};
use indexmap::IndexMap;
use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The most misses that are remembered.
const MISSES: usize = 1000;

#[derive(Default)]
struct Cache {
    entries: IndexMap<CacheKey, Arc<Staged>>,
    misses: VecDeque<Miss>,
}

type Lower<'f, A, O> = Arc<dyn Fn(A) -> Result<Lowered<A, O>, Error> + Send + Sync + 'f>;

/// A compiled function: call it like a function.
///
/// Holds one compiled program for each structure, type and device of the arguments. An axis that carries a symbol
/// counts as that symbol, whatever its size.
pub struct Jit<'f, A: Args + 'f, O: Tree + 'f> {
    fun: Fun<'f, A, O>,
    lower: Lower<'f, A, O>,
    cache: Arc<Mutex<Cache>>,
}

impl<A: Args, O: Tree> Jit<'_, A, O> {
    /// Calls it with a tuple of arguments; what the engine refuses is an error instead of a panic.
    pub fn try_call(&self, args: A) -> Result<O, Error> {
        self.fun.try_call(args)
    }

    /// The number of compiled programs so far.
    pub fn n_entry(&self) -> usize {
        locked(&self.cache).entries.len()
    }

    /// Drops every compiled program, and the [`misses`](Jit::misses): the next call of each kind traces and compiles again. A function that is called
    /// with ever new shapes holds a program for each; a symbol for the size (`Array::declare`) makes it one for all.
    pub fn clear_cache(&self) {
        let mut cache = locked(&self.cache);
        cache.entries.clear();
        cache.misses.clear();
    }

    /// Why each call that had to trace found no compiled program: the argument, the leaf, and the change; of the last
    /// 1,000 such calls.
    /// [`Options::explain_misses`] prints each miss when it happens.
    pub fn misses(&self) -> Vec<Miss> {
        locked(&self.cache).misses.iter().cloned().collect()
    }

    /// Traces and lowers the function for the types of these arguments, unless a call has done so, and runs nothing.
    ///
    /// # Errors
    /// As [`Jit::try_call`]: what the engine refuses.
    pub fn lower(&self, args: A) -> Result<Lowered<A, O>, Error> {
        quietly(|| (self.lower)(args))?
    }
}

impl<'f, A: Args, O: Tree> Deref for Jit<'f, A, O> {
    type Target = A::Dyn<'f, O>;
    fn deref(&self) -> &Self::Target {
        &self.fun
    }
}

impl<A: Args, O: Tree> Function<A> for Jit<'_, A, O> {
    type Out = O;
    fn apply(&self, args: A) -> O {
        self.fun.apply(args)
    }
}
impl<A: Args, O: Tree> Function<A> for &Jit<'_, A, O> {
    type Out = O;
    fn apply(&self, args: A) -> O {
        self.fun.apply(args)
    }
}

/// Compiles `f`: it is traced once for each structure and type of its arguments, and every later call runs compiled
/// code.
///
/// A buffer whose last handle is moved into a call may be written in place. Within a trace the compiled function is
/// recorded as a call.
///
/// It runs on all cores if the work is large enough, otherwise on the calling thread; [`jit_with`] and
/// [`Options::threads`] change that. The bits of the results are the same for any number of threads.
#[track_caller]
pub fn jit<'f, A: Args + 'f, F: Function<A, By> + Shareable + 'f, By>(f: F) -> Jit<'f, A, F::Out>
where
    F::Out: 'f,
{
    jit_with(f, Options::default())
}

/// [`jit`] with options for the compiler and the runtime.
#[track_caller]
pub fn jit_with<'f, A: Args + 'f, F: Function<A, By> + Shareable + 'f, By>(f: F, options: Options) -> Jit<'f, A, F::Out>
where
    F::Out: 'f,
{
    let cache: Arc<Mutex<Cache>> = Arc::default();
    let f = Arc::new(f);
    let lookup = {
        let (cache, f) = (cache.clone(), f.clone());
        move |def: &TreeDef, leaves: &[Value]| {
            let tracer = |def: &TreeDef, avals: &[Aval]| trace_function::<A, F, By>(&*f, def, avals);
            find_or_trace(&cache, &name_of::<F>, &tracer, (def, leaves), &options)
        }
    };
    let lookup = Arc::new(lookup);
    let fun = {
        let lookup = lookup.clone();
        Fun::new(move |args: A| {
            if IS_DISABLED.get() {
                return f.apply(args);
            }
            let (def, leaves) = args.into_leaves();
            let staged = lookup(&def, &leaves);
            let outs = staged.run(leaves).unwrap_or_else(|error| refuse(error));
            F::Out::unflatten(&staged.out_def, outs)
        })
    };
    let lower = Arc::new(move |args: A| {
        let (def, leaves) = args.into_leaves();
        let staged = lookup(&def, &leaves);
        let sizes = match_sizes(&staged.program, &def, &leaves)?;
        Lowered::new(staged, sizes)
    });
    Jit { fun, lower, cache }
}

thread_local! {
    static IS_DISABLED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with [`jit`] off on this thread: a compiled function that is called in it runs operation by operation, as if
/// it were not compiled, so that a debugger or a `println!` in it sees values. [`Jit::lower`] still compiles. Results may
/// differ in their last bits.
///
/// ```
/// # use gavotte_core::api::{disable_jit, jit};
/// # use gavotte_core::ir::Value;
/// # let value = |x: f32| Value::from(gavotte_core::aval::Literal::F32(x));
/// let f = jit(|x: Value| {
///     // Has contents only where nothing is traced.
///     println!("{:?}", x.to_host());
///     x
/// });
/// disable_jit(|| f(value(1.0)));
/// assert_eq!(f.n_entry(), 0);
/// ```
///
/// Source: JAX, `jax.disable_jit`.
pub fn disable_jit<R>(f: impl FnOnce() -> R) -> R {
    with_value(&IS_DISABLED, true, f)
}

/// The program that tracing `f` with these arguments records.
#[doc(alias = "make_jaxpr")]
#[track_caller]
pub fn make_program<A: Args, F: Function<A, By>, By>(f: &F, args: A) -> Program {
    let (def, leaves) = args.into_leaves();
    let avals: Vec<Aval> = leaves.iter().map(Value::declared_aval).collect();
    for_caller(|| trace_function::<A, F, By>(f, &def, &avals)).0.program
}

/// The types of the results of `f` for these arguments, each with its path, such as `layers.0.w`. Nothing is computed:
/// `f` is only traced.
///
/// Source: JAX, `jax.eval_shape`.
#[track_caller]
pub fn eval_shape<A: Args, F: Function<A, By>, By>(f: &F, args: A) -> Vec<(String, Aval)> {
    let (def, leaves) = args.into_leaves();
    let avals: Vec<Aval> = leaves.iter().map(Value::declared_aval).collect();
    let (traced, out_def) = for_caller(|| trace_function::<A, F, By>(f, &def, &avals));
    out_def.paths().into_iter().zip(traced.program.out_avals()).collect()
}

#[track_caller]
fn find_or_trace(
    cache: &Mutex<Cache>,
    name: &dyn Fn() -> String,
    tracer: Tracer<'_>,
    (def, leaves): (&TreeDef, &[Value]),
    options: &Options,
) -> Arc<Staged> {
    // An array in host memory moves to the device of the others.
    let devices = || leaves.iter().filter_map(Value::device);
    let device = devices().find(|device| device.name() != "cpu").unwrap_or_else(cpu);
    let avals = leaves.iter().map(Value::declared_aval).collect();
    // A program that was traced under no facts is valid under any.
    let mut key = CacheKey { def: def.clone(), avals, device: device.name().to_string(), facts: Facts::new() };
    for facts in [Facts::new(), facts_in_force()] {
        key.facts = facts;
        if let Some(staged) = locked(cache).entries.get(&key) {
            return staged.clone();
        }
    }
    let miss = miss::explain(&name(), &key, locked(cache).entries.keys());
    if options.explain_misses {
        miss::print(&miss);
    }
    let start = Instant::now();
    let (traced, out_def) = tracer(def, &key.avals);
    let staged = Arc::new(Staged {
        program: Arc::new(traced.program),
        consts: traced.consts,
        in_def: def.clone(),
        out_def,
        device,
        options: options.clone(),
        trace_time: start.elapsed(),
        executable: Mutex::default(),
    });
    let mut cache = locked(cache);
    // If several threads traced it at the same time, the first to finish provides the program for all.
    if let Some(staged) = cache.entries.get(&key) {
        return staged.clone();
    }
    if cache.misses.len() == MISSES {
        cache.misses.pop_front();
    }
    cache.misses.push_back(miss);
    cache.entries.insert(key, staged.clone());
    staged
}
