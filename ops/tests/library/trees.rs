//! Trees of arrays: derived types of all kinds and the standard library's containers.

use gavotte::tree::{self, Structure, TreeDef};
use gavotte::{Array, IndexMap, Tree, grad, jit, vmap};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::marker::PhantomData;

fn scalar(x: f32) -> Array {
    Array::scalar(x)
}

fn paths(tree: &impl Tree) -> Vec<String> {
    tree::leaves_with_paths(tree).into_iter().map(|(path, _)| path).collect()
}

fn numbers(tree: &impl Tree) -> Vec<f32> {
    tree::leaves(tree).iter().map(Array::item).collect()
}

/// A tree is reassembled from its parts, and its structure from its text.
#[track_caller]
fn comes_back<T: Tree>(tree: &T, expected: &[&str]) {
    let (def, leaves) = tree.flatten();
    assert_eq!(def.paths(), expected);
    assert_eq!(def.paths().iter().collect::<HashSet<_>>().len(), expected.len(), "two leaves have one path");
    let again = T::unflatten(&def, leaves);
    assert_eq!(again.flatten().0, def);
    assert_eq!(numbers(&again), numbers(tree));
    assert_eq!(T::restore(&def.structure(), &def.statics()), Ok(def));
}

#[derive(Tree, Clone)]
struct Named {
    w: Array,
    r#type: Array,
}

#[derive(Tree, Clone)]
struct Tuple(Array, Option<Array>);

#[derive(Tree, Clone)]
struct Unit;

#[derive(Tree, Clone)]
struct Generic<T: Clone, const N: usize, P>
where
    P: Clone,
{
    items: [T; N],
    more: Vec<(T, Array)>,
    // Neither a bound nor a leaf.
    marker: PhantomData<P>,
}

#[derive(Tree)]
struct With<F, S> {
    inner: F,
    #[tree(static)]
    setting: Vec<S>,
}

#[derive(Tree, Clone)]
enum Layer {
    Dense {
        w: Array,
        #[tree(static)]
        slope: f32,
    },
    Scale(Array),
    Chain(Vec<Layer>),
    Skip,
}

/// A type that contains itself.
#[derive(Tree)]
struct List<T> {
    head: T,
    tail: Option<Box<List<T>>>,
}

#[test]
fn structs_of_all_kinds_are_trees() {
    comes_back(&Named { w: scalar(1.0), r#type: scalar(2.0) }, &["w", "type"]);
    comes_back(&Tuple(scalar(1.0), Some(scalar(2.0))), &["0", "1.0"]);
    comes_back(&Tuple(scalar(1.0), None), &["0"]);
    comes_back(&Unit, &[]);
    let generic =
        Generic { items: [scalar(1.0), scalar(2.0)], more: vec![(scalar(3.0), scalar(4.0))], marker: PhantomData };
    comes_back::<Generic<Array, 2, HashSet<u8>>>(&generic, &["items.0", "items.1", "more.0.0", "more.0.1"]);
    comes_back(&With { inner: Unit, setting: vec![1u8] }, &[]);
    let tail = Some(Box::new(List { head: scalar(2.0), tail: None }));
    comes_back(&List { head: scalar(1.0), tail }, &["head", "tail.0.head"]);
}

#[test]
fn the_variant_of_an_enumeration_is_part_of_the_structure() {
    let dense = |slope| Layer::Dense { w: scalar(2.0), slope };
    comes_back(&dense(0.5), &["w"]);
    comes_back(&Layer::Scale(scalar(1.0)), &["0"]);
    comes_back(&Layer::Skip, &[]);
    let chain = Layer::Chain(vec![dense(0.5), Layer::Skip, Layer::Chain(vec![Layer::Scale(scalar(3.0))])]);
    comes_back(&chain, &["0.0.w", "0.2.0.0.0"]);

    fn run(layer: &Layer, x: &Array) -> Array {
        match layer {
            Layer::Dense { w, slope } => w * x * *slope,
            Layer::Scale(w) => w * x,
            Layer::Chain(layers) => layers.iter().fold(x.clone(), |x, layer| run(layer, &x)),
            Layer::Skip => x.clone(),
        }
    }
    let step = jit(grad(|layer: Layer, x: Array| run(&layer, &x)));
    let Layer::Dense { w, slope } = step(dense(0.5), scalar(3.0)) else {
        panic!("the gradient is of the same variant")
    };
    assert_eq!((w.item::<f32>(), slope), (1.5, 0.5));
    assert!(matches!(step(Layer::Skip, scalar(3.0)), Layer::Skip));
    step(Layer::Scale(scalar(1.0)), scalar(3.0));
    assert_eq!(step.n_entry(), 3, "each variant is traced");
    let miss = step.misses().pop().expect("the last call traced").to_string();
    assert!(miss.contains("Layer::Scale of 1"), "{miss}");

    let rows = Layer::Scale(Array::new(&[2], vec![1f32, 2.0]));
    let mapped = vmap(|layer: Layer, x: Array| run(&layer, &x), [Some(0), None]);
    assert_eq!(mapped(rows, scalar(3.0)).to_vec::<f32>(), [3.0, 6.0]);
}

#[test]
fn written_variants_that_are_none_are_refused() {
    let misfit = |saved: Structure| Layer::restore(&saved, &[]).expect_err("it is none").to_string();
    let all = "Layer::Dense or Layer::Scale or Layer::Chain or Layer::Skip";
    assert_eq!(misfit(Structure::Leaf), format!("at the root: an array, where the type has {all}"));
    assert_eq!(
        misfit(Structure::Node("Layer::Gone".into(), vec![])),
        format!("at the root: Layer::Gone of 0, where the type has {all}")
    );
    let wrong = Structure::Node("Layer::Scale".into(), vec![("w".into(), Structure::Leaf)]);
    assert!(misfit(wrong).contains("the type has [\"0\"]"));
}

#[derive(Tree, Clone)]
struct Settings {
    x: Array,
    #[tree(static)]
    rate: f64,
    #[tree(static)]
    pair: (Option<f32>, [f64; 2]),
    #[tree(static)]
    named: Vec<(String, f32)>,
}

#[test]
fn static_floats_are_compared_by_their_bits() {
    let of = |rate| Settings { x: scalar(2.0), rate, pair: (Some(0.5), [1.0, 2.0]), named: vec![("a".into(), 0.1)] };
    comes_back(&of(0.25), &["x"]);
    let step = jit(|s: Settings| s.x * s.rate as f32);
    assert_eq!(step(of(0.25)).item::<f32>(), 0.5);
    step(of(0.25));
    assert_eq!(step.n_entry(), 1);
    assert!(step(of(f64::NAN)).item::<f32>().is_nan());
    step(of(f64::NAN));
    assert_eq!(step.n_entry(), 2, "NaN is NaN");
    assert_eq!(step(of(-0.0)).item::<f32>().to_bits(), (-0f32).to_bits());
    assert_eq!(step(of(0.0)).item::<f32>().to_bits(), 0);
    assert_eq!(step.n_entry(), 4, "zero has a sign");
    let mut other = of(0.25);
    other.named[0].1 = 0.2;
    step(other);
    assert_eq!(step.n_entry(), 5);
}

#[test]
fn containers_are_trees() {
    comes_back(&Box::new(scalar(1.0)), &[""]);
    comes_back(&Some(scalar(1.0)), &["0"]);
    comes_back(&None::<Array>, &[]);
    comes_back(&vec![scalar(1.0), scalar(2.0)], &["0", "1"]);
    comes_back(&[scalar(1.0), scalar(2.0)], &["0", "1"]);
    comes_back(&(scalar(1.0), (), PhantomData::<str>, (scalar(2.0),)), &["0", "3.0"]);
    let [a, b, c] = [1.0, 2.0, 3.0].map(scalar);
    let by_number = BTreeMap::from([(10, a.clone()), (-2, b.clone()), (9, c.clone())]);
    comes_back(&by_number, &["-2", "9", "10"]);
    assert_eq!(numbers(&by_number), [2.0, 3.0, 1.0]);
    let by_name = [("w".to_string(), a), ("b".to_string(), b), ("a.b".to_string(), c)];
    comes_back(&IndexMap::<_, _>::from(by_name.clone()), &["w", "b", "\"a.b\""]);
    // A hash map's order differs from run to run; its tree's order does not.
    let hashed: HashMap<_, _> = HashMap::from(by_name);
    comes_back(&hashed, &["\"a.b\"", "b", "w"]);
    let step = jit(|x: HashMap<String, Array>| &x["w"] + &x["b"]);
    for _ in 0..8 {
        assert_eq!(step(hashed.clone().into_iter().collect()).item::<f32>(), 3.0);
    }
    assert_eq!(step.n_entry(), 1);
}

#[test]
fn maps_that_were_written_otherwise_are_refused() {
    fn misfit<T: Tree + Debug>(name: &str, keys: &[&str]) -> String {
        let children = keys.iter().map(|key| (key.to_string(), Structure::Leaf)).collect();
        T::restore(&Structure::Node(name.into(), children), &[]).map(|_: TreeDef| ()).expect_err("refused").to_string()
    }
    let twice = misfit::<IndexMap<String, Array>>("IndexMap", &["b", "a", "b"]);
    assert_eq!(twice, "at the root: the key `b` is there twice");
    let order = misfit::<BTreeMap<u8, Array>>("BTreeMap", &["9", "10", "8"]);
    assert_eq!(order, "at the root: the key `8` is not in its place: a BTreeMap is sorted by key");
    let number = misfit::<HashMap<u8, Array>>("HashMap", &["09"]);
    assert_eq!(number, "at the root: `09` is not a key of type u8");
}

/// Whatever the keys are called, and however deep they are.
#[test]
fn no_two_leaves_have_one_path() {
    let keys = ["", ".", "a", "a.b", "b", "\"", "\"a\"", "\"a.b\"", "0", "a.\"b", "\n", "\\", "\\\"", "é.", "."];
    let level = |of: &dyn Fn(usize) -> IndexMap<String, Array>| -> IndexMap<String, IndexMap<String, Array>> {
        keys.iter().enumerate().map(|(i, key)| (key.to_string(), of(i))).collect()
    };
    let deep = level(&|i| keys.iter().skip(i % 3).map(|key| (key.to_string(), scalar(1.0))).collect());
    let found = paths(&(deep.clone(), vec![deep]));
    assert_eq!(found.iter().collect::<HashSet<_>>().len(), found.len(), "{found:?}");
    assert!(found.len() > 200);
}

#[test]
fn leaves_are_mapped_with_their_paths() {
    let named = Named { w: scalar(1.0), r#type: scalar(2.0) };
    let mut seen = vec![];
    let doubled = tree::map_with_path(&named, |path, x| {
        seen.push(path.to_string());
        x * 2f32
    });
    assert_eq!((seen, numbers(&doubled)), (vec!["w".to_string(), "type".to_string()], vec![2.0, 4.0]));
    assert_eq!(numbers(&tree::map(&doubled, |x| x + 1f32)), [3.0, 5.0]);
}

#[test]
fn a_tree_becomes_one_row_and_comes_back() {
    let tree = || Named { w: Array::new(&[2, 2], vec![1f32, 2.0, 3.0, 4.0]), r#type: scalar(5.0) };
    let (flat, unravel) = tree::ravel(&tree());
    assert_eq!(flat.to_vec::<f32>(), [1.0, 2.0, 3.0, 4.0, 5.0]);
    let back = unravel(flat.clone());
    assert_eq!((back.w.shape()[..].to_vec(), back.r#type.ndim()), (tree().w.shape()[..].to_vec(), 0));
    assert_eq!((back.w.to_vec::<f32>(), back.r#type.item::<f32>()), (vec![1.0, 2.0, 3.0, 4.0], 5.0));
    // d/dx of Σ w² + 3 b
    let slope = grad(|flat: Array| {
        let of = unravel.try_call((flat,)).expect("it is a flat array");
        (&of.w * &of.w).sum(()) + of.r#type * 3f32
    });
    assert_eq!(slope(flat.clone()).to_vec::<f32>(), [2.0, 4.0, 6.0, 8.0, 3.0]);
    let mapped =
        vmap(|flat: Array| unravel.try_call((flat,)).expect("it is a flat array"), [Some(0)])(flat.reshape([1, 5]));
    assert_eq!(mapped.w.shape()[..], [1, 2, 2]);
    let compiled = jit(|tree: Named| tree::ravel(&tree).0 * 2f32)(tree());
    assert_eq!(compiled.to_vec::<f32>(), [2.0, 4.0, 6.0, 8.0, 10.0]);
}

#[test]
fn flat_arrays_of_no_and_of_different_arrays() {
    let (flat, unravel) = tree::ravel(&Unit);
    assert_eq!((flat.shape()[..].to_vec(), flat.dtype()), (vec![0.into()], gavotte::DType::F32));
    unravel(flat);
    let empty = tree::ravel(&(Array::new::<i32>(&[0, 3], vec![]), Array::new(&[1], vec![7])));
    assert_eq!(empty.0.to_vec::<i32>(), [7]);
    assert_eq!(empty.1(empty.0.clone()).0.shape()[..], [0, 3]);

    let why = |f: &(dyn Fn() + std::panic::RefUnwindSafe)| {
        let payload = std::panic::catch_unwind(f).expect_err("it is refused");
        payload.downcast_ref::<String>().expect("a message").clone()
    };
    let mixed = why(&|| drop(tree::ravel(&(scalar(1.0), Array::scalar(1i32)))));
    assert!(mixed.contains("ravel: the arrays at `0` and `1` differ in element type"), "{mixed}");
    assert!(mixed.contains("trees.rs"), "{mixed}");
    let long = why(&|| drop(tree::ravel(&scalar(1.0)).1(Array::new(&[2], vec![1f32, 2.0]))));
    assert!(long.contains("unravel: the array must be f32[1]") && long.contains("trees.rs"), "{long}");
}

#[test]
fn trees_are_folded_in_order() {
    let tree = (scalar(1.0), vec![scalar(2.0), scalar(3.0)]);
    let found = tree::reduce(&tree, String::new(), |text, x| format!("{text}{}", x.item::<f32>()));
    assert_eq!(found, "123");
    assert_eq!(gavotte::tree_reduce(&Unit, 4, |n, _| n + 1), 4);
}
