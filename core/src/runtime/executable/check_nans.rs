//! `check_nans`: the equation that made the first NaN or infinity.
//!
//! Only if a result is not finite, the program is rerun, equation by equation, through the reference interpreter. From
//! the results that are not finite it traces back through operands that are not. It names the first equation on this
//! path that makes a NaN if no operand has one, or an infinity if every operand is finite. So a masked logarithm of
//! zero is ignored, and an infinite literal, constant or argument is no error.

use crate::aval::Sizes;
use crate::device::{Data, HostArray};
use crate::error::Error;
use crate::ir::{Atom, Eqn, Program, Value, Values, evaluate_values, observed, without_effects};
use half::{bf16, f16};
use std::cell::OnceCell;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;

/// Checks results; the error names the equation, its line, the position, and its operands.
pub(in crate::runtime) fn check(
    program: &Program,
    args: &[Arc<HostArray>],
    consts: &[Arc<HostArray>],
    sizes: &Sizes,
    results: &[Value],
) -> Result<(), Error> {
    let results = results.iter().map(Value::to_host).collect::<Result<Vec<_>, _>>()?;
    let Some(wrong) = results.iter().position(|array| Numbers::of(array).is_wrong()) else { return Ok(()) };
    let values = without_effects(|| evaluate_values(program, args, consts, sizes));
    if !program.outs.iter().any(|atom| Numbers::of(&value(*atom, &values)).is_wrong()) {
        return Err(Error::NotFinite(format!(
            "check_nans: result {wrong} of @{} is not finite, and no equation of it makes such a number by itself\n  \
             the numbers are too near to the end of their range: compute in f64, or scale them",
            program.name
        )));
    }
    let Some((eqn, why)) = culprit(program, &values) else { return Ok(()) };
    let nested = within(eqn, &values, sizes);
    Err(Error::NotFinite(format!("check_nans: {}", nested.unwrap_or(why))))
}

/// The value of an operand.
fn value(atom: Atom, values: &Values) -> Arc<HostArray> {
    match atom {
        Atom::Var(var) => values[var.index()].clone().expect("a verified program binds before it reads"),
        Atom::Literal(literal) => Arc::new(HostArray::scalar(literal)),
    }
}

/// The first equation on the path to a result that is not finite that makes such a number, and its description.
fn culprit<'a>(program: &'a Program, values: &Values) -> Option<(&'a Eqn, String)> {
    let mut leads = vec![false; program.n_var()];
    let mark = |atoms: &[Atom], leads: &mut [bool]| {
        for atom in atoms {
            if let Atom::Var(var) = atom {
                leads[var.index()] |= Numbers::of(&value(*atom, values)).is_wrong();
            }
        }
    };
    mark(&program.outs, &mut leads);
    let mut first = None;
    for eqn in program.eqns.iter().rev() {
        if !eqn.outs.iter().any(|binder| leads[binder.var.index()]) {
            continue;
        }
        mark(&eqn.ins, &mut leads);
        let ins: Vec<Arc<HostArray>> = eqn.ins.iter().map(|atom| value(*atom, values)).collect();
        let operands: Numbers = ins.iter().map(|array| Numbers::of(array)).fold(Numbers::default(), Numbers::and);
        for binder in eqn.outs.iter().filter(|binder| leads[binder.var.index()]) {
            let out = value(Atom::Var(binder.var), values);
            if let Some(made) = operands.made(&Numbers::of(&out)) {
                first = Some((eqn, describe(program, eqn, binder.var, &out, &ins, made)));
            }
        }
    }
    first
}

/// The equation within the programs that `eqn` runs, in the first iteration that makes such a number.
fn within(eqn: &Eqn, values: &Values, sizes: &Sizes) -> Option<String> {
    eqn.params.programs_within().next()?;
    let found: Rc<OnceCell<String>> = Rc::default();
    let observer = {
        let found = found.clone();
        move |program: &Program, values: &Values| {
            if found.get().is_none()
                && let Some((_, why)) = culprit(program, values)
            {
                let _ = found.set(why);
            }
        }
    };
    let ins: Vec<Arc<HostArray>> = eqn.ins.iter().map(|atom| value(*atom, values)).collect();
    let refs: Vec<&HostArray> = ins.iter().map(|array| array.as_ref()).collect();
    without_effects(|| observed(observer, || eqn.prim.eval(&refs, &eqn.params.at(sizes))));
    let why = found.get()?;
    Some(format!("{why}\n  within {} at {}", eqn.prim.name(), eqn.location))
}

/// The numbers that are not finite: the first position of each kind.
#[derive(Clone, Copy, Default)]
struct Numbers {
    nan: Option<usize>,
    infinity: Option<usize>,
}

/// What an equation made that its operands did not have.
struct Made {
    what: &'static str,
    at: usize,
    of: &'static str,
}

impl Numbers {
    fn of(array: &HostArray) -> Numbers {
        fn find<T: Copy>(xs: &[T], is_nan: fn(T) -> bool, is_infinite: fn(T) -> bool) -> Numbers {
            Numbers { nan: xs.iter().position(|x| is_nan(*x)), infinity: xs.iter().position(|x| is_infinite(*x)) }
        }
        match array.data() {
            Data::F32(xs) => find(xs, f32::is_nan, f32::is_infinite),
            Data::F64(xs) => find(xs, f64::is_nan, f64::is_infinite),
            Data::F16(xs) => find(xs, f16::is_nan, f16::is_infinite),
            Data::BF16(xs) => find(xs, bf16::is_nan, bf16::is_infinite),
            _ => Numbers::default(),
        }
    }

    fn and(self, other: Numbers) -> Numbers {
        Numbers { nan: self.nan.or(other.nan), infinity: self.infinity.or(other.infinity) }
    }

    fn is_wrong(&self) -> bool {
        self.nan.is_some() || self.infinity.is_some()
    }

    /// What `out` has that operands with these numbers do not explain.
    fn made(&self, out: &Numbers) -> Option<Made> {
        let of = if self.infinity.is_some() { "infinite" } else { "finite" };
        match (out.nan, out.infinity) {
            (Some(at), _) if self.nan.is_none() => Some(Made { what: "a NaN", at, of }),
            (_, Some(at)) if !self.is_wrong() => Some(Made { what: "an infinity", at, of }),
            _ => None,
        }
    }
}

fn describe(
    program: &Program,
    eqn: &Eqn,
    var: crate::ir::Var,
    out: &HostArray,
    ins: &[Arc<HostArray>],
    made: Made,
) -> String {
    let Made { what, at, of } = made;
    let place = place_of(at, &out.shape());
    let mut text = format!(
        "{} makes {what} of {of} operands in @{}\n  {}\n  at {}\n  {var} is {:?} at {place}",
        eqn.prim.name(),
        program.name,
        one_line(eqn),
        eqn.location,
        out.get(at).as_f64()
    );
    for (atom, array) in eqn.ins.iter().zip(ins) {
        let Atom::Var(operand) = atom else { continue };
        // Writing to a string does not fail.
        let _ = write!(text, "\n  operand {operand}: {}", summary(array));
        if array.shape() == out.shape() && array.shape().iter().any(|extent| *extent != 1) {
            let _ = write!(text, "; {:?} at {place}", array.get(at).as_f64());
        }
    }
    text
}

/// The equation's text; if it contains programs, the first line.
fn one_line(eqn: &Eqn) -> String {
    let text = eqn.to_string();
    text.lines().next().unwrap_or_default().to_string()
}

/// Type, range, and how many are not finite.
fn summary(array: &HostArray) -> String {
    let numbers: Vec<f64> = (0..array.len()).map(|i| array.get(i).as_f64()).collect();
    let finite: Vec<f64> = numbers.iter().copied().filter(|x| x.is_finite()).collect();
    let aval = crate::device::Buffer::aval(array);
    let least = finite.iter().copied().reduce(f64::min);
    let most = finite.iter().copied().reduce(f64::max);
    let range = match (least, most) {
        (Some(least), Some(most)) if finite.len() == 1 && least == most => format!("{aval} {least:?}"),
        (Some(least), Some(most)) => format!("{aval} from {least:?} to {most:?}"),
        _ if numbers.is_empty() => format!("{aval} without elements"),
        _ => format!("{aval}"),
    };
    match numbers.len() - finite.len() {
        0 => range,
        n => format!("{range}, {n} of {} not finite", numbers.len()),
    }
}

/// A row-major position as `[i, j]`.
fn place_of(at: usize, shape: &[usize]) -> String {
    let mut rest = at;
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|extent| {
            let i = rest % extent;
            rest /= extent;
            i
        })
        .collect();
    index.reverse();
    format!("{index:?}")
}
