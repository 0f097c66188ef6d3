//! Laws of graph attention, and the training of graph attention networks.

use crate::attention::{AttentionOptions, Head, Join, coefficients, graph_attention, multi_head};
use crate::data::{PlantedSpec, Split, karate, planted};
use crate::features::{Features, SparseFeatures};
use crate::graph::{Adjacency, Graph, Nodes, Storage};
use crate::model::{GatConfig, GatParams, gat};
use crate::params::{from_named, to_named};
use crate::train::{GatTraining, Outcome, Stop, Trainer};
use gavotte::random::Key;
use gavotte::stax::Mode;
use gavotte::{Array, DType, Tree, grad, jit, shape};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::ops::ControlFlow;

const N_NODE: usize = 6;
const N_FEAT: usize = 5;
/// Sorted by (receiver, sender); node 4 receives nothing.
const SENDERS: [i32; 10] = [0, 1, 5, 1, 3, 0, 2, 4, 3, 5];
const RECEIVERS: [i32; 10] = [0, 0, 0, 1, 1, 2, 2, 3, 3, 5];

fn graph() -> Graph {
    Graph::new(&SENDERS, &RECEIVERS, N_NODE).unwrap_or_else(|error| panic!("{error}"))
}

fn features() -> Array {
    Key::new(1).normal([N_NODE, N_FEAT], DType::F64)
}

fn nodes() -> Nodes {
    Nodes { x: features().into(), adjacency: graph().into() }
}

fn dense_nodes() -> Nodes {
    let mask = graph().to_mask().unwrap_or_else(|error| panic!("{error}"));
    Nodes { adjacency: Adjacency::Dense { dense: mask }, ..nodes() }
}

fn options() -> AttentionOptions {
    AttentionOptions { dtype: DType::F64, ..AttentionOptions::default() }
}

fn config() -> GatConfig {
    GatConfig { heads: 3, hidden: 4, dtype: DType::F64, ..GatConfig::new(3) }
}

/// A head with a bias that is not zero.
fn head(dim: usize) -> Head {
    let (_, head) = (graph_attention(dim, AttentionOptions { residual: true, ..options() }).init_fun)(
        Key::new(2),
        shape([N_NODE, N_FEAT]),
    );
    Head { bias: Some(Key::new(3).normal([dim], DType::F64)), ..head }
}

#[track_caller]
fn assert_close(a: &Array, b: &Array, tolerance: f64) {
    assert_eq!(a.shape(), b.shape());
    for (i, (a, b)) in a.to_vec::<f64>().iter().zip(b.to_vec::<f64>()).enumerate() {
        assert!((a - b).abs() <= tolerance, "element {i}: {a} and {b}");
    }
}

#[track_caller]
fn assert_trees_close<T: Tree>(a: &T, b: &T, tolerance: f64) {
    for ((path, a), (_, b)) in a.leaves_with_paths().into_iter().zip(b.leaves_with_paths()) {
        let worst = Array::from(a).to_vec::<f64>().into_iter().zip(Array::from(b).to_vec::<f64>());
        let worst = worst.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst <= tolerance, "{path}: {worst}");
    }
}

#[test]
fn one_head_is_the_formula() {
    let (head, x) = (head(2), features().to_vec::<f64>());
    let [w, a_src, a_dst] = [&head.w, &head.a_src, &head.a_dst].map(|array| array.to_vec::<f64>());
    let [bias, residual] = [&head.bias, &head.residual].map(|array| array.as_ref().map(|array| array.to_vec::<f64>()));
    let (Some(bias), Some(residual)) = (bias, residual) else { panic!("the head has both") };
    let project =
        |w: &[f64], node: usize, d: usize| (0..N_FEAT).map(|f| x[node * N_FEAT + f] * w[f * 2 + d]).sum::<f64>();
    let edges: Vec<(usize, usize)> = SENDERS.iter().zip(RECEIVERS).map(|(j, i)| (*j as usize, i as usize)).collect();
    let weight = |&(j, i): &(usize, usize)| {
        let e: f64 = (0..2).map(|d| a_src[d] * project(&w, j, d) + a_dst[d] * project(&w, i, d)).sum();
        (if e > 0.0 { e } else { 0.2 * e }).exp()
    };
    let mut wanted = vec![];
    for node in 0..N_NODE {
        let received: Vec<_> = edges.iter().filter(|(_, i)| *i == node).collect();
        let total: f64 = received.iter().map(|edge| weight(edge)).sum();
        for (d, bias) in bias.iter().enumerate() {
            let sum: f64 = received.iter().map(|edge| weight(edge) / total * project(&w, edge.0, d)).sum();
            wanted.push(sum + project(&residual, node, d) + bias);
        }
    }
    let found = (graph_attention(2, options()).apply_fun)(&head, &nodes(), Mode::Eval);
    assert_close(&found, &Array::new(&[N_NODE, 2], wanted), 1e-12);
}

#[test]
fn coefficients_sum_to_one_over_messages() {
    let alpha = coefficients(&head(4), &nodes(), 0.2);
    let received = Array::new(&[N_NODE], vec![1f64, 1.0, 1.0, 1.0, 0.0, 1.0]);
    assert_close(&graph().receivers.sum(&alpha), &received, 1e-14);
    assert_close(&coefficients(&head(4), &dense_nodes(), 0.2).sum(-1), &received, 1e-14);
}

#[test]
fn a_masked_matrix_computes_what_edges_compute() {
    let layer = gat(config());
    let (_, params) = (layer.init_fun)(Key::new(4), shape([N_NODE, N_FEAT]));
    let apply = |nodes: &Nodes| (layer.apply_fun)(&params, nodes, Mode::Eval);
    assert_close(&apply(&nodes()), &apply(&dense_nodes()), 1e-13);
    let gradient = |nodes: Nodes| {
        let apply = layer.apply_fun.clone();
        let weights = Key::new(5).normal([N_NODE, 3], DType::F64);
        grad(move |params, nodes: Nodes| (apply(&params, &nodes, Mode::Eval) * &weights).sum(()))(params.clone(), nodes)
    };
    assert_trees_close(&gradient(nodes()), &gradient(dense_nodes()), 1e-12);
}

#[test]
fn sparse_features_compute_what_dense_ones_compute() {
    let dataset = karate();
    let words = dataset.features.as_sparse().expect("one entry a row");
    let sparse = SparseFeatures::new(words, DType::F64).unwrap_or_else(|error| panic!("{error}"));
    let dense = sparse.to_dense().unwrap_or_else(|error| panic!("{error}"));
    let w = Key::new(6).normal([dataset.n_feat(), 2, 3], DType::F64);
    assert_eq!(Features::from(sparse.clone()).shape(), *dense.shape());
    let by_hand = dense.dot(&w.reshape([-1, 6])).reshape([-1, 2, 3]);
    let flat = sparse.dot(&w.reshape([-1, 6])).reshape([-1, 2, 3]);
    assert_close(&flat, &by_hand, 1e-14);
    let gradient = |x: Features| {
        let w = w.reshape([-1, 6]);
        grad(|w: Array, x: Features| x.dot(&w).square().sum(()))(w, x)
    };
    assert_close(&gradient(sparse.into()), &gradient(dense.into()), 1e-13);
}

#[test]
fn renumbering_the_nodes_renumbers_the_answer() {
    let order: [usize; N_NODE] = [3, 0, 5, 1, 4, 2];
    let mut edges: Vec<(i32, i32)> =
        RECEIVERS.iter().zip(SENDERS).map(|(i, j)| (order[*i as usize] as i32, order[j as usize] as i32)).collect();
    edges.sort_unstable();
    let (receivers, senders): (Vec<i32>, Vec<i32>) = edges.into_iter().unzip();
    let x = features().to_vec::<f64>();
    let mut moved = vec![0.0; x.len()];
    for node in 0..N_NODE {
        moved[order[node] * N_FEAT..][..N_FEAT].copy_from_slice(&x[node * N_FEAT..][..N_FEAT]);
    }
    let graph = Graph::new(&senders, &receivers, N_NODE).unwrap_or_else(|error| panic!("{error}"));
    let renumbered = Nodes { x: Array::new(&[N_NODE, N_FEAT], moved).into(), adjacency: graph.into() };
    let layer = gat(config());
    let (_, params) = (layer.init_fun)(Key::new(7), shape([N_NODE, N_FEAT]));
    let answer = (layer.apply_fun)(&params, &nodes(), Mode::Eval);
    let rows = Array::new(&[N_NODE], order.iter().map(|node| *node as i32).collect());
    let found = (layer.apply_fun)(&params, &renumbered, Mode::Eval).take(&rows, 0);
    assert_close(&found, &answer, 1e-13);
}

#[test]
fn mapped_heads_are_a_loop_over_heads() {
    for (join, rate) in [(Join::Concat, 0.0), (Join::Mean, 0.0), (Join::Concat, 0.5)] {
        let one = graph_attention(4, AttentionOptions { rate, residual: true, ..options() });
        let all = multi_head(3, one.clone(), join);
        let (out, params) = (all.init_fun)(Key::new(8), shape([N_NODE, N_FEAT]));
        assert_eq!(*params.w.shape(), shape([N_FEAT, 3, 4]));
        assert_eq!(*params.a_src.shape(), shape([3, 4]));
        let found = (all.apply_fun)(&params, &nodes(), Mode::Train(Key::new(9)));
        assert_eq!(*found.shape(), out);
        let keys = Key::new(9).split_array(3);
        let heads: Vec<Array> = (0..3)
            .map(|k| {
                let head = params.map(|leaf| {
                    let leaf = Array::from(leaf);
                    let axis = leaf.ndim() as isize - 2;
                    leaf.slice_axis(axis, k..k + 1).squeeze(axis).into()
                });
                let key = Key::from_array(keys.index(k));
                (one.apply_fun)(&head, &nodes(), Mode::Train(key))
            })
            .collect();
        let wanted = match join {
            Join::Concat => gavotte::concatenate(&heads, 1),
            Join::Mean => gavotte::stack(&heads, 0).mean(0),
        };
        assert_close(&found, &wanted, 1e-13);
    }
}

#[test]
fn heads_start_different() {
    let (_, params) =
        (multi_head(2, graph_attention(4, options()), Join::Concat).init_fun)(Key::new(0), shape([N_NODE, N_FEAT]));
    let [first, second] = [0usize, 1].map(|k| params.a_src.index(k).to_vec::<f64>());
    assert_ne!(first, second);
}

#[test]
fn graphs_are_checked() {
    let refused = |senders: &[i32], receivers: &[i32]| match Graph::new(senders, receivers, 3) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    };
    assert!(refused(&[0, 1], &[0]).contains("2 and 1"));
    assert!(refused(&[0, 1], &[1, 0]).contains("edge 0 enters node 1"));
    assert!(refused(&[0, 3], &[0, 1]).contains("id 3"));
}

/// Messages and files of compiled functions contain these paths.
#[test]
fn leaves_of_both_forms_have_names() {
    let names = |nodes: &Nodes| gavotte::tree::leaves_with_paths(nodes).into_iter().map(|(path, _)| path);
    let wanted = ["x.dense", "adjacency.dense"];
    assert_eq!(names(&dense_nodes()).collect::<Vec<_>>(), wanted);
    let dataset = karate();
    let words = dataset.features.as_sparse().expect("one entry a row");
    let sparse = SparseFeatures::new(words, DType::F64).unwrap_or_else(|error| panic!("{error}"));
    let found: Vec<String> = names(&nodes().with_features(sparse)).collect();
    assert_eq!(found[..3], ["x.sparse.values", "x.sparse.rows.ids", "x.sparse.rows.offsets"]);
    assert!(found.contains(&"adjacency.edges.senders.ids".into()), "{found:?}");
}

#[test]
fn parameters_go_by_name() {
    let (_, params) = (gat(config()).init_fun)(Key::new(0), shape([N_NODE, N_FEAT]));
    let mut named = to_named(&params);
    let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..4], ["hidden.w", "hidden.a_src", "hidden.a_dst", "hidden.bias.0"]);
    named.reverse();
    let again = from_named(&params, named.clone()).unwrap_or_else(|error| panic!("{error}"));
    assert_trees_close(&again, &params, 0.0);
    let refused = |named: Vec<(String, Array)>| match from_named(&params, named) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    };
    assert!(refused(named[1..].to_vec()).contains("parameter `out.bias.0`, f64[1,3], is missing"));
    let mut more = named.clone();
    more.push(("w".into(), Array::scalar(0f64)));
    assert!(refused(more).contains("`w`"));
    named[0].1 = Array::new(&[3], vec![0f64; 3]);
    let text = refused(named);
    assert!(text.contains("f64[3]") && text.contains("f64[1,3]"), "{text}");
}

fn fit(model: GatConfig, train: GatTraining, mut watch: impl FnMut(usize)) -> Outcome<GatParams> {
    let dataset = karate();
    let split = dataset.default_split.clone().unwrap_or_default();
    let mut run = || {
        let experiment = model.experiment(&dataset, &split)?;
        Trainer::gat(model, train)?.fit(Key::new(0), &experiment, |epoch| {
            watch(epoch.epoch);
            ControlFlow::Continue(())
        })
    };
    run().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_karate_club_is_learned() {
    let train = GatTraining { epochs: 40, learning_rate: 0.02, ..GatTraining::default() };
    let mut seen = vec![];
    let outcome = fit(GatConfig::new(4), train, |epoch| seen.push(epoch));
    assert_eq!(seen, (1..=outcome.epochs).collect::<Vec<_>>());
    assert_eq!(outcome.history.len(), outcome.epochs);
    assert!(outcome.accuracies().test > 0.6, "test accuracy {}", outcome.accuracies().test);
    let (first, last) = (outcome.history[0], outcome.history[outcome.epochs - 1]);
    assert!(last.losses.train < 0.7 * first.losses.train, "from {} to {}", first.losses.train, last.losses.train);
    assert!(outcome.history[outcome.best_epoch - 1].best);
    assert_eq!(outcome.history[outcome.best_epoch - 1].losses, outcome.losses);
}

#[test]
fn the_same_key_is_the_same_training() {
    let train = GatTraining { epochs: 3, ..GatTraining::default() };
    let losses = || fit(GatConfig::new(4), train, |_| {}).history.iter().map(|e| e.step_loss).collect::<Vec<_>>();
    assert_eq!(losses(), losses());
}

#[test]
fn a_loss_that_is_no_number_ends_training() {
    let train = GatTraining { epochs: 20, learning_rate: 1e30, ..GatTraining::default() };
    let outcome = fit(GatConfig::new(4), train, |_| {});
    let Stop::Diverged(epoch) = outcome.stop else { panic!("{:?}", outcome.stop) };
    assert_eq!(epoch, outcome.epochs);
    for (path, leaf) in outcome.params.leaves_with_paths() {
        assert!(Array::from(leaf).to_vec::<f32>().iter().all(|x| x.is_finite()), "{path}");
    }
}

#[test]
fn training_on_a_matrix_is_training_on_edges() {
    let train = GatTraining { epochs: 3, ..GatTraining::default() };
    let model = GatConfig { dropout: 0.0, dtype: DType::F64, heads: 2, ..GatConfig::new(4) };
    let edges = fit(model, train, |_| {});
    let dense = fit(GatConfig { storage: Storage::Dense, ..model }, train, |_| {});
    assert_trees_close(&edges.params, &dense.params, 1e-10);
}

#[test]
fn one_compiled_step_serves_graphs_of_every_size() {
    let config = GatConfig { heads: 2, hidden: 3, ..GatConfig::new(7) };
    let run = || -> Result<(), crate::Error> {
        let trainer = Trainer::gat(config, GatTraining::default())?;
        let mut rng = SmallRng::seed_from_u64(0);
        for n_node in [60, 90] {
            let spec = PlantedSpec { n_word: 40, ..PlantedSpec::cora().scaled(n_node) };
            let dataset = planted(&mut rng, &spec).unwrap_or_else(|error| panic!("{error}"));
            let nodes: Vec<i32> = (0..dataset.n_node() as i32).collect();
            let split = Split { train: nodes[..30].to_vec(), val: nodes[30..45].to_vec(), test: nodes[45..].to_vec() };
            let experiment = config.experiment(&dataset, &split)?;
            let params = trainer.init(Key::new(0), &experiment)?;
            let state = (trainer.optimizer.init_fun)(params);
            let (_, loss) = trainer.step.try_call(trainer.step_args(0, state, &experiment, Key::new(1))?)?;
            let loss = loss.item::<f32>();
            assert!((1.0..3.0).contains(&loss), "near log 7: {loss}");
        }
        assert_eq!(trainer.step.n_entry(), 1, "{:?}", trainer.step.misses());
        Ok(())
    };
    run().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_compiled_layer_computes_what_the_layer_computes() {
    let layer = gat(config());
    let (_, params) = (layer.init_fun)(Key::new(4), shape([N_NODE, N_FEAT]));
    let apply = layer.apply_fun.clone();
    let compiled = jit(move |params, nodes: Nodes, key: Key| apply(&params, &nodes, Mode::Train(key)));
    let plain = (layer.apply_fun)(&params, &nodes(), Mode::Train(Key::new(11)));
    assert_close(&compiled(params, nodes(), Key::new(11)), &plain, 1e-13);
}
