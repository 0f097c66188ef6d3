use std::collections::HashSet;

use rand::{SeedableRng, rngs::StdRng};

use super::*;

fn draw(seed: u64, text: &str) -> Dataset {
    rmat(&mut StdRng::seed_from_u64(seed), &text.parse().unwrap()).unwrap()
}

/// Edges as (receiver, sender), loops left out.
fn edges(dataset: &Dataset) -> Vec<(i32, i32)> {
    let messages = dataset.receivers.iter().copied().zip(dataset.senders.iter().copied());
    messages.filter(|(receiver, sender)| receiver != sender).collect()
}

#[test]
fn what_does_not_fit_the_memory_is_not_begun() {
    // More than 200 gigabytes.
    if crate::memory::available().is_some_and(|bytes| bytes < 190 << 30) {
        let result = rmat(&mut StdRng::seed_from_u64(0), &"rmat:2000000000:1:1:2147483647".parse().unwrap());
        assert_fails(result, &["rmat:2000000000:1:1:2147483647: edges and features", "needed, and", "available"]);
    }
}

#[test]
fn it_has_exactly_the_numbers_asked_for() {
    for text in ["rmat:3:0:1:1", "rmat:3:3:2:2", "rmat:33:500:3:4", "rmat:64:2016:1:2", "rmat:1000:20000:8:5"] {
        let (spec, dataset): (RmatSpec, _) = (text.parse().unwrap(), draw(1, text));
        assert_eq!((spec.to_string(), dataset.name.as_str()), (text.to_string(), text));
        assert_eq!((dataset.n_node(), dataset.n_edge()), (spec.n_node, spec.n_edge + spec.n_node));
        assert_eq!((dataset.n_feat(), dataset.n_class(), dataset.ids.len()), (spec.n_feat, spec.n_class, spec.n_node));
        assert_eq!(dataset.features.n_stored(), spec.n_node * spec.n_feat);
        let messages: Vec<_> = dataset.receivers.iter().zip(&dataset.senders).collect();
        assert!(messages.is_sorted_by(|a, b| a < b), "messages ascend and are distinct");
        assert_eq!(edges(&dataset).len(), spec.n_edge, "each node has one loop");
        let nodes = 0..spec.n_node as i32;
        assert!(dataset.senders.iter().chain(&dataset.receivers).all(|node| nodes.contains(node)));
        assert!(dataset.labels.iter().all(|label| (0..spec.n_class as i32).contains(label)));
        let split = Split::public(&dataset).unwrap();
        assert_disjoint(&split, spec.n_node);
        let (train, val) = (spec.n_node * 3 / 5, spec.n_node * 4 / 5);
        let parts = [&split.train, &split.val, &split.test].map(Vec::len);
        assert_eq!(parts, [train, val - train, spec.n_node - val]);
    }
}

#[test]
fn degrees_follow_a_power_law_both_ways() {
    let dataset = draw(2, "rmat:4096:40960:1:2");
    for ends in [&dataset.senders, &dataset.receivers] {
        let mut degrees = vec![-1; dataset.n_node()];
        ends.iter().for_each(|&node| degrees[node as usize] += 1);
        degrees.sort_unstable();
        let hubs: i32 = degrees[4096 - 41..].iter().sum();
        assert!(degrees[2048] <= 5 && degrees[4095] >= 150 && hubs >= 40960 / 9, "{degrees:?}");
    }
    // Hubs have any numbers, and the two degrees of a node are correlated.
    let degree = |ends: &[i32], node: i32| ends.iter().filter(|&&end| end == node).count();
    let hub = (0..4096).max_by_key(|&node| degree(&dataset.senders, node)).unwrap();
    assert!(degree(&dataset.receivers, hub) > 50);
    let both: HashSet<_> = edges(&dataset).into_iter().collect();
    assert!(both.iter().any(|&(a, b)| !both.contains(&(b, a))), "edges have one direction");
}

#[test]
fn features_are_standard_normal_and_classes_uniform() {
    let dataset = draw(3, "rmat:2000:0:30:4");
    let Matrix::Dense { values, .. } = &dataset.features else { panic!("features are dense") };
    let n = values.len() as f64;
    let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let variance = values.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n;
    assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    let counts = [0, 1, 2, 3].map(|class| dataset.labels.iter().filter(|&&label| label == class).count());
    assert!(counts.iter().all(|count| (420..580).contains(count)), "{counts:?}");
}

#[test]
fn one_stream_gives_one_graph() {
    let text = "rmat:200:2000:4:3";
    assert_eq!(draw(7, text), draw(7, text));
    assert_ne!(draw(7, text).sha256, draw(8, text).sha256);
    assert_ne!(draw(7, text).senders, draw(8, text).senders);
}

#[test]
fn what_is_no_graph_says_why_and_what_is() {
    for (text, part) in [
        ("rmat", "has 0 numbers, not four"),
        ("rmat:10:20:3", "`rmat:10:20:3` has 3 numbers, not four"),
        ("rmat:10:20:3:2:1", "has 5 numbers, not four"),
        ("graph:10:20:3:2", "does not begin with `rmat:`"),
        ("rmat:ten:20:3:2", "NODES is `ten`, not a whole number"),
        ("rmat:10:+20:3:2", "EDGES is `+20`"),
        ("rmat:10:20::2", "FEATS is ``"),
        ("rmat:10:20:3:-2", "CLASSES is `-2`"),
        ("rmat:10:20:3:99999999999999999999", "CLASSES is `99999999999999999999`"),
        ("rmat:2:1:3:2", "a graph of 2 nodes cannot be split"),
        ("rmat:10:46:3:2", "10 nodes have room for 45 edges, half of all pairs, not for 46"),
        ("rmat:10:20:0:2", "at least one feature and one class"),
        ("rmat:10:20:3:0", "at least one feature and one class"),
        ("rmat:3000000000:20:3:2", "NODES is 3000000000, and must be at most 2147483647"),
        ("rmat:10:20:3:99999999999", "CLASSES is 99999999999"),
        ("rmat:99999999999999999999:20:3:2", "NODES is `99999999999999999999`, which is too large"),
        ("rmat:1:0:3:2", "a graph of 1 node cannot"),
        ("rmat:7", "has 1 number, not four"),
        (
            "rmat:100000:2147483647:3:2",
            "EDGES and a loop for each of NODES are 2147583647, and must be at most 2147483647",
        ),
        ("rmat:1000000:20:3000:2", "NODES times FEATS is 3000000000, and must be at most 2147483647"),
    ] {
        let message = text.parse::<RmatSpec>().unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("NODES:EDGES:FEATS:CLASSES"), "{text}: {message}");
    }
}
