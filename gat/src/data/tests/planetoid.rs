use std::fs;

use rand::{SeedableRng, rngs::StdRng};
use tempfile::TempDir;

use super::*;
use crate::data::{dataset, numpy, pickle::Pickle};

/// `U`: a short string.
fn string(text: &str) -> Vec<u8> {
    [&[b'U', text.len() as u8], text.as_bytes()].concat()
}

/// `J`: a whole number.
fn int(number: i32) -> Vec<u8> {
    [&b"J"[..], &number.to_le_bytes()].concat()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [&b"("[..], &items.concat(), b"t"].concat()
}

/// An array, without the frame of a file.
fn array(dtype: &str, shape: &[i32], data: &[u8]) -> Vec<u8> {
    let shape = tuple(&shape.iter().map(|&size| int(size)).collect::<Vec<_>>());
    let element = [&b"cnumpy\ndtype\n"[..], &string(dtype), &int(0), &int(1), b"\x87R(K\x03U\x01<tb"].concat();
    let bytes = [&b"T"[..], &(data.len() as u32).to_le_bytes(), data].concat();
    let state = tuple(&[int(1), shape, element, b"\x89".to_vec(), bytes]);
    [&b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"[..], &state, b"b"].concat()
}

fn ints(numbers: &[i32]) -> Vec<u8> {
    let data: Vec<_> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    array("i4", &[numbers.len() as i32], &data)
}

fn framed(body: &[u8]) -> Vec<u8> {
    [b"\x80\x02", body, b"."].concat()
}

fn csr(shape: [i32; 2], offsets: &[i32], columns: &[i32]) -> Vec<u8> {
    let ones: Vec<_> = columns.iter().flat_map(|_| 1f32.to_le_bytes()).collect();
    let state = [
        string("_shape"),
        tuple(&shape.map(int)),
        string("indptr"),
        ints(offsets),
        string("indices"),
        ints(columns),
        string("data"),
        array("f4", &[columns.len() as i32], &ones),
    ];
    framed(&[&b"cscipy.sparse.csr\ncsr_matrix\n)\x81}("[..], &state.concat(), b"ub"].concat())
}

/// Rows of two classes; all zeros for any other label.
fn one_hot(labels: &[i32]) -> Vec<u8> {
    let data: Vec<_> = labels.iter().flat_map(|&label| [0, 1].map(|class| i32::from(class == label))).collect();
    let bytes: Vec<_> = data.iter().flat_map(|number| number.to_le_bytes()).collect();
    framed(&array("i4", &[labels.len() as i32, 2], &bytes))
}

fn graph(lists: &[(i32, &[i32])]) -> Vec<u8> {
    let items = lists.iter().flat_map(|(node, list)| {
        [int(*node), [&b"]("[..], &list.iter().flat_map(|&to| int(to)).collect::<Vec<_>>(), b"e"].concat()]
    });
    let items: Vec<_> = items.collect();
    framed(&[&b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R("[..], &items.concat(), b"u"].concat())
}

/// A small network: nodes 0 to 2 in `allx`, test nodes 5 and 3, and node 4 left out.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (part, bytes) in [
        ("x", csr([1, 4], &[0, 1], &[2])),
        ("y", one_hot(&[1])),
        ("tx", csr([2, 4], &[0, 2, 3], &[3, 0, 1])),
        ("ty", one_hot(&[1, 0])),
        ("allx", csr([3, 4], &[0, 1, 1, 3], &[2, 1, 2])),
        ("ally", one_hot(&[1, 0, 1])),
        ("graph", graph(&[(0, &[1, 5, 5]), (1, &[0, 1]), (5, &[0]), (4, &[])])),
        ("test.index", b"5\n3\n".to_vec()),
    ] {
        write(&folder, part, &bytes);
    }
    folder
}

fn write(folder: &TempDir, part: &str, bytes: &[u8]) {
    fs::write(folder.path().join(format!("ind.cora.{part}")), bytes).unwrap();
}

/// Asserts the error of reading when one part is replaced.
#[track_caller]
fn assert_refused(part: &str, bytes: &[u8], parts: &[&str]) {
    let folder = folder();
    write(&folder, part, bytes);
    assert_fails(read_planetoid(folder.path(), "cora"), &[&[&*format!("ind.cora.{part}")], parts].concat());
}

#[test]
fn cora_is_the_golden_cora() {
    let Some(data) = test_data() else { return };
    let cora = read_cora(&data.join("planetoid/Cora")).unwrap();
    assert_sound(&cora);
    assert_eq!((cora.n_node(), cora.n_edge(), words(&cora).n_nonzero()), (2708, 13264, 49216));
    let split = Split::public(&cora).unwrap();
    assert_eq!(split.train, (0..140).collect::<Vec<_>>());
    assert_eq!(split.val, (140..640).collect::<Vec<_>>());
    assert_eq!(split.test, (1708..2708).collect::<Vec<_>>());
    assert_eq!(&cora.labels[..6], [3, 4, 4, 0, 3, 2]);
    // The digest of the arrays that the reference implementation was run on.
    assert_eq!(dataset::digest(&cora), "504c4c37d6a31aac2041969099c497a8d0de47c1463126104515ae351044d9fc");
}

#[test]
fn both_forms_of_cora_hold_the_same_papers() {
    let Some(data) = test_data() else { return };
    let (linqs, planetoid) =
        (read_cora(&data.join("cora.tgz")).unwrap(), read_cora(&data.join("planetoid/Cora/raw")).unwrap());
    let summary = |dataset: &Dataset| {
        let mut papers: Vec<_> = (0..dataset.n_node())
            .map(|node| (words(dataset).row(node).0.len(), &dataset.classes[dataset.labels[node] as usize]))
            .collect();
        papers.sort_unstable();
        papers.into_iter().map(|(n, class)| (n, class.clone())).collect::<Vec<_>>()
    };
    assert_eq!(summary(&linqs), summary(&planetoid));
    assert_eq!(linqs.homophily(), planetoid.homophily());
}

#[test]
fn test_rows_go_to_their_nodes_and_gaps_are_filled() {
    let folder = folder();
    let dataset = read_planetoid(folder.path(), "cora").unwrap();
    assert_sound(&dataset);
    assert_eq!(dataset.n_node(), 6);
    assert_eq!(dataset.labels, [1, 0, 1, 0, UNKNOWN_CLASS, 1]);
    assert!(!dataset.is_labelled(4) && dataset.is_labelled(5));
    assert_eq!(words(&dataset).offsets, [0, 1, 1, 3, 4, 4, 6]);
    assert_eq!(words(&dataset).columns, [2, 1, 2, 1, 0, 3]);
    assert_eq!(dataset.n_edge(), 6 + 4);
    assert_eq!(dataset.default_split, Some(Split { train: vec![0], val: vec![1, 2], test: vec![3, 5] }));
    assert_eq!(read_cora(folder.path()).unwrap(), dataset);
}

#[test]
fn nodes_of_unknown_class_are_in_no_part_of_a_split() {
    let folder = folder();
    write(&folder, "ally", &one_hot(&[1, 9, 1]));
    write(&folder, "ty", &one_hot(&[9, 0]));
    let dataset = read_planetoid(folder.path(), "cora").unwrap();
    assert_eq!(dataset.labels, [1, UNKNOWN_CLASS, 1, 0, UNKNOWN_CLASS, UNKNOWN_CLASS]);
    // Of the edges 0-1 and 0-5 neither has two labelled ends.
    assert!(dataset.homophily().is_nan());
    assert_eq!(dataset.default_split, Some(Split { train: vec![0], val: vec![2], test: vec![3] }));
    let path = folder.path().join("split.tsv");
    fs::write(&path, "id\tpart\n0\ttrain\n4\tval\n").unwrap();
    assert_fails(Split::read_tsv(&path, &dataset), &["line 3", "the class of paper `4` is unknown"]);
    let split = Split { train: vec![0, 4], ..Split::default() };
    let model = crate::model::GatConfig::new(2);
    let error = model.experiment(&dataset, &split).map(|_| ()).expect_err("it is refused");
    assert!(error.to_string().contains("the split names node 4, whose class is unknown"), "{error}");
}

/// As CiteSeer, a network whose `test.index` leaves out nodes.
#[test]
fn a_random_split_draws_from_labelled_nodes() {
    const N: usize = 1600;
    let labels: Vec<i32> = (0..N as i32).map(|node| if node % 100 == 7 { UNKNOWN_CLASS } else { node % 2 }).collect();
    let spec = planetoid_of(&labels);
    let mut drawn = 0;
    for seed in 0..20 {
        let split = Split::random(&spec, &mut StdRng::seed_from_u64(seed)).unwrap();
        let all = [&split.train, &split.val, &split.test].map(|part| part.len());
        assert_eq!(all, [40, 500, 1000]);
        for part in [&split.train, &split.val, &split.test] {
            drawn += part.iter().filter(|node| !spec.is_labelled(**node)).count();
        }
        let zeros = split.train.iter().filter(|node| labels[**node as usize] == 0).count();
        assert_eq!(zeros, 20);
    }
    assert_eq!(drawn, 0);
    // 1540 are needed, and the nodes without a class do not count.
    let few = planetoid_of(&labels[..1550]);
    assert_fails(Split::random(&few, &mut StdRng::seed_from_u64(0)), &["it has 1534 nodes of known class"]);
}

/// A data set read from files: all of `allx` and `ally` but the last two nodes, which are for testing.
fn planetoid_of(labels: &[i32]) -> Dataset {
    let folder = TempDir::new().unwrap();
    let (n, before) = (labels.len() as i32, labels.len() - 2);
    let rows = |n: usize| csr([n as i32, 1], &(0..=n as i32).collect::<Vec<_>>(), &vec![0; n]);
    for (part, bytes) in [
        ("x", rows(1)),
        ("y", one_hot(&labels[..1])),
        ("tx", rows(2)),
        ("ty", one_hot(&labels[before..])),
        ("allx", rows(before)),
        ("ally", one_hot(&labels[..before])),
        ("graph", graph(&[(0, &[1])])),
        ("test.index", format!("{}\n{}\n", n - 2, n - 1).into_bytes()),
    ] {
        write(&folder, part, &bytes);
    }
    read_planetoid(folder.path(), "cora").unwrap()
}

#[test]
fn a_pickle_that_names_a_foreign_class_is_refused() {
    let parts = ["`os.system`", "byte 2:", "nothing was run"];
    assert_refused("graph", b"\x80\x02cos\nsystem\n(U\x02lstR.", &parts);
    assert_refused("x", b"\x80\x02cos\nsystem\n(U\x02lstR.", &parts);
    assert_refused("graph", b"\x80\x04\x8c\x02os\x8c\x06system\x93.", &["`os.system`", "byte 14:"]);
}

#[test]
fn a_truncated_pickle_is_refused() {
    let whole = csr([1, 4], &[0, 1], &[2]);
    for end in 0..whole.len() {
        assert_refused("x", &whole[..end], &["byte ", "the file ends in the middle"]);
    }
}

#[test]
fn no_pickle_of_noise_panics() {
    let whole = csr([1, 4], &[0, 1], &[2]);
    for place in 0..whole.len() {
        for byte in 0..=255 {
            let mut noisy = whole.clone();
            noisy[place] = byte;
            let _ = numpy::read_matrix("noise", &noisy);
        }
    }
    for byte in 0..=255 {
        let _ = Pickle::read("noise", &[byte, byte]);
        let _ = Pickle::read("noise", &[b'(', byte, b'.']);
        let _ = Pickle::read("noise", &[0x8a, 1, byte, byte, b'.']);
    }
}

#[test]
fn numbers_of_all_widths_are_read() {
    let read = |dtype, shape: &[i32], data: &[u8]| {
        numpy::read_array("array", &framed(&array(dtype, shape, data))).map(|array| array.data)
    };
    assert_eq!(read("i1", &[2], &[1, 255]).unwrap(), [1.0, -1.0]);
    assert_eq!(read("u1", &[2], &[1, 255]).unwrap(), [1.0, 255.0]);
    assert_eq!(read("i8", &[1], &(-5i64).to_le_bytes()).unwrap(), [-5.0]);
    assert_eq!(read("f8", &[1], &0.1f64.to_le_bytes()).unwrap(), [0.1]);
    assert_fails(read("c8", &[1], &[0; 8]), &["elements of type `c8`"]);
    assert_fails(read("i4", &[3], &[0; 8]), &["shape [3] has 8 bytes"]);
    assert_fails(read("i4", &[i32::MAX, i32::MAX, i32::MAX], &[0; 8]), &["has 8 bytes"]);
    assert_fails(read("i4", &[-1], &[0; 8]), &["a dimension is -1"]);
}

#[test]
fn a_matrix_that_leaves_its_bounds_is_refused() {
    assert_refused("x", &csr([1, 4], &[0, 1], &[4]), &["row 0", "column 4 is out of bounds"]);
    assert_refused("x", &csr([1, 4], &[0, 1], &[-1]), &["column -1 is out of bounds"]);
    assert_refused("x", &csr([2, 4], &[0, 1], &[0]), &["`indptr` has 2 entries for 2 rows"]);
    assert_refused("x", &csr([1, 4], &[0, 2], &[0]), &["`indptr` does not run from 0 to 1"]);
    assert_refused("allx", &csr([3, 4], &[0, 2, 1, 2], &[0, 1]), &["`indptr` falls", "row 1"]);
    assert_refused("x", &framed(b"N"), &["no matrix"]);
}

#[test]
fn rows_that_have_no_sum_to_divide_by_are_refused() {
    let read = |values: &[f64]| {
        let data: Vec<_> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let row = framed(&array("f8", &[1, 4], &data));
        let folder = folder();
        write(&folder, "x", &row);
        let zeros = [0.0f64; 8].map(f64::to_le_bytes).concat();
        write(&folder, "allx", &framed(&array("f8", &[3, 4], &[&data[..], &zeros].concat())));
        read_planetoid(folder.path(), "cora").map(|dataset| words(&dataset).row(0).1.to_vec())
    };
    assert_eq!(read(&[0.0, 3.0, 1.0, 0.0]).unwrap(), [0.75, 0.25]);
    assert_eq!(read(&[1e308, 1e308, 1e308, 1e308]).unwrap(), [0.25; 4]);
    assert_eq!(read(&[-1.0, -3.0, 0.0, 0.0]).unwrap(), [0.25, 0.75]);
    assert_eq!(read(&[0.0; 4]).unwrap(), [0.0; 0]);
    for cancel in [[1.0, -1.0, 0.0, 0.0], [0.1, 0.2, -0.3, 0.0], [1e308, -1e308, 1.0, 0.0]] {
        assert_fails(read(&cancel), &["ind.cora.allx", "node 0", "values cancel"]);
    }
    for value in [f64::NAN, f64::INFINITY] {
        assert_fails(read(&[1.0, value, 0.0, 0.0]), &["row 0", "column 1", "is "]);
    }
}

#[test]
fn labels_that_say_too_much_or_too_little_are_refused() {
    let two = |rows: &[[u8; 2]]| framed(&array("u1", &[rows.len() as i32, 2], &rows.concat()));
    assert_refused("ally", &two(&[[0, 1], [1, 0], [1, 1]]), &["row 2 has a label in column 0 and in column 1"]);
    assert_refused("ty", &two(&[[1, 1], [1, 0]]), &["row 0 has a label in column 0"]);
    // The only node for training.
    assert_refused("y", &one_hot(&[9]), &["row 0, of a node for training, has no label"]);
    assert_refused("ally", &one_hot(&[9, 0, 1]), &["row 0, of a node for training, has no label"]);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    assert_refused("graph", &graph(&[(0, &[6])]), &["node 6 is out of bounds: there are 6 nodes"]);
    assert_refused("graph", &graph(&[(-1, &[0])]), &["node -1 is out of bounds"]);
    assert_refused("graph", &framed(b"N"), &["no dictionary"]);
    assert_refused(
        "test.index",
        b"5\n2\n",
        &["line 2", "node 2 is out of bounds: test nodes follow the 3 of ind.cora.allx"],
    );
    assert_refused("test.index", b"5\n5\n", &["line 2", "is on an earlier line"]);
    assert_refused("test.index", b"5\nx\n", &["line 2", "`x` is not a node"]);
    // Both files are named, and both numbers.
    assert_refused("test.index", b"5\n", &["it has 1 row, and ind.cora.tx has 2"]);
    let rows = |n: i32, n_column: i32| csr([n, n_column], &vec![0; n as usize + 1], &[]);
    assert_refused("x", &rows(2, 4), &["it has 2 rows, and ind.cora.y has 1"]);
    assert_refused("tx", &rows(1, 4), &["it has 1 row, and ind.cora.ty has 2"]);
    assert_refused("allx", &rows(4, 4), &["it has 4 rows, and ind.cora.ally has 3"]);
    assert_refused("x", &rows(1, 3), &["it has 3 columns, and ind.cora.allx has 4"]);
    assert_refused("tx", &rows(2, 5), &["it has 5 columns, and ind.cora.allx has 4"]);
    let wide = |n: i32| framed(&array("u1", &[n, 3], &[0, 1, 0].repeat(n as usize)));
    assert_refused("y", &wide(1), &["it has 3 columns, and ind.cora.ally has 2"]);
    assert_refused("ty", &wide(2), &["it has 3 columns, and ind.cora.ally has 2"]);
    let many = folder();
    write(&many, "x", &rows(4, 4));
    write(&many, "y", &one_hot(&[0; 4]));
    let parts = ["ind.cora.x: it has 4 rows, more than the 3 of ind.cora.allx"];
    assert_fails(read_planetoid(many.path(), "cora"), &parts);
    let folder = folder();
    fs::remove_file(folder.path().join("ind.cora.ty")).unwrap();
    assert_fails(read_planetoid(folder.path(), "cora"), &["ind.cora.ty", "check the path"]);
}
