use std::fs;

use rand::{SeedableRng, rngs::StdRng};
use tempfile::TempDir;

use super::*;

/// Reads a split of the karate club.
fn read(text: impl AsRef<[u8]>) -> Result<Split, DataError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("split.tsv");
    fs::write(&path, text).unwrap();
    Split::read_tsv(&path, &karate())
}

#[test]
fn a_file_gives_its_parts_in_order() {
    let split = read("paper_id\tsplit\n5\ttrain\n3\ttrain\n9\tval\n33\ttest\n").unwrap();
    assert_eq!(split, Split { train: vec![3, 5], val: vec![9], test: vec![33] });
}

#[test]
fn lines_end_as_on_any_system() {
    for end in ["\n", "\r\n", "\r"] {
        let text = |lines: &[&str]| lines.iter().map(|line| format!("{line}{end}")).collect::<String>();
        let split = read(text(&["paper_id\tsplit", "5\ttrain", "", "9\tval", "33\ttest"])).unwrap();
        assert_eq!(split, Split { train: vec![5], val: vec![9], test: vec![33] }, "{end:?}");
        // The number of a line is that of an editor.
        assert_fails(read(text(&["id\tsplit", "", "1\tdev"])), &["line 3", "there is no part `dev`"]);
        let bytes = [text(&["id\tsplit", "", "1\ttrain"]).as_bytes(), b"\xff"].concat();
        assert_fails(read(bytes), &["line 4", "UTF-8"]);
    }
}

#[test]
fn a_wrong_line_is_named() {
    for (text, parts) in [
        ("", ["line 1", "the file is empty"]),
        ("1\ttrain\n", ["line 1", "the header line is missing"]),
        ("id\tsplit\n1\ttrain\n99\tval\n", ["line 3", "paper id `99` is not in data set `karate`"]),
        ("id\tsplit\n1\tdev\n", ["line 2", "there is no part `dev`"]),
        ("id\tsplit\n1\ttrain\n1\ttest\n", ["line 3", "in `test`, and an earlier line puts it in `train`"]),
        ("id\tsplit\n1\n", ["line 2", "1 field, not two"]),
        ("id\tsplit\n1\tval\n", ["split.tsv", "no node is in `train`"]),
    ] {
        assert_fails(read(text), &parts);
    }
    assert_fails(read(b"id\tsplit\n\xff\ttrain\n"), &["line 2", "UTF-8"]);
    assert_fails(Split::read_tsv(Path::new("no/such.tsv"), &karate()), &["such.tsv", "check the path"]);
}

#[test]
fn a_file_without_an_end_is_refused() {
    if cfg!(target_os = "linux") {
        let endless = Split::read_tsv(Path::new("/dev/zero"), &karate());
        assert_fails(endless, &["/dev/zero", "limit of 67108864 bytes", "name another file"]);
    }
}

#[test]
fn the_public_split_of_cora_is_the_planetoid_one() {
    let Some(data) = test_data() else { return };
    let cora = read_cora(&data.join("cora.tgz")).unwrap();
    let split = Split::read_tsv(&data.join("cora.public-split.tsv"), &cora).unwrap();
    assert_disjoint(&split, cora.n_node());
    assert_eq!((split.train.len(), split.val.len(), split.test.len()), (140, 500, 1000));
    let in_train = |class| split.train.iter().filter(|&&node| cora.labels[node as usize] == class).count();
    assert!((0..7).all(|class| in_train(class) == 20));
    assert_fails(Split::public(&cora), &["data set `cora`", "has no split", "`Split::read_tsv`"]);
}

#[test]
fn random_takes_twenty_of_each_class() {
    let dataset = planted(&mut StdRng::seed_from_u64(1), &PlantedSpec::cora()).unwrap();
    let draw = |seed| Split::random(&dataset, &mut StdRng::seed_from_u64(seed)).unwrap();
    let split = draw(2);
    assert_disjoint(&split, dataset.n_node());
    assert_eq!((split.train.len(), split.val.len(), split.test.len()), (140, 500, 1000));
    let in_train = |class| split.train.iter().filter(|&&node| dataset.labels[node as usize] == class).count();
    assert!((0..7).all(|class| in_train(class) == 20));
    assert_eq!(draw(2), split);
    assert_ne!(draw(3), split);
    let by_object: &mut dyn rand::Rng = &mut StdRng::seed_from_u64(2);
    assert_eq!(Split::random(&dataset, by_object).unwrap(), split);
}

#[test]
fn small_data_has_no_large_split() {
    let mut rng = StdRng::seed_from_u64(0);
    assert_fails(Split::random(&karate(), &mut rng), &["`karate`", "nodes, and a random split takes 20 of each"]);
    let small = planted(&mut rng, &PlantedSpec::cora().scaled(1000)).unwrap();
    assert_fails(Split::random(&small, &mut rng), &["1000 nodes, and a random split takes 1640"]);
    assert_fails(Split::pygcn(&small), &["1000 nodes", "rows 0 to 1499"]);
}

#[test]
fn pygcn_is_by_rows() {
    let dataset = planted(&mut StdRng::seed_from_u64(1), &PlantedSpec::cora()).unwrap();
    let split = Split::pygcn(&dataset).unwrap();
    assert_disjoint(&split, dataset.n_node());
    assert_eq!((split.train.len(), split.val.len(), split.test.len()), (140, 300, 1000));
    assert_eq!(
        (split.train[139], split.val[0], split.val[299], split.test[0], split.test[999]),
        (139, 200, 499, 500, 1499)
    );
}
