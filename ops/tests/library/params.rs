//! Files of named parameters: saved parameters load again, and mismatches are refused with the file and the tensor.

use gavotte::params::{ParamsFile, to_bytes};
use gavotte::{Array, Error, IndexMap, Tree, load_params, load_params_like, save_params, tree};
use std::fs;
use std::path::PathBuf;

#[derive(Tree, Clone)]
struct Model {
    layers: Vec<Layer>,
    scale: Array,
    #[tree(static)]
    slope: f32,
}

#[derive(Tree, Clone)]
enum Layer {
    Dense { w: Array, b: Array },
    Scale(Array),
}

fn model() -> Model {
    let dense = Layer::Dense { w: Array::from([[0.1f32, f32::NAN, -0.0]]), b: Array::from(Vec::<f32>::new()) };
    Model { layers: vec![Layer::Scale(3f32.into()), dense], scale: 2f64.into(), slope: 0.5 }
}

/// A path in a folder that is removed when the returned guard is dropped.
fn file() -> (PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder can be created");
    (folder.path().join("p.safetensors"), folder)
}

fn bits(tree: &impl Tree) -> Vec<(String, String, Vec<u64>)> {
    let of = |array: &Array| {
        let host = array.to_host().expect("it is computed");
        (0..host.len()).map(|i| host.get(i).bits()).collect()
    };
    let leaves = tree::leaves_with_paths(tree).into_iter();
    leaves.map(|(path, array)| (path, array.value().aval().to_string(), of(&array))).collect()
}

#[test]
fn what_is_saved_is_loaded() {
    let (path, _folder) = file();
    save_params(&path, &model(), Some("{\"epoch\": 7}")).expect("it can be written");
    // The values of `like` do not count.
    let like = tree::map(&model(), |x| x * 0.0);
    let loaded = load_params_like(&path, &like).expect("it fits");
    assert_eq!((bits(&loaded), loaded.slope), (bits(&model()), 0.5));
    let all = load_params(&path).expect("it is whole");
    assert_eq!(all.arrays.keys().collect::<Vec<_>>(), ["layers.0.0", "layers.1.b", "layers.1.w", "scale"]);
    assert_eq!(all.metadata.as_deref(), Some("{\"epoch\": 7}"));
    let first = fs::read(&path).expect("it is there");
    save_params(&path, &loaded, Some("{\"epoch\": 7}")).expect("it is replaced");
    assert_eq!(fs::read(&path).expect("it is there"), first, "the same parameters give the same bytes");
    save_params(&path, &(), None).expect("it can be written");
    let none = load_params(&path).expect("it is whole");
    assert!(none.arrays.is_empty() && none.metadata.is_none());
}

#[test]
fn every_element_type_is_kept() {
    let (path, _folder) = file();
    let all = IndexMap::from(
        [
            ("f32", Array::from([1.5f32])),
            ("f64", Array::from([[0.1f64], [1e300]])),
            ("i32", Array::from(i32::MIN)),
            ("u32", Array::from([u32::MAX])),
            ("bool", Array::from([true, false])),
        ]
        .map(|(name, array)| (name.to_string(), array)),
    );
    save_params(&path, &all, None).expect("it can be written");
    assert_eq!(bits(&load_params_like(&path, &all).expect("it fits")), bits(&all));
}

#[test]
fn what_does_not_fit_names_the_file_and_the_tensor() {
    let (path, _folder) = file();
    save_params(&path, &model(), None).expect("it can be written");
    let refused = |like: &Model| match load_params_like(&path, like) {
        Err(Error::File(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it is accepted"),
    };
    let mut wider = model();
    wider.layers[1] = Layer::Dense { w: Array::from([[0f32; 4]]), b: Array::from([0f32]) };
    let mut longer = model();
    longer.layers.push(wider.layers[1].clone());
    let mut shorter = model();
    shorter.layers.pop();
    for (like, part) in [
        (wider, "parameter `layers.1.w` is f32[1,3], but the model needs f32[1,4]"),
        (longer, "parameter `layers.2.w`, f32[1,4], is missing"),
        (shorter, "parameter `layers.1.b` is given, but the model has none left with that name"),
    ] {
        let text = refused(&like);
        assert!(text.contains("p.safetensors: ") && text.contains(part), "{text}");
    }
}

#[test]
fn files_that_are_no_parameters_are_refused() {
    let (path, folder) = file();
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("it can be written");
        let text = load_params(&path).expect_err("it is refused").to_string();
        assert!(text.contains("p.safetensors: "), "{text}");
        text
    };
    let whole = to_bytes(&tree::leaves_with_paths(&model()), None).expect("it is computed");
    assert!(refused(&[]).contains("it ends before its header does"));
    assert!(refused(&whole[..whole.len() - 1]).contains("not as long as its arrays"));
    assert!(refused(&[whole.as_slice(), &[0]].concat()).contains("not as long as its arrays"));
    assert!(refused(&[0xff; 64]).contains("its header would have 18446744073709551615 bytes"));
    assert!(refused(b"\x02\0\0\0\0\0\0\0[]").contains("does not describe arrays"));
    let place = whole.windows(5).position(|word| word == b"\"F64\"").expect("the scale is f64");
    let mut other = whole.clone();
    other[place + 1] = b'C';
    assert!(refused(&other).contains("`scale` is C64, which no array has"));
    let text = load_params(folder.path().join("none")).expect_err("it is not there").to_string();
    assert!(text.contains("none: cannot open it") && text.contains("check the path"), "{text}");
    let compiled = b"gavotte compiled step\n{}\n".as_slice();
    assert!(refused(compiled).contains("it is a compiled function, which `load` reads"));
    for (name, advice) in
        [("", "name a file in it"), ("a\0b", "no file can have this name"), (&"a".repeat(999), "name")]
    {
        let text = load_params(folder.path().join(name)).expect_err("it is no file").to_string();
        assert!(text.contains(advice), "{text}");
    }
    for name in ["a\0b", &"a".repeat(999)] {
        let text = save_params(folder.path().join(name), &model(), None).expect_err("no such name").to_string();
        assert!(text.contains("use another name"), "{text}");
    }
    let text = save_params(folder.path().join("no/where"), &model(), None).expect_err("no folder").to_string();
    assert!(text.contains("where: cannot save the parameters"), "{text}");
}

#[test]
fn two_arrays_of_one_name_are_refused() {
    let twice = ["w", "w"].map(|name| (name.to_string(), Array::from(1f32)));
    let text = to_bytes(&twice, None).expect_err("one would be lost").to_string();
    assert_eq!(text, "two arrays are called `w`: give each its own name");
}

/// Every byte of a file is corrupted in turn.
#[test]
fn no_noise_in_a_file_panics() {
    let whole = to_bytes(&[("w".into(), Array::from([1f32, 2.0]))], Some("x")).expect("it is computed");
    for place in 0..whole.len() {
        for step in 1..=255u8 {
            let mut noisy = whole.clone();
            noisy[place] = noisy[place].wrapping_add(step);
            if let Ok(file) = ParamsFile::parse(&noisy) {
                file.tensors().for_each(|tensor| drop(tensor.array()));
            }
        }
    }
}

/// A device or a pipe is written to, and a link leads to the file that is replaced.
#[cfg(unix)]
#[test]
fn what_is_no_file_stays_what_it_is() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    let folder = tempfile::tempdir().expect("a folder can be created");
    let at = |name: &str| folder.path().join(name);
    let x = Array::from([1f32, 2.0]);
    save_params(at("whole"), &x, None).expect("it can be written");
    let whole = fs::read(at("whole")).expect("it was written");
    for (link, to) in [("link", "old"), ("dangling", "new")] {
        symlink(to, at(link)).expect("links can be made");
        fs::write(at("old"), "old").expect("it can be written");
        save_params(at(link), &x, None).expect("it can be written");
        assert!(fs::symlink_metadata(at(link)).expect("it is there").is_symlink(), "{link}");
        assert_eq!(fs::read(at(to)).expect("it was written"), whole, "{link}");
    }
    let mode = || fs::metadata(at("whole")).expect("it is there").permissions().mode() & 0o777;
    for kept in [0o600, 0o644] {
        fs::set_permissions(at("whole"), fs::Permissions::from_mode(kept)).expect("it is ours");
        save_params(at("whole"), &x, None).expect("it can be written");
        assert_eq!(mode(), kept);
    }
    let why = save_params("", &x, None).expect_err("it has no name").to_string();
    assert!(why.contains("name a file"), "{why}");
    symlink("circle", at("circle")).expect("links can be made");
    let why = save_params(at("circle"), &x, None).expect_err("it leads nowhere").to_string();
    assert!(why.contains("lead in a circle"), "{why}");
    let made = std::process::Command::new("mkfifo").arg(at("pipe")).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo makes a pipe");
    let reader = std::thread::spawn({
        let pipe = at("pipe");
        move || fs::read(pipe).expect("somebody writes")
    });
    save_params(at("pipe"), &x, None).expect("somebody reads");
    assert_eq!(reader.join().expect("it ends"), whole);
    assert!(fs::metadata(at("pipe")).expect("it is there").file_type().is_fifo());
    let why = save_params(folder.path(), &x, None).expect_err("it is a folder").to_string();
    assert!(why.contains("add the name of a file") && !why.contains(".gavotte-"), "{why}");
    let why = save_params(at("none/file"), &x, None).expect_err("there is no folder").to_string();
    assert!(why.contains("make it first") && !why.contains(".gavotte-"), "{why}");
}

#[test]
fn a_name_that_the_format_reserves_is_refused() {
    let folder = tempfile::tempdir().expect("a folder can be created");
    let named = IndexMap::from([("__metadata__".to_string(), Array::scalar(1f32))]);
    let why = save_params(folder.path().join("file"), &named, None).expect_err("it could not be loaded").to_string();
    assert!(why.contains("`__metadata__`, which the file's format reserves"), "{why}");
}

/// The message names the array, and says what is wrong with its place or description.
#[test]
fn damage_is_located() {
    let (path, _folder) = file();
    let entry = |name: &str, begin: usize, end: usize| {
        format!(r#""{name}":{{"dtype":"F32","shape":[2],"data_offsets":[{begin},{end}]}}"#)
    };
    let two = |a: (usize, usize), b: (usize, usize)| format!("{{{},{}}}", entry("a", a.0, a.1), entry("b", b.0, b.1));
    let cases = [
        (two((0, 8), (4, 12)), 12, "`b` overlaps `a`: it begins at byte 4 of the data"),
        (two((0, 8), (12, 20)), 20, "4 bytes of the data between `a` and `b` belong to no array"),
        (two((4, 12), (12, 20)), 20, "4 bytes of the data before `a` belong to no array"),
        (two((8, 0), (8, 16)), 16, "`a` ends at byte 0 of the data, before it begins at byte 8"),
        (two((0, 8), (8, 12)), 12, "`b` is F32[2], 8 bytes, but its place has 4"),
        (two((0, 8), (8, 16)), 15, "16 bytes, and 15 bytes follow"),
        (two((0, 8), (8, 16)), 17, "16 bytes, and more bytes follow"),
        (r#"{"a":{"dtype":"F32","shape":[2]}}"#.into(), 8, "`a` has no two natural numbers for `data_offsets`"),
        (r#"{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}"#.into(), 8, "`a` has the unknown type `F31`"),
        (r#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#.into(), 8, "natural numbers for `shape`"),
        (r#"{"a":{"shape":[2],"data_offsets":[0,8]}}"#.into(), 8, "`a` has no text for `dtype`"),
        (
            r#"{"__metadata__":{"b":"","a":1}}"#.into(),
            0,
            "the values in `__metadata__` must be texts, and that of `a` is not",
        ),
        (r#"{"__metadata__":[]}"#.into(), 0, "`__metadata__` must be an object of texts"),
        (two((0, 8), (8, 16)).replace("\"b\"", "\"a\""), 16, "its header has the name `a` twice"),
        // The reader takes these for one array.
        (two((0, 8), (0, 8)).replace("\"b\"", "\"a\""), 8, "its header has the name `a` twice"),
        (two((0, 8), (0, 8)).replace("\"b\"", r#""\u0061""#), 8, "its header has the name `a` twice"),
        (r#"{"__metadata__":{},"__metadata__":{}}"#.into(), 0, "its header has the name `__metadata__` twice"),
        (
            r#"{"__metadata__":{"gavotte":"1","gavotte":"2"}}"#.into(),
            0,
            "its header has the name `gavotte` twice in `__metadata__`",
        ),
        (
            r#"{"a":{"dtype":"F32","dtype":"F64","shape":[2],"data_offsets":[0,8]}}"#.into(),
            8,
            "its header has the name `dtype` twice in `a`",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296,4294967296],"data_offsets":[0,8]}}"#
                .into(),
            8,
            "`a` has a size that is too large to count",
        ),
    ];
    for (header, n, part) in cases {
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; n]].concat();
        fs::write(&path, bytes).expect("it can be written");
        let text = load_params(&path).expect_err("it is refused").to_string();
        assert!(text.contains("p.safetensors: ") && text.contains(part), "{header}: {text}");
    }
}
