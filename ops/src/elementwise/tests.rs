use super::row::Row;
use super::*;
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Atom, Binder, Eqn, Location, Params, Rewrite, ScalarOp, Var, parse, trace};
use gavotte_core::transform::jvp;

fn value(x: f64) -> Value {
    Literal::F64(x).into()
}

/// `∂f/∂x` of a row at a point, for its first operand.
fn slope(row: &'static Row, at: &[f64], operand: usize) -> f64 {
    let avals = vec![Aval::scalar(DType::F64); at.len()];
    let program = trace("f", &avals, |ins| bind(row, &ins.iter().collect::<Vec<_>>(), Params::new()).to_vec()).program;
    let tangents: Vec<Option<Value>> = (0..at.len()).map(|i| (i == operand).then(|| value(1.0))).collect();
    let primals: Vec<Value> = at.iter().map(|x| value(*x)).collect();
    let found = jvp(&program, &[], &primals, &tangents).1[0].clone().expect("a tangent");
    found.as_literal().expect("a scalar").as_f64()
}

#[test]
fn ties_are_shared() {
    for row in [&MAX, &MIN] {
        assert_eq!([0, 1].map(|operand| slope(row, &[2.0, 2.0], operand)), [0.5, 0.5]);
    }
    assert_eq!([0, 1].map(|operand| slope(&MAX, &[2.0, 1.0], operand)), [1.0, 0.0]);
    assert_eq!([0, 1].map(|operand| slope(&MIN, &[2.0, 1.0], operand)), [0.0, 1.0]);
}

#[test]
fn powers_have_finite_slopes_where_they_have_slopes() {
    assert_eq!(slope(&POW, &[0.0, 0.0], 0), 0.0);
    assert_eq!(slope(&POW, &[0.0, 2.0], 0), 0.0);
    assert_eq!(slope(&POW, &[0.0, 2.0], 1), 0.0);
    assert_eq!(slope(&POW, &[-3.0, 2.0], 0), -6.0);
}

#[test]
fn angles_follow_the_signs_of_zeros() {
    use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};
    let angle = |y: f64, x: f64| {
        let [y, x] = [y, x].map(|x| HostArray::scalar(Literal::F64(x)));
        eval::eval(ScalarOp::Atan2, &[&y, &x]).as_slice::<f64>()[0]
    };
    let infinity = f64::INFINITY;
    for (y, x, wanted) in [
        (0.0, 1.0, 0.0),
        (0.0, 0.0, 0.0),
        (0.0, -0.0, PI),
        (0.0, -1.0, PI),
        (1.0, 0.0, FRAC_PI_2),
        (1.0, -0.0, FRAC_PI_2),
        (1.0, infinity, 0.0),
        (1.0, -infinity, PI),
        (infinity, 1.0, FRAC_PI_2),
        (infinity, infinity, FRAC_PI_4),
        (infinity, -infinity, 3.0 * FRAC_PI_4),
    ] {
        assert_eq!([angle(y, x), angle(-y, x)].map(f64::to_bits), [wanted, -wanted].map(f64::to_bits), "{y}, {x}");
    }
    assert!(angle(f64::NAN, 1.0).is_nan() && angle(1.0, f64::NAN).is_nan());
    assert_eq!([0, 1].map(|operand| slope(&ATAN2, &[1.0, 2.0], operand)), [0.4, -0.2]);
}

fn ints(op: ScalarOp, a: i32, b: i32) -> i32 {
    let scalar = |x: i32| HostArray::scalar(Literal::I32(x));
    eval::eval(op, &[&scalar(a), &scalar(b)]).as_slice::<i32>()[0]
}

#[test]
fn integers_wrap_and_divide_by_zero_as_documented() {
    assert_eq!(ints(ScalarOp::Add, i32::MAX, 1), i32::MIN);
    assert_eq!(ints(ScalarOp::Div, 7, 0), -1);
    assert_eq!(ints(ScalarOp::Rem, 7, 0), 7);
    assert_eq!(ints(ScalarOp::Div, i32::MIN, -1), i32::MIN);
    assert_eq!(ints(ScalarOp::Rem, -7, 3), -1);
    assert_eq!(ints(ScalarOp::Shr, -1, 28), 15);
    assert_eq!(ints(ScalarOp::Shl, 1, 32), 0);
    assert_eq!(ints(ScalarOp::Shr, -1, -1), 0);
}

#[test]
fn nan_passes_through_max_and_min() {
    let scalar = |x: f32| HostArray::scalar(Literal::F32(x));
    for op in [ScalarOp::Max, ScalarOp::Min] {
        for (a, b) in [(f32::NAN, 1.0), (1.0, f32::NAN)] {
            assert!(eval::eval(op, &[&scalar(a), &scalar(b)]).as_slice::<f32>()[0].is_nan());
        }
    }
}

#[test]
fn conversions_are_those_of_rust() {
    let convert = |array: HostArray, dtype| eval::eval(ScalarOp::Convert(dtype), &[&array]);
    let floats = HostArray::new(&[4], vec![-1.5f32, 3e9, f32::NAN, 0.25]);
    assert_eq!(convert(floats.clone(), DType::I32).as_slice::<i32>(), [-1, i32::MAX, 0, 0]);
    assert_eq!(convert(floats.clone(), DType::U32).as_slice::<u32>(), [0, 3_000_000_000, 0, 0]);
    assert_eq!(convert(floats, DType::Bool).as_slice::<bool>(), [true; 4]);
    assert_eq!(convert(HostArray::new(&[1], vec![-1i32]), DType::U32).as_slice::<u32>(), [u32::MAX]);
    assert_eq!(convert(HostArray::new(&[1], vec![u32::MAX]), DType::I32).as_slice::<i32>(), [-1]);
    assert_eq!(convert(HostArray::new(&[1], vec![16_777_217i32]), DType::F32).as_slice::<f32>(), [16_777_216.0]);
}

/// What the rewrite rules make of an equation in a text: the last one before `return`.
fn simplified(body: &str, out: &str) -> Option<String> {
    let text = format!("program @p(%0: f32[3], %1: f32[3], %2: bool[3], %3: f32[]) -> ({out}) {{\n{body}\n}}\n");
    let program = parse(&text, crate::registry()).unwrap_or_else(|error| panic!("{error}"));
    let eqn = program.eqns.last().expect("an equation");
    let avals = program.avals();
    let ins: Vec<Aval> = eqn
        .ins
        .iter()
        .map(|atom| match atom {
            Atom::Var(var) => avals[var.index()].clone(),
            Atom::Literal(literal) => Aval::scalar(literal.dtype()),
        })
        .collect();
    let definition = |i: usize| {
        let var = eqn.ins[i].var()?;
        program.eqns.iter().find(|eqn| eqn.outs.iter().any(|binder| binder.var == var))
    };
    let cx = Simplify { eqn, ins: &ins, definition: &definition };
    Some(match eqn.prim.rewrites().iter().find_map(|rule| (rule.apply)(&cx))? {
        Rewrite::Operand(i) => eqn.ins[i].to_string(),
        Rewrite::Atom(atom) => atom.to_string(),
        Rewrite::Eqn(prim, ins, params) => {
            let outs = [Binder { var: Var(99), aval: eqn.outs[0].aval.clone() }].into_iter().collect();
            Eqn { prim, params, ins: ins.into_iter().collect(), outs, location: Location::default() }.to_string()
        }
    })
}

#[test]
fn rewrites() {
    let full = |x: &str| format!("%4: f32[3] = broadcast_in_dim {x} {{dims=[], shape=[3]}}\n");
    let one = |line: &str| simplified(&format!("%4: f32[3] = {line}\nreturn %4"), "f32[3]");
    let two = |first: String, line: &str| simplified(&format!("{first}%5: f32[3] = {line}\nreturn %5"), "f32[3]");
    assert_eq!(one("mul %0, 1.0f32").as_deref(), Some("%0"));
    assert_eq!(two(full("1.0f32"), "mul %4, %0").as_deref(), Some("%0"));
    assert_eq!(two(full("1.0f32"), "mul %4, %3"), None, "a scalar does not stand for an array");
    assert_eq!(one("mul %0, 0.0f32"), None);
    assert_eq!(one("add -0.0f32, %0").as_deref(), Some("%0"));
    assert_eq!(one("add 0.0f32, %0"), None, "-0 + 0 = 0");
    assert_eq!(two("%4: f32[3] = zeros {dtype=f32, shape=[3]}\n".into(), "add %0, %4"), None);
    assert_eq!(two("%4: f32[3] = zeros {dtype=f32, shape=[3]}\n".into(), "add_any %0, %4"), None);
    assert_eq!(one("sub %0, 0.0f32").as_deref(), Some("%0"));
    assert_eq!(one("sub %0, -0.0f32"), None, "-0 - -0 = 0");
    assert_eq!(one("sub 0.0f32, %0"), None);
    assert_eq!(one("div %0, 1.0f32").as_deref(), Some("%0"));
    assert_eq!(one("div 1.0f32, %0"), None);
    assert_eq!(one("pow %0, 1.0f32").as_deref(), Some("%0"));
    assert_eq!(one("max %0, %0").as_deref(), Some("%0"));
    let neg = || "%4: f32[3] = neg %1\n".to_string();
    assert_eq!(two(neg(), "neg %4").as_deref(), Some("%1"));
    assert_eq!(two(neg(), "add %0, %4").as_deref(), Some("%99: f32[3] = sub %0, %1"));
    assert_eq!(two(neg(), "sub %0, %4").as_deref(), Some("%99: f32[3] = add %0, %1"));
    assert_eq!(one("select_n %2, %1, %1").as_deref(), Some("%1"));
    assert_eq!(one("select_n true, %0, %1").as_deref(), Some("%1"));
    assert_eq!(one("select_n %2, %3, %3"), None, "a scalar does not stand for an array");
    assert_eq!(one("convert_element_type %0 {dtype=f32}").as_deref(), Some("%0"));
    assert_eq!(one("stop_gradient %0").as_deref(), Some("%0"));
}

#[test]
fn refusals_say_what_to_do() {
    let refused = |line: &str| {
        let text = format!(
            "program @p(%0: f32[3], %1: i32[3], %2: f32[2]) -> (f32[3]) {{\n%3: f32[3] = {line}\nreturn %3\n}}\n"
        );
        parse(&text, crate::registry()).expect_err("not well formed").to_string()
    };
    for (line, says) in [
        ("add %0, %1", "element types f32 and i32 differ: convert one with `astype`"),
        ("add %0, %2", "shapes [3] and [2] differ"),
        ("add %0", "takes 2 operands, not 1"),
        ("exp %1", "takes floats, not i32"),
        ("select_n %1, %0, %0", "the predicate must be bool, not i32"),
        ("bitcast_convert_type %0 {dtype=f64}", "f32 and f64 have different widths"),
        ("threefry2x32 %0, %0, %0, %0", "all u32"),
    ] {
        let found = refused(line);
        assert!(found.contains(says), "{line}: {found}");
    }
}
