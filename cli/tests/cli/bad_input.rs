//! Every input that is refused: in which words, and that nothing is left of the run.

use crate::{as_str, assert_refused, run, stderr, test_data, words};
use flate2::{Compression, write::GzEncoder};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const CONTENT: &str = "31\t1\t0\t1\tTheory\n7\t0\t0\t0\tCase_Based\n12\t0\t1\t0\tTheory\n";
const CITES: &str = "7\t31\n31\t7\n12\t12\n";

fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

/// Checks that training on this data is refused, and writes nothing.
#[track_caller]
fn assert_data_refused(data: &Path, more: &[&str], parts: &[&str]) {
    let root = TempDir::new().unwrap();
    let out = root.path().join("out");
    let args = ["train", "--dataset", "cora", "--data", as_str(data), "--out", as_str(&out), "--epochs", "2"];
    assert_refused(&run(args.iter().chain(more)), parts);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "something was written");
}

#[track_caller]
fn assert_archive_refused(bytes: &[u8], parts: &[&str]) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cora.tgz");
    fs::write(&path, bytes).unwrap();
    assert_data_refused(&path, &[], &[&["cora.tgz"], parts].concat());
}

#[track_caller]
fn assert_texts_refused(content: &str, cites: &str, parts: &[&str]) {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("cora.content"), content).unwrap();
    fs::write(folder.path().join("cora.cites"), cites).unwrap();
    assert_data_refused(folder.path(), &[], parts);
}

#[test]
fn a_file_that_is_not_there() {
    assert_data_refused(Path::new("nowhere/cora.tgz"), &[], &["nowhere/cora.tgz", "check the path"]);
    let output = run(words("eval --params nowhere.safetensors --dataset karate"));
    assert_refused(&output, &["--params nowhere.safetensors", "check the path"]);
    assert_refused(&run(words("opt nowhere.txt")), &["nowhere.txt", "check the path"]);
}

#[test]
fn cora_that_is_nowhere() {
    let folder = TempDir::new().unwrap();
    let output = crate::program()
        .args(words("train --dataset cora"))
        .env("GAVOTTE_DATA", folder.path().join("gone"))
        .output()
        .unwrap();
    assert_refused(&output, &["GAVOTTE_DATA", "gone", "what you can do", "--data PATH", "--dataset planted"]);
}

#[test]
fn a_damaged_archive() {
    assert_archive_refused(b"paper", &["not a gzip-compressed file"]);
    let whole = archive(&[("cora/cora.cites", CITES), ("cora/cora.content", CONTENT)]);
    assert_archive_refused(&whole[..whole.len() / 2], &["get it again"]);
    assert_archive_refused(&archive(&[("cora/cora.cites", CITES)]), &["no entry `cora.content`"]);
}

#[test]
fn an_entry_that_claims_ten_gigabytes() {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let mut header = tar::Header::new_gnu();
    header.set_path("cora/cora.content").unwrap();
    header.set_size(10 << 30);
    header.set_cksum();
    builder.append(&header, &b""[..]).unwrap();
    let bytes = builder.into_inner().unwrap().finish().unwrap();
    assert_archive_refused(&bytes, &["cora/cora.content", "claims 10737418240 bytes"]);
}

#[test]
fn a_wrong_line() {
    for (content, cites, parts) in [
        ("1\t0\t1\tA\n2\t0\tA\n", CITES, &["cora.content", "line 2", "3 fields where the first has 4"]),
        ("1\t0\t1\tA\n2\t0\t1\t1\tA\n", CITES, &["cora.content", "line 2", "5 fields where the first has 4"]),
        ("1\t0\tA\n2\t3\tA\n", CITES, &["cora.content", "line 2", "not 0 or 1"]),
        ("1\t0\tA\n1\t1\tB\n", CITES, &["cora.content", "line 2", "paper id `1`"]),
        (CONTENT, "7\t31\n7\t99\n", &["cora.cites", "line 2", "paper id `99`"]),
    ] {
        assert_texts_refused(content, cites, parts);
    }
}

#[test]
fn a_split_with_an_unknown_paper() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("cora.content"), CONTENT).unwrap();
    fs::write(folder.path().join("cora.cites"), CITES).unwrap();
    let split = folder.path().join("split.tsv");
    fs::write(&split, "paper_id\tsplit\n31\ttrain\n99\tval\n").unwrap();
    let more = ["--split", as_str(&split)];
    assert_data_refused(folder.path(), &more, &["split.tsv, line 3", "paper id `99`"]);
    fs::write(&split, "paper_id\tsplit\n31\ttrain\n7\tval\n").unwrap();
    assert_data_refused(folder.path(), &more, &["split.tsv", "no node is in `test`"]);
    assert_data_refused(folder.path(), &["--split", "pubic"], &["--split", "pubic", "public, random and pygcn"]);
    assert_data_refused(
        folder.path(),
        &["--split", "public"],
        &["--split public", "no split of its own", "--split FILE"],
    );
    assert_data_refused(folder.path(), &["--split", "pygcn"], &["--split pygcn", "3 nodes"]);
}

#[test]
fn a_pickle_that_names_a_foreign_class() {
    let folder = TempDir::new().unwrap();
    let mark = folder.path().join("ran");
    let pickle = format!("cos\nsystem\n(S'touch {}'\ntR.", mark.display());
    for part in ["x", "y", "tx", "ty", "allx", "ally", "graph"] {
        fs::write(folder.path().join(format!("ind.cora.{part}")), &pickle).unwrap();
    }
    fs::write(folder.path().join("ind.cora.test.index"), "1\n").unwrap();
    assert_data_refused(folder.path(), &[], &["ind.cora.", "byte 0", "`os.system`", "nothing was run"]);
    assert!(!mark.exists(), "the pickle was run");
}

#[test]
fn arguments_out_of_range() {
    for (args, parts) in [
        ("--heads 0", &["--heads", "from 1"][..]),
        ("--hidden 0", &["--hidden", "from 1"]),
        ("--dropout 1.5", &["--dropout", "1.5", "below 1"]),
        ("--dropout -0.1", &["--dropout", "-0.1", "at least 0"]),
        ("--dropout 1", &["--dropout", "below 1"]),
        ("--lr nan", &["--lr", "nan", "above 0"]),
        ("--lr 0", &["--lr", "above 0"]),
        ("--lr -1", &["--lr", "-1", "above 0"]),
        ("--lr inf", &["--lr", "inf", "finite"]),
        ("--weight-decay -1e-3", &["--weight-decay", "-1e-3", "at least 0"]),
        ("--epochs 0", &["--epochs", "from 1"]),
        ("--patience 0", &["--patience", "from 1"]),
        ("--seeds 0", &["--seeds", "from 1"]),
        ("--seed -1", &["--seed", "-1", "from 0 to 18446744073709551615"]),
        ("--seed 18446744073709551615 --seeds 2", &["--seed 18446744073709551615"]),
        ("--threads 0", &["--threads", "from 1"]),
        (
            "--dataset citeseer",
            &["--dataset", "citeseer", "planted", "karate", "cora", "rmat:NODES:EDGES:FEATS:CLASSES"],
        ),
        ("--dataset rmat", &["--dataset", "rmat", "0 numbers, not four", "rmat:NODES:EDGES:FEATS:CLASSES"]),
        ("--dataset rmat:10:20:3", &["--dataset", "3 numbers, not four", "rmat:NODES:EDGES:FEATS:CLASSES"]),
        ("--dataset rmat:10:many:3:2", &["--dataset", "EDGES is `many`, not a whole number", "NODES:EDGES"]),
        ("--dataset rmat:10:46:3:2", &["--dataset", "10 nodes have room for 45 edges", "not for 46"]),
        ("--dataset rmat:30:46:3:2 --data x.tgz", &["--data x.tgz", "rmat:30:46:3:2", "reads no file"]),
        ("--dataset rmat:30:46:3:2 --split random", &["--split random", "rmat:30:46:3:2"]),
        ("--attention sparse", &["--attention", "edges", "dense"]),
        ("--dtype f16", &["--dtype", "f16", "f32", "f64"]),
        ("--device gpu", &["--device", "gpu", "cpu, cuda and cuda:N"]),
        ("--device cuda:x", &["--device", "cuda:x", "gavotte devices"]),
        ("--device cuda:99", &["--device cuda:99", "gavotte devices"]),
        ("--dataset karate --data x.tgz", &["--data x.tgz", "--dataset cora"]),
        ("--dataset karate --split random", &["--split random", "karate"]),
        ("--no-such-option", &["--no-such-option"]),
    ] {
        let root = TempDir::new().unwrap();
        let out = root.path().join("out");
        let args = ["train", "--out", as_str(&out)].into_iter().chain(words(args));
        assert_refused(&run(args), parts);
        assert!(!out.exists(), "something was written");
    }
    assert_refused(&run(words("bench --steps 0")), &["--steps", "from 1"]);
    assert_refused(&run(words("ir --stage assembly")), &["--stage", "trace", "plan"]);
    assert_refused(&run(words("opt - --pass dce,unroll")), &["--pass", "unroll", "cse"]);
    assert_refused(&run(words("prune")), &["prune"]);
}

#[test]
fn a_folder_that_cannot_be_written() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("file"), "mine").unwrap();
    for out in ["file", "file/below"] {
        let out = root.path().join(out);
        let output = run(["train", "--dataset", "karate", "--epochs", "1", "--out", as_str(&out)]);
        assert_refused(&output, &["--out", as_str(&out), "name a folder"]);
    }
    // One of the runs' folders cannot be made: the others are not left behind.
    let out = root.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("seed-1"), "mine").unwrap();
    let output = run(["train", "--dataset", "karate", "--epochs", "1", "--seeds", "3", "--out", as_str(&out)]);
    assert_refused(&output, &["--out", "seed-1"]);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(root.path().join("file")).unwrap(), "mine");
}

#[test]
fn a_profile_that_cannot_be_written() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("file"), "mine").unwrap();
    // If the long work came first, this would train for days.
    for (path, why) in [("missing/trace.json", "folder"), ("file/trace.json", "folder"), ("", "it is a folder")] {
        let path = root.path().join(path);
        let output = run(["bench", "--dataset", "karate", "--steps", "100000000", "--profile", as_str(&path)]);
        assert_refused(&output, &["--profile", as_str(&path), why, "name a file"]);
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(root.path().join("file")).unwrap(), "mine");
}

#[test]
fn a_profile_replaces_nothing_but_a_profile() {
    let root = TempDir::new().unwrap();
    let trace = r#"[{"name":"thread_name","ph":"M"}]"#;
    for (name, text) in [("notes.txt", "mine\n"), ("trace.json", trace), ("list.json", "[\n1\n]\n")] {
        let path = root.path().join(name);
        fs::write(&path, text).unwrap();
        // If the long work came first, this would train for days.
        let output = run(["bench", "--dataset", "karate", "--steps", "100000000", "--profile", as_str(&path)]);
        let parts = ["--profile", as_str(&path), "only what `bench --profile` wrote is replaced", "name another file"];
        assert_refused(&output, &parts);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3);
}

#[test]
fn parameters_of_another_shape() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("out");
    let output =
        run(["train", "--dataset", "karate", "--epochs", "1", "--heads", "2", "--quiet", "--out", as_str(&out)]);
    crate::stdout(output);
    let params = out.join("params.safetensors");
    let eval = |more: &str| run(["eval", "--params", as_str(&params)].into_iter().chain(words(more)));
    assert_refused(&eval("--heads 4"), &["params.safetensors", "hidden.", "f32[34,2,8]", "f32[34,4,8]"]);
    assert_refused(&eval("--hidden 5"), &["params.safetensors", "hidden.", "f32[34,2,8]", "f32[34,2,5]"]);
    // Another data set has other classes, and so has a graph without names for them.
    assert_refused(&eval("--dataset planted"), &["`planted` has the classes Case_Based", "wanted are 0, 1, 2, 3"]);
    assert_refused(&eval("--dataset rmat:60:300:5:4"), &["hidden.", "f32[34,2,8]", "f32[5,2,8]"]);
    let bytes = fs::read(&params).unwrap();
    fs::write(&params, &bytes[..bytes.len() - 1]).unwrap();
    assert_refused(&eval(""), &["params.safetensors", "not a whole safetensors file"]);
    let mut spoilt = bytes.clone();
    let end = bytes.len() - 4;
    spoilt[end..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&params, &spoilt).unwrap();
    assert_refused(&eval(""), &["params.safetensors", "`out.w` holds NaN or infinity"]);
    // Each is finite, and what is computed of them is not.
    let start = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let large: Vec<u8> = bytes[start..].chunks(4).flat_map(|_| f32::MAX.to_le_bytes()).collect();
    fs::write(&params, [&bytes[..start], &large].concat()).unwrap();
    for more in ["", "--json"] {
        let output = eval(more);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let whole = format!("--params {}: a loss is not a finite number", params.display());
        assert!(stderr(&output).contains(&whole), "{}", stderr(&output));
    }
    let header = str::from_utf8(&bytes[8..start]).unwrap().replace("\"out.w\"", "\"hidden.w\"");
    let length = (header.len() as u64).to_le_bytes();
    fs::write(&params, [&length, header.as_bytes(), &bytes[start..]].concat()).unwrap();
    assert_refused(&eval(""), &["params.safetensors", "its header has the name `hidden.w` twice"]);
    fs::write(&params, "weights").unwrap();
    assert_refused(&eval(""), &["params.safetensors", "gavotte train"]);
}

#[test]
fn a_damaged_real_archive() {
    let Some(data) = test_data() else { return };
    let bytes = fs::read(data.join("cora.tgz")).unwrap();
    assert_archive_refused(&bytes[..100_000], &["get it again"]);
    let folder = TempDir::new().unwrap();
    let split = folder.path().join("split.tsv");
    let text = fs::read_to_string(data.join("cora.public-split.tsv")).unwrap();
    fs::write(&split, text + "999999999\ttest\n").unwrap();
    assert_data_refused(&data.join("cora.tgz"), &["--split", as_str(&split)], &["line 1642", "999999999"]);
}
