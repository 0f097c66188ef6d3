//! The single interception point: `bind` computes outside a trace, and records inside one.

use crate::aval::{Aval, Facts, Literal};
use crate::error::{Error, TypeError, catch_quietly, is_quiet, stop};
use crate::ir::assume::{FactScope, adopt};
use crate::ir::scope;
use crate::ir::value::Repr;
use crate::ir::{Atom, Binder, Eqn, Kind, Location, Params, Primitive, Program, Value, Var, eval_concrete};
use crate::scoped::with_value;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ThreadId;

/// Identifies the trace that a traced value belongs to.
pub(crate) struct TraceId {
    /// Unique in the process.
    number: u64,
    /// Of the function.
    name: String,
    /// A trace belongs to the thread that opened it.
    thread: ThreadId,
}

/// One tracing scope: the program being recorded.
struct Scope {
    id: Arc<TraceId>,
    builder: RefCell<Builder>,
}

/// The number of the next trace.
static NEXT_TRACE: AtomicU64 = AtomicU64::new(0);

#[derive(Default)]
struct Builder {
    next: u32,
    args: Vec<Binder>,
    consts: Vec<Binder>,
    const_values: Vec<Value>,
    const_of: FxHashMap<ConstId, Var>,
    eqns: Vec<Eqn>,
}

/// The identity of a captured value: its buffer (kept alive by `const_values`), or an outer variable.
#[derive(PartialEq, Eq, Hash)]
enum ConstId {
    Buffer(*const ()),
    Outer(u64, Var),
}

thread_local! {
    static SCOPES: RefCell<Vec<Rc<Scope>>> = const { RefCell::new(Vec::new()) };
    static LOCATION: Cell<Option<Location>> = const { Cell::new(None) };
    /// Where the transformed function that runs was made.
    static MAKER: Cell<Option<Location>> = const { Cell::new(None) };
}

/// Closes the scope when dropped, also while a panic unwinds.
struct ScopeGuard;

impl Drop for ScopeGuard {
    fn drop(&mut self) {
        SCOPES.with(|scopes| scopes.borrow_mut().pop());
    }
}

/// Runs `f` with every equation it binds attributed to `location`: what a transformation binds for an equation belongs
/// to the user's line of that equation, and to its named part of the program within the current one.
pub fn with_location<R>(location: Location, f: impl FnOnce() -> R) -> R {
    location.scope().enter(|| match location.is_known() {
        true => with_value(&LOCATION, Some(location), f),
        false => f(),
    })
}

/// Runs `f` and turns a refusal by the engine (an operation's type error, a read of a traced value) into an error.
/// Other panics continue.
pub fn quietly<R>(f: impl FnOnce() -> R) -> Result<R, Error> {
    catch_quietly(f).map_err(|payload| match payload.downcast::<Error>() {
        Ok(error) => *error,
        Err(other) => std::panic::resume_unwind(other),
    })
}

/// Stops with an error: a panic at the user's line, or, within [`quietly`], an unwinding that prints nothing. A panic
/// prints its place; where nothing prints it, or it is in the library, the error has the user's line.
#[track_caller]
pub fn refuse(error: Error) -> ! {
    let (at, place) = (Location::caller(), std::panic::Location::caller());
    let is_of_user = !is_in_library(place.file());
    stop(if at.is_users() && (is_quiet() || !is_of_user) { error.at(at) } else { error })
}

/// Whether a file is one of the engine's or of the library's on top of it.
pub(super) fn is_in_library(file: &str) -> bool {
    // The paths of both begin as the compiler was told.
    const ROOT: &str = file!().split_at(file!().len().saturating_sub("core/src/ir/bind.rs".len())).0;
    let of = |crate_: &str| file.strip_prefix(ROOT).and_then(|path| path.strip_prefix(crate_)).is_some();
    of("core/src/") || of("ops/src/") || file.starts_with(STANDARD)
}

/// How the paths of the standard library's files begin.
const STANDARD: &str = "/rustc/";

/// Where the transformed function that runs was made.
pub(super) fn maker() -> Option<Location> {
    MAKER.get()
}

/// Runs `f` for the caller: in it, errors that arise in closures of the library name the caller's line.
#[track_caller]
pub fn for_caller<R>(f: impl FnOnce() -> R) -> R {
    with_maker(Location::caller(), f)
}

/// Runs a transformed function that was made at this line: a call of it has no line that is known, so errors that arise
/// in the library name the line where it was made.
pub fn with_maker<R>(made_at: Location, f: impl FnOnce() -> R) -> R {
    with_value(&MAKER, Some(made_at), f)
}

/// Requires a condition that callers must meet; otherwise stops like [`refuse`], with the message from `why`.
#[track_caller]
pub fn demand(holds: bool, why: impl FnOnce() -> String) {
    if !holds {
        refuse(Error::Type(why()));
    }
}

/// The line to which equations are currently attributed, if a transformation binds them.
pub(super) fn location() -> Option<Location> {
    LOCATION.get()
}

/// Whether a trace is open on this thread.
pub fn is_tracing() -> bool {
    SCOPES.with(|scopes| !scopes.borrow().is_empty())
}

impl Builder {
    fn fresh(&mut self, aval: &Aval) -> Binder {
        let var = Var(self.next);
        self.next += 1;
        Binder { var, aval: aval.clone() }
    }
}

impl TraceId {
    /// The name of the function.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn new(name: &str) -> TraceId {
        let number = NEXT_TRACE.fetch_add(1, Ordering::Relaxed);
        TraceId { number, name: name.to_string(), thread: std::thread::current().id() }
    }

    /// Whether the trace is open on this thread.
    pub(crate) fn is_open(&self) -> bool {
        SCOPES.with(|scopes| scopes.borrow().iter().any(|scope| scope.id.number == self.number))
    }

    pub(crate) fn is_of_this_thread(&self) -> bool {
        self.thread == std::thread::current().id()
    }

    /// The error for reading a traced value at a line of the user: names the variable, the function, the lines, and the
    /// remedy.
    pub(crate) fn read_error(&self, var: Var, aval: &Aval, made_at: Location, read_at: Location) -> Error {
        if !self.is_of_this_thread() {
            return self.thread_error(var, aval, made_at, read_at);
        }
        let state = if self.is_open() { "is being traced" } else { "was traced" };
        Error::Trace(format!(
            "{var}: {aval} has no contents to read: it {state} in @{}, {}{}\n  \
             return it from the traced function and read the result, or compute it outside",
            self.name,
            made(made_at),
            at(read_at)
        ))
    }

    fn thread_error(&self, var: Var, aval: &Aval, made_at: Location, read_at: Location) -> Error {
        Error::Trace(format!(
            "{var}: {aval} belongs to a trace on another thread: that of @{}, {}{}\n  \
             a trace records what its own thread does: use the value there, and give other threads arrays that are \
             computed",
            self.name,
            made(made_at),
            at(read_at)
        ))
    }

    #[track_caller]
    fn escape_error(&self, var: Var, aval: &Aval, made_at: Location) -> Error {
        if !self.is_of_this_thread() {
            return self.thread_error(var, aval, made_at, Location::current());
        }
        Error::Trace(format!(
            "{var}: {aval} was traced in @{}, {}, and that trace has ended{}\n  \
             return it from the traced function instead of keeping it in a variable outside",
            self.name,
            made(made_at),
            at(Location::current())
        ))
    }
}

impl Scope {
    /// The operand for `value` in this scope; captures it if it comes from outside.
    #[track_caller]
    fn atom(&self, value: &Value) -> Result<Atom, Error> {
        let id = match value.repr() {
            Repr::Traced { trace, var, .. } if trace.number == self.id.number => return Ok(Atom::Var(*var)),
            Repr::Traced { trace, var, made_at } => {
                if !trace.is_open() {
                    return Err(trace.escape_error(*var, value.aval(), *made_at));
                }
                ConstId::Outer(trace.number, *var)
            }
            Repr::Concrete { buffer, .. } => {
                if let Some(literal) = value.as_literal() {
                    return Ok(Atom::Literal(literal));
                }
                ConstId::Buffer(Arc::as_ptr(buffer).cast())
            }
        };
        let mut builder = self.builder.borrow_mut();
        if let Some(var) = builder.const_of.get(&id) {
            return Ok(Atom::Var(*var));
        }
        let binder = builder.fresh(value.aval());
        let var = binder.var;
        builder.const_of.insert(id, var);
        builder.consts.push(binder);
        builder.const_values.push(value.clone());
        Ok(Atom::Var(var))
    }
}

/// Says where a traced value comes from.
fn made(at: Location) -> String {
    // No line of the user makes an argument.
    if at.is_known() { format!("made at {at}") } else { "as an argument".into() }
}

/// The line of the user who reads it, if that is known.
fn at(read_at: Location) -> String {
    if read_at.is_users() { format!("\n  at {read_at}") } else { String::new() }
}

/// Applies a primitive, or returns why it is refused: computes outside a trace, records inside one.
#[track_caller]
pub fn try_bind(prim: &'static dyn Primitive, ins: &[&Value], params: Params) -> Result<SmallVec<[Value; 1]>, Error> {
    let location = Location::current();
    let avals: SmallVec<[&Aval; 4]> = ins.iter().map(|value| value.aval()).collect();
    let outs =
        prim.abstract_eval(&avals, &params).map_err(|why| Error::Type(type_message(prim, &why, &avals, location)))?;
    if let Some(why) = params.too_large().or_else(|| outs.iter().find_map(Aval::impossible)) {
        return Err(Error::TooLarge(type_message(prim, &TypeError(why), &avals, location)));
    }
    let Some(scope) = SCOPES.with(|scopes| scopes.borrow().last().cloned()) else {
        return eval_concrete(prim, ins, &params, &outs, location);
    };
    if matches!(prim.kind(), Kind::Call | Kind::Custom | Kind::Control) {
        params.programs_within().for_each(|program| adopt(&program.facts));
    }
    let ins = for_caller(|| ins.iter().map(|value| scope.atom(value)).collect::<Result<_, _>>())?;
    let mut builder = scope.builder.borrow_mut();
    let outs: SmallVec<[Binder; 1]> = outs.iter().map(|aval| builder.fresh(aval)).collect();
    let values = outs.iter().map(|b| Value::traced(b.aval.clone(), scope.id.clone(), b.var, location)).collect();
    builder.eqns.push(Eqn { prim, params, ins, outs, location });
    Ok(values)
}

fn type_message(prim: &dyn Primitive, why: &TypeError, ins: &[&Aval], location: Location) -> String {
    let operands: Vec<String> = ins.iter().map(|aval| aval.to_string()).collect();
    let operands = if operands.is_empty() { String::new() } else { format!("\n  operands: {}", operands.join(", ")) };
    format!("{}: {why}{operands}\n  at {location}", prim.name())
}

/// Applies a primitive.
///
/// # Panics
/// At the caller's line, if the operands do not fit.
#[track_caller]
pub fn bind(prim: &'static dyn Primitive, ins: &[&Value], params: Params) -> SmallVec<[Value; 1]> {
    match try_bind(prim, ins, params) {
        Ok(outs) => outs,
        Err(error) => refuse(error),
    }
}

/// Applies a primitive with one output.
///
/// # Panics
/// At the caller's line, if the operands do not fit.
#[track_caller]
pub fn bind1(prim: &'static dyn Primitive, ins: &[&Value], params: Params) -> Value {
    bind(prim, ins, params).swap_remove(0)
}

/// The result of tracing a function.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The recorded program.
    pub program: Program,
    /// The values of `program.consts`.
    pub consts: Vec<Value>,
}

/// Records the operations of `f` for arguments of these types.
///
/// # Panics
/// If `f` panics, or returns a value of a trace that has ended.
#[track_caller]
pub fn trace(name: &str, avals: &[Aval], f: impl FnOnce(Vec<Value>) -> Vec<Value>) -> Traced {
    let mut f = Some(f);
    trace_with(name, avals, &mut |args| f.take().map_or(vec![], |f| f(args)))
}

/// [`trace`], compiled once for all functions; `f` is called once.
#[track_caller]
fn trace_with(name: &str, avals: &[Aval], f: &mut dyn FnMut(Vec<Value>) -> Vec<Value>) -> Traced {
    let opened = Rc::new(Scope { id: Arc::new(TraceId::new(name)), builder: RefCell::default() });
    let args: Vec<Binder> = {
        let mut builder = opened.builder.borrow_mut();
        avals.iter().map(|aval| builder.fresh(aval)).collect()
    };
    opened.builder.borrow_mut().args = args.clone();
    let values =
        args.iter().map(|b| Value::traced(b.aval.clone(), opened.id.clone(), b.var, Location::default())).collect();
    SCOPES.with(|scopes| scopes.borrow_mut().push(opened.clone()));
    let guard = ScopeGuard;
    let fact_scope = FactScope::open(avals.iter(), Facts::new());
    let outs = scope::outside(|| f(values));
    let outs: Result<Vec<Atom>, Error> = for_caller(|| outs.iter().map(|value| opened.atom(value)).collect());
    let facts = fact_scope.facts();
    drop(fact_scope);
    drop(guard);
    // A closure would become the line that the error names.
    let outs = match outs {
        Ok(outs) => outs,
        Err(error) => refuse(error),
    };
    let mut builder = std::mem::take(&mut *opened.builder.borrow_mut());
    let const_values = std::mem::take(&mut builder.const_values);
    let Builder { args, consts, eqns, .. } = builder;
    let program = Program { name: name.to_string(), args, consts, eqns, outs, facts };
    Traced { program: program.renumbered(), consts: const_values }
}

/// Runs a program by binding its equations: computes outside a trace, records inside one.
pub fn interpret(program: &Program, consts: &[Value], args: &[Value]) -> Vec<Value> {
    adopt(&program.facts);
    let mut env: Vec<Option<Value>> = vec![None; program.n_var()];
    for (binder, value) in program.args.iter().zip(args).chain(program.consts.iter().zip(consts)) {
        env[binder.var.index()] = Some(value.clone());
    }
    for eqn in &program.eqns {
        let ins: SmallVec<[Value; 4]> = eqn.ins.iter().map(|atom| read(*atom, &env)).collect();
        let ins: SmallVec<[&Value; 4]> = ins.iter().collect();
        let outs = with_location(eqn.location, || bind(eqn.prim, &ins, eqn.params.clone()));
        for (binder, value) in eqn.outs.iter().zip(outs) {
            env[binder.var.index()] = Some(value);
        }
    }
    program.outs.iter().map(|atom| read(*atom, &env)).collect()
}

/// The value of an operand.
pub(crate) fn read(atom: Atom, env: &[Option<Value>]) -> Value {
    match atom {
        Atom::Var(var) => env[var.index()].clone().expect("a verified program binds before it reads"),
        Atom::Literal(literal) => scalar(literal),
    }
}

/// A scalar value.
pub(crate) fn scalar(literal: Literal) -> Value {
    literal.into()
}
