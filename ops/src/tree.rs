//! Trees of arrays: what functions take and return. `#[derive(Tree)]` makes a struct or an enumeration one.
//!
//! ```
//! use gavotte::{Array, Tree, grad, tree};
//! use std::collections::BTreeMap;
//!
//! #[derive(Tree, Clone)]
//! struct Model {
//!     layers: Vec<Layer>,
//!     scales: BTreeMap<String, Array>,
//!     // Part of the structure: not an array, and without a derivative.
//!     #[tree(static)]
//!     slope: f32,
//! }
//!
//! #[derive(Tree, Clone)]
//! enum Layer {
//!     Dense { w: Array, b: Array },
//!     Scale(Array),
//! }
//!
//! let model = Model {
//!     layers: vec![
//!         Layer::Dense { w: Array::scalar(2f32), b: Array::scalar(1f32) },
//!         Layer::Scale(Array::scalar(3f32)),
//!     ],
//!     scales: BTreeMap::from([("out".to_string(), Array::scalar(4f32))]),
//!     slope: 0.5,
//! };
//! let paths: Vec<String> = tree::leaves_with_paths(&model).into_iter().map(|(path, _)| path).collect();
//! assert_eq!(paths, ["layers.0.w", "layers.0.b", "layers.1.0", "scales.out"]);
//!
//! let loss = |model: Model| match &model.layers[0] {
//!     Layer::Dense { w, b } => (w * b + &model.scales["out"]) * model.slope,
//!     Layer::Scale(x) => x.clone(),
//! };
//! // Derivatives have the same structure.
//! let slopes = tree::map(&grad(loss)(model), |slope| slope * 10f32);
//! let slopes: Vec<f32> = tree::leaves(&slopes).iter().map(|slope| slope.item()).collect();
//! assert_eq!(slopes, [5.0, 10.0, 0.0, 5.0]);
//! ```

use crate::array::Array;
use crate::movement::{concatenate, reject};
use gavotte_core::api::Fun;
use gavotte_core::aval::{Aval, DType, Dim, Shape, volume};
use gavotte_core::ir::structural::zeros;
pub use gavotte_core::tree::*;

/// The arrays of a tree, in the order of its structure.
///
/// Source: JAX, `jax.tree.leaves`.
#[doc(alias = "tree_leaves")]
pub fn leaves(tree: &impl Tree) -> Vec<Array> {
    tree.flatten().1.into_iter().map(Array::from).collect()
}

/// Every array of a tree with its path, such as `layers.0.w`. Paths are unique; that of a lone array is empty.
///
/// Source: JAX, `jax.tree.leaves_with_path`.
pub fn leaves_with_paths(tree: &impl Tree) -> Vec<(String, Array)> {
    tree.leaves_with_paths().into_iter().map(|(path, leaf)| (path, leaf.into())).collect()
}

/// The tree with the same structure, with `f` applied to each array.
///
/// ```
/// use gavotte::{Array, tree};
/// let (a, b) = tree::map(&(Array::scalar(1f32), Array::scalar(2f32)), |x| x * 10f32);
/// assert_eq!((a.item::<f32>(), b.item::<f32>()), (10.0, 20.0));
/// ```
///
/// Source: JAX, `jax.tree.map`.
#[doc(alias = "tree_map")]
#[track_caller]
pub fn map<T: Tree>(tree: &T, mut f: impl FnMut(&Array) -> Array) -> T {
    tree.map(|leaf| f(&leaf.into()).into())
}

/// [`map`], where `f` also takes the path of the array.
///
/// ```
/// use gavotte::{Array, tree};
/// // Weights decay, biases do not.
/// let layer = [("w", 2f32), ("b", 3f32)].map(|(name, x)| (name.to_string(), Array::scalar(x)));
/// let layer = gavotte::IndexMap::from(layer);
/// let layer = tree::map_with_path(&layer, |path, x| if path == "w" { x * 0.5f32 } else { x.clone() });
/// assert_eq!((layer["w"].item::<f32>(), layer["b"].item::<f32>()), (1.0, 3.0));
/// ```
///
/// Source: JAX, `jax.tree.map_with_path`.
#[doc(alias = "tree_map_with_path")]
#[track_caller]
pub fn map_with_path<T: Tree>(tree: &T, mut f: impl FnMut(&str, &Array) -> Array) -> T {
    let (def, leaves) = tree.flatten();
    let mapped = def.paths().into_iter().zip(leaves).map(|(path, leaf)| f(&path, &leaf.into()).into());
    T::unflatten(&def, mapped.collect())
}

/// Folds the arrays of a tree into one value, in the order of its structure: `f(f(initial, first), second)`, and so on.
/// `initial` if the tree has none.
///
/// ```
/// use gavotte::{Array, tree};
/// let weights = (Array::new(&[2], vec![1f32, 2.0]), vec![Array::scalar(3f32)]);
/// let squares = tree::reduce(&weights, Array::scalar(0f32), |sum, x| sum + (x * x).sum(()));
/// assert_eq!(squares.item::<f32>(), 14.0);
/// ```
///
/// Source: JAX, `jax.tree.reduce`.
#[doc(alias = "tree_reduce")]
#[track_caller]
pub fn reduce<R>(tree: &impl Tree, initial: R, f: impl FnMut(R, &Array) -> R) -> R {
    leaves(tree).iter().fold(initial, f)
}

/// The elements of all arrays of a tree, one array after the other and each row-major, as an array of one axis, and the
/// function back: from such an array to a tree of the same structure. Both are differentiated and mapped like any other
/// function. A tree without arrays is an empty array of `f32`.
///
/// ```
/// use gavotte::{Array, tree};
/// let (flat, unravel) = tree::ravel(&(Array::new(&[1, 2], vec![1f32, 2.0]), Array::scalar(3f32)));
/// assert_eq!(flat.to_vec::<f32>(), [1.0, 2.0, 3.0]);
/// let (w, b) = unravel(flat * 2f32);
/// assert_eq!((w.to_vec::<f32>(), b.item::<f32>()), (vec![2.0, 4.0], 6.0));
/// assert_eq!(w.shape()[..], [1, 2]);
/// ```
///
/// # Panics
/// If the arrays differ in element type. When the function back is called: if its argument has another type than the
/// flat array.
///
/// Source: JAX, `jax.flatten_util.ravel_pytree`, which converts arrays of different types to a common one instead.
#[doc(alias = "ravel_pytree")]
#[track_caller]
pub fn ravel<'f, T: Tree + 'f>(tree: &T) -> (Array, Fun<'f, (Array,), T>) {
    let (def, leaves) = tree.flatten();
    let leaves: Vec<Array> = leaves.into_iter().map(Array).collect();
    let paths = def.paths();
    if let Some(other) = leaves.iter().position(|leaf| leaf.dtype() != leaves[0].dtype()) {
        let why = format!(
            "the arrays at `{}` and `{}` differ in element type: convert them to one with `astype` first",
            paths[0], paths[other]
        );
        reject("ravel", why, &[&leaves[0], &leaves[other]]);
    }
    let rows: Vec<Array> = leaves.iter().map(|leaf| leaf.reshape([leaf.0.aval().volume()])).collect();
    let flat = match &rows[..] {
        [] => Array(zeros(&Aval::new(DType::F32, [Dim::from(0)]))),
        rows => concatenate(rows, 0),
    };
    let wanted = flat.0.aval().clone();
    let shapes: Vec<Shape> = leaves.iter().map(|leaf| leaf.shape().clone()).collect();
    let unravel = Fun::new(move |(flat,): (Array,)| {
        if *flat.0.aval() != wanted {
            reject("unravel", format!("the array must be {wanted}, the type of the flat array"), &[&flat]);
        }
        let mut start = Dim::from(0);
        let leaf = |shape: &Shape| {
            let end = &start + volume(shape);
            let row = flat.slice_axis(0, std::mem::replace(&mut start, end.clone())..end);
            row.reshape(shape.iter().cloned()).0
        };
        T::unflatten(&def, shapes.iter().map(leaf).collect())
    });
    (flat, unravel)
}
