//! Parameters by name: the path of each leaf, such as `hidden.w`.

use crate::Error;
use gavotte::{Array, Tree};

/// Every leaf with its path, in the order of the tree.
pub fn to_named<P: Tree>(params: &P) -> Vec<(String, Array)> {
    params.leaves_with_paths().into_iter().map(|(path, leaf)| (path, leaf.into())).collect()
}

/// Parameters of the structure of `like` from named arrays, which may come in any order.
///
/// # Errors
/// If a leaf is missing, given twice, unknown, or of another type. The text names the path, and both types.
pub fn from_named<P: Tree>(like: &P, named: Vec<(String, Array)>) -> Result<P, Error> {
    let mut left = named;
    let mut leaves = vec![];
    for (path, wanted) in like.leaves_with_paths() {
        let Some(at) = left.iter().position(|(name, _)| *name == path) else {
            let names: Vec<&str> = left.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Error::Params(format!(
                "parameter `{path}`, {}, is missing; what is left is [{}]: was it saved from another model?",
                wanted.aval(),
                names.join(", ")
            )));
        };
        let (_, found) = left.remove(at);
        if found.value().aval() != wanted.aval() {
            return Err(Error::Params(format!(
                "parameter `{path}` is {}, and the model wants {}: give the settings it was trained with",
                found.value().aval(),
                wanted.aval()
            )));
        }
        leaves.push(found.into());
    }
    if let Some((name, _)) = left.first() {
        return Err(Error::Params(format!("parameter `{name}` is given, and the model has none left of that name")));
    }
    Ok(P::unflatten(&like.flatten().0, leaves))
}
