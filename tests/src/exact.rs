//! Random elementwise programs on numbers that rules stumble over, with operations whose every bit is defined.

use crate::arrays::Random;
use gavotte_core::aval::{Aval, DType, Facts, Literal};
use gavotte_core::device::{Data, HostArray};
use gavotte_core::ir::{Atom, Binder, Eqn, Location, Primitive, Program, Var};

/// Elements of an array: two vectors of the widest registers, and a few more.
const ELEMENTS: usize = 37;
/// Equations of a program.
const EQUATIONS: usize = 12;

/// Operations that round correctly, or not at all.
const EXACT: [&str; 31] = [
    "abs",
    "add",
    "add_any",
    "and",
    "ceil",
    "convert_element_type",
    "div",
    "eq",
    "floor",
    "ge",
    "gt",
    "le",
    "lt",
    "max",
    "min",
    "mul",
    "ne",
    "neg",
    "not",
    "or",
    "rem",
    "round",
    "select_n",
    "shift_left",
    "shift_right_logical",
    "sign",
    "sqrt",
    "stop_gradient",
    "sub",
    "trunc",
    "xor",
];

const FLOATS: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    1e-40,
    -1e-45,
    f32::MAX as f64,
    -2.5,
    0.5,
    3.0,
    1e30,
    16_777_216.0,
    -2_147_483_648.0,
];
const INTS: [i32; 10] = [0, 1, -1, 2, i32::MIN, i32::MAX, 31, 32, -7, 5];

/// A number of this type that is special in some way.
fn special(dtype: DType, random: &mut Random) -> Literal {
    match dtype {
        DType::Bool => Literal::Bool(random.below(2) == 1),
        dtype if dtype.is_float() => Literal::from_f64(dtype, *random.pick(&FLOATS)),
        dtype => Literal::I32(*random.pick(&INTS)).convert(dtype),
    }
}

fn array(dtype: DType, random: &mut Random) -> HostArray {
    special_array(&[ELEMENTS], dtype, random)
}

/// Numbers that are special in some way: zeros of both signs, NaN, infinities, subnormal numbers, the least integer.
pub fn special_array(shape: &[usize], dtype: DType, random: &mut Random) -> HostArray {
    let n = shape.iter().product();
    let elements: Vec<Literal> = (0..n).map(|_| special(dtype, random)).collect();
    HostArray::from_data(shape, Data::of(dtype, elements.into_iter()))
}

/// A program and its arguments: arrays of every type, and a scalar. Deterministic for a seed.
pub fn exact_program(seed: u64) -> (Program, Vec<HostArray>) {
    let mut random = Random::new(seed);
    let float = *random.pick(&[DType::F32, DType::F32, DType::F64]);
    let mut arrays: Vec<HostArray> =
        [float, float, DType::I32, DType::I32, DType::U32, DType::Bool].map(|dtype| array(dtype, &mut random)).into();
    arrays.push(HostArray::scalar(special(float, &mut random)));
    let typed = |i: usize, aval| Binder { var: Var(i as u32), aval };
    let args: Vec<Binder> =
        arrays.iter().enumerate().map(|(i, array)| typed(i, Aval::new(array.dtype(), array.shape()))).collect();
    let mut nodes = args.clone();
    let mut eqns: Vec<Eqn> = vec![];
    let prims: Vec<&'static dyn Primitive> =
        EXACT.iter().map(|name| gavotte::registry().get(name).expect("it is a primitive")).collect();
    while eqns.len() < EQUATIONS {
        let prim = *random.pick(&prims);
        let samples = prim.samples();
        let sample = random.pick(&samples);
        let ins: Vec<(Atom, Aval)> = sample
            .ins
            .iter()
            .map(|operand| {
                let dtype = operand.dtype();
                let fits: Vec<&Binder> = nodes.iter().filter(|node| node.aval.dtype == dtype).collect();
                match fits.is_empty() || random.below(3) == 0 {
                    true => (Atom::Literal(special(dtype, &mut random)), Aval::scalar(dtype)),
                    false => {
                        let node = random.pick(&fits);
                        (Atom::Var(node.var), node.aval.clone())
                    }
                }
            })
            .collect();
        let avals: Vec<&Aval> = ins.iter().map(|(_, aval)| aval).collect();
        let Ok(outs) = prim.abstract_eval(&avals, &sample.params) else { continue };
        let out = typed(nodes.len(), outs[0].clone());
        nodes.push(out.clone());
        let ins = ins.into_iter().map(|(atom, _)| atom).collect();
        let outs = [out].into_iter().collect();
        eqns.push(Eqn { prim, params: sample.params.clone(), ins, outs, location: Location::default() });
    }
    let outs = eqns.iter().rev().step_by(3).map(|eqn| Atom::Var(eqn.outs[0].var)).collect();
    let name = format!("exact_{seed}");
    (Program { name, args, consts: vec![], eqns, outs, facts: Facts::new() }.renumbered(), arrays)
}
