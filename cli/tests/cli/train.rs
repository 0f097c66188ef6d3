//! Training, its output files, and reading them again.

use crate::{as_str, json, run, stderr, stdout, words};
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const FIGURES: [&str; 6] = ["test_acc", "val_acc", "train_loss", "val_loss", "epochs", "seconds"];

/// `gavotte train` on the karate club, writing to `out`.
fn train(out: &Path, more: &str) -> Value {
    let args = ["train", "--dataset", "karate", "--json", "--out", as_str(out)];
    json(run(args.into_iter().chain(words(more))))
}

#[test]
fn json_holds_the_figures() {
    let output = run(words("train --dataset karate --epochs 5 --json"));
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
    let report = json(output);
    for figure in FIGURES {
        let value = &report[figure];
        assert!(value["mean"].is_f64(), "{figure}: {value}");
        assert!(value["std"].is_null(), "one run has no deviation: {figure}: {value}");
        assert_eq!(value["per_seed"].as_array().map(Vec::len), Some(1), "{figure}: {value}");
        assert_eq!(value["per_seed"][0], value["mean"]);
    }
    assert_eq!(report["epochs"]["mean"], 5.0);
    assert_eq!(report["seeds"], serde_json::json!([0]));
    assert_eq!(report["data"]["nodes"], 34);
    assert_eq!(report["data"]["edges"], 190);
    assert_eq!(report["data"]["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(report["settings"]["heads"], 8);
}

#[test]
fn the_summary_can_be_read() {
    let output = run(words("train --dataset karate --epochs 5 --threads 1"));
    assert!(output.stderr.is_empty(), "no bar where there is no terminal: {}", stderr(&output));
    let text = stdout(output);
    for part in ["karate: 34 nodes", "8 heads of 8 (edges)", "1 thread on cpu", "test acc", "test accuracy"] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "colours where there is no terminal");
}

#[test]
fn files_of_a_run() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("deep/out");
    let report = train(&out, "--epochs 5 --hidden 4");
    let mut names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["metrics.csv", "params.safetensors", "run.json"]);

    let bytes = fs::read(out.join("params.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("hidden.w").unwrap().shape(), [34, 8, 4]);
    assert_eq!(tensors.tensor("out.w").unwrap().shape(), [32, 1, 4]);
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let origin: Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["gavotte"]).unwrap();
    assert_eq!((&origin["dataset"], &origin["hidden"]), (&"karate".into(), &4.into()));

    let metrics = fs::read_to_string(out.join("metrics.csv")).unwrap();
    let rows: Vec<Vec<&str>> = metrics.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 6);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()));
    let column = |name: &str| rows[0].iter().position(|cell| *cell == name).unwrap();
    let best = report["best_epoch"]["mean"].as_f64().unwrap() as usize;
    let number = |name: &str| rows[best][column(name)].parse::<f64>().unwrap();
    assert_eq!(rows[best][column("best")], "1");
    assert_eq!(number("val_loss"), report["val_loss"]["mean"].as_f64().unwrap());
    assert_eq!(number("test_acc"), report["test_acc"]["mean"].as_f64().unwrap());

    let run: Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    assert_eq!(run, report);
    assert!(run["versions"]["gavotte"].is_string());
}

#[test]
fn several_seeds() {
    let root = TempDir::new().unwrap();
    let report = train(root.path(), "--epochs 4 --seed 3 --seeds 3");
    assert_eq!(report["seeds"], serde_json::json!([3, 4, 5]));
    for figure in FIGURES {
        let values: Vec<f64> =
            report[figure]["per_seed"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        let mean = values.iter().sum::<f64>() / 3.0;
        let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 2.0;
        assert!((report[figure]["mean"].as_f64().unwrap() - mean).abs() < 1e-9, "{figure}");
        assert!((report[figure]["std"].as_f64().unwrap() - variance.sqrt()).abs() < 1e-9, "{figure}");
    }
    let summary: Value = serde_json::from_slice(&fs::read(root.path().join("run.json")).unwrap()).unwrap();
    assert_eq!(summary, report);
    // One run of several equals the run of its seed alone.
    let alone = root.path().join("alone");
    train(&alone, "--epochs 4 --seed 4");
    let read = |path: &Path| fs::read(path.join("params.safetensors")).unwrap();
    assert_eq!(read(&root.path().join("seed-4")), read(&alone));
    assert_ne!(read(&root.path().join("seed-3")), read(&alone));
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let root = TempDir::new().unwrap();
    let read = |name: &str, more: &str| {
        let out = root.path().join(name);
        train(&out, &format!("--epochs 6 {more}"));
        fs::read(out.join("params.safetensors")).unwrap()
    };
    let first = read("a", "--threads 1");
    assert_eq!(first, read("b", "--threads 1"));
    assert_eq!(first, read("c", "--threads 2"));
    assert_eq!(first, read("d", "--threads 3"));
    assert_ne!(first, read("e", "--threads 1 --seed 1"));
}

#[test]
fn eval_computes_the_same_figures() {
    let root = TempDir::new().unwrap();
    for (name, more) in [("edges", "--heads 3"), ("dense", "--attention dense"), ("double", "--dtype f64")] {
        let out = root.path().join(name);
        let trained = train(&out, &format!("--epochs 6 {more}"));
        let params = out.join("params.safetensors");
        let found = json(run(["eval", "--params", as_str(&params), "--json"]));
        for figure in ["train_loss", "val_loss", "test_loss", "train_acc", "val_acc", "test_acc", "test_macro_f1"] {
            assert_eq!(found[figure], trained[figure]["mean"], "{name}: {figure}");
        }
        let text = stdout(run(["eval", "--params", as_str(&params), "--dataset", "karate", "--threads", "2"]));
        assert!(text.contains("macro F1"), "{text}");
    }
}

#[test]
fn a_generated_graph_is_the_same_for_every_run() {
    let root = TempDir::new().unwrap();
    let train = |name: &str, more: &str| {
        let out = root.path().join(name);
        let args = ["train", "--epochs", "3", "--json", "--dataset", "rmat:60:300:4:3", "--out", as_str(&out)];
        json(run(args.into_iter().chain(words(more))))
    };
    let (first, other) = (train("a", ""), train("b", "--seed 1"));
    assert_eq!(first["data"], other["data"]);
    let data = &first["data"];
    assert_eq!((&data["nodes"], &data["edges"], &data["features"]), (&60.into(), &360.into(), &4.into()));
    assert_eq!([&data["train_nodes"], &data["val_nodes"], &data["test_nodes"]], [&36, &12, &12]);
    // The parameters record which graph they belong to.
    let params = root.path().join("a/params.safetensors");
    let found = json(run(["eval", "--params", as_str(&params), "--json"]));
    assert_eq!((&found["data"]["name"], &found["test_loss"]), (&data["name"], &first["test_loss"]["mean"]));
}

#[test]
fn dense_and_edges_learn_alike() {
    let losses = |form: &str| {
        let root = TempDir::new().unwrap();
        let report = train(root.path(), &format!("--epochs 10 --dropout 0 --dtype f64 --attention {form}"));
        report["train_loss"]["mean"].as_f64().unwrap()
    };
    let (edges, dense) = (losses("edges"), losses("dense"));
    assert!((edges - dense).abs() < 1e-9, "{edges} and {dense}");
}

#[test]
fn a_diverging_run_keeps_the_last_good_parameters() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("out");
    let output =
        run(["train", "--dataset", "karate", "--lr", "1e30", "--epochs", "50", "--json", "--out", as_str(&out)]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let message = stderr(&output);
    for part in ["seed 0", "diverged in epoch", "last good", "--lr"] {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let epoch = report["diverged_at"][0].as_u64().unwrap();
    assert!(message.contains(&format!("epoch {epoch}")) && epoch < 50);
    assert!(report["train_loss"]["per_seed"][0].is_f64(), "the figures are those of the good parameters");
    let bytes = fs::read(out.join("params.safetensors")).unwrap();
    for (name, tensor) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
        let finite = |word: &[u8]| f32::from_le_bytes(word.try_into().unwrap()).is_finite();
        assert!(tensor.data().chunks(4).all(finite), "{name}");
    }
}

#[test]
fn check_nans_names_the_operation_and_its_line() {
    let train = |more: &str| run(words("train --dataset karate --check-nans --quiet --epochs 4").chain(words(more)));
    let output = train("--lr 1e30");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let message = stderr(&output);
    for part in ["check_nans: ", " makes a", " operands in @", ".rs:", "operand %"] {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    let checked = json(train("--json"));
    let plain = json(run(words("train --dataset karate --quiet --epochs 4 --json")));
    assert_eq!(checked["train_loss"], plain["train_loss"], "checking changes nothing");
}

#[test]
fn eval_on_other_files_of_the_same_network() {
    let Some(data) = crate::test_data() else { return };
    let root = TempDir::new().unwrap();
    let (archive, split) = (data.join("cora.tgz"), data.join("cora.public-split.tsv"));
    let args = ["train", "--data", as_str(&archive), "--split", as_str(&split), "--epochs", "2", "--json", "--out"];
    let trained = json(run(args.into_iter().chain([as_str(root.path())])));
    let params = root.path().join("params.safetensors");
    let again = json(run(["eval", "--params", as_str(&params), "--data", as_str(&archive), "--json"]));
    assert_eq!(again["test_acc"], trained["test_acc"]["mean"]);
    // Planetoid's files hold the same network in another order, with the same split.
    let output = run(["eval", "--params", as_str(&params), "--data", as_str(&data.join("planetoid")), "--json"]);
    assert!(stderr(&output).contains("trained on other data"), "{}", stderr(&output));
    let other = json(output);
    assert_eq!(other["data"]["split"], "public");
    // Their classes are in another order, too; matched by name, the figures are those of the same network.
    assert_eq!(other["data"]["classes"], trained["data"]["classes"]);
    for figure in ["test_acc", "train_acc"] {
        let [found, wanted] = [&other[figure], &trained[figure]["mean"]].map(|x| x.as_f64().unwrap());
        assert!((found - wanted).abs() < 0.005, "{figure}: {found} and {wanted}");
    }
}
