//! Activations and the softmax family: values, derivatives, and the ends of the range.

use gavotte::{Array, DType, nn};
use gavotte_core::aval::Aval;
use gavotte_core::ir::{Value, quietly, trace};
use gavotte_core::transform::vjp;

/// The gradient of the sum of a weighted `f(x)`.
fn gradient(f: impl Fn(&Array) -> Array, x: &Array, weights: &[f64]) -> Vec<f64> {
    let aval = Aval::new(DType::F64, x.shape().iter());
    let traced = trace("f", &[aval], |ins| vec![f(&Array::from(&ins[0])).into()]);
    let (outs, pull) = vjp(&traced.program, &traced.consts, &[x.value().clone()], &[true]);
    let shape: Vec<usize> = outs[0].shape().iter().map(|dim| dim.as_usize().expect("a number")).collect();
    let ct: Value = Array::new(&shape, weights.to_vec()).into();
    Array::from(pull(&[Some(ct)])[0].clone().expect("a gradient")).to_vec()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{found:?} is not {expected:?}");
    }
}

const X: [f64; 5] = [-2.0, -0.5, 0.25, 1.5, 3.0];

fn points() -> Array {
    Array::new(&[5], X.to_vec())
}

#[test]
fn activations_and_their_derivatives() {
    type Case = (fn(&Array) -> Array, fn(f64) -> f64);
    let cases: [Case; 8] = [
        (nn::relu, |x| x.max(0.0)),
        (|x| nn::elu(x, 1.0), |x| if x > 0.0 { x } else { x.exp_m1() }),
        (|x| nn::elu(x, 0.5), |x| if x > 0.0 { x } else { 0.5 * x.exp_m1() }),
        (|x| nn::leaky_relu(x, 0.2), |x| if x > 0.0 { x } else { 0.2 * x }),
        (nn::sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
        (nn::tanh, f64::tanh),
        (nn::softplus, |x| (1.0 + x.exp()).ln()),
        (nn::gelu, |x| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())),
    ];
    for (f, expected) in cases {
        close(&f(&points()).to_vec::<f64>(), &X.map(expected));
        let step = 1e-5;
        let slopes = X.map(|x| (expected(x + step) - expected(x - step)) / (2.0 * step));
        for (a, b) in gradient(f, &points(), &[1.0; 5]).iter().zip(slopes) {
            assert!((a - b).abs() < 1e-9, "{a} is not {b}");
        }
    }
}

#[test]
fn activations_at_the_ends() {
    let far = Array::new(&[4], vec![-1e30f64, 0.0, 1e30, 800.0]);
    assert_eq!(gradient(|x| nn::elu(x, 1.0), &far, &[1.0; 4]), [0.0, 1.0, 1.0, 1.0]);
    assert_eq!(gradient(nn::relu, &far, &[1.0; 4]), [0.0, 0.0, 1.0, 1.0]);
    assert_eq!(gradient(nn::softplus, &far, &[1.0; 4]), [0.0, 0.5, 1.0, 1.0]);
    assert!(nn::relu(&Array::scalar(f32::NAN)).item::<f32>().is_nan());
}

#[test]
fn softmax_and_its_kin() {
    let x = Array::new(&[2, 3], vec![1.0f64, -2.0, 0.5, 0.0, 3.0, -1.0]);
    let rows: Vec<Vec<f64>> = x.to_vec::<f64>().chunks(3).map(<[f64]>::to_vec).collect();
    let total: Vec<f64> = rows.iter().map(|row| row.iter().map(|x| x.exp()).sum()).collect();
    let flat = |f: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
        rows.iter().zip(&total).flat_map(|(row, total)| row.iter().map(|x| f(*x, *total))).collect()
    };
    let soft = flat(&|x, total| x.exp() / total);
    close(&nn::softmax(&x, -1).to_vec::<f64>(), &soft);
    close(&nn::log_softmax(&x, 1).to_vec::<f64>(), &flat(&|x, total| x - total.ln()));
    close(&nn::logsumexp(&x, 1).to_vec::<f64>(), &total.iter().map(|total| total.ln()).collect::<Vec<_>>());
    close(&nn::softmax(&x, 0).sum(0).to_vec::<f64>(), &[1.0; 3]);
    // ∂ Σᵢ cᵢ log softmax(x)ᵢ / ∂xⱼ = cⱼ - softmax(x)ⱼ Σᵢ cᵢ
    let c = [0.5, -1.0, 2.0, 1.5, 0.25, -3.0];
    let expected: Vec<f64> = (0..6).map(|j| c[j] - soft[j] * c[j / 3 * 3..][..3].iter().sum::<f64>()).collect();
    close(&gradient(|x| nn::log_softmax(x, -1), &x, &c), &expected);
    // ∂ Σᵢ cᵢ sᵢ / ∂xⱼ = sⱼ (cⱼ - Σᵢ cᵢ sᵢ)
    let expected: Vec<f64> =
        (0..6).map(|j| soft[j] * (c[j] - (j / 3 * 3..j / 3 * 3 + 3).map(|i| c[i] * soft[i]).sum::<f64>())).collect();
    close(&gradient(|x| nn::softmax(x, -1), &x, &c), &expected);
    let expected: Vec<f64> = (0..6).map(|j| soft[j] * [2.0, -0.5][j / 3]).collect();
    close(&gradient(|x| nn::logsumexp(x, -1), &x, &[2.0, -0.5]), &expected);
}

#[test]
fn the_softmax_family_neither_overflows_nor_forgets() {
    let x = Array::new(&[3], vec![1000f32, 0.0, f32::NEG_INFINITY]);
    assert_eq!(nn::softmax(&x, 0).to_vec::<f32>(), [1.0, 0.0, 0.0]);
    assert_eq!(nn::log_softmax(&x, 0).to_vec::<f32>(), [0.0, -1000.0, f32::NEG_INFINITY]);
    assert_eq!(nn::logsumexp(&x, 0).item::<f32>(), 1000.0);
    assert_eq!(nn::logsumexp(&Array::new(&[2], vec![f32::NEG_INFINITY; 2]), 0).item::<f32>(), f32::NEG_INFINITY);
    let refused = quietly(|| nn::softmax(&x, 1)).expect_err("one axis only").to_string();
    assert!(refused.contains("softmax: there is no axis 1") && refused.contains("nn.rs"), "{refused}");
}

#[test]
fn one_hot_rows() {
    let found = nn::one_hot(&Array::new(&[3], vec![2i32, 0, 7]), 3, DType::F32);
    assert_eq!(found.to_vec::<f32>(), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let grid = nn::one_hot(&Array::new(&[1, 2], vec![1u32, 0]), 2, DType::Bool);
    assert_eq!(grid.to_vec::<bool>(), [false, true, true, false]);
    assert_eq!(grid.ndim(), 3);
}

#[test]
fn gates_are_finite_far_out() {
    let infinity = f64::INFINITY;
    let far = Array::from([-infinity, -1e200, -900.0, 900.0, 1e200, infinity]);
    type Case = (&'static str, fn(&Array) -> Array, [f64; 6], [f64; 6]);
    let x = far.to_vec::<f64>();
    let half = [0.0, 0.0, 0.0, 900.0, 1e200, infinity];
    let step = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0];
    let cases: &[Case] = &[
        ("silu", nn::silu, half, step),
        ("mish", nn::mish, half, step),
        ("hard_silu", nn::hard_silu, half, step),
        ("sparse_plus", nn::sparse_plus, half, step),
        ("relu6", nn::relu6, [0.0, 0.0, 0.0, 6.0, 6.0, 6.0], [0.0; 6]),
        ("hard_sigmoid", nn::hard_sigmoid, step, [0.0; 6]),
        ("hard_tanh", nn::hard_tanh, [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0], [0.0; 6]),
        ("log_sigmoid", nn::log_sigmoid, [x[0], x[1], x[2], 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]),
        ("celu", |x| nn::celu(x, 2.0), [-2.0, -2.0, -2.0, x[3], x[4], x[5]], step),
    ];
    for (name, f, values, slopes) in cases {
        assert_eq!(f(&far).to_vec::<f64>(), values, "{name}");
        assert_eq!(gradient(f, &far, &[1.0; 6]), slopes, "the slope of {name}");
        assert!(f(&Array::from(f64::NAN)).item::<f64>().is_nan(), "{name} of NaN");
    }
    assert_eq!(nn::soft_sign(&far).to_vec::<f64>(), [-1.0, -1.0, -900.0 / 901.0, 900.0 / 901.0, 1.0, 1.0]);
    close(&gradient(nn::soft_sign, &far, &[1.0; 6])[1..], &[0.0, 1.0 / 901f64.powi(2), 1.0 / 901f64.powi(2), 0.0, 0.0]);
    // √(x² + 4) - x = 4 / (√(x² + 4) + x) neither cancels nor overflows.
    let plus = nn::squareplus(&Array::from([-1e9, -1e200, 1e200]), 4.0).to_vec::<f64>();
    assert!((plus[0] / 1e-9 - 1.0).abs() < 1e-15 && plus[1] == 1e-200 && plus[2] == 1e200, "{plus:?}");
    assert_eq!(nn::squareplus(&Array::from([-2.0, 0.0, 3.0]), 0.0).to_vec::<f64>(), [0.0, 0.0, 3.0]);
}

#[test]
fn kinks_have_jaxs_slopes() {
    let slope = |f: fn(&Array) -> Array, at: &[f64]| gradient(f, &Array::from(at.to_vec()), &vec![1.0; at.len()]);
    assert_eq!(slope(nn::relu6, &[0.0, 6.0]), [0.0, 0.0]);
    assert_eq!(slope(nn::hard_sigmoid, &[-3.0, 3.0]), [0.0, 0.0]);
    assert_eq!(slope(nn::hard_silu, &[-3.0, 3.0]), [0.0, 1.0]);
    assert_eq!(slope(nn::hard_tanh, &[-1.0, 1.0]), [1.0, 1.0]);
    assert_eq!(slope(nn::sparse_plus, &[-1.0, 1.0]), [0.0, 1.0]);
    assert_eq!(slope(nn::soft_sign, &[0.0]), [1.0]);
    assert_eq!(slope(|x| nn::celu(x, 2.0), &[0.0]), [1.0]);
    assert_eq!(slope(nn::silu, &[0.0]), [0.5]);
}

#[test]
fn mistakes_with_gates_say_what_to_do() {
    let (x, ints) = (Array::from([1.0, 2.0, 3.0]), Array::from([1, 2]));
    let refused: &[(&dyn Fn() -> Array, &str)] = &[
        (&|| nn::glu(&x, 0), "glu: axis 0 has 3 elements, which are no two halves"),
        (&|| nn::glu(&x, 1), "glu: there is no axis 1"),
        (&|| nn::glu(&ints, 0), "glu: takes floats"),
        (&|| nn::squareplus(&x, -1.0), "squareplus: b must not be negative, and is -1"),
        (&|| nn::squareplus(&ints, 1.0), "squareplus: takes floats"),
        (&|| nn::soft_sign(&ints), "soft_sign: takes floats"),
        (&|| nn::log1mexp(&ints), "log1mexp: takes floats"),
        (&|| nn::logmeanexp(&x, 2), "logmeanexp: there is no axis 2"),
        (&|| nn::standardize(&x, 1, 1e-5), "standardize: there is no axis 1"),
        (&|| nn::standardize(&ints, 0, 1e-5), "standardize: takes floats"),
    ];
    for (f, says) in refused {
        let error = quietly(f).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
        assert!(error.contains("nn.rs"), "{error} names no line here");
    }
}
