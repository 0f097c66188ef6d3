//! The types of tangents, cotangents and gradients, and counts that their type cannot hold.

use super::floats;
use gavotte::optimizers::adam;
use gavotte::{Array, DType, Dim, dim_value, fori_loop, grad, iota, jit, linearize, vjp};
use gavotte_core::error::Error;
use gavotte_core::ir::quietly;

#[track_caller]
fn says<T>(found: Result<T, Error>, wanted: &str) {
    match found {
        Err(error) => assert!(error.to_string().contains(wanted), "{error}, not {wanted}"),
        Ok(_) => panic!("it is not refused: {wanted}"),
    }
}

fn pair(x: Array) -> (Array, Array) {
    (&x * 2.0, x.sum(()))
}

#[test]
fn cotangents_are_of_the_results_types() {
    let x = || Array::new(&[2], vec![1f32, 2.0]);
    let ((y, _), pull) = vjp(&pair, (x(),));
    let one = || Array::scalar(1f32);
    assert_eq!(pull((y.clone(), one())).0.to_vec::<f32>(), [5.0, 9.0]);
    for (wrong, says_it) in [
        (Array::new(&[2], vec![1i32, 1]), "at 0 the result is f32[2], the cotangent i32[2]"),
        (Array::new(&[2], vec![1f64, 1.0]), "at 0 the result is f32[2], the cotangent f64[2]"),
        (one(), "at 0 the result is f32[2], the cotangent f32[]"),
        (Array::new(&[1], vec![1f32]), "at 0 the result is f32[2], the cotangent f32[1]"),
    ] {
        says(pull.try_call(((wrong, one()),)), says_it);
    }
    let wrong = pull.try_call(((y, x()),)).map(|_| ());
    says(wrong.clone(), "at 1 the result is f32[], the cotangent f32[2]");
    says(wrong, "derivatives.rs");
    let (_, pull) = vjp(&|x: Array| vec![x.clone(), x], (x(),));
    says(pull.try_call((vec![x()],)), "vjp: results and cotangents differ");
}

#[test]
fn tangents_are_of_the_arguments_types() {
    let x = || Array::new(&[2], vec![1f32, 2.0]);
    let (_, push) = linearize(&|x: Array, i: Array| x * i.astype(DType::F32), (x(), Array::scalar(3)));
    assert_eq!(push(x(), Array::scalar(0)).to_vec::<f32>(), [3.0, 6.0]);
    for (dx, di, wanted) in [
        (Array::scalar(1f32), Array::scalar(0), "at 0 the argument is f32[2], the tangent f32[]"),
        (Array::new(&[2], vec![1f64, 1.0]), Array::scalar(0), "at 0 the argument is f32[2], the tangent f64[2]"),
        (Array::new(&[2], vec![1, 1]), Array::scalar(0), "at 0 the argument is f32[2], the tangent i32[2]"),
        (x(), Array::scalar(0f32), "at 1 the argument is i32[], the tangent f32[]"),
    ] {
        says(push.try_call((dx, di)), wanted);
    }
    let (_, push) = linearize(&|xs: Vec<Array>| xs[0].clone(), (vec![x()],));
    says(push.try_call((vec![x(), x()],)), "linearize: arguments and tangents differ");
}

#[test]
fn counts_do_not_wrap() {
    let big = (1usize << 31) + 5;
    let count = |i: Array, n: Array| n + i;
    says(quietly(|| fori_loop(big, big + 3, count, Array::scalar(0))), "the bound 2147483653 lies beyond i32");
    says(quietly(|| fori_loop(0, Dim::from(1usize << 31), count, Array::scalar(0))), "the bound 2147483648");
    let last = i32::MAX as usize;
    assert_eq!(fori_loop(last - 2, last, count, Array::scalar(0)).item::<i32>(), (last - 2 + last - 1) as i32);
    for (size, dtype) in [(1usize << 32, DType::I32), (1 << 31, DType::I32), (1 << 32, DType::U32)] {
        says(quietly(|| dim_value(size, dtype)), &format!("dim_value: the size {size} is too large"));
    }
    assert_eq!(dim_value(u32::MAX as usize, DType::U32).item::<u32>(), u32::MAX);
    says(
        quietly(|| iota([(1usize << 31) + 1], 0, DType::I32)),
        "an axis of 2147483649 is too large: its positions exceed i32",
    );
    // With a symbol, the call whose size is too large is refused.
    let size = jit(|x: Array| dim_value(x.dim(0) * (1 << 20), DType::I32));
    let of = |n: usize| size.try_call((Array::new(&[n], vec![0f32; n]).declare(["n"]),));
    assert_eq!(of(2047).expect("it fits").item::<i32>(), 2047 << 20);
    says(of(2048), "dim_value: the size 2147483648 is too large");
    says(of(4097), "dim_value: the size 4296015872 is too large");
}

/// A derivative is large only where the function is steep.
#[test]
fn powers_below_zero_have_the_slope_of_a_power() {
    let f = |n: i32| move |x: Array| x.powi(n).sum(());
    let slope = |n: i32, x: f32| grad(f(n))(floats(&[x])).item::<f32>();
    let bend = |n: i32, x: f32| grad(move |x: Array| grad(f(n))(x).sum(()))(floats(&[x])).item::<f32>();
    let close = |a: f32, b: f32| a == b || (a - b).abs() <= 1e-6 * b.abs();
    for (n, x, wanted, second) in [
        (-2, 0.0, f32::NEG_INFINITY, f32::INFINITY),
        (-2, f32::INFINITY, -0.0, 0.0),
        (-2, 1e-10, -2e30, f32::INFINITY),
        (-2, 1e-8, -2e24, 6e32),
        (-3, 1e-8, -3e32, f32::INFINITY),
        (-1, 2.0, -0.25, 0.25),
        (3, 2.0, 12.0, 12.0),
    ] {
        assert!(close(slope(n, x), wanted), "{n}, {x}: {}", slope(n, x));
        assert!(close(bend(n, x), second), "{n}, {x}: {}", bend(n, x));
    }
    assert!(grad(|x: Array| gavotte::nn::gelu(&x).sum(()))(floats(&[f32::NAN])).item::<f32>().is_nan());
}

/// A gradient of another shape would make parameters of another shape.
#[test]
fn gradients_are_of_the_parameters_types() {
    let optimizer = adam::<Array>(0.1);
    let state = || (optimizer.init_fun)(floats(&[1.0, 2.0]));
    for (wrong, text) in [
        (Array::new(&[2, 1], vec![1f32, 2.0]), "f32[2,1]"),
        (floats(&[1.0]), "f32[1]"),
        (Array::new(&[2], vec![1f64, 2.0]), "f64[2]"),
    ] {
        let wanted = format!("is {text}, but its parameter is f32[2]");
        says(quietly(|| (optimizer.update_fun)(&Array::scalar(0), wrong, state())), &wanted);
    }
}
