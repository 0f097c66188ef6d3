//! Jacobians, Hessians and maps with axes for parts of trees.

use gavotte::random::Key;
use gavotte::{
    Array, DType, Error, Jacobian, MapAxes, Tree, custom_vjp, grad, hessian, hvp, jacfwd, jacrev, jit, vmap, vmap_with,
};

fn vector(xs: &[f64]) -> Array {
    Array::new(&[xs.len()], xs.to_vec())
}

fn message<T>(result: Result<T, Error>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

fn assert_close(found: &Array, wanted: &[f64], shape: &[usize], what: &str) {
    assert_eq!(found.shape().as_slice(), shape, "{what}");
    for (i, (found, wanted)) in found.to_vec::<f64>().iter().zip(wanted).enumerate() {
        assert!((found - wanted).abs() <= 1e-12 * (1.0 + wanted.abs()), "{what}, element {i}: {found}, not {wanted}");
    }
}

#[derive(Tree)]
struct Params {
    w: Array,
    b: Array,
}

fn params() -> Params {
    Params { w: Array::new(&[2, 3], vec![0.5, -1.0, 2.0, 0.25, 1.5, -0.75]), b: vector(&[0.1, -0.2]) }
}

const X: [f64; 3] = [0.3, -1.1, 0.7];

/// `tanh(W x + b)`.
fn layer(of: Params, x: Array) -> Array {
    (of.w.matmul(&x) + of.b).tanh()
}

/// The derivatives of `tanh` at `W x + b`.
fn slopes() -> Vec<f64> {
    let w = params().w.to_vec::<f64>();
    let b = params().b.to_vec::<f64>();
    (0..2).map(|i| 1.0 - (0..3).map(|j| w[3 * i + j] * X[j]).sum::<f64>().mul_add(1.0, b[i]).tanh().powi(2)).collect()
}

#[test]
fn both_modes_give_the_closed_form_in_the_structure_of_the_argument() {
    let s = slopes();
    // ∂yᵢ/∂wⱼₖ = sᵢ xₖ where i = j, ∂yᵢ/∂bⱼ = sᵢ where i = j.
    let mut dw = vec![0.0; 12];
    let mut db = vec![0.0; 4];
    for i in 0..2 {
        db[3 * i] = s[i];
        (0..3).for_each(|k| dw[6 * i + 3 * i + k] = s[i] * X[k]);
    }
    let all: [(&str, Jacobian<Params>); 4] = [
        ("jacfwd", jacfwd(layer)(params(), vector(&X))),
        ("jacrev", jacrev(layer)(params(), vector(&X))),
        ("jit(jacfwd)", jit(jacfwd(layer))(params(), vector(&X))),
        ("jit(jacrev)", jit(jacrev(layer))(params(), vector(&X))),
    ];
    for (name, found) in all {
        assert_close(&found.block("", "w"), &dw, &[2, 2, 3], name);
        assert_close(&found.block("", "b"), &db, &[2, 2], name);
        let tree = found.into_tree();
        assert_close(&tree.w, &dw, &[2, 2, 3], name);
        assert_close(&tree.b, &db, &[2, 2], name);
    }
}

#[test]
fn blocks_are_known_by_the_paths_of_results_and_arguments() {
    let f = |(x, y): (Array, Array)| vec![(&x * &y).sum(()), x.sum(()), y.square().sum(())];
    let at = || ((vector(&[1.0, 2.0]), vector(&[3.0, 4.0])),);
    for found in [jacfwd(f).try_call(at()), jacrev(f).try_call(at())] {
        let found = found.expect("it has a Jacobian");
        assert_close(&found.block("0", "0"), &[3.0, 4.0], &[2], "∂xy/∂x");
        assert_close(&found.block("0", "1"), &[1.0, 2.0], &[2], "∂xy/∂y");
        assert_close(&found.block("1", "0"), &[1.0, 1.0], &[2], "∂x/∂x");
        assert_close(&found.block("1", "1"), &[0.0, 0.0], &[2], "∂x/∂y");
        assert_close(&found.block("2", "1"), &[6.0, 8.0], &[2], "∂y²/∂y");
        let paths: Vec<String> = found.leaves_with_paths().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["0.0", "0.1", "1.0", "1.1", "2.0", "2.1"]);
    }
    let refused = |f: &(dyn Fn(Jacobian<(Array, Array)>) -> Array + Send + Sync)| {
        let read =
            gavotte::Fun::<(Array,), Array>::new(|(x,)| f(jacrev(|(x, y): (Array, Array)| vec![x, y])((x.clone(), x))));
        message(read.try_call((vector(&[1.0]),)))
    };
    let said = refused(&|found| found.block("2", "0"));
    assert!(said.contains("no block") && said.contains(r#"["0", "1"]"#), "{said}");
    let said = refused(&|found| found.array());
    assert!(said.contains("4 blocks"), "{said}");
    let said = refused(&|found| found.into_tree().0);
    assert!(said.contains("2 results"), "{said}");
}

#[test]
fn jacobians_compose() {
    let f = |x: Array| &x * x.sin();
    let second = |x: f64| 2.0 * x.cos() - x * x.sin();
    let mut wanted = vec![0.0; 27];
    (0..3).for_each(|i| wanted[13 * i] = second(X[i]));
    let of = |jacobian: Jacobian<Array>| jacobian.into_tree();
    assert_close(&jacfwd(|x: Array| of(jacrev(f)(x)))(vector(&X)).array(), &wanted, &[3, 3, 3], "jacfwd(jacrev)");
    assert_close(&jacrev(|x: Array| of(jacfwd(f)(x)))(vector(&X)).array(), &wanted, &[3, 3, 3], "jacrev(jacfwd)");
    let slope = |x: f64| x.sin() + x * x.cos();
    let rows = vmap(jacrev(f), [Some(0)])(vector(&X).reshape([3, 1])).into_tree();
    assert_close(&rows, &X.map(slope), &[3, 1, 1], "vmap(jacrev)");
    let rows = vmap(jacfwd(|x: Array| vmap(f, [Some(0)])(x)), [Some(0)])(vector(&X).reshape([3, 1])).into_tree();
    assert_close(&rows, &X.map(slope), &[3, 1, 1], "vmap(jacfwd(vmap))");
    let total = |x: Array| of(jacfwd(f)(x)).sum(());
    assert_close(&grad(total)(vector(&X)), &X.map(second), &[3], "grad(jacfwd)");
    let cubic =
        custom_vjp(|x: Array| x.powi(3), |x: Array| (x.powi(3), x), |x: Array, ct: Array| (x.square() * ct * 3.0,));
    let mut wanted = vec![0.0; 9];
    (0..3).for_each(|i| wanted[4 * i] = 3.0 * X[i] * X[i]);
    assert_close(&jacrev(cubic.clone())(vector(&X)).array(), &wanted, &[3, 3], "jacrev(custom_vjp)");
    assert_close(&jit(jacfwd(cubic))(vector(&X)).array(), &wanted, &[3, 3], "jacfwd(custom_vjp)");
}

#[test]
fn sizes_may_be_symbols() {
    let square = |x: Array| x.square();
    let (forward, reverse) = (jit(jacfwd(square)), jit(jacrev(square)));
    for n in [2usize, 3] {
        let mut wanted = vec![0.0; n * n];
        (0..n).for_each(|i| wanted[(n + 1) * i] = 2.0 * X[i]);
        assert_close(&forward(vector(&X[..n]).declare(["n"])).array(), &wanted, &[n, n], "jacfwd");
        assert_close(&reverse(vector(&X[..n]).declare(["n"])).array(), &wanted, &[n, n], "jacrev");
    }
    assert_eq!((forward.n_entry(), reverse.n_entry()), (1, 1));
}

/// `Σ exp(w x) + b · w`, whose second derivatives are known.
fn energy(of: Params, x: Array) -> Array {
    (&of.w * &x).exp().sum(()) + (of.b * of.w.sum(-1)).sum(())
}

#[test]
fn hessians_of_trees_and_their_products() {
    let (w, x) = (params().w.to_vec::<f64>(), vector(&X));
    for (name, found) in
        [("hessian", hessian(energy)(params(), x.clone())), ("jit(hessian)", jit(hessian(energy))(params(), x.clone()))]
    {
        let mut ww = vec![0.0; 36];
        (0..6).for_each(|i| ww[7 * i] = X[i % 3] * X[i % 3] * (w[i] * X[i % 3]).exp());
        // ∂²/∂wᵢⱼ∂bₖ is 1 where i = k.
        let wb: Vec<f64> = (0..12).map(|at| if at / 6 == at % 2 { 1.0 } else { 0.0 }).collect();
        let bw: Vec<f64> = (0..12).map(|at| if at / 6 == (at % 6) / 3 { 1.0 } else { 0.0 }).collect();
        assert_close(&found.block("w", "w"), &ww, &[2, 3, 2, 3], name);
        assert_close(&found.block("w", "b"), &wb, &[2, 3, 2], name);
        assert_close(&found.block("b", "w"), &bw, &[2, 2, 3], name);
        assert_close(&found.block("b", "b"), &[0.0; 4], &[2, 2], name);
        let v = Params { w: Array::new(&[2, 3], vec![1.0, -0.5, 0.25, 2.0, 0.75, -1.0]), b: vector(&[0.5, -2.0]) };
        let (vw, vb) = (v.w.to_vec::<f64>(), v.b.to_vec::<f64>());
        let product = jit(hvp(energy))(params(), x.clone(), v);
        let hw: Vec<f64> = (0..6).map(|i| ww[7 * i] * vw[i] + vb[i / 3]).collect();
        let hb: Vec<f64> = vw.chunks(3).map(|row| row.iter().sum()).collect();
        assert_close(&product.w, &hw, &[2, 3], name);
        assert_close(&product.b, &hb, &[2], name);
    }
    let squares = |x: Array| x.powi(3).sum(());
    assert_close(&hvp(squares)(vector(&X), vector(&[1.0, 2.0, 0.0])), &[1.8, -13.2, 0.0], &[3], "hvp of one argument");
    let rows = vmap(hvp(squares), [None, Some(0)])(vector(&X), gavotte::eye(3, DType::F64));
    assert_close(&rows, &[1.8, 0.0, 0.0, 0.0, -6.6, 0.0, 0.0, 0.0, 4.2], &[3, 3], "vmap(hvp)");
}

#[test]
fn what_has_no_jacobian_is_refused_by_path() {
    let said = message(jacrev(|x: (Array, Array)| x.0).try_call(((vector(&X), Array::new(&[1], vec![1])),)));
    for part in ["jacrev", "`1`", "first argument", "i32[1]"] {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
    let said = message(jacfwd(|x: Array| (x.clone(), x.astype(DType::I32))).try_call((vector(&X),)));
    for part in ["jacfwd", "`1`", "result", "i32[3]"] {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
    let said = message(hvp(|x: Array| x.sum(())).try_call((vector(&X), vector(&[1.0]))));
    assert!(said.contains("hvp") && said.contains("f64[3]") && said.contains("f64[1]"), "{said}");
    let said = message(hvp(|x: Vec<Array>| x[0].sum(())).try_call((vec![vector(&X)], vec![])));
    assert!(said.contains("Vec of 1 and Vec of 0"), "{said}");
}

#[test]
fn axes_may_be_given_for_parts_of_trees() {
    let of = || Params { w: Array::new(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), b: vector(&[10.0, 20.0]) };
    let dot = |of: Params, x: Array| (&of.w * &x).sum(()) + of.b.sum(());
    // Rows of `w`, with all of `b`; then columns of `w`.
    let rows = vmap_with(dot, (MapAxes::field("w", 0), ()), 0)(of(), vector(&[1.0, 1.0, 1.0]));
    assert_eq!(rows.to_vec::<f64>(), [36.0, 45.0]);
    let columns = vmap_with(dot, (MapAxes::field("w", -1).and("b", None::<i32>), ()), 0)(of(), vector(&[1.0, 2.0]));
    assert_eq!(columns.to_vec::<f64>(), [39.0, 42.0, 45.0]);
    let both = vmap_with(dot, (0, None::<usize>), 0)(of(), vector(&[1.0, 1.0, 1.0]));
    assert_eq!(both.to_vec::<f64>(), [16.0, 35.0]);
    // One axis for all arguments; results as requested.
    let spread = |x: Array, y: Array| (x.clone(), vec![x.expand_dims(0) + y, Array::new(&[2], vec![7.0, 8.0])]);
    let (x, list) = vmap_with(spread, 1, (0, [MapAxes::At(-1), MapAxes::Unmapped]))(
        Array::new(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        Array::new(&[2, 3], vec![0.0; 6]),
    );
    assert_eq!(x.to_vec::<f64>(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!(list[0].shape().as_slice(), [1, 2, 3]);
    assert_eq!(list[0].to_vec::<f64>(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(list[1].to_vec::<f64>(), [7.0, 8.0]);
    let compiled = jit(vmap_with(dot, (MapAxes::field("w", 0), ()), 0))(of(), vector(&[1.0, 1.0, 1.0]));
    assert_eq!(compiled.to_vec::<f64>(), [36.0, 45.0]);
    let total = |of: Params, x: Array| vmap_with(dot, (MapAxes::field("w", 0), ()), 0)(of, x).sum(());
    assert_eq!(grad(total)(of(), vector(&[1.0, 2.0, 3.0])).b.to_vec::<f64>(), [2.0, 2.0]);
}

#[test]
fn axes_that_do_not_fit_are_refused_by_path_type_and_axis() {
    let dot = |of: Params, x: Array| (&of.w * &x).sum(()) + of.b.sum(());
    let call = |ins: MapAxes, outs: MapAxes| message(vmap_with(dot, ins, outs).try_call((params(), vector(&X))));
    let check = |said: String, parts: &[&str]| {
        for part in parts {
            assert!(said.contains(part), "`{part}` is missing in: {said}");
        }
    };
    check(
        call((MapAxes::field("b", 1), ()).into(), 0.into()),
        &["in_axes", "argument 0.b", "f64[2]", "axis 1", "-1..1"],
    );
    check(call((-3, ()).into(), 0.into()), &["argument 0.w", "f64[2,3]", "axis -3", "-2..2"]);
    check(call((MapAxes::field("v", 0), ()).into(), 0.into()), &["at 0", "no child `v`", "w, b"]);
    check(call(MapAxes::Children(vec![0.into()]), 0.into()), &["2 children", "1 entries"]);
    check(call((0, MapAxes::field("w", 0)).into(), 0.into()), &["at 1", "is an array"]);
    check(call(((0, 0), 0).into(), 0.into()), &["different extents", "0.w", "1"]);
    check(call(((), ()).into(), 0.into()), &["no argument is mapped"]);
    check(call((MapAxes::field("w", 0), ()).into(), 1.into()), &["out_axes", "the result", "f64[]", "axis 1"]);
    check(
        call((MapAxes::field("w", 0), ()).into(), ().into()),
        &["the result", "f64[]", "differs between batch elements", "out_axes"],
    );
}

#[test]
fn functions_of_a_key_map_over_a_batch_of_keys() {
    let draw = |key: Key| {
        let [a, b] = key.split();
        (a.normal([2], DType::F32), b)
    };
    let (rows, keys) = vmap(draw, [Some(0)])(Key::new(5).split_batch(3));
    assert_eq!(rows.shape().as_slice(), [3, 2]);
    let one_by_one: Vec<(Array, Key)> = Key::new(5).split_into(3).into_iter().map(draw).collect();
    let wanted: Vec<f32> = one_by_one.iter().flat_map(|(row, _)| row.to_vec::<f32>()).collect();
    assert_eq!(rows.to_vec::<f32>(), wanted);
    // The returned keys are a batch again.
    let again = vmap(|key: Key| key.bits([2]), [Some(0)])(keys).to_vec::<u32>();
    let wanted: Vec<u32> = one_by_one.into_iter().flat_map(|(_, key)| key.bits([2]).to_vec::<u32>()).collect();
    assert_eq!(again, wanted);
    let stacked = Key::stack([Key::new(1), Key::new(2)]);
    let both = jit(vmap_with(|x: Array, key: Key| x + key.uniform([0usize; 0], DType::F32), ((), 0), 0))(
        Array::scalar(1f32),
        stacked,
    );
    let wanted: Vec<f32> =
        [1, 2].map(|seed| 1.0 + Key::new(seed).uniform([0usize; 0], DType::F32).item::<f32>()).to_vec();
    assert_eq!(both.to_vec::<f32>(), wanted);
    let nested = vmap(vmap(|key: Key| key.bits([1]), [Some(0)]), [Some(0)]);
    let grid = nested(vmap(|key: Key| key.split_batch(2), [Some(0)])(Key::new(9).split_batch(3)));
    assert_eq!(grid.shape().as_slice(), [3, 2, 1]);
    let said = message(jit(|key: Key| key.bits([2])).try_call((Key::new(0).split_batch(3),)));
    assert!(said.contains("u32[3,2]") && said.contains("batch of keys") && said.contains("vmap"), "{said}");
    let early = gavotte::Fun::<(Key,), Array>::new(|(key,)| key.bits([2])).try_call((Key::new(0).split_batch(3),));
    assert!(message(early).contains("batch of keys"));
}
