//! Readers on real files, if there are any, and on damaged files made here.

mod cora;
mod generated;
mod locate;
mod pickles;
mod planetoid;
mod rmat;
mod split;

use std::{
    fmt::Debug,
    io::Write,
    path::{Path, PathBuf},
};

use super::*;

/// The folder with real data, or `None` after saying that the test is skipped.
fn test_data() -> Option<PathBuf> {
    let folder = std::env::var_os("GAVOTTE_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    if !folder.is_dir() {
        // Written past the harness's capture, so that it is seen.
        let _ = writeln!(std::io::stderr(), "skipped: no test data at {}; set GAVOTTE_TEST_DATA", folder.display());
        return None;
    }
    Some(folder)
}

/// Asserts that this failed, with a message that has all of these parts.
#[track_caller]
fn assert_fails<T: Debug>(result: Result<T, DataError>, parts: &[&str]) {
    let message = result.expect_err("this should have failed").to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

/// The sparse features of a data set.
#[track_caller]
fn words(dataset: &Dataset) -> &SparseMatrix {
    dataset.features.as_sparse().expect("features that are stored sparsely")
}

/// Asserts what is true of every data set with sparse features.
#[track_caller]
fn assert_sound(dataset: &Dataset) {
    let n = dataset.n_node();
    assert_eq!((dataset.ids.len(), words(dataset).n_rows, dataset.receivers.len()), (n, n, dataset.n_edge()));
    assert_eq!(words(dataset).offsets.len(), n + 1);
    let messages: Vec<_> = dataset.receivers.iter().zip(&dataset.senders).map(|(&r, &s)| (r, s)).collect();
    assert!(messages.is_sorted_by(|a, b| a < b), "messages ascend and are distinct");
    assert!(messages.iter().all(|&(r, s)| messages.binary_search(&(s, r)).is_ok()), "messages go both ways");
    assert!((0..n as i32).all(|node| messages.binary_search(&(node, node)).is_ok()), "every node has its loop");
    for node in 0..n {
        let (columns, values) = words(dataset).row(node);
        assert!(columns.is_sorted_by(|a, b| a < b) && columns.iter().all(|&c| (c as usize) < dataset.n_feat()));
        assert!(values.is_empty() || (values.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
    let is_class = |label: i32| label == UNKNOWN_CLASS || (label as usize) < dataset.n_class();
    assert!(dataset.labels.iter().all(|&label| is_class(label)));
    assert_eq!(dataset.sha256.len(), 64);
    dataset.default_split.iter().for_each(|split| assert_disjoint(split, n));
}

#[track_caller]
fn assert_disjoint(split: &Split, n_node: usize) {
    let parts = [&split.train, &split.val, &split.test];
    assert!(parts.iter().all(|part| part.is_sorted_by(|a, b| a < b)));
    let mut all = parts.into_iter().flatten().copied().collect::<Vec<_>>();
    all.sort_unstable();
    assert!(all.is_sorted_by(|a, b| a < b), "no node is in two parts");
    assert!(all.iter().all(|&node| (node as usize) < n_node));
}
