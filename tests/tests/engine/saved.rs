//! Compiled functions as files.

use gavotte::random::Key;
use gavotte::segment::Segments;
use gavotte::{
    Array, Compiled, DType, Dim, Error, Options, Tree, assume, debug_print, jit, jit_with, load, load_like,
    value_and_grad, vmap,
};
use gavotte_core::device::HostArray;
use gavotte_core::tree::TreeDef;
use gavotte_tests::refused::assert_has;
use indexmap::IndexMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

#[derive(Tree, Clone)]
struct Layer {
    w: Array,
    b: Option<Array>,
}

#[derive(Tree, Clone)]
struct Model {
    layers: Vec<Layer>,
    named: IndexMap<String, Array>,
    pair: [Array; 2],
}

fn numbers(shape: &[usize]) -> Array {
    let n = shape.iter().product::<usize>();
    Array::new(shape, (0..n).map(|i| (i as f32 * 0.7).sin()).collect())
}

fn model() -> Model {
    let layer = |bias: bool| Layer { w: numbers(&[3, 3]), b: bias.then(|| numbers(&[3])) };
    Model {
        layers: vec![layer(true), layer(false)],
        named: [("gain".to_string(), Array::scalar(1.5f32))].into_iter().collect(),
        pair: [numbers(&[3]), Array::scalar(0.25f32)],
    }
}

/// Every bit of every leaf.
fn bits(tree: &impl Tree) -> Vec<(String, Vec<u64>)> {
    let leaf_bits = |array: &HostArray| (0..array.len()).map(|i| array.get(i).bits()).collect();
    let leaves = tree.leaves_with_paths().into_iter();
    leaves.map(|(path, leaf)| (path, leaf_bits(&leaf.to_host().expect("computed")))).collect()
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder can be created");
    let path = folder.path().join("step");
    (folder, path)
}

#[track_caller]
fn refusal<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => panic!("it must be refused"),
        Err(Error::File(message)) => message,
        Err(other) => panic!("another error: {other}"),
    }
}

fn training_step(traces: &AtomicUsize) -> impl Fn(Model, Segments, Array, Key) -> (Model, Array) {
    let mask = Array::new(&[3], vec![true, false, true]);
    let shift = numbers(&[3]);
    move |model: Model, segments: Segments, x: Array, key: Key| {
        traces.fetch_add(1, Ordering::Relaxed);
        let loss = |model: Model, segments: Segments, x: Array| {
            let noise = key_copy(&key).normal([3], DType::F32);
            let mut h = x + &noise * 0.01f32;
            for Layer { w, b } in &model.layers {
                h = segments.sum(&segments.gather(&h.matmul(w))).tanh();
                if let Some(b) = b {
                    h += b;
                }
            }
            let kept = mask.select(&h, &shift * 0.5f32);
            (kept * &model.pair[0] * &model.named["gain"] + &model.pair[1]).mean(())
        };
        let (value, grads) = value_and_grad(loss)(model.clone(), segments, x);
        (model.zip_map(&grads, |p, g| (Array::from(p) - Array::from(g) * 0.1f32).into()), value)
    }
}

/// A copy of the key: the step above draws once per trace.
fn key_copy(key: &Key) -> Key {
    let (def, leaves) = key.flatten();
    Key::unflatten(&def, leaves)
}

type StepArgs = (Model, Segments, Array, Key);

fn args(n: usize) -> Result<StepArgs, Error> {
    let ids: Vec<i32> = (0..n as i32).map(|i| i / 2).collect();
    let segments = Segments::new(&ids, n)?.with_symbols("n", "n");
    Ok((model(), segments, numbers(&[n, 3]).declare([Dim::from("n"), Dim::from(3)]), Key::new(3)))
}

#[test]
fn a_loaded_step_has_the_bits_of_the_saved_one_and_never_traces() -> Result<(), Error> {
    let (_folder, path) = place();
    let traces = AtomicUsize::new(0);
    let threads = NonZeroUsize::new(2).expect("two is not zero");
    let step = jit_with(training_step(&traces), Options { threads, ..Options::default() });
    let compiled = step.lower(args(6)?)?.compile()?;
    compiled.save(&path)?;
    let loaded: Compiled<'_, StepArgs, (Model, Array)> = load(&path)?;
    assert_eq!(traces.load(Ordering::Relaxed), 1);
    for n in [6, 11] {
        assert_eq!(bits(&loaded.try_call(args(n)?)?), bits(&compiled.try_call(args(n)?)?), "{n} rows");
    }
    assert_eq!(traces.load(Ordering::Relaxed), 1, "loading and calling trace nothing");
    assert_eq!(loaded.lowered().program(), compiled.lowered().program());
    assert_eq!(loaded.lowered().sizes(), compiled.lowered().sizes());
    assert_eq!(loaded.cost_analysis().total, compiled.cost_analysis().total);
    assert_eq!(loaded.memory_analysis()?, compiled.memory_analysis()?);
    // A loaded step can be saved, and replaces the file by the same bytes.
    let before = fs::read(&path).expect("it is there");
    loaded.save(&path)?;
    assert_eq!(fs::read(&path).expect("it is there"), before);
    Ok(())
}

#[test]
fn constants_literals_and_words_keep_their_bits() -> Result<(), Error> {
    let (_folder, path) = place();
    let captured = (
        Array::new(&[3], vec![f32::NAN, -0.0, f32::NEG_INFINITY]),
        Array::new(&[2], vec![0.1f64, f64::MIN_POSITIVE / 4.0]),
        Array::new(&[1, 2], vec![i32::MIN, 7]),
        Array::new(&[2], vec![u32::MAX, 1]),
        Array::new(&[2], vec![true, false]),
        Array::new(&[0], Vec::<f32>::new()),
    );
    let kept = captured.clone();
    let f = jit(move |x: Array| {
        debug_print("a \"word\"\n{}", &[&x]);
        let (a, b, c, d, e, f) = kept.clone();
        ((a + &x, b * 1f64, c + 1i32, d * 3u32), (e, f, x * f32::NAN))
    });
    f.lower((Array::scalar(1f32),))?.compile()?.save(&path)?;
    type Out = ((Array, Array, Array, Array), (Array, Array, Array));
    let loaded: Compiled<'_, (Array,), Out> = load(&path)?;
    assert_eq!(bits(&loaded(Array::scalar(2f32))), bits(&f(Array::scalar(2f32))));
    Ok(())
}

#[test]
fn a_loaded_step_is_checked_and_composes() -> Result<(), Error> {
    let (_folder, path) = place();
    jit(|x: Array| &x * &x).lower((Array::scalar(0f32),))?.compile()?.save(&path)?;
    let square: Compiled<'_, (Array,), Array> = load(&path)?;
    let message = square.try_call((numbers(&[2]),)).err().map(|error| error.to_string()).unwrap_or_default();
    assert_has(&message, &["argument 0: there are 1 axes, and must be 0"]);
    assert_eq!(vmap(&square, [Some(0)])(Array::new(&[2], vec![1f32, 3.0])).to_vec::<f32>(), [1.0, 9.0]);
    Ok(())
}

#[test]
fn facts_are_saved_with_their_program() -> Result<(), Error> {
    let (_folder, path) = place();
    let f = jit(|x: Array| {
        assume("n >= 2");
        x * 2f32
    });
    f.lower((numbers(&[3]).declare(["n"]),))?.compile()?.save(&path)?;
    let loaded: Compiled<'_, (Array,), Array> = load(&path)?;
    assert_eq!(loaded.try_call((numbers(&[2]),))?.to_vec::<f32>().len(), 2);
    let message = loaded.try_call((numbers(&[1]),)).err().map(|error| error.to_string()).unwrap_or_default();
    assert_has(&message, &["the fact `n >= 2`", "`n` is 1 at argument 0"]);
    Ok(())
}

#[derive(Tree, Clone)]
struct Power {
    x: Array,
    #[tree(static)]
    power: i32,
}

#[test]
fn static_values_come_from_an_example() -> Result<(), Error> {
    let (_folder, path) = place();
    let power = |power| Power { x: Array::scalar(3f32), power };
    let f = jit(|p: Power| Power { x: p.x.powi(p.power), power: p.power });
    f.lower((power(2),))?.compile()?.save(&path)?;
    let message = refusal(load::<(Power,), Power>(&path));
    assert_has(&message, &["its arguments are not of the type it is loaded as at 0.power: ", "static value 2"]);
    assert_has(&message, &["load_like"]);
    assert_has(&refusal(load_like::<(Power,), Power>(&path, &power(5))), &["at 0.power", "static value 2"]);
    let loaded: Compiled<'_, (Power,), Power> = load_like(&path, &power(2))?;
    let out = loaded(power(2));
    assert_eq!((out.x.item::<f32>(), out.power), (9.0, 2));
    let message = loaded.try_call((power(3),)).err().map(|error| error.to_string()).unwrap_or_default();
    assert_has(&message, &["argument 0, leaf `0.power` is 3, and must be 2"]);
    Ok(())
}

#[test]
fn other_trees_are_refused() -> Result<(), Error> {
    let (_folder, path) = place();
    let f = jit(|xs: Vec<Array>, m: Layer| (xs[0].sum(()), m));
    let layer = Layer { w: numbers(&[2]), b: None };
    f.lower((vec![numbers(&[3]), numbers(&[1])], layer.clone()))?.compile()?.save(&path)?;
    assert!(load::<(Vec<Array>, Layer), (Array, Layer)>(&path).is_ok());
    type Taken = (Vec<Array>, Layer);
    let arguments = "its arguments are not of the type it is loaded as ";
    let refused = |message: String, parts: &[&str]| assert_has(&message, parts);
    refused(refusal(load::<(Array, Layer), (Array, Layer)>(&path)), &[arguments, "at 0: Vec of 2", "an array"]);
    refused(refusal(load::<([Array; 2], Layer), (Array, Layer)>(&path)), &["at 0: Vec of 2", "the type has array"]);
    refused(
        refusal(load::<(Vec<Array>,), (Array, Layer)>(&path)),
        &["at the root: tuple has the fields [\"0\", \"1\"]"],
    );
    refused(refusal(load::<(Vec<Array>, Power), (Array, Layer)>(&path)), &["at 1: Layer of 2", "the type has Power"]);
    refused(
        refusal(load::<Taken, (Array, Array)>(&path)),
        &["its results are not of the type it is loaded as at 1: Layer of 2, where the type has an array"],
    );
    refused(refusal(load::<Taken, Array>(&path)), &["its results", "at the root: tuple of 2"]);
    Ok(())
}

/// A tree that does not say how to restore it.
struct Plain(Array);

impl Tree for Plain {
    fn disassemble(&self, leaves: &mut Vec<gavotte_core::ir::Value>) -> TreeDef {
        self.0.disassemble(leaves)
    }
    fn assemble(def: &TreeDef, leaves: &mut dyn Iterator<Item = gavotte_core::ir::Value>) -> Self {
        Plain(Array::assemble(def, leaves))
    }
}

#[test]
fn a_type_that_cannot_be_restored_says_so() -> Result<(), Error> {
    let (_folder, path) = place();
    jit(|x: Plain| x.0 * 2f32).lower((Plain(Array::scalar(1f32)),))?.compile()?.save(&path)?;
    assert_has(&refusal(load::<(Plain,), Array>(&path)), &["Plain does not say how it is restored", "Tree::restore"]);
    assert!(load::<(Array,), Array>(&path).is_ok(), "the trees themselves are the same");
    Ok(())
}

/// The message on loading a saved step whose bytes were changed.
fn changed(change: impl Fn(Vec<u8>) -> Vec<u8>) -> String {
    let (_folder, path) = place();
    let shift = numbers(&[4]);
    let f = jit(move |x: Array| x + &shift);
    let compiled = f.lower((numbers(&[4]),)).and_then(|lowered| lowered.compile()).unwrap_or_else(|e| panic!("{e}"));
    compiled.save(&path).unwrap_or_else(|error| panic!("{error}"));
    let bytes = fs::read(&path).expect("it is there");
    fs::write(&path, change(bytes)).expect("it can be written");
    let message = refusal(load::<(Array,), Array>(&path));
    assert!(message.starts_with(&format!("{}: ", path.display())), "{message}");
    message
}

/// The bytes with one text of the head replaced by another.
fn replaced(bytes: Vec<u8>, old: &str, new: &str) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|bytes| bytes == old.as_bytes());
    let at = at.unwrap_or_else(|| panic!("`{old}` is not in the file"));
    [&bytes[..at], new.as_bytes(), &bytes[at + old.len()..]].concat()
}

#[test]
fn another_version_target_or_layout_is_refused() {
    let version = env!("CARGO_PKG_VERSION");
    let field = |version: &str| format!("\"version\":\"{version}\"");
    let message = changed(|bytes| replaced(bytes, &field(version), &field("0.0.9")));
    assert_has(&message, &[&format!("it was saved by Gavotte 0.0.9, and this is {version}: compile and save it")]);
    let arch = std::env::consts::ARCH;
    let field = |arch: &str| format!("\"target\":\"{arch}-");
    let message = changed(|bytes| replaced(bytes, &field(arch), &field("pdp11")));
    assert_has(&message, &["it was saved for pdp11-", &format!("and this machine is {arch}-"), "compile it here"]);
    let message = changed(|bytes| replaced(bytes, "row-major little-endian", "row-major middle-endian"));
    assert_has(&message, &["its elements lie as `row-major middle-endian f32:4", "compile it here"]);
}

#[test]
fn cut_off_or_damaged_files_are_refused() {
    let cut = changed(|bytes| bytes[..bytes.len() - 10].to_vec());
    assert_has(&cut, &["it holds ", " bytes: it is not whole; save it again"]);
    assert_has(&changed(|bytes| [bytes, vec![0]].concat()), &["bytes: it is not whole"]);
    let flipped = changed(|mut bytes| {
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        bytes
    });
    assert_has(&flipped, &["its contents are not those that were saved: the checksum differs; save it again"]);
    assert_has(&changed(|bytes| bytes[..40].to_vec()), &["its head is cut off or damaged"]);
    assert_has(&changed(|bytes| bytes[..5].to_vec()), &["this is not a compiled step that Gavotte saved"]);
    assert_has(&changed(|_| vec![]), &["this is not a compiled step that Gavotte saved"]);
}

/// No flipped bit anywhere yields a step.
#[test]
fn every_damaged_byte_is_noticed() -> Result<(), Error> {
    let (_folder, path) = place();
    jit(|x: Array| x * 2f32).lower((Array::scalar(1f32),))?.compile()?.save(&path)?;
    let bytes = fs::read(&path).expect("it is there");
    for i in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[i] ^= 1 << (i % 8);
        fs::write(&path, &damaged).expect("it can be written");
        assert!(load::<(Array,), Array>(&path).is_err(), "byte {i}");
    }
    Ok(())
}

#[test]
fn files_are_written_whole_or_not_at_all() -> Result<(), Error> {
    let (folder, path) = place();
    let compiled = jit(|x: Array| x * 2f32).lower((Array::scalar(1f32),))?.compile()?;
    compiled.save(&path)?;
    compiled.save(&path)?;
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 1, "no other file is left");
    let below = path.join("below");
    assert_has(&refusal(compiled.save(&below)), &["below: cannot write it: "]);
    let a_folder = folder.path().join("folder");
    fs::create_dir(&a_folder).expect("it can be made");
    assert_has(&refusal(compiled.save(&a_folder)), &["folder: cannot write it: "]);
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 2, "a file without a name is gone");
    assert!(load::<(Array,), Array>(&path).is_ok());
    assert_has(
        &refusal(load::<(Array,), Array>(folder.path().join("none"))),
        &["none: cannot read it: ", "check the path"],
    );
    Ok(())
}
