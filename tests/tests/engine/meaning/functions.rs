//! Every function of `nn` at its kinks and far out: value, first and second derivative against the limits. Zeros of
//! both signs.

use super::{floats, numbers};
use gavotte::{Array, DType, grad, jit_with, nn};
use gavotte_tests::targets::ways;

const INF: f64 = f64::INFINITY;

/// `x`, and there the function, its derivative, and its second derivative. Where two sides differ, the documentation of
/// the function says which counts.
type Table = &'static [[f64; 4]];

/// A function by name, with its expected values.
type Case = (&'static str, fn(&Array) -> Array, Table);

/// Computed with 40 digits.
const TABLES: [Case; 7] = [
    (
        "relu",
        nn::relu,
        &[
            [0.0, 0.0, 0.0, 0.0],
            [-0.0, 0.0, 0.0, 0.0],
            [1e-30, 1e-30, 1.0, 0.0],
            [-1e-30, 0.0, 0.0, 0.0],
            [1e30, 1e30, 1.0, 0.0],
            [-1e30, 0.0, 0.0, 0.0],
            [INF, INF, 1.0, 0.0],
            [-INF, 0.0, 0.0, 0.0],
        ],
    ),
    (
        "elu",
        |x| nn::elu(x, 1.0),
        &[
            [0.0, 0.0, 1.0, 1.0],
            [-0.0, 0.0, 1.0, 1.0],
            [1e-30, 1e-30, 1.0, 0.0],
            [-1e-30, -1e-30, 1.0, 1.0],
            [-1.5, -0.7768698398515702, 0.22313016014842982, 0.22313016014842982],
            [0.5, 0.5, 1.0, 0.0],
            [50.0, 50.0, 1.0, 0.0],
            [-50.0, -1.0, 0.0, 0.0],
            [1e4, 1e4, 1.0, 0.0],
            [-1e4, -1.0, 0.0, 0.0],
            [INF, INF, 1.0, 0.0],
            [-INF, -1.0, 0.0, 0.0],
        ],
    ),
    (
        "leaky_relu",
        |x| nn::leaky_relu(x, 0.2),
        &[
            [0.0, 0.0, 1.0, 0.0],
            [-0.0, 0.0, 1.0, 0.0],
            [1e-30, 1e-30, 1.0, 0.0],
            [-1e-30, -2e-31, 0.2, 0.0],
            [50.0, 50.0, 1.0, 0.0],
            [-50.0, -10.0, 0.2, 0.0],
            [INF, INF, 1.0, 0.0],
            [-INF, -INF, 0.2, 0.0],
        ],
    ),
    (
        "sigmoid",
        nn::sigmoid,
        &[
            [0.0, 0.5, 0.25, 0.0],
            [-0.0, 0.5, 0.25, 0.0],
            [1e-30, 0.5, 0.25, 0.0],
            [-1.5, 0.18242552380635635, 0.14914645207033286, 0.09473021278475267],
            [0.5, 0.6224593312018546, 0.2350037122015945, -0.05755679485232074],
            [50.0, 1.0, 0.0, 0.0],
            [-50.0, 0.0, 0.0, 0.0],
            [1e4, 1.0, 0.0, 0.0],
            [-1e4, 0.0, 0.0, 0.0],
            [INF, 1.0, 0.0, 0.0],
            [-INF, 0.0, 0.0, 0.0],
        ],
    ),
    (
        "tanh",
        nn::tanh,
        &[
            [0.0, 0.0, 1.0, 0.0],
            [-0.0, 0.0, 1.0, 0.0],
            [1e-30, 1e-30, 1.0, 0.0],
            [-1.5, -0.9051482536448664, 0.18070663892364852, 0.32713259728754784],
            [0.5, 0.46211715726000974, 0.7864477329659274, -0.7268619813835873],
            [50.0, 1.0, 0.0, 0.0],
            [-50.0, -1.0, 0.0, 0.0],
            [-1e4, -1.0, 0.0, 0.0],
            [INF, 1.0, 0.0, 0.0],
            [-INF, -1.0, 0.0, 0.0],
        ],
    ),
    (
        "softplus",
        nn::softplus,
        &[
            [0.0, std::f64::consts::LN_2, 0.5, 0.25],
            [-0.0, std::f64::consts::LN_2, 0.5, 0.25],
            [1e-30, std::f64::consts::LN_2, 0.5, 0.25],
            [-1e-30, std::f64::consts::LN_2, 0.5, 0.25],
            [-1.5, 0.2014132779827524, 0.18242552380635635, 0.14914645207033286],
            [0.5, 0.9740769841801067, 0.6224593312018546, 0.2350037122015945],
            [50.0, 50.0, 1.0, 0.0],
            [-50.0, 0.0, 0.0, 0.0],
            [1e4, 1e4, 1.0, 0.0],
            [-1e4, 0.0, 0.0, 0.0],
            [INF, INF, 1.0, 0.0],
            [-INF, 0.0, 0.0, 0.0],
        ],
    ),
    (
        "gelu",
        nn::gelu,
        &[
            [0.0, 0.0, 0.5, 0.7978845608028654],
            [-0.0, 0.0, 0.5, 0.7978845608028654],
            [1e-30, 5e-31, 0.5, 0.7978845608028654],
            [-1.5, -0.10042842301976708, -0.12771079315143308, -0.030518196484224946],
            [0.5, 0.34571400982514394, 0.8673699035346423, 0.6155068951159849],
            [50.0, 50.0, 1.0, 0.0],
            [-50.0, 0.0, 0.0, 0.0],
            [1e4, 1e4, 1.0, 0.0],
            [-1e4, 0.0, 0.0, 0.0],
            [1e30, 1e30, 1.0, 0.0],
            [-1e30, 0.0, 0.0, 0.0],
            [INF, INF, 1.0, 0.0],
            [-INF, 0.0, 0.0, 0.0],
        ],
    ),
];

#[track_caller]
fn check(name: &str, f: &(dyn Fn(Array) -> Array + Send + Sync), x: &Array, wanted: &[f64], tolerance: f64) {
    for (way, options) in ways() {
        let found = numbers(&match options {
            None => f(x.clone()),
            Some(options) => jit_with(f, options)(x.clone()),
        });
        for (i, (a, b)) in found.iter().zip(wanted).enumerate() {
            let close = a == b || (a - b).abs() <= tolerance * (1.0 + b.abs());
            assert!(close, "{name} of {}, {way}: at {} {a}, not {b}", x.dtype(), numbers(x)[i]);
        }
    }
}

#[test]
fn kinks_and_limits() {
    for (name, f, table) in TABLES {
        let first = |x: Array| grad(|x: Array| f(&x).sum(()))(x);
        let second = |x: Array| grad(|x: Array| first(x).sum(()))(x);
        for (dtype, tolerance) in [(DType::F32, 4e-6), (DType::F64, 1e-13)] {
            let column = |i: usize| table.iter().map(|row| row[i]).collect::<Vec<f64>>();
            let x = Array::new(&[table.len()], column(0)).astype(dtype);
            check(name, &|x| f(&x), &x, &column(1), tolerance);
            check(&format!("{name}'"), &first, &x, &column(2), tolerance);
            check(&format!("{name}''"), &second, &x, &column(3), tolerance);
        }
        let nan = f(&Array::scalar(f32::NAN)).item::<f32>();
        assert!(nan.is_nan(), "{name} of NaN is {nan}");
    }
}

/// Entries of -∞ have no weight, and no derivative passes through them.
#[test]
fn rows_that_a_mask_made_infinite() {
    let x = || Array::new(&[2, 3], vec![0.0f32, f32::NEG_INFINITY, 0.0, 1e4, 1e4, f32::NEG_INFINITY]);
    let sum_of = |f: fn(&Array) -> Array| {
        move |x: Array| {
            let finite = x.gt(f64::NEG_INFINITY);
            grad(move |x: Array| (finite.select(f(&x), 0.0) * Array::new(&[3], vec![3f32, 5.0, 7.0])).sum(()))(x)
        }
    };
    let softmax: fn(&Array) -> Array = |x| nn::softmax(x, -1);
    let logs: fn(&Array) -> Array = |x| nn::log_softmax(x, -1);
    check("softmax", &|x| softmax(&x), &x(), &[0.5, 0.0, 0.5, 0.5, 0.5, 0.0], 1e-6);
    check("softmax'", &sum_of(softmax), &x(), &[-1.0, 0.0, 1.0, -0.5, 0.5, 0.0], 1e-6);
    let half = -std::f64::consts::LN_2;
    check("log_softmax", &|x| logs(&x), &x(), &[half, -INF, half, half, half, -INF], 1e-6);
    check("log_softmax'", &sum_of(logs), &x(), &[-2.0, 0.0, 2.0, -1.0, 1.0, 0.0], 1e-6);
    let total = |x: Array| nn::logsumexp(&x, -1);
    check("logsumexp", &total, &x(), &[-half, 1e4 - half], 1e-6);
    let slope = move |x: Array| grad(move |x: Array| total(x).sum(()))(x);
    check("logsumexp'", &slope, &x(), &[0.5, 0.0, 0.5, 0.5, 0.5, 0.0], 1e-6);
    let ends = Array::new(&[2, 2], vec![f32::NEG_INFINITY, f32::NEG_INFINITY, f32::INFINITY, 0.0]);
    check("logsumexp", &total, &ends, &[-INF, INF], 0.0);
}

/// Adding 0 makes a negative zero positive, adding -0 does not, and the inverse of a zero has its sign.
#[test]
fn zeros_keep_their_sign() {
    let x = floats(&[-0.0, 0.0, 1.0]);
    super::check(|x: Array| x + 0.0, &x, &[0.0, 0.0, 1.0], 0.0);
    super::check(|x: Array| x + gavotte::zeros([3], DType::F32), &x, &[0.0, 0.0, 1.0], 0.0);
    super::check(|x: Array| x - (-0.0), &x, &[0.0, 0.0, 1.0], 0.0);
    super::check(|x: Array| x + (-0.0), &x, &[-0.0, 0.0, 1.0], 0.0);
    super::check(|x: Array| x - 0.0, &x, &[-0.0, 0.0, 1.0], 0.0);
    super::check(|x: Array| 1.0 / (x + 0.0), &x, &[f64::INFINITY, f64::INFINITY, 1.0], 0.0);
    super::check(|x: Array| 1.0 / (x * 1.0), &x, &[f64::NEG_INFINITY, f64::INFINITY, 1.0], 0.0);
}
