//! The Hessian of a graph attention network's loss, against differences of its gradients.

use gavotte::random::Key;
use gavotte::stax::{Layer, Mode};
use gavotte::{Array, DType, Tree, grad, hessian, hvp, jit};
use gavotte_gat::data::karate;
use gavotte_gat::experiment::Inputs;
use gavotte_gat::loss::{masked_nll, weight_decay};
use gavotte_gat::model::{GatConfig, GatParams, gat};

/// A small version of the training's two-layer network, in `f64` and without dropout.
fn config(classes: usize) -> GatConfig {
    GatConfig { heads: 2, hidden: 2, dropout: 0.0, dtype: DType::F64, ..GatConfig::new(classes) }
}

fn loss(config: GatConfig) -> impl Fn(GatParams, Inputs) -> Array + Clone {
    let Layer { apply_fun, .. } = gat(config);
    move |params: GatParams, inputs: Inputs| {
        let log_probs = apply_fun(&params, &inputs.nodes, Mode::Eval);
        masked_nll(&log_probs, &inputs.labels, &inputs.masks.train) + weight_decay(&params, 5e-3)
    }
}

/// All elements of all leaves.
fn flat(params: &GatParams) -> Vec<f64> {
    params.flatten().1.into_iter().flat_map(|leaf| Array::from(leaf).to_vec::<f64>()).collect()
}

/// The parameters with element `i` of the list of all elements moved by `step`.
fn moved(params: &GatParams, i: usize, step: f64) -> GatParams {
    let mut before = 0;
    params.map(|leaf| {
        let shape: Vec<usize> = leaf.shape().iter().filter_map(|dim| dim.as_usize()).collect();
        let mut xs = Array::from(leaf).to_vec::<f64>();
        if let Some(x) = i.checked_sub(before).and_then(|i| xs.get_mut(i)) {
            *x += step;
        }
        before += xs.len();
        Array::new(&shape, xs).into()
    })
}

#[test]
fn the_karate_club() {
    let dataset = karate();
    let config = config(dataset.n_class());
    let split = dataset.default_split.clone().expect("the karate club has one");
    let experiment = config.experiment(&dataset, &split).expect("it fits");
    let inputs = experiment.inputs.clone();
    let (_, params) = (gat(config).init_fun)(Key::new(2), inputs.nodes.x.shape());
    let gradient = jit(grad(loss(config)));
    let second = jit(hessian(loss(config)))(params.clone(), inputs.clone());
    let paths: Vec<String> = params.leaves_with_paths().into_iter().map(|(path, _)| path).collect();
    let sizes: Vec<usize> = params.flatten().1.iter().map(|leaf| Array::from(leaf).to_vec::<f64>().len()).collect();
    let n: usize = sizes.iter().sum();
    assert!(n > 150, "{n} parameters");
    // Row i holds the derivatives of element i of the gradient.
    let blocks: Vec<Vec<Vec<f64>>> =
        paths.iter().map(|a| paths.iter().map(|b| second.block(a, b).to_vec::<f64>()).collect()).collect();
    let place = |mut i: usize| {
        let leaf = sizes.iter().position(|size| {
            let here = i < *size;
            if !here {
                i -= size;
            }
            here
        });
        (leaf.expect("the parameter exists"), i)
    };
    let element = |i: usize, j: usize| {
        let ((a, row), (b, column)) = (place(i), place(j));
        blocks[a][b][row * sizes[b] + column]
    };
    const STEP: f64 = 1e-5;
    let (mut worst, mut largest) = (0f64, 0f64);
    for j in 0..n {
        let at = |step: f64| flat(&gradient(moved(&params, j, step), inputs.clone()));
        let (above, below) = (at(STEP), at(-STEP));
        for i in 0..n {
            let (found, wanted) = (element(i, j), (above[i] - below[i]) / (2.0 * STEP));
            worst = worst.max((found - wanted).abs());
            largest = largest.max(wanted.abs());
            assert!((found - wanted).abs() < 1e-8, "element ({i}, {j}): {found}, differences say {wanted}");
            assert!((found - element(j, i)).abs() < 1e-12, "element ({i}, {j}) is not that of ({j}, {i})");
        }
    }
    assert!(largest > 1e-2, "there is something to compare: {largest}");
    eprintln!("{n} parameters: worst {worst:.1e}, largest element {largest:.1e}");
    // A product with a direction is a weighted sum of columns.
    let direction = params.map(|leaf| Array::from(leaf).sin().into());
    let along = flat(&jit(hvp(loss(config)))(params.clone(), inputs, direction.clone()));
    let direction = flat(&direction);
    for (i, found) in along.iter().enumerate() {
        let wanted: f64 = (0..n).map(|j| element(i, j) * direction[j]).sum();
        assert!((found - wanted).abs() < 1e-11, "element {i} of the product: {found}, not {wanted}");
    }
}
