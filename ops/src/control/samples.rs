//! Samples of loops and branches for the conformance suite.

use crate::Array;
use gavotte_core::aval::{Aval, DType, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Params, Program, Sample, Value, trace};
use std::sync::Arc;

fn floats(shape: &[usize], phase: f64) -> HostArray {
    let n: usize = shape.iter().product();
    HostArray::new(shape, (0..n).map(|i| ((i as f64 * 0.7 + phase).sin() * 0.8) as f32).collect())
}

fn f32(shape: &[usize]) -> Aval {
    Aval::new(DType::F32, shape.iter().copied())
}

/// A nested program from a function of arrays.
fn program(name: &str, avals: &[Aval], f: impl FnOnce(&[Array]) -> Vec<Array>) -> Arc<Program> {
    let traced = trace(name, avals, |values| {
        let arrays: Vec<Array> = values.into_iter().map(Array::from).collect();
        f(&arrays).into_iter().map(Value::from).collect()
    });
    Arc::new(traced.program)
}

pub(super) fn scans() -> Vec<Sample> {
    let scan = |body: Arc<Program>, n_const: usize, n_carry: usize, length: usize, reverse: bool| {
        Params::new()
            .with("body", body)
            .with("n_const", n_const)
            .with("n_carry", n_carry)
            .with("length", length)
            .with("reverse", Literal::Bool(reverse))
    };
    // h' = tanh(w h + x), y = h h'
    let recurrence = program("recurrence", &[f32(&[2, 2]), f32(&[2]), f32(&[2])], |v| {
        let next = (v[0].dot(&v[1]) + &v[2]).tanh();
        vec![next.clone(), &v[1] * &next]
    });
    // A counter, a value that has a tangent only after one iteration, and rows of integers.
    let mixed_avals = [Aval::scalar(DType::I32), f32(&[]), f32(&[2]), Aval::scalar(DType::I32), f32(&[2])];
    let mixed = program("mixed", &mixed_avals, |v| {
        let scale = (&v[0] + &v[3]).astype(DType::F32);
        vec![&v[0] + 1, (&v[4] * &v[2]).sum(()), &v[2] * 0.5 + &v[4] * &v[1], &v[4] * scale]
    });
    let square = program("square", &[f32(&[2])], |v| vec![&v[0] * &v[0]]);
    let halve = program("halve", &[f32(&[]), f32(&[3])], |v| vec![&v[1] * &v[0]]);
    let raise = program("raise", &[f32(&[]), f32(&[3])], |v| vec![&v[1] + &v[0]]);
    let swap = program("swap", &[f32(&[2]), f32(&[2])], |v| vec![v[1].clone(), v[0].clone(), v[1].clone()]);
    let number = |x: i32| HostArray::scalar(Literal::I32(x));
    vec![
        Sample::new(
            "recurrence",
            vec![floats(&[2, 2], 0.1), floats(&[2], 0.3), floats(&[3, 2], 0.5)],
            scan(recurrence.clone(), 1, 1, 3, false),
        ),
        Sample::new(
            "recurrence from the end",
            vec![floats(&[2, 2], 0.1), floats(&[2], 0.3), floats(&[3, 2], 0.5)],
            scan(recurrence, 1, 1, 3, true),
        ),
        Sample::new(
            "mixed carries",
            vec![
                number(1),
                HostArray::scalar(Literal::F32(0.25)),
                floats(&[2], 0.2),
                HostArray::new(&[4], vec![3, -1, 2, 0]),
                floats(&[4, 2], 0.9),
            ],
            scan(mixed, 0, 3, 4, false),
        ),
        Sample::new("map", vec![floats(&[3, 2], 0.4)], scan(square, 0, 0, 3, false)),
        Sample::new(
            "no sequence",
            vec![HostArray::scalar(Literal::F32(0.5)), floats(&[3], 0.8)],
            scan(halve, 1, 1, 3, false),
        ),
        Sample::new(
            "no iteration",
            vec![HostArray::scalar(Literal::F32(0.5)), floats(&[3], 0.8)],
            scan(raise, 1, 1, 0, false),
        ),
        Sample::new("swap", vec![floats(&[2], 0.1), floats(&[2], 0.6)], scan(swap, 0, 2, 3, false)),
    ]
}

pub(super) fn whiles() -> Vec<Sample> {
    let while_ = |cond: Arc<Program>, body: Arc<Program>, n_cond_const: usize, n_body_const: usize| {
        Params::new()
            .with("cond", cond)
            .with("body", body)
            .with("n_cond_const", n_cond_const)
            .with("n_body_const", n_body_const)
    };
    let count = Aval::scalar(DType::I32);
    let below = program("below", &[count.clone(), count.clone(), f32(&[2])], |v| vec![v[1].lt(&v[0])]);
    let grow =
        program("grow", &[f32(&[2]), count.clone(), f32(&[2])], |v| vec![&v[1] + 1, (&v[2] * &v[0]).sin() + &v[0]]);
    let small = program("small", &[f32(&[]), f32(&[])], |v| vec![v[0].lt(2.0)]);
    // Grows from any start, so that it ends for every operand.
    let grow_more = program("grow_more", &[f32(&[]), f32(&[])], |v| vec![&v[0] * &v[0] + 0.5, &v[1] * &v[0]]);
    let number = |x: i32| HostArray::scalar(Literal::I32(x));
    let float = |x: f32| HostArray::scalar(Literal::F32(x));
    vec![
        Sample::new(
            "counted",
            vec![number(3), floats(&[2], 0.3), number(0), floats(&[2], 0.5)],
            while_(below.clone(), grow.clone(), 1, 1),
        ),
        Sample::new(
            "no iteration",
            vec![number(-3), floats(&[2], 0.3), number(0), floats(&[2], 0.5)],
            while_(below, grow, 1, 1),
        ),
        Sample::new("by value", vec![float(0.7), float(1.25)], while_(small, grow_more, 0, 0)),
    ]
}

pub(super) fn switches() -> Vec<Sample> {
    let avals = [f32(&[2]), f32(&[2])];
    let product = program("product", &avals, |v| vec![(&v[0] * &v[1]).sin(), v[0].sum(())]);
    let first = program("first", &avals, |v| vec![v[0].clone(), Array::scalar(1.5f32)]);
    let square = program("square", &avals, |v| vec![v[1].exp() * &v[1], (&v[1] * 0.5).tanh().sum(())]);
    let branches = [product, first, square];
    let take = |name: &'static str, which: i32| {
        let ins = vec![HostArray::scalar(Literal::I32(which)), floats(&[2], 0.2), floats(&[2], 0.7)];
        Sample::new(name, ins, Params::new().with("branches", branches.to_vec()))
    };
    vec![take("first", 0), take("second", 1), take("last", 2), take("beyond", 7), take("below", -7)]
}
