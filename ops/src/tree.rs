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
pub use gavotte_core::tree::*;

/// The arrays of a tree, in the order of its structure.
///
/// Source: JAX, `jax.tree.leaves`.
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
#[track_caller]
pub fn map_with_path<T: Tree>(tree: &T, mut f: impl FnMut(&str, &Array) -> Array) -> T {
    let (def, leaves) = tree.flatten();
    let mapped = def.paths().into_iter().zip(leaves).map(|(path, leaf)| f(&path, &leaf.into()).into());
    T::unflatten(&def, mapped.collect())
}
