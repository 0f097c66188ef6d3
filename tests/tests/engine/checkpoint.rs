//! Rematerialisation: what reverse mode stores, what it recomputes, and that gradients do not change.

use gavotte::{
    Array, DType, Fun, Policy, checkpoint, checkpoint_name, checkpoint_with, grad, hvp, jit, jvp, linearize,
    make_program, optimization_barrier, random::Key, scan, value_and_grad, vmap,
};
use gavotte_core::aval::Sizes;
use gavotte_core::ir::{Kind, Program, parse, verify};
use gavotte_core::pass::optimize;

const ROWS: usize = 128;
const N: usize = 16;
const LAYERS: usize = 16;
/// Bytes of the array that one layer passes to the next.
const STEP: usize = ROWS * N * size_of::<f32>();

type Layer<'f> = Fun<'f, (Array, Array), Array>;

/// A matrix product, followed by functions whose derivatives need their results.
fn layer(x: Array, w: Array) -> Array {
    let h = x.matmul(&w).tanh();
    // The norm reduces a column over all rows, so both `h` and the quotient must be stored.
    let norm = (h.square().sum(0) + 1.0).sqrt();
    (h / norm).sin()
}

fn plain<'f>() -> Layer<'f> {
    Fun::new(|(x, w): (Array, Array)| layer(x, w))
}

/// The loss of a chain of layers, each with its own weights.
fn loss(one: Layer<'static>) -> impl Fn(Vec<Array>, Array) -> Array + Send + Sync {
    move |ws: Vec<Array>, x: Array| ws.into_iter().fold(x, &*one).square().sum(())
}

fn operands() -> (Vec<Array>, Array) {
    let ws = Key::new(1).split_into(LAYERS).into_iter().map(|key| key.normal([N, N], DType::F32) * 0.3).collect();
    (ws, Key::new(2).normal([ROWS, N], DType::F32))
}

/// Temporary bytes of the compiled gradient of a loss, its program after all passes, and the gradients, flattened.
fn compiled(loss: impl Fn(Vec<Array>, Array) -> Array + Send + Sync) -> (usize, Program, Vec<f32>) {
    let (ws, x) = operands();
    let step = jit(grad(loss));
    let lowered = step.lower((ws.clone(), x.clone())).expect("it compiles");
    let executable = lowered.executable();
    let bytes = executable.plan(&Sizes::new()).expect("it has a plan").bytes();
    let found = step(ws, x).iter().flat_map(Array::to_vec::<f32>).collect();
    (bytes, executable.program().clone(), found)
}

fn count(program: &Program, name: &str) -> usize {
    program.eqns.iter().filter(|eqn| eqn.prim.name() == name).count()
}

fn assert_close(found: &[f32], wanted: &[f32], what: &str) {
    let scale = wanted.iter().fold(0f32, |top, x| top.max(x.abs()));
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() <= 1e-6 * scale, "{what}: {found} is not {wanted}");
    }
}

#[test]
fn a_chain_of_checkpoints_needs_less_memory_and_computes_again() {
    let (all, program, wanted) = compiled(loss(plain()));
    let (dots, with_dots, by_dots) = compiled(loss(checkpoint_with(layer, Policy::Dots)));
    let (least, again, by_nothing) = compiled(loss(checkpoint(layer)));
    assert!(least < dots && dots < all, "plain {all}, dots {dots}, nothing {least} bytes");
    // Every policy keeps each layer's operand. The policies differ by whole arrays per layer, except where merged
    // kernels keep none.
    assert!(all - dots >= (LAYERS - 3) * STEP, "plain {all}, dots {dots}");
    // The gradients of the weights wait for the small kernels at the end; together they take less than one more array.
    assert!(dots - least >= (LAYERS - 3) * STEP, "dots {dots}, nothing {least}");
    // Recomputed: nothing; all but the products; all but what the last layer's derivative does not need.
    assert_eq!(count(&program, "tanh"), LAYERS);
    assert_eq!(count(&with_dots, "tanh"), 2 * LAYERS);
    assert_eq!(count(&again, "tanh"), 2 * LAYERS);
    let products = |program: &Program| program.eqns.iter().filter(|eqn| eqn.prim.kind() == Kind::Contract).count();
    assert_eq!(products(&with_dots), products(&program));
    assert_eq!(products(&again), products(&program) + LAYERS);
    assert_close(&by_dots, &wanted, "dots");
    assert_close(&by_nothing, &wanted, "nothing");
}

#[test]
fn checkpoints_within_checkpoints_keep_still_less() {
    let (flat, _, wanted) = compiled(loss(checkpoint(layer)));
    let four = checkpoint(|x: Array, ws: Vec<Array>| ws.into_iter().fold(x, |x, w| checkpoint(layer)(x, w)));
    let nested = move |ws: Vec<Array>, x: Array| ws.chunks(4).fold(x, |x, ws| four(x, ws.to_vec())).square().sum(());
    let (bytes, program, found) = compiled(nested);
    // Of 16 operands, at most 8 are alive: the first of each group of four, and those of one group.
    assert!(flat - bytes >= (LAYERS / 2 - 1) * STEP, "nested {bytes}, flat {flat} bytes");
    assert!(count(&program, "tanh") > 2 * LAYERS, "the inner ones are computed a third time");
    assert_close(&found, &wanted, "nested");
}

#[test]
fn names_save_what_they_name() {
    let operands = || {
        let (mut ws, x) = operands();
        (ws.remove(0), x)
    };
    let named = |x: Array, w: Array| {
        let h = checkpoint_name(x.matmul(&w).tanh(), "hidden");
        checkpoint_name(h.exp(), "grown").sin()
    };
    let after = |policy: Policy| {
        let f = checkpoint_with(named, policy);
        let of = value_and_grad(move |w: Array, x: Array| f(x, w).sum(()));
        let program = optimize(&make_program(&of, operands()));
        (count(&program, "tanh"), count(&program, "exp"), of(operands().0, operands().1).1.to_vec::<f32>())
    };
    let plain = grad(move |w: Array, x: Array| named(x, w).sum(()));
    let wanted = plain(operands().0, operands().1).to_vec::<f32>();
    for (policy, tanh, exp) in [
        (Policy::Nothing, 2, 2),
        (Policy::Dots, 2, 2),
        (Policy::names(["hidden"]), 1, 2),
        (Policy::names(["hidden", "grown"]), 1, 1),
        (Policy::names(["other"]), 2, 2),
    ] {
        let (n_tanh, n_exp, found) = after(policy.clone());
        assert_eq!((n_tanh, n_exp), (tanh, exp), "{policy:?}");
        assert_close(&found, &wanted, &format!("{policy:?}"));
    }
    let said = Fun::<(Array,), Array>::new(|(x,)| checkpoint_name(x, "a\"b")).try_call((Array::scalar(1.0),));
    assert!(said.is_err_and(|error| error.to_string().contains("checkpoint_name")), "a quote cannot be read back");
}

/// `exp(sin(x) · y)` of two numbers, with another one captured.
fn small(scale: Array) -> impl Fn(Array, Array) -> Array + Send + Sync + Clone {
    move |x: Array, y: Array| (x.sin() * y * &scale).exp()
}

#[test]
fn derivatives_are_those_of_the_plain_function_in_every_order() {
    let scale = Array::scalar(0.7);
    let xs = Array::new(&[3], vec![0.3, -1.1, 0.7]);
    let ys = Array::new(&[3], vec![0.5, 0.2, -0.4]);
    let ones = || Array::new(&[3], vec![1.0; 3]);
    for policy in [Policy::Nothing, Policy::Dots] {
        let results = |f: &(dyn Fn(Array, Array) -> Array + Send + Sync)| {
            let total = |x: Array, y: Array| f(x, y).sum(());
            let along = |x: Array, y: Array| jvp(&|x: Array, y: Array| f(x, y), (x, y), (ones(), ones())).1;
            let both = || (xs.clone(), ys.clone());
            let (x, y) = both();
            vec![
                ("plain", f(xs.clone(), ys.clone())),
                ("jit", jit(|x: Array, y: Array| f(x, y))(xs.clone(), ys.clone())),
                ("grad", grad(total)(xs.clone(), ys.clone())),
                ("jit(grad)", jit(grad(total))(xs.clone(), ys.clone())),
                ("grad(jit)", grad(jit(total))(xs.clone(), ys.clone())),
                ("value_and_grad", value_and_grad(total)(xs.clone(), ys.clone()).1),
                ("jvp", along(xs.clone(), ys.clone())),
                ("jit(jvp)", jit(along)(xs.clone(), ys.clone())),
                ("jvp(jit)", jvp(&jit(total), both(), (ones(), ones())).1),
                ("jvp(jvp)", jvp(&along, both(), (ones(), ones())).1),
                ("grad(jvp)", grad(|x: Array, y: Array| along(x, y).sum(()))(xs.clone(), ys.clone())),
                ("jvp(grad)", jvp(&grad(total), both(), (ones(), ones())).1),
                ("grad(grad)", grad(|x: Array, y: Array| grad(total)(x, y).sum(()))(xs.clone(), ys.clone())),
                ("jit(hvp)", jit(hvp(total))(x, y, ones())),
                ("vmap", vmap(|x: Array, y: Array| f(x, y), [Some(0), None])(xs.clone(), ys.clone())),
                ("vmap(grad)", vmap(grad(total), [None, Some(0)])(xs.clone(), ys.clone())),
                ("grad(vmap)", {
                    let mapped = |x: Array, y: Array| vmap(|x: Array, y: Array| f(x, y), [None, Some(0)])(x, y).sum(());
                    grad(mapped)(xs.clone(), ys.clone())
                }),
                ("vmap(jvp)", {
                    let one = |x: Array, y: Array| jvp(&|x: Array, y: Array| f(x, y), (x.clone(), y.clone()), (y, x)).1;
                    vmap(one, [Some(0), Some(0)])(xs.clone(), ys.clone())
                }),
                (
                    "linearize",
                    jit(|x: Array, y: Array| linearize(&|x: Array, y: Array| f(x, y), (x, y)).1(ones(), ones()))(
                        xs.clone(),
                        ys.clone(),
                    ),
                ),
            ]
        };
        let f = small(scale.clone());
        let kept = checkpoint_with(f.clone(), policy.clone());
        let (found, wanted) = (results(&|x, y| kept(x, y)), results(&|x, y| f(x, y)));
        for ((name, found), (_, wanted)) in found.iter().zip(&wanted) {
            assert_eq!(found.shape(), wanted.shape(), "{name}");
            for (found, wanted) in found.to_vec::<f64>().iter().zip(wanted.to_vec::<f64>()) {
                assert!((found - wanted).abs() <= 1e-12 * (1.0 + wanted.abs()), "{policy:?} {name}: {found}, {wanted}");
            }
        }
    }
}

#[test]
fn captured_values_are_differentiated_too() {
    let f = |scale: Array, x: Array| checkpoint(small(scale))(x.clone(), x).sum(());
    let plain = |scale: Array, x: Array| small(scale)(x.clone(), x).sum(());
    let x = Array::new(&[2], vec![0.3, -1.1]);
    let (found, wanted) = (grad(f)(Array::scalar(0.7), x.clone()), grad(plain)(Array::scalar(0.7), x));
    assert!((found.item::<f64>() - wanted.item::<f64>()).abs() < 1e-12);
}

/// Second derivatives keep as little as first ones: the recorded program holds checkpoints, and the compiled one
/// recomputes after each.
#[test]
fn derivatives_of_checkpoints_are_checkpoints() {
    let one = |x: Array| checkpoint(|x: Array| x.sin().exp())(x).sum(());
    let first = make_program(&value_and_grad(one), (Array::scalar(0.5),));
    assert!(verify(&first).is_ok(), "{first}");
    assert_eq!(parse(&first.to_string(), gavotte::registry()).as_ref(), Ok(&first));
    assert_eq!(count(&first, "checkpoint"), 2, "forward and backward: {first}");
    let forward = make_program(
        &|x: Array| jvp(&checkpoint(|x: Array| x.sin().exp()), (x.clone(),), (x,)).1,
        (Array::scalar(0.5),),
    );
    assert_eq!(count(&forward, "checkpoint"), 1, "{forward}");
    assert_eq!(count(&optimize(&forward), "sin"), 1, "forward mode shares: {}", optimize(&forward));
    assert_eq!(count(&optimize(&first), "sin"), 2, "reverse mode computes again: {}", optimize(&first));
    let both = |x: Array| {
        let (value, slope) = value_and_grad(one)(x);
        value * slope
    };
    let second = make_program(&value_and_grad(both), (Array::scalar(0.5),));
    assert!(count(&second, "checkpoint") >= 3, "{second}");
    assert!(count(&optimize(&second), "sin") > 2, "{}", optimize(&second));
}

/// A loop whose iterations are checkpoints keeps the carries; a loop within a checkpoint keeps its operands.
#[test]
fn loops_of_checkpoints_and_checkpoints_of_loops() {
    let body = |x: Array, w: Array| (x.matmul(&w).tanh().exp().sin(), ());
    let ws = || Key::new(3).normal([5, 4, 4], DType::F64) * 0.3;
    let x = || Key::new(4).normal([2, 4], DType::F64);
    let kept = checkpoint(body);
    let plain = |ws: Array, x: Array| scan(body, x, ws).0.sum(());
    let inside = |ws: Array, x: Array| scan(|x: Array, w: Array| kept(x, w), x, ws).0.sum(());
    let around = |ws: Array, x: Array| checkpoint(|ws: Array, x: Array| scan(body, x, ws).0)(ws, x).sum(());
    let wanted = grad(plain)(ws(), x()).to_vec::<f64>();
    for found in
        [grad(inside)(ws(), x()), grad(around)(ws(), x()), jit(grad(inside))(ws(), x()), jit(grad(around))(ws(), x())]
    {
        for (found, wanted) in found.to_vec::<f64>().iter().zip(&wanted) {
            assert!((found - wanted).abs() <= 1e-12 * (1.0 + wanted.abs()), "{found} is not {wanted}");
        }
    }
    // Rows of residuals that the forward loop passes to the backward one.
    let rows = |program: &Program| {
        let first = program.eqns.iter().find(|eqn| eqn.prim.name() == "scan").expect("there is a loop");
        first.outs.iter().filter(|binder| binder.aval.rank() == 3).count()
    };
    let [all, few] = [make_program(&grad(plain), (ws(), x())), make_program(&grad(inside), (ws(), x()))]
        .map(|program| rows(&program));
    assert!(few < all, "rows of residuals: {all} without checkpoints, {few} with");
}

#[test]
fn recomputation_comes_late() {
    let one = checkpoint(|x: Array| x.sin().exp());
    let program = optimize(&make_program(
        &value_and_grad(move |x: Array| one(one(one(x))).sum(())),
        (Array::new(&[2], vec![0.5, 1.0]),),
    ));
    // Forward: three of each. Backward: the last layer first, each recomputed just before its cotangent passes through
    // it.
    let order: Vec<&str> =
        program.eqns.iter().map(|eqn| eqn.prim.name()).filter(|name| ["sin", "cos"].contains(name)).collect();
    assert_eq!(order.len(), 9, "{program}");
    assert_eq!(order[..3], ["sin"; 3], "{program}");
    for pair in order[3..].chunks(2) {
        assert!(pair.contains(&"sin") && pair.contains(&"cos"), "{program}");
    }
}

#[test]
fn sizes_may_be_symbols() {
    let one = checkpoint_with(|x: Array| x.sin().exp(), Policy::Dots);
    let f = jit(grad(move |x: Array| one(x).sum(())));
    for n in [2usize, 5] {
        let xs: Vec<f64> = (0..n).map(|i| i as f64 * 0.3).collect();
        let found = f(Array::new(&[n], xs.clone()).declare(["n"])).to_vec::<f64>();
        for (found, x) in found.iter().zip(xs) {
            assert!((found - x.sin().exp() * x.cos()).abs() < 1e-12);
        }
    }
    assert_eq!(f.n_entry(), 1);
}

#[test]
fn a_barrier_is_the_identity_and_costs_nothing() {
    let f = |x: Array| {
        let (a, b) = optimization_barrier((x.sin(), x.clone()));
        (a * b).sum(())
    };
    let plain = |x: Array| (x.sin() * x).sum(());
    let xs = Array::new(&[3], vec![0.3, -1.1, 0.7]);
    assert_eq!(grad(f)(xs.clone()).to_vec::<f64>(), grad(plain)(xs.clone()).to_vec::<f64>());
    assert_eq!(jit(grad(f))(xs.clone()).to_vec::<f64>(), jit(grad(plain))(xs.clone()).to_vec::<f64>());
    let program = make_program(&f, (xs.clone(),));
    assert_eq!(count(&program, "optimization_barrier"), 1);
    assert_eq!(
        count(jit(f).lower((xs.clone(),)).expect("it compiles").executable().program(), "optimization_barrier"),
        0
    );
    assert_eq!(jit(f).lower((xs.clone(),)).expect("it compiles").executable().n_kernel(), 1);
    let rows = vmap(grad(f), [Some(0)])(xs.reshape([3, 1]));
    assert_eq!(rows.to_vec::<f64>(), grad(plain)(xs).to_vec::<f64>());
}
