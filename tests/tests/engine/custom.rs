//! Functions with custom derivatives, and `stop_gradient`: against closed forms and plain rules, and under every
//! ordered pair of the other transformations.

use approx::assert_relative_eq;
use gavotte::random::Key;
use gavotte::{
    Array, Error, Fun, ScanOptions, Tree, cond, custom_jvp, custom_vjp, fori_loop, grad, jacfwd, jit, jvp, linearize,
    make_program, scan_with, stop_gradient, vjp, vmap,
};
use gavotte_core::ir::{parse, verify};

fn scalar(x: f64) -> Array {
    Array::scalar(x)
}

fn vector(xs: &[f64]) -> Array {
    Array::new(&[xs.len()], xs.to_vec())
}

fn assert_close(found: &[f64], wanted: &[f64], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() <= 1e-12 * (1.0 + wanted.abs()), "{what}: {found} is not {wanted}");
    }
}

fn message<T>(result: Result<T, Error>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

/// `sin` with three times its derivative, which shows where the rule was used.
fn wave_jvp<'f>() -> Fun<'f, (Array,), Array> {
    custom_jvp(|x: Array| x.sin(), |(x,): (Array,), (t,): (Array,)| (x.sin(), x.cos() * t * 3.0))
}

fn wave_vjp<'f>() -> Fun<'f, (Array,), Array> {
    let fwd = |x: Array| {
        let slope = x.cos() * 3.0;
        (x.sin(), slope)
    };
    custom_vjp(|x: Array| x.sin(), fwd, |slope: Array, ct: Array| (slope * ct,))
}

const XS: [f64; 3] = [0.3, -1.1, 0.7];

/// The value, then the derivatives by the rule: `sin`, `3 cos`, and the derivative of that, `-3 sin`.
fn expected(order: usize) -> Vec<f64> {
    XS.iter()
        .map(|x| match order {
            0 => x.sin(),
            1 => 3.0 * x.cos(),
            _ => -3.0 * x.sin(),
        })
        .collect()
}

fn each(f: &dyn Fn(f64) -> f64) -> Vec<f64> {
    XS.iter().map(|x| f(*x)).collect()
}

#[test]
fn rules_stand_in_for_derivatives_under_every_pair_of_transformations() {
    for (name, wave) in [("custom_jvp", wave_jvp as fn() -> Fun<'static, (Array,), Array>), ("custom_vjp", wave_vjp)] {
        let check = |what: &str, order: usize, found: Vec<f64>| {
            assert_close(&found, &expected(order), &format!("{name}: {what}"));
        };
        let derivative = |x: f64| jvp(&wave(), (scalar(x),), (scalar(1.0),)).1.item::<f64>();
        let total = |x: Array| vmap(wave(), [Some(0)])(x).sum(());
        let forward = |x: Array| {
            let ones = gavotte::ones_like(&x);
            jvp(&wave(), (x,), (ones,)).1
        };
        check("plain", 0, wave()(vector(&XS)).to_vec());
        check("jit", 0, jit(wave())(vector(&XS)).to_vec());
        check("vmap", 0, vmap(wave(), [Some(0)])(vector(&XS)).to_vec());
        check("grad", 1, each(&|x| grad(wave())(scalar(x)).item()));
        check("jvp", 1, each(&derivative));
        check("jit(jit)", 0, jit(jit(wave()))(vector(&XS)).to_vec());
        check("jit(grad)", 1, each(&|x| jit(grad(wave()))(scalar(x)).item()));
        check("grad(jit)", 1, each(&|x| grad(jit(wave()))(scalar(x)).item()));
        check("jit(vmap)", 0, jit(vmap(wave(), [Some(0)]))(vector(&XS)).to_vec());
        check("vmap(jit)", 0, vmap(jit(wave()), [Some(0)])(vector(&XS)).to_vec());
        check("jit(jvp)", 1, jit(forward)(vector(&XS)).to_vec());
        check("jvp(jit)", 1, jvp(&jit(wave()), (vector(&XS),), (vector(&[1.0; 3]),)).1.to_vec());
        check("vmap(grad)", 1, vmap(grad(wave()), [Some(0)])(vector(&XS)).to_vec());
        check("grad(vmap)", 1, grad(total)(vector(&XS)).to_vec());
        check("vmap(jvp)", 1, vmap(forward, [Some(0)])(vector(&XS)).to_vec());
        check("jvp(vmap)", 1, jvp(&vmap(wave(), [Some(0)]), (vector(&XS),), (vector(&[1.0; 3]),)).1.to_vec());
        check(
            "vmap(vmap)",
            0,
            vmap(vmap(wave(), [Some(0)]), [Some(1)])(vector(&XS).reshape([1, 3])).reshape([3]).to_vec(),
        );
        check("grad(grad)", 2, each(&|x| grad(grad(wave()))(scalar(x)).item()));
        check("grad(jvp)", 2, each(&|x| grad(forward)(scalar(x)).item()));
        check("jvp(grad)", 2, each(&|x| jvp(&grad(wave()), (scalar(x),), (scalar(1.0),)).1.item()));
        check("jvp(jvp)", 2, each(&|x| jvp(&forward, (scalar(x),), (scalar(1.0),)).1.item()));
        check("jit(vmap(grad(grad)))", 2, jit(vmap(grad(grad(wave())), [Some(0)]))(vector(&XS)).to_vec());
        let (value, derivative) = linearize(&wave(), (vector(&XS),));
        check("linearize, value", 0, value.to_vec());
        check("linearize, derivative", 1, derivative(vector(&[1.0; 3])).to_vec());
        check("jit(linearize)", 1, jit(|x: Array| linearize(&wave(), (x,)).1(vector(&[1.0; 3])))(vector(&XS)).to_vec());
        let square = jacfwd(wave())(vector(&XS)).array().to_vec::<f64>();
        check("jacfwd", 1, square.into_iter().step_by(4).collect());
    }
}

#[derive(Tree)]
struct Layer {
    w: Array,
    b: Array,
}

/// A function of a struct, an array of positions and an array, with results of two types; its rule is the plain one.
fn layer(of: Layer, at: Array, x: Array) -> (Array, Array) {
    ((of.w.take(&at, 0) * x).tanh() + of.b, &at * 2)
}

fn layer_args() -> (Layer, Array, Array) {
    let of = Layer { w: vector(&[0.5, -1.5]), b: scalar(0.25) };
    (of, Array::new(&[3], vec![1, 0, 1]), vector(&XS))
}

fn layer_loss(
    f: &(dyn Fn(Layer, Array, Array) -> (Array, Array) + Send + Sync),
    of: Layer,
    at: Array,
    x: Array,
) -> Array {
    let (out, doubled) = f(of, at, x);
    (&out * &out).sum(()) + doubled.sum(()).astype(gavotte::DType::F64)
}

#[test]
fn trees_of_several_types_go_through_both_rules() {
    let by_jvp = custom_jvp(layer, |(of, at, x): (Layer, Array, Array), (dof, _, dx): (Layer, Array, Array)| {
        let product = of.w.take(&at, 0) * &x;
        let slope = 1.0 - product.tanh().square();
        let moved = slope * (dof.w.take(&at, 0) * &x + of.w.take(&at, 0) * dx) + dof.b;
        (layer(of, at.clone(), x), (moved, at))
    });
    let fwd = |of: Layer, at: Array, x: Array| {
        let tanh = (of.w.take(&at, 0) * &x).tanh();
        ((&tanh + &of.b, &at * 2), (of, (tanh, at, x)))
    };
    let bwd = |(of, (tanh, at, x)): (Layer, (Array, Array, Array)), (ct, _): (Array, Array)| {
        let inner = &ct * (1.0 - tanh.square());
        let to_w = |place: i32| (at.eq(place).astype(gavotte::DType::F64) * &inner * &x).sum(());
        let w = gavotte::stack(&[to_w(0), to_w(1)], 0);
        (Layer { w, b: ct.sum(()) }, at.clone(), inner * of.w.take(&at, 0))
    };
    let by_vjp = custom_vjp(layer, fwd, bwd);
    let plain = grad(|of: Layer, at: Array, x: Array| layer_loss(&layer, of, at, x));
    let (of, at, x) = layer_args();
    let wanted = plain(of, at, x);
    for (name, f) in [("custom_jvp", &by_jvp), ("custom_vjp", &by_vjp)] {
        let loss = |of: Layer, at: Array, x: Array| layer_loss(&|of, at, x| f(of, at, x), of, at, x);
        let (of, at, x) = layer_args();
        let eager = grad(loss)(of, at, x);
        let (of, at, x) = layer_args();
        let compiled = jit(grad(loss))(of, at, x);
        for found in [eager, compiled] {
            assert_close(&found.w.to_vec::<f64>(), &wanted.w.to_vec::<f64>(), name);
            assert_close(&[found.b.item()], &[wanted.b.item()], name);
        }
        // One mapped argument; the others are the same for every element, so their cotangents add up.
        let (of, at, x) = layer_args();
        let rows = gavotte::stack(&[x.clone(), &x * 2.0], 0);
        let mapped =
            |of: Layer, at: Array, rows: Array, f: &(dyn Fn(Layer, Array, Array) -> (Array, Array) + Send + Sync)| {
                let one = |of: Layer, at: Array, x: Array| layer_loss(f, of, at, x);
                vmap(one, [None, None, Some(0)])(of, at, rows).sum(())
            };
        let found = grad(|of: Layer, at: Array, rows: Array| mapped(of, at, rows, &|of, at, x| f(of, at, x)))(
            of,
            at,
            rows.clone(),
        );
        let (of, at, _) = layer_args();
        let wanted = grad(|of: Layer, at: Array, rows: Array| mapped(of, at, rows, &layer))(of, at, rows);
        assert_close(&found.w.to_vec::<f64>(), &wanted.w.to_vec::<f64>(), name);
        assert_close(&[found.b.item()], &[wanted.b.item()], name);
    }
}

#[test]
fn a_backward_rule_may_be_what_no_derivative_is() {
    // Cotangents are clipped at 1: reverse mode runs the rule; forward mode has no transpose of it.
    let fwd = |x: Array| (x.clone(), ());
    let clipped = || custom_vjp(|x: Array| x, fwd, |(): (), ct: Array| (ct.clip(-1.0, 1.0),));
    let loss = |x: Array| (clipped()(x) * vector(&[0.5, 3.0, -7.0])).sum(());
    assert_eq!(grad(loss)(vector(&XS)).to_vec::<f64>(), [0.5, 1.0, -1.0]);
    assert_eq!(jit(grad(loss))(vector(&XS)).to_vec::<f64>(), [0.5, 1.0, -1.0]);
    let rows = vmap(grad(loss), [Some(0)])(vector(&XS).reshape([1, 3]));
    assert_eq!(rows.to_vec::<f64>(), [0.5, 1.0, -1.0]);
    let forward = jit(|x: Array| jvp(&clipped(), (x.clone(),), (x,)).1).try_call((vector(&XS),));
    let said = message(forward);
    for part in ["custom_vjp", "forward mode", "bwd", "not linear", "custom_jvp"] {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
}

#[test]
fn captured_values_are_operands_and_have_no_derivative() {
    let outer = |w: Array, x: Array| {
        let scaled = custom_jvp(
            {
                let w = w.clone();
                move |x: Array| &x * &w
            },
            move |(x,): (Array,), (t,): (Array,)| (&x * &w, t * &w),
        );
        scaled(x).sum(())
    };
    let of_x = grad(move |x: Array, w: Array| outer(w, x));
    assert_eq!(of_x(vector(&[1.0, 2.0]), vector(&[3.0, 4.0])).to_vec::<f64>(), [3.0, 4.0]);
    assert_eq!(jit(of_x)(vector(&[1.0, 2.0]), vector(&[3.0, 4.0])).to_vec::<f64>(), [3.0, 4.0]);
    let mapped = vmap(outer, [Some(0), None])(vector(&[3.0, 4.0]).reshape([2, 1]), vector(&[1.0]));
    assert_eq!(mapped.to_vec::<f64>(), [3.0, 4.0]);
    let said = message(grad(outer).try_call((vector(&[3.0, 4.0]), vector(&[1.0, 2.0]))));
    for part in ["custom_jvp", "captured", "f64[2]", "stop_gradient"] {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
    let by_vjp = |w: Array| {
        let fwd = {
            let w = w.clone();
            move |x: Array| (&x * &w, w.clone())
        };
        let f = custom_vjp(move |x: Array| &x * &w, fwd, |w: Array, ct: Array| (w * ct,));
        f(scalar(2.0))
    };
    let said = message(grad(by_vjp).try_call((scalar(3.0),)));
    assert!(said.contains("custom_vjp") && said.contains("captured"), "{said}");
}

#[test]
fn rules_that_do_not_fit_are_refused_by_path_and_type() {
    let pair = |x: Array| (x.clone(), x);
    let short = custom_jvp(pair, |(x,): (Array,), (t,): (Array,)| ((x.clone(), x), (t.sum(()), t)));
    let said = message(short.try_call((vector(&XS),)));
    for part in ["custom_jvp", "tangent", "at 0", "f64[]", "f64[3]"] {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
    let many = |x: Array| vec![x.clone(), x];
    let fewer = custom_jvp(many, |(x,): (Array,), (t,): (Array,)| (vec![x], vec![t]));
    let said = message(fewer.try_call((vector(&XS),)));
    assert!(said.contains("differs in structure") && said.contains("Vec of 2"), "{said}");
    let wrong = custom_vjp(|x: Array| x.sum(()), |x: Array| (x.sum(()), x), |_: Array, ct: Array| (ct,));
    let said = message(wrong.try_call((vector(&XS),)));
    for part in ["custom_vjp", "`bwd`", "f64[]", "f64[3]", "the arguments"] {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
    let squared = custom_jvp(|x: Array| x, |(x,): (Array,), (t,): (Array,)| (x, &t * &t));
    let said = message(grad(squared).try_call((scalar(2.0),)));
    assert!(said.contains("not linear"), "{said}");
}

#[test]
fn programs_hold_the_rules_and_can_be_read_back() {
    for wave in [wave_jvp(), wave_vjp()] {
        let traced = make_program(&wave, (vector(&XS),));
        assert!(verify(&traced).is_ok(), "{traced}");
        assert_eq!(parse(&traced.to_string(), gavotte::registry()).as_ref(), Ok(&traced));
        assert!(traced.to_string().contains("custom_"), "{traced}");
        let lowered = jit(wave).lower((vector(&XS),)).expect("it compiles");
        let compiled = lowered.executable();
        assert_eq!(compiled.program().eqns.len(), 1, "the rule was not used: {}", compiled.program());
    }
}

#[test]
fn sizes_may_be_symbols() {
    for wave in [wave_jvp(), wave_vjp()] {
        let total = jit(grad(move |x: Array| wave(x).sum(())));
        for n in [2, 3] {
            let found = total(vector(&XS[..n]).declare(["n"])).to_vec::<f64>();
            assert_close(&found, &expected(1)[..n], "symbols");
        }
        assert_eq!(total.n_entry(), 1);
    }
}

#[test]
fn a_rule_may_use_functions_with_rules() {
    // The tangent goes through a function with a rule; what that function computes is transposed.
    let double = || custom_jvp(|x: Array| x * 2.0, |(x,): (Array,), (t,): (Array,)| (x * 2.0, t * 2.0));
    let outer =
        custom_jvp(|x: Array| x.square(), move |(x,): (Array,), (t,): (Array,)| (x.square(), jit(double())(t) * x));
    assert_relative_eq!(grad(outer.clone())(scalar(3.0)).item::<f64>(), 6.0);
    assert_relative_eq!(jit(grad(grad(outer)))(scalar(3.0)).item::<f64>(), 2.0);
}

#[test]
fn keys_are_arguments_of_functions_with_rules() {
    let noisy = || {
        let fwd = |x: Array, key: Key| {
            let noise = key.uniform([3], gavotte::DType::F64);
            (&x * &noise, noise)
        };
        let f = |x: Array, key: Key| x * key.uniform([3], gavotte::DType::F64);
        custom_vjp(f, fwd, |noise: Array, ct: Array| (noise * ct, Key::new(0)))
    };
    let found = grad(|x: Array, key: Key| noisy()(x, key).sum(()))(vector(&XS), Key::new(7));
    assert_eq!(found.to_vec::<f64>(), Key::new(7).uniform([3], gavotte::DType::F64).to_vec::<f64>());
}

#[test]
fn rules_hold_within_loops_and_branches() {
    for wave in [wave_jvp(), wave_vjp()] {
        // Three iterations of x ↦ sin x, whose derivative is 27 cos(sin(sin x)) cos(sin x) cos x by the rule.
        let iterated = |x: Array| scan_with(|x: Array, ()| (wave(x), ()), x, (), three()).0;
        let chosen = |x: Array| cond(x.gt(0.0), |x: Array| wave(x), |x: Array| x * 5.0, x);
        let looped = |x: Array| fori_loop(0, 3, |_, x: Array| wave(x), x);
        let slope = |x: f64| 27.0 * x.sin().sin().cos() * x.sin().cos() * x.cos();
        let branch = |x: f64| if x > 0.0 { 3.0 * x.cos() } else { 5.0 };
        for x in XS {
            let forward = |f: &(dyn Fn(Array) -> Array + Send + Sync)| {
                jit(|x: Array| jvp(&|x: Array| f(x), (x,), (scalar(1.0),)).1)(scalar(x)).item::<f64>()
            };
            let reverse =
                |f: &(dyn Fn(Array) -> Array + Send + Sync)| jit(grad(|x: Array| f(x)))(scalar(x)).item::<f64>();
            assert_close(&[forward(&iterated), reverse(&iterated)], &[slope(x); 2], "scan");
            assert_close(&[forward(&chosen), reverse(&chosen)], &[branch(x); 2], "cond");
            assert_close(&[forward(&looped)], &[slope(x)], "fori_loop");
        }
        let rows = vmap(grad(iterated), [Some(0)])(vector(&XS));
        assert_close(&rows.to_vec::<f64>(), &each(&slope), "vmap(grad(scan))");
    }
}

fn three() -> ScanOptions {
    ScanOptions { length: Some(3.into()), ..ScanOptions::default() }
}

#[test]
fn stopped_gradients_stop_in_every_order() {
    // y = x · stop(x)²: the derivative is x², and its derivative 0, not 2x.
    let f = |x: Array| &x * stop_gradient(&x).square();
    assert_eq!(grad(f)(scalar(3.0)).item::<f64>(), 9.0);
    assert_eq!(jit(grad(f))(scalar(3.0)).item::<f64>(), 9.0);
    assert_eq!(jvp(&f, (scalar(3.0),), (scalar(2.0),)).1.item::<f64>(), 18.0);
    assert_eq!(vmap(grad(f), [Some(0)])(vector(&[1.0, 2.0])).to_vec::<f64>(), [1.0, 4.0]);
    assert_eq!(grad(|x: Array| vmap(f, [Some(0)])(x).sum(()))(vector(&[1.0, 2.0])).to_vec::<f64>(), [1.0, 4.0]);
    // The x² of the gradient is already stopped, so nothing of it is left.
    assert_eq!(grad(grad(f))(scalar(3.0)).item::<f64>(), 0.0);
    assert_eq!(jvp(&grad(f), (scalar(3.0),), (scalar(1.0),)).1.item::<f64>(), 0.0);
    let tree = |of: Layer, x: Array| {
        let still = stop_gradient(&of);
        (&of.w * &still.w * x + still.b).sum(())
    };
    let (of, _, _) = layer_args();
    let found = grad(tree)(of, vector(&[2.0, 3.0]));
    assert_eq!(found.w.to_vec::<f64>(), [1.0, -4.5]);
    assert_eq!(found.b.item::<f64>(), 0.0);
    let (_, pull) = vjp(&|x: Array| stop_gradient(&(x.clone(), vec![x])), (scalar(1.0),));
    assert_eq!(pull((scalar(1.0), vec![scalar(1.0)])).0.item::<f64>(), 0.0);
}
