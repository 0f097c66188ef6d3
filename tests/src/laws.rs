//! The laws of the transformations, checked on one program at one point. All programs here compute in `f64`.

use crate::arrays::{Random, from_numbers, slice, stack};
use crate::compare::{difference, differences, dot, floating, random_like, run, where_defined};
use crate::transformed::{jvp_program, linearize_programs, transpose_program, vjp_program, vmap_program};
use gavotte_core::aval::Dim;
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Program, verify};

/// Between a derivative and central differences, relative.
const DIFFERENCES: f64 = 1e-5;
/// Between two exact ways to compute the same number, relative.
const EXACT: f64 = 1e-9;

fn tangents(program: &Program, arrays: &[HostArray], random: &mut Random) -> Vec<HostArray> {
    random_like(&floating(&arrays[..program.args.len()]), random)
}

fn cotangents(program: &Program, arrays: &[HostArray], random: &mut Random) -> Vec<HostArray> {
    random_like(&floating(&run(program, arrays)), random)
}

/// Runs a transformed program after verifying it; returns its results after the first `skip`.
fn tail(program: &Program, arrays: &[HostArray], more: &[HostArray], skip: usize) -> Result<Vec<HostArray>, String> {
    verify(program).map_err(|error| error.to_string())?;
    let all: Vec<HostArray> = arrays.iter().chain(more).cloned().collect();
    let mut outs = run(program, &all);
    Ok(outs.split_off(skip))
}

fn same_number(what: &str, a: f64, b: f64) -> Result<(), String> {
    let fits = (a - b).abs() <= EXACT * (1.0 + a.abs() + b.abs());
    if fits { Ok(()) } else { Err(format!("{what}: {a} and {b}")) }
}

fn explained(what: &str, difference: Option<String>, program: &Program) -> Result<(), String> {
    difference.map_or(Ok(()), |why| Err(format!("{what}: {why}\n{program}")))
}

/// `jvp` agrees with central differences.
pub fn check_jvp(program: &Program, arrays: &[HostArray], random: &mut Random) -> Result<(), String> {
    let t = tangents(program, arrays, random);
    let transformed = jvp_program(program);
    let found = tail(&transformed, arrays, &t, program.outs.len())?;
    let wanted = differences(program, arrays, &t);
    explained(
        "jvp against differences",
        difference(&where_defined(&found, &wanted), &wanted, DIFFERENCES),
        &transformed,
    )
}

/// `vjp` is the adjoint of `jvp`: `<J t, c> = <t, Jᵀ c>`.
pub fn check_vjp(program: &Program, arrays: &[HostArray], random: &mut Random) -> Result<(), String> {
    let (t, c) = (tangents(program, arrays, random), cotangents(program, arrays, random));
    let moved = tail(&jvp_program(program), arrays, &t, program.outs.len())?;
    let transformed = vjp_program(program);
    let pulled = tail(&transformed, arrays, &c, program.outs.len())?;
    same_number("<J t, c> and <t, Jᵀ c>", dot(&moved, &c), dot(&t, &pulled))
        .map_err(|why| format!("{why}\n{transformed}"))
}

/// The program from `linearize` computes what `jvp` does.
pub fn check_linearize(program: &Program, arrays: &[HostArray], random: &mut Random) -> Result<(), String> {
    let t = tangents(program, arrays, random);
    let moved = tail(&jvp_program(program), arrays, &t, program.outs.len())?;
    let (primal, linear, places) = linearize_programs(program);
    let residuals = tail(&primal, arrays, &[], program.outs.len())?;
    let found = tail(&linear, &t, &residuals, 0)?;
    let floats = program.out_avals().into_iter().zip(places).filter(|(aval, _)| aval.dtype.is_float());
    let spread = |(place, moved): (Option<usize>, &HostArray)| match place {
        Some(place) => found[place].clone(),
        None => from_numbers(&moved.shape(), moved.dtype(), &vec![0.0; moved.len()]),
    };
    let found: Vec<HostArray> = floats.map(|(_, place)| place).zip(&moved).map(spread).collect();
    explained("linearize against jvp", difference(&found, &moved, EXACT), &linear)
}

/// A linear program and its transpose: `<f(t), c> = <t, fᵀ(c)>`.
pub fn check_transpose(program: &Program, arrays: &[HostArray], random: &mut Random) -> Result<(), String> {
    let (t, consts) = arrays.split_at(program.args.len());
    let outs = run(program, arrays);
    let c = random_like(&outs, random);
    let transposed = transpose_program(program);
    let pulled = tail(&transposed, consts, &c, 0)?;
    same_number("<f(t), c> and <t, fᵀ(c)>", dot(&outs, &c), dot(t, &pulled))
        .map_err(|why| format!("{why}\n{transposed}"))
}

/// The program over one more axis computes what a loop over it does. `each` holds the arrays of every iteration; those
/// of an argument without a batch axis are equal in all.
pub fn check_vmap(
    program: &Program,
    in_axes: &[Option<usize>],
    each: &[Vec<HostArray>],
    tolerance: f64,
) -> Result<(), String> {
    let transformed = vmap_program(program, in_axes, &Dim::from(each.len()));
    let at = |i: usize| match in_axes.get(i).copied().flatten() {
        Some(axis) => stack(&each.iter().map(|arrays| arrays[i].clone()).collect::<Vec<_>>(), axis),
        None => each[0][i].clone(),
    };
    let arrays: Vec<HostArray> = (0..each[0].len()).map(at).collect();
    let found = tail(&transformed, &arrays, &[], 0)?;
    for (i, arrays) in each.iter().enumerate() {
        let iteration: Vec<HostArray> = found.iter().map(|array| slice(array, 0, i)).collect();
        let what = format!("vmap in_axes={in_axes:?} against iteration {i} of a loop");
        explained(&what, difference(&iteration, &run(program, arrays), tolerance), &transformed)?;
    }
    Ok(())
}
