//! The checks of each sample: the sample itself, and what every transformation makes of it.

use gavotte_core::aval::{Aval, DType, Dim};
use gavotte_core::device::HostArray;
use gavotte_core::ir::Program;
use gavotte_tests::arrays::{Random, from_numbers, random_array, stack};
use gavotte_tests::cases::{
    BATCH, Case, DERIVED_BY_MPMATH, NOT_IN_F64, OPEN_ON_EQUAL_ELEMENTS, OWN_DERIVATIVE, batchings, in_operands,
    is_linear, is_listed, nearby, not_batched, on_known_operands, turn,
};
use gavotte_tests::compare::{floating, widened_arrays, widened_program};
use gavotte_tests::oracle::Check;
use gavotte_tests::transformed::Transform;

/// Every check of a sample.
pub(crate) fn checks_of(name: &str, case: &Case) -> Vec<Check> {
    let program = case.program();
    let value = Check::new(name, &program, &case.ins);
    let mut checks = vec![value.clone()];
    let is_by_mpmath = DERIVED_BY_MPMATH.contains(&case.prim.name());
    if is_by_mpmath && case.ins.iter().any(|array| array.dtype() != DType::F64) {
        return vec![];
    }
    let is_open = is_by_mpmath || is_listed(OPEN_ON_EQUAL_ELEMENTS, case.prim);
    let known = on_known_operands(case).into_iter().skip(1).filter(|_| !is_open).enumerate();
    checks.extend(known.map(|(i, program)| Check::new(format!("{name} on known operands {i}"), &program, &case.ins)));
    checks.extend(batchings(&case.ins).into_iter().filter(|axes| is_allowed(case, axes)).map(|in_axes| {
        let inputs = batched(&case.ins, &in_axes);
        value.transformed(Transform::Vmap(in_axes, BATCH), inputs)
    }));
    for (program, arrays) in tied(case).into_iter().filter(|_| !is_open) {
        let value = Check::new(format!("{name} on equal elements"), &program, &arrays);
        let mut transforms = vec![Transform::Jvp];
        transforms.extend(case.is_reversed().then_some(Transform::Vjp));
        checks.extend(transforms.into_iter().map(|transform| then(&value, transform, &mut Random::new(7))));
    }
    for (program, arrays) in derivable(case).into_iter().filter(|_| !is_by_mpmath) {
        let name = format!("{name} in {:?}", program.out_avals());
        checks.extend(derivatives(&name, case, &program, &arrays));
    }
    checks
}

fn is_allowed(case: &Case, in_axes: &[Option<usize>]) -> bool {
    (0..in_axes.len()).all(|i| in_axes[i].is_none() || !not_batched(case, i))
}

/// Three elements along each axis, other operands unchanged.
pub(crate) fn batched(ins: &[HostArray], in_axes: &[Option<usize>]) -> Vec<HostArray> {
    let elements: Vec<Vec<HostArray>> = (0..BATCH).map(|i| turn(ins, i)).collect();
    let operand = |(i, axis): (usize, &Option<usize>)| match axis {
        Some(axis) => stack(&elements.iter().map(|element| element[i].clone()).collect::<Vec<_>>(), *axis),
        None => ins[i].clone(),
    };
    in_axes.iter().enumerate().map(operand).collect()
}

/// Primitives that are linear, and that JAX transposes only if told that all indices differ. Their derivatives in reverse
/// mode are compared nevertheless.
const NOT_TRANSPOSED_BY_JAX: &[&str] = &["scatter"];

/// The sample near its point, in its own types and in `f64`, if it has a derivative.
fn derivable(case: &Case) -> Vec<(Program, Vec<HostArray>)> {
    let program = case.program();
    if floating(&case.ins).is_empty() {
        return vec![];
    }
    let mut random = Random::new(5);
    let near: Vec<HostArray> = case.ins.iter().map(|array| nearby(array, &mut random)).collect();
    let own = (program.clone(), near.clone());
    match widened_program(&program) {
        Some(wide) if wide != program => vec![own, (wide, widened_arrays(&near))],
        _ => vec![own],
    }
}

/// The widened sample with all floating elements equal: in a tie the derivative is a matter of convention, here JAX's.
fn tied(case: &Case) -> Vec<(Program, Vec<HostArray>)> {
    let equal = |x: f64| {
        let put = |array: &HostArray| match array.dtype().is_float() {
            true => from_numbers(&array.shape(), array.dtype(), &vec![x; array.len()]),
            false => array.clone(),
        };
        widened_arrays(&case.ins).iter().map(put).collect::<Vec<_>>()
    };
    match widened_program(&case.program()) {
        Some(wide) if !floating(&case.ins).is_empty() => [0.0, 1.5].map(|x| (wide.clone(), equal(x))).to_vec(),
        _ => vec![],
    }
}

/// Inputs for a program that takes more than `arrays`: random ones follow them.
pub(crate) fn completed(program: &Program, arrays: &[HostArray], random: &mut Random) -> Vec<HostArray> {
    let more = program.args.iter().chain(&program.consts).skip(arrays.len());
    arrays.iter().cloned().chain(more.map(|binder| random_array(&binder.aval, random))).collect()
}

/// A check of one more transformation whose further inputs are random.
pub(crate) fn then(check: &Check, transform: Transform, random: &mut Random) -> Check {
    let inputs = completed(&transform.of(&check.program), &check.inputs, random);
    check.transformed(transform, inputs)
}

/// Derivatives of all kinds, with respect to all operands and to each alone.
fn derivatives(name: &str, case: &Case, program: &Program, arrays: &[HostArray]) -> Vec<Check> {
    // What has a derivative of its own may be linear in operands together that it has no transposition for.
    let (is_reversed, has_own) = (case.is_reversed(), is_listed(OWN_DERIVATIVE, case.prim));
    let mut random = Random::new(6);
    let mut checks = vec![];
    // The rules are the same for every floating type.
    if arrays.iter().any(|array| array.dtype().is_narrow()) {
        return checks;
    }
    let floats: Vec<usize> = (0..arrays.len()).filter(|i| arrays[*i].dtype().is_float()).collect();
    let has_derivative = program.out_avals().iter().any(|aval: &Aval| aval.dtype.is_float());
    let is_wide = !program.binders().any(|binder| binder.aval.dtype == DType::F32);
    for unknown in subsets(&floats) {
        let (part, inputs) = in_operands(program, arrays, &unknown);
        let value = Check::new(format!("{name} of {unknown:?}"), &part, &inputs);
        let forward = [Transform::Jvp, Transform::Linearize].map(|transform| then(&value, transform, &mut random));
        if has_derivative && is_wide {
            checks.push(then(&forward[0], Transform::Jvp, &mut random));
        }
        checks.extend(forward);
        if !is_reversed {
            continue;
        }
        let vjp = then(&value, Transform::Vjp, &mut random);
        if has_derivative && is_wide {
            checks.extend([Transform::Jvp, Transform::Vjp].map(|transform| then(&vjp, transform, &mut random)));
            let in_axes: Vec<Option<usize>> =
                vjp.inputs.iter().map(|array| array.dtype().is_float().then_some(0)).collect();
            checks.push(vjp.transformed(Transform::Vmap(in_axes.clone(), BATCH), batched(&vjp.inputs, &in_axes)));
        }
        checks.push(vjp);
        // Anything is linear in an empty operand, which JAX does not accept as a reason.
        let is_empty = part.args.iter().any(|binder| binder.aval.volume() == Dim::from(0));
        let is_one = unknown.len() == 1 || !has_own;
        let is_jaxs = !NOT_TRANSPOSED_BY_JAX.contains(&case.prim.name());
        if has_derivative && !is_empty && is_one && is_jaxs && is_linear(&part, &inputs, &mut random) {
            let cotangents: Vec<HostArray> =
                part.out_avals().iter().map(|aval| random_array(aval, &mut random)).collect();
            let inputs = inputs[part.args.len()..].iter().cloned().chain(cotangents).collect();
            checks.push(value.transformed(Transform::Transpose, inputs));
        }
    }
    checks
}

/// Every nonempty set of operands, if there are few; otherwise all of them, and each alone.
fn subsets(of: &[usize]) -> Vec<Vec<usize>> {
    if of.len() > 3 {
        return std::iter::once(of.to_vec()).chain(of.iter().map(|i| vec![*i])).collect();
    }
    let subset = |bits: usize| of.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, x)| *x).collect();
    (1..1usize << of.len()).map(subset).collect()
}

/// Excuses that do not count here: JAX knows `stop_gradient`, and primitives without an `f64` form are compared in
/// `f32`.
#[test]
fn no_primitive_is_excused() {
    for (name, _) in OWN_DERIVATIVE.iter().chain(NOT_IN_F64) {
        let prim = gavotte::registry().get(name).expect("an excuse names a primitive");
        let checked = prim.samples().into_iter().any(|sample| {
            let case = Case { prim, params: sample.params, ins: sample.ins };
            !checks_of(name, &case).is_empty()
        });
        assert!(checked, "{name}");
    }
}
