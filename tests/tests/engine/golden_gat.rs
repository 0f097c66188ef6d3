//! The graph attention network on Cora against numbers on which two other implementations agree: forward, gradients,
//! and twenty steps of Adam.

use gavotte::random::Key;
use gavotte::stax::Mode;
use gavotte::{Array, DType, Tree, jit, value_and_grad};
use gavotte_gat::attention::Head;
use gavotte_gat::data::{Dataset, Matrix, SparseMatrix, Split};
use gavotte_gat::experiment::{Experiment, Inputs};
use gavotte_gat::loss::masked_nll;
use gavotte_gat::model::{GatConfig, GatParams};
use gavotte_gat::train::{GatTrainer, GatTraining, Trainer};
use npyz::{Deserialize, NpyFile, Order};
use std::cell::RefCell;
use std::fs::File;
use std::io::BufReader;
use zip::ZipArchive;

const N_CLASS: usize = 7;
const N_FEAT: usize = 1433;
const N_STEP: usize = 20;

/// An archive of arrays.
struct Golden(RefCell<ZipArchive<BufReader<File>>>);

impl Golden {
    /// The archive; `None` where the golden values are missing.
    fn open() -> Option<Golden> {
        let Some(folder) = gavotte_tests::golden_dir() else {
            gavotte_tests::skip("no golden values; set GAVOTTE_TEST_DATA to the folder next to them");
            return None;
        };
        let path = folder.join("gat_cora_f64.npz");
        let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let archive = ZipArchive::new(BufReader::new(file));
        let archive = archive.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Some(Golden(RefCell::new(archive)))
    }

    /// The elements of an array, row-major, and its shape.
    fn read<T: Deserialize + Clone>(&self, name: &str) -> (Vec<usize>, Vec<T>) {
        let mut archive = self.0.borrow_mut();
        let entry = archive.by_name(&format!("{name}.npy")).unwrap_or_else(|error| panic!("{name}: {error}"));
        let file = NpyFile::new(entry).unwrap_or_else(|error| panic!("{name}: {error}"));
        let shape: Vec<usize> = file.shape().iter().map(|extent| *extent as usize).collect();
        let order = file.order();
        let stored = file.into_vec::<T>().unwrap_or_else(|error| panic!("{name}: {error}"));
        let elements = match order {
            Order::C => stored,
            Order::Fortran => (0..stored.len()).map(|i| stored[column_major(i, &shape)].clone()).collect(),
        };
        (shape, elements)
    }

    fn floats(&self, name: &str) -> Vec<f64> {
        self.read(name).1
    }

    fn ints(&self, name: &str) -> Vec<i32> {
        self.read(name).1
    }

    /// Parameters, or arrays of their shapes, with this prefix. Every second layer has one head; biases are stored
    /// without the head axis.
    fn params(&self, prefix: &str, dtype: DType) -> GatParams {
        let array =
            |name: &str, shape: &[usize]| Array::new(shape, self.floats(&format!("{prefix}{name}"))).astype(dtype);
        let head = |layer: usize, fan_in: usize, heads: usize, fan_out: usize| Head {
            w: array(&format!("W{layer}"), &[fan_in, heads, fan_out]),
            a_src: array(&format!("a_src{layer}"), &[heads, fan_out]),
            a_dst: array(&format!("a_dst{layer}"), &[heads, fan_out]),
            bias: Some(array(&format!("b{layer}"), &[heads, fan_out])),
            residual: None,
        };
        GatParams { hidden: head(1, N_FEAT, 8, 8), out: head(2, 64, 1, N_CLASS) }
    }

    fn experiment(&self, config: &GatConfig) -> Experiment {
        let offsets = self.ints("x_indptr");
        let values = offsets.windows(2).flat_map(|ends| {
            let n = ends[1] - ends[0];
            std::iter::repeat_n(1.0 / f64::from(n), n as usize)
        });
        let dataset = Dataset {
            name: "cora".into(),
            ids: vec![],
            features: Matrix::Sparse(SparseMatrix {
                n_rows: offsets.len() - 1,
                n_cols: N_FEAT,
                values: values.collect(),
                columns: self.ints("x_indices"),
                offsets,
            }),
            senders: self.ints("edge_src"),
            receivers: self.ints("edge_dst"),
            labels: self.ints("labels"),
            classes: (0..N_CLASS).map(|class| class.to_string()).collect(),
            sha256: String::new(),
            default_split: None,
        };
        let split = Split { train: self.ints("train_idx"), val: self.ints("val_idx"), test: self.ints("test_idx") };
        config.experiment(&dataset, &split).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The column-major place of the element at place `i` in row-major order.
fn column_major(i: usize, shape: &[usize]) -> usize {
    let (mut rest, mut place) = (i, 0);
    for axis in (0..shape.len()).rev() {
        let stride: usize = shape[..axis].iter().product();
        place += rest % shape[axis] * stride;
        rest /= shape[axis];
    }
    place
}

fn numbers(array: &Array) -> Vec<f64> {
    array.astype(DType::F64).to_vec()
}

/// Checks that no element differs by more than `tolerance`. A NaN differs.
#[track_caller]
fn assert_close(what: &str, found: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let worst = found
        .iter()
        .zip(wanted)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |worst, x| if f64::is_nan(worst) || x <= worst { worst } else { x });
    eprintln!("{what}: {worst:.1e} of {tolerance:.1e}");
    assert!(worst <= tolerance, "{what}: the largest difference is {worst}, and may be {tolerance}");
}

fn largest(wanted: &[f64]) -> f64 {
    wanted.iter().fold(0.0, |largest, x| x.abs().max(largest))
}

fn config(dtype: DType) -> GatConfig {
    GatConfig { dropout: 0.0, dtype, ..GatConfig::new(N_CLASS) }
}

fn trainer(dtype: DType) -> GatTrainer {
    let training = GatTraining { learning_rate: 0.005, weight_decay: 5e-4, ..GatTraining::default() };
    Trainer::gat(config(dtype), training).unwrap_or_else(|error| panic!("{error}"))
}

/// Forward from the stored parameters: log-probabilities, and the losses of all parts.
fn forward(golden: &Golden, dtype: DType, tolerance: f64) {
    let (trainer, experiment) = (trainer(dtype), golden.experiment(&config(dtype)));
    let found = (trainer.evaluate)(golden.params("", dtype), experiment.inputs.clone());
    assert_close("log_probs", &numbers(&found.outputs), &golden.floats("log_probs"), tolerance);
    assert_close("loss", &numbers(&found.losses.train), &golden.floats("loss"), tolerance);
    assert_close("val_loss", &numbers(&found.losses.val), &golden.floats("val_loss"), tolerance);
    assert_close("test_loss", &numbers(&found.losses.test), &golden.floats("test_loss"), tolerance);
}

/// Twenty steps of Adam from the stored parameters.
fn trajectory(golden: &Golden, dtype: DType, tolerance: f64) {
    let (trainer, experiment) = (trainer(dtype), golden.experiment(&config(dtype)));
    let mut state = (trainer.optimizer.init_fun)(golden.params("", dtype));
    let mut losses = vec![];
    for i in 0..N_STEP {
        let args = trainer.step_args(i as i32, state, &experiment, Key::new(0));
        let (next, loss) = (trainer.step)
            .try_call(args.unwrap_or_else(|error| panic!("{error}")))
            .unwrap_or_else(|error| panic!("{error}"));
        losses.extend(numbers(&loss));
        state = next;
    }
    let after = (trainer.optimizer.get_params)(&state);
    let found = (trainer.evaluate)(after.clone(), experiment.inputs);
    losses.extend(numbers(&found.losses.train));
    assert_close("losses", &losses, &golden.floats("losses"), tolerance);
    let wanted = golden.params("after_", DType::F64).leaves_with_paths();
    for ((path, found), (_, wanted)) in after.leaves_with_paths().into_iter().zip(wanted) {
        assert_close(&path, &numbers(&found.into()), &numbers(&wanted.into()), tolerance);
    }
    assert_close("log_probs_after", &numbers(&found.outputs), &golden.floats("log_probs_after"), tolerance);
}

#[test]
fn forward_in_f64() {
    let Some(golden) = Golden::open() else { return };
    forward(&golden, DType::F64, 1e-10);
}

#[test]
fn forward_in_f32() {
    let Some(golden) = Golden::open() else { return };
    forward(&golden, DType::F32, 5e-6);
}

#[test]
fn gradients_in_f64() {
    let Some(golden) = Golden::open() else { return };
    let (trainer, experiment) = (trainer(DType::F64), golden.experiment(&config(DType::F64)));
    let apply = trainer.layer.apply_fun.clone();
    let loss = move |params: GatParams, inputs: Inputs| {
        masked_nll(&apply(&params, &inputs.nodes, Mode::Eval), &inputs.labels, &inputs.masks.train)
    };
    let (value, grads) = jit(value_and_grad(loss))(golden.params("", DType::F64), experiment.inputs);
    assert_close("loss", &numbers(&value), &golden.floats("loss"), 1e-10);
    let wanted = golden.params("grad_", DType::F64).leaves_with_paths();
    for ((path, found), (_, wanted)) in grads.leaves_with_paths().into_iter().zip(wanted) {
        let wanted = numbers(&wanted.into());
        assert_close(&path, &numbers(&found.into()), &wanted, 1e-10 * largest(&wanted));
    }
}

#[test]
fn twenty_steps_of_adam_in_f64() {
    let Some(golden) = Golden::open() else { return };
    trajectory(&golden, DType::F64, 1e-9);
}

// The parameter furthest off is element 45008 of `hidden.w`: its gradient and its weight decay, both 2.0e-4, cancel to
// 2.5e-11, which is one rounding of either in f32. Adam's first step is 0.005 g / (|g| + 1e-8), so that rounding moves
// it by 9e-6. All other elements are within 1.4e-6. If this test fails, check whether that element alone is off.
#[test]
fn twenty_steps_of_adam_in_f32() {
    let Some(golden) = Golden::open() else { return };
    trajectory(&golden, DType::F32, 1e-5);
}

#[test]
fn column_major_places() {
    // [[0, 1, 2], [3, 4, 5]] is stored as 0 3 1 4 2 5.
    let stored = [0, 3, 1, 4, 2, 5];
    let found: Vec<i32> = (0..6).map(|i| stored[column_major(i, &[2, 3])]).collect();
    assert_eq!(found, [0, 1, 2, 3, 4, 5]);
}
