//! Transformations as programs: each traces what the transformation binds.
//!
//! The program's constants become arguments after its own, so that a transformed program is self-contained.

use crate::oracle::aval_to_json;
use gavotte_core::aval::{Aval, Dim};
use gavotte_core::ir::structural::{place_axis, zeros};
use gavotte_core::ir::{Binder, Program, Value, interpret, trace};
use gavotte_core::transform::{LinearProgram, jvp, linearize, transpose, vjp, vmap};

fn avals(binders: &[Binder]) -> Vec<Aval> {
    binders.iter().map(|binder| binder.aval.clone()).collect()
}

fn floating(avals: &[Aval]) -> Vec<Aval> {
    avals.iter().filter(|aval| aval.dtype.is_float()).cloned().collect()
}

/// One entry per type, the next value for each floating one.
fn spread(avals: &[Aval], values: &[Value]) -> Vec<Option<Value>> {
    let mut values = values.iter().cloned();
    avals.iter().map(|aval| if aval.dtype.is_float() { values.next() } else { None }).collect()
}

/// The values of floating types, zeros where there is none.
fn gathered(avals: &[Aval], values: Vec<Option<Value>>) -> Vec<Value> {
    let pairs = avals.iter().zip(values).filter(|(aval, _)| aval.dtype.is_float());
    pairs.map(|(aval, value)| value.unwrap_or_else(|| zeros(aval))).collect()
}

/// Traces `f` on arguments, constants and `more`, passed separately.
fn traced(
    program: &Program,
    suffix: &str,
    args: &[Aval],
    more: &[Aval],
    f: impl FnOnce(&[Value], &[Value], &[Value]) -> Vec<Value>,
) -> Program {
    let consts = avals(&program.consts);
    let all: Vec<Aval> = args.iter().chain(&consts).chain(more).cloned().collect();
    let traced = trace(&format!("{}_{suffix}", program.name), &all, |values| {
        let (args, rest) = values.split_at(args.len());
        let (consts, more) = rest.split_at(consts.len());
        f(args, consts, more)
    });
    assert!(traced.consts.is_empty(), "a rule captured an array: {}", traced.program);
    traced.program
}

/// Arguments, constants, a tangent for each floating argument; results, a tangent for each floating result.
pub fn jvp_program(program: &Program) -> Program {
    let args = avals(&program.args);
    traced(program, "jvp", &args, &floating(&args), |values, consts, tangents| {
        let (mut outs, tangents) = jvp(program, consts, values, &spread(&args, tangents));
        outs.extend(gathered(&program.out_avals(), tangents));
        outs
    })
}

/// Arguments, constants, a cotangent for each floating result; results, a cotangent for each floating argument.
pub fn vjp_program(program: &Program) -> Program {
    let (args, outs) = (avals(&program.args), program.out_avals());
    traced(program, "vjp", &args, &floating(&outs), |values, consts, cotangents| {
        let (mut results, pullback) = vjp(program, consts, values, &vec![true; args.len()]);
        results.extend(gathered(&args, pullback(&spread(&outs, cotangents))));
        results
    })
}

/// The transposed program of a linear one: a cotangent for each result, after the constants; a cotangent for each
/// argument.
pub fn transpose_program(program: &Program) -> Program {
    let (args, outs) = (avals(&program.args), program.out_avals());
    traced(program, "transpose", &[], &outs, |_, consts, cotangents| {
        let places = (0..outs.len()).map(Some).collect();
        let linear = LinearProgram { program: program.clone(), residuals: consts.to_vec(), outs: places };
        let cotangents: Vec<Option<Value>> = cotangents.iter().cloned().map(Some).collect();
        gathered(&args, transpose(&linear, &cotangents))
    })
}

/// The program that computes results and residuals; the linear program with the residuals as constants; and for each
/// result of the original, which result of the linear program is its tangent.
pub fn linearize_programs(program: &Program) -> (Program, Program, Vec<Option<usize>>) {
    let args = avals(&program.args);
    let mut linear = None;
    let first = traced(program, "primal", &args, &[], |values, consts, _| {
        let (mut outs, found) = linearize(program, consts, values, &vec![true; args.len()]);
        outs.extend(found.residuals);
        linear = Some((found.program, found.outs));
        outs
    });
    let (linear, outs) = linear.expect("linearize has run");
    (first, linear, outs)
}

/// The program over one more axis, at `in_axes` of its arguments and in front of every result.
pub fn vmap_program(program: &Program, in_axes: &[Option<usize>], size: &Dim) -> Program {
    let batched = |(binder, axis): (&Binder, &Option<usize>)| {
        let mut shape = binder.aval.shape.clone();
        if let Some(axis) = axis {
            shape.insert(*axis, size.clone());
        }
        binder.aval.with_shape(shape)
    };
    assert_eq!(in_axes.len(), program.args.len(), "one entry of in_axes for each argument");
    let args: Vec<Aval> = program.args.iter().zip(in_axes).map(batched).collect();
    traced(program, "vmap", &args, &[], |values, consts, _| {
        let ins: Vec<(Value, Option<usize>)> = values.iter().cloned().zip(in_axes.iter().copied()).collect();
        vmap(program, consts, &ins, size).iter().map(|out| place_axis(out, 0, size)).collect()
    })
}

/// The derivative by linearisation, with the inputs and results of [`jvp_program`].
pub fn linearize_program(program: &Program) -> Program {
    let args = avals(&program.args);
    let all: Vec<Aval> = program.out_avals();
    traced(program, "linearize", &args, &floating(&args), |values, consts, tangents| {
        let (mut outs, linear) = linearize(program, consts, values, &vec![true; args.len()]);
        let moved = interpret(&linear.program, &linear.residuals, tangents);
        outs.extend(gathered(&all, linear.outs.iter().map(|place| Some(moved[(*place)?].clone())).collect()));
        outs
    })
}

/// A transformation, by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Transform {
    /// [`jvp_program`].
    Jvp,
    /// [`vjp_program`].
    Vjp,
    /// [`linearize_program`].
    Linearize,
    /// [`transpose_program`].
    Transpose,
    /// [`vmap_program`] over these axes of the arguments, of this extent.
    Vmap(Vec<Option<usize>>, usize),
}

impl Transform {
    /// The transformed program.
    pub fn of(&self, program: &Program) -> Program {
        match self {
            Transform::Jvp => jvp_program(program),
            Transform::Vjp => vjp_program(program),
            Transform::Linearize => linearize_program(program),
            Transform::Transpose => transpose_program(program),
            Transform::Vmap(in_axes, size) => vmap_program(program, in_axes, &Dim::from(*size)),
        }
    }

    /// What the oracle must know to apply this transformation to a program.
    pub fn to_json(&self, program: &Program) -> serde_json::Value {
        let mut stage = serde_json::json!({ "args": program.args.len(), "consts": program.consts.len() });
        let name = match self {
            Transform::Jvp => "jvp",
            Transform::Vjp => "vjp",
            Transform::Linearize => "linearize",
            Transform::Transpose => "transpose",
            Transform::Vmap(..) => "vmap",
        };
        stage["transform"] = name.into();
        match self {
            Transform::Vmap(in_axes, size) => {
                stage["in_axes"] = in_axes.clone().into();
                stage["size"] = (*size).into();
            }
            Transform::Transpose => stage["avals"] = avals(&program.args).iter().map(aval_to_json).collect(),
            _ => {}
        }
        stage
    }
}
