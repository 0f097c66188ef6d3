//! Everything composes: ten functions under all words of length three over jit, grad, vmap, jvp and checkpoint.
//!
//! A function of one number stays one under each letter: `grad` and `jvp` return its derivative, `jit` and `checkpoint`
//! the function itself, and `vmap` the weighted sum of its values at multiples of the argument. The reference uses no
//! automatic differentiation: it is arithmetic on closed forms of the derivatives.

use gavotte::segment::Segments;
use gavotte::{Array, cond, grad, jit, jvp, scan, vmap};
use gavotte::{DType, checkpoint};
use gavotte_tests::report::check_all;
use std::sync::Arc;

type Function = Arc<dyn Fn(Array) -> Array + Send + Sync>;
/// The derivative of this order at this point.
type Derivative = fn(usize, f64) -> f64;

const LETTERS: [&str; 5] = ["jit", "grad", "vmap", "jvp", "checkpoint"];
/// The multiples of the argument that `vmap` takes, and their weights.
const MULTIPLES: [f64; 3] = [1.0, -0.5, 0.25];
const WEIGHTS: [f64; 3] = [0.5, 2.0, -1.0];
const POINTS: [f64; 3] = [0.4, -0.7, 1.1];

#[allow(clippy::redundant_closure, reason = "a transformed function is called through its reference")]
fn under(letter: &str, f: Function) -> Function {
    match letter {
        "jit" => {
            let compiled = jit(move |x: Array| f(x));
            Arc::new(move |x| compiled(x))
        }
        "checkpoint" => {
            let kept = checkpoint(move |x: Array| f(x));
            Arc::new(move |x| kept(x))
        }
        "grad" => {
            let gradient = grad(move |x: Array| f(x));
            Arc::new(move |x| gradient(x))
        }
        "jvp" => Arc::new(move |x| jvp(&|x: Array| f(x), (x,), (Array::scalar(1.0),)).1),
        "vmap" => {
            let mapped = vmap(move |x: Array| f(x), [Some(0)]);
            Arc::new(move |x: Array| {
                let at = Array::new(&[3], MULTIPLES.to_vec()) * x;
                (mapped(at) * Array::new(&[3], WEIGHTS.to_vec())).sum(())
            })
        }
        other => panic!("{other} is not a letter"),
    }
}

/// `Σ factor · f⁽ᵏ⁾(scale · x)`
fn reference(word: &[&str], derivative: Derivative, x: f64) -> f64 {
    let mut terms = vec![(1.0, 0, 1.0)];
    for letter in word {
        terms = match *letter {
            "grad" | "jvp" => terms.into_iter().map(|(factor, k, scale)| (factor * scale, k + 1, scale)).collect(),
            "vmap" => {
                let each = |(factor, k, scale): (f64, usize, f64)| {
                    MULTIPLES.iter().zip(WEIGHTS).map(move |(a, w)| (factor * w, k, scale * a))
                };
                terms.into_iter().flat_map(each).collect()
            }
            _ => terms,
        };
    }
    terms.iter().map(|(factor, k, scale)| factor * derivative(*k, scale * x)).sum()
}

/// The derivatives of a polynomial, by its coefficients from the constant up.
fn polynomial(coefficients: &[f64], order: usize, x: f64) -> f64 {
    let falling = |i: usize| (0..order).map(|k| i as f64 - k as f64).product::<f64>();
    let terms = coefficients.iter().enumerate().skip(order);
    terms.map(|(i, c)| c * falling(i) * x.powi((i - order) as i32)).sum()
}

/// The derivatives of `tanh`.
fn tanh(order: usize, x: f64) -> f64 {
    let t = x.tanh();
    let s = 1.0 - t * t;
    [t, s, -2.0 * t * s, -2.0 * s * (1.0 - 3.0 * t * t)][order]
}

/// The derivatives of the logistic function.
fn logistic(order: usize, x: f64) -> f64 {
    let y = 1.0 / (1.0 + (-x).exp());
    let s = y * (1.0 - y);
    [y, s, s * (1.0 - 2.0 * y), s * (1.0 - 6.0 * s)][order]
}

fn sine(order: usize, x: f64) -> f64 {
    (x + order as f64 * std::f64::consts::FRAC_PI_2).sin()
}

fn functions() -> Vec<(&'static str, Function, Derivative)> {
    fn entry(
        name: &'static str,
        f: impl Fn(Array) -> Array + Send + Sync + 'static,
        derivative: Derivative,
    ) -> (&'static str, Function, Derivative) {
        (name, Arc::new(f), derivative)
    }
    vec![
        entry("sin", |x| x.sin(), sine),
        entry("tanh", |x| x.tanh(), tanh),
        entry("exp of twice", |x| (x * 2.0).exp(), |k, x| 2f64.powi(k as i32) * (2.0 * x).exp()),
        entry("a cube", |x| &x * &x * &x, |k, x| polynomial(&[0.0, 0.0, 0.0, 1.0], k, x)),
        // log Σ exp(a x) for a = 0, 1: its derivative is the logistic function
        entry(
            "log-sum-exp",
            |x| gavotte::nn::logsumexp(&(Array::new(&[2], vec![0.0, 1.0]) * x), 0),
            |k, x| if k == 0 { x.exp().ln_1p() } else { logistic(k - 1, x) },
        ),
        // (x v)ᵀ M (x v) = x² vᵀ M v, plus x: vᵀ M v = 1·(2) + 2·(1)
        entry(
            "a quadratic form",
            |x| {
                let v = Array::new(&[2], vec![1.0, 2.0]) * &x;
                let m = Array::new(&[2, 2], vec![0.0, 1.0, 1.0, 0.0]);
                v.dot(&m.dot(&v)) + x
            },
            |k, x| polynomial(&[0.0, 1.0, 4.0], k, x),
        ),
        // x · x · x · x by a scan, and the sum of its rows: x + x² + x³ + x⁴
        entry(
            "a scan",
            |x| {
                let body = |power: Array, _: Array| {
                    let power = power * &x;
                    (power.clone(), power)
                };
                scan(body, gavotte::ones_like(&x), gavotte::arange(4, DType::I32)).1.sum(())
            },
            |k, x| polynomial(&[0.0, 1.0, 1.0, 1.0, 1.0], k, x),
        ),
        // a branch by the sign
        entry(
            "a branch",
            |x| cond(x.gt(0.0), |x: Array| x.sin(), |x: Array| x.tanh(), x),
            |k, x| if x > 0.0 { sine(k, x) } else { tanh(k, x) },
        ),
        // Σ_s (Σ_{e in s} c_e x)² over segments {0, 2} and {1}: (1 + 3)² + 2² = 20
        entry(
            "a segment sum",
            move |x| {
                let segments = Segments::new(&[0, 1, 0], 2).expect("they are valid");
                let sums = segments.sum(&(Array::new(&[3], vec![1.0, 2.0, 3.0]) * x));
                (&sums * &sums).sum(())
            },
            |k, x| polynomial(&[0.0, 0.0, 20.0], k, x),
        ),
        // 1 / (x / 2 + 2)
        entry(
            "a quotient",
            |x| 1.0 / (x * 0.5 + 2.0),
            |k, x| {
                let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
                let factorial: f64 = (1..=k).map(|i| i as f64).product();
                sign * factorial * 0.5f64.powi(k as i32) / (0.5 * x + 2.0).powi(k as i32 + 1)
            },
        ),
    ]
}

#[test]
fn all_words_of_length_three() {
    let mut cases = vec![];
    for a in LETTERS {
        for b in LETTERS {
            for c in LETTERS {
                cases.push((format!("{c}({b}({a}(f)))"), [a, b, c]));
            }
        }
    }
    assert_eq!((cases.len(), functions().len()), (125, 10));
    check_all(cases, |word| {
        for (name, f, derivative) in functions() {
            let f = word.iter().fold(f, |f, letter| under(letter, f));
            for x in POINTS {
                let (found, wanted) = (f(Array::scalar(x)).item::<f64>(), reference(word, derivative, x));
                if (found - wanted).abs() > 1e-11 * (1.0 + wanted.abs()) {
                    return Err(format!("{name} at {x}: {found}, not {wanted}"));
                }
            }
        }
        Ok(())
    });
}

/// Checks the reference itself against central differences.
#[test]
fn the_closed_forms_are_right() {
    for (name, f, derivative) in functions() {
        for x in POINTS {
            let value = f(Array::scalar(x)).item::<f64>();
            assert!((value - derivative(0, x)).abs() < 1e-12, "{name} at {x}");
            for k in 0..3 {
                let step = 1e-5;
                let slope = (derivative(k, x + step) - derivative(k, x - step)) / (2.0 * step);
                let wanted = derivative(k + 1, x);
                assert!((slope - wanted).abs() < 1e-7 * (1.0 + wanted.abs()), "{name}, order {}, at {x}", k + 1);
            }
        }
    }
}
