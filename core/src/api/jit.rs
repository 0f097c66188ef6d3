//! `jit`: trace once, compile, run many times.

use crate::api::function::{Args, Fun, Function, trace_function};
use crate::aval::{Aval, Dim, Facts, Sizes};
use crate::device::cpu;
use crate::error::Error;
use crate::ir::structural::call;
use crate::ir::{Program, Value, check_facts_with, facts_in_force, is_tracing, quietly, refuse};
use crate::runtime::{Executable, Options};
use crate::tree::{Tree, TreeDef};
use indexmap::IndexMap;
use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a compiled program belongs to: one entry for each.
#[derive(Clone, PartialEq, Eq, Hash)]
struct CacheKey {
    def: TreeDef,
    avals: Vec<Aval>,
    device: String,
    /// What the program relies on beside its own facts: those of the traces around it.
    facts: Facts,
}

struct Entry {
    program: Arc<Program>,
    consts: Vec<Value>,
    out_def: TreeDef,
    trace_time: Duration,
    executable: std::cell::OnceCell<Rc<Executable>>,
}

#[derive(Default)]
struct Cache {
    entries: IndexMap<CacheKey, Rc<Entry>>,
    last_miss: Option<String>,
}

/// A compiled function: call it like a function.
///
/// There is one compiled program for each structure, type and device of the arguments. Axes that carry a symbol count
/// as that symbol, whatever their size.
pub struct Jit<'f, A: Args + 'f, O: Tree + 'f> {
    fun: Fun<'f, A, O>,
    stages: Rc<dyn Fn(A) -> Result<Stages, Error> + 'f>,
    cache: Rc<RefCell<Cache>>,
}

/// A function on its way to a compiled program, stage by stage.
pub struct Stages {
    /// What tracing recorded.
    pub program: Arc<Program>,
    /// The compiled program.
    pub executable: Rc<Executable>,
    /// The sizes of symbols for the arguments given.
    pub sizes: Sizes,
    /// What tracing took.
    pub trace_time: Duration,
}

impl<A: Args, O: Tree> Jit<'_, A, O> {
    /// Calls it with a tuple of arguments; what the engine refuses is an error instead of a panic.
    pub fn try_call(&self, args: A) -> Result<O, Error> {
        self.fun.try_call(args)
    }

    /// The number of compiled programs so far.
    pub fn n_entry(&self) -> usize {
        self.cache.borrow().entries.len()
    }

    /// Why the last call that had to trace found no compiled program: which argument, which leaf, what changed.
    pub fn last_miss(&self) -> Option<String> {
        self.cache.borrow().last_miss.clone()
    }

    /// The stages for these arguments; traces and compiles where no call has done so.
    pub fn stages(&self, args: A) -> Result<Stages, Error> {
        quietly(|| (self.stages)(args))?
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

/// Compiles `f`: it is traced once for each structure and type of its arguments, and from then on runs compiled.
///
/// A buffer whose last handle is moved into a call may be written in place. Within a trace the compiled function is
/// recorded as a call.
pub fn jit<'f, A: Args + 'f, F: Function<A> + 'f>(f: F) -> Jit<'f, A, F::Out>
where
    F::Out: 'f,
{
    jit_with(f, Options::default())
}

/// [`jit`] with options for the compiler and the runtime.
pub fn jit_with<'f, A: Args + 'f, F: Function<A> + 'f>(f: F, options: Options) -> Jit<'f, A, F::Out>
where
    F::Out: 'f,
{
    let cache: Rc<RefCell<Cache>> = Rc::default();
    let f = Rc::new(f);
    let lookup = {
        let (cache, f) = (cache.clone(), f.clone());
        move |def: &TreeDef, leaves: &[Value]| find_or_trace::<A, F>(&cache, &f, def, leaves)
    };
    let lookup = Rc::new(lookup);
    let fun = {
        let (lookup, options) = (lookup.clone(), options.clone());
        Fun::new(move |args: A| {
            let (def, leaves) = args.into_leaves();
            let entry = lookup(&def, &leaves);
            let outs = if is_tracing() {
                call(entry.program.clone(), &entry.consts, &leaves).into_vec()
            } else {
                run(&entry, &def, leaves, &options).unwrap_or_else(|error| refuse(error))
            };
            F::Out::unflatten(&entry.out_def, outs)
        })
    };
    let stages = Rc::new(move |args: A| {
        let (def, leaves) = args.into_leaves();
        let entry = lookup(&def, &leaves);
        let sizes = match_sizes(&entry.program, &def, &leaves)?;
        let executable = compiled(&entry, &options)?;
        Ok(Stages { program: entry.program.clone(), executable, sizes, trace_time: entry.trace_time })
    });
    Jit { fun, stages, cache }
}

/// The program that tracing `f` with these arguments records.
#[track_caller]
pub fn make_program<A: Args, F: Function<A>>(f: &F, args: A) -> Program {
    let (def, leaves) = args.into_leaves();
    let avals: Vec<Aval> = leaves.iter().map(Value::declared_aval).collect();
    trace_function::<A, F>(f, &def, &avals).0.program
}

#[track_caller]
fn find_or_trace<A: Args, F: Function<A>>(cache: &RefCell<Cache>, f: &F, def: &TreeDef, leaves: &[Value]) -> Rc<Entry> {
    let device = leaves.iter().find_map(Value::device).unwrap_or_else(cpu);
    let avals = leaves.iter().map(Value::declared_aval).collect();
    // A program that was traced under no facts serves under any.
    let mut key = CacheKey { def: def.clone(), avals, device: device.name().to_string(), facts: Facts::new() };
    for facts in [Facts::new(), facts_in_force()] {
        key.facts = facts;
        if let Some(entry) = cache.borrow().entries.get(&key) {
            return entry.clone();
        }
    }
    let miss = explain_miss(&key, &cache.borrow().entries);
    let start = Instant::now();
    let (traced, out_def) = trace_function::<A, F>(f, def, &key.avals);
    let entry = Rc::new(Entry {
        program: Arc::new(traced.program),
        consts: traced.consts,
        out_def,
        trace_time: start.elapsed(),
        executable: std::cell::OnceCell::new(),
    });
    let mut cache = cache.borrow_mut();
    cache.last_miss = Some(miss);
    cache.entries.insert(key, entry.clone());
    entry
}

fn compiled(entry: &Entry, options: &Options) -> Result<Rc<Executable>, Error> {
    if let Some(executable) = entry.executable.get() {
        return Ok(executable.clone());
    }
    let executable = Rc::new(Executable::compile(&entry.program, &entry.consts, options)?);
    Ok(entry.executable.get_or_init(|| executable).clone())
}

fn run(entry: &Entry, def: &TreeDef, leaves: Vec<Value>, options: &Options) -> Result<Vec<Value>, Error> {
    let sizes = match_sizes(&entry.program, def, &leaves)?;
    let executable = compiled(entry, options)?;
    executable.call(leaves, &sizes)
}

/// The size of every symbol for these arguments: inside one call a symbol means one size.
fn match_sizes(program: &Program, def: &TreeDef, leaves: &[Value]) -> Result<Sizes, Error> {
    let mut sizes = Sizes::new();
    if program.args.iter().all(|binder| binder.aval.shape.iter().all(|dim| dim.as_number().is_some())) {
        return Ok(sizes);
    }
    let path = |i: usize| def.paths().swap_remove(i);
    let mut first: IndexMap<String, usize> = IndexMap::new();
    for (i, (binder, leaf)) in program.args.iter().zip(leaves).enumerate() {
        for (dim, extent) in binder.aval.shape.iter().zip(leaf.shape()) {
            let extent = extent.as_usize().expect("a computed array has numeric extents");
            let Some((symbol, size)) = dim.solve(extent) else { continue };
            let place = *first.entry(symbol.to_string()).or_insert(i);
            sizes.set(symbol.clone(), size).map_err(|old| {
                Error::Call(format!(
                    "@{}: `{symbol}` is {old} at argument {} and {size} at argument {}\n  inside one call a symbol \
                     means one size: give one of them another name with declare",
                    program.name,
                    path(place),
                    path(i)
                ))
            })?;
        }
    }
    for (i, dim) in
        program.args.iter().enumerate().flat_map(|(i, binder)| binder.aval.shape.iter().map(move |d| (i, d)))
    {
        if let Some(symbol) = dim.symbols().into_iter().find(|symbol| sizes.get(symbol).is_none()) {
            return Err(Error::Call(format!(
                "@{}: no argument tells the size of `{symbol}`: argument {} has an axis of {dim}\n  declare that axis as \
                 one symbol, or pass an array with an axis of {symbol}",
                program.name,
                path(i)
            )));
        }
    }
    for (i, (binder, leaf)) in program.args.iter().zip(leaves).enumerate() {
        let fits = |(dim, extent): (&Dim, &Dim)| dim == extent || dim.at(&sizes) == *extent;
        if !binder.aval.shape.iter().zip(leaf.shape()).all(fits) {
            return Err(Error::Call(format!(
                "@{}: argument {} is {}, which is not {} for {sizes:?}",
                program.name,
                path(i),
                leaf.aval(),
                binder.aval
            )));
        }
    }
    check_facts_with(program, &sizes, |symbol| {
        first.get(symbol.name()).map_or(String::new(), |place| format!(" at argument {}", path(*place)))
    })?;
    Ok(sizes)
}

/// Which argument, which leaf and what of it differs from the entry that fits best.
fn explain_miss(key: &CacheKey, entries: &IndexMap<CacheKey, Rc<Entry>>) -> String {
    let distance = |old: &CacheKey| match old.def == key.def {
        true => old.avals.iter().zip(&key.avals).filter(|(a, b)| a != b).count(),
        false => usize::MAX,
    };
    let Some(nearest) = entries.keys().min_by_key(|old| distance(old)) else {
        return "nothing is compiled yet".into();
    };
    if let Some(difference) = nearest.def.first_difference(&key.def) {
        return format!("the arguments' structure differs {difference}");
    }
    let paths = key.def.paths();
    let leaves = paths.iter().zip(nearest.avals.iter().zip(&key.avals));
    let changes: Vec<String> = leaves
        .filter(|(_, (old, new))| old != new)
        .map(|(path, (old, new))| format!("argument {path} was {old} and is {new}"))
        .collect();
    if changes.is_empty() {
        if nearest.device == key.device {
            return format!("the facts around were `{}` and are `{}`", nearest.facts, key.facts);
        }
        return format!("the device was {} and is {}", nearest.device, key.device);
    }
    changes.join("; ")
}
