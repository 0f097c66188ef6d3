//! The reference interpreter: runs each equation by its primitive's `eval`. Slow and simple; the oracle for everything
//! below it.

use crate::aval::{Aval, Dim, Sizes};
use crate::device::{Buffer, HostArray, cpu, memory};
use crate::error::Error;
use crate::ir::program::Atom;
use crate::ir::segments::check_operands;
use crate::ir::{Location, Params, Primitive, Program, Value, refuse, with_location};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::sync::Arc;

/// The value of every variable of a program, by number.
pub(crate) type Values = [Option<Arc<HostArray>>];

type Observer = Box<dyn FnMut(&Program, &Values)>;

thread_local! {
    static OBSERVER: RefCell<Option<Observer>> = const { RefCell::new(None) };
}

/// Runs `f` and shows `observer` every program that [`evaluate`] completes meanwhile, innermost first.
pub(crate) fn observed<R>(observer: impl FnMut(&Program, &Values) + 'static, f: impl FnOnce() -> R) -> R {
    /// Restores the old observer, also while a panic unwinds.
    struct Restore(Option<Observer>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = OBSERVER.replace(self.0.take());
        }
    }
    let _restore = Restore(OBSERVER.replace(Some(Box::new(observer))));
    f()
}

/// Computes one primitive on computed values, on the device of its operands. `outs` are the types that it must return;
/// `location` is the user's line.
pub(crate) fn eval_concrete(
    prim: &dyn Primitive,
    ins: &[&Value],
    params: &Params,
    outs: &[Aval],
    location: Location,
) -> Result<SmallVec<[Value; 1]>, Error> {
    let arrays = ins.iter().map(|value| value.to_host_at(location)).collect::<Result<SmallVec<[_; 4]>, _>>()?;
    let refs: SmallVec<[&HostArray; 4]> = arrays.iter().map(|array| array.as_ref()).collect();
    let device = ins.iter().find(|value| value.rank() > 0).and_then(|value| value.device()).unwrap_or_else(cpu);
    let made = eval_checked(prim, &refs, params, outs.iter(), location)?;
    let values = made.into_iter().map(|array| Ok(Value::from_buffer(device.put(Arc::new(array))?)));
    let values: SmallVec<[Value; 1]> = values.collect::<Result<_, Error>>()?;
    check_made(prim, "the device's `put`", values.iter().map(Value::aval), outs.iter(), location)?;
    Ok(values)
}

/// The outputs of a primitive for these operands, checked to have the types `outs`.
pub(crate) fn eval_checked<'a>(
    prim: &dyn Primitive,
    ins: &[&HostArray],
    params: &Params,
    outs: impl Iterator<Item = &'a Aval> + Clone,
    location: Location,
) -> Result<Vec<HostArray>, Error> {
    let is_symbolic = |dim: &Dim| dim.as_number().is_none();
    let of_results = outs.clone().find(|aval| aval.shape.iter().any(is_symbolic));
    let of_results = of_results.map(|aval| format!("{aval} has a size that is a symbol"));
    let of_params = || params.find_dim(|name, dim| is_symbolic(dim).then(|| format!("`{name}` is {dim}, a symbol")));
    if let Some(what) = of_results.or_else(of_params) {
        let why = "outside a traced function every size is a number";
        return Err(Error::Type(format!("{}: {what}: {why}\n  at {location}", prim.name())));
    }
    let bytes = outs.clone().map(|aval| aval.bytes().unwrap_or(usize::MAX)).fold(0, usize::saturating_add);
    memory::require(bytes).map_err(|why| {
        let outs: Vec<_> = outs.clone().collect();
        Error::TooLarge(format!("{}: its result {outs:?} is too large: {why}\n  at {location}", prim.name()))
    })?;
    if let Some(operands) = prim.segments() {
        check_operands(operands, ins).map_err(|why| Error::Call(format!("{}: {why}\n  at {location}", prim.name())))?;
    }
    // A refusal in `eval` names the user's line.
    let made = with_location(location, || eval_computed(prim, ins, params, outs.clone()));
    check_made(prim, "its `eval`", made.iter().map(Buffer::aval), outs, location)?;
    Ok(made)
}

/// The outputs of a primitive for operands that fit: those of [`Primitive::eval`], also on narrow types.
///
/// # Panics
/// If the operands do not fit.
pub fn eval_primitive(prim: &dyn Primitive, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
    if ins.iter().all(|array| prim.computed_in(array.dtype()) == array.dtype()) {
        return prim.eval(ins, params);
    }
    let avals: Vec<&Aval> = ins.iter().map(|array| array.aval()).collect();
    let outs = match prim.abstract_eval(&avals, params) {
        Ok(outs) => outs,
        Err(why) => panic!("{}: {why}", prim.name()),
    };
    eval_computed(prim, ins, params, outs.iter())
}

/// The outputs, computed in the types that the primitive chooses, and converted to those of `outs`.
fn eval_computed<'a>(
    prim: &dyn Primitive,
    ins: &[&HostArray],
    params: &Params,
    outs: impl Iterator<Item = &'a Aval>,
) -> Vec<HostArray> {
    let computed = |array: &HostArray| prim.computed_in(array.dtype());
    if ins.iter().all(|array| computed(array) == array.dtype()) {
        return prim.eval(ins, params);
    }
    let ins: Vec<HostArray> = ins.iter().map(|array| array.convert(computed(array))).collect();
    let made = prim.eval(&ins.iter().collect::<Vec<_>>(), params);
    made.iter().zip(outs).map(|(array, aval)| array.convert(aval.dtype)).collect()
}

fn check_made<'m, 'a>(
    prim: &dyn Primitive,
    by: &str,
    made: impl Iterator<Item = &'m Aval> + Clone,
    wanted: impl Iterator<Item = &'a Aval> + Clone,
    location: Location,
) -> Result<(), Error> {
    if made.clone().eq(wanted.clone()) {
        return Ok(());
    }
    let (made, wanted): (Vec<_>, Vec<_>) = (made.collect(), wanted.collect());
    let name = prim.name();
    Err(Error::Call(format!(
        "{name}: {by} returns {made:?}, where its `abstract_eval` says {wanted:?}: correct the primitive\n  at {location}"
    )))
}

/// Runs a program on host arrays: arguments first, then constants, as in the program's text.
///
/// `sizes` holds the size of every symbol.
///
/// # Panics
/// If a primitive panics, or returns types other than those of its `abstract_eval`.
pub fn evaluate(
    program: &Program,
    args: &[Arc<HostArray>],
    consts: &[Arc<HostArray>],
    sizes: &Sizes,
) -> Vec<Arc<HostArray>> {
    let env = evaluate_values(program, args, consts, sizes);
    OBSERVER.with_borrow_mut(|observer| {
        if let Some(observer) = observer {
            observer(program, &env);
        }
    });
    program.outs.iter().map(|atom| read(*atom, &env)).collect()
}

/// [`evaluate`], but returns the value of every variable by number.
pub(crate) fn evaluate_values(
    program: &Program,
    args: &[Arc<HostArray>],
    consts: &[Arc<HostArray>],
    sizes: &Sizes,
) -> Vec<Option<Arc<HostArray>>> {
    let mut env: Vec<Option<Arc<HostArray>>> = vec![None; program.n_var()];
    for (binder, array) in program.args.iter().zip(args).chain(program.consts.iter().zip(consts)) {
        env[binder.var.index()] = Some(array.clone());
    }
    for eqn in &program.eqns {
        let ins: SmallVec<[Arc<HostArray>; 4]> = eqn.ins.iter().map(|atom| read(*atom, &env)).collect();
        let refs: SmallVec<[&HostArray; 4]> = ins.iter().map(|array| array.as_ref()).collect();
        let avals: SmallVec<[Aval; 1]> = eqn.outs.iter().map(|binder| binder.aval.at(sizes)).collect();
        let outs = eval_checked(eqn.prim, &refs, &eqn.params.at(sizes), avals.iter(), eqn.location);
        for (binder, array) in eqn.outs.iter().zip(outs.unwrap_or_else(|error| refuse(error))) {
            env[binder.var.index()] = Some(Arc::new(array));
        }
    }
    env
}

/// The value of an operand.
fn read(atom: Atom, env: &[Option<Arc<HostArray>>]) -> Arc<HostArray> {
    match atom {
        Atom::Var(var) => env[var.index()].clone().expect("a verified program binds before it reads"),
        Atom::Literal(literal) => Arc::new(HostArray::scalar(literal)),
    }
}
