//! Parameters by name: the path of each leaf, such as `hidden.w`.

use crate::Error;
use gavotte::{Array, Tree};

/// Every leaf with its path, in the order of the tree.
pub fn to_named<P: Tree>(params: &P) -> Vec<(String, Array)> {
    gavotte::tree::leaves_with_paths(params)
}

/// Parameters of the structure of `like` from named arrays, which may come in any order.
///
/// # Errors
/// If a leaf is missing, repeated, unknown, or of another type. The text names the path, and both types.
pub fn from_named<P: Tree>(like: &P, named: Vec<(String, Array)>) -> Result<P, Error> {
    gavotte::params::from_named(like, named).map_err(|error| Error::Params(error.to_string()))
}
