use super::*;
use crate::Tree;
use gavotte_core::ir::quietly;

#[derive(Tree, Clone)]
struct Pair {
    a: Array,
    b: Array,
}

fn pair(dtype: DType) -> Pair {
    Pair {
        a: Array::new(&[3], vec![1f64, -2.0, 0.5]).astype(dtype),
        b: Array::new(&[1, 2], vec![0.25f64, 4.0]).astype(dtype),
    }
}

/// Gradients that differ between steps and between places.
fn gradient(i: usize, place: usize) -> f64 {
    ((i * 7 + place * 3) as f64).sin() * 10f64.powi(place as i32 - 2)
}

fn gradients(i: usize, dtype: DType) -> Pair {
    let g: Vec<f64> = (0..5).map(|place| gradient(i, place)).collect();
    Pair { a: Array::new(&[3], g[..3].to_vec()).astype(dtype), b: Array::new(&[1, 2], g[3..].to_vec()).astype(dtype) }
}

fn run<S: Tree>(optimizer: &Optimizer<Pair, S>, steps: usize, dtype: DType) -> Vec<f64> {
    let mut state = (optimizer.init_fun)(pair(dtype));
    for i in 0..steps {
        state = (optimizer.update_fun)(&Array::scalar(i as i32), gradients(i, dtype), state);
    }
    let Pair { a, b } = (optimizer.get_params)(&state);
    assert_eq!((a.dtype(), b.dtype()), (dtype, dtype));
    [a, b].iter().flat_map(|x| x.astype(DType::F64).to_vec::<f64>()).collect()
}

/// The textbook's Adam, on plain numbers.
fn adam_by_hand(steps: usize, rate: f64, decay: f64) -> Vec<f64> {
    let mut x = [1f64, -2.0, 0.5, 0.25, 4.0];
    let (mut m, mut v) = ([0f64; 5], [0f64; 5]);
    for i in 0..steps {
        let t = i as i32 + 1;
        for k in 0..5 {
            let g = gradient(i, k);
            m[k] = 0.9 * m[k] + 0.1 * g;
            v[k] = 0.999 * v[k] + 0.001 * g * g;
            let (m_hat, v_hat) = (m[k] / (1.0 - 0.9f64.powi(t)), v[k] / (1.0 - 0.999f64.powi(t)));
            x[k] -= rate * (m_hat / (v_hat.sqrt() + 1e-8) + decay * x[k]);
        }
    }
    x.to_vec()
}

fn assert_close(found: &[f64], wanted: &[f64], tolerance: f64) {
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() <= tolerance, "{found} and {wanted}");
    }
}

#[test]
fn adam_is_the_papers() {
    assert_close(&run(&adam(0.005), 30, DType::F64), &adam_by_hand(30, 0.005, 0.0), 1e-12);
    assert_close(&run(&adam(0.005f32), 30, DType::F32), &adam_by_hand(30, 0.005, 0.0), 1e-6);
}

#[test]
fn adamw_decays_beside_the_moments() {
    assert_close(&run(&adamw(0.005, 0.1), 30, DType::F64), &adam_by_hand(30, 0.005, 0.1), 1e-12);
}

#[test]
fn the_correction_of_bias_is_exact_in_f32() {
    for t in [1, 2, 10, 1000, 100_000] {
        let exact = -f64::exp_m1(f64::from(t) * 0.999f64.ln());
        let found = f64::from(bias(0.999, &Array::scalar(t as f32)).item::<f32>());
        assert!((found / exact - 1.0).abs() < 3e-7, "at {t}: {found} and {exact}");
    }
}

#[test]
fn momentum_and_descent_by_hand() {
    let mut x = [1f64, -2.0, 0.5, 0.25, 4.0];
    let (mut y, mut velocity) = (x, [0f64; 5]);
    for i in 0..5 {
        for k in 0..5 {
            x[k] -= 0.1 * gradient(i, k);
            velocity[k] = 0.9 * velocity[k] + gradient(i, k);
            y[k] -= 0.1 * velocity[k];
        }
    }
    assert_close(&run(&sgd(0.1), 5, DType::F64), &x, 1e-13);
    assert_close(&run(&momentum(0.1, 0.9), 5, DType::F64), &y, 1e-13);
}

#[test]
fn schedules_follow_their_formulas() {
    let at = |schedule: Schedule, i: i32| schedule.at(&Array::scalar(i), DType::F64).item::<f64>();
    for (schedule, wanted) in [
        (Schedule::from(0.1), 0.1),
        (Schedule::from(0.1f32), 0.1),
        (Schedule::exponential_decay(0.1, 10.0, 0.5), 0.1 * 0.5f64.powf(0.7)),
        (Schedule::inverse_time_decay(0.1, 10.0, 2.0), 0.1 / 2.4),
        (Schedule::cosine_decay(0.1, 0.02, 14.0), 0.06),
        (Schedule::cosine_decay(0.1, 0.02, 5.0), 0.02),
        (Schedule::new(|step| step * 2.0), 14.0),
    ] {
        assert!((at(schedule, 7) - wanted).abs() < 1e-15, "{wanted}");
    }
    assert_eq!(Schedule::from(0.1).at(&Array::scalar(3), DType::F32).dtype(), DType::F32);
}

#[test]
#[should_panic(expected = "state and gradients differ")]
fn gradients_of_another_structure_are_refused() {
    let optimizer = sgd::<Vec<Array>>(0.1);
    let state = (optimizer.init_fun)(vec![Array::scalar(1f32)]);
    (optimizer.update_fun)(&Array::scalar(0), vec![], state);
}

#[test]
fn numbers_that_would_make_nan_are_refused() {
    let refused = |f: &dyn Fn()| {
        let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).expect_err("it is refused");
        payload.downcast_ref::<String>().expect("it says why").clone()
    };
    let nan = f64::NAN;
    let moments = |beta1, beta2, epsilon| move || drop(adam_with::<Array>(0.1, Moments { beta1, beta2, epsilon }));
    let cases: [(&dyn Fn(), &str); 16] = [
        (&|| drop(Schedule::cosine_decay(1.0, 0.0, 0.0)), "`n_step` is 0, and must be finite and at least 1"),
        (&|| drop(Schedule::cosine_decay(1.0, nan, 9.0)), "`end` is NaN"),
        (&|| drop(Schedule::exponential_decay(1.0, 0.0, 0.5)), "`every` is 0"),
        (&|| drop(Schedule::exponential_decay(1.0, 1e-300, 0.5)), "`change in a step` is"),
        (&|| drop(Schedule::exponential_decay(1.0, 9.0, 0.0)), "`factor` is 0"),
        (&|| drop(Schedule::exponential_decay(1.0, 9.0, -0.5)), "`factor` is -0.5"),
        (&|| drop(Schedule::inverse_time_decay(1.0, 0.0, 0.5)), "`every` is 0"),
        (&|| drop(Schedule::inverse_time_decay(1.0, 1.0, -1.0)), "`factor` is -1"),
        (&|| drop(Schedule::constant(f64::INFINITY)), "`x` is inf"),
        (&|| drop(sgd::<Array>(nan)), "`x` is NaN"),
        (&|| drop(momentum::<Array>(0.1, nan)), "`mass` is NaN"),
        (&moments(1.0, 0.9, 1e-8), "`beta1` is 1, and must be at least 0 and less than 1"),
        (&moments(0.9, -0.1, 1e-8), "`beta2` is -0.1"),
        (&moments(0.9, 0.999, 0.0), "`epsilon` is 0"),
        (&moments(0.9, 0.999, nan), "`epsilon` is NaN"),
        (&|| drop(adamw::<Array>(0.1, nan)), "`decay` is NaN"),
    ];
    for (f, says) in cases {
        let found = refused(f);
        assert!(found.contains(says) && found.contains("\n  at "), "{found}, not {says}");
    }
}

#[test]
fn the_first_step_and_the_last_are_finite() {
    let last = Array::scalar(i32::MAX);
    for schedule in [
        Schedule::cosine_decay(1.0, 0.5, 1.0),
        Schedule::exponential_decay(1.0, 1.0, 0.5),
        Schedule::inverse_time_decay(1.0, 1.0, 0.5),
    ] {
        assert_eq!(schedule.at(&Array::scalar(0), DType::F32).item::<f32>(), 1.0);
        assert!(schedule.at(&last, DType::F32).item::<f32>().is_finite());
    }
    let Optimizer { init_fun, update_fun, get_params } = adam(0.1);
    let state = update_fun(&last, Array::scalar(1f32), init_fun(Array::scalar(2f32)));
    assert!(get_params(&state).item::<f32>() < 2.0);
}

/// No step leads from one integer to the next: the leaf is named.
#[test]
fn parameters_that_are_not_floating_are_refused() {
    let params = || Pair { a: Array::new(&[2], vec![7i32, -7]), b: Array::scalar(2f32) };
    fn check<S: Tree>(optimizer: Optimizer<Pair, S>, state: S, params: impl Fn() -> Pair) {
        let step = || drop((optimizer.update_fun)(&Array::scalar(0), params(), state));
        for (name, error) in [
            ("init_fun", quietly(|| drop((optimizer.init_fun)(params()))).expect_err("a is not floating")),
            ("update_fun", quietly(step).expect_err("a is not floating")),
        ] {
            let error = error.to_string();
            let says = format!("{name}: the parameter a is i32[2], and has no gradient: convert it to a float type");
            assert!(error.starts_with(&says), "{error}");
            assert!(error.ends_with("or keep it out of the parameters"), "{error}");
        }
    }
    check(sgd(0.5), Sgd { x: params() }, params);
    check(momentum(0.5, 0.9), Momentum { x: params(), velocity: params() }, params);
    check(adamw(0.5, 0.1), Adam { x: params(), m: params(), v: params() }, params);
    let alone = quietly(|| drop((sgd::<Array>(0.1).init_fun)(Array::scalar(true)))).expect_err("it is a truth value");
    assert!(alone.to_string().starts_with("init_fun: the parameter is bool[], and"), "{alone}");
}
