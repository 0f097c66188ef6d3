//! One compiled step serves graphs of every size, and computes what a step traced for that graph computes.

use gavotte::optimizers::Adam;
use gavotte::random::Key;
use gavotte::{Array, DType, Tree, shape};
use gavotte_gat::Error;
use gavotte_gat::data::{Dataset, PlantedSpec, Split, planted};
use gavotte_gat::experiment::Experiment;
use gavotte_gat::graph::Storage;
use gavotte_gat::model::{GatConfig, GatParams};
use gavotte_gat::train::{GatTrainer, GatTraining, Trainer};

const N_CLASS: usize = 7;
const N_STEP: i32 = 3;

/// A generated graph with Cora's classes, about as dense as Cora.
fn graph(n_node: usize, n_word: usize) -> Dataset {
    let spec = PlantedSpec { n_word, ..PlantedSpec::cora().scaled(n_node) };
    planted(&mut Key::new(n_node as u64).rng(), &spec).unwrap_or_else(|error| panic!("{error}"))
}

/// The graph with every 20th node for training; all its sizes differ from those of a graph of another size.
fn experiment(dataset: &Dataset, config: &GatConfig) -> Result<Experiment, Error> {
    let nodes = 0..dataset.n_node() as i32;
    let (train, rest): (Vec<i32>, Vec<i32>) = nodes.partition(|node| node % 20 == 0);
    let (val, test) = rest.into_iter().partition(|node| node % 4 == 1);
    config.experiment(dataset, &Split { train, val, test })
}

/// The bits of every leaf, by path.
fn bits<T: Tree>(tree: &T) -> Vec<(String, Vec<u64>)> {
    let bits = |leaf: Array| leaf.astype(DType::F64).to_vec::<f64>().into_iter().map(f64::to_bits).collect();
    tree.leaves_with_paths().into_iter().map(|(path, leaf)| (path, bits(leaf.into()))).collect()
}

/// The leaves in which two trees differ in any bit.
fn differing<T: Tree>(a: &T, b: &T) -> Vec<String> {
    assert_eq!(a.avals(), b.avals());
    bits(a).into_iter().zip(bits(b)).filter(|(a, b)| a != b).map(|((path, _), _)| path).collect()
}

/// Some steps from fresh parameters with dropout, and each step's loss.
fn steps(trainer: &GatTrainer, experiment: &Experiment) -> Result<(Adam<GatParams>, Vec<Array>), Error> {
    let mut state = (trainer.optimizer.init_fun)(trainer.init(Key::new(1), experiment)?);
    let mut losses = vec![];
    for i in 0..N_STEP {
        let args = trainer.step_args(i, state, experiment, Key::new(2).fold_in(i as u32))?;
        let (next, loss) = trainer.step.try_call(args)?;
        losses.push(loss);
        state = next;
    }
    Ok((state, losses))
}

/// Steps and evaluations on graphs of these sizes in sequence, by one shared trainer and by a new trainer for each.
fn one_program_serves(config: GatConfig, n_word: usize, sizes: &[usize]) -> Result<(), Error> {
    let trainer = || Trainer::gat(config, GatTraining::default());
    let shared = trainer()?;
    for n_node in sizes {
        let dataset = graph(*n_node, n_word);
        let experiment = experiment(&dataset, &config)?;
        let (state, losses) = steps(&shared, &experiment)?;
        let params = (shared.optimizer.get_params)(&state);
        let args = (params.clone(), experiment.inputs.clone());
        let evaluation = shared.evaluate.try_call(args.clone())?;

        let fresh = trainer()?;
        let (fresh_state, fresh_losses) = steps(&fresh, &experiment)?;
        assert_eq!(differing(&state, &fresh_state), [""; 0], "{n_node} nodes: the state");
        assert_eq!(differing(&losses, &fresh_losses), [""; 0], "{n_node} nodes: the losses");
        assert_eq!(
            differing(&evaluation, &fresh.evaluate.try_call(args.clone())?),
            [""; 0],
            "{n_node} nodes: evaluation"
        );
        let moved = differing(&params, &shared.init(Key::new(1), &experiment)?);
        assert_eq!(moved.len(), params.avals().len(), "every parameter is trained: {moved:?}");

        // Nothing is padded: symbols are the graph's own numbers.
        let lowered = shared.evaluate.lower(args)?;
        let sizes: Vec<(String, usize)> =
            lowered.sizes().iter().map(|(symbol, size)| (symbol.to_string(), size)).collect();
        let numbers = [("e", dataset.n_edge()), ("n", *n_node), ("z", dataset.features.n_stored())];
        let skipped = if config.storage == Storage::Dense { 1 } else { 0 };
        let numbers: Vec<_> = numbers.into_iter().skip(skipped).map(|(symbol, size)| (symbol.into(), size)).collect();
        assert_eq!(sizes, numbers);
        assert_eq!(*evaluation.outputs.shape(), shape([*n_node, N_CLASS]));
    }
    assert_eq!(shared.step.n_entry(), 1, "{:?}", shared.step.misses());
    assert_eq!(shared.evaluate.n_entry(), 1, "{:?}", shared.evaluate.misses());
    Ok(())
}

/// From Cora's sizes to smaller and larger ones, and back.
#[test]
fn the_step_traced_on_cora_runs_on_graphs_of_other_sizes() {
    let cora = PlantedSpec::cora();
    let n_node = cora.class_sizes.iter().map(|(_, size)| size).sum();
    let sizes = [n_node, 331, 1200, 3001, n_node];
    one_program_serves(GatConfig::new(N_CLASS), cora.n_word, &sizes).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_masked_matrix_comes_in_every_size_too() {
    let config = GatConfig { storage: Storage::Dense, heads: 2, hidden: 3, ..GatConfig::new(N_CLASS) };
    one_program_serves(config, 200, &[60, 35, 90]).unwrap_or_else(|error| panic!("{error}"));
}
