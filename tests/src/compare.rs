//! Running programs on the reference interpreter, comparing arrays, and central differences.

use crate::arrays::{Random, from_numbers, moved, numbers, random_array, widened};
use gavotte_core::aval::{Aval, DType, Literal, Sizes};
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Atom, Attr, Params, Program, evaluate, verify};
use std::sync::Arc;

/// The sizes of symbols, from the shapes of these arrays: arguments, then constants.
pub fn sizes(program: &Program, arrays: &[HostArray]) -> Sizes {
    let mut sizes = Sizes::new();
    for (binder, array) in program.args.iter().chain(&program.consts).zip(arrays) {
        for (dim, extent) in binder.aval.shape.iter().zip(array.shape()) {
            if let Some((symbol, size)) = dim.solve(extent) {
                sizes.set(symbol, size).expect("a symbol has one size");
            }
        }
    }
    sizes
}

/// The reference interpreter's results. `arrays` are the arguments, then the constants.
pub fn run(program: &Program, arrays: &[HostArray]) -> Vec<HostArray> {
    let sizes = sizes(program, arrays);
    let all: Vec<Arc<HostArray>> = arrays.iter().cloned().map(Arc::new).collect();
    let (args, consts) = all.split_at(program.args.len());
    evaluate(program, args, consts, &sizes).into_iter().map(Arc::unwrap_or_clone).collect()
}

/// How two lists of arrays differ by more than `tolerance · (1 + |wanted|)`, if they do. With a tolerance of 0 the bits
/// must be equal, except for the sign of a zero and the payload of a NaN. Integers and `bool`s must always be equal.
pub fn difference(found: &[HostArray], wanted: &[HostArray], tolerance: f64) -> Option<String> {
    if found.len() != wanted.len() {
        return Some(format!("{} results, not {}", found.len(), wanted.len()));
    }
    found.iter().zip(wanted).enumerate().find_map(|(i, (found, wanted))| {
        if (found.dtype(), found.shape()) != (wanted.dtype(), wanted.shape()) {
            return Some(format!("result {i}: {found:?}, not {wanted:?}"));
        }
        let tolerance = if found.dtype().is_float() { tolerance } else { 0.0 };
        let (a, b) = (numbers(found), numbers(wanted));
        let at = (0..a.len()).find(|at| !close(a[*at], b[*at], tolerance))?;
        Some(format!("result {i}, element {at}: {:?}, not {:?}\n  {found:?}\n  {wanted:?}", a[at], b[at]))
    })
}

/// How two lists of arrays of the same types differ in any bit, if they do. All NaN count as equal.
pub fn difference_in_bits(found: &[HostArray], wanted: &[HostArray]) -> Option<String> {
    let is_nan = |x: Literal| x.as_f64().is_nan();
    found.iter().zip(wanted).enumerate().find_map(|(i, (found, wanted))| {
        let differs = |at: &usize| {
            let (a, b) = (found.get(*at), wanted.get(*at));
            a != b && !(a.dtype() == b.dtype() && is_nan(a) && is_nan(b))
        };
        let at = (0..wanted.len()).find(differs)?;
        Some(format!("result {i}, element {at}: {}, not {}", found.get(at), wanted.get(at)))
    })
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * (1.0 + b.abs())
}

/// The sum of products of two lists of arrays.
pub fn dot(a: &[HostArray], b: &[HostArray]) -> f64 {
    assert_eq!(a.len(), b.len(), "the same number of factors left and right");
    a.iter().zip(b).map(|(a, b)| numbers(a).iter().zip(numbers(b)).map(|(a, b)| a * b).sum::<f64>()).sum()
}

/// The arrays of floating type.
pub fn floating(arrays: &[HostArray]) -> Vec<HostArray> {
    arrays.iter().filter(|array| array.dtype().is_float()).cloned().collect()
}

/// A random array for each, of the same type.
pub fn random_like(arrays: &[HostArray], random: &mut Random) -> Vec<HostArray> {
    arrays.iter().map(|array| random_array(&Aval::new(array.dtype(), array.shape()), random)).collect()
}

/// Derivatives of the floating results along `directions` (one for each floating argument) by central differences.
/// Elements where the function is not defined on either side are NaN.
pub fn differences(program: &Program, arrays: &[HostArray], directions: &[HostArray]) -> Vec<HostArray> {
    const STEP: f64 = 1e-5;
    let at = |step: f64| {
        let mut directions = directions.iter();
        let moved: Vec<HostArray> = program
            .args
            .iter()
            .zip(arrays)
            .map(|(binder, array)| match binder.aval.dtype.is_float() {
                true => moved(array, directions.next().expect("a direction for each floating argument"), step),
                false => array.clone(),
            })
            .chain(arrays[program.args.len()..].iter().cloned())
            .collect();
        floating(&run(program, &moved))
    };
    let (above, below) = (at(STEP), at(-STEP));
    let slope = |(a, b): (&HostArray, &HostArray)| {
        let slopes: Vec<f64> = numbers(a).iter().zip(numbers(b)).map(|(a, b)| (a - b) / (2.0 * STEP)).collect();
        from_numbers(&a.shape(), a.dtype(), &slopes)
    };
    above.iter().zip(&below).map(slope).collect()
}

/// `found` with NaN where `wanted` is NaN: undefined values are not compared.
pub fn where_defined(found: &[HostArray], wanted: &[HostArray]) -> Vec<HostArray> {
    let mask = |(found, wanted): (&HostArray, &HostArray)| {
        let masked: Vec<f64> =
            numbers(found).iter().zip(numbers(wanted)).map(|(x, w)| if w.is_nan() { w } else { *x }).collect();
        from_numbers(&found.shape(), found.dtype(), &masked)
    };
    found.iter().zip(wanted).map(mask).collect()
}

/// The program with `f64` for every floating type in every type, literal and attribute; `None` if it is then not well formed.
pub fn widened_program(program: &Program) -> Option<Program> {
    let wide = widened_unchecked(program);
    verify(&wide).is_ok().then_some(wide)
}

fn widened_unchecked(program: &Program) -> Program {
    let atom = |atom: &mut Atom| {
        if let Atom::Literal(literal) = atom {
            *literal = widened_literal(*literal);
        }
    };
    let mut wide = program.clone();
    for binder in wide.args.iter_mut().chain(&mut wide.consts) {
        binder.aval.dtype = widened_dtype(binder.aval.dtype);
    }
    for eqn in &mut wide.eqns {
        eqn.ins.iter_mut().for_each(atom);
        eqn.outs.iter_mut().for_each(|binder| binder.aval.dtype = widened_dtype(binder.aval.dtype));
        eqn.params = widened_params(&eqn.params);
    }
    wide.outs.iter_mut().for_each(atom);
    wide
}

fn widened_dtype(dtype: DType) -> DType {
    if dtype.is_float() { DType::F64 } else { dtype }
}

fn widened_literal(literal: Literal) -> Literal {
    literal.convert(widened_dtype(literal.dtype()))
}

fn widened_params(params: &Params) -> Params {
    fn widen(attr: &Attr) -> Attr {
        match attr {
            Attr::DType(dtype) => Attr::DType(widened_dtype(*dtype)),
            Attr::Literal(literal) => Attr::Literal(widened_literal(*literal)),
            Attr::List(attrs) => Attr::List(attrs.iter().map(widen).collect()),
            Attr::Program(program) => Attr::Program(Arc::new(widened_unchecked(program))),
            other => other.clone(),
        }
    }
    params.map(&mut widen)
}

/// Arrays with `f64` for `f32`.
pub fn widened_arrays(arrays: &[HostArray]) -> Vec<HostArray> {
    arrays.iter().map(widened).collect()
}
